//! A model on a table it was not made for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use auspex_learn::Matrix;
use auspex_model::runtime::{Runtime, Scorer};
use auspex_model::{Model, folder};
use serde::{Deserialize, Serialize};

use crate::context;
use crate::encode::{self, Encoding};
use crate::fault::{Fault, failed, invalid};
use crate::figures::{Figures, Plots};
use crate::history;
use crate::request::Recalibrate;
use crate::sample::Sample;
use crate::sequence;
use crate::table::choice::{Choice, Feature, Wanted};
use crate::table::join::Source;
use crate::table::load::load;
use crate::table::survey::survey;
use crate::verdict;

/// An evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Folder of the model.
    pub model: PathBuf,
    /// The table.
    pub table: PathBuf,
    /// What the feature store answered for the same rows.
    pub join: Option<PathBuf>,
    /// Label, time and group; empty ones are those of the training.
    pub wanted: Wanted,
    /// Whether outcomes that come in are followed.
    pub recalibrate: Recalibrate,
    /// Time from a row to its outcome.
    pub delay: f64,
    /// Of the bootstrap.
    pub seed: u64,
}

/// What it found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluated {
    /// Name and version.
    pub model: String,
    /// Name of the table's file.
    pub file: String,
    /// `none` or `online`.
    pub recalibrate: String,
    /// On all rows.
    pub test: Figures,
    /// Without what came in meanwhile; only with recalibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_as_trained: Option<Figures>,
    /// By group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Figures>,
    /// Mean over the groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_of_groups: Option<Figures>,
    /// Share of all values that are missing.
    pub missing: f64,
    /// What the plots are drawn from.
    pub plots: Plots,
    /// What people should know.
    pub notes: Vec<String>,
}

/// What the manifest tells beside what is served.
#[derive(Debug, Clone, Default, Deserialize)]
struct Beside {
    #[serde(default)]
    features: Vec<Called>,
    #[serde(default)]
    encodings: Encoding,
    #[serde(default)]
    lineage: Lineage,
}

/// A feature, and what a public table calls it.
#[derive(Debug, Clone, Default, Deserialize)]
struct Called {
    name: String,
    #[serde(default)]
    public_column: Option<String>,
}

