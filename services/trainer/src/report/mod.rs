//! What a training run found: one document, for programs as it is, for people as text, a page with plots, or a card.

pub mod card;
pub mod html;
pub mod plot;
pub mod text;

use std::collections::BTreeMap;

use auspex_learn::conformal::Quantile;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::choose::Weighing;
use crate::figures::{Figures, Plots};

/// The document.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Name and version of the model.
    pub model: String,
    /// Who won on the back-test.
    pub champion: String,
    /// Who competed, best first.
    pub candidates: Vec<Row>,
    /// The champion on the test rows, as `recalibrate` says.
    pub test: Figures,
    /// On the test rows without what came in meanwhile; only with recalibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_as_trained: Option<Figures>,
    /// `none` or `online`.
    pub recalibrate: String,
    /// By group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub groups: BTreeMap<String, Figures>,
    /// Mean over the groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_of_groups: Option<Figures>,
    /// The same without what came in meanwhile; only with recalibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_of_groups_as_trained: Option<Figures>,
    /// By stretch of test time, the oldest first.
    pub slices: Vec<Slice>,
    /// What was learned from.
    pub table: Table,
    /// How rows were weighed.
    pub weighing: Option<Weighing>,
    /// Settings of the champion, or of its members.
    pub settings: BTreeMap<String, Value>,
    /// What a version must pass.
    pub gates: Vec<Gate>,
    /// Whether it passed them all.
    pub publishable: bool,
    /// Conformal quantiles, and what they hold on the test rows.
    pub conformal: Vec<Covered>,
    /// The file.
    pub artifact: Artifact,
    /// Columns that were not used, and why.
    pub left_out: Vec<LeftOut>,
    /// What people should know.
    pub notes: Vec<String>,
    /// What the plots are drawn from.
    pub plots: Plots,
    /// Features that move the score most: mean absolute contribution on test rows, in log-odds.
    pub importance: Vec<(String, f64)>,
    /// Versions of libraries.
    pub versions: BTreeMap<String, String>,
    /// Of whatever was drawn.
    pub seed: u64,
}

/// A candidate.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Why it did not compete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// On rows of the back-test.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backtest: Option<Figures>,
    /// On the test rows; of no influence on who wins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub test: Option<Figures>,
    /// Share in the ensemble.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<f64>,
    /// Time of all its fits, in seconds.
    pub seconds: f64,
    /// Leaves of its trees.
    pub nodes: usize,
    /// Largest difference of its file from the library it came from, in p.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parity: Option<f64>,
}

/// A stretch of test time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Slice {
    /// From this time.
    pub from: f64,
    /// To this time.
    pub to: f64,
    /// Its figures.
    pub figures: Figures,
}

/// What was learned from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Table {
    /// Name of the file.
    pub file: String,
    /// SHA-256 of the rows that were learned from and tested on, as they went in.
    pub snapshot: String,
    /// The label.
    pub label: String,
    /// The columns, in the order of the model's inputs.
    pub features: Vec<String>,
    /// Columns whose sum is the effort of a row; empty: every row is the same.
    pub effort: Vec<String>,
    /// Rows learned from.
    pub train_rows: usize,
    /// Their failure rate.
    pub train_rate: f64,
    /// Rows tested on.
    pub test_rows: usize,
    /// First and last time of the training rows.
    pub train_time: (f64, f64),
    /// And of the test rows.
    pub test_time: (f64, f64),
    /// Rows older than the test whose outcome was not known when it began.
    pub immature: usize,
    /// Time from a row to its outcome, in the unit of the time column.
    pub label_delay: f64,
    /// Rows without an outcome.
    pub unlabelled: u64,
    /// Every so many-th row is used.
    pub stride: u64,
}

/// What a version must pass.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Gate {
    /// Which.
    pub name: String,
    /// Whether it does.
    pub passed: bool,
    /// What was found.
    pub value: Option<f64>,
    /// What it may be.
    pub limit: Option<f64>,
    /// In words.
    pub meaning: String,
}

/// A conformal quantile on the test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Covered {
    /// The quantile.
    #[serde(flatten)]
    pub quantile: Quantile,
    /// Share of test rows whose set holds the outcome.
    pub covered: f64,
    /// Mean size of the sets, 0..=2.
    pub size: f64,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Artifact {
    /// SHA-256.
    pub sha256: String,
    /// Bytes.
    pub size: usize,
    /// Largest difference between what is served and the trees, in p.
    pub parity: f64,
    /// Rows it was measured on.
    pub parity_rows: usize,
    /// Whether ONNX Runtime served it.
    pub by_runtime: bool,
    /// Median time of one row, in microseconds.
    pub p50_us: Option<f64>,
    /// 99th percentile of it.
    pub p99_us: Option<f64>,
}

/// A column that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub column: String,
    /// Why.
    pub reason: String,
}
