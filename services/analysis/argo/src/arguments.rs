//! Arguments: where their values come from, and how they are put into a metric.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::document::Argument;

/// Values by name.
pub type Values = BTreeMap<String, String>;

/// Puts `{{args.x}}` into a text, as it stands.
///
/// # Errors
/// A tag that has no value, in Argo Rollouts' words.
pub fn put_in(text: &str, values: &Values) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut unresolved = None;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((tag, next)) = after.split_once("}}") else {
            return Err(format!(
                "Cannot find end tag=\"}}}}\" in the template={text:?} starting from {after:?}"
            ));
        };
        out.push_str(before);
        let name = tag.trim().strip_prefix("args.");
        match name.and_then(|name| values.get(name)) {
            Some(value) => out.push_str(value),
            None => unresolved = Some(format!("failed to resolve {{{{{tag}}}}}")),
        }
        rest = next;
    }
    out.push_str(rest);
    match unresolved {
        Some(fault) => Err(fault),
        None => Ok(out),
    }
}

/// A text as Go quotes it, without the quotes: what is put into JSON.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_control() && u32::from(c) < 0x80 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Puts arguments into a metric: into its JSON as text, as Argo Rollouts does it, so that a limit may be one too.
///
/// # Errors
/// A tag without a value, or a value that breaks the JSON.
pub fn resolve(metric: &Json, values: &Values) -> Result<Json, String> {
    let text = metric.to_string();
    if !text.contains("{{") {
        return Ok(metric.clone());
    }
    let values: Values = values
        .iter()
        .map(|(name, value)| (name.clone(), quoted(value)))
        .collect();
    let text = put_in(&text, &values)?;
    serde_json::from_str(&text).map_err(|fault| fault.to_string())
}

/// Arguments of templates, with those of a rollout in their place: those that no template knows are dropped. Where there are
/// both a value and a place to have it from, the place counts, whoever gave which.
///
/// # Errors
/// An argument has neither a value nor a place to have it from.
pub fn merge(incoming: &[Argument], templates: &[Argument]) -> Result<Vec<Argument>, String> {
    let mut merged = templates.to_vec();
    for argument in incoming {
        let Some(known) = merged.iter_mut().find(|known| known.name == argument.name) else {
            continue;
        };
        if argument.value.is_some() {
            known.value.clone_from(&argument.value);
        } else if argument.value_from.is_some() {
            known.value_from.clone_from(&argument.value_from);
        }
    }
    for argument in &mut merged {
        if argument.value_from.is_some() {
            argument.value = None;
        }
        if argument.value.is_none() && argument.value_from.is_none() {
            return Err(format!("args.{} was not resolved", argument.name));
        }
    }
    Ok(merged)
}

/// A field of a rollout: `metadata` by Kubernetes' rules, anything else by its path, which must end in a value.
///
/// # Errors
/// A path that leads nowhere.
pub fn field(rollout: &Json, path: &str) -> Result<String, String> {
    if path.starts_with("metadata") {
        return metadata_field(rollout, path);
    }
    let invalid = || format!("invalid path {path} in rollout");
    let mut at = rollout;
    for section in path.split(['.', '[', ']']).filter(|section| !section.is_empty()) {
        at = match at {
            Json::Array(items) => {
                let index: usize = section
                    .parse()
                    .map_err(|_| format!("invalid index '{section}'"))?;
                items
                    .get(index)
                    .ok_or_else(|| format!("index {index} out of range"))?
            }
            Json::Object(fields) => fields.get(section).unwrap_or(&Json::Null),
            _ => return Err(invalid()),
        };
    }
    match at {
        Json::Null => Err(invalid()),
        Json::Array(_) | Json::Object(_) => Err(format!(
            "path {path} in rollout must terminate in a primitive value"
        )),
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) => Ok(number
            .as_f64()
            .map_or_else(|| number.to_string(), crate::expr::show_float)),
        Json::Bool(value) => Ok(value.to_string()),
    }
}

