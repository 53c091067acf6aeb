//! What the feature store answers, for people and for programs.

mod drift;

use auspex_proto::wire::{
    CompactResponse, ConsistencyResponse, DefinitionsResponse, FeatureEntity, FeatureStatus, FeatureVector,
    FreshnessResponse, GetOnlineFeaturesResponse, TableChunk, ViewAbout,
};
use serde_json::{Value, json};

pub(super) use self::drift::drift;
use crate::cli::print::count;
use crate::cli::{Output, print, view};
use crate::fault::Fault;

fn show(
    output: Output,
    text: impl FnOnce() -> String,
    document: impl FnOnce() -> Value,
) -> Result<(), Fault> {
    match output {
        Output::Text => print::text(&text()),
        Output::Json => print::json(&document()),
    }
}

/// So many rows, and the verb that goes with them.
pub(super) fn rows_are(many: u64) -> String {
    format!("{} {}", count(many, "row"), if many == 1 { "is" } else { "are" })
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

pub(super) fn kind(view: &ViewAbout) -> String {
    view.kind.clone()
}

/// A span of time in its largest whole unit.
fn span(ms: i64) -> String {
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)] {
        if ms >= size && ms % size == 0 {
            return format!("{}{unit}", ms / size);
        }
    }
    if ms == 0 {
        "-".to_owned()
    } else {
        format!("{}s", ms / 1_000)
    }
}

pub(super) fn views(views: &[&ViewAbout], output: Output) -> Result<(), Fault> {
    let text = || {
        let mut rows = vec![row([
            "KIND", "NAME", "VERSION", "KEYS", "TTL", "SOURCE", "FEATURES", "FROM",
        ])];
        for view in views {
            rows.push(row([
                &view.kind,
                &view.name,
                &view.version.to_string(),
                &view.entities.join(","),
                &span(view.ttl_ms),
                &view.source,
                &view.features.len().to_string(),
                if view.builtin { "program" } else { "applied" },
            ]));
        }
        print::table(&rows)
    };
    let feature = |f: &auspex_proto::wire::FeatureAbout| json!({"name": f.name, "unit": f.unit, "description": f.description, "formula": f.formula});
    let document = |view: &&ViewAbout| {
        json!({
            "kind": view.kind, "name": view.name, "version": view.version, "meaning_sha256": view.meaning_sha256,
            "builtin": view.builtin, "description": view.description, "entities": view.entities,
            "ttl_ms": view.ttl_ms, "source": view.source, "schema_hash": view.schema_hash,
            "features": view.features.iter().map(feature).collect::<Vec<_>>(),
        })
    };
    show(output, text, || {
        Value::from(views.iter().map(document).collect::<Vec<_>>())
    })
}

pub(super) fn changes(answer: &DefinitionsResponse, output: Output) -> Result<(), Fault> {
    let text = || {
        let mut out = String::new();
        for problem in &answer.problems {
            out.push_str(&format!("! {problem}\n"));
        }
        for change in &answer.changes {
            let mark = match change.action.as_str() {
                "create" => "+",
                "change" | "describe" => "~",
                "remove" => "-",
                _ => "=",
            };
            let (kind, name, version) = (&change.kind, &change.name, change.version);
            out.push_str(&format!(
                "{mark} {kind}/{name} version {version} ({})\n",
                change.action
            ));
            for difference in &change.differences {
                out.push_str(&format!("    {difference}\n"));
            }
            if change.needs_backfill {
                out.push_str(&format!(
                    "    rows of before are read once they are put in again: auspex features backfill {name} --project PROJECT --from TIME\n"
                ));
            }
        }
        let new = answer
            .changes
            .iter()
            .filter(|change| change.action != "none")
            .count() as u64;
        let made = count(new, "change");
        match (answer.applied, new) {
            _ if !answer.problems.is_empty() => {}
            (_, 0) => out.push_str("nothing changes\n"),
            (true, _) => out.push_str(&format!("{made} applied\n")),
            (false, _) => out.push_str(&format!(
                "{made}, nothing is applied yet: auspex features apply does it\n"
            )),
        }
        out
    };
    let change = |c: &auspex_proto::wire::DefinitionChange| {
        json!({
            "kind": c.kind, "name": c.name, "action": c.action, "version": c.version,
            "differences": c.differences, "needs_backfill": c.needs_backfill,
        })
    };
    let document = || {
        json!({
            "applied": answer.applied, "problems": answer.problems,
            "changes": answer.changes.iter().map(change).collect::<Vec<_>>(),
        })
    };
    show(output, text, document)
}

