//! A server that stands, and takes no facts: readiness says so, and says when it takes them again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::time::Duration;

use auspex_chassis::bus::{BusSettings, StreamSettings};
use auspex_chassis::testing::{TestHouse, not_run};
use auspex_chassis::{Bus, Mesh, Options, PublishError};
use auspex_proto::event::{Body, Event};
use auspex_proto::{Fact, FactId, Meta, Project, Timestamp};

async fn publish(bus: &Bus, id: usize) -> Result<(), PublishError> {
    let meta = Meta {
        id: FactId::new(format!("e{id}")).unwrap(),
        project: Project::new("a").unwrap(),
        time: Timestamp(1_700_000_000_000),
        cause: 0,
        source: "test".to_owned(),
    };
    let body = Body::Other {
        kind: "large".to_owned(),
        json: "7".repeat(200_000),
    };
    bus.publish(&Fact::Event(Event { meta, body })).await.map(|_| ())
}

async fn mesh(test: &TestHouse) -> Mesh {
    let options = Options {
        set: vec![
            format!("nats.url={}", test.settings.url),
            "nats.partitions=2".to_owned(),
            format!("nats.streams.max_bytes={}", test.settings.streams.max_bytes),
            "server.listen=127.0.0.1:0".to_owned(),
        ],
        ..Options::default()
    };
    Mesh::start(&[], &options).await.unwrap()
}

async fn get(mesh: &Mesh, path: &str) -> String {
    let url = format!("http://{}{path}", mesh.address());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// Publishes until readiness says that, at most a minute long.
async fn until_ready_says(mesh: &Mesh, wanted: impl Fn(&str) -> bool) -> String {
    let (mut said, end) = (
        String::new(),
        tokio::time::Instant::now() + Duration::from_secs(60),
    );
    let mut id = 1_000;
    while tokio::time::Instant::now() < end {
        id += 1;
        publish(mesh.house().bus(), id).await.ok();
        said = get(mesh, "/readyz").await;
        if wanted(&said) {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("readiness says {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_full_makes_unready_until_it_has_room() {
    let streams = StreamSettings {
        max_bytes: 1 << 20,
        ..StreamSettings::default()
    };
    let test = TestHouse::start_with(streams).await.unwrap();
    let mesh = mesh(&test).await;
    assert_eq!(get(&mesh, "/readyz").await, "ready\n");
    let mut count = 0;
    while publish(mesh.house().bus(), count).await.is_ok() {
        count += 1;
        assert!(count < 100, "it is never full");
    }
    assert_eq!(get(&mesh, "/readyz").await, "ready\n", "once is a moment");
    let said = until_ready_says(&mesh, |said| said.starts_with("not ready")).await;
    assert!(
        said.starts_with("not ready: the log has taken no fact for 1"),
        "{said}"
    );
    assert!(
        said.contains("the log is full") || said.contains("maximum bytes"),
        "{said}"
    );
    assert!(get(&mesh, "/metrics").await.contains("\nauspex_ready 0\n"));
    assert_eq!(get(&mesh, "/livez").await, "ok\n", "a restart would not help");
    let room = BusSettings {
        streams: StreamSettings::default(),
        ..test.settings.clone()
    };
    let (_house, _shutdown) = TestHouse::another(&room).await.unwrap();
    publish(mesh.house().bus(), 100).await.unwrap();
    assert_eq!(get(&mesh, "/readyz").await, "ready\n");
    assert!(get(&mesh, "/metrics").await.contains("\nauspex_ready 1\n"));
    mesh.stop().await;
}

/// A full disk, as the server sees it: what it writes goes no further. It stays silent to publishers, also when there is room
/// again, until it is restarted.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_write_makes_unready_until_it_is_restarted() {
    let mut test = TestHouse::start().await.unwrap();
    let mesh = mesh(&test).await;
    publish(mesh.house().bus(), 1).await.unwrap();
    let server = test.broker.pid().unwrap().to_string();
    let limit = |most: &str| {
        let mut command = std::process::Command::new("prlimit");
        command.args(["--pid", &server, &format!("--fsize={most}:")]);
        command.status().is_ok_and(|status| status.success())
    };
    if !limit("0") {
        not_run("there is no prlimit to keep the server from writing");
        return;
    }
    let said = until_ready_says(&mesh, |said| said.starts_with("not ready")).await;
    assert!(said.contains("has taken no fact for"), "{said}");
    assert!(limit("unlimited"));
    publish(mesh.house().bus(), 2).await.unwrap_err();
    assert!(
        get(&mesh, "/readyz").await.starts_with("not ready"),
        "there is room, and it refuses"
    );
    test.broker.restart().await.unwrap();
    until_ready_says(&mesh, |said| said == "ready\n").await;
    mesh.stop().await;
}
