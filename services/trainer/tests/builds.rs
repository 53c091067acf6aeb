//! A month of played builds: the history tells of them, the feature store what was known when each was asked for, and what is learned
//! from that is registered and scores the next build.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod made;

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_chassis::Mesh;
use auspex_chassis::testing::TestHouse;
use auspex_learn::random::Random;
use auspex_learn::sigmoid;
use auspex_proto::event::{Body, Change, ChangeStats, Outcome, Run, RunPhase};
use auspex_proto::wire::feature_store_client::FeatureStoreClient;
use auspex_proto::wire::scoring_client::ScoringClient;
use auspex_proto::wire::{
    self, FeatureCells, FeatureEntity, GetOnlineFeaturesRequest, GetOnlineFeaturesResponse, ScoreRequest,
};
use auspex_proto::{Event, Fact, Revision};
use auspex_trainer::prepare::Prepared;
use auspex_trainer::publish::Registry;
use auspex_trainer::table::choice::Wanted;
use auspex_trainer::train::finish;
use auspex_trainer::{Bench, Candidate, Place, Recalibrate, Report, Request, built};
use tonic::transport::Channel;

const DAY: i64 = 86_400_000;
const PATIENCE: Duration = Duration::from_secs(120);
const BUILDS: i64 = 600;

fn fact(id: String, time: i64, body: Body) -> Fact {
    let meta = made::meta(id, time);
    Fact::Event(Event { meta, body })
}

fn change(build: i64, files: f64, time: i64) -> Fact {
    let body = Change {
        revision: Revision::new(format!("r{build}")).unwrap(),
        branch: "main".to_owned(),
        author: format!("author {}", build % 7),
        title: "work".to_owned(),
        paths: Vec::new(),
        stats: Some(ChangeStats {
            files: Some(files),
            ..ChangeStats::default()
        }),
        authored: None,
        complexity: None,
    };
    fact(format!("change {build}"), time, Body::Change(body))
}

fn ended(build: i64, name: &str, outcome: Outcome, time: i64) -> Fact {
    let body = Run {
        run_id: format!("run {build}"),
        name: name.to_owned(),
        revision: Some(Revision::new(format!("r{build}")).unwrap()),
        branch: "main".to_owned(),
        attempt: 1,
        phase: RunPhase::Finished(outcome),
        queued: Some(Duration::from_secs(20)),
        duration: Some(Duration::from_secs(400)),
        runner: "linux".to_owned(),
    };
    fact(format!("run {build}"), time, Body::Run(body))
}

/// Builds of two names over four weeks; those of large changes fail, and of `flaky` more than of `steady`. The last one is enormous,
/// the one before it small, and neither has been built yet.
fn month(begin: i64) -> Vec<Fact> {
    let mut random = Random::new(3);
    let mut facts = Vec::new();
    for build in 0..BUILDS {
        let time = begin + build * (28 * DAY / BUILDS);
        let files = (random.unit() * 40.0).floor();
        let name = if random.unit() < 0.5 { "flaky" } else { "steady" };
        let risk = files / 7.0 - 4.5 + if name == "flaky" { 2.0 } else { 0.0 };
        let outcome = match (random.unit() < 0.05, random.unit() < sigmoid(risk)) {
            (true, _) => Outcome::Cancellation,
            (false, true) => Outcome::Failure,
            (false, false) => Outcome::Success,
        };
        facts.push(change(build, files, time));
        facts.push(ended(build, name, outcome, time + 480_000));
    }
    let now = begin + 28 * DAY;
    facts.extend([change(BUILDS, 1.0, now), change(BUILDS + 1, 39.0, now)]);
    facts
}

/// A mesh with everything that a team's `ci-run` needs.
async fn mesh(house: &TestHouse, folder: &std::path::Path) -> (Mesh, Channel) {
    let services = [
        auspex_features::SERVICE,
        auspex_scoring::SERVICE,
        auspex_registry::SERVICE,
        auspex_history::SERVICE,
    ];
    let folders = [("features.offline", "features"), ("history.folder", "history")];
    let folders = folders.map(|(name, part)| format!("{name}={}", folder.join(part).display()));
    let settings = [
        folders[0].as_str(),
        folders[1].as_str(),
        "history.archive.segment_seconds=1",
    ];
    made::mesh::start(house, &services, &settings).await
}

fn request(out: &std::path::Path) -> Request {
    Request {
        table: "the builds of shop".into(),
        join: None,
        wanted: Wanted {
            label: "the build failed".to_owned(),
            time: Some("when it was asked for".to_owned()),
            ..Wanted::default()
        },
        split: 0.8,
        test: None,
        candidates: vec![Candidate::Logistic, Candidate::Gbdt, Candidate::Ensemble],
        recalibrate: Recalibrate::None,
        delay: 0.0,
        history: false,
        context: false,
        ratios: Vec::new(),
        out: out.to_owned(),
        name: "ci-run".to_owned(),
        version: "1".to_owned(),
        feature_service: "ci-run".to_owned(),
        seed: 1,
    }
}

async fn now(store: &mut FeatureStoreClient<Channel>, build: i64, name: &str) -> GetOnlineFeaturesResponse {
    let keys = [
        ("revision", format!("r{build}")),
        ("author", format!("author {}", build % 7)),
        ("run", name.to_owned()),
    ];
    let asked = GetOnlineFeaturesRequest {
        project: "shop".to_owned(),
        feature_service: "ci-run".to_owned(),
        entities: vec![FeatureEntity {
            keys: keys.map(|(key, value)| (key.to_owned(), value)).into(),
            ..FeatureEntity::default()
        }],
        ..GetOnlineFeaturesRequest::default()
    };
    store.get_online_features(asked).await.unwrap().into_inner()
}

