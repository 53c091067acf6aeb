//! Time in the log, and errands outside: written by the owner, run by the loop.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auspex_chassis::stage::Logged;
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Errand, Errands, Input, Reject, Route, Settle, Verb};
use auspex_proto::stage::{Keeps, Stage};
use auspex_proto::subject::FactKind;
use auspex_proto::{Fact, Timestamp};
use parts::{event, insist};
use serde::{Deserialize, Serialize};

const WAITER: Stage = Stage {
    name: "waiter",
    does: "wait for three ticks",
    reads: &[FactKind::Event, FactKind::Tick],
    writes: &[FactKind::Tick],
    keeps: Keeps::State,
};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Waiting {
    due: Option<Timestamp>,
    ticks: Vec<i64>,
}

/// An event wakes it; it then waits for three ticks and sleeps again.
struct Waiter;

impl Verb for Waiter {
    type State = Waiting;

    fn route(&self, fact: &Fact) -> Route {
        match fact {
            Fact::Tick(_) => Route::Every,
            fact => Route::Key(fact.project().to_string()),
        }
    }

    fn absorb(&self, state: &mut Waiting, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        match input.fact {
            Fact::Tick(tick) => {
                state.ticks.push(tick.boundary.0);
                state.due =
                    (!state.ticks.len().is_multiple_of(3)).then(|| tick.boundary + Duration::from_secs(1));
            }
            _ => state.due = Some(input.now),
        }
        Ok(Vec::new())
    }

    fn due(&self, state: &Waiting) -> Option<Timestamp> {
        state.due
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_are_written_while_somebody_waits_and_only_to_them() {
    let test = TestHouse::start().await.unwrap();
    let view = test.house.run_verb(WAITER, Waiter).await.unwrap();
    insist(test.house.bus(), &event("idle", "e", "x")).await;
    insist(test.house.bus(), &event("a", "e", "x")).await;
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    let log = Logged::read_all(test.house.bus()).await.unwrap();
    for (key, kept) in view.list().await.unwrap() {
        assert_eq!(kept.state.ticks.len(), 3, "{key}: {:?}", kept.state);
        assert!(
            kept.state.ticks.iter().all(|t| t % 1_000 == 0),
            "{key}: {:?}",
            kept.state
        );
        assert!(kept.state.ticks.windows(2).all(|w| w[1] > w[0]));
    }
    let ticks = log.iter().filter(|l| l.subject.contains(".tick.")).count();
    assert!(
        (3..=8).contains(&ticks),
        "{ticks} ticks: nobody waits after the third"
    );
}

const COURIER: Stage = Stage {
    name: "courier",
    does: "carry",
    reads: &[FactKind::Event],
    writes: &[],
    keeps: Keeps::State,
};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Queue {
    waiting: Vec<String>,
    carried: Vec<String>,
}

struct Courier;

impl Verb for Courier {
    type State = Queue;

    fn is_urgent(&self, _fact: &Fact) -> bool {
        true
    }

    fn route(&self, fact: &Fact) -> Route {
        Route::Key(fact.project().to_string())
    }

    fn absorb(&self, state: &mut Queue, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        state.waiting.push(input.fact.meta().id.to_string());
        Ok(Vec::new())
    }
}

/// Carries one letter at a time, so many milliseconds each, to a place that remembers what it was given.
#[derive(Clone, Default)]
struct Legs(Arc<Mutex<Vec<String>>>, u64);

impl Errands<Queue> for Legs {
    fn due(
        &self,
        key: &str,
        state: &Queue,
        _now: Timestamp,
        busy: &BTreeSet<(String, String)>,
    ) -> Vec<Errand<Queue>> {
        let lane = "door".to_owned();
        let Some(first) = state.waiting.first().cloned() else {
            return Vec::new();
        };
        if busy.contains(&(key.to_owned(), lane.clone())) {
            return Vec::new();
        }
        let (place, slowness) = (Arc::clone(&self.0), Duration::from_millis(5 + self.1));
        let run = Box::pin(async move {
            place.lock().unwrap().push(first.clone());
            tokio::time::sleep(slowness).await;
            let settle: Settle<Queue> = Box::new(move |queue, _| {
                queue.waiting.retain(|id| *id != first);
                queue.carried.push(first);
                Vec::new()
            });
            settle
        });
        vec![Errand {
            key: key.to_owned(),
            lane,
            run,
        }]
    }

    fn next_at(&self, _state: &Queue, _now: Timestamp) -> Option<Timestamp> {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errands_are_run_in_order_and_at_most_one_is_repeated_per_crash() {
    let mut test = TestHouse::start().await.unwrap();
    let legs = Legs::default();
    let view = test
        .house
        .run_errands(COURIER, Courier, legs.clone())
        .await
        .unwrap();
    for n in 0..60 {
        insist(test.house.bus(), &event("a", &format!("e{n:02}"), "x")).await;
        if n == 20 || n == 40 {
            test.broker.restart().await.unwrap();
        }
    }
    let project = auspex_proto::Project::new("a").unwrap();
    for _ in 0..200 {
        let carried = view
            .get(&project, "a")
            .await
            .ok()
            .flatten()
            .map_or(0, |kept| kept.state.carried.len());
        if carried >= 60 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let kept = view.get(&project, "a").await.unwrap().unwrap();
    assert_eq!((kept.state.carried.len(), kept.state.waiting.len()), (60, 0));
    let given = legs.0.lock().unwrap().clone();
    let mut once = given.clone();
    once.dedup();
    let wanted: Vec<String> = (0..60).map(|n| format!("e{n:02}")).collect();
    assert_eq!(once, wanted, "in order, repeats only next to each other");
    assert!(
        given.len() <= 62,
        "two crashes, at most two repeats: {}",
        given.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_repeats_no_errand() {
    let test = TestHouse::start().await.unwrap();
    let legs = Legs(Arc::default(), 300);
    let (first, stopping) = TestHouse::another(&test.settings).await.unwrap();
    first.run_errands(COURIER, Courier, legs.clone()).await.unwrap();
    for n in 0..6 {
        insist(test.house.bus(), &event("a", &format!("e{n:02}"), "x")).await;
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(stopping.finish(Duration::from_secs(10)).await.is_empty());
    let before = legs.0.lock().unwrap().len();
    assert!((1..6).contains(&before), "stopped in the middle: {before}");
    test.house
        .run_errands(COURIER, Courier, legs.clone())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let given = legs.0.lock().unwrap().clone();
    let wanted: Vec<String> = (0..6).map(|n| format!("e{n:02}")).collect();
    assert_eq!(given, wanted);
}
