//! The second look at a table: what is wanted of it, in time order.

use std::path::Path;

use auspex_learn::Matrix;

use super::cell::{self, Cell};
use super::choice::{Choice, Feature};
use super::survey::Survey;
use crate::fault::{Fault, invalid};
use crate::sample::Sample;

/// Rows that are kept of a table; of a larger one every second, third ... row is.
pub const MOST_ROWS: u64 = 400_000;
/// Cells that are kept: 4 bytes each.
const MOST_CELLS: u64 = 64_000_000;

/// Where what is wanted stands in this file.
struct Places {
    label: usize,
    time: Option<usize>,
    group: Option<usize>,
    features: Vec<usize>,
    effort: Vec<usize>,
}

/// Reads what was chosen, in time order.
///
/// # Errors
/// [`Fault::Invalid`] naming column and line of an outcome or time that cannot be read.
pub fn load(path: &Path, survey: &Survey, choice: &Choice) -> Result<Sample, Fault> {
    let places = Places::of(survey, choice)?;
    let room = (MOST_CELLS / (choice.features.len() as u64 + 4)).min(MOST_ROWS);
    let stride = survey.rows.div_ceil(room.max(1)).max(1);
    let mut reader = super::open(path)?;
    let mut record = csv::ByteRecord::new();
    let mut sample = Sample {
        names: choice.features.iter().map(|f| f.name.clone()).collect(),
        stride,
        ..Sample::default()
    };
    let mut values = Vec::new();
    let mut number = 0;
    loop {
        let more = reader.read_byte_record(&mut record);
        if !more.map_err(|fault| super::unreadable(path, &fault))? {
            break;
        }
        number += 1;
        if (number - 1) % stride != 0 {
            continue;
        }
        let row = Row {
            path,
            record: &record,
            places: &places,
            choice,
        };
        let Some(failed) = row.outcome()? else {
            sample.unlabelled += 1;
            continue;
        };
        sample.labels.push(failed);
        sample.times.push(row.time(number)?);
        sample.groups.push(row.group());
        sample.effort.extend(row.effort());
        row.features(&mut values);
    }
    sample.table = Matrix::new(values, choice.features.len());
    if sample.labels.is_empty() {
        let reason = format!("`{}` holds no outcome in any row", choice.wanted.label);
        return Err(invalid("--label", reason));
    }
    Ok(sample.in_time_order())
}

impl Places {
    fn of(survey: &Survey, choice: &Choice) -> Result<Self, Fault> {
        let wanted = &choice.wanted;
        let optional = |option: &str, name: &Option<String>| {
            let found = name.as_ref().map(|name| survey.find(option, name));
            found.transpose()
        };
        let all = |option: &str, names: Vec<&String>| {
            let found = names.into_iter().map(|name| survey.find(option, name));
            found.collect::<Result<Vec<_>, Fault>>()
        };
        let places = Self {
            label: survey.find("--label", &wanted.label)?,
            time: optional("--time", &wanted.time)?,
            group: optional("--group", &wanted.group)?,
            features: all("--features", choice.features.iter().map(|f| &f.name).collect())?,
            effort: all("--effort", choice.effort.iter().collect())?,
        };
        for (place, feature) in places.features.iter().zip(&choice.features) {
            let Some(column) = survey.columns.get(*place) else {
                continue;
            };
            if let (None, Some((line, text))) = (&feature.codes, &column.first_text) {
                let reason = format!("line {line} holds `{text}`, which is not a number");
                return Err(invalid(format!("column `{}`", feature.name), reason));
            }
        }
        Ok(places)
    }
}

struct Row<'a> {
    path: &'a Path,
    record: &'a csv::ByteRecord,
    places: &'a Places,
    choice: &'a Choice,
}

impl Row<'_> {
    fn text(&self, column: usize) -> std::borrow::Cow<'_, str> {
        super::text(self.record, column)
    }

    fn line(&self) -> u64 {
        super::line(self.path, self.record.position())
    }

    fn outcome(&self) -> Result<Option<bool>, Fault> {
        let cell = self.text(self.places.label);
        cell::outcome(&cell).map_err(|cell::Neither| {
            let (line, name) = (self.line(), &self.choice.wanted.label);
            let reason = format!(
                "line {line} of `{name}` holds `{cell}`, which says neither failed nor passed (0 and 1, true and false, \
                 failed and passed)"
            );
            invalid("--label", reason)
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "rows stay far below 2^53")]
    fn time(&self, number: u64) -> Result<f64, Fault> {
        let Some(column) = self.places.time else {
            return Ok(number as f64);
        };
        let cell = self.text(column);
        cell::time(&cell).ok_or_else(|| {
            let name = self.choice.wanted.time.as_deref().unwrap_or_default();
            let reason = format!(
                "line {} of `{name}` holds `{cell}`, which is no time",
                self.line()
            );
            invalid("--time", reason)
        })
    }

    fn group(&self) -> u32 {
        let Some(column) = self.places.group else { return 0 };
        let cell = self.text(column);
        let found = self
            .choice
            .groups
            .binary_search_by(|name| name.as_str().cmp(cell.trim()));
        found.map_or(u32::MAX, |place| place as u32)
    }

    fn effort(&self) -> Option<f64> {
        let read = |column: &usize| match cell::number(&self.text(*column)) {
            Cell::Number(value) => value.max(0.0),
            _ => 0.0,
        };
        let columns = &self.places.effort;
        (!columns.is_empty()).then(|| columns.iter().map(read).sum())
    }

    fn features(&self, into: &mut Vec<f32>) {
        for (column, feature) in self.places.features.iter().zip(&self.choice.features) {
            into.push(value(&self.text(*column), feature));
        }
    }
}

fn value(cell: &str, feature: &Feature) -> f32 {
    match &feature.codes {
        Some(codes) => codes.get(cell.trim()).map_or(f32::NAN, |code| *code as f32),
        None => match cell::number(cell) {
            // What 32 bits cannot hold is as far as they reach.
            Cell::Number(value) => (value as f32).clamp(f32::MIN, f32::MAX),
            _ => f32::NAN,
        },
    }
}
