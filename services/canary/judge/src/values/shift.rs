//! Lane A: a shift of the level, under autocorrelation that nobody tells us.
//!
//! `D_t` is candidate minus baseline in the same interval. Null: `D` is a stationary AR(1) series of mean 0, of any scale and
//! any coefficient `f`. A right-Haar prior on the scale makes the likelihood exactly scale-free:
//! `log m0(f) = 1/2 ln(1 - f^2) - N/2 ln Syy(f)`; a half-normal shift of variance `g sigma^2`, `g = c / (1 - f^2)`, gives
//! `log m1(f, c)` in closed form. Universal inference divides a mixture of `m1` by the *greatest* `m0`: for each `f` the
//! ratio is a martingale, so the quotient is an e-value whatever `f` is.
//! Points before the change, when there are any, enter both likelihoods with a regressor of zero.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::numeric::{greatest_likelihood, log_mix, log_student_sides, log_sum_exp};

/// Coefficients in the denominator: -0.3 to 0.98. A cap at 0.9 would leak under slower series.
const NULL_START: f64 = -0.3;
const NULL_STEP: f64 = 0.025;
const NULL_POINTS: u32 = 52;
const NULL_LAST: f64 = 0.98;

/// Coefficients in the numerator, equal weights.
const COEFFICIENTS: [f64; 4] = [0.0, 0.3, 0.6, 0.85];
/// The same with points before the change: a coarse grid would lose as many nats as there is history.
const COEFFICIENTS_AFTER_HISTORY: [f64; 12] = [-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94];
/// Size of the shift against the noise, and weight, without points before the change. The last is for offsets next to no noise.
const SIZES: [(f64, f64); 4] = [(0.3, 0.3), (1.5, 0.3), (8.0, 0.3), (1000.0, 0.1)];
/// The same with points before the change, where the last would leak under heavy tails.
const SIZES_AFTER_HISTORY: [(f64, f64); 3] = [(0.3, 0.3), (1.5, 0.35), (8.0, 0.35)];

/// One coefficient of the numerator: itself, its part of the likelihood, and for each size of the shift its variance and the
/// log of its weight.
pub(super) struct Bet {
    pub(super) f: f64,
    pub(super) norm: f64,
    sizes: Vec<(f64, f64)>,
}

impl Bet {
    /// On noise of this variance in the unit of the likelihood, whose part `norm` is.
    pub(super) fn of(variance: f64, norm: f64) -> Self {
        let sizes = SIZES_AFTER_HISTORY.iter();
        Self {
            f: 0.0,
            norm: norm + std::f64::consts::LN_2,
            sizes: sizes.map(|(c, weight)| (c * variance, weight.ln())).collect(),
        }
    }

    /// For each size, by its weight and on top of `norm`: the log likelihood of a shift either way, and the logs of its parts
    /// upwards and downwards. `n` degrees of freedom; a sum of squares below `least` is rounding.
    pub(super) fn each(
        &self,
        norm: f64,
        moments: &Moments,
        (n, least): (f64, f64),
        mut told: impl FnMut(f64, f64, f64),
    ) {
        let Moments { yy, xx, xy } = moments;
        for (g, weight) in &self.sizes {
            let q = 1.0 + g * xx;
            let rest = (yy - g * xy * xy / q).max(least);
            let t = (g * xy / q) / (rest * g / (n * q)).sqrt();
            let log = weight + norm - 0.5 * q.ln() - 0.5 * n * rest.ln();
            let (above, below) = log_student_sides(t, n);
            told(log, above, below);
        }
    }
}

const MOST_BETS: usize = COEFFICIENTS_AFTER_HISTORY.len() * SIZES_AFTER_HISTORY.len();

/// The bets, worked out once: an update would do it anew a hundred thousand times a second.
static BETS: LazyLock<Vec<Bet>> = LazyLock::new(|| bets(&COEFFICIENTS, &SIZES));
pub(super) static BETS_AFTER_HISTORY: LazyLock<Vec<Bet>> =
    LazyLock::new(|| bets(&COEFFICIENTS_AFTER_HISTORY, &SIZES_AFTER_HISTORY));
