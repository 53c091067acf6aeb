//! Laws 2, 5, 6 and 9 for any sequence of facts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use std::time::Duration;

use auspex_canary::Config;
use auspex_proto::command::Ask;
use auspex_proto::decision::{Action, Phase, Reason};
use auspex_proto::observation::{Observation, Value};
use auspex_proto::{Decision, EntityKind, Fact, ObservationBatch, Timestamp};
use proptest::prelude::*;
use stage::{Second, Stage, replay, replay_owned};

/// Something that can happen.
#[derive(Debug, Clone)]
enum Step {
    Deploy(u8, usize),
    Score(u8, f64, bool),
    Second(Second),
    Batch(i64, Second),
    Ready(f64),
    Applied(u8, bool),
    Command(u8),
    Gap(u8),
}

const DOCUMENTS: [&str; 6] = [
    "policy: {budget: {}}",
    "policy: {adaptive: {rollback: 0.05}}",
    "policy: {steps: [{setWeight: 10}, {pause: {duration: 3s}}, {setWeight: 60}, {pause: {}}, {setWeight: 100}]}",
    "{mode: observe, score_wait: 2s, limits: {error_rate: 0.5, p_failure: 0.95}}",
    "{slo_ms: 100, min_dwell: 1s, max_dwell: 20s, deadline: 60s, score_wait: 1s}",
    "{min_dwell: 1s, metrics: [{name: cpu, critical: true}, {name: latency_ms, weight: 3}, {name: sold, direction: decrease}]}",
];

fn document(at: usize) -> String {
    let spec = DOCUMENTS[at % DOCUMENTS.len()]
        .trim_start_matches('{')
        .trim_end_matches('}');
    // What was trimmed too much is closed again.
    let open = spec.matches('{').count() - spec.matches('}').count();
    let spec = format!("{spec}{}", "}".repeat(open));
    format!(
        "{{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {{name: checkout}}, spec: {{service: checkout, {spec}}}}}"
    )
}

