use std::time::Duration;

use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, Reason};

use super::*;
use crate::document::{Criticality, Pause, Span};

fn sight() -> Sight<'static> {
    Sight {
        watched: Timestamp(100_000),
        weight: 5,
        dwelt: Duration::from_secs(10),
        min_dwell: Duration::from_secs(5),
        max_dwell: Duration::from_secs(3_600),
        horizon: Duration::from_secs(7),
        posterior: 0.2,
        safe: false,
        none: None,
        diff_upper: 0.05,
        harmed: 0,
        traffic: Some(350.0),
        error_rate: None,
        pushed: false,
        figures: "0 of 100",
    }
}

fn budget(sight: Sight<'_>) -> Option<Wish> {
    budget::wish(&Budget::default(), &sight)
}

#[test]
fn a_worse_prior_begins_smaller() {
    let first = |posterior, traffic| {
        let (weight, diff_upper) = (0, 1.0);
        let sight = Sight {
            posterior,
            traffic,
            weight,
            diff_upper,
            ..sight()
        };
        budget(sight).unwrap().weight
    };
    assert_eq!(first(0.1, Some(350.0)), 5);
    assert!(first(0.8, Some(350.0)) < first(0.3, Some(350.0)));
    assert_eq!(first(0.8, None), 2);
    assert_eq!(first(1.0, None), 1, "evidence can only come from some traffic");
    assert_eq!(first(0.5, Some(1e9)), 1);
}

fn raised(change: impl FnOnce(&mut Sight<'_>)) -> Option<(Action, u8, Reason)> {
    let mut sight = sight();
    change(&mut sight);
    budget(sight).map(|w| (w.action, w.weight, w.reason))
}

#[test]
fn a_raise_fits_the_budget_the_factor_and_the_ceiling() {
    let admits = |to| Some((Action::Advance, to, Reason::BudgetAdmits));
    assert_eq!(raised(|_| {}), admits(10), "twice at most");
    let held = raised(|s| (s.posterior, s.diff_upper) = (0.99, 0.3));
    assert_eq!(held, Some((Action::Hold, 5, Reason::BudgetSpent)));
    assert_eq!(raised(|s| (s.weight, s.diff_upper) = (40, 0.0)), admits(50));
    let at_half = raised(|s| (s.weight, s.diff_upper) = (50, 0.0));
    assert_eq!(at_half, Some((Action::Hold, 50, Reason::Uncertain)));
    let spent = raised(|s| s.harmed = 100);
    assert_eq!(spent, Some((Action::Hold, 1, Reason::BudgetSpent)));
    assert_eq!(raised(|s| s.dwelt = Duration::from_secs(1)), None);
}

#[test]
fn proof_raises_and_promotes_and_its_absence_holds_until_a_person_is_asked() {
    let promoted = raised(|s| (s.weight, s.safe) = (50, true));
    assert_eq!(promoted, Some((Action::Promote, 100, Reason::EvidenceSafe)));
    let safe = raised(|s| (s.safe, s.posterior) = (true, 1.0));
    assert_eq!(safe, Some((Action::Advance, 10, Reason::EvidenceSafe)));
    let none = raised(|s| s.none = Some("silence"));
    assert_eq!(none, Some((Action::Hold, 5, Reason::NoEvidence)));
    let asked = raised(|s| (s.none, s.dwelt) = (Some("silence"), Duration::from_secs(3_600)));
    assert_eq!(asked, Some((Action::Pause, 5, Reason::NoEvidence)));
}

#[test]
fn what_matters_more_may_be_harmed_less() {
    let of = |criticality| Budget::default().of(criticality).harmed;
    assert_eq!(
        [
            Criticality::Low,
            Criticality::Medium,
            Criticality::High,
            Criticality::Critical
        ]
        .map(of),
        [400, 100, 40, 15]
    );
}

#[test]
fn bands_raise_fast_gradually_wait_and_limit() {
    let bands = Adaptive::default();
    let said = |posterior, weight| {
        let wish = adaptive::wish(
            &bands,
            &Sight {
                posterior,
                weight,
                ..sight()
            },
        )
        .unwrap();
        (wish.action, wish.weight, wish.reason)
    };
    assert_eq!(said(0.05, 10), (Action::Advance, 35, Reason::Confident));
    assert_eq!(said(0.2, 10), (Action::Advance, 20, Reason::Uncertain));
    assert_eq!(said(0.5, 10), (Action::Hold, 10, Reason::Uncertain));
    assert_eq!(said(0.9, 10), (Action::Hold, 5, Reason::Uncertain));
    assert_eq!(said(0.05, 50), (Action::Hold, 50, Reason::Uncertain));
    assert_eq!(said(0.5, 0), (Action::Advance, 5, Reason::Uncertain));
    let strict = Adaptive {
        rollback: 0.2,
        ..bands
    };
    let wish = adaptive::wish(
        &strict,
        &Sight {
            posterior: 0.9,
            ..sight()
        },
    )
    .unwrap();
    assert_eq!(
        (wish.action, wish.reason),
        (Action::RollBack, Reason::LowConfidence)
    );
}

#[test]
fn steps_follow_in_order() {
    let weight = |n| Step {
        set_weight: Some(n),
        ..Step::default()
    };
    let pause = |duration| Step {
        pause: Some(Pause { duration }),
        ..Step::default()
    };
    let steps = [
        weight(10),
        pause(Some(Span::seconds(30))),
        weight(50),
        pause(None),
    ];
    let at = |seconds: i64, weight| Sight {
        watched: Timestamp(seconds * 1_000),
        weight,
        ..sight()
    };
    let go = |cursor, sight: &Sight<'_>| {
        let (cursor, wish) = steps::wish(&steps, cursor, sight);
        let wish = wish.unwrap();
        (cursor, (wish.action, wish.weight))
    };
    let (cursor, said) = go(Cursor::default(), &at(0, 0));
    assert_eq!((cursor.index, said), (0, (Action::Advance, 10)));
    let (cursor, said) = go(cursor, &at(1, 10));
    assert_eq!((cursor.index, said), (1, (Action::Hold, 10)));
    assert_eq!(
        go(cursor, &at(30, 10)).1,
        (Action::Hold, 10),
        "the pause began at 1 s"
    );
    let (cursor, said) = go(cursor, &at(31, 10));
    assert_eq!((cursor.index, said), (2, (Action::Advance, 50)));
    let (cursor, said) = go(cursor, &at(32, 50));
    assert_eq!((cursor.index, said), (3, (Action::Pause, 50)));
    let resumed = Cursor {
        released: true,
        ..cursor
    };
    assert_eq!(go(resumed, &at(99, 50)).1, (Action::Promote, 100));
    let nothing = Sight {
        none: Some("silence"),
        ..at(99, 50)
    };
    assert_eq!(go(resumed, &nothing).1, (Action::Hold, 50));
    let pushed = Sight {
        pushed: true,
        ..at(99, 50)
    };
    assert_eq!(go(cursor, &pushed).1, (Action::Promote, 100));
}

