//! A version as the registry keeps it: what its manifest says, ready to be asked about. It never changes.

use std::collections::BTreeMap;

use auspex_proto::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many figures of merit are kept: 500 of 120 bytes.
const MOST_FIGURES: usize = 500;
/// How many features are listed, and how many have a baseline of drift.
const MOST_FEATURES: usize = 2_048;

/// A version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Version {
    pub name: String,
    /// From 1.
    pub version: u64,
    pub created: Timestamp,
    pub actor: String,
    pub summary: String,
    pub manifest: Kept,
    pub artifact: Kept,
    pub golden: Kept,
    pub others: Vec<Kept>,
    /// `onnx`, or what its source says.
    pub format: String,
    pub feature_service: String,
    pub schema_hash: String,
    pub features: Vec<String>,
    pub output: String,
    pub lineage: Lineage,
    pub metrics: Vec<Figure>,
    pub calibration: String,
    pub calibration_parameters: BTreeMap<String, f64>,
    /// Of an isotonic one: the graph's probability and the calibrated one.
    pub calibration_table: Vec<(f64, f64)>,
    pub conformal: Vec<(f64, f64)>,
    pub drift: Vec<Baseline>,
    pub golden_rows: u64,
    pub golden_tolerance: f64,
    /// As the trainer called it.
    pub label: String,
    /// Empty: it can be served; else why not.
    pub why_not: String,
    /// Where its manifest lies.
    pub location: String,
    /// Where a client of MLflow said its files are.
    pub source: String,
}

/// A file, kept under what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Its name beside the manifest.
    pub file: String,
    /// Lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// How a version came to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Lineage {
    pub code_revision: String,
    pub snapshot: String,
    pub label: String,
    pub from_ms: i64,
    pub to_ms: i64,
    pub rows: u64,
    pub seed: i64,
    pub parameters: BTreeMap<String, String>,
    pub versions: BTreeMap<String, String>,
    pub parent: String,
    pub run_id: String,
}

/// A figure of merit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// As in `roc_auc`.
    pub name: String,
    /// Of which rows; empty: all.
    pub slice: String,
    /// It.
    pub value: f64,
    /// Bounds of its confidence interval.
    pub bounds: Option<(f64, f64)>,
}

/// How a feature was spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Which; `p_failure` of the score.
    pub feature: String,
    /// Upper, ascending.
    pub bounds: Vec<f64>,
    /// Rows up to each bound, and above the last.
    pub counts: Vec<u64>,
    /// Rows without a value.
    pub missing: u64,
}

impl Version {
    /// As much of a version as its manifest tells. Whatever is not there, or of another shape, is left out.
    #[must_use]
    pub fn of_manifest(manifest: &Value) -> Self {
        let text = |at: &str| manifest.pointer(at).map(plain).unwrap_or_default();
        let number = |at: &str| manifest.pointer(at).and_then(Value::as_f64);
        let features = manifest.get("features").and_then(Value::as_array);
        let features = features.into_iter().flatten().take(MOST_FEATURES);
        let calibration = manifest.get("calibration").and_then(Value::as_object);
        let parameters = calibration.into_iter().flatten();
        Self {
            summary: text("/summary"),
            format: text("/artifact/format"),
            feature_service: text("/feature_service"),
            schema_hash: text("/feature_schema_sha256"),
            features: features
                .map(|f| f.get("name").map(plain).unwrap_or_default())
                .collect(),
            output: text("/output/name"),
            lineage: lineage(manifest),
            metrics: figures(manifest.get("metrics")),
            calibration: text("/calibration/method"),
            calibration_parameters: parameters
                .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
                .collect(),
            calibration_table: table(manifest.pointer("/calibration/table")),
            conformal: conformal(manifest),
            drift: drift(manifest.get("reference").or_else(|| manifest.get("drift"))),
            golden_rows: number("/golden/rows").unwrap_or(0.0) as u64,
            golden_tolerance: number("/golden/tolerance").unwrap_or(0.0),
            label: text("/version"),
            ..Self::default()
        }
    }

    /// Its name and number, as in `change-risk@3`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// A value as a person would write it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn map(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries
        .take(256)
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}

/// Under `lineage` when the manifest has it, else where the first manifests had it.
fn lineage(manifest: &Value) -> Lineage {
    let first = |all: &[&str]| all.iter().find_map(|at| manifest.pointer(at)).cloned();
    let text = |all: &[&str]| first(all).as_ref().map(plain).unwrap_or_default();
    let whole = |all: &[&str]| first(all).and_then(|v| v.as_i64()).unwrap_or(0);
    Lineage {
        code_revision: text(&["/lineage/code_revision", "/training/code_revision"]),
        snapshot: text(&["/lineage/snapshot", "/training/data"]),
        label: text(&["/lineage/label", "/label"]),
        from_ms: whole(&["/lineage/from_ms"]),
        to_ms: whole(&["/lineage/to_ms"]),
        rows: u64::try_from(whole(&["/lineage/rows", "/training/rows/train"])).unwrap_or(0),
        seed: whole(&["/lineage/seed", "/seed"]),
        parameters: map(first(&["/lineage/parameters", "/training/settings"]).as_ref()),
        versions: map(first(&["/lineage/versions", "/libraries"]).as_ref()),
        parent: text(&["/lineage/parent"]),
        run_id: text(&["/lineage/run_id"]),
    }
}

