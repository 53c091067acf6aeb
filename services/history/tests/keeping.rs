//! Facts from a real log into an archive: in order, once, whatever happens on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod faulty;
mod parts;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Bus, Group, Metrics};
use auspex_history::archive::Archive;
use auspex_history::keep::{Figures, Keeper, Tail};
use auspex_history::query::Answers;
use auspex_history::shelf::Shelf;
use auspex_proto::wire::VerifyRequest;
use auspex_proto::wire::history_server::History as _;
use faulty::Faulty;
use object_store::local::LocalFileSystem;
use parts::{archive, config, event, kept, kept_at_least, log, observations, publish, stop, until};

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_is_kept_in_its_order_with_everything_that_belongs_to_it() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    auspex_history::start(&test.house, &config(folder.path()))
        .await
        .unwrap();
    let bus = test.house.bus();
    publish(bus, (0..200).map(event)).await;
    publish(bus, (0..20).map(observations)).await;
    stop(&test).await;
    let archive = archive(folder.path());
    let (kept, log) = (kept(&archive).await, log(bus).await);
    assert_eq!(kept.len(), 220, "an orderly stop keeps what has arrived");
    assert_eq!(kept, log);
    assert!(!kept[0].message_id().is_empty(), "headers, too");
    let report = archive.verify(None).await.unwrap();
    assert!(report.sound && report.segments > 3, "{report:?}");
    // Another house goes on where the first one was.
    let (house, shutdown) = TestHouse::another(&test.settings).await.unwrap();
    auspex_history::start(&house, &config(folder.path()))
        .await
        .unwrap();
    publish(house.bus(), (200..260).map(event)).await;
    let all = kept_at_least(&archive, 280).await;
    assert_eq!(all, parts::log(house.bus()).await);
    let found = archive.verify(Some(report.head)).await.unwrap();
    assert!(found.sound && found.gaps.is_empty(), "{found:?}");
    shutdown.finish(Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_keep_every_fact_once() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (other, shutdown) = TestHouse::another(&test.settings).await.unwrap();
    let mut second = config(folder.path());
    second.metrics.database = "off".to_owned();
    let first = config(folder.path());
    auspex_history::start(&test.house, &first).await.unwrap();
    auspex_history::start(&other, &second).await.unwrap();
    publish(test.house.bus(), (0..300).map(event)).await;
    let archive = archive(folder.path());
    let kept = kept_at_least(&archive, 300).await;
    assert_eq!(kept, log(test.house.bus()).await);
    stop(&test).await;
    shutdown.finish(Duration::from_secs(20)).await;
    assert!(archive.verify(None).await.unwrap().sound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_before_after_and_in_the_middle_of_an_upload_loses_nothing() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let faulty = Arc::new(Faulty::new(files, folder.path().to_owned()));
    let keeper = Keeper {
        bus: test.house.bus().clone(),
        archive: Archive::new(Arc::clone(&faulty) as _, "faulty"),
        config: config(folder.path()).archive,
        tail: Arc::default(),
        figures: Figures::new(&Metrics::default()),
    };
    test.house.spawn("keeper", Group::Output, |stop| keeper.run(stop));
    publish(test.house.bus(), (0..300).map(event)).await;
    let archive = Archive::new(
        Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()),
        "sound",
    );
    let kept = kept_at_least(&archive, 300).await;
    assert_eq!(kept, log(test.house.bus()).await);
    let report = archive.verify(None).await.unwrap();
    assert!(report.sound, "{report:?}");
    assert!(faulty.failed() > 5, "{} failures", faulty.failed());
    stop(&test).await;
}

/// `history` alone in a process of its own.
struct Alone(Child);

impl Alone {
    fn start(settings: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auspex-history"));
        for setting in settings {
            command.args(["--set", setting]);
        }
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(quiet.spawn().unwrap())
    }

