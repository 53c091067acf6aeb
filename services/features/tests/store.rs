//! The feature store on a real bus: what is pushed is read, now and as of then; an older event never overwrites; streams come from
//! facts.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test tells its story in one go"
)]

mod facts;
mod shop;

use auspex_chassis::testing::TestHouse;
use auspex_features::query::Answers;
use auspex_proto::event::{Body, DeploymentState};
use auspex_proto::wire::feature_store_server::FeatureStore;
use auspex_proto::wire::*;
use facts::*;
use shop::*;
use tonic::{Code, Request};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_read_now_and_then() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let answers = open(&test.house, folder.path()).await;
    assert_eq!(define(&answers, DOCUMENTS, false).await.changes.len(), 4);
    let missing = answers
        .push(Request::new(PushRequest {
            project: PROJECT.to_owned(),
            view: "orders".to_owned(),
            rows: vec![order("a", 1.0, 0, 0)],
            wait: false,
        }))
        .await;
    assert_eq!(
        missing.unwrap_err().code(),
        Code::NotFound,
        "a plan applies nothing"
    );
    assert!(define(&answers, DOCUMENTS, true).await.applied);
    assert!(
        define(&answers, DOCUMENTS, true)
            .await
            .changes
            .iter()
            .all(|c| c.action == "none")
    );

    // A minute may pass within the test: events lie well inside their windows.
    let now = test.house.now().0;
    let minute = 60_000;
    assert!(
        push(&answers, vec![order("a", 10.0, now - 10 * minute, 0)])
            .await
            .visible
    );
    push(&answers, vec![order("a", 5.0, now - 5 * 60 * minute, 0)]).await;
    let cells = get(&answers, "a").await;
    assert_eq!(cells[0], (10.0, PRESENT), "five hours older never overwrites");
    assert_eq!((cells[1], cells[2], cells[3]), ((10.0, 1), (1.0, 1), (2.0, 1)));
    assert_eq!(cells[4], (0.5, PRESENT), "5 of 10");
    // The same event told once more, otherwise: a correction. And once more as it was: a repeat. Not in the millisecond of the
    // request above, as of which it would be known too.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    push(&answers, vec![order("a", 11.0, now - 10 * minute, 0)]).await;
    push(&answers, vec![order("a", 11.0, now - 10 * minute, 0)]).await;
    assert_eq!(get(&answers, "a").await[..3], [(11.0, 1), (21.0, 1), (2.0, 1)]);
    // Past its time to live, and never told.
    push(
        &answers,
        vec![order("b", 7.0, now - 2 * 60 * minute, now - 2 * 60 * minute)],
    )
    .await;
    assert_eq!(get(&answers, "b").await[0].1, EXPIRED);
    assert_eq!(get(&answers, "nobody").await[0].1, NOT_FOUND);

    // Offline the same, as soon as it is written: at the present moment, and at moments before.
    let online = get(&answers, "a").await;
    let offline = until("the same offline", || async {
        let now = test.house.now().0;
        Some(past(&answers, "a", &[now], false).await.remove(0)).filter(|cells| *cells == online)
    })
    .await;
    assert_eq!(offline.len(), 5);
    let before = [
        now - 90 * minute,
        now - 4 * 60 * minute,
        now - 30 * 24 * 60 * minute,
    ];
    until("what was told of b", || async {
        let then = past(&answers, "b", &before, false).await;
        let statuses = [then[0][0].1, then[1][0].1, then[2][0].1];
        (statuses == [PRESENT, NOT_FOUND, NOT_FOUND]).then_some(())
    })
    .await;
    let known = past(&answers, "a", &[now - 4 * 60 * minute - 30 * minute], false).await;
    assert_eq!(
        known[0][0].1, NOT_FOUND,
        "it was told later: as known then there was nothing"
    );
    let corrected = past(&answers, "a", &[now - 4 * 60 * minute - 30 * minute], true).await;
    assert_eq!(corrected[0][0], (5.0, PRESENT), "as known now about then");

    served_agrees(&answers).await;
}

/// What was served above agrees with the files; and a schema that is another is refused.
async fn served_agrees(answers: &Answers) {
    let request = ConsistencyRequest {
        project: PROJECT.to_owned(),
        from_ms: 0,
        lag_ms: 60_000,
    };
    let found = answers
        .consistency(Request::new(request))
        .await
        .unwrap()
        .into_inner();
    assert!(found.requests >= 4 && found.features.len() == 5, "{found:?}");
    // What was corrected since is known otherwise now: requests are compared as known at their own time.
    assert!(found.features.iter().all(|f| f.mismatches == 0), "{found:?}");
    let request = GetOnlineFeaturesRequest {
        project: PROJECT.to_owned(),
        feature_service: "fraud".to_owned(),
        entities: vec![who("a")],
        schema_hash: "another".to_owned(),
        ..GetOnlineFeaturesRequest::default()
    };
    let refused = answers
        .get_online_features(Request::new(request))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_come_from_facts() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let answers = open(&test.house, folder.path()).await;
    let now = test.house.now().0;
    for (id, body) in [
        ("c", Body::Change(with_stats("abc"))),
        ("d", deployment("d1", "abc")),
        ("s", status("d1", DeploymentState::Failure)),
    ] {
        test.house.bus().publish(&event(id, now, body)).await.unwrap();
    }
    let ask = |keys: &[(&str, &str)], features: &[&str]| GetOnlineFeaturesRequest {
        project: PROJECT.to_owned(),
        features: features.iter().map(|f| (*f).to_owned()).collect(),
        entities: vec![FeatureEntity {
            keys: keys
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..FeatureEntity::default()
        }],
        ..GetOnlineFeaturesRequest::default()
    };
    let found = until("the deployment's end", || async {
        let request = ask(
            &[("service", "checkout")],
            &[
                "service_history:deployments_7d",
                "service_history:failure_rate_30d",
            ],
        );
        let found = shop::ask(&answers, request).await;
        Some(found.rows[0].clone()).filter(|row| row.statuses[0] == PRESENT)
    })
    .await;
    assert_eq!(found.values, [1.0, 1.0]);
    let request = ask(&[("revision", "abc")], &["change_impact"]);
    let found = shop::ask(&answers, request).await;
    let files = found
        .names
        .iter()
        .position(|name| name == "change_impact__files")
        .unwrap();
    assert_eq!(found.rows[0].statuses[files], PRESENT);
    let views = answers
        .list_views(Request::new(ListViewsRequest {}))
        .await
        .unwrap()
        .into_inner()
        .views;
    assert!(
        views
            .iter()
            .any(|view| view.name == "service-health" && !view.schema_hash.is_empty())
    );
    let fresh = answers
        .freshness(Request::new(FreshnessRequest::default()))
        .await
        .unwrap()
        .into_inner();
    assert!(
        fresh
            .sources
            .iter()
            .any(|s| s.source == "deployments" && s.entities >= 2),
        "{fresh:?}"
    );
}
