//! The stage on a real bus, and its door.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod facts;

use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{From, View};
use auspex_features::Config;
use auspex_features::query::Answers;
use auspex_proto::event::Body;
use auspex_proto::wire::GetOnlineFeaturesRequest;
use auspex_proto::wire::feature_store_server::FeatureStore;
use auspex_proto::{Fact, FactKind, FeatureVector, Project, stage};
use facts::*;
use tonic::Request;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_what_was_written() {
    let test = TestHouse::start().await.unwrap();
    let house = &test.house;
    let config = Config {
        offline: String::new(),
        ..Config::default()
    };
    let answers = auspex_features::serve::open(house, &config).await.unwrap();
    let mut follow = house.follow(&[FactKind::Vector], From::All).await.unwrap();
    let now = house.now().0;
    for (id, body) in [
        ("c", Body::Change(with_stats("abc"))),
        ("d", deployment("d1", "abc")),
    ] {
        house.bus().publish(&event(id, now, body)).await.unwrap();
        // What the log has taken is known at once, long before it is saved.
        let asked = answers.get_online_features(Request::new(about("acme/shop", &["abc"])));
        let vectors = asked.await.unwrap().into_inner().vectors;
        assert!(!known(&FeatureVector::from_wire(vectors[0].clone()).unwrap()).is_empty());
    }
    let mut written = Vec::new();
    while written.len() < 2 {
        let next = tokio::time::timeout(Duration::from_secs(20), follow.next())
            .await
            .unwrap()
            .unwrap();
        let Fact::Vector(vector) = next.fact else {
            panic!("not a vector")
        };
        written.push(vector);
    }
    assert!(written[1].wants_reasons && written[1].features == written[0].features);

    answers_hold(&test, &answers, &written).await;
}

fn about(project: &str, revisions: &[&str]) -> GetOnlineFeaturesRequest {
    GetOnlineFeaturesRequest {
        project: project.to_owned(),
        revisions: revisions.iter().map(|r| (*r).to_owned()).collect(),
        ..GetOnlineFeaturesRequest::default()
    }
}

/// The door tells the same as the log, and nothing of what nobody told.
async fn answers_hold(test: &TestHouse, answers: &Answers, written: &[FeatureVector]) {
    let house = &test.house;
    let project = Project::new("acme/shop").unwrap();
    let view: View<auspex_features::state::State> = house.view(stage::FEATURES).await.unwrap();
    let seq = written[1].meta.cause;
    view.at_least(&project, project.as_str(), seq, Duration::from_secs(20))
        .await
        .unwrap()
        .unwrap();
    let ask = |project: &str, revisions: &[&str]| {
        answers.get_online_features(Request::new(about(project, revisions)))
    };
    let found = ask("acme/shop", &["nobody", "abc"])
        .await
        .unwrap()
        .into_inner()
        .vectors;
    let found: Vec<_> = found
        .into_iter()
        .map(|v| FeatureVector::from_wire(v).unwrap())
        .collect();
    assert_eq!(
        found.iter().map(|v| v.entity.id.as_str()).collect::<Vec<_>>(),
        ["nobody", "abc"]
    );
    assert_eq!((known(&found[0]).len(), found[0].features.len()), (0, 14));
    assert_eq!(found[1].features, written[0].features);
    let unknown = ask("nobody/nothing", &["abc"])
        .await
        .unwrap()
        .into_inner()
        .vectors;
    assert!(known(&FeatureVector::from_wire(unknown[0].clone()).unwrap()).is_empty());
    assert_eq!(
        ask("acme/shop", &[]).await.unwrap_err().code(),
        tonic::Code::InvalidArgument
    );
    assert_eq!(
        ask("acme/shop", &[""]).await.unwrap_err().code(),
        tonic::Code::InvalidArgument
    );
}
