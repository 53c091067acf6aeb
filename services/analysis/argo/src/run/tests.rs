use super::*;
use Phase::{Error, Failed, Inconclusive, Pending, Running, Successful};

fn whole(json: &str) -> Together {
    serde_json::from_str(json).unwrap()
}

fn metric(name: &str, more: &str) -> String {
    format!("{{\"name\":\"{name}\",\"provider\":{{\"web\":{{}}}}{more}}}")
}

fn run(metrics: &[String], more: &str) -> Run {
    Run::begin(
        whole(&format!("{{\"metrics\":[{}]{more}}}", metrics.join(","))),
        1_000,
    )
}

fn taken(run: &mut Run, at: usize, now: i64, phase: Phase) {
    run.started(at, now);
    run.finished(
        at,
        Measurement {
            phase,
            started_ms: now,
            finished_ms: now,
            ..Measurement::default()
        },
    );
}

#[test]
fn measurements_are_due_in_argos_times() {
    let metrics = [
        metric("a", ",\"interval\":\"5s\",\"count\":3"),
        metric("b", ",\"initialDelay\":\"1m\""),
    ];
    let mut run = run(&metrics, "");
    assert_eq!(run.due(1_000), [0]);
    assert_eq!(run.due(61_000), [0, 1]);
    run.started(0, 1_000);
    assert_eq!(run.due(1_000), [] as [usize; 0], "it is under way");
    assert_eq!(run.outcomes[0].phase, Running);
    run.finished(
        0,
        Measurement {
            phase: Successful,
            finished_ms: 2_000,
            ..Measurement::default()
        },
    );
    assert_eq!(
        (run.due(6_999), run.due(7_000)),
        (vec![], vec![0]),
        "interval from the end"
    );
    assert_eq!(run.next_ms(), Some(7_000));
    taken(&mut run, 0, 7_000, Error);
    assert_eq!(
        (run.due(16_999), run.due(17_000)),
        (vec![], vec![0]),
        "10 s after an error"
    );
    taken(&mut run, 0, 17_000, Successful);
    taken(&mut run, 0, 22_000, Successful);
    assert_eq!(run.outcomes[0].phase, Successful);
    assert_eq!(run.phase, Running, "b has not begun");
    assert_eq!(run.next_ms(), Some(61_000));
    taken(&mut run, 1, 61_000, Successful);
    assert_eq!((run.phase, run.next_ms()), (Successful, None));
}

#[test]
fn the_first_that_goes_wrong_ends_the_others_which_are_called_successful() {
    let metrics = [
        metric("a", ",\"interval\":\"5s\""),
        metric("b", ",\"interval\":\"5s\""),
        metric("c", ",\"initialDelay\":\"1h\""),
    ];
    let mut run = run(&metrics, "");
    taken(&mut run, 0, 1_000, Successful);
    taken(&mut run, 1, 1_000, Failed);
    let phases: Vec<Phase> = run.outcomes.iter().map(|outcome| outcome.phase).collect();
    assert_eq!(phases, [Successful, Failed, Successful]);
    assert_eq!(run.phase, Failed);
    assert_eq!(
        run.message,
        "Metric \"b\" assessed Failed due to failed (1) > failureLimit (0)"
    );
}

#[test]
fn the_worst_counts_in_the_order_of_runs() {
    for (phases, expected) in [
        ([Successful, Successful], Successful),
        ([Successful, Inconclusive], Inconclusive),
        ([Inconclusive, Error], Error),
        ([Error, Failed], Failed),
        ([Failed, Error], Failed),
        ([Inconclusive, Failed], Failed),
    ] {
        let limits = ",\"consecutiveErrorLimit\":0";
        let mut run = run(&[metric("a", limits), metric("b", limits)], "");
        // Both are under way when the first of them ends.
        run.started(0, 1_000);
        run.started(1, 1_000);
        let taken = phases.into_iter().map(|phase| Measurement {
            phase,
            finished_ms: 1_000,
            ..Measurement::default()
        });
        run.finished_all(taken.enumerate());
        assert_eq!(run.phase, expected, "{phases:?}");
    }
}

#[test]
fn what_only_watches_does_not_count() {
    let metrics = [metric("a", ""), metric("watched", "")];
    let rule = ",\"dryRun\":[{\"metricName\":\"wat\"}]";
    let mut both = run(&metrics, rule);
    taken(&mut both, 1, 1_000, Failed);
    assert_eq!(both.phase, Running);
    taken(&mut both, 0, 1_000, Successful);
    assert_eq!((both.phase, both.outcomes[1].phase), (Successful, Failed));
    let mut alone = run(&metrics[1..], rule);
    taken(&mut alone, 0, 1_000, Error);
    assert_eq!(alone.phase, Running, "errors are tried again");
    let mut none = run(&metrics, ",\"dryRun\":[{\"metricName\":\"*\"}]");
    assert_eq!(none.phase, Error);
    assert_eq!(
        none.message,
        "Analysis spec invalid: dryRun[0]: Rule didn't match any metric name(s)"
    );
    assert_eq!(none.due(1_000), [] as [usize; 0]);
    none.end();
    assert_eq!(none.phase, Error);
}

#[test]
fn a_run_that_is_ended_is_successful_unless_it_is_worse() {
    let mut run = run(&[metric("a", ",\"interval\":\"5s\",\"failureLimit\":3")], "");
    assert_eq!(run.outcomes[0].phase, Pending);
    taken(&mut run, 0, 1_000, Failed);
    run.started(0, 6_000);
    run.end();
    assert_eq!((run.phase, run.outcomes[0].phase), (Successful, Successful));
    assert_eq!(run.outcomes[0].measurements[1].message, "Metric Terminated");
}

#[test]
fn so_many_measurements_are_kept() {
    let rule = ",\"measurementRetention\":[{\"metricName\":\"^b\",\"limit\":3}]";
    let forever = ",\"interval\":\"1s\"";
    let mut run = run(&[metric("a", forever), metric("b", forever)], rule);
    for at in 0..20 {
        taken(&mut run, 0, at * 1_000, Successful);
        taken(&mut run, 1, at * 1_000, Successful);
    }
    let kept: Vec<usize> = run
        .outcomes
        .iter()
        .map(|outcome| outcome.measurements.len())
        .collect();
    assert_eq!(kept, [10, 3]);
    assert_eq!(run.outcomes[0].counters.successful, 20);
}
