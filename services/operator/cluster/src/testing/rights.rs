//! Rights: as the roles of a file grant them, and as a table declares them.

use std::collections::BTreeSet;

use serde::Deserialize as _;
use serde_json::Value;

use crate::Grant;

/// Group, resource, verb.
pub type Right = (String, String, String);

/// What the roles of these files grant whose names begin so.
///
/// # Errors
/// A text that is no YAML.
pub fn granted(files: &[&str], name: &str) -> anyhow::Result<BTreeSet<Right>> {
    let mut granted = BTreeSet::new();
    for document in files
        .iter()
        .flat_map(|text| serde_yaml_ng::Deserializer::from_str(text))
    {
        let object = Value::deserialize(document)?;
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text("/kind"), "ClusterRole" | "Role") || !text("/metadata/name").starts_with(name) {
            continue;
        }
        let rules = object.get("rules").and_then(Value::as_array);
        for rule in rules.into_iter().flatten() {
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    let verbs = texts(rule, "verbs").into_iter();
                    granted.extend(verbs.map(|verb| (group.clone(), resource.clone(), verb)));
                }
            }
        }
    }
    Ok(granted)
}

/// What a table declares.
#[must_use]
pub fn declared(grants: &[Grant]) -> BTreeSet<Right> {
    grants
        .iter()
        .flat_map(|grant| grant.verbs.iter().map(move |verb| (grant, *verb)))
        .map(|(grant, verb)| (grant.group.to_owned(), grant.resource.to_owned(), verb.to_owned()))
        .collect()
}

fn texts(rule: &Value, field: &str) -> Vec<String> {
    let list = rule.get(field).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
