//! An archive on Google's Cloud Storage: its own client against a server that speaks the documented XML API, on a line that breaks.

#![cfg(feature = "clouds")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod parts;

use auspex_chassis::testing::gcs::{Fault, Gcs, every_third};
use auspex_chassis::testing::{again, is_again};
use auspex_history::archive::store;
use auspex_history::config::ArchiveConfig;
use parts::{insists, keeps};

const PLACE: &str = "gs://bucket/some/prefix";

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_reaches_gcs() {
    if is_again() {
        return keeps(PLACE).await;
    }
    let server = Gcs::start(every_third).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_gcs_that_breaks_in_the_middle_is_done_again() {
    if is_again() {
        let archive = store::open(PLACE, &ArchiveConfig::default()).unwrap();
        return insists(&archive, &archive, 5).await;
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
