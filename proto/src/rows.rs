//! Rows of a source of features: what is written into the feature store.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::invalid::{Invalid, required};
use crate::meta::Meta;
use crate::time::Timestamp;
use crate::wire;

/// The most rows in one fact: each of their keys is given the whole of it.
pub const MOST_ROWS: usize = 256;
/// The longest name of an entity, in bytes.
pub const LONGEST_ENTITY: usize = 1_024;
/// The most columns of a shape.
pub const MOST_COLUMNS: usize = 256;

/// A batch of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureRows {
    /// The head.
    pub meta: Meta,
    /// A stream of our own, or the view they were pushed to.
    pub source: String,
    /// What they look like and what is kept of them.
    pub shape: RowShape,
    /// 1 to [`MOST_ROWS`].
    pub rows: Vec<FeatureRow>,
}

/// What rows look like and what is kept of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowShape {
    /// In order.
    pub columns: Vec<RowColumn>,
    /// Whether hops of five minutes, an hour, a day are kept.
    pub hops: [bool; 3],
    /// How long the latest row is remembered; `None`: for good.
    pub memory: Option<Duration>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowColumn {
    /// Its name.
    pub name: String,
    /// Whether it holds texts; else numbers.
    pub text: bool,
    /// Which aggregates are kept, as bits.
    pub keep: u32,
    /// Half-life of the mean that forgets.
    pub half_life: Duration,
}

/// What is told of one entity at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureRow {
    /// Join keys and values in order of the keys, as in `region=eu|service=shop`.
    pub entity: String,
    /// When it happened; never after `created`.
    pub event: Timestamp,
    /// When it became known.
    pub created: Timestamp,
    /// Equal ids are the same row.
    pub id: u64,
    /// The number columns in order.
    pub numbers: Vec<Option<f64>>,
    /// The text columns in order.
    pub texts: Vec<Option<String>>,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(ms: i64, field: &str) -> Result<Duration, Invalid> {
    let ms = u64::try_from(ms).map_err(|_| Invalid::new(field, "is below 0"))?;
    Ok(Duration::from_millis(ms))
}

impl RowShape {
    fn from_wire(shape: wire::FeatureShape) -> Result<Self, Invalid> {
        if shape.columns.is_empty() || shape.columns.len() > MOST_COLUMNS {
            let told = format!(
                "are {}, from 1 to {MOST_COLUMNS} are allowed",
                shape.columns.len()
            );
            return Err(Invalid::new("shape.columns", told));
        }
        let column = |column: wire::FeatureColumn| {
            if column.name.is_empty() || column.name.len() > 128 {
                return Err(Invalid::new("shape.columns.name", "is not 1 to 128 bytes long"));
            }
            Ok(RowColumn {
                name: column.name,
                text: column.text,
                keep: column.keep,
                half_life: duration(column.half_life_ms, "shape.columns.half_life_ms")?,
            })
        };
        let memory = duration(shape.memory_ms, "shape.memory_ms")?;
        Ok(Self {
            columns: shape.columns.into_iter().map(column).collect::<Result<_, _>>()?,
            hops: [shape.fine, shape.hourly, shape.daily],
            memory: (!memory.is_zero()).then_some(memory),
        })
    }

    fn to_wire(&self) -> wire::FeatureShape {
        let [fine, hourly, daily] = self.hops;
        let column = |column: &RowColumn| wire::FeatureColumn {
            name: column.name.clone(),
            text: column.text,
            keep: column.keep,
            half_life_ms: millis(column.half_life),
        };
        wire::FeatureShape {
            columns: self.columns.iter().map(column).collect(),
            fine,
            hourly,
            daily,
            memory_ms: self.memory.map_or(0, millis),
        }
    }

    /// How many columns hold numbers, and how many texts.
    #[must_use]
    pub fn widths(&self) -> (usize, usize) {
        let texts = self.columns.iter().filter(|column| column.text).count();
        (self.columns.len() - texts, texts)
    }
}

impl FeatureRow {
    fn from_wire(row: wire::FeatureRow, widths: (usize, usize)) -> Result<Self, Invalid> {
        if row.entity.is_empty() || row.entity.len() > LONGEST_ENTITY {
            let told = format!("is not 1 to {LONGEST_ENTITY} bytes long");
            return Err(Invalid::new("entity", told));
        }
        if row.event_ms > row.created_ms {
            return Err(Invalid::new("event_ms", "is after created_ms"));
        }
        if (row.numbers.len(), row.texts.len()) != widths {
            return Err(Invalid::new("numbers", "are not as many as the shape has"));
        }
        Ok(Self {
            entity: row.entity,
            event: Timestamp(row.event_ms),
            created: Timestamp(row.created_ms),
            id: row.id,
            numbers: row
                .numbers
                .into_iter()
                .map(|v| Some(v).filter(|v| v.is_finite()))
                .collect(),
            texts: row
                .texts
                .into_iter()
                .map(|t| Some(t).filter(|t| !t.is_empty()))
                .collect(),
        })
    }

    fn to_wire(&self) -> wire::FeatureRow {
        wire::FeatureRow {
            entity: self.entity.clone(),
            event_ms: self.event.0,
            created_ms: self.created.0,
            id: self.id,
            numbers: self.numbers.iter().map(|v| v.unwrap_or(f64::NAN)).collect(),
            texts: self.texts.iter().map(|t| t.clone().unwrap_or_default()).collect(),
        }
    }
}

impl FeatureRows {
    pub(crate) fn from_wire(batch: wire::FeatureRows) -> Result<Self, Invalid> {
        if batch.source.is_empty() || batch.source.len() > 128 {
            return Err(Invalid::new("source", "is not 1 to 128 bytes long"));
        }
        if batch.rows.is_empty() || batch.rows.len() > MOST_ROWS {
            let told = format!("are {}, from 1 to {MOST_ROWS} are allowed", batch.rows.len());
            return Err(Invalid::new("rows", told));
        }
        let shape = RowShape::from_wire(required(batch.shape, "shape")?)?;
        let widths = shape.widths();
        let row = |(i, row)| {
            FeatureRow::from_wire(row, widths).map_err(|fault| fault.within(&format!("rows[{i}]")))
        };
        Ok(Self {
            meta: Meta::from_wire(batch.meta)?,
            source: batch.source,
            rows: batch
                .rows
                .into_iter()
                .enumerate()
                .map(row)
                .collect::<Result<_, _>>()?,
            shape,
        })
    }

    pub(crate) fn to_wire(&self) -> wire::FeatureRows {
        wire::FeatureRows {
            meta: self.meta.to_wire(),
            source: self.source.clone(),
            shape: Some(self.shape.to_wire()),
            rows: self.rows.iter().map(FeatureRow::to_wire).collect(),
        }
    }
}
