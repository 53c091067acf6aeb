//! One rollout after another of the same service.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod stage;

use auspex_canary::Config;
use auspex_proto::Decision;
use auspex_proto::command::Ask;
use stage::Stage;

fn document(stable: &str, candidate: &str) -> String {
    format!(
        "apiVersion: auspex.dev/v1
kind: Rollout
metadata: {{name: checkout}}
spec:
  service: checkout
  mode: act
  tracks: {{stable: {{{stable}}}, candidate: {{{candidate}}}}}
"
    )
}

fn start(stage: &mut Stage, stable: &str, candidate: &str) -> Decision {
    let document = document(stable, candidate);
    let made = stage.command("checkout", Ask::Start { document }).unwrap();
    made.first().unwrap().clone()
}

/// Routers follow the last decision alone: one that forgets where the promoted version is sends users back to the old one.
#[test]
fn what_was_promoted_stays_where_users_are() {
    let mut stage = Stage::new(Config::default());
    let first = start(
        &mut stage,
        "revision: a, url: \"http://a\"",
        "revision: b, url: \"http://b\"",
    );
    assert_eq!(first.stable.url, "http://a");
    stage.command("checkout", Ask::Promote { full: true }).unwrap();

    for stable in ["", "revision: b"] {
        let next = start(&mut stage, stable, "revision: c, url: \"http://c\"");
        assert_eq!(
            (next.stable.revision.as_str(), next.stable.url.as_str()),
            ("b", "http://b")
        );
        stage.command("checkout", Ask::Abort).unwrap();
    }
    // Another version than the promoted one: where that is, is not for us to guess.
    let other = start(&mut stage, "revision: x", "revision: c, url: \"http://c\"");
    assert_eq!(other.stable.url, "");
}
