//! Payloads that other people wrote: GitHub's published examples and the CDEvents conformance documents. They are not part
//! of the project; these tests run when `AUSPEX_CORPUS` names the folder that holds them, and say so when they do not.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use auspex_ingest::normalize::{Delivery, Normalized, Projects, cloudevent, github, structured};
use auspex_proto::subject::FactKind;
use auspex_proto::{Fact, Timestamp};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn corpus(part: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("AUSPEX_CORPUS") else {
        auspex_chassis::testing::not_run("AUSPEX_CORPUS names no folder of outside payloads");
        return None;
    };
    Some(Path::new(&folder).join(part))
}

fn documents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    let read = |path: PathBuf| (path.clone(), std::fs::read(path).unwrap());
    files.into_iter().map(read).collect()
}

/// Whatever was mapped reads back from the log as it was.
fn kinds(path: &Path, normalized: Normalized) -> Vec<String> {
    match normalized {
        Normalized::Ignored { kind } => vec![format!("ignored {kind}")],
        Normalized::Event(events) => {
            assert!(!events.is_empty(), "{path:?}");
            let kind = |event: auspex_proto::Event| {
                let kind = event.body.kind().to_owned();
                let fact = Fact::Event(event);
                assert_eq!(
                    Fact::decode(FactKind::Event, &fact.encode()).unwrap(),
                    fact,
                    "{path:?}"
                );
                kind
            };
            events.into_iter().map(kind).collect()
        }
    }
}

#[test]
fn every_github_payload_is_mapped_or_ignored_by_name() {
    let Some(folder) = corpus("github") else { return };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let event = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for (path, body) in documents(&folder) {
            let delivery = Delivery {
                event: &event,
                id: "1",
                body: &body,
            };
            let normalized = github(&delivery, &Projects::default(), NOW);
            let normalized = normalized.unwrap_or_else(|fault| panic!("{path:?}: {fault}"));
            for kind in kinds(&path, normalized) {
                *counts.entry(kind).or_default() += 1;
            }
        }
    }
    println!("{counts:#?}");
    for (kind, count) in [
        ("change", 2),
        ("review", 28),
        ("run", 6),
        ("deployment", 3),
        ("deployment_status", 3),
    ] {
        assert!(
            counts.get(kind).is_some_and(|n| *n >= count),
            "{kind}: {:?}",
            counts.get(kind)
        );
    }
}

#[test]
fn every_cdevents_conformance_document_is_accepted() {
    let Some(folder) = corpus("cdevents") else { return };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (path, body) in documents(&folder) {
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let context = &document["context"];
        let event = serde_json::json!({
            "specversion": "1.0", "id": context["id"], "source": context["source"], "type": context["type"],
            "time": context["timestamp"], "datacontenttype": "application/json", "data": document,
        });
        let envelope = structured(event.to_string().as_bytes()).unwrap();
        let normalized = cloudevent(&envelope, &Projects::default(), NOW);
        let normalized = normalized.unwrap_or_else(|fault| panic!("{path:?}: {fault}"));
        for kind in kinds(&path, normalized) {
            *counts.entry(kind).or_default() += 1;
        }
    }
    println!("{counts:#?}");
    for (kind, count) in [
        ("change", 1),
        ("review", 5),
        ("run", 11),
        ("deployment_status", 3),
        ("incident", 3),
    ] {
        assert_eq!(counts.get(kind), Some(&count), "{kind}");
    }
}
