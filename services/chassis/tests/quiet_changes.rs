//! Changes that nobody waits for are saved a few at a time, while messages go on coming: nothing lost, nothing doubled, no
//! fact of the log absorbed twice, and the cursor goes on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::kv;
use auspex_chassis::bus::BusSettings;
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Bus, Input, Reject, Route, Verb};
use auspex_proto::event::Body;
use auspex_proto::stage::{Keeps, Stage};
use auspex_proto::subject::{self, FactKind};
use auspex_proto::{Fact, Partitions, Project};
use parts::{Count, Counter, Replica, assert_replay, event, insist, log_with_alerts};
use serde::Deserialize;

const LEDGER: Stage = Stage {
    name: "ledger",
    does: "count, and tell when asked",
    reads: &[FactKind::Event],
    writes: &[FactKind::Alert],
    keeps: Keeps::State,
};
/// More than are saved at once in any partition.
const PROJECTS: usize = 600;

/// Counts every event, and says the count on one of kind `ask` only.
#[derive(Clone, Default)]
struct Ledger(Counter);

impl Verb for Ledger {
    type State = Count;

    fn route(&self, fact: &Fact) -> Route {
        self.0.route(fact)
    }

    fn absorb(&self, state: &mut Count, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        let told = self.0.absorb(state, input)?;
        let asked = matches!(input.fact, Fact::Event(e) if matches!(&e.body, Body::Other { kind, .. } if kind == "ask"));
        Ok(if asked { told } else { Vec::new() })
    }
}

fn project(n: usize) -> String {
    format!("p{}", n % PROJECTS)
}

async fn feed(bus: &Bus, range: std::ops::Range<usize>) {
    for n in range {
        // One in seven is asked about, and so saved at once, between those that wait.
        let kind = if n % 7 == 0 { "ask" } else { "x" };
        insist(bus, &event(&project(n), &format!("e{n}"), kind)).await;
    }
}

async fn ask_all(bus: &Bus) {
    for n in 0..PROJECTS {
        insist(bus, &event(&project(n), &format!("last{n}"), "ask")).await;
    }
}

/// How far the partitions' cursors are, by what the bucket holds.
async fn cursors(settings: &BusSettings) -> BTreeMap<String, u64> {
    #[derive(Deserialize)]
    struct Saved {
        seq: u64,
    }
    let client = async_nats::connect(&settings.url).await.unwrap();
    let store: kv::Store = async_nats::jetstream::new(client)
        .get_key_value(subject::CURSORS)
        .await
        .unwrap();
    let mut found = BTreeMap::new();
    for partition in Partitions::new(settings.partitions).unwrap().iter() {
        let key = subject::post(LEDGER.name, partition);
        if let Some(value) = store.get(key.as_str()).await.unwrap() {
            let saved: Saved = rmp_serde::from_slice(&value).unwrap();
            found.insert(key, saved.seq);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_goes_on_though_something_always_waits_to_be_saved() {
    let test = TestHouse::start().await.unwrap();
    test.house.run_verb(LEDGER, Ledger::default()).await.unwrap();
    let (bus, settings) = (test.house.bus().clone(), test.settings.clone());
    let feeding = tokio::spawn(async move {
        for n in 0.. {
            insist(&bus, &event(&project(n), &format!("e{n}"), "x")).await;
        }
    });
    // At no moment is all saved; the cursors move all the same, and more than once.
    let (mut moves, mut before) = (0, BTreeMap::new());
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    while moves < 3 {
        assert!(tokio::time::Instant::now() < end, "the cursors stand: {before:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = cursors(&settings).await;
        let all = now.len() == usize::from(settings.partitions);
        let later = |(key, seq): (&String, &u64)| before.get(key).is_none_or(|before| seq > before);
        if all && now.iter().all(later) {
            (moves, before) = (moves + 1, now);
        }
    }
    feeding.abort();
    assert!(test.shutdown.finish(Duration::from_secs(5)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_server_between_bites_loses_and_doubles_nothing() {
    let mut test = TestHouse::start().await.unwrap();
    let view = test.house.run_verb(LEDGER, Ledger::default()).await.unwrap();
    let bus = test.house.bus().clone();
    let feeding = tokio::spawn(async move { feed(&bus, 0..3_000).await });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        test.broker.restart().await.unwrap();
    }
    feeding.await.unwrap();
    ask_all(test.house.bus()).await;
    let asked = 3_000_usize.div_ceil(7) + PROJECTS;
    let log = log_with_alerts(test.house.bus(), asked).await;
    assert_replay(&test.house, LEDGER, Ledger::default(), &log);
    // Whoever takes over finds all of it.
    for n in 0..PROJECTS {
        let id = Project::new(project(n)).unwrap();
        let kept = view.get(&id, &project(n)).await.unwrap().unwrap();
        assert_eq!(kept.state.events, 3_000 / PROJECTS as u64 + 1, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_gone_between_bites_is_taken_over() {
    let test = TestHouse::start().await.unwrap();
    let owner = Replica::start(test.settings.clone(), LEDGER, Ledger::default());
    feed(test.house.bus(), 0..1_200).await;
    owner.kill();
    let view = test.house.run_verb(LEDGER, Ledger::default()).await.unwrap();
    feed(test.house.bus(), 1_200..2_400).await;
    ask_all(test.house.bus()).await;
    let log = log_with_alerts(test.house.bus(), 2_400_usize.div_ceil(7) + PROJECTS).await;
    assert_replay(&test.house, LEDGER, Ledger::default(), &log);
    let kept = view.list().await.unwrap();
    assert_eq!(kept.len(), PROJECTS);
    assert!(
        kept.iter().all(|(_, kept)| kept.state.events == 5),
        "4 events and a question"
    );
}
