//! What a run is worth: figures, gates, the report.

use std::collections::BTreeMap;

use auspex_learn::online::{self, Told};
use auspex_learn::{conformal, metrics};
use auspex_model::{Files, Model};
use sha2::{Digest as _, Sha256};

use crate::artifact::{self, Served};
use crate::choose::Tried;
use crate::fault::Fault;
use crate::figures::{Figures, Judged, Plots};
use crate::gates;
use crate::golden;
use crate::graph::Naming;
use crate::prepare::Prepared;
use crate::report::{Artifact, Covered, LeftOut, Report, Row, Slice, Table};
use crate::request::{Recalibrate, Request};
use crate::sample::Sample;
use crate::train::{Trained, Winner};

/// What the rows were, as one name: the same rows and columns have the same.
#[must_use]
pub fn snapshot(prepared: &Prepared) -> String {
    let mut digest = Sha256::new();
    for name in &prepared.train.names {
        digest.update(name.as_bytes());
        digest.update(b"\n");
    }
    for sample in [&prepared.train, &prepared.test] {
        for value in sample.table.values() {
            digest.update(value.to_bits().to_le_bytes());
        }
        for label in &sample.labels {
            digest.update([u8::from(*label)]);
        }
        for time in &sample.times {
            digest.update(time.to_bits().to_le_bytes());
        }
    }
    hex::encode(digest.finalize())
}

/// Rows of a sample and what was said about them.
pub(crate) fn judged<'a>(sample: &'a Sample, p: &'a [f64]) -> Judged<'a> {
    Judged {
        labels: &sample.labels,
        p,
        effort: &sample.effort,
    }
}

/// What rows are told when outcomes come in, each when it is known. `span`: time that the model learned from.
pub(crate) fn followed(rows: &Sample, p: &[f64], delay: f64, span: f64) -> Vec<f64> {
    let told = |(row, p): (usize, &f64)| Told {
        time: rows.times.get(row).copied().unwrap_or_default(),
        p: *p,
        failed: rows.labels.get(row).copied().unwrap_or(false),
        group: rows.groups.get(row).copied().unwrap_or(u32::MAX),
    };
    let told: Vec<Told> = p.iter().enumerate().map(told).collect();
    online::walk(&told, delay, span)
}

/// Figures by group, and their mean; none for one group.
pub(crate) fn by_group(
    sample: &Sample,
    p: &[f64],
    names: &[String],
    seed: u64,
) -> (BTreeMap<String, Figures>, Option<Figures>) {
    if names.len() < 2 {
        return (BTreeMap::new(), None);
    }
    let mut groups = BTreeMap::new();
    for (group, rows) in sample.by_group() {
        let part = sample.take(&rows);
        let own: Vec<f64> = rows.iter().filter_map(|row| p.get(*row).copied()).collect();
        let name = names
            .get(group as usize)
            .cloned()
            .unwrap_or_else(|| "(not learned)".to_owned());
        groups.insert(name, Figures::with_bounds(judged(&part, &own), seed));
    }
    let all: Vec<Figures> = groups.values().cloned().collect();
    (groups, Some(Figures::mean(&all)))
}

/// Quarters of the test time.
fn slices(test: &Sample, p: &[f64]) -> Vec<Slice> {
    let rows = test.rows();
    let quarter = |number: usize| -> Vec<usize> { (rows * number / 4..rows * (number + 1) / 4).collect() };
    (0..4)
        .map(quarter)
        .filter(|rows| !rows.is_empty())
        .map(|rows| {
            let part = test.take(&rows);
            let own: Vec<f64> = rows.iter().filter_map(|row| p.get(*row).copied()).collect();
            let end = |time: Option<&f64>| time.copied().unwrap_or_default();
            Slice {
                from: end(part.times.first()),
                to: end(part.times.last()),
                figures: Figures::of(judged(&part, &own)),
            }
        })
        .collect()
}

