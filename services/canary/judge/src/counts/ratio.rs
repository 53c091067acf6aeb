//! Likelihood of the relative risk, kept on a grid, exact in the split of every interval.
//!
//! Given one bad event in an interval whose candidate share of units is `w`, under relative risk `r` it fell on the
//! candidate with probability `r w / (1 - w + r w)`, so
//! `log LR(r) = sum_s [ c_s ln r - (c_s + b_s) ln(1 - w_s + r w_s) ] = C ln r - G(r)` (Lindon and Malek, NeurIPS 2022).
//! `w_s` is known before the interval's outcomes are, hence any mixture over `r` stays a martingale under a ramp, and
//! what swings both tracks by the same factor cancels. `G` and its slope in `ln r` are kept on a fixed grid: a cubic
//! through both gives any other `r` (for the interval by inversion) to about 1e-5.

use serde::{Deserialize, Serialize};

use crate::numeric::log_mix;

/// Grid of `ln r`: from `START` in steps of `STEP`, i.e. r from 0.061 to 66.7, with r = 1 at index `UNITY`.
const START: f64 = -2.8;
const STEP: f64 = 0.2;
const POINTS: u32 = 36;
const UNITY: usize = 14;

/// Prior over the relative risk of a bad candidate, from index `UNITY + 1` (r = 1.22) upwards.
///
/// Heavier near 2, where the delay costs most users, than a flat prior; the tail to 60 costs little because a large
/// effect is found in seconds anyway.
pub(super) const HARM: [f64; 14] = [
    0.05, 0.09, 0.12, 0.12, 0.11, 0.09, 0.09, 0.09, 0.08, 0.07, 0.04, 0.03, 0.01, 0.01,
];

/// Prior over the relative risk of a good candidate for the test against the margin: (index on the grid, weight).
/// Half of it sits at "equal", which is what healthy means; `r = 0` carries the rest of the tenth missing here.
const HEALTH: [(usize, f64); 6] = [
    (14, 0.55),
    (13, 0.15),
    (12, 0.05),
    (10, 0.07),
    (6, 0.05),
    (0, 0.03),
];
/// Prior weight of a candidate without any failure.
const FLAWLESS: f64 = 0.10;

/// Running likelihood of the relative risk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratio {
    /// Bad units of the candidate, tempered.
    bad: f64,
    /// Bad units of both tracks, tempered.
    total: f64,
    /// Candidate share summed over bad units: the share that an average bad unit met.
    share: f64,
    /// `G` on the grid.
    value: Vec<f64>,
    /// `dG / d ln r` on the grid.
    slope: Vec<f64>,
    /// `G` at r = 0.
    at_zero: f64,
    /// `G` at the margin.
    at_margin: f64,
}

impl Default for Ratio {
    fn default() -> Self {
        let points = vec![0.0; POINTS as usize];
        Self {
            bad: 0.0,
            total: 0.0,
            share: 0.0,
            value: points.clone(),
            slope: points,
            at_zero: 0.0,
            at_margin: 0.0,
        }
    }
}

fn grid() -> impl Iterator<Item = f64> + Clone {
    (0..POINTS).map(|k| START + STEP * f64::from(k))
}

impl Ratio {
    /// One interval: bad units of the candidate and of the baseline (tempered) at share `w` within (0, 1).
    pub(super) fn absorb(&mut self, candidate: f64, baseline: f64, w: f64, margin: f64) {
        let both = candidate + baseline;
        if both <= 0.0 {
            return;
        }
        self.bad += candidate;
        self.total += both;
        self.share += both * w;
        self.at_zero += both * (-w).ln_1p();
        self.at_margin += both * (w * (margin - 1.0)).ln_1p();
        for ((x, value), slope) in grid().zip(&mut self.value).zip(&mut self.slope) {
            let odds = w * x.exp();
            let norm = 1.0 - w + odds;
            *value += both * norm.ln();
            *slope += both * odds / norm;
        }
    }

    /// `log LR` of the grid point `k` against r = 1.
    fn at(&self, k: usize) -> f64 {
        let ln_r = START + STEP * f64::from(u32::try_from(k).unwrap_or(u32::MAX));
        self.value
            .get(k)
            .map_or(f64::NEG_INFINITY, |value| self.bad * ln_r - value)
    }

    /// `log LR` of r = 0, impossible once the candidate has failed.
    fn at_zero(&self) -> f64 {
        if self.bad > 0.0 {
            f64::NEG_INFINITY
        } else {
            -self.at_zero
        }
    }

    /// Log of the e-value against "relative risk at most 1".
    pub(super) fn log_worse(&self) -> f64 {
        log_mix(
            HARM.iter()
                .enumerate()
                .map(|(j, weight)| (*weight, self.at(UNITY + 1 + j))),
        )
    }

