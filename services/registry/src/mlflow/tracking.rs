//! Runs: what a client logs before it registers.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use auspex_chassis::Document;

use super::experiments::{DEFAULT, all_experiments};
use super::{Answer, Asked, Error, tags};
use crate::catalog::Refusal;
use crate::gate::Gate;
use crate::shelf::{Fault, sha256};

/// The most points of all metrics of a run together: 400 kB.
const MOST_POINTS: usize = 10_000;
/// The most parameters and tags.
const MOST_PAIRS: usize = 1_000;

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) experiment: String,
    name: String,
    user: String,
    status: String,
    started: i64,
    ended: i64,
    parameters: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    metrics: BTreeMap<String, Vec<Point>>,
}

/// Value, time, step of a metric.
type Point = (Measure, i64, i64);

/// A value of a metric. A loss that has run away is one too: what JSON has no number for goes by its name, as MLflow has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Measure(f64);

impl Serialize for Measure {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            finite if finite.is_finite() => serializer.serialize_f64(finite),
            value if value.is_nan() => serializer.serialize_str("NaN"),
            value if value > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

impl<'de> Deserialize<'de> for Measure {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let found = Self::of(&value).or(value.is_null().then_some(Self(f64::NAN)));
        found.ok_or_else(|| serde::de::Error::custom(format!("value: {value} is not a number")))
    }
}

impl Measure {
    fn of(value: &Value) -> Option<Self> {
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        number.map(Self)
    }
}

pub(super) fn routes() -> Router<Gate> {
    Router::new()
        .route("/runs/create", post(create_run))
        .route("/runs/get", get(run))
        .route("/runs/update", post(update_run))
        .route("/runs/search", post(runs))
        .route("/runs/log-metric", post(log_metric))
        .route("/runs/log-parameter", post(log_parameter))
        .route("/runs/log-batch", post(log_batch))
        .route("/runs/log-inputs", post(|| async { Json(json!({})) }))
        .route("/runs/log-model", post(|| async { Json(json!({})) }))
        .route("/runs/set-tag", post(tag_run))
        // Models that belong to no run are none of ours.
        .route(
            "/logged-models/search",
            post(|| async { Json(json!({"models": []})) }),
        )
        .route("/metrics/get-history", get(history))
}

/// Where a run's files lie, in MLflow's words.
pub(super) fn artifact_uri(run: &Run) -> String {
    format!("mlflow-artifacts:/{}/{}/artifacts", run.experiment, run.id)
}

fn run_document(run: &Run) -> Value {
    let last = |(key, points): (&String, &Vec<Point>)| {
        let (value, timestamp, step) = points.last().copied().unwrap_or_default();
        json!({"key": key, "value": value, "timestamp": timestamp, "step": step})
    };
    json!({
        "info": {
            "run_id": run.id, "run_uuid": run.id, "run_name": run.name, "experiment_id": run.experiment,
            "user_id": run.user, "status": run.status, "start_time": run.started,
            "end_time": (run.ended > 0).then_some(run.ended), "artifact_uri": artifact_uri(run),
            "lifecycle_stage": "active",
        },
        "data": {
            "metrics": run.metrics.iter().map(last).collect::<Vec<_>>(),
            "params": tags(&run.parameters), "tags": tags(&run.tags),
        },
        "inputs": {"dataset_inputs": []},
    })
}

pub(super) fn bounded(pairs: usize) -> Result<(), Fault> {
    if pairs > MOST_PAIRS {
        return Err(Refusal::Unmet(format!("at most {MOST_PAIRS} parameters or tags are kept")).into());
    }
    Ok(())
}

