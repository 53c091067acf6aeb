//! The mesh at work, its history kept; then the log is lost and comes back from the archive by `auspex history restore`: the
//! same facts at the same places, every projection as it was, and nothing said twice.

#![allow(
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may"
)]

mod publisher;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use auspex_chassis::broker::{Broker, Sync};
use auspex_chassis::bus::{Bus, BusSettings, StreamSettings};
use auspex_chassis::stage::Logged;
use auspex_chassis::{Kept, View};
use auspex_proto::event::Body;
use auspex_proto::stage::Stage;
use auspex_proto::subject::FactKind;
use auspex_proto::{Event, Fact, stage, subject};
use auspex_tests::process::{Process, program};
use publisher::{PROJECTS, Publisher, change, deployment};
use serde::de::DeserializeOwned;

const SERVICES: [&str; 6] = ["ingest", "features", "scoring", "canary", "alerts", "history"];

/// The states of a stage, by key.
type States<S> = BTreeMap<String, Kept<S>>;

#[derive(Debug, Clone, PartialEq)]
struct Projections {
    features: States<auspex_features::state::State>,
    canary: States<auspex_canary::state::State>,
    alerts: States<auspex_alerts::state::State>,
}

impl Projections {
    async fn read(bus: &Bus) -> Self {
        Self {
            features: states(bus, stage::FEATURES).await,
            canary: states(bus, stage::CANARY).await,
            alerts: states(bus, stage::ALERTS).await,
        }
    }
}

async fn states<S: DeserializeOwned + Debug>(bus: &Bus, stage: Stage) -> States<S> {
    View::new(bus, stage)
        .list()
        .await
        .unwrap_or_default()
        .into_iter()
        .collect()
}

async fn server(folder: &Path) -> (Broker, BusSettings) {
    let broker = Broker::start(None, folder, Sync::EverySecond).await.unwrap();
    let settings = BusSettings {
        url: broker.url(),
        partitions: 3,
        streams: StreamSettings {
            lease_seconds: 2,
            ..StreamSettings::default()
        },
        ..BusSettings::default()
    };
    (broker, settings)
}

fn settings(url: &str, history: &Path) -> Vec<String> {
    vec![
        format!("nats.url={url}"),
        "nats.partitions=3".to_owned(),
        "nats.streams.lease_seconds=2".to_owned(),
        format!("history.folder={}", history.display()),
        "history.archive.segment_bytes=16384".to_owned(),
        "history.archive.segment_seconds=1".to_owned(),
    ]
}

/// A rollout that is over within seconds, so that time passing changes nothing any more.
fn brief(n: usize) -> Event {
    let mut event = deployment(n);
    if let Body::Deployment(deployment) = &mut event.body {
        deployment.document = deployment
            .document
            .replace("score_wait: 4s, deadline: 12s", "score_wait: 1s, deadline: 3s");
    }
    event
}

async fn traffic(port: u16) {
    let mut publisher = Publisher::at(port);
    for step in 0..8 {
        for n in (step * 6)..(step * 6 + 6) {
            publisher.insist(Fact::Event(change(n))).await;
            if n % 2 == 0 {
                publisher.insist(Fact::Event(brief(n))).await;
            }
        }
        publisher.observe(step).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}

/// Waits until no state has moved for longer than a change of one may wait to be saved; answers what stands there.
async fn settled(bus: &Bus) -> Projections {
    let (mut before, mut since) = (Projections::read(bus).await, Instant::now());
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = Projections::read(bus).await;
        if now != before || now.canary.is_empty() {
            (before, since) = (now, Instant::now());
        } else if since.elapsed() > Duration::from_secs(7) {
            return now;
        }
        assert!(Instant::now() < end, "states still move after 90 s");
    }
}

/// The facts of a log but for ticks: place, time, id and bytes.
fn facts(log: &[Logged]) -> Vec<(u64, i64, String, String, Vec<u8>)> {
    let is_tick = |logged: &&Logged| subject::parse(&logged.subject).is_ok_and(|a| a.kind == FactKind::Tick);
    log.iter()
        .filter(|logged| !is_tick(logged))
        .map(|l| {
            (
                l.seq,
                l.time.0,
                l.subject.clone(),
                l.message_id.clone(),
                l.payload.clone(),
            )
        })
        .collect()
}

