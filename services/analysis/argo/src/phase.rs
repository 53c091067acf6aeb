//! Phases of measurements, metrics and runs.

use serde::{Deserialize, Serialize};

/// A phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing measured yet.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// Good.
    Successful,
    /// Bad.
    Failed,
    /// Could not be told.
    Error,
    /// Neither good nor bad.
    Inconclusive,
    /// There was nothing to measure. Only in safe mode: Argo Rollouts does not know it.
    NoData,
}

impl Phase {
    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_completed(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Its place in the order in which a run takes the worst of its metrics. It differs from the order within a metric:
    /// there Error beats Inconclusive, which beats Failed.
    #[must_use]
    pub fn badness(self) -> u8 {
        match self {
            Self::Successful => 0,
            Self::Running => 1,
            Self::Pending => 2,
            Self::NoData => 3,
            Self::Inconclusive => 4,
            Self::Error => 5,
            Self::Failed => 6,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Inconclusive => "Inconclusive",
            Self::NoData => "NoData",
        }
    }

    /// The phase of a name, whatever its case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Running,
            Self::Successful,
            Self::Failed,
            Self::Error,
            Self::Inconclusive,
            Self::NoData,
        ]
        .into_iter()
        .find(|phase| phase.name().eq_ignore_ascii_case(name))
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
