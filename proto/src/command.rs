//! What a person or tool asks of a rollout.

use serde::{Deserialize, Serialize};

use crate::id::RolloutName;
use crate::invalid::{Invalid, required};
use crate::meta::Meta;
use crate::wire;

/// One request, by somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The head.
    pub meta: Meta,
    /// Which rollout.
    pub rollout: RolloutName,
    /// Who asks; kept for the audit.
    pub actor: String,
    /// Why, in their words.
    pub note: String,
    /// What they ask.
    pub ask: Ask,
}

/// What can be asked of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Begin, by this document (YAML).
    Start {
        /// The Rollout document as it was given.
        document: String,
    },
    /// Hold the weight where it is.
    Pause,
    /// Go on.
    Resume,
    /// Past the current hold, or to the end.
    Promote {
        /// To 100 % whatever the policy still wants.
        full: bool,
    },
    /// Back to stable.
    Abort,
    /// Let a gate pass.
    Approve {
        /// Which; empty: the one that waits.
        gate: String,
        /// The change ticket, where one is wanted.
        ticket: String,
    },
    /// Begin again what was rolled back, by the same document.
    Retry,
    /// Back to what served before the promotion, as a rollout of its own.
    Undo,
    /// What became of a check that control asked for; never said by people.
    Report(CheckReport),
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Which check, as the rollout named it.
    pub check: String,
    /// Which run of it, from 1.
    pub attempt: u32,
    /// Whether it passed.
    pub passed: bool,
    /// What it said, one line.
    pub detail: String,
    /// When it began: unix milliseconds.
    pub started_ms: i64,
}

impl Command {
    pub(crate) fn from_wire(command: wire::Command) -> Result<Self, Invalid> {
        use wire::command::Ask as W;
        let ask = match required(command.ask, "ask")? {
            W::Start(start) if start.document.is_empty() => {
                return Err(Invalid::new("start.document", "is empty"));
            }
            W::Start(start) => Ask::Start {
                document: start.document,
            },
            W::Pause(_) => Ask::Pause,
            W::Resume(_) => Ask::Resume,
            W::Promote(promote) => Ask::Promote { full: promote.full },
            W::Abort(_) => Ask::Abort,
            W::Approve(approve) => Ask::Approve {
                gate: approve.gate,
                ticket: approve.ticket,
            },
            W::Retry(_) => Ask::Retry,
            W::Undo(_) => Ask::Undo,
            W::Report(report) if report.check.is_empty() => {
                return Err(Invalid::new("report.check", "is empty"));
            }
            W::Report(report) => Ask::Report(CheckReport {
                check: report.check,
                attempt: report.attempt,
                passed: report.passed,
                detail: report.detail,
                started_ms: report.started_ms,
            }),
        };
        Ok(Self {
            meta: Meta::from_wire(command.meta)?,
            rollout: RolloutName::new(command.rollout)?,
            actor: command.actor,
            note: command.note,
            ask,
        })
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(&self) -> wire::Command {
        use wire::command::Ask as W;
        let ask = match &self.ask {
            Ask::Start { document } => W::Start(wire::Start {
                document: document.clone(),
            }),
            Ask::Pause => W::Pause(wire::Pause {}),
            Ask::Resume => W::Resume(wire::Resume {}),
            Ask::Promote { full } => W::Promote(wire::Promote { full: *full }),
            Ask::Abort => W::Abort(wire::Abort {}),
            Ask::Approve { gate, ticket } => W::Approve(wire::Approve {
                gate: gate.clone(),
                ticket: ticket.clone(),
            }),
            Ask::Retry => W::Retry(wire::Retry {}),
            Ask::Undo => W::Undo(wire::Undo {}),
            Ask::Report(report) => W::Report(wire::Report {
                check: report.check.clone(),
                attempt: report.attempt,
                passed: report.passed,
                detail: report.detail.clone(),
                started_ms: report.started_ms,
            }),
        };
        wire::Command {
            meta: self.meta.to_wire(),
            rollout: self.rollout.to_string(),
            actor: self.actor.clone(),
            note: self.note.clone(),
            ask: Some(ask),
        }
    }
}
