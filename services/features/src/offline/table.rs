//! Answers about the past as a table: join keys, time, values, and beside each value why it is there or not.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, UInt8Type};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt8Array};
use arrow_schema::{DataType, Field, Schema};
use auspex_algebra::{Cell, Status};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::files::{instant, parquet};
use super::{Answer, Labels};

/// How a table is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Parquet.
    #[default]
    Parquet,
    /// Arrow's file format.
    Arrow,
}

/// A status as its wire number: PRESENT 1, NULL 2, NOT_FOUND 3, EXPIRED 4.
#[must_use]
pub fn number(status: Status) -> u8 {
    match status {
        Status::Present => 1,
        Status::Null => 2,
        Status::NotFound => 3,
        Status::Expired => 4,
    }
}

/// The table of an answer.
///
/// # Errors
/// When it cannot be written.
pub fn table(
    names: &[String],
    labels: &[Labels],
    answer: &Answer,
    format: Format,
) -> anyhow::Result<Vec<u8>> {
    let keys: BTreeSet<&String> = labels.iter().flat_map(|label| label.asked.keys.keys()).collect();
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for key in keys {
        fields.push(Field::new(key, DataType::Utf8, true));
        let values = labels.iter().map(|label| label.asked.keys.get(key));
        columns.push(Arc::new(values.collect::<StringArray>()));
    }
    fields.push(Field::new("event_timestamp", instant(), false));
    let times: TimestampMillisecondArray = labels.iter().map(|label| Some(label.at)).collect();
    columns.push(Arc::new(times.with_timezone("UTC")));
    let beside: BTreeSet<&String> = labels.iter().flat_map(|label| label.beside.keys()).collect();
    for name in beside {
        let (field, column) = handed_through(name, labels);
        fields.push(field);
        columns.push(column);
    }
    for (place, name) in names.iter().enumerate() {
        let cell = |cells: &Vec<Cell>| {
            cells
                .get(place)
                .copied()
                .unwrap_or_else(|| Cell::absent(Status::NotFound))
        };
        fields.push(Field::new(name, DataType::Float64, true));
        let values = answer
            .iter()
            .map(|cells| Some(cell(cells).value).filter(|v| v.is_finite()));
        columns.push(Arc::new(values.collect::<Float64Array>()));
        fields.push(Field::new(format!("{name}__status"), DataType::UInt8, false));
        let statuses = answer.iter().map(|cells| number(cell(cells).status));
        columns.push(Arc::new(UInt8Array::from_iter_values(statuses)));
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    match format {
        Format::Parquet => parquet(&schema, &[batch]),
        Format::Arrow => {
            let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &schema)?;
            writer.write(&batch)?;
            Ok(writer.into_inner()?)
        }
    }
}

/// A column that stood beside the keys: numbers where all that is told are, else texts.
fn handed_through(name: &str, labels: &[Labels]) -> (Field, ArrayRef) {
    let told = || {
        labels
            .iter()
            .map(|label| label.beside.get(name).filter(|cell| !cell.is_empty()))
    };
    if told().flatten().all(|cell| numeric(cell).is_some()) {
        let numbers: Float64Array = told().map(|cell| numeric(cell?)).collect();
        (Field::new(name, DataType::Float64, true), Arc::new(numbers))
    } else {
        let texts: StringArray = told().collect();
        (Field::new(name, DataType::Utf8, true), Arc::new(texts))
    }
}

/// The greatest whole number up to which each has a place of its own among these numbers: 2^53.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// A cell as a number; none of what is a name: one with a needless zero, as 007 is, or too long to stay what it is.
fn numeric(cell: &str) -> Option<f64> {
    let digits = cell.trim_start_matches('-').as_bytes();
    let padded = digits.first() == Some(&b'0') && digits.get(1).is_some_and(u8::is_ascii_digit);
    let plain = digits.first().is_some_and(|c| c.is_ascii_digit() || *c == b'.');
    let number: f64 = cell.parse().ok().filter(|n: &f64| n.is_finite())?;
    let cut = number.abs() >= WHOLE && digits.iter().all(u8::is_ascii_digit);
    (plain && !padded && !cut).then_some(number)
}

/// Values and statuses of these features from a table, column by column: what [`table`] wrote as Parquet.
///
/// # Errors
/// When it is no such table.
pub fn columns(bytes: bytes::Bytes, names: &[String]) -> anyhow::Result<Vec<Vec<(f64, u8)>>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    let mut columns = vec![Vec::new(); names.len()];
    for batch in reader {
        let batch = batch?;
        for (column, name) in columns.iter_mut().zip(names) {
            let values = batch
                .column_by_name(name)
                .and_then(|c| c.as_primitive_opt::<Float64Type>().cloned());
            let statuses = batch.column_by_name(&format!("{name}__status"));
            let statuses = statuses.and_then(|c| c.as_primitive_opt::<UInt8Type>().cloned());
            let (values, statuses) = values
                .zip(statuses)
                .with_context(|| format!("there is no column {name}"))?;
            let value = |value: Option<f64>| value.unwrap_or(f64::NAN);
            column.extend(
                values
                    .iter()
                    .zip(&statuses)
                    .map(|(v, s)| (value(v), s.unwrap_or_default())),
            );
        }
    }
    Ok(columns)
}
