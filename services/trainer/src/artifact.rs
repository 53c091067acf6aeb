//! A model version on disk, and the checks that whoever serves it will make.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use auspex_learn::calibrate::Calibration;
use auspex_learn::conformal::{Bin, Quantile};
use auspex_learn::{Forest, Matrix};
use auspex_model::runtime::{Runtime, Scorer};
use auspex_model::{Files, Model};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fault::{Fault, failed};
use crate::golden;
use crate::graph::{self, Naming};
use crate::sample::Sample;
use crate::sequence::{self, Sequence};

/// A version before it is written.
#[derive(Debug, Clone)]
pub struct Version<'a> {
    /// Its names.
    pub naming: Naming,
    /// Its trees; none of a graph over windows.
    pub forest: &'a Forest,
    /// Its graph, when it is no trees.
    pub sequence: Option<&'a Sequence>,
    /// Its calibration.
    pub calibration: &'a Calibration,
    /// What it was fitted to.
    pub train: &'a Sample,
    /// Failure rate of those rows.
    pub base_rate: f64,
    /// Interval table.
    pub bins: &'a [Bin],
    /// Conformal quantiles.
    pub quantiles: &'a [Quantile],
    /// Everything else that the manifest tells.
    pub more: Value,
    /// Of the golden rows.
    pub seed: u64,
}

/// SHA-256, lower-case hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The three files of a version.
///
/// # Errors
/// [`Fault::Failed`] when a graph over windows cannot be run.
pub fn files(version: &Version<'_>, runtime: Option<&Path>) -> Result<Files, Fault> {
    if let Some(sequence) = version.sequence {
        let windows = sequence::windows(None, version.train, sequence.steps);
        let (golden, rows) = sequence.golden(
            &windows,
            version.calibration,
            sequence::needed(runtime)?,
            version.seed,
        )?;
        let bare = sequence.files(&version.naming, version.calibration, (&golden, rows));
        let manifest = manifest(version, &bare.artifact, &golden, rows);
        return Ok(Files {
            manifest: format!("{manifest:#}\n").into_bytes(),
            ..bare
        });
    }
    let artifact = graph::write(version.forest, version.calibration, &version.naming);
    let rows = golden::rows(version.forest, &version.train.table, version.seed);
    let answers = golden::file(version.forest, version.calibration, &rows);
    let golden = format!("{answers:#}\n").into_bytes();
    let manifest = manifest(version, &artifact, &golden, rows.len());
    Ok(Files {
        manifest: format!("{manifest:#}\n").into_bytes(),
        artifact,
        golden,
    })
}

/// As much of a manifest as is needed to run a graph over windows.
pub(crate) fn bare(
    naming: &Naming,
    artifact: &[u8],
    golden: (&[u8], usize),
    (calibration, steps): (&Calibration, usize),
) -> Value {
    let features: Vec<Value> = naming
        .features
        .iter()
        .map(|name| json!({"name": name, "dtype": "float32"}))
        .collect();
    let shape = match steps {
        0 => json!([null, naming.features.len()]),
        steps => json!([null, steps, naming.features.len() / steps]),
    };
    json!({
        "name": naming.model,
        "version": naming.version,
        "feature_service": naming.feature_service,
        "feature_schema_sha256": naming.schema_sha256,
        "features": features,
        "input": {"name": "features", "dtype": "float32", "shape": shape},
        "output": {"name": "p_fail", "dtype": "float32", "shape": [null, 1], "meaning": "calibrated probability of failure; 1 is bad"},
        "artifact": {"file": "model.onnx", "sha256": sha256(artifact), "size": artifact.len(), "format": "onnx"},
        "golden": {"file": "golden.json", "sha256": sha256(golden.0), "rows": golden.1, "tolerance": golden::TOLERANCE},
        "calibration": told(calibration),
        "base_rate": 0.5,
        "bands": [0.3, 0.7],
        "interval": {"level": 0.8, "patterns": {}},
    })
}

