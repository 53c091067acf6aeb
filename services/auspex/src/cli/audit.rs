//! What the log holds about a rollout, as people and programs read it.

use auspex_proto::wire::{Command, HistoryEntry, command::Ask, history_entry::What};
use serde_json::{Value, json};

use super::view;

/// One line an entry, with the evidence of decisions below.
pub(crate) fn text(entries: &[HistoryEntry]) -> String {
    if entries.is_empty() {
        return "the log holds nothing about it any more\n".to_owned();
    }
    let mut out = String::new();
    for entry in entries {
        let at = view::instant(entry.time_ms);
        match &entry.what {
            Some(What::Command(command)) => {
                let note = if command.note.is_empty() {
                    String::new()
                } else {
                    format!(": {}", command.note)
                };
                out.push_str(&format!(
                    "{at}  {:>8}  {} asked: {}{note}\n",
                    entry.sequence,
                    who(command),
                    asked(command)
                ));
            }
            Some(What::Decision(decision)) => {
                let would = if decision.acts { "" } else { " (would have)" };
                out.push_str(&format!(
                    "{at}  {:>8}  {:<9} {:>3} -> {:>3} %{would}  {} ({})\n",
                    entry.sequence,
                    view::action(decision.action),
                    decision.previous_weight,
                    decision.weight,
                    decision.reason_text,
                    view::reason(decision.reason),
                ));
                for metric in &decision.evidence {
                    out.push_str(&format!("{:34}{}\n", "", view::evidence(metric)));
                }
            }
            None => {}
        }
    }
    out
}

/// For programs.
pub(crate) fn document(entry: &HistoryEntry) -> Value {
    let mut out = json!({"sequence": entry.sequence, "time_ms": entry.time_ms});
    match &entry.what {
        Some(What::Command(command)) => {
            out["command"] = json!({"actor": command.actor, "note": command.note, "ask": asked(command)});
        }
        Some(What::Decision(decision)) => {
            out["decision"] = view::decision(decision);
            out["decision"]["phase"] = Value::from(view::phase(decision.phase));
        }
        None => {}
    }
    out
}

fn who(command: &Command) -> &str {
    if command.actor.is_empty() {
        "somebody"
    } else {
        &command.actor
    }
}

fn asked(command: &Command) -> String {
    match &command.ask {
        None => "nothing".to_owned(),
        Some(Ask::Start(_)) => "start".to_owned(),
        Some(Ask::Pause(_)) => "pause".to_owned(),
        Some(Ask::Resume(_)) => "resume".to_owned(),
        Some(Ask::Promote(promote)) if promote.full => "promote to 100 %".to_owned(),
        Some(Ask::Promote(_)) => "promote".to_owned(),
        Some(Ask::Abort(_)) => "abort".to_owned(),
        Some(Ask::Retry(_)) => "retry".to_owned(),
        Some(Ask::Undo(_)) => "undo".to_owned(),
        Some(Ask::Approve(approve)) if !approve.ticket.is_empty() => format!("ticket {}", approve.ticket),
        Some(Ask::Approve(approve)) if approve.gate.is_empty() => "approve".to_owned(),
        Some(Ask::Approve(approve)) => format!("approve {}", approve.gate),
        Some(Ask::Report(report)) => {
            let how = if report.passed { "passed" } else { "failed" };
            format!(
                "check {} (attempt {}) {how}: {}",
                report.check, report.attempt, report.detail
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use auspex_proto::wire::{Decision, Report};

    use super::*;

    #[test]
    fn who_and_what_decided_is_told() {
        let command = Command {
            actor: "alice".to_owned(),
            note: "looks bad".to_owned(),
            ask: Some(Ask::Abort(Default::default())),
            ..Command::default()
        };
        let report = Command {
            actor: "auspex".to_owned(),
            ask: Some(Ask::Report(Report {
                check: "smoke".to_owned(),
                attempt: 1,
                passed: true,
                detail: "200 OK".to_owned(),
                ..Report::default()
            })),
            ..Command::default()
        };
        let decision = Decision {
            reason_text: "alice aborted".to_owned(),
            previous_weight: 5,
            acts: true,
            ..Decision::default()
        };
        let entry = |what| HistoryEntry {
            sequence: 7,
            time_ms: 1_000,
            what: Some(what),
        };
        let entries = [
            entry(What::Command(report)),
            entry(What::Command(command)),
            entry(What::Decision(decision)),
        ];
        let shown = text(&entries);
        assert!(shown.contains("alice asked: abort: looks bad"), "{shown}");
        assert!(
            shown.contains("check smoke (attempt 1) passed: 200 OK"),
            "{shown}"
        );
        assert!(shown.contains("5 ->   0 %  alice aborted"), "{shown}");
        assert_eq!(document(&entries[1])["command"]["actor"], "alice");
        assert_eq!(document(&entries[2])["decision"]["text"], "alice aborted");
    }
}
