//! Every case of a step, and properties of whole courses.

use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, Phase};
use proptest::prelude::*;

use super::*;
use crate::course::Order;
use crate::testing;

fn intent(seq: u64, weight: u8) -> Intent {
    testing::intent(seq, weight).unwrap()
}

fn seen(weight: u8, mark: Mark) -> Observed {
    Observed {
        shares: Some(Shares::of(weight)),
        mark,
        ..Observed::default()
    }
}

fn settled(intent: &Intent) -> Record {
    Record {
        settled: Some(Settled {
            intent: intent.clone(),
            phase: Phase::Progressing,
            held: true,
            verified: Verified::Verified,
            at: Timestamp(1),
        }),
        ..Record::default()
    }
}

const HELD: Tenure = Tenure::Held {
    epoch: 3,
    young: false,
};
const YOUNG: Tenure = Tenure::Held {
    epoch: 3,
    young: true,
};

fn step(tenure: Tenure, intent: &Intent, observed: Option<&Observed>, record: &Record) -> Next {
    next(&Situation {
        tenure,
        intent: Some(intent),
        verifies: true,
        observed,
        record,
    })
}

fn drifted(record: Record, weight: u8) -> Record {
    let wanted = record.settled.as_ref().map_or(0, |s| s.intent.weight);
    let drift = Drift {
        weight,
        wanted,
        since: Timestamp(5),
        by: String::new(),
    };
    Record {
        drift: Some(drift),
        ..record
    }
}

#[test]
fn without_the_claim_or_a_decision_nothing_is_done() {
    let record = Record::default();
    assert_eq!(step(Tenure::None, &intent(1, 5), None, &record), Next::Stand);
    let unasked = Situation {
        tenure: HELD,
        intent: None,
        verifies: true,
        observed: None,
        record: &record,
    };
    assert_eq!(next(&unasked), Next::Rest);
}

#[test]
fn what_is_asked_first_is_carried_out_at_once() {
    assert_eq!(
        step(HELD, &intent(1, 5), None, &Record::default()),
        Next::Apply(Why::Asked)
    );
}

#[test]
fn what_is_settled_is_looked_at_and_left() {
    let (asked, ours) = (intent(1, 5), Mark::Write(3));
    let record = settled(&asked);
    assert_eq!(step(HELD, &asked, None, &record), Next::Read);
    assert_eq!(step(HELD, &asked, Some(&seen(5, ours)), &record), Next::Rest);
    let again = intent(2, 5);
    assert_eq!(
        step(HELD, &again, Some(&seen(5, ours)), &record),
        Next::Note(Verified::Verified),
        "the same asked anew is answered for under its new name"
    );
}

#[test]
fn somebody_elses_change_is_reported_once_and_left() {
    let (asked, ours) = (intent(1, 5), Mark::Write(3));
    let record = settled(&asked);
    let found = seen(60, ours);
    let Next::Report(drift) = step(HELD, &asked, Some(&found), &record) else {
        panic!("not reported");
    };
    assert_eq!((drift.weight, drift.wanted), (60, 5));
    let record = drifted(record, 60);
    assert_eq!(step(HELD, &asked, Some(&found), &record), Next::Rest);
    assert!(
        matches!(step(HELD, &asked, Some(&seen(70, ours)), &record), Next::Report(d) if d.weight == 70 && d.since == Timestamp(5)),
        "another value is told too, since the first"
    );
    assert_eq!(
        step(HELD, &asked, Some(&seen(5, ours)), &record),
        Next::Note(Verified::Verified),
        "it is over when the weight is back"
    );
    for seq in [2, 3] {
        assert_eq!(
            step(YOUNG, &intent(seq, 5), Some(&seen(60, Mark::Unkept)), &record),
            Next::Rest,
            "a hold does not fight it, nor does a new holder"
        );
    }
}

