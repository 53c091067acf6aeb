//! What stands in a model's `manifest.json`, as far as scoring reads it; fields not named here are for people.

use std::collections::BTreeMap;

use serde::Deserialize;

pub use crate::calibration::Calibration;
use crate::model::ModelFault;

/// The manifest of a model version.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Manifest {
    /// As in `change-risk`.
    pub name: String,
    /// Immutable.
    pub version: String,
    /// Name and version of the features it reads, as in `change-risk@1`.
    pub feature_service: String,
    /// Of the features below; see [`auspex_proto::vector::schema_hash`].
    pub feature_schema_sha256: String,
    /// In the order of the input's columns.
    pub features: Vec<Column>,
    /// The input of the graph.
    pub input: Port,
    /// The output of the graph: calibrated P(failure), one a row.
    pub output: Port,
    /// The graph.
    pub artifact: File,
    /// Rows with known answers.
    pub golden: Golden,
    /// What the sum of the trees is. `log_odds` unless it says otherwise.
    #[serde(default)]
    pub raw: Raw,
    /// From the raw output to the probability; see [`crate::calibration`].
    pub calibration: Calibration,
    /// What the features usually are: where explanations of a graph without trees begin. Zeros when it says nothing.
    #[serde(default)]
    pub background: Vec<f32>,
    /// Share of failures among the training rows, 0..=1.
    pub base_rate: f64,
    /// Below the first the band is low, above the second high.
    pub bands: (f64, f64),
    /// How far off the probability may be.
    pub interval: Intervals,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// The feature.
    pub name: String,
    /// `float32`.
    pub dtype: String,
}

/// An input or output of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// `float32`.
    pub dtype: String,
    /// As in `[null, 14]`, the batch first; `[null, 60, 12]` is a sequence of 60 steps, whose features are its steps end to end.
    #[serde(default)]
    pub shape: Vec<Option<i64>>,
}

impl Port {
    /// Of one row, when it is not flat; else empty.
    #[must_use]
    pub fn sequence(&self) -> Vec<i64> {
        if self.shape.len() < 3 {
            return Vec::new();
        }
        self.shape.iter().skip(1).map(|side| side.unwrap_or(0)).collect()
    }
}

/// What the graph's trees add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Raw {
    /// Log-odds of failure.
    #[default]
    LogOdds,
    /// A probability, as the mean of a forest.
    Probability,
}

/// A file beside the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct File {
    /// Its name.
    pub file: String,
    /// Lower-case hex.
    pub sha256: String,
}

/// The file with the golden rows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Golden {
    /// Its name.
    pub file: String,
    /// Lower-case hex.
    pub sha256: String,
    /// The largest allowed difference of a probability.
    pub tolerance: f64,
}

/// Interval tables.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Intervals {
    /// Share of comparable changes whose failure rate lies inside, 0..=1.
    pub level: f64,
    /// By what is known.
    pub patterns: BTreeMap<String, Pattern>,
}

/// The interval table for changes of which these features are known.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Pattern {
    /// The known ones.
    pub present: Vec<String>,
    /// By probability, ascending.
    pub bins: Vec<Bin>,
}

/// One row of an interval table.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Bin {
    /// It holds for probabilities up to this.
    pub upto: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Rows with known answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct GoldenRows {
    /// The rows.
    pub rows: Vec<GoldenRow>,
}

/// One row with its known answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct GoldenRow {
    /// What it tries.
    pub kind: String,
    /// The input; `None` is missing.
    pub features: Vec<Option<f32>>,
    /// Log-odds before calibration.
    pub raw: f64,
    /// The answer.
    pub p_fail: f64,
    /// Log-odds by feature, for some rows.
    pub contributions: Option<Vec<f64>>,
    /// What they are added to.
    pub contribution_base: Option<f64>,
}

impl GoldenRow {
    /// The input row.
    #[must_use]
    pub fn row(&self) -> Vec<f32> {
        self.features.iter().map(|v| v.unwrap_or(f32::NAN)).collect()
    }
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ModelFault`] naming the field.
    pub fn parse(json: &[u8]) -> Result<Self, ModelFault> {
        let manifest: Self = serde_json::from_slice(json).map_err(|f| ModelFault::Unreadable {
            file: "manifest.json".to_owned(),
            reason: f.to_string(),
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Name and version, as in `change-risk@1`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    fn check(&self) -> Result<(), ModelFault> {
        let found = auspex_proto::vector::schema_hash(self.features.iter().map(|f| f.name.as_str()));
        if found != self.feature_schema_sha256 {
            return Err(ModelFault::SchemaHash {
                expected: self.feature_schema_sha256.clone(),
                found,
            });
        }
        let dtypes = self
            .features
            .iter()
            .map(|f| &f.dtype)
            .chain([&self.input.dtype, &self.output.dtype]);
        if let Some(other) = dtypes.into_iter().find(|d| *d != "float32") {
            return Err(field(
                "features.dtype",
                format!("is {other}, only float32 is served"),
            ));
        }
        let (low, high) = self.bands;
        if !(0.0 <= low && low < high && high <= 1.0) {
            return Err(field(
                "bands",
                format!("{low} and {high} do not ascend within 0..=1"),
            ));
        }
        if self.golden.tolerance.is_nan() || self.golden.tolerance > 1e-6 {
            return Err(field("golden.tolerance", "is above 1e-6"));
        }
        if let Some(problem) = self.calibration.problem() {
            return Err(field("calibration", problem));
        }
        self.check_shape()?;
        if !(0.0..=1.0).contains(&self.base_rate) {
            return Err(field("base_rate", "is not within 0..=1"));
        }
        self.interval
            .patterns
            .iter()
            .try_for_each(|(name, pattern)| self.check_pattern(name, pattern))
    }

    fn check_shape(&self) -> Result<(), ModelFault> {
        let shape = self.input.sequence();
        let values = shape.iter().try_fold(1_i64, |all, side| all.checked_mul(*side));
        let fits = values.and_then(|values| usize::try_from(values).ok()) == Some(self.features.len());
        if !shape.is_empty() && !fits {
            return Err(field(
                "input.shape",
                format!(
                    "a row of {shape:?} does not hold {} features",
                    self.features.len()
                ),
            ));
        }
        if !self.background.is_empty() && self.background.len() != self.features.len() {
            return Err(field("background", "is not as long as the features"));
        }
        Ok(())
    }

    fn check_pattern(&self, name: &str, pattern: &Pattern) -> Result<(), ModelFault> {
        let at = format!("interval.patterns.{name}");
        let unknown = pattern
            .present
            .iter()
            .find(|p| self.features.iter().all(|f| f.name != **p));
        if let Some(unknown) = unknown {
            return Err(field(
                at,
                format!("names {unknown}, which is no feature of the model"),
            ));
        }
        let ascending = pattern
            .bins
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.upto < b.upto));
        let within = |b: &Bin| 0.0 <= b.low && b.low <= b.high && b.high <= 1.0;
        let covers = pattern.bins.last().is_some_and(|b| b.upto >= 1.0);
        if !ascending || !covers || !pattern.bins.iter().all(within) {
            return Err(field(
                at,
                "bins do not ascend to 1, or an end is not within 0..=1",
            ));
        }
        Ok(())
    }
}

fn field(field: impl Into<String>, reason: impl Into<String>) -> ModelFault {
    ModelFault::Field {
        field: field.into(),
        reason: reason.into(),
    }
}
