//! Rows of an input file: CSV or JSON lines, each checked field by field.

mod csv;
mod field;
mod json;
mod known;

use self::field::Fault;
pub use self::field::seconds;
use self::known::Known;
use crate::distributions::Histogram;
use crate::values::Direction;

/// How the text of a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header line, then one row per line; a histogram is a quoted JSON object.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

/// The version that a row speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Track {
    /// What is trusted.
    Baseline,
    /// What is on trial.
    Candidate,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// Units that failed, and all units.
    Counts {
        /// Failed units, at most `total`.
        bad: u64,
        /// All units.
        total: u64,
    },
    /// One sample of an interval, in the metric's unit. Not necessarily a number: a broken probe is reported as such.
    Value(f64),
    /// Units by value.
    Histogram(Histogram),
}

impl Sample {
    /// The kind, as [`crate::MetricLook::kind`] has it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Counts { .. } => "counts",
            Self::Value(_) => "value",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Unix time in seconds, to the millisecond.
    pub time: f64,
    /// The version; none for a single series before and after a change.
    pub track: Option<Track>,
    /// Name of the metric.
    pub metric: String,
    /// What was measured.
    pub sample: Sample,
    /// Which way is worse, when the row says so.
    pub direction: Option<Direction>,
    /// Relative weight of the metric, above 0, when the row says so.
    pub weight: Option<f64>,
    /// Whether nothing may advance without evidence on this metric.
    pub critical: bool,
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {field}: {reason}")]
pub struct RowError {
    /// The file as the caller named it.
    pub file: String,
    /// Line within it, from 1.
    pub line: usize,
    /// The field, or `row` for the whole.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Bad rows after which reading stops: a wrong file is wrong everywhere.
pub const MOST_ERRORS: usize = 20;

/// Reads a whole file, each row by itself. `file` is only used in errors.
///
/// # Errors
/// The first [`MOST_ERRORS`] bad rows.
pub fn parse(file: &str, text: &str, format: Format) -> Result<Vec<Row>, Vec<RowError>> {
    each(file, text, format, Ok)
}

/// Reads a whole file whose rows agree: a metric has one kind, one direction, one weight, and a track in every row or in none.
/// `file` is only used in errors.
///
/// # Errors
/// The first [`MOST_ERRORS`] bad rows, those that contradict earlier ones among them.
pub fn agreeing(file: &str, text: &str, format: Format) -> Result<Vec<Row>, Vec<RowError>> {
    let mut known = Known::default();
    each(file, text, format, |row| known.check(row))
}

fn each(
    file: &str,
    text: &str,
    format: Format,
    mut check: impl FnMut(Row) -> Result<Row, Fault>,
) -> Result<Vec<Row>, Vec<RowError>> {
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    // Spreadsheets begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let parsed: Box<dyn Iterator<Item = (usize, Result<Row, Fault>)> + '_> = match format {
        Format::Csv => Box::new(csv::rows(text)),
        Format::JsonLines => Box::new(json::rows(text)),
    };
    for (line, row) in parsed {
        match row.and_then(&mut check) {
            Ok(row) => rows.push(row),
            Err(Fault { field, reason }) => {
                errors.push(RowError {
                    file: file.to_owned(),
                    line,
                    field,
                    reason,
                });
                if errors.len() >= MOST_ERRORS {
                    break;
                }
            }
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}
