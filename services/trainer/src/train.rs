//! A training run, from a table to a version in a folder.

use std::collections::BTreeMap;
use std::path::Path;

use auspex_learn::{Forest, Matrix, conformal, metrics};
use serde_json::{Value, json};

use crate::artifact::{self, Served, Version};
use crate::backtest::{self, Stretch, Unseen};
use crate::calibrating::{self, Chosen};
use crate::candidate::Candidate;
use crate::choose::{self, Tried, Weighing};
use crate::fault::{Fault, failed, invalid};
use crate::gather::Origin;
use crate::graph::Naming;
use crate::plugin::Plugin;
use crate::prepare::{Prepared, prepare};
use crate::report::Report;
use crate::request::{Bench, Request};
use crate::sequence::{self, Sequence};
use crate::verdict;

/// A calibration of short memory halves what a row counts in this share of the time there is.
const BRIEF: f64 = 0.125;

/// What the back-test left of a run.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) prepared: Prepared,
    pub(crate) weighing: Weighing,
    pub(crate) unseen: Unseen,
    pub(crate) tried: Vec<Tried>,
    pub(crate) champion: usize,
    /// Notes of the run.
    pub(crate) notes: Vec<String>,
}

/// The champion as it will be served.
#[derive(Debug)]
pub(crate) struct Winner {
    pub(crate) forest: Forest,
    /// Instead of trees.
    pub(crate) sequence: Option<Sequence>,
    /// Its calibration, and probabilities for the unseen rows, each calibrated on the other stretches.
    pub(crate) chosen: Chosen,
    pub(crate) bins: Vec<conformal::Bin>,
    pub(crate) quantiles: Vec<conformal::Quantile>,
}

impl Winner {
    /// The test rows as the graph reads them.
    pub(crate) fn inputs<'a>(&self, prepared: &'a Prepared) -> std::borrow::Cow<'a, Matrix> {
        let (train, test) = (&prepared.train, &prepared.test);
        match &self.sequence {
            Some(sequence) => std::borrow::Cow::Owned(sequence::windows(Some(train), test, sequence.steps)),
            None => std::borrow::Cow::Borrowed(&test.table),
        }
    }
}

/// Trains, checks, tests, and writes everything into the folder of the request.
///
/// # Errors
/// [`Fault`].
pub fn train(request: &Request, bench: &Bench, say: &dyn Fn(&str)) -> Result<Report, Fault> {
    finish(request, bench, prepare(request, say)?, say)
}

/// The same from rows that are at hand.
///
/// # Errors
/// [`Fault`].
pub fn finish(
    request: &Request,
    bench: &Bench,
    prepared: Prepared,
    say: &dyn Fn(&str),
) -> Result<Report, Fault> {
    // Before the work, so that none is done for nothing.
    artifact::store(&request.out, &BTreeMap::new())?;
    let trained = compete(request, bench, prepared, say)?;
    let winner = win(&trained)?;
    let names = &trained.prepared.train.names;
    let naming = match &winner.sequence {
        Some(sequence) => naming(request, &sequence::names(names, sequence.steps)),
        None => naming(request, names),
    };
    let version = Version {
        forest: &winner.forest,
        sequence: winner.sequence.as_ref(),
        calibration: &winner.chosen.calibration,
        train: &trained.prepared.train,
        base_rate: metrics::rate(&trained.prepared.train.labels),
        bins: &winner.bins,
        quantiles: &winner.quantiles,
        more: lineage(request, &trained, &winner.chosen),
        seed: request.seed,
        naming: naming.clone(),
    };
    let runtime = bench.library();
    let files = artifact::files(&version, runtime)?;
    say("the model is checked as whoever serves it will check it, and scores the test rows");
    let served = Served::open(files.clone(), runtime, &winner.forest, &winner.chosen.calibration)?;
    let report = verdict::report(request, &trained, &winner, (served, &files, naming))?;
    write(&request.out, files, &report)?;
    Ok(report)
}

pub(crate) fn naming(request: &Request, features: &[String]) -> Naming {
    let service = match request.feature_service.as_str() {
        "" => format!("{}@{}", request.name, request.version),
        named => named.to_owned(),
    };
    Naming {
        model: request.name.clone(),
        version: request.version.clone(),
        feature_service: service,
        schema_sha256: auspex_proto::vector::schema_hash(features.iter().map(String::as_str)),
        features: features.to_vec(),
    }
}