/// A calibration as a manifest tells it.
fn told(calibration: &Calibration) -> Value {
    match calibration {
        Calibration::Platt(platt) => json!({
            "method": "platt", "a": platt.a, "b": platt.b, "formula": "p_fail = 1 / (1 + exp(-(a * raw + b)))",
        }),
        Calibration::Beta(beta) => json!({
            "method": "beta", "a": beta.a, "b": beta.b, "c": beta.c,
            "formula": "p_fail = 1 / (1 + exp(-(a * ln q - b * ln(1 - q) + c))), q = 1 / (1 + exp(-raw))",
        }),
        Calibration::Isotonic(table) => json!({
            "method": "isotonic", "table": table.table,
            "formula": "p_fail by the table from q = 1 / (1 + exp(-raw)), which is what the graph gives; between two rows a line",
        }),
    }
}

fn manifest(version: &Version<'_>, artifact: &[u8], golden: &[u8], rows: usize) -> Value {
    let steps = version.sequence.map_or(0, |sequence| sequence.steps);
    let quantile =
        |q: &Quantile| json!({"level": q.level, "value": q.failed, "failed": q.failed, "passed": q.passed});
    let quantiles: Vec<Value> = version.quantiles.iter().map(quantile).collect();
    let mut manifest = bare(
        &version.naming,
        artifact,
        (golden, rows),
        (version.calibration, steps),
    );
    let more = json!({
        "trees": {"trees": version.forest.trees.len(), "nodes": version.forest.nodes(), "leaf_grid": auspex_learn::forest::GRID},
        "base_rate": version.base_rate,
        "interval": {"level": 0.8, "meaning": "range in which the failure rate of comparable rows lies",
            "patterns": patterns(version)},
        "conformal": {"method": "split, per class; value is that of failures", "quantiles": quantiles},
        "reference": {"note": "training rows by the deciles of each feature: where later ones are compared with",
            "features": reference(version.train)},
    });
    for part in [more, version.more.clone()] {
        if let (Some(into), Value::Object(part)) = (manifest.as_object_mut(), part) {
            into.extend(part);
        }
    }
    manifest
}

/// With everything known the table as measured; with anything missing one interval for all: comparable rows are then all rows.
fn patterns(version: &Version<'_>) -> Value {
    let low = version.bins.first().map_or(0.0, |bin| bin.low);
    let high = version.bins.last().map_or(1.0, |bin| bin.high);
    if version.sequence.is_some() {
        // The first rows of a group have short windows: that is nothing amiss.
        return json!({"any": {"present": [], "bins": version.bins}});
    }
    json!({
        "full": {"present": version.naming.features, "bins": version.bins},
        "some": {"present": [], "bins": [{"upto": 1.0, "low": low, "high": high, "rows": version.train.rows()}]},
    })
}

/// How each feature is spread among the training rows: where later ones are compared with.
fn reference(train: &Sample) -> Value {
    let one = |(column, name): (usize, &String)| {
        let mut values: Vec<f32> = train.table.column(column);
        let rows = values.len();
        values.retain(|value| value.is_finite());
        values.sort_by(f32::total_cmp);
        let mut bounds: Vec<f32> = (1..10)
            .filter_map(|tenth| values.get(values.len() * tenth / 10).copied())
            .collect();
        bounds.dedup();
        let mut counts = vec![0_u64; bounds.len() + 1];
        for value in &values {
            if let Some(count) = counts.get_mut(bounds.partition_point(|bound| bound < value)) {
                *count += 1;
            }
        }
        (
            name.clone(),
            json!({"bounds": bounds, "counts": counts, "missing": rows - values.len()}),
        )
    };
    Value::Object(train.names.iter().enumerate().map(one).collect())
}

/// A checked version, ready to score.
pub struct Served {
    scorer: Option<Scorer>,
    forest: Forest,
    calibration: Calibration,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Served({:?})", self.scorer)
    }
}

