//! What is wrong with a document, in the light of all others.

use std::collections::BTreeSet;

use auspex_algebra::hop::{LONGEST, SEASON};
use auspex_algebra::{Aggregate, Expression};

use super::compile::{column_name, shape_of};
use super::document::{Document, FeatureSpec, OnDemandSpec, ServiceSpec, Spec, ViewSpec};
use super::registry::Registry;
use super::words::{aggregate, duration};
use crate::streams;

/// Letters, digits and `_`, and of a service `-`; a letter first; at most 64.
fn is_name(name: &str, dash: bool) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || (dash && c == '-');
    name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(good)
}

/// Everything that is wrong with it.
pub(super) fn check(document: &Document, all: &Registry) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = &document.metadata.name;
    let dash = matches!(document.spec, Spec::FeatureService(_));
    if !is_name(name, dash) {
        wrong.push("name: is not lower-case letters, digits and _, a letter first, at most 64".to_owned());
    }
    match &document.spec {
        Spec::Entity(entity) => {
            if !entity.join_key.is_empty() && !is_name(&entity.join_key, false) {
                wrong.push("join_key: is no name".to_owned());
            }
        }
        Spec::FeatureView(view) => self::view(view, all, &mut wrong),
        Spec::OnDemandFeatureView(on_demand) => arithmetic(on_demand, all, &mut wrong),
        Spec::FeatureService(service) => self::service(service, all, &mut wrong),
    }
    let key = document.key();
    wrong.into_iter().map(|fault| format!("{key}: {fault}")).collect()
}

/// Names that mean two things. They are looked for in what is told alone: what was applied before stays.
pub(super) fn ambiguous(document: &Document, all: &Registry) -> Vec<String> {
    let (name, mut wrong) = (&document.metadata.name, Vec::new());
    let other = match &document.spec {
        Spec::FeatureView(view) => {
            keys_and_columns(view, all, &mut wrong);
            "OnDemandFeatureView"
        }
        Spec::OnDemandFeatureView(_) => "FeatureView",
        Spec::FeatureService(service) => {
            wrong.extend(told_twice(service, all));
            ""
        }
        Spec::Entity(_) => "",
    };
    if all.get(&format!("{other}/{name}")).is_some() {
        wrong.push(format!("name: {other}/{name} has it"));
    }
    let key = document.key();
    wrong.into_iter().map(|fault| format!("{key}: {fault}")).collect()
}

/// What rows say of themselves, beside their keys and columns.
const OWN: [&str; 3] = ["event_timestamp", "created", "id"];

fn keys_and_columns(view: &ViewSpec, all: &Registry, wrong: &mut Vec<String>) {
    let mut keys = BTreeSet::new();
    for key in view.entities.iter().map(|entity| all.join_key(entity)) {
        if !keys.insert(key.clone()) {
            wrong.push(format!("entities: two of them have the join key {key}"));
        }
    }
    for column in &view.columns {
        if OWN.contains(&column.name.as_str()) {
            wrong.push(format!("column {}: every row has it by itself", column.name));
        } else if keys.contains(&column.name) {
            wrong.push(format!("column {}: is a join key", column.name));
        }
    }
}

/// The first name that a service would have twice.
fn told_twice(service: &ServiceSpec, all: &Registry) -> Option<String> {
    let mut names = BTreeSet::new();
    for reference in &service.features {
        let (view, feature) = match reference.split_once(':') {
            Some((view, feature)) => (view, Some(feature)),
            None => (reference.as_str(), None),
        };
        let of = |kind: &str| all.get(&format!("{kind}/{view}")).map(|r| &r.document.spec);
        let features: Vec<&String> = match of("FeatureView").or_else(|| of("OnDemandFeatureView")) {
            Some(Spec::FeatureView(view)) => view.features.iter().map(|f| &f.name).collect(),
            Some(Spec::OnDemandFeatureView(view)) => view.features.iter().map(|f| &f.name).collect(),
            _ => Vec::new(),
        };
        for name in features
            .into_iter()
            .filter(|name| feature.is_none_or(|f| f == *name))
        {
            let full = format!("{view}__{name}");
            if names.contains(&full) {
                return Some(format!("features: {full} is there twice"));
            }
            names.insert(full);
        }
    }
    None
}

