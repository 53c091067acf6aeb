//! The whole mesh under load and faults: SIGKILL of every service and of the server, an owner stopped past its lease and
//! continued, duplicates beyond the duplicate window, poison messages. Then the laws are read off the log that it left.
//!
//! Lease and duplicate window are two seconds here, so that 24 seconds of SIGSTOP are twelve of each; with `AUSPEX_FAULTS=whole`
//! both are at their defaults (10 s and 120 s) and the owner is stopped for three minutes: five minutes in all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod publisher;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auspex_chassis::broker::{Broker, Sync};
use auspex_chassis::bus::{Bus, BusSettings, StreamSettings};
use auspex_chassis::stage::{Logged, Replay};
use auspex_chassis::{Settings, Verb};
use auspex_proto::decision::Action;
use auspex_proto::event::Body;
use auspex_proto::stage::{self, Stage};
use auspex_proto::subject::FactKind;
use auspex_proto::*;
use auspex_tests::process::Process;
use publisher::{DEADLINE, Publisher, change, deployment};

/// How much time there is.
struct Pace {
    streams: StreamSettings,
    step: Duration,
}

impl Pace {
    fn read() -> Self {
        if std::env::var("AUSPEX_FAULTS").is_ok_and(|asked| asked == "whole") {
            return Self {
                streams: StreamSettings::default(),
                step: Duration::from_millis(6_100),
            };
        }
        Self {
            streams: StreamSettings {
                lease_seconds: 2,
                duplicate_window_seconds: 2,
                ..StreamSettings::default()
            },
            step: Duration::from_millis(800),
        }
    }
}

struct Chaos {
    broker: Broker,
    folder: tempfile::TempDir,
    settings: BusSettings,
    /// By name: two replicas of each stateful or stateless stage, one door.
    processes: BTreeMap<&'static str, Vec<Process>>,
}

impl Chaos {
    async fn start(streams: StreamSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start(None, &folder.path().join("nats"), Sync::EverySecond)
            .await
            .unwrap();
        let (lease, window) = (streams.lease_seconds, streams.duplicate_window_seconds);
        let settings = BusSettings {
            url: broker.url(),
            partitions: 3,
            streams,
            ..BusSettings::default()
        };
        let mut processes = BTreeMap::new();
        for (name, replicas) in [
            ("ingest", 1),
            ("features", 2),
            ("scoring", 2),
            ("canary", 2),
            ("alerts", 2),
        ] {
            let set = vec![
                format!("nats.url={}", settings.url),
                "nats.partitions=3".to_owned(),
                format!("nats.streams.lease_seconds={lease}"),
                format!("nats.streams.duplicate_window_seconds={window}"),
            ];
            let log = |n: usize| folder.path().join(format!("{name}-{n}.log"));
            let started = (0..replicas)
                .map(|n| Process::start(&[name], &set, log(n)))
                .collect();
            processes.insert(name, started);
        }
        Self {
            broker,
            folder,
            settings,
            processes,
        }
    }

    fn process(&mut self, name: &str, replica: usize) -> &mut Process {
        &mut self.processes.get_mut(name).unwrap()[replica]
    }

