//! One series before and after a change, against its own past.

use auspex_judge::report::run;
use auspex_judge::rows::{Format, Row, parse};
use auspex_judge::simulate::random::Random;
use auspex_judge::{JudgeError, Look, Options, Reason, Verdict};

fn last(looks: &[Look]) -> &Look {
    &looks[looks.len() - 1]
}

/// Six days of minutes around 200 with a daily curve, higher by `by` from minute `from` of the sixth noon on.
fn days(by: f64, from: i32) -> Vec<Row> {
    let mut random = Random::new(9, 9);
    let mut text = String::from("time,metric,value\n");
    for minute in 0..(6 * 1440 - 600) {
        let daily = 40.0 * (f64::from(minute) / 1440.0 * std::f64::consts::TAU).sin();
        let shift = if minute >= NOON + from { by } else { 0.0 };
        text.push_str(&format!(
            "{},queue,{}\n",
            minute * 60,
            200.0 + daily + 5.0 * random.normal() + shift
        ));
    }
    parse("in", &text, Format::Csv).unwrap_or_default()
}

const NOON: i32 = 5 * 1440 + 720;

fn changed_at(minute: i32) -> Options {
    Options {
        change_at: Some(f64::from(minute) * 60.0),
        ..Options::default()
    }
}

#[test]
fn a_single_series_is_compared_with_its_own_past() {
    let rows = days(70.0, 0);
    assert_eq!(run(&rows, &Options::default()), Err(JudgeError::NoChange));
    let called = |looks: &[Look]| looks.iter().position(|look| look.verdict == Verdict::Worse);
    let looks = run(&rows, &changed_at(NOON)).expect("judged");
    assert!(called(&looks).is_some_and(|at| at < 30), "{:?}", called(&looks));
    // An eighth more is harm for certain, and as certainly within the margin.
    let looks = run(&days(25.0, 0), &changed_at(NOON)).expect("judged");
    assert_eq!(last(&looks).reason, Reason::WithinMargin);
    assert!(last(&looks).metrics[0].e_worse > 1e6);
    // The same series, cut before anything happened.
    let healthy: Vec<Row> = rows
        .into_iter()
        .filter(|row| row.time < f64::from(NOON) * 60.0)
        .collect();
    let looks = run(&healthy, &changed_at(NOON - 180)).expect("judged");
    assert_eq!(called(&looks), None);
    assert_eq!(last(&looks).verdict, Verdict::NoWorse);
}

#[test]
fn a_change_that_bites_an_hour_later_is_found_in_a_single_series() {
    let looks = run(&days(70.0, 60), &changed_at(NOON)).expect("judged");
    let called = looks.iter().position(|look| look.verdict == Verdict::Worse);
    assert!(called.is_some_and(|at| (60..90).contains(&at)), "{called:?}");
}

#[test]
fn a_single_series_needs_a_past() {
    let rows: Vec<Row> = days(0.0, 0).into_iter().skip(1_000).take(80).collect();
    let short = run(&rows, &changed_at(1_020)).expect("judged");
    assert_eq!(last(&short).reason, Reason::TooFewSamples);
    let none = run(&rows, &changed_at(0)).expect("judged");
    assert_eq!(last(&none).verdict, Verdict::NoEvidence);
}