/// Coefficients in the denominator, and their part of the likelihood.
pub(super) static NULLS: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    let coefficient = |k: u32| (NULL_START + NULL_STEP * f64::from(k)).min(NULL_LAST);
    let all = (0..=NULL_POINTS).map(coefficient);
    all.map(|f| (f, 0.5 * (-f * f).ln_1p())).collect()
});

fn bets(coefficients: &[f64], sizes: &[(f64, f64)]) -> Vec<Bet> {
    let even = 1.0 / f64::from(u32::try_from(coefficients.len()).unwrap_or(1));
    let bet = |f: &f64| Bet {
        f: *f,
        norm: 0.5 * (-f * f).ln_1p() + std::f64::consts::LN_2,
        sizes: sizes
            .iter()
            .map(|(c, weight)| (c / (1.0 - f * f), (even * weight).ln()))
            .collect(),
    };
    coefficients.iter().map(bet).collect()
}

/// Running sums from which every likelihood is computed; no history is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Shift {
    /// Points, and points after the change.
    points: u32,
    changed: u32,
    /// Sum of squares, of products of neighbours, of squares without the first and the last.
    square: f64,
    product: f64,
    inner: f64,
    first: f64,
    last: f64,
    /// After the change: sum of all, the first of them, and the point before it.
    sum: f64,
    first_changed: f64,
    before_changed: f64,
}

/// Sums of squares and products of residuals at one coefficient.
pub(super) struct Moments {
    pub(super) yy: f64,
    pub(super) xx: f64,
    pub(super) xy: f64,
}

impl Shift {
    /// Adds a difference; `changed` says that it lies after the change.
    pub(super) fn absorb(&mut self, d: f64, changed: bool) {
        self.square += d * d;
        if self.points == 0 {
            self.first = d;
        } else {
            self.product += d * self.last;
            if self.points > 1 {
                self.inner += self.last * self.last;
            }
        }
        if changed {
            if self.changed == 0 {
                self.first_changed = d;
                self.before_changed = self.last;
            }
            self.sum += d;
            self.changed = self.changed.saturating_add(1);
        }
        self.last = d;
        self.points = self.points.saturating_add(1);
    }

    /// Points after the change.
    pub(super) const fn changed(&self) -> u32 {
        self.changed
    }

    /// Points before the change.
    pub(super) const fn history(&self) -> u32 {
        self.points - self.changed
    }

