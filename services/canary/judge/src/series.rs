//! No concurrent baseline: one series before and after a change.
//!
//! The baseline is made from the past: the median of the same minute on earlier days (of the same weekday once there are three
//! of them), plus how far the latest values lay from it. That expectation then plays the baseline's part in the paired tests,
//! whose period before the change bounds what it misses. Expectations age: the correction is frozen for a block at a time, before
//! the change as after it, so that the errors of both are alike.

use crate::judge::JudgeError;
use crate::rows::{Row, Sample, Track};
use crate::values::Direction;

const DAY: f64 = 86_400.0;
/// Days, and weeks, that are looked back.
const DAYS: u32 = 14;
const WEEKS: u32 = 5;
/// Points behind the correction, and for how many points it is frozen.
const RECENT: usize = 60;
const BLOCK: usize = 120;
/// Points before the change that are judged alongside.
const HISTORY: usize = 480;

/// Seasonal expectation from a reference series.
#[derive(Clone, Debug, Default)]
pub struct Season {
    points: Vec<(f64, f64)>,
    /// Half of the usual step between points, in seconds.
    reach: f64,
    /// Correction and level at the end of the reference.
    end: (Option<f64>, Option<f64>),
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let upper = values.get(n / 2).copied()?;
    let lower = values.get(n.saturating_sub(1) / 2).copied()?;
    Some(0.5 * lower + 0.5 * upper)
}

impl Season {
    /// From points (unix seconds, value); what is not a number is left out.
    #[must_use]
    pub fn new(points: &[(f64, f64)]) -> Self {
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
        let reach = 0.5 * median(steps).unwrap_or(60.0);
        let mut season = Self {
            points,
            reach,
            end: (None, None),
        };
        let end = season.points.len();
        season.end = (season.correction(end), season.level(end));
        season
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

    /// What the same time of earlier weeks, or days, would have; none with fewer than three weeks or two days.
    #[must_use]
    pub fn usual(&self, time: f64) -> Option<f64> {
        let back = |days: u32| self.at(time - f64::from(days) * DAY);
        let weeks: Vec<f64> = (1..=WEEKS).filter_map(|k| back(7 * k)).collect();
        if weeks.len() >= 3 {
            return median(weeks);
        }
        let days: Vec<f64> = (1..=DAYS).filter_map(back).collect();
        if days.len() >= 2 { median(days) } else { None }
    }

    /// How far the latest points before index `end` lay from what is usual (or from zero, without a season).
    fn correction(&self, end: usize) -> Option<f64> {
        let recent = self.points.get(end.saturating_sub(RECENT)..end)?;
        median(
            recent
                .iter()
                .map(|(t, v)| v - self.usual(*t).unwrap_or(0.0))
                .collect(),
        )
    }

    /// Expectations for the last points of the reference, each from what was known a block before: (time, value, expected).
    fn past(&self) -> Vec<(f64, f64, f64)> {
        let start = self
            .points
            .len()
            .saturating_sub(HISTORY)
            .max(RECENT.min(self.points.len() / 2));
        let mut rows = Vec::new();
        for block in (start..self.points.len()).step_by(BLOCK) {
            let Some(correction) = self.correction(block) else {
                continue;
            };
            let points = self
                .points
                .get(block..(block + BLOCK).min(self.points.len()))
                .unwrap_or_default();
            // A season that begins in the midst of a block would be a jump of our own making.
            let seasonal = points.iter().all(|(t, _)| self.usual(*t).is_some());
            let level = if seasonal { None } else { self.level(block) };
            let expected = |t: f64| level.unwrap_or_else(|| self.usual(t).unwrap_or(0.0) + correction);
            rows.extend(points.iter().map(|(t, v)| (*t, *v, expected(*t))));
        }
        rows
    }

    fn level(&self, end: usize) -> Option<f64> {
        let recent = self.points.get(end.saturating_sub(RECENT)..end)?;
        median(recent.iter().map(|(_, v)| *v).collect())
    }

    /// Expectation at a time after the reference; none without any reference.
    #[must_use]
    pub fn expected(&self, time: f64) -> Option<f64> {
        let (correction, level) = self.end;
        match self.usual(time) {
            Some(usual) => Some(usual + correction?),
            None => level,
        }
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
        let season = Season::new(&before);
        let after = series
            .iter()
            .filter(|p| p.0 >= change)
            .map(|p| (p.0, p.1, season.expected(p.0)));
        let past = season
            .past()
            .into_iter()
            .map(|(t, v, expected)| (t, v, Some(expected)));
        for (time, value, expected) in past.chain(after) {
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
