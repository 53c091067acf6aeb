//! The documentation keeps up with the code: each reason has its section in the runbook, the drawing is the machine's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use auspex_canary::control::machine::drawing;
use auspex_proto::decision::Reason;

#[test]
fn each_reason_has_a_section() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runbook.md");
    let text = std::fs::read_to_string(page).unwrap();
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let name = |reason: &Reason| {
        let name = reason.to_wire().as_str_name();
        name.trim_start_matches("REASON_CODE_").to_lowercase()
    };
    let reasons: Vec<String> = Reason::ALL.iter().map(name).collect();
    let missing: Vec<&String> = reasons
        .iter()
        .filter(|reason| !sections.contains(&reason.as_str()))
        .collect();
    let unknown: Vec<&&str> = sections
        .iter()
        .filter(|section| !reasons.iter().any(|r| r == *section))
        .collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing {missing:?}, unknown {unknown:?}"
    );
}

#[test]
fn the_machine_is_drawn_as_it_is() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rollouts.md");
    let text = std::fs::read_to_string(page).unwrap();
    assert!(
        text.contains(&drawing()),
        "docs/rollouts.md does not contain:\n{}",
        drawing()
    );
}
