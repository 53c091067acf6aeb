//! A shop that pushes its orders, and asks for features.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use auspex_chassis::House;
use auspex_features::query::Answers;
use auspex_features::{Config, serve};
use auspex_proto::wire::feature_store_server::FeatureStore;
use auspex_proto::wire::*;
use futures::StreamExt;
use tonic::Request;

pub const DOCUMENTS: &str = r#"
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

pub const PROJECT: &str = "acme/shop";

pub async fn open(house: &House, folder: &std::path::Path) -> Answers {
    let config = Config {
        offline: folder.display().to_string(),
        ..Config::default()
    };
    serve::open(house, &config).await.unwrap()
}

pub fn who(id: &str) -> FeatureEntity {
    FeatureEntity {
        keys: [("customer".to_owned(), id.to_owned())].into(),
        request: [("amount".to_owned(), 5.0)].into(),
        time_ms: 0,
    }
}

pub fn order(id: &str, amount: f64, event: i64, created: i64) -> PushRow {
    PushRow {
        keys: [("customer".to_owned(), id.to_owned())].into(),
        event_ms: event,
        created_ms: created,
        numbers: [("amount".to_owned(), amount)].into(),
        texts: [("coupon".to_owned(), format!("c{amount}"))].into(),
        id: String::new(),
    }
}

pub async fn push(answers: &Answers, rows: Vec<PushRow>) -> PushResponse {
    let request = PushRequest {
        project: PROJECT.to_owned(),
        view: "orders".to_owned(),
        rows,
        wait: true,
    };
    answers.push(Request::new(request)).await.unwrap().into_inner()
}

pub async fn ask(answers: &Answers, request: GetOnlineFeaturesRequest) -> GetOnlineFeaturesResponse {
    let asked = answers.get_online_features(Request::new(request)).await;
    asked.unwrap().into_inner()
}

/// Puts in again whatever lies offline.
pub async fn put_in_again(answers: &Answers) -> MaterializeResponse {
    let request = MaterializeRequest {
        project: PROJECT.to_owned(),
        views: Vec::new(),
        from_ms: 0,
        to_ms: 0,
    };
    answers
        .materialize(Request::new(request))
        .await
        .unwrap()
        .into_inner()
}

pub async fn get(answers: &Answers, id: &str) -> Vec<(f64, u8)> {
    let request = GetOnlineFeaturesRequest {
        project: PROJECT.to_owned(),
        feature_service: "fraud".to_owned(),
        entities: vec![who(id)],
        ..GetOnlineFeaturesRequest::default()
    };
    let found = ask(answers, request).await;
    assert_eq!(found.names.len(), 5);
    let cells = found.rows.into_iter().next().unwrap();
    cells.values.into_iter().zip(cells.statuses).collect()
}

pub async fn past(answers: &Answers, id: &str, times: &[i64], corrected: bool) -> Vec<Vec<(f64, u8)>> {
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

pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut found: impl FnMut() -> F) -> T {
    for _ in 0..600 {
        if let Some(found) = found().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} does not come");
}

pub async fn define(answers: &Answers, documents: &str, apply: bool) -> DefinitionsResponse {
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

pub const PRESENT: u8 = 1;
pub const NOT_FOUND: u8 = 3;
pub const EXPIRED: u8 = 4;