    /// Mean difference after the change.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.changed > 0).then(|| self.sum / f64::from(self.changed))
    }

    /// Root mean square of all differences.
    pub(super) fn size(&self) -> f64 {
        (self.square / f64::from(self.points.max(1))).sqrt()
    }

    /// The sums after `more` differences of this mean, which scatter and resemble each other as those so far did.
    pub(super) fn foreseen(&self, more: u32, mean: f64) -> Self {
        let (points, changed) = (f64::from(self.points), f64::from(self.changed));
        let level = self.mean().unwrap_or(0.0).powi(2);
        let scatter = ((self.square - changed * level) / points.max(1.0)).max(0.0);
        let pairs = (self.product - (changed - 1.0).max(0.0) * level) / (points - 1.0).max(1.0);
        let more_square = f64::from(more) * (mean * mean + scatter);
        let square = self.square + more_square;
        Self {
            points: self.points.saturating_add(more),
            changed: self.changed.saturating_add(more),
            square,
            product: self.product + f64::from(more) * (mean * mean + pairs.clamp(-scatter, scatter)),
            inner: (square - self.first * self.first - mean * mean).max(0.0),
            last: mean,
            sum: self.sum + f64::from(more) * mean,
            ..self.clone()
        }
    }

    /// Moments of the residuals at coefficient `f` after taking out a shift.
    fn moments(&self, f: f64, shift: f64) -> Moments {
        let n = f64::from(self.changed);
        let yy = self.square - 2.0 * f * self.product + f * f * self.inner;
        let steps = (1.0 - f) * ((self.sum - self.first_changed) - f * (self.sum - self.last));
        let (start, first) = if self.history() > 0 {
            (1.0, self.first_changed - f * self.before_changed)
        } else {
            (1.0 - f * f, (1.0 - f * f) * self.first_changed)
        };
        let xx = start + (n - 1.0) * (1.0 - f) * (1.0 - f);
        let xy = first + steps;
        Moments {
            yy: (yy - 2.0 * shift * xy + shift * shift * xx).max(1e-12 * self.square),
            xx,
            xy: xy - shift * xx,
        }
    }

    /// Greatest null likelihood over the coefficients.
    pub(super) fn log_null(&self, shift: f64) -> f64 {
        let half = 0.5 * f64::from(self.points);
        greatest_likelihood(
            half,
            NULLS.iter().map(|(f, norm)| (*norm, self.moments(*f, shift).yy)),
        )
    }

    /// Likelihoods of a further shift of unknown size beyond `shift`: upwards, and downwards.
    fn log_shifted(&self, shift: f64) -> (f64, f64) {
        let n = f64::from(self.points);
        let bets: &[Bet] = if self.history() > 0 {
            &BETS_AFTER_HISTORY
        } else {
            &BETS
        };
        let mut up = [f64::NEG_INFINITY; MOST_BETS];
        let mut down = up;
        let mut both = up.iter_mut().zip(&mut down);
        for bet in bets {
            let moments = self.moments(bet.f, shift);
            bet.each(
                bet.norm,
                &moments,
                (n, 1e-12 * self.square),
                |log, above, below| {
                    if let Some((up, down)) = both.next() {
                        (*up, *down) = (log + above, log + below);
                    }
                },
            );
        }
        (log_sum_exp(up.into_iter()), log_sum_exp(down.into_iter()))
    }

    /// Log e-value against "the level is exactly `shift`", either way.
    pub(super) fn log_e_either(&self, shift: f64) -> f64 {
        let (up, down) = self.log_shifted(shift);
        log_mix([(0.5, up), (0.5, down)].into_iter()) - self.log_null(shift)
    }

    /// Log e-values against "no level above zero" and "no level below zero", with a further null likelihood to beat (minus
    /// infinity for none).
    pub(super) fn log_e(&self, other_null: f64) -> (f64, f64) {
        if self.changed == 0 || self.square <= 0.0 {
            return (0.0, 0.0);
        }
        let (up, down) = self.log_shifted(0.0);
        let null = self.log_null(0.0).max(other_null);
        (up - null, down - null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_oracle() {
        let oracle = crate::oracle();
        for row in oracle["shift"].as_array().expect("rows") {
            let (mut up, mut down) = (Shift::default(), Shift::default());
            for d in row["d"]
                .as_array()
                .expect("values")
                .iter()
                .filter_map(|d| d.as_f64())
            {
                up.absorb(d, true);
                down.absorb(-d, true);
            }
            let expected = row["log_up"].as_f64().expect("number");
            let said = up.log_e(f64::NEG_INFINITY).0;
            // The oracle integrates; Wallace's approximation is what differs.
            assert!((said - expected).abs() < 5e-3, "{said} {expected}");
            assert!((said - down.log_e(f64::NEG_INFINITY).1).abs() < 1e-9);
        }
    }

    #[test]
    fn taking_out_the_shift_itself_leaves_no_evidence_of_it() {
        let mut shift = Shift::default();
        for k in 0..40u8 {
            shift.absorb(f64::from(k % 5), true);
        }
        assert!(shift.log_e(f64::NEG_INFINITY).0 > 3.0);
        assert!(shift.log_e_either(2.0) < 0.0);
    }
}
