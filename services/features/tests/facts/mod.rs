//! Facts to feed a state with.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::time::Duration;

use auspex_chassis::{Input, Route, Verb};
use auspex_features::context::WorkingHours;
use auspex_features::extract::Extract;
use auspex_features::state::State;
use auspex_proto::event::{
    Body, Change, ChangeStats, Deployment, DeploymentState, DeploymentStatus, Incident, Outcome, Review, Run,
    RunPhase,
};
use auspex_proto::observation::Value;
use auspex_proto::vector::{Feature, Status};
use auspex_proto::{
    Event, Fact, FactId, FactKind, FeatureRows, FeatureVector, Meta, Observation, ObservationBatch, Project,
    Revision, ServiceName, Timestamp, Track,
};
use jiff::tz::TimeZone;

pub const SECOND: i64 = 1_000;
pub const HOUR: i64 = 3_600 * SECOND;
pub const DAY: i64 = 24 * HOUR;
/// A Wednesday, noon, UTC.
pub const NOON: i64 = 1_700_049_600_000;

pub fn verb() -> Extract {
    Extract {
        hours: WorkingHours {
            zone: TimeZone::UTC,
            from: 8,
            to: 18,
        },
        around: auspex_features::streams::Surroundings::default(),
    }
}

pub fn event(id: &str, at: i64, body: Body) -> Fact {
    Fact::Event(Event {
        meta: Meta {
            id: FactId::outside("test", id),
            project: Project::new("acme/shop").unwrap(),
            time: Timestamp(at),
            cause: 0,
            source: "test".to_owned(),
        },
        body,
    })
}

pub fn change(revision: &str) -> Change {
    Change {
        revision: Revision::new(revision).unwrap(),
        branch: "main".to_owned(),
        author: "ada".to_owned(),
        title: "SHOP-7: round prices".to_owned(),
        paths: ["src/a.rs", "src/b/c.rs", "Cargo.lock", "tests/t.rs"]
            .map(str::to_owned)
            .to_vec(),
        stats: None,
        authored: None,
        complexity: None,
    }
}

pub fn with_stats(revision: &str) -> Change {
    let stats = ChangeStats {
        subsystems: Some(1.0),
        directories: Some(2.0),
        files: Some(3.0),
        entropy: Some(1.25),
        lines_added: Some(120.0),
        lines_deleted: Some(30.0),
        lines_before: Some(900.0),
        is_fix: Some(0.0),
        developers: Some(4.0),
        age_days: Some(12.5),
        unique_changes: Some(44.0),
        author_experience: Some(812.0),
        author_recent_experience: Some(31.75),
        author_subsystem_experience: Some(97.0),
    };
    Change {
        stats: Some(stats),
        ..change(revision)
    }
}

pub fn run(name: &str, revision: &str, attempt: u32, outcome: Outcome) -> Body {
    Body::Run(Run {
        run_id: format!("{name}-{attempt}"),
        name: name.to_owned(),
        revision: Some(Revision::new(revision).unwrap()),
        branch: "main".to_owned(),
        attempt,
        phase: RunPhase::Finished(outcome),
        queued: Some(Duration::from_secs(7)),
        duration: Some(Duration::from_secs(120)),
        runner: String::new(),
    })
}

pub fn review(revision: &str) -> Body {
    Body::Review(Review {
        number: "5".to_owned(),
        revision: Some(Revision::new(revision).unwrap()),
        author: "ada".to_owned(),
        state: "merged".to_owned(),
        lines_added: Some(50.0),
        lines_deleted: Some(5.0),
        files: Some(4.0),
        commits: None,
        comments: None,
        draft: false,
        merged_revision: None,
        title: "Round prices".to_owned(),
    })
}

pub fn deployment(id: &str, revision: &str) -> Body {
    Body::Deployment(Deployment {
        deployment_id: id.to_owned(),
        service: ServiceName::new("checkout").unwrap(),
        environment: "production".to_owned(),
        revision: Revision::new(revision).unwrap(),
        stable_revision: None,
        document: String::new(),
        actor: String::new(),
    })
}

