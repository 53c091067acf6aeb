//! Registered models and their versions, in MLflow's words.

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::artifacts::SCHEME;
use super::{Answer, Asked, Error, tags};
use crate::catalog::{Cause, Gift, Head, Refusal, Version};
use crate::gate::Gate;
use crate::shelf::Fault;

/// Who does what comes from a client that does not say.
pub(super) const ACTOR: &str = "mlflow";
/// The tag under which a version's description is kept.
pub(super) const DESCRIPTION: &str = "auspex.description";

pub(super) fn routes() -> Router<Gate> {
    Router::new()
        .route("/registered-models/create", post(create))
        .route("/registered-models/get", get(model))
        .route("/registered-models/search", get(search).post(search))
        .route("/registered-models/update", patch(describe))
        .route("/registered-models/set-tag", post(tag))
        .route("/registered-models/delete-tag", delete(untag))
        .route(
            "/registered-models/alias",
            get(aliased).post(alias).delete(unalias),
        )
        .route("/registered-models/get-latest-versions", get(latest).post(latest))
        .route("/registered-models/delete", delete(never))
        .route("/registered-models/rename", post(never))
}

pub(super) async fn never() -> Error {
    Error::invalid("versions never change, and are neither renamed nor deleted: take their aliases away")
}

pub(super) fn source(version: &Version) -> String {
    if version.source.is_empty() {
        format!("{SCHEME}models/{}/{}", version.name, version.version)
    } else {
        version.source.clone()
    }
}

pub(super) async fn document(gate: &Gate, head: &Head, version: &Version) -> Result<Value, Error> {
    let mut own = gate.shelf().tags(&version.name, version.version).await?;
    let description = own.remove(DESCRIPTION).unwrap_or_else(|| version.summary.clone());
    Ok(json!({
        "name": version.name, "version": version.version.to_string(), "creation_timestamp": version.created.0,
        "last_updated_timestamp": head.changed.0, "user_id": version.actor, "current_stage": "None",
        "description": description, "source": source(version), "run_id": version.lineage.run_id,
        "status": "READY", "status_message": version.why_not, "tags": tags(&own),
        "aliases": head.aliases_of(version.version),
    }))
}

async fn model_document(gate: &Gate, head: &Head) -> Result<Value, Error> {
    let mut latest = Vec::new();
    if head.latest > 0 {
        let version = gate.shelf().version(&head.name, head.latest).await?;
        latest.push(document(gate, head, &version).await?);
    }
    let aliases = head.aliases.iter();
    let aliases: Vec<Value> = aliases
        .map(|(alias, to)| json!({"alias": alias, "version": to.version.to_string()}))
        .collect();
    Ok(json!({
        "name": head.name, "creation_timestamp": head.created.0, "last_updated_timestamp": head.changed.0,
        "description": head.description, "latest_versions": latest, "tags": tags(&head.tags), "aliases": aliases,
    }))
}

async fn create(State(gate): State<Gate>, asked: Asked) -> Answer {
    let name = asked.needed("name")?;
    match gate.shelf().head(&name).await {
        Ok(_) => {
            return Err(Error::exists(format!(
                "Registered Model (name={name}) already exists."
            )));
        }
        Err(Fault::Refused(Refusal::NotFound(_))) => {}
        Err(fault) => return Err(fault.into()),
    }
    let (description, tags) = (asked.text("description"), asked.pairs("tags"));
    let head = gate.shelf().change(&name, gate.now(), |head| {
        head.description.clone_from(&description);
        head.tags.extend(tags.iter().cloned());
        Ok(())
    });
    let head = head.await?;
    Ok(Json(
        json!({"registered_model": model_document(&gate, &head).await?}),
    ))
}

async fn model(State(gate): State<Gate>, asked: Asked) -> Answer {
    let head = gate.shelf().head(&asked.needed("name")?).await?;
    Ok(Json(
        json!({"registered_model": model_document(&gate, &head).await?}),
    ))
}

/// Whether a name is one of those asked for.
pub(super) type Named = Box<dyn Fn(&str) -> bool + Send>;

