//! Mean and variance that can be merged: Welford's update, Chan's merge. Sums of squares would cancel.

use serde::{Deserialize, Serialize};

/// Count, mean and sum of squared deviations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moments {
    #[serde(rename = "n")]
    count: u64,
    #[serde(rename = "m")]
    mean: f64,
    #[serde(rename = "s")]
    squares: f64,
}

#[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Moments {
    /// Adds a sample. One that is not finite is left out.
    pub fn add(&mut self, sample: f64) {
        if !sample.is_finite() {
            return;
        }
        self.count += 1;
        let off = sample - self.mean;
        self.mean += off / float(self.count);
        self.squares += off * (sample - self.mean);
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (own, theirs) = (float(self.count), float(other.count));
        let all = own + theirs;
        let off = other.mean - self.mean;
        self.mean += off * theirs / all;
        self.squares += other.squares + off * off * own * theirs / all;
        self.count += other.count;
    }

    /// The variance of the sample (divided by n - 1); `None` below two samples.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        (self.count >= 2).then(|| (self.squares / float(self.count - 1)).max(0.0))
    }

    /// The mean; `None` before the first sample.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// How many samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn large_offsets_do_not_cancel() {
        let mut moments = Moments::default();
        for n in [4.0, 7.0, 13.0, 16.0] {
            moments.add(1e9 + n);
        }
        assert!((moments.variance().unwrap() - 30.0).abs() < 1e-6);
        assert_eq!(Moments::default().variance(), None);
    }

    proptest! {
        #[test]
        fn merged_equals_added(left in prop::collection::vec(-1e6..1e6_f64, 0..40), right in prop::collection::vec(-1e6..1e6_f64, 0..40)) {
            let of = |samples: &[f64]| samples.iter().fold(Moments::default(), |mut m, x| { m.add(*x); m });
            let mut merged = of(&right);
            merged.merge(&of(&left));
            let all = of(&[left, right].concat());
            prop_assert_eq!(merged.count(), all.count());
            let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * (1.0 + a.abs()),
                (a, b) => a == b,
            };
            prop_assert!(close(merged.mean(), all.mean()) && close(merged.variance(), all.variance()));
        }
    }
}
