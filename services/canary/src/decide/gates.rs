//! Gates: what has to be so before a rollout goes on. What a person or a check has said is in the state; nothing is asked here.

use std::time::Duration;

use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, Mode, Reason};

use super::rules::rollback;
use crate::document::gates::Check;
use crate::policy::Wish;
use crate::state::course::MOST_PASSES;
use crate::state::{Rollout, Run};

/// How long after its time a check that nobody reported counts as failed.
const SILENCE: Duration = Duration::from_secs(30);
/// The name under which a person lets a rollout go on in a freeze window, and one without a ticket.
pub(super) const FREEZE: &str = "freeze";
pub(super) const TICKET: &str = "ticket";

/// How a check stands.
enum Stand {
    Passed,
    Waits(String),
    Failed(String),
}

fn hold(rollout: &Rollout, reason: Reason, text: String) -> Wish {
    Wish::new(Action::Hold, rollout.weight, reason, text)
}

/// What holds a rollout at these points, in their order; `None`: it may go on.
pub(super) fn at(rollout: &mut Rollout, points: &[&str], now: Timestamp) -> Option<Wish> {
    for point in points {
        if let Some(held) = approvals(rollout, point) {
            return Some(held);
        }
        if *point == "start"
            && let Some(held) = before_all(rollout, now)
        {
            return Some(held);
        }
        let wanted = rollout
            .terms
            .gates
            .checks
            .iter()
            .filter(|check| check.point() == *point);
        let wanted: Vec<Check> = wanted.cloned().collect();
        if let Some(held) = run(rollout, &wanted, (Reason::CheckWaits, Reason::CheckFailed), now) {
            return Some(held);
        }
    }
    None
}

/// Whether somebody still has to say yes here.
pub(super) fn open(rollout: &Rollout, point: &str) -> bool {
    approvals(rollout, point).is_some()
}

/// The gate that a person has to let pass next, in the order in which the rollout comes by; `None`: there is none left.
pub(super) fn awaited(rollout: &Rollout) -> Option<String> {
    let legs = &rollout.terms.legs;
    let place = |point: &str| match point {
        "start" => 0,
        "traffic" => 1,
        "promotion" => legs.len() + 2,
        "region" => legs.len() + 4,
        "end" => legs.len() + 5,
        // A leg; the switch comes after `promotion`.
        leg => {
            2 + legs
                .iter()
                .position(|known| known.name == leg)
                .unwrap_or_default()
        }
    };
    let by_hand = super::course::switch(rollout).is_some_and(|switch| !switch.auto_promotion);
    let switch = by_hand.then_some(("switch", legs.len() + 3));
    let listed = rollout.approvals();
    let listed = listed.map(|approval| (approval.name.as_str(), place(approval.point())));
    let open = listed.chain(switch);
    let open = open.filter(|(name, _)| !rollout.course.passed.contains_key(*name));
    open.min_by_key(|(_, place)| *place)
        .map(|(name, _)| name.to_owned())
}

/// What the gate at which a rollout stands waits for, with the command that lets it pass; `None`: it stands at none.
pub(super) fn wanted(rollout: &Rollout) -> Option<String> {
    match rollout.last.as_ref()?.reason {
        Reason::TicketWanted => Some(ticket_wanted(rollout)),
        Reason::ApprovalWanted => {
            let gate = awaited(rollout)?;
            Some(with_command(
                rollout,
                &format!("{gate} has to be approved"),
                &gate,
            ))
        }
        _ => None,
    }
}

/// Why a person's promotion stays before a gate, with the command that lets it pass.
pub(super) fn stays(rollout: &Rollout, wish: &Wish) -> String {
    let gate = match wish.reason {
        Reason::ApprovalWanted => awaited(rollout),
        Reason::Frozen => Some(FREEZE.to_owned()),
        _ => None,
    };
    match gate {
        Some(gate) => with_command(rollout, &wish.text, &gate),
        None => wish.text.clone(),
    }
}

fn with_command(rollout: &Rollout, text: &str, gate: &str) -> String {
    format!("{text}: auspex rollout approve {} --gate {gate}", rollout.name)
}

fn ticket_wanted(rollout: &Rollout) -> String {
    format!(
        "no change ticket is named: auspex rollout approve {} --ticket ID",
        rollout.name
    )
}

