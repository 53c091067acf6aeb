//! A restart in the middle of a window changes nothing, lost states come back from the log, of two replicas one may die; and a view
//! may be fitted to a snapshot and get another shape.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test tells its story in one go"
)]

mod shop;

use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_features::query::Answers;
use auspex_proto::subject::DEFINITIONS;
use auspex_proto::wire::*;
use shop::*;

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

    // Rows of the offline store are not put in again: they are known.
    let done = until("rows offline", || async {
        let done = put_in_again(&again).await;
        (done.there >= 60).then_some(done)
    })
    .await;
    assert_eq!((done.rows, done.sequence), (0, 0), "nothing is told twice");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(get(&again, "c3").await[1..3], [(7.0, PRESENT), (3.0, PRESENT)]);
    third_shutdown.finish(Duration::from_secs(10)).await;
}

/// A view that is fitted to a snapshot, and one whose rows are kept otherwise from now on.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_may_get_scales_and_another_shape() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let answers = open(&test.house, folder.path()).await;
    define(&answers, DOCUMENTS, true).await;
    let now = test.house.now().0;
    let rows = (0..5_u8).map(|n| order(&format!("c{n}"), f64::from(n) * 10.0, now - 60_000, 0));
    push(&answers, rows.collect()).await;
    let project = PROJECT;
    let offline = answers.offline.as_ref().unwrap();
    let snapshot = until("five rows offline", || async {
        let snapshot = offline.snapshot(project, Some(now)).await.unwrap();
        let view = std::sync::Arc::clone(&answers.shelf.known().catalogue.views["orders"]);
        let sample = offline
            .sample(&view, (project, (0, now * 2)), Some(&snapshot), 100)
            .await
            .unwrap();
        (sample[0].len() == 5).then_some(snapshot)
    })
    .await;
    let scaled = DOCUMENTS
        .replace("{ name: amount }\n", "{ name: amount, scale: minmax }\n")
        .replace(
            "ttl: 1h",
            &format!(
                "ttl: 1h\n  normalisation: {{ snapshot: {}, project: {project} }}",
                snapshot.id
            ),
        );
    assert_ne!(scaled, DOCUMENTS);
    let unknown = scaled.replace(&snapshot.id, "0000");
    assert!(define(&answers, &unknown, true).await.problems[0].contains("there is no snapshot 0000"));
    let applied = define(&answers, &scaled, true).await;
    assert!(
        applied
            .changes
            .iter()
            .any(|c| c.name == "orders" && c.version == 2 && !c.needs_backfill),
        "{applied:?}"
    );
    let request = GetOnlineFeaturesRequest {
        project: project.to_owned(),
        features: vec!["orders:amount".to_owned()],
        entities: vec![who("c1")],
        scaled: true,
        ..GetOnlineFeaturesRequest::default()
    };
    let found = ask(&answers, request).await;
    assert!((found.rows[0].values[0] - 0.25).abs() < 1e-9, "10 of 0 to 40");

    // A maximum asks for what was not kept: rows go to a new place, and those of before are put in again.
    let other = DOCUMENTS.replace("aggregate: sum, window: 1h", "aggregate: max, window: 1h");
    let applied = define(&answers, &other, true).await;
    assert!(
        applied
            .changes
            .iter()
            .any(|c| c.name == "orders" && c.version == 3 && c.needs_backfill),
        "{applied:?}"
    );
    assert_eq!(get(&answers, "c3").await[1].1, NOT_FOUND);
    assert_eq!(put_in_again(&answers).await.rows, 5);
    until("rows put in again", || async {
        let cell = get(&answers, "c3").await[1];
        (cell == (30.0, PRESENT)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_the_bus_loses_are_put_back_by_whoever_knows_them() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let answers = open(&test.house, folder.path()).await;
    let (second, _shutdown) = TestHouse::another(&test.settings).await.unwrap();
    // Its own folder: it has no copy of what the other one knows.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = open(&second, elsewhere.path()).await;
    let is_known = async |answers: &Answers, documents: &str| {
        let plan = define(answers, documents, false).await;
        plan.changes
            .iter()
            .all(|change| change.action == "none")
            .then_some(())
    };
    define(&answers, DOCUMENTS, true).await;
    let more = DOCUMENTS.replace("what was ordered", "what was ordered, by whom");
    define(&answers, &more, true).await;
    until("what was applied elsewhere", || is_known(&other, &more)).await;

    test.house.bus().lose_documents(DEFINITIONS).await.unwrap();
    let shop = "apiVersion: auspex.dev/v1\nkind: Entity\nmetadata: { name: branch }\n";
    let applied = tokio::time::timeout(Duration::from_secs(20), define(&other, shop, true)).await;
    assert!(applied.unwrap().applied);
    for replica in [&answers, &other] {
        until("what was applied before", || is_known(replica, &more)).await;
        until("what was applied behind it", || is_known(replica, shop)).await;
    }
}
