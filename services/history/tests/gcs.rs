//! An archive on Google's Cloud Storage: its own client against a server that speaks the documented XML API, on a line that breaks.

#![cfg(feature = "clouds")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod parts;

use auspex_chassis::testing::gcs::{Fault, Gcs};
use auspex_chassis::testing::{again, is_again};
use auspex_history::archive::{Appended, segment, store};
use auspex_history::config::ArchiveConfig;
use auspex_proto::wire::ArchivedFact;
use parts::keeps;

const PLACE: &str = "gs://bucket/some/prefix";

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_reaches_gcs() {
    if is_again() {
        return keeps(PLACE).await;
    }
    // Every third upload goes wrong, each time otherwise.
    let server = Gcs::start(|n| match n % 12 {
        0 => Some(Fault::Behind(500)),
        3 => Some(Fault::Unsaid),
        6 => Some(Fault::Refused(429)),
        9 => Some(Fault::Denied(503)),
        _ => None,
    });
    let server = server.await.unwrap();
    again(&server.variables()).unwrap();
    let (uploads, failed) = server.uploads();
    assert!(uploads > 12 && failed > 3, "{failed} of {uploads} uploads failed");
    let names = server.names();
    let segments = names
        .iter()
        .filter(|n| n.starts_with("some/prefix/segments/"))
        .count();
    assert!(segments > 3, "several pages of a list: {names:?}");
}

fn sealed(number: u64, previous: &str, bytes: usize) -> segment::Sealed {
    let record = ArchivedFact {
        sequence: number,
        time_ms: 1,
        subject: "auspex.v1.p1.tick.a.tick".to_owned(),
        payload: parts::unpackable(number, bytes),
        ..ArchivedFact::default()
    };
    let place = segment::Place {
        number,
        previous: previous.to_owned(),
        log_created_ms: 5,
        gap_before: 0,
    };
    segment::seal(place, &[record]).unwrap()
}

/// Large segments through uploads that break off in their middle, that are stored without a word, or refused.
async fn large_segments() {
    let archive = store::open(PLACE, &ArchiveConfig::default()).unwrap();
    let mut previous = segment::NOTHING.to_owned();
    for number in 1..=5 {
        let sealed = sealed(number, &previous, 400_000);
        let mut attempts = 0;
        while let Err(fault) = archive.append(&sealed).await.map(|appended| {
            assert_eq!(appended, Appended::Stored, "it is nobody else's");
        }) {
            attempts += 1;
            assert!(attempts < 50, "segment {number} never arrives: {fault:#}");
        }
        previous = sealed.sha256;
    }
    let report = archive.verify(Some(previous)).await.unwrap();
    assert!(report.sound && report.segments == 5, "{report:?}");
    // Another writer's segment in the place of ours is no fault of the store's.
    let other = sealed(5, segment::NOTHING, 10);
    assert_eq!(archive.append(&other).await.unwrap(), Appended::Taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_gcs_that_breaks_in_the_middle_is_done_again() {
    if is_again() {
        return large_segments().await;
    }
    let server = Gcs::start(|n| match n % 5 {
        0 | 1 => Some(Fault::Behind(100_000)),
        2 => Some(Fault::Unsaid),
        3 => Some(Fault::Denied(503)),
        _ => None,
    });
    let server = server.await.unwrap();
    again(&server.variables()).unwrap();
    assert!(server.uploads().1 >= 8, "{:?}", server.uploads());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_said() {
    if is_again() {
        let archive = store::open(PLACE, &ArchiveConfig::default()).unwrap();
        let fault = format!("{:#}", archive.numbers().await.unwrap_err());
        assert!(
            fault.contains("listing segments") && fault.contains("401"),
            "{fault}"
        );
        return;
    }
    let server = Gcs::start(|_| None).await.unwrap();
    let [address, (name, _), http] = server.variables();
    again(&[address, (name, "another"), http]).unwrap();
}
