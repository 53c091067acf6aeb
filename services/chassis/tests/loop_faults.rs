//! The one consumer loop under faults, on a real server: nothing lost, nothing doubled, order kept, replay equals live.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::sync::atomic::Ordering;
use std::time::Duration;

use auspex_chassis::Speech;
use auspex_chassis::stage::Logged;
use auspex_chassis::testing::TestHouse;
use auspex_proto::subject::FactKind;
use auspex_proto::{Fact, Project};
use parts::{
    COUNTER, Count, Counter, Replica, all, assert_each_once, assert_replay, event, insist, log_with_alerts,
};

const PROJECTS: [&str; 3] = ["a", "b", "c/d"];

async fn feed(bus: &auspex_chassis::Bus, range: std::ops::Range<usize>) {
    for n in range {
        insist(bus, &event(PROJECTS[n % 3], &format!("e{n}"), "x")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_absorbed_once_and_replay_equals_live() {
    let test = TestHouse::start().await.unwrap();
    let view = test.house.run_verb(COUNTER, Counter::default()).await.unwrap();
    feed(test.house.bus(), 0..90).await;
    let log = log_with_alerts(test.house.bus(), 90).await;
    assert_each_once(&log, 90);
    let project = Project::new("c/d").unwrap();
    let kept = view.get(&project, "c/d").await.unwrap().unwrap();
    assert_eq!(kept.state.events, 30);
    assert_eq!(view.list().await.unwrap().len(), 3);
    assert_replay(&test.house, COUNTER, Counter::default(), &log);
    assert!(test.shutdown.finish(Duration::from_secs(5)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_server_loses_and_doubles_nothing() {
    for counter in all() {
        kill_the_server(counter).await;
    }
}

async fn kill_the_server(counter: Counter) {
    let mut test = TestHouse::start().await.unwrap();
    test.house.run_verb(COUNTER, counter.clone()).await.unwrap();
    let bus = test.house.bus().clone();
    let feeding = tokio::spawn(async move { feed(&bus, 0..600).await });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        test.broker.restart().await.unwrap();
    }
    feeding.await.unwrap();
    let log = log_with_alerts(test.house.bus(), 600).await;
    assert_each_once(&log, 600);
    assert_replay(&test.house, COUNTER, counter, &log);
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_that_a_restarted_server_forgot_are_given_again() {
    let mut test = TestHouse::start().await.unwrap();
    test.house.run_verb(COUNTER, Counter::default()).await.unwrap();
    feed(test.house.bus(), 0..3).await;
    log_with_alerts(test.house.bus(), 3).await;
    test.broker.restart().await.unwrap();
    // The owner goes away, and another replica begins: it finds no bucket of leases.
    test.shutdown.finish(Duration::from_secs(5)).await;
    let (second, _shutdown) = TestHouse::another(&test.settings).await.unwrap();
    test.broker.restart().await.unwrap();
    while second.run_verb(COUNTER, Counter::default()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    feed(second.bus(), 3..9).await;
    assert_each_once(&log_with_alerts(second.bus(), 9).await, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_is_taken_over() {
    for counter in all() {
        kill_the_owner(counter).await;
    }
}

async fn kill_the_owner(counter: Counter) {
    let test = TestHouse::start().await.unwrap();
    let owner = Replica::start(test.settings.clone(), COUNTER, counter.clone());
    test.house.run_verb(COUNTER, counter.clone()).await.unwrap();
    feed(test.house.bus(), 0..150).await;
    log_with_alerts(test.house.bus(), 50).await;
    owner.kill();
    feed(test.house.bus(), 150..300).await;
    let log = log_with_alerts(test.house.bus(), 300).await;
    assert_each_once(&log, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_stopped_past_its_lease_and_continued_doubles_nothing() {
    for counter in all() {
        stop_the_owner(counter).await;
    }
}

async fn stop_the_owner(counter: Counter) {
    let test = TestHouse::start().await.unwrap();
    let sleeper = Counter {
        speech: counter.speech,
        ..Counter::default()
    };
    sleeper.sleep_ms.store(6_000, Ordering::SeqCst);
    // Alone at first, so that it owns everything; it falls asleep in the middle, three leases long.
    let _alive = Replica::start(test.settings.clone(), COUNTER, sleeper);
    feed(test.house.bus(), 0..30).await;
    log_with_alerts(test.house.bus(), 30).await;
    insist(test.house.bus(), &event("a", "sleep", "slow")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    test.house.run_verb(COUNTER, counter.clone()).await.unwrap();
    feed(test.house.bus(), 30..120).await;
    let log = log_with_alerts(test.house.bus(), 121).await;
    assert_each_once(&log, 121);
    // Now the sleeper wakes, holding what it had absorbed, and both go on.
    tokio::time::sleep(Duration::from_secs(6)).await;
    feed(test.house.bus(), 120..210).await;
    let log = log_with_alerts(test.house.bus(), 211).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_each_once(&log, 211);
    assert_each_once(&log_with_alerts(test.house.bus(), 211).await, 211);
}

/// As if a newer owner had spoken: what is to follow the word before it is refused, and said when all is loaded anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_owner_behind_whose_last_word_there_is_another_begins_again() {
    let test = TestHouse::start().await.unwrap();
    let fenced = Counter {
        speech: Speech::Fenced,
        ..Counter::default()
    };
    test.house.run_verb(COUNTER, fenced.clone()).await.unwrap();
    feed(test.house.bus(), 0..9).await;
    let log = log_with_alerts(test.house.bus(), 9).await;
    let is_alert = |logged: &&Logged| matches!(logged.fact(), Ok(Fact::Alert(_)));
    let (place, bytes) = log
        .iter()
        .rfind(is_alert)
        .map(|last| (last.subject.clone(), last.payload.clone()))
        .unwrap();
    let foreign = test
        .house
        .bus()
        .publish_raw(&place, "foreign", FactKind::Alert, bytes);
    foreign.await.unwrap();
    feed(test.house.bus(), 9..18).await;
    let mut log = log_with_alerts(test.house.bus(), 19).await;
    log.retain(|logged| logged.message_id != "foreign");
    assert_each_once(&log, 18);
    assert_replay(&test.house, COUNTER, fenced, &log);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_beyond_the_window_are_recognised() {
    let test = TestHouse::start().await.unwrap();
    let view = test.house.run_verb(COUNTER, Counter::default()).await.unwrap();
    feed(test.house.bus(), 0..3).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let again = test.house.bus().publish(&event("a", "e0", "x")).await.unwrap();
    assert!(!again.duplicate, "the server has forgotten it: the verb must not");
    insist(test.house.bus(), &event("a", "last", "x")).await;
    let log = log_with_alerts(test.house.bus(), 4).await;
    assert_each_once(&log, 4);
    let project = Project::new("a").unwrap();
    let kept: Option<auspex_chassis::Kept<Count>> = view.get(&project, "a").await.unwrap();
    assert_eq!(kept.unwrap().state.events, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_and_a_leaver_hands_over_at_once() {
    for counter in all() {
        share_and_leave(counter).await;
    }
}

async fn share_and_leave(counter: Counter) {
    let test = TestHouse::start().await.unwrap();
    let (other, leaving) = TestHouse::another(&test.settings).await.unwrap();
    test.house.run_verb(COUNTER, counter.clone()).await.unwrap();
    other.run_verb(COUNTER, counter.clone()).await.unwrap();
    feed(test.house.bus(), 0..60).await;
    log_with_alerts(test.house.bus(), 60).await;
    assert!(leaving.finish(Duration::from_secs(5)).await.is_empty());
    feed(test.house.bus(), 60..120).await;
    assert_each_once(&log_with_alerts(test.house.bus(), 120).await, 120);
    assert!(matches!(event("a", "x", "x"), Fact::Event(_)));
}
