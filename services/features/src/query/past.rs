//! Questions about the past: joins, drift, and whether what was served agrees.

use std::sync::Arc;

use auspex_algebra::drift::{Drift, Limits, Samples, drift, weight_drifted};
use auspex_algebra::{Cell, Known};
use auspex_proto::Project;
use auspex_proto::wire::{
    ConsistencyRequest, ConsistencyResponse, DriftRequest, DriftResponse, FeatureConsistency, FeatureDrift,
    FeatureEntity, GetHistoricalFeaturesRequest, TableChunk, TableFormat,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tonic::Status;

use super::{Answers, away, project};
use crate::definitions::Recipe;
use crate::offline::{Format, LOOKS, Labels, Question, Snapshot, Vector, is_gone, number, table};
use crate::online::Asked;

/// Bytes of a part of a file: below gRPC's own limit of 4 MB.
const CHUNK: usize = 1 << 20;
/// Samples of a feature on each side, at most.
const SAMPLES: usize = 5_000;

impl Answers {
    pub(super) async fn historical(
        &self,
        asked: GetHistoricalFeaturesRequest,
    ) -> Result<BoxStream<'static, Result<TableChunk, Status>>, Status> {
        let project = project(asked.project)?;
        let known = self.shelf.known();
        let recipe = self.recipe(&known, &asked.feature_service, &asked.features)?;
        let mut labels = Vec::with_capacity(asked.entities.len());
        for (row, entity) in asked.entities.into_iter().enumerate() {
            labels.push(labelled(&recipe, entity, row)?);
        }
        let from = (asked.snapshot.as_str(), asked.keep);
        let mut looked = 0;
        let (snapshot, answer) = loop {
            looked += 1;
            let snapshot = self.snapshot_of(&project, from).await?;
            let question = Question {
                recipe: &recipe,
                project: project.as_str(),
                labels: &labels,
                known: if asked.corrected { Known::Now } else { Known::Then },
                lag: 0,
                snapshot: Some(&snapshot),
                scaled: asked.scaled,
            };
            match self.offline()?.ask(question).await {
                Ok(answer) => break (snapshot, answer),
                // Files were put together meanwhile: what is there now is another list.
                Err(fault) if from == ("", false) && looked < LOOKS && is_gone(&fault) => {}
                Err(fault) => return Err(away(fault)),
            }
        };
        let format = match TableFormat::try_from(asked.format) {
            Ok(TableFormat::Arrow) => Format::Arrow,
            _ => Format::Parquet,
        };
        let (made, rows) = (Arc::clone(&recipe), labels.len() as u64);
        let written = move || table(&made.names, &labels, &answer, format);
        let written = tokio::task::spawn_blocking(written).await;
        let written = written.map_err(|fault| Status::internal(fault.to_string()))?;
        let bytes = bytes::Bytes::from(written.map_err(away)?);
        let mut chunks = pieces(&bytes);
        if let Some(Ok(first)) = chunks.first_mut() {
            first.snapshot = snapshot.id;
            first.feature_service.clone_from(&recipe.service);
            first.schema_hash.clone_from(&recipe.schema_hash);
            first.names.clone_from(&recipe.names);
            first.rows = rows;
        }
        Ok(futures::stream::iter(chunks).boxed())
    }

    /// What is answered from: a snapshot that was kept, or what is there now, kept when asked to.
    async fn snapshot_of(&self, project: &Project, (id, keep): (&str, bool)) -> Result<Snapshot, Status> {
        let offline = self.offline()?;
        if id.is_empty() {
            let keep = keep.then(|| self.house.now().0);
            return offline.snapshot(project.as_str(), keep).await.map_err(away);
        }
        let none = || Status::not_found(format!("snapshot: there is no {id}"));
        let snapshot = offline.kept(id).await.map_err(away)?.ok_or_else(none)?;
        match snapshot.files.is_empty() || snapshot.is_of(project.as_str()) {
            true => Ok(snapshot),
            false => Err(Status::invalid_argument(format!(
                "snapshot: {id} is of another project than {project}"
            ))),
        }
    }

    pub(super) async fn look_for_drift(&self, asked: DriftRequest) -> Result<DriftResponse, Status> {
        let project = project(asked.project.clone())?;
        let known = self.shelf.known();
        let recipe = self.recipe(&known, &asked.feature_service, &asked.features)?;
        let offline = self.offline()?;
        let now = self.house.now().0;
        let spans = spans(&asked, &recipe, now)?;
        let (mut samples, mut sources) = (Vec::new(), Vec::new());
        for view in &recipe.parts {
            let [reference, current] =
                spans.map(|span| offline.sample(view, (project.as_str(), span), None, SAMPLES));
            let (reference, current) = (reference.await.map_err(away)?, current.await.map_err(away)?);
            for ((name, reference), current) in view.names.iter().zip(reference).zip(current) {
                let name = format!("{}__{name}", view.name);
                if !recipe.names.contains(&name) {
                    continue;
                }
                let importance = asked.importance.get(&name).copied().unwrap_or(1.0);
                samples.push(Samples {
                    name,
                    importance,
                    reference,
                    current,
                });
                sources.push(view.source.clone());
            }
        }
        let mut limits = Limits::default();
        if asked.alpha > 0.0 {
            limits.alpha = asked.alpha;
        }
        let found = drift(&samples, &limits);
        let standings = self.online.standings();
        let newest = |source: &String| {
            standings
                .get(&(project.to_string(), source.clone()))
                .map(|s| s.newest)
        };
        let features = found.iter().zip(&sources).map(|(drift, source)| {
            let age = newest(source).map_or(-1, |newest| (now - newest).max(0));
            told(drift, age)
        });
        Ok(DriftResponse {
            features: features.collect(),
            weight_drifted: weight_drifted(&found),
        })
    }

    /// Served vectors against what the offline store gives for the same entities and moments. What agrees with the store as it
    /// was a lag before is not counted as a mismatch: a reader may be that much later than the log.
    pub(super) async fn compare(&self, asked: ConsistencyRequest) -> Result<ConsistencyResponse, Status> {
        let project = project(asked.project)?;
        let known = self.shelf.known();
        let offline = self.offline()?;
        self.log
            .flush(offline, self.house.instance(), self.house.now().0)
            .await
            .map_err(away)?;
        let served = offline
            .served(project.as_str(), asked.from_ms)
            .await
            .map_err(away)?;
        let mut answer = ConsistencyResponse::default();
        for recipe in known.catalogue.services.values() {
            // A vector of another version was made otherwise.
            let served: Vec<&Vector> = served.iter().filter(|v| v.service == recipe.service).collect();
            if served.is_empty() {
                continue;
            }
            let labels: Vec<Labels> = served.iter().map(|vector| label(vector)).collect();
            let question = |lag, scaled| Question {
                recipe,
                project: project.as_str(),
                labels: &labels,
                known: Known::Then,
                lag,
                snapshot: None,
                scaled,
            };
            let mut expected = Vec::new();
            for (lag, scaled) in [(0, false), (asked.lag_ms, false), (0, true), (asked.lag_ms, true)] {
                expected.push(offline.ask(question(lag, scaled)).await.map_err(away)?);
            }
            let mut tallies = vec![Tally::default(); recipe.names.len()];
            for (place, vector) in served.iter().enumerate() {
                let of = |n: usize| expected.get(n).and_then(|answers| answers.get(place));
                let base = if vector.scaled { 2 } else { 0 };
                let (Some(now), Some(before)) = (of(base), of(base + 1)) else {
                    continue;
                };
                answer.requests += 1;
                if !agrees(vector, now) && agrees(vector, before) {
                    answer.skipped += 1;
                    continue;
                }
                for ((tally, cell), at) in tallies.iter_mut().zip(now).zip(0..) {
                    tally.count(vector.values.get(at).copied().flatten(), cell);
                }
            }
            answer.features.extend(report(recipe, &tallies));
        }
        Ok(answer)
    }
}

