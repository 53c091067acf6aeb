//! Quantiles that can be merged, within 1 % of the value: a histogram whose bounds grow by 2 % (as DDSketch).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Each bucket's upper bound over its lower: values are told to within 1 %.
const GAMMA: f64 = 1.02;
/// The most buckets kept on each side of zero. They span a factor of 25,000; below it the smallest values run together.
const BUCKETS: usize = 512;
/// Smaller than this is zero.
const ZERO: f64 = 1e-9;

/// Counts by size. At most 12 kB; neither order nor grouping shows in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sketch {
    #[serde(rename = "p", skip_serializing_if = "BTreeMap::is_empty")]
    positive: BTreeMap<i32, u64>,
    #[serde(rename = "n", skip_serializing_if = "BTreeMap::is_empty")]
    negative: BTreeMap<i32, u64>,
    #[serde(rename = "z")]
    zeros: u64,
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the logarithm of a double is small"
)]
fn bucket(size: f64) -> i32 {
    (size.ln() / GAMMA.ln()).ceil() as i32
}

/// The value that a bucket stands for: the one that is off by the same share at both of its ends.
fn middle(bucket: i32) -> f64 {
    2.0 * GAMMA.powi(bucket) / (1.0 + GAMMA)
}

/// Runs together what lies far below the largest. Where to is given by the largest alone, so that the order of adding
/// does not show.
fn trim(side: &mut BTreeMap<i32, u64>) {
    let Some(largest) = side.keys().next_back().copied() else {
        return;
    };
    let least = largest - i32::try_from(BUCKETS).unwrap_or(i32::MAX) + 1;
    if side.keys().next().is_none_or(|smallest| *smallest >= least) {
        return;
    }
    let kept = side.split_off(&least);
    let below: u64 = side.values().sum();
    *side = kept;
    *side.entry(least).or_default() += below;
}

impl Sketch {
    /// Adds a value. One that is not finite is left out.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if value.abs() < ZERO {
            self.zeros += 1;
            return;
        }
        let side = if value > 0.0 {
            &mut self.positive
        } else {
            &mut self.negative
        };
        *side.entry(bucket(value.abs())).or_default() += 1;
        trim(side);
    }

    /// Adds all that another has seen.
    pub fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        for (own, theirs) in [
            (&mut self.positive, &other.positive),
            (&mut self.negative, &other.negative),
        ] {
            theirs
                .iter()
                .for_each(|(bucket, count)| *own.entry(*bucket).or_default() += count);
            trim(own);
        }
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.zeros + self.positive.values().sum::<u64>() + self.negative.values().sum::<u64>()
    }

    /// The value at this share of the order, 0..=1; `None` when there is none.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count"
    )]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.count().checked_sub(1)?;
        let rank = (share.clamp(0.0, 1.0) * last as f64).floor() as u64;
        let mut before = 0;
        let below = self
            .negative
            .iter()
            .rev()
            .map(|(at, count)| (-middle(*at), *count));
        let above = self.positive.iter().map(|(at, count)| (middle(*at), *count));
        let mut found = None;
        for (value, count) in below.chain([(0.0, self.zeros)]).chain(above) {
            before += count;
            if before > rank {
                found = Some(value);
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|v| sketch.add(*v));
        sketch
    }

    #[test]
    fn quantiles_are_within_one_per_cent() {
        let values: Vec<f64> = (1..=10_000).map(|n| f64::from(n) / 7.0).collect();
        let sketch = of(&values);
        for share in [0.0, 0.01, 0.5, 0.95, 0.99, 1.0] {
            let exact = (share * 9_999.0_f64).floor() + 1.0;
            assert!(
                (sketch.quantile(share).unwrap() * 7.0 / exact - 1.0).abs() <= 0.0101,
                "{share}"
            );
        }
        assert_eq!(of(&[]).quantile(0.5), None);
        assert_eq!(of(&[-5.0, 0.0, 0.0]).quantile(0.9), Some(0.0));
        assert!((of(&[-5.0, 0.0, 3.0]).quantile(0.0).unwrap() + 5.0).abs() < 0.06);
    }

    proptest! {
        #[test]
        fn neither_order_nor_grouping_shows(mut values in prop::collection::vec((-12_i32..12, 1.0..10.0_f64), 0..200), cut in 0_usize..200) {
            let numbers = |values: &[(i32, f64)]| values.iter().map(|(e, m)| m * 10_f64.powi(*e)).collect::<Vec<_>>();
            let one = of(&numbers(&values));
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = of(&numbers(right));
            merged.merge(&of(&numbers(left)));
            prop_assert_eq!(&merged, &one);
            values.reverse();
            prop_assert_eq!(&of(&numbers(&values)), &one);
            prop_assert!(one.positive.len() <= BUCKETS);
        }
    }
}
