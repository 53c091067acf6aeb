//! Partial aggregates: what is kept of the rows of a hop, so that hops make windows. Intermediate results, never values:
//! the mean of means is no mean.

use serde::{Deserialize, Serialize};

use crate::row::{Column, Keep, Row, Shape, Value};
use crate::{Decayed, Distinct, Exact, Moments, Sketch};

/// The last value: the greatest event time, among equals the latest known, among these the greatest id.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// When it happened, when it was known, which row.
    #[serde(rename = "o")]
    pub order: (i64, i64, u64),
    /// It; NaN of a text.
    #[serde(rename = "v")]
    pub value: f64,
}

/// What is kept of one column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Partial {
    /// Values that are there.
    #[serde(rename = "n")]
    pub count: u64,
    /// Their sum.
    #[serde(rename = "s", skip_serializing_if = "Exact::is_zero")]
    pub sum: Exact,
    /// For the variance.
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    pub moments: Option<Moments>,
    /// Least and greatest.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// The last.
    #[serde(rename = "l", skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
    /// Different ones.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub distinct: Option<Distinct>,
    /// Quantiles.
    #[serde(rename = "q", skip_serializing_if = "Option::is_none")]
    pub sketch: Option<Sketch>,
    /// The mean that forgets.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    pub decayed: Option<Decayed>,
}

impl Partial {
    /// Adds a value of a row.
    pub fn add(&mut self, column: &Column, row: &Row, value: &Value) {
        let Some(hash) = value.hash() else { return };
        self.count += 1;
        if column.keep.holds(Keep::DISTINCT) {
            self.distinct.get_or_insert_default().add(hash);
        }
        let number = value.number();
        if column.keep.holds(Keep::LAST) {
            self.keep_last(Last {
                order: (row.event, row.created, row.id),
                value: number.unwrap_or(f64::NAN),
            });
        }
        let Some(number) = number else { return };
        self.sum.add(number);
        if column.keep.holds(Keep::MOMENTS) {
            self.moments.get_or_insert_default().add(number);
        }
        if column.keep.holds(Keep::RANGE) {
            let (low, high) = self.range.unwrap_or((number, number));
            self.range = Some((low.min(number), high.max(number)));
        }
        if column.keep.holds(Keep::QUANTILE) {
            self.sketch.get_or_insert_default().add(number);
        }
        if column.keep.holds(Keep::DECAYED) {
            let sample = Decayed::of(row.event, number);
            self.decayed
                .get_or_insert_default()
                .merge(&sample, column.half_life);
        }
    }

    fn keep_last(&mut self, last: Last) {
        if self.last.is_none_or(|held| held.order < last.order) {
            self.last = Some(last);
        }
    }

    /// Adds what another holds.
    pub fn merge(&mut self, column: &Column, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        if let Some(theirs) = &other.moments {
            self.moments.get_or_insert_default().merge(theirs);
        }
        if let Some((low, high)) = other.range {
            let own = self.range.unwrap_or((low, high));
            self.range = Some((own.0.min(low), own.1.max(high)));
        }
        if let Some(last) = other.last {
            self.keep_last(last);
        }
        if let Some(theirs) = &other.distinct {
            self.distinct.get_or_insert_default().merge(theirs);
        }
        if let Some(theirs) = &other.sketch {
            self.sketch.get_or_insert_default().merge(theirs);
        }
        if let Some(theirs) = &other.decayed {
            self.decayed
                .get_or_insert_default()
                .merge(theirs, column.half_life);
        }
    }
}

/// What is kept of the rows of a hop, or of a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hop {
    /// Rows.
    #[serde(rename = "n")]
    pub rows: u64,
    /// By column.
    #[serde(rename = "c")]
    pub columns: Vec<Partial>,
}

impl Hop {
    /// Adds a row.
    pub fn add(&mut self, shape: &Shape, row: &Row) {
        self.rows += 1;
        self.columns.resize_with(shape.columns.len(), Partial::default);
        for ((partial, column), value) in self.columns.iter_mut().zip(&shape.columns).zip(&row.values) {
            partial.add(column, row, value);
        }
    }

    /// Adds another hop.
    pub fn merge(&mut self, shape: &Shape, other: &Self) {
        self.rows += other.rows;
        self.columns.resize_with(shape.columns.len(), Partial::default);
        for ((partial, column), theirs) in self.columns.iter_mut().zip(&shape.columns).zip(&other.columns) {
            partial.merge(column, theirs);
        }
    }
}
