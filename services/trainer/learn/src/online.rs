//! Recalibration as outcomes come in.
//!
//! Failure rates move, and a model that was calibrated once goes on saying the old one. Each *watcher* tracks two offsets on the
//! log-odds with a Kalman filter, one that all groups share and one of each group's own on top of it, and lets both drift in
//! time, each watcher at its own pace; what is said is the mean of the watchers' log-odds, weighted by how well each has told the
//! outcomes so far. So a group of few rows learns from the others, and one that goes its own way is followed there. There is no
//! slope to follow: on public data it made things worse.
//!
//! An outcome counts when it is known, not when it happens: whoever feeds this keeps the delay.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{logit, sigmoid};

/// Of each watcher, in log-odds: the variance that an offset gathers by drifting over as much time as was learned from, its
/// variance before any outcome is known, and what speaks for the watcher at first, in nats. One for worlds that hardly move, one
/// for those that move, one for those that break.
const PACES: [(f64, f64, f64); 3] = [(0.01, 0.002, 0.0), (0.5, 0.3, -1.0), (20.0, 1.0, -1.0)];
/// How much an old outcome weighs for the weights of the watchers, an outcome.
const MEMORY: f64 = 0.999;
/// How far an offset goes at most.
const FAR: f64 = 6.0;

/// Something that drifts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Offset {
    at: f64,
    /// Variance.
    spread: f64,
    /// Time of the newest outcome.
    since: f64,
}

impl Offset {
    fn new(spread: f64, since: f64) -> Self {
        Self {
            at: 0.0,
            spread,
            since,
        }
    }

    fn drift(&mut self, pace: f64, time: f64) {
        self.spread += pace * (time - self.since).max(0.0);
        self.since = self.since.max(time);
    }

    /// The error of what was said, over what explains it.
    fn learn(&mut self, error: f64, certainty: f64) {
        self.at = (self.at + self.spread * error).clamp(-FAR, FAR);
        self.spread = (self.spread - self.spread.powi(2) * certainty).max(0.0);
    }
}

/// One filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Watcher {
    /// Variance gathered in a unit of time.
    pace: f64,
    /// Variance at first.
    spread: f64,
    shared: Option<Offset>,
    /// By group.
    own: BTreeMap<u32, Offset>,
    /// Log-likelihood of the outcomes, old ones discounted.
    merit: f64,
}

impl Watcher {
    fn says(&self, z: f64, group: u32) -> f64 {
        let at = |offset: Option<&Offset>| offset.map_or(0.0, |offset| offset.at);
        z + at(self.shared.as_ref()) + at(self.own.get(&group))
    }

    fn learn(&mut self, row: &Told, said: f64) {
        let told = sigmoid(said).clamp(1e-6, 1.0 - 1e-6);
        self.merit = self.merit * MEMORY + if row.failed { told } else { 1.0 - told }.ln();
        let p = sigmoid(self.says(logit(row.p), row.group));
        let new = Offset::new(self.spread, row.time);
        let shared = self.shared.get_or_insert(new);
        let own = self.own.entry(row.group).or_insert(new);
        shared.drift(self.pace, row.time);
        own.drift(self.pace, row.time);
        let certainty = p * (1.0 - p);
        let whole = 1.0 + certainty * (shared.spread + own.spread);
        let error = (f64::from(u8::from(row.failed)) - p) / whole;
        for offset in [shared, own] {
            offset.learn(error, certainty / whole);
        }
    }
}

/// All watchers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recalibrator(Vec<Watcher>);

/// What was said about a row: kept until its outcome is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// What each watcher made of it, in log-odds.
    each: Vec<f64>,
    /// What was told.
    pub recalibrated: f64,
}

impl Recalibrator {
    /// Nothing is known yet. `span` is the time that the model learned from, in the unit of the rows: how far things drift in a
    /// time is held against it. With no span nothing drifts.
    #[must_use]
    pub fn new(span: f64) -> Self {
        let watcher = |(pace, spread, merit): (f64, f64, f64)| Watcher {
            pace: if span > 0.0 { pace / span } else { 0.0 },
            spread,
            shared: None,
            own: BTreeMap::new(),
            merit,
        };
        Self(PACES.map(watcher).to_vec())
    }

