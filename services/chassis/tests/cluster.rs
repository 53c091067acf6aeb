//! The consumer loop on three servers of which one after another dies: nothing lost, nothing doubled, order kept, replay equals live;
//! and a read knows what was acknowledged before it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::testing::cluster::Cluster;
use auspex_chassis::{Bus, Ledger, Objects, SaveError, Speech};
use auspex_proto::Project;
use parts::{COUNTER, Count, Counter, assert_each_once, assert_replay, event, insist, log_with_alerts};

const PROJECTS: [&str; 3] = ["a", "b", "c/d"];

/// One after the other, until told to stop; how many.
async fn feed(bus: Bus, enough: Arc<AtomicBool>) -> usize {
    let mut fed = 0;
    while !enough.load(Ordering::Relaxed) {
        insist(&bus, &event(PROJECTS[fed % 3], &format!("e{fed}"), "x")).await;
        fed += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fed
}

async fn each_server_dies(speech: Speech) {
    let counter = Counter {
        speech,
        ..Counter::default()
    };
    let mut cluster = Cluster::start().await.unwrap();
    let (house, shutdown) = TestHouse::another(&cluster.settings()).await.unwrap();
    house.run_verb(COUNTER, counter.clone()).await.unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let feeding = tokio::spawn(feed(house.bus().clone(), Arc::clone(&enough)));
    for n in 0..cluster.size() {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.kill(n).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.restart(n).await.unwrap();
    }
    enough.store(true, Ordering::Relaxed);
    let fed = feeding.await.unwrap();
    let log = log_with_alerts(house.bus(), fed).await;
    assert_each_once(&log, fed);
    assert_replay(&house, COUNTER, counter, &log);
    shutdown.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_dies_and_words_that_are_saved_first_are_said_once() {
    each_server_dies(Speech::Saved).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_dies_and_fenced_words_are_said_once() {
    each_server_dies(Speech::Fenced).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_dies_and_words_that_go_first_are_said_once() {
    each_server_dies(Speech::First).await;
}

/// Of three copies two are behind for a moment. What was acknowledged, and what a cursor says is saved, is known at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_knows_what_was_acknowledged_before_it() {
    let cluster = Cluster::start().await.unwrap();
    let (house, shutdown) = TestHouse::another(&cluster.settings()).await.unwrap();
    let verb = Counter::default();
    let view = house.run_verb(COUNTER, verb.clone()).await.unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let beside = tokio::spawn(feed(house.bus().clone(), Arc::clone(&enough)));
    let (project, verb) = (Project::new("e").unwrap(), Arc::new(verb));
    let ledger = Ledger::open(house.bus(), "documents").await.unwrap();
    for n in 1..=50 {
        ledger.create(&["a", &n.to_string()], &n).await.unwrap();
        let known = ledger.list::<usize>(&["a"]).await.unwrap();
        assert_eq!(known.len(), n);
    }
    for n in 1..=600 {
        insist(house.bus(), &event("e", &format!("n{n}"), "x")).await;
        let known: Count = view.now(&verb, &project).await.unwrap().state;
        assert_eq!(known.events, n);
    }
    enough.store(true, Ordering::Relaxed);
    beside.await.unwrap();
    shutdown.finish(Duration::from_secs(10)).await;
}

/// The server answers who comes while another's word is under way otherwise than who comes after it.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_save_a_document_at_once_each_learns_that_another_was_first() {
    let cluster = Cluster::start().await.unwrap();
    let (house, shutdown) = TestHouse::another(&cluster.settings()).await.unwrap();
    Ledger::open(house.bus(), "counts")
        .await
        .unwrap()
        .create(&["n"], &0_u64)
        .await
        .unwrap();
    let writers = (0..8).map(|_| {
        let settings = cluster.settings();
        tokio::spawn(async move {
            let (house, _shutdown) = TestHouse::another(&settings).await.unwrap();
            let ledger = Ledger::open(house.bus(), "counts").await.unwrap();
            for _ in 0..25 {
                count_up(&ledger).await;
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    let ledger = Ledger::open(house.bus(), "counts").await.unwrap();
    let document = ledger.get::<u64>(&["n"]).await.unwrap().unwrap();
    assert_eq!(document.document, 200);
    shutdown.finish(Duration::from_secs(10)).await;
}

async fn count_up(ledger: &Ledger) {
    loop {
        let known = ledger.get::<u64>(&["n"]).await.unwrap().unwrap();
        match ledger.update(&["n"], &(known.document + 1), known.revision).await {
            Ok(_) => return,
            Err(SaveError::Conflict) => {}
            Err(fault) => panic!("{fault}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_once_is_kept_three_times_from_the_next_start_on() {
    let cluster = Cluster::start().await.unwrap();
    let mut settings = cluster.settings();
    settings.streams.replicas = 1;
    let (house, shutdown) = TestHouse::another(&settings).await.unwrap();
    house.run_verb(COUNTER, Counter::default()).await.unwrap();
    for n in 0..30 {
        insist(house.bus(), &event("a", &format!("e{n}"), "x")).await;
    }
    let files = Objects::open(house.bus(), "nats://files").await.unwrap();
    files.put("file", b"whole").await.unwrap();
    cluster.has_copies(Some(1)).await.unwrap();
    log_with_alerts(house.bus(), 30).await;
    assert!(shutdown.finish(Duration::from_secs(10)).await.is_empty());
    let (house, shutdown) = TestHouse::another(&cluster.settings()).await.unwrap();
    let view = house.run_verb(COUNTER, Counter::default()).await.unwrap();
    let files = Objects::open(house.bus(), "nats://files").await.unwrap();
    cluster.has_copies(Some(3)).await.unwrap();
    assert_eq!(
        files.get("file").await.unwrap().as_deref(),
        Some(b"whole".as_slice())
    );
    insist(house.bus(), &event("a", "last", "x")).await;
    assert_each_once(&log_with_alerts(house.bus(), 31).await, 31);
    let known = view.get(&Project::new("a").unwrap(), "a").await.unwrap();
    assert_eq!(known.unwrap().state.events, 31);
    shutdown.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_begin_together_lay_out_one_and_the_same() {
    let cluster = Cluster::start().await.unwrap();
    let houses = (0..4).map(|_| async {
        let (house, shutdown) = TestHouse::another(&cluster.settings()).await.unwrap();
        Objects::open(house.bus(), "nats://files").await.unwrap();
        house.run_verb(COUNTER, Counter::default()).await.unwrap();
        (house, shutdown)
    });
    let houses = futures::future::join_all(houses).await;
    let bus = houses[0].0.bus();
    for n in 0..9 {
        insist(bus, &event(PROJECTS[n % 3], &format!("e{n}"), "x")).await;
    }
    assert_each_once(&log_with_alerts(bus, 9).await, 9);
    for (_, shutdown) in &houses {
        assert!(shutdown.finish(Duration::from_secs(10)).await.is_empty());
    }
}