fn metadata_field(rollout: &Json, path: &str) -> Result<String, String> {
    let unsupported = || format!("unsupported fieldPath: {path}");
    let metadata = rollout.get("metadata").unwrap_or(&Json::Null);
    let text = |value: Option<&Json>| value.and_then(Json::as_str).unwrap_or_default().to_owned();
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = match map {
            "metadata.labels" => "labels",
            "metadata.annotations" => "annotations",
            _ => return Err(unsupported()),
        };
        return Ok(text(metadata.get(map).and_then(|map| map.get(key))));
    }
    match path {
        "metadata.name" | "metadata.namespace" | "metadata.uid" => {
            let key = path.rsplit('.').next().unwrap_or_default();
            Ok(text(metadata.get(key)))
        }
        "metadata.labels" | "metadata.annotations" => {
            let map = metadata.get(path.rsplit('.').next().unwrap_or_default());
            let entries = map.and_then(Json::as_object).into_iter().flatten();
            let mut lines: Vec<String> = entries
                .map(|(key, value)| format!("{key}={:?}", value.as_str().unwrap_or_default()))
                .collect();
            lines.sort();
            Ok(lines.join("\n"))
        }
        _ => Err(unsupported()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::ValueFrom;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn substitution_is_textual_over_the_json() {
        let metric =
            json!({"count": "{{ args.n }}", "successCondition": "result == '{{args.x}}'", "a": "{{args.q}}"});
        let resolved = resolve(
            &metric,
            &values(&[("n", "5"), ("x", "a\"b\\c\n"), ("q", "{{args.n}}")]),
        )
        .unwrap();
        assert_eq!(resolved.pointer("/count"), Some(&json!("5")));
        assert_eq!(
            resolved.pointer("/successCondition"),
            Some(&json!("result == 'a\"b\\c\n'"))
        );
        assert_eq!(resolved.pointer("/a"), Some(&json!("{{args.n}}")), "once");
        let fault = resolve(&json!({"q": "{{args.y}}"}), &values(&[])).unwrap_err();
        assert_eq!(fault, "failed to resolve {{args.y}}");
        assert_eq!(
            resolve(&json!({"q": "{{ inputs.y }}"}), &values(&[("y", "1")])).unwrap_err(),
            "failed to resolve {{ inputs.y }}"
        );
        assert!(resolve(&json!({"q": "{{args.y"}), &values(&[])).is_err());
    }

    #[test]
    fn arguments_of_a_rollout_go_before_those_of_templates() {
        let argument = |name: &str, value: Option<&str>| Argument {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            value_from: None,
        };
        let templates = [argument("a", Some("1")), argument("b", None)];
        let merged = merge(&[argument("b", Some("2")), argument("c", Some("3"))], &templates).unwrap();
        assert_eq!(merged, [argument("a", Some("1")), argument("b", Some("2"))]);
        assert_eq!(merge(&[], &templates).unwrap_err(), "args.b was not resolved");
        let secret = Argument {
            value_from: Some(ValueFrom::default()),
            ..argument("s", None)
        };
        let merged = merge(&[argument("s", Some("2"))], std::slice::from_ref(&secret)).unwrap();
        assert_eq!(merged, [secret], "the secret counts");
    }

    #[test]
    fn fields_of_a_rollout() {
        let rollout = json!({
            "metadata": {"name": "shop", "labels": {"app": "x", "b": "y"}},
            "spec": {"template": {"spec": {"containers": [{"image": "a:1"}]}}, "replicas": 3, "paused": false}
        });
        for (path, expected) in [
            ("metadata.name", Ok("shop")),
            ("metadata.labels['app']", Ok("x")),
            ("metadata.labels['none']", Ok("")),
            ("metadata.labels", Ok("app=\"x\"\nb=\"y\"")),
            (
                "metadata.creationTimestamp",
                Err("unsupported fieldPath: metadata.creationTimestamp"),
            ),
            ("spec.template.spec.containers[0].image", Ok("a:1")),
            ("spec.replicas", Ok("3")),
            ("spec.paused", Ok("false")),
            (
                "spec.template",
                Err("path spec.template in rollout must terminate in a primitive value"),
            ),
            ("spec.nothing", Err("invalid path spec.nothing in rollout")),
            ("spec.replicas.x", Err("invalid path spec.replicas.x in rollout")),
            ("spec.template.spec.containers[x]", Err("invalid index 'x'")),
            ("spec.template.spec.containers[4]", Err("index 4 out of range")),
        ] {
            let found = field(&rollout, path);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{path}");
        }
    }
}
