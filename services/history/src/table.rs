//! Facts and measurements as Parquet files.

use std::io::Write;
use std::sync::Arc;

use auspex_proto::wire::ArchivedFact;
use auspex_proto::{Fact, subject};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::search;
use crate::series::{Measure, Point, point, track_text};

/// Rows of one row group: what is held in memory at once.
const ROWS: usize = 8_192;

const FACTS: &str = "message fact {
  REQUIRED INT64 sequence (INTEGER(64, false));
  REQUIRED INT64 time (TIMESTAMP(MILLIS, true));
  REQUIRED INT64 log_created (TIMESTAMP(MILLIS, true));
  REQUIRED BYTE_ARRAY project (STRING);
  REQUIRED BYTE_ARRAY kind (STRING);
  REQUIRED BYTE_ARRAY leaf (STRING);
  REQUIRED BYTE_ARRAY id (STRING);
  REQUIRED INT64 event_time (TIMESTAMP(MILLIS, true));
  REQUIRED INT64 cause_sequence (INTEGER(64, false));
  REQUIRED BYTE_ARRAY source (STRING);
  REQUIRED BYTE_ARRAY fact (JSON);
  REQUIRED BYTE_ARRAY payload;
}";

const OBSERVATIONS: &str = "message observation {
  REQUIRED INT64 sequence (INTEGER(64, false));
  REQUIRED INT64 start (TIMESTAMP(MILLIS, true));
  REQUIRED INT64 length_ms;
  REQUIRED BYTE_ARRAY project (STRING);
  REQUIRED BYTE_ARRAY service (STRING);
  REQUIRED BYTE_ARRAY track (STRING);
  REQUIRED BYTE_ARRAY region (STRING);
  REQUIRED BYTE_ARRAY metric (STRING);
  REQUIRED BYTE_ARRAY instance (STRING);
  OPTIONAL INT64 bad;
  OPTIONAL INT64 total;
  OPTIONAL DOUBLE sum;
  OPTIONAL DOUBLE value;
  OPTIONAL DOUBLE p50;
  OPTIONAL DOUBLE p95;
  OPTIONAL DOUBLE p99;
}";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// One row per fact.
    Facts,
    /// One row per measurement.
    Observations,
}

/// A file being written.
pub struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    rows: Rows,
    columns: Vec<Column>,
    waiting: usize,
    written: u64,
}

impl<W: Write + Send> std::fmt::Debug for Table<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// The values of one column that wait for their row group.
#[derive(Debug)]
enum Column {
    Number(Vec<i64>),
    Text(Vec<ByteArray>),
    MaybeNumber(Vec<Option<i64>>),
    MaybeDouble(Vec<Option<f64>>),
}

/// One value.
enum Cell {
    N(i64),
    T(Vec<u8>),
    MaybeN(Option<i64>),
    MaybeD(Option<f64>),
}

impl<W: Write + Send> Table<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W, rows: Rows) -> anyhow::Result<Self> {
        let schema = Arc::new(parse_message_type(match rows {
            Rows::Facts => FACTS,
            Rows::Observations => OBSERVATIONS,
        })?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by(concat!("auspex ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Ok(Self {
            writer: SerializedFileWriter::new(out, schema, Arc::new(properties))?,
            rows,
            columns: columns(rows),
            waiting: 0,
            written: 0,
        })
    }

    /// Takes a fact in, or the measurements in it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, record: &ArchivedFact) -> anyhow::Result<()> {
        let fact = search::fact(record);
        match (self.rows, fact) {
            (Rows::Facts, fact) => self.row(fact_row(record, fact.as_ref()))?,
            (Rows::Observations, Some(Fact::Observations(batch))) => {
                for point in point::points(&batch) {
                    self.row(observation_row(record.sequence, &point))?;
                }
            }
            (Rows::Observations, _) => {}
        }
        Ok(())
    }

    /// Ends the file; answers how many rows it has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> anyhow::Result<(W, u64)> {
        self.flush()?;
        Ok((self.writer.into_inner()?, self.written))
    }

    fn row(&mut self, cells: Vec<Cell>) -> anyhow::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            match (column, cell) {
                (Column::Number(values), Cell::N(value)) => values.push(value),
                (Column::Text(values), Cell::T(value)) => values.push(ByteArray::from(value)),
                (Column::MaybeNumber(values), Cell::MaybeN(value)) => values.push(value),
                (Column::MaybeDouble(values), Cell::MaybeD(value)) => values.push(value),
                _ => anyhow::bail!("a cell of another type than its column"),
            }
        }
        self.waiting += 1;
        self.written += 1;
        if self.waiting >= ROWS {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.columns, columns(self.rows));
        let mut group = self.writer.next_row_group()?;
        full.iter().try_for_each(|column| write(&mut group, column))?;
        group.close()?;
        self.waiting = 0;
        Ok(())
    }
}

