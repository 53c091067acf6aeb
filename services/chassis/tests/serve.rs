//! The one listener, with a real mesh behind it: operating doors, tokens, deadlines, load shedding, TLS, dead letters.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{DeadLetter, House, Mesh, Options, Part, Section, ServiceSpec, Settings};
use auspex_proto::Fact;
use auspex_proto::event::Body;
use auspex_proto::wire::dead_letters_client::DeadLettersClient;
use auspex_proto::wire::{DeadLetterRequest, ListDeadLettersRequest};
use axum::routing::get;
use parts::{COUNTER, Counter, event, insist, log_with_alerts};
use serde::{Deserialize, Serialize};
use tonic::Code;
use tonic::metadata::MetadataValue;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NoSettings {}

impl Settings for NoSettings {}

const SLOW: ServiceSpec = ServiceSpec {
    name: "slow",
    build: |house: House| {
        Box::pin(async move {
            house.run_verb(COUNTER, Counter::default()).await?;
            let nap = || async {
                tokio::time::sleep(Duration::from_millis(600)).await;
                "rested"
            };
            let long = || tokio::time::sleep(Duration::from_secs(5));
            let router = axum::Router::new().route("/nap", get(nap));
            Ok(Part::http(router.route("/long", get(long))))
        })
    },
    section: Section::of::<NoSettings>("slow"),
};

async fn mesh(test: &TestHouse, set: &[&str]) -> Mesh {
    let mut all = vec![
        format!("nats.url={}", test.settings.url),
        "nats.partitions=2".to_owned(),
        "server.listen=127.0.0.1:0".to_owned(),
    ];
    all.extend(set.iter().map(|s| (*s).to_owned()));
    let options = Options {
        set: all,
        ..Options::default()
    };
    Mesh::start(&[SLOW], &options).await.unwrap()
}

