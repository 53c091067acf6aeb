//! A month of changes and deployments, played in seconds: served vectors meet their outcomes, every week a version is trained,
//! gated and registered, with real NATS, the real registry and the real ONNX Runtime.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]
#![allow(clippy::too_many_lines, reason = "a month is told in one go")]

mod made;

use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Mesh, ServiceSpec};
use auspex_learn::random::Random;
use auspex_learn::sigmoid;
use auspex_model::{Manifest, embedded};
use auspex_proto::event::{Body, Deployment, DeploymentState, DeploymentStatus};
use auspex_proto::vector::{Feature, schema_hash};
use auspex_proto::wire::feature_store_client::FeatureStoreClient;
use auspex_proto::wire::model_registry_client::ModelRegistryClient;
use auspex_proto::wire::trainer_client::TrainerClient;
use auspex_proto::wire::{
    DefinitionsRequest, FeatureEntity, GetHistoricalFeaturesRequest, GetModelVersionRequest,
    GetTrainingRequest, GetTrainingResponse, ModelVersion, PushRequest, PushRow, TrainNowRequest,
};
use auspex_proto::{Entity, EntityKind, Event, Fact, FeatureVector, Meta, Revision, ServiceName};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
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
        made::meta(format!("{what}-{}", self.count), time)
    }

    /// What a change is like, and whether it will fail.
    fn drawn(&mut self) -> (f64, f64, bool) {
        self.count += 1;
        let (files, lines) = (self.random.unit() * 30.0, self.random.unit() * 900.0);
        let fails = self.random.unit() < sigmoid(-4.5 + files / 8.0 + lines / 250.0);
        (files, lines, fails)
    }

    fn deployed(&self, time: i64) -> Fact {
        let deployed = Body::Deployment(Deployment {
            deployment_id: format!("d{}", self.count),
            service: ServiceName::new("checkout").unwrap(),
            environment: "production".to_owned(),
            revision: Revision::new(format!("r{}", self.count)).unwrap(),
            stable_revision: None,
            document: String::new(),
            actor: String::new(),
        });
        Fact::Event(Event {
            meta: self.meta(time, "deployed"),
            body: deployed,
        })
    }

    fn ended(&self, time: i64, fails: bool) -> Fact {
        let ended = Body::DeploymentStatus(DeploymentStatus {
            deployment_id: format!("d{}", self.count),
            service: Some(ServiceName::new("checkout").unwrap()),
            environment: "production".to_owned(),
            revision: Some(Revision::new(format!("r{}", self.count)).unwrap()),
            state: if fails {
                DeploymentState::RolledBack
            } else {
                DeploymentState::Success
            },
            reason: String::new(),
        });
        Fact::Event(Event {
            meta: self.meta(time + 600_000, "ended"),
            body: ended,
        })
    }

    async fn publish(&self, facts: &[Fact]) {
        for fact in facts {
            self.house.house.bus().publish(fact).await.unwrap();
        }
    }

    /// One change: its vector, its deployment, and how that ended.
    async fn change(&mut self, time: i64) {
        let (files, lines, fails) = self.drawn();
        let developers = self.random.unit() * 9.0;
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
                id: format!("d{}", self.count),
                revision: Revision::new(format!("r{}", self.count)).unwrap(),
                service: Some(ServiceName::new("checkout").unwrap()),
            },
            feature_service: "change-risk@1".to_owned(),
            schema_hash: schema_hash(self.names.iter().map(String::as_str)),
            features,
            context: Vec::new(),
            wants_reasons: false,
        };
        let facts = [self.deployed(time), Fact::Vector(vector), self.ended(time, fails)];
        self.publish(&facts).await;
    }
}