    /// What a model's probability becomes in a group.
    #[must_use]
    pub fn apply(&self, p: f64, group: u32) -> Said {
        let z = logit(p);
        let best = self.0.iter().map(|w| w.merit).fold(f64::NEG_INFINITY, f64::max);
        let each: Vec<f64> = self.0.iter().map(|watcher| watcher.says(z, group)).collect();
        let (mut sum, mut mass) = (0.0, 0.0);
        for (watcher, says) in self.0.iter().zip(&each) {
            let weight = (watcher.merit - best).exp();
            sum += weight * says;
            mass += weight;
        }
        Said {
            each,
            recalibrated: sigmoid(sum / mass),
        }
    }

    /// An outcome has become known. Watchers are judged by what they said when the row was scored, not by what they would say
    /// now: who follows the last outcomes closely would else look better than it is when outcomes come late.
    pub fn learn(&mut self, row: &Told, said: &Said) {
        for (watcher, said) in self.0.iter_mut().zip(&said.each) {
            watcher.learn(row, *said);
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
    /// Rows of one group share an offset.
    pub group: u32,
}

/// Goes through rows in time order and says what each would have been told: with the outcomes that were known by then, those
/// more than `delay` old, and never with its own. `span`: see [`Recalibrator::new`].
#[must_use]
pub fn walk(rows: &[Told], delay: f64, span: f64) -> Vec<f64> {
    let mut watch = Recalibrator::new(span);
    let mut waiting = VecDeque::<(Told, Said)>::new();
    let mut told = vec![0.0; rows.len()];
    let mut order: Vec<(usize, Told)> = rows.iter().copied().enumerate().collect();
    order.sort_by(|a, b| a.1.time.total_cmp(&b.1.time));
    for (place, row) in order {
        while waiting
            .front()
            .is_some_and(|(waits, _)| waits.time + delay < row.time)
        {
            if let Some((known, said)) = waiting.pop_front() {
                watch.learn(&known, &said);
            }
        }
        let said = watch.apply(row.p, row.group);
        if let Some(slot) = told.get_mut(place) {
            *slot = said.recalibrated;
        }
        waiting.push_back((row, said));
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
        let said = walk(&told, 200.0, 12_000.0);
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
        let said = walk(&told, 200.0, 12_000.0);
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
        let (a, b) = (walk(&told, 50.0, 1600.0), walk(&other, 50.0, 1600.0));
        // Row 250 is the first that may know of row 200's outcome... when it is more than the delay old.
        assert_eq!(a[..251], b[..251]);
        assert_ne!(a[260..], b[260..]);
        assert!(
            walk(&told, 1e9, 1600.0)
                .iter()
                .zip(&told)
                .all(|(said, t)| (said - t.p).abs() < 1e-9)
        );
    }

    #[test]
    fn a_group_of_few_rows_learns_from_the_others_and_one_that_goes_its_own_way_is_followed_there() {
        let (mut told, _) = rows(6000, -0.8, 4);
        let mut random = Random::new(5);
        for (place, row) in told.iter_mut().enumerate() {
            row.group = [0, 1, 2][place % 3];
            if place % 100 == 99 {
                row.group = 3;
            }
            if row.group == 2 {
                // No drift here.
                row.failed = random.unit() < row.p;
            }
        }
        let said = walk(&told, 200.0, 24_000.0);
        let lifted = |group: u32| {
            let late = told
                .iter()
                .zip(&said)
                .skip(3000)
                .filter(|(row, _)| row.group == group);
            let each: Vec<f64> = late.map(|(row, said)| logit(*said) - logit(row.p)).collect();
            each.iter().sum::<f64>() / each.len() as f64
        };
        assert!(
            lifted(0) < -0.6 && lifted(1) < -0.6,
            "{} {}",
            lifted(0),
            lifted(1)
        );
        assert!(lifted(2).abs() < 0.2, "{}", lifted(2));
        // Sixty outcomes of its own, and what it shares with the others.
        assert!(lifted(3) < -0.4, "{}", lifted(3));
    }

    #[test]
    fn the_unit_of_time_does_not_matter() {
        let (told, _) = rows(800, -1.0, 6);
        let mut slow = told.clone();
        slow.iter_mut().for_each(|row| row.time *= 1024.0);
        let (a, b) = (
            walk(&told, 50.0, 3200.0),
            walk(&slow, 50.0 * 1024.0, 3200.0 * 1024.0),
        );
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12));
        // Without any span, and with rows of one time, something is said all the same.
        slow.iter_mut().for_each(|row| row.time = 0.0);
        assert!(walk(&slow, 0.0, 0.0).iter().all(|p| p.is_finite()));
    }
}
