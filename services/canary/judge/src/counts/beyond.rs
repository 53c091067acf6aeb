//! The two tests on counts at one cut of a distribution, in a fifth of the space: no interval, no estimate.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::difference::Difference;
use super::dispersion::Dispersion;
use super::ratio::HARM;
use crate::numeric::log_mix;

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

impl Beyond {
    /// One interval: (units beyond, units) of candidate and baseline, and the candidate's units beyond the cut moved by the
    /// margin.
    pub(crate) fn absorb(&mut self, candidate: (f64, f64), baseline: (f64, f64), moved: f64) {
        let ((c, n), (b, m)) = (candidate, baseline);
        if n > 0.0 && m > 0.0 {
            let temper = 1.0 / self.dispersion();
            let w = n / (n + m);
            self.bad += temper * c;
            if c + b > 0.0 {
                for (excess, cost) in EXCESS.iter().zip(&mut self.cost) {
                    *cost += temper * (c + b) * (w * excess).ln_1p();
                }
            }
            self.difference
                .absorb(temper * moved, temper * b, temper * n, n / m);
        }
        self.dispersion.learn(candidate, baseline);
    }

    pub(crate) fn log_worse(&self) -> f64 {
        log_mix(
            HARM.iter()
                .zip(risks().zip(&self.cost))
                .map(|(weight, (x, cost))| (*weight, self.bad * x - cost)),
        )
    }

    pub(crate) fn log_safe(&self, slack: f64) -> f64 {
        self.difference.log_safe(slack)
    }

    pub(crate) fn dispersion(&self) -> f64 {
        self.dispersion.factor(1.0)
    }
}
