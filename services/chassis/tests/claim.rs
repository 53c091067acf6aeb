//! Claims on a real server: one holder at a time, an epoch for each, and what is kept goes with the claim.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::{Duration, Instant};

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Claim, House, Lost};
use auspex_proto::{Project, stage};

async fn claim(house: &House) -> Claim<Vec<String>> {
    let project = Project::new("acme/shop").unwrap();
    house.claim(stage::PROXY, &project, "shop-edge").await.unwrap()
}

/// Takes it as soon as it is free.
async fn taken(claim: &Claim<Vec<String>>) -> (u64, Vec<String>) {
    let begun = Instant::now();
    loop {
        if let Ok(Some(kept)) = claim.take().await {
            return (kept.epoch, kept.record);
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not become free"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn one_holds_it_at_a_time_and_a_stale_holder_can_change_nothing() {
    let first = TestHouse::start().await.unwrap();
    let (second, _shutdown) = TestHouse::another(&first.settings).await.unwrap();
    let (one, other) = (claim(&first.house).await, claim(&second).await);

    assert_eq!(one.confirm().await, Err(Lost::Gone), "not taken yet");
    assert_eq!(taken(&one).await, (1, vec![]));
    assert!(other.take().await.unwrap().is_none(), "it is held");
    one.save(vec!["settled".to_owned()]).await.unwrap();
    one.confirm().await.unwrap();
    assert!(one.tenure().await.is_some());

    // The first is paused past its lease; the second takes over, and finds what was kept.
    assert_eq!(taken(&other).await, (2, vec!["settled".to_owned()]));
    assert_eq!(one.confirm().await, Err(Lost::Gone));
    assert_eq!(one.save(vec!["late".to_owned()]).await, Err(Lost::Gone));
    assert!(one.tenure().await.is_none());
    let all = second.claimed::<Vec<String>>(stage::PROXY).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(
        (all[0].0.as_str(), &all[0].1.record),
        ("shop-edge", &vec!["settled".to_owned()])
    );
    assert_eq!(all[0].2.as_deref(), Some(second.instance()));

    // Given up, it is free at once.
    other.release().await;
    assert_eq!(one.take().await.unwrap().unwrap().epoch, 3);
}

#[tokio::test]
async fn a_server_that_was_restarted_keeps_the_record_and_not_the_holder() {
    let mut house = TestHouse::start().await.unwrap();
    let one = claim(&house.house).await;
    taken(&one).await;
    one.save(vec!["settled".to_owned()]).await.unwrap();
    house.broker.kill().await.unwrap();
    assert!(
        matches!(one.confirm().await, Err(Lost::Unknown(_))),
        "nobody can tell"
    );
    house.broker.restart().await.unwrap();
    let begun = Instant::now();
    while matches!(one.confirm().await, Err(Lost::Unknown(_))) && one.tenure().await.is_some() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(taken(&one).await, (2, vec!["settled".to_owned()]));
}