fn status(number: i32) -> &'static str {
    match FeatureStatus::try_from(number) {
        Ok(FeatureStatus::Present) => "PRESENT",
        Ok(FeatureStatus::Null) => "NULL",
        Ok(FeatureStatus::Expired) => "EXPIRED",
        _ => "NOT_FOUND",
    }
}

fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value}")
    } else {
        "-".to_owned()
    }
}

/// One value of a table.
struct Shown {
    name: String,
    value: f64,
    status: &'static str,
}

fn entities(all: &[(Value, Vec<Shown>)], head: &Value, output: Output) -> Result<(), Fault> {
    let text = || {
        let mut out = String::new();
        for (keys, shown) in all {
            out.push_str(&format!("{}\n", keys.as_object().map(pairs).unwrap_or_default()));
            let mut rows = vec![row(["FEATURE", "VALUE", "STATUS"])];
            rows.extend(shown.iter().map(|s| row([&s.name, &number(s.value), s.status])));
            out.push_str(&print::table(&rows));
        }
        out
    };
    let value = |s: &Shown| {
        let value = if s.value.is_finite() {
            json!(s.value)
        } else {
            Value::Null
        };
        (s.name.clone(), json!({"value": value, "status": s.status}))
    };
    let document = || {
        let entity = |(keys, shown): &(Value, Vec<Shown>)| {
            let features: serde_json::Map<String, Value> = shown.iter().map(value).collect();
            json!({"keys": keys, "features": features})
        };
        let mut document = head.clone();
        if let Value::Object(fields) = &mut document {
            fields.insert("entities".to_owned(), all.iter().map(entity).collect());
        }
        document
    };
    show(output, text, document)
}

fn pairs(keys: &serde_json::Map<String, Value>) -> String {
    let pair = |(key, value): (&String, &Value)| format!("{key}={}", value.as_str().unwrap_or_default());
    keys.iter().map(pair).collect::<Vec<_>>().join(", ")
}

fn keys(entity: &FeatureEntity) -> Value {
    let sorted: std::collections::BTreeMap<_, _> = entity.keys.iter().collect();
    json!(sorted)
}

pub(super) fn present(
    found: &GetOnlineFeaturesResponse,
    asked: &[FeatureEntity],
    output: Output,
) -> Result<(), Fault> {
    let shown = asked.iter().zip(&found.rows).map(|(entity, cells)| {
        let cell = |((name, value), state): ((&String, &f64), &u8)| Shown {
            name: name.clone(),
            value: *value,
            status: status(i32::from(*state)),
        };
        let cells = found
            .names
            .iter()
            .zip(&cells.values)
            .zip(&cells.statuses)
            .map(cell);
        (keys(entity), cells.collect())
    });
    let head = json!({
        "feature_service": found.feature_service, "schema_hash": found.schema_hash, "as_of_ms": found.as_of_ms,
    });
    entities(&shown.collect::<Vec<_>>(), &head, output)
}

pub(super) fn past(
    head: &TableChunk,
    bytes: Vec<u8>,
    asked: &[FeatureEntity],
    output: Output,
) -> Result<(), Fault> {
    let columns = auspex_features::offline::columns(bytes.into(), &head.names)?;
    let shown = asked.iter().enumerate().map(|(at, entity)| {
        let cell = |(name, column): (&String, &Vec<(f64, u8)>)| {
            let (value, state) = column.get(at).copied().unwrap_or((f64::NAN, 0));
            Shown {
                name: name.clone(),
                value,
                status: status(i32::from(state)),
            }
        };
        (keys(entity), head.names.iter().zip(&columns).map(cell).collect())
    });
    let as_of = asked.first().map_or(0, |entity| entity.time_ms);
    let document = json!({
        "feature_service": head.feature_service, "schema_hash": head.schema_hash, "as_of_ms": as_of,
        "snapshot": head.snapshot,
    });
    entities(&shown.collect::<Vec<_>>(), &document, output)
}

