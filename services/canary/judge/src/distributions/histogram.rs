//! Mergeable histograms: what a track's requests of an interval looked like, in constant space.

use serde::{Deserialize, Serialize};

/// Why a histogram was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistogramError {
    /// Bounds must be finite and strictly ascending.
    #[error("bounds must be finite and strictly ascending")]
    Bounds,
    /// One count per bound, or one more for what lies above the last bound.
    #[error("expected {expected} counts or one more, got {got}")]
    Counts {
        /// Number of bounds.
        expected: usize,
        /// Number of counts.
        got: usize,
    },
    /// More bounds than are kept.
    #[error("at most {limit} bounds, got {got}")]
    TooMany {
        /// The greatest number of bounds.
        limit: usize,
        /// Number of bounds.
        got: usize,
    },
}

/// Counts of units by value: `counts[k]` of them in `(bounds[k - 1], bounds[k]]`, the last above every bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    bounds: Vec<f64>,
    counts: Vec<u64>,
}

impl Histogram {
    /// Most bounds of one histogram.
    pub const MOST_BOUNDS: usize = 512;

    /// Checks upper bounds and counts per bucket (not cumulative). A missing last count means nothing above the last bound.
    ///
    /// # Errors
    /// [`HistogramError`] says what is wrong.
    pub fn new(bounds: Vec<f64>, mut counts: Vec<u64>) -> Result<Self, HistogramError> {
        let ascending = bounds.windows(2).all(|pair| pair.first() < pair.last());
        if !ascending || bounds.iter().any(|bound| !bound.is_finite()) {
            return Err(HistogramError::Bounds);
        }
        if bounds.len() > Self::MOST_BOUNDS {
            return Err(HistogramError::TooMany {
                limit: Self::MOST_BOUNDS,
                got: bounds.len(),
            });
        }
        if counts.len() == bounds.len() {
            counts.push(0);
        }
        if counts.len() != bounds.len() + 1 {
            return Err(HistogramError::Counts {
                expected: bounds.len(),
                got: counts.len(),
            });
        }
        Ok(Self { bounds, counts })
    }

    /// Upper bounds, ascending.
    #[must_use]
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// All units.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Units at or below a bound; counted exactly when it is one of [`Self::bounds`], else up to the next lower one.
    #[must_use]
    pub fn at_or_below(&self, bound: f64) -> u64 {
        let buckets = self
            .bounds
            .iter()
            .zip(&self.counts)
            .take_while(|(upper, _)| **upper <= bound);
        buckets.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The same units with the bounds that both have: merging is associative, commutative and never invents resolution.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        if self.counts.is_empty() {
            return other.clone();
        }
        if other.counts.is_empty() {
            return self.clone();
        }
        if self.bounds == other.bounds {
            let counts = self
                .counts
                .iter()
                .zip(&other.counts)
                .map(|(a, b)| a.saturating_add(*b))
                .collect();
            return Self {
                bounds: self.bounds.clone(),
                counts,
            };
        }
        let shared = |bound: &&f64| other.bounds.binary_search_by(|x| x.total_cmp(bound)).is_ok();
        let bounds: Vec<f64> = self.bounds.iter().filter(shared).copied().collect();
        let (mine, theirs) = (self.coarsen(&bounds), other.coarsen(&bounds));
        let counts = mine
            .iter()
            .zip(&theirs)
            .map(|(a, b)| a.saturating_add(*b))
            .collect();
        Self { bounds, counts }
    }

    /// Merges in place, thinned: without a new allocation where the other has every bound of this one, as it mostly has.
    pub(super) fn gather(&mut self, other: &Self, limit: usize) {
        if self.counts.is_empty() || !self.within(other) {
            *self = self.merge(&other.thin(limit)).thin(limit);
            return;
        }
        let mut at = 0;
        for (k, count) in other.counts.iter().enumerate() {
            if let Some(sum) = self.counts.get_mut(at) {
                *sum = sum.saturating_add(*count);
            }
            // The bucket ends where this histogram's does.
            if other
                .bounds
                .get(k)
                .is_some_and(|upper| self.bounds.get(at) == Some(upper))
            {
                at += 1;
            }
        }
    }

    /// Whether the other has every bound of this one.
    fn within(&self, other: &Self) -> bool {
        let mut theirs = other.bounds.iter();
        self.bounds
            .iter()
            .all(|bound| theirs.any(|x| x.total_cmp(bound).is_eq()))
    }

