//! The judge over whole files: every kind of metric, every blind spot, and what order may and may not change.

use auspex_judge::report::{plot, run};
use auspex_judge::rows::{Row, Sample, Track};
use auspex_judge::simulate::random::Random;
use auspex_judge::{
    CountSettings, Counts, Histogram, Judge, Levels, Look, Looks, Options, Reason, Spec, Traffic, Verdict,
    plan,
};
use proptest::prelude::*;

fn row(time: u32, track: Track, metric: &str, sample: Sample) -> Row {
    Row {
        time: f64::from(time),
        track: Some(track),
        metric: metric.to_owned(),
        sample,
        direction: None,
        weight: None,
        critical: false,
    }
}

/// An hour of failures, values and latencies, the candidate worse in those that are named.
fn hour(seed: u64, worse: &[&str]) -> Vec<Row> {
    let mut random = Random::new(seed, 1);
    let bounds: Vec<f64> = (1..=30).map(|k| 10.0 * 1.2f64.powi(k)).collect();
    let mut rows = Vec::new();
    for minute in 0..60 {
        for (track, units) in [(Track::Baseline, 950u64), (Track::Candidate, 50)] {
            let bad = |name| track == Track::Candidate && worse.contains(&name);
            let failures = random
                .poisson(if bad("errors") { 0.02 } else { 0.001 } * if units > 100 { 950.0 } else { 50.0 });
            rows.push(row(
                60 * minute,
                track,
                "errors",
                Sample::Counts {
                    bad: failures.min(units),
                    total: units,
                },
            ));
            let cpu = 50.0 + 5.0 * random.normal() + if bad("cpu") { 15.0 } else { 0.0 };
            rows.push(row(60 * minute, track, "cpu", Sample::Value(cpu)));
            let mut counts = vec![0u64; bounds.len() + 1];
            for _ in 0..units {
                let latency = 100.0 * (0.5 * random.normal()).exp() * if bad("latency") { 1.6 } else { 1.0 };
                counts[bounds.partition_point(|bound| *bound < latency)] += 1;
            }
            let histogram = Histogram::new(bounds.clone(), counts).unwrap_or_default();
            rows.push(row(60 * minute, track, "latency", Sample::Histogram(histogram)));
        }
    }
    rows
}

/// There is always a last look.
fn last(looks: &[Look]) -> &Look {
    &looks[looks.len() - 1]
}

#[test]
fn a_healthy_hour_advances_and_a_bad_metric_of_any_kind_is_named() {
    let healthy = run(&hour(1, &[]), &Options::default()).expect("judged");
    assert_eq!(healthy.len(), 60);
    assert_eq!(healthy.iter().filter(|look| look.last).count(), 1);
    assert_eq!(
        (last(&healthy).verdict, last(&healthy).reason),
        (Verdict::NoWorse, Reason::EveryGuardrailHolds)
    );
    assert!(last(&healthy).posterior < 0.1);
    for metric in ["errors", "cpu", "latency"] {
        let looks = run(&hour(2, &[metric]), &Options::default()).expect("judged");
        assert_eq!(last(&looks).verdict, Verdict::Worse, "{metric}");
        assert!(last(&looks).posterior > 0.9, "{metric}");
        for look in &last(&looks).metrics {
            assert_eq!(look.verdict == Verdict::Worse, look.metric == metric, "{look:?}");
        }
        // Once called, harm is not taken back.
        let first = looks
            .iter()
            .position(|look| look.verdict == Verdict::Worse)
            .expect("called");
        assert!(looks[first..].iter().all(|look| look.verdict == Verdict::Worse));
    }
}

#[test]
fn one_look_at_the_end_gives_one() {
    let options = Options {
        looks: Looks::End,
        ..Options::default()
    };
    let looks = run(&hour(3, &["errors"]), &options).expect("judged");
    assert_eq!((looks.len(), last(&looks).last), (1, true));
}

#[test]
fn looks_are_json_without_holes() {
    let rows: Vec<Row> = hour(4, &[]).into_iter().take(6).collect();
    for look in run(&rows, &Options::default()).expect("judged") {
        let text = serde_json::to_string(&look).expect("serialises");
        let value: serde_json::Value = serde_json::from_str(&text).expect("reads back");
        assert!(
            value["metrics"][0]["e_worse"].is_number() && value["final"].is_boolean(),
            "{text}"
        );
    }
}

