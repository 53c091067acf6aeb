//! The models that ship, made again by one command. How `change-risk` comes about is a script of its own, for it must do without
//! parts of its features and in projects it has never seen; here it is run with pinned libraries, and what it leaves is believed
//! no more than any other model: every file is checked, the golden rows are scored, and the newest rows of every project are
//! scored by the scorer that serves. Figures that the script says of itself and that do not come out so stop the run. How `ci-run`
//! comes about is in [`ci_run`].

pub mod ci_run;
mod cold;
mod commits;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use auspex_learn::Matrix;
use auspex_model::manifest::GoldenRows;
use auspex_model::{Files, folder};
use serde::Deserialize;

use crate::artifact::{self, Served};
use crate::evaluate::{self, Evaluation};
use crate::fault::{Fault, failed, invalid};
use crate::figures::{Figures, Plots};
use crate::gates;
use crate::plugin;
use crate::report::{Artifact, Report, Row, Table};
use crate::request::Recalibrate;
use crate::sample::Sample;
use crate::table::choice::Wanted;
use crate::verdict;

/// The tables of the public data, in the order of the card.
const PROJECTS: [&str; 6] = ["qt", "openstack", "jdt", "platform", "gerrit", "go"];
/// Share of each that is learned from, the oldest rows.
const OLDER: f64 = 0.8;
/// The script rounds to four places.
const ROUNDED: f64 = 6e-5;

const LOCK: &str = include_str!("../requirements-recipe.lock");
const SOURCES: [(&str, &str); 11] = [
    ("../change_risk.py", include_str!("../change_risk.py")),
    ("__init__.py", include_str!("../trainer/__init__.py")),
    ("card.py", include_str!("../trainer/card.py")),
    ("contract.py", include_str!("../trainer/contract.py")),
    ("data.py", include_str!("../trainer/data.py")),
    ("golden.py", include_str!("../trainer/golden.py")),
    ("graph.py", include_str!("../trainer/graph.py")),
    ("intervals.py", include_str!("../trainer/intervals.py")),
    ("metrics.py", include_str!("../trainer/metrics.py")),
    ("model.py", include_str!("../trainer/model.py")),
    ("treeshap.py", include_str!("../trainer/treeshap.py")),
];

/// A model that ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// P(failure) of a change.
    ChangeRisk,
    /// The cold start of a model of builds.
    CiRun,
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "change-risk" => Ok(Self::ChangeRisk),
            "ci-run" => Ok(Self::CiRun),
            other => Err(format!(
                "`{other}` is no model that ships; there are change-risk and ci-run"
            )),
        }
    }
}

/// As much of the manifest as says what the model is worth.
#[derive(Deserialize)]
struct Told {
    seed: u64,
    libraries: BTreeMap<String, String>,
    base_rate: f64,
    training: Training,
    metrics: Metrics,
}

#[derive(Deserialize)]
struct Training {
    data: String,
    rows: Rows,
    settings: serde_json::Value,
}

#[derive(Deserialize)]
struct Rows {
    train: usize,
}

#[derive(Deserialize)]
struct Metrics {
    test: BTreeMap<String, Worth>,
}

#[derive(Deserialize)]
struct Worth {
    mean_roc_auc: f64,
    mean_pr_auc: f64,
    brier: f64,
    ece: f64,
}

/// Makes the model from the folder of the public data, checks it, and writes it.
///
/// # Errors
/// [`Fault`].
pub fn change_risk(data: &Path, out: &Path, runtime: &Path, say: &dyn Fn(&str)) -> Result<Report, Fault> {
    complete(data)?;
    let made = tempfile::Builder::new()
        .prefix("auspex-recipe-")
        .tempdir()
        .map_err(failed)?;
    run(data, made.path(), say)?;
    say("the model is checked as whoever serves it will check it, and scores the test rows");
    let report = checked(made.path(), data, runtime)?;
    keep(made.path(), out, &report)?;
    Ok(report)
}

