//! Columns made of those there are, without a look at any outcome: ratios of two, and what a row stands in, which is its hour and
//! how busy its group has been before it.

use std::collections::{BTreeMap, VecDeque};

use auspex_learn::Matrix;

use crate::fault::{Fault, invalid};
use crate::sample::Sample;
use crate::table::choice::{Choice, Feature};

const DAY: f64 = 86_400.0;

/// The columns that [`add`] adds, in order: seconds since the row before of the group, its rows in the last day, week and month,
/// hour of the day (UTC), day of the week (Monday is 0).
pub const NAMES: [&str; 6] = [
    "context.gap",
    "context.rows_1d",
    "context.rows_7d",
    "context.rows_30d",
    "time.hour",
    "time.weekday",
];

/// Hour of the day and day of the week.
#[must_use]
pub fn clock(time: f64) -> [f32; 2] {
    let days = time / DAY;
    // 1970-01-01 was a Thursday.
    let weekday = (days.floor() + 3.0).rem_euclid(7.0);
    [((days - days.floor()) * 24.0) as f32, weekday as f32]
}

/// The times of a group's rows that are not a month old yet.
#[derive(Default)]
struct Busy(VecDeque<f64>);

impl Busy {
    /// What stood before a row; then the row itself stands there.
    fn see(&mut self, time: f64, stride: f64) -> [f32; 4] {
        let gap = self.0.back().map_or(f64::NAN, |last| (time - last) / stride);
        while self.0.front().is_some_and(|first| time - first > 30.0 * DAY) {
            self.0.pop_front();
        }
        let within = |days: f64| {
            let older = self.0.partition_point(|before| time - before > days * DAY);
            (self.0.len() - older) as f64 * stride
        };
        let found = [gap, within(1.0), within(7.0), within(30.0)].map(|value| value as f32);
        self.0.push_back(time);
        found
    }
}

/// Puts more columns behind those of a sample, and their names behind those that were chosen.
fn append(sample: &mut Sample, choice: &mut Choice, names: &[&str], more: Vec<Vec<f32>>) {
    for name in names {
        if choice.features.iter().all(|feature| feature.name != *name) {
            choice.features.push(Feature {
                name: (*name).to_owned(),
                codes: None,
            });
        }
    }
    let width = sample.table.width() + names.len();
    let mut values = Vec::with_capacity(sample.rows() * width);
    for (row, more) in sample.table.iter().zip(&more) {
        values.extend_from_slice(row);
        values.extend_from_slice(more);
    }
    sample.table = Matrix::new(values, width);
}

/// Adds the columns of [`NAMES`]; with `history` hour and day are there already. `past` is what came before, when it is a
/// table of its own.
///
/// # Errors
/// [`Fault::Invalid`] when there is no time.
pub fn add(
    past: Option<&Sample>,
    sample: &mut Sample,
    choice: &mut Choice,
    history: bool,
) -> Result<(), Fault> {
    if choice.wanted.time.is_none() {
        return Err(invalid("--context", "needs the column with the time: --time"));
    }
    let names = if history {
        NAMES.get(..4).unwrap_or_default()
    } else {
        NAMES.as_slice()
    };
    let stride = sample.stride.max(1) as f64;
    let mut busy = BTreeMap::<u32, Busy>::new();
    if let Some(past) = past {
        for (time, group) in past.times.iter().zip(&past.groups) {
            busy.entry(*group).or_default().see(*time, stride);
        }
    }
    let more: Vec<Vec<f32>> = sample
        .times
        .iter()
        .zip(&sample.groups)
        .map(|(time, group)| {
            let before = busy.entry(*group).or_default().see(*time, stride);
            let all = before.into_iter().chain(clock(*time));
            all.take(names.len()).collect()
        })
        .collect();
    append(sample, choice, names, more);
    Ok(())
}

/// A ratio of sums of columns, as in `added+deleted/before`; a sum alone stands over 1.
struct Ratio {
    above: Vec<usize>,
    below: Vec<usize>,
}

impl Ratio {
    fn read(text: &str, choice: &Choice) -> Result<Self, Fault> {
        let (above, below) = text.split_once('/').unwrap_or((text, ""));
        let places = |sum: &str| -> Result<Vec<usize>, Fault> {
            let place = |name: &str| {
                let is = |feature: &Feature| feature.name == name.trim() && feature.codes.is_none();
                let found = choice.features.iter().position(is);
                let reason = || {
                    format!(
                        "`{text}`: `{}` is no column of numbers that is learned from",
                        name.trim()
                    )
                };
                found.ok_or_else(|| invalid("--ratios", reason()))
            };
            sum.split('+').map(place).collect()
        };
        Ok(Self {
            above: places(above)?,
            below: if below.is_empty() {
                Vec::new()
            } else {
                places(below)?
            },
        })
    }

