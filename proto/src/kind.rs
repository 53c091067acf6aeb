//! What kinds of facts there are, and how long the log keeps each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The kinds of facts, in the order of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum FactKind {
    Event,
    Observation,
    Vector,
    Score,
    Decision,
    Alert,
    Command,
    Model,
    Tick,
    Rows,
}

/// Every kind of fact.
pub const FACT_KINDS: [FactKind; 10] = [
    FactKind::Event,
    FactKind::Observation,
    FactKind::Vector,
    FactKind::Score,
    FactKind::Decision,
    FactKind::Alert,
    FactKind::Command,
    FactKind::Model,
    FactKind::Tick,
    FactKind::Rows,
];

impl FactKind {
    /// Its token in a subject, and its name in the header.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Observation => "observation",
            Self::Vector => "vector",
            Self::Score => "score",
            Self::Decision => "decision",
            Self::Alert => "alert",
            Self::Command => "command",
            Self::Model => "model",
            Self::Tick => "tick",
            Self::Rows => "rows",
        }
    }

    /// How long the log keeps it; `history` keeps it for good. Never below seven days, so that a consumer may lag that long.
    #[must_use]
    pub fn lifetime(self) -> Duration {
        let days = match self {
            Self::Observation | Self::Tick => 7,
            Self::Event | Self::Vector | Self::Score | Self::Alert | Self::Rows => 30,
            Self::Decision | Self::Command => 90,
            Self::Model => 365,
        };
        Duration::from_secs(days * 86_400)
    }

    pub(crate) fn parse(token: &str) -> Option<Self> {
        FACT_KINDS.into_iter().find(|kind| kind.token() == token)
    }
}