    fn kill(mut self) {
        // SIGKILL: it is told nothing.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_writes_it_loses_nothing_and_doubles_nothing() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        format!("nats.url={}", test.settings.url),
        "nats.partitions=2".to_owned(),
        "server.listen=127.0.0.1:0".to_owned(),
        format!("history.folder={}", folder.path().display()),
        "history.archive.segment_bytes=2048".to_owned(),
        "history.archive.segment_seconds=1".to_owned(),
        "history.metrics.batch_ms=20".to_owned(),
    ];
    let bus = test.house.bus().clone();
    let traffic = tokio::spawn(async move {
        for n in 0..600_usize {
            publish(&bus, [event(n)]).await;
            publish(&bus, [observations(i64::try_from(n).unwrap())]).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    let archive = archive(folder.path());
    for round in 1..=4_u32 {
        let process = Alone::start(&settings);
        let before = archive.numbers().await.unwrap().len();
        until("a killed process got somewhere", || async {
            archive.numbers().await.unwrap().len() > before + 1
        })
        .await;
        // At another moment each time.
        tokio::time::sleep(Duration::from_millis(u64::from(round * 37 % 50))).await;
        process.kill();
    }
    let last = Alone::start(&settings);
    traffic.await.unwrap();
    let kept = kept_at_least(&archive, 1_200).await;
    assert_eq!(kept, log(test.house.bus()).await);
    let report = archive.verify(None).await.unwrap();
    assert!(report.sound && report.gaps.is_empty(), "{report:?}");
    let file = folder.path().join("metrics.sqlite");
    until("every point is in the database once", || async {
        points(&file) == (600 * 4, 600)
    })
    .await;
    drop(last);
}

/// Points, and seconds in which the stable track was counted.
fn points(file: &std::path::Path) -> (i64, i64) {
    let count = || -> rusqlite::Result<(i64, i64)> {
        let database = rusqlite::Connection::open(file)?;
        let all = database.query_row("SELECT count(*) FROM points", [], |row| row.get(0))?;
        let sum = "SELECT sum(p.bad) FROM points p JOIN series s ON s.id = p.series WHERE s.metric = 'requests' AND s.track = 'stable'";
        Ok((all, database.query_row(sum, [], |row| row.get(0))?))
    };
    count().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_stored_in_half_is_put_aside_and_written_again() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    auspex_history::start(&test.house, &config(folder.path()))
        .await
        .unwrap();
    publish(test.house.bus(), (0..100).map(event)).await;
    stop(&test).await;
    let archive = archive(folder.path());
    let last = *archive.numbers().await.unwrap().last().unwrap();
    // What a copy that broke off leaves: half of the next segment, which nobody lists.
    let whole = archive.segment(last).await.unwrap().unwrap();
    let half = folder
        .path()
        .join(format!("archive/segments/{:020}.seg", last + 1));
    std::fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let (house, shutdown) = TestHouse::another(&test.settings).await.unwrap();
    auspex_history::start(&house, &config(folder.path()))
        .await
        .unwrap();
    publish(house.bus(), (100..160).map(event)).await;
    let kept = kept_at_least(&archive, 160).await;
    assert_eq!(kept, log(house.bus()).await);
    assert!(archive.verify(None).await.unwrap().sound);
    assert_eq!(
        std::fs::read_dir(folder.path().join("archive/aside"))
            .unwrap()
            .count(),
        1
    );
    shutdown.finish(Duration::from_secs(20)).await;
}

fn door(bus: &Bus, folder: &std::path::Path, tail: Tail) -> Answers {
    Answers {
        bus: bus.clone(),
        shelf: Some(Shelf {
            archive: archive(folder),
            tail,
        }),
        series: None,
        feed: Arc::default(),
        checked: Arc::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_archive_is_away_it_is_said_how_far_it_is_and_since_when_facts_wait() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bus = test.house.bus();
    let (metrics, tail) = (Metrics::default(), Tail::default());
    let keeper = Keeper {
        bus: bus.clone(),
        archive: archive(folder.path()),
        config: config(folder.path()).archive,
        tail: Arc::clone(&tail),
        figures: Figures::new(&metrics),
    };
    test.house.spawn("keeper", Group::Output, |stop| keeper.run(stop));
    let created = bus.log_ends().await.unwrap().created;
    let upto = async || bus.archived_upto(created).await.unwrap();
    until("said from the beginning", async || upto().await == Some(0)).await;
    let first = publish(bus, (0..20).map(event)).await;
    until("the mark follows the archive", async || {
        upto().await == Some(first)
    })
    .await;
    // The folder of segments is gone, and something else stands in its place.
    let (place, aside) = (
        folder.path().join("archive/segments"),
        folder.path().join("archive/moved"),
    );
    std::fs::rename(&place, &aside).unwrap();
    std::fs::write(&place, "in the way").unwrap();
    let second = publish(bus, (20..40).map(event)).await;
    let answers = door(bus, folder.path(), tail);
    let status = async || {
        let asked = tonic::Request::new(VerifyRequest::default());
        answers.verify(asked).await.unwrap().into_inner()
    };
    until("it is said that the archive is away", async || {
        !status().await.archive_fault.is_empty()
    })
    .await;
    let said = status().await;
    assert!(said.oldest_waiting_ms > 0 && said.waiting > 0, "{said:?}");
    let late = metrics.gauge("auspex_history_unarchived_seconds", "");
    until("the figure grows", async || late.get() > 1.0).await;
    assert!(
        upto().await < Some(second),
        "what is not stored is not said to be"
    );
    std::fs::remove_file(&place).unwrap();
    std::fs::rename(&aside, &place).unwrap();
    until("the mark catches up", async || upto().await == Some(second)).await;
    until("nothing waits any more", async || {
        let said = status().await;
        said.archive_fault.is_empty() && said.oldest_waiting_ms == 0 && late.get() == 0.0
    })
    .await;
    stop(&test).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_keeps_nothing_says_so_and_nobody_waits_for_it() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    auspex_history::start(&test.house, &config(folder.path()))
        .await
        .unwrap();
    let created = test.house.bus().log_ends().await.unwrap().created;
    let upto = async || test.house.bus().archived_upto(created).await.unwrap();
    until("it keeps", async || upto().await.is_some()).await;
    stop(&test).await;
    let (house, shutdown) = TestHouse::another(&test.settings).await.unwrap();
    auspex_history::start(&house, &auspex_history::config::Config::default())
        .await
        .unwrap();
    assert_eq!(upto().await, None);
    shutdown.finish(Duration::from_secs(20)).await;
}
