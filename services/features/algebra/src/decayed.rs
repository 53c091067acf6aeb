//! A mean that forgets: each sample's weight halves with each half-life of its age (EWMA over irregular samples).

use serde::{Deserialize, Serialize};

/// Sums of weights and of weighted samples, as of the newest of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decayed {
    #[serde(rename = "w")]
    weight: f64,
    #[serde(rename = "s")]
    sum: f64,
    #[serde(rename = "t")]
    at: i64,
}

#[allow(clippy::cast_precision_loss, reason = "spans of time in milliseconds")]
fn share(from: i64, to: i64, half_life: i64) -> f64 {
    (-(to.saturating_sub(from) as f64) / half_life.max(1) as f64).exp2()
}

impl Decayed {
    /// One sample, taken at this time.
    #[must_use]
    pub fn of(at: i64, sample: f64) -> Self {
        let (weight, sum) = if sample.is_finite() {
            (1.0, sample)
        } else {
            (0.0, 0.0)
        };
        Self { weight, sum, at }
    }

    /// Adds what another has seen; both must have this half-life, in milliseconds.
    pub fn merge(&mut self, other: &Self, half_life: i64) {
        if other.weight <= 0.0 {
            return;
        }
        if self.weight <= 0.0 {
            *self = *other;
            return;
        }
        let (mut newer, older) = if self.at >= other.at {
            (*self, other)
        } else {
            (*other, &*self)
        };
        let share = share(older.at, newer.at, half_life);
        newer.weight += older.weight * share;
        newer.sum += older.sum * share;
        *self = newer;
    }

    /// The mean; `None` before the first sample.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_life_halves_and_order_does_not_show() {
        let samples = [(0, 0.0), (1_000, 3.0), (2_000, 6.0)];
        let of = |samples: &[(i64, f64)]| {
            samples.iter().fold(Decayed::default(), |mut all, (at, sample)| {
                all.merge(&Decayed::of(*at, *sample), 1_000);
                all
            })
        };
        let mean = of(&samples).mean().unwrap();
        assert!((mean - (6.0 + 1.5) / 1.75).abs() < 1e-12);
        let other = of(&[samples[2], samples[0], samples[1]]).mean().unwrap();
        assert!((mean - other).abs() < 1e-12);
        assert_eq!(Decayed::default().mean(), None);
    }
}