/// What scores now says of a build that has not run yet.
async fn risk(channel: &Channel, build: i64, name: &str) -> wire::Score {
    let answer = now(&mut FeatureStoreClient::new(channel.clone()), build, name).await;
    let FeatureCells { values, statuses } = answer.rows[0].clone();
    let cells = answer.names.iter().zip(values.iter().zip(&statuses));
    let feature = |(name, (value, status)): (&String, (&f64, &u8))| wire::Feature {
        name: name.clone(),
        value: *value,
        status: i32::from(*status),
    };
    let vector = wire::FeatureVector {
        meta: Some(wire::Meta {
            id: format!("asked {build}"),
            project: "shop".to_owned(),
            time_ms: answer.as_of_ms,
            source: "test".to_owned(),
            ..wire::Meta::default()
        }),
        entity: Some(wire::Entity {
            kind: wire::EntityKind::Run.into(),
            id: format!("next {build}"),
            revision: format!("r{build}"),
            ..wire::Entity::default()
        }),
        feature_service: answer.feature_service,
        schema_hash: answer.schema_hash,
        features: cells.map(feature).collect(),
        ..wire::FeatureVector::default()
    };
    let asked = ScoreRequest {
        vector: Some(vector),
        with_reasons: true,
    };
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        // A version that was just registered takes a moment to be loaded.
        match ScoringClient::new(channel.clone()).score(asked.clone()).await {
            Ok(score) => return score.into_inner(),
            Err(fault) => assert!(tokio::time::Instant::now() < end, "{fault}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Both the archive and the offline store are some seconds behind the log.
async fn arrived(place: &Place, out: &std::path::Path) -> (Prepared, Request) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut asked = request(out);
        if let Ok(prepared) = built::prepare(place, &["shop".to_owned()], &mut asked, &|_| ()).await {
            let rows = prepared.train.rows() + prepared.test.rows() + prepared.immature;
            let newest = prepared.test.table.row(prepared.test.rows() - 1);
            if rows as i64 > BUILDS * 9 / 10 && newest.iter().filter(|value| !value.is_nan()).count() > 8 {
                return (prepared, asked);
            }
        }
        assert!(tokio::time::Instant::now() < end, "the builds do not arrive");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn learned(asked: Request, prepared: Prepared) -> Report {
    let runtime = auspex_chassis::tools::onnxruntime().await;
    let bench = Bench {
        plugin: None,
        runtime: Some(runtime.map_err(|fault| format!("{fault:#}"))),
    };
    let report = tokio::task::spawn_blocking(move || finish(&asked, &bench, prepared, &|_| ()));
    report.await.unwrap().unwrap()
}

/// The small change and the large one, neither of which has been built yet.
async fn scores(channel: &Channel) {
    let small = risk(channel, BUILDS, "steady").await;
    let large = risk(channel, BUILDS + 1, "flaky").await;
    assert!(
        small.p_failure < 0.25 && large.p_failure > 0.7,
        "{small:?} {large:?}"
    );
    assert!(large.model.starts_with("ci-run@") && small.mitigations.is_empty());
    assert_eq!(large.reasons[0].feature, "change_impact__files");
    for worth_doing in ["enable_extra_retries", "split_build_into_chunks"] {
        let told = &large.mitigations;
        assert!(told.iter().any(|word| word == worth_doing), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_played_month_of_builds_is_learned_registered_and_scores() {
    let house = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mesh, channel) = mesh(&house, folder.path()).await;
    made::mesh::know_builds(&channel).await;
    let facts = month(house.house.now().0 - 29 * DAY);
    for fact in &facts {
        house.house.bus().publish(fact).await.unwrap();
    }

    let place = Place {
        address: format!("http://{}", mesh.address()),
        ..Place::default()
    };
    let out = folder.path().join("model");
    let mut asked = request(&out);
    let quiet = |_: &str| ();
    let nobody = ["till".to_owned()];
    let fault = built::prepare(&place, &nobody, &mut asked, &quiet)
        .await
        .unwrap_err();
    assert!(
        fault.to_string().contains("till: no build with an outcome"),
        "{fault}"
    );
    let (prepared, asked) = arrived(&place, &out).await;
    // Asked about as of its beginning, each build has an outcome eight minutes later.
    assert!((asked.delay - 420.0).abs() < 61.0, "{}", asked.delay);
    assert_eq!(asked.feature_service, "ci-run@1");
    let report = learned(asked, prepared).await;
    assert!(report.publishable, "{:?}", report.gates);
    let auc = report.test.roc_auc.unwrap();
    assert!((0.7..0.98).contains(&auc), "{auc}");
    let moves: BTreeMap<&str, f64> = report
        .importance
        .iter()
        .map(|(name, by)| (name.as_str(), *by))
        .collect();
    assert!(
        moves["change_impact__files"] > 0.1 && moves["build_history__failure_rate_30d"] > 0.02,
        "{moves:?}"
    );

    let registry = Registry::of(&place).unwrap();
    let files = auspex_trainer::publish::files(&out).unwrap();
    registry
        .register(files, "champion", "of our own builds")
        .await
        .unwrap();
    scores(&channel).await;
    assert_eq!(mesh.stop().await, Vec::<String>::new());
}
