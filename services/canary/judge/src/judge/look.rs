//! What a look shows, ready to be written as JSON: no infinities, no values that are not numbers.

use serde::{Deserialize, Serialize};

use crate::counts::Evidence;
use crate::values::{Assumption, ValueEvidence, judge_values};
use crate::verdict::{Levels, Reason, Ruling, Verdict};

/// The state of all evidence at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Unix seconds of the last interval that counted.
    pub time: f64,
    /// What the evidence permits.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Probability that the candidate is bad, within [0, 1]: prior odds times evidence.
    pub posterior: f64,
    /// Mean e-value for harm over the metrics, by weight.
    pub e_worse: f64,
    /// Seconds until a decision is likely at this traffic; none when decided or unknown.
    pub remaining: Option<f64>,
    /// Each metric, by name.
    pub metrics: Vec<MetricLook>,
    /// Rows that came after their interval had closed, and were not counted.
    pub late: u64,
    /// Rows that repeated the only one of their metric, track and interval, and were not counted.
    pub duplicates: u64,
    /// Intervals of a metric, after the change, with rows of one track alone: there is nothing to compare in them.
    pub unpaired: u64,
    /// Whether no further look follows.
    #[serde(rename = "final")]
    pub last: bool,
}

/// The state of the evidence on one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricLook {
    /// Its name.
    pub metric: String,
    /// `counts`, `value` or `histogram`.
    pub kind: String,
    /// What its evidence permits.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// E-value against "no worse", at most the largest float.
    pub e_worse: f64,
    /// E-value against "worse by the margin".
    pub e_safe: f64,
    /// Natural log of `e_worse`, which does not overflow.
    pub log_e_worse: f64,
    /// Natural log of `e_safe`.
    pub log_e_safe: f64,
    /// Relative risk (counts), difference of means (value) or of the 95 % quantile (histogram). Of counts of which fewer are
    /// worse: of what is counted while that is the exception, else of its absence.
    pub effect: Option<f64>,
    /// Lower end of its interval; none when unbounded.
    pub low: Option<f64>,
    /// Upper end; none when unbounded.
    pub high: Option<f64>,
    /// Upper bound on the difference of the rates; counts only.
    pub diff_upper: Option<f64>,
    /// Units of the candidate, or intervals, that were judged.
    pub samples: u64,
    /// Mean size of clusters of failures in force; counts and histograms.
    pub dispersion: Option<f64>,
    /// What the verdict rests on besides the data; values only.
    pub assumes: Option<Assumption>,
    /// Seconds until a decision on this metric is likely at this traffic; none when decided or unknown.
    pub remaining: Option<f64>,
}

impl MetricLook {
    /// A look without evidence.
    pub(super) fn blank(metric: &str, kind: &str) -> Self {
        Self {
            metric: metric.to_owned(),
            kind: kind.to_owned(),
            verdict: Verdict::NoEvidence,
            reason: Reason::MissingSeries,
            e_worse: 1.0,
            e_safe: 1.0,
            log_e_worse: 0.0,
            log_e_safe: 0.0,
            effect: None,
            low: None,
            high: None,
            diff_upper: None,
            samples: 0,
            dispersion: None,
            assumes: None,
            remaining: None,
        }
    }

    /// Sets both e-values from their logs.
    pub(super) fn evidence(&mut self, worse: f64, safe: f64) {
        let held = |log: f64| log.clamp(f64::MIN, f64::MAX);
        self.e_worse = worse.exp().min(f64::MAX);
        self.e_safe = safe.exp().min(f64::MAX);
        self.log_e_worse = held(worse);
        self.log_e_safe = held(safe);
    }

    /// Sets what evidence about counts says besides the effect.
    pub(super) fn counted(&mut self, evidence: &Evidence) {
        self.evidence(evidence.log_e_worse, evidence.log_e_safe);
        self.dispersion = Some(evidence.dispersion);
        self.diff_upper = Some(evidence.diff_upper);
        self.samples = evidence.samples;
    }

    /// Sets what evidence about values says, and what follows at these levels.
    pub(super) fn valued(&mut self, evidence: &ValueEvidence, levels: &Levels) -> Ruling {
        self.evidence(evidence.log_e_worse, evidence.log_e_safe);
        self.estimate(evidence.effect, evidence.low, evidence.high);
        self.samples = evidence.samples;
        self.assumes = Some(evidence.assumes);
        judge_values(evidence, levels)
    }

    /// Sets the effect and its interval.
    pub(super) fn estimate(&mut self, effect: Option<f64>, low: f64, high: f64) {
        self.effect = effect.filter(|x| x.is_finite());
        self.low = Some(low).filter(|x| x.is_finite());
        self.high = Some(high).filter(|x| x.is_finite());
    }
}
