//! What the judge says: a verdict, why, and the levels it was asked to hold.

use serde::{Deserialize, Serialize};

/// What the evidence permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The candidate is worse than its baseline: rolling back is permitted.
    Worse,
    /// The candidate is not worse by more than the margin: advancing is permitted.
    NoWorse,
    /// There is evidence, and it does not suffice for either call.
    Undecided,
    /// There is nothing to judge by. Never a pass, never a failure.
    NoEvidence,
}

/// Why a verdict was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The evidence against "no worse" reached 1/(alpha x weight).
    HarmProven,
    /// Worse for certain, and just as certainly by less than the margin by ratio: not worth a rollback.
    WithinMargin,
    /// The evidence against "worse by the margin, as a ratio" reached 1/beta.
    NoWorseByRatio,
    /// The upper bound of the difference fell below the absolute margin.
    NoWorseByDifference,
    /// Every guardrail is proven no worse.
    EveryGuardrailHolds,
    /// Several metrics together carry the evidence that none of them carries alone.
    HarmAcrossMetrics,
    /// Neither call is permitted yet.
    StillWatching,
    /// Some guardrail is not yet proven no worse.
    GuardrailPending,
    /// The quantile asked for lies too far in the tail for the number of samples.
    TailTooThin,
    /// The baseline is served and the candidate is silent. Suspicious in itself.
    SilentCandidate,
    /// The candidate is served and the baseline is silent: there is nothing to compare with.
    SilentBaseline,
    /// Fewer samples than the least that a verdict may rest on.
    TooFewSamples,
    /// Both tracks are constant and equal: a broken probe looks the same as health.
    EqualConstants,
    /// One of the tracks never reported this metric.
    MissingSeries,
    /// The values are not numbers.
    NotFinite,
}

/// A verdict and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// What the evidence permits.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

impl Ruling {
    /// A verdict for a reason.
    #[must_use]
    pub const fn new(verdict: Verdict, reason: Reason) -> Self {
        Self { verdict, reason }
    }
}

/// The error rates that a verdict must hold, over all looks together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// Greatest probability of ever calling a healthy candidate worse, within (0, 1). Default 0.01.
    pub alpha: f64,
    /// Greatest probability of ever letting a candidate pass that is worse by the margin, within (0, 1). Default 0.05.
    pub beta: f64,
    /// Factor on the evidence for harm, from [`crate::Portfolio::weight_for`], fixed before the rollout. Default 1.
    pub weight: f64,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            beta: 0.05,
            weight: 1.0,
        }
    }
}

impl Levels {
    /// Log of the evidence at which harm is proven: `ln(1 / (alpha weight))`. Never reached when a level is out of range.
    #[must_use]
    pub fn log_alarm(&self) -> f64 {
        threshold(self.alpha * self.weight)
    }

    /// Log of the evidence at which "worse by the margin" is refuted: `ln(1 / beta)`.
    #[must_use]
    pub fn log_pass(&self) -> f64 {
        threshold(self.beta)
    }
}

/// `ln(1 / level)`, or infinity when the level is not a positive number: a broken level must never permit anything.
fn threshold(level: f64) -> f64 {
    if level.is_finite() && level > 0.0 {
        -level.ln()
    } else {
        f64::INFINITY
    }
}
