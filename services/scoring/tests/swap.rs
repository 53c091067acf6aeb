//! Versions that change while vectors keep coming, and versions that must not.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Follow, From, House, Objects};
use auspex_proto::vector::Feature;
use auspex_proto::{
    Entity, EntityKind, Fact, FactId, FactKind, FeatureVector, Meta, Model, Project, Revision, Score,
    Timestamp, subject,
};
use auspex_scoring::manifest::Manifest;
use auspex_scoring::model::Files;
use auspex_scoring::{Config, embedded};
use sha2::{Digest, Sha256};

const PATIENCE: Duration = Duration::from_secs(60);

fn meta(id: String) -> Meta {
    Meta {
        id: FactId::new(id).unwrap(),
        project: Project::all(),
        time: Timestamp(0),
        cause: 0,
        source: "test".to_owned(),
    }
}

fn vector(manifest: &Manifest, n: u64) -> Fact {
    let features = manifest
        .features
        .iter()
        .map(|f| Feature::present(f.name.as_str(), (n % 7) as f64));
    Fact::Vector(FeatureVector {
        meta: Meta {
            project: Project::new(format!("shop-{}", n % 5)).unwrap(),
            ..meta(format!("v{n}"))
        },
        entity: Entity {
            kind: EntityKind::Change,
            id: format!("r{n}"),
            revision: Revision::new(format!("r{n}")).unwrap(),
            service: None,
        },
        feature_service: "change-risk@1".to_owned(),
        schema_hash: manifest.feature_schema_sha256.clone(),
        features: features.collect(),
        context: Vec::new(),
        wants_reasons: false,
    })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Keeps a version's files as the registry does, and says where.
async fn keep(house: &House, files: &Files) -> String {
    let store = Objects::open(house.bus(), &format!("nats://{}", subject::MODELS))
        .await
        .unwrap();
    for bytes in [&files.manifest, &files.artifact, &files.golden] {
        store.put(&sha256(bytes), bytes).await.unwrap();
    }
    store.location(&sha256(&files.manifest))
}

fn model(version: &str, alias: &str, location: &str) -> Model {
    let manifest = Manifest::parse(embedded::MANIFEST).unwrap();
    Model {
        meta: meta(format!("registry:{version}:{alias}:{}", location.len())),
        name: "change-risk".to_owned(),
        version: version.to_owned(),
        location: location.to_owned(),
        sha256: manifest.artifact.sha256,
        schema_hash: manifest.feature_schema_sha256,
        alias: alias.to_owned(),
        percent: 0,
        experiment: String::new(),
        removed: false,
        actor: "ada".to_owned(),
        note: String::new(),
        recalibration: None,
    }
}

async fn next(follow: &mut Follow) -> Fact {
    tokio::time::timeout(PATIENCE, follow.next())
        .await
        .unwrap()
        .unwrap()
        .fact
}

async fn until(follow: &mut Follow, wanted: impl Fn(&Score) -> bool) -> Score {
    loop {
        if let Fact::Score(score) = next(follow).await
            && wanted(&score)
        {
            return score;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_change_under_load_and_every_vector_is_scored_once() {
    const SECONDS: u64 = 4;
    const RATE: u64 = 2_000;
    let test = TestHouse::start().await.unwrap();
    let house = &test.house;
    auspex_scoring::open(house, Config::default()).await.unwrap();
    let location = keep(house, &embedded::files()).await;
    let manifest = Manifest::parse(embedded::MANIFEST).unwrap();
    let mut follow = house.follow(&[FactKind::Score], From::All).await.unwrap();
    let bus = house.bus().clone();
    let sending = tokio::spawn(async move {
        let began = tokio::time::Instant::now();
        let mut pending = Vec::new();
        for n in 0..SECONDS * RATE {
            if n % 20 == 0 {
                tokio::time::sleep_until(began + Duration::from_millis(n / 2)).await;
            }
            pending.push(bus.publish_later(&vector(&manifest, n)).await.unwrap());
        }
        for pending in pending {
            pending.receipt().await.unwrap();
        }
    });
    let bus = house.bus().clone();
    let swapping = tokio::spawn(async move {
        for version in 2..8 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let fact = Fact::Model(model(&version.to_string(), "champion", &location));
            bus.publish(&fact).await.unwrap();
        }
    });
    let mut scored: BTreeMap<String, (u64, String)> = BTreeMap::new();
    while scored.len() < usize::try_from(SECONDS * RATE).unwrap() {
        let Fact::Score(score) = next(&mut follow).await else {
            panic!("not a score")
        };
        let before = scored.insert(score.entity.id.clone(), (score.meta.cause, score.model.clone()));
        assert_eq!(before, None, "{} has two scores", score.entity.id);
    }
    sending.await.unwrap();
    swapping.await.unwrap();
    // Versions are only ever changed for later ones, so along the log each is followed by its successors.
    let models: std::collections::BTreeSet<&str> = scored.values().map(|(_, model)| model.as_str()).collect();
    assert!(models.len() >= 3, "{models:?}");
    let silence = tokio::time::timeout(Duration::from_millis(700), follow.next()).await;
    assert!(silence.is_err(), "a score too many: {silence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_leaves_the_last_good_version_and_is_told() {
    let test = TestHouse::start().await.unwrap();
    let house = &test.house;
    auspex_scoring::open(house, Config::default()).await.unwrap();
    let mut alerts = house.follow(&[FactKind::Alert], From::All).await.unwrap();
    let mut scores = house.follow(&[FactKind::Score], From::All).await.unwrap();
    let manifest = Manifest::parse(embedded::MANIFEST).unwrap();
    let good = keep(house, &embedded::files()).await;
    let mut corrupt = embedded::files();
    corrupt.artifact[4_000] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &corrupt);
    let missing = format!("nats://{}/{}", subject::MODELS, "0".repeat(64));
    let other_schema = {
        let mut files = embedded::files();
        let mut manifest: serde_json::Value = serde_json::from_slice(&files.manifest).unwrap();
        manifest["golden"]["tolerance"] = 1.0.into();
        files.manifest = serde_json::to_vec(&manifest).unwrap();
        keep(house, &files).await
    };
    let wrong = [
        ("2", missing, "there is no such file"),
        ("3", format!("file://{}", folder.path().display()), "sha256"),
        ("4", other_schema, "tolerance"),
    ];
    for (version, location, why) in wrong {
        let fact = Fact::Model(model(version, "champion", &location));
        house.bus().publish(&fact).await.unwrap();
        let Fact::Alert(alert) = next(&mut alerts).await else {
            panic!("not an alert")
        };
        assert!(
            alert.title.contains(&format!("change-risk@{version}")),
            "{}",
            alert.title
        );
        assert!(
            alert.text.contains(why) && alert.text.contains("change-risk@1 goes on"),
            "{}",
            alert.text
        );
    }
    house.bus().publish(&vector(&manifest, 1)).await.unwrap();
    assert_eq!(until(&mut scores, |_| true).await.model, "change-risk@1");
    // A right one after them takes its place.
    let fact = Fact::Model(model("5", "champion", &good));
    house.bus().publish(&fact).await.unwrap();
    let mut n = 10;
    loop {
        house.bus().publish(&vector(&manifest, n)).await.unwrap();
        let score = until(&mut scores, |score| score.entity.id == format!("r{n}")).await;
        if score.model == "change-risk@5" {
            break;
        }
        n += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn write(folder: &Path, files: &Files) {
    std::fs::write(folder.join("manifest.json"), &files.manifest).unwrap();
    std::fs::write(folder.join("model.onnx"), &files.artifact).unwrap();
    std::fs::write(folder.join("golden.json"), &files.golden).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenger_is_dealt_its_share_and_heard_about_the_rest() {
    let test = TestHouse::start().await.unwrap();
    let house = &test.house;
    auspex_scoring::open(house, Config::default()).await.unwrap();
    let mut scores = house.follow(&[FactKind::Score], From::All).await.unwrap();
    let manifest = Manifest::parse(embedded::MANIFEST).unwrap();
    let location = keep(house, &embedded::files()).await;
    let mut challenger = model("2", "challenger", &location);
    (challenger.percent, challenger.experiment) = (30, "e1".to_owned());
    house.bus().publish(&Fact::Model(challenger)).await.unwrap();
    let mut n = 0;
    loop {
        house.bus().publish(&vector(&manifest, n)).await.unwrap();
        let score = until(&mut scores, |score| score.entity.id == format!("r{n}")).await;
        if score.trial.experiment == "e1" {
            break;
        }
        n += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let first = n + 1;
    for n in first..first + 300 {
        house.bus().publish(&vector(&manifest, n)).await.unwrap();
    }
    let mut dealt = 0;
    for _ in first..first + 300 {
        let score = until(&mut scores, |_| true).await;
        let [other] = score.trial.others.as_slice() else {
            panic!("not one other: {:?}", score.trial)
        };
        let challenged = score.trial.arm == "challenger";
        let names = if challenged {
            ("change-risk@2", "champion")
        } else {
            ("change-risk@1", "challenger")
        };
        assert_eq!((score.model.as_str(), other.arm.as_str()), names);
        assert_eq!(
            other.p_failure, score.p_failure,
            "the same graph under another number"
        );
        dealt += i32::from(challenged);
    }
    assert!((60..120).contains(&dealt), "{dealt} of 300");
}
