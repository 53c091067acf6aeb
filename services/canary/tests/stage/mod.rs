//! A stage for tests: the verb alone, fed with facts in the order and at the times that a log would have.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "each test uses its own part"
)]

mod chance;
mod outage;
mod replay;

use std::time::Duration;

use auspex_canary::state::{Rollout, State};
use auspex_canary::{Config, Decide};
use auspex_chassis::{Input, Route, Settings, Verb};
use auspex_proto::command::Ask;
use auspex_proto::event::{Body, Deployment, Event};
use auspex_proto::observation::{Applied, Observation, Value};
use auspex_proto::report::Capacity;
use auspex_proto::score::Band;
use auspex_proto::{
    Command, Decision, Entity, EntityKind, Fact, FactId, Meta, ObservationBatch, Project, Revision,
    RolloutName, RouterReport, Score, ServiceName, Tick, Timestamp, Track,
};

pub use chance::{Chance, Extra, Nature};
pub use replay::{replay, replay_owned};

pub const T0: i64 = 1_700_000_000_000;
pub const SERVICE: &str = "checkout";

pub struct Stage {
    pub decide: Decide,
    pub state: State,
    pub seq: u64,
    pub now: Timestamp,
    ticked: Option<Timestamp>,
    /// Everything fed, while `keeps`.
    pub log: Vec<(u64, Timestamp, Fact)>,
    /// Whether the log is kept and every refusal is checked to change nothing: too slow for thousands of rollouts.
    pub keeps: bool,
    /// What is reported of both tracks besides, by its name.
    pub extra: Vec<(String, Extra)>,
    /// What scores ask for.
    pub asks: Vec<String>,
    pub noise: Chance,
    /// A scaler that does within a second what was asked, and its failure: the candidate is stuck at this many percent.
    pub scaler: Option<Option<u8>>,
    sizes: (u8, u8),
    /// The decision that routers know of.
    known: Option<FactId>,
    /// What had fractions of requests left over: candidate, bad of both tracks, slow of both.
    rest: [f64; 5],
}

/// What users do in one second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Second {
    pub stable: (u64, u64),
    pub candidate: (u64, u64),
    pub slow: Option<(u64, u64)>,
}

impl Stage {
    pub fn new(config: Config) -> Self {
        assert_eq!(config.problems(), Vec::<String>::new());
        Self {
            decide: Decide::new(config),
            state: State::default(),
            seq: 0,
            now: Timestamp(T0),
            ticked: None,
            log: Vec::new(),
            keeps: true,
            extra: Vec::new(),
            asks: Vec::new(),
            noise: Chance(29),
            scaler: None,
            sizes: (100, 0),
            known: None,
            rest: [0.0; 5],
        }
    }

    pub fn project() -> Project {
        Project::new("acme/shop").unwrap()
    }

    pub fn rollout(&self) -> Option<&Rollout> {
        self.state.active.get(SERVICE).map(Box::as_ref)
    }

    pub fn weight(&self) -> u8 {
        self.rollout()
            .map_or_else(|| self.state.ended.last().map_or(0, |e| e.weight), |r| r.weight)
    }

    pub fn seconds(&self) -> f64 {
        (self.now.0 - T0) as f64 / 1_000.0
    }

    /// One fact at this instant.
    pub fn feed(&mut self, fact: Fact) -> Result<Vec<Decision>, String> {
        self.seq += 1;
        let at = (self.seq, self.now, &fact);
        if self.keeps {
            self.log.push((self.seq, self.now, fact.clone()));
            absorb(&self.decide, &mut self.state, at)
        } else {
            step(&self.decide, &mut self.state, at)
        }
    }

    pub fn meta(&self, id: &str) -> Meta {
        Meta {
            id: FactId::new(format!("{id}-{}", self.seq + 1)).unwrap(),
            project: Self::project(),
            time: self.now,
            cause: 0,
            source: "test".to_owned(),
        }
    }

