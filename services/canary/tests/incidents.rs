//! What the users of other controllers complain of, thread by thread (`incidents.txt`), and where it is shown that it does not
//! happen here: a scenario with its golden trace, a test, or why there is nothing that could do it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("incidents.txt");

/// Threads, what they complain of, where it is shown.
fn incidents() -> Vec<(Vec<&'static str>, &'static str, Vec<&'static str>)> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut columns = line.split(" | ");
            let mut column = || columns.next().unwrap_or_else(|| panic!("three columns: {line}"));
            let (threads, what, shown) = (column(), column(), column());
            (threads.split(' ').collect(), what, shown.split("; ").collect())
        })
        .collect()
}

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// Whether it is there: a scenario that was written for an incident says for which.
fn is_there(threads: &[&str], shown: &str) -> bool {
    let words: Vec<&str> = shown.split(' ').collect();
    match words.as_slice() {
        ["scenario", name] => {
            let text = fs::read_to_string(scenarios().join(format!("{name}.txt"))).unwrap_or_default();
            let number = |thread: &&str| thread.rsplit('#').next().unwrap_or_default().to_owned();
            let named = threads.iter().any(|thread| text.contains(&number(thread)));
            let golden = scenarios().join(format!("{name}.golden")).is_file();
            golden && (named || !name.starts_with("incident_"))
        }
        ["test", file, name] => {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
            let text = fs::read_to_string(file).unwrap_or_default();
            text.contains(&format!("fn {name}("))
        }
        ["never", why @ ..] => why.len() > 5,
        _ => false,
    }
}

#[test]
fn every_incident_is_shown_not_to_happen() {
    let incidents = incidents();
    assert!(incidents.len() >= 37);
    let mut missing = Vec::new();
    for (threads, what, shown) in &incidents {
        let absent = shown.iter().filter(|shown| !is_there(threads, shown));
        missing.extend(absent.map(|shown| format!("{what}: {shown}")));
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_scenario_of_an_incident_is_in_the_table() {
    let incidents = incidents();
    let shown = incidents.iter().flat_map(|(_, _, shown)| shown);
    let listed: BTreeSet<&str> = shown
        .filter_map(|shown| shown.strip_prefix("scenario "))
        .collect();
    for entry in fs::read_dir(scenarios()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            !name.starts_with("incident_") || listed.contains(name),
            "{name} is in no line of the table"
        );
    }
}