    /// Counts by fewer bounds, all of them among this histogram's.
    pub(super) fn coarsen(&self, bounds: &[f64]) -> Vec<u64> {
        let mut counts = vec![0u64; bounds.len() + 1];
        for (k, count) in self.counts.iter().enumerate() {
            let bucket = self
                .bounds
                .get(k)
                .map_or(bounds.len(), |upper| bounds.partition_point(|b| b < upper));
            if let Some(sum) = counts.get_mut(bucket) {
                *sum = sum.saturating_add(*count);
            }
        }
        counts
    }

    /// The same units on at most `limit` bounds, thinned evenly.
    #[must_use]
    pub fn thin(&self, limit: usize) -> Self {
        if self.bounds.len() <= limit {
            return self.clone();
        }
        let kept = |k: usize| (k + 1) * self.bounds.len() / limit.max(1);
        let bounds: Vec<f64> = (0..limit)
            .filter_map(|k| self.bounds.get(kept(k).saturating_sub(1)))
            .copied()
            .collect();
        let counts = self.coarsen(&bounds);
        Self { bounds, counts }
    }

    /// Edges of the bucket that holds the `p`-quantile, `p` within (0, 1]: infinite where the histogram has no edge; none
    /// without units.
    #[must_use]
    pub fn quantile(&self, p: f64) -> Option<(f64, f64)> {
        let total = self.total();
        if total == 0 || p.is_nan() {
            return None;
        }
        let wanted = p.clamp(0.0, 1.0) * crate::numeric::real(total);
        let mut below = 0u64;
        let at = self.counts.iter().position(|count| {
            below = below.saturating_add(*count);
            crate::numeric::real(below) >= wanted && below > 0
        })?;
        let lower = at
            .checked_sub(1)
            .and_then(|k| self.bounds.get(k))
            .copied()
            .unwrap_or(f64::NEG_INFINITY);
        Some((lower, self.bounds.get(at).copied().unwrap_or(f64::INFINITY)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_cannot_be_a_histogram() {
        assert_eq!(
            Histogram::new(vec![2.0, 1.0], vec![1, 1]),
            Err(HistogramError::Bounds)
        );
        assert_eq!(
            Histogram::new(vec![f64::NAN], vec![1]),
            Err(HistogramError::Bounds)
        );
        let counts = HistogramError::Counts { expected: 1, got: 3 };
        assert_eq!(Histogram::new(vec![1.0], vec![1, 1, 1]), Err(counts));
        assert_eq!(counts.to_string(), "expected 1 counts or one more, got 3");
    }

    #[test]
    fn quantiles_are_edges_of_buckets() {
        let histogram = Histogram::new(vec![1.0, 2.0, 4.0], vec![50, 30, 10, 10]).expect("valid");
        assert_eq!(histogram.quantile(0.5), Some((f64::NEG_INFINITY, 1.0)));
        assert_eq!(histogram.quantile(0.9), Some((2.0, 4.0)));
        assert_eq!(histogram.quantile(0.99), Some((4.0, f64::INFINITY)));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn gathering_is_merging() {
        let fine = Histogram::new(vec![1.0, 2.0, 4.0], vec![1, 2, 3, 4]).expect("valid");
        let coarse = Histogram::new(vec![2.0], vec![5, 6]).expect("valid");
        for (mut a, b) in [
            (coarse.clone(), fine.clone()),
            (fine.clone(), coarse),
            (Histogram::default(), fine),
        ] {
            let merged = a.merge(&b);
            a.gather(&b, 8);
            assert_eq!(a, merged);
        }
    }

    fn any_histogram() -> impl Strategy<Value = Histogram> {
        (
            prop::collection::btree_set(0i32..12, 0..8),
            prop::collection::vec(0u64..50, 9),
        )
            .prop_map(|(bounds, counts)| {
                let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
                let counts = counts.into_iter().take(bounds.len() + 1).collect();
                Histogram::new(bounds, counts).unwrap_or_default()
            })
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_commutative(a in any_histogram(), b in any_histogram(), c in any_histogram()) {
            prop_assert_eq!(a.merge(&b).merge(&c), a.merge(&b.merge(&c)));
            prop_assert_eq!(a.merge(&b), b.merge(&a));
            prop_assert_eq!(a.merge(&b).total(), a.total() + b.total());
        }
    }
}