async fn create_run(State(gate): State<Gate>, asked: Asked) -> Answer {
    let experiment = match asked.text("experiment_id") {
        id if id.is_empty() => DEFAULT.to_owned(),
        id => id,
    };
    if all_experiments(&gate)
        .await?
        .iter()
        .all(|one| one.id != experiment)
    {
        return Err(Error::missing(format!(
            "No Experiment with id={experiment} exists"
        )));
    }
    let started = asked.whole("start_time").unwrap_or(gate.now().0);
    let tags: BTreeMap<String, String> = asked.pairs("tags").into_iter().collect();
    let given = asked.text("run_name");
    let name = if given.is_empty() {
        tags.get("mlflow.runName").cloned().unwrap_or_default()
    } else {
        given
    };
    let id = unused(&gate).await?;
    let run = Run {
        id: id.clone(),
        experiment,
        name: if name.is_empty() {
            format!("run-{}", id.get(..8).unwrap_or(&id))
        } else {
            name
        },
        user: asked.text("user_id"),
        status: "RUNNING".to_owned(),
        started,
        tags,
        ..Run::default()
    };
    let saved = gate.shelf().ledger().create(&["mlflow-run", &run.id], &run).await;
    saved.map_err(Fault::from)?;
    Ok(Json(json!({"run": run_document(&run)})))
}

/// An id of 32 hexadecimal digits that no run has.
async fn unused(gate: &Gate) -> Result<String, Error> {
    let runs: Vec<Document<Value>> = gate.shelf().ledger().list(&["mlflow-run"]).await?;
    let salt = format!(
        "{}:{}:{:?}",
        gate.now().0,
        runs.len(),
        std::thread::current().id()
    );
    let nonce = std::sync::atomic::AtomicU64::fetch_add(&NEXT, 1, std::sync::atomic::Ordering::Relaxed);
    let digest = sha256(format!("{salt}:{}:{nonce}", std::process::id()).as_bytes());
    Ok(digest.get(..32).unwrap_or(&digest).to_owned())
}

/// Two runs begun in the same millisecond by one process are two.
static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// A run by its id.
pub(super) async fn find(gate: &Gate, id: &str) -> Result<Run, Error> {
    let found = gate.shelf().ledger().get::<Run>(&["mlflow-run", id]).await?;
    Ok(found
        .ok_or_else(|| Error::missing(format!("Run with id={id} not found")))?
        .document)
}

fn run_id(asked: &Asked) -> Result<String, Error> {
    match asked.text("run_id") {
        id if id.is_empty() => asked.needed("run_uuid"),
        id => Ok(id),
    }
}

async fn alter(gate: &Gate, asked: &Asked, change: impl Fn(&mut Run)) -> Result<Run, Error> {
    let run = find(gate, &run_id(asked)?).await?;
    let key = ["mlflow-run", run.id.as_str()];
    let altered = gate.shelf().alter(&key, |kept: &mut Run| {
        change(kept);
        bounded(kept.parameters.len().max(kept.tags.len()))?;
        if kept.metrics.values().map(Vec::len).sum::<usize>() > MOST_POINTS {
            return Err(
                Refusal::Unmet(format!("a run keeps at most {MOST_POINTS} points of metrics")).into(),
            );
        }
        Ok(())
    });
    Ok(altered.await?)
}

async fn run(State(gate): State<Gate>, asked: Asked) -> Answer {
    let run = find(&gate, &run_id(&asked)?).await?;
    Ok(Json(json!({"run": run_document(&run)})))
}

async fn update_run(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (status, name, ended) = (
        asked.text("status"),
        asked.text("run_name"),
        asked.whole("end_time"),
    );
    let run = alter(&gate, &asked, |run| {
        if !status.is_empty() {
            run.status.clone_from(&status);
        }
        if !name.is_empty() {
            run.name.clone_from(&name);
        }
        run.ended = ended.unwrap_or(run.ended);
    })
    .await?;
    Ok(Json(json!({"run_info": run_document(&run).get("info")})))
}

