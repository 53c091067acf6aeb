//! Rows as Parquet, and back.

use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMillisecondType, UInt64Type};
use arrow_array::{
    Array, ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use auspex_algebra::{Row, Shape, Value};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Wanted;

/// A row with whose it is and where it stood in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Whose.
    pub entity: String,
    /// It.
    pub row: Row,
    /// Where it stood in the log; 0: nowhere.
    pub seq: u64,
}

const ENTITY: &str = "__entity";
const EVENT: &str = "event_timestamp";
const CREATED: &str = "created";
const ID: &str = "__id";
const SEQ: &str = "__seq";

/// A moment, in milliseconds since 1970, UTC.
pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// A Parquet file of these batches.
pub(super) fn parquet(schema: &Arc<Schema>, batches: &[RecordBatch]) -> anyhow::Result<Vec<u8>> {
    let level = ZstdLevel::try_new(3).context("the level of zstd")?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?)
}

/// Rows of one shape as a file.
///
/// # Errors
/// When they are not of that shape.
pub fn write(shape: &Shape, rows: &[Stored]) -> anyhow::Result<Vec<u8>> {
    let mut fields = vec![
        Field::new(ENTITY, DataType::Utf8, false),
        Field::new(EVENT, instant(), false),
        Field::new(CREATED, instant(), false),
        Field::new(ID, DataType::UInt64, false),
        Field::new(SEQ, DataType::UInt64, false),
    ];
    let moments = |of: fn(&Row) -> i64| -> ArrayRef {
        let values: TimestampMillisecondArray = rows.iter().map(|stored| Some(of(&stored.row))).collect();
        Arc::new(values.with_timezone("UTC"))
    };
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(
            rows.iter().map(|stored| &stored.entity),
        )),
        moments(|row| row.event),
        moments(|row| row.created),
        Arc::new(UInt64Array::from_iter_values(
            rows.iter().map(|stored| stored.row.id),
        )),
        Arc::new(UInt64Array::from_iter_values(
            rows.iter().map(|stored| stored.seq),
        )),
    ];
    for (place, column) in shape.columns.iter().enumerate() {
        let values = rows.iter().map(|stored| stored.row.values.get(place));
        if column.text {
            fields.push(Field::new(&column.name, DataType::Utf8, true));
            let text = |value: Option<&Value>| match value {
                Some(Value::Text(text)) => Some(text.clone()),
                _ => None,
            };
            columns.push(Arc::new(values.map(text).collect::<StringArray>()));
        } else {
            fields.push(Field::new(&column.name, DataType::Float64, true));
            let numbers = values.map(|value| value.and_then(Value::number));
            columns.push(Arc::new(numbers.collect::<Float64Array>()));
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    parquet(&schema, &[batch])
}

/// The rows of a file that are wanted. A column that the file has not, or has otherwise, is null.
///
/// # Errors
/// When it is no such file.
pub fn read(bytes: bytes::Bytes, wanted: &Wanted<'_>) -> anyhow::Result<Vec<Stored>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?
        .with_batch_size(8_192)
        .build()?;
    let mut rows = Vec::new();
    for batch in reader {
        read_batch(&batch?, wanted, &mut rows)?;
    }
    Ok(rows)
}

fn read_batch(batch: &RecordBatch, wanted: &Wanted<'_>, rows: &mut Vec<Stored>) -> anyhow::Result<()> {
    let column = |name: &str| {
        batch
            .column_by_name(name)
            .with_context(|| format!("there is no column {name}"))
    };
    let entities = column(ENTITY)?
        .as_string_opt::<i32>()
        .context("entities are no texts")?;
    let moments = |name: &str| -> anyhow::Result<TimestampMillisecondArray> {
        let found = column(name)?.as_primitive_opt::<TimestampMillisecondType>();
        Ok(found.with_context(|| format!("{name} is no time"))?.clone())
    };
    let numbers = |name: &str| -> anyhow::Result<UInt64Array> {
        let found = column(name)?.as_primitive_opt::<UInt64Type>();
        Ok(found.with_context(|| format!("{name} is no number"))?.clone())
    };
    let (events, created) = (moments(EVENT)?, moments(CREATED)?);
    let (ids, seqs) = (numbers(ID)?, numbers(SEQ)?);
    let values: Vec<Option<&ArrayRef>> = wanted
        .shape
        .columns
        .iter()
        .map(|column| {
            let found = batch.column_by_name(&column.name)?;
            (column.text == (*found.data_type() == DataType::Utf8)).then_some(found)
        })
        .collect();
    for at in 0..batch.num_rows() {
        let (event, entity) = (events.value(at), entities.value(at));
        if event < wanted.events.0 || event > wanted.events.1 || !wanted.whose.has(entity) {
            continue;
        }
        let row = Row {
            event,
            created: created.value(at),
            id: ids.value(at),
            values: values.iter().map(|column| value(*column, at)).collect(),
        };
        rows.push(Stored {
            entity: entity.to_owned(),
            row,
            seq: seqs.value(at),
        });
    }
    Ok(())
}

fn value(column: Option<&ArrayRef>, at: usize) -> Value {
    let Some(column) = column.filter(|column| column.is_valid(at)) else {
        return Value::Null;
    };
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        Value::Number(numbers.value(at))
    } else if let Some(texts) = column.as_string_opt::<i32>() {
        Value::Text(texts.value(at).to_owned())
    } else {
        Value::Null
    }
}