fn auspex(arguments: &[&str]) -> String {
    let done = Command::new(program()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{arguments:?}: {said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    said
}

fn same<S: PartialEq + Debug>(what: &str, before: &States<S>, after: &States<S>) {
    let keys = |states: &States<S>| states.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(before), keys(after), "{what}");
    for (key, kept) in before {
        let (one, other) = (format!("{:#?}", kept.state), format!("{:#?}", after[key].state));
        let differs = one.lines().zip(other.lines()).position(|(a, b)| a != b);
        let around = |text: &str, at: usize| {
            text.lines()
                .skip(at.saturating_sub(6))
                .take(12)
                .collect::<Vec<_>>()
                .join("\n")
        };
        if let Some(at) = differs {
            panic!(
                "{what} of {key}:\n{}\n-- is now\n{}",
                around(&one, at),
                around(&other, at)
            );
        }
        assert!(kept.state == after[key].state, "{what} of {key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_comes_back_from_the_archive_and_every_projection_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history");
    let (broker, nats) = server(&folder.path().join("nats")).await;
    let mesh = Process::start(
        &SERVICES,
        &settings(&nats.url, &history),
        folder.path().join("mesh.log"),
    );
    traffic(mesh.port).await;
    let bus = Bus::connect(&nats, "test").await.unwrap();
    let before = settled(&bus).await;
    assert!(
        before.features.len() >= PROJECTS && before.canary.len() >= PROJECTS,
        "{before:?}"
    );
    assert_eq!(mesh.stop(), Some(0));
    let log = Logged::read_all(&bus).await.unwrap();
    // Everything is lost: the log, the states, the cursors.
    drop((bus, broker));
    std::fs::remove_dir_all(folder.path().join("nats")).unwrap();

    let archive = history.join("archive").display().to_string();
    let found: serde_json::Value = serde_json::from_str(&auspex(&[
        "history",
        "verify",
        "--archive",
        &archive,
        "--output",
        "json",
    ]))
    .unwrap();
    assert_eq!(
        (&found["sound"], &found["facts"]),
        (&true.into(), &log.len().into()),
        "{found}"
    );
    let (_broker, nats) = server(&folder.path().join("nats-2")).await;
    let url = format!("nats.url={}", nats.url);
    let on = ["--archive", &archive, "--set", &url, "--set", "nats.partitions=3"];
    let explained = auspex(&[&["history", "restore"], on.as_slice()].concat());
    assert!(explained.contains("Nothing has been done"), "{explained}");
    let said = auspex(&[&["recover", "--from-archive", "--yes"], on.as_slice()].concat());
    assert!(
        said.contains(&format!("{} facts put back, 0 were there", log.len())),
        "{said}"
    );
    let bus = Bus::connect(&nats, "test").await.unwrap();
    let restored = Logged::read_all(&bus).await.unwrap();
    assert_eq!(restored.len(), log.len());
    assert_eq!(facts(&restored), facts(&log));

    let mesh = Process::start(
        &SERVICES,
        &settings(&nats.url, &history),
        folder.path().join("mesh-2.log"),
    );
    let after = settled(&bus).await;
    same("features", &before.features, &after.features);
    same("canary", &before.canary, &after.canary);
    same("alerts", &before.alerts, &after.alerts);
    assert_eq!(mesh.stop(), Some(0));
    let now = Logged::read_all(&bus).await.unwrap();
    assert_eq!(
        facts(&now),
        facts(&log),
        "what stages made of it once more is known to the server by its id"
    );
    let found = auspex(&["history", "verify", "--archive", &archive]);
    assert!(
        found.contains(&format!("with {} facts", now.len())),
        "history goes on behind what was put back: {found}"
    );
    // Given up for good: what was stopped is not waited for.
    let explained = auspex(&["history", "retire", "--set", &url]);
    assert!(explained.contains("Nothing has been done"), "{explained}");
    auspex(&["history", "retire", "--yes", "--set", &url]);
    let said = auspex(&["history", "retire", "--set", &url]);
    assert_eq!(said.trim(), "no archive is waited for");
}
