//! An Argo `Rollout` shown as Auspex's: an object beside it, owned by it, so that Argo's own stays as it is. Pure.

use auspex_argo::convert::{Remark, convert};
use auspex_argo::document::Kind;
use auspex_argo::expr::Mode;
use auspex_argo::template::Templates;
use auspex_cluster::Patch;
use serde_json::{Map, Value, json};

use crate::kinds::{self, annotation, meta};

/// What becomes of the object that shows an Argo rollout.
#[derive(Debug, Clone, PartialEq)]
pub enum Show {
    /// It is as it should be, or there is nothing to show.
    Rest,
    /// There is none yet.
    Create(Value),
    /// It differs.
    Change(Patch),
    /// One of that name is there, and was not made from this rollout: it is left alone.
    Foreign,
}

/// Templates that a rollout of this namespace may name.
#[must_use]
pub fn templates<'a>(all: impl IntoIterator<Item = &'a Value>, namespace: &str) -> Templates {
    let mut found = Templates::default();
    for object in all {
        let own = meta(object, "namespace");
        if (own.is_empty() || own == namespace)
            && let Ok(kind) = Kind::of(object)
        {
            found.add_all([&kind]);
        }
    }
    found
}

/// The object that shows a rollout; `None` while it has nothing under way: what Argo calls stable is what it runs.
///
/// `alive`: why its controller counts as alive; `None`: it does not. What was left in the status by a controller that is
/// gone is not taken for a sign of life.
#[must_use]
pub fn shown(argo: &Value, templates: &Templates, alive: Option<&str>) -> Option<Value> {
    let hash = |field: &str| {
        argo.pointer(&format!("/status/{field}"))
            .and_then(Value::as_str)
            .filter(|hash| !hash.is_empty())
    };
    let (stable, current) = (hash("stableRS"), hash("currentPodHash"));
    if current.is_some() && stable == current {
        return None;
    }
    let Parts {
        spec,
        analysis,
        mut refused,
        notes,
    } = converted(&told(argo, alive), templates, alike(argo));
    if let Some(why) = alive
        && annotation(argo, "auspex.dev/mode") == Some("act")
    {
        refused.push(format!("Argo's controller is alive: {why}"));
    }
    let mut spec = spec.unwrap_or_else(|| json!({ "service": meta(argo, "name"), "mode": "observe" }));
    // A controller that has looked at it and calls nothing stable: nothing of the service serves yet.
    let first = stable.is_none() && current.is_some() && spec.pointer("/tracks/stable").is_none();
    if let Some(fields) = spec.as_object_mut().filter(|_| first) {
        fields.insert("initial".to_owned(), json!(true));
    }
    if let (Some(stable), Some(tracks)) = (stable, spec.get_mut("tracks").and_then(Value::as_object_mut)) {
        tracks
            .entry("stable")
            .or_insert_with(|| json!({ "revision": stable }));
    }
    Some(object(argo, spec, analysis.as_ref(), [&refused, &notes]))
}

/// What the converter made of a rollout.
#[derive(Default)]
struct Parts {
    spec: Option<Value>,
    analysis: Option<Value>,
    refused: Vec<String>,
    notes: Vec<String>,
}

/// The rollout as the converter is told it. It refuses `act` for a document that has the status of a controller: so one whose
/// controller is gone loses it, and one that a living controller has not written yet gets one.
fn told(argo: &Value, alive: Option<&str>) -> Value {
    let mut told = argo.clone();
    if let Some(fields) = told.as_object_mut() {
        if alive.is_none() {
            fields.remove("status");
        } else if fields.get("status").is_none_or(|status| !status.is_object()) {
            fields.insert("status".to_owned(), json!({ "phase": "Unknown" }));
        }
    }
    told
}

/// How alike conditions are to Argo's.
fn alike(argo: &Value) -> Result<Mode, String> {
    match annotation(argo, kinds::CONDITIONS) {
        None | Some("strict") => Ok(Mode::Strict),
        Some("safe") => Ok(Mode::Safe),
        Some(other) => Err(format!(
            "metadata.annotations['{}']: `{other}` is neither strict nor safe",
            kinds::CONDITIONS
        )),
    }
}

