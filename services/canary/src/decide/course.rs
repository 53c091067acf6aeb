//! The course: the leg at hand wishes, gates hold, and past the last leg the candidate gets everything, region by region
//! where there are some, watched where that is wanted.

mod split;

use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, Reason};

use super::judge::Judged;
use super::rules::sight;
use super::{actuate, gates};
use crate::document::Step;
use crate::document::strategy::BlueGreen;
use crate::legs::{self, Beside, Kind, Leg};
use crate::policy::{self, Cursor, Policy, Wish};
use crate::state::Rollout;

/// What a leg says.
enum Said {
    /// Nothing: go on as it is.
    Quiet,
    Wish(Wish),
    /// It is done, and why the next may follow.
    Done(Reason, String),
}

/// What the course wishes; no wish: quietly go on as it is. A push goes past one hold: what it ends is not the next leg too.
pub(super) fn wish(rollout: &mut Rollout, judged: &Judged, now: Timestamp, pushed: bool) -> Option<Wish> {
    let mut pushed = pushed;
    loop {
        let Some(leg) = current(rollout) else {
            return Some(everything(rollout, now, pushed));
        };
        let entry: &[&str] = match rollout.course.open {
            true => &[leg.name.as_str()],
            false => &["start", "traffic", leg.name.as_str()],
        };
        if let Some(held) = gates::at(rollout, entry, now) {
            return Some(held);
        }
        rollout.course.open = true;
        let said = match &leg.kind {
            Kind::Cohorts { dwell } => cohorts(rollout, dwell.duration(), now, pushed),
            Kind::Ramp { policy, to } => ramp(rollout, (policy, *to), judged, now, pushed),
            Kind::Roll(steps) => {
                let steps = Policy::Steps(steps.clone());
                batches(ramp(rollout, (&steps, 100), judged, now, pushed))
            }
            Kind::Split(split) => split::said(rollout, split, judged, now, pushed),
            Kind::Switch(switch) => preview(rollout, switch, now, pushed),
        };
        match said {
            Said::Quiet => return None,
            Said::Wish(wish) => return Some(gates::thawed(rollout, wish, now)),
            Said::Done(reason, text) => next_leg(rollout, (reason, text), now),
        }
        pushed = false;
    }
}

/// The leg at hand, with the care that its score asks for; a state of before there were legs has one canary.
fn current(rollout: &Rollout) -> Option<Leg> {
    let leg = plain(rollout)?;
    if !rollout.course.mitigated.cautious {
        return Some(leg);
    }
    let kind = match leg.kind {
        Kind::Ramp { policy, to } => Kind::Ramp {
            policy: policy.cautious(),
            to,
        },
        Kind::Roll(steps) => Kind::Roll(steps.iter().map(Step::longer).collect()),
        kind => kind,
    };
    Some(Leg { kind, ..leg })
}

/// The same as its document has it.
fn plain(rollout: &Rollout) -> Option<Leg> {
    if rollout.terms.legs.is_empty() && rollout.course.leg == 0 {
        let kind = Kind::Ramp {
            policy: rollout.terms.policy.clone(),
            to: 100,
        };
        let name = "canary".to_owned();
        return Some(Leg { name, kind });
    }
    rollout.leg().cloned()
}

fn next_leg(rollout: &mut Rollout, proof: (Reason, String), now: Timestamp) {
    let now = rollout.course.watch.at(now);
    rollout.course.leg += 1;
    rollout.course.since = now;
    rollout.course.proof = Some(proof);
    rollout.cursor = Cursor {
        since: now,
        base: rollout.weight,
        ..Cursor::default()
    };
}

fn ramp(
    rollout: &mut Rollout,
    (policy, to): (&Policy, u8),
    judged: &Judged,
    now: Timestamp,
    pushed: bool,
) -> Said {
    let (weight, cursor) = (rollout.weight, rollout.cursor);
    let (next, wish) = policy::wish(policy, cursor, &sight(rollout, judged, now, pushed));
    if let Some(held) = thaws(rollout, next, now) {
        return Said::Wish(held);
    }
    rollout.cursor = next;
    let Some(wish) = wish else { return Said::Quiet };
    let there = to < 100 && weight >= to;
    match wish.action {
        Action::Promote if to == 100 || there => Said::Done(wish.reason, wish.text),
        Action::Advance if there && wish.weight > weight => Said::Done(wish.reason, wish.text),
        Action::Promote | Action::Advance if wish.weight > to => Said::Wish(Wish {
            action: Action::Advance,
            weight: to,
            ..wish
        }),
        _ => Said::Wish(wish),
    }
}