fn twice<'a>(names: impl Iterator<Item = &'a String>, of: &str, wrong: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !is_name(name, false) {
            wrong.push(format!("{of} {name}: is no name"));
        }
        if !seen.insert(name) {
            wrong.push(format!("{of} {name}: is told twice"));
        }
    }
}

fn view(view: &ViewSpec, all: &Registry, wrong: &mut Vec<String>) {
    if view.entities.is_empty() {
        wrong.push("entities: is empty".to_owned());
    }
    for entity in &view.entities {
        if all.get(&format!("Entity/{entity}")).is_none() {
            wrong.push(format!("entities: there is no entity {entity}"));
        }
    }
    if let Err(fault) = duration(&view.ttl) {
        wrong.push(format!("ttl: {fault}"));
    }
    twice(view.features.iter().map(|f| &f.name), "feature", wrong);
    twice(view.columns.iter().map(|c| &c.name), "column", wrong);
    if view.features.is_empty() {
        wrong.push("features: is empty".to_owned());
    }
    source(view, all, wrong);
    for feature in &view.features {
        self::feature(view, feature, wrong);
    }
    let scaled = view.features.iter().any(|feature| feature.scale.is_some());
    if scaled
        && view
            .normalisation
            .as_ref()
            .is_none_or(|n| n.snapshot.is_empty() || n.project.is_empty())
    {
        wrong.push("normalisation: a scale needs a snapshot and a project to be fitted to".to_owned());
    }
}

fn source(view: &ViewSpec, all: &Registry, wrong: &mut Vec<String>) {
    match (view.source.push, view.source.stream.as_str()) {
        (true, "") => {
            if view.columns.is_empty() || view.columns.len() > auspex_proto::rows::MOST_COLUMNS {
                wrong.push("columns: what is pushed needs 1 to 256".to_owned());
            }
            for column in &view.columns {
                if !["", "number", "text"].contains(&column.kind.as_str()) {
                    wrong.push(format!(
                        "column {}: type {} is neither number nor text",
                        column.name, column.kind
                    ));
                }
            }
        }
        (false, stream) if !stream.is_empty() => {
            if !view.columns.is_empty() {
                wrong.push("columns: a stream has its own".to_owned());
            }
            let Some(known) = streams::named(stream) else {
                let names: Vec<&str> = streams::STREAMS.iter().map(|s| s.name).collect();
                wrong.push(format!("source.stream: {stream} is none of {}", names.join(", ")));
                return;
            };
            let mut keys: Vec<String> = view.entities.iter().map(|entity| all.join_key(entity)).collect();
            keys.sort();
            if !known.entities.iter().any(|of| *of == keys) {
                wrong.push(format!(
                    "entities: stream {stream} has no rows of {}",
                    keys.join(", ")
                ));
            }
            if duration(&view.ttl).is_ok_and(|ttl| ttl > known.days * auspex_algebra::hop::DAY) {
                wrong.push(format!("ttl: stream {stream} forgets after {} days", known.days));
            }
        }
        _ => wrong.push("source: is neither push: true nor stream: NAME".to_owned()),
    }
}

