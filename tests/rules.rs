//! The alert rules that come with the product name figures that there are, and fire when they should.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use auspex::services;
use auspex_chassis::testing::{TestHouse, not_run};
use auspex_chassis::{Mesh, Options};
use auspex_tests::process::{free_port, get};
use auspex_tests::top;

/// Every name in a text that begins as our figures do.
fn figures(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("auspex_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_page_name_figures_that_a_mesh_tells() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let options = Options {
        set: vec![
            format!("nats.url={}", test.settings.url),
            "nats.partitions=2".to_owned(),
            format!("server.listen=127.0.0.1:{port}"),
            format!("history.folder={}", folder.path().display()),
        ],
        ..Options::default()
    };
    let specs = services::named(&["canary".to_owned(), "history".to_owned()]).unwrap();
    let mesh = Mesh::start(&specs, &options).await.unwrap();
    let rules = std::fs::read_to_string(top().join("deploy/prometheus/rules.yaml")).unwrap();
    let named = figures(&rules);
    assert!(named.len() >= 3, "{named:?}");
    let page = std::fs::read_to_string(top().join("docs/operate.md")).unwrap();
    let shown = figures(&page);
    let missing: Vec<_> = named.difference(&shown).collect();
    assert!(missing.is_empty(), "docs/operate.md does not tell of {missing:?}");
    let (archive, mut told) = ("auspex_stage_lag_seconds{stage=\"history\"}", String::new());
    for _ in 0..600 {
        let metrics = tokio::task::spawn_blocking(move || get(port, "/metrics"));
        told = metrics.await.unwrap().unwrap_or_default();
        if named.is_subset(&figures(&told)) && told.contains(archive) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let all = figures(&told);
    let missing: Vec<_> = named.difference(&all).collect();
    assert!(missing.is_empty(), "the mesh does not tell {missing:?}");
    assert!(told.contains(archive), "{told}");
    assert!(mesh.stop().await.is_empty());
}

#[test]
fn the_rules_fire_when_they_should() {
    let mut promtool = Command::new("promtool");
    promtool
        .args(["test", "rules"])
        .arg(top().join("tests/rules.yaml"));
    let Ok(tried) = promtool.output() else {
        not_run("there is no promtool");
        return;
    };
    let said = String::from_utf8_lossy(&tried.stdout) + String::from_utf8_lossy(&tried.stderr);
    assert!(tried.status.success(), "{said}");
}
