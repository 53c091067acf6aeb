//! Lane M: a two-state chain for baselines that mostly stand still, above all at zero.
//!
//! Where half of the baseline repeats one value there is no noise to measure a shift against. Each track is then a chain of
//! "at the reference value" and "beyond it". Null: both tracks share both probabilities of transition. The numerator bets on
//! a candidate that leaves the reference value more often; the denominators are maximised, so that bursts that persist are
//! one event each.

use serde::{Deserialize, Serialize};

use super::spikes::log_oftener;
use crate::numeric::{ln_beta, log_mix};

const CANDIDATE: [f64; 6] = [0.1, 0.25, 0.45, 0.65, 0.8, 0.92];
const BASELINE: [f64; 3] = [0.02, 0.1, 0.3];

/// Values of one series among which the one that it stands at is looked for: its first point may be any.
const EARLY: usize = 30;

/// Transitions of both tracks; beyond means above the reference (or below it, for the other direction).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Chain {
    reference: Option<f64>,
    /// One series: its first values, until the one that came oftenest among them is the reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    early: Vec<f64>,
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
    /// One series: kept and left what is beyond before the change; `beyond` counts after it.
    #[serde(default)]
    stayed: (u32, u32),
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

    /// One series: before the change it is its own baseline.
    fn absorb_alone(&mut self, now: bool, changed: bool) {
        if let Some((last, _)) = self.last.replace((now, now)) {
            let track = if changed {
                &mut self.candidate
            } else {
                &mut self.baseline
            };
            let beyond = if changed {
                &mut self.beyond
            } else {
                &mut self.stayed
            };
            Self::step(last, now, track, beyond);
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

    /// Log e-value against "the reference is left as often".
    fn log_left(&self) -> f64 {
        let (c1, c0) = (f64::from(self.candidate.0), f64::from(self.candidate.1));
        let (b1, b0) = (f64::from(self.baseline.0), f64::from(self.baseline.1));
        let bets = CANDIDATE
            .iter()
            .flat_map(|p| BASELINE.iter().map(move |share| (*p, p * share)));
        let even = 1.0 / 18.0;
        let leaving = log_mix(bets.map(|(p, q)| (even, bernoulli(p, c1, c0) + bernoulli(q, b1, b0))));
        leaving - greatest(c1 + b1, c0 + b0)
    }

    fn log_e(&self) -> f64 {
        let (k1, k0) = (f64::from(self.beyond.0), f64::from(self.beyond.1));
        self.log_left() + ln_beta(k1 + 0.5, k0 + 0.5) - ln_beta(0.5, 0.5) - greatest(k1, k0)
    }

    /// One series: the reference is left oftener than before, or returned to less often.
    fn log_e_alone(&self) -> f64 {
        let of = |(kept, left): (u32, u32)| (f64::from(left), f64::from(kept) + f64::from(left));
        let longer = log_oftener(of(self.stayed), of(self.beyond));
        let left = log_mix([(0.5, self.log_left()), (0.5, self.log_left_first())].into_iter());
        log_mix([(0.5, left), (0.5, longer)].into_iter())
    }

    /// The same where it was never left before: once is one event, worth as much as the past is long.
    fn log_left_first(&self) -> f64 {
        if self.baseline.0 > 0 {
            return f64::NEG_INFINITY;
        }
        let (c1, c0) = (f64::from(self.candidate.0), f64::from(self.candidate.1));
        let bets = CANDIDATE.iter().map(|p| (1.0 / 6.0, bernoulli(*p, c1, c0)));
        log_mix(bets) - greatest(c1, c0 + f64::from(self.baseline.1))
    }
}

/// Whether two values are one, zeros of either sign included.
fn same(value: f64, other: f64) -> bool {
    value.total_cmp(&other).is_eq() || (value - other).abs() <= 0.0
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
        let reference = self.reference(baseline, true);
        self.up
            .absorb(candidate > reference, baseline > reference, changed);
        self.down
            .absorb(candidate < reference, baseline < reference, changed);
    }

    /// Adds the value of one series that is compared with its past.
    pub(super) fn absorb_alone(&mut self, value: f64, changed: bool) {
        if self.reference.is_none() {
            if !changed {
                self.early.push(value);
            }
            if changed || self.early.len() >= EARLY {
                self.settle();
            }
            if !changed {
                return;
            }
        }
        self.count_alone(value, changed);
    }

    /// Takes the value that came oftenest so far for the one that the series stands at.
    fn settle(&mut self) {
        let early = std::mem::take(&mut self.early);
        let times = |value: &f64| early.iter().filter(|other| same(**other, *value)).count();
        let most = early.iter().map(times).max();
        self.reference = early.iter().copied().find(|value| Some(times(value)) == most);
        for value in early {
            self.count_alone(value, false);
        }
    }

    fn count_alone(&mut self, value: f64, changed: bool) {
        let reference = self.reference(value, !changed);
        self.up.absorb_alone(value > reference, changed);
        self.down.absorb_alone(value < reference, changed);
    }

    /// The first baseline value, and how often it came again among those that `counts`.
    fn reference(&mut self, value: f64, counts: bool) -> f64 {
        let reference = *self.reference.get_or_insert(value);
        self.baseline_points = self.baseline_points.saturating_add(u32::from(counts));
        let again = counts && same(value, reference);
        self.baseline_ties = self.baseline_ties.saturating_add(u32::from(again));
        reference
    }

    /// Log e-value for leaving the reference upwards (or downwards); 0 where the baseline does not stand still.
    pub(super) fn log_e(&self, up: bool) -> f64 {
        self.said(up, Side::log_e)
    }

    /// The same of one series.
    pub(super) fn log_e_alone(&self, up: bool) -> f64 {
        self.said(up, Side::log_e_alone)
    }

    /// Whether the baseline stands still: half of its points and more are the reference.
    pub(super) fn stands(&self) -> bool {
        self.baseline_points > 0 && 2 * u64::from(self.baseline_ties) >= u64::from(self.baseline_points)
    }

    fn said(&self, up: bool, log_e: impl Fn(&Side) -> f64) -> f64 {
        if !self.stands() {
            return 0.0;
        }
        log_e(if up { &self.up } else { &self.down })
    }
}
