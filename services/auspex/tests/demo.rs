//! Nothing but the script knows how it should end: the story and the version are swapped, and the end follows the version.

#![allow(clippy::unwrap_used, reason = "a test may")]

use auspex::demo::shop::Habits;
use auspex::demo::story::{self, Change};
use auspex::demo::{self, Outcome, Script, Show};

async fn play(name: &str, change: Change, candidate: Habits) -> Outcome {
    let script = Script {
        name: name.to_owned(),
        change,
        candidate,
    };
    let outcome = Box::pin(demo::run(&script, Show::Nothing)).await.unwrap();
    assert!(outcome.told && outcome.faults.is_empty(), "{outcome:?}");
    assert_eq!(outcome.unanswered, 0, "{outcome:?}");
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_risky_looking_change_with_a_healthy_version_is_promoted() {
    let outcome = play("risky and healthy", story::risky(), Habits::healthy()).await;
    assert_eq!(outcome.outcome, "promoted", "{outcome:?}");
    assert!(outcome.p_failure > 0.5, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_safe_looking_change_with_a_broken_version_is_rolled_back() {
    let outcome = play("safe and broken", story::small(), Habits::broken()).await;
    assert_eq!(outcome.outcome, "rolled_back", "{outcome:?}");
    assert!(outcome.p_failure < 0.15, "{outcome:?}");
    assert!(outcome.harmed_requests < outcome.schedule.harmed, "{outcome:?}");
}
