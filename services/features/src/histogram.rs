//! Latency histograms of many instances, as one.

use serde::{Deserialize, Serialize};

/// How many bounds are kept; a finer histogram is made coarser.
const BOUNDS: usize = 32;

/// Counts up to each bound; what lies above the last is counted at the last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// Ascending.
    #[serde(rename = "b")]
    bounds: Vec<f64>,
    #[serde(rename = "c")]
    counts: Vec<u64>,
}

impl Histogram {
    /// From a checked one, whose counts are one more than its bounds.
    #[must_use]
    pub fn new(bounds: &[f64], counts: &[u64]) -> Self {
        let every = bounds.len().div_ceil(BOUNDS).max(1);
        let kept = bounds
            .iter()
            .enumerate()
            .filter(|(at, _)| (at + 1) % every == 0 || at + 1 == bounds.len());
        let bounds_kept: Vec<f64> = kept.map(|(_, bound)| *bound).collect();
        let mut histogram = Self {
            counts: vec![0; bounds_kept.len()],
            bounds: bounds_kept,
        };
        let last = bounds.last().copied().unwrap_or(0.0);
        for (at, count) in counts.iter().enumerate() {
            histogram.put(bounds.get(at).copied().unwrap_or(last), *count);
        }
        histogram
    }

    /// Adds another; where bounds differ a count moves up to the next bound, so that nothing looks faster than it was.
    pub fn add(&mut self, other: &Self) {
        for (bound, count) in other.bounds.iter().zip(&other.counts) {
            self.put(*bound, *count);
        }
    }

    fn put(&mut self, bound: f64, count: u64) {
        let place = self
            .bounds
            .partition_point(|own| *own < bound)
            .min(self.bounds.len().saturating_sub(1));
        if let Some(slot) = self.counts.get_mut(place) {
            *slot = slot.saturating_add(count);
        }
    }

    /// How many values it holds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The value below which this share lies, linear between bounds; 0 when empty.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = self.total() as f64 * share;
        let (mut below, mut from) = (0.0, 0.0);
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            let count = *count as f64;
            if count > 0.0 && below + count >= wanted {
                return from + (bound - from) * ((wanted - below) / count).clamp(0.0, 1.0);
            }
            (below, from) = (below + count, *bound);
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_linear_between_bounds() {
        let histogram = Histogram::new(&[10.0, 20.0, 40.0], &[50, 40, 10, 0]);
        assert!((histogram.quantile(0.5) - 10.0).abs() < 1e-9);
        assert!((histogram.quantile(0.95) - 30.0).abs() < 1e-9);
        assert_eq!(Histogram::new(&[10.0], &[0, 5]).quantile(0.95), 9.5);
        assert_eq!(Histogram::default().quantile(0.95), 0.0);
    }

    #[test]
    fn others_add_up_and_are_never_faster() {
        let mut histogram = Histogram::new(&[10.0, 20.0], &[1, 1, 1]);
        histogram.add(&Histogram::new(&[5.0, 15.0, 100.0], &[1, 1, 1, 0]));
        assert_eq!((histogram.counts.clone(), histogram.total()), (vec![2, 4], 6));
    }

    #[test]
    fn a_fine_one_is_made_coarser() {
        let bounds: Vec<f64> = (1..=1_000).map(f64::from).collect();
        let histogram = Histogram::new(&bounds, &vec![1; 1_001]);
        assert!(histogram.bounds.len() <= BOUNDS + 1);
        assert_eq!(histogram.total(), 1_001);
        assert!((histogram.quantile(0.95) - 950.0).abs() < 35.0);
    }
}