impl Recipe {
    /// Makes the model from the folder of the public data, checks it, and writes it.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn make(self, data: &Path, out: &Path, runtime: &Path, say: &dyn Fn(&str)) -> Result<Report, Fault> {
        match self {
            Self::ChangeRisk => change_risk(data, out, runtime, say),
            Self::CiRun => ci_run::ci_run(data, out, runtime, say),
        }
    }
}

/// Whether the folder holds the public data.
fn complete(data: &Path) -> Result<(), Fault> {
    for name in PROJECTS
        .iter()
        .map(|name| format!("{name}.csv"))
        .chain(["LICENSE".to_owned()])
    {
        if !data.join(&name).is_file() {
            let reason = format!(
                "{}: holds no {name}; the six tables and their LICENSE are needed",
                data.display()
            );
            return Err(invalid("--data", reason));
        }
    }
    Ok(())
}

/// Runs the script; what it prints last is passed on.
fn run(data: &Path, out: &Path, say: &dyn Fn(&str)) -> Result<(), Fault> {
    let tools = plugin::Plugin::folder();
    let root = plugin::unpack(&tools, "trainer", &SOURCES).map_err(failed)?;
    let python = plugin::environment(&tools, &[plugin::LOCK, LOCK], say).map_err(failed)?;
    say("learning, and weighing the choices on the last fifth of the training rows: a few minutes");
    let data = std::path::absolute(data).map_err(failed)?;
    let output = Command::new(&python)
        .arg(root.join("change_risk.py"))
        .args([Path::new("--data"), &data, Path::new("--out"), out])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(plugin::PATIENT.0, plugin::PATIENT.1)
        .stdin(Stdio::null())
        .output()
        .map_err(|fault| failed(format!("{}: {fault}", python.display())))?;
    if output.status.success() {
        say(&plugin::last(&output.stdout));
        return Ok(());
    }
    let (status, last) = (output.status, plugin::last(&output.stderr));
    Err(failed(format!("change_risk.py ended with {status}: {last}")))
}

/// The newest rows of each project, scored by what was made; `groups` are numbers of projects.
fn scored(made: &Path, data: &Path, runtime: &Path) -> Result<(Sample, Vec<f64>), Fault> {
    let (mut all, mut said) = (Sample::default(), Vec::new());
    let mut values = Vec::new();
    for (group, project) in (0..).zip(PROJECTS) {
        let evaluation = Evaluation {
            model: made.to_owned(),
            table: data.join(format!("{project}.csv")),
            join: None,
            wanted: Wanted {
                label: "bug".to_owned(),
                time: Some("date".to_owned()),
                effort: vec!["la".to_owned(), "ld".to_owned()],
                ..Wanted::default()
            },
            recalibrate: Recalibrate::None,
            delay: 0.0,
            seed: 1,
        };
        let found = evaluate::scored(&evaluation, runtime)?;
        let (_, newer) = found.sample.cut(OLDER);
        let part = found.sample.take(&newer);
        said.extend(newer.iter().filter_map(|row| found.p.get(*row).copied()));
        values.extend_from_slice(part.table.values());
        all.names = part.names;
        all.labels.extend(part.labels);
        all.times.extend(part.times);
        all.effort.extend(part.effort);
        all.groups.extend(part.groups.iter().map(|_| group));
    }
    all.table = Matrix::new(values, all.names.len());
    Ok((all, said))
}

/// What the model is worth, by the scorer that serves, and whether it is what it says of itself.
fn checked(made: &Path, data: &Path, runtime: &Path) -> Result<Report, Fault> {
    let files = folder::files(&made.display().to_string()).map_err(failed)?;
    let told: Told = serde_json::from_slice(&files.manifest).map_err(failed)?;
    let (test, p) = scored(made, data, runtime)?;
    let names = PROJECTS.map(str::to_owned);
    let (groups, mean) = verdict::by_group(&test, &p, &names, told.seed);
    let figures = Figures::with_bounds(verdict::judged(&test, &p), told.seed);
    same(&told, &figures, mean.as_ref())?;
    let artifact = measured(files, runtime, &test)?;
    let gates = gates::gates(&figures, &p, &artifact);
    let settings = BTreeMap::from([("lightgbm".to_owned(), told.training.settings.clone())]);
    Ok(Report {
        model: "change-risk@1".to_owned(),
        champion: "lightgbm".to_owned(),
        candidates: vec![Row {
            name: "lightgbm".to_owned(),
            test: Some(figures.clone()),
            ..Row::default()
        }],
        plots: Plots::of(verdict::judged(&test, &p)),
        test: figures,
        recalibrate: "none".to_owned(),
        groups,
        mean_of_groups: mean,
        table: table(&told, &test),
        settings,
        publishable: gates.iter().all(|gate| gate.passed),
        gates,
        artifact,
        notes: vec![
            "how its settings were chosen, and what it is worth in a project it has never seen: CARD.md"
                .to_owned(),
        ],
        versions: told.libraries,
        seed: told.seed,
        ..Report::default()
    })
}

