//! A log that was lost comes back from the archive: the same facts at the same places.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test may"
)]

mod parts;

use std::time::Duration;

use auspex_chassis::Entry;
use auspex_chassis::testing::TestHouse;
use auspex_history::restore::{self, Damaged, Wish};
use auspex_proto::Timestamp;
use auspex_proto::subject::ORIGIN_HEADER;
use parts::{archive, config, event, kept_at_least, log, publish, stop, until};

/// What stands at which place, without the header that says where it came from.
fn places(entries: &[Entry]) -> Vec<(u64, i64, String, Vec<u8>)> {
    let place = |e: &Entry| (e.seq, e.time.0, e.subject.clone(), e.payload.to_vec());
    entries.iter().map(place).collect()
}

/// A house that has kept so many events.
async fn kept_house(folder: &std::path::Path, count: usize) -> (TestHouse, Vec<Entry>) {
    let test = TestHouse::start().await.unwrap();
    auspex_history::start(&test.house, &config(folder)).await.unwrap();
    publish(test.house.bus(), (0..count).map(event)).await;
    let facts = log(test.house.bus()).await;
    stop(&test).await;
    (test, facts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_comes_back_fact_by_fact_and_history_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (lost, before) = kept_house(folder.path(), 150).await;
    drop(lost);
    let archive = archive(folder.path());
    let test = TestHouse::start().await.unwrap();
    let outlook = restore::outlook(&archive, &test.settings).await.unwrap();
    assert_eq!((outlook.facts, outlook.on_log), (150, 0));
    let done = restore::restore(&archive, &test.settings, Timestamp(0))
        .await
        .unwrap();
    assert_eq!((done.facts, done.moved, done.empty, done.there), (150, 0, 0, 0));
    let after = log(test.house.bus()).await;
    assert_eq!(
        places(&after),
        places(&before),
        "the same facts, places and times"
    );
    assert!(
        after
            .iter()
            .zip(&before)
            .all(|(a, b)| a.message_id() == b.message_id())
    );
    assert!(after.iter().all(|e| !e.header(ORIGIN_HEADER).is_empty()));

    // Once more changes nothing, and an id is still known to the server.
    let again = restore::restore(&archive, &test.settings, Timestamp(0))
        .await
        .unwrap();
    assert_eq!((again.facts, again.there), (0, 150));
    auspex_history::start(&test.house, &config(folder.path()))
        .await
        .unwrap();
    publish(test.house.bus(), (150..200).map(event)).await;
    let kept = kept_at_least(&archive, 200).await;
    assert_eq!(kept.len(), 200, "what was put back is not kept twice");
    assert_eq!(places(&kept), places(&log(test.house.bus()).await));
    let report = archive.verify(None).await.unwrap();
    assert!(report.sound && report.gaps.is_empty(), "{report:?}");
    stop(&test).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_goes_on_and_a_foreign_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (lost, before) = kept_house(folder.path(), 120).await;
    drop(lost);
    let archive = archive(folder.path());
    let test = TestHouse::start().await.unwrap();
    // The first half, as an attempt that was killed leaves it.
    let (mut refill, _) = auspex_chassis::Refill::open(&test.settings).await.unwrap();
    for entry in &before[..47] {
        refill
            .put(entry, Timestamp(1), Duration::from_secs(1_000))
            .await
            .unwrap();
    }
    refill.finish().await.unwrap();
    let done = restore::restore(&archive, &test.settings, Timestamp(0))
        .await
        .unwrap();
    assert_eq!((done.there, done.facts), (47, 73));
    assert_eq!(places(&log(test.house.bus()).await), places(&before));

    let other = TestHouse::start().await.unwrap();
    publish(other.house.bus(), [event(7_777)]).await;
    let refused = restore::restore(&archive, &other.settings, Timestamp(0))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("is not the archive's"),
        "{refused:#}"
    );
    assert_eq!(log(other.house.bus()).await.len(), 1, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_is_not_put_back_and_the_segment_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (test, _) = kept_house(folder.path(), 120).await;
    let archive = archive(folder.path());
    let second = folder.path().join("archive/segments/00000000000000000002.seg");
    let mut bytes = std::fs::read(&second).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&second, bytes).unwrap();
    let fault = restore::restore(&archive, &test.settings, Timestamp(0))
        .await
        .unwrap_err();
    assert!(
        fault
            .to_string()
            .contains("segments/00000000000000000002.seg is altered"),
        "{fault:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_beginning_is_given_up_begins_where_the_archive_does() {
    let folder = tempfile::tempdir().unwrap();
    let (lost, before) = kept_house(folder.path(), 150).await;
    drop(lost);
    let archive = archive(folder.path());
    let index = archive.index().await.unwrap();
    let third = index[2].head.clone();
    let given_up = archive
        .forget(third.first_time_ms.max(index[1].head.last_time_ms + 1))
        .await
        .unwrap();
    assert!(given_up >= 2, "{given_up}");
    let report = archive.verify(None).await.unwrap();
    assert!(report.sound && report.first_sequence > 1, "{report:?}");
    let test = TestHouse::start().await.unwrap();
    restore::restore(&archive, &test.settings, Timestamp(0))
        .await
        .unwrap();
    let after = log(test.house.bus()).await;
    let rest: Vec<Entry> = before
        .into_iter()
        .filter(|e| e.seq >= report.first_sequence)
        .collect();
    assert_eq!(places(&after), places(&rest));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_repeated_beyond_the_servers_window_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let test = TestHouse::start().await.unwrap();
    auspex_history::start(&test.house, &config(folder.path()))
        .await
        .unwrap();
    let bus = test.house.bus();
    publish(bus, (0..10).map(event)).await;
    // Beyond the window of a second that test servers have.
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    publish(bus, (0..10).map(event)).await;
    let before = log(bus).await;
    assert_eq!(before.len(), 20, "the server took them twice");
    stop(&test).await;
    let other = TestHouse::start().await.unwrap();
    let archive = archive(folder.path());
    restore::restore(&archive, &other.settings, Timestamp(0))
        .await
        .unwrap();
    assert_eq!(places(&log(other.house.bus()).await), places(&before));
}

/// Damages a segment, and answers the sequences in it.
async fn damage(folder: &std::path::Path, number: usize, how: &str) -> std::ops::RangeInclusive<u64> {
    let head = archive(folder).index().await.unwrap()[number - 1].head.clone();
    let file = folder.join(format!("archive/segments/{number:020}.seg"));
    let mut bytes = std::fs::read(&file).unwrap();
    match how {
        "cut" => bytes.truncate(bytes.len() / 2),
        "altered" => *bytes.last_mut().unwrap() ^= 1,
        _ => {
            return std::fs::remove_file(&file)
                .map(|()| head.first_sequence..=head.last_sequence)
                .unwrap();
        }
    }
    std::fs::write(&file, bytes).unwrap();
    head.first_sequence..=head.last_sequence
}

fn saving(damaged: Damaged) -> Wish {
    Wish {
        damaged,
        ..Wish::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_whole_of_a_damaged_archive_comes_back_and_what_is_lost_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (lost, before) = kept_house(folder.path(), 300).await;
    drop(lost);
    let archive = archive(folder.path());
    let segments = archive.index().await.unwrap().len();
    assert!(segments >= 6, "{segments} segments");
    let mut gone = Vec::new();
    for (number, how) in [(2, "cut"), (4, "altered"), (5, "removed")] {
        gone.push(damage(folder.path(), number, how).await);
    }
    let test = TestHouse::start().await.unwrap();
    let refused = restore::plan(&archive, &test.settings, Wish::default())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("--skip-damaged"), "{refused:#}");

    // What is before the first damage.
    let plan = restore::plan(&archive, &test.settings, saving(Damaged::UpTo))
        .await
        .unwrap();
    let lost: u64 = plan.losses.iter().map(|loss| loss.facts.unwrap()).sum();
    assert_eq!(
        (plan.facts(), lost),
        (gone[0].start() - 1, 300 - (gone[0].start() - 1))
    );

    // All that is whole, each fact at the place it had.
    let plan = restore::plan(&archive, &test.settings, saving(Damaged::Skipped))
        .await
        .unwrap();
    let told: Vec<_> = plan
        .losses
        .iter()
        .map(|l| l.first_sequence.unwrap()..=l.last_sequence.unwrap())
        .collect();
    assert_eq!(told, gone);
    let saved: Vec<Entry> = before
        .into_iter()
        .filter(|e| !gone.iter().any(|gone| gone.contains(&e.seq)))
        .collect();
    assert_eq!(plan.facts(), saved.len() as u64);
    let done = plan.carry_out(&archive, &test.settings).await.unwrap();
    let empty: u64 = gone.iter().map(|gone| gone.end() - gone.start() + 1).sum();
    assert_eq!(
        (done.facts, done.empty, done.moved),
        (saved.len() as u64, empty, 0)
    );
    // What keeps the place of a lost fact is gone after a second.
    let bus = test.house.bus();
    until("empty places are empty", || async {
        bus.log_ends().await.unwrap().messages == saved.len() as u64
    })
    .await;
    assert_eq!(places(&log(bus).await), places(&saved));

    // Once more: it goes on where the log ends, and nothing behind that is lost any more.
    let plan = restore::plan(&archive, &test.settings, saving(Damaged::Skipped))
        .await
        .unwrap();
    assert_eq!(plan.losses, []);
    assert_eq!(plan.carry_out(&archive, &test.settings).await.unwrap().facts, 0);

    // A new archive is whole, has all that was saved, and says where facts are missing.
    let new = tempfile::tempdir().unwrap();
    auspex_history::start(&test.house, &config(new.path()))
        .await
        .unwrap();
    publish(bus, (300..320).map(event)).await;
    let kept = kept_at_least(&parts::archive(new.path()), saved.len() + 20).await;
    assert_eq!(places(&kept), places(&log(bus).await));
    let report = parts::archive(new.path()).verify(None).await.unwrap();
    assert!(report.sound && report.gaps.len() == 2, "{report:?}");
    stop(&test).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_index_and_end_the_beginning_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let (lost, before) = kept_house(folder.path(), 150).await;
    drop(lost);
    let archive = archive(folder.path());
    let last = archive.index().await.unwrap().len();
    let gone = damage(folder.path(), last, "cut").await;
    std::fs::remove_dir_all(folder.path().join("archive/index")).unwrap();
    let test = TestHouse::start().await.unwrap();
    let plan = restore::plan(&archive, &test.settings, saving(Damaged::UpTo))
        .await
        .unwrap();
    assert_eq!(plan.losses.len(), 1);
    assert_eq!(plan.losses[0].first_sequence, Some(*gone.start()));
    plan.carry_out(&archive, &test.settings).await.unwrap();
    let saved: Vec<Entry> = before.into_iter().filter(|e| e.seq < *gone.start()).collect();
    assert_eq!(places(&log(test.house.bus()).await), places(&saved));
}

#[tokio::test]
async fn a_file_far_behind_all_others_is_told_as_one_damage() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path());
    let segments = folder.path().join("archive/segments");
    std::fs::create_dir_all(&segments).unwrap();
    std::fs::write(segments.join("18446744073709551614.seg"), b"not a segment").unwrap();
    let looked = tokio::time::timeout(Duration::from_secs(60), archive.verify(None)).await;
    let report = looked.expect("it ends").unwrap();
    let numbers: Vec<u64> = report.faults.iter().map(|fault| fault.segment).collect();
    assert_eq!(numbers, [1, u64::MAX - 1]);
    assert!(
        report.faults[0].detail.contains("nor is any other up to"),
        "{report:?}"
    );
    let losses = archive.survey().await.unwrap().losses;
    assert_eq!(losses.len(), 2, "{losses:?}");
}
