//! Models and versions as people and programs read them.

use std::collections::{BTreeMap, BTreeSet};

use auspex_proto::wire::{Figure, ModelVersion, RegisteredModel, ServedModel, StoredFile};
use serde_json::{Value, json};

use super::or_null;
use crate::cli::print;
use crate::cli::view::instant;

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Who has an alias; a dash for nobody.
fn holder(model: &RegisteredModel, alias: &str) -> String {
    model
        .aliases
        .get(alias)
        .map_or_else(|| "-".to_owned(), ToString::to_string)
}

pub(super) fn models(models: &[RegisteredModel]) -> String {
    if models.is_empty() {
        return "there are no models\n".to_owned();
    }
    let mut rows = vec![row([
        "NAME",
        "LATEST",
        "CHAMPION",
        "CHALLENGER",
        "SHADOW",
        "CHANGED",
    ])];
    for model in models {
        rows.push(vec![
            model.name.clone(),
            model.latest.to_string(),
            holder(model, "champion"),
            holder(model, "challenger"),
            holder(model, "shadow"),
            instant(model.changed_ms),
        ]);
    }
    print::table(&rows)
}

pub(super) fn model(model: &RegisteredModel) -> String {
    let aliases: BTreeMap<&String, &u64> = model.aliases.iter().collect();
    let aliases: Vec<String> = aliases
        .into_iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let mut text = format!(
        "model    {}\nlatest   {}\naliases  {}\nchanged  {}\n",
        model.name,
        model.latest,
        aliases.join(", "),
        instant(model.changed_ms),
    );
    let mut rows = vec![row(["WHEN", "ALIAS", "FROM", "TO", "WHO", "CAUSE", "WHY"])];
    let number = |n: u64| if n == 0 { "-".to_owned() } else { n.to_string() };
    for change in model.history.iter().rev().take(20) {
        rows.push(vec![
            instant(change.time_ms),
            change.alias.clone(),
            number(change.previous),
            number(change.version),
            change.actor.clone(),
            change.cause.clone(),
            change.note.clone(),
        ]);
    }
    if rows.len() > 1 {
        text.push('\n');
        text.push_str(&print::table(&rows));
    }
    text
}

pub(super) fn model_document(model: &RegisteredModel) -> Value {
    let aliases: BTreeMap<&String, &u64> = model.aliases.iter().collect();
    let tags: BTreeMap<&String, &String> = model.tags.iter().collect();
    let change = |c: &auspex_proto::wire::AliasChange| {
        json!({
            "alias": c.alias, "version": c.version, "previous": c.previous, "time_ms": c.time_ms,
            "actor": c.actor, "note": c.note, "cause": c.cause, "percent": c.percent,
            "experiment": or_null(&c.experiment),
        })
    };
    json!({
        "name": model.name, "description": model.description, "latest": model.latest, "aliases": aliases,
        "created_ms": model.created_ms, "changed_ms": model.changed_ms, "tags": tags,
        "history": model.history.iter().map(change).collect::<Vec<_>>(),
    })
}

pub(super) fn versions(versions: &[ModelVersion]) -> String {
    let mut rows = vec![row(["VERSION", "ALIASES", "CREATED", "BY", "SCHEMA", "SERVABLE"])];
    for version in versions {
        rows.push(vec![
            version.version.to_string(),
            version.aliases.join(","),
            instant(version.created_ms),
            version.actor.clone(),
            version.schema_hash.chars().take(12).collect(),
            if version.servable {
                "yes".to_owned()
            } else {
                version.why_not.clone()
            },
        ]);
    }
    format!("\n{}", print::table(&rows))
}

/// A figure with its bounds, in three digits.
fn figure(figure: &Figure) -> String {
    match (figure.low, figure.high) {
        (Some(low), Some(high)) => format!("{:.4} [{low:.4}, {high:.4}]", figure.value),
        _ => format!("{:.4}", figure.value),
    }
}

fn title(figure: &Figure) -> String {
    if figure.slice.is_empty() {
        figure.name.clone()
    } else {
        format!("{}/{}", figure.slice, figure.name)
    }
}