/// Persons who have to say yes here.
fn approvals(rollout: &Rollout, point: &str) -> Option<Wish> {
    let passed = &rollout.course.passed;
    let mut wanted = rollout.approvals();
    let wanted = wanted.find(|approval| approval.point() == point && !passed.contains_key(&approval.name))?;
    let by = match wanted.by.as_slice() {
        [] => String::new(),
        by => format!(" by {}", by.join(" or ")),
    };
    let mitigated = &rollout.course.mitigated;
    let text = match mitigated.approval.as_ref() == Some(wanted) {
        true => format!(
            "{} has to be approved before the first traffic: {}",
            wanted.name, mitigated.why
        ),
        false => format!("{} has to be approved{by} before {point}", wanted.name),
    };
    Some(Wish::new(
        Action::Pause,
        rollout.weight,
        Reason::ApprovalWanted,
        text,
    ))
}

/// Ticket, dependencies and the database's first half.
fn before_all(rollout: &mut Rollout, now: Timestamp) -> Option<Wish> {
    if let Some(ticket) = &rollout.terms.gates.ticket
        && ticket.id.is_empty()
        && !rollout.course.passed.contains_key(TICKET)
    {
        return Some(Wish::new(
            Action::Pause,
            rollout.weight,
            Reason::TicketWanted,
            ticket_wanted(rollout),
        ));
    }
    if let Some(blocked) = rollout.course.blocked.clone() {
        return Some(hold(rollout, Reason::DependencyWaits, blocked));
    }
    let database = rollout.terms.gates.database.clone()?;
    let wanted: Vec<Check> = database.expand.into_iter().chain(database.verify).collect();
    run(
        rollout,
        &wanted,
        (Reason::MigrationWaits, Reason::MigrationFailed),
        now,
    )
}

/// The last half: what only the old version needs is taken away.
pub(super) fn contract(rollout: &mut Rollout, now: Timestamp) -> Option<Wish> {
    let contract = rollout.terms.gates.database.as_ref()?.contract.clone()?;
    match stand(rollout, &contract, now) {
        Stand::Passed => None,
        Stand::Waits(text) => Some(hold(rollout, Reason::MigrationWaits, text)),
        // It may have happened in part: going back would be a guess.
        Stand::Failed(text) => {
            let name = &rollout.name;
            let text =
                format!("{text}; a person has to look: auspex rollout promote {name} ends it, abort returns");
            Some(hold(rollout, Reason::MigrationFailed, text))
        }
    }
}

/// Whether the database has lost what only the old version needs, or is losing it right now. Once that was tried and has
/// failed a person may go back, nobody else.
pub(super) fn contracts(rollout: &Rollout) -> bool {
    rollout.course.contracted || contracting(rollout).is_some_and(|run| run.passed.is_none())
}

/// The contraction, once it was asked for.
pub(super) fn contracting(rollout: &Rollout) -> Option<&Run> {
    let contract = rollout.terms.gates.database.as_ref()?.contract.as_ref()?;
    rollout.course.checks.get(&contract.name)
}

/// Checks, one after the other; a failed one rolls back.
fn run(
    rollout: &mut Rollout,
    wanted: &[Check],
    (waits, failed): (Reason, Reason),
    now: Timestamp,
) -> Option<Wish> {
    for check in wanted {
        match stand(rollout, check, now) {
            Stand::Passed => {}
            Stand::Waits(text) => return Some(hold(rollout, waits, text)),
            Stand::Failed(text) => return Some(rollback(failed, text)),
        }
    }
    None
}

