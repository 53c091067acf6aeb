//! A verdict on a rollout, the weight it asks for, the evidence, the reason.

use serde::{Deserialize, Serialize};

use crate::id::{FactId, RolloutName, ServiceName};
use crate::intent::Intent;
use crate::invalid::{Invalid, percent, probability};
use crate::meta::{Meta, text};
use crate::wire;

macro_rules! mapped {
    ($type:ident, $wire:ident, $field:literal, { $($name:ident),* $(,)? }) => {
        impl $type {
            /// Every one there is, in the order in which they came to be.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub(crate) fn from_wire(value: i32) -> Result<Self, Invalid> {
                match wire::$wire::try_from(value) {
                    $(Ok(wire::$wire::$name) => Ok(Self::$name),)*
                    _ => Err(Invalid::new($field, format!("{value} is not known"))),
                }
            }

            /// To the wire.
            #[must_use]
            pub fn to_wire(self) -> wire::$wire {
                match self {
                    $(Self::$name => wire::$wire::$name,)*
                }
            }
        }
    };
}

mod reason;
pub use self::reason::Reason;

/// Who drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Watch, and say what it would have done.
    Observe,
    /// Answer another controller's question.
    Gate,
    /// Move traffic.
    Act,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// At weight 0, for its score.
    Waiting,
    /// Under way.
    Progressing,
    /// Held by a person, or by the policy for a person.
    Paused,
    /// Done: the candidate serves everything.
    Promoted,
    /// Done: stable serves everything. Absorbing.
    RolledBack,
    /// The candidate serves everything, stable is kept: it may still return.
    Baking,
    /// Traffic goes back as fast as stable can take it.
    Returning,
}

/// What a decision does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Action {
    Start,
    Advance,
    Hold,
    Pause,
    Resume,
    RollBack,
    Promote,
    Bake,
    Return,
}

/// What one metric says at the moment of a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct MetricEvidence {
    pub metric: String,
    /// `worse`, `no_worse`, `undecided` or `no_evidence`.
    pub verdict: String,
    pub reason: String,
    /// Natural logarithm of the evidence that the candidate is worse.
    pub log_e_worse: f64,
    /// Natural logarithm of the evidence that it is not worse by the margin.
    pub log_e_safe: f64,
    /// Relative risk, with its interval.
    pub effect: f64,
    pub low: f64,
    pub high: f64,
    pub candidate_bad: u64,
    pub candidate_total: u64,
    pub baseline_bad: u64,
    pub baseline_total: u64,
    /// Upper bound of the difference of rates.
    pub diff_upper: f64,
    /// Of histograms and values: effect, low and high are differences in the metric's own unit, and no unit is bad.
    pub difference: bool,
}

/// What a decision was made with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Versions {
    pub model: String,
    pub policy: String,
    pub features: String,
}

/// One side of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackTarget {
    /// Its revision; empty when unknown.
    pub revision: String,
    /// Where the embedded proxy finds it; empty when another router drives.
    pub url: String,
}

/// Sticky cohorts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Affinity {
    /// By a cookie the proxy sets.
    Cookie(String),
    /// By a header the client sends.
    Header(String),
}

/// A verdict on a rollout. Weights are the candidate's share, 0..=100.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Decision {
    pub meta: Meta,
    pub rollout: RolloutName,
    pub service: ServiceName,
    pub mode: Mode,
    pub phase: Phase,
    pub action: Action,
    pub reason: Reason,
    /// The reason in one sentence, with its numbers.
    pub reason_text: String,
    pub weight: u8,
    pub previous_weight: u8,
    /// False in `observe` and `gate`: what it would have done.
    pub acts: bool,
    pub prior: f64,
    pub prior_is_base_rate: bool,
    pub posterior: f64,
    pub evidence: Vec<MetricEvidence>,
    /// Bad units of the candidate beyond what the baseline's rate explains.
    pub harmed: u64,
    pub versions: Versions,
    pub stable: TrackTarget,
    pub candidate: TrackTarget,
    /// Of this rollout's decisions, from 1.
    pub number: u64,
    pub affinity: Option<Affinity>,
    /// Requests slower than this count as `slow`; `None`: latency is not judged.
    pub slo_ms: Option<f64>,
    pub score: Option<FactId>,
    /// What is asked beyond the weight; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The step of the policy that is not done yet, from 0; their number when all are. `None`: it has no steps, or does not
    /// go by them yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
}

impl Phase {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Promoted | Self::RolledBack)
    }
}

