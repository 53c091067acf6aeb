//! The judge itself: rows in, intervals closed, a look out.
//!
//! Rows of one time form an interval. Within an interval order does not matter; across intervals it does, since evidence is
//! what could not have been foreseen. A row for a closed interval is late and counted, never squeezed in afterwards.

mod cell;
mod look;
mod metric;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::cell::{Cell, Tracks};
pub use self::look::{Look, MetricLook};
use self::metric::Metric;
use crate::combine::{Part, combine, shared};
use crate::prior::posterior;
use crate::rows::Row;
use crate::values::Direction;
use crate::verdict::{Levels, Reason, Ruling, Verdict};

/// When verdicts are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Looks {
    /// After every interval.
    #[default]
    Each,
    /// Once, after the last.
    End,
}

/// What is asked of the judge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Error rates, over all looks together.
    pub levels: Levels,
    /// Ratio that may not be let through, above 1. Default 1.25.
    pub margin: f64,
    /// Difference of failure rates that is of no concern, a share of units. Default 0.005.
    pub margin_abs: f64,
    /// Prior probability that the candidate is bad, within [0, 1]. Default 0.1.
    pub prior: f64,
    /// Relative risk for which the remaining time is told. Default 2.
    pub effect: f64,
    /// When verdicts are taken. Default after every interval.
    pub looks: Looks,
    /// Unix seconds from which the candidate runs; rows before it are a period of equal versions. Default none.
    pub change_at: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            levels: Levels::default(),
            margin: 1.25,
            margin_abs: 0.005,
            prior: 0.1,
            effect: 2.0,
            looks: Looks::Each,
            change_at: None,
        }
    }
}

/// What is known of a metric beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name.
    pub metric: String,
    /// Which way is worse; none for the usual: either for values, increase for failures and distributions.
    pub direction: Option<Direction>,
    /// Relative weight of its alarms, above 0.
    pub weight: f64,
    /// Whether nothing advances without evidence on it.
    pub critical: bool,
    /// Whether it is one series against its own past, whose rows come with their expectation as baseline
    /// ([`crate::series::as_tracks`]).
    pub alone: bool,
}

/// Why rows cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// One metric came as two kinds.
    #[error("metric {metric}: {new} after {old}")]
    KindChanged {
        /// The metric.
        metric: String,
        /// Its kind so far.
        old: &'static str,
        /// The kind of the refused row.
        new: &'static str,
    },
    /// A row has no track, and the judge compares tracks.
    #[error("metric {metric}: a row without a track beside rows with one")]
    Untracked {
        /// The metric.
        metric: String,
    },
    /// A single series needs the time of the change.
    #[error("rows without a track need the time of the change")]
    NoChange,
    /// A single series of distributions cannot be compared with itself.
    #[error("metric {metric}: histograms need a track")]
    SingleHistogram {
        /// The metric.
        metric: String,
    },
    /// There is nothing to judge.
    #[error("there are no rows")]
    NoRows,
}

/// Running evidence about any number of metrics.
#[derive(Clone, Debug)]
pub struct Judge {
    options: Options,
    metrics: BTreeMap<String, Metric>,
    open: BTreeMap<i64, BTreeMap<String, Cell>>,
    closed: Option<i64>,
    /// The first call of harm: a later look does not take it back.
    sealed: Option<Ruling>,
    late: u64,
    duplicates: u64,
    unpaired: u64,
}

/// Milliseconds of a time in seconds; what lies out of range is held at its end.
#[allow(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and rows are within range"
)]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

impl Judge {
    /// A judge without rows.
    #[must_use]
    pub const fn new(options: Options) -> Self {
        Self {
            options,
            metrics: BTreeMap::new(),
            open: BTreeMap::new(),
            closed: None,
            sealed: None,
            late: 0,
            duplicates: 0,
            unpaired: 0,
        }
    }

    /// Declares a metric, so that its share of alpha is fixed from the start and its absence is noticed.
    pub fn expect(&mut self, spec: &Spec) {
        self.metrics
            .entry(spec.metric.clone())
            .or_insert_with(|| Metric::new(spec));
    }