/// The reference and what is compared with it, when the question makes sense.
fn spans(asked: &DriftRequest, recipe: &Recipe, now: i64) -> Result<[(i64, i64); 2], Status> {
    let to = if asked.to_ms == 0 { now } else { asked.to_ms };
    let spans = [
        (asked.reference_from_ms, asked.reference_to_ms),
        (asked.from_ms, to),
    ];
    let names = [("reference_from_ms", "reference_to_ms"), ("from_ms", "to_ms")];
    for ((from, to), (first, last)) in spans.iter().zip(names) {
        if from >= to {
            return Err(Status::invalid_argument(format!(
                "{last}: does not lie after {first}"
            )));
        }
    }
    if !(0.0..1.0).contains(&asked.alpha) {
        return Err(Status::invalid_argument(format!(
            "alpha: is {}, it lies above 0 and below 1; 0 is 0.05",
            asked.alpha
        )));
    }
    for (name, weight) in &asked.importance {
        let told = match recipe.names.contains(name) {
            false => format!("importance: {name} is none of the features"),
            true if weight.is_finite() && *weight >= 0.0 => continue,
            true => format!("importance: {name} is {weight}"),
        };
        return Err(Status::invalid_argument(told));
    }
    Ok(spans)
}

fn told(d: &Drift, age_ms: i64) -> FeatureDrift {
    FeatureDrift {
        feature: d.name.clone(),
        reference_samples: d.samples.0 as u64,
        samples: d.samples.1 as u64,
        reference_null_rate: d.null_rate.0,
        null_rate: d.null_rate.1,
        out_of_range: d.out_of_range,
        psi: d.psi,
        psi_threshold: d.psi_threshold,
        psi_p: d.psi_p,
        ks: d.ks,
        ks_p: d.ks_p,
        q: d.q,
        importance: d.importance,
        drifted: d.drifted,
        age_ms,
    }
}

