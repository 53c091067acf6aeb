use auspex_proto::decision::TrackTarget;
use auspex_proto::sample;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn origin(port: u16) -> Origin {
    Origin::parse(&format!("http://127.0.0.1:{port}")).unwrap()
}

fn plan(follow_targets: bool) -> Plan {
    let listed = Listed {
        project: Project::new("acme/shop").unwrap(),
        service: ServiceName::new("shop").unwrap(),
        stable: origin(1),
        candidate: Some(origin(2)),
    };
    let rules = Rules {
        follow_targets,
        lease: 10 * SECOND,
        partitions: Partitions::new(8).unwrap(),
        region: "eu".to_owned(),
    };
    Plan::new(rules, vec![listed])
}

fn decision(phase: Phase, weight: u8) -> Decision {
    let head = sample::meta(&format!("d-{weight}"), "acme/shop", 1).unwrap();
    Decision {
        phase,
        weight,
        stable: TrackTarget::default(),
        candidate: TrackTarget::default(),
        ..sample::decision(head, "shop").unwrap()
    }
}

fn named(mut decision: Decision, stable: &str, candidate: &str) -> Decision {
    decision.stable.url = stable.to_owned();
    decision.candidate.url = candidate.to_owned();
    decision
}

fn at(plan: &Plan, now: Duration) -> Effective {
    plan.effective(&plan.courses()[0], now, Readiness::Unknown, Readiness::Unknown)
}

fn pulse(plan: &mut Plan, now: Duration) {
    let partition = plan.courses()[0].partition;
    plan.pulse(partition, now);
}

#[test]
fn the_greatest_sequence_wins_and_only_acts_move_traffic() {
    let mut plan = plan(true);
    pulse(&mut plan, SECOND);
    assert_eq!(
        plan.absorb(&decision(Phase::Progressing, 10), 7),
        Outcome::Followed
    );
    assert_eq!(plan.absorb(&decision(Phase::Progressing, 50), 6), Outcome::Old);
    assert_eq!(plan.absorb(&decision(Phase::Progressing, 50), 7), Outcome::Old);
    let mut watching = decision(Phase::RolledBack, 0);
    watching.acts = false;
    assert_eq!(plan.absorb(&watching, 8), Outcome::DoesNotAct);
    let mut other = decision(Phase::RolledBack, 0);
    other.meta.project = Project::new("acme/other").unwrap();
    assert_eq!(plan.absorb(&other, 9), Outcome::NotListed);
    assert_eq!(at(&plan, SECOND).weight, 10);
    plan.absorb(&decision(Phase::RolledBack, 10), 10);
    assert_eq!(at(&plan, SECOND).weight, 0, "whatever weight a rollback carries");
}

#[test]
fn a_decision_that_is_repeated_late_brings_no_traffic_back() {
    let mut plan = plan(true);
    pulse(&mut plan, SECOND);
    let caused = |mut decision: Decision, cause: u64| {
        decision.meta.cause = cause;
        decision
    };
    let half = caused(decision(Phase::Progressing, 50), 4);
    let back = caused(decision(Phase::RolledBack, 0), 8);
    assert_eq!(plan.absorb(&half, 5), Outcome::Followed);
    assert_eq!(plan.absorb(&back, 9), Outcome::Followed);
    // An owner that was stopped for longer than the duplicate window publishes what it had saved.
    assert_eq!(plan.absorb(&half, 10), Outcome::Old);
    assert_eq!(at(&plan, SECOND).weight, 0);
    let again = caused(decision(Phase::Progressing, 10), 12);
    assert_eq!(plan.absorb(&again, 13), Outcome::Followed);
}

#[test]
fn the_lease_lapses_and_resumes() {
    let mut plan = plan(true);
    plan.absorb(&decision(Phase::Progressing, 30), 1);
    let suspended = Effective {
        weight: 0,
        suspended: true,
    };
    let held = Effective {
        weight: 30,
        suspended: false,
    };
    assert_eq!(
        at(&plan, SECOND),
        suspended,
        "control has not been heard of since the start"
    );
    pulse(&mut plan, SECOND);
    assert_eq!(at(&plan, 11 * SECOND), held);
    assert_eq!(at(&plan, 11 * SECOND + Duration::from_millis(1)), suspended);
    pulse(&mut plan, 12 * SECOND);
    assert_eq!(at(&plan, 12 * SECOND), held);
    pulse(&mut plan, 2 * SECOND);
    assert_eq!(
        at(&plan, 22 * SECOND),
        held,
        "a late pulse does not shorten the lease"
    );
    plan.pulse(Partition::All, 40 * SECOND);
    assert_eq!(
        at(&plan, 40 * SECOND),
        suspended,
        "the pulse of another partition is not ours"
    );
}

#[test]
fn nothing_at_its_end_depends_on_control() {
    for (phase, weight) in [
        (Phase::Promoted, 100),
        (Phase::RolledBack, 0),
        (Phase::Progressing, 100),
        (Phase::Waiting, 0),
    ] {
        let mut plan = plan(true);
        plan.absorb(&decision(phase, weight), 1);
        assert_eq!(
            at(&plan, 3600 * SECOND),
            Effective {
                weight,
                suspended: false
            },
            "{phase:?}"
        );
    }
}

