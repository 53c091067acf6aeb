//! Metrics over time: the port that a database stands behind, and what is asked and answered through it.

pub mod point;

use auspex_proto::Track;
use futures::future::BoxFuture;
use thiserror::Error;

pub use self::point::{Measure, Point};

/// The most windows that one series is answered with.
pub const MOST_WINDOWS: i64 = 10_000;
/// How many windows a question without a width is answered with.
const WINDOWS: i64 = 500;

/// A time-series database. Writing a point twice is writing it once: its place is its series and its start.
pub trait TimeSeries: Send + Sync + 'static {
    /// Its name, as settings have it.
    fn name(&self) -> &'static str;
    /// Writes points; all of them are there when it answers.
    fn write<'a>(&'a self, points: &'a [Point]) -> BoxFuture<'a, Result<(), WriteFault>>;
    /// What was measured, downsampled.
    fn range<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, anyhow::Result<Vec<Series>>>;
    /// Gives up what is older, where the database does not do that by itself.
    fn forget(&self, before_ms: i64) -> BoxFuture<'_, anyhow::Result<u64>>;
}

/// Why points are not written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteFault {
    /// The database is away or busy: the same points again, not before this many milliseconds when it says so.
    #[error("{reason}")]
    Away {
        /// What happened.
        reason: String,
        /// What it asked for.
        retry_after_ms: Option<u64>,
    },
    /// It will never take them.
    #[error("{0}")]
    Refused(String),
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which metric.
    pub metric: String,
    /// Whose; empty: everybody's.
    pub project: String,
    /// Which service's; empty: all.
    pub service: String,
    /// Which version's; `None`: all, and those not on trial.
    pub track: Option<Track>,
    /// Where; empty: everywhere.
    pub region: String,
    /// From when, on the grid of the windows, in unix milliseconds.
    pub from_ms: i64,
    /// Until when, exclusive, on the grid.
    pub to_ms: i64,
    /// Width of a window, in milliseconds.
    pub step_ms: i64,
}

impl Ask {
    /// Puts the ends on the grid of the windows, and chooses a width when none (0) is asked for.
    ///
    /// # Errors
    /// What is wrong with the question.
    pub fn on_grid(mut self) -> Result<Self, String> {
        if self.metric.is_empty() {
            return Err("metric: is empty".to_owned());
        }
        if self.from_ms < 0 || self.to_ms <= self.from_ms {
            return Err(format!(
                "from_ms: {} is not before to_ms, {}",
                self.from_ms, self.to_ms
            ));
        }
        let length = self.to_ms - self.from_ms;
        if self.step_ms == 0 {
            // Widths that people can read: a second, and doubling or so up to a day.
            let nice = [
                1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200,
            ];
            let fits = |seconds: &&i64| length / (*seconds * 1_000) <= WINDOWS;
            self.step_ms = nice
                .iter()
                .find(fits)
                .map_or(86_400_000, |seconds| seconds * 1_000);
        }
        if self.step_ms < 0 {
            return Err(format!("step_ms: {} is below 0", self.step_ms));
        }
        self.from_ms = self.from_ms.div_euclid(self.step_ms) * self.step_ms;
        let last = (self.to_ms - 1).div_euclid(self.step_ms);
        self.to_ms = last.saturating_add(1).saturating_mul(self.step_ms);
        let windows = (self.to_ms - self.from_ms) / self.step_ms;
        if windows > MOST_WINDOWS {
            return Err(format!(
                "step_ms: {} makes {windows} windows, at most {MOST_WINDOWS} are answered",
                self.step_ms
            ));
        }
        Ok(self)
    }
}

/// What was measured in one window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Window {
    /// Its start, in unix milliseconds.
    pub start_ms: i64,
    /// Measurements in it.
    pub points: u64,
    /// Bad units, of counts.
    pub bad: Option<u64>,
    /// All units, of counts and histograms.
    pub total: Option<u64>,
    /// The sum of a histogram's values.
    pub sum: Option<f64>,
    /// The mean of single values.
    pub mean: Option<f64>,
    /// The least single value.
    pub min: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
    /// The greatest median of a histogram's intervals.
    pub p50: Option<f64>,
    /// The greatest 95th percentile.
    pub p95: Option<f64>,
    /// The greatest 99th percentile.
    pub p99: Option<f64>,
}

impl Window {
    /// The one number a graph shows: the share of bad units, the mean of a histogram, the mean of values. `None` when nothing
    /// was counted: no data is not zero.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn value(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0).map(|total| total as f64);
        match (self.mean, self.sum, self.bad) {
            (Some(mean), _, _) => Some(mean),
            (_, Some(sum), _) => total.map(|total| sum / total),
            (_, _, Some(bad)) => total.map(|total| bad as f64 / total),
            _ => None,
        }
    }
}

/// One series of windows, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Whose.
    pub project: String,
    /// Which service's.
    pub service: String,
    /// Which version's.
    pub track: Option<Track>,
    /// Where.
    pub region: String,
    /// Those that there are.
    pub windows: Vec<Window>,
}

/// A track as databases keep it.
#[must_use]
pub fn track_text(track: Option<Track>) -> &'static str {
    match track {
        None => "none",
        Some(Track::Stable) => "stable",
        Some(Track::Candidate) => "candidate",
    }
}

/// The track behind that text.
#[must_use]
pub fn track_of(text: &str) -> Option<Track> {
    match text {
        "stable" => Some(Track::Stable),
        "candidate" => Some(Track::Candidate),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(from_ms: i64, to_ms: i64, step_ms: i64) -> Result<Ask, String> {
        Ask {
            metric: "m".to_owned(),
            project: String::new(),
            service: String::new(),
            track: None,
            region: String::new(),
            from_ms,
            to_ms,
            step_ms,
        }
        .on_grid()
    }

    #[test]
    fn a_question_comes_onto_the_grid_of_its_windows() {
        let asked = ask(61_001, 122_000, 60_000).unwrap();
        assert_eq!((asked.from_ms, asked.to_ms), (60_000, 180_000));
        assert_eq!(ask(0, 3_600_000, 0).unwrap().step_ms, 10_000);
        assert_eq!(ask(0, 60_000, 60_000).unwrap().to_ms, 60_000);
        assert!(ask(5, 5, 0).unwrap_err().contains("is not before"));
        assert!(ask(0, 86_400_000, 1_000).unwrap_err().contains("86400 windows"));
    }

    #[test]
    fn no_data_is_not_zero() {
        let window = Window {
            bad: Some(0),
            total: Some(0),
            ..Window::default()
        };
        assert_eq!(window.value(), None);
        let window = Window {
            bad: Some(1),
            total: Some(4),
            ..Window::default()
        };
        assert_eq!(window.value(), Some(0.25));
    }
}
