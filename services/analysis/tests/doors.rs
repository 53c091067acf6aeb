//! The doors for others: Argo's web metric and GitHub's deployment protection rule, against an imitation of its documented API.

#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "a test may")]

mod stage;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auspex_analysis::Config;
use auspex_analysis::mesh::Mesh;
use auspex_chassis::ledger::Ledger;
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{House, Secret};
use auspex_proto::subject::PROTECTIONS;
use hmac::{Hmac, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use stage::Web;

const SECRET: &str = "hush";

fn sign(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn payload(callback: &str) -> String {
    json!({
        "action": "requested",
        "environment": "production",
        "event": "push",
        "deployment_callback_url": callback,
        "deployment": {"sha": "abc123", "ref": "main"},
        "repository": {"full_name": "acme/shop"},
        "installation": {"id": 1},
    })
    .to_string()
}

/// The rule's door in this house, with scoring away and so long to wait for it.
async fn door(house: &House, github: &Web, wait: u64) -> String {
    let mut config = Config {
        mesh: "http://127.0.0.1:9".to_owned(),
        ..Config::default()
    };
    config.github.secret = Secret::new(SECRET);
    config.github.token = Secret::new("t0k");
    config.github.api = format!("{}/", github.url);
    (config.github.wait, config.github.every) = (wait, 1);
    let mesh = Mesh::of(&config).unwrap();
    let door = auspex_analysis::github::router(house.clone(), mesh, config.github);
    serve(door.await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn githubs_rule_is_answered_by_a_call_back() {
    // Scoring is away: not knowing is no pass, and that is said.
    let github = Web::start(|_| (204, String::new())).await;
    let test = TestHouse::start().await.unwrap();
    let url = door(&test.house, &github, 1).await;
    let client = reqwest::Client::new();
    let send = async |body: String, signature: String, event: &str| {
        let request = client
            .post(format!("{url}/webhooks/github/protection"))
            .header("x-hub-signature-256", signature)
            .header("x-github-event", event)
            .body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let rule = "deployment_protection_rule";
    let path = "/repos/acme/shop/actions/runs/7/deployment_protection_rule";
    let right = payload(&format!("{}{path}", github.url));
    assert_eq!(send(right.clone(), "sha256=00".to_owned(), rule).await, 401);
    assert_eq!(send(right.clone(), String::new(), rule).await, 401);
    assert_eq!(send("{}".to_owned(), sign("{}"), "ping").await, 200);
    assert_eq!(send(right.clone(), sign(&right), "push").await, 400);
    let elsewhere = payload("https://evil.example.com/x");
    assert_eq!(
        send(elsewhere.clone(), sign(&elsewhere), rule).await,
        400,
        "the token stays at home"
    );
    assert_eq!(send("{".to_owned(), sign("{"), rule).await, 400);
    assert!(github.asked().is_empty());
    assert_eq!(send(right.clone(), sign(&right), rule).await, 202);
    assert_eq!(
        send(right.clone(), sign(&right), rule).await,
        202,
        "delivered twice"
    );
    let begun = std::time::Instant::now();
    while github.asked().is_empty() && begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = github.asked();
    assert_eq!(asked.len(), 1, "answered once");
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", path));
    assert_eq!(asked[0].headers["authorization"], "Bearer t0k");
    assert_eq!(asked[0].headers["accept"], "application/vnd.github+json");
    assert_eq!(asked[0].headers["x-github-api-version"], "2022-11-28");
    let said: Json = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(
        (&said["environment_name"], &said["state"]),
        (&json!("production"), &json!("rejected"))
    );
    assert!(
        said["comment"]
            .as_str()
            .unwrap()
            .contains("not knowing is no pass"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_waits_outlives_its_process_and_is_answered_once_by_whoever_is_there() {
    let failures = AtomicUsize::new(1);
    let github = Web::start(move |_| match failures.fetch_sub(1, Ordering::SeqCst) {
        1 => (502, String::new()),
        _ => (204, String::new()),
    })
    .await;
    let test = TestHouse::start().await.unwrap();
    let url = door(&test.house, &github, 3_600).await;
    let right = payload(&format!("{}/repos/acme/shop/actions/runs/7/rule", github.url));
    let request = reqwest::Client::new()
        .post(format!("{url}/webhooks/github/protection"))
        .header("x-hub-signature-256", sign(&right))
        .header("x-github-event", "deployment_protection_rule")
        .body(right);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 202);
    assert!(test.shutdown.finish(Duration::from_secs(5)).await.is_empty());
    assert!(github.asked().is_empty(), "it waits");
    // Two others begin, who wait less long; GitHub is away at the first answer.
    let (second, _second) = TestHouse::another(&test.settings).await.unwrap();
    let (third, _third) = TestHouse::another(&test.settings).await.unwrap();
    for house in [&second, &third] {
        door(house, &github, 1).await;
    }
    let begun = std::time::Instant::now();
    while github.asked().len() < 2 && begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Looks of both go by.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let asked = github.asked();
    assert_eq!(asked.len(), 2, "once in vain, once heard: {asked:#?}");
    let said: Json = serde_json::from_str(&asked[1].body).unwrap();
    assert_eq!(said["state"], "rejected");
    let left = Ledger::open(second.bus(), PROTECTIONS).await.unwrap();
    assert!(
        left.list::<Json>(&[]).await.unwrap().is_empty(),
        "nothing is left"
    );
}

#[tokio::test]
async fn argos_metric_is_an_error_when_control_is_away() {
    let config = Config {
        mesh: "http://127.0.0.1:9".to_owned(),
        ..Config::default()
    };
    let url = serve(auspex_analysis::gate::router(Mesh::of(&config).unwrap())).await;
    let of = async |path: &str| {
        reqwest::get(format!("{url}{path}"))
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(of("/gate/argo/shop").await, 503, "never a pass");
    assert_eq!(of("/gate/argo/shop?weight=101").await, 400);
    assert_eq!(of("/gate/argo/shop?weight=x").await, 400);
}
