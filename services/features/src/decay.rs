//! Mean and variance that forget, whatever the order in which samples come.

use std::time::Duration;

use auspex_proto::Timestamp;
use serde::{Deserialize, Serialize};

/// Weighted mean and variance; a sample's weight halves with each half-life of its age. A late sample enters with the
/// weight it would have by now, so that lateness changes nothing but rounding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moments {
    /// Sum of weights.
    #[serde(rename = "w")]
    weight: f64,
    #[serde(rename = "m")]
    mean: f64,
    /// Weighted sum of squared deviations.
    #[serde(rename = "s")]
    squares: f64,
    /// As of.
    #[serde(rename = "t")]
    at: Timestamp,
}

impl Moments {
    /// Adds a sample. A sample that is not finite is left out.
    pub fn add(&mut self, at: Timestamp, sample: f64, half_life: Duration) {
        if !sample.is_finite() {
            return;
        }
        let halves = |from: Timestamp, to: Timestamp| {
            (to.since(from).as_secs_f64() / half_life.as_secs_f64()).min(1_000.0)
        };
        let mut own = 1.0;
        if self.weight == 0.0 {
            self.at = at;
        } else if at > self.at {
            let factor = (-halves(self.at, at)).exp2();
            self.weight *= factor;
            self.squares *= factor;
            self.at = at;
        } else {
            own = (-halves(at, self.at)).exp2();
        }
        self.weight += own;
        if self.weight <= 0.0 {
            return;
        }
        let off = sample - self.mean;
        self.mean += off * own / self.weight;
        self.squares += own * off * (sample - self.mean);
    }

    /// How many fresh samples it is worth, as of the last one.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// The mean; `None` before the first sample.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then_some(self.mean)
    }

    /// The standard deviation; 0 before the second sample.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        if self.weight > 0.0 {
            (self.squares / self.weight).max(0.0).sqrt()
        } else {
            0.0
        }
    }
}

/// What a measure is now and what it usually is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usual {
    #[serde(rename = "n")]
    now: Moments,
    #[serde(rename = "u")]
    usual: Moments,
}

const NOW: Duration = Duration::from_secs(5 * 60);
const USUAL: Duration = Duration::from_secs(24 * 3_600);
/// Samples before one may say what is usual: 5 minutes of 10 s each.
const ENOUGH: f64 = 30.0;

impl Usual {
    /// Adds a sample.
    pub fn add(&mut self, at: Timestamp, sample: f64) {
        self.now.add(at, sample, NOW);
        self.usual.add(at, sample, USUAL);
    }

    /// What it is now: the mean with a half-life of 5 minutes.
    #[must_use]
    pub fn now(&self) -> Option<f64> {
        self.now.mean()
    }

    /// How many standard deviations of the last day it is off its usual; `floor` is the least deviation that counts as one.
    /// `None` while too little is known to say what is usual.
    #[must_use]
    pub fn off(&self, floor: f64) -> Option<f64> {
        let (now, usual) = (self.now.mean()?, self.usual.mean()?);
        (self.usual.weight() >= ENOUGH).then(|| (now - usual) / self.usual.deviation().max(floor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_of_the_weight_is_forgotten_in_a_half_life() {
        let mut moments = Moments::default();
        moments.add(Timestamp(0), 0.0, NOW);
        moments.add(Timestamp(300_000), 3.0, NOW);
        assert!((moments.weight() - 1.5).abs() < 1e-12);
        assert!((moments.mean().unwrap() - 2.0).abs() < 1e-12);
        assert!((moments.deviation() - 2.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn usual_needs_time() {
        let mut usual = Usual::default();
        for n in 0..29 {
            usual.add(Timestamp(n * 10_000), 1.0);
        }
        assert_eq!(usual.off(0.1), None);
        for n in 29..200 {
            usual.add(Timestamp(n * 10_000), 1.0);
        }
        for n in 200..230 {
            usual.add(Timestamp(n * 10_000), 2.0);
        }
        assert!(usual.off(0.1).unwrap() > 1.0);
    }

    proptest! {
        #[test]
        fn order_changes_nothing_but_rounding(mut samples in prop::collection::vec((0_i64..10_000_000, -5.0..5.0), 1..40)) {
            let of = |samples: &[(i64, f64)]| {
                let mut moments = Moments::default();
                samples.iter().for_each(|(at, x)| moments.add(Timestamp(*at), *x, USUAL));
                (moments.weight(), moments.mean().unwrap(), moments.deviation())
            };
            let one = of(&samples);
            samples.sort_by_key(|(at, _)| -at);
            let other = of(&samples);
            prop_assert!((one.0 - other.0).abs() < 1e-9 && (one.1 - other.1).abs() < 1e-9 && (one.2 - other.2).abs() < 1e-6);
        }
    }
}
