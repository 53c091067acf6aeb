//! What a plug-in left of a job: read, and scored on its golden rows before it is believed.

use std::collections::BTreeMap;
use std::path::Path;

use auspex_learn::{Forest, Matrix, sigmoid};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::fit::{Fitted, Task};
use crate::golden::TOLERANCE;
use crate::graph::{self, Found};
use crate::sample::Sample;
use crate::sequence::Sequence;

#[derive(Deserialize)]
struct Golden {
    rows: Vec<GoldenRow>,
}

#[derive(Deserialize)]
struct GoldenRow {
    features: Vec<Option<f32>>,
    p_fail: f64,
}

impl GoldenRow {
    fn row(&self) -> Vec<f32> {
        self.features
            .iter()
            .map(|value| value.unwrap_or(f32::NAN))
            .collect()
    }
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    versions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metrics {
    #[serde(default)]
    seconds: f64,
}

/// Reads what a job left, and scores its golden rows.
#[must_use]
pub fn read(out: &Path, task: &Task, sample: &Sample, runtime: Option<&Path>) -> Fitted {
    match fitted(out, task, sample, runtime) {
        Ok(fitted) => fitted,
        Err(reason) => Fitted::failed(reason),
    }
}

fn bytes(out: &Path, name: &str) -> Result<Vec<u8>, String> {
    std::fs::read(out.join(name)).map_err(|fault| format!("the plug-in left no {name}: {fault}"))
}

fn document<D: DeserializeOwned>(out: &Path, name: &str) -> Result<D, String> {
    serde_json::from_slice(&bytes(out, name)?).map_err(|fault| format!("{name}: {fault}"))
}

fn fitted(out: &Path, task: &Task, sample: &Sample, runtime: Option<&Path>) -> Result<Fitted, String> {
    if out.join("error.json").is_file() {
        let told: serde_json::Value = document(out, "error.json")?;
        let error = told.get("error").and_then(serde_json::Value::as_str);
        return Err(error.unwrap_or("it failed and does not say why").to_owned());
    }
    let found = graph::read(&bytes(out, "model.onnx")?).map_err(|fault| format!("model.onnx {fault}"))?;
    let golden: Golden = document(out, "golden.json")?;
    let first = golden.rows.first();
    let first = first.ok_or("golden.json holds no row: nothing tells whether the file is the model")?;
    let (forest, sequence) = match found {
        Found::Trees(forest) => (forest, None),
        Found::Other(model) => {
            let settings = task.candidate.settings(task.rows.len());
            let steps = settings
                .get("steps")
                .and_then(serde_json::Value::as_u64)
                .unwrap_or(1);
            let sequence = Sequence::of(*model, steps as usize, (first.row(), first.p_fail));
            let sequence = sequence.map_err(|fault| format!("model.onnx {fault}"))?;
            (Forest::default(), Some(sequence))
        }
    };
    let told: Told = document(out, "manifest.json")?;
    let metrics: Metrics = document(out, "metrics.json")?;
    let width = sample.table.width() * sequence.as_ref().map_or(1, |sequence| sequence.steps);
    let raws = raws(&golden, width, (&forest, sequence.as_ref()), runtime)?;
    let off = raws
        .iter()
        .zip(&golden.rows)
        .map(|(raw, row)| (sigmoid(*raw) - row.p_fail).abs());
    let parity = off.fold(0.0_f64, |most, off| {
        if off.is_nan() {
            f64::INFINITY
        } else {
            most.max(off)
        }
    });
    if parity > TOLERANCE {
        return Err(format!(
            "its file differs from its library by {parity:.1e} in p, at most {TOLERANCE:.0e} may be"
        ));
    }
    Ok(Fitted {
        forest: Ok(forest),
        sequence,
        seconds: metrics.seconds,
        parity: Some(parity),
        versions: told.versions,
    })
}

/// What the file says of its golden rows, in log-odds.
fn raws(
    golden: &Golden,
    width: usize,
    (forest, sequence): (&Forest, Option<&Sequence>),
    runtime: Option<&Path>,
) -> Result<Vec<f64>, String> {
    let mut values = Vec::new();
    for row in &golden.rows {
        if row.features.len() != width {
            let found = row.features.len();
            return Err(format!(
                "golden.json: a row has {found} values, the model reads {width}"
            ));
        }
        values.extend(row.row());
    }
    let rows = Matrix::new(values, width);
    match (sequence, runtime) {
        (None, _) => Ok(forest.raws(&rows)),
        (Some(sequence), Some(runtime)) => sequence.raws(&rows, runtime).map_err(|fault| fault.to_string()),
        (Some(_), None) => Err("a graph over windows needs ONNX Runtime, which is not here".to_owned()),
    }
}
