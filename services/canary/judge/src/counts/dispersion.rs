//! How much more failures scatter than independent ones would, learnt from the past alone.
//!
//! When one cause fails many requests of an interval together, a likelihood that counts each of them as independent
//! evidence overstates itself by the mean size of such clusters, the dispersion. Evidence raised to the power
//! `1 / dispersion` ("tempered") is a martingale again to second order, and exactly so for clusters of one size. The
//! dispersion in force is the one learnt from *earlier* intervals, so tempering never looks at what it weighs.
//!
//! Two measures, both with mean 1 for independent failures:
//! - successive differences of the baseline's rate: many failures, quickly learnt, but moved by swings of the load;
//! - Pearson's statistic of the split between the tracks: blind to common swings, but slow at small shares.
//!
//! The second starts from the first and takes over as it gains weight; the smaller one counts.

use serde::{Deserialize, Serialize};

/// Weight, in intervals, of the assumption that failures are independent.
const TRUST: f64 = 4.0;
/// Weight, in intervals, with which the baseline's scatter stands in for that of the split.
const LOAN: f64 = 12.0;
/// Standard errors that scatter must exceed before it counts, since a healthy estimate is above 1 half of the time.
const SLACK: f64 = 1.5;
/// Standard errors added once it counts, so that the estimate errs on the side of patience.
const CAUTION: f64 = 1.0;

/// Running measure of dispersion. Names are short where it is kept: a distribution holds one per cut.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Dispersion {
    /// Sum and number of the baseline's squared successive differences.
    steps: f64,
    #[serde(rename = "sn")]
    step_count: f64,
    /// Sum and weight of the split's Pearson statistic.
    #[serde(rename = "p")]
    split: f64,
    #[serde(rename = "pw")]
    split_weight: f64,
    /// Baseline's bad units and units so far, and in the previous interval.
    bad: f64,
    units: f64,
    last: Option<(f64, f64)>,
    /// Candidate's bad units and the number expected at relative risk 1, so far.
    #[serde(rename = "cb")]
    candidate_bad: f64,
    #[serde(rename = "ce")]
    candidate_expected: f64,
}

impl Dispersion {
    /// Dispersion in force for the next interval, at least 1.
    pub(super) fn factor(&self, prior: f64) -> f64 {
        let steps = (TRUST * prior + self.steps) / (TRUST + self.step_count);
        let split = (LOAN * steps + self.split) / (LOAN + self.split_weight);
        let seen = self.step_count + self.split_weight;
        let error = (3.0 / (TRUST + seen)).sqrt();
        let factor = steps.min(split);
        if factor > 1.0 + SLACK * error {
            factor * (1.0 + CAUTION * error)
        } else {
            prior.clamp(1.0, factor.max(1.0))
        }
    }

    /// Learns from an interval: bad units and units of candidate and of baseline.
    pub(super) fn learn(&mut self, candidate: (f64, f64), baseline: (f64, f64)) {
        if baseline.1 <= 0.0 {
            return;
        }
        self.bad += baseline.0;
        self.units += baseline.1;
        let rate = self.bad / self.units;
        if let Some((bad, units)) = self.last.replace(baseline) {
            let variance = rate * (1.0 - rate) * (1.0 / units + 1.0 / baseline.1);
            // Where hardly any failure is expected, a pair says nothing about clusters.
            if variance > 0.0 && rate * units.min(baseline.1) >= 0.5 {
                self.steps += (baseline.0 / baseline.1 - bad / units).powi(2) / variance;
                self.step_count += 1.0;
            }
        }
        self.learn_split(candidate, baseline);
    }

    fn learn_split(&mut self, candidate: (f64, f64), baseline: (f64, f64)) {
        let both = candidate.0 + baseline.0;
        if candidate.1 <= 0.0 || both <= 0.0 {
            return;
        }
        let w = candidate.1 / (candidate.1 + baseline.1);
        // Scatter around the split seen so far, not around equality: a bad candidate is not a scattered one.
        let risk = (self.candidate_bad + 1.0) / (self.candidate_expected + 1.0);
        let theta = (risk * w / (1.0 - w + risk * w)).clamp(1e-9, 1.0 - 1e-9);
        let variance = both * theta * (1.0 - theta);
        let weight = 2.0 * variance / (1.0 + 2.0 * variance);
        self.split += weight * (candidate.0 - both * theta).powi(2) / variance;
        self.split_weight += weight;
        self.candidate_bad += candidate.0;
        self.candidate_expected += baseline.0 * w / (1.0 - w);
    }
}
