//! The offline store in a folder: what is written is read, each row once; snapshots stay; small files become large ones; what is too
//! old goes.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use auspex_algebra::{Column, Keep, Row, Shape, Value};
use auspex_features::offline::{Offline, Snapshot, Stored, Wanted, Whose, open, stored};

fn shape(names: &[&str]) -> Shape {
    let column = |name: &&str| Column {
        name: (*name).to_owned(),
        text: *name == "coupon",
        keep: Keep::default(),
        half_life: 0,
    };
    Shape {
        columns: names.iter().map(column).collect(),
        ..Shape::default()
    }
}

fn row(id: u64, event: i64, values: Vec<Value>) -> Row {
    Row {
        event,
        created: event + 5,
        id,
        values,
    }
}

async fn all(offline: &Offline, shape: &Shape, snapshot: Option<&Snapshot>) -> Vec<Stored> {
    let wanted = Wanted {
        project: "acme/shop",
        source: "orders",
        shape,
        events: (0, i64::MAX),
        whose: Whose::All,
    };
    offline.rows(&wanted, snapshot).await.unwrap()
}

async fn put(offline: &Offline, shape: &Shape, rows: &[Stored]) {
    offline
        .put("acme/shop", "orders", shape, rows)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn rows_are_read_as_they_were_written_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let offline = open(&folder.path().display().to_string()).unwrap();
    let wide = shape(&["amount", "coupon"]);
    let one = stored(
        "customer=a",
        row(1, 10, vec![Value::Number(1.5), Value::Text("x".to_owned())]),
        7,
    );
    let two = stored("customer=b", row(2, 20, vec![Value::Null, Value::Null]), 8);
    put(&offline, &wide, &[one.clone(), two.clone()]).await;
    // The same once more, in another file.
    put(&offline, &wide, std::slice::from_ref(&one)).await;
    assert_eq!(offline.files(None).await.unwrap().len(), 2);
    assert_eq!(all(&offline, &wide, None).await, [one.clone(), two]);

    // Another shape reads what it knows of it.
    let other = all(&offline, &shape(&["coupon", "later"]), None).await;
    assert_eq!(other[0].row.values, [Value::Text("x".to_owned()), Value::Null]);

    let entities = BTreeSet::from(["customer=b".to_owned()]);
    let wanted = Wanted {
        project: "acme/shop",
        source: "orders",
        shape: &wide,
        events: (0, 19),
        whose: Whose::These(&entities),
    };
    assert!(
        offline.rows(&wanted, None).await.unwrap().is_empty(),
        "its event lies later"
    );
    let elsewhere = Wanted {
        project: "acme/other",
        source: "orders",
        shape: &wide,
        events: (0, 99),
        whose: Whose::All,
    };
    assert!(offline.rows(&elsewhere, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_snapshot_stays_while_files_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let offline = open(&folder.path().display().to_string()).unwrap();
    let wide = shape(&["amount"]);
    let number = |n: u64| {
        stored(
            "customer=a",
            row(n, 1_000 + n as i64, vec![Value::Number(n as f64)]),
            n,
        )
    };
    for n in 0..5 {
        put(&offline, &wide, &[number(n)]).await;
    }
    let snapshot = offline.snapshot("acme/shop", Some(99)).await.unwrap();
    assert_eq!(snapshot.files.len(), 5);
    assert_eq!(
        offline.snapshot("acme/shop", None).await.unwrap().id,
        snapshot.id,
        "the same files, the same name"
    );
    for n in 5..30 {
        put(&offline, &wide, &[number(n)]).await;
    }
    assert_ne!(offline.snapshot("acme/shop", None).await.unwrap().id, snapshot.id);
    let before = all(&offline, &wide, None).await;
    let done = offline.compact(None).await.unwrap();
    assert_eq!(
        (done.before, done.after, done.expired),
        (30, 6, 0),
        "the five of the snapshot stay"
    );
    assert_eq!(all(&offline, &wide, None).await, before);
    let kept = offline.kept(&snapshot.id).await.unwrap().unwrap();
    assert_eq!(all(&offline, &wide, Some(&kept)).await.len(), 5);
    assert_eq!(offline.kept("nothing").await.unwrap(), None);

    // What is older than wanted goes, but for the snapshot's.
    let done = offline.compact(Some(5_000)).await.unwrap();
    assert_eq!((done.after, done.expired), (5, 1));
}

#[tokio::test]
async fn files_of_other_columns_are_put_together_too() {
    let folder = tempfile::tempdir().unwrap();
    let offline = open(&folder.path().display().to_string()).unwrap();
    for n in 0..12_u64 {
        let name = if n % 2 == 0 { "amount" } else { "later" };
        let told = row(n, n as i64, vec![Value::Number(n as f64)]);
        put(&offline, &shape(&[name]), &[stored("customer=a", told, n)]).await;
    }
    let both = shape(&["amount", "later"]);
    let before = all(&offline, &both, None).await;
    assert_eq!(offline.compact(None).await.unwrap().after, 1);
    assert_eq!(all(&offline, &both, None).await, before);
    assert_eq!(before[1].row.values, [Value::Null, Value::Number(1.0)]);
}

#[test]
fn a_bucket_needs_the_feature() {
    let fault = format!("{:#}", open("s3://bucket/prefix").map(|_| ()).unwrap_err());
    if !cfg!(feature = "clouds") {
        assert!(fault.contains("feature `clouds`"), "{fault}");
    }
    assert!(open("ftp://x/y").is_err());
}

#[tokio::test]
async fn what_is_read_share_by_share_is_all_of_it_and_each_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let offline = open(&folder.path().display().to_string()).unwrap();
    let wide = shape(&["amount"]);
    let rows: Vec<Stored> = (0..200)
        .map(|n| {
            let entity = format!("customer=c{}", n % 37);
            stored(&entity, row(n, n as i64, vec![Value::Number(1.0)]), n)
        })
        .collect();
    put(&offline, &wide, &rows).await;
    put(&offline, &wide, &rows[..50]).await;
    assert_eq!(
        offline
            .shares("acme/shop", "orders", (0, i64::MAX))
            .await
            .unwrap(),
        1
    );
    let mut found = Vec::new();
    for share in 0..5 {
        let wanted = Wanted {
            project: "acme/shop",
            source: "orders",
            shape: &wide,
            events: (0, i64::MAX),
            whose: Whose::Share(share, 5),
        };
        let part = offline.rows(&wanted, None).await.unwrap();
        assert!(!part.is_empty() && part.len() < 100, "{} rows", part.len());
        found.extend(part);
    }
    let order = |s: &Stored| (s.entity.clone(), s.row.event);
    found.sort_by_key(order);
    assert_eq!(found, all(&offline, &wide, None).await);
}

#[tokio::test]
async fn a_column_that_holds_something_else_now_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let offline = open(&folder.path().display().to_string()).unwrap();
    let numbers = shape(&["x", "y"]);
    let mut texts = shape(&["x", "y"]);
    texts.columns[0].text = true;
    for n in 0..12_u64 {
        let y = Value::Number(n as f64);
        let told = |x| row(n, 1_000 + n as i64, vec![x, y.clone()]);
        match n % 2 {
            0 => {
                put(
                    &offline,
                    &numbers,
                    &[stored("customer=a", told(Value::Number(5.0)), n)],
                )
                .await
            }
            _ => {
                put(
                    &offline,
                    &texts,
                    &[stored("customer=a", told(Value::Text("red".to_owned())), n)],
                )
                .await
            }
        }
    }
    let before = (
        all(&offline, &numbers, None).await,
        all(&offline, &texts, None).await,
    );
    let there = |rows: &[Stored]| rows.iter().filter(|s| s.row.values[0] != Value::Null).count();
    assert_eq!(
        (there(&before.0), there(&before.1)),
        (6, 6),
        "each is read as what is asked for"
    );
    assert_eq!(offline.compact(None).await.unwrap().after, 2, "one file of each");
    let after = (
        all(&offline, &numbers, None).await,
        all(&offline, &texts, None).await,
    );
    assert_eq!(after, before);
}
