//! All traffic from one version to the other and back, again and again, under load, on real data planes, while controllers
//! are killed in the middle: no request is lost, and every flip is carried out.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod rig;

use std::sync::atomic::Ordering;

use auspex_chassis::testing::TestHouse;
use auspex_proto::decision::Action;
use rig::plane::{Envoy, Haproxy, Plane, settings};
use rig::{Controller, Folder, Users, decision, flips, publish, until, until_kept, version};

/// Users at once.
const USERS: usize = 16;
/// One flip in so many is cut short.
const KILL: u64 = 20;

async fn flip_and_flip_back(plane: &impl Plane, folder: &Folder) {
    let test = TestHouse::start().await.unwrap();
    let settings = settings(plane, "");
    let start = || Controller::start(&test, &folder.0, &settings);
    let mut controllers = [start(), start()];
    publish(&test.house, decision(1, 0, Action::Start)).await;
    until_kept(&test.house, "the first word", |record| record.is_verified()).await;

    let users = Users::begin(plane.users(), USERS);
    let count = flips();
    for number in 2..2 + count {
        let weight = if number % 2 == 0 { 100 } else { 0 };
        publish(&test.house, decision(number, weight, Action::Advance)).await;
        if number % KILL == KILL / 2 {
            // In the middle of it, or nearly: whichever of the two it is.
            let at = usize::try_from(number / KILL % 2).unwrap();
            tokio::time::sleep(std::time::Duration::from_micros(number * 97 % 4_000)).await;
            controllers[at].kill().await;
            controllers[at] = start();
        }
        let wanted = (100 - u32::from(weight), u32::from(weight));
        until("the flip", || async { plane.weights().await == Some(wanted) }).await;
        // So that every flip is under load.
        let good = users.good.load(Ordering::Relaxed);
        until("users", || async {
            users.good.load(Ordering::Relaxed) >= good + 20
        })
        .await;
    }
    let (good, lost) = users.end().await;
    let last = 1 + count;
    let record = until_kept(&test.house, "the last flip", |record| {
        record.settled.as_ref().is_some_and(|settled| {
            settled.intent.seq > 0 && settled.intent.decision.as_str() == format!("d{last}")
        })
    })
    .await;
    println!(
        "{count} flips, {good} requests, {lost} lost, {} carried out",
        record.flips
    );
    assert_eq!(lost, 0, "of {good}");
    assert!(record.is_verified() && record.drift.is_none(), "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_loses_no_request_though_controllers_are_killed() {
    let folder = Folder::new("flips-haproxy");
    let (old, new) = (version("old").await, version("new").await);
    if let Some(plane) = Haproxy::start(&folder.0, old, new).await {
        flip_and_flip_back(&plane, &folder).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_loses_no_request_though_controllers_are_killed() {
    let folder = Folder::new("flips-envoy");
    let (old, new) = (version("old").await, version("new").await);
    if let Some(plane) = Envoy::start(&folder.0, old, new).await {
        flip_and_flip_back(&plane, &folder).await;
    }
}
