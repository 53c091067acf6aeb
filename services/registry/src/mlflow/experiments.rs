//! Experiments: what runs are gathered under.

use std::collections::BTreeMap;

use auspex_chassis::Document;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tracking::bounded;
use super::{Answer, Asked, Error, tags};
use crate::gate::Gate;
use crate::shelf::sha256;

/// The experiment that is always there.
pub(super) const DEFAULT: &str = "0";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Experiment {
    pub(super) id: String,
    name: String,
    created: i64,
    tags: BTreeMap<String, String>,
}

pub(super) fn routes() -> Router<Gate> {
    Router::new()
        .route("/experiments/create", post(create_experiment))
        .route("/experiments/get", get(experiment))
        .route("/experiments/get-by-name", get(experiment_by_name))
        .route("/experiments/search", post(experiments).get(experiments))
        .route("/experiments/set-experiment-tag", post(tag_experiment))
}

fn experiment_document(one: &Experiment) -> Value {
    json!({
        "experiment_id": one.id, "name": one.name, "lifecycle_stage": "active",
        "artifact_location": format!("mlflow-artifacts:/{}", one.id),
        "creation_time": one.created, "last_update_time": one.created, "tags": tags(&one.tags),
    })
}

pub(super) async fn all_experiments(gate: &Gate) -> Result<Vec<Experiment>, Error> {
    let found: Vec<Document<Experiment>> = gate.shelf().ledger().list(&["mlflow-experiment"]).await?;
    let mut all: Vec<Experiment> = found.into_iter().map(|entry| entry.document).collect();
    if all.iter().all(|one| one.id != DEFAULT) {
        all.push(Experiment {
            id: DEFAULT.to_owned(),
            name: "Default".to_owned(),
            ..Experiment::default()
        });
    }
    all.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    Ok(all)
}

async fn create_experiment(State(gate): State<Gate>, asked: Asked) -> Answer {
    let name = asked.needed("name")?;
    if all_experiments(&gate).await?.iter().any(|one| one.name == name) {
        return Err(Error::exists(format!("Experiment '{name}' already exists.")));
    }
    // The same name has the same number, so two who are at it at once make one.
    let digest = sha256(name.as_bytes());
    let number = u64::from_str_radix(digest.get(..13).unwrap_or("0"), 16).unwrap_or(1);
    let one = Experiment {
        id: number.to_string(),
        name: name.clone(),
        created: gate.now().0,
        tags: asked.pairs("tags").into_iter().collect(),
    };
    let key = ["mlflow-experiment", &one.id];
    gate.shelf()
        .alter(&key, |kept: &mut Experiment| {
            *kept = one.clone();
            Ok(())
        })
        .await?;
    Ok(Json(json!({"experiment_id": one.id})))
}

async fn experiment(State(gate): State<Gate>, asked: Asked) -> Answer {
    let id = asked.needed("experiment_id")?;
    let found = all_experiments(&gate).await?.into_iter().find(|one| one.id == id);
    let found = found.ok_or_else(|| Error::missing(format!("No Experiment with id={id} exists")))?;
    Ok(Json(json!({"experiment": experiment_document(&found)})))
}

async fn experiment_by_name(State(gate): State<Gate>, asked: Asked) -> Answer {
    let name = asked.needed("experiment_name")?;
    let found = all_experiments(&gate)
        .await?
        .into_iter()
        .find(|one| one.name == name);
    let found =
        found.ok_or_else(|| Error::missing(format!("Could not find experiment with name '{name}'")))?;
    Ok(Json(json!({"experiment": experiment_document(&found)})))
}

async fn experiments(State(gate): State<Gate>, _asked: Asked) -> Answer {
    let all = all_experiments(&gate).await?;
    Ok(Json(
        json!({"experiments": all.iter().map(experiment_document).collect::<Vec<_>>()}),
    ))
}

async fn tag_experiment(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (id, key, value) = (
        asked.needed("experiment_id")?,
        asked.needed("key")?,
        asked.text("value"),
    );
    let known = all_experiments(&gate).await?.into_iter().find(|one| one.id == id);
    let known = known.ok_or_else(|| Error::missing(format!("No Experiment with id={id} exists")))?;
    let change = |kept: &mut Experiment| {
        if kept.id.is_empty() {
            *kept = known.clone();
        }
        kept.tags.insert(key.clone(), value.clone());
        bounded(kept.tags.len())
    };
    gate.shelf().alter(&["mlflow-experiment", &id], change).await?;
    Ok(Json(json!({})))
}
