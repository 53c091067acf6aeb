//! `ci-run` as it ships: a cold start. There is no public history of builds that may be learned from, so that each commit of the public
//! data stands for a build that is asked for at its date, and that it later needed a fix for the failure of that build. What such a
//! version is for, and what not, stands in the first lines of its card.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use auspex_learn::gbdt::{self, Growth};
use auspex_learn::{Forest, Matrix, conformal, metrics};
use serde_json::{Value, json};

use super::commits::{self, SERVED, TOOK};
use super::{OLDER, PROJECTS, complete};
use crate::artifact::{self, Served, Version};
use crate::backtest::{self, Unseen};
use crate::candidate::Candidate;
use crate::choose;
use crate::encode::Encoding;
use crate::fault::{Fault, failed};
use crate::figures::Figures;
use crate::fit::{self, Fitted, Task};
use crate::prepare::Prepared;
use crate::report::Report;
use crate::request::{Recalibrate, Request};
use crate::sample::Sample;
use crate::table::choice::Choice;
use crate::train::{self, Trained, Winner};
use crate::verdict;

/// The key among the parameters of a version's lineage that says: not learned from builds. The first version that a mesh learns
/// of its own builds takes the place of such a champion.
pub const COLD_START: &str = "cold_start";
pub(super) const SUMMARY: &str =
    "Cold start, not learned from builds: ranks builds as changes that later needed a fix are ranked.";
pub(super) const DATA: &str = "ZZR0/ISSTA21-JIT-DP at 5fbf45bb, MIT";
const LABEL: &str = "the commit later needed a fix (stands for: the build failed)";
const SEED: u64 = 1;
/// Share of the rows to learn from, the newest, that ranges are measured on.
const RANGED: f64 = 0.8;

fn growth() -> Growth {
    Growth {
        trees: 200,
        leaves: 31,
        rate: 0.04,
        least: 100,
        columns: 0.5,
        seed: SEED,
        ..Growth::default()
    }
}

/// What is known beside the report.
pub(super) struct Worth {
    /// Figures of the mean project and of all rows together, by what is known.
    pub(super) known: Vec<(String, Figures, Figures)>,
    /// Each project by trees of the other five, and their mean.
    pub(super) unseen: (BTreeMap<String, Figures>, Figures),
}

/// Makes the version from the folder of the public data, checks it, and writes it.
///
/// # Errors
/// [`Fault`].
pub fn ci_run(data: &Path, out: &Path, runtime: &Path, say: &dyn Fn(&str)) -> Result<Report, Fault> {
    complete(data)?;
    artifact::store(out, &BTreeMap::new())?;
    let all = commits::all(data)?;
    say(&format!("{} commits stand for builds", all.rows()));
    let (older, newer) = all.cut(OLDER);
    let known = all.matured(&older, &newer, TOOK);
    let (plain, test) = (all.take(&known), all.take(&newer));
    let request = request(out);
    say(&format!(
        "learning from {} of them, and from each five projects without the sixth",
        plain.rows()
    ));
    let trained = tried(&request, &plain, test, older.len() - known.len())?;
    let winner = train::win(&trained)?;
    let others = without_each(&trained);
    let worth = worth(&trained, &winner, &others);
    let version = Version {
        naming: train::naming(&request, &plain.names),
        forest: &winner.forest,
        sequence: None,
        calibration: &winner.chosen.calibration,
        train: &plain,
        base_rate: metrics::rate(&plain.labels),
        bins: &winner.bins,
        quantiles: &winner.quantiles,
        more: told(&request, (&trained, &winner, &plain), &others, &worth),
        seed: SEED,
    };
    let naming = version.naming.clone();
    let files = artifact::files(&version, Some(runtime))?;
    say("the model is checked as whoever serves it will check it, and scores the test rows");
    let served = Served::open(
        files.clone(),
        Some(runtime),
        &winner.forest,
        &winner.chosen.calibration,
    )?;
    let mut report = verdict::report(&request, &trained, &winner, (served, &files, naming))?;
    report.table.file = DATA.to_owned();
    report.notes.push(
        "a cold start: all figures are of commits that later needed a fix, none is of builds".to_owned(),
    );
    report.settings = BTreeMap::from([("gbdt".to_owned(), settings())]);
    train::write(out, files, &report)?;
    let licence = std::fs::read(data.join("LICENSE")).map_err(failed)?;
    let card = super::cold::card(&report, &worth, &String::from_utf8_lossy(&licence));
    let beside = BTreeMap::from([("CARD.md", card.into_bytes()), ("LICENSE-data", licence)]);
    artifact::store(out, &beside)?;
    Ok(report)
}