pub fn status(id: &str, state: DeploymentState) -> Body {
    Body::DeploymentStatus(DeploymentStatus {
        deployment_id: id.to_owned(),
        service: Some(ServiceName::new("checkout").unwrap()),
        environment: "production".to_owned(),
        revision: None,
        state,
        reason: String::new(),
    })
}

pub fn incident(id: &str, resolved: bool) -> Body {
    Body::Incident(Incident {
        incident_id: id.to_owned(),
        service: Some(ServiceName::new("checkout").unwrap()),
        title: String::new(),
        resolved,
    })
}

pub fn observation(service: &str, metric: &str, start: i64, value: Value) -> Observation {
    Observation {
        service: ServiceName::new(service).unwrap(),
        track: Some(Track::Stable),
        region: String::new(),
        metric: metric.to_owned(),
        instance: "proxy-1".to_owned(),
        start: Timestamp(start),
        length: Duration::from_secs(1),
        value,
    }
}

pub fn batch(id: &str, at: i64, observations: Vec<Observation>) -> Fact {
    let Fact::Event(Event { meta, .. }) = event(
        id,
        at,
        Body::Other {
            kind: String::new(),
            json: String::new(),
        },
    ) else {
        unreachable!()
    };
    Fact::Observations(ObservationBatch {
        meta,
        observations,
        applied: Vec::new(),
        environment: String::new(),
    })
}

/// A state and the log it reads: time never goes back.
#[derive(Default)]
pub struct Log {
    pub state: State,
    pub seq: u64,
    pub now: i64,
    /// Rows made, by stream.
    pub rows: Vec<FeatureRows>,
    /// What the project lives in.
    pub around: auspex_features::streams::Surroundings,
}

impl Log {
    /// Absorbs a fact that reaches the log at this time.
    pub fn at(&mut self, now: i64, fact: &Fact) -> Option<FeatureVector> {
        self.now = self.now.max(now);
        self.seq += 1;
        let verb = Extract {
            around: self.around.clone(),
            ..verb()
        };
        let Route::Key(key) = verb.route(fact) else {
            return None;
        };
        let input = Input {
            key: &key,
            fact,
            seq: self.seq,
            now: Timestamp(self.now),
        };
        let (mut vectors, before) = (Vec::new(), self.rows.len());
        for made in verb.absorb(&mut self.state, &input).unwrap() {
            match made {
                Fact::Vector(vector) => vectors.push(vector),
                // As others read it: what cannot be said on the wire dies here.
                Fact::Rows(rows) => match Fact::decode(FactKind::Rows, &Fact::Rows(rows).encode()).unwrap() {
                    Fact::Rows(rows) => self.rows.push(rows),
                    other => panic!("{other:?} is no rows"),
                },
                other => panic!("{other:?} is neither a vector nor rows"),
            }
        }
        assert!(vectors.len() <= 1);
        // A test of bounds absorbs much: it needs the last ones alone.
        if before > 64 {
            self.rows.drain(..before);
        }
        vectors.pop()
    }

    /// Absorbs an event that reaches the log when it happens.
    pub fn event(&mut self, id: &str, at: i64, body: Body) -> Option<FeatureVector> {
        self.at(at, &event(id, at, body))
    }
}

pub fn value(vector: &FeatureVector, name: &str) -> Option<f64> {
    let mut all = vector.features.iter().chain(&vector.context);
    all.find(|f| f.name == name)
        .filter(|f| f.status == Status::Present)
        .map(|f| f.value)
}

pub fn known(vector: &FeatureVector) -> Vec<&str> {
    let present = |f: &&Feature| f.status == Status::Present;
    vector
        .features
        .iter()
        .filter(present)
        .map(|f| f.name.as_str())
        .collect()
}
