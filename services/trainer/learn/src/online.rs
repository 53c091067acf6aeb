//! Recalibration as outcomes come in.
//!
//! Failure rates move, and a model that was calibrated once goes on saying the old one. Each *watcher* tracks slope and offset
//! on the log-odds with a Kalman filter that lets them drift at its own pace, from not at all to fast; what is said is the
//! mean of the watchers' log-odds, weighted by how well each has told the outcomes so far, the recent ones most. One of them
//! changes nothing, so that where nothing drifts little is changed.
//!
//! An outcome counts when it is known, not when it happens: whoever feeds this keeps the delay.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{logit, sigmoid};

/// Drift a row, as the standard deviation of the offset's step; 0 changes nothing.
const PACES: [f64; 5] = [0.0, 0.0005, 0.002, 0.006, 0.02];
/// How much an old outcome weighs for the weights, a row.
const MEMORY: f64 = 0.998;
/// What speaks at first for changing nothing, in nats.
const TRUST: f64 = 2.0;

/// One filter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Watcher {
    pace: f64,
    slope: f64,
    offset: f64,
    /// Covariance: slope, both, offset.
    spread: [f64; 3],
    /// Log-likelihood of the outcomes, old ones discounted.
    merit: f64,
}

impl Watcher {
    fn new(pace: f64) -> Self {
        Self {
            pace,
            slope: 1.0,
            offset: 0.0,
            spread: if pace == 0.0 { [0.0; 3] } else { [0.01, 0.0, 0.04] },
            merit: if pace == 0.0 { TRUST } else { 0.0 },
        }
    }

    fn says(&self, z: f64) -> f64 {
        self.slope * z + self.offset
    }

    fn learn(&mut self, z: f64, said: f64, failed: bool) {
        let told = sigmoid(said).clamp(1e-6, 1.0 - 1e-6);
        self.merit = self.merit * MEMORY + if failed { told } else { 1.0 - told }.ln();
        if self.pace == 0.0 {
            return;
        }
        let p = sigmoid(self.says(z)).clamp(1e-6, 1.0 - 1e-6);
        let [aa, ab, bb] = self.spread;
        let (aa, bb) = (aa + (self.pace * 0.2).powi(2), bb + self.pace.powi(2));
        let (ka, kb) = (aa * z + ab, ab * z + bb);
        let spread = p * (1.0 - p);
        let gain = spread / (1.0 + spread * (ka * z + kb));
        let error = f64::from(u8::from(failed)) - p;
        // A step of a filter on a logistic scale: the error over the variance, by the gain.
        let step = error / spread * gain;
        self.slope = (self.slope + ka * step).clamp(0.2, 3.0);
        self.offset = (self.offset + kb * step).clamp(-6.0, 6.0);
        self.spread = [
            (aa - gain * ka * ka).clamp(1e-9, 0.25),
            ab - gain * ka * kb,
            (bb - gain * kb * kb).clamp(1e-9, 1.0),
        ];
    }
}

/// All watchers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recalibrator(Vec<Watcher>);

/// What was said about a row: kept until its outcome is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// What the model said, before any recalibration.
    pub p: f64,
    /// What each watcher made of it, in log-odds.
    each: Vec<f64>,
    /// What was told.
    pub recalibrated: f64,
}

impl Default for Recalibrator {
    fn default() -> Self {
        Self(PACES.map(Watcher::new).to_vec())
    }
}

impl Recalibrator {
    /// What a model's probability becomes.
    #[must_use]
    pub fn apply(&self, p: f64) -> Said {
        let z = logit(p);
        let best = self.0.iter().map(|w| w.merit).fold(f64::NEG_INFINITY, f64::max);
        let each: Vec<f64> = self.0.iter().map(|watcher| watcher.says(z)).collect();
        let (mut sum, mut mass) = (0.0, 0.0);
        for (watcher, says) in self.0.iter().zip(&each) {
            let weight = (watcher.merit - best).exp();
            sum += weight * says;
            mass += weight;
        }
        Said {
            p,
            each,
            recalibrated: sigmoid(sum / mass),
        }
    }

    /// An outcome has become known. Watchers are judged by what they said when the row was scored, not by what they would say
    /// now: who follows the last outcomes closely would else look better than it is when outcomes come late.
    pub fn learn(&mut self, said: &Said, failed: bool) {
        let z = logit(said.p);
        for (watcher, said) in self.0.iter_mut().zip(&said.each) {
            watcher.learn(z, *said, failed);
        }
    }
}

