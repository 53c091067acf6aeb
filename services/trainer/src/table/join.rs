//! A table of labels beside a table that the feature store answered for the same rows (`auspex features history`), put together as
//! one CSV: what is learned from is then what was known at each row's time, by the very reckoning that serves it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use tempfile::NamedTempFile;

use super::cell;
use crate::fault::{Fault, failed, invalid};

/// A column has a sister that says why its value is there or not: by that it is told from keys and times.
const STATUS: &str = "__status";
/// The time a row was asked for.
const TIME: &str = "event_timestamp";

/// Both tables as one.
#[derive(Debug)]
pub struct Joined {
    file: NamedTempFile,
    /// The features, in the order of their service.
    pub names: Vec<String>,
    /// SHA-256 of the feature store's table.
    pub sha256: String,
}

impl Joined {
    /// Where they lie, as CSV.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

/// Puts them together, row by row. `time` is the column of the labels that the feature store was asked with.
///
/// # Errors
/// [`Fault::Invalid`] when the file is none of the feature store's, or the rows are not the same ones.
pub fn joined(labels: &Path, features: &Path, time: Option<&str>) -> Result<Joined, Fault> {
    let wrong = |reason: String| invalid("--join", format!("{}: {reason}", features.display()));
    let file = File::open(features).map_err(|fault| wrong(fault.to_string()))?;
    let reader =
        SerializedFileReader::new(file).map_err(|fault| wrong(format!("is no Parquet file: {fault}")))?;
    let schema = reader.metadata().file_metadata().schema();
    let all: Vec<String> = schema
        .get_fields()
        .iter()
        .map(|field| field.name().to_owned())
        .collect();
    let names: Vec<String> = all
        .iter()
        .filter(|name| all.contains(&format!("{name}{STATUS}")))
        .cloned()
        .collect();
    if names.is_empty() {
        return Err(wrong(
            "is no table of the feature store: no column has its status beside it".to_owned(),
        ));
    }
    let mut rows = reader
        .get_row_iter(None)
        .map_err(|fault| wrong(fault.to_string()))?;
    let mut labelled = super::open(labels)?;
    let unreadable = |fault: csv::Error| super::unreadable(labels, &fault);
    let mut header = labelled.byte_headers().map_err(unreadable)?.clone();
    let at = header
        .iter()
        .position(|name| time.is_some_and(|time| name == time.as_bytes()));
    let mut out = csv::Writer::from_writer(NamedTempFile::new().map_err(failed)?);
    names.iter().for_each(|name| header.push_field(name.as_bytes()));
    out.write_byte_record(&header).map_err(failed)?;
    let mut record = csv::ByteRecord::new();
    while labelled.read_byte_record(&mut record).map_err(unreadable)? {
        let line = || super::line(labels, record.position());
        let row = rows.next().ok_or_else(|| {
            wrong(format!(
                "has fewer rows than the labels: none for line {}",
                line()
            ))
        })?;
        let row = row.map_err(|fault| wrong(fault.to_string()))?;
        let own = at.and_then(|at| cell::time(&super::text(&record, at)));
        same(own, &row).map_err(|reason| wrong(format!("line {}: {reason}", line())))?;
        names
            .iter()
            .for_each(|name| record.push_field(value(&row, name).as_bytes()));
        out.write_byte_record(&record).map_err(failed)?;
    }
    if rows.next().is_some() {
        return Err(wrong("has more rows than the labels".to_owned()));
    }
    let mut file = out.into_inner().map_err(failed)?;
    file.flush().map_err(failed)?;
    let bytes = std::fs::read(features).map_err(|fault| wrong(fault.to_string()))?;
    Ok(Joined {
        file,
        names,
        sha256: crate::artifact::sha256(&bytes),
    })
}

/// The values of these columns, row after row, of a table that the feature store answered; NaN is missing.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn values(table: bytes::Bytes, names: &[String]) -> Result<Vec<f32>, String> {
    let wrong = |fault: parquet::errors::ParquetError| format!("is no Parquet file: {fault}");
    let reader = SerializedFileReader::new(table).map_err(wrong)?;
    let mut values = Vec::new();
    for row in reader.get_row_iter(None).map_err(wrong)? {
        let row = row.map_err(wrong)?;
        for name in names {
            values.push(match field(&row, name) {
                Some(Field::Double(value)) => *value as f32,
                Some(Field::Null) => f32::NAN,
                _ => return Err(format!("has no number `{name}`")),
            });
        }
    }
    Ok(values)
}

fn field<'a>(row: &'a Row, name: &str) -> Option<&'a Field> {
    row.get_column_iter()
        .find(|(own, _)| own.as_str() == name)
        .map(|(_, field)| field)
}

/// A row of the labels and one of the features are about the same moment, to the millisecond.
fn same(own: Option<f64>, row: &Row) -> Result<(), String> {
    let asked = match field(row, TIME) {
        Some(Field::TimestampMillis(ms)) => *ms as f64 / 1000.0,
        Some(Field::TimestampMicros(us)) => *us as f64 / 1e6,
        _ => return Ok(()),
    };
    match own {
        Some(own) if (own - asked).abs() > 1e-3 => Err(format!(
            "the label's time is {own}, the features' {asked}: not the same rows in the same order"
        )),
        _ => Ok(()),
    }
}

/// A value as a cell; what is not there is empty.
fn value(row: &Row, name: &str) -> String {
    match field(row, name) {
        None | Some(Field::Null) => String::new(),
        Some(Field::Double(value)) => value.to_string(),
        Some(Field::Str(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Where a request's rows lie: its own table, or that with the feature store's beside it.
pub(crate) struct Source {
    joined: Option<Joined>,
    own: PathBuf,
}

impl Source {
    /// # Errors
    /// As [`joined`].
    pub(crate) fn of(own: &Path, join: Option<&Path>, time: Option<&str>) -> Result<Self, Fault> {
        let joined = join.map(|join| joined(own, join, time)).transpose()?;
        Ok(Self {
            joined,
            own: own.to_owned(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.joined.as_ref().map_or(&self.own, Joined::path)
    }

    /// The features of the feature store's table.
    pub(crate) fn names(&self) -> &[String] {
        self.joined.as_ref().map_or(&[], |joined| joined.names.as_slice())
    }

    /// SHA-256 of it.
    pub(crate) fn sha256(&self) -> Option<String> {
        self.joined.as_ref().map(|joined| joined.sha256.clone())
    }
}
