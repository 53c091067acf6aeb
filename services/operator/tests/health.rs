//! The health check for Argo CD, run by a Lua interpreter where there is one on PATH (`apt-get install lua5.3`).

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::Write as _;
use std::process::{Command, Stdio};

const HEALTH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/kubernetes/argocd-health.lua"
);
/// Lua as Debian, Argo CD's own image (gopher-lua is 5.1) and others call it.
const NAMES: [&str; 5] = ["lua5.1", "lua5.3", "lua5.4", "lua", "luajit"];

/// What the check says of an object: its status and its message. `None`: there is no Lua.
fn health(object: &str) -> Option<(String, String)> {
    let program = format!(
        "obj = {object}\nlocal hs = assert(loadfile(\"{HEALTH}\"))()\nio.write(hs.status, \"\\n\", hs.message)"
    );
    for name in NAMES {
        let started = Command::new(name)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else { continue };
        child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{object}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (status, message) = text.split_once('\n').unwrap();
        return Some((status.to_owned(), message.to_owned()));
    }
    None
}

#[test]
fn argo_cds_health_follows_the_phase() {
    let object = |status: &str| format!("{{ metadata = {{ generation = 2 }}, {status} }}");
    if health(&object("")).is_none() {
        // Past the test harness, which shows what a passing test prints to nobody.
        let told = b"NOT RUN: there is no Lua on PATH: Argo CD's health check is not run\n";
        std::io::stderr().write_all(told).unwrap();
        return;
    }
    let of = |status: &str| health(&object(status)).unwrap();
    for (phase, expected) in [
        ("Pending", "Progressing"),
        ("Waiting", "Progressing"),
        ("Progressing", "Progressing"),
        ("Baking", "Progressing"),
        ("Returning", "Progressing"),
        ("Paused", "Suspended"),
        ("Promoted", "Healthy"),
        ("RolledBack", "Degraded"),
        ("Refused", "Degraded"),
        ("Unknown", "Unknown"),
        ("SomethingNew", "Unknown"),
    ] {
        let text = format!(
            "status = {{ phase = \"{phase}\", observedGeneration = 2, reason = \"Why\", message = \"in words\" }}"
        );
        let found = of(&text);
        assert_eq!(
            (found.0.as_str(), found.1.as_str()),
            (expected, "Why: in words"),
            "{phase}"
        );
    }
    assert_eq!(of("").0, "Progressing", "nothing was written yet");
    assert_eq!(of("status = {}").0, "Progressing");
    // The status is that of the version before.
    let stale = of("status = { phase = \"Promoted\", observedGeneration = 1 }");
    assert_eq!(stale.0, "Progressing");
    // Control was away when it was to begin: no generation was seen.
    let pending = of("status = { phase = \"Pending\", reason = \"ControlIsAway\" }");
    assert_eq!(pending.0, "Progressing");
    let drifted =
        of("status = { phase = \"Paused\", observedGeneration = 2, drift = \"istio: 50 by kubectl\" }");
    assert_eq!(
        drifted,
        (
            "Suspended".to_owned(),
            ":  (changed by others: istio: 50 by kubectl)".to_owned()
        )
    );
}
