//! What outcomes teach is served: a world in which far fewer changes fail than the version was trained on, on a real bus.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may, and a story is told in one piece"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::verb::{Input, Verb};
use auspex_chassis::{Follow, From, Mesh, Options};
use auspex_model::{Manifest, embedded};
use auspex_proto::event::{Body, Deployment, DeploymentState, DeploymentStatus};
use auspex_proto::vector::Feature;
use auspex_proto::{
    Entity, EntityKind, Event, Fact, FactId, FactKind, FeatureVector, Meta, Model, Project, Revision, Score,
    ServiceName, Timestamp,
};
use auspex_registry::config::FeedbackConfig;
use auspex_registry::feedback::Feedback;
use auspex_registry::feedback::state::State;

const PATIENCE: Duration = Duration::from_secs(60);
const PROJECT: &str = "acme/shop";

/// A congruential row of numbers in [0, 1): the story is the same every time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

struct World {
    test: TestHouse,
    _mesh: Mesh,
    scores: Follow,
    manifest: Manifest,
    chance: Chance,
    sent: u64,
}

/// Squared errors of what was served, of the version, and of the failure rate alone.
struct Briers {
    served: f64,
    raw: f64,
    base: f64,
}

impl World {
    async fn start(recalibrate: &str) -> Self {
        let test = TestHouse::start().await.unwrap();
        let options = Options {
            set: vec![
                format!("nats.url={}", test.settings.url),
                "nats.partitions=2".to_owned(),
                "server.listen=127.0.0.1:0".to_owned(),
                "registry.feedback.maturity_minutes=0".to_owned(),
                format!("scoring.recalibrate={recalibrate}"),
            ],
            alone: true,
            ..Options::default()
        };
        let services = [auspex_registry::SERVICE, auspex_scoring::SERVICE];
        let mesh = Mesh::start(&services, &options).await.unwrap();
        let scores = test.house.follow(&[FactKind::Score], From::All).await.unwrap();
        Self {
            test,
            _mesh: mesh,
            scores,
            manifest: Manifest::parse(embedded::MANIFEST).unwrap(),
            chance: Chance(7),
            sent: 0,
        }
    }

    fn meta(&self, what: &str) -> Meta {
        Meta {
            id: FactId::new(format!("{what}-{}", self.sent)).unwrap(),
            project: Project::new(PROJECT).unwrap(),
            time: Timestamp(1_700_000_000_000),
            cause: self.sent,
            source: "test".to_owned(),
        }
    }

    fn revision(&self) -> Revision {
        Revision::new(format!("r{}", self.sent)).unwrap()
    }

    async fn publish(&self, fact: Fact) {
        self.test.house.bus().publish(&fact).await.unwrap();
    }

    /// A change is scored.
    async fn score(&mut self) -> Score {
        self.sent += 1;
        let mut features = Vec::new();
        for column in &self.manifest.features {
            let value = (self.chance.next() * 5.0).exp().floor() - 1.0;
            features.push(Feature::present(column.name.as_str(), value));
        }
        let vector = FeatureVector {
            meta: self.meta("vector"),
            entity: Entity {
                kind: EntityKind::Change,
                id: self.revision().to_string(),
                revision: self.revision(),
                service: None,
            },
            feature_service: self.manifest.feature_service.clone(),
            schema_hash: self.manifest.feature_schema_sha256.clone(),
            features,
            context: Vec::new(),
            wants_reasons: false,
        };
        self.publish(Fact::Vector(vector)).await;
        let next = tokio::time::timeout(PATIENCE, self.scores.next()).await.unwrap();
        let Fact::Score(score) = next.unwrap().fact else {
            panic!("not a score")
        };
        assert_eq!(score.entity.revision, self.revision());
        score
    }

    /// What becomes of it: the odds of failure are a fifth of what the version says.
    async fn end(&mut self, score: &Score) -> bool {
        let odds = 0.2 * score.raw() / (1.0 - score.raw());
        let failed = self.chance.next() < odds / (1.0 + odds);
        let service = ServiceName::new("checkout").unwrap();
        let deployment = Body::Deployment(Deployment {
            deployment_id: format!("d-{}", self.sent),
            service: service.clone(),
            environment: "production".to_owned(),
            revision: self.revision(),
            stable_revision: None,
            document: String::new(),
            actor: "ada".to_owned(),
        });
        let status = Body::DeploymentStatus(DeploymentStatus {
            deployment_id: format!("d-{}", self.sent),
            service: Some(service),
            environment: "production".to_owned(),
            revision: None,
            state: if failed {
                DeploymentState::RolledBack
            } else {
                DeploymentState::Success
            },
            reason: String::new(),
        });
        for (body, what) in [(deployment, "deployed"), (status, "ended")] {
            let meta = self.meta(what);
            self.publish(Fact::Event(Event { meta, body })).await;
        }
        failed
    }

