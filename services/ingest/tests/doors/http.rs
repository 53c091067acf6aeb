//! Webhooks and CloudEvents.

use std::time::Duration;

use auspex_chassis::Secret;
use auspex_ingest::github::signature;
use auspex_proto::event::Body;
use auspex_proto::{Fact, FactId};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Doors;

const SECRET: &str = "a secret of some length";
const PREVIOUS: &str = "the secret of last month";

fn push(revision: &str) -> Vec<u8> {
    json!({
        "ref": "refs/heads/main", "after": revision, "repository": {"full_name": "acme/shop", "name": "shop"},
        "head_commit": {"timestamp": "2026-01-01T00:00:00Z", "message": "Till"}, "commits": [],
    })
    .to_string()
    .into_bytes()
}

fn delivery(doors: &Doors, event: &str, id: &str, body: Vec<u8>) -> RequestBuilder {
    doors
        .client
        .post(doors.url("/webhooks/github"))
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .body(body)
}

fn signed(doors: &Doors, event: &str, id: &str, body: Vec<u8>) -> RequestBuilder {
    let signature = signature(&Secret::new(SECRET), &body);
    delivery(doors, event, id, body).header("x-hub-signature-256", signature)
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response: Response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

fn secrets() -> [String; 2] {
    [
        format!("ingest.github_secret={SECRET}"),
        format!("ingest.github_previous_secret={PREVIOUS}"),
    ]
}

async fn open(more: &[&str]) -> Doors {
    let secrets = secrets();
    let mut set: Vec<&str> = secrets.iter().map(String::as_str).collect();
    set.extend(more);
    Doors::open(&set).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_delivery_is_on_the_log_once() {
    let doors = open(&[]).await;
    let (status, first) = answer(signed(&doors, "push", "d-1", push("abc"))).await;
    assert_eq!(status, 202, "{first}");
    let id = FactId::outside("github", "d-1").to_string();
    let expected = json!({"id": id, "sequence": 1, "duplicate": false, "ignored": false, "kind": "change"});
    assert_eq!(first, expected);
    let (status, again) = answer(signed(&doors, "push", "d-1", push("abc"))).await;
    assert_eq!(
        (status, &again["sequence"], &again["duplicate"]),
        (202, &json!(1), &json!(true))
    );
    let previous = signature(&Secret::new(PREVIOUS), &push("def"));
    let rotated = delivery(&doors, "push", "d-2", push("def")).header("x-hub-signature-256", previous);
    assert_eq!(answer(rotated).await.0, 202);
    let (status, ignored) = answer(signed(&doors, "ping", "d-3", b"{}".to_vec())).await;
    assert_eq!(
        (status, &ignored["ignored"], &ignored["kind"]),
        (202, &json!(true), &json!("ping"))
    );
    // As a form, the way GitHub sends it when the hook is set up so; the signature is over the form.
    let escaped: String = push("fed").iter().map(|byte| format!("%{byte:02X}")).collect();
    let media = (
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let form = signed(
        &doors,
        "push",
        "d-4",
        format!("x=1&payload={escaped}").into_bytes(),
    );
    let (status, accepted) = answer(form.headers(HeaderMap::from_iter([media]))).await;
    assert_eq!((status, &accepted["kind"]), (202, &json!("change")));

    let facts = doors.facts(3).await;
    let Fact::Event(event) = &facts[0].fact else {
        panic!()
    };
    assert_eq!(
        (event.meta.id.as_str(), event.meta.project.as_str()),
        (id.as_str(), "acme/shop")
    );
    let Body::Change(change) = &event.body else {
        panic!()
    };
    assert_eq!(change.revision.as_str(), "abc");
    let figures = doors.figures().await;
    for line in [
        "auspex_ingest_events_total{source=\"github\",outcome=\"accepted\"} 3",
        "auspex_ingest_events_total{source=\"github\",outcome=\"duplicate\"} 1",
        "auspex_ingest_events_total{source=\"github\",outcome=\"ignored\"} 1",
        "auspex_ingest_ignored_total{source=\"github\",kind=\"ping\"} 1",
        "auspex_ingest_last_event_timestamp_seconds{source=\"github\"} 1",
    ] {
        assert!(figures.contains(line), "{line}\n{figures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_unsigned_and_nothing_too_large() {
    let doors = open(&["ingest.max_body_bytes=2048"]).await;
    for request in [
        delivery(&doors, "push", "d", push("a")),
        delivery(&doors, "push", "d", push("a")).header("x-hub-signature-256", "sha256=00"),
        delivery(&doors, "push", "d", b"{".to_vec()).header("x-hub-signature-256", "nonsense"),
    ] {
        let (status, said) = answer(request).await;
        let text = said["error"].as_str().unwrap();
        assert!(
            status == 401 && text.starts_with("X-Hub-Signature-256 is missing, or"),
            "{text}"
        );
    }
    assert_eq!(answer(signed(&doors, "push", "d", vec![b' '; 2049])).await.0, 413);
    // Without a length told before.
    let chunk = || http_body::Frame::data(bytes::Bytes::from_static(&[b' '; 1024]));
    let chunks = futures::stream::iter((0..4).map(move |_| Ok::<_, std::io::Error>(chunk())));
    let chunks = http_body_util::StreamBody::new(chunks);
    let streamed = delivery(&doors, "push", "d", Vec::new()).body(reqwest::Body::wrap(chunks));
    assert_eq!(answer(streamed).await.0, 413);
    let text = doors
        .client
        .post(doors.url("/webhooks/github"))
        .header("content-type", "text/plain")
        .body("x");
    assert_eq!(answer(text).await.0, 415);
    let zipped = signed(&doors, "push", "d", push("a")).header("content-encoding", "gzip");
    assert_eq!(answer(zipped).await.0, 415);
    assert_eq!(
        doors.dead_letters().await,
        [],
        "what proves no sender is not kept"
    );
    let get = doors.client.get(doors.url("/webhooks/github"));
    assert_eq!(answer(get).await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_announces_much_and_sends_little_takes_no_room_from_others() {
    let doors = open(&["ingest.max_body_bytes=65536", "ingest.max_bodies_bytes=65536"]).await;
    let head = "POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let mut idle = Vec::new();
    for length in ["content-length: 65536", "transfer-encoding: chunked"] {
        let mut sender = TcpStream::connect(doors.mesh.address()).await.unwrap();
        let announced = format!("{head}{length}\r\n\r\n");
        sender.write_all(announced.as_bytes()).await.unwrap();
        idle.push(sender);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (status, body) = answer(signed(&doors, "push", "d-1", push("a1"))).await;
    assert_eq!(status, 202, "{body}");
    // What is sent does take room.
    idle[0].write_all(&[b' '; 64_500]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (status, body) = answer(signed(&doors, "push", "d-2", push("a2"))).await;
    assert_eq!(status, 503, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_by_field_and_kept() {
    let doors = open(&[]).await;
    let (status, refusal) = answer(signed(&doors, "push", "d-1", b"{\"ref\":7}".to_vec())).await;
    assert_eq!(status, 422);
    assert_eq!(
        (&refusal["field"], &refusal["reason"]),
        (&json!("ref"), &json!("is not a text"))
    );
    // A document that the bus cannot carry.
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": "x".repeat(1_500_000)});
    let large = doors
        .client
        .post(doors.url("/events"))
        .header("content-type", "application/cloudevents+json");
    assert_eq!(answer(large.body(event.to_string())).await.0, 413);
    let letters = doors.dead_letters().await;
    assert_eq!(letters.len(), 2);
    assert_eq!(
        (letters[0].stage.as_str(), letters[0].payload.as_slice()),
        ("ingest", b"{\"ref\":7}".as_slice())
    );
    assert_eq!(letters[0].reason, "ref: is not a text");
    assert!(
        letters[1].reason.contains("the first 524288 are kept"),
        "{}",
        letters[1].reason
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_without_an_id_are_told_apart_among_the_dead_letters() {
    let doors = open(&[]).await;
    for revision in ["abc", "def", "def"] {
        let (status, refusal) = answer(signed(&doors, "push", "", push(revision))).await;
        assert_eq!((status, &refusal["field"]), (422, &json!("X-GitHub-Delivery")));
    }
    let letters = doors.dead_letters().await;
    let kept: Vec<&[u8]> = letters.iter().map(|letter| letter.payload.as_slice()).collect();
    assert_eq!(kept, [push("abc"), push("def")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_comes_too_often_is_told_when_to_come_back() {
    let doors = open(&["ingest.rate_per_second=1", "ingest.rate_burst=2"]).await;
    for _ in 0..2 {
        assert_eq!(answer(signed(&doors, "ping", "d", b"{}".to_vec())).await.0, 202);
    }
    let response = signed(&doors, "ping", "d", b"{}".to_vec()).send().await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_nothing_is_acknowledged() {
    let mut doors = open(&[]).await;
    assert_eq!(answer(signed(&doors, "push", "d-1", push("a"))).await.0, 202);
    doors.mesh.broker().unwrap().kill().await.unwrap();
    let response = signed(&doors, "push", "d-2", push("b")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert!(response.headers().contains_key("retry-after"));
    // Not even a refusal, while what is refused could not be kept.
    assert_eq!(answer(signed(&doors, "push", "d-3", b"{".to_vec())).await.0, 503);
    doors.mesh.broker().unwrap().restart().await.unwrap();
    let mut status = 503;
    for _ in 0..100 {
        status = answer(signed(&doors, "push", "d-2", push("b"))).await.0;
        if status == 202 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 202);
    assert_eq!(doors.facts(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_takes_nothing_and_loses_nothing() {
    let doors = open(&["nats.streams.max_bytes=1048576"]).await;
    let large = |revision: &str| {
        let mut body: Value = serde_json::from_slice(&push(revision)).unwrap();
        let paths: Vec<_> = (0..1_000).map(|n| format!("{revision}{n:0100}")).collect();
        body["commits"] = json!([{ "added": paths }]);
        body.to_string().into_bytes()
    };
    let mut accepted = 0;
    let refused = loop {
        let id = format!("d-{accepted}");
        let response = signed(&doors, "push", &id, large(&id)).send().await.unwrap();
        if response.status().as_u16() != 202 {
            break response;
        }
        accepted += 1;
    };
    assert_eq!(
        (
            refused.status().as_u16(),
            refused.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "60")
    );
    assert!(accepted >= 1, "there was room");
    assert_eq!(doors.facts(accepted).await.len(), accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudevents_come_in_both_modes() {
    let doors = open(&[]).await;
    let post = || doors.client.post(doors.url("/events"));
    let document = json!({"context": {"type": "dev.cdevents.incident.resolved.0.3.0"}, "subject": {"id": "i-1", "content": {}}});
    let structured = json!({
        "specversion": "1.0", "id": "1", "source": "/pager", "type": "dev.cdevents.incident.resolved.0.3.0",
        "time": "2026-01-01T00:00:00Z", "auspexproject": "acme/shop", "data": document,
    });
    let request = post()
        .header("content-type", "application/cloudevents+json")
        .body(structured.to_string());
    let (status, accepted) = answer(request).await;
    assert_eq!((status, &accepted["kind"]), (202, &json!("incident")));
    // The same event in the other mode is the same fact.
    let binary = || {
        let attributes = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/pager"),
            ("ce-auspexproject", "acme%2Fshop"),
        ];
        let request = post()
            .header("content-type", "application/json")
            .header("ce-type", "dev.cdevents.incident.resolved.0.3.0");
        attributes
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(document.to_string())
    };
    let (status, again) = answer(binary()).await;
    assert_eq!(
        (status, &again["duplicate"], &again["id"]),
        (202, &json!(true), &accepted["id"])
    );
    let (status, refusal) = answer(binary().header("ce-time", "noon")).await;
    assert_eq!((status, &refusal["field"]), (422, &json!("time")));
    let batch = post()
        .header("content-type", "application/cloudevents-batch+json")
        .body("[]");
    assert_eq!(answer(batch).await.0, 415);
    assert_eq!(
        answer(post().header("content-type", "application/json").body("{}"))
            .await
            .0,
        415
    );
    let asked = doors
        .client
        .request(reqwest::Method::OPTIONS, doors.url("/events"));
    let welcome = asked
        .header("webhook-request-origin", "ci.example.org")
        .send()
        .await
        .unwrap();
    assert_eq!(welcome.status().as_u16(), 200);
    assert_eq!(welcome.headers()["webhook-allowed-origin"], "ci.example.org");
    assert_eq!(welcome.headers()["webhook-allowed-rate"], "12000");
    doors.facts(1).await;
}
