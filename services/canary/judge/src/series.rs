//! No concurrent baseline: one series before and after a change.
//!
//! What comes again is taken out first: the median of the same minute on earlier days, or weeks, or nothing, whichever foretells
//! the reference best. What remains is judged by [`crate::values::PastTest`], which takes neither its mean nor its scale nor its
//! autocorrelation as known.

use crate::judge::JudgeError;
use crate::rows::{Row, Sample, Track};
use crate::values::Direction;

const DAY: f64 = 86_400.0;
/// Days, and weeks, that are looked back.
const DAYS: u32 = 14;
const WEEKS: u32 = 5;
/// Latest points before the change that are judged alongside.
const HISTORY: usize = 4_032;
/// Points by which the ways of foretelling are compared, and the fewest that let one of them be thought of.
const COMPARED: usize = 500;
const FEWEST: usize = 60;

/// What comes again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Back {
    Weeks,
    Days,
    /// Nothing does: one level is expected.
    #[default]
    Level,
}

/// Seasonal expectation from a reference series.
#[derive(Clone, Debug, Default)]
pub struct Season {
    points: Vec<(f64, f64)>,
    /// Half of the usual step between points, in seconds.
    reach: f64,
    back: Back,
    /// The latest points of the reference with what the season had before them, and the median of what it leaves of them.
    latest: Vec<(f64, f64, f64)>,
    centre: Option<f64>,
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let upper = values.get(n / 2).copied()?;
    let lower = values.get(n.saturating_sub(1) / 2).copied()?;
    Some(0.5 * lower + 0.5 * upper)
}

impl Season {
    /// From points (unix seconds, value), for expectations at these times; what is not a number is left out.
    #[must_use]
    pub fn new(points: &[(f64, f64)], times: &[f64]) -> Self {
        let mut points: Vec<(f64, f64)> = points
            .iter()
            .copied()
            .filter(|(t, v)| t.is_finite() && v.is_finite())
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let steps = points
            .windows(2)
            .filter_map(|w| Some(w.get(1)?.0 - w.first()?.0))
            .filter(|s| *s > 0.0)
            .collect();
        let mut season = Self {
            points,
            reach: 0.5 * median(steps).unwrap_or(60.0),
            ..Self::default()
        };
        season.back = season.best(times);
        let from = season.points.len().saturating_sub(HISTORY);
        let latest = season.points.iter().skip(from);
        season.latest = latest
            .filter_map(|(t, v)| Some((*t, *v, season.usual(season.back, *t)?)))
            .collect();
        season.centre = median(season.latest.iter().map(|(_, v, usual)| v - usual).collect());
        season
    }

    /// The way back that foretells the reference best, among those that reach all these times.
    fn best(&self, times: &[f64]) -> Back {
        let every = self.points.len() / COMPARED + 1;
        let compared = || self.points.iter().step_by(every);
        let thin = times.len() / COMPARED + 1;
        let reaches = |back: &Back| {
            let all = times
                .iter()
                .step_by(thin)
                .all(|t| self.usual(*back, *t).is_some());
            all && compared()
                .filter(|(t, _)| self.usual(*back, *t).is_some())
                .count()
                >= FEWEST
        };
        let ways = [Back::Weeks, Back::Days, Back::Level].into_iter().filter(reaches);
        let ways: Vec<Back> = ways.collect();
        let all = |t: f64| ways.iter().all(|back| self.usual(*back, t).is_some());
        let common: Vec<(f64, f64)> = compared().copied().filter(|(t, _)| all(*t)).collect();
        let error = |back: Back| {
            let left = common
                .iter()
                .map(|(t, v)| v - self.usual(back, *t).unwrap_or(0.0));
            let left: Vec<f64> = left.collect();
            let centre = median(left.clone()).unwrap_or(0.0);
            left.iter().map(|d| (d - centre).abs()).sum::<f64>()
        };
        let errors = ways.iter().map(|back| (*back, error(*back)));
        let least = errors.min_by(|(_, a), (_, b)| a.total_cmp(b));
        least.map_or(Back::Level, |(back, _)| back)
    }

