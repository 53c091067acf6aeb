//! A build that is asked for has a vector of its own: once for each attempt, of what was known then.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod facts;
mod shop;

use std::time::Duration;

use auspex_chassis::From;
use auspex_chassis::testing::TestHouse;
use auspex_features::query::Answers;
use auspex_features::streams::Surroundings;
use auspex_features::{Config, serve};
use auspex_proto::event::{Body, Outcome, RunPhase};
use auspex_proto::vector::Status;
use auspex_proto::wire::{FeatureEntity, GetHistoricalFeaturesRequest, GetOnlineFeaturesRequest};
use auspex_proto::{EntityKind, Fact, FactKind, FeatureVector};
use facts::*;
use futures::StreamExt as _;
use shop::{ask, define};
use tonic::Request;

const DOCUMENTS: &str = include_str!("../../../models/ci-run/features.yaml");

fn told(name: &str, attempt: u32, phase: RunPhase) -> Body {
    let Body::Run(mut run) = run(name, "abc", attempt, Outcome::Success) else {
        panic!("a run")
    };
    (run.run_id, run.phase) = (name.to_owned(), phase);
    Body::Run(run)
}

fn log(builds: bool) -> Log {
    Log {
        around: Surroundings {
            builds,
            ..Surroundings::default()
        },
        ..Log::default()
    }
}

fn starts(log: &Log) -> usize {
    log.rows.iter().filter(|rows| rows.source == "starts").count()
}

#[test]
fn an_attempt_is_told_once_and_not_when_it_has_ended() {
    let mut log = log(true);
    log.event("c", NOON, Body::Change(change("abc")));
    let mut tell = |id: &str, body: Body| {
        log.event(id, NOON + SECOND, body);
        starts(&log)
    };
    assert_eq!(tell("1", told("build", 1, RunPhase::Queued)), 1);
    assert_eq!(tell("2", told("build", 1, RunPhase::Started)), 1);
    assert_eq!(tell("3", told("build", 2, RunPhase::Started)), 2);
    assert_eq!(
        tell("4", told("lint", 1, RunPhase::Finished(Outcome::Success))),
        2
    );
    assert_eq!(tell("5", told("lint", 1, RunPhase::Started)), 2, "it has ended");
    let rows = log.rows.iter().find(|rows| rows.source == "starts").unwrap();
    let entities: Vec<&str> = rows.rows.iter().map(|row| row.entity.as_str()).collect();
    assert_eq!(entities, ["run=build", "project=acme/shop", "author=ada"]);
    let texts: Vec<Option<&str>> = rows.rows[0].texts.iter().map(|text| text.as_deref()).collect();
    assert_eq!(texts, [Some("build"), Some("abc"), Some("ada")]);
    assert_eq!(rows.meta.cause, 2);
}

#[test]
fn where_nobody_wants_it_nothing_is_told_and_nothing_remembered() {
    let mut log = log(false);
    log.event("c", NOON, Body::Change(change("abc")));
    let before = log.state.clone();
    log.event("1", NOON + SECOND, told("build", 1, RunPhase::Queued));
    log.event("2", NOON + SECOND, told("build", 1, RunPhase::Started));
    assert_eq!((starts(&log), &log.state), (0, &before));
}

/// The next vectors of builds; those of changes are passed over.
async fn served(follow: &mut auspex_chassis::Follow, count: usize) -> Vec<FeatureVector> {
    let mut found = Vec::new();
    while found.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(60), follow.next());
        if let Fact::Vector(vector) = next.await.unwrap().unwrap().fact
            && vector.entity.kind == EntityKind::Run
        {
            found.push(vector);
        }
    }
    found
}

fn keys(run: &str) -> FeatureEntity {
    let keys = [("revision", "abc"), ("author", "ada"), ("run", run)];
    FeatureEntity {
        keys: keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..FeatureEntity::default()
    }
}

fn values(vector: &FeatureVector) -> Vec<Option<f64>> {
    let value = |f: &auspex_proto::vector::Feature| (f.status == Status::Present).then_some(f.value);
    vector.features.iter().map(value).collect()
}

/// What the offline store says was known of a build at that moment: what is learned from.
async fn known_then(answers: &Answers, run: &str, at: i64) -> Vec<Option<f64>> {
    use auspex_proto::wire::feature_store_server::FeatureStore as _;
    let request = GetHistoricalFeaturesRequest {
        project: "acme/shop".to_owned(),
        feature_service: "ci-run".to_owned(),
        entities: vec![FeatureEntity {
            time_ms: at,
            ..keys(run)
        }],
        ..GetHistoricalFeaturesRequest::default()
    };
    let answer = answers.get_historical_features(Request::new(request)).await;
    let (mut bytes, mut names) = (Vec::new(), Vec::new());
    let mut parts = answer.unwrap().into_inner();
    while let Some(part) = parts.next().await {
        let part = part.unwrap();
        bytes.extend(part.bytes);
        names.extend(part.names);
    }
    let columns = auspex_features::offline::columns(bytes.into(), &names).unwrap();
    columns
        .iter()
        .map(|column| Some(column[0].0).filter(|value| value.is_finite()))
        .collect()
}

