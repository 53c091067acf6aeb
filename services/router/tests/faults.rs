//! What goes wrong around a route, on real data planes: a controller that is paused, somebody else's change, a data plane that
//! forgets, control that is gone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod rig;

use std::time::{Duration, Instant};

use auspex_chassis::shutdown::Shutdown;
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{From, House, Input, Reject, Route, Verb};
use auspex_proto::decision::{Action, Decision};
use auspex_proto::intent::{By, Cohort, Match};
use auspex_proto::observation::Applied;
use auspex_proto::report::Verified;
use auspex_proto::stage::CANARY;
use auspex_proto::{Fact, FactKind, Intent};
use rig::plane::{Envoy, Haproxy, Plane, settings};
use rig::{
    Controller, Folder, LONG, ask, connect, decision, kept, pid_of, publish, until, until_kept, version,
};

/// Runs a scene on both data planes.
macro_rules! on_both {
    ($scene:ident: $haproxy:ident, $envoy:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $haproxy() {
            let folder = Folder::new("h");
            let (old, new) = (version("old").await, version("new").await);
            if let Some(plane) = Haproxy::start(&folder.0, old, new).await {
                $scene(plane, &folder).await;
            }
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $envoy() {
            let folder = Folder::new("e");
            let (old, new) = (version("old").await, version("new").await);
            if let Some(plane) = Envoy::start(&folder.0, old, new).await {
                $scene(plane, &folder).await;
            }
        }
    };
}

async fn until_weights(plane: &impl Plane, stable: u32, candidate: u32) {
    let what = format!("{stable}/{candidate}");
    until(&what, || async {
        plane.weights().await == Some((stable, candidate))
    })
    .await;
}

/// For a while the weights are these, whenever one looks.
async fn stays(plane: &impl Plane, stable: u32, candidate: u32, time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        assert_eq!(
            plane.weights().await,
            Some((stable, candidate)),
            "after {:?}",
            begun.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn a_controller_is_paused(plane: impl Plane, folder: &Folder) {
    let test = TestHouse::start().await.unwrap();
    let settings = settings(&plane, "");
    let controllers = [
        Controller::start(&test, &folder.0, &settings),
        Controller::start(&test, &folder.0, &settings),
    ];
    publish(&test.house, decision(1, 0, Action::Start)).await;
    until_kept(&test.house, "the first word", |record| record.is_verified()).await;
    for round in 0..3_u64 {
        let number = 2 + round * 10;
        let (_, holder) = kept(&test.house).await;
        let pid = pid_of(&holder.unwrap());
        let paused = controllers.iter().find(|c| c.pid() == pid).unwrap();
        if round == 0 {
            // It hears of the flip only when it goes on, and of the way back behind it.
            paused.signal("STOP");
            publish(&test.house, decision(number, 100, Action::Resume)).await;
        } else {
            // It is stopped somewhere in the middle of the flip.
            publish(&test.house, decision(number, 100, Action::Resume)).await;
            tokio::time::sleep(Duration::from_millis(round * 2)).await;
            paused.signal("STOP");
        }
        // Users' traffic is taken back; the other one does it, as soon as the claim is free.
        let back = format!("d{}", number + 1);
        publish(&test.house, decision(number + 1, 0, Action::Return)).await;
        until_kept(&test.house, "the other one acts", |record| {
            let settled = record.settled.as_ref();
            settled.is_some_and(|s| s.intent.decision.as_str() == back) && record.is_verified()
        })
        .await;
        let (_, holder) = kept(&test.house).await;
        assert_ne!(pid_of(&holder.unwrap()), pid, "the paused one holds nothing");
        assert_eq!(plane.weights().await, Some((100, 0)));
        paused.signal("CONT");
        if round > 0 {
            // Stopped between the fence and the system call, its write comes late: it is known for ours, and set right.
            tokio::time::sleep(Duration::from_secs(1)).await;
            until_weights(&plane, 100, 0).await;
        }
        stays(&plane, 100, 0, Duration::from_secs(1)).await;
    }
    let record = kept(&test.house).await.0;
    assert!(record.is_verified() && record.drift.is_none(), "{record:?}");
}

on_both!(a_controller_is_paused:
    haproxy_sees_nothing_of_a_controller_that_goes_on_after_its_lease,
    envoy_sees_nothing_of_a_controller_that_goes_on_after_its_lease);

/// The newest report that says this.
async fn told(house: &House, what: &str, check: impl Fn(&Applied) -> bool) -> Applied {
    let mut facts = house.follow(&[FactKind::Observation], From::All).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        let Ok(next) = tokio::time::timeout(Duration::from_secs(5), facts.next()).await else {
            continue;
        };
        if let Fact::Observations(batch) = next.unwrap().fact
            && let Some(applied) = batch.applied.into_iter().find(|applied| check(applied))
        {
            return applied;
        }
    }
    panic!("{what}: nobody says so");
}

async fn somebody_moves_the_weight(plane: impl Plane, folder: &Folder) {
    let test = TestHouse::start().await.unwrap();
    let _controller = Controller::start(&test, &folder.0, &settings(&plane, ""));
    publish(&test.house, decision(1, 20, Action::Advance)).await;
    until_weights(&plane, 80, 20).await;
    let applied = told(&test.house, "verified", |a| a.report.verified == Verified::Yes).await;
    assert_eq!((applied.weight, applied.report.router.is_empty()), (20, false));
    assert_eq!(applied.decision.unwrap().as_str(), "d1");

    plane.move_to(100, 0).await;
    let applied = told(&test.house, "drift", |a| a.report.drift.is_some()).await;
    let drift = applied.report.drift.unwrap();
    assert_eq!((applied.weight, drift.weight, drift.wanted), (0, 0, 20));
    assert_eq!(applied.report.verified, Verified::No);
    // A hold leaves it, and so does the next raise: somebody has just taken traffic away.
    publish(&test.house, decision(2, 20, Action::Hold)).await;
    publish(&test.house, decision(3, 40, Action::Advance)).await;
    stays(&plane, 100, 0, Duration::from_millis(1_500)).await;
    // A person goes on.
    publish(&test.house, decision(4, 40, Action::Resume)).await;
    until_weights(&plane, 60, 40).await;
    until_kept(&test.house, "drift is over", |r| {
        r.is_verified() && r.drift.is_none()
    })
    .await;

    // Somebody gives more; taking everything back waits for nobody.
    plane.move_to(10, 90).await;
    until_kept(&test.house, "drift", |record| record.drift.is_some()).await;
    publish(&test.house, decision(5, 0, Action::RollBack)).await;
    until_weights(&plane, 100, 0).await;
}

on_both!(somebody_moves_the_weight:
    somebody_elses_change_of_haproxy_is_told_and_left,
    somebody_elses_change_of_envoy_is_told_and_left);

async fn the_data_plane_forgets(mut plane: impl Plane, folder: &Folder) {
    let test = TestHouse::start().await.unwrap();
    let _controller = Controller::start(&test, &folder.0, &settings(&plane, ""));
    publish(&test.house, decision(1, 30, Action::Advance)).await;
    until_weights(&plane, 70, 30).await;
    until_kept(&test.house, "the first word", |record| record.is_verified()).await;
    plane.restart().await;
    until_weights(&plane, 70, 30).await;
    let record = until_kept(&test.house, "set again", |r| r.flips >= 2 && r.is_verified()).await;
    assert!(record.drift.is_none(), "a restart is nobody's change: {record:?}");
}

on_both!(the_data_plane_forgets:
    what_haproxy_forgets_is_set_again,
    what_envoy_forgets_is_set_again);

fn beta(number: u64, mirror: u8) -> Decision {
    let by = By::Header(Match {
        name: "x-beta".to_owned(),
        value: "yes".to_owned(),
    });
    let user = By::Cookie(Match {
        name: "beta".to_owned(),
        value: String::new(),
    });
    let cohort = |name: &str, by| Cohort {
        name: name.to_owned(),
        by,
        stable: false,
    };
    Decision {
        intent: Some(Intent {
            cohorts: vec![cohort("testers", by), cohort("friends", user)],
            mirror,
            ..Intent::default()
        }),
        ..decision(number, 0, Action::Advance)
    }
}

async fn cohorts_go_first(plane: impl Plane, folder: &Folder) {
    let test = TestHouse::start().await.unwrap();
    let _controller = Controller::start(&test, &folder.0, &settings(&plane, ""));
    publish(&test.house, beta(1, 0)).await;
    let record = until_kept(&test.house, "the cohort", |record| record.settled.is_some()).await;
    let fault = record.fault();
    assert!(
        fault.contains("cannot route cohort \"friends\": not by cookie"),
        "{fault}"
    );
    let mut user = connect(plane.users()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(ask(&mut user, &[("x-beta", "yes")]).await.as_deref(), Some("new"));
        assert_eq!(ask(&mut user, &[("x-beta", "no")]).await.as_deref(), Some("old"));
        assert_eq!(ask(&mut user, &[]).await.as_deref(), Some("old"));
    }
    // And it goes again.
    publish(&test.house, decision(2, 0, Action::RollBack)).await;
    until_kept(&test.house, "gone", |r| r.is_verified() && r.fault().is_empty()).await;
    assert_eq!(ask(&mut user, &[("x-beta", "yes")]).await.as_deref(), Some("old"));
}

on_both!(cohorts_go_first:
    haproxy_sends_a_cohort_to_the_candidate_at_weight_0,
    envoy_sends_a_cohort_to_the_candidate_at_weight_0);

struct Idle;

impl Verb for Idle {
    type State = bool;

    fn route(&self, _: &Fact) -> Route {
        Route::Nobody
    }

    fn absorb(&self, _: &mut bool, _: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        Ok(Vec::new())
    }
}

/// Starts control; finishing it stops its heart.
async fn control(test: &TestHouse) -> Shutdown {
    let (house, beating) = TestHouse::another(&test.settings).await.unwrap();
    house.run_verb(CANARY, Idle).await.unwrap();
    beating
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_returns_traffic_while_control_or_the_bus_is_gone() {
    let folder = Folder::new("watchdog");
    let (old, new) = (version("old").await, version("new").await);
    let Some(plane) = Haproxy::start(&folder.0, old, new).await else {
        return;
    };
    let mut test = TestHouse::start().await.unwrap();
    let beating = control(&test).await;
    let settings = settings(&plane, "watchdog = true").replace("lease_ms = 1500", "lease_ms = 3000");
    let _controller = Controller::start(&test, &folder.0, &settings);
    publish(&test.house, decision(1, 40, Action::Advance)).await;
    until_weights(&plane, 60, 40).await;
    beating.finish(Duration::from_secs(10)).await;
    until_weights(&plane, 100, 0).await;
    told(&test.house, "suspended", |applied| {
        applied.suspended && applied.weight == 0
    })
    .await;
    let beating = control(&test).await;
    until_weights(&plane, 60, 40).await;
    until_kept(&test.house, "resumed", |r| {
        r.is_verified() && r.settled.as_ref().is_some_and(|s| !s.intent.suspended)
    })
    .await;
    // Without the bus nobody can be asked; traffic goes back all the same, and comes again with it.
    test.broker.kill().await.unwrap();
    until_weights(&plane, 100, 0).await;
    test.broker.restart().await.unwrap();
    until_weights(&plane, 60, 40).await;
    let record = until_kept(&test.house, "resumed", |r| r.is_verified()).await;
    assert!(
        record.drift.is_none(),
        "our own hand is nobody else's: {record:?}"
    );
    beating.finish(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_watchdog_the_weight_stays() {
    let folder = Folder::new("stays");
    let (old, new) = (version("old").await, version("new").await);
    let Some(plane) = Haproxy::start(&folder.0, old, new).await else {
        return;
    };
    let test = TestHouse::start().await.unwrap();
    let _controller = Controller::start(&test, &folder.0, &settings(&plane, ""));
    publish(&test.house, decision(1, 40, Action::Advance)).await;
    until_weights(&plane, 60, 40).await;
    stays(&plane, 60, 40, Duration::from_secs(3)).await;
}