#[test]
fn a_raise_waits_where_somebody_has_moved_the_weight_and_a_rollback_does_not() {
    let record = settled(&intent(1, 20));
    let (taken_away, ours) = (seen(0, Mark::Write(3)), Mark::Write(3));
    let raise = intent(2, 40);
    assert_eq!(step(HELD, &raise, None, &record), Next::Read);
    assert!(matches!(
        step(HELD, &raise, Some(&taken_away), &record),
        Next::Report(_)
    ));
    assert_eq!(
        step(HELD, &raise, Some(&seen(20, ours)), &record),
        Next::Apply(Why::Asked)
    );
    assert_eq!(
        step(HELD, &raise, Some(&seen(40, ours)), &record),
        Next::Apply(Why::Asked),
        "it was carried out already, and is settled"
    );
    for weight in [0, 10] {
        assert_eq!(
            step(HELD, &intent(2, weight), None, &record),
            Next::Apply(Why::Asked),
            "less is given at once"
        );
    }
    let resumed = Intent {
        insists: true,
        ..intent(3, 40)
    };
    assert_eq!(
        step(HELD, &resumed, None, &drifted(record, 0)),
        Next::Apply(Why::Asked),
        "a person has seen it and goes on"
    );
}

#[test]
fn cohorts_at_the_same_weight_wait_where_somebody_has_moved_it() {
    let settled_at = intent(1, 50);
    let record = settled(&settled_at);
    let wanted = Intent {
        mirror: 20,
        ..intent(2, 50)
    };
    let ours = Mark::Write(settled_at.mark);
    assert_eq!(step(HELD, &wanted, None, &record), Next::Read);
    assert!(matches!(
        step(HELD, &wanted, Some(&seen(70, ours)), &record),
        Next::Report(drift) if drift.weight == 70
    ));
    assert_eq!(
        step(HELD, &wanted, Some(&seen(50, ours)), &record),
        Next::Apply(Why::Asked)
    );
    let back = Intent {
        insists: true,
        ..wanted
    };
    assert_eq!(step(HELD, &back, None, &record), Next::Apply(Why::Asked));
}

#[test]
fn an_end_at_the_same_weight_overrules_somebody_elses_change() {
    let record = drifted(settled(&intent(1, 0)), 30);
    let rolled_back = Intent {
        insists: true,
        ..intent(2, 0)
    };
    assert_eq!(
        step(HELD, &rolled_back, Some(&seen(30, Mark::Write(3))), &record),
        Next::Apply(Why::Asked)
    );
}

#[test]
fn a_late_write_of_an_earlier_holder_is_no_drift() {
    let asked = intent(1, 0);
    let record = settled(&asked);
    let late = seen(100, Mark::Write(2));
    assert_eq!(
        step(HELD, &asked, Some(&late), &record),
        Next::Apply(Why::LateWrite)
    );
}

#[test]
fn a_data_plane_that_has_forgotten_is_told_again() {
    let asked = intent(1, 20);
    let forgotten = seen(0, Mark::Missing);
    assert_eq!(
        step(HELD, &asked, Some(&forgotten), &settled(&asked)),
        Next::Apply(Why::Forgotten)
    );
    let raise = intent(2, 40);
    assert_eq!(
        step(HELD, &raise, Some(&forgotten), &settled(&asked)),
        Next::Apply(Why::Asked)
    );
}

#[test]
fn a_new_holder_goes_on_where_one_was_cut_short() {
    let before = settled(&intent(1, 0));
    assert_eq!(
        step(YOUNG, &intent(2, 0), Some(&seen(50, Mark::Unkept)), &before),
        Next::Apply(Why::CutShort),
        "raised, not lowered yet"
    );
    let asked = Intent {
        insists: true,
        ..intent(2, 100)
    };
    assert_eq!(step(YOUNG, &asked, None, &before), Next::Apply(Why::Asked));
}

#[test]
fn what_was_not_verified_is_tried_again() {
    let asked = intent(1, 20);
    let mut record = settled(&asked);
    if let Some(settled) = &mut record.settled {
        (settled.verified, settled.held) = (Verified::Unverified("read 0 %".to_owned()), false);
    }
    assert_eq!(
        step(HELD, &asked, Some(&seen(0, Mark::Unkept)), &record),
        Next::Apply(Why::Again)
    );
    assert_eq!(
        step(HELD, &asked, Some(&Observed::default()), &record),
        Next::Rest,
        "where nothing can be read, once is enough"
    );
    assert_eq!(
        step(HELD, &asked, Some(&seen(20, Mark::Unkept)), &record),
        Next::Note(Verified::Verified)
    );
}

#[test]
fn what_can_never_be_verified_is_not_called_so_and_drift_is_told_all_the_same() {
    let asked = intent(1, 20);
    let mut record = settled(&asked);
    if let Some(settled) = &mut record.settled {
        settled.verified = Verified::Unverified("it does not say".to_owned());
    }
    let look = |weight| {
        let observed = seen(weight, Mark::Unkept);
        next(&Situation {
            tenure: HELD,
            intent: Some(&asked),
            verifies: false,
            observed: Some(&observed),
            record: &record,
        })
    };
    assert_eq!(look(20), Next::Rest);
    assert!(matches!(look(30), Next::Report(_)));
}