    /// The next second begins; what it says.
    pub fn tick(&mut self) -> Vec<Decision> {
        let boundary = self.now.next_boundary(Duration::from_secs(1));
        let early = self.decide.due(&self.state).is_none_or(|due| due > boundary);
        let before = (early && self.keeps).then(|| self.state.clone());
        self.now = boundary;
        let tick = Tick {
            meta: Meta {
                project: Project::new("time").unwrap(),
                ..self.meta("tick")
            },
            boundary,
            previous: self.ticked.replace(boundary),
        };
        let said = self.feed(Fact::Tick(tick)).unwrap();
        let brief: Vec<_> = said
            .iter()
            .map(|d| (d.phase, d.action, d.reason, d.weight, &d.reason_text))
            .collect();
        assert!(
            !early || said.is_empty(),
            "a tick before it is due says nothing: {brief:?}"
        );
        if let Some(before) = before {
            assert_eq!(self.state, before, "nor does it change anything");
        }
        said
    }

    pub fn batch(&self, start: Timestamp, second: Second) -> ObservationBatch {
        let counts = |track, metric: &str, (total, bad): (u64, u64)| Observation {
            service: ServiceName::new(SERVICE).unwrap(),
            track: Some(track),
            region: String::new(),
            metric: metric.to_owned(),
            instance: "proxy-1".to_owned(),
            start,
            length: Duration::from_secs(1),
            value: Value::Counts { bad, total },
        };
        let mut observations = vec![
            counts(Track::Stable, "requests", second.stable),
            counts(Track::Candidate, "requests", second.candidate),
        ];
        if let Some((stable, candidate)) = second.slow {
            observations.push(counts(Track::Stable, "slow", (second.stable.0, stable)));
            observations.push(counts(Track::Candidate, "slow", (second.candidate.0, candidate)));
        }
        ObservationBatch {
            meta: self.meta("batch"),
            observations,
            applied: Vec::new(),
            environment: String::new(),
        }
    }

    /// A second without a rollout: the proxy knows no tracks then.
    pub fn calm(&mut self, requests: (u64, u64)) {
        let start = self.now.boundary(Duration::from_secs(1));
        self.now = start + Duration::from_millis(1_050);
        let mut batch = self.batch(
            start,
            Second {
                stable: requests,
                ..Second::default()
            },
        );
        batch.observations.truncate(1);
        batch.observations[0].track = None;
        assert_eq!(self.feed(Fact::Observations(batch)).unwrap(), []);
    }

    pub fn applied(weight: u8, suspended: bool) -> Applied {
        Applied {
            service: ServiceName::new(SERVICE).unwrap(),
            decision: None,
            weight,
            suspended,
            instance: "proxy-1".to_owned(),
            report: RouterReport::default(),
        }
    }

    /// A scaler's word: what is ready of stable and candidate.
    pub fn sizes((stable, candidate): (u8, u8)) -> Applied {
        let ready = |percent| {
            Some(Capacity {
                percent,
                ready: 0,
                wanted: 0,
            })
        };
        Applied {
            instance: "scaler".to_owned(),
            report: RouterReport {
                router: "kubernetes".to_owned(),
                scaler: true,
                stable: ready(stable),
                candidate: ready(candidate),
                ..RouterReport::default()
            },
            ..Self::applied(0, false)
        }
    }

    /// A second passes: the tick comes first, the report of the proxy right after it.
    pub fn second(&mut self, second: Second) -> Vec<Decision> {
        let (start, weight) = (self.now.boundary(Duration::from_secs(1)), self.weight());
        let last = self.rollout().and_then(|rollout| rollout.last.as_ref());
        self.known = last.map(|last| last.meta.id.clone());
        let said = self.tick();
        self.now = self.now + Duration::from_millis(50);
        let mut batch = self.batch(start, second);
        for (name, extra) in self.extra.clone() {
            let units = [second.stable.0, second.candidate.0];
            batch
                .observations
                .extend(self.observed(&name, extra, units, start));
        }
        let known = self.known.clone();
        batch.applied.push(Applied {
            decision: known.clone(),
            ..Self::applied(weight, false)
        });
        if let Some(stuck) = self.scaler {
            let (stable, candidate) = self.sizes;
            let candidate = stuck.map_or(candidate, |stuck| candidate.min(stuck));
            batch.applied.push(Applied {
                decision: known,
                ..Self::sizes((stable, candidate))
            });
            self.sizes = self.rollout().and_then(|r| r.sizes).unwrap_or(self.sizes);
        }
        assert_eq!(self.feed(Fact::Observations(batch)).unwrap(), []);
        said
    }

