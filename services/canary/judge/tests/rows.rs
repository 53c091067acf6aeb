//! The input parser: what it reads, what it refuses and how it says so, and that no text makes it fall over.

use auspex_judge::rows::{Format, Sample, Track, parse};
use proptest::prelude::*;

#[test]
fn reads_both_formats_alike() {
    let csv = "time,track,metric,bad,total,value,histogram,direction,weight,critical\n\
        60,baseline,errors,3,100,,,increase,2,true\n\
        \n\
        1970-01-01T00:01:00Z,candidate,cpu,,,0.5,,,,\n\
        60,candidate,latency,,,,\"{\"\"bounds\"\":[1,2],\"\"counts\"\":[5,4,1]}\",,,\r\n";
    let lines = r#"
{"time":60,"track":"baseline","metric":"errors","bad":3,"total":100,"direction":"increase","weight":2,"critical":true}
{"time":"1970-01-01T00:01:00Z","track":"candidate","metric":"cpu","value":0.5}
{"time":60,"track":"candidate","metric":"latency","histogram":{"bounds":[1,2],"counts":[5,4,1]}}
"#;
    let from_csv = parse("a.csv", csv, Format::Csv).expect("valid");
    assert_eq!(
        from_csv,
        parse("a.jsonl", lines, Format::JsonLines).expect("valid")
    );
    assert_eq!(from_csv.len(), 3);
    assert_eq!(from_csv[0].sample, Sample::Counts { bad: 3, total: 100 });
    assert_eq!(
        (from_csv[1].time, from_csv[1].track),
        (60.0, Some(Track::Candidate))
    );
    let null = parse(
        "a",
        "{\"time\":1,\"metric\":\"m\",\"value\":null}",
        Format::JsonLines,
    )
    .expect("valid");
    assert!(matches!(null[0].sample, Sample::Value(v) if v.is_nan()));
}

#[test]
fn errors_name_file_line_field_and_reason() {
    let said = |text: &str, format| {
        parse("in", text, format)
            .expect_err("refused")
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let csv =
        "time,track,metric,bad,total\n1,baseline,e,5,4\n2,stable,e,1,4\n\nx,baseline,e,1,4\n1,baseline,e,1\n";
    assert_eq!(
        said(csv, Format::Csv),
        [
            "in:2: bad: 5 exceeds total 4",
            "in:3: track: expected baseline or candidate, got \"stable\"",
            "in:5: time: neither seconds nor RFC 3339: \"x\"",
            "in:6: row: expected 5 fields, got 4",
        ]
    );
    assert_eq!(
        said("time,metrik\n1,2\n", Format::Csv),
        ["in:1: metrik: unknown field"]
    );
    assert_eq!(said("", Format::Csv), ["in:1: row: the file is empty"]);
    let json = "{\"time\":1,\"metric\":\"e\",\"bad\":-1,\"total\":4}\n{\"time\":1,\"metric\":\"e\"}\n[1]\n\
        {\"time\":1,\"metric\":\"e\",\"histogram\":{\"bounds\":[2,1],\"counts\":[1,1]}}\n\
        {\"time\":1,\"metric\":\"e\",\"value\":1,\"weight\":0}";
    let said = said(json, Format::JsonLines);
    assert_eq!(said[0], "in:1: bad: not a count: \"-1\"");
    assert_eq!(said[1], "in:2: row: needs bad and total, value, or histogram");
    assert!(said[2].starts_with("in:3: row: "), "{}", said[2]);
    assert_eq!(
        said[3],
        "in:4: histogram: bounds must be finite and strictly ascending"
    );
    assert_eq!(said[4], "in:5: weight: must be above 0");
}

#[test]
fn a_wrong_file_stops_early() {
    let text = "x\n".repeat(500);
    assert_eq!(
        parse("in", &text, Format::JsonLines).expect_err("refused").len(),
        20
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_fall_over(text in "(?s).{0,300}", lines in prop::collection::vec("[-0-9a-z,:.\"{}\\[\\]\n\r]{0,40}", 0..9)) {
        for text in [text, format!("time,metric,value,histogram\n{}", lines.join("\n"))] {
            for format in [Format::Csv, Format::JsonLines] {
                if let Err(errors) = parse("in", &text, format) {
                    prop_assert!(!errors.is_empty() && errors.iter().all(|e| e.line >= 1));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The fuzz target's property, where it always runs: whatever is read can be judged.
    #[test]
    fn whatever_is_read_can_be_judged(
        rows in prop::collection::vec((any::<i16>(), 0u8..3, 0u8..3, any::<f64>(), any::<u64>(), any::<u64>()), 1..40)
    ) {
        let mut text = String::from("time,track,metric,bad,total,value,histogram\n");
        for (time, track, kind, value, a, b) in rows {
            let track = ["baseline", "candidate", ""][usize::from(track)];
            let sample = match kind {
                0 => format!("{},{},,", a.min(b), a.max(b)),
                1 => format!(",,{value},"),
                _ => format!(",,,\"{{\"\"bounds\"\":[1,2],\"\"counts\"\":[{},{},7]}}\"", a % 1000, b % 1000),
            };
            text.push_str(&format!("{time},{track},m{kind},{sample}\n"));
        }
        let parsed = parse("in", &text, Format::Csv).expect("readable");
        let options = auspex_judge::Options { change_at: Some(0.0), ..Default::default() };
        if let Ok(looks) = auspex_judge::report::run(&parsed, &options) {
            prop_assert!(looks.last().is_some_and(|look| look.last));
            for look in looks {
                prop_assert!(look.posterior.is_finite() && look.e_worse.is_finite());
                prop_assert!(look.metrics.iter().all(|m| m.e_worse.is_finite() && m.log_e_safe.is_finite()), "{:?}", look);
            }
        }
    }
}
