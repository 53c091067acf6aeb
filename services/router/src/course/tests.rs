//! Decisions as they come, places that change roles, the watchdog.

use auspex_proto::intent::RegionWeight;
use auspex_proto::{Timestamp, sample};

use super::*;
use crate::record::Settled;
use crate::router::Verified;

fn decision(cause: u64, phase: Phase, weight: u8) -> Decision {
    let head = sample::meta(&format!("d{cause}"), "acme/shop", cause).unwrap();
    Decision {
        rollout: RolloutName::new("r1").unwrap(),
        phase,
        weight,
        stable: sample::track("1"),
        candidate: sample::track("2"),
        number: cause,
        ..sample::decision(head, "checkout").unwrap()
    }
}

fn course() -> Course {
    let (project, service) = (
        Project::new("acme/shop").unwrap(),
        ServiceName::new("checkout").unwrap(),
    );
    Course::new(project, service, "eu")
}

const CONTROL: Control = Control {
    watchdog: None,
    silence: None,
    stable_is_short: false,
};

fn intend(course: &Course, settled: Option<&Settled>) -> Intent {
    course.intent(1, settled, CONTROL, Slots::Swap).unwrap()
}

fn settle(course: &Course, settled: Option<&Settled>) -> Settled {
    let intent = intend(course, settled);
    Settled::new(
        &intent,
        course.order.as_ref().unwrap(),
        (Verified::Verified, true),
        Timestamp(1),
    )
}

#[test]
fn the_last_acting_decision_of_its_own_service_is_followed() {
    let mut course = course();
    assert_eq!(course.intent(1, None, CONTROL, Slots::Swap), None);
    assert_eq!(
        course.absorb(&decision(5, Phase::Progressing, 20), 50),
        Outcome::Followed
    );
    assert_eq!(
        course.absorb(&decision(4, Phase::Progressing, 90), 60),
        Outcome::Old,
        "a late repeat"
    );
    assert_eq!(
        course.absorb(&decision(5, Phase::Progressing, 90), 50),
        Outcome::Old
    );
    let watched = Decision {
        acts: false,
        ..decision(6, Phase::Progressing, 90)
    };
    assert_eq!(course.absorb(&watched, 61), Outcome::DoesNotAct);
    let other = Decision {
        service: ServiceName::new("cart").unwrap(),
        ..decision(7, Phase::Progressing, 90)
    };
    assert_eq!(course.absorb(&other, 62), Outcome::NotOurs);
    assert_eq!(intend(&course, None).weight, 20);
    for (cause, phase, weight) in [(8, Phase::Promoted, 100), (9, Phase::RolledBack, 0)] {
        course.absorb(&decision(cause, phase, 33), cause * 10);
        assert_eq!(intend(&course, None).weight, weight);
    }
}

#[test]
fn a_region_has_its_own_weight_while_the_rollout_lasts() {
    let mut course = course();
    let regions = vec![RegionWeight {
        region: "eu".to_owned(),
        weight: 3,
    }];
    let asked = auspex_proto::Intent {
        regions,
        ..auspex_proto::Intent::default()
    };
    let by_region = |cause, phase| Decision {
        intent: Some(asked.clone()),
        ..decision(cause, phase, 50)
    };
    course.absorb(&by_region(1, Phase::Progressing), 10);
    assert_eq!(intend(&course, None).weight, 3);
    course.absorb(&by_region(2, Phase::RolledBack), 11);
    assert_eq!(intend(&course, None).weight, 0, "an end is one everywhere");
}

#[test]
fn places_change_roles_after_a_promotion_and_only_then() {
    let mut course = course();
    course.absorb(&decision(1, Phase::Promoted, 100), 10);
    let promoted = settle(&course, None);
    assert!(!promoted.intent.swapped, "nothing moves when it is promoted");

    let next = Decision {
        rollout: RolloutName::new("r2").unwrap(),
        stable: sample::track("2"),
        candidate: sample::track("3"),
        ..decision(2, Phase::Waiting, 0)
    };
    course.absorb(&next, 11);
    let begun = intend(&course, Some(&promoted));
    assert!(
        begun.swapped && begun.weight == 0,
        "all stay on what was promoted"
    );
    let fixed = course.intent(1, Some(&promoted), CONTROL, Slots::Fixed).unwrap();
    assert!(!fixed.swapped);

    let begun = settle(&course, Some(&promoted));
    let back = Decision {
        phase: Phase::RolledBack,
        ..next.clone()
    };
    course.absorb(
        &Decision {
            meta: decision(3, Phase::RolledBack, 0).meta,
            ..back
        },
        12,
    );
    let rolled_back = settle(&course, Some(&begun));
    assert!(rolled_back.intent.swapped);
    let again = Decision {
        rollout: RolloutName::new("r3").unwrap(),
        candidate: sample::track("4"),
        meta: decision(4, Phase::Waiting, 0).meta,
        ..next
    };
    course.absorb(&again, 13);
    assert!(
        intend(&course, Some(&rolled_back)).swapped,
        "nothing was promoted in between"
    );
}

#[test]
fn a_promotion_that_nobody_here_saw_is_known_by_its_revision() {
    let mut course = course();
    course.absorb(&decision(1, Phase::Progressing, 50), 10);
    let under_way = settle(&course, None);
    let next = Decision {
        rollout: RolloutName::new("r2").unwrap(),
        stable: sample::track("2"),
        candidate: sample::track("3"),
        ..decision(2, Phase::Waiting, 0)
    };
    course.absorb(&next, 11);
    assert!(intend(&course, Some(&under_way)).swapped);
}

#[test]
fn a_deployer_who_moved_the_versions_himself_is_believed() {
    let mut course = course();
    course.absorb(&decision(1, Phase::Promoted, 100), 10);
    let promoted = settle(&course, None);
    // It was taken back by hand: stable is what it was before.
    let next = Decision {
        rollout: RolloutName::new("r2").unwrap(),
        candidate: sample::track("3"),
        ..decision(2, Phase::Waiting, 0)
    };
    course.absorb(&next, 11);
    assert!(!intend(&course, Some(&promoted)).swapped);
}

#[test]
fn the_watchdog_returns_traffic_only_where_stable_can_take_it() {
    let mut course = course();
    course.absorb(&decision(1, Phase::Progressing, 40), 10);
    let gone = |silence: Option<u64>, stable_is_short| Control {
        watchdog: Some(Duration::from_secs(10)),
        silence: silence.map(Duration::from_secs),
        stable_is_short,
    };
    let weight = |course: &Course, control| {
        let intent = course.intent(1, None, control, Slots::Swap).unwrap();
        (intent.weight, intent.suspended)
    };
    assert_eq!(weight(&course, gone(Some(10), false)), (40, false));
    assert_eq!(weight(&course, gone(Some(11), false)), (0, true));
    assert_eq!(
        weight(&course, gone(None, false)),
        (0, true),
        "never heard of is gone"
    );
    assert_eq!(weight(&course, gone(Some(11), true)), (40, false));
    assert_eq!(
        weight(&course, CONTROL),
        (40, false),
        "without a watchdog weights stay"
    );
    course.absorb(&decision(2, Phase::Promoted, 100), 11);
    assert_eq!(
        weight(&course, gone(Some(11), false)),
        (100, false),
        "an end needs no control"
    );
}
