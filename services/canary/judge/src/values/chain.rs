//! Lane M: a two-state chain for baselines that mostly stand still, above all at zero.
//!
//! Where half of the baseline repeats one value there is no noise to measure a shift against. Each track is then a chain of
//! "at the reference value" and "beyond it". Null: both tracks share both probabilities of transition. The numerator bets on
//! a candidate that leaves the reference value more often; the denominators are maximised, so that bursts that persist are
//! one event each.

use serde::{Deserialize, Serialize};

use crate::numeric::{ln_beta, log_mix};

const CANDIDATE: [f64; 6] = [0.1, 0.25, 0.45, 0.65, 0.8, 0.92];
const BASELINE: [f64; 3] = [0.02, 0.1, 0.3];

/// Transitions of both tracks; beyond means above the reference (or below it, for the other direction).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Chain {
    reference: Option<f64>,
    baseline_points: u32,
    baseline_ties: u32,
    up: Side,
    down: Side,
}

/// Counts of one direction: left and kept the reference (candidate, baseline), kept and left what is beyond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Side {
    last: Option<(bool, bool)>,
    candidate: (u32, u32),
    baseline: (u32, u32),
    beyond: (u32, u32),
}

impl Side {
    fn absorb(&mut self, candidate: bool, baseline: bool, changed: bool) {
        if let Some((last_candidate, last_baseline)) = self.last.replace((candidate, baseline)) {
            // Before the change the candidate track is another baseline.
            let track = if changed {
                &mut self.candidate
            } else {
                &mut self.baseline
            };
            Self::step(last_candidate, candidate, track, &mut self.beyond);
            Self::step(last_baseline, baseline, &mut self.baseline, &mut self.beyond);
        }
    }

    fn step(last: bool, now: bool, track: &mut (u32, u32), beyond: &mut (u32, u32)) {
        let count = match (last, now) {
            (false, true) => &mut track.0,
            (false, false) => &mut track.1,
            (true, true) => &mut beyond.0,
            (true, false) => &mut beyond.1,
        };
        *count = count.saturating_add(1);
    }

    fn log_e(&self) -> f64 {
        let (c1, c0) = (f64::from(self.candidate.0), f64::from(self.candidate.1));
        let (b1, b0) = (f64::from(self.baseline.0), f64::from(self.baseline.1));
        let (k1, k0) = (f64::from(self.beyond.0), f64::from(self.beyond.1));
        let bets = CANDIDATE
            .iter()
            .flat_map(|p| BASELINE.iter().map(move |share| (*p, p * share)));
        let even = 1.0 / 18.0;
        let leaving = log_mix(bets.map(|(p, q)| (even, bernoulli(p, c1, c0) + bernoulli(q, b1, b0))));
        leaving - greatest(c1 + b1, c0 + b0) + ln_beta(k1 + 0.5, k0 + 0.5)
            - ln_beta(0.5, 0.5)
            - greatest(k1, k0)
    }
}

/// Log likelihood of hits and misses at a probability.
pub(super) fn bernoulli(p: f64, hits: f64, misses: f64) -> f64 {
    hits * p.ln() + misses * (-p).ln_1p()
}

/// The greatest that it can be.
pub(super) fn greatest(hits: f64, misses: f64) -> f64 {
    let part = |x: f64| {
        if x > 0.0 {
            x * (x / (hits + misses)).ln()
        } else {
            0.0
        }
    };
    part(hits) + part(misses)
}

impl Chain {
    /// Adds the values of both tracks in one interval.
    pub(super) fn absorb(&mut self, candidate: f64, baseline: f64, changed: bool) {
        let reference = *self.reference.get_or_insert(baseline);
        self.baseline_points = self.baseline_points.saturating_add(1);
        if baseline.total_cmp(&reference).is_eq() || (baseline - reference).abs() <= 0.0 {
            self.baseline_ties = self.baseline_ties.saturating_add(1);
        }
        self.up
            .absorb(candidate > reference, baseline > reference, changed);
        self.down
            .absorb(candidate < reference, baseline < reference, changed);
    }

    /// Log e-value for leaving the reference upwards (or downwards); 0 where the baseline does not stand still.
    pub(super) fn log_e(&self, up: bool) -> f64 {
        if self.baseline_points == 0 || 2 * u64::from(self.baseline_ties) < u64::from(self.baseline_points) {
            return 0.0;
        }
        if up { self.up.log_e() } else { self.down.log_e() }
    }
}