/// The features that were served otherwise than they are learned from.
fn differing<'a>(served: &'a FeatureVector, then: &[Option<f64>]) -> Vec<&'a str> {
    let same = |served: Option<f64>, then: Option<f64>| match (served, then) {
        (Some(served), Some(then)) => (served - then).abs() <= 1e-9 * then.abs().max(1.0),
        (served, then) => served == then,
    };
    let all = served.features.iter().zip(values(served)).zip(then);
    all.filter(|((_, served), then)| !same(*served, **then))
        .map(|((feature, _), _)| feature.name.as_str())
        .collect()
}

/// Learned from are the very values that were served, once the rows are offline.
async fn learned_alike(answers: &Answers, second: &FeatureVector) {
    let at = second.meta.time.0;
    let mut found = Vec::new();
    for _ in 0..200 {
        found = differing(second, &known_then(answers, "build", at).await);
        if found.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("served otherwise than learned from: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_served_as_it_is_learned_from() {
    let test = TestHouse::start().await.unwrap();
    let (house, folder) = (&test.house, tempfile::tempdir().unwrap());
    let config = Config {
        offline: folder.path().display().to_string(),
        builds: "ci-run".to_owned(),
        ..Config::default()
    };
    let answers = serve::open(house, &config).await.unwrap();
    let mut follow = house.follow(&[FactKind::Vector], From::All).await.unwrap();
    let publish = async |id: &str, body: Body| {
        let fact = event(id, house.now().0, body);
        house.bus().publish(&fact).await.unwrap();
    };
    assert!(define(&answers, DOCUMENTS, true).await.applied);
    publish("c", Body::Change(with_stats("abc"))).await;
    publish("1", run("build", "abc", 1, Outcome::Failure)).await;
    // Right behind what it is to know.
    publish("2", told("build", 2, RunPhase::Queued)).await;
    publish("3", told("build", 2, RunPhase::Started)).await;
    publish("4", told("build", 3, RunPhase::Started)).await;
    let mut all = served(&mut follow, 2).await;
    all.sort_by_key(|vector| vector.meta.cause);
    let (third, second) = (all.pop().unwrap(), all.pop().unwrap());
    assert_eq!(second.feature_service, "ci-run@1");
    assert_eq!(
        (second.entity.id.as_str(), second.entity.revision.as_str()),
        ("build", "abc")
    );
    assert!(second.meta.cause + 1 < third.meta.cause && !second.wants_reasons);
    assert_eq!(value(&second, "change_impact__files"), Some(3.0));
    assert_eq!(value(&second, "build_history__failure_rate_30d"), Some(1.0));
    assert_eq!(value(&second, "author_builds__runs_30d"), Some(1.0));

    // As whoever asks for it now, and as whoever learns of it later.
    let request = GetOnlineFeaturesRequest {
        project: "acme/shop".to_owned(),
        feature_service: "ci-run".to_owned(),
        entities: vec![keys("build")],
        ..GetOnlineFeaturesRequest::default()
    };
    let online = ask(&answers, request).await;
    assert_eq!(online.schema_hash, second.schema_hash);
    let age = |name: &str| name.contains("seconds_since") || name.contains("age") || name.contains("hours");
    for (place, (name, served)) in online.names.iter().zip(values(&second)).enumerate() {
        let asked = Some(online.rows[0].values[place]).filter(|value| value.is_finite());
        assert!(age(name) || asked == served, "{name}: {served:?}, {asked:?}");
    }
    learned_alike(&answers, &second).await;
}

/// What is told of one name is saved as soon as the first of it is half a second old, together with what was told last.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_knows_its_change_however_busy_its_name_is() {
    let test = TestHouse::start().await.unwrap();
    let house = &test.house;
    let config = Config {
        builds: "ci-run".to_owned(),
        ..Config::default()
    };
    let answers = serve::open(house, &config).await.unwrap();
    let mut follow = house.follow(&[FactKind::Vector], From::All).await.unwrap();
    assert!(define(&answers, DOCUMENTS, true).await.applied);
    const BUILDS: u32 = 12;
    for number in 0..BUILDS {
        let revision = format!("abc{number}");
        let Body::Run(mut run) = run("build", &revision, 1, Outcome::Success) else {
            panic!("a run")
        };
        (run.run_id, run.phase) = (format!("run {number}"), RunPhase::Queued);
        let change = Body::Change(with_stats(&revision));
        for (id, body) in [("change", change), ("run", Body::Run(run))] {
            let fact = event(&format!("{id} {number}"), house.now().0, body);
            house.bus().publish(&fact).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(70)).await;
    }
    for vector in served(&mut follow, BUILDS as usize).await {
        let files = value(&vector, "change_impact__files");
        assert_eq!(
            files,
            Some(3.0),
            "{}: {:?}",
            vector.entity.id,
            vector.entity.revision
        );
    }
}