pub(super) fn version(version: &ModelVersion) -> String {
    let lineage = version.lineage.clone().unwrap_or_default();
    let calibration = version.calibration.clone().unwrap_or_default();
    let sha = |file: &Option<StoredFile>| file.as_ref().map_or_else(|| "-".to_owned(), |f| f.sha256.clone());
    let mut text = format!(
        "version      {}@{}\naliases      {}\ncreated      {} by {}\nsummary      {}\nartifact     {}\nmanifest     {}\nfeatures     {} of {} (schema {})\ncalibration  {}\ngolden       {} rows within {:e}\ndata         {} ({} rows, seed {})\nservable     {}\n",
        version.name,
        version.version,
        version.aliases.join(", "),
        instant(version.created_ms),
        version.actor,
        version.summary,
        sha(&version.artifact),
        sha(&version.manifest),
        version.features.len(),
        version.feature_service,
        version.schema_hash.chars().take(12).collect::<String>(),
        calibration.method,
        version.golden_rows,
        version.golden_tolerance,
        lineage.snapshot,
        lineage.rows,
        lineage.seed,
        if version.servable {
            "yes"
        } else {
            version.why_not.as_str()
        },
    );
    let mut rows = vec![row(["FIGURE", "VALUE"])];
    rows.extend(version.metrics.iter().take(40).map(|f| vec![title(f), figure(f)]));
    if rows.len() > 1 {
        text.push('\n');
        text.push_str(&print::table(&rows));
    }
    text
}

fn figure_document(figure: &Figure) -> Value {
    json!({
        "name": figure.name, "slice": figure.slice, "value": figure.value, "low": figure.low, "high": figure.high,
    })
}

pub(super) fn version_document(version: &ModelVersion) -> Value {
    let file = |f: &StoredFile| json!({"file": f.file, "sha256": f.sha256, "size": f.size});
    let lineage = version.lineage.clone().unwrap_or_default();
    let calibration = version.calibration.clone().unwrap_or_default();
    let sorted = |map: &std::collections::HashMap<String, String>| -> BTreeMap<String, String> {
        map.iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let parameters: BTreeMap<&String, &f64> = calibration.parameters.iter().collect();
    let drift = |d: &auspex_proto::wire::DriftBaseline| json!({"feature": d.feature, "bounds": d.bounds, "counts": d.counts, "missing": d.missing});
    json!({
        "name": version.name, "version": version.version, "aliases": version.aliases, "label": version.label,
        "created_ms": version.created_ms, "actor": version.actor, "summary": version.summary,
        "manifest": version.manifest.as_ref().map(file), "artifact": version.artifact.as_ref().map(file),
        "golden": version.golden.as_ref().map(file), "others": version.others.iter().map(file).collect::<Vec<_>>(),
        "format": version.format, "feature_service": version.feature_service, "schema_hash": version.schema_hash,
        "features": version.features, "output": version.output,
        "lineage": {
            "code_revision": or_null(&lineage.code_revision), "snapshot": lineage.snapshot, "label": lineage.label,
            "from_ms": lineage.from_ms, "to_ms": lineage.to_ms, "rows": lineage.rows, "seed": lineage.seed,
            "parameters": sorted(&lineage.parameters), "versions": sorted(&lineage.versions),
            "parent": or_null(&lineage.parent), "run_id": or_null(&lineage.run_id),
        },
        "metrics": version.metrics.iter().map(figure_document).collect::<Vec<_>>(),
        "calibration": {
            "method": calibration.method, "parameters": parameters,
            "table": calibration.table.iter().map(|row| [row.from, row.to]).collect::<Vec<_>>(),
        },
        "conformal": version.conformal.iter().map(|q| json!({"level": q.level, "value": q.value})).collect::<Vec<_>>(),
        "drift": version.drift.iter().map(drift).collect::<Vec<_>>(),
        "golden_rows": version.golden_rows, "golden_tolerance": version.golden_tolerance,
        "tags": sorted(&version.tags), "servable": version.servable, "why_not": or_null(&version.why_not),
        "location": version.location,
    })
}

/// Figures of both, by their titles.
fn figures<'a>(
    a: &'a ModelVersion,
    b: &'a ModelVersion,
) -> Vec<(String, Option<&'a Figure>, Option<&'a Figure>)> {
    let of = |version: &'a ModelVersion| -> BTreeMap<String, &'a Figure> {
        version.metrics.iter().map(|f| (title(f), f)).collect()
    };
    let (one, other) = (of(a), of(b));
    let titles: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let pair = |title: &String| (title.clone(), one.get(title).copied(), other.get(title).copied());
    titles.into_iter().map(pair).collect()
}