/// What `filter` asks of a name: `name = 'x'`, `name LIKE 'x%'`, or nothing.
pub(super) fn named(filter: &str) -> Result<Named, Error> {
    // Clients add on their own that what they look for is not a prompt; there are none here.
    let clauses = filter.split(" AND ").map(str::trim);
    let own: Vec<&str> = clauses
        .filter(|c| !(c.is_empty() || c.starts_with("tag.") && c.contains("!=")))
        .collect();
    let filter = match own.as_slice() {
        [] => return Ok(Box::new(|_| true)),
        [only] => *only,
        _ => {
            return Err(Error::invalid(format!(
                "filter: {filter} asks for more than a name"
            )));
        }
    };
    let unknown = || Error::invalid(format!("filter: {filter} is not name = '...' or name LIKE '...'"));
    let rest = filter.strip_prefix("name").ok_or_else(unknown)?.trim_start();
    let upper = rest.to_ascii_uppercase();
    let (pattern, like) = if let Some(text) = rest.strip_prefix('=') {
        (text, false)
    } else if upper.starts_with("ILIKE ") {
        (rest.get(6..).unwrap_or_default(), true)
    } else if upper.starts_with("LIKE ") {
        (rest.get(5..).unwrap_or_default(), true)
    } else {
        return Err(unknown());
    };
    let text = pattern.trim();
    let quoted = |mark: char| {
        text.strip_prefix(mark)
            .and_then(|t| t.strip_suffix(mark))
            .map(str::to_owned)
    };
    let text = quoted('\'').or_else(|| quoted('"')).ok_or_else(unknown)?;
    if !like {
        return Ok(Box::new(move |name| name == text));
    }
    let (open_start, open_end) = (text.starts_with('%'), text.ends_with('%'));
    let core = text.trim_matches('%').to_ascii_lowercase();
    Ok(Box::new(move |name| {
        let name = name.to_ascii_lowercase();
        match (open_start, open_end) {
            (true, true) => name.contains(&core),
            (true, false) => name.ends_with(&core),
            (false, true) => name.starts_with(&core),
            (false, false) => name == core,
        }
    }))
}

async fn search(State(gate): State<Gate>, asked: Asked) -> Answer {
    let wanted = named(&asked.text("filter"))?;
    let mut found = Vec::new();
    for head in gate.shelf().heads().await? {
        if wanted(&head.name) {
            found.push(model_document(&gate, &head).await?);
        }
    }
    Ok(Json(json!({"registered_models": found})))
}

async fn describe(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (name, description) = (asked.needed("name")?, asked.text("description"));
    gate.shelf().head(&name).await?;
    let now = gate.now();
    let head = gate.shelf().change(&name, now, |head| {
        head.description.clone_from(&description);
        head.changed = now;
        Ok(())
    });
    let head = head.await?;
    Ok(Json(
        json!({"registered_model": model_document(&gate, &head).await?}),
    ))
}

async fn set(gate: &Gate, asked: &Asked, value: Option<String>) -> Answer {
    let (name, key) = (asked.needed("name")?, asked.needed("key")?);
    gate.shelf().head(&name).await?;
    let change = |head: &mut Head| {
        match &value {
            Some(value) => head.tags.insert(key.clone(), value.clone()),
            None => head.tags.remove(&key),
        };
        if head.tags.len() > 256 {
            return Err(Refusal::Unmet("a model has at most 256 tags".to_owned()).into());
        }
        Ok(())
    };
    gate.shelf().change(&name, gate.now(), change).await?;
    Ok(Json(json!({})))
}

async fn tag(State(gate): State<Gate>, asked: Asked) -> Answer {
    set(&gate, &asked, Some(asked.text("value"))).await
}

async fn untag(State(gate): State<Gate>, asked: Asked) -> Answer {
    set(&gate, &asked, None).await
}

async fn aliased(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (name, alias) = (asked.needed("name")?, asked.needed("alias")?);
    let head = gate.shelf().head(&name).await?;
    let found = head.aliases.get(&alias).map(|found| found.version);
    let number = found.ok_or_else(|| Error::invalid(format!("Registered model alias {alias} not found.")))?;
    let version = gate.shelf().version(&name, number).await?;
    Ok(Json(
        json!({"model_version": document(&gate, &head, &version).await?}),
    ))
}

async fn alias(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (name, alias) = (asked.needed("name")?, asked.needed("alias")?);
    let head = gate.shelf().head(&name).await?;
    let version = head.resolve(&asked.needed("version")?)?;
    let gift = Gift {
        cause: if alias == "champion" {
            Cause::Promote
        } else {
            Cause::Alias
        },
        alias,
        version,
        percent: 0,
        experiment: String::new(),
        actor: ACTOR.to_owned(),
        note: String::new(),
    };
    gate.give(&name, &gift).await?;
    Ok(Json(json!({})))
}

async fn unalias(State(gate): State<Gate>, asked: Asked) -> Answer {
    let (name, alias) = (asked.needed("name")?, asked.needed("alias")?);
    gate.shelf().head(&name).await?;
    let now = gate.now();
    let change = |head: &mut Head| {
        head.take(&alias, (ACTOR, ""), Cause::Remove, now);
        Ok(())
    };
    gate.shelf().change(&name, now, change).await?;
    Ok(Json(json!({})))
}

async fn latest(State(gate): State<Gate>, asked: Asked) -> Answer {
    let head = gate.shelf().head(&asked.needed("name")?).await?;
    let document = model_document(&gate, &head).await?;
    Ok(Json(json!({"model_versions": document.get("latest_versions")})))
}
