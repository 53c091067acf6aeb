//! Lane S: bets on the sign of fresh spikes.
//!
//! A spike is a difference beyond six medians of the past differences, after a calm interval; its direction is a fair coin
//! under health. Only entries count, so a burst that lasts is one event, and spikes common to both tracks cancel before they
//! get here. `E = sum_h w_h (2h)^up (2(1 - h))^down`.

use serde::{Deserialize, Serialize};

use crate::numeric::log_mix;

/// Past differences whose median is the scale.
const WINDOW: usize = 121;
const SPIKE: f64 = 6.0;
const CALM: f64 = 3.0;
const BETS: [(f64, f64); 3] = [(0.75, 0.2), (0.9, 0.3), (0.99, 0.5)];

/// Running counts of spikes, and the window behind their scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spikes {
    /// Latest absolute differences, a ring of at most `WINDOW`.
    window: Vec<f64>,
    next: usize,
    last: Option<f64>,
    up: u32,
    down: u32,
}

impl Spikes {
    /// Adds a difference; spikes count after the change only, their scale is learnt before it as well.
    pub(super) fn absorb(&mut self, d: f64, changed: bool) {
        let size = d.abs();
        if let (true, Some(last), Some(scale)) = (changed, self.last, self.median()) {
            let calm = if scale > 0.0 {
                last <= CALM * scale
            } else {
                last <= 0.0
            };
            if size > SPIKE * scale && size > 0.0 && calm {
                let count = if d > 0.0 { &mut self.up } else { &mut self.down };
                *count = count.saturating_add(1);
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

    fn median(&self) -> Option<f64> {
        let mut sorted = self.window.clone();
        let middle = sorted.len() / 2;
        (!sorted.is_empty()).then(|| {
            let (below, median, _) = sorted.select_nth_unstable_by(middle, f64::total_cmp);
            if below.len() == middle && self.window.len().is_multiple_of(2) {
                let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                0.5 * (lower + *median)
            } else {
                *median
            }
        })
    }

    /// Log e-value for spikes upwards (or downwards).
    pub(super) fn log_e(&self, up: bool) -> f64 {
        let (hits, misses) = if up {
            (self.up, self.down)
        } else {
            (self.down, self.up)
        };
        let (hits, misses) = (f64::from(hits), f64::from(misses));
        log_mix(
            BETS.iter()
                .map(|(h, w)| (*w, hits * (2.0 * h).ln() + misses * (2.0 * (1.0 - h)).ln())),
        )
    }
}
