//! Observations from a real log into a database of metrics that comes and goes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod law;
mod parts;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Group, Metrics};
use auspex_history::feed::Feed;
use auspex_history::series::{Ask, Point, Series, TimeSeries, WriteFault};
use auspex_history::sqlite::Sqlite;
use futures::future::BoxFuture;
use parts::{archive, config, observations, publish, stop, until};

#[tokio::test]
async fn sqlite_keeps_the_law_of_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.sqlite");
    law::holds(&Sqlite::open(&file).unwrap()).await;
    // What was written is there for the next process, too.
    let again = Sqlite::open(&file).unwrap();
    assert_eq!(
        again.forget(law::BEGIN + 60_000).await.unwrap(),
        law::FIRST_MINUTE
    );
    assert_eq!(again.forget(law::BEGIN + 60_000).await.unwrap(), 0);
}

/// A database that is away when it is told to be.
#[derive(Default)]
struct Moody {
    away: AtomicBool,
    points: Mutex<BTreeMap<String, Point>>,
    writes: Mutex<Vec<Vec<i64>>>,
}

impl Moody {
    fn starts(&self) -> Vec<i64> {
        let points = self.points.lock().unwrap();
        points
            .values()
            .filter(|p| p.metric == "cpu")
            .map(|p| p.start_ms)
            .collect()
    }
}