/// Users and copies that a step lets in are a raise as any other: a freeze window holds them.
fn thaws(rollout: &Rollout, next: Cursor, now: Timestamp) -> Option<Wish> {
    let at = |cursor: Cursor| Beside::at(&rollout.terms, rollout.course.leg, cursor.index);
    if next.index == rollout.cursor.index || !at(next).exceeds(&at(rollout.cursor)) {
        return None;
    }
    let (until, name) = gates::frozen(rollout, now)?;
    let text = format!(
        "{name} holds until {}; it would be: the next step's cohorts and mirror",
        gates::instant(until)
    );
    Some(Wish::new(Action::Hold, rollout.weight, Reason::Frozen, text))
}

/// A rolling exchange tells batches, not steps.
fn batches(said: Said) -> Said {
    let reason = |reason| {
        if reason == Reason::StepDone {
            Reason::BatchDone
        } else {
            reason
        }
    };
    match said {
        Said::Wish(wish) => Said::Wish(Wish {
            reason: reason(wish.reason),
            ..wish
        }),
        Said::Done(why, text) => Said::Done(reason(why), text),
        Said::Quiet => Said::Quiet,
    }
}

fn cohorts(rollout: &mut Rollout, dwell: std::time::Duration, now: Timestamp, pushed: bool) -> Said {
    let beside = Beside::at(&rollout.terms, rollout.course.leg, rollout.cursor.index);
    let names = beside.cohorts.iter().filter(|cohort| !cohort.stable);
    let names: Vec<&str> = names.map(|cohort| cohort.name.as_str()).collect();
    let names = names.join(", ");
    if !pushed && !actuate::has_instance(rollout) {
        let text = format!("{names} wait for an instance of the candidate");
        return Said::Wish(Wish::new(
            Action::Hold,
            rollout.weight,
            Reason::CapacityWaits,
            text,
        ));
    }
    if rollout.is_scaled() && !actuate::asked_aside(rollout) {
        // From now on they have it.
        rollout.course.since = rollout.course.watch.at(now);
    }
    if pushed || rollout.course.watch.at(now).since(began(rollout)) >= dwell {
        return Said::Done(
            Reason::CohortsFirst,
            format!("{names} had the candidate for {} s", dwell.as_secs()),
        );
    }
    let text = format!("{names} alone have the candidate, for {} s", dwell.as_secs());
    Said::Wish(Wish::new(
        Action::Hold,
        rollout.weight,
        Reason::CohortsFirst,
        text,
    ))
}

/// Since when the leg at hand counts, by the watched clock: the first one since the rollout left its wait.
fn began(rollout: &Rollout) -> Timestamp {
    rollout.course.since.max(rollout.cursor.since)
}

fn preview(rollout: &Rollout, switch: &BlueGreen, now: Timestamp, pushed: bool) -> Said {
    let preview = switch.preview;
    if pushed || rollout.course.watch.at(now).since(began(rollout)) >= preview.duration() {
        return Said::Done(
            Reason::Switched,
            format!("looked at for {preview}: everything goes to the candidate"),
        );
    }
    let text = format!("the candidate is looked at for {preview} before everything goes to it");
    Said::Wish(Wish::new(Action::Hold, rollout.weight, Reason::Dwells, text))
}

/// The switch of a blue/green leg, when the last leg was one.
pub(crate) fn switch(rollout: &Rollout) -> Option<&BlueGreen> {
    rollout.terms.legs.iter().find_map(|leg| match &leg.kind {
        Kind::Switch(switch) => Some(switch),
        _ => None,
    })
}

