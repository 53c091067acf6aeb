//! Control was away: what routers report afterwards of that time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use std::time::Duration;

use auspex_canary::Config;
use auspex_proto::decision::{Phase, Reason};
use auspex_proto::{Decision, EntityKind, Fact, Timestamp};
use stage::{Second, Stage};

const DOCUMENT: &str = "{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {name: checkout}, spec: {service: checkout, \
    mode: act, policy: {steps: [{setWeight: 20}, {pause: {duration: 1h}}]}}}";

/// The proxy reports a second: when it began, whether users were on stable alone, whether it is suspended at its end.
fn report(stage: &mut Stage, start: Timestamp, alone: bool, suspended: bool) {
    let second = match alone {
        true => (100, 0),
        false => (80, 20),
    };
    let mut batch = stage.batch(
        start,
        Second {
            stable: (second.0, 0),
            candidate: (second.1, 0),
            slow: None,
        },
    );
    batch.meta.time = start + Duration::from_secs(1);
    let weight = if suspended { 0 } else { 20 };
    batch.applied.push(Stage::applied(weight, suspended));
    stage.feed(Fact::Observations(batch)).unwrap();
}

#[test]
fn a_candidate_that_was_taken_back_is_not_silent() {
    let config = Config {
        silent_rolls_back: true,
        ..Config::default()
    };
    let mut stage = Stage::new(config);
    stage.deploy("r", DOCUMENT).unwrap();
    stage.score(EntityKind::Deployment, "r", 0.1);
    for _ in 0..10 {
        stage.traffic(100.0, (0.0, 0.0), None);
    }
    assert_eq!(stage.weight(), 20);
    // The bus is away for a minute; the proxy suspends after ten seconds, and keeps what it has to report.
    let away = stage.now.boundary(Duration::from_secs(1));
    stage.now = away + Duration::from_secs(60);
    for second in 0..60 {
        // In the last of them it has heard of control again.
        let start = away + Duration::from_secs(second);
        report(&mut stage, start, second >= 10, (10..59).contains(&second));
    }
    // One tick closes all of them.
    let mut said: Vec<Decision> = stage.tick();
    for _ in 0..10 {
        let start = stage.now.boundary(Duration::from_secs(1));
        stage.now = start + Duration::from_millis(1_010);
        report(&mut stage, start, false, false);
        said.extend(stage.tick());
    }
    let silent: Vec<_> = said
        .iter()
        .filter(|d| d.reason == Reason::SilentCandidate)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
    assert_eq!(stage.rollout().unwrap().phase, Phase::Progressing);
    // Silence that is its own is still seen.
    for _ in 0..10 {
        let second = Second {
            stable: (80, 0),
            ..Second::default()
        };
        said.extend(stage.second(second));
    }
    assert!(said.iter().any(|d| d.reason == Reason::SilentCandidate));
}