impl TimeSeries for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn write<'a>(&'a self, points: &'a [Point]) -> BoxFuture<'a, Result<(), WriteFault>> {
        Box::pin(async move {
            if self.away.load(Ordering::SeqCst) {
                return Err(WriteFault::Away {
                    reason: "it sleeps".to_owned(),
                    retry_after_ms: Some(30),
                });
            }
            self.writes
                .lock()
                .unwrap()
                .push(points.iter().map(|p| p.start_ms).collect());
            let mut known = self.points.lock().unwrap();
            for point in points {
                let place = format!("{:?}{}{:020}", point.track, point.metric, point.start_ms);
                known.insert(place, point.clone());
            }
            Ok(())
        })
    }

    fn range<'a>(&'a self, _: &'a Ask) -> BoxFuture<'a, anyhow::Result<Vec<Series>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn forget(&self, _: i64) -> BoxFuture<'_, anyhow::Result<u64>> {
        Box::pin(async { Ok(0) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_points_wait_on_disk_and_none_is_lost() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (moody, config) = (Arc::new(Moody::default()), config(folder.path()));
    let feed = |house: &auspex_chassis::House| {
        let from = (house.bus().clone(), archive(folder.path()));
        Feed::new(from, Arc::clone(&moody) as _, &config, &Metrics::default()).unwrap()
    };
    moody.away.store(true, Ordering::SeqCst);
    let (first, state) = feed(&test.house);
    test.house.spawn("feed", Group::Output, |stop| first.run(stop));
    publish(test.house.bus(), (0..40).map(observations)).await;
    until("points wait on disk, and it is said", || async {
        let state = state.lock().unwrap();
        state.spooled_bytes > 0 && state.away_since_ms > 0 && state.last_fault == "it sleeps"
    })
    .await;
    // The process ends while they wait.
    stop(&test).await;
    let (house, shutdown) = TestHouse::another(&test.settings).await.unwrap();
    let (second, state) = feed(&house);
    house.spawn("feed", Group::Output, |stop| second.run(stop));
    publish(house.bus(), (40..80).map(observations)).await;
    moody.away.store(false, Ordering::SeqCst);
    until("all points are there", || async { moody.starts().len() == 80 }).await;
    until("nothing waits any more", || async {
        let state = state.lock().unwrap();
        state.spooled_bytes == 0 && state.away_since_ms == 0
    })
    .await;
    let expected: Vec<i64> = (0..80).map(|n| n * 1_000).collect();
    assert_eq!(moody.starts(), expected);
    let order: Vec<i64> = moody.writes.lock().unwrap().iter().flatten().copied().collect();
    assert!(order.is_sorted(), "in the order in which they came: {order:?}");
    shutdown.finish(std::time::Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_spool_points_wait_in_the_log_and_none_is_lost() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    // Room for very few batches.
    config.metrics.spool_bytes = 3_000;
    config.metrics.batch_points = 50;
    let moody = Arc::new(Moody::default());
    moody.away.store(true, Ordering::SeqCst);
    let from = (test.house.bus().clone(), archive(folder.path()));
    let (feed, state) = Feed::new(from, Arc::clone(&moody) as _, &config, &Metrics::default()).unwrap();
    test.house.spawn("feed", Group::Output, |stop| feed.run(stop));
    publish(test.house.bus(), (0..300).map(observations)).await;
    // How much of it a batch fills follows from how the facts arrive; full is what takes nothing more.
    let spooled = || state.lock().unwrap().spooled_bytes;
    until("the spool is full", || async {
        let before = spooled();
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        before > 0 && spooled() == before
    })
    .await;
    assert!(spooled() <= 3_000, "it is bounded");
    moody.away.store(false, Ordering::SeqCst);
    until("all points are there", || async { moody.starts().len() == 300 }).await;
    stop(&test).await;
}

fn with(folder: &std::path::Path, database: &str) -> auspex_history::config::Config {
    let mut config = config(folder);
    config.metrics.database = database.to_owned();
    config
}

/// How many points are in the embedded database.
fn count(folder: &std::path::Path) -> i64 {
    let database = rusqlite::Connection::open(folder.join("metrics.sqlite")).unwrap();
    let all = "SELECT count(*) FROM points";
    database
        .query_row(all, [], |row| row.get::<_, i64>(0))
        .unwrap_or(0)
}

/// A folder of which the database has read the first forty batches, and the archive a hundred; their log is lost.
async fn read_in_part(folder: &std::path::Path) {
    let test = TestHouse::start().await.unwrap();
    auspex_history::start(&test.house, &with(folder, "sqlite"))
        .await
        .unwrap();
    publish(test.house.bus(), (0..40).map(observations)).await;
    until("the first are in the database", || async {
        count(folder) == 40 * 4
    })
    .await;
    stop(&test).await;
    let (house, shutdown) = TestHouse::another(&test.settings).await.unwrap();
    auspex_history::start(&house, &with(folder, "off")).await.unwrap();
    publish(house.bus(), (40..100).map(observations)).await;
    shutdown.finish(std::time::Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_has_given_up_comes_from_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    read_in_part(folder.path()).await;
    let place = |name: &str| folder.path().join(format!("{name}.position.json"));
    std::fs::copy(place("sqlite"), place("moody")).unwrap();
    let test = TestHouse::start().await.unwrap();
    let from = (test.house.bus().clone(), archive(folder.path()));
    let (moody, config) = (Arc::new(Moody::default()), with(folder.path(), "sqlite"));
    let (feed, _) = Feed::new(from, Arc::clone(&moody) as _, &config, &Metrics::default()).unwrap();
    test.house.spawn("feed", Group::Output, |stop| feed.run(stop));
    publish(test.house.bus(), (100..110).map(observations)).await;
    let seconds = || -> Vec<i64> { moody.starts().iter().map(|start| start / 1_000).collect() };
    until("what was missing and what is new", || async {
        seconds().ends_with(&(40..110).collect::<Vec<_>>())
    })
    .await;
    // The segment in which it stopped may come again.
    assert!(
        seconds().len() < 110,
        "what is done is not read again: {:?}",
        seconds()
    );
    stop(&test).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_gets_everything_that_the_archive_has() {
    let folder = tempfile::tempdir().unwrap();
    read_in_part(folder.path()).await;
    for file in [
        "metrics.sqlite",
        "metrics.sqlite-wal",
        "metrics.sqlite-shm",
        "sqlite.position.json",
    ] {
        std::fs::remove_file(folder.path().join(file)).ok();
    }
    let test = TestHouse::start().await.unwrap();
    auspex_history::start(&test.house, &with(folder.path(), "sqlite"))
        .await
        .unwrap();
    publish(test.house.bus(), (100..110).map(observations)).await;
    until("everything that was ever measured", || async {
        count(folder.path()) == 110 * 4
    })
    .await;
    stop(&test).await;
}