#[test]
fn a_period_before_the_change_is_not_judged_and_is_used() {
    let mut rows = hour(5, &[]);
    rows.extend(hour(6, &["cpu"]).into_iter().map(|row| Row {
        time: row.time + 3600.0,
        ..row
    }));
    let options = Options {
        change_at: Some(3600.0),
        ..Options::default()
    };
    let looks = run(&rows, &options).expect("judged");
    assert_eq!(looks.len(), 60);
    let found = looks
        .iter()
        .position(|look| look.verdict == Verdict::Worse)
        .expect("found");
    assert!(found < 12, "{found}");
}

#[test]
fn blind_spots_are_flagged() {
    let quiet: Vec<Row> = hour(7, &[])
        .into_iter()
        .filter(|row| row.track == Some(Track::Baseline))
        .collect();
    let looks = run(&quiet, &Options::default()).expect("judged");
    assert_eq!(
        (last(&looks).verdict, last(&looks).reason),
        (Verdict::NoEvidence, Reason::SilentCandidate)
    );
    let two: Vec<Row> = hour(7, &["cpu"])
        .into_iter()
        .filter(|r| r.metric == "cpu" && r.time < 120.0)
        .collect();
    assert_eq!(
        last(&run(&two, &Options::default()).expect("judged")).reason,
        Reason::TooFewSamples
    );
    let mut judge = Judge::new(Options::default());
    judge.expect(&Spec {
        metric: "orders".to_owned(),
        direction: None,
        weight: 1.0,
        critical: true,
        alone: false,
    });
    for row in hour(7, &[]) {
        judge.push(&row).expect("taken");
    }
    let look = judge.close(1e6);
    assert_eq!(
        (look.verdict, look.reason),
        (Verdict::NoEvidence, Reason::MissingSeries)
    );
}

#[test]
fn fewer_successes_are_worse_where_the_metric_says_so() {
    let rows: Vec<Row> = hour(8, &["errors"])
        .into_iter()
        .filter(|row| row.metric == "errors")
        .map(|row| Row {
            direction: Some(auspex_judge::Direction::Decrease),
            ..row
        })
        .collect();
    let looks = run(&rows, &Options::default()).expect("judged");
    assert_eq!(last(&looks).verdict, Verdict::NoWorse);
    let metric = &last(&looks).metrics[0];
    assert!(
        metric.effect.is_some_and(|r| r > 2.0) && metric.low < metric.high && metric.samples == 3_000,
        "{metric:?}"
    );
}

#[test]
fn either_way_is_worse_of_counts_that_say_so_and_more_is_by_default() {
    // Twice as many in the candidate, and the same with the tracks exchanged.
    let rows = |direction, exchanged: bool| -> Vec<Row> {
        let all = hour(8, &["errors"])
            .into_iter()
            .filter(|row| row.metric == "errors");
        let told = all.map(|row| Row {
            track: row.track.map(|track| match (track, exchanged) {
                (Track::Candidate, true) => Track::Baseline,
                (Track::Baseline, true) => Track::Candidate,
                (track, false) => track,
            }),
            direction,
            ..row
        });
        told.collect()
    };
    let end = |direction, exchanged| {
        let looks = run(&rows(direction, exchanged), &Options::default()).expect("judged");
        last(&looks).clone()
    };
    let either = Some(auspex_judge::Direction::Either);
    for (direction, exchanged, verdict) in [
        (None, false, Verdict::Worse),
        (None, true, Verdict::NoWorse),
        (either, false, Verdict::Worse),
        (either, true, Verdict::Worse),
    ] {
        let look = end(direction, exchanged);
        assert_eq!(look.verdict, verdict, "{direction:?} {exchanged}: {look:?}");
    }
    // Both ways share alpha: half of the evidence, and the effect is what it was.
    let (one, both) = (
        end(None, false).metrics[0].clone(),
        end(either, false).metrics[0].clone(),
    );
    assert!((one.log_e_worse - both.log_e_worse - 2f64.ln()).abs() < 1e-3);
    assert_eq!(
        (one.effect, one.low, one.high),
        (both.effect, both.low, both.high)
    );
    let fewer = end(either, true).metrics[0].clone();
    assert!(fewer.effect.is_some_and(|effect| effect < 0.7) && fewer.high.is_some_and(|high| high < 1.0));
}

