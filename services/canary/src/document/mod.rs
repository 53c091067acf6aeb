//! `Rollout` documents: how a person says what they want of a rollout.
//!
//! What a document leaves out, the configuration supplies ([`crate::terms::Terms::of`]). Unknown fields are errors; every fault
//! of shape and of content is reported at once, with its line and field.

mod check;
mod check_gates;
mod check_routes;
mod check_words;
pub mod gates;
mod lint;
pub mod listed;
mod locate;
mod mitigations;
mod policy;
mod shape;
mod span;
pub mod strategy;
pub mod version;
mod window;

use auspex_proto::decision::{Affinity, Mode};
use auspex_proto::score::Mitigation;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::shape::Read;

pub use self::gates::{Check, Gates};
pub use self::lint::{Finding, cycle, lint};
pub use self::listed::Listed;
pub use self::policy::{AdaptiveChoice, BudgetChoice, Pause, PolicyChoice, Step};
pub use self::span::Span;
pub use self::strategy::{Bake, CohortChoice, RegionChoice, ScaleChoice, SlaChoice, StrategyChoice};

/// The only version there is.
pub const API_VERSION: &str = "auspex.dev/v1";
/// The only kind there is.
pub const KIND: &str = "Rollout";
/// Longest document that is read, in bytes: a hundred steps fit well.
pub const LONGEST: usize = 64 * 1024;

/// A `Rollout` document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// `auspex.dev/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// `Rollout`.
    pub kind: String,
    /// What it is called.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: Spec,
}

/// What a rollout is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Unique within the project.
    pub name: String,
    /// To which project it belongs; absent: that of the request or event that brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// What is wanted of a rollout. Everything but the service may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// Which service; in the configuration it may be left out, the key says it.
    pub service: String,
    /// Who drives; absent: `act`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The two versions and where they are found.
    pub tracks: Tracks,
    /// How much harm is bearable; absent: `medium`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criticality: Option<Criticality>,
    /// How weight is raised; absent: by budget.
    pub policy: PolicyChoice,
    /// Thresholds of the user's own; crossing one rolls back.
    pub limits: Limits,
    /// Requests slower than this many milliseconds count as `slow`; absent: latency is not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slo_ms: Option<f64>,
    /// Metrics to judge besides errors and slowness, at most 8; others are ignored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Listed>,
    /// Greatest share of healthy rollouts that may be rolled back on evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Greatest probability of letting a candidate pass that is worse by the margin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// Relative risk that may not be let through, above 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Difference of rates that is of no concern, a share of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_abs: Option<f64>,
    /// Candidate requests below which there is no verdict. 0: with `steps`, the schedule alone is enough to promote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
    /// How long to wait at weight 0 for the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_wait: Option<Span>,
    /// Least time between two raises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_dwell: Option<Span>,
    /// Longest time at one weight before a person is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_dwell: Option<Span>,
    /// Longest the rollout may take, pauses aside; then it is rolled back. Absent: as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// Keeps a user on one version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Sticky>,
    /// Nothing of the service serves yet: everything goes to the candidate at once, past steps, cohorts and regions. Where
    /// control knows what was promoted before, it goes the usual way all the same.
    #[serde(skip_serializing_if = "is_default")]
    pub initial: bool,
    /// How the rollout gets from stable to the candidate; absent: canary.
    #[serde(skip_serializing_if = "is_default")]
    pub strategy: StrategyChoice,
    /// Users with a track of their own: from the beginning, or from the step that names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<CohortChoice>,
    /// How long only they are on the candidate, before everybody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cohorts_first: Option<Span>,
    /// Percent of requests that are copied to the candidate, 0..=100, until a step says otherwise.
    #[serde(skip_serializing_if = "is_default")]
    pub mirror: u8,
    /// Control scales both tracks; absent: it moves weights alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleChoice>,
    /// What has to be so before it goes on.
    #[serde(skip_serializing_if = "is_default")]
    pub gates: Gates,
    /// Regions in which the candidate gets everything one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionChoice>,
    /// How long the candidate is watched after it got everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake: Option<Bake>,
    /// What it may cost its users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sla: Option<SlaChoice>,
    /// What its score may ask of it; others of the score's words are not heard. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mitigations: Vec<Mitigation>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The two versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracks {
    /// The one users are on.
    pub stable: Target,
    /// The one on trial.
    pub candidate: Target,
}

/// One version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Target {
    /// Its revision; empty when the deployment event says it.
    pub revision: String,
    /// Where the embedded proxy finds it; empty when another router drives.
    pub url: String,
}

/// How much harm is bearable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// An internal tool.
    Low,
    /// Most services.
    #[default]
    Medium,
    /// Users notice at once.
    High,
    /// Money or safety.
    Critical,
}

impl Criticality {
    /// How much of the difference of rates that is of no concern at medium criticality is of none here.
    #[must_use]
    pub fn tolerance(self) -> f64 {
        match self {
            Self::Low => 2.0,
            Self::Medium => 1.0,
            Self::High => 0.5,
            Self::Critical => 0.2,
        }
    }
}

/// Thresholds of the user's own. Rates are over the last thirty intervals of the candidate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Share of the candidate's requests that may fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// Share that may be slower than `slo_ms`: 0.05 is "p95 within `slo_ms`".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_rate: Option<f64>,
    /// Requests that may be harmed in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harmed: Option<u64>,
    /// P(failure) at the start from which the rollout is not begun at all: the prior alone. Absent: it never decides alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_failure: Option<f64>,
}

/// By what a user stays on one version: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sticky {
    /// By a cookie that the proxy sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// By a header that the client sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

impl Sticky {
    /// As a decision carries it.
    #[must_use]
    pub fn affinity(&self) -> Option<Affinity> {
        let header = || self.header.clone().map(Affinity::Header);
        self.cookie.clone().map(Affinity::Cookie).or_else(header)
    }
}

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("rollout document: {0}")]
    Unreadable(String),
    /// It can be read, and asks for what cannot be: each fault with its field, and its line where it is known.
    #[error("rollout document: {}", .0.join("; "))]
    Wrong(Vec<String>),
}

impl Document {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// [`Fault`]: every fault of shape and content, with line and field.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(Fault::Unreadable(format!("is longer than {LONGEST} bytes")));
        }
        let Read { document, found } = shape::read(lint::plain(text));
        match document.filter(|_| found.is_empty()) {
            Some(document) => Ok(document),
            None => Err(Fault::Wrong(found.iter().map(Finding::to_string).collect())),
        }
    }
}

#[cfg(test)]
mod tests;