fn request(out: &Path) -> Request {
    let mut wanted = commits::wanted();
    wanted.label = LABEL.to_owned();
    Request {
        table: PathBuf::from("public commits"),
        join: None,
        wanted,
        split: OLDER,
        test: None,
        candidates: vec![Candidate::Gbdt, Candidate::Logistic],
        recalibrate: Recalibrate::None,
        delay: TOOK,
        history: false,
        context: false,
        ratios: Vec::new(),
        out: out.to_owned(),
        name: "ci-run".to_owned(),
        version: "1".to_owned(),
        feature_service: "ci-run@1".to_owned(),
        seed: SEED,
    }
}

/// Both candidates, tried on the back-test of rows of which a part is blanked.
fn tried(request: &Request, plain: &Sample, test: Sample, immature: usize) -> Result<Trained, Fault> {
    let drawn = commits::drawn(plain.rows(), SEED);
    let pattern = |row: usize| drawn.get(row).copied().unwrap_or((0, true));
    let train = Sample {
        table: commits::blanked(&plain.table, pattern),
        ..plain.clone()
    };
    let stretches = backtest::stretches(&train, TOOK);
    let weighing = choose::weighing(&train, &stretches, SEED);
    let weights = weighing.weights(&train);
    let recency = train.recency(weighing.half_life.unwrap_or(f64::INFINITY));
    let unseen = Unseen::of(&train, &stretches, &recency).after(TOOK);
    let all: Vec<usize> = (0..train.rows()).collect();
    let parts: Vec<&Vec<usize>> = stretches.iter().map(|s| &s.fit).chain([&all]).collect();
    let own = parts.iter().map(|rows| fitted(grown(&train, rows, &weights)));
    let task = |rows: &&Vec<usize>| Task {
        candidate: Candidate::Logistic,
        rows: rows.to_vec(),
        weights: picked(&weights, rows),
        seed: SEED,
    };
    let tasks: Vec<Task> = parts.iter().map(task).collect();
    let judge = |candidate, fits| choose::tried(candidate, fits, (&train, &unseen), (&test, None));
    let tried = vec![
        judge(Candidate::Gbdt, own.collect()),
        judge(Candidate::Logistic, fit::all(&train, &tasks, None)),
    ];
    let champion = choose::champion(&tried).ok_or_else(|| failed("no candidate could be fitted"))?;
    let choice = Choice {
        wanted: request.wanted.clone(),
        groups: PROJECTS.map(str::to_owned).to_vec(),
        effort: request.wanted.effort.clone(),
        ..Choice::default()
    };
    Ok(Trained {
        prepared: Prepared {
            choice,
            encoding: Encoding::default(),
            train,
            test,
            immature,
            joined: None,
            origin: None,
        },
        weighing,
        unseen,
        tried,
        champion,
        notes: Vec::new(),
    })
}

fn picked(weights: &[f64], rows: &[usize]) -> Vec<f64> {
    let one = |row: &usize| weights.get(*row).copied().unwrap_or(1.0);
    rows.iter().map(one).collect()
}

fn grown(train: &Sample, rows: &[usize], weights: &[f64]) -> Forest {
    let part = train.take(rows);
    gbdt::fit(&part.table, &part.labels, &picked(weights, rows), &growth())
}

fn fitted(forest: Forest) -> Fitted {
    Fitted {
        forest: Ok(forest),
        sequence: None,
        seconds: 0.0,
        parity: None,
        versions: BTreeMap::new(),
    }
}

/// Trees for each project that have not seen it, by group.
fn without_each(trained: &Trained) -> Vec<Forest> {
    let train = &trained.prepared.train;
    let weights = trained.weighing.weights(train);
    let one = |own: u32| {
        let others = (0..train.rows()).filter(|row| train.groups.get(*row) != Some(&own));
        grown(train, &others.collect::<Vec<_>>(), &weights)
    };
    (0..).zip(PROJECTS).map(|(group, _)| one(group)).collect()
}