/// A row on its way to its outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// When it was scored.
    pub time: f64,
    /// What the model said.
    pub p: f64,
    /// What became of it.
    pub failed: bool,
    /// Rows of one group share a recalibrator.
    pub group: u32,
}

/// Goes through rows in time order and says what each would have been told: with the outcomes that were known by then, those at
/// least `delay` old, and never with its own. `past` comes first and is only learned from.
#[must_use]
pub fn walk(past: &[Told], rows: &[Told], delay: f64) -> Vec<f64> {
    let mut watch = BTreeMap::<u32, Recalibrator>::new();
    // By group: a group's time is its own, and one group's rows wait for no other's.
    let mut waiting = BTreeMap::<u32, VecDeque<(Told, Said)>>::new();
    let sorted = |rows: &[Told]| {
        let mut order: Vec<(usize, Told)> = rows.iter().copied().enumerate().collect();
        order.sort_by(|a, b| a.1.time.total_cmp(&b.1.time));
        order
    };
    let mut told = vec![0.0; rows.len()];
    let before = sorted(past).into_iter().map(|(_, row)| (None, row));
    let now = sorted(rows).into_iter().map(|(place, row)| (Some(place), row));
    for (place, row) in before.chain(now) {
        let own = watch.entry(row.group).or_default();
        let queue = waiting.entry(row.group).or_default();
        while queue
            .front()
            .is_some_and(|(waits, _)| waits.time + delay < row.time)
        {
            if let Some((known, said)) = queue.pop_front() {
                own.learn(&said, known.failed);
            }
        }
        let said = own.apply(row.p);
        if let Some(slot) = place.and_then(|place| told.get_mut(place)) {
            *slot = said.recalibrated;
        }
        queue.push_back((row, said));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics;
    use crate::random::Random;

    /// Rows whose model says `sigmoid(z)`, while the truth is `sigmoid(z + shift)`.
    fn rows(count: usize, shift: f64, seed: u64) -> (Vec<Told>, Vec<bool>) {
        let mut random = Random::new(seed);
        let told: Vec<Told> = (0..count)
            .map(|row| {
                let z = random.unit() * 3.0 - 2.0;
                Told {
                    time: row as f64,
                    p: sigmoid(z),
                    failed: random.unit() < sigmoid(z + shift),
                    group: 0,
                }
            })
            .collect();
        let labels = told.iter().map(|t| t.failed).collect();
        (told, labels)
    }

    #[test]
    fn a_halved_failure_rate_is_followed() {
        let (told, labels) = rows(3000, -1.1, 1);
        let said = walk(&[], &told, 200.0);
        let plain: Vec<f64> = told.iter().map(|t| t.p).collect();
        let rate = metrics::rate(&labels);
        assert!(
            metrics::brier(&labels, &plain) > rate * (1.0 - rate),
            "the shift is no challenge"
        );
        assert!(metrics::brier(&labels, &said) < rate * (1.0 - rate));
        assert!(metrics::ece(&labels, &said) < 0.04);
    }

    #[test]
    fn where_nothing_moves_little_is_changed() {
        let (told, labels) = rows(3000, 0.0, 2);
        let said = walk(&[], &told, 200.0);
        let plain: Vec<f64> = told.iter().map(|t| t.p).collect();
        assert!(metrics::brier(&labels, &said) < metrics::brier(&labels, &plain) + 0.001);
    }

    #[test]
    fn an_outcome_that_is_not_known_yet_changes_nothing() {
        let (told, _) = rows(400, -1.0, 3);
        let mut other = told.clone();
        for t in other.iter_mut().skip(200) {
            t.failed = !t.failed;
        }
        let (a, b) = (walk(&[], &told, 50.0), walk(&[], &other, 50.0));
        // Row 250 is the first that may know of row 200's outcome... when it is more than the delay old.
        assert_eq!(a[..251], b[..251]);
        assert_ne!(a[260..], b[260..]);
        assert!(
            walk(&[], &told, 1e9)
                .iter()
                .zip(&told)
                .all(|(said, t)| (said - t.p).abs() < 1e-9)
        );
    }
}