async fn runs(State(gate): State<Gate>, asked: Asked) -> Answer {
    if !asked.text("filter").trim().is_empty() {
        return Err(Error::invalid(
            "filter: runs are found by their experiments alone",
        ));
    }
    let wanted: Vec<&str> = asked
        .list("experiment_ids")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let found: Vec<Document<Run>> = gate.shelf().ledger().list(&["mlflow-run"]).await?;
    let mut runs: Vec<Run> = found.into_iter().map(|entry| entry.document).collect();
    runs.retain(|run| wanted.is_empty() || wanted.contains(&run.experiment.as_str()));
    runs.sort_by_key(|run| std::cmp::Reverse(run.started));
    let most = usize::try_from(asked.whole("max_results").unwrap_or(1_000)).unwrap_or(1_000);
    Ok(Json(
        json!({"runs": runs.iter().take(most).map(run_document).collect::<Vec<_>>()}),
    ))
}

fn point(value: &Value, now: i64) -> Option<(String, Point)> {
    let whole = |field: &str| {
        let value = value.get(field)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    };
    let key = value.get("key")?.as_str()?.to_owned();
    let number = Measure::of(value.get("value")?)?;
    Some((
        key,
        (
            number,
            whole("timestamp").unwrap_or(now),
            whole("step").unwrap_or(0),
        ),
    ))
}

async fn log_metric(State(gate): State<Gate>, asked: Asked) -> Answer {
    let point = point(&asked.0, gate.now().0).ok_or_else(|| Error::invalid("key, value: are missing"))?;
    let (key, point) = point;
    alter(&gate, &asked, |run| {
        run.metrics.entry(key.clone()).or_default().push(point)
    })
    .await?;
    Ok(Json(json!({})))
}

async fn log_parameter(State(gate): State<Gate>, asked: Asked) -> Answer {
    put(&gate, &asked, |run| &mut run.parameters).await
}

async fn tag_run(State(gate): State<Gate>, asked: Asked) -> Answer {
    put(&gate, &asked, |run| &mut run.tags).await
}

/// A key and its value among such of a run.
async fn put(gate: &Gate, asked: &Asked, into: fn(&mut Run) -> &mut BTreeMap<String, String>) -> Answer {
    let (key, value) = (asked.needed("key")?, asked.text("value"));
    alter(gate, asked, |run| {
        into(run).insert(key.clone(), value.clone());
    })
    .await?;
    Ok(Json(json!({})))
}

async fn log_batch(State(gate): State<Gate>, asked: Asked) -> Answer {
    let now = gate.now().0;
    let points: Vec<_> = asked
        .list("metrics")
        .iter()
        .filter_map(|metric| point(metric, now))
        .collect();
    let (parameters, tags) = (asked.pairs("params"), asked.pairs("tags"));
    alter(&gate, &asked, |run| {
        for (key, point) in &points {
            run.metrics.entry(key.clone()).or_default().push(*point);
        }
        run.parameters.extend(parameters.iter().cloned());
        run.tags.extend(tags.iter().cloned());
    })
    .await?;
    Ok(Json(json!({})))
}

async fn history(State(gate): State<Gate>, asked: Asked) -> Answer {
    let run = find(&gate, &run_id(&asked)?).await?;
    let key = asked.needed("metric_key")?;
    let points = run.metrics.get(&key).into_iter().flatten();
    let metric = |(value, timestamp, step): &Point| json!({"key": key, "value": value, "timestamp": timestamp, "step": step});
    Ok(Json(json!({"metrics": points.map(metric).collect::<Vec<_>>()})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_has_run_away_is_kept_and_told() {
        let sent =
            ["NaN", "Infinity", "-Infinity", "0.5"].map(|value| json!({"key": "loss", "value": value}));
        let points: Vec<Point> = sent.iter().map(|sent| point(sent, 1).unwrap().1).collect();
        let run = Run {
            metrics: [("loss".to_owned(), points)].into(),
            ..Run::default()
        };
        let text = serde_json::to_string(&run).unwrap();
        let again: Run = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        assert!(
            text.contains(r#"["NaN",1,0],["Infinity",1,0],["-Infinity",1,0],[0.5,1,0]"#),
            "{text}"
        );
        // What was written before such had a name can be read.
        assert!(serde_json::from_value::<Run>(json!({"metrics": {"x": [[null, 1, 0]]}})).is_ok());
        assert!(point(&json!({"key": "x", "value": "much"}), 1).is_none());
    }
}
