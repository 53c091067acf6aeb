//! Files of runs and versions, through this server: `mlflow-artifacts:/EXPERIMENT/RUN/artifacts/...` and
//! `mlflow-artifacts:/models/NAME/VERSION/...`.

use std::collections::BTreeMap;

use auspex_chassis::Document;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::tracking::{artifact_uri, find};
use super::{Answer, Asked, Error};
use crate::catalog::safety::refused;
use crate::catalog::{Kept, Version};
use crate::gate::Gate;

/// How a location in this server begins.
pub(super) const SCHEME: &str = "mlflow-artifacts:/";

pub(super) fn routes() -> Router<Gate> {
    Router::new()
        .route("/artifacts", get(list))
        .route("/artifacts/{*path}", get(download).put(upload))
}

/// The same list, asked by run.
pub(super) fn listing() -> Router<Gate> {
    Router::new().route("/artifacts/list", get(list_of_run))
}

fn clean(path: &str) -> Result<String, Error> {
    let path = path.trim_matches('/');
    if path
        .split('/')
        .any(|part| part == ".." || part == "." || part.len() > 255)
    {
        return Err(Error::invalid(format!("path: {path} is no path of a file")));
    }
    Ok(path.to_owned())
}

/// A run's own folder, and the path within it.
fn parts(path: &str) -> Option<(String, String)> {
    let mut pieces = path.splitn(4, '/');
    let (experiment, run, folder) = (pieces.next()?, pieces.next()?, pieces.next()?);
    (folder == "artifacts").then(|| {
        (
            format!("{experiment}/{run}"),
            pieces.next().unwrap_or_default().to_owned(),
        )
    })
}

/// Files below a path, by their path within it.
pub(super) async fn below(gate: &Gate, path: &str) -> Result<BTreeMap<String, Kept>, Error> {
    let path = clean(path)?;
    if let Some(version) = of_version(gate, &path).await? {
        let rest = path.splitn(4, '/').nth(3).unwrap_or_default();
        return Ok(within(files_of(&version), rest));
    }
    let Some((root, rest)) = parts(&path) else {
        return Ok(BTreeMap::new());
    };
    let found: Vec<Document<Kept>> = gate.shelf().ledger().list(&["mlflow-file", &root]).await?;
    let files = found
        .into_iter()
        .map(|entry| (entry.document.file.clone(), entry.document));
    Ok(within(files.collect(), &rest))
}

fn within(files: BTreeMap<String, Kept>, folder: &str) -> BTreeMap<String, Kept> {
    if folder.is_empty() {
        return files;
    }
    let inside = |(name, kept): (String, Kept)| {
        let rest = name.strip_prefix(folder)?.strip_prefix('/')?.to_owned();
        Some((rest, kept))
    };
    files.into_iter().filter_map(inside).collect()
}

fn files_of(version: &Version) -> BTreeMap<String, Kept> {
    let own = [&version.manifest, &version.artifact, &version.golden];
    let all = own
        .into_iter()
        .chain(&version.others)
        .filter(|kept| !kept.sha256.is_empty());
    all.map(|kept| (kept.file.clone(), kept.clone())).collect()
}

/// The version behind `models/NAME/VERSION/...`.
async fn of_version(gate: &Gate, path: &str) -> Result<Option<Version>, Error> {
    let mut pieces = path.split('/');
    if pieces.next() != Some("models") {
        return Ok(None);
    }
    let (Some(name), Some(Ok(number))) = (pieces.next(), pieces.next().map(str::parse::<u64>)) else {
        return Ok(None);
    };
    Ok(Some(gate.shelf().version(name, number).await?))
}

fn listed(files: &BTreeMap<String, Kept>, prefix: &str) -> Vec<Value> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    let at = |name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}/{name}")
        }
    };
    for (name, kept) in files {
        match name.split_once('/') {
            Some((folder, _)) => {
                found.insert(folder.to_owned(), json!({"path": at(folder), "is_dir": true}));
            }
            None => {
                found.insert(
                    name.clone(),
                    json!({"path": at(name), "is_dir": false, "file_size": kept.size}),
                );
            }
        }
    }
    found.into_values().collect()
}

async fn list(State(gate): State<Gate>, asked: Asked) -> Answer {
    let files = below(&gate, &asked.text("path")).await?;
    Ok(Json(json!({"files": listed(&files, "")})))
}

async fn list_of_run(State(gate): State<Gate>, asked: Asked) -> Answer {
    let run = find(&gate, &asked.needed("run_id")?).await?;
    let root = artifact_uri(&run);
    let path = clean(&asked.text("path"))?;
    let folder = root.trim_start_matches(SCHEME);
    let files = below(&gate, &format!("{folder}/{path}")).await?;
    Ok(Json(json!({"root_uri": root, "files": listed(&files, &path)})))
}

async fn upload(State(gate): State<Gate>, Path(path): Path<String>, bytes: Bytes) -> Answer {
    let path = clean(&path)?;
    let (root, name) = parts(&path)
        .filter(|(_, name)| !name.is_empty())
        .ok_or_else(|| Error::invalid(format!("path: {path} is not EXPERIMENT/RUN/artifacts/FILE")))?;
    if let Some(why) = refused(&name, &bytes) {
        return Err(Error::invalid(why));
    }
    let kept = gate.shelf().keep(&name, &bytes).await?;
    let change = |slot: &mut Kept| {
        *slot = kept.clone();
        Ok(())
    };
    gate.shelf().alter(&["mlflow-file", &root, &name], change).await?;
    Ok(Json(json!({})))
}

async fn download(State(gate): State<Gate>, Path(path): Path<String>) -> Result<Response, Error> {
    let path = clean(&path)?;
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let kept = below(&gate, folder).await?.remove(name);
    let kept = kept.ok_or_else(|| Error::missing(format!("there is no file {path}")))?;
    let bytes = gate.shelf().file(&kept.sha256).await?;
    let bytes = bytes.ok_or_else(|| Error::missing(format!("{path} is no longer there")))?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}