/// Features that only the first has, and that only the second has.
fn signature(a: &ModelVersion, b: &ModelVersion) -> (Vec<String>, Vec<String>) {
    let without = |from: &[String], these: &[String]| -> Vec<String> {
        from.iter()
            .filter(|name| !these.contains(name))
            .cloned()
            .collect()
    };
    (
        without(&a.features, &b.features),
        without(&b.features, &a.features),
    )
}

/// Parameters that differ: name, of the first, of the second.
fn parameters(a: &ModelVersion, b: &ModelVersion) -> Vec<(String, String, String)> {
    let of = |version: &ModelVersion| version.lineage.clone().unwrap_or_default().parameters;
    let (one, other) = (of(a), of(b));
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let value = |map: &std::collections::HashMap<String, String>, name: &String| {
        map.get(name).cloned().unwrap_or_default()
    };
    let triple = |name: &String| (name.clone(), value(&one, name), value(&other, name));
    names.into_iter().map(triple).filter(|(_, x, y)| x != y).collect()
}

pub(super) fn comparison(a: &ModelVersion, b: &ModelVersion) -> String {
    let (left, right) = (
        format!("{}@{}", a.name, a.version),
        format!("{}@{}", b.name, b.version),
    );
    let mut rows = vec![row(["FIGURE", &left, &right, "DIFFERENCE"])];
    let shown = |f: Option<&Figure>| f.map_or_else(|| "-".to_owned(), figure);
    for (title, x, y) in figures(a, b) {
        let difference = x
            .zip(y)
            .map(|(x, y)| format!("{:+.4}", y.value - x.value))
            .unwrap_or_default();
        rows.push(vec![title, shown(x), shown(y), difference]);
    }
    for (name, x, y) in parameters(a, b) {
        rows.push(vec![format!("parameter {name}"), x, y, String::new()]);
    }
    let (gone, new) = signature(a, b);
    rows.extend(
        gone.into_iter()
            .map(|name| vec![format!("feature {name}"), "yes".to_owned(), "-".to_owned()]),
    );
    rows.extend(
        new.into_iter()
            .map(|name| vec![format!("feature {name}"), "-".to_owned(), "yes".to_owned()]),
    );
    print::table(&rows)
}

pub(super) fn comparison_document(a: &ModelVersion, b: &ModelVersion) -> Value {
    let metric = |(title, x, y): &(String, Option<&Figure>, Option<&Figure>)| {
        json!({
            "name": title, "a": x.map(figure_document), "b": y.map(figure_document),
            "difference": x.zip(*y).map(|(x, y)| y.value - x.value),
        })
    };
    let parameter =
        |(name, x, y): &(String, String, String)| json!({"name": name, "a": or_null(x), "b": or_null(y)});
    let (gone, new) = signature(a, b);
    json!({
        "a": format!("{}@{}", a.name, a.version), "b": format!("{}@{}", b.name, b.version),
        "same_schema": a.schema_hash == b.schema_hash,
        "metrics": figures(a, b).iter().map(metric).collect::<Vec<_>>(),
        "parameters": parameters(a, b).iter().map(parameter).collect::<Vec<_>>(),
        "features": {"only_a": gone, "only_b": new},
    })
}

pub(super) fn served(models: &[ServedModel]) -> String {
    let mut rows = vec![row([
        "MODEL",
        "ARM",
        "PERCENT",
        "SINCE",
        "SCHEMA",
        "RECALIBRATED",
        "REFUSED",
    ])];
    for model in models {
        rows.push(vec![
            model.model.clone(),
            model.arm.clone(),
            model.percent.to_string(),
            model.since_seq.to_string(),
            model.schema_hash.chars().take(12).collect(),
            match model.recalibrated {
                0 => "-".to_owned(),
                1 => "1 project".to_owned(),
                many => format!("{many} projects"),
            },
            model.refused.clone(),
        ]);
    }
    print::table(&rows)
}

pub(super) fn served_document(models: &[ServedModel]) -> Value {
    let one = |m: &ServedModel| {
        json!({
            "model": m.model, "arm": m.arm, "percent": m.percent, "experiment": or_null(&m.experiment),
            "sha256": m.sha256, "schema_hash": m.schema_hash, "since": m.since_seq, "recalibrated": m.recalibrated, "refused": or_null(&m.refused),
        })
    };
    models.iter().map(one).collect::<Vec<_>>().into()
}
