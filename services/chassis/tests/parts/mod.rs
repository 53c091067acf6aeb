//! A small stage for the loop's tests: it counts a project's events and says each count in an alert.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "each test file uses its own share"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

use auspex_chassis::bus::BusSettings;
use auspex_chassis::stage::{Logged, Replay};
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Bus, House, Input, PublishError, Reject, Route, Speech, Verb};
use auspex_proto::alert::{Kind, Severity, Status};
use auspex_proto::event::Body;
use auspex_proto::seen::Seen;
use auspex_proto::stage::{Keeps, Stage};
use auspex_proto::subject::FactKind;
use auspex_proto::{Alert, Event, Fact, FactId, Meta, Project, Timestamp};
use serde::{Deserialize, Serialize};

pub const COUNTER: Stage = Stage {
    name: "counter",
    does: "count",
    reads: &[FactKind::Event],
    writes: &[FactKind::Alert],
    keeps: Keeps::State,
};

/// Counts. It rejects events of kind `bad`, panics on `poison`, and sleeps on `slow` once for as long as it is told.
#[derive(Clone, Default)]
pub struct Counter {
    pub sleep_ms: Arc<AtomicU64>,
    /// When it says the count.
    pub speech: Speech,
}

/// One for each time at which to speak: what holds for the one holds for the others.
pub fn all() -> [Counter; 3] {
    [Speech::Saved, Speech::Fenced, Speech::First].map(|speech| Counter {
        speech,
        ..Counter::default()
    })
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Count {
    pub events: u64,
    pub seen: Seen,
    pub time: i64,
}

impl Verb for Counter {
    type State = Count;

    fn route(&self, fact: &Fact) -> Route {
        Route::Key(fact.project().to_string())
    }

    fn speech(&self) -> Speech {
        self.speech
    }

    fn absorb(&self, state: &mut Count, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        let Fact::Event(event) = input.fact else {
            return Ok(Vec::new());
        };
        if let Body::Other { kind, .. } = &event.body {
            match kind.as_str() {
                "bad" => return Err(Reject("it is bad".to_owned())),
                "poison" => panic!("poison"),
                "slow" => std::thread::sleep(Duration::from_millis(self.sleep_ms.swap(0, Ordering::SeqCst))),
                _ => {}
            }
        }
        if !state.seen.admit(&event.meta.id) {
            return Ok(Vec::new());
        }
        state.events += 1;
        state.time = input.now.0;
        let alert = Alert {
            meta: input.derive("counter", &event.meta.project, 0),
            kind: Kind::Deployment,
            severity: Severity::Info,
            status: Status::Notice,
            dedup_key: event.meta.id.to_string(),
            title: state.events.to_string(),
            text: String::new(),
            service: None,
            rollout: String::new(),
            causes: Vec::new(),
            facts: Vec::new(),
            receivers: Vec::new(),
        };
        Ok(vec![Fact::Alert(alert)])
    }
}

pub fn event(project: &str, id: &str, kind: &str) -> Fact {
    let meta = Meta {
        id: FactId::new(id).unwrap(),
        project: Project::new(project).unwrap(),
        time: Timestamp(1),
        cause: 0,
        source: "test".to_owned(),
    };
    Fact::Event(Event {
        meta,
        body: Body::Other {
            kind: kind.to_owned(),
            json: String::new(),
        },
    })
}

/// Publishes as a careful publisher does: again and again under the same id until it is acknowledged.
pub async fn insist(bus: &Bus, fact: &Fact) {
    loop {
        match bus.publish(fact).await {
            Ok(_) => return,
            Err(PublishError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(fault) => panic!("{fault}"),
        }
    }
}

/// The whole log, once it holds that many alerts. Panics when it does not within 30 s.
pub async fn log_with_alerts(bus: &Bus, wanted: usize) -> Vec<Logged> {
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let log = Logged::read_all(bus).await.unwrap();
        let alerts = alerts(&log).len();
        if alerts >= wanted {
            return log;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{alerts} of {wanted} alerts after 30 s"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The alerts on the log, by id. An outbox that goes out again beyond the server's duplicate window (one second here) stands
/// there twice, under the same id and with the same bytes: that is the promise to whoever absorbs it.
pub fn alerts(log: &[Logged]) -> Vec<(String, Vec<u8>)> {
    let mut alerts: BTreeMap<&str, &Logged> = BTreeMap::new();
    for logged in log.iter().filter(|l| matches!(l.fact(), Ok(Fact::Alert(_)))) {
        let first = alerts.entry(&logged.message_id).or_insert(logged);
        assert_eq!(
            first.payload, logged.payload,
            "{} stands there twice, differently",
            logged.message_id
        );
    }
    let mut alerts: Vec<&Logged> = alerts.into_values().collect();
    alerts.sort_by_key(|l| l.seq);
    alerts
        .into_iter()
        .map(|l| (l.message_id.clone(), l.payload.clone()))
        .collect()
}

/// Fresh verbs make the same of the log as those that ran.
pub fn assert_replay<V: Verb>(house: &House, stage: Stage, verb: V, log: &[Logged]) {
    let mut live = alerts(log);
    let mut replayed = Replay::new(stage, house.partitions(), verb).outputs(log).unwrap();
    live.sort();
    replayed.sort();
    assert_eq!(replayed, live);
}

/// Another replica, on a runtime of one thread: whoever blocks it stops everything in it, leases too, as SIGSTOP does. It goes
/// without a word: no lease is released, and nothing that waits is saved.
pub struct Replica {
    kill: Sender<()>,
    thread: JoinHandle<()>,
}

impl Replica {
    pub fn start<V: Verb>(settings: BusSettings, stage: Stage, verb: V) -> Self {
        let (kill, killed) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (house, _shutdown) = TestHouse::another(&settings).await.unwrap();
                house.run_verb(stage, verb).await.unwrap();
                while killed.try_recv() == Err(TryRecvError::Empty) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            runtime.shutdown_background();
        });
        Self { kill, thread }
    }

    pub fn kill(self) {
        self.kill.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// Every event of every project was counted once, in order.
pub fn assert_each_once(log: &[Logged], events: usize) {
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut keys = std::collections::BTreeSet::new();
    for (_, payload) in alerts(log) {
        if let Ok(Fact::Alert(alert)) = Fact::decode(FactKind::Alert, &payload) {
            counts
                .entry(alert.meta.project.to_string())
                .or_default()
                .push(alert.title.parse().unwrap());
            assert!(
                keys.insert(alert.dedup_key.clone()),
                "{} was counted twice",
                alert.dedup_key
            );
        }
    }
    assert_eq!(keys.len(), events);
    for (project, counts) in counts {
        let wanted: Vec<u64> = (1..=counts.len() as u64).collect();
        assert_eq!(counts, wanted, "{project}");
    }
}
