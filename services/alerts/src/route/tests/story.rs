//! A project's log, told fact by fact.

use std::collections::BTreeSet;

use auspex_chassis::{Input, Verb};
use auspex_proto::decision::{Action, MetricEvidence, Phase, Reason};
use auspex_proto::event::{Body, Change, Deployment, Outcome, Run, RunPhase};
use auspex_proto::score::Contribution;
use auspex_proto::{
    Alert, Decision, Entity, EntityKind, Event, Fact, Meta, Revision, Score, ServiceName, Timestamp, sample,
};

use crate::route::Router;
use crate::state::State;

pub(super) const REVISION: &str = "3f2a1b9c00d1e2f3a4b5c6d7e8f90a1b2c3d4e5f";

/// A project's log, told fact by fact.
pub(super) struct Story {
    pub(super) router: Router,
    pub(super) state: State,
    pub(super) seq: u64,
}

impl Story {
    pub(super) fn new() -> Self {
        let router = Router {
            everybody: vec!["pager".to_owned(), "team".to_owned()],
            routes: Vec::new(),
            critical: BTreeSet::from(["payments".to_owned()]),
        };
        Self {
            router,
            state: State::default(),
            seq: 100,
        }
    }

    pub(super) fn meta(&self, id: &str) -> Meta {
        Meta {
            time: Timestamp(i64::try_from(self.seq).unwrap() * 1_000),
            ..sample::meta(id, "acme/shop", self.seq).unwrap()
        }
    }

    pub(super) fn hears(&mut self, fact: &Fact) -> Vec<Alert> {
        self.seq += 1;
        let now = Timestamp(i64::try_from(self.seq).unwrap() * 1_000);
        let input = Input {
            key: "acme/shop",
            fact,
            seq: self.seq,
            now,
        };
        let out = self.router.absorb(&mut self.state, &input).unwrap();
        out.into_iter()
            .map(|fact| match Fact::decode(fact.kind(), &fact.encode()).unwrap() {
                Fact::Alert(alert) => alert,
                other => panic!("not an alert: {other:?}"),
            })
            .collect()
    }

    pub(super) fn event(&mut self, id: &str, body: Body) -> Vec<Alert> {
        let meta = self.meta(id);
        self.hears(&Fact::Event(Event { meta, body }))
    }

    pub(super) fn change(&mut self) -> Vec<Alert> {
        let body = Body::Change(Change {
            revision: Revision::new(REVISION).unwrap(),
            branch: "main".to_owned(),
            author: "ada".to_owned(),
            title: "Rewrite <!channel> the cart".to_owned(),
            paths: vec!["src/cart.rs".to_owned(), "db/migrations/7.sql".to_owned()],
            stats: None,
            authored: None,
            complexity: None,
        });
        self.event("change", body)
    }

    pub(super) fn failed_run(&mut self) -> Vec<Alert> {
        let body = Body::Run(Run {
            run_id: "77".to_owned(),
            name: "integration".to_owned(),
            revision: Some(Revision::new(REVISION).unwrap()),
            branch: "main".to_owned(),
            attempt: 1,
            phase: RunPhase::Finished(Outcome::Failure),
            queued: None,
            duration: None,
            runner: String::new(),
        });
        self.event("run", body)
    }

    pub(super) fn deployment(&mut self, id: &str, service: &str, revision: &str) -> Vec<Alert> {
        let body = Body::Deployment(Deployment {
            deployment_id: id.to_owned(),
            service: ServiceName::new(service).unwrap(),
            environment: "production".to_owned(),
            revision: Revision::new(revision).unwrap(),
            stable_revision: None,
            document: String::new(),
            actor: "ada".to_owned(),
        });
        self.event(id, body)
    }

    pub(super) fn score(&mut self, kind: EntityKind, p: f64, with_reasons: bool) -> Vec<Alert> {
        let reason = |feature: &str, value, log_odds| Contribution {
            feature: feature.to_owned(),
            value,
            log_odds,
        };
        let reasons = vec![
            reason("lines_added", 812.0, 1.4),
            reason("author_experience", f64::NAN, -0.2),
        ];
        let sample = sample::score(self.meta("score"), REVISION, p).unwrap();
        let score = Score {
            entity: Entity {
                kind,
                service: ServiceName::new("checkout").ok(),
                ..sample.entity
            },
            reasons: if with_reasons { reasons } else { Vec::new() },
            missing: vec!["entropy".to_owned()],
            ..sample
        };
        self.hears(&Fact::Score(score))
    }

    /// A decision about `checkout`, in mode `act`, to be changed before it is told.
    pub(super) fn decision(&self, action: Action, reason: Reason) -> Decision {
        let phase = match action {
            Action::RollBack => Phase::RolledBack,
            Action::Promote => Phase::Promoted,
            Action::Pause => Phase::Paused,
            _ => Phase::Progressing,
        };
        let meta = self.meta(&format!("canary:{}:{action:?}", self.seq));
        Decision {
            phase,
            action,
            reason,
            reason_text: "errors are 18 times as frequent".to_owned(),
            previous_weight: 10,
            prior: 0.82,
            posterior: 0.99,
            harmed: 7,
            stable: sample::track("v1"),
            candidate: sample::track(REVISION),
            ..sample::decision(meta, "checkout").unwrap()
        }
    }

    pub(super) fn decides(
        &mut self,
        action: Action,
        reason: Reason,
        change: impl FnOnce(&mut Decision),
    ) -> Vec<Alert> {
        let mut decision = self.decision(action, reason);
        change(&mut decision);
        self.hears(&Fact::Decision(decision))
    }

    pub(super) fn starts(&mut self) -> Vec<Alert> {
        self.decides(Action::Start, Reason::Started, |_| {})
    }

    pub(super) fn rolls_back(&mut self, candidate: (u64, u64), baseline: (u64, u64)) -> Vec<Alert> {
        self.decides(Action::RollBack, Reason::EvidenceWorse, |d| {
            d.evidence = vec![errors(candidate, baseline)]
        })
    }
}

/// The judge's word on errors: bad and total of both tracks.
pub(super) fn errors(candidate: (u64, u64), baseline: (u64, u64)) -> MetricEvidence {
    MetricEvidence {
        metric: "errors".to_owned(),
        verdict: "worse".to_owned(),
        reason: String::new(),
        log_e_worse: 9.0,
        log_e_safe: -3.0,
        effect: 18.0,
        low: 9.0,
        high: 40.0,
        candidate_bad: candidate.0,
        candidate_total: candidate.1,
        baseline_bad: baseline.0,
        baseline_total: baseline.1,
        diff_upper: 0.2,
        difference: false,
    }
}
