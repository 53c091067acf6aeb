//! Tables of labels: what stands beside the keys comes back, what makes no sense is named, and rows that are put in again,
//! however many there are of one entity, count once.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test tells its story in one go"
)]

mod shop;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use auspex_chassis::testing::TestHouse;
use auspex_features::query::Answers;
use auspex_proto::wire::feature_store_server::FeatureStore;
use auspex_proto::wire::*;
use futures::StreamExt as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shop::*;
use tonic::Request;

/// A name of digits alone that no number stands for.
const LONG: &str = "9007199254740993";

fn question(entities: Vec<FeatureEntity>) -> GetHistoricalFeaturesRequest {
    GetHistoricalFeaturesRequest {
        project: PROJECT.to_owned(),
        feature_service: "fraud".to_owned(),
        entities,
        ..GetHistoricalFeaturesRequest::default()
    }
}

fn label(id: &str, at: i64, beside: &[(&str, &str)]) -> FeatureEntity {
    let mut entity = FeatureEntity {
        time_ms: at,
        ..who(id)
    };
    let pairs = beside
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    entity.keys.extend(pairs);
    entity
}

async fn table(
    answers: &Answers,
    request: GetHistoricalFeaturesRequest,
) -> Result<(String, Vec<u8>), String> {
    let told = answers.get_historical_features(Request::new(request)).await;
    let mut parts = told.map_err(|fault| fault.message().to_owned())?.into_inner();
    let (mut snapshot, mut bytes) = (String::new(), Vec::new());
    while let Some(part) = parts.next().await {
        let part = part.unwrap();
        bytes.extend(part.bytes);
        snapshot.push_str(&part.snapshot);
    }
    Ok((snapshot, bytes))
}

async fn nonsense_is_named(answers: &Answers, now: i64) {
    for (entity, told) in [
        (
            label("ada", 0, &[]),
            "entities[0].time_ms: is missing, or lies before 1970",
        ),
        (
            label("ada", -5, &[]),
            "entities[0].time_ms: is missing, or lies before 1970",
        ),
        (
            label("ada", now, &[("orders__amount", "1")]),
            "entities[0].keys: orders__amount is a column of the answer",
        ),
    ] {
        assert_eq!(table(answers, question(vec![entity])).await.unwrap_err(), told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_beside_the_keys_comes_back_and_nonsense_is_named() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let answers = open(&test.house, folder.path()).await;
    define(&answers, DOCUMENTS, true).await;
    let now = test.house.now().0;
    let labels = vec![
        label(
            "ada",
            now,
            &[("failed", "1"), ("build", "007"), ("note", "x"), ("run", LONG)],
        ),
        label("bob", now, &[("failed", ""), ("build", "8"), ("run", "8")]),
    ];
    let (_, bytes) = table(&answers, question(labels)).await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let failed = batch
        .column_by_name("failed")
        .unwrap()
        .as_primitive::<Float64Type>();
    assert_eq!(failed.iter().collect::<Vec<_>>(), [Some(1.0), None]);
    let text = |name: &str| -> Vec<Option<String>> {
        let column = batch.column_by_name(name).unwrap().as_string::<i32>();
        column.iter().map(|cell| cell.map(str::to_owned)).collect()
    };
    assert_eq!(text("build"), [Some("007".to_owned()), Some("8".to_owned())]);
    assert_eq!(text("note"), [Some("x".to_owned()), None]);
    assert_eq!(text("run"), [Some(LONG.to_owned()), Some("8".to_owned())]);

    nonsense_is_named(&answers, now).await;

    // A snapshot is of one project.
    push(&answers, vec![order("ada", 1.0, 0, 0)]).await;
    let snapshot = until("a row offline", || async {
        let kept = GetHistoricalFeaturesRequest {
            keep: true,
            ..question(vec![label("ada", now, &[])])
        };
        let id = table(&answers, kept).await.unwrap().0;
        let files = folder.path().join(format!("snapshots/{id}.json"));
        std::fs::read_to_string(files)
            .unwrap()
            .contains(".parquet")
            .then_some(id)
    })
    .await;
    let other = GetHistoricalFeaturesRequest {
        project: "acme/other".to_owned(),
        snapshot: snapshot.clone(),
        ..question(vec![label("ada", now, &[])])
    };
    assert_eq!(
        table(&answers, other).await.unwrap_err(),
        format!("snapshot: {snapshot} is of another project than acme/other")
    );
    test.shutdown.finish(std::time::Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_entity_that_is_put_in_again_counts_once() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let answers = open(&test.house, folder.path()).await;
    define(&answers, DOCUMENTS, true).await;
    let now = test.house.now().0;
    let rows: Vec<PushRow> = (0..2_500_i32)
        .map(|n| order("ada", f64::from(n), now - 60_000 + i64::from(n), 0))
        .collect();
    push(&answers, rows).await;
    until("all can be read", || async {
        (get(&answers, "ada").await[2] == (2_500.0, PRESENT)).then_some(())
    })
    .await;
    // As often as one likes, and whatever of it is online already.
    for _ in 0..2 {
        let done = until("all lie offline", || async {
            let done = put_in_again(&answers).await;
            assert_eq!(done.rows, 0, "{done:?}");
            (done.there == 2_500).then_some(done)
        })
        .await;
        assert_eq!(done.sequence, 0);
    }
    // Another shape begins with nothing: everything is told, once.
    let other = DOCUMENTS.replace("aggregate: sum, window: 1h", "aggregate: max, window: 1h");
    define(&answers, &other, true).await;
    assert_eq!(put_in_again(&answers).await.rows, 2_500);
    until("all can be read again", || async {
        (get(&answers, "ada").await[2] == (2_500.0, PRESENT)).then_some(())
    })
    .await;
    until("it is known to be there", || async {
        (put_in_again(&answers).await.rows == 0).then_some(())
    })
    .await;
    assert_eq!(get(&answers, "ada").await[2], (2_500.0, PRESENT));
    let past = past(&answers, "ada", &[test.house.now().0], false).await;
    assert_eq!(past[0][2], (2_500.0, PRESENT));
    test.shutdown.finish(std::time::Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_outlive_the_bus_beside_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let version = |answers: &Answers| {
        let known = answers.shelf.known();
        known.registry.get("FeatureView/orders").map(|view| view.version)
    };
    let first = TestHouse::start().await.unwrap();
    let answers = open(&first.house, folder.path()).await;
    define(&answers, DOCUMENTS, true).await;
    define(&answers, &DOCUMENTS.replace("ttl: 1h", "ttl: 2h"), true).await;
    assert_eq!(version(&answers), Some(2));
    first.shutdown.finish(std::time::Duration::from_secs(10)).await;

    // Another bus, which knows nothing; what is applied to it goes on from there.
    let second = TestHouse::start().await.unwrap();
    let answers = open(&second.house, folder.path()).await;
    assert_eq!(version(&answers), Some(2));
    define(&answers, &DOCUMENTS.replace("ttl: 1h", "ttl: 3h"), true).await;
    assert_eq!(version(&answers), Some(3));
    second.shutdown.finish(std::time::Duration::from_secs(10)).await;
}