#[test]
fn steps_begin_where_the_leg_before_has_ended() {
    let pause = Step {
        pause: Some(Pause {
            duration: Some(Span::seconds(5)),
        }),
        ..Step::default()
    };
    let steps = [pause];
    let cursor = Cursor {
        base: 20,
        ..Cursor::default()
    };
    let at = |weight| Sight {
        weight,
        watched: Timestamp(1_000),
        ..sight()
    };
    let wish = |weight| steps::wish(&steps, cursor, &at(weight)).1.unwrap();
    assert_eq!((wish(20).action, wish(20).weight), (Action::Hold, 20));
    assert_eq!(
        (wish(3).action, wish(3).weight),
        (Action::Advance, 20),
        "it was taken back"
    );
}

#[test]
fn a_cautious_policy_raises_half_as_much() {
    let Policy::Budget(budget) = Policy::Budget(Budget::default()).cautious() else {
        panic!("a budget stays one");
    };
    let plain = Budget::default();
    assert_eq!(budget.stake, plain.stake / 2.0);
    assert_eq!(budget.growth - 1.0, (plain.growth - 1.0) / 2.0);
    assert!(budget.first_weight >= 1 && budget.first_weight <= plain.first_weight);
    assert_eq!((budget.harmed, budget.ceiling), (plain.harmed, plain.ceiling));
    let Policy::Adaptive(bands) = Policy::Adaptive(Adaptive::default()).cautious() else {
        panic!("bands stay bands");
    };
    assert_eq!(
        (bands.fast, bands.gradual, bands.below, bands.above),
        (13, 5, 5, 3)
    );
}