/// Every number below `metrics`: the last part of its path is its name, the parts before it its slice.
fn figures(metrics: Option<&Value>) -> Vec<Figure> {
    let mut found = Vec::new();
    if let Some(metrics) = metrics {
        gather(metrics, &mut Vec::new(), &mut found);
    }
    found
}

fn gather(value: &Value, path: &mut Vec<String>, into: &mut Vec<Figure>) {
    if into.len() >= MOST_FIGURES {
        return;
    }
    let mut add = |path: &[String], value: f64, bounds: Option<(f64, f64)>| {
        if let Some((name, slice)) = path.split_last() {
            into.push(Figure {
                name: name.clone(),
                slice: slice.join("/"),
                value,
                bounds,
            });
        }
    };
    match value {
        Value::Number(number) => add(path, number.as_f64().unwrap_or(f64::NAN), None),
        Value::Object(fields) => {
            let of = |name: &str| fields.get(name).and_then(Value::as_f64);
            if let Some(value) = of("value") {
                add(path, value, of("low").zip(of("high")));
                return;
            }
            for (name, value) in fields {
                path.push(name.clone());
                gather(value, path, into);
                path.pop();
            }
        }
        _ => {}
    }
}

/// `{"0.9": 0.31}`, or a list of `{"level", "value"}`.
fn conformal(manifest: &Value) -> Vec<(f64, f64)> {
    let found = manifest.get("conformal").map(|c| c.get("quantiles").unwrap_or(c));
    match found {
        Some(Value::Object(entries)) => {
            let pair = |(level, value): (&String, &Value)| Some((level.parse().ok()?, value.as_f64()?));
            entries.iter().filter_map(pair).take(32).collect()
        }
        Some(Value::Array(entries)) => {
            let pair = |entry: &Value| Some((entry.get("level")?.as_f64()?, entry.get("value")?.as_f64()?));
            entries.iter().filter_map(pair).take(32).collect()
        }
        _ => Vec::new(),
    }
}

/// Rows of two numbers.
fn table(rows: Option<&Value>) -> Vec<(f64, f64)> {
    let rows = rows.and_then(Value::as_array).into_iter().flatten();
    let pair = |row: &Value| Some((row.get(0)?.as_f64()?, row.get(1)?.as_f64()?));
    rows.filter_map(pair).take(MOST_FEATURES).collect()
}

/// Counts within bounds, or quantiles of equal shares, by feature.
fn drift(reference: Option<&Value>) -> Vec<Baseline> {
    let features = reference
        .and_then(|r| r.get("features"))
        .and_then(Value::as_object);
    let score = reference.and_then(|r| r.get("p_fail").or_else(|| r.get("p_failure")));
    let numbers = |value: &Value| -> Vec<f64> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .take(64)
            .collect()
    };
    let baseline = |feature: &str, value: &Value| {
        let bounds = value
            .get("bounds")
            .or_else(|| value.get("deciles"))
            .unwrap_or(value);
        let counts = value
            .get("counts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        Baseline {
            feature: feature.to_owned(),
            bounds: numbers(bounds),
            counts: counts.filter_map(Value::as_u64).take(65).collect(),
            missing: value.get("missing").and_then(Value::as_u64).unwrap_or(0),
        }
    };
    let features = features.into_iter().flatten().take(MOST_FEATURES);
    let mut found: Vec<Baseline> = features.map(|(name, value)| baseline(name, value)).collect();
    found.extend(score.map(|value| baseline("p_failure", value)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_that_ships_is_read_whole() {
        let manifest: Value = serde_json::from_slice(auspex_model::embedded::MANIFEST).unwrap();
        let version = Version::of_manifest(&manifest);
        assert_eq!((version.features.len(), version.golden_rows), (14, 100));
        assert_eq!(
            (version.calibration.as_str(), version.label.as_str()),
            ("platt", "1")
        );
        assert!(version.calibration_parameters.contains_key("a"));
        assert_eq!(version.lineage.seed, 20);
        assert!(version.lineage.rows > 70_000 && version.lineage.versions.contains_key("lightgbm"));
        assert!(!version.metrics.is_empty() && version.metrics.iter().all(|f| !f.name.is_empty()));
        assert_eq!(version.drift.len(), 15);
        assert!(serde_json::to_vec(&version).unwrap().len() < 200_000);
    }

    #[test]
    fn figures_bring_their_bounds() {
        let manifest = serde_json::json!({
            "metrics": {"test": {"roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9}, "brier": 0.1}},
            "conformal": {"0.9": 0.31},
            "calibration": {"method": "isotonic", "table": [[0.1, 0.05], [0.6, 0.4]]},
            "lineage": {"snapshot": "s1", "rows": 7, "parent": "m@1"},
        });
        let version = Version::of_manifest(&manifest);
        let auc = version.metrics.iter().find(|f| f.name == "roc_auc").unwrap();
        assert_eq!((auc.slice.as_str(), auc.bounds), ("test", Some((0.7, 0.9))));
        assert_eq!(version.conformal, [(0.9, 0.31)]);
        assert_eq!(version.calibration, "isotonic");
        assert_eq!(version.calibration_table, [(0.1, 0.05), (0.6, 0.4)]);
        assert_eq!(
            (version.lineage.snapshot.as_str(), version.lineage.rows),
            ("s1", 7)
        );
    }
}
