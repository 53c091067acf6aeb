//! Work to be timed by whoever has a clock, and states to be measured by whoever stores them.

use serde::Serialize;

use super::random::Random;
use crate::counts::{CountSettings, CountTest, Counts};
use crate::distributions::{Histogram, HistogramSettings, HistogramTest};
use crate::values::{Direction, Pair, PastTest, ValueSettings, ValueTest};

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Failures among requests.
    Counts,
    /// A value per interval.
    Values,
    /// One series against its past.
    Series,
    /// A histogram of forty buckets per interval.
    Histograms,
}

/// The running evidence about one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum State {
    /// Failures among requests.
    Counts(Box<CountTest>),
    /// A value per interval.
    Values(Box<ValueTest>),
    /// One series against its past.
    Series(Box<PastTest>),
    /// A histogram per interval.
    Histograms(Box<HistogramTest>),
}

/// Does so many updates of one metric, each with the evidence for harm after it, and returns the last, so that none of the
/// work can be left out.
#[must_use]
pub fn work(kind: Work, updates: u32) -> f64 {
    let mut random = Random::new(1, 1);
    let mut log_e = 0.0;
    match kind {
        Work::Counts => {
            let settings = CountSettings::default();
            let mut test = CountTest::new(&settings);
            for k in 0..updates {
                let (candidate_bad, baseline_bad) = (u64::from(k % 4 == 0), u64::from(k % 9));
                let counts = Counts {
                    candidate_bad,
                    candidate_total: 25,
                    baseline_bad,
                    baseline_total: 475,
                };
                test.absorb(&settings, &counts);
                log_e = test.log_e_worse();
            }
        }
        Work::Values => {
            let settings = ValueSettings::default();
            let mut test = ValueTest::new(&settings);
            for _ in 0..updates {
                let pair = Pair {
                    candidate: Some(random.uniform()),
                    baseline: Some(random.uniform()),
                };
                test.absorb(&settings, &pair);
                log_e = test.log_e_worse(&settings);
            }
        }
        Work::Series => {
            let settings = ValueSettings::default();
            let test = past(updates, |test| log_e = test.log_e_worse(&settings));
            log_e += f64::from(u32::from(test.ripe(&settings)));
        }
        Work::Histograms => {
            let settings = HistogramSettings::default();
            let mut test = HistogramTest::new(&settings);
            let bounds: Vec<f64> = (1..=40u8).map(f64::from).collect();
            let (low, high) = (
                Histogram::new(bounds.clone(), vec![5; 40]),
                Histogram::new(bounds, vec![95; 40]),
            );
            let (low, high) = (low.unwrap_or_default(), high.unwrap_or_default());
            for _ in 0..updates {
                test.absorb(&settings, &low, &high);
                log_e = test.log_e_worse();
            }
        }
    }
    log_e
}

/// The state of one metric after so many intervals, at its fullest: both directions, more buckets than are kept.
#[must_use]
pub fn state(kind: Work, intervals: u32) -> State {
    let mut random = Random::new(3, 3);
    match kind {
        Work::Counts => {
            let settings = CountSettings::default();
            let mut test = CountTest::new(&settings);
            for _ in 0..intervals {
                let (candidate_bad, baseline_bad) = (random.poisson(1.0), random.poisson(9.0));
                let counts = Counts {
                    candidate_bad,
                    candidate_total: 50,
                    baseline_bad,
                    baseline_total: 950,
                };
                test.absorb(&settings, &counts);
            }
            State::Counts(Box::new(test))
        }
        Work::Values => {
            let settings = ValueSettings::default();
            let mut test = ValueTest::new(&settings);
            for _ in 0..intervals {
                let pair = Pair {
                    candidate: Some(random.normal()),
                    baseline: Some(random.normal()),
                };
                test.absorb(&settings, &pair);
            }
            State::Values(Box::new(test))
        }
        Work::Series => State::Series(Box::new(past(2 * intervals, |_| {}))),
        Work::Histograms => {
            let settings = HistogramSettings {
                direction: Direction::Either,
                ..HistogramSettings::default()
            };
            let mut test = HistogramTest::new(&settings);
            let bounds: Vec<f64> = (0..200u8).map(|k| f64::from(k) * 0.01).collect();
            for _ in 0..intervals {
                let counts = (0..201).map(|_| random.poisson(2.0)).collect();
                let draw = Histogram::new(bounds.clone(), counts).unwrap_or_default();
                test.absorb(&settings, &draw, &draw);
            }
            State::Histograms(Box::new(test))
        }
    }
}

/// A series of so many points, a third of them before the change, each followed by a look.
fn past(points: u32, mut look: impl FnMut(&PastTest)) -> PastTest {
    let mut random = Random::new(2, 2);
    let settings = ValueSettings::default();
    let mut test = PastTest::default();
    for k in 0..points {
        let pair = Pair {
            candidate: Some(random.uniform()),
            baseline: Some(0.5),
        };
        if k < points / 3 {
            test.absorb_history(&settings, &pair);
        } else {
            test.absorb(&settings, &pair);
        }
        look(&test);
    }
    test
}
