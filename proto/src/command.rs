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