fn table(told: &Told, test: &Sample) -> Table {
    let end = |time: Option<f64>| time.unwrap_or_default();
    Table {
        file: told.training.data.clone(),
        label: "bug".to_owned(),
        features: test.names.clone(),
        effort: vec!["la".to_owned(), "ld".to_owned()],
        train_rows: told.training.rows.train,
        train_rate: told.base_rate,
        test_rows: test.rows(),
        test_time: (
            end(test.times.iter().copied().reduce(f64::min)),
            end(test.times.iter().copied().reduce(f64::max)),
        ),
        stride: 1,
        ..Table::default()
    }
}

/// Whether the script's figures are those found here.
fn same(told: &Told, pooled: &Figures, mean: Option<&Figures>) -> Result<(), Fault> {
    let worth = told.metrics.test.get("full");
    let worth = worth.ok_or_else(|| failed("the manifest tells no figures"))?;
    let mean = mean.cloned().unwrap_or_default();
    let pairs = [
        ("mean ROC-AUC", worth.mean_roc_auc, mean.roc_auc),
        ("mean PR-AUC", worth.mean_pr_auc, mean.pr_auc),
        ("Brier score", worth.brier, Some(pooled.brier)),
        ("calibration error", worth.ece, Some(pooled.ece)),
    ];
    for (what, said, found) in pairs {
        if found.is_none_or(|found| (found - said).abs() > ROUNDED) {
            return Err(failed(format!(
                "{what}: the script says {said}, the scorer finds {found:?}"
            )));
        }
    }
    Ok(())
}

/// How the file is, and how far its answers to the golden rows are off.
fn measured(files: Files, runtime: &Path, test: &Sample) -> Result<Artifact, Fault> {
    let (sha256, size) = (artifact::sha256(&files.artifact), files.artifact.len());
    let known: GoldenRows = serde_json::from_slice(&files.golden).map_err(failed)?;
    let rows: Vec<f32> = known.rows.iter().flat_map(|row| row.row()).collect();
    let rows = Matrix::new(rows, test.table.width());
    let mut served = Served::known(files, runtime)?;
    let answers = served.p(&rows)?.into_iter().zip(&known.rows);
    let parity = answers.map(|(p, row)| (p - row.p_fail).abs()).fold(0.0, f64::max);
    let latency = served.latency(&test.table)?;
    Ok(Artifact {
        sha256,
        size,
        parity,
        parity_rows: rows.rows(),
        by_runtime: served.by_runtime(),
        p50_us: latency.map(|l| l.0),
        p99_us: latency.map(|l| l.1),
    })
}

/// Puts everything that was made into its place, and the report beside it.
fn keep(made: &Path, out: &Path, report: &Report) -> Result<(), Fault> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(made).map_err(failed)? {
        let path: PathBuf = entry.map_err(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let bytes = std::fs::read(&path).map_err(|fault| failed(format!("{}: {fault}", path.display())))?;
        files.insert(name.unwrap_or_default(), bytes);
    }
    let document = serde_json::to_vec_pretty(report).map_err(failed)?;
    files.insert("report.json".to_owned(), document);
    files.insert(
        "report.html".to_owned(),
        crate::report::html::html(report).into_bytes(),
    );
    let all = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone()));
    artifact::store(out, &all.collect())
}

#[cfg(test)]
mod tests;