fn second() -> impl Strategy<Value = Second> {
    let track =
        (0_u64..400, 0.0_f64..1.0).prop_map(|(total, rate)| (total, (total as f64 * rate * rate) as u64));
    (track.clone(), track, prop::option::of((0_u64..3, 0_u64..3))).prop_map(|(stable, candidate, slow)| {
        Second {
            stable,
            candidate,
            slow: slow.map(|(s, c)| (s.min(stable.0), c.min(candidate.0))),
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_u8..4, 0_usize..6).prop_map(|(r, d)| Step::Deploy(r, d)),
        2 => (0_u8..4, 0.0_f64..1.0, any::<bool>()).prop_map(|(r, p, own)| Step::Score(r, p, own)),
        12 => second().prop_map(Step::Second),
        3 => (-4_i64..4, second()).prop_map(|(at, s)| Step::Batch(at, s)),
        1 => (0.0_f64..1.0).prop_map(|r| Step::Ready(if r < 0.5 { 1.0 } else { r - 0.5 })),
        1 => (0_u8..=100, any::<bool>()).prop_map(|(w, s)| Step::Applied(w, s)),
        1 => (0_u8..6).prop_map(Step::Command),
        1 => (1_u8..200).prop_map(Step::Gap),
    ]
}

/// What else the instances of both tracks report: values that do not add up to the same in every order, a histogram, counts.
fn others(requests: &[Observation]) -> Vec<Observation> {
    let of = |seen: &Observation, metric: &str, instance: &str, value: Value| Observation {
        metric: metric.to_owned(),
        instance: instance.to_owned(),
        value,
        ..seen.clone()
    };
    let mut out = Vec::new();
    for seen in requests.iter().filter(|seen| seen.metric == "requests") {
        let Value::Counts { bad, total } = seen.value else {
            continue;
        };
        for (n, instance) in ["a", "b", "c"].into_iter().enumerate() {
            let value = 0.1 * (1 + n) as f64 + 1e6 * (bad % 7) as f64 + (total as f64).sqrt();
            out.push(of(seen, "cpu", instance, Value::Gauge(value)));
            let bounds = [vec![1.0, 2.0, 5.0], vec![1.0, 5.0]][n % 2].clone();
            let mut counts = vec![total / 3, bad, 2, total / 5];
            counts.truncate(bounds.len() + 1);
            let histogram = Value::Histogram {
                bounds,
                counts,
                sum: 1.0,
            };
            out.push(of(seen, "latency_ms", instance, histogram));
        }
        out.push(of(seen, "sold", "a", Value::Counts { bad, total }));
        out.push(of(seen, "unknown", "a", Value::Gauge(1.0)));
    }
    out
}

/// Law 6 at this moment.
fn within_capacity(stage: &Stage) {
    if let Some(rollout) = stage.rollout()
        && let Some(ready) = rollout.tally.ready
    {
        let weight = f64::from(rollout.weight);
        assert!(weight <= 100.0 * ready, "law 6: {weight} of {ready}");
    }
}

fn play(steps: &[Step]) -> (Stage, Vec<Decision>) {
    let mut stage = Stage::new(Config::default());
    let mut said = Vec::new();
    for step in steps {
        within_capacity(&stage);
        match step.clone() {
            Step::Deploy(revision, at) => {
                said.extend(stage.deploy(&format!("r{revision}"), &document(at)).unwrap());
            }
            Step::Score(revision, p, own) => {
                let kind = if own {
                    EntityKind::Deployment
                } else {
                    EntityKind::Change
                };
                said.extend(stage.score(kind, &format!("r{revision}"), p));
            }
            Step::Second(second) => said.extend(stage.second(second)),
            Step::Batch(offset, second) => {
                let start = Timestamp(stage.now.0 + offset * 700);
                let mut batch = stage.batch(start, second);
                batch.observations.extend(others(&batch.observations));
                said.extend(stage.feed(Fact::Observations(batch)).unwrap());
            }
            Step::Ready(ready) => {
                let mut batch = stage.batch(stage.now, Second::default());
                batch.observations.truncate(2);
                batch.observations[1].metric = "ready".to_owned();
                batch.observations[1].value = auspex_proto::observation::Value::Gauge(ready);
                said.extend(stage.feed(Fact::Observations(batch)).unwrap());
            }
            Step::Applied(weight, suspended) => {
                let mut batch = stage.batch(stage.now, Second::default());
                batch.observations.clear();
                batch.applied.push(Stage::applied(weight, suspended));
                said.extend(stage.feed(Fact::Observations(batch)).unwrap());
            }
            Step::Command(which) => {
                let ask = match which {
                    0 => Ask::Pause,
                    1 => Ask::Resume,
                    2 => Ask::Promote { full: false },
                    3 => Ask::Promote { full: true },
                    4 => Ask::Abort,
                    _ => Ask::Start {
                        document: document(0),
                    },
                };
                said.extend(stage.command("checkout", ask).unwrap());
            }
            Step::Gap(seconds) => {
                stage.now = stage.now + Duration::from_secs(u64::from(seconds));
                said.extend(stage.tick());
            }
        }
    }
    (stage, said)
}

/// What must hold of the decisions of a project, whatever happened.
fn check(said: &[Decision]) -> Result<(), TestCaseError> {
    let mut previous: Option<&Decision> = None;
    for decision in said {
        prop_assert!(decision.weight <= 100 && decision.previous_weight <= 100);
        prop_assert!((0.0..=1.0).contains(&decision.posterior) && (0.0..=1.0).contains(&decision.prior));
        prop_assert!(
            !decision.reason_text.is_empty(),
            "law 9: every decision carries its reason"
        );
        prop_assert!(!decision.versions.policy.is_empty() && !decision.evidence.is_empty());
        prop_assert_eq!(
            decision.weight == 100 && decision.phase == Phase::Promoted,
            decision.phase == Phase::Promoted
        );
        if decision.phase == Phase::RolledBack {
            prop_assert_eq!(decision.weight, 0);
        }
        match previous {
            Some(before) if decision.action != Action::Start => {
                prop_assert!(
                    !before.phase.is_terminal(),
                    "a rollback is absorbing: {:?}",
                    decision
                );
                prop_assert_eq!(decision.number, before.number + 1);
                prop_assert_eq!(decision.previous_weight, before.weight);
                let same = (before.weight, before.phase, before.action, before.reason)
                    == (decision.weight, decision.phase, decision.action, decision.reason);
                let commanded = decision.reason == Reason::Commanded || decision.reason == Reason::RiskRaised;
                prop_assert!(!same || commanded, "nothing changed, and yet: {:?}", decision);
            }
            _ => prop_assert_eq!((decision.action, decision.number), (Action::Start, 1)),
        }
        let judged = matches!(decision.reason, Reason::EvidenceWorse | Reason::EvidenceSafe);
        let enough = decision
            .evidence
            .iter()
            .any(|e| e.candidate_total >= 50 && e.baseline_total >= 50);
        prop_assert!(
            !judged || enough,
            "below the least evidence nothing is decided: {:?}",
            decision
        );
        previous = Some(decision);
    }
    Ok(())
}

/// The same log with the batches between two ticks in another order, some twice, and each cut in two.
fn rearranged(log: &[(u64, Timestamp, Fact)], twist: u64) -> Vec<(u64, Timestamp, Fact)> {
    let mut out = Vec::new();
    let mut held: Vec<(u64, Timestamp, Fact)> = Vec::new();
    let release = |held: &mut Vec<(u64, Timestamp, Fact)>, out: &mut Vec<_>| {
        if twist.is_multiple_of(2) {
            held.reverse();
        } else if !held.is_empty() {
            let by = twist as usize % held.len();
            held.rotate_left(by);
        }
        let again = held.first().cloned();
        out.append(held);
        out.extend(again);
    };
    for (seq, now, fact) in log {
        let Fact::Observations(batch) = fact else {
            release(&mut held, &mut out);
            out.push((*seq, *now, fact.clone()));
            continue;
        };
        let cut = batch.observations.len() / 2;
        let part = |observations: &[auspex_proto::Observation], applied: bool| ObservationBatch {
            observations: observations.to_vec(),
            applied: if applied {
                batch.applied.clone()
            } else {
                Vec::new()
            },
            ..batch.clone()
        };
        for half in [
            part(&batch.observations[cut..], true),
            part(&batch.observations[..cut], false),
        ] {
            held.push((*seq, *now, Fact::Observations(half)));
        }
    }
    release(&mut held, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_laws_hold_whatever_happens(steps in prop::collection::vec(step(), 1..60)) {
        let steps: Vec<Step> = [Step::Deploy(0, steps.len()), Step::Score(0, 0.2, true)].into_iter().chain(steps).collect();
        check(&play(&steps).1)?;
    }

    #[test]
    fn a_replay_gives_the_same_bytes(steps in prop::collection::vec(step(), 1..40)) {
        let (stage, said) = play(&steps);
        let live: Vec<Vec<u8>> = said.into_iter().map(|d| Fact::Decision(d).encode()).collect();
        let (state, bytes) = replay(&stage.log);
        prop_assert_eq!(bytes, live);
        prop_assert_eq!(state, stage.state);
    }

    #[test]
    fn takeovers_and_ticks_that_wake_nobody_change_nothing(
        steps in prop::collection::vec(step(), 1..60), takeovers in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]
    ) {
        let (stage, said) = play(&steps);
        let live: Vec<Vec<u8>> = said.into_iter().map(|d| Fact::Decision(d).encode()).collect();
        let (state, bytes) = replay_owned(&stage.log, takeovers);
        prop_assert_eq!(bytes, live);
        prop_assert_eq!(state, stage.state);
    }

    #[test]
    fn neither_order_nor_batches_nor_repeats_change_a_decision(
        seconds in prop::collection::vec(prop::collection::vec((-3_i64..1, second()), 0..3), 1..25), twist in any::<u64>(), at in 0_usize..6
    ) {
        let mut steps = vec![Step::Deploy(0, at), Step::Score(0, 0.2, true)];
        for (n, batches) in seconds.into_iter().enumerate() {
            // What is sent twice with other numbers is a publisher's fault, and the first one counts: keep the starts apart.
            let apart = batches.into_iter().enumerate().map(|(i, (back, s))| Step::Batch(back * 10 + (n * 3 + i) as i64 % 10, s));
            steps.extend(apart);
            steps.push(Step::Gap(1));
        }
        let (stage, _) = play(&steps);
        let plain = replay(&stage.log).1;
        let twisted = replay(&rearranged(&stage.log, twist)).1;
        prop_assert_eq!(plain, twisted);
    }
}
