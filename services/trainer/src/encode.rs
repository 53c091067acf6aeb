//! Texts and groups as numbers: each by its place when they are ordered by failure rate, as the oldest training rows show it,
//! so that a tree can cut them apart and the scorecard can weigh them.

use std::collections::BTreeMap;

use auspex_learn::Matrix;
use serde::{Deserialize, Serialize};

use crate::sample::Sample;
use crate::table::choice::Choice;

/// Share of the training rows that the order comes from: no row that the back-test scores is among them.
const OLDEST: f64 = 0.55;
/// Rows of the mean rate that a text with few rows is pulled to.
const PULL: f64 = 20.0;

/// Numbers of the texts of some columns.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Encoding {
    /// By column: each text with its number; a text that is not here is missing.
    pub columns: BTreeMap<String, BTreeMap<String, f32>>,
    /// The column that tells the groups apart, which stands last among the features; `None` without groups.
    pub group: Option<String>,
}

/// Learns the numbers.
#[must_use]
pub fn learn(choice: &Choice, train: &Sample) -> Encoding {
    let (oldest, _) = train.cut(OLDEST);
    let mut encoding = Encoding::default();
    for (column, feature) in choice.features.iter().enumerate() {
        let Some(codes) = &feature.codes else { continue };
        let values = oldest
            .iter()
            .map(|row| train.table.row(*row).get(column).copied());
        let found = values.map(|value| value.filter(|v| !v.is_nan()).map(|v| v as usize));
        let order = ordered(found, &oldest, train, codes.len());
        let numbers = codes.iter().map(|(text, code)| {
            let number = order.get(*code).copied().unwrap_or_default();
            (text.clone(), number)
        });
        encoding.columns.insert(feature.name.clone(), numbers.collect());
    }
    if let (Some(name), false) = (&choice.wanted.group, choice.groups.len() < 2) {
        let values = oldest
            .iter()
            .map(|row| train.groups.get(*row).map(|group| *group as usize));
        let order = ordered(values, &oldest, train, choice.groups.len());
        let numbers = choice.groups.iter().cloned().zip(order).collect();
        encoding.columns.insert(name.clone(), numbers);
        encoding.group = Some(name.clone());
    }
    encoding
}

/// The number of each code: its place by failure rate.
fn ordered(
    values: impl Iterator<Item = Option<usize>>,
    rows: &[usize],
    train: &Sample,
    codes: usize,
) -> Vec<f32> {
    let mut cells = vec![(0.0, 0.0); codes];
    for (value, row) in values.zip(rows) {
        if let Some(cell) = value.and_then(|value| cells.get_mut(value)) {
            *cell = (
                cell.0 + 1.0,
                cell.1 + f64::from(u8::from(train.labels.get(*row) == Some(&true))),
            );
        }
    }
    let all: (f64, f64) = cells.iter().fold((0.0, 0.0), |a, c| (a.0 + c.0, a.1 + c.1));
    let mean = all.1 / f64::max(all.0, 1.0);
    let rate = |code: usize| {
        cells
            .get(code)
            .map_or(mean, |c| (c.1 + PULL * mean) / (c.0 + PULL))
    };
    let mut order: Vec<usize> = (0..codes).collect();
    order.sort_by(|a, b| rate(*a).total_cmp(&rate(*b)));
    let mut places = vec![0.0; codes];
    for (place, code) in order.into_iter().enumerate() {
        if let Some(slot) = places.get_mut(code) {
            *slot = place as f32;
        }
    }
    places
}

/// Puts the numbers into a sample that was loaded by this choice, and adds the group's column.
pub fn apply(encoding: &Encoding, choice: &Choice, sample: &mut Sample) {
    let numbers: Vec<Option<Vec<f32>>> = choice
        .features
        .iter()
        .map(|feature| {
            let (codes, numbers) = (feature.codes.as_ref()?, encoding.columns.get(&feature.name)?);
            let mut by_code = vec![f32::NAN; codes.len()];
            for (text, code) in codes {
                if let (Some(slot), Some(number)) = (by_code.get_mut(*code), numbers.get(text)) {
                    *slot = *number;
                }
            }
            Some(by_code)
        })
        .collect();
    let of_group = encoding
        .group
        .as_ref()
        .and_then(|name| encoding.columns.get(name));
    let groups: Option<Vec<f32>> = of_group.map(|numbers| {
        let number = |name: &String| numbers.get(name).copied().unwrap_or(f32::NAN);
        choice.groups.iter().map(number).collect()
    });
    let width = sample.table.width() + usize::from(groups.is_some());
    let mut values = Vec::with_capacity(sample.rows() * width);
    for (row, group) in sample.table.iter().zip(&sample.groups) {
        for (value, numbers) in row.iter().zip(&numbers) {
            values.push(match numbers {
                None => *value,
                Some(_) if value.is_nan() => f32::NAN,
                Some(numbers) => numbers.get(*value as usize).copied().unwrap_or(f32::NAN),
            });
        }
        if let Some(groups) = &groups {
            values.push(groups.get(*group as usize).copied().unwrap_or(f32::NAN));
        }
    }
    sample.table = Matrix::new(values, width);
    sample.names = choice.features.iter().map(|f| f.name.clone()).collect();
    sample.names.extend(encoding.group.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::choice::{Feature, Wanted};

    #[test]
    fn texts_are_ordered_by_failure_rate_and_unknown_ones_are_missing() {
        let codes = BTreeMap::from([("a".to_owned(), 0), ("b".to_owned(), 1)]);
        let choice = Choice {
            wanted: Wanted {
                group: Some("project".to_owned()),
                ..Wanted::default()
            },
            features: vec![Feature {
                name: "kind".to_owned(),
                codes: Some(codes),
            }],
            groups: vec!["x".to_owned(), "y".to_owned()],
            ..Choice::default()
        };
        let rows = 400;
        let mut sample = Sample {
            table: Matrix::new((0..rows).map(|row| (row % 2) as f32).collect(), 1),
            labels: (0..rows).map(|row| row % 2 == 0 && row % 3 > 0).collect(),
            times: (0..rows).map(f64::from).collect(),
            groups: (0..rows).map(|row| u32::from(row % 4 < 2)).collect(),
            ..Sample::default()
        };
        let encoding = learn(&choice, &sample);
        assert_eq!(
            encoding.columns["kind"],
            BTreeMap::from([("a".to_owned(), 1.0), ("b".to_owned(), 0.0)])
        );
        sample.groups[0] = u32::MAX;
        apply(&encoding, &choice, &mut sample);
        assert_eq!(sample.names, ["kind", "project"]);
        assert_eq!(sample.table.row(0)[0], 1.0);
        assert!(sample.table.row(0)[1].is_nan() && !sample.table.row(1)[1].is_nan());
    }
}