    /// Adds a row to its interval.
    ///
    /// # Errors
    /// [`JudgeError`] when the row contradicts earlier ones; the row is then not taken.
    pub fn push(&mut self, row: &Row) -> Result<(), JudgeError> {
        let time = milliseconds(row.time);
        if self.closed.is_some_and(|closed| time <= closed) {
            self.late = self.late.saturating_add(1);
            return Ok(());
        }
        let metric = self.metrics.entry(row.metric.clone()).or_insert_with(|| {
            Metric::new(&Spec {
                metric: row.metric.clone(),
                direction: row.direction,
                weight: row.weight.unwrap_or(1.0),
                critical: row.critical,
                alone: false,
            })
        });
        metric.accept(row)?;
        let Some(track) = row.track else {
            return Err(JudgeError::Untracked {
                metric: row.metric.clone(),
            });
        };
        let cell = self
            .open
            .entry(time)
            .or_default()
            .entry(row.metric.clone())
            .or_default();
        metric.note(track, cell.add(track, &row.sample));
        Ok(())
    }

    /// Times of the intervals that are still open, in seconds, ascending.
    pub fn open(&self) -> impl Iterator<Item = f64> {
        self.open.keys().map(|time| seconds(*time))
    }

    /// Closes every interval up to this time (in seconds), in order, and says what follows.
    pub fn close(&mut self, time: f64) -> Look {
        let until = milliseconds(time);
        let change = self.options.change_at.map(milliseconds);
        while let Some(entry) = self.open.first_entry().filter(|entry| *entry.key() <= until) {
            let (at, cells) = entry.remove_entry();
            let changed = change.is_none_or(|change| at >= change);
            for (name, mut cell) in cells {
                let Some(metric) = self.metrics.get_mut(&name) else {
                    continue;
                };
                let repeated = cell.settle(metric.parts());
                self.duplicates = self.duplicates.saturating_add(repeated);
                let unpaired = u64::from(changed && cell.is_alone() && !metric.alone());
                self.unpaired = self.unpaired.saturating_add(unpaired);
                metric.absorb(&self.options, &cell, at, changed);
            }
        }
        self.closed = Some(self.closed.map_or(until, |closed| closed.max(until)));
        self.look(time)
    }

    /// What the closed intervals say, as of a time in seconds.
    fn look(&mut self, time: f64) -> Look {
        let sum: f64 = self.metrics.values().map(Metric::weight).sum();
        let mut looks = Vec::with_capacity(self.metrics.len());
        let mut parts: Vec<Part> = Vec::with_capacity(self.metrics.len());
        let seen = |of: fn(Tracks) -> bool| self.metrics.values().any(|metric| of(metric.seen()));
        let served = Tracks {
            candidate: seen(|tracks| tracks.candidate),
            baseline: seen(|tracks| tracks.baseline),
        };
        for (name, metric) in &mut self.metrics {
            let levels = shared(&self.options.levels, metric.weight(), sum);
            let look = metric.look(name, &self.options, &levels, served);
            parts.push(Part {
                ruling: Ruling::new(look.verdict, look.reason),
                log_e_worse: look.log_e_worse,
                weight: metric.weight(),
                critical: metric.critical(),
            });
            looks.push(look);
        }
        let overall = combine(&parts, &self.options.levels);
        let ruling = self.sealed.unwrap_or(overall.ruling);
        if ruling.verdict == Verdict::Worse {
            self.sealed = Some(ruling);
        }
        let open = ruling.verdict == Verdict::Undecided || ruling.reason == Reason::TooFewSamples;
        let remaining = looks
            .iter()
            .filter_map(|look| look.remaining)
            .fold(None, |most: Option<f64>, seconds| {
                Some(most.map_or(seconds, |most| most.max(seconds)))
            });
        Look {
            time,
            verdict: ruling.verdict,
            reason: ruling.reason,
            posterior: posterior(self.options.prior, overall.log_e),
            e_worse: overall.log_e.exp().min(f64::MAX),
            remaining: remaining.filter(|_| open),
            metrics: looks,
            late: self.late,
            duplicates: self.duplicates,
            unpaired: self.unpaired,
            last: false,
        }
    }
}

/// Seconds of a time in milliseconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "times in range are below 2^53 milliseconds"
)]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