fn rows(trained: &Trained) -> Vec<Row> {
    let test = &trained.prepared.test;
    let one = |tried: &Tried| {
        let forest = tried.model.as_ref().ok();
        let platt = trained.unseen.platt(&tried.raws);
        let p = forest.map(|forest| -> Vec<f64> {
            let raws = tried.test.clone().unwrap_or_else(|| forest.raws(&test.table));
            raws.into_iter().map(|raw| platt.apply(raw)).collect()
        });
        Row {
            name: tried.name(),
            error: tried.model.as_ref().err().cloned(),
            backtest: forest.map(|_| tried.figures.clone()),
            test: p.map(|p| Figures::of(judged(test, &p))),
            weight: tried.weight,
            seconds: tried.seconds,
            nodes: forest.map_or(0, auspex_learn::Forest::nodes),
            parity: tried.parity,
        }
    };
    let mut rows: Vec<Row> = trained.tried.iter().map(one).collect();
    let loss = |row: &Row| row.backtest.as_ref().map_or(f64::INFINITY, |f| f.log_loss);
    rows.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    rows
}

fn table(request: &Request, trained: &Trained) -> Table {
    let prepared = &trained.prepared;
    let ends = |sample: &Sample| {
        let end = |time: Option<&f64>| time.copied().unwrap_or_default();
        (end(sample.times.first()), end(sample.times.last()))
    };
    Table {
        file: request
            .table
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default(),
        snapshot: snapshot(prepared),
        label: request.wanted.label.clone(),
        features: prepared.train.names.clone(),
        effort: prepared.choice.effort.clone(),
        train_rows: prepared.train.rows(),
        train_rate: metrics::rate(&prepared.train.labels),
        test_rows: prepared.test.rows(),
        train_time: ends(&prepared.train),
        test_time: ends(&prepared.test),
        immature: prepared.immature,
        label_delay: request.delay,
        unlabelled: prepared.train.unlabelled,
        stride: prepared.train.stride,
    }
}

/// Mean absolute contributions on some test rows, largest first.
fn importance(files: &Files, test: &Sample) -> Vec<(String, f64)> {
    let Some(ensemble) = Model::check(files.clone()).ok().and_then(|model| model.ensemble) else {
        return Vec::new();
    };
    let step = (test.rows() / 200).max(1);
    let mut sums = vec![0.0; test.table.width()];
    let mut one = vec![0.0; test.table.width()];
    let mut count = 0;
    for row in test.table.iter().step_by(step) {
        ensemble.contributions(row, &mut one);
        for (sum, moved) in sums.iter_mut().zip(&one) {
            *sum += moved.abs();
        }
        count += 1;
    }
    let mean = |sum: f64| sum / f64::from(count.max(1));
    let mut found: Vec<(String, f64)> = test
        .names
        .iter()
        .cloned()
        .zip(sums.into_iter().map(mean))
        .collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found
}

/// Everything that a run found.
///
/// # Errors
/// [`Fault::Failed`] when the model cannot score.
pub(crate) fn report(
    request: &Request,
    trained: &Trained,
    winner: &Winner,
    (mut served, files, naming): (Served, &Files, Naming),
) -> Result<Report, Fault> {
    let prepared = &trained.prepared;
    let online = request.recalibrate == Recalibrate::Online;
    let test = &prepared.test;
    let (p, artifact) = measured(
        &mut served,
        files,
        &winner.inputs(prepared),
        (winner, request.seed),
    )?;
    let said = match request.recalibrate {
        Recalibrate::None => p.clone(),
        Recalibrate::Online => followed(test, &p, request.delay, prepared.train.span()),
    };
    let (groups, mean_of_groups) = by_group(test, &said, &prepared.choice.groups, request.seed);
    let champion = trained.tried.get(trained.champion);
    let figures = champion.map(|t| t.figures.clone()).unwrap_or_default();
    let gates = gates::gates(&figures, &winner.chosen.p, &artifact);
    let mut notes = prepared.choice.notes.clone();
    notes.extend(trained.notes.clone());
    notes.extend(warnings(trained, &artifact));
    notes.extend(crate::suspect::turned(test, &said));
    let conformal = winner.quantiles.iter().map(|quantile| {
        let (covered, size) = conformal::coverage(quantile, &test.labels, &said);
        Covered {
            quantile: *quantile,
            covered,
            size,
        }
    });
    Ok(Report {
        test: Figures::with_bounds(judged(test, &said), request.seed),
        test_as_trained: online.then(|| Figures::with_bounds(judged(test, &p), request.seed)),
        recalibrate: if online { "online" } else { "none" }.to_owned(),
        groups,
        mean_of_groups,
        mean_of_groups_as_trained: online
            .then(|| by_group(test, &p, &prepared.choice.groups, request.seed).1)
            .flatten(),
        slices: slices(test, &said),
        publishable: gates.iter().all(|gate| gate.passed),
        gates,
        conformal: conformal.collect(),
        artifact,
        notes,
        plots: Plots::of(judged(test, &said)),
        importance: importance(files, test),
        ..described(request, trained, &naming)
    })
}

