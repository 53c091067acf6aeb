//! How many requests a service usually gets in this hour of the week, and how far it usually is off.

use std::collections::BTreeMap;

use auspex_proto::Timestamp;
use serde::{Deserialize, Serialize};

const HOUR_MS: i64 = 3_600_000;
/// Hours of a week; the clock is UTC, so the season moves by an hour twice a year where clocks do.
const WEEK: i64 = 168;
/// How many weeks an hour is remembered for.
const WEEKS: usize = 4;
/// How many differences are remembered.
const RESIDUALS: usize = 64;
/// 10-second samples before an hour counts: five minutes of them.
const ENOUGH: u32 = 30;
/// Requests a second that stand for none: below this a ratio says nothing.
const NOTHING: f64 = 0.1;
/// The least usual difference, of the logarithm: a tenth is noise.
const LEAST: f64 = 0.1;

/// Requests a second by hour of the week. At most 4.5 kB.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Season {
    /// The hour under way, since 1970.
    #[serde(rename = "h")]
    hour: i64,
    #[serde(rename = "s")]
    sum: f64,
    #[serde(rename = "n")]
    samples: u32,
    /// By hour of the week, the newest last.
    #[serde(rename = "c")]
    cells: BTreeMap<u8, Vec<f32>>,
    /// Sizes of the last differences, as logarithms; the newest last.
    #[serde(rename = "r")]
    residuals: Vec<f32>,
}

fn cell(hour: i64) -> u8 {
    u8::try_from(hour.rem_euclid(WEEK)).unwrap_or(0)
}

fn median(mut values: Vec<f32>) -> Option<f64> {
    values.sort_by(f32::total_cmp);
    let (low, high) = (
        values.get(values.len().checked_sub(1)? / 2)?,
        values.get(values.len() / 2)?,
    );
    Some((f64::from(*low) + f64::from(*high)) / 2.0)
}

fn log_ratio(rate: f64, normal: f64) -> f64 {
    ((rate + NOTHING) / (normal + NOTHING)).ln()
}

impl Season {
    /// Adds ten seconds' worth; those of an hour gone by are left out.
    pub fn add(&mut self, at: Timestamp, requests_per_second: f64) {
        let hour = at.0.div_euclid(HOUR_MS);
        if hour < self.hour {
            return;
        }
        if hour > self.hour {
            self.finish();
            (self.hour, self.sum, self.samples) = (hour, 0.0, 0);
        }
        self.sum += requests_per_second;
        self.samples += 1;
    }

    fn finish(&mut self) {
        if self.samples < ENOUGH {
            return;
        }
        let rate = self.sum / f64::from(self.samples);
        if let Some(normal) = self.normal(self.hour) {
            self.residuals.push(log_ratio(rate, normal).abs() as f32);
            if self.residuals.len() > RESIDUALS {
                self.residuals.remove(0);
            }
        }
        let cell = self.cells.entry(cell(self.hour)).or_default();
        cell.push(rate as f32);
        if cell.len() > WEEKS {
            cell.remove(0);
        }
    }

    /// The median of this hour of the week; before there is one, of this hour of any day.
    fn normal(&self, hour: i64) -> Option<f64> {
        let same = cell(hour);
        let own = self.cells.get(&same).cloned().and_then(median);
        own.or_else(|| {
            let day = self.cells.iter().filter(|(cell, _)| **cell % 24 == same % 24);
            median(day.flat_map(|(_, values)| values.iter().copied()).collect())
        })
    }

    /// A rate against what is normal at this time: the ratio, and the size of its logarithm in robust standard deviations,
    /// above 0 when there is more than usual.
    #[must_use]
    pub fn compare(&self, at: Timestamp, requests_per_second: f64) -> Option<(f64, f64)> {
        let normal = self.normal(at.0.div_euclid(HOUR_MS))?;
        let usual = median(self.residuals.clone()).unwrap_or(0.0) * 1.4826;
        let off = log_ratio(requests_per_second, normal);
        Some((off.exp(), off / usual.max(LEAST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_is_that_of_the_hour_of_the_week() {
        let mut season = Season::default();
        let rate = |hour: i64| if hour % 24 == 12 { 100.0 } else { 10.0 };
        for hour in 0..WEEK * 3 {
            for sample in 0..40 {
                season.add(Timestamp(hour * HOUR_MS + sample * 10_000), rate(hour));
            }
        }
        let noon = Timestamp((WEEK * 3 + 12) * HOUR_MS);
        let (ratio, off) = season.compare(noon, 100.0).unwrap();
        assert!((ratio - 1.0).abs() < 1e-6 && off.abs() < 1e-6);
        let (ratio, off) = season.compare(noon, 20.0).unwrap();
        assert!(ratio < 0.21 && off < -10.0);
        assert!(season.cells.len() == 168 && season.residuals.len() == RESIDUALS);
    }

    #[test]
    fn one_day_tells_of_the_next_and_nothing_tells_nothing() {
        let mut season = Season::default();
        assert_eq!(season.compare(Timestamp(0), 1.0), None);
        for sample in 0..360 {
            season.add(Timestamp(sample * 10_000), 5.0);
        }
        season.add(Timestamp(HOUR_MS), 5.0);
        let (ratio, _) = season.compare(Timestamp(24 * HOUR_MS), 10.0).unwrap();
        assert!((ratio - 10.1 / 5.1).abs() < 1e-6);
        assert_eq!(season.compare(Timestamp(25 * HOUR_MS), 10.0), None);
    }
}
