//! What counts as an outcome, and what does not.

use std::time::Duration;

use auspex_proto::decision::{Action, Decision, Phase, Reason};
use auspex_proto::event::{
    Body, Deployment, DeploymentState, DeploymentStatus, Incident, Outcome, Run, RunPhase,
};
use auspex_proto::{Entity, EntityKind, Event, Meta, Revision, RolloutName, Score, ServiceName, sample};
use proptest::prelude::*;

use super::*;

mod reading;

/// A project's log.
struct Log {
    verb: Feedback,
    state: State,
    seq: u64,
    now: i64,
    told: Vec<Fact>,
}

const HOUR: i64 = 3_600_000;

impl Log {
    fn new() -> Self {
        Self {
            verb: Feedback::default(),
            state: State::default(),
            seq: 0,
            now: 1_700_000_000_000,
            told: Vec::new(),
        }
    }

    fn meta(&self, id: &str) -> Meta {
        Meta {
            time: Timestamp(self.now),
            ..sample::meta(id, "shop", self.seq).unwrap()
        }
    }

    fn feed(&mut self, fact: &Fact) {
        self.seq += 1;
        let input = Input {
            key: "shop",
            fact,
            seq: self.seq,
            now: Timestamp(self.now),
        };
        let told = self.verb.absorb(&mut self.state, &input).unwrap();
        self.told.extend(told);
    }

    fn score(&mut self, revision: &str, p: f64) -> Fact {
        let kind = if revision.starts_with("run") {
            EntityKind::Run
        } else {
            EntityKind::Change
        };
        let head = Meta {
            cause: self.seq + 1,
            ..self.meta(&format!("score-{revision}-{}", self.seq))
        };
        let sample = sample::score(head, revision, p).unwrap();
        let fact = Fact::Score(Score {
            entity: Entity {
                kind,
                ..sample.entity
            },
            low: 0.0,
            high: 1.0,
            ..sample
        });
        self.feed(&fact);
        fact
    }

    fn event(&mut self, body: Body) -> Fact {
        let fact = Fact::Event(Event {
            meta: self.meta(&format!("event-{}", self.seq)),
            body,
        });
        self.feed(&fact);
        fact
    }

    fn status(&mut self, revision: &str, state: DeploymentState) {
        self.event(Body::DeploymentStatus(DeploymentStatus {
            deployment_id: format!("d-{revision}"),
            service: ServiceName::new("checkout").ok(),
            environment: "production".to_owned(),
            revision: Revision::new(revision).ok(),
            state,
            reason: String::new(),
        }));
    }

    fn incident(&mut self) {
        self.event(Body::Incident(Incident {
            incident_id: "i1".to_owned(),
            service: ServiceName::new("checkout").ok(),
            title: "down".to_owned(),
            resolved: false,
        }));
    }

    fn decision(&mut self, revision: &str, phase: Phase, reason: Reason) {
        let head = self.meta(&format!("decision-{}", self.seq));
        let fact = Fact::Decision(Decision {
            rollout: RolloutName::new("r").unwrap(),
            phase,
            action: Action::Hold,
            reason,
            stable: sample::track("old"),
            candidate: sample::track(revision),
            ..sample::decision(head, "checkout").unwrap()
        });
        self.feed(&fact);
    }

    fn pass(&mut self, hours: i64) {
        self.now += hours * HOUR;
        self.event(Body::Other {
            kind: "noise".to_owned(),
            json: String::new(),
        });
    }

    /// Outcomes and failures counted.
    fn counted(&self) -> (u64, u64) {
        let model = self.state.models.get("change-risk@1");
        model.map_or((0, 0), |m| (m.outcomes, m.failures))
    }
}

#[test]
fn success_is_known_once_it_has_lasted() {
    let mut log = Log::new();
    log.score("a", 0.2);
    log.status("a", DeploymentState::Success);
    log.pass(23);
    assert_eq!(log.counted(), (0, 0));
    assert_eq!(
        log.verb.due(&log.state),
        Some(Timestamp(1_700_000_000_000 + 24 * HOUR))
    );
    log.pass(1);
    assert_eq!(log.counted(), (1, 0));
    assert!(log.state.waiting.is_empty());
    // An incident after that is another's.
    log.incident();
    assert_eq!(log.counted(), (1, 0));
    let Some(Fact::Observations(batch)) = log.told.last() else {
        panic!("nothing was observed")
    };
    assert!(
        batch
            .observations
            .iter()
            .any(|o| o.metric == "model_failures_low")
    );
    assert!(
        batch
            .observations
            .iter()
            .all(|o| o.length == Duration::from_millis(1))
    );
}