mapped!(Mode, Mode, "mode", { Observe, Gate, Act });
mapped!(Phase, Phase, "phase", { Waiting, Progressing, Paused, Promoted, RolledBack, Baking, Returning });
mapped!(Action, Action, "action", { Start, Advance, Hold, Pause, Resume, RollBack, Promote, Bake, Return });

impl Decision {
    /// From the wire.
    ///
    /// # Errors
    /// [`Invalid`] naming the field.
    pub fn from_wire(wire: wire::Decision) -> Result<Self, Invalid> {
        let evidence = wire.evidence.into_iter().map(MetricEvidence::from_wire).collect();
        Ok(Self {
            meta: Meta::from_wire(wire.meta)?,
            rollout: RolloutName::new(wire.rollout)?,
            service: ServiceName::new(wire.service)?,
            mode: Mode::from_wire(wire.mode)?,
            phase: Phase::from_wire(wire.phase)?,
            action: Action::from_wire(wire.action)?,
            reason: Reason::from_wire(wire.reason)?,
            reason_text: wire.reason_text,
            weight: percent(wire.weight, "weight")?,
            previous_weight: percent(wire.previous_weight, "previous_weight")?,
            acts: wire.acts,
            prior: probability(wire.prior, "prior")?,
            prior_is_base_rate: wire.prior_is_base_rate,
            posterior: probability(wire.posterior, "posterior")?,
            evidence,
            harmed: wire.harmed,
            versions: wire.versions.map(Versions::from_wire).unwrap_or_default(),
            stable: wire.stable.map(TrackTarget::from_wire).unwrap_or_default(),
            candidate: wire.candidate.map(TrackTarget::from_wire).unwrap_or_default(),
            number: wire.revision_number,
            affinity: wire.affinity.and_then(Affinity::from_wire),
            slo_ms: (wire.slo_ms > 0.0).then_some(wire.slo_ms),
            score: if wire.score_id.is_empty() {
                None
            } else {
                Some(FactId::new(wire.score_id)?)
            },
            intent: wire.intent.map(Intent::from_wire).transpose()?,
            step: wire.step,
        })
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(&self) -> wire::Decision {
        wire::Decision {
            meta: self.meta.to_wire(),
            rollout: self.rollout.to_string(),
            service: self.service.to_string(),
            mode: self.mode.to_wire().into(),
            phase: self.phase.to_wire().into(),
            action: self.action.to_wire().into(),
            reason: self.reason.to_wire().into(),
            reason_text: self.reason_text.clone(),
            weight: self.weight.into(),
            previous_weight: self.previous_weight.into(),
            acts: self.acts,
            prior: self.prior,
            prior_is_base_rate: self.prior_is_base_rate,
            posterior: self.posterior,
            evidence: self.evidence.iter().map(MetricEvidence::to_wire).collect(),
            harmed: self.harmed,
            versions: Some(self.versions.to_wire()),
            stable: Some(self.stable.to_wire()),
            candidate: Some(self.candidate.to_wire()),
            revision_number: self.number,
            affinity: self.affinity.as_ref().map(Affinity::to_wire),
            slo_ms: self.slo_ms.unwrap_or(0.0),
            score_id: text(self.score.as_ref()),
            intent: self.intent.as_ref().map(Intent::to_wire),
            step: self.step,
        }
    }
}

macro_rules! plain {
    ($type:ident { $($field:ident),* }) => {
        impl $type {
            fn from_wire(wire: wire::$type) -> Self {
                Self { $($field: wire.$field),* }
            }

            /// As it is sent.
            #[must_use]
            pub fn to_wire(&self) -> wire::$type {
                wire::$type { $($field: self.$field.clone()),* }
            }
        }
    };
}
plain!(MetricEvidence {
    metric,
    verdict,
    reason,
    log_e_worse,
    log_e_safe,
    effect,
    low,
    high,
    candidate_bad,
    candidate_total,
    baseline_bad,
    baseline_total,
    diff_upper,
    difference
});
plain!(Versions {
    model,
    policy,
    features
});
plain!(TrackTarget { revision, url });

impl Affinity {
    fn from_wire(wire: wire::Affinity) -> Option<Self> {
        match (wire.cookie.is_empty(), wire.header.is_empty()) {
            (false, _) => Some(Self::Cookie(wire.cookie)),
            (true, false) => Some(Self::Header(wire.header)),
            (true, true) => None,
        }
    }

    fn to_wire(&self) -> wire::Affinity {
        match self {
            Self::Cookie(cookie) => wire::Affinity {
                cookie: cookie.clone(),
                header: String::new(),
            },
            Self::Header(header) => wire::Affinity {
                cookie: String::new(),
                header: header.clone(),
            },
        }
    }
}
