//! The feature store on a real bus: what is pushed is read, an older event never overwrites, a restart in the middle of a
//! window changes nothing, lost states come back from the log, and of two replicas one may die.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod facts;

use std::time::Duration;

use auspex_chassis::House;
use auspex_chassis::testing::TestHouse;
use auspex_features::query::Answers;
use auspex_features::{Config, serve};
use auspex_proto::event::{Body, DeploymentState};
use auspex_proto::wire::feature_store_server::FeatureStore;
use auspex_proto::wire::*;
use facts::*;
use futures::StreamExt;
use tonic::{Code, Request};

const DOCUMENTS: &str = r#"
apiVersion: auspex.dev/v1
kind: Entity
metadata: { name: customer }
---
apiVersion: auspex.dev/v1
kind: FeatureView
metadata: { name: orders, description: "what was ordered" }
spec:
  entities: [customer]
  source: { push: true }
  ttl: 1h
  columns: [{ name: amount }, { name: coupon, type: text }]
  features:
    - { name: amount }
    - { name: sum_1h, column: amount, aggregate: sum, window: 1h }
    - { name: count_1h, aggregate: count, window: 1h }
    - { name: coupons_1d, column: coupon, aggregate: distinct, window: 1d }
---
apiVersion: auspex.dev/v1
kind: OnDemandFeatureView
metadata: { name: basket }
spec: { features: [{ name: share, expression: "request.amount / orders:sum_1h" }] }
---
apiVersion: auspex.dev/v1
kind: FeatureService
metadata: { name: fraud }
spec: { features: [orders, "basket:share"], sample: 1.0 }
"#;

const PROJECT: &str = "acme/shop";

async fn open(house: &House, folder: &std::path::Path) -> Answers {
    let config = Config {
        offline: folder.display().to_string(),
        ..Config::default()
    };
    serve::open(house, &config).await.unwrap()
}

fn who(id: &str) -> FeatureEntity {
    FeatureEntity {
        keys: [("customer".to_owned(), id.to_owned())].into(),
        request: [("amount".to_owned(), 5.0)].into(),
        time_ms: 0,
    }
}

fn order(id: &str, amount: f64, event: i64, created: i64) -> PushRow {
    PushRow {
        keys: [("customer".to_owned(), id.to_owned())].into(),
        event_ms: event,
        created_ms: created,
        numbers: [("amount".to_owned(), amount)].into(),
        texts: [("coupon".to_owned(), format!("c{amount}"))].into(),
        id: String::new(),
    }
}

async fn push(answers: &Answers, rows: Vec<PushRow>) -> PushResponse {
    let request = PushRequest {
        project: PROJECT.to_owned(),
        view: "orders".to_owned(),
        rows,
        wait: true,
    };
    answers.push(Request::new(request)).await.unwrap().into_inner()
}

