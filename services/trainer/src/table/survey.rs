//! The first look at a table: what each column holds.

use std::collections::BTreeMap;
use std::path::Path;

use super::cell::{self, Cell};
use crate::fault::{Fault, invalid};

/// Texts of a column that are kept apart; a column with more is free text.
pub const MOST_VALUES: usize = 1000;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Column {
    /// Its name; may be empty.
    pub name: String,
    /// Finite numbers.
    pub numbers: u64,
    /// Cells that hold nothing.
    pub missing: u64,
    /// Infinite numbers, read as missing.
    pub infinite: u64,
    /// Everything else.
    pub texts: u64,
    /// The first of those: line and text.
    pub first_text: Option<(u64, String)>,
    /// Smallest number.
    pub low: f64,
    /// Largest number.
    pub high: f64,
    /// Whether every cell is a number that is one more than the one before: a row number.
    pub counts_rows: bool,
    /// How often each text occurs; `None` when there are too many.
    pub values: Option<BTreeMap<String, u64>>,
    /// The number of the last row.
    last: f64,
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Its rows, without the header.
    pub rows: u64,
}

/// Looks through a table. Of the column that tells groups apart numbers are kept apart too, of the others texts alone.
///
/// # Errors
/// [`Fault::Invalid`] when it cannot be read, has no rows, lines of different length, or two columns of one name.
pub fn survey(path: &Path, group: Option<&str>) -> Result<Survey, Fault> {
    let mut reader = super::open(path)?;
    let header = reader
        .byte_headers()
        .map_err(|fault| super::unreadable(path, &fault))?
        .clone();
    let mut columns: Vec<Column> = (0..header.len())
        .map(|column| Column {
            name: super::text(&header, column).trim().to_owned(),
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            counts_rows: true,
            values: Some(BTreeMap::new()),
            ..Column::default()
        })
        .collect();
    twice(path, &columns)?;
    let mut record = csv::ByteRecord::new();
    let mut rows = 0;
    loop {
        let more = reader.read_byte_record(&mut record);
        if !more.map_err(|fault| super::unreadable(path, &fault))? {
            break;
        }
        let begins = record.position().map_or(0, csv::Position::byte);
        for (place, column) in columns.iter_mut().enumerate() {
            let apart = group == Some(column.name.as_str());
            column.see(&super::text(&record, place), (rows, begins), apart);
        }
        rows += 1;
    }
    if rows == 0 {
        return Err(invalid(path.display().to_string(), "has a header and no rows"));
    }
    number(path, &mut columns);
    Ok(Survey { columns, rows })
}

/// Turns where the first texts begin into lines.
fn number(path: &Path, columns: &mut [Column]) {
    let mut texts: Vec<&mut (u64, String)> =
        columns.iter_mut().filter_map(|c| c.first_text.as_mut()).collect();
    texts.sort_by_key(|(begins, _)| *begins);
    let begins: Vec<u64> = texts.iter().map(|(begins, _)| *begins).collect();
    for (text, line) in texts.into_iter().zip(super::lines(path, &begins)) {
        text.0 = line;
    }
}

fn twice(path: &Path, columns: &[Column]) -> Result<(), Fault> {
    let mut seen = std::collections::BTreeSet::new();
    let named = columns.iter().map(|column| column.name.as_str());
    match named
        .filter(|name| !name.is_empty())
        .find(|name| !seen.insert(*name))
    {
        Some(name) => Err(invalid(
            path.display().to_string(),
            format!("two columns are called `{name}`: nothing tells which one is meant"),
        )),
        None => Ok(()),
    }
}

impl Column {
    fn see(&mut self, cell: &str, (row, begins): (u64, u64), apart: bool) {
        let read = cell::number(cell);
        match read {
            Cell::Number(value) => {
                self.numbers += 1;
                self.low = self.low.min(value);
                self.high = self.high.max(value);
                self.counts_rows &= row == 0 || value == self.last + 1.0;
                self.last = value;
            }
            Cell::Missing => self.missing += 1,
            Cell::Infinite => self.infinite += 1,
            Cell::Text => {
                self.texts += 1;
                if self.first_text.is_none() {
                    self.first_text = Some((begins, cell.chars().take(40).collect()));
                }
            }
        }
        if !matches!(read, Cell::Number(_)) {
            self.counts_rows = false;
        }
        if !apart && read != Cell::Text {
            return;
        }
        if let Some(values) = &mut self.values {
            let value = cell.trim();
            if !value.is_empty() {
                match values.get_mut(value) {
                    Some(count) => *count += 1,
                    None => {
                        values.insert(value.to_owned(), 1);
                    }
                }
            }
            if values.len() > MOST_VALUES {
                self.values = None;
            }
        }
    }

    /// Whether all that it holds is one number, or nothing.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.texts == 0 && (self.numbers == 0 || (self.low == self.high && self.missing + self.infinite == 0))
    }
}

impl Survey {
    /// A column by its name.
    ///
    /// # Errors
    /// [`Fault::Invalid`] naming the option and the columns there are.
    pub fn find(&self, option: &str, name: &str) -> Result<usize, Fault> {
        let found = self.columns.iter().position(|column| column.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self
                .columns
                .iter()
                .map(|c| c.name.as_str())
                .filter(|n| !n.is_empty())
                .collect();
            let shown = if names.len() > 40 {
                format!(
                    "{} and {} more",
                    names.get(..40).unwrap_or_default().join(", "),
                    names.len() - 40
                )
            } else {
                names.join(", ")
            };
            invalid(option, format!("there is no column `{name}`; there are {shown}"))
        })
    }
}