/// One that lets in who says `open sesame`, as this role.
async fn guarded(test: &TestHouse, folder: &std::path::Path, server: &str, role: &str) -> Mesh {
    let config = folder.join("auspex.toml");
    let text = format!(
        "[server]\n{server}\n[[server.access]]\nname = \"tool\"\nrole = \"{role}\"\nsha256 = \"{}\"\n\
         [nats]\nurl = \"{}\"\npartitions = 2\n",
        auspex_chassis::serve::hash_token("open sesame"),
        test.settings.url
    );
    std::fs::write(&config, text).unwrap();
    let options = Options {
        config: Some(config),
        ..Options::default()
    };
    Mesh::start(&[SLOW], &options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn operating_doors_answer_and_overload_is_shed() {
    let test = TestHouse::start().await.unwrap();
    let mesh = mesh(&test, &["server.max_in_flight=1", "server.deadline_ms=300"]).await;
    let url = |path: &str| format!("http://{}{path}", mesh.address());
    assert_eq!(
        reqwest::get(url("/livez")).await.unwrap().text().await.unwrap(),
        "ok\n"
    );
    assert_eq!(
        reqwest::get(url("/readyz")).await.unwrap().text().await.unwrap(),
        "ready\n"
    );
    let first = tokio::spawn(reqwest::get(url("/nap")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let shed = reqwest::get(url("/nap")).await.unwrap();
    assert_eq!(
        (shed.status().as_u16(), shed.headers()["retry-after"].as_bytes()),
        (503, &b"1"[..])
    );
    assert_eq!(
        reqwest::get(url("/livez")).await.unwrap().status(),
        200,
        "the operating doors stay open"
    );
    let late = first.await.unwrap().unwrap();
    assert_eq!(late.status(), 504);
    assert_eq!(late.text().await.unwrap(), "no answer within 300 ms\n");
    let figures = reqwest::get(url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(figures.contains("auspex_requests_shed_total 1"), "{figures}");
    assert!(mesh.stop().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_shown_and_retried_under_an_id_of_their_own() {
    let test = TestHouse::start().await.unwrap();
    let mesh = mesh(&test, &[]).await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", mesh.address())).unwrap();
    let mut letters = DeadLettersClient::new(channel.connect().await.unwrap());
    insist(test.house.bus(), &event("a", "rejected", "bad")).await;
    insist(test.house.bus(), &event("a", "one", "x")).await;
    log_with_alerts(test.house.bus(), 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let all = letters
        .list(ListDeadLettersRequest::default())
        .await
        .unwrap()
        .into_inner()
        .entries;
    assert_eq!(all.len(), 1);
    let number = all[0].number;
    let shown = letters
        .show(DeadLetterRequest { number })
        .await
        .unwrap()
        .into_inner()
        .letter
        .unwrap();
    assert_eq!(
        (shown.reason.as_str(), shown.stage.as_str()),
        ("it is bad", "counter")
    );
    let retried = letters
        .retry(DeadLetterRequest { number })
        .await
        .unwrap()
        .into_inner();
    assert!(retried.message_id.starts_with(&shown.message_id) && retried.message_id != shown.message_id);
    assert!(retried.sequence > shown.sequence);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let again = letters
        .list(ListDeadLettersRequest::default())
        .await
        .unwrap()
        .into_inner()
        .entries;
    assert_eq!(again.len(), 2, "it was tried again, and is still bad");
    for number in [0, 99] {
        let missing = letters.show(DeadLetterRequest { number }).await.unwrap_err();
        let text = format!("there is no dead letter {number}");
        assert_eq!(
            (missing.code(), missing.message()),
            (Code::NotFound, text.as_str())
        );
    }
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_that_is_rejected_stops_nobody_and_is_retried_as_a_whole() {
    let test = TestHouse::start().await.unwrap();
    let mesh = mesh(&test, &[]).await;
    let Fact::Event(mut large) = event("a", "large", "x") else {
        unreachable!("it is an event")
    };
    large.body = Body::Other {
        kind: "bad".to_owned(),
        json: "7".repeat(1_048_200),
    };
    test.house.bus().publish(&Fact::Event(large)).await.unwrap();
    insist(test.house.bus(), &event("a", "one", "x")).await;
    log_with_alerts(test.house.bus(), 1).await;
    let address = format!("http://{}", mesh.address());
    let mut letters = DeadLettersClient::connect(address).await.unwrap();
    let shown = letters.show(DeadLetterRequest { number: 1 }).await.unwrap();
    let letter = shown.into_inner().letter.unwrap();
    let (kept, reason) = (letter.payload.len(), letter.reason);
    assert!(
        kept == 131_072 && reason.starts_with("it is bad; of its 1048"),
        "{kept} {reason}"
    );
    letters.retry(DeadLetterRequest { number: 1 }).await.unwrap();
    insist(test.house.bus(), &event("a", "two", "x")).await;
    log_with_alerts(test.house.bus(), 2).await;
    assert!(letters.show(DeadLetterRequest { number: 2 }).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_large_letters_are_listed_and_a_missing_one_is_told_from_a_bus_that_is_away() {
    let mut test = TestHouse::start().await.unwrap();
    let mesh = mesh(&test, &[]).await;
    for sequence in 1..=12 {
        let letter = DeadLetter {
            stage: "counter".to_owned(),
            sequence,
            payload: vec![7; 600_000],
            ..DeadLetter::default()
        };
        test.house.bus().dead_letter(&letter).await.unwrap();
    }
    let address = format!("http://{}", mesh.address());
    let mut letters = DeadLettersClient::connect(address).await.unwrap();
    let asked = ListDeadLettersRequest {
        limit: 10,
        ..ListDeadLettersRequest::default()
    };
    let entries = letters.list(asked).await.unwrap().into_inner().entries;
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (3..=12).collect::<Vec<u64>>(), "the newest, in order");
    let shown = letters.show(DeadLetterRequest { number: 12 }).await.unwrap();
    assert_eq!(shown.into_inner().letter.unwrap().payload.len(), 600_000);
    test.broker.kill().await.unwrap();
    let away = letters.show(DeadLetterRequest { number: 12 }).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable, "{away}");
    // Once that is known nobody waits for the deadline to hear of it.
    let nap = || reqwest::get(format!("http://{}/long", mesh.address()));
    let mut text = String::new();
    for _ in 0..20 {
        let answer = nap().await.unwrap();
        text = format!("{} {}", answer.status().as_u16(), answer.text().await.unwrap());
        if text.starts_with("503") {
            break;
        }
    }
    assert_eq!(text, "503 no answer within 3000 ms: the bus is away\n");
}

/// Who is not let in is told so, however much he has still to send.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_arrives_although_the_body_is_still_on_its_way() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mesh = guarded(&test, folder.path(), "listen = \"127.0.0.1:0\"", "operator").await;
    for (token, answer) in [("wrong", "HTTP/1.1 401 "), ("open sesame", "HTTP/1.1 403 ")] {
        let mut stream = tokio::net::TcpStream::connect(mesh.address()).await.unwrap();
        let head = format!(
            "POST /events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 8000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // More than any socket's buffers hold: who does not read it breaks the connection.
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            stream.write_all(&[b'x'; 1_000_000]).await.unwrap();
        }
        let mut said = [0; 13];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&said), answer);
    }
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(
    clippy::too_many_lines,
    reason = "one story: one certificate, one listener, all its doors"
)]
async fn beyond_loopback_needs_tls_and_a_token_of_the_right_role() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = format!(
        "listen = \"0.0.0.0:0\"\ntls_cert_file = \"{}\"\ntls_key_file = \"{}\"",
        cert.display(),
        key.display()
    );
    let mesh = guarded(&test, folder.path(), &server, "reader").await;
    let port = mesh.address().port();
    let authority = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .add_root_certificate(authority)
        .build()
        .unwrap();
    let url = |path: &str| format!("https://localhost:{port}{path}");
    assert_eq!(client.get(url("/livez")).send().await.unwrap().status(), 200);
    assert_eq!(client.get(url("/metrics")).send().await.unwrap().status(), 401);
    let with = |path: &str, token: &str| client.get(url(path)).bearer_auth(token).send();
    assert_eq!(with("/metrics", "open sesame").await.unwrap().status(), 200);
    assert_eq!(with("/metrics", "open says me").await.unwrap().status(), 401);
    assert!(
        reqwest::get(format!("http://localhost:{port}/livez"))
            .await
            .is_err(),
        "no plain text"
    );

    let tls = tonic::transport::ClientTlsConfig::new()
        .ca_certificate(tonic::transport::Certificate::from_pem(made.cert.pem()))
        .domain_name("localhost");
    let channel = tonic::transport::Channel::from_shared(format!("https://localhost:{port}")).unwrap();
    let channel = channel.tls_config(tls).unwrap().connect().await.unwrap();
    let bearer: MetadataValue<_> = "Bearer open sesame".parse().unwrap();
    let mut letters =
        DeadLettersClient::with_interceptor(channel.clone(), move |mut request: tonic::Request<()>| {
            request.metadata_mut().insert("authorization", bearer.clone());
            Ok(request)
        });
    letters.list(ListDeadLettersRequest::default()).await.unwrap();
    let refused = letters.retry(DeadLetterRequest { number: 1 }).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::PermissionDenied,
            "a reader token may not do this; it needs admin"
        )
    );
    let stranger = DeadLettersClient::new(channel)
        .list(ListDeadLettersRequest::default())
        .await
        .unwrap_err();
    assert_eq!(stranger.code(), Code::Unauthenticated);
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unprotected_listener_and_a_taken_port_are_refused_in_words() {
    let options = Options {
        set: vec!["server.listen=0.0.0.0:0".to_owned()],
        ..Options::default()
    };
    let fault = Mesh::start(&[SLOW], &options).await.unwrap_err().to_string();
    assert!(
        fault.contains("beyond loopback and has no TLS") && fault.contains("has no tokens"),
        "{fault}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let options = Options {
        set: vec![format!("server.listen={address}")],
        ..Options::default()
    };
    let fault = Mesh::start(&[SLOW], &options).await.unwrap_err();
    assert_eq!(fault.to_string(), format!("binding server.listen {address}"));
}
