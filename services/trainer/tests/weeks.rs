//! Weeks of builds, played in seconds through a whole mesh: each is served when it is asked for, what is served meets how it ended,
//! every week a version is learned, and from the first one on builds score by themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod made;

use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{From, Mesh};
use auspex_learn::random::Random;
use auspex_learn::sigmoid;
use auspex_proto::event::{Body, Change, ChangeStats, Outcome, Run, RunPhase};
use auspex_proto::wire::feedback_client::FeedbackClient;
use auspex_proto::wire::model_registry_client::ModelRegistryClient;
use auspex_proto::wire::scoring_client::ScoringClient;
use auspex_proto::wire::trainer_client::TrainerClient;
use auspex_proto::wire::{
    self, GetModelVersionRequest, GetReliabilityRequest, GetScoreRequest, GetTrainingRequest,
    GetTrainingResponse, Reliability, TrainNowRequest,
};
use auspex_proto::{EntityKind, Event, Fact, FactKind, Revision};
use auspex_trainer::Place;
use auspex_trainer::publish::Registry;
use tonic::transport::Channel;

const DAY: i64 = 86_400_000;
const PATIENCE: Duration = Duration::from_secs(120);
const A_WEEK: i64 = 160;

/// A build: what it builds, and how it will end.
struct Build {
    id: i64,
    name: &'static str,
    files: f64,
    fails: bool,
    time: i64,
}

impl Build {
    fn change(&self) -> Fact {
        let body = Body::Change(Change {
            revision: Revision::new(format!("r{}", self.id)).unwrap(),
            branch: "main".to_owned(),
            author: format!("author {}", self.id % 7),
            title: "work".to_owned(),
            paths: Vec::new(),
            stats: Some(ChangeStats {
                files: Some(self.files),
                ..ChangeStats::default()
            }),
            authored: None,
            complexity: None,
        });
        let meta = made::meta(format!("change {}", self.id), self.time);
        Fact::Event(Event { meta, body })
    }

    fn told(&self, phase: RunPhase, after: i64) -> Fact {
        let body = Body::Run(Run {
            run_id: format!("run {}", self.id),
            name: self.name.to_owned(),
            revision: Some(Revision::new(format!("r{}", self.id)).unwrap()),
            branch: "main".to_owned(),
            attempt: 1,
            phase,
            queued: None,
            duration: None,
            runner: String::new(),
        });
        let id = format!("run {} {phase:?}", self.id);
        let meta = made::meta(id, self.time + after);
        Fact::Event(Event { meta, body })
    }