pub(super) fn vectors(vectors: &[FeatureVector], output: Output) -> Result<(), Fault> {
    let shown = vectors.iter().map(|vector| {
        let id = vector
            .entity
            .as_ref()
            .map(|entity| entity.id.clone())
            .unwrap_or_default();
        let cell = |f: &auspex_proto::wire::Feature| Shown {
            name: f.name.clone(),
            value: f.value,
            status: status(f.status),
        };
        (
            json!({"change": id}),
            vector.features.iter().chain(&vector.context).map(cell).collect(),
        )
    });
    let first = vectors.first().cloned().unwrap_or_default();
    let as_of = first.meta.map_or(0, |meta| meta.time_ms);
    let head = json!({
        "feature_service": first.feature_service, "schema_hash": first.schema_hash, "as_of_ms": as_of,
    });
    entities(&shown.collect::<Vec<_>>(), &head, output)
}

pub(super) fn freshness(found: &FreshnessResponse, output: Output) -> Result<(), Fault> {
    let text = || {
        let mut rows = vec![row([
            "PROJECT",
            "SOURCE",
            "ENTITIES",
            "NEWEST",
            "AGE",
            "EXPIRED VIEWS",
        ])];
        for s in &found.sources {
            let age = format!("{}s", s.age_ms / 1_000);
            let (newest, expired) = (view::instant(s.event_ms), s.expired_views.join(","));
            rows.push(row([
                &s.project,
                &s.source,
                &s.entities.to_string(),
                &newest,
                &age,
                &expired,
            ]));
        }
        print::table(&rows)
    };
    let source = |s: &auspex_proto::wire::SourceFreshness| {
        json!({
            "project": s.project, "source": s.source, "entities": s.entities, "event_ms": s.event_ms,
            "age_ms": s.age_ms, "expired_views": s.expired_views,
        })
    };
    show(output, text, || {
        Value::from(found.sources.iter().map(source).collect::<Vec<_>>())
    })
}

pub(super) fn consistency(found: &ConsistencyResponse, output: Output) -> Result<(), Fault> {
    let text = || {
        let mut rows = vec![row([
            "FEATURE",
            "COMPARED",
            "MISMATCHES",
            "MISSING",
            "EXTRA",
            "SMAPE",
        ])];
        for f in &found.features {
            let counts = [f.compared, f.mismatches, f.missing, f.extra].map(|n| n.to_string());
            let [compared, mismatches, missing, extra] = counts;
            rows.push(row([
                &f.feature,
                &compared,
                &mismatches,
                &missing,
                &extra,
                &format!("{:.4}", f.smape),
            ]));
        }
        let (requests, skipped) = (found.requests, found.skipped);
        print::table(&rows)
            + &format!("{requests} requests compared, {skipped} of them as of the lag before\n")
    };
    let feature = |f: &auspex_proto::wire::FeatureConsistency| {
        json!({
            "feature": f.feature, "compared": f.compared, "mismatches": f.mismatches, "missing": f.missing,
            "extra": f.extra, "smape": f.smape,
        })
    };
    let document = || {
        json!({
            "requests": found.requests, "skipped": found.skipped,
            "features": found.features.iter().map(feature).collect::<Vec<_>>(),
        })
    };
    show(output, text, document)
}

pub(super) fn compacted(done: &CompactResponse, output: Output) -> Result<(), Fault> {
    let (before, after, expired) = (done.files_before, done.files_after, done.files_expired);
    show(
        output,
        || {
            format!(
                "{} put together into {after}; {expired} older than wanted\n",
                count(before, "file")
            )
        },
        || json!({"files_before": before, "files_after": after, "files_expired": expired}),
    )
}