    /// A division by nothing is missing, as in an expression of the feature store.
    fn of(&self, row: &[f32]) -> f32 {
        let sum = |places: &[usize]| -> f64 {
            let at = |place: &usize| row.get(*place).map_or(f64::NAN, |value| f64::from(*value));
            places.iter().map(at).sum()
        };
        let below = if self.below.is_empty() {
            1.0
        } else {
            sum(&self.below)
        };
        let value = sum(&self.above) / below;
        if below == 0.0 || !value.is_finite() {
            return f32::NAN;
        }
        (value as f32).clamp(f32::MIN, f32::MAX)
    }
}

/// Adds ratios.
///
/// # Errors
/// [`Fault::Invalid`] naming what is not among the columns, or is named twice.
pub fn ratios(wanted: &[String], sample: &mut Sample, choice: &mut Choice) -> Result<(), Fault> {
    let mut read = Vec::new();
    for (place, text) in wanted.iter().enumerate() {
        if wanted.iter().take(place).any(|before| before == text) {
            return Err(invalid("--ratios", format!("`{text}` is named twice")));
        }
        read.push(Ratio::read(text, choice)?);
    }
    let rows = sample.table.iter();
    let more = rows
        .map(|row| read.iter().map(|ratio| ratio.of(row)).collect())
        .collect();
    let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
    append(sample, choice, &names, more);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::choice::Wanted;

    fn made() -> (Sample, Choice) {
        let sample = Sample {
            table: Matrix::new(vec![4.0, 2.0, 1.0, 0.0, f32::NAN, 5.0], 2),
            labels: vec![true, false, true],
            times: vec![0.0, 3600.0 * 25.0, 3600.0 * 26.0],
            groups: vec![0, 0, 0],
            stride: 1,
            ..Sample::default()
        };
        let feature = |name: &str| Feature {
            name: name.to_owned(),
            codes: None,
        };
        let choice = Choice {
            features: vec![feature("a"), feature("b")],
            wanted: Wanted {
                time: Some("t".to_owned()),
                ..Wanted::default()
            },
            ..Choice::default()
        };
        (sample, choice)
    }

    #[test]
    fn a_row_stands_in_what_came_before_it() {
        let (mut sample, mut choice) = made();
        add(None, &mut sample, &mut choice, false).unwrap();
        assert_eq!(choice.features.len(), 8);
        assert!(sample.table.row(0)[2].is_nan());
        assert_eq!(sample.table.row(0)[3..], [0.0, 0.0, 0.0, 0.0, 3.0]);
        assert_eq!(sample.table.row(1)[2..], [90_000.0, 0.0, 1.0, 1.0, 1.0, 4.0]);
        assert_eq!(sample.table.row(2)[2..], [3600.0, 1.0, 2.0, 2.0, 2.0, 4.0]);
        // The outcomes have no say; what came before in a table of its own has.
        let (past, _) = made();
        let (mut later, mut choice) = made();
        later.times = later.times.iter().map(|t| t + 3600.0 * 27.0).collect();
        add(Some(&past), &mut later, &mut choice, true).unwrap();
        assert_eq!(later.table.row(0)[2..], [3600.0, 2.0, 3.0, 3.0]);
        choice.wanted.time = None;
        assert!(add(None, &mut later, &mut choice, false).is_err());
    }

    #[test]
    fn ratios_divide_sums_and_nothing_by_nothing() {
        let (mut sample, mut choice) = made();
        let wanted = ["a/b", "a+b", "a/a+b"].map(str::to_owned);
        ratios(&wanted, &mut sample, &mut choice).unwrap();
        assert_eq!(sample.table.row(0)[2..], [2.0, 6.0, 4.0 / 6.0]);
        assert!(sample.table.row(1)[2].is_nan() && sample.table.row(1)[4] == 1.0);
        assert!(sample.table.row(2)[2..].iter().all(|v| v.is_nan()));
        for (wrong, why) in [
            (vec!["a/c"], "`c` is no column"),
            (vec!["a/b", "a/b"], "twice"),
            (vec!["/b"], "``"),
        ] {
            let wrong: Vec<String> = wrong.into_iter().map(str::to_owned).collect();
            let (mut sample, mut choice) = made();
            let fault = ratios(&wrong, &mut sample, &mut choice).unwrap_err().to_string();
            assert!(fault.contains(why), "{fault}");
        }
    }
}