    fn ended(&self) -> Fact {
        let outcome = if self.fails {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        self.told(RunPhase::Finished(outcome), 480_000)
    }
}

/// A week of builds; those of large changes fail, and of `flaky` more than of `steady`.
fn week(number: i64, begin: i64, random: &mut Random) -> Vec<Build> {
    let build = |place: i64| {
        let files = (random.unit() * 40.0).floor();
        let name = if random.unit() < 0.5 { "flaky" } else { "steady" };
        let risk = files / 4.0 - 6.0 + if name == "flaky" { 2.0 } else { 0.0 };
        Build {
            id: number * A_WEEK + place,
            name,
            files,
            fails: random.unit() < sigmoid(risk),
            time: begin + (number * A_WEEK + place) * (7 * DAY / A_WEEK),
        }
    };
    (0..A_WEEK).map(build).collect()
}

/// A mesh in which builds are served, scored and learned from; what scores them first is the cold start that ships.
async fn mesh(house: &TestHouse, folder: &std::path::Path) -> (Mesh, Channel) {
    let services = [
        auspex_features::SERVICE,
        auspex_scoring::SERVICE,
        auspex_registry::SERVICE,
        auspex_trainer::SERVICE,
    ];
    let offline = format!("features.offline={}", folder.display());
    let settings = [
        offline.as_str(),
        "features.builds=ci-run",
        "trainer.registry=ADDRESS",
        "trainer.look_seconds=1",
        "trainer.builds.least_examples=140",
        "trainer.builds.on_drift=false",
    ];
    let (mesh, channel) = made::mesh::start(house, &services, &settings).await;
    made::mesh::know_builds(&channel).await;
    let place = Place {
        address: format!("http://{}", mesh.address()),
        ..Place::default()
    };
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/ci-run");
    let files = auspex_trainer::publish::files(&shipped).unwrap();
    let registry = Registry::of(&place).unwrap();
    let number = registry
        .register(files, "champion", "until we have our own")
        .await;
    assert_eq!(number.unwrap(), "1");
    (mesh, channel)
}

/// Asks again and again, until what is found will do.
async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn training(channel: &Channel, wanted: impl Fn(&GetTrainingResponse) -> bool) -> GetTrainingResponse {
    until("the training", async || {
        let asked = GetTrainingRequest {
            model: "ci-run".to_owned(),
        };
        let found = TrainerClient::new(channel.clone()).get_training(asked).await;
        found.ok().map(tonic::Response::into_inner).filter(&wanted)
    })
    .await
}

async fn publish(house: &TestHouse, facts: impl Iterator<Item = Fact>) {
    for fact in facts {
        house.house.bus().publish(&fact).await.unwrap();
    }
}

async fn score(channel: &Channel, run: &str) -> wire::Score {
    until("the score", async || {
        let asked = GetScoreRequest {
            project: "shop".to_owned(),
            run: run.to_owned(),
            ..GetScoreRequest::default()
        };
        let found = ScoringClient::new(channel.clone()).get_score(asked).await;
        found.ok().map(tonic::Response::into_inner)
    })
    .await
}

/// What became of the predictions of the version that scores.
async fn reliability(channel: &Channel, model: &str, outcomes: u64) -> Reliability {
    until("the outcomes", async || {
        let asked = GetReliabilityRequest {
            model: model.to_owned(),
            project: "shop".to_owned(),
        };
        let found = FeedbackClient::new(channel.clone()).get_reliability(asked).await;
        let found = found.ok()?.into_inner().models.into_iter().next()?;
        (found.outcomes >= outcomes).then_some(found)
    })
    .await
}

async fn version(channel: &Channel, alias: &str) -> wire::ModelVersion {
    let asked = GetModelVersionRequest {
        name: "ci-run".to_owned(),
        version: alias.to_owned(),
    };
    let found = ModelRegistryClient::new(channel.clone()).get_version(asked).await;
    found.unwrap().into_inner()
}

/// Two builds that are asked for now: a small one and an enormous one. Each has one score, and the change behind it its own.
async fn next(house: &TestHouse, channel: &Channel) -> [Build; 2] {
    let build = |id, name, files, fails| Build {
        id,
        name,
        files,
        fails,
        time: house.house.now().0 - 1000,
    };
    let builds = [
        build(9_000, "steady", 1.0, false),
        build(9_001, "flaky", 39.0, true),
    ];
    for build in &builds {
        let told = [
            build.change(),
            build.told(RunPhase::Queued, 500),
            build.told(RunPhase::Started, 900),
        ];
        publish(house, told.into_iter()).await;
    }
    let (small, large) = (score(channel, "run 9000").await, score(channel, "run 9001").await);
    // The first version has seen one week, and makes something of the hour at which this runs.
    assert!(
        small.p_failure + 0.2 < large.p_failure && large.p_failure > 0.3,
        "{small:?} {large:?}"
    );
    assert_eq!(small.p_failure < 0.3, small.mitigations.is_empty(), "{small:?}");
    assert!(large.model.starts_with("ci-run@"));
    let entity = large.entity.unwrap();
    assert_eq!(
        (entity.kind(), entity.id.as_str()),
        (wire::EntityKind::Run, "run 9001")
    );
    assert_eq!(large.reasons[0].feature, "change_impact__files");
    for worth_doing in [
        "enable_extra_retries",
        "increase_timeouts",
        "split_build_into_chunks",
    ] {
        let told = &large.mitigations;
        assert!(told.iter().any(|word| word == worth_doing), "{told:?}");
    }
    assert!(
        !large
            .mitigations
            .iter()
            .any(|word| word == "require_manual_approval")
    );
    let asked = GetScoreRequest {
        project: "shop".to_owned(),
        revision: "r9001".to_owned(),
        ..GetScoreRequest::default()
    };
    let change = ScoringClient::new(channel.clone()).get_score(asked).await;
    assert!(change.unwrap().into_inner().model.starts_with("change-risk@"));
    builds
}

/// What the cold start says of a build, before anything was learned of builds: something, with its range and why.
async fn cold(channel: &Channel) {
    let first = score(channel, "run 0").await;
    assert_eq!(first.model, "ci-run@1");
    let range = first.low..=first.high;
    assert!(range.contains(&first.p_failure), "{first:?}");
    assert!((0.02..0.7).contains(&first.p_failure), "{first:?}");
}

/// How many scores of builds there are of each of these runs.
async fn counted(house: &TestHouse, runs: &[&str]) -> Vec<usize> {
    let mut follow = house.house.follow(&[FactKind::Score], From::All).await.unwrap();
    let mut counts = vec![0; runs.len()];
    loop {
        let next = follow.next().await.unwrap();
        if let Fact::Score(score) = next.fact
            && score.entity.kind == EntityKind::Run
            && let Some(place) = runs.iter().position(|run| *run == score.entity.id)
        {
            counts[place] += 1;
        }
        if next.behind == 0 {
            return counts;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weeks_of_builds_are_learned_and_the_next_one_scores_by_itself() {
    let house = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mesh, channel) = mesh(&house, folder.path()).await;
    let mut random = Random::new(3);
    let begin = house.house.now().0 - 22 * DAY;
    for number in 0..3_i64 {
        let builds = week(number, begin, &mut random);
        let begun = |build: &Build| [build.change(), build.told(RunPhase::Queued, 1000)];
        publish(&house, builds.iter().flat_map(begun)).await;
        // Nothing has an outcome before it is served.
        training(&channel, |found| found.waiting >= A_WEEK as u64).await;
        if number == 0 {
            cold(&channel).await;
        }
        publish(&house, builds.iter().map(Build::ended)).await;
        training(&channel, |found| found.runs.len() as i64 > number).await;
    }
    let found = training(&channel, |found| found.runs.len() >= 3).await;
    let causes: Vec<&str> = found.runs.iter().map(|run| run.cause.as_str()).collect();
    assert_eq!(causes, ["first", "weekly", "weekly"], "{found:?}");
    let last = found.runs.last().unwrap();
    assert!(last.published && last.brier < last.brier_base, "{found:?}");
    assert!((0.7..0.99).contains(&last.roc_auc), "{last:?}");
    // The first of our own builds took the place of the cold start; those after it stand beside it.
    let (champion, challenger) = (
        version(&channel, "champion").await,
        version(&channel, "challenger").await,
    );
    assert_eq!(champion.version.to_string(), found.runs[0].version, "{found:?}");
    assert!(champion.version > 1 && champion.version < challenger.version);
    assert_eq!(challenger.version.to_string(), last.version);
    assert_eq!(champion.schema_hash, version(&channel, "1").await.schema_hash);
    assert_eq!(challenger.feature_service, "ci-run@1");

    let builds = next(&house, &channel).await;
    assert_eq!(counted(&house, &["run 9000", "run 9001"]).await, [1, 1]);
    // Builds of the weeks after the first version were scored, and their outcomes joined; so are these two.
    let model = format!("ci-run@{}", champion.version);
    let before = reliability(&channel, &model, 100).await;
    assert!(
        before.brier < before.brier_base && before.roc_auc > 0.7,
        "{before:?}"
    );
    publish(&house, builds.iter().map(Build::ended)).await;
    reliability(&channel, &model, before.outcomes + 2).await;

    // Somebody asks: each model has its own training.
    let ask = async |model: &str| {
        let request = TrainNowRequest {
            actor: "ada".to_owned(),
            note: "let us see".to_owned(),
            model: model.to_owned(),
        };
        TrainerClient::new(channel.clone()).train_now(request).await
    };
    let run = ask("ci-run").await.unwrap().into_inner();
    assert_eq!((run.cause.as_str(), run.published), ("demand", true), "{run:?}");
    assert!(
        ask("").await.is_err(),
        "of changes there is nothing to learn from"
    );
    assert_eq!(ask("other").await.unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(mesh.stop().await, Vec::<String>::new());
}