/// Who competes: the candidates asked for, or the usual ones, without those that need a plug-in when there is none.
fn entrants(
    request: &Request,
    plugin: &Option<Result<Plugin, String>>,
    notes: &mut Vec<String>,
) -> Result<Vec<Candidate>, Fault> {
    let mut wanted: Vec<Candidate> = match request.candidates.as_slice() {
        [] => Candidate::USUAL.to_vec(),
        named => named.to_vec(),
    };
    wanted.sort_unstable();
    wanted.dedup();
    let missing = match plugin {
        Some(Ok(_)) => None,
        Some(Err(reason)) => Some(reason.clone()),
        None => Some("it was not asked for".to_owned()),
    };
    if let (Some(reason), true) = (missing, wanted.iter().any(|c| c.needs_plugin())) {
        if !request.candidates.is_empty() {
            return Err(failed(format!("the Python plug-in cannot be used: {reason}")));
        }
        notes.push(format!("only candidates that need no Python competed: {reason}"));
        wanted.retain(|candidate| !candidate.needs_plugin());
    }
    Ok(wanted)
}

fn compete(
    request: &Request,
    bench: &Bench,
    prepared: Prepared,
    say: &dyn Fn(&str),
) -> Result<Trained, Fault> {
    let mut notes = Vec::new();
    let train = &prepared.train;
    let entrants = entrants(request, &bench.plugin, &mut notes)?;
    let stretches = backtest::stretches(train, request.delay);
    if stretches.is_empty() {
        let reason = "too few failures or successes in the older rows for a back-test in time order";
        return Err(invalid("--data", reason));
    }
    let weighing = choose::weighing(train, &stretches, request.seed);
    let weights = weighing.weights(train);
    let recency = train.recency(weighing.half_life.unwrap_or(f64::INFINITY));
    let unseen = Unseen::of(train, &stretches, &recency).after(request.delay);
    let mut tried = fitted(
        request,
        bench,
        (&prepared, &stretches, &weights, &unseen),
        (&entrants, say),
    );
    let ensemble =
        (entrants.contains(&Candidate::Ensemble)).then(|| choose::ensemble(&mut tried, train, &unseen));
    tried.extend(ensemble.flatten());
    if let Some(fault) = tried
        .iter()
        .find_map(|t| t.model.as_ref().err().map(|e| format!("{}: {e}", t.name())))
    {
        notes.push(format!("a candidate was not fitted: {fault}"));
    }
    let champion = choose::champion(&tried).ok_or_else(|| {
        let reasons: Vec<String> = tried
            .iter()
            .filter_map(|t| Some(format!("{}: {}", t.name(), t.model.as_ref().err()?)))
            .collect();
        failed(format!("no candidate could be fitted: {}", reasons.join("; ")))
    })?;
    Ok(Trained {
        weighing,
        unseen,
        tried,
        champion,
        notes,
        prepared,
    })
}

/// Where a run says how far it is.
type Say<'a> = &'a dyn Fn(&str);

