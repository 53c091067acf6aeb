//! Lane A: a shift of the level, under autocorrelation that nobody tells us.
//!
//! `D_t` is candidate minus baseline in the same interval. Null: `D` is a stationary AR(1) series of mean 0, of any scale and
//! any coefficient `f`. A right-Haar prior on the scale makes the likelihood exactly scale-free:
//! `log m0(f) = 1/2 ln(1 - f^2) - N/2 ln Syy(f)`; a half-normal shift of variance `g sigma^2`, `g = c / (1 - f^2)`, gives
//! `log m1(f, c)` in closed form. Universal inference divides a mixture of `m1` by the *greatest* `m0`: for each `f` the
//! ratio is a martingale, so the quotient is an e-value whatever `f` is.
//! Points before the change, when there are any, enter both likelihoods with a regressor of zero.

use serde::{Deserialize, Serialize};

use crate::numeric::{log_mix, log_student_cdf};

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
struct Moments {
    yy: f64,
    xx: f64,
    xy: f64,
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
        (0..=NULL_POINTS)
            .map(|k| (NULL_START + NULL_STEP * f64::from(k)).min(NULL_LAST))
            .map(|f| 0.5 * (-f * f).ln_1p() - half * self.moments(f, shift).yy.ln())
            .fold(f64::NEG_INFINITY, f64::max)
    }

    /// Likelihoods of a further shift of unknown size beyond `shift`: upwards, and downwards.
    fn log_shifted(&self, shift: f64) -> (f64, f64) {
        let n = f64::from(self.points);
        let (coefficients, sizes): (&[f64], &[(f64, f64)]) = if self.history() > 0 {
            (&COEFFICIENTS_AFTER_HISTORY, &SIZES_AFTER_HISTORY)
        } else {
            (&COEFFICIENTS, &SIZES)
        };
        let even = 1.0 / f64::from(u32::try_from(coefficients.len()).unwrap_or(1));
        let mut up = [(0.0, 0.0); COEFFICIENTS_AFTER_HISTORY.len() * SIZES_AFTER_HISTORY.len()];
        let mut down = up;
        let mut both = up.iter_mut().zip(&mut down);
        for f in coefficients {
            let Moments { yy, xx, xy } = self.moments(*f, shift);
            let norm = 0.5 * (-f * f).ln_1p() + std::f64::consts::LN_2;
            for (c, weight) in sizes {
                let g = c / (1.0 - f * f);
                let q = 1.0 + g * xx;
                let rest = (yy - g * xy * xy / q).max(1e-12 * self.square);
                let t = (g * xy / q) / (rest * g / (n * q)).sqrt();
                let log = norm - 0.5 * q.ln() - 0.5 * n * rest.ln();
                if let Some((up, down)) = both.next() {
                    *up = (even * weight, log + log_student_cdf(t, n));
                    *down = (even * weight, log + log_student_cdf(-t, n));
                }
            }
        }
        (log_mix(up.iter().copied()), log_mix(down.iter().copied()))
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