    /// So many requests per second at the present weight with these shares of failures, nothing random.
    pub fn traffic(&mut self, rps: f64, rates: (f64, f64), slow: Option<(f64, f64)>) -> Vec<Decision> {
        let mut whole = |at: usize, amount: f64| {
            let sum = self.rest[at] + amount;
            self.rest[at] = sum - sum.floor();
            sum.floor() as u64
        };
        let weight = self
            .state
            .active
            .get(SERVICE)
            .map_or_else(|| self.state.ended.last().map_or(0, |e| e.weight), |r| r.weight);
        let candidate = whole(0, rps * f64::from(weight) / 100.0);
        let stable = rps as u64 - candidate;
        let bad = (
            whole(1, stable as f64 * rates.0),
            whole(2, candidate as f64 * rates.1),
        );
        let slow = slow.map(|(s, c)| (whole(3, stable as f64 * s), whole(4, candidate as f64 * c)));
        self.second(Second {
            stable: (stable, bad.0),
            candidate: (candidate, bad.1),
            slow,
        })
    }

    pub fn deploy(&mut self, revision: &str, document: &str) -> Result<Vec<Decision>, String> {
        let body = Body::Deployment(Deployment {
            deployment_id: format!("deploy-{revision}"),
            service: ServiceName::new(SERVICE).unwrap(),
            environment: "production".to_owned(),
            revision: Revision::new(revision).unwrap(),
            stable_revision: None,
            document: document.to_owned(),
            actor: "ci".to_owned(),
        });
        let meta = self.meta("event");
        self.feed(Fact::Event(Event { meta, body }))
    }

    pub fn score(&mut self, kind: EntityKind, revision: &str, p: f64) -> Vec<Decision> {
        let id = match kind {
            EntityKind::Deployment => format!("deploy-{revision}"),
            _ => revision.to_owned(),
        };
        let score = Score {
            meta: Meta {
                cause: self.seq,
                ..self.meta("score")
            },
            entity: Entity {
                kind,
                id,
                revision: Revision::new(revision).unwrap(),
                service: None,
            },
            p_failure: p,
            low: p * 0.8,
            high: p + (1.0 - p) * 0.2,
            band: Band::of(p, (0.3, 0.7)),
            model: "change-risk@1".to_owned(),
            schema_hash: "abc".to_owned(),
            reasons: Vec::new(),
            missing: Vec::new(),
            mitigations: self.asks.clone(),
            trial: Default::default(),
            recalibration: None,
        };
        self.feed(Fact::Score(score)).unwrap()
    }

    pub fn command(&mut self, rollout: &str, ask: Ask) -> Result<Vec<Decision>, String> {
        self.command_of(self.meta("command"), rollout, ask)
    }

    pub fn command_of(&mut self, meta: Meta, rollout: &str, ask: Ask) -> Result<Vec<Decision>, String> {
        let command = Command {
            meta,
            rollout: RolloutName::new(rollout).unwrap(),
            actor: "alice".to_owned(),
            note: String::new(),
            ask,
        };
        self.feed(Fact::Command(command))
    }
}

/// One fact into the project's key; what is refused must have changed nothing.
pub fn absorb(
    decide: &Decide,
    state: &mut State,
    at: (u64, Timestamp, &Fact),
) -> Result<Vec<Decision>, String> {
    let before = state.clone();
    let said = step(decide, state, at);
    if said.is_err() {
        assert_eq!(
            *state, before,
            "a fact that is refused leaves the state as it was"
        );
    }
    said
}

fn step(
    decide: &Decide,
    state: &mut State,
    (seq, now, fact): (u64, Timestamp, &Fact),
) -> Result<Vec<Decision>, String> {
    if decide.route(fact) == Route::Nobody {
        return Ok(Vec::new());
    }
    let key = "acme/shop";
    let input = Input { key, fact, seq, now };
    let facts = decide.absorb(state, &input).map_err(|reject| reject.0)?;
    let said = facts.into_iter().map(|fact| match fact {
        Fact::Decision(decision) => decision,
        other => panic!("canary makes decisions, not {:?}", other.kind()),
    });
    Ok(said.collect())
}