/// All candidates but the ensemble, fitted and tried.
fn fitted(
    request: &Request,
    bench: &Bench,
    (prepared, stretches, weights, unseen): (&Prepared, &[Stretch], &[f64], &Unseen),
    (entrants, say): (&[Candidate], Say<'_>),
) -> Vec<Tried> {
    let (train, test) = (&prepared.train, &prepared.test);
    let single: Vec<(Candidate, u64)> = entrants
        .iter()
        .filter(|candidate| **candidate != Candidate::Ensemble)
        .map(|candidate| (*candidate, request.seed))
        .collect();
    let names: Vec<&str> = single.iter().map(|(candidate, _)| candidate.name()).collect();
    say(&format!(
        "fitting {} to {} stretches and to all {} rows",
        names.join(", "),
        stretches.len(),
        train.rows()
    ));
    let plugin = bench.plugin.as_ref().and_then(|found| found.as_ref().ok());
    let fits = choose::try_all(train, stretches, weights, &single, plugin);
    let mut tried: Vec<Tried> = single
        .iter()
        .zip(fits)
        .map(|((candidate, _), fits)| {
            choose::tried(*candidate, fits, (train, unseen), (test, bench.library()))
        })
        .collect();
    // Without a column that tells groups apart nothing can be switched by them.
    if prepared.encoding.group.is_some() {
        let asked = (unseen, entrants, request.seed);
        tried.extend(crate::local::tried(train, stretches, weights, asked));
    }
    tried
}

/// Calibrates the champion, and measures how far off it may be.
pub(crate) fn win(trained: &Trained) -> Result<Winner, Fault> {
    let champion = trained.tried.get(trained.champion);
    let champion = champion.ok_or_else(|| failed("no champion"))?;
    let mut forest = champion.model.clone().map_err(failed)?;
    let unseen = &trained.unseen;
    let train = &trained.prepared.train;
    let mut raws = std::borrow::Cow::Borrowed(&champion.raws);
    if trained.prepared.encoding.group.is_some() && champion.sequence.is_none() {
        let offsets = crate::local::offsets(train, unseen, &champion.raws);
        forest.trees.extend(crate::local::switch(train, &offsets));
        raws = std::borrow::Cow::Owned(crate::local::shifted(train, unseen, &champion.raws, &offsets));
    }
    if champion.sequence.is_none() {
        forest.snap();
    }
    // Rows of one time count the same.
    let recency = train.recency((train.span() * BRIEF).max(f64::MIN_POSITIVE));
    let brief: Vec<f64> = unseen
        .rows
        .iter()
        .filter_map(|row| recency.get(*row).copied())
        .collect();
    let chosen = calibrating::choose(unseen, &raws, &brief);
    let slices: Vec<usize> = match trained.prepared.encoding.group {
        Some(_) => unseen
            .rows
            .iter()
            .map(|row| train.groups.get(*row).map_or(0, |g| *g as usize))
            .collect(),
        None => unseen.stretch.clone(),
    };
    let most = trained.prepared.choice.groups.len();
    let slices: Vec<usize> = slices.into_iter().map(|slice| slice.min(most.max(2))).collect();
    Ok(Winner {
        bins: conformal::intervals(&unseen.labels, &chosen.p, &slices),
        quantiles: conformal::quantiles(&unseen.labels, &chosen.p, &[0.8, 0.9]),
        forest,
        sequence: champion.sequence.clone(),
        chosen,
    })
}

/// How the version came to be, for the manifest.
pub(crate) fn lineage(request: &Request, trained: &Trained, chosen: &Chosen) -> Value {
    let prepared = &trained.prepared;
    let ends = |times: &[f64]| (times.first().copied(), times.last().copied());
    let mut versions = BTreeMap::from([("auspex".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    for tried in &trained.tried {
        versions.extend(tried.versions.clone());
    }
    let (from, to) = ends(&prepared.train.times);
    // Row numbers are no times.
    let ms = |time: Option<f64>| {
        if request.wanted.time.is_some() {
            (time.unwrap_or(0.0) * 1000.0) as i64
        } else {
            0
        }
    };
    let (from_ms, to_ms) = (ms(from), ms(to));
    let settings: BTreeMap<String, String> = trained
        .tried
        .iter()
        .map(|tried| {
            (
                tried.name(),
                tried.candidate.settings(prepared.train.rows()).to_string(),
            )
        })
        .collect();
    let champion = trained.tried.get(trained.champion);
    let backtest = champion.map(|tried| tried.figures.clone());
    let champion = champion.map(Tried::name).unwrap_or_default();
    json!({
        "metrics": {"backtest": backtest},
        "summary": format!("Probability that `{}` is a failure, learned by {champion}.", request.wanted.label),
        "encodings": prepared.encoding,
        "lineage": {
            "code_revision": env!("CARGO_PKG_VERSION"),
            "snapshot": prepared.origin.as_ref().and_then(Origin::snapshot).unwrap_or_else(|| verdict::snapshot(prepared)),
            "rows_sha256": verdict::snapshot(prepared),
            "examples": prepared.origin,
            "joined": prepared.joined,
            "label": request.wanted.label,
            "time": request.wanted.time,
            "group": request.wanted.group,
            "effort": prepared.choice.effort,
            "rows": prepared.train.rows(),
            "times": ends(&prepared.train.times),
            "from_ms": from_ms,
            "to_ms": to_ms,
            "parameters": settings,
            "label_delay": request.delay,
            "history": request.history,
            "context": request.context,
            "ratios": request.ratios,
            "seed": request.seed,
            "champion": champion,
            "weighing": trained.weighing,
            "calibrating": chosen,
            "versions": versions,
        },
    })
}

pub(crate) fn write(folder: &Path, files: auspex_model::Files, report: &Report) -> Result<(), Fault> {
    let document = serde_json::to_vec_pretty(report).map_err(failed)?;
    let all = BTreeMap::from([
        ("manifest.json", files.manifest),
        ("model.onnx", files.artifact),
        ("golden.json", files.golden),
        ("CARD.md", crate::report::card::card(report).into_bytes()),
        ("report.json", document),
        ("report.html", crate::report::html::html(report).into_bytes()),
    ]);
    artifact::store(folder, &all)
}
