//! Lane S: bets on the sign of fresh spikes.
//!
//! A spike is a difference beyond six medians of the past differences, after a calm interval; its direction is a fair coin
//! under health. Only entries count, so a burst that lasts is one event, and spikes common to both tracks cancel before they
//! get here. `E = sum_h w_h (2h)^up (2(1 - h))^down`.
//!
//! A direction is worth at most ln 2, however rare spikes were before. With points before the change their rate is worth more:
//! null, every track spikes at one rate, the candidate like the baseline and like both before the change; the numerator bets
//! on a candidate that spikes more often, the denominator is maximised. Both bets share the lane evenly then.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::chain::{bernoulli, greatest};
use crate::numeric::{log_mix, log_sum_exp};

/// Past differences whose median is the scale.
const WINDOW: usize = 121;
/// Differences from which a median is one to go by.
const ENOUGH: usize = 40;
const SPIKE: f64 = 6.0;
const CALM: f64 = 3.0;
const BETS: [(f64, f64); 3] = [(0.75, 0.2), (0.9, 0.3), (0.99, 0.5)];
/// Logs of a bet's weight, of what a hit makes of it, and of what a miss leaves.
static GAINS: LazyLock<[(f64, f64, f64); 3]> =
    LazyLock::new(|| BETS.map(|(h, w)| (w.ln(), (2.0 * h).ln(), (2.0 * (1.0 - h)).ln())));

/// Rates of the candidate that are bet on, and the baseline's as a part of them.
const RATES: [f64; 5] = [0.02, 0.05, 0.12, 0.3, 0.6];
const PARTS: [f64; 3] = [0.02, 0.1, 0.3];

/// Running counts of spikes, and the window behind their scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spikes {
    /// Latest absolute differences, a ring of at most `WINDOW`.
    window: Vec<f64>,
    next: usize,
    last: Option<f64>,
    up: u32,
    down: u32,
    /// Calm intervals in which a spike could begin, after the change; spikes and such intervals of both tracks before it.
    tries: u32,
    past: (u32, u32),
}

impl Spikes {
    /// Adds a difference; spikes count after the change only, their scale is learnt before it as well.
    pub(super) fn absorb(&mut self, d: f64, changed: bool) {
        self.absorb_at(d, changed, self.median());
    }

    /// The same, where the median is known already.
    pub(super) fn absorb_at(&mut self, d: f64, changed: bool, median: Option<f64>) {
        let size = d.abs();
        if let (Some(last), Some(scale)) = (self.last, median) {
            let calm = if scale > 0.0 {
                last <= CALM * scale
            } else {
                last <= 0.0
            };
            if calm {
                self.count(size > SPIKE * scale && size > 0.0, d > 0.0, changed);
            }
        }
        self.last = Some(size);
        if self.window.len() < WINDOW {
            self.window.push(size);
        } else if let Some(oldest) = self.window.get_mut(self.next) {
            *oldest = size;
            self.next = (self.next + 1) % WINDOW;
        }
    }

    /// Spikes upwards and downwards, and calm intervals, after the change.
    pub(super) const fn counted(&self) -> (u32, u32, u32) {
        (self.up, self.down, self.tries)
    }

    /// The same, once there are differences enough to go by.
    pub(super) fn settled(&self, median: Option<f64>) -> Option<f64> {
        median.filter(|_| self.window.len() >= ENOUGH)
    }

    /// Counts an interval in which a spike could begin.
    fn count(&mut self, spike: bool, up: bool, changed: bool) {
        let hit = u32::from(spike);
        if !changed {
            // Either track could have spiked.
            self.past = (self.past.0.saturating_add(hit), self.past.1.saturating_add(2));
            return;
        }
        self.tries = self.tries.saturating_add(1);
        let count = if up { &mut self.up } else { &mut self.down };
        *count = count.saturating_add(hit);
    }

    /// Median of the latest absolute differences.
    pub(super) fn median(&self) -> Option<f64> {
        // None is below zero and all are numbers: their bits are in their order, and quicker to compare.
        let mut sorted = [0u64; WINDOW];
        let sorted = sorted.get_mut(..self.window.len())?;
        for (bits, size) in sorted.iter_mut().zip(&self.window) {
            *bits = size.to_bits();
        }
        let middle = sorted.len() / 2;
        (!sorted.is_empty()).then(|| {
            let (below, median, _) = sorted.select_nth_unstable(middle);
            let median = f64::from_bits(*median);
            if self.window.len().is_multiple_of(2) {
                let lower = below.iter().copied().max().unwrap_or_default();
                0.5 * (f64::from_bits(lower) + median)
            } else {
                median
            }
        })
    }

    /// Log e-value for spikes upwards (or downwards); `bounded` says that the time before the change may be relied upon.
    pub(super) fn log_e(&self, up: bool, bounded: bool) -> f64 {
        let (hits, misses) = if up {
            (self.up, self.down)
        } else {
            (self.down, self.up)
        };
        let (hits, misses) = (f64::from(hits), f64::from(misses));
        let signs = log_sum_exp(GAINS.iter().map(|(w, hit, miss)| w + hits * hit + misses * miss));
        if bounded {
            log_mix([(0.5, signs), (0.5, self.log_rate(hits, misses))].into_iter())
        } else {
            signs
        }
    }

    /// Log e-value against "one rate of spikes everywhere".
    fn log_rate(&self, hits: f64, misses: f64) -> f64 {
        let other = misses + f64::from(self.past.0);
        let all = f64::from(self.tries) + f64::from(self.past.1);
        log_oftener((hits, f64::from(self.tries)), (other, all))
    }
}

/// Log e-value against "one rate": hits among tries, and those of what they are compared with.
pub(super) fn log_oftener((hits, tries): (f64, f64), (other, all): (f64, f64)) -> f64 {
    let (calm, other_calm) = (tries - hits, all - other);
    let bets = RATES
        .iter()
        .flat_map(|p| PARTS.iter().map(move |part| (*p, p * part)));
    let even = 1.0 / 15.0;
    let betting = bets.map(|(p, q)| (even, bernoulli(p, hits, calm) + bernoulli(q, other, other_calm)));
    log_mix(betting) - greatest(hits + other, calm + other_calm)
}