fn label(vector: &Vector) -> Labels {
    let asked = Asked {
        keys: vector.keys.clone(),
        request: vector.request.clone(),
    };
    Labels {
        asked,
        at: vector.at,
        ..Labels::default()
    }
}

fn pieces(bytes: &bytes::Bytes) -> Vec<Result<TableChunk, Status>> {
    let piece = |from: usize| {
        let part = bytes.slice(from..bytes.len().min(from + CHUNK));
        Ok(TableChunk {
            bytes: part.to_vec(),
            ..TableChunk::default()
        })
    };
    (0..bytes.len().max(1)).step_by(CHUNK).map(piece).collect()
}

/// Who is asked about, the so-many-th, and when.
fn labelled(recipe: &Recipe, entity: FeatureEntity, row: usize) -> Result<Labels, Status> {
    let at = entity.time_ms;
    let wrong = |told: String| Status::invalid_argument(format!("entities[{row}].{told}"));
    if at <= 0 {
        return Err(wrong("time_ms: is missing, or lies before 1970".to_owned()));
    }
    let keys = recipe.keys();
    let other = entity
        .keys
        .iter()
        .filter(|(key, _)| !keys.contains(&key.as_str()));
    let beside: std::collections::BTreeMap<String, String> =
        other.map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(taken) = beside.keys().find(|name| is_taken(recipe, name)) {
        return Err(wrong(format!("keys: {taken} is a column of the answer")));
    }
    let asked = super::online::asked(recipe, entity, row)?;
    Ok(Labels { asked, at, beside })
}

fn is_taken(recipe: &Recipe, name: &str) -> bool {
    let feature = name.strip_suffix("__status").unwrap_or(name);
    name == "event_timestamp" || recipe.names.iter().any(|n| n == name || n == feature)
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs())),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn value(cell: &Cell) -> Option<f64> {
    Some(cell.value).filter(|value| value.is_finite())
}

fn agrees(vector: &Vector, cells: &[Cell]) -> bool {
    let statuses = cells
        .iter()
        .map(|cell| number(cell.status))
        .eq(vector.statuses.iter().copied());
    statuses
        && vector
            .values
            .iter()
            .zip(cells)
            .all(|(served, cell)| close(*served, value(cell)))
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    compared: u64,
    mismatches: u64,
    missing: u64,
    extra: u64,
    error: f64,
    pairs: u64,
}

impl Tally {
    fn count(&mut self, served: Option<f64>, cell: &Cell) {
        let expected = value(cell);
        self.compared += 1;
        self.mismatches += u64::from(!close(served, expected));
        match (served, expected) {
            (None, Some(_)) => self.missing += 1,
            (Some(_), None) => self.extra += 1,
            (Some(a), Some(b)) => {
                self.pairs += 1;
                let size = a.abs() + b.abs();
                self.error += if size > 0.0 {
                    2.0 * (a - b).abs() / size
                } else {
                    0.0
                };
            }
            (None, None) => {}
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of requests")]
fn report<'a>(recipe: &'a Recipe, tallies: &'a [Tally]) -> impl Iterator<Item = FeatureConsistency> + 'a {
    recipe
        .names
        .iter()
        .zip(tallies)
        .map(|(name, tally)| FeatureConsistency {
            feature: format!("{}:{name}", recipe.service),
            compared: tally.compared,
            mismatches: tally.mismatches,
            missing: tally.missing,
            extra: tally.extra,
            smape: if tally.pairs > 0 {
                tally.error / tally.pairs as f64
            } else {
                0.0
            },
        })
}