async fn get(answers: &Answers, id: &str) -> Vec<(f64, u8)> {
    let request = GetOnlineFeaturesRequest {
        project: PROJECT.to_owned(),
        feature_service: "fraud".to_owned(),
        entities: vec![who(id)],
        ..GetOnlineFeaturesRequest::default()
    };
    let found = answers
        .get_online_features(Request::new(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.names.len(), 5);
    let cells = found.rows.into_iter().next().unwrap();
    cells.values.into_iter().zip(cells.statuses).collect()
}

async fn past(answers: &Answers, id: &str, times: &[i64], corrected: bool) -> Vec<Vec<(f64, u8)>> {
    let labels = times
        .iter()
        .map(|at| FeatureEntity {
            time_ms: *at,
            ..who(id)
        })
        .collect();
    let request = GetHistoricalFeaturesRequest {
        project: PROJECT.to_owned(),
        feature_service: "fraud".to_owned(),
        entities: labels,
        corrected,
        ..GetHistoricalFeaturesRequest::default()
    };
    let mut parts = answers
        .get_historical_features(Request::new(request))
        .await
        .unwrap()
        .into_inner();
    let (mut bytes, mut names, mut rows) = (Vec::new(), Vec::new(), 0);
    while let Some(part) = parts.next().await {
        let part = part.unwrap();
        bytes.extend(part.bytes);
        names.extend(part.names);
        rows += part.rows;
    }
    assert_eq!(rows, times.len() as u64, "no label is dropped");
    let columns = auspex_features::offline::columns(bytes.into(), &names).unwrap();
    (0..times.len())
        .map(|at| columns.iter().map(|column| column[at]).collect())
        .collect()
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut found: impl FnMut() -> F) -> T {
    for _ in 0..600 {
        if let Some(found) = found().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} does not come");
}

async fn define(answers: &Answers, documents: &str, apply: bool) -> DefinitionsResponse {
    let request = Request::new(DefinitionsRequest {
        documents: documents.to_owned(),
        remove: Vec::new(),
    });
    let answer = if apply {
        answers.apply(request).await
    } else {
        answers.plan(request).await
    };
    answer.unwrap().into_inner()
}

const PRESENT: u8 = 1;
const NOT_FOUND: u8 = 3;
const EXPIRED: u8 = 4;

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
    // The same event told once more, otherwise: a correction. And once more as it was: a repeat.
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
async fn a_window_survives_restart_loss_and_a_dead_replica() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    // The first replica has a runtime of its own, so that it can die as a process dies: in the middle of everything.
    let first = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (settings, place) = (test.settings.clone(), folder.path().to_owned());
    let opened = first.spawn(async move {
        let (house, shutdown) = TestHouse::another(&settings).await.unwrap();
        (open(&house, &place).await, shutdown)
    });
    let (answers, _shutdown) = opened.await.unwrap();
    define(&answers, DOCUMENTS, true).await;
    let now = test.house.now().0;
    let customers: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    let all = |amount: f64, minutes: i64| -> Vec<PushRow> {
        customers
            .iter()
            .map(|id| order(id, amount, now - minutes * 60_000, 0))
            .collect()
    };
    push(&answers, all(1.0, 20)).await;

    // A second replica; then the first dies in the middle of the window.
    let (second, second_shutdown) = TestHouse::another(&test.settings).await.unwrap();
    let other = open(&second, folder.path()).await;
    push(&other, all(2.0, 10)).await;
    first.shutdown_background();
    push(&other, all(4.0, 5)).await;
    until("all rows at the second replica", || async {
        let mut sums = Vec::new();
        for id in &customers {
            sums.push(get(&other, id).await[1]);
        }
        sums.iter().all(|sum| *sum == (7.0, PRESENT)).then_some(())
    })
    .await;
    second_shutdown.finish(Duration::from_secs(10)).await;

    // All states are lost; a third replica finds the log and makes them again.
    let (third, third_shutdown) = TestHouse::another(&test.settings).await.unwrap();
    third.bus().lose_states("store").await.unwrap();
    let again = open(&third, folder.path()).await;
    until("all rows again", || async {
        let mut sums = Vec::new();
        for id in &customers {
            sums.push(get(&again, id).await[1]);
        }
        sums.iter().all(|sum| *sum == (7.0, PRESENT)).then_some(())
    })
    .await;
    assert_eq!(get(&again, "c3").await[2], (3.0, PRESENT), "each counts once");

    // Rows of the offline store put in again change nothing: they are known.
    let request = MaterializeRequest {
        project: PROJECT.to_owned(),
        views: Vec::new(),
        from_ms: 0,
        to_ms: 0,
    };
    let done = until("rows offline", || async {
        let done = again
            .materialize(Request::new(request.clone()))
            .await
            .unwrap()
            .into_inner();
        (done.rows >= 60).then_some(done)
    })
    .await;
    until("rows put in again", || async {
        let view = std::sync::Arc::clone(&again.shelf.known().catalogue.views["orders"]);
        let seq = again.online.absorbed(PROJECT, &view, "customer=c3");
        (seq > 0 && done.sequence > 0).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(get(&again, "c3").await[1..3], [(7.0, PRESENT), (3.0, PRESENT)]);
    third_shutdown.finish(Duration::from_secs(10)).await;
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
        let found = answers
            .get_online_features(Request::new(request))
            .await
            .unwrap()
            .into_inner();
        Some(found.rows[0].clone()).filter(|row| row.statuses[0] == PRESENT)
    })
    .await;
    assert_eq!(found.values, [1.0, 1.0]);
    let request = ask(&[("revision", "abc")], &["change_impact"]);
    let found = answers
        .get_online_features(Request::new(request))
        .await
        .unwrap()
        .into_inner();
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
