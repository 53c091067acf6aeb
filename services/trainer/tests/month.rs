//! A month of changes and deployments, played in seconds: served vectors meet their outcomes, every week a version is trained,
//! gated and registered, with real NATS, the real registry and the real ONNX Runtime.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]
#![allow(clippy::too_many_lines, reason = "a month is told in one go")]

use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Mesh, Options};
use auspex_learn::random::Random;
use auspex_learn::sigmoid;
use auspex_model::{Manifest, embedded};
use auspex_proto::event::{Body, Deployment, DeploymentState, DeploymentStatus};
use auspex_proto::vector::{Feature, schema_hash};
use auspex_proto::wire::model_registry_client::ModelRegistryClient;
use auspex_proto::wire::trainer_client::TrainerClient;
use auspex_proto::wire::{GetModelVersionRequest, GetTrainingRequest, GetTrainingResponse, TrainNowRequest};
use auspex_proto::{
    Entity, EntityKind, Event, Fact, FactId, FeatureVector, Meta, Project, Revision, ServiceName, Timestamp,
};
use tonic::transport::Channel;

const DAY: i64 = 86_400_000;
const PATIENCE: Duration = Duration::from_secs(120);

struct Played {
    house: TestHouse,
    /// What the model that ships reads.
    names: Vec<String>,
    random: Random,
    count: u64,
}

impl Played {
    fn meta(&self, time: i64, what: &str) -> Meta {
        Meta {
            id: FactId::new(format!("{what}-{}", self.count)).unwrap(),
            project: Project::new("shop").unwrap(),
            time: Timestamp(time),
            cause: 0,
            source: "test".to_owned(),
        }
    }

    /// One change: its vector, its deployment, and how that ended.
    async fn change(&mut self, time: i64) {
        self.count += 1;
        let (files, lines, developers) = (
            self.random.unit() * 30.0,
            self.random.unit() * 900.0,
            self.random.unit() * 9.0,
        );
        let fails = self.random.unit() < sigmoid(-4.5 + files / 8.0 + lines / 250.0);
        let revision = Revision::new(format!("r{}", self.count)).unwrap();
        let service = ServiceName::new("checkout").unwrap();
        let deployment_id = format!("d{}", self.count);
        let deployed = Body::Deployment(Deployment {
            deployment_id: deployment_id.clone(),
            service: service.clone(),
            environment: "production".to_owned(),
            revision: revision.clone(),
            stable_revision: None,
            document: String::new(),
            actor: String::new(),
        });
        let mut value = |name: &String| match name.as_str() {
            "files" => files,
            "lines_added" => lines,
            "developers" => developers,
            _ => self.random.unit(),
        };
        let values: Vec<f64> = self.names.iter().map(&mut value).collect();
        let features = self
            .names
            .iter()
            .zip(values)
            .map(|(name, value)| Feature::present(name.as_str(), value))
            .collect();
        let vector = FeatureVector {
            meta: self.meta(time + 1, "vector"),
            entity: Entity {
                kind: EntityKind::Deployment,
                id: deployment_id.clone(),
                revision: revision.clone(),
                service: Some(service.clone()),
            },
            feature_service: "change-risk@1".to_owned(),
            schema_hash: schema_hash(self.names.iter().map(String::as_str)),
            features,
            context: Vec::new(),
            wants_reasons: false,
        };
        let ended = Body::DeploymentStatus(DeploymentStatus {
            deployment_id,
            service: Some(service),
            environment: "production".to_owned(),
            revision: Some(revision),
            state: if fails {
                DeploymentState::RolledBack
            } else {
                DeploymentState::Success
            },
            reason: String::new(),
        });
        let event = |meta, body| Fact::Event(Event { meta, body });
        let facts = [
            event(self.meta(time, "deployed"), deployed),
            Fact::Vector(vector),
            event(self.meta(time + 600_000, "ended"), ended),
        ];
        for fact in &facts {
            self.house.house.bus().publish(fact).await.unwrap();
        }
    }
}

async fn training(channel: &Channel, wanted: impl Fn(&GetTrainingResponse) -> bool) -> GetTrainingResponse {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = TrainerClient::new(channel.clone())
            .get_training(GetTrainingRequest {})
            .await;
        let found = found.map(tonic::Response::into_inner);
        if let Some(found) = found.as_ref().ok().filter(|found| wanted(found)) {
            return found.clone();
        }
        assert!(
            tokio::time::Instant::now() < end,
            "not within {PATIENCE:?}: {found:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_week_of_a_played_month_a_version_is_trained_and_registered() {
    let house = TestHouse::start().await.unwrap();
    // The registry's address is the mesh's own: it is known once it listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let options = Options {
        set: vec![
            format!("nats.url={}", house.settings.url),
            "nats.partitions=2".to_owned(),
            format!("server.listen={address}"),
            format!("trainer.registry=http://{address}"),
            "trainer.look_seconds=1".to_owned(),
            "trainer.least_examples=100".to_owned(),
            "trainer.on_drift=false".to_owned(),
        ],
        alone: true,
        ..Options::default()
    };
    let mesh = Mesh::start(&[auspex_trainer::SERVICE, auspex_registry::SERVICE], &options)
        .await
        .unwrap();
    let channel = Channel::from_shared(format!("http://{}", mesh.address()))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let begin = house.house.now().0 - 31 * DAY;
    let shipped = Manifest::parse(&embedded::files().manifest).unwrap();
    let mut played = Played {
        house,
        names: shipped.features.into_iter().map(|column| column.name).collect(),
        random: Random::new(7),
        count: 0,
    };
    for week in 0..4_i64 {
        for change in 0..160 {
            played
                .change(begin + week * 7 * DAY + change * (7 * DAY / 160))
                .await;
        }
        training(&channel, |found| found.runs.len() as i64 > week).await;
    }
    let found = training(&channel, |found| found.runs.len() >= 4).await;
    let causes: Vec<&str> = found.runs.iter().map(|run| run.cause.as_str()).collect();
    assert_eq!(causes[0], "first", "{found:?}");
    assert!(causes[1..].iter().all(|cause| *cause == "weekly"), "{causes:?}");
    for pair in found.runs.windows(2) {
        assert!(
            pair[0].examples < pair[1].examples && pair[0].snapshot != pair[1].snapshot,
            "{pair:?}"
        );
        assert!(pair[1].as_of_ms - pair[0].as_of_ms >= 7 * DAY);
    }
    let last = found.runs.last().unwrap();
    assert!(
        last.published && last.roc_auc > 0.65 && last.brier < last.brier_base,
        "{last:?}"
    );

    // Its version is the registry's challenger, and says what it was made of.
    let request = GetModelVersionRequest {
        name: "change-risk".to_owned(),
        version: "challenger".to_owned(),
    };
    let version = ModelRegistryClient::new(channel.clone())
        .get_version(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (version.version.to_string(), version.servable),
        (last.version.clone(), true),
        "{}",
        version.why_not
    );
    assert_eq!(version.features, played.names);

    // Somebody asks: it is done at once.
    let request = TrainNowRequest {
        actor: "ada".to_owned(),
        note: "let us see".to_owned(),
    };
    let run = TrainerClient::new(channel)
        .train_now(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((run.cause.as_str(), run.published), ("demand", true), "{run:?}");
    assert_eq!(mesh.stop().await, Vec::<String>::new());
    drop(played);
}
