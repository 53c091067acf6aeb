//! Versions of registered models, in MLflow's words.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde_json::json;

use super::artifacts::{SCHEME, below};
use super::models::{ACTOR, DESCRIPTION, document, named, never, source as source_of};
use super::tracking::{artifact_uri, find};
use super::{Answer, Asked, Error};
use crate::catalog::{Head, Kept, Version};
use crate::gate::{Gate, Parcel};

pub(super) fn routes() -> Router<Gate> {
    Router::new()
        .route("/model-versions/create", post(create_version))
        .route("/model-versions/get", get(version))
        .route("/model-versions/search", get(versions))
        .route("/model-versions/update", patch(describe_version))
        .route("/model-versions/get-download-uri", get(uri))
        .route("/model-versions/set-tag", post(tag_version))
        .route("/model-versions/delete-tag", delete(untag_version))
        .route("/model-versions/delete", delete(never))
        .route("/model-versions/transition-stage", post(stage))
}

async fn stage() -> Error {
    Error::invalid("stages are superseded by aliases: set the alias champion, challenger or shadow")
}

async fn create_version(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (name, source, run_id) = (
        asked.needed("name")?,
        asked.needed("source")?,
        asked.text("run_id"),
    );
    gate.shelf().head(&name).await?;
    let path = source.strip_prefix(SCHEME).ok_or_else(|| {
        Error::invalid(format!(
            "source: {source} is not a location in this server ({SCHEME}...)"
        ))
    })?;
    if !run_id.is_empty() {
        let own = artifact_uri(&find(&gate, &run_id).await?);
        if !(source == own || source.starts_with(&format!("{own}/"))) {
            return Err(Error::invalid(format!(
                "source: {source} does not lie under the run's {own}"
            )));
        }
    }
    let kept = below(&gate, path).await?;
    if kept.is_empty() {
        return Err(Error::invalid(format!(
            "source: there are no files below {source}"
        )));
    }
    let parcel = Parcel {
        name: name.clone(),
        files: BTreeMap::new(),
        actor: ACTOR.to_owned(),
        run_id,
        source,
    };
    let version = if kept.contains_key("manifest.json") {
        gate.register(filled(&gate, parcel, kept).await?).await?
    } else {
        let named = |(file, kept): (String, Kept)| Kept { file, ..kept };
        let files = kept.into_iter().map(named).collect();
        let why_not =
            "it has no manifest.json: it is kept, found and downloaded, and nothing here scores with it";
        gate.keep_only(parcel, files, why_not.to_owned()).await?
    };
    let mut tags: Vec<(String, Option<String>)> = asked
        .pairs("tags")
        .into_iter()
        .map(|(key, value)| (key, Some(value)))
        .collect();
    let description = asked.text("description");
    if !description.is_empty() {
        tags.push((DESCRIPTION.to_owned(), Some(description)));
    }
    if !tags.is_empty() {
        gate.shelf().tag(&name, version.version, &tags).await?;
    }
    let head = gate.shelf().head(&name).await?;
    Ok(Json(
        json!({"model_version": document(&gate, &head, &version).await?}),
    ))
}

async fn filled(gate: &Gate, mut parcel: Parcel, kept: BTreeMap<String, Kept>) -> Result<Parcel, Error> {
    for (name, kept) in kept {
        let bytes = gate.shelf().file(&kept.sha256).await?;
        let bytes = bytes.ok_or_else(|| Error::missing(format!("{name} is no longer there")))?;
        parcel.files.insert(name, bytes);
    }
    Ok(parcel)
}

async fn asked_version(gate: &Gate, asked: &Asked) -> Result<(Head, Version), Error> {
    let head = gate.shelf().head(&asked.needed("name")?).await?;
    let number = head.resolve(&asked.needed("version")?)?;
    let version = gate.shelf().version(&head.name, number).await?;
    Ok((head, version))
}

async fn version(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (head, version) = asked_version(&gate, &asked).await?;
    Ok(Json(
        json!({"model_version": document(&gate, &head, &version).await?}),
    ))
}

async fn versions(State(gate): State<Gate>, asked: Asked) -> Answer {
    let filter = asked.text("filter");
    let by_run = filter
        .trim()
        .strip_prefix("run_id")
        .map(|rest| rest.trim_start_matches([' ', '=']).to_owned());
    let run = by_run.map(|text| text.trim_matches(['\'', '"']).to_owned());
    let wanted = if run.is_some() {
        named("")?
    } else {
        named(&filter)?
    };
    let mut found = Vec::new();
    for head in gate.shelf().heads().await? {
        if !wanted(&head.name) {
            continue;
        }
        for version in gate.shelf().versions(&head.name).await? {
            if run.as_ref().is_none_or(|run| *run == version.lineage.run_id) {
                found.push(document(&gate, &head, &version).await?);
            }
        }
    }
    Ok(Json(json!({"model_versions": found})))
}

async fn describe_version(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (head, version) = asked_version(&gate, &asked).await?;
    let tags = [(DESCRIPTION.to_owned(), Some(asked.text("description")))];
    gate.shelf().tag(&head.name, version.version, &tags).await?;
    Ok(Json(
        json!({"model_version": document(&gate, &head, &version).await?}),
    ))
}

async fn uri(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (_, version) = asked_version(&gate, &asked).await?;
    Ok(Json(json!({"artifact_uri": source_of(&version)})))
}

async fn tag_version(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (head, version) = asked_version(&gate, &asked).await?;
    let tags = [(asked.needed("key")?, Some(asked.text("value")))];
    gate.shelf().tag(&head.name, version.version, &tags).await?;
    Ok(Json(json!({})))
}

async fn untag_version(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (head, version) = asked_version(&gate, &asked).await?;
    gate.shelf()
        .tag(&head.name, version.version, &[(asked.needed("key")?, None)])
        .await?;
    Ok(Json(json!({})))
}
