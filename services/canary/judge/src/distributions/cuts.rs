//! Counts beyond fixed cuts, the fast path to a verdict on a distribution.
//!
//! The cuts are quantiles of the baseline's first units, fixed before anything is judged by them. Above each, the share of
//! candidate and baseline is tested like failures are: the test holds while the law swings and the split changes, and one
//! tail that grows is found without waiting for the whole distribution.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use crate::counts::{Beyond, Split};
use crate::numeric::{log_mix, real};

/// Quantiles at which one direction is cut, and their weights.
const QUANTILES: [(f64, f64); 5] = [(0.5, 0.15), (0.75, 0.15), (0.9, 0.25), (0.95, 0.25), (0.99, 0.20)];
/// The same when both directions are watched.
const COARSE: [(f64, f64); 3] = [(0.5, 0.3), (0.9, 0.4), (0.99, 0.3)];
/// Weight of the owner's threshold, when there is one.
const OWNER: f64 = 0.5;
/// Part of a tail by which a candidate may exceed it and still pass.
const SLACK: f64 = 0.25;

/// One cut and its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Cut {
    /// Beyond means above, else at or below.
    above: bool,
    /// The bound, and the bound moved by the margin, both among the histogram's.
    bound: f64,
    moved: f64,
    /// Excess of the tail that is let through, a share of units.
    slack: f64,
    weight: f64,
    evidence: Beyond,
}

/// All cuts of a metric; empty until the baseline has shown enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cuts(Vec<Cut>);

/// What to cut by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) up: bool,
    pub(super) down: bool,
    pub(super) margin: f64,
    pub(super) margin_abs: f64,
    pub(super) threshold: Option<f64>,
}

impl Cuts {
    /// Fixes the cuts by the baseline so far.
    pub(super) fn choose(baseline: &Histogram, plan: &Plan) -> Self {
        let quantiles: &[(f64, f64)] = if plan.up && plan.down { &COARSE } else { &QUANTILES };
        let mut cuts: Vec<Cut> = Vec::new();
        for above in [true, false]
            .into_iter()
            .filter(|above| if *above { plan.up } else { plan.down })
        {
            for (q, weight) in quantiles {
                // The upper edge of the bucket above a cut, the lower edge below it.
                let edges = baseline.quantile(if above { *q } else { 1.0 - q });
                let bound = edges.map(|(low, high)| if above { high } else { low });
                add(&mut cuts, baseline, plan, (above, bound, *weight, 1.0 - q));
            }
            if let Some(threshold) = plan.threshold {
                let at = baseline.bounds().partition_point(|bound| *bound < threshold);
                add(
                    &mut cuts,
                    baseline,
                    plan,
                    (above, baseline.bounds().get(at).copied(), OWNER, 0.0),
                );
            }
        }
        let sum: f64 = cuts.iter().map(|cut| cut.weight).sum();
        cuts.iter_mut().for_each(|cut| cut.weight /= sum);
        Self(cuts)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the histograms of one interval.
    pub(super) fn absorb(&mut self, candidate: &Histogram, baseline: &Histogram) {
        let units = (real(candidate.total()), real(baseline.total()));
        let split = Split::new(units.0, units.1);
        for Cut {
            above,
            bound,
            moved,
            evidence,
            ..
        } in &mut self.0
        {
            // A histogram without the bound cannot say what lies beyond it, and guessing would tilt the two tracks.
            let knows = |histogram: &Histogram, all: f64| {
                let has = |x: &f64| histogram.bounds().binary_search_by(|y| y.total_cmp(x)).is_ok();
                all <= 0.0 || (has(bound) && has(moved))
            };
            if !(knows(candidate, units.0) && knows(baseline, units.1)) {
                continue;
            }
            let beyond = |histogram: &Histogram, x: f64, all: f64| {
                let below = real(histogram.at_or_below(x));
                if *above { all - below } else { below }
            };
            let (c, b) = (
                beyond(candidate, *bound, units.0),
                beyond(baseline, *bound, units.1),
            );
            evidence.absorb(&split, (c, b), beyond(candidate, *moved, units.0));
        }
    }

    /// Log e-value against "nowhere beyond the baseline".
    pub(super) fn log_worse(&self) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        log_mix(self.0.iter().map(|cut| (cut.weight, cut.evidence.log_worse())))
    }

    /// Log e-value against "somewhere beyond the baseline by the margin": the weakest of the cuts.
    pub(super) fn log_safe(&self) -> f64 {
        let weakest = self
            .0
            .iter()
            .map(|cut| cut.evidence.log_safe(cut.slack))
            .fold(f64::INFINITY, f64::min);
        if weakest.is_finite() { weakest } else { 0.0 }
    }

    /// The cuts after so many units more of candidate and baseline, both beyond each bound as the baseline was, the candidate
    /// `risk` times as often.
    pub(super) fn foreseen(&self, baseline: &Histogram, (n, m): (f64, f64), risk: f64) -> Self {
        let all = real(baseline.total());
        let split = Split::new(n, m);
        let ahead = |cut: &Cut| {
            let beyond = |x: f64| {
                let below = real(baseline.at_or_below(x)) / all;
                if cut.above { 1.0 - below } else { below }
            };
            let (share, moved) = (beyond(cut.bound), beyond(cut.moved));
            let worse = |share: f64| n * (share * risk).min(1.0);
            let evidence = cut
                .evidence
                .foreseen(&split, (worse(share), m * share), worse(moved));
            Cut {
                evidence,
                ..cut.clone()
            }
        };
        Self(self.0.iter().map(ahead).collect())
    }

    /// Mean size of clusters in force at the cut where it is greatest.
    pub(super) fn dispersion(&self) -> f64 {
        self.0
            .iter()
            .map(|cut| cut.evidence.dispersion())
            .fold(1.0, f64::max)
    }
}

/// Adds a cut (direction, bound, weight, tail), or its weight to the one already at that bound.
fn add(cuts: &mut Vec<Cut>, baseline: &Histogram, plan: &Plan, cut: (bool, Option<f64>, f64, f64)) {
    let (above, bound, weight, tail) = cut;
    let Some(bound) = bound.filter(|bound| bound.is_finite()) else {
        return;
    };
    if let Some(same) = cuts
        .iter_mut()
        .find(|cut| cut.above == above && cut.bound.total_cmp(&bound).is_eq())
    {
        same.weight += weight;
        return;
    }
    let by = (plan.margin - 1.0) * bound.abs();
    let bounds = baseline.bounds();
    // A bound that is the moved one but for the last digits of its unit is the moved one.
    let hair = 1e-9 * bound.abs();
    // Rounded towards the bound itself, so that coarse buckets make a pass harder and never easier.
    let moved = if above {
        bounds.iter().rev().find(|x| **x <= bound + by + hair)
    } else {
        bounds.iter().find(|x| **x >= bound - by / plan.margin - hair)
    };
    let slack = (SLACK * tail).max(plan.margin_abs);
    let moved = moved.copied().unwrap_or(bound);
    cuts.push(Cut {
        above,
        bound,
        moved,
        slack,
        weight,
        evidence: Beyond::default(),
    });
}