#[test]
fn late_rows_duplicates_and_changed_kinds_are_not_taken() {
    let mut judge = Judge::new(Options::default());
    let sample = Sample::Counts { bad: 1, total: 9 };
    for _ in 0..2 {
        judge
            .push(&row(10, Track::Baseline, "errors", sample.clone()))
            .expect("taken");
    }
    judge.close(10.0);
    judge
        .push(&row(10, Track::Candidate, "errors", sample))
        .expect("counted as late");
    let wrong = judge
        .push(&row(20, Track::Candidate, "errors", Sample::Value(1.0)))
        .expect_err("refused");
    assert_eq!(wrong.to_string(), "metric errors: value after counts");
    let look = judge.close(20.0);
    assert_eq!((look.late, look.duplicates), (1, 1));
}

#[test]
fn the_plan_tells_typical_times() {
    let traffic = Traffic {
        rate: 50.0,
        share: 0.05,
        base: 0.01,
    };
    let (settings, levels) = (CountSettings::default(), Levels::default());
    // Simulated medians at looks every 10 s: 560 s at x2, 180 s at x3, 60 s at x5.
    for (effect, median) in [(2.0, 560.0), (3.0, 180.0), (5.0, 60.0)] {
        let seconds = plan(&traffic, effect, &settings, &levels).detect.expect("found");
        assert!((seconds / median - 1.0f64).abs() < 0.25, "{effect}: {seconds}");
    }
    let planned = plan(&traffic, 2.0, &settings, &levels);
    assert!(
        planned.pass.is_some() && planned.exposed.is_some_and(|users| users < 3_000.0),
        "{planned:?}"
    );
    assert_eq!(
        plan(
            &Traffic {
                share: 0.0,
                ..traffic
            },
            2.0,
            &settings,
            &levels
        )
        .detect,
        None
    );
    assert_eq!(plan(&traffic, 1.0, &settings, &levels).detect, None);
    let mut test = auspex_judge::CountTest::new(&settings);
    let counts = Counts {
        candidate_bad: 2,
        candidate_total: 50,
        baseline_bad: 9,
        baseline_total: 950,
    };
    (0..5).for_each(|_| test.absorb(&settings, &counts));
    let left = test.time_to_detect(&levels, &traffic, 2.0).expect("found");
    assert!(left < planned.detect.expect("found"));
}

#[test]
fn the_plot_shows_the_line_and_the_evidence() {
    let looks = run(&hour(2, &["errors"]), &Options::default()).expect("judged");
    let text = plot(&looks, &Options::default());
    assert_eq!(text.lines().count(), 10);
    assert!(text.contains("alarm") && text.contains('*'), "{text}");
    assert!(!plot(&[], &Options::default()).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn order_within_an_interval_changes_nothing(seed in 0u64..50, keys in prop::collection::vec(any::<u32>(), 360)) {
        let rows = hour(seed, &["cpu"]);
        let mut shuffled: Vec<(u32, Row)> = keys.into_iter().zip(rows.clone()).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let shuffled: Vec<Row> = shuffled.into_iter().map(|(_, row)| row).collect();
        let options = Options { looks: Looks::End, ..Options::default() };
        prop_assert_eq!(run(&rows, &options), run(&shuffled, &options));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_verdict_without_evidence(
        pairs in prop::collection::vec((0u64..8, 0u64..900, any::<f64>(), any::<f64>()), 0..7)
    ) {
        let mut rows = Vec::new();
        for (minute, (units, bad, c, b)) in (0u32..).zip(pairs) {
            rows.push(row(minute, Track::Candidate, "errors", Sample::Counts { bad: units, total: units }));
            rows.push(row(minute, Track::Baseline, "errors", Sample::Counts { bad, total: 900 }));
            rows.push(row(minute, Track::Candidate, "cpu", Sample::Value(c)));
            rows.push(row(minute, Track::Baseline, "cpu", Sample::Value(b)));
        }
        // At most six pairs of values, and at most 42 units of the candidate.
        for look in run(&rows, &Options::default()).unwrap_or_default() {
            prop_assert_eq!(look.verdict, Verdict::NoEvidence);
            prop_assert!(look.metrics.iter().all(|metric| metric.verdict == Verdict::NoEvidence));
        }
    }
}