fn write<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: &Column,
) -> anyhow::Result<()> {
    let Some(mut out) = group.next_column()? else {
        anyhow::bail!("more columns than the file has");
    };
    match column {
        Column::Number(values) => {
            out.typed::<Int64Type>().write_batch(values, None, None)?;
        }
        Column::Text(values) => {
            out.typed::<ByteArrayType>().write_batch(values, None, None)?;
        }
        Column::MaybeNumber(values) => {
            let (there, levels) = present(values);
            out.typed::<Int64Type>()
                .write_batch(&there, Some(&levels), None)?;
        }
        Column::MaybeDouble(values) => {
            let (there, levels) = present(values);
            out.typed::<DoubleType>()
                .write_batch(&there, Some(&levels), None)?;
        }
    }
    Ok(out.close()?)
}

fn present<T: Copy>(values: &[Option<T>]) -> (Vec<T>, Vec<i16>) {
    let levels = values.iter().map(|value| i16::from(value.is_some())).collect();
    (values.iter().flatten().copied().collect(), levels)
}

fn columns(rows: Rows) -> Vec<Column> {
    let (n, t) = (|| Column::Number(Vec::new()), || Column::Text(Vec::new()));
    match rows {
        Rows::Facts => vec![n(), n(), n(), t(), t(), t(), t(), n(), n(), t(), t(), t()],
        Rows::Observations => {
            let mut columns = vec![n(), n(), n(), t(), t(), t(), t(), t(), t()];
            columns.extend((0..2).map(|_| Column::MaybeNumber(Vec::new())));
            columns.extend((0..5).map(|_| Column::MaybeDouble(Vec::new())));
            columns
        }
    }
}

fn fact_row(record: &ArchivedFact, fact: Option<&Fact>) -> Vec<Cell> {
    let address = subject::parse(&record.subject).ok();
    let text = |text: &str| Cell::T(text.as_bytes().to_vec());
    let project = address.as_ref().and_then(|a| subject::untoken(&a.project));
    let leaf = address.as_ref().and_then(|a| subject::untoken(&a.leaf));
    let meta = fact.map(Fact::meta);
    // The fact without the name of its kind around it: that is a column.
    let document = fact.and_then(|fact| serde_json::to_value(fact).ok());
    let document = document.map(|document| match document {
        serde_json::Value::Object(map) if map.len() == 1 => map.into_values().next().unwrap_or_default(),
        other => other,
    });
    vec![
        Cell::N(record.sequence.cast_signed()),
        Cell::N(record.time_ms),
        Cell::N(record.log_created_ms),
        text(project.as_deref().unwrap_or_default()),
        text(address.as_ref().map_or("", |a| a.kind.token())),
        text(leaf.as_deref().unwrap_or_default()),
        text(meta.map_or("", |meta| meta.id.as_str())),
        Cell::N(meta.map_or(record.time_ms, |meta| meta.time.0)),
        Cell::N(meta.map_or(0, |meta| meta.cause.cast_signed())),
        text(meta.map_or("", |meta| meta.source.as_str())),
        text(&document.map_or_else(|| "null".to_owned(), |document| document.to_string())),
        Cell::T(record.payload.clone()),
    ]
}

fn observation_row(sequence: u64, point: &Point) -> Vec<Cell> {
    let text = |text: &str| Cell::T(text.as_bytes().to_vec());
    let count = |n: u64| Some(i64::try_from(n).unwrap_or(i64::MAX));
    let (mut bad, mut total, mut sum, mut value, mut quantiles) = (None, None, None, None, [None; 3]);
    match &point.measure {
        Measure::Counts { bad: b, total: t } => (bad, total) = (count(*b), count(*t)),
        Measure::Gauge(v) => value = Some(*v),
        Measure::Histogram {
            total: t,
            sum: s,
            quantiles: q,
        } => {
            (total, sum) = (count(*t), Some(*s));
            quantiles = q.map_or([None; 3], |q| q.map(Some));
        }
    }
    let mut row = vec![
        Cell::N(sequence.cast_signed()),
        Cell::N(point.start_ms),
        Cell::N(point.length_ms),
        text(&point.project),
        text(&point.service),
        text(track_text(point.track)),
        text(&point.region),
        text(&point.metric),
        text(&point.instance),
        Cell::MaybeN(bad),
        Cell::MaybeN(total),
        Cell::MaybeD(sum),
        Cell::MaybeD(value),
    ];
    row.extend(quantiles.map(Cell::MaybeD));
    row
}
