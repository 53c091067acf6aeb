//! `auspex judge` as a person meets it: what it reads, what it refuses and how, what it prints; and the page that shows it.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs `auspex judge` on a text at standard input.
fn judge(input: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_auspex"))
        .args(["judge", "--input", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The looks, after a check of their form.
fn looks(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let looks: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (k, look) in looks.iter().enumerate() {
        assert!(
            look["time"].is_number() && look["posterior"].is_number(),
            "{look}"
        );
        assert_eq!(look["final"], k + 1 == looks.len());
        for metric in look["metrics"].as_array().unwrap() {
            for field in ["metric", "verdict", "reason"] {
                assert!(metric[field].is_string(), "{field} of {metric}");
            }
            for field in ["e_worse", "e_safe", "samples"] {
                assert!(metric[field].is_number(), "{field} of {metric}");
            }
            for field in ["effect", "low", "high"] {
                assert!(
                    metric[field].is_number() || metric[field].is_null(),
                    "{field} of {metric}"
                );
            }
        }
    }
    looks
}

fn rows(of: impl Fn(u32) -> (String, String)) -> String {
    let all = (0..60).map(|t| {
        let (baseline, candidate) = of(t);
        format!("{t},baseline,{baseline}\n{t},candidate,{candidate}\n")
    });
    all.collect()
}

/// As good as noise.
fn noise(t: u32, of: u32) -> f64 {
    f64::from((t * t * 7 + of * t * 13 + of * 29) % 101) / 50.5 - 1.0
}

#[test]
fn both_formats_say_the_same_of_every_kind() {
    let csv = rows(|t| {
        let cpu = |of: u32| 50.0 + 3.0 * noise(t, of);
        (
            format!("e,{},900,", 1 + t % 2),
            format!(
                "e,0,50,\n{t},baseline,cpu,,,{:.2}\n{t},candidate,cpu,,,{:.2}",
                cpu(1),
                cpu(2)
            ),
        )
    });
    let csv = format!("time,track,metric,bad,total,value\n{csv}");
    let lines: String = csv
        .lines()
        .skip(1)
        .map(|row| {
            let cells: Vec<&str> = row.split(',').collect();
            let sample = if cells[3].is_empty() {
                format!("\"value\":{}", cells[5])
            } else {
                format!("\"bad\":{},\"total\":{}", cells[3], cells[4])
            };
            format!(
                "{{\"time\":{},\"track\":\"{}\",\"metric\":\"{}\",{sample}}}\n",
                cells[0], cells[1], cells[2]
            )
        })
        .collect();
    let first = looks(&judge(&csv, &["--output", "json"]));
    assert_eq!(
        first,
        looks(&judge(&lines, &["--format", "jsonl", "--output", "json"]))
    );
    assert_eq!(first.len(), 60);
    assert_eq!(first[59]["verdict"], "no_worse");
    let one = looks(&judge(&csv, &["--looks", "end", "--output", "json"]));
    assert_eq!((one.len(), &one[0]["verdict"]), (1, &first[59]["verdict"]));
    let shown = text(&judge(&csv, &["--prior", "0.3"]).stdout);
    assert!(
        shown.contains("assumed of cpu:") && shown.contains(" alarm\n"),
        "{shown}"
    );
}

#[test]
fn a_period_before_the_change_is_used_and_not_judged() {
    let csv = rows(|t| {
        let cpu = |of: u32| 50.0 + 3.0 * noise(t, of);
        let more = if t >= 40 { 9.0 } else { 0.0 };
        (format!("cpu,{}", cpu(1)), format!("cpu,{}", cpu(2) + more))
    });
    let csv = format!("time,track,metric,value\n{csv}");
    let looks = looks(&judge(
        &csv,
        &["--change-at", "1970-01-01T00:00:40Z", "--output", "json"],
    ));
    assert_eq!(looks.len(), 20);
    assert_eq!(looks[0]["metrics"][0]["assumes"], "history_holds");
    assert_eq!(looks[19]["verdict"], "worse");
}

#[test]
fn a_series_alone_says_what_its_verdict_rests_on() {
    let csv: String = (0..120)
        .map(|t| format!("{},queue,{}\n", 60 * t, 50.0 + 3.0 * noise(t, 1)))
        .collect();
    let csv = format!("time,metric,value\n{csv}");
    let arguments = ["--change-at", "3600"];
    let looks = looks(&judge(&csv, &[&arguments[..], &["--output", "json"]].concat()));
    assert_eq!(looks.len(), 60);
    assert_eq!(looks[59]["metrics"][0]["assumes"], "own_past_holds");
    let shown = text(&judge(&csv, &arguments).stdout);
    assert!(
        shown.contains("assumed of queue: it goes on as its past did"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_judged_is_said_with_exit_code_2() {
    let header = "time,track,metric,bad,total";
    for (input, arguments, said) in [
        ("", &[][..], "-:1: row: the file is empty"),
        (header, &[], "-: there are no rows"),
        (
            "time,track,metric,value,colour\n",
            &[],
            "-:1: colour: unknown field",
        ),
        (
            &format!("{header}\n1,baseline,e,5,4\n"),
            &[],
            "-:2: bad: 5 exceeds total 4",
        ),
        (
            &format!("{header}\n1,baseline,e,-1,4\n"),
            &[],
            "-:2: bad: not a count: \"-1\"",
        ),
        (
            &format!("{header}\n1,,e,1,4\n"),
            &[],
            "-: --change-at: rows without a track need the time of the change",
        ),
        (
            "time,track,metric,value\n1,baseline,e,1\n1,baseline,e,x\n",
            &[],
            "-:3: value: not a number: \"x\"",
        ),
        ("{\"time\":1}", &["--format", "jsonl"], "-:1: metric: missing"),
        (header, &["--change-at", "noon"], "neither seconds nor RFC 3339"),
        (header, &["--change-at", "NaN"], "out of range"),
        (header, &["--alpha", "0"], "not within 0..1"),
        (header, &["--margin", "1"], "not above 1"),
    ] {
        let output = judge(input, arguments);
        assert_eq!(output.status.code(), Some(2), "{input}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}

/// The page shows what the tool prints, to the letter.
#[test]
fn the_page_shows_what_the_tool_prints() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO_BIN_EXE_auspex"))
        .args(["judge", "--input", "docs/judge.csv"])
        .current_dir(&top)
        .output()
        .unwrap();
    let page = std::fs::read_to_string(top.join("docs/judge.md")).unwrap();
    let printed = text(&output.stdout);
    let shown: Vec<&str> = printed.lines().map(str::trim_end).collect();
    assert!(page.contains(&shown.join("\n")), "{printed}");
}