#[test]
fn failures_are_rollbacks_failed_deployments_and_incidents_of_the_last_release() {
    let mut log = Log::new();
    for revision in ["a", "b", "c", "d"] {
        log.score(revision, 0.6);
    }
    log.status("a", DeploymentState::RolledBack);
    log.decision("b", Phase::RolledBack, Reason::EvidenceWorse);
    log.decision("c", Phase::Promoted, Reason::EvidenceSafe);
    log.pass(1);
    log.status("d", DeploymentState::Success);
    log.pass(1);
    log.incident();
    assert_eq!(
        log.counted(),
        (3, 3),
        "a, b, and d: the last that was released there"
    );
    log.pass(24);
    assert_eq!(log.counted(), (4, 3));
}

#[test]
fn what_was_held_back_or_never_ended_has_no_outcome() {
    let mut log = Log::new();
    log.score("held", 0.9);
    log.decision("held", Phase::RolledBack, Reason::LowConfidence);
    log.score("over", 0.5);
    log.decision("over", Phase::RolledBack, Reason::Superseded);
    log.score("idle", 0.5);
    log.pass(24 * 31);
    assert_eq!(log.counted(), (0, 0));
    assert!(log.state.waiting.is_empty(), "{:?}", log.state.waiting);
}

#[test]
fn the_last_score_before_the_deployment_counts() {
    let mut log = Log::new();
    log.score("a", 0.1);
    log.score("a", 0.8);
    log.event(Body::Deployment(Deployment {
        deployment_id: "d-a".to_owned(),
        service: ServiceName::new("checkout").unwrap(),
        environment: "production".to_owned(),
        revision: Revision::new("a").unwrap(),
        stable_revision: None,
        document: String::new(),
        actor: String::new(),
    }));
    log.score("a", 0.05);
    log.status("a", DeploymentState::Failure);
    let model = &log.state.models["change-risk@1"];
    assert!((model.brier - 0.04).abs() < 1e-12, "{}", model.brier);
    assert_eq!((model.bands[2].outcomes, model.bands[2].failures), (1, 1));
}

#[test]
fn a_run_is_judged_when_it_ends() {
    let mut log = Log::new();
    let ended = [
        ("run-1", Outcome::Success),
        ("run-2", Outcome::Failure),
        ("run-3", Outcome::Cancellation),
    ];
    for (run, outcome) in ended {
        log.score(run, 0.3);
        log.event(Body::Run(Run {
            run_id: run.to_owned(),
            name: "ci".to_owned(),
            revision: None,
            branch: String::new(),
            attempt: 1,
            phase: RunPhase::Finished(outcome),
            queued: None,
            duration: None,
            runner: String::new(),
        }));
    }
    assert_eq!(log.counted(), (2, 1));
    assert!(log.state.waiting.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever comes, in whatever order and however often: no outcome is counted twice, and the state stays small.
    #[test]
    fn nothing_is_counted_twice_and_state_is_bounded(steps in prop::collection::vec((0_u16..700, 0_u8..6), 1..1_500)) {
        let mut log = Log::new();
        let mut scored = std::collections::BTreeSet::new();
        for (revision, what) in steps {
            let name = format!("r{revision}");
            match what {
                0 | 1 => {
                    scored.insert(name.clone());
                    log.score(&name, f64::from(revision) / 700.0);
                }
                2 => log.status(&name, DeploymentState::Success),
                3 => log.status(&name, DeploymentState::Failure),
                4 => log.incident(),
                _ => log.pass(5),
            }
            prop_assert!(log.state.waiting.len() <= state::MOST_WAITING);
            prop_assert!(log.state.held.len() <= state::MOST_HELD);
        }
        let (outcomes, failures) = log.counted();
        prop_assert!(failures <= outcomes && outcomes == log.state.outcomes);
        let size = serde_json::to_vec(&log.state).unwrap().len();
        prop_assert!(size < 900_000, "{size}");
        for figures in log.state.models.values() {
            let banded: u64 = figures.bands.iter().map(|t| t.outcomes).sum();
            prop_assert_eq!(banded, figures.outcomes);
            prop_assert!(figures.online.read(0.5) > 0.0 && figures.online.read(0.5) < 1.0);
        }
    }
}
