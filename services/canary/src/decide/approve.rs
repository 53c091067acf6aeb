//! What persons and checks say about gates.

use auspex_proto::command::CheckReport;
use auspex_proto::decision::{Phase, Reason};
use auspex_proto::{Command, Timestamp};

use super::{course, gates};
use crate::state::{Pass, Rollout, cut};

/// Longest note, name or detail that is kept, in bytes.
const LONGEST_DETAIL: usize = 160;

/// A check has been carried out. One that nobody waits for any more says nothing.
pub(super) fn reported(rollout: &mut Rollout, report: &CheckReport) -> Result<(), String> {
    let run = rollout.course.checks.get_mut(&report.check);
    let Some(run) = run.filter(|run| run.attempt == report.attempt && run.passed.is_none()) else {
        return Err(format!(
            "nobody waits for {} (attempt {})",
            report.check, report.attempt
        ));
    };
    run.passed = Some(report.passed);
    run.detail = cut(&report.detail, LONGEST_DETAIL).to_owned();
    Ok(())
}

/// The name that counts: that of the token where one was asked for, else what the caller says of himself.
fn proven(actor: &str) -> &str {
    actor.rsplit_once(" via ").map_or(actor, |(_, token)| token)
}

/// A person lets a gate pass; what is said when that was what it waited for.
pub(super) fn approved(
    rollout: &mut Rollout,
    command: &Command,
    (gate, ticket): (&str, &str),
    now: Timestamp,
) -> Result<Option<String>, String> {
    let gates = &rollout.terms.gates;
    let waits = rollout.last.as_ref().map(|last| last.reason);
    let switch = course::switch(rollout).is_some_and(|switch| !switch.auto_promotion);
    let gate = match (gate, ticket.is_empty(), waits) {
        ("", false, _) | ("", _, Some(Reason::TicketWanted)) => gates::TICKET.to_owned(),
        ("", true, Some(Reason::Frozen)) => gates::FREEZE.to_owned(),
        ("", true, _) => {
            gates::awaited(rollout).ok_or_else(|| "it has no gate that waits for a person".to_owned())?
        }
        (gate, _, _) => gate.to_owned(),
    };
    let listed = rollout.approvals().find(|approval| approval.name == gate);
    let known = match gate.as_str() {
        gates::TICKET => gates.ticket.is_some(),
        gates::FREEZE => !gates.freeze.is_empty(),
        "switch" if switch => true,
        _ => listed.is_some(),
    };
    if !known {
        return Err(format!("it has no gate called {gate} that a person passes"));
    }
    if rollout.course.passed.contains_key(&gate) {
        return Err(format!("{gate} is passed already"));
    }
    if let Some(approval) = listed.filter(|approval| {
        !approval.by.is_empty() && !approval.by.iter().any(|by| by == proven(&command.actor))
    }) {
        let (who, by) = (&command.actor, approval.by.join(", "));
        return Err(format!("{who} is not among those who may approve {gate}: {by}"));
    }
    if gate == gates::TICKET {
        named(rollout, ticket)?;
    }
    let pass = Pass {
        actor: cut(&command.actor, LONGEST_DETAIL).to_owned(),
        at: now,
        note: cut(&command.note, LONGEST_DETAIL).to_owned(),
        ticket: ticket.to_owned(),
    };
    rollout.course.passed.insert(gate.clone(), pass);
    let asked = matches!(waits, Some(Reason::ApprovalWanted | Reason::TicketWanted));
    let what = if gate == gates::TICKET {
        format!("named ticket {ticket}")
    } else {
        format!("approved {gate}")
    };
    Ok((asked && rollout.phase == Phase::Paused).then_some(what))
}

/// Whether a ticket is one that will do.
fn named(rollout: &Rollout, ticket: &str) -> Result<(), String> {
    let wanted = rollout.terms.gates.ticket.as_ref();
    let prefix = wanted.map(|wanted| wanted.prefix.as_str()).unwrap_or_default();
    if ticket.is_empty() || !ticket.starts_with(prefix) || ticket.len() > 64 {
        return Err(format!(
            "`{ticket}` is no ticket: one that begins with `{prefix}` is wanted"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::proven;

    #[test]
    fn the_last_name_counts() {
        assert_eq!(proven("alice"), "alice");
        assert_eq!(proven("alice via ops"), "ops");
        assert_eq!(proven("mallory via alice via ops"), "ops");
    }
}
