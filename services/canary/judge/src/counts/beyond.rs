//! The two tests on counts at one cut of a distribution, in a fifth of the space: no interval, no estimate.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::difference::{Difference, Worth, worth};
use super::dispersion::Dispersion;
use super::ratio::HARM;
use crate::numeric::log_sum_exp;

/// `ln r` of the first risk in [`HARM`], and the step between them.
const STEP: f64 = 0.2;

/// Evidence about the share of units beyond a cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Beyond {
    bad: f64,
    cost: Vec<f64>,
    difference: Difference,
    dispersion: Dispersion,
}

impl Default for Beyond {
    fn default() -> Self {
        Self {
            bad: 0.0,
            cost: vec![0.0; HARM.len()],
            difference: Difference::default(),
            dispersion: Dispersion::default(),
        }
    }
}

fn risks() -> impl Iterator<Item = f64> + Clone {
    (1u8..).map(|k| STEP * f64::from(k))
}

/// `r - 1` of each risk: five cuts would work them out at every interval.
static EXCESS: LazyLock<Vec<f64>> = LazyLock::new(|| risks().take(HARM.len()).map(f64::exp_m1).collect());

/// Logs of the prior's weights, likewise.
static PRIOR: LazyLock<Vec<f64>> = LazyLock::new(|| HARM.iter().map(|weight| weight.ln()).collect());

/// Units of candidate and baseline in an interval, and what follows from their split alone: the same for every cut.
#[derive(Clone, Debug)]
pub(crate) struct Split {
    candidate: f64,
    baseline: f64,
    /// What a unit beyond a cut costs each risk.
    cost: [f64; HARM.len()],
    worth: Worth,
}

impl Split {
    pub(crate) fn new(candidate: f64, baseline: f64) -> Self {
        let w = candidate / (candidate + baseline);
        let mut cost = [0.0; HARM.len()];
        for (excess, cost) in EXCESS.iter().zip(&mut cost) {
            *cost = (w * excess).ln_1p();
        }
        Self {
            candidate,
            baseline,
            cost,
            worth: worth(candidate / baseline),
        }
    }
}

impl Beyond {
    /// One interval: units beyond the cut of candidate and baseline, and the candidate's beyond the cut moved by the margin.
    pub(crate) fn absorb(&mut self, split: &Split, (c, b): (f64, f64), moved: f64) {
        self.add(split, (c, b), moved);
        self.dispersion.learn((c, split.candidate), (b, split.baseline));
    }

    /// The same, of units that are only expected: they teach nothing of how failures cluster.
    pub(crate) fn foreseen(&self, split: &Split, beyond: (f64, f64), moved: f64) -> Self {
        let mut ahead = self.clone();
        ahead.add(split, beyond, moved);
        ahead
    }

    fn add(&mut self, split: &Split, (c, b): (f64, f64), moved: f64) {
        if split.candidate <= 0.0 || split.baseline <= 0.0 {
            return;
        }
        let temper = 1.0 / self.dispersion();
        self.bad += temper * c;
        if c + b > 0.0 {
            for (once, cost) in split.cost.iter().zip(&mut self.cost) {
                *cost += temper * (c + b) * once;
            }
        }
        self.difference
            .add(temper * moved, temper * b, temper * split.candidate, &split.worth);
    }

    pub(crate) fn log_worse(&self) -> f64 {
        let terms = PRIOR.iter().zip(risks().zip(&self.cost));
        log_sum_exp(terms.map(|(prior, (x, cost))| prior + self.bad * x - cost))
    }

    pub(crate) fn log_safe(&self, slack: f64) -> f64 {
        self.difference.log_safe(slack)
    }

    pub(crate) fn dispersion(&self) -> f64 {
        self.dispersion.factor(1.0)
    }
}