    async fn play(&mut self, changes: usize) -> (Briers, Vec<Score>) {
        let (mut served, mut raw, mut failures, mut all) = (0.0, 0.0, 0.0, Vec::new());
        for _ in 0..changes {
            let score = self.score().await;
            let y = f64::from(u8::from(self.end(&score).await));
            served += (score.p_failure - y).powi(2);
            raw += (score.raw() - y).powi(2);
            failures += y;
            all.push(score);
        }
        let n = changes as f64;
        let rate: f64 = failures / n;
        let briers = Briers {
            served: served / n,
            raw: raw / n,
            base: rate * (1.0 - rate),
        };
        (briers, all)
    }
}

/// Every score says what the version says and by what it was read, so that both can be worked out again.
fn accounts_for_itself(score: &Score) {
    let Some(how) = &score.recalibration else { return };
    assert_eq!(how.by.read(how.raw), how.told);
    assert_eq!(score.p_failure, if how.served { how.told } else { how.raw });
    assert!(how.since < score.meta.cause && how.by.log_e > 3.0, "{how:?}");
    assert!(score.low <= score.p_failure && score.p_failure <= score.high);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_far_fewer_fail_what_is_served_is_better_than_the_rate_alone() {
    let mut world = World::start("serve").await;
    let (_, first) = world.play(10).await;
    assert!(first.iter().all(|score| score.recalibration.is_none()));
    let mut learning = 10;
    loop {
        let (_, scores) = world.play(20).await;
        learning += 20;
        if scores.iter().all(|score| score.recalibration.is_some()) {
            break;
        }
        assert!(learning < 1_000, "nothing is proven after {learning} outcomes");
    }
    let (briers, scores) = world.play(300).await;
    scores.iter().for_each(accounts_for_itself);
    assert!(scores.iter().any(|s| s.recalibration.is_some_and(|r| r.served)));
    assert!(
        briers.raw > briers.base,
        "the world is no challenge: {}",
        briers.raw
    );
    assert!(briers.served < briers.base, "{} {}", briers.served, briers.base);
    println!(
        "after {learning} outcomes, Brier: served {:.4}, the version {:.4}, the rate alone {:.4}",
        briers.served, briers.raw, briers.base
    );
    replays(&world).await;
}

/// The log alone gives the same readings, byte for byte.
async fn replays(world: &World) {
    let kinds = [
        FactKind::Score,
        FactKind::Event,
        FactKind::Decision,
        FactKind::Model,
    ];
    let mut follow = world.test.house.follow(&kinds, From::All).await.unwrap();
    let verb = Feedback {
        config: FeedbackConfig {
            maturity_minutes: 0,
            ..FeedbackConfig::default()
        },
        ..Feedback::default()
    };
    let (mut state, mut now) = (State::default(), Timestamp(0));
    let (mut made, mut found) = (BTreeMap::<FactId, Model>::new(), BTreeMap::new());
    loop {
        let Ok(next) = tokio::time::timeout(Duration::from_secs(2), follow.next()).await else {
            break;
        };
        let next = next.unwrap();
        now = now.max(next.time);
        match &next.fact {
            Fact::Model(model) if model.recalibration.is_some() => {
                found.insert(model.meta.id.clone(), model.clone());
            }
            Fact::Model(_) => {}
            fact => {
                let input = Input {
                    key: PROJECT,
                    fact,
                    seq: next.seq,
                    now,
                };
                let told = verb.absorb(&mut state, &input).unwrap();
                for fact in told {
                    if let Fact::Model(model) = fact {
                        made.insert(model.meta.id.clone(), model);
                    }
                }
            }
        }
    }
    assert!(found.len() >= 2, "{found:?}");
    let same = |(id, model): (&FactId, &Model)| made.get(id) == Some(model);
    assert!(
        found.iter().all(same),
        "{:?}\n{:?}",
        found.values().last(),
        made.values().last()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_told_moves_nothing() {
    let mut world = World::start("tell").await;
    let mut told = Vec::new();
    for _ in 0..50 {
        let (_, scores) = world.play(20).await;
        told = scores.into_iter().filter(|s| s.recalibration.is_some()).collect();
        if !told.is_empty() {
            break;
        }
    }
    let score = told.last().unwrap();
    let how = score.recalibration.unwrap();
    assert!(
        !how.served && score.p_failure == how.raw && how.told < how.raw,
        "{how:?}"
    );
}
