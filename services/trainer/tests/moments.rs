//! What an example is where the feature store is asked: whom and when to ask about, and what became of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod made;

use auspex_chassis::{Input, Verb as _};
use auspex_proto::event::{Body, Change, Deployment, DeploymentState, DeploymentStatus};
use auspex_proto::vector::{Feature, schema_hash};
use auspex_proto::{Entity, EntityKind, Event, Fact, FeatureVector, Meta, Revision, ServiceName, Timestamp};
use auspex_trainer::Config;
use auspex_trainer::collect::{Collect, State};

const HOUR: i64 = 3_600_000;

struct Told {
    verb: Collect,
    state: State,
    seq: u64,
}

impl Told {
    fn new(store: &str) -> Self {
        let config = Config {
            store: store.to_owned(),
            ..Config::default()
        };
        Self {
            verb: Collect { config },
            state: State::default(),
            seq: 0,
        }
    }

    fn meta(&self, time: i64) -> Meta {
        made::meta(format!("f{}", self.seq), time)
    }

    fn absorb(&mut self, fact: &Fact, now: i64) {
        self.seq += 1;
        let input = Input {
            key: "shop",
            fact,
            seq: self.seq,
            now: Timestamp(now),
        };
        self.verb.absorb(&mut self.state, &input).unwrap();
    }

    fn event(&mut self, body: Body, time: i64, now: i64) {
        let meta = self.meta(time);
        self.absorb(&Fact::Event(Event { meta, body }), now);
    }

    /// As the stage of features does it: with the time of the log.
    fn vector(&mut self, now: i64) {
        let vector = FeatureVector {
            meta: self.meta(now),
            entity: Entity {
                kind: EntityKind::Deployment,
                id: "d1".to_owned(),
                revision: Revision::new("r1").unwrap(),
                service: None,
            },
            feature_service: "change-risk@1".to_owned(),
            schema_hash: schema_hash(["files"]),
            features: vec![Feature::present("files", 3.0)],
            context: Vec::new(),
            wants_reasons: false,
        };
        self.absorb(&Fact::Vector(vector), now);
    }

    /// A change that is announced, deployed, scored and rolled back, each a minute after the other, told so much later.
    fn rolled_back(&mut self, late: i64) {
        const MINUTE: i64 = 60_000;
        let revision = Revision::new("r1").unwrap();
        let change = Change {
            revision: revision.clone(),
            author: "ada".to_owned(),
            ..change()
        };
        let begin = 100 * HOUR;
        self.event(Body::Change(change), begin, begin + late);
        let deployment = Deployment {
            deployment_id: "d1".to_owned(),
            service: ServiceName::new("till").unwrap(),
            environment: "é".repeat(100),
            revision: revision.clone(),
            stable_revision: None,
            document: String::new(),
            actor: String::new(),
        };
        self.event(
            Body::Deployment(deployment),
            begin + MINUTE,
            begin + late + MINUTE,
        );
        self.vector(begin + late + MINUTE + 5);
        let status = DeploymentStatus {
            deployment_id: "d1".to_owned(),
            service: None,
            environment: String::new(),
            revision: Some(revision),
            state: DeploymentState::RolledBack,
            reason: String::new(),
        };
        self.event(
            Body::DeploymentStatus(status),
            begin + 2 * MINUTE,
            begin + late + 2 * MINUTE,
        );
    }
}

fn change() -> Change {
    Change {
        revision: Revision::new("r").unwrap(),
        branch: String::new(),
        author: String::new(),
        title: String::new(),
        paths: Vec::new(),
        stats: None,
        authored: None,
        complexity: None,
    }
}

#[test]
fn whom_and_when_to_ask_about_is_kept() {
    let mut told = Told::new("http://127.0.0.1:7700");
    told.rolled_back(2000);
    let example = told.state.examples.front().unwrap();
    assert!(example.failed && example.values.is_empty());
    let key = |name: &str| example.keys.get(name).map(String::as_str);
    assert_eq!(
        (key("revision"), key("author"), key("service")),
        (Some("r1"), Some("ada"), Some("till"))
    );
    assert_eq!(key("environment").unwrap().len(), 128);
    // When it was served: by then the rows of its own change are known, and its outcome is not.
    assert_eq!(example.asked, 100 * HOUR + 60_000 + 2005);
}

#[test]
fn a_past_that_is_played_in_is_asked_for_at_its_own_time() {
    let mut told = Told::new("http://127.0.0.1:7700");
    told.rolled_back(900 * HOUR);
    let example = told.state.examples.front().unwrap();
    assert_eq!(
        (example.asked, example.at),
        (100 * HOUR + 60_000, 100 * HOUR + 60_000)
    );
    // The clock is that of the events, though the vector carries the log's time.
    assert_eq!(told.state.clock, 100 * HOUR + 120_000);
}

#[test]
fn without_a_store_the_vector_is_the_example() {
    let mut told = Told::new("");
    told.rolled_back(2000);
    let example = told.state.examples.front().unwrap();
    assert_eq!((example.values.as_slice(), example.asked), ([3.0].as_slice(), 0));
    assert!(example.keys.is_empty() && example.failed);
}