    /// What happens at this step of the run.
    async fn strike(&mut self, step: usize) {
        match step {
            4 => self.process("features", 0).kill_and_restart(),
            7 => self.process("scoring", 0).kill_and_restart(),
            9 => self.process("canary", 1).freeze(),
            10 => self.process("canary", 0).kill_and_restart(),
            13 => self.process("alerts", 0).kill_and_restart(),
            16 => self.broker.restart().await.unwrap(),
            19 => self.process("ingest", 0).kill_and_restart(),
            22 => self.process("features", 1).kill_and_restart(),
            25 => self.broker.restart().await.unwrap(),
            28 => self.process("scoring", 1).kill_and_restart(),
            31 => self.process("alerts", 1).kill_and_restart(),
            39 => self.process("canary", 1).thaw(),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_laws_hold_on_the_log_that_faults_leave() {
    let pace = Pace::read();
    let mut chaos = Chaos::start(pace.streams).await;
    let port = chaos.process("ingest", 0).port;
    let mut publisher = Publisher::at(port);
    let bus = Bus::connect(&chaos.settings, "test").await.unwrap();
    // 42 steps: changes, deployments and observations, while the mesh is struck.
    for step in 0..42 {
        for n in (step * 8)..(step * 8 + 8) {
            publisher.insist(Fact::Event(change(n))).await;
            if n % 4 == 0 {
                publisher.insist(Fact::Event(deployment(n))).await;
            }
        }
        publisher.observe(step).await;
        if step == 12 || step == 30 {
            // A webhook delivered again, long beyond the server's window.
            publisher.insist(Fact::Event(change(1))).await;
            publisher.insist(Fact::Event(deployment(4))).await;
        }
        if step == 20 {
            poison(&bus).await;
        }
        chaos.strike(step).await;
        tokio::time::sleep(pace.step).await;
    }
    let log = quiet_log(&bus).await;
    check_acknowledged(&log, &publisher.acknowledged);
    check_the_path(&log);
    let extract = auspex_features::Extract {
        hours: hours(),
        around: auspex_features::streams::Surroundings::default(),
    };
    check_replay(&log, stage::FEATURES, extract);
    check_replay(
        &log,
        stage::CANARY,
        auspex_canary::Decide::new(auspex_canary::Config::default()),
    );
    check_replay(&log, stage::ALERTS, auspex_alerts::route::Router::default());
    for process in chaos.processes.into_values().flatten() {
        assert_eq!(process.stop(), Some(0), "an orderly stop");
    }
    drop(chaos.folder);
}

fn hours() -> auspex_features::context::WorkingHours {
    let config = auspex_features::Config::default();
    assert!(config.problems().is_empty());
    config.hours().unwrap()
}

/// Bytes that are no event, where an event should be.
async fn poison(bus: &Bus) {
    let place = Fact::Event(change(0)).subject(Partitions::new(3).unwrap());
    bus.publish_raw(&place, "poison-1", FactKind::Event, vec![0xff, 0xff, 0xff])
        .await
        .unwrap();
}

/// The log once nothing has come to it for longer than a rollout's deadline: all have ended, so nobody waits for ticks. One without
/// traffic may sleep until its deadline.
async fn quiet_log(bus: &Bus) -> Vec<Logged> {
    let mut before = 0;
    let mut calm = 0;
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Ok(log) = Logged::read_all(bus).await else {
            continue;
        };
        calm = if log.len() == before { calm + 1 } else { 0 };
        before = log.len();
        if calm > DEADLINE {
            return log;
        }
    }
    panic!("the log does not come to rest");
}

fn check_acknowledged(log: &[Logged], acknowledged: &[String]) {
    let there: BTreeSet<&str> = log.iter().map(|l| l.message_id.as_str()).collect();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !there.contains(id.as_str()))
        .collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(acknowledged.len() > 600, "{}", acknowledged.len());
}

/// Every deployment became one vector, one score, one started rollout, and each ended: nothing lost, nothing doubled.
fn check_the_path(log: &[Logged]) {
    let mut vectors: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut scores: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut started, mut ended) = (BTreeMap::new(), BTreeMap::new());
    let mut deployments = BTreeSet::new();
    for logged in log {
        match logged.fact() {
            Ok(Fact::Event(Event {
                body: Body::Deployment(d),
                ..
            })) => {
                deployments.insert(d.deployment_id);
            }
            Ok(Fact::Vector(v)) if v.entity.kind == EntityKind::Deployment => {
                vectors
                    .entry(v.entity.id)
                    .or_default()
                    .insert(logged.message_id.clone());
            }
            Ok(Fact::Score(s)) if s.entity.kind == EntityKind::Deployment => {
                scores
                    .entry(s.entity.id)
                    .or_default()
                    .insert(logged.message_id.clone());
            }
            Ok(Fact::Decision(d)) if d.action == Action::Start => {
                started
                    .entry(d.rollout.to_string())
                    .or_insert_with(BTreeSet::new)
                    .insert(logged.message_id.clone());
            }
            Ok(Fact::Decision(d)) if d.phase.is_terminal() => {
                ended
                    .entry(d.rollout.to_string())
                    .or_insert_with(BTreeSet::new)
                    .insert(logged.message_id.clone());
            }
            _ => {}
        }
    }
    for id in &deployments {
        let rollout = id.replacen('d', "r", 1);
        assert_eq!(vectors.get(id).map(BTreeSet::len), Some(1), "vectors of {id}");
        assert_eq!(scores.get(id).map(BTreeSet::len), Some(1), "scores of {id}");
        assert_eq!(
            started.get(&rollout).map(BTreeSet::len),
            Some(1),
            "starts of {rollout}"
        );
        assert_eq!(
            ended.get(&rollout).map(BTreeSet::len),
            Some(1),
            "ends of {rollout}"
        );
    }
    assert_eq!(deployments.len(), 84);
}

/// Law 2: the same facts through a fresh verb give the same facts, byte for byte.
fn check_replay<V: Verb>(log: &[Logged], stage: Stage, verb: V) {
    let mut live: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for logged in log.iter().filter(|l| {
        l.fact()
            .is_ok_and(|f| stage.writes.contains(&f.kind()) && f.kind() != FactKind::Tick)
    }) {
        let first = live.entry(&logged.message_id).or_insert(&logged.payload);
        assert_eq!(
            *first,
            logged.payload.as_slice(),
            "{} stands there twice, differently",
            logged.message_id
        );
    }
    let replayed = Replay::new(stage, Partitions::new(3).unwrap(), verb)
        .outputs(log)
        .unwrap();
    let replayed: BTreeMap<&str, &[u8]> = replayed
        .iter()
        .map(|(id, bytes)| (id.as_str(), bytes.as_slice()))
        .collect();
    let missing: Vec<_> = replayed.keys().filter(|id| !live.contains_key(*id)).collect();
    let surplus: Vec<_> = live.keys().filter(|id| !replayed.contains_key(*id)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{}: missing {missing:?}, surplus {surplus:?}",
        stage.name
    );
    let differing: Vec<_> = replayed
        .iter()
        .filter(|(id, bytes)| live[*id] != **bytes)
        .map(|(id, _)| id)
        .collect();
    assert!(differing.is_empty(), "{}: {differing:?}", stage.name);
    assert!(
        live.len() > 80 || stage.name == "alerts",
        "{} wrote {} facts",
        stage.name,
        live.len()
    );
}