fn converted(told: &Value, templates: &Templates, alike: Result<Mode, String>) -> Parts {
    let mode = match alike {
        Ok(mode) => mode,
        Err(refused) => {
            return Parts {
                refused: vec![refused],
                ..Parts::default()
            };
        }
    };
    let kind = match Kind::of(told) {
        Ok(kind) => kind,
        Err((field, reason)) => {
            return Parts {
                refused: vec![format!("{field}: {reason}")],
                ..Parts::default()
            };
        }
    };
    let converted = convert(&[kind], templates, mode);
    let spec = |wanted: &str| {
        let mut all = converted.documents.iter();
        let found = all.find(|document| document.get("kind").is_some_and(|kind| kind == wanted));
        found.and_then(|document| document.get("spec")).cloned()
    };
    let missing = converted.missing.iter();
    let missing = missing.map(|name| format!("template {name} is not there"));
    Parts {
        spec: spec("Rollout"),
        analysis: spec("Analysis"),
        refused: said(&converted.refused).into_iter().chain(missing).collect(),
        notes: said(&converted.notes),
    }
}

/// What becomes of the object that is there.
#[must_use]
pub fn settle(there: Option<&Value>, wanted: &Value) -> Show {
    let Some(there) = there else {
        return Show::Create(wanted.clone());
    };
    if annotation(there, kinds::FROM) != annotation(wanted, kinds::FROM) {
        return Show::Foreign;
    }
    let mut patch = Patch::default();
    patch.test("/metadata/resourceVersion", meta(there, "resourceVersion"));
    if there.get("spec") != wanted.get("spec") {
        patch.replace("/spec", wanted.get("spec").cloned().unwrap_or_default());
    }
    for name in [
        kinds::REFUSED,
        kinds::NOTES,
        kinds::PROJECT,
        kinds::ASK,
        kinds::ANALYSIS,
    ] {
        let path = format!("/metadata/annotations/{}", name.replace('/', "~1"));
        match (annotation(there, name), annotation(wanted, name)) {
            (last, new) if last == new => {}
            // What a person asks of the shown object itself stays.
            (Some(_), None) if name == kinds::ASK => {}
            (Some(_), None) => patch.remove(path),
            (_, Some(new)) => patch.add(path, new),
            (None, None) => {}
        }
    }
    if patch.is_empty() {
        Show::Rest
    } else {
        Show::Change(patch)
    }
}

fn object(argo: &Value, spec: Value, analysis: Option<&Value>, texts: [&Vec<String>; 2]) -> Value {
    let mut annotations = Map::new();
    annotations.insert(kinds::FROM.to_owned(), json!(meta(argo, "uid")));
    for name in [kinds::PROJECT, kinds::ASK] {
        if let Some(value) = annotation(argo, name) {
            annotations.insert(name.to_owned(), json!(value));
        }
    }
    for (name, texts) in [kinds::REFUSED, kinds::NOTES].into_iter().zip(texts) {
        if !texts.is_empty() {
            annotations.insert(name.to_owned(), json!(texts.join("; ")));
        }
    }
    if let Some(analysis) = analysis {
        annotations.insert(kinds::ANALYSIS.to_owned(), json!(analysis.to_string()));
    }
    json!({
        "apiVersion": kinds::ROLLOUTS.api_version(),
        "kind": kinds::ROLLOUTS.name,
        "metadata": {
            "name": meta(argo, "name"),
            "namespace": meta(argo, "namespace"),
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": kinds::ARGO_ROLLOUTS.api_version(),
                "kind": kinds::ARGO_ROLLOUTS.name,
                "name": meta(argo, "name"),
                "uid": meta(argo, "uid"),
            }],
        },
        "spec": spec,
    })
}

fn said(remarks: &[Remark]) -> Vec<String> {
    remarks
        .iter()
        .map(|remark| format!("{}: {}", remark.field, remark.reason))
        .collect()
}
