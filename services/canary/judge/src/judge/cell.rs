//! The samples of one metric in an open interval, by track.

use crate::distributions::Histogram;
use crate::rows::{Sample, Track};

/// Whatever was measured in the interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    candidate: Vec<Sample>,
    baseline: Vec<Sample>,
}

impl Cell {
    /// Adds a sample. Whether it differs from the first of its track: an interval of several samples comes in parts.
    pub(super) fn add(&mut self, track: Track, sample: &Sample) -> bool {
        let side = match track {
            Track::Candidate => &mut self.candidate,
            Track::Baseline => &mut self.baseline,
        };
        let differs = side.first().is_some_and(|first| first != sample);
        side.push(sample.clone());
        differs
    }

    /// Leaves out what repeats the only sample of a track that does not come in parts, and says how often.
    pub(super) fn settle(&mut self, parts: Tracks) -> u64 {
        let mut dropped = 0;
        for (side, parts) in [
            (&mut self.candidate, parts.candidate),
            (&mut self.baseline, parts.baseline),
        ] {
            if !parts && side.len() > 1 {
                dropped += side.len() as u64 - 1;
                side.truncate(1);
            }
        }
        dropped
    }

    /// Whether one of the tracks has no sample.
    pub(super) const fn is_alone(&self) -> bool {
        self.candidate.is_empty() || self.baseline.is_empty()
    }

    /// Bad units and units of candidate and baseline.
    pub(super) fn counts(&self) -> ((u64, u64), (u64, u64)) {
        (sum(&self.candidate), sum(&self.baseline))
    }

    /// Means of candidate and baseline.
    pub(super) fn means(&self) -> (Option<f64>, Option<f64>) {
        (mean(&self.candidate), mean(&self.baseline))
    }

    /// Merged histograms of candidate and baseline.
    pub(super) fn histograms(&self) -> (Histogram, Histogram) {
        (merge(&self.candidate), merge(&self.baseline))
    }
}

/// Something that holds of each track, or does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tracks {
    pub(super) candidate: bool,
    pub(super) baseline: bool,
}

impl Tracks {
    /// From now on it holds of this track.
    pub(super) const fn set(&mut self, track: Track) {
        match track {
            Track::Candidate => self.candidate = true,
            Track::Baseline => self.baseline = true,
        }
    }
}

/// Mean of an interval's samples, in sorted order so that the order of arrival cannot move a bit. What is no number is passed
/// over where another sample is one.
fn mean(samples: &[Sample]) -> Option<f64> {
    let mut values: Vec<f64> = samples
        .iter()
        .filter_map(|s| if let Sample::Value(v) = s { Some(*v) } else { None })
        .collect();
    if values.iter().any(|value| value.is_finite()) {
        values.retain(|value| value.is_finite());
    }
    values.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
    (!values.is_empty()).then(|| values.iter().map(|v| v / count).sum())
}

fn sum(samples: &[Sample]) -> (u64, u64) {
    samples
        .iter()
        .fold((0u64, 0u64), |(bads, totals), sample| match sample {
            Sample::Counts { bad, total } => (bads.saturating_add(*bad), totals.saturating_add(*total)),
            _ => (bads, totals),
        })
}

fn merge(samples: &[Sample]) -> Histogram {
    samples
        .iter()
        .fold(Histogram::default(), |merged, sample| match sample {
            Sample::Histogram(histogram) => merged.merge(histogram),
            _ => merged,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_left_out_of_wholes_and_kept_of_parts() {
        let counts = |bad| Sample::Counts { bad, total: 50 };
        let mut whole = Cell::default();
        assert!(!whole.add(Track::Baseline, &counts(0)) && !whole.add(Track::Baseline, &counts(0)));
        assert!(whole.is_alone());
        assert_eq!(whole.settle(Tracks::default()), 1);
        assert_eq!(whole.counts(), ((0, 0), (0, 50)));
        let mut parts = Cell::default();
        let differs = [0, 0, 1].map(|bad| parts.add(Track::Candidate, &counts(bad)));
        assert_eq!(differs, [false, false, true]);
        let mut known = Tracks::default();
        known.set(Track::Candidate);
        assert_eq!((parts.settle(known), parts.counts()), (0, ((1, 150), (0, 0))));
    }

    #[test]
    fn one_broken_probe_of_several_does_not_blind_the_mean() {
        let values = |all: &[f64]| mean(&all.iter().copied().map(Sample::Value).collect::<Vec<_>>());
        assert_eq!(values(&[2.0, f64::NAN, 4.0]), Some(3.0));
        assert!(values(&[f64::NAN]).is_some_and(f64::is_nan));
        assert_eq!(values(&[]), None);
    }
}
