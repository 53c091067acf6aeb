//! The offline store on Google's Cloud Storage: its own client against a server that speaks the documented XML API, while uploads
//! break off in their middle, are stored without a word, or refused.
#![cfg(feature = "clouds")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod shop;

use std::path::Path;
use std::time::Duration;

use auspex_algebra::Row;
use auspex_chassis::testing::gcs::{Gcs, every_third};
use auspex_chassis::testing::{TestHouse, again, is_again};
use auspex_features::offline::{self, Wanted, Whose};
use shop::*;

const PLACE: &str = "gs://bucket/shop";
const MINUTE: i64 = 60_000;

/// Rows by a service whose offline store is there: pushed, asked for as of then, compacted, kept in a snapshot, put in again.
async fn the_shop_keeps_its_orders_there() {
    let test = TestHouse::start().await.unwrap();
    let answers = open(&test.house, Path::new(PLACE)).await;
    define(&answers, DOCUMENTS, true).await;
    let now = test.house.now().0;
    // Five files, each of a push of its own.
    for n in 1..=5 {
        push(
            &answers,
            vec![order("a", f64::from(n), now - 40 * MINUTE + i64::from(n), 0)],
        )
        .await;
        tokio::time::sleep(Duration::from_millis(2_200)).await;
    }
    until("all orders in the store", || async {
        let at = test.house.now().0;
        let cells = past(&answers, "a", &[at], false).await.remove(0);
        (cells[1] == (15.0, PRESENT) && cells[2] == (5.0, PRESENT)).then_some(())
    })
    .await;
    let store = offline::open(PLACE).unwrap();
    let before = store.files(None).await.unwrap().len();
    assert!(before > 3, "{before} files are more than a page of a list");
    let kept = store.snapshot(PROJECT, Some(now)).await.unwrap();
    assert_eq!(kept.files.len(), before, "a snapshot names them all");
    for n in 11..=20_u32 {
        let row = offline::stored("customer=a", row_of(now + i64::from(n)), 100 + u64::from(n));
        store.put(PROJECT, "orders@1", &shape(), &[row]).await.unwrap();
    }
    let done = store.compact(None).await.unwrap();
    assert_eq!(done.before, before as u64 + 10);
    assert_eq!(done.after, before as u64 + 1, "what a snapshot names stays");
    let wanted = Wanted {
        project: PROJECT,
        source: "orders@1",
        shape: &shape(),
        events: (now, i64::MAX),
        whose: Whose::All,
    };
    assert_eq!(store.rows(&wanted, None).await.unwrap().len(), 10, "each once");
    let put = put_in_again(&answers).await;
    assert!(put.rows == 0 && put.there >= 5, "all of it is there: {put:?}");
    test.shutdown.finish(Duration::from_secs(10)).await;
}

fn shape() -> auspex_algebra::Shape {
    auspex_algebra::Shape::default()
}

fn row_of(event: i64) -> Row {
    Row {
        event,
        created: event,
        id: event.unsigned_abs(),
        values: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_reach_gcs_once_and_are_read_as_of_then() {
    if is_again() {
        return the_shop_keeps_its_orders_there().await;
    }
    let server = Gcs::start(every_third).await.unwrap();
    again(&server.variables()).unwrap();
    let (uploads, failed) = server.uploads();
    assert!(
        uploads > 12 && failed >= 4,
        "{failed} of {uploads} uploads failed"
    );
    let own = |name: &String| name.starts_with("shop/rows/") || name.starts_with("shop/snapshots/");
    assert!(
        server.names().iter().any(own),
        "under its prefix: {:?}",
        server.names()
    );
}