fn feature(view: &ViewSpec, feature: &FeatureSpec, wrong: &mut Vec<String>) {
    let mut fault = |text: String| wrong.push(format!("feature {}: {text}", feature.name));
    let made = match aggregate(&feature.aggregate) {
        Ok(made) => made,
        Err(text) => return fault(text),
    };
    let window = match duration(&feature.window) {
        Ok(window) => window,
        Err(text) => return fault(format!("window: {text}")),
    };
    if let Err(text) = duration(&feature.half_life) {
        fault(format!("half_life: {text}"));
    }
    if feature.default.is_some_and(|default| !default.is_finite()) {
        fault("default: is no finite number".to_owned());
    }
    if !feature.half_life.is_empty() && (made != Aggregate::Ewma || !view.source.push) {
        fault("half_life: belongs to ewma of what is pushed; streams have six hours".to_owned());
    }
    let Some(shape) = shape_of(view) else { return };
    let column = shape
        .place(column_name(feature))
        .and_then(|place| shape.columns.get(place));
    let rows = feature.column.is_empty() && matches!(made, Aggregate::Count | Aggregate::Rate);
    match column {
        None if !rows => fault(format!("there is no column {}", column_name(feature))),
        Some(column)
            if column.text
                && !matches!(
                    made,
                    Aggregate::Count | Aggregate::Distinct | Aggregate::Rate | Aggregate::Age
                ) =>
        {
            fault(format!(
                "{} is a text: it can be counted and told apart",
                column.name
            ));
        }
        _ => {}
    }
    if let Some(text) = wrong_window(made, window) {
        fault(format!("window: {text}"));
    }
    let kept = made
        .resolution(window)
        .is_none_or(|wanted| shape.resolutions().any(|kept| kept == wanted));
    if !kept {
        fault(format!(
            "window: {} is too short for stream {}",
            feature.window, view.source.stream
        ));
    }
    if column.is_some_and(|column| !column.keep.holds(made.keeps())) {
        fault(format!(
            "stream {} keeps no {} of it",
            view.source.stream, feature.aggregate
        ));
    }
}

fn wrong_window(made: Aggregate, window: i64) -> Option<&'static str> {
    match (made, window) {
        (Aggregate::Latest, 0) | (Aggregate::Deviation, 0 | SEASON) => None,
        (Aggregate::Latest, _) => Some("the latest has none; did you mean last?"),
        (Aggregate::Deviation, _) => Some("a deviation looks back 28d"),
        (_, 0) => Some("is missing"),
        (_, window) if window > LONGEST => Some("is longer than 400d"),
        _ => None,
    }
}

fn arithmetic(on_demand: &OnDemandSpec, all: &Registry, wrong: &mut Vec<String>) {
    twice(on_demand.features.iter().map(|f| &f.name), "feature", wrong);
    for feature in &on_demand.features {
        if feature.default.is_some_and(|default| !default.is_finite()) {
            wrong.push(format!("feature {}: default: is no finite number", feature.name));
        }
        let expression = match Expression::parse(&feature.expression) {
            Ok(expression) => expression,
            Err(fault) => {
                wrong.push(format!("feature {}: expression: {fault}", feature.name));
                continue;
            }
        };
        for name in expression.names() {
            let known = match (name.split_once(':'), name.strip_prefix("request.")) {
                (Some((view, feature)), _) => has_feature(all, view, feature),
                (None, Some(_)) => true,
                (None, None) => false,
            };
            if !known {
                wrong.push(format!(
                    "feature {}: {name} is neither VIEW:FEATURE nor request.NAME",
                    feature.name
                ));
            }
        }
    }
}

fn has_feature(all: &Registry, view: &str, feature: &str) -> bool {
    match all.get(&format!("FeatureView/{view}")).map(|r| &r.document.spec) {
        Some(Spec::FeatureView(view)) => view.features.iter().any(|f| f.name == feature),
        _ => false,
    }
}

fn service(service: &ServiceSpec, all: &Registry, wrong: &mut Vec<String>) {
    if service.features.is_empty() {
        wrong.push("features: is empty".to_owned());
    }
    if !(0.0..=1.0).contains(&service.sample) {
        wrong.push("sample: is not within 0..=1".to_owned());
    }
    for reference in &service.features {
        let (view, feature) = match reference.split_once(':') {
            Some((view, feature)) => (view, Some(feature)),
            None => (reference.as_str(), None),
        };
        let arithmetic = match all
            .get(&format!("OnDemandFeatureView/{view}"))
            .map(|r| &r.document.spec)
        {
            Some(Spec::OnDemandFeatureView(on_demand)) => {
                feature.is_none_or(|feature| on_demand.features.iter().any(|f| f.name == feature))
            }
            _ => false,
        };
        let known = match feature {
            Some(feature) => has_feature(all, view, feature),
            None => all.get(&format!("FeatureView/{view}")).is_some(),
        };
        if !known && !arithmetic {
            wrong.push(format!("features: there is no {reference}"));
        }
    }
}