async fn training(channel: &Channel, wanted: impl Fn(&GetTrainingResponse) -> bool) -> GetTrainingResponse {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = TrainerClient::new(channel.clone())
            .get_training(GetTrainingRequest::default())
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

/// A mesh with a trainer that looks every second, and its address.
async fn mesh(house: &TestHouse, services: &[ServiceSpec], more: &[&str]) -> (Mesh, Channel) {
    let own = [
        "trainer.registry=ADDRESS",
        "trainer.look_seconds=1",
        "trainer.least_examples=100",
        "trainer.on_drift=false",
    ];
    made::mesh::start(house, services, &[&own, more].concat()).await
}

/// The version that is the challenger.
async fn challenger(channel: &Channel, name: &str) -> ModelVersion {
    let request = GetModelVersionRequest {
        name: name.to_owned(),
        version: "challenger".to_owned(),
    };
    let found = ModelRegistryClient::new(channel.clone())
        .get_version(request)
        .await;
    found.unwrap().into_inner()
}

/// Every training but the first was the week's, of more examples and another snapshot.
fn weekly(found: &GetTrainingResponse) {
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
}

#[tokio::test(flavor = "multi_thread")]
async fn every_week_of_a_played_month_a_version_is_trained_and_registered() {
    let house = TestHouse::start().await.unwrap();
    let services = [auspex_trainer::SERVICE, auspex_registry::SERVICE];
    let (mesh, channel) = mesh(&house, &services, &[]).await;
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
    weekly(&found);
    let last = found.runs.last().unwrap();
    assert!(
        last.published && last.roc_auc > 0.65 && last.brier < last.brier_base,
        "{last:?}"
    );

    // Its version is the registry's challenger, and says what it was made of.
    let version = challenger(&channel, "change-risk").await;
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
        ..TrainNowRequest::default()
    };
    let run = TrainerClient::new(channel)
        .train_now(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((run.cause.as_str(), run.published), ("demand", true), "{run:?}");
    assert_eq!(mesh.stop().await, Vec::<String>::new());
}

const DOCUMENTS: &str = r#"
apiVersion: auspex.dev/v1
kind: FeatureView
metadata: { name: work }
spec: { entities: [revision], source: { push: true }, columns: [{ name: files }, { name: lines }], features: [{ name: files }, { name: lines }] }
---
apiVersion: auspex.dev/v1
kind: FeatureService
metadata: { name: own-risk }
spec: { features: [work] }
"#;

/// A week of changes that are pushed to the feature store, deployed, and end. A day after each somebody corrects what was pushed, by what
/// has become of it: who learned from what is known now would be right every time.
async fn pushed(played: &mut Played, channel: &Channel, begin: i64) {
    let (mut rows, mut facts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for change in 0..160 {
        let time = begin + change * (7 * DAY / 160);
        let (files, lines, fails) = played.drawn();
        let row = |files: f64, lines: f64, known: i64| PushRow {
            keys: [("revision".to_owned(), format!("r{}", played.count))].into(),
            event_ms: time - 1000,
            created_ms: known,
            numbers: [("files".to_owned(), files), ("lines".to_owned(), lines)].into(),
            ..PushRow::default()
        };
        let told = if fails { 1e6 } else { 0.0 };
        rows.extend([row(files, lines, time - 1000), row(told, told, time + DAY)]);
        facts.push(played.deployed(time));
        ends.push(played.ended(time, fails));
    }
    let mut store = FeatureStoreClient::new(channel.clone());
    let request = PushRequest {
        project: "shop".to_owned(),
        view: "work".to_owned(),
        rows,
        wait: true,
    };
    store.push(request).await.unwrap();
    // The offline store is some seconds behind the log.
    let revision = format!("r{}", played.count);
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_offline(&mut store, &revision, begin + 7 * DAY).await {
        assert!(
            tokio::time::Instant::now() < end,
            "the rows do not arrive offline"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    played.publish(&facts).await;
    // Nothing has an outcome before it is served.
    training(channel, |found| found.waiting >= 160).await;
    played.publish(&ends).await;
}

async fn is_offline(store: &mut FeatureStoreClient<Channel>, revision: &str, time: i64) -> bool {
    let request = GetHistoricalFeaturesRequest {
        project: "shop".to_owned(),
        feature_service: "own-risk".to_owned(),
        entities: vec![FeatureEntity {
            keys: [("revision".to_owned(), revision.to_owned())].into(),
            time_ms: time,
            ..FeatureEntity::default()
        }],
        ..GetHistoricalFeaturesRequest::default()
    };
    let mut parts = store.get_historical_features(request).await.unwrap().into_inner();
    let part = parts.message().await.unwrap().unwrap();
    let table = SerializedFileReader::new(bytes::Bytes::from(part.bytes)).unwrap();
    let row = table.get_row_iter(None).unwrap().next().unwrap().unwrap();
    let known = row.get_column_iter().find(|(name, _)| *name == "work__files");
    matches!(known, Some((_, Field::Double(_))))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_week_of_a_played_month_is_learned_as_the_store_knew_it_then() {
    let house = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let services = [
        auspex_trainer::SERVICE,
        auspex_registry::SERVICE,
        auspex_features::SERVICE,
    ];
    let offline = format!("features.offline={}", folder.path().display());
    let more = [
        offline.as_str(),
        "trainer.store=ADDRESS",
        "trainer.feature_service=own-risk",
        "trainer.model=own-risk",
    ];
    let (mesh, channel) = mesh(&house, &services, &more).await;
    let request = DefinitionsRequest {
        documents: DOCUMENTS.to_owned(),
        ..DefinitionsRequest::default()
    };
    let applied = FeatureStoreClient::new(channel.clone()).apply(request).await;
    assert!(applied.unwrap().into_inner().applied);
    let begin = house.house.now().0 - 31 * DAY;
    let mut played = Played {
        house,
        names: Vec::new(),
        random: Random::new(7),
        count: 0,
    };
    for week in 0..4_i64 {
        pushed(&mut played, &channel, begin + week * 7 * DAY).await;
        training(&channel, |found| found.runs.len() as i64 > week).await;
    }
    let found = training(&channel, |found| found.runs.len() >= 4).await;
    weekly(&found);
    let last = found.runs.last().unwrap();
    assert!(last.published && last.brier < last.brier_base, "{last:?}");
    assert!((0.65..0.97).contains(&last.roc_auc), "{last:?}");

    // The version says which snapshot it was made of, and that snapshot is kept and says the same again.
    let version = challenger(&channel, "own-risk").await;
    assert_eq!(version.features, ["work__files", "work__lines"]);
    assert_eq!(version.feature_service, "own-risk@1");
    let lineage = version.lineage.unwrap_or_default();
    assert_eq!(lineage.snapshot, last.snapshot);
    let request = GetHistoricalFeaturesRequest {
        project: "shop".to_owned(),
        feature_service: "own-risk".to_owned(),
        snapshot: lineage.snapshot.clone(),
        ..GetHistoricalFeaturesRequest::default()
    };
    let again = FeatureStoreClient::new(channel)
        .get_historical_features(request)
        .await;
    let first = again.unwrap().into_inner().message().await.unwrap().unwrap();
    assert_eq!(first.snapshot, lineage.snapshot);
    assert_eq!(mesh.stop().await, Vec::<String>::new());
}
