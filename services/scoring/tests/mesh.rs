//! The stage on a real bus, and its door.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{From, tools};
use auspex_proto::score::Band;
use auspex_proto::vector::{Feature, schema_hash};
use auspex_proto::wire::scoring_server::Scoring;
use auspex_proto::wire::{GetScoreRequest, ScoreRequest};
use auspex_proto::{
    Entity, EntityKind, Fact, FactId, FactKind, FeatureVector, Meta, Project, Revision, Score,
};
use auspex_scoring::manifest::Manifest;
use auspex_scoring::query::Answers;
use auspex_scoring::{Config, embedded};
use tonic::{Code, Request};

fn vector(id: u64, revision: &str, wants_reasons: bool) -> FeatureVector {
    let manifest = Manifest::parse(embedded::MANIFEST).unwrap();
    FeatureVector {
        meta: Meta {
            id: FactId::derived("features", id, "acme/shop", 0),
            project: Project::new("acme/shop").unwrap(),
            time: auspex_proto::Timestamp(1_700_000_000_000),
            cause: id,
            source: "features".to_owned(),
        },
        entity: Entity {
            kind: EntityKind::Change,
            id: revision.to_owned(),
            revision: Revision::new(revision).unwrap(),
            service: None,
        },
        feature_service: "change-risk@1".to_owned(),
        schema_hash: manifest.feature_schema_sha256,
        features: manifest
            .features
            .into_iter()
            .map(|f| Feature::present(f.name, 2.0))
            .collect(),
        context: Vec::new(),
        wants_reasons,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_of_the_log_becomes_a_score_of_the_log() {
    let test = TestHouse::start().await.unwrap();
    let house = &test.house;
    auspex_scoring::open(house, Config::default()).await.unwrap();
    let mut follow = house.follow(&[FactKind::Score], From::All).await.unwrap();
    let mut other = vector(2, "abc", false);
    other.features.pop();
    other.schema_hash = schema_hash(other.features.iter().map(|f| f.name.as_str()));
    let mut causes = Vec::new();
    for vector in [vector(1, "abc", true), other, vector(3, "def", false)] {
        causes.push(house.bus().publish(&Fact::Vector(vector)).await.unwrap().sequence);
    }
    let mut scores: Vec<Score> = Vec::new();
    while scores.len() < 2 {
        let next = tokio::time::timeout(Duration::from_secs(20), follow.next())
            .await
            .unwrap()
            .unwrap();
        let Fact::Score(score) = next.fact else {
            panic!("not a score")
        };
        scores.push(score);
    }
    scores.sort_by_key(|score| score.meta.cause);
    assert_eq!(
        (scores[0].meta.cause, scores[1].meta.cause),
        (causes[0], causes[2]),
        "the other schema has none"
    );
    assert_eq!(scores[0].p_failure, scores[1].p_failure);
    assert_eq!(scores[0].reasons.len(), 8);
    assert_eq!(scores[1].reasons.is_empty(), scores[1].band == Band::Low);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_scores_what_one_has_and_tells_the_last_of_a_revision() {
    let library = tools::onnxruntime().await.unwrap();
    let (serving, _opener) = auspex_scoring::start_with(&library, &Config::default()).unwrap();
    let latest = std::sync::Arc::<std::sync::RwLock<auspex_scoring::latest::Latest>>::default();
    let answers = Answers::new(serving, latest.clone());
    let ask = |vector: Option<FeatureVector>, with_reasons| {
        let vector = vector.map(|v| v.to_wire());
        answers.score(Request::new(ScoreRequest { vector, with_reasons }))
    };
    let score = Score::from_wire(
        ask(Some(vector(1, "abc", false)), true)
            .await
            .unwrap()
            .into_inner(),
    )
    .unwrap();
    assert_eq!((score.reasons.len(), score.model.as_str()), (8, "change-risk@1"));
    assert_eq!(ask(None, false).await.unwrap_err().code(), Code::InvalidArgument);
    let mut other = vector(2, "abc", false);
    other.features.pop();
    other.schema_hash = schema_hash(other.features.iter().map(|f| f.name.as_str()));
    assert_eq!(
        ask(Some(other), false).await.unwrap_err().code(),
        Code::FailedPrecondition
    );

    let last = |revision: &str| {
        let (project, revision) = ("acme/shop".to_owned(), revision.to_owned());
        answers.get_score(Request::new(GetScoreRequest {
            project,
            revision,
            ..GetScoreRequest::default()
        }))
    };
    assert_eq!(last("abc").await.unwrap_err().code(), Code::NotFound);
    latest.write().unwrap().note(score.clone());
    assert_eq!(
        Score::from_wire(last("abc").await.unwrap().into_inner()).unwrap(),
        score
    );
    assert_eq!(last("").await.unwrap_err().code(), Code::InvalidArgument);
}