/// Rows in the order of a table's time, as a model reads them, and what it says of them.
#[derive(Debug)]
pub(crate) struct Scored {
    pub(crate) sample: Sample,
    pub(crate) p: Vec<f64>,
    model: Arc<Model>,
    choice: Choice,
    notes: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Lineage {
    #[serde(default)]
    label: String,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    effort: Vec<String>,
    #[serde(default)]
    history: bool,
    #[serde(default)]
    label_delay: f64,
    #[serde(default)]
    context: bool,
    #[serde(default)]
    ratios: Vec<String>,
}

impl Lineage {
    /// Whether a feature was made of others.
    fn derives(&self, name: &str) -> bool {
        (self.history && history::NAMES.contains(&name))
            || (self.context && context::NAMES.contains(&name))
            || self.ratios.iter().any(|ratio| ratio == name)
    }
}

/// Scores a table and judges what was said.
///
/// # Errors
/// [`Fault`].
pub fn evaluate(evaluation: &Evaluation, runtime: &Path) -> Result<Evaluated, Fault> {
    Ok(judge(evaluation, scored(evaluation, runtime)?))
}

/// Scores a table.
///
/// # Errors
/// [`Fault`].
pub(crate) fn scored(evaluation: &Evaluation, runtime: &Path) -> Result<Scored, Fault> {
    let named = evaluation.model.display().to_string();
    if !evaluation.model.join("manifest.json").is_file() {
        return Err(invalid("--model", format!("{named}: holds no manifest.json")));
    }
    let files = folder::files(&named).map_err(|fault| invalid("--model", fault.to_string()))?;
    let told: Beside =
        serde_json::from_slice(&files.manifest).map_err(|fault| invalid("--model", fault.to_string()))?;
    let model = Arc::new(Model::check(files).map_err(|fault| invalid("--model", fault.to_string()))?);
    let group = evaluation
        .wanted
        .group
        .as_deref()
        .or(told.encodings.group.as_deref())
        .or(told.lineage.group.as_deref());
    let time = evaluation.wanted.time.as_deref().or(told.lineage.time.as_deref());
    let source = Source::of(&evaluation.table, evaluation.join.as_deref(), time)?;
    let seen = survey(source.path(), group)?;
    let (mut choice, notes) = choice(evaluation, &model, &told, &seen)?;
    let mut sample = load(source.path(), &seen, &choice)?;
    if told.lineage.history {
        let delay = if evaluation.delay > 0.0 {
            evaluation.delay
        } else {
            told.lineage.label_delay
        };
        history::add(None, &mut sample, &mut choice, delay);
    }
    if told.lineage.context {
        context::add(None, &mut sample, &mut choice, told.lineage.history)?;
    }
    context::ratios(&told.lineage.ratios, &mut sample, &mut choice)?;
    encode::apply(&told.encodings, &choice, &mut sample);
    rename(&mut sample.names, &told.features);
    let sample = arranged(sample, &model)?;
    let runtime = Runtime::load(runtime).map_err(failed)?;
    let mut scorer = Scorer::open(&runtime, Arc::clone(&model), 0).map_err(failed)?;
    let mut p = Vec::with_capacity(sample.rows());
    for rows in sample.table.values().chunks(sample.table.width().max(1) * 4096) {
        let said = scorer.p_fail(rows).map_err(failed)?;
        let calibration = &scorer.model().manifest.calibration;
        p.extend(said.into_iter().map(|p| calibration.finish(f64::from(p))));
    }
    Ok(Scored {
        sample,
        p,
        model,
        choice,
        notes,
    })
}

/// Columns that a table has under their public names get those of the model.
fn rename(names: &mut [String], features: &[Called]) {
    for name in names {
        if let Some(called) = features.iter().find(|f| f.public_column.as_ref() == Some(name)) {
            name.clone_from(&called.name);
        }
    }
}

/// Label, time and group: what was asked for, else as in training.
fn wanted(evaluation: &Evaluation, told: &Beside, has: impl Fn(&String) -> bool) -> Wanted {
    let lineage = &told.lineage;
    let either = |asked: &Option<String>, known: &Option<String>| {
        asked.clone().or_else(|| known.clone().filter(|name| has(name)))
    };
    Wanted {
        label: if evaluation.wanted.label.is_empty() {
            lineage.label.clone()
        } else {
            evaluation.wanted.label.clone()
        },
        time: either(&evaluation.wanted.time, &lineage.time),
        group: either(
            &evaluation.wanted.group,
            &told.encodings.group.clone().or_else(|| lineage.group.clone()),
        ),
        effort: match evaluation.wanted.effort.as_slice() {
            [] => lineage.effort.iter().filter(|name| has(name)).cloned().collect(),
            named => named.to_vec(),
        },
        features: Vec::new(),
        whole: false,
    }
}

/// The groups that a table holds.
fn groups(seen: &crate::table::survey::Survey, name: Option<&String>) -> Vec<String> {
    let place = name.and_then(|name| seen.find("--group", name).ok());
    let column = place.and_then(|place| seen.columns.get(place));
    let values = column.and_then(|column| column.values.as_ref());
    values
        .map(|values| values.keys().cloned().collect())
        .unwrap_or_default()
}

/// The columns of the model, found in the table.
fn choice(
    evaluation: &Evaluation,
    model: &Model,
    told: &Beside,
    seen: &crate::table::survey::Survey,
) -> Result<(Choice, Vec<String>), Fault> {
    let mut notes = Vec::new();
    let lineage = &told.lineage;
    let has = |name: &String| seen.columns.iter().any(|column| column.name == *name);
    let wanted = wanted(evaluation, told, has);
    if wanted.label.is_empty() {
        return Err(invalid(
            "--label",
            "is needed: the model does not say which column it was",
        ));
    }
    seen.find("--label", &wanted.label)?;
    let group = told.encodings.group.as_ref();
    let mut features = Vec::new();
    for name in inputs(model) {
        if Some(&name) == group || lineage.derives(&name) {
            continue;
        }
        let public = told.features.iter().find(|called| called.name == name);
        let public = public.and_then(|called| called.public_column.clone());
        let Some(column) = [Some(name.clone()), public]
            .into_iter()
            .flatten()
            .find(|n| has(n))
        else {
            return Err(invalid(
                "--data",
                format!("there is no column `{name}`, which the model reads"),
            ));
        };
        let codes = told.encodings.columns.get(&name);
        features.push(Feature {
            name: column,
            codes: codes.map(|codes| codes.keys().cloned().zip(0..).collect()),
        });
    }
    if group.is_some_and(|group| !has(group)) {
        notes.push("the table does not tell the groups apart: they are missing".to_owned());
    }
    let groups = groups(seen, wanted.group.as_ref().filter(|name| has(name)));
    let choice = Choice {
        effort: wanted.effort.clone(),
        wanted,
        features,
        groups,
        ..Choice::default()
    };
    Ok((choice, notes))
}

/// The columns of a row: those of the newest row of a window, when the model reads windows.
fn inputs(model: &Model) -> Vec<String> {
    let names: Vec<String> = model
        .manifest
        .features
        .iter()
        .map(|column| column.name.clone())
        .collect();
    match model.manifest.input.sequence().as_slice() {
        [] => names,
        _ => sequence::columns(&names),
    }
}

/// The columns in the order of the model; a group's column that the table does not have is missing.
fn arranged(mut sample: Sample, model: &Model) -> Result<Sample, Fault> {
    let wanted = inputs(model);
    let place = |name: &String| {
        sample
            .names
            .iter()
            .position(|own| own == name)
            .unwrap_or(usize::MAX)
    };
    let order: Vec<usize> = wanted.iter().map(place).collect();
    if order.is_empty() {
        return Err(invalid("--model", "reads no column"));
    }
    sample.table = sample.table.select(&order);
    if let [steps, _] = model.manifest.input.sequence().as_slice() {
        sample.table = sequence::windows(None, &sample, usize::try_from(*steps).unwrap_or(1));
    }
    sample.names = wanted;
    Ok(sample)
}

fn missing(table: &Matrix) -> f64 {
    table.values().iter().filter(|value| value.is_nan()).count() as f64 / table.values().len().max(1) as f64
}

fn judge(evaluation: &Evaluation, scored: Scored) -> Evaluated {
    let Scored {
        sample,
        p,
        model,
        choice,
        notes,
    } = scored;
    let sample = &sample;
    let online = evaluation.recalibrate == Recalibrate::Online;
    let said = if online {
        // What the model learned from may have had another clock: the table's own time stands for it.
        verdict::followed(sample, &p, evaluation.delay, sample.span())
    } else {
        p.clone()
    };
    let (groups, mean_of_groups) = verdict::by_group(sample, &said, &choice.groups, evaluation.seed);
    Evaluated {
        model: model.manifest.label(),
        file: evaluation
            .table
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default(),
        recalibrate: if online { "online" } else { "none" }.to_owned(),
        test: Figures::with_bounds(verdict::judged(sample, &said), evaluation.seed),
        test_as_trained: online.then(|| Figures::with_bounds(verdict::judged(sample, &p), evaluation.seed)),
        groups,
        mean_of_groups,
        missing: missing(&sample.table),
        plots: Plots::of(verdict::judged(sample, &said)),
        notes,
    }
}