    /// Log of the e-value against "relative risk at least `margin`".
    pub(super) fn log_safe(&self, margin: f64) -> f64 {
        let null = self.bad * margin.ln() - self.at_margin;
        let usable = HEALTH
            .iter()
            .filter(|(k, _)| START + STEP * real_index(*k) < margin.ln());
        let spread = usable.map(|(k, weight)| (*weight, self.at(*k)));
        log_mix(spread.chain(std::iter::once((FLAWLESS, self.at_zero())))) - null
    }

    /// `log LR` at any `ln r`, by the cubic through values and slopes.
    fn likelihood(&self, ln_r: f64) -> f64 {
        let last = START + STEP * f64::from(POINTS - 1);
        let x = ln_r.clamp(START, last);
        let position = ((x - START) / STEP).floor().clamp(0.0, f64::from(POINTS - 2));
        let k = to_index(position);
        let (Some(v0), Some(v1)) = (self.value.get(k), self.value.get(k + 1)) else {
            return f64::NEG_INFINITY;
        };
        let (Some(s0), Some(s1)) = (self.slope.get(k), self.slope.get(k + 1)) else {
            return f64::NEG_INFINITY;
        };
        let t = (x - START) / STEP - position;
        let (t2, t3) = (t * t, t * t * t);
        let inner = (2.0 * t3 - 3.0 * t2 + 1.0) * v0
            + (t3 - 2.0 * t2 + t) * STEP * s0
            + (3.0 * t2 - 2.0 * t3) * v1
            + (t3 - t2) * STEP * s1;
        // Beyond the grid the mean share of the failures stands in for each interval's own.
        let w = if self.total > 0.0 {
            self.share / self.total
        } else {
            0.5
        };
        let one_share = |ln_r: f64| (w * ln_r.exp_m1()).ln_1p();
        self.bad * ln_r - inner - self.total * (one_share(ln_r) - one_share(x))
    }

    /// Most likely relative risk. With an empty cell, half an event is added to each track so that it is finite.
    pub(super) fn estimate(&self) -> Option<f64> {
        if self.total <= 0.0 {
            return None;
        }
        let empty = self.bad <= 0.0 || self.bad >= self.total;
        let (half, w) = (if empty { 0.5 } else { 0.0 }, self.share / self.total);
        let score = |ln_r: f64| {
            let added = half * ln_r - 2.0 * half * (w * ln_r.exp_m1()).ln_1p();
            self.likelihood(ln_r) + added
        };
        // The log likelihood is concave in ln r: walk uphill by golden section.
        let (mut low, mut high) = (-12.0, 12.0);
        for _ in 0..80 {
            let (a, b) = (high - 0.618_034 * (high - low), low + 0.618_034 * (high - low));
            if score(a) < score(b) {
                low = a;
            } else {
                high = b;
            }
        }
        Some((0.5 * (low + high)).exp())
    }

    /// Relative risks not yet refuted at `level` by a flat mixture over the grid: valid at every look at once.
    pub(super) fn interval(&self, level: f64) -> (f64, f64) {
        let Some(estimate) = self.estimate() else {
            return (0.0, f64::INFINITY);
        };
        let flat = 1.0 / f64::from(POINTS + 1);
        let mixture = log_mix(
            (0..POINTS as usize)
                .map(|k| (flat, self.at(k)))
                .chain(std::iter::once((flat, self.at_zero()))),
        );
        let inside = |ln_r: f64| mixture - self.likelihood(ln_r) < -level.ln();
        let centre = estimate.ln();
        if !inside(centre) {
            return (0.0, f64::INFINITY);
        }
        let low = crate::numeric::bisect(44, centre, -12.0, inside);
        let high = crate::numeric::bisect(44, centre, 12.0, inside);
        let open = |x: f64| x.abs() > 11.999;
        (
            if open(low) { 0.0 } else { low.exp() },
            if open(high) { f64::INFINITY } else { high.exp() },
        )
    }
}

fn real_index(k: usize) -> f64 {
    f64::from(u32::try_from(k).unwrap_or(u32::MAX))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the grid by the caller"
)]
fn to_index(position: f64) -> usize {
    position as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cubic_agrees_with_the_formula_between_grid_points() {
        let mut ratio = Ratio::default();
        for (c, b, w) in [(30.0, 400.0, 0.05), (40.0, 90.0, 0.25), (3.0, 2.0, 0.5)] {
            ratio.absorb(c, b, w, 1.25);
        }
        for r in [0.3f64, 0.91, 1.13, 2.4, 17.3] {
            let exact: f64 = [(30.0, 400.0, 0.05), (40.0, 90.0, 0.25), (3.0, 2.0, 0.5f64)]
                .iter()
                .map(|(c, b, w)| c * r.ln() - (c + b) * (1.0 - w + r * w).ln())
                .sum();
            assert!(
                (ratio.likelihood(r.ln()) - exact).abs() < 2e-3,
                "{r}: {} {exact}",
                ratio.likelihood(r.ln())
            );
        }
    }

    #[test]
    fn priors_have_mass_one() {
        assert!((HARM.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((HEALTH.iter().map(|(_, w)| w).sum::<f64>() + FLAWLESS - 1.0).abs() < 1e-12);
    }
}