/// What is known of a run before its test rows are scored.
fn described(request: &Request, trained: &Trained, naming: &Naming) -> Report {
    let prepared = &trained.prepared;
    let settings = |t: &Tried| (t.name(), t.candidate.settings(prepared.train.rows()));
    let left_out = prepared.choice.left_out.iter().map(|left| LeftOut {
        column: left.column.clone(),
        reason: left.reason.clone(),
    });
    let champion = trained.tried.get(trained.champion);
    Report {
        model: format!("{}@{}", naming.model, naming.version),
        champion: champion.map(Tried::name).unwrap_or_default(),
        candidates: rows(trained),
        table: table(request, trained),
        weighing: Some(trained.weighing),
        settings: trained.tried.iter().map(settings).collect(),
        left_out: left_out.collect(),
        versions: trained.tried.iter().flat_map(|t| t.versions.clone()).collect(),
        seed: request.seed,
        ..Report::default()
    }
}

/// What the served file says of the test rows, and how it is.
fn measured(
    served: &mut Served,
    files: &Files,
    newest: &auspex_learn::Matrix,
    (winner, seed): (&Winner, u64),
) -> Result<(Vec<f64>, Artifact), Fault> {
    let p = served.p(newest)?;
    let thresholds = golden::rows(&winner.forest, newest, seed ^ 1);
    let probes: Vec<f32> = thresholds.iter().flat_map(|(_, row)| row.clone()).collect();
    let probes = auspex_learn::Matrix::new(probes, newest.width());
    let parity = served.parity(&probes)?.max(served.parity(newest)?);
    let latency = served.latency(newest)?;
    let artifact = Artifact {
        sha256: artifact::sha256(&files.artifact),
        size: files.artifact.len(),
        parity,
        parity_rows: probes.rows() + newest.rows(),
        by_runtime: served.by_runtime(),
        p50_us: latency.map(|l| l.0),
        p99_us: latency.map(|l| l.1),
    };
    Ok((p, artifact))
}

/// What in the figures should make people look twice.
fn warnings(trained: &Trained, artifact: &Artifact) -> Vec<String> {
    let mut notes = Vec::new();
    let test = &trained.prepared.test;
    let failures = metrics::failures(&test.labels);
    if failures == 0 || failures == test.rows() {
        notes.push("the test rows are of one class: nothing can be ranked on them".to_owned());
    } else if failures.min(test.rows() - failures) < 30 {
        notes.push(format!(
            "only {} rows of the rarer class to test on: the bounds are wide",
            failures.min(test.rows() - failures)
        ));
    }
    let figures = trained
        .tried
        .get(trained.champion)
        .map(|t| t.figures.clone())
        .unwrap_or_default();
    if figures.roc_auc.is_some_and(|auc| auc < 0.55) {
        notes.push(
            "the columns tell next to nothing about the outcome: the back-test ranks no better than a coin"
                .to_owned(),
        );
    }
    if !artifact.by_runtime {
        notes.push(
            "not scored by ONNX Runtime, which is not here: the trees and the file were checked without it"
                .to_owned(),
        );
    }
    notes.extend(crate::suspect::inverted(trained));
    notes
}
