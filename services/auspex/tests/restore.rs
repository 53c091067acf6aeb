//! `auspex history restore` of a damaged archive, as a person runs it: what it says, what it does, and its exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test may"
)]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_history::archive::Archive;
use auspex_history::archive::store;
use auspex_history::config::{ArchiveConfig, Config};
use auspex_proto::event::Body;
use auspex_proto::{Event, Fact, FactId, Meta, Project, Timestamp};
use serde_json::Value;

const COUNT: u64 = 120;

fn event(n: u64) -> Fact {
    Fact::Event(Event {
        meta: Meta {
            id: FactId::new(format!("e{n}")).unwrap(),
            project: Project::new("acme/shop").unwrap(),
            time: Timestamp(1_000),
            cause: 0,
            source: "test".to_owned(),
        },
        body: Body::Other {
            kind: "x".to_owned(),
            json: format!("{{\"n\":{n}}}"),
        },
    })
}

/// An archive of [`COUNT`] events in small segments, by a log that is no more.
async fn kept(folder: &Path) -> Archive {
    let test = TestHouse::start().await.unwrap();
    let mut config = Config {
        folder: folder.display().to_string(),
        ..Config::default()
    };
    config.archive.segment_bytes = 4 << 10;
    config.archive.segment_seconds = 1;
    auspex_history::start(&test.house, &config).await.unwrap();
    for n in 0..COUNT {
        test.house.bus().publish(&event(n)).await.unwrap();
    }
    let stragglers = test.shutdown.finish(Duration::from_secs(20)).await;
    assert!(stragglers.is_empty(), "{stragglers:?}");
    let location = folder.join("archive").display().to_string();
    store::open(&location, &ArchiveConfig::default()).unwrap()
}

struct Restoring {
    archive: String,
    url: String,
}

impl Restoring {
    fn run(&self, more: &[&str]) -> (Option<i32>, String, String) {
        let url = format!("nats.url={}", self.url);
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_auspex"))
            .args(["history", "restore", "--archive", &self.archive, "--set", &url])
            .args(more)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_saved_is_told_before_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let archive = kept(folder.path()).await;
    let index = archive.index().await.unwrap();
    let (second, last) = (index[1].head.clone(), index.len());
    assert!(last >= 4, "{last} segments");
    std::fs::remove_file(folder.path().join("archive/segments/00000000000000000002.seg")).unwrap();
    let test = TestHouse::start().await.unwrap();
    let restoring = Restoring {
        archive: archive.location().to_owned(),
        url: test.settings.url.clone(),
    };
    let held = async || test.house.bus().log_ends().await.unwrap().messages;

    let (code, said, fault) = restoring.run(&["--yes"]);
    assert_eq!(code, Some(1), "{said}{fault}");
    let lost = format!(
        "segments/00000000000000000002.seg is missing: it is not there; sequences {} to {} ({} facts)",
        second.first_sequence, second.last_sequence, second.facts
    );
    assert!(
        fault.contains(&lost) && fault.contains("nothing is done"),
        "{fault}"
    );
    assert!(!said.contains("deleted"), "states are untouched: {said}");

    let (code, said, fault) = restoring.run(&["--skip-damaged"]);
    assert_eq!(code, Some(0), "{said}{fault}");
    assert!(
        said.contains(&format!("lost: {lost}\n")) && said.contains("Nothing has been done"),
        "{said}"
    );
    assert_eq!(held().await, 0);

    let (code, said, _) = restoring.run(&["--up-to-damage", "--output", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &said["done"], &said["facts"]),
        (Some(0), &false.into(), &(second.first_sequence - 1).into())
    );
    assert_eq!(said["lost"].as_array().unwrap().len(), 2, "{said}");
    assert_eq!(said["lost"][1]["last_sequence"], COUNT, "{said}");

    let (code, _, fault) = restoring.run(&["--up-to-damage", "--skip-damaged"]);
    assert_eq!(code, Some(2), "{fault}");

    let (code, said, fault) = restoring.run(&["--skip-damaged", "--yes", "--output", "json"]);
    assert_eq!(code, Some(3), "{said}{fault}");
    let done: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&done["done"], &done["facts"]),
        (&true.into(), &(COUNT - second.facts).into()),
        "{done}"
    );
    assert_eq!(done["lost"][0]["first_sequence"], second.first_sequence, "{done}");
    assert!(
        fault.contains("move") && fault.contains(archive.location()),
        "{fault}"
    );
    for _ in 0..600 {
        if held().await == COUNT - second.facts {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} messages are on the log", held().await);
}
