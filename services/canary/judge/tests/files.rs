//! What files of users look like: parts and repeats, tracks that miss a metric, rows that contradict each other, broken probes.

use auspex_judge::report::run;
use auspex_judge::rows::{Format, Row, agreeing, parse, seconds};
use auspex_judge::simulate::random::Random;
use auspex_judge::{Look, Options, Reason, Verdict};
use proptest::prelude::*;

fn read(text: &str) -> Vec<Row> {
    agreeing("in", text, Format::Csv).unwrap_or_default()
}

/// The last look at a file.
fn end(text: &str) -> Look {
    let looks = run(&read(text), &Options::default()).unwrap_or_default();
    looks[looks.len() - 1].clone()
}

fn refused(text: &str, format: Format) -> Vec<String> {
    let faults = agreeing("in", text, format).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

const COUNTS: &str = "time,track,metric,bad,total\n";

#[test]
fn what_spreadsheets_and_tables_write_is_read() {
    let plain = format!("{COUNTS}1,baseline,e,3,100\n");
    let table = "\u{feff}time,track,metric,bad,total\r\n1.0,baseline,e,3.0,\"100.00\"\r\n";
    assert_eq!(read(&plain), read(table));
    let line = "\u{feff}{\"time\":1,\"track\":\"baseline\",\"metric\":\"e\",\"bad\":3.0,\"total\":100}\r\n";
    assert_eq!(
        parse("in", line, Format::JsonLines).expect("readable"),
        read(&plain)
    );
    assert_eq!(
        refused(&format!("{COUNTS}1,baseline,e,3.5,100\n"), Format::Csv),
        ["in:2: bad: not a count: \"3.5\""]
    );
    assert_eq!(seconds("2026-11-20T18:00:00+02:00"), Ok(1_795_190_400.0));
    assert!(seconds("NaN").is_err() && seconds("noon").is_err());
    assert!(seconds("1767261600000").is_err_and(|reason| reason.contains("milliseconds")));
}

#[test]
fn rows_that_contradict_earlier_ones_are_named() {
    let text = "time,track,metric,bad,total,value,direction,weight\n\
        1,baseline,e,1,9,,increase,2\n\
        1,candidate,e,,,5,,\n\
        2,,e,1,9,,,\n\
        2,candidate,e,1,9,,decrease,\n\
        3,candidate,e,1,9,,,3\n\
        4,candidate,e,1,9,,increase,2\n\
        4,,queue,,,7,,\n\
        5,baseline,queue,,,7,,\n";
    assert_eq!(
        refused(text, Format::Csv),
        [
            "in:3: value: value after counts: a metric has one kind",
            "in:4: track: missing, and earlier rows of the metric have one",
            "in:5: direction: not that of earlier rows of the metric",
            "in:6: weight: not that of earlier rows of the metric",
            "in:9: track: earlier rows of the metric have none",
        ]
    );
}

#[test]
fn a_direction_said_once_holds_for_every_row() {
    let mut text = "time,track,metric,value,direction\n".to_owned();
    for minute in 0..40 {
        let said = if minute == 7 { "decrease" } else { "" };
        let noise = f64::from(minute * 7 % 5);
        text.push_str(&format!(
            "{minute},candidate,sold,{},{said}\n{minute},baseline,sold,{},\n",
            190.0 + noise,
            100.0 + noise * 2.0
        ));
    }
    assert_eq!(end(&text).verdict, Verdict::NoWorse);
}

#[test]
fn a_whole_that_repeats_counts_once_and_parts_all_count() {
    let repeated: String = (0..20)
        .map(|t| format!("{t},baseline,e,1,100\n{t},candidate,e,1,100\n").repeat(2))
        .collect();
    let look = end(&format!("{COUNTS}{repeated}"));
    assert_eq!((look.metrics[0].samples, look.duplicates), (2_000, 40));
    // Nineteen instances of the baseline, most of them without a failure: dropping equal ones would leave those that failed.
    let mut random = Random::new(4, 4);
    let mut parts = String::new();
    for t in 0..200 {
        for _ in 0..19 {
            parts.push_str(&format!("{t},baseline,e,{},50\n", random.poisson(0.5)));
        }
        parts.push_str(&format!("{t},candidate,e,{},50\n", random.poisson(0.5)));
    }
    let look = end(&format!("{COUNTS}{parts}"));
    let metric = &look.metrics[0];
    assert!(
        metric.low.is_some_and(|low| low < 1.0) && metric.high.is_some_and(|high| high > 1.0),
        "{metric:?}"
    );
    assert_eq!((metric.samples, look.duplicates), (10_000, 0));
}

#[test]
fn a_metric_that_one_track_never_reports_is_missing_and_a_silent_track_is_silent() {
    let errors: String = (0..200)
        .map(|t| format!("{t},baseline,e,1,900\n{t},candidate,e,0,50\n"))
        .collect();
    let orders: String = (0..200).map(|t| format!("{t},baseline,orders,5,900\n")).collect();
    let look = end(&format!("{COUNTS}{errors}{orders}"));
    let of = |name: &str| {
        look.metrics
            .iter()
            .find(|m| m.metric == name)
            .expect("there")
            .reason
    };
    assert_eq!(of("orders"), Reason::MissingSeries);
    assert_eq!(look.verdict, Verdict::NoWorse);
    assert_eq!(look.unpaired, 200);
    assert_eq!(end(&format!("{COUNTS}{orders}")).reason, Reason::SilentCandidate);
    let other: String = (0..9).map(|t| format!("{t},candidate,orders,5,900\n")).collect();
    assert_eq!(end(&format!("{COUNTS}{other}")).reason, Reason::SilentBaseline);
    // Nothing in it pairs: said, not guessed at.
    let apart: String = (0..40)
        .map(|t| format!("{t}.1,baseline,e,1,900\n{t}.4,candidate,e,0,50\n"))
        .collect();
    let look = end(&format!("{COUNTS}{apart}"));
    assert_eq!((look.verdict, look.unpaired), (Verdict::NoEvidence, 80));
}

#[test]
fn a_probe_that_breaks_is_no_pass() {
    let mut text = "time,track,metric,value\n".to_owned();
    let mut random = Random::new(5, 5);
    for minute in 0..63 {
        let candidate = if minute < 60 {
            format!("{}", 50.0 + random.normal())
        } else {
            "NaN".to_owned()
        };
        text.push_str(&format!(
            "{minute},baseline,cpu,{}\n{minute},candidate,cpu,{candidate}\n",
            50.0 + random.normal()
        ));
    }
    let looks = run(&read(&text), &Options::default()).expect("judged");
    assert_eq!(looks[59].verdict, Verdict::NoWorse);
    assert_eq!(
        (looks[62].verdict, looks[62].reason),
        (Verdict::NoEvidence, Reason::NotFinite)
    );
}

/// Orders among visits (rare) and good answers among all (the rule): fewer are worse in both.
#[test]
fn fewer_are_found_whether_they_are_the_exception_or_the_rule() {
    let hour = |baseline: f64, candidate: f64| {
        let mut random = Random::new(6, 6);
        let mut text = "time,track,metric,bad,total,direction\n".to_owned();
        for t in 0..60 {
            let good =
                |random: &mut Random, n: u32, rate: f64| (0..n).filter(|_| random.chance(rate)).count();
            let (c, b) = (
                good(&mut random, 500, candidate),
                good(&mut random, 1_500, baseline),
            );
            text.push_str(&format!(
                "{t},candidate,m,{c},500,decrease\n{t},baseline,m,{b},1500,decrease\n"
            ));
        }
        end(&text)
    };
    assert_eq!(hour(0.03, 0.015).verdict, Verdict::Worse);
    assert_eq!(hour(0.99, 0.97).verdict, Verdict::Worse);
    assert_eq!(hour(0.03, 0.03).verdict, Verdict::NoWorse);
    assert_eq!(hour(0.99, 0.99).verdict, Verdict::NoWorse);
    assert_ne!(hour(0.03, 0.06).verdict, Verdict::Worse);
    assert_ne!(hour(0.97, 0.99).verdict, Verdict::Worse);
}

#[test]
fn a_single_series_stands_beside_compared_ones() {
    let mut text = "time,track,metric,bad,total,value\n".to_owned();
    let mut random = Random::new(7, 7);
    for minute in 0..240 {
        let time = minute * 60;
        let queue = 100.0 + 5.0 * random.normal() + if minute >= 180 { 40.0 } else { 0.0 };
        text.push_str(&format!(
            "{time},baseline,e,2,900,\n{time},candidate,e,0,50,\n{time},,queue,,,{queue}\n"
        ));
    }
    let options = Options {
        change_at: Some(180.0 * 60.0),
        ..Options::default()
    };
    let look = run(&read(&text), &options)
        .expect("judged")
        .pop()
        .expect("a look");
    let of = |name: &str| {
        look.metrics
            .iter()
            .find(|m| m.metric == name)
            .expect("there")
            .verdict
    };
    assert_eq!((of("queue"), of("e")), (Verdict::Worse, Verdict::NoWorse));
    let fewer: String = text.replace("time,track,metric,bad,total,value\n", "");
    let failures: String = fewer
        .lines()
        .filter(|row| row.contains(",e,") && row.contains("baseline"))
        .map(|row| {
            row.replace("baseline", "")
                .replace(",2,900", if row.starts_with("1") { ",1,900" } else { ",2,900" })
                + "\n"
        })
        .collect();
    let single = run(
        &read(&format!("time,track,metric,bad,total,value\n{failures}")),
        &options,
    )
    .expect("judged");
    assert_ne!(
        single.last().expect("a look").verdict,
        Verdict::Worse,
        "fewer failures are no harm"
    );
}

#[test]
fn harm_across_metrics_is_not_taken_back() {
    let mut text = COUNTS.to_owned();
    for t in 0..60 {
        for metric in ["a", "b", "c", "d"] {
            // Twice as many failures in the candidate for half of the time, then none.
            let bad = if t < 12 { 3 } else { 0 };
            text.push_str(&format!(
                "{t},baseline,{metric},19,950\n{t},candidate,{metric},{bad},50\n"
            ));
        }
    }
    let looks = run(&read(&text), &Options::default()).expect("judged");
    let first = looks
        .iter()
        .position(|look| look.verdict == Verdict::Worse)
        .expect("called");
    assert_eq!(looks[first].reason, Reason::HarmAcrossMetrics);
    assert!(looks[first..].iter().all(|look| look.verdict == Verdict::Worse));
    assert!(looks.last().is_some_and(|look| look.e_worse < 100.0));
}

/// A path of two hundred minutes on which the candidate is so many times its baseline.
fn path(kind: &str, times: f64, seed: u64) -> String {
    let mut random = Random::new(seed, 8);
    let mut text = "time,track,metric,value,histogram,direction\n".to_owned();
    for minute in 0..200 {
        for (track, times, units) in [("baseline", 1.0, 300), ("candidate", times, 100)] {
            let sample = if kind == "value" {
                format!("{},", times * (100.0 + 25.0 * random.normal()))
            } else {
                let mut counts = [0; 4];
                for _ in 0..units {
                    let tail = [0.5, 0.9, 0.95].map(|q| 1.0 - times * (1.0 - q));
                    let at = random.uniform();
                    counts[tail.iter().filter(|q| at > **q).count()] += 1;
                }
                format!(",\"{{\"\"bounds\"\":[1,2,4],\"\"counts\"\":{counts:?}}}\"")
            };
            text.push_str(&format!("{},{track},m,{sample},increase\n", 60 * minute));
        }
    }
    text
}

/// Medians over paths: when a decision was foretold for after ten intervals, and when the later of both decisions came.
fn foretold(kind: &str, effect: f64) -> (f64, f64) {
    let options = Options {
        effect,
        ..Options::default()
    };
    let middle = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let (mut said, mut came) = (Vec::new(), Vec::new());
    for (times, verdict) in [(effect, Verdict::Worse), (1.0, Verdict::NoWorse)] {
        let mut times_came = Vec::new();
        for seed in 0..16 {
            let looks = run(&read(&path(kind, times, seed)), &options).unwrap_or_default();
            said.extend(looks[9].remaining.map(|left| looks[9].time + left));
            let call = looks.iter().find(|look| look.verdict == verdict);
            times_came.push(call.map_or(f64::MAX, |look| look.time));
        }
        came.push(middle(times_came));
    }
    (middle(said), came[0].max(came[1]))
}

#[test]
fn what_is_foretold_of_values_and_distributions_comes_to_pass() {
    for (kind, effect) in [("value", 1.2), ("histogram", 1.3)] {
        let (said, came) = foretold(kind, effect);
        assert!(
            said > 0.5 * came && said < 2.0 * came,
            "{kind}: foretold for {said} s, came at {came} s"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Times ten to the k: the same verdicts, reasons and evidence of a distribution.
    #[test]
    fn the_unit_of_a_distribution_changes_nothing(seed in 0u64..50, k in -9i32..=9) {
        let judged = |unit: f64| {
            let mut random = Random::new(seed, 9);
            let mut text = "time,track,metric,histogram\n".to_owned();
            let bounds: Vec<String> = (1..=24).map(|b| format!("{:e}", f64::from(b) * 0.125 * unit)).collect();
            for minute in 0..12 {
                for (track, units) in [("baseline", 900), ("candidate", 300)] {
                    let mut counts = vec![0; 25];
                    for _ in 0..units {
                        let at = (0.5 * random.normal()).exp() * 8.0;
                        counts[(0..24).find(|b| at <= f64::from(*b) + 1.0).map_or(24, |b| b as usize)] += 1;
                    }
                    text.push_str(&format!("{minute},{track},m,\"{{\"\"bounds\"\":[{}],\"\"counts\"\":{counts:?}}}\"\n", bounds.join(",")));
                }
            }
            end(&text)
        };
        let (plain, other) = (judged(1.0), judged(10f64.powi(k)));
        prop_assert_eq!((plain.verdict, plain.reason), (other.verdict, other.reason));
        prop_assert!((plain.metrics[0].log_e_worse - other.metrics[0].log_e_worse).abs() < 1e-9);
        prop_assert!((plain.metrics[0].log_e_safe - other.metrics[0].log_e_safe).abs() < 1e-9);
    }
}