#[test]
fn never_toward_a_stable_that_is_down_while_the_candidate_is_up() {
    let mut plan = plan(true);
    plan.absorb(&decision(Phase::Progressing, 30), 1);
    let course = &plan.courses()[0];
    let with = |stable, candidate| plan.effective(course, 60 * SECOND, stable, candidate).weight;
    assert_eq!(with(Readiness::Down, Readiness::Up), 30);
    assert_eq!(with(Readiness::Down, Readiness::Down), 0);
    assert_eq!(with(Readiness::Unknown, Readiness::Up), 0);
}

#[test]
fn a_promoted_candidate_is_the_new_stable() {
    let mut plan = plan(true);
    plan.absorb(
        &named(
            decision(Phase::Promoted, 100),
            "http://127.0.0.1:7",
            "http://127.0.0.1:8",
        ),
        1,
    );
    let course = &plan.courses()[0];
    assert_eq!(
        (&course.stable, course.weight(), course.on_trial()),
        (&origin(8), 100, false)
    );
    plan.absorb(
        &named(
            decision(Phase::Waiting, 0),
            "http://127.0.0.1:8",
            "http://127.0.0.1:9",
        ),
        2,
    );
    let course = &plan.courses()[0];
    assert_eq!(
        (&course.stable, &course.candidate),
        (&origin(8), &Some(origin(9)))
    );
    assert!(course.on_trial());
}

#[test]
fn targets_come_from_the_decision_only_where_that_is_allowed() {
    let urls = |d| named(d, "http://127.0.0.1:7", "http://127.0.0.1:8");
    let mut following = plan(true);
    following.absorb(&urls(decision(Phase::Progressing, 5)), 1);
    assert_eq!(following.courses()[0].candidate, Some(origin(8)));
    let mut fixed = plan(false);
    fixed.absorb(&urls(decision(Phase::Progressing, 5)), 1);
    assert_eq!(
        (&fixed.courses()[0].stable, &fixed.courses()[0].candidate),
        (&origin(1), &Some(origin(2)))
    );
}

#[test]
fn a_target_that_cannot_be_read_is_never_replaced_by_another_version() {
    let mut plan = plan(true);
    pulse(&mut plan, SECOND);
    plan.absorb(
        &named(decision(Phase::Progressing, 40), "", "https://elsewhere"),
        1,
    );
    let course = &plan.courses()[0];
    assert_eq!((course.weight(), &course.candidate), (0, &None));
    assert!(
        course.fault.as_ref().unwrap().contains("candidate"),
        "{:?}",
        course.fault
    );
    plan.absorb(&decision(Phase::Progressing, 40), 2);
    assert_eq!((at(&plan, SECOND).weight, &plan.courses()[0].fault), (40, &None));
}

#[test]
fn a_weight_set_by_hand_holds_until_the_next_decision() {
    let mut plan = plan(true);
    assert!(plan.set_weight(0, 200) && !plan.set_weight(1, 5));
    assert_eq!(
        at(&plan, 3600 * SECOND),
        Effective {
            weight: 100,
            suspended: false
        }
    );
    plan.absorb(&decision(Phase::RolledBack, 0), 1);
    assert_eq!(at(&plan, SECOND).weight, 0);
}

fn phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![
        Phase::Waiting,
        Phase::Progressing,
        Phase::Paused,
        Phase::Promoted,
        Phase::RolledBack,
    ])
}

proptest! {
    /// Delivery in any order, with repeats, leads to the course of the decision with the greatest sequence.
    #[test]
    fn order_and_repeats_of_delivery_do_not_matter(
        decisions in prop::collection::vec((phase(), 0_u8..=100, any::<bool>()), 1..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..24),
    ) {
        let sent = |i: usize| {
            let (phase, weight, acts) = decisions[i];
            let mut d = decision(phase, weight);
            d.acts = acts;
            d
        };
        let mut shuffled = plan(true);
        for pick in &order {
            let i = pick.index(decisions.len());
            shuffled.absorb(&sent(i), i as u64 + 1);
        }
        let mut delivered: Vec<usize> = order.iter().map(|pick| pick.index(decisions.len())).collect();
        delivered.sort_unstable();
        let mut straight = plan(true);
        for i in delivered {
            straight.absorb(&sent(i), i as u64 + 1);
        }
        prop_assert_eq!(&shuffled.courses, &straight.courses);
        let effective = at(&shuffled, SECOND);
        prop_assert!(effective.weight <= 100 && (!effective.suspended || effective.weight == 0));
    }
}

#[test]
fn a_region_has_its_own_weight_and_cohorts_hold_by_the_lease_too() {
    use auspex_proto::intent::{By, Cohort, Intent, Match, RegionWeight};
    let mut plan = plan(true);
    let regions = vec![RegionWeight {
        region: "eu".to_owned(),
        weight: 3,
    }];
    let by = By::Header(Match {
        name: "x-beta".to_owned(),
        value: String::new(),
    });
    let cohorts = vec![Cohort {
        name: "beta".to_owned(),
        by,
        stable: false,
    }];
    let asked = Decision {
        intent: Some(Intent {
            regions,
            ..Intent::default()
        }),
        ..decision(Phase::Progressing, 40)
    };
    assert_eq!(plan.absorb(&asked, 1), Outcome::Followed);
    assert_eq!(plan.courses()[0].weight(), 3);
    let preview = Decision {
        intent: Some(Intent {
            cohorts,
            ..Intent::default()
        }),
        ..decision(Phase::Progressing, 0)
    };
    assert_eq!(plan.absorb(&preview, 2), Outcome::Followed);
    let unknown = Readiness::Unknown;
    let holds = plan.effective(&plan.courses()[0], SECOND, unknown, unknown);
    assert!(holds.suspended, "at weight 0, but not without control");
}