    /// The value nearest to a time, within half a step.
    fn at(&self, time: f64) -> Option<f64> {
        let next = self.points.partition_point(|(t, _)| *t < time);
        let around = self
            .points
            .get(next.saturating_sub(1)..(next + 1).min(self.points.len()))?;
        let near = around.iter().filter(|(t, _)| (t - time).abs() <= self.reach);
        near.min_by(|a, b| (a.0 - time).abs().total_cmp(&(b.0 - time).abs()))
            .map(|(_, v)| *v)
    }

    /// What the same time of earlier weeks, or of two earlier days at least, had.
    fn usual(&self, back: Back, time: f64) -> Option<f64> {
        let (period, most, least) = match back {
            Back::Weeks => (7.0 * DAY, WEEKS, 1),
            Back::Days => (DAY, DAYS, 2),
            Back::Level => return Some(0.0),
        };
        let past = (1..=most).filter_map(|k| self.at(time - f64::from(k) * period));
        let past: Vec<f64> = past.collect();
        if past.len() >= least { median(past) } else { None }
    }

    /// The latest points of the reference: time, value, expectation.
    fn past(&self) -> impl Iterator<Item = (f64, f64, Option<f64>)> {
        let expected = |usual: f64| self.centre.map(|centre| usual + centre);
        self.latest
            .iter()
            .map(move |(t, v, usual)| (*t, *v, expected(*usual)))
    }

    /// Expectation at a time; none without any reference.
    #[must_use]
    pub fn expected(&self, time: f64) -> Option<f64> {
        Some(self.usual(self.back, time)? + self.centre?)
    }
}

/// Rows without a track as rows of two tracks: the series is the candidate, its expectation the baseline.
///
/// # Errors
/// [`JudgeError`] for histograms, and when `change_at` (unix seconds) is not known.
pub fn as_tracks(rows: &[&Row], change_at: Option<f64>) -> Result<Vec<Row>, JudgeError> {
    let change = change_at.ok_or(JudgeError::NoChange)?;
    let mut names: Vec<&str> = rows.iter().map(|row| row.metric.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut tracked = Vec::with_capacity(2 * rows.len());
    for name in names {
        let mut series: Vec<(f64, f64, &Row)> = Vec::new();
        for row in rows.iter().copied().filter(|row| row.metric == name) {
            series.push((row.time, single(row)?, row));
        }
        series.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(mut pattern) = series.first().map(|(_, _, row)| (*row).clone()) else {
            continue;
        };
        // A rate of failures has a bad side, as failures have.
        if matches!(pattern.sample, Sample::Counts { .. }) {
            pattern.direction = pattern.direction.or(Some(Direction::Increase));
        }
        let before: Vec<(f64, f64)> = series
            .iter()
            .filter(|p| p.0 < change)
            .map(|p| (p.0, p.1))
            .collect();
        let after: Vec<(f64, f64)> = series
            .iter()
            .filter(|p| p.0 >= change)
            .map(|p| (p.0, p.1))
            .collect();
        let times: Vec<f64> = after.iter().map(|p| p.0).collect();
        let season = Season::new(&before, &times);
        let after = after.iter().map(|(t, v)| (*t, *v, season.expected(*t)));
        for (time, value, expected) in season.past().chain(after) {
            let row = |track, value| Row {
                time,
                track: Some(track),
                sample: Sample::Value(value),
                ..pattern.clone()
            };
            tracked.push(row(Track::Candidate, value));
            tracked.extend(expected.map(|expected| row(Track::Baseline, expected)));
        }
    }
    Ok(tracked)
}

/// A row of a single series as one value: failures as their rate.
fn single(row: &Row) -> Result<f64, JudgeError> {
    match &row.sample {
        Sample::Value(value) => Ok(*value),
        Sample::Counts { bad, total } => Ok(crate::numeric::real(*bad) / crate::numeric::real(*total)),
        Sample::Histogram(_) => Err(JudgeError::SingleHistogram {
            metric: row.metric.clone(),
        }),
    }
}