/// Past the last leg.
fn everything(rollout: &mut Rollout, now: Timestamp, pushed: bool) -> Wish {
    if let Some(held) = gates::at(rollout, &["promotion"], now) {
        return held;
    }
    let by_hand = switch(rollout).is_some_and(|switch| !switch.auto_promotion);
    if by_hand && !rollout.course.passed.contains_key("switch") {
        let text = "switch has to be approved before everything goes to the candidate".to_owned();
        return Wish::new(Action::Pause, rollout.weight, Reason::ApprovalWanted, text);
    }
    if let Some(wish) = region(rollout, now, pushed) {
        return gates::thawed(rollout, wish, now);
    }
    let done = || (Reason::StepDone, "all legs are done".to_owned());
    let (reason, text) = rollout.course.proof.clone().unwrap_or_else(done);
    let action = if bakes(rollout) {
        Action::Bake
    } else {
        Action::Promote
    };
    let text = match past(rollout) {
        Some(said) if action == Action::Bake => format!("{text}; {said}"),
        _ => text,
    };
    gates::thawed(rollout, Wish::new(action, 100, reason, text), now)
}

/// Said in advance: from when on nothing goes back.
pub(crate) fn past(rollout: &Rollout) -> Option<String> {
    let database = rollout.terms.gates.database.as_ref()?;
    database.contract.as_ref()?;
    Some(format!(
        "its database is contracted {} after this, from then on nothing goes back",
        database.bake
    ))
}

/// The next region gets everything, or the last one is still looked at; `None`: all have it.
fn region(rollout: &mut Rollout, now: Timestamp, pushed: bool) -> Option<Wish> {
    let done = rollout.course.regions;
    if let Some(last) = done
        .checked_sub(1)
        .and_then(|at| rollout.terms.regions.get(at))
        .cloned()
    {
        let watched = rollout.course.watch.at(now);
        if !pushed && watched.since(rollout.course.region_since) < last.bake.duration() {
            let text = format!("{} has the candidate, looked at for {}", last.name, last.bake);
            return Some(Wish::new(Action::Hold, rollout.weight, Reason::RegionBakes, text));
        }
        if let Some(held) = gates::at(rollout, &["region"], now) {
            return Some(held);
        }
    }
    let next = rollout.terms.regions.get(done)?.clone();
    // In the last one everything is everything.
    if done + 1 == rollout.terms.regions.len() {
        return None;
    }
    let text = format!("everything in {} goes to the candidate", next.name);
    if let Some((until, name)) = gates::frozen(rollout, now) {
        let until = gates::instant(until);
        let text = format!("{name} holds until {until}; it would be: {text}");
        return Some(Wish::new(Action::Hold, rollout.weight, Reason::Frozen, text));
    }
    rollout.course.regions = done + 1;
    rollout.course.region_since = rollout.course.watch.at(now);
    Some(Wish::new(
        Action::Advance,
        rollout.weight,
        Reason::RegionBakes,
        text,
    ))
}

/// The step that is not done yet, from 0, as decisions carry it: of the leg at hand, or past it of the last one that has
/// steps; their number when all are done. Batches are no steps.
pub(super) fn stands(rollout: &Rollout) -> Option<u32> {
    let leg = rollout.course.leg;
    let steps = |leg| legs::steps(&rollout.terms, leg).len();
    let index = match steps(leg) {
        0 => (0..leg).rev().map(steps).find(|steps| *steps > 0)?,
        _ => rollout.cursor.index,
    };
    u32::try_from(index).ok()
}

/// The step at hand, where the leg has steps.
pub(super) fn step(rollout: &Rollout) -> Option<Step> {
    let steps = match current(rollout)?.kind {
        Kind::Roll(steps) => steps,
        Kind::Ramp {
            policy: Policy::Steps(steps),
            ..
        } => steps,
        _ => return None,
    };
    steps.get(rollout.cursor.index).cloned()
}

/// Whether stable is kept for a while after everything went to the candidate.
pub(super) fn bakes(rollout: &Rollout) -> bool {
    let terms = &rollout.terms;
    let contract = terms
        .gates
        .database
        .as_ref()
        .is_some_and(|database| database.contract.is_some());
    let end = terms.gates.checks.iter().any(|check| check.point() == "end")
        || terms
            .gates
            .approvals
            .iter()
            .any(|approval| approval.point() == "end");
    terms.bake.duration.duration() > std::time::Duration::ZERO
        || switch(rollout).is_some()
        || contract
        || end
        || rollout.is_scaled()
}