/// What rows are given, each by the forest of its group.
fn said(sample: &Sample, table: &Matrix, winner: &Winner, by: &[Forest]) -> Vec<f64> {
    let one = |(row, group): (&[f32], &u32)| {
        let forest = by.get(*group as usize).unwrap_or(&winner.forest);
        winner.chosen.calibration.apply(forest.raw(row))
    };
    table.iter().zip(&sample.groups).map(one).collect()
}

fn worth(trained: &Trained, winner: &Winner, others: &[Forest]) -> Worth {
    let test = &trained.prepared.test;
    let names = PROJECTS.map(str::to_owned);
    let mean = |p: &[f64]| {
        let (groups, mean) = verdict::by_group(test, p, &names, SEED);
        (groups, mean.unwrap_or_default())
    };
    let known = commits::patterns().into_iter().map(|(name, pattern)| {
        let table = commits::blanked(&test.table, |_| pattern);
        let p = said(test, &table, winner, &[]);
        (name, mean(&p).1, Figures::of(verdict::judged(test, &p)))
    });
    Worth {
        known: known.collect(),
        unseen: mean(&said(test, &test.table, winner, others)),
    }
}

/// Ranges by what is known, on the newest rows that are learned from, each by trees that have not seen its project.
fn ranges(plain: &Sample, winner: &Winner, others: &[Forest]) -> Value {
    let (_, newest) = plain.cut(RANGED);
    let part = plain.take(&newest);
    let slices: Vec<usize> = part.groups.iter().map(|group| *group as usize).collect();
    let one = |(name, pattern): (String, (usize, bool))| {
        let table = commits::blanked(&part.table, |_| pattern);
        let p = said(&part, &table, winner, others);
        let bins = conformal::intervals(&part.labels, &p, &slices);
        (name, json!({"present": commits::present(pattern), "bins": bins}))
    };
    Value::Object(commits::patterns().into_iter().map(one).collect())
}

fn settings() -> Value {
    let own = growth();
    json!({"trees": own.trees, "leaves": own.leaves, "rate": own.rate, "least": own.least, "columns": own.columns})
}

/// What the manifest tells beside what every manifest does.
fn told(
    request: &Request,
    (trained, winner, plain): (&Trained, &Winner, &Sample),
    others: &[Forest],
    worth: &Worth,
) -> Value {
    let mut told = train::lineage(request, trained, &winner.chosen);
    let short = |figures: &Figures| {
        json!({
            "roc_auc": figures.roc_auc, "pr_auc": figures.pr_auc, "ece": figures.ece,
            "brier": figures.brier, "brier_base": figures.brier_base,
        })
    };
    let by = |(name, mean, _): &(String, Figures, Figures)| (name.clone(), short(mean));
    let test: serde_json::Map<String, Value> = worth.known.iter().map(by).collect();
    let backtest = told.pointer("/metrics/backtest").cloned();
    let more = json!({
        "summary": SUMMARY,
        "metrics": {"backtest": backtest, "test": test, "test_unseen_project": short(&worth.unseen.1)},
        "interval": {
            "level": 0.8,
            "meaning": "range in which the share of comparable commits that needed a fix lies, in a project not learned from",
            "patterns": ranges(plain, winner, others),
        },
        "license": "Apache-2.0", "data_license": "LICENSE-data",
    });
    let parameters =
        json!({"gbdt": settings().to_string(), COLD_START: "learned from commits, none of it from builds"});
    if let Some(lineage) = told.get_mut("lineage").and_then(Value::as_object_mut) {
        lineage.insert("parameters".to_owned(), parameters);
        lineage.insert("data".to_owned(), json!(DATA));
    }
    if let (Some(into), Value::Object(more)) = (told.as_object_mut(), more) {
        into.extend(more);
    }
    if let Some(into) = told.as_object_mut() {
        let learned = SERVED
            .iter()
            .filter(|(_, origin)| !matches!(origin, commits::Origin::Nothing(_)));
        let learned: Vec<&str> = learned.map(|(name, _)| *name).collect();
        into.insert("learned_from".to_owned(), json!(learned));
    }
    told
}
