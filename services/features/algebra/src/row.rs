//! What a source tells: rows of one shape, and what is said of a value.

use serde::{Deserialize, Serialize};

use crate::distinct::hash;

/// Why a value is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// There.
    Present,
    /// The entity is known; the source says there is no value, or the window is empty.
    Null,
    /// Nobody has told of the entity, or so long ago that it is forgotten.
    NotFound,
    /// What was told last is older than its time to live.
    Expired,
}

/// A value of a feature at a time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Cell {
    /// It; the feature's default, else NaN, unless it is [`Status::Present`].
    pub value: f64,
    /// Why.
    pub status: Status,
}

impl Cell {
    /// A value that is there; one that is not finite is [`Status::Null`].
    #[must_use]
    pub fn of(value: Option<f64>) -> Self {
        match value.filter(|v| v.is_finite()) {
            Some(value) => Self {
                value,
                status: Status::Present,
            },
            None => Self::absent(Status::Null),
        }
    }

    /// A value that is not there.
    #[must_use]
    pub fn absent(status: Status) -> Self {
        Self {
            value: f64::NAN,
            status,
        }
    }

    /// It, when it is there.
    #[must_use]
    pub fn present(&self) -> Option<f64> {
        (self.status == Status::Present).then_some(self.value)
    }
}

/// NaN equals NaN here.
impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status
            && (self.value == other.value || (self.value.is_nan() && other.value.is_nan()))
    }
}

/// One column of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// The source says: none.
    #[serde(rename = "-")]
    Null,
    /// A finite number.
    #[serde(rename = "n")]
    Number(f64),
    /// A text: it can be counted and told apart.
    #[serde(rename = "t")]
    Text(String),
}

impl Value {
    /// The number, when it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Null | Self::Text(_) => None,
        }
    }

    /// A hash that tells it apart; `None` of no value.
    #[must_use]
    pub fn hash(&self) -> Option<u64> {
        match self {
            Self::Null => None,
            // -0 is 0.
            Self::Number(number) => Some(hash(&(number + 0.0).to_bits().to_le_bytes())),
            Self::Text(text) => Some(hash(text.as_bytes())),
        }
    }
}

/// What one source tells of one entity at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When it happened, milliseconds; never after `created`.
    pub event: i64,
    /// When it became known, milliseconds.
    pub created: i64,
    /// Equal ids are the same row.
    pub id: u64,
    /// One value per column of the shape; what is missing at the end is null.
    pub values: Vec<Value>,
}

/// Which aggregates of a column are kept. Count, sum and mean always are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Keep(pub u32);

impl Keep {
    /// Variance.
    pub const MOMENTS: Self = Self(1);
    /// Least and greatest.
    pub const RANGE: Self = Self(2);
    /// The last value and its age.
    pub const LAST: Self = Self(4);
    /// How many different ones.
    pub const DISTINCT: Self = Self(8);
    /// Quantiles.
    pub const QUANTILE: Self = Self(16);
    /// The mean that forgets.
    pub const DECAYED: Self = Self(32);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of these are kept.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Whether it holds texts; else numbers.
    pub text: bool,
    /// What is kept of it in windows.
    pub keep: Keep,
    /// Half-life of the mean that forgets, milliseconds; 0 where none is kept.
    pub half_life: i64,
}

/// What rows of a source look like, and what is kept of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// In the order of the values.
    pub columns: Vec<Column>,
    /// Whether hops of these widths are kept, the finest first; none: the latest row alone.
    pub hops: [bool; 3],
    /// How long the latest row is remembered, milliseconds; 0: for good.
    pub memory: i64,
}

impl Shape {
    /// The place of a column.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The widths of hops that are kept.
    pub fn resolutions(&self) -> impl Iterator<Item = crate::Resolution> {
        let kept = self.hops;
        crate::Resolution::ALL
            .into_iter()
            .zip(kept)
            .filter_map(|(resolution, kept)| kept.then_some(resolution))
    }

    /// A short hash of what rows mean and what is kept of them: rows of another shape are kept apart. How long the latest
    /// row is remembered is no part of it.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut text = format!("{:?}", self.hops);
        for column in &self.columns {
            text.push_str(&format!(
                "\n{}:{}:{}:{}",
                column.name, column.text, column.keep.0, column.half_life
            ));
        }
        format!("{:08x}", hash(text.as_bytes()) >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_another_when_its_meaning_is() {
        let column = |keep| Column {
            name: "a".to_owned(),
            text: false,
            keep,
            half_life: 0,
        };
        let shape = Shape {
            columns: vec![column(Keep::RANGE)],
            hops: [true, false, false],
            memory: 5,
        };
        let same = Shape {
            memory: 7,
            ..shape.clone()
        };
        let other = Shape {
            columns: vec![column(Keep::MOMENTS)],
            ..shape.clone()
        };
        assert_eq!(shape.digest(), same.digest());
        assert_ne!(shape.digest(), other.digest());
        assert_eq!(shape.digest().len(), 8);
    }

    #[test]
    fn zero_is_zero_and_nothing_is_nothing() {
        assert_eq!(Value::Number(0.0).hash(), Value::Number(-0.0).hash());
        assert_eq!(Value::Null.hash(), None);
        assert_eq!(Cell::of(Some(f64::INFINITY)).status, Status::Null);
        assert!(Keep(3).holds(Keep::RANGE) && !Keep(3).holds(Keep::LAST));
    }
}
