//! Starting over on the log that is there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::time::Duration;

use auspex_chassis::recover;
use auspex_chassis::testing::TestHouse;
use auspex_proto::Project;
use parts::{COUNTER, Counter, event};

#[tokio::test(flavor = "multi_thread")]
async fn stages_rebuild_from_what_the_log_holds_and_not_while_one_runs() {
    let test = TestHouse::start().await.unwrap();
    let view = test.house.run_verb(COUNTER, Counter::default()).await.unwrap();
    let project = Project::new("a").unwrap();
    let mut last = 0;
    for n in 0..20 {
        let event = event("a", &format!("e{n}"), "x");
        last = test.house.bus().publish(&event).await.unwrap().sequence;
    }
    let within = Duration::from_secs(20);
    let before = view.at_least(&project, "a", last, within).await.unwrap().unwrap();
    let refused = recover(&test.settings, &[COUNTER]).await.unwrap_err().to_string();
    assert!(refused.contains("is held"), "{refused}");

    assert!(test.shutdown.finish(Duration::from_secs(5)).await.is_empty());
    // Leases that were not given back run out.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let done = recover(&test.settings, &[COUNTER]).await.unwrap();
    assert_eq!(done.states, ["AUSPEX_STATE_counter"]);
    assert!(done.cursors > 0, "{done:?}");

    let (house, shutdown) = TestHouse::another(&test.settings).await.unwrap();
    let view = house.run_verb(COUNTER, Counter::default()).await.unwrap();
    let after = view.at_least(&project, "a", last, within).await.unwrap().unwrap();
    assert_eq!(
        (after.state.events, after.state.time),
        (before.state.events, before.state.time)
    );
    assert!(shutdown.finish(Duration::from_secs(5)).await.is_empty());
}
