//! What facts tell of each entity they bear upon.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod facts;

use auspex_features::streams::named;
use auspex_proto::event::{Body, DeploymentState, Outcome};
use auspex_proto::observation::Value;
use auspex_proto::rows::FeatureRows;
use facts::*;

fn entities(rows: &FeatureRows) -> Vec<&str> {
    rows.rows.iter().map(|row| row.entity.as_str()).collect()
}

/// A number of a row, by its column's name.
fn number(rows: &FeatureRows, row: usize, name: &str) -> Option<f64> {
    let numbers = rows.shape.columns.iter().filter(|column| !column.text);
    let place = numbers
        .map(|column| column.name.as_str())
        .position(|column| column == name)
        .unwrap();
    rows.rows[row].numbers[place]
}

fn last<'a>(log: &'a Log, stream: &str) -> &'a FeatureRows {
    log.rows.iter().rev().find(|rows| rows.source == stream).unwrap()
}

#[test]
fn a_change_bears_on_its_author_and_on_what_it_touches() {
    let mut log = Log::default();
    let mut told = with_stats("abc");
    told.author = "ada".to_owned();
    told.paths = vec![
        "web/a.rs".into(),
        "web/tests/b.rs".into(),
        "db/migrations/1.sql".into(),
    ];
    log.event("c", NOON, Body::Change(told.clone()));
    let rows = last(&log, "changes");
    assert_eq!(
        entities(rows),
        [
            "revision=abc",
            "author=ada",
            "project=acme/shop",
            "subsystem=db",
            "author=ada|subsystem=db",
            "subsystem=web",
            "author=ada|subsystem=web",
        ]
    );
    assert_eq!(
        (number(rows, 0, "test_files"), number(rows, 0, "schema_files")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(
        (number(rows, 0, "test_ratio"), number(rows, 0, "hour")),
        (Some(0.5), Some(12.0))
    );
    assert_eq!(
        number(rows, 0, "services_affected"),
        None,
        "no dependencies are configured"
    );
    assert_eq!(rows.meta.cause, 1);
    assert!(rows.rows.iter().all(|row| row.event <= row.created));

    // What tells nothing new makes no row.
    let before = log.rows.len();
    log.event("c", NOON, Body::Change(told.clone()));
    log.event("c2", NOON, Body::Change(told));
    assert_eq!(log.rows.len(), before);
}

#[test]
fn how_nested_a_change_is_goes_to_its_rows_and_not_to_the_model() {
    let mut log = Log::default();
    let mut told = with_stats("abc");
    told.complexity = Some(auspex_proto::event::ChangeComplexity {
        sum: 21.0,
        mean: 1.75,
        deviation: 0.5,
    });
    let vector = log.event("c", NOON, Body::Change(told)).unwrap();
    let rows = last(&log, "changes");
    let of = |name| number(rows, 0, name);
    assert_eq!(
        ["complexity", "complexity_mean", "complexity_spread"].map(of),
        [Some(21.0), Some(1.75), Some(0.5)]
    );
    assert_eq!(vector.features.len(), auspex_features::schema::WIDTH);
    log.event("d", NOON, Body::Change(with_stats("def")));
    assert_eq!(
        number(last(&log, "changes"), 0, "complexity"),
        None,
        "nobody has looked"
    );
}

#[test]
fn a_run_bears_on_where_it_ran() {
    let mut log = Log::default();
    let Body::Run(mut told) = run("build", "abc", 1, Outcome::Success) else {
        panic!("a run")
    };
    log.event("r0", NOON, Body::Run(told.clone()));
    assert!(
        !entities(last(&log, "runs"))
            .iter()
            .any(|e| e.starts_with("runner="))
    );
    told.runner = "ubuntu-24.04".to_owned();
    told.run_id = "other".to_owned();
    log.event("r1", NOON, Body::Run(told.clone()));
    let rows = last(&log, "runs");
    assert_eq!(entities(rows).last(), Some(&"runner=ubuntu-24.04"));
    assert_eq!(number(rows, rows.rows.len() - 1, "failed"), Some(0.0));
    // A job of a workflow is of no revision: it bears on its runner and on its own name.
    told.revision = None;
    told.run_id = "job".to_owned();
    log.event("r2", NOON, Body::Run(told));
    let rows = last(&log, "runs");
    assert_eq!(
        entities(rows),
        ["run=build", "project=acme/shop", "runner=ubuntu-24.04"]
    );
    assert_eq!(
        number(rows, 0, "duration_ratio"),
        Some(1.0),
        "against its name's own history"
    );
}

#[test]
fn health_is_told_per_environment_where_somebody_tells_one() {
    let mut log = Log::default();
    let requests = |bad| {
        vec![observation(
            "shop",
            "requests",
            NOON,
            Value::Counts { bad, total: 10 },
        )]
    };
    let placed = |id: &str, environment: &str, bad| match batch(id, NOON, requests(bad)) {
        auspex_proto::Fact::Observations(mut batch) => {
            batch.environment = environment.to_owned();
            auspex_proto::Fact::Observations(batch)
        }
        _ => unreachable!(),
    };
    log.at(NOON, &batch("o0", NOON, requests(1)));
    assert_eq!(entities(last(&log, "health")), ["service=shop"]);
    let plain = last(&log, "health").rows[0].id;
    log.at(NOON, &placed("o1", "staging", 2));
    let staging = last(&log, "health");
    assert_eq!(
        entities(staging),
        ["service=shop", "environment=staging|service=shop"]
    );
    assert_eq!(number(staging, 1, "bad"), Some(2.0));
    let staging = staging.rows[0].id;
    log.at(NOON, &placed("o2", "production", 3));
    // The same proxy's name in two environments is two proxies: what they say of one second adds up.
    let production = last(&log, "health").rows[0].id;
    assert!(plain != staging && staging != production && plain != production);
}

#[test]
fn a_deployment_counts_when_it_ends_and_once() {
    let mut log = Log::default();
    let mut told = change("abc");
    told.author = "ada".to_owned();
    told.paths = vec!["web/a.rs".into()];
    log.event("c", NOON, Body::Change(told));
    let of = |state| match status("d1", state) {
        Body::DeploymentStatus(mut status) => {
            status.revision = Some(auspex_proto::Revision::new("abc").unwrap());
            Body::DeploymentStatus(status)
        }
        _ => unreachable!(),
    };
    log.event("d", NOON, deployment("d1", "abc"));
    log.event("s0", NOON + HOUR / 2, of(DeploymentState::InProgress));
    assert!(log.rows.iter().all(|rows| rows.source != "deployments"));
    log.event("s1", NOON + HOUR, of(DeploymentState::Failure));
    let rows = last(&log, "deployments");
    assert_eq!(
        entities(rows),
        [
            "service=checkout",
            "environment=production|service=checkout",
            "project=acme/shop",
            "author=ada",
            "subsystem=web"
        ]
    );
    assert_eq!(
        (number(rows, 0, "failed"), number(rows, 0, "minutes")),
        (Some(1.0), Some(60.0))
    );
    let before = log.rows.len();
    log.event("s2", NOON + 2 * HOUR, of(DeploymentState::Failure));
    assert_eq!(log.rows.len(), before, "the same end again is no news");
    // Another one recovers.
    log.event("d2", NOON + 2 * HOUR, deployment("d2", "abc"));
    log.event("s3", NOON + 3 * HOUR, status("d2", DeploymentState::Success));
    let rows = last(&log, "deployments");
    assert_eq!(
        (number(rows, 0, "recovery_minutes"), number(rows, 0, "failure")),
        (Some(120.0), None)
    );
}

#[test]
fn a_run_knows_its_history_and_whose_change_it_ran() {
    let mut log = Log::default();
    let mut told = change("abc");
    told.author = "ada".to_owned();
    told.paths = vec!["Cargo.lock".into()];
    log.event("c", NOON, Body::Change(told));
    log.event("r1", NOON + 1, run("ci", "abc", 1, Outcome::Failure));
    log.event("r2", NOON + 2, run("ci", "abc", 2, Outcome::Success));
    let rows = last(&log, "runs");
    assert_eq!(
        entities(rows),
        ["run=ci", "project=acme/shop", "revision=abc", "author=ada"]
    );
    assert_eq!(
        (number(rows, 0, "flaky"), number(rows, 0, "retried")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(
        (number(rows, 0, "dependency_files"), number(rows, 0, "failed")),
        (Some(1.0), Some(0.0))
    );
    log.event("r3", NOON + 3, run("ci", "abc", 3, Outcome::Cancellation));
    assert_eq!(
        number(last(&log, "runs"), 0, "failed"),
        None,
        "a cancelled run says nothing of the code"
    );
}

#[test]
fn an_interval_is_one_row_of_an_instance() {
    let mut log = Log::default();
    let at = NOON + 10 * SECOND;
    let told = vec![
        observation("shop", "requests", NOON, Value::Counts { bad: 5, total: 100 }),
        observation("shop", "cpu", NOON, Value::Gauge(0.5)),
        observation("shop", "odd", NOON, Value::Gauge(7.0)),
    ];
    log.at(at, &batch("b", at, told.clone()));
    let rows = last(&log, "health");
    assert!(entities(rows).contains(&"service=shop"));
    assert_eq!(
        (
            number(rows, 0, "requests_per_second"),
            number(rows, 0, "error_rate")
        ),
        (Some(100.0), Some(0.05))
    );
    assert_eq!(number(rows, 0, "cpu"), Some(0.5));
    assert_eq!(
        entities(last(&log, "gauges")),
        ["metric=cpu|service=shop", "metric=odd|service=shop"]
    );
    let before = log.rows.len();
    log.at(at, &batch("b", at, told));
    assert_eq!(log.rows.len(), before, "a batch told twice");
    for stream in ["health", "gauges"] {
        assert!(named(stream).is_some());
    }
}