#[test]
fn pauses_grow_to_their_limit() {
    assert_eq!(pause(0), FIRST_PAUSE);
    assert_eq!(pause(1), FIRST_PAUSE);
    assert_eq!(pause(2), FIRST_PAUSE * 2);
    assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
}

/// A data plane of two weights, as HAProxy's.
fn carry(now: &mut Shares, write: Write) {
    match write {
        Write::Stable(share) => now.stable = share,
        Write::Candidate(share) => now.candidate = share,
    }
}

proptest! {
    #[test]
    fn at_no_time_neither_track_takes_anything(
        stable in 0_u32..=256,
        candidate in 0_u32..=256,
        weights in proptest::collection::vec(0_u8..=100, 1..20),
    ) {
        prop_assume!(stable + candidate > 0);
        let mut now = Shares { stable, candidate };
        for weight in weights {
            for write in order(now, Shares::of(weight)) {
                carry(&mut now, write);
                prop_assert!(now.stable + now.candidate > 0);
            }
            prop_assert!(now.is(weight));
            prop_assert!(order(now, Shares::of(weight)).is_empty());
        }
    }

    /// Whatever a person and the processes do to a data plane, once they stop it comes to rest: at what was asked, or at a
    /// drift that is told; and never through a raise that a person has just undone.
    #[test]
    fn a_route_comes_to_rest(
        events in proptest::collection::vec((0_u8..5, 0_u8..=100), 1..40),
    ) {
        let (mut now, mut mark, mut record) = (Shares::of(0), Mark::Missing, Record::default());
        let mut writes = 10_u64;
        let mut asked = intent(1, 0);
        for (kind, weight) in events {
            match kind {
                0 | 1 => asked = Intent { insists: kind == 1, ..intent(asked.seq + 1, weight) },
                2 => now = Shares::of(weight),
                3 => (now, mark) = (Shares::of(0), Mark::Missing),
                _ => {
                    // A new holder, and a late write of the one before.
                    asked.epoch += 1;
                    writes += 1;
                    (now, mark) = (Shares::of(weight), Mark::Write(writes));
                }
            }
            let mut looked: Option<Observed> = None;
            let mut steps = 0;
            loop {
                steps += 1;
                prop_assert!(steps < 8, "it does not come to rest");
                let tenure = Tenure::Held { epoch: asked.epoch, young: false };
                let situation = Situation { tenure, intent: Some(&asked), verifies: true, observed: looked.as_ref(), record: &record };
                match next(&situation) {
                    Next::Read => looked = Some(Observed { shares: Some(now), mark, ..Observed::default() }),
                    Next::Apply(_) => {
                        writes += 1;
                        asked.mark = writes;
                        (now, mark) = (Shares::of(asked.weight), Mark::Write(writes));
                        let order = order_of(&asked);
                        record.settled = Some(Settled::new(&asked, &order, (Verified::Verified, true), Timestamp(1)));
                        (record.drift, looked) = (None, None);
                    }
                    Next::Note(verified) => {
                        let number = record.settled.as_ref().map_or(0, |s| s.intent.mark);
                        let order = order_of(&asked);
                        let mut noted = Settled::new(&asked, &order, (verified, true), Timestamp(1));
                        noted.intent.mark = number;
                        record.settled = Some(noted);
                        record.drift = None;
                    }
                    Next::Report(drift) => record.drift = Some(drift),
                    Next::Rest => break,
                    Next::Stand => prop_assert!(false, "it is held"),
                }
            }
            prop_assert!(now.is(asked.weight) || record.drift.as_ref().is_some_and(|d| Some(d.weight) == now.weight()));
        }
    }
}

fn order_of(intent: &Intent) -> Order {
    Order {
        seq: intent.seq,
        cause: intent.seq,
        id: intent.decision.clone(),
        rollout: intent.rollout.clone(),
        number: intent.seq,
        phase: Phase::Progressing,
        action: Action::Advance,
        weight: intent.weight,
        stable_revision: intent.stable_revision.clone(),
        candidate_revision: intent.candidate_revision.clone(),
        beside: auspex_proto::Intent::default(),
    }
}