/// How a check stands; it is asked for when it was not yet, and again while attempts are left.
fn stand(rollout: &mut Rollout, check: &Check, now: Timestamp) -> Stand {
    // Whoever only watches runs nothing.
    if rollout.terms.mode == Mode::Observe {
        return Stand::Passed;
    }
    let key = key(rollout, check);
    let checks = &mut rollout.course.checks;
    if checks.len() >= MOST_PASSES && !checks.contains_key(&key) {
        return Stand::Failed(format!("{}: more than {MOST_PASSES} checks", check.name));
    }
    let first = Run {
        attempt: 1,
        at: now,
        ..Run::default()
    };
    let run = checks.entry(key).or_insert(first);
    if run.passed.is_none() && now.since(run.at) > check.timeout.duration() + SILENCE {
        run.passed = Some(false);
        run.detail = "nobody has said how it went".to_owned();
    }
    let of = format!("{} (attempt {} of {})", check.name, run.attempt, check.attempts);
    match run.passed {
        Some(true) => Stand::Passed,
        None => Stand::Waits(format!("{of} is under way")),
        Some(false) if run.attempt >= check.attempts => Stand::Failed(format!("{of} failed: {}", run.detail)),
        Some(false) if now.since(run.at) < check.every.duration() => Stand::Waits(format!(
            "{of} failed: {}; once more in {}",
            run.detail, check.every
        )),
        Some(false) => {
            let (attempt, detail) = (run.attempt + 1, std::mem::take(&mut run.detail));
            *run = Run {
                attempt,
                at: now,
                ..Run::default()
            };
            Stand::Waits(format!("{of} failed: {detail}; once more"))
        }
    }
}

/// Under which name a check is kept: those of a region once for each of them.
pub(super) fn key(rollout: &Rollout, check: &Check) -> String {
    let region = rollout
        .course
        .regions
        .checked_sub(1)
        .and_then(|at| rollout.terms.regions.get(at));
    match region.filter(|_| check.point() == "region") {
        Some(region) => format!("{}@{}", check.name, region.name),
        None => check.name.clone(),
    }
}

/// A raise that meets a freeze window is held; what goes back, or stays, never is.
pub(super) fn thawed(rollout: &mut Rollout, wish: Wish, now: Timestamp) -> Wish {
    let raises = wish.weight > rollout.weight || matches!(wish.action, Action::Promote | Action::Bake);
    let until = frozen(rollout, now);
    rollout.course.frozen = until.as_ref().map(|(until, _)| *until);
    match until {
        Some((until, name)) if raises => {
            let text = format!(
                "{name} holds until {}; it would be: {}",
                instant(until),
                wish.text
            );
            hold(rollout, Reason::Frozen, text)
        }
        _ => wish,
    }
}

/// Until when a window holds, and its name; `None`: none does, or a person has let it pass.
pub(super) fn frozen(rollout: &Rollout, now: Timestamp) -> Option<(Timestamp, String)> {
    if rollout.course.passed.contains_key(FREEZE) {
        return None;
    }
    let windows = rollout.terms.gates.freeze.iter();
    let named = |name: &str| {
        if name.is_empty() {
            "a freeze window".to_owned()
        } else {
            format!("the freeze window {name}")
        }
    };
    windows
        .filter_map(|w| w.until(now).map(|until| (until, named(&w.name))))
        .max()
}

/// Why a person may not send everything to the candidate now.
pub(super) fn refusal(rollout: &Rollout, now: Timestamp) -> Option<String> {
    let (gates, course, name) = (&rollout.terms.gates, &rollout.course, &rollout.name);
    if let Some((until, window)) = frozen(rollout, now) {
        let until = instant(until);
        return Some(format!(
            "{window} holds until {until}; auspex rollout approve {name} --gate freeze passes it"
        ));
    }
    let mut approvals = rollout.approvals();
    if let Some(wanted) = approvals.find(|approval| !course.passed.contains_key(&approval.name)) {
        let gate = &wanted.name;
        return Some(with_command(rollout, &format!("{gate} is not approved"), gate));
    }
    let by_hand = super::course::switch(rollout).is_some_and(|switch| !switch.auto_promotion);
    if by_hand && !course.passed.contains_key("switch") {
        return Some(with_command(rollout, "switch is not approved", "switch"));
    }
    if gates.ticket.as_ref().is_some_and(|t| t.id.is_empty()) && !course.passed.contains_key(TICKET) {
        return Some(ticket_wanted(rollout));
    }
    if let Some(blocked) = course.blocked.as_ref().filter(|_| !course.open) {
        return Some(blocked.clone());
    }
    let database = gates.database.iter();
    let mut first = database.flat_map(|database| database.expand.iter().chain(&database.verify));
    let open = first.find(|check| course.checks.get(&check.name).and_then(|run| run.passed) != Some(true));
    let open = open.filter(|_| rollout.terms.mode == Mode::Act)?;
    Some(format!("the database is not ready: {} has not passed", open.name))
}

/// An instant as people read it.
pub(crate) fn instant(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(instant) => instant.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => at.0.to_string(),
    }
}
