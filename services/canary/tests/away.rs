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
use auspex_proto::{Decision, EntityKind};
use proptest::prelude::*;
use stage::{Second, Stage};

const DOCUMENT: &str = "{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {name: checkout}, spec: {service: checkout, \
    mode: act, policy: {steps: [{setWeight: 20}, {pause: {duration: 1h}}]}}}";

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
    // The bus is away for a minute; the proxy suspends after ten seconds, and keeps what it has to report. One tick closes all.
    let mut said: Vec<Decision> = stage.away(60, true);
    for _ in 0..10 {
        let start = stage.now.boundary(Duration::from_secs(1));
        stage.now = start + Duration::from_millis(1_010);
        stage.told(start, Some(20), false);
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

/// What happens to a rollout that pauses.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Watched, for so many seconds.
    Seen(u8),
    /// Control is there, and the proxy is suspended.
    Suspended(u8),
    /// Control is away, and learns of it afterwards, or not.
    Away(u8, bool),
    /// Another owner goes on.
    Takeover,
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => (1_u8..25).prop_map(Part::Seen),
        1 => (1_u8..40).prop_map(Part::Suspended),
        1 => (12_u8..90, any::<bool>()).prop_map(|(n, tells)| Part::Away(n, tells)),
        1 => Just(Part::Takeover),
    ]
}

/// A second of a suspended proxy, told at its end.
fn suspended(stage: &mut Stage) -> Vec<Decision> {
    let start = stage.now.boundary(Duration::from_secs(1));
    let said = stage.tick();
    stage.now = stage.now + Duration::from_millis(50);
    stage.told(start, None, true);
    said
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// A pause is over when it was watched for its length: neither before, nor much later.
    #[test]
    fn a_pause_counts_what_is_seen(parts in prop::collection::vec(part(), 1..12)) {
        let mut stage = Stage::new(Config::default());
        let document = DOCUMENT.replace("1h", "60s").replace("}}]}", "}}, {setWeight: 40}, {pause: {}}]}");
        stage.deploy("r", &document).unwrap();
        stage.score(EntityKind::Deployment, "r", 0.1);
        let mut paused = false;
        while !paused {
            let said = stage.traffic(100.0, (0.0, 0.0), None);
            paused = said.iter().any(|d| d.reason == Reason::StepWait);
        }
        let (mut seen, mut gaps) = (0_u64, 0_u64);
        let ends = std::iter::once(Part::Seen(120));
        for part in parts.into_iter().chain(ends) {
            let mut said = Vec::new();
            match part {
                Part::Seen(n) => for _ in 0..n {
                    said.extend(stage.traffic(100.0, (0.0, 0.0), None));
                    seen += u64::from(said.iter().all(|d| d.weight != 40));
                },
                Part::Suspended(n) => {
                    gaps += 1;
                    (0..n).for_each(|_| said.extend(suspended(&mut stage)));
                }
                Part::Away(n, tells) => {
                    gaps += 1;
                    // Until its lease is over the proxy has the weight, where it tells of it; and in the second until the tick.
                    seen += if tells { 11 } else { 1 };
                    said.extend(stage.away(n.into(), tells));
                }
                Part::Takeover => {
                    let saved = rmp_serde::to_vec_named(&stage.state).unwrap();
                    stage.state = rmp_serde::from_slice(&saved).unwrap();
                }
            }
            if said.iter().any(|d| d.weight == 40) {
                // Each gap costs the seconds at its ends, in which nobody knows.
                prop_assert!(seen + 2 >= 60, "over after {seen} s that were seen, {gaps} gaps");
                // What is counted as seen of an absence is the longest it can be: up to two seconds more than control knew of.
                prop_assert!(seen <= 64 + 6 * gaps, "over only after {seen} s, {gaps} gaps");
                return Ok(());
            }
        }
        prop_assert!(false, "it is never over");
    }
}