impl Served {
    /// Makes the checks of whoever serves a version: digests, schema, properties, golden rows by the trees, and by ONNX Runtime
    /// when there is one.
    ///
    /// # Errors
    /// [`Fault::Failed`] with the check that it does not pass.
    pub fn open(
        files: Files,
        runtime: Option<&Path>,
        forest: &Forest,
        calibration: &Calibration,
    ) -> Result<Self, Fault> {
        let model = Model::check(files).map_err(failed)?;
        let scorer = runtime.map(|library| {
            let runtime = Runtime::load(library).map_err(failed)?;
            Scorer::open(&runtime, Arc::new(model), 0).map_err(failed)
        });
        Ok(Self {
            scorer: scorer.transpose()?,
            forest: forest.clone(),
            calibration: calibration.clone(),
        })
    }

    /// A version that was made elsewhere: only the runtime knows what it says.
    ///
    /// # Errors
    /// As [`Served::open`].
    pub fn known(files: Files, runtime: &Path) -> Result<Self, Fault> {
        Self::open(files, Some(runtime), &Forest::default(), &Calibration::IDENTITY)
    }

    /// Whether ONNX Runtime scores.
    #[must_use]
    pub fn by_runtime(&self) -> bool {
        self.scorer.is_some()
    }

    /// Probabilities of all rows.
    ///
    /// # Errors
    /// [`Fault::Failed`] when the runtime fails.
    pub fn p(&mut self, table: &Matrix) -> Result<Vec<f64>, Fault> {
        let Some(scorer) = &mut self.scorer else {
            return Ok(table
                .iter()
                .map(|row| self.calibration.apply(self.forest.raw(row)))
                .collect());
        };
        let mut found = Vec::with_capacity(table.rows());
        for rows in table.values().chunks(table.width().max(1) * 4096) {
            let said = scorer.p_fail(rows).map_err(failed)?;
            let calibration = &scorer.model().manifest.calibration;
            found.extend(said.into_iter().map(|p| calibration.finish(f64::from(p))));
        }
        Ok(found)
    }

    /// Largest difference between what is served and the trees, in p, over these rows; 0 without trees, whose
    /// golden rows have been compared already.
    ///
    /// # Errors
    /// As [`Served::p`].
    pub fn parity(&mut self, table: &Matrix) -> Result<f64, Fault> {
        if self.forest.trees.is_empty() {
            return Ok(0.0);
        }
        let served = self.p(table)?;
        let own = table
            .iter()
            .map(|row| self.calibration.apply(self.forest.raw(row)));
        Ok(served
            .iter()
            .zip(own)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max))
    }

    /// Median and 99th percentile of the time of one row alone, in microseconds.
    ///
    /// # Errors
    /// As [`Served::p`].
    pub fn latency(&mut self, table: &Matrix) -> Result<Option<(f64, f64)>, Fault> {
        let Some(scorer) = &mut self.scorer else {
            return Ok(None);
        };
        let mut times = Vec::new();
        for turn in 0..300 {
            let row = table.row(turn % table.rows().max(1));
            if row.is_empty() {
                break;
            }
            let started = std::time::Instant::now();
            scorer.p_fail(row).map_err(failed)?;
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied();
        Ok(at(0.5).zip(at(0.99)))
    }
}

/// Writes the files of a version into a folder.
///
/// # Errors
/// [`Fault::Failed`] naming the file.
pub fn store(folder: &Path, files: &BTreeMap<&str, Vec<u8>>) -> Result<(), Fault> {
    let fault = |path: &Path, fault: std::io::Error| failed(format!("--out: {}: {fault}", path.display()));
    std::fs::create_dir_all(folder).map_err(|f| fault(folder, f))?;
    for (name, bytes) in files {
        let path = folder.join(name);
        // Beside it first: a reader never sees half a file.
        let part = folder.join(format!(".{name}.part"));
        std::fs::write(&part, bytes).map_err(|f| fault(&part, f))?;
        std::fs::rename(&part, &path).map_err(|f| fault(&path, f))?;
    }
    Ok(())
}
