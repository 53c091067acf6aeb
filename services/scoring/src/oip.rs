//! The Open Inference Protocol, version 2, over REST ([`rest`]) and gRPC ([`grpc`]): a door for whoever speaks it already.
//!
//! One input, named as in the manifest (`features`), float32 rows in the order of the features; a missing value is NaN, in JSON
//! `null`. Outputs: the calibrated probability under the manifest's name, and `low` and `high`, its interval.

pub mod grpc;
pub mod rest;

use std::sync::Arc;

use auspex_proto::vector::{Feature, Status};

use crate::serving::{Served, Serving};

/// The most rows of one request: some 10 MB of JSON.
const MOST_ROWS: usize = 65_536;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody serves that.
    #[error("{0}")]
    NotFound(String),
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The model failed.
    #[error("{0}")]
    Failed(String),
}

/// Rows asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Name of the input.
    pub input: String,
    /// Its datatype, as in `FP32`.
    pub datatype: String,
    /// Its shape, the rows first.
    pub shape: Vec<i64>,
    /// Its values, row after row.
    pub values: Vec<f32>,
    /// Names of the outputs wanted; empty: all.
    pub outputs: Vec<String>,
}

/// Columns of answers, one value a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The model's name.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Rows.
    pub rows: usize,
    /// Name and values.
    pub outputs: Vec<(String, Vec<f32>)>,
}

/// The version of a name, and of a version when one is asked for.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn find(serving: &Serving, model: &str, version: &str) -> Result<Arc<Served>, Refusal> {
    let name = if version.is_empty() {
        model.to_owned()
    } else {
        format!("{model}@{version}")
    };
    let found = (!model.is_empty())
        .then(|| serving.table().named(&name, ""))
        .flatten();
    found.ok_or_else(|| Refusal::NotFound(format!("{name} is not served here")))
}

/// Name and version of a label such as `change-risk@3`.
#[must_use]
pub fn split(label: &str) -> (&str, &str) {
    label.rsplit_once('@').unwrap_or((label, ""))
}

/// The names of what a version answers.
#[must_use]
pub fn outputs(served: &Served) -> [String; 3] {
    [
        served.model.manifest.output.name.clone(),
        "low".to_owned(),
        "high".to_owned(),
    ]
}

/// What is wrong with a question; else how many rows it asks about.
fn rows(served: &Served, question: &Question) -> Result<usize, String> {
    let manifest = &served.model.manifest;
    let columns = manifest.features.len();
    if question.input != manifest.input.name {
        return Err(format!(
            "inputs: is {}, the model reads {}",
            question.input, manifest.input.name
        ));
    }
    let there = outputs(served);
    if let Some(unknown) = question.outputs.iter().find(|name| !there.contains(name)) {
        return Err(format!(
            "outputs: there is no {unknown}; there are {}",
            there.join(", ")
        ));
    }
    // A tree would take one for a large number, the interval for a missing one.
    if let Some(at) = question.values.iter().position(|value| value.is_infinite()) {
        let row = at / columns.max(1);
        return Err(format!(
            "inputs.data: row {row} has a value beyond FP32; a missing one is NaN, in JSON null"
        ));
    }
    let rows = question.values.len() / columns.max(1);
    let told = question
        .shape
        .iter()
        .try_fold(1_i64, |all, side| all.checked_mul(*side));
    let shaped = question
        .shape
        .first()
        .copied()
        .and_then(|n| usize::try_from(n).ok())
        == Some(rows)
        && told.and_then(|told| usize::try_from(told).ok()) == Some(question.values.len())
        && rows * columns == question.values.len();
    if !shaped {
        return Err(format!(
            "inputs.shape: {:?} with {} values is not rows of {columns}",
            question.shape,
            question.values.len()
        ));
    }
    if rows == 0 || rows > MOST_ROWS {
        return Err(format!(
            "inputs.shape: {rows} rows are not within 1..={MOST_ROWS}"
        ));
    }
    Ok(rows)
}

/// Answers about rows. Blocks.
///
/// # Errors
/// [`Refusal`] naming the field.
pub fn answer(served: &Served, question: &Question) -> Result<Answer, Refusal> {
    let rows = rows(served, question).map_err(Refusal::Invalid)?;
    let features = &served.model.manifest.features;
    let failed = |why: &dyn std::fmt::Display| Refusal::Failed(why.to_string());
    let p = served
        .pool
        .infer(&question.values)
        .map_err(|fault| failed(&fault))?;
    let mut found = (
        Vec::with_capacity(rows),
        Vec::with_capacity(rows),
        Vec::with_capacity(rows),
    );
    for (p, row) in p
        .into_iter()
        .zip(question.values.chunks_exact(features.len().max(1)))
    {
        let feature = |(column, value): (&crate::manifest::Column, &f32)| {
            if value.is_finite() {
                Feature::present(column.name.as_str(), f64::from(*value))
            } else {
                Feature::absent(column.name.as_str(), Status::Null)
            }
        };
        let features: Vec<Feature> = features.iter().zip(row).map(feature).collect();
        let scored = served.model.scale.read(p, &features);
        let scored = scored.ok_or_else(|| failed(&"the model gave no number"))?;
        found.0.push(scored.p_failure as f32);
        found.1.push(scored.low as f32);
        found.2.push(scored.high as f32);
    }
    let (model, version) = split(&served.model.label);
    let all = outputs(served).into_iter().zip([found.0, found.1, found.2]);
    Ok(Answer {
        model: model.to_owned(),
        version: version.to_owned(),
        rows,
        outputs: all
            .filter(|(name, _)| question.outputs.is_empty() || question.outputs.contains(name))
            .collect(),
    })
}
