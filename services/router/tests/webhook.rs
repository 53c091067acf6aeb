//! A receiver of one's own: what it gets, and what is made of its answers.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod rig;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use auspex_chassis::outbound::signature::sign;
use auspex_chassis::{Secret, testing::TestHouse};
use auspex_proto::decision::Action;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use rig::{Controller, Folder, decision, publish, until_kept};
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the receiver remembers.
#[derive(Default)]
struct Receiver {
    weight: u8,
    write: u64,
    /// The next so many requests fail.
    failing: u32,
    /// Requests by their key.
    seen: BTreeMap<String, u32>,
}

type Shared = Arc<Mutex<Receiver>>;

async fn receive(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<Value>) {
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
    let wanted = sign(&Secret::new(SECRET), &id, time.parse().unwrap(), &body).unwrap();
    assert_eq!(header("webhook-signature"), wanted, "it is signed");
    let request: Value = serde_json::from_str(&body).unwrap();
    let mut receiver = shared.lock().unwrap();
    if request["type"] == "weight.read" {
        return (
            StatusCode::OK,
            Json(json!({"weight": receiver.weight, "write": receiver.write})),
        );
    }
    assert_eq!(header("idempotency-key"), id);
    *receiver.seen.entry(id).or_default() += 1;
    if receiver.failing > 0 {
        receiver.failing -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
    }
    let write = request["data"]["write"].as_u64().unwrap();
    if write < receiver.write {
        return (StatusCode::CONFLICT, Json(json!({"reason": "older"})));
    }
    receiver.write = write;
    receiver.weight = u8::try_from(request["data"]["weight"].as_u64().unwrap()).unwrap();
    (
        StatusCode::OK,
        Json(json!({"weight": receiver.weight, "write": write})),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_told_until_it_takes_it_under_one_key_and_believed() {
    let shared = Shared::default();
    let app = Router::new()
        .route("/weights", post(receive))
        .with_state(shared.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let folder = Folder::new("webhook");
    let test = TestHouse::start().await.unwrap();
    shared.lock().unwrap().failing = 2;
    let settings = format!(
        "[router]\ncheck_ms = 200\n[[router.routes]]\nname = \"shop-edge\"\nproject = \"acme/shop\"\nservice = \"shop\"\n\
         [router.routes.webhook]\nurl = \"http://{address}/weights\"\nsecret = \"{SECRET}\"\nallow_private = true\nreads = true\n"
    );
    let _controller = Controller::start(&test, &folder.0, &settings);
    publish(&test.house, decision(1, 25, Action::Advance)).await;
    until_kept(&test.house, "told", |record| {
        record.is_verified() && record.observed == Some(25)
    })
    .await;
    {
        let receiver = shared.lock().unwrap();
        assert_eq!(
            receiver.seen["d1"], 3,
            "twice refused, then taken, under one key: {:?}",
            receiver.seen
        );
    }
    // Somebody else at the receiver.
    shared.lock().unwrap().weight = 90;
    let record = until_kept(&test.house, "drift", |record| record.drift.is_some()).await;
    assert_eq!(record.drift.unwrap().weight, 90);
    publish(&test.house, decision(2, 0, Action::RollBack)).await;
    until_kept(&test.house, "back", |record| {
        record.is_verified() && record.observed == Some(0)
    })
    .await;
    assert_eq!(shared.lock().unwrap().weight, 0);
}
