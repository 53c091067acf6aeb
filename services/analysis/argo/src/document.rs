//! Documents: YAML of several kinds, as Kubernetes reads it.

pub mod kinds;

use serde::Deserialize as _;
use serde_json::Value as Json;
use thiserror::Error;

pub use self::kinds::{Argument, Kind, Rollout, Template, ValueFrom};

/// Longest text that is read, in bytes.
pub const LONGEST: usize = 1024 * 1024;

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// A YAML value as JSON. Keys that are no texts are refused, as Kubernetes does.
fn json(value: serde_yaml_ng::Value, path: &str) -> Result<Json, Unreadable> {
    use serde_yaml_ng::Value as Yaml;
    let at = |reason: &str| Unreadable(format!("{}: {reason}", path.trim_start_matches('.')));
    Ok(match value {
        Yaml::Null => Json::Null,
        Yaml::Bool(value) => Json::Bool(value),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Json::from(value),
            (_, Some(value), _) => Json::from(value),
            (_, _, Some(value)) => Json::from(value),
            _ => Json::Null,
        },
        Yaml::String(text) => Json::String(text),
        Yaml::Sequence(items) => {
            let items = items.into_iter().enumerate();
            let items = items.map(|(index, item)| json(item, &format!("{path}[{index}]")));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(entries) => {
            let mut object = serde_json::Map::new();
            for (key, value) in entries {
                let key = match key {
                    Yaml::String(key) => key,
                    Yaml::Bool(key) => key.to_string(),
                    Yaml::Number(key) => key.to_string(),
                    Yaml::Mapping(_) => {
                        return Err(at("`{{...}}` without quotes is a map in YAML: write \"{{...}}\""));
                    }
                    _ => return Err(at("a key is no text")),
                };
                let value = json(value, &format!("{path}.{key}"))?;
                object.insert(key, value);
            }
            Json::Object(object)
        }
        Yaml::Tagged(tagged) => json(tagged.value, path)?,
    })
}

/// All documents of a text; empty ones are left out.
///
/// # Errors
/// [`Unreadable`], with the document's place.
pub fn read(text: &str) -> Result<Vec<Json>, Unreadable> {
    Ok(read_each(text)?.into_iter().flatten().collect())
}

/// The documents of a text, each with its own fault.
///
/// # Errors
/// [`Unreadable`]: the YAML itself cannot be read.
pub fn read_each(text: &str) -> Result<Vec<Result<Json, Unreadable>>, Unreadable> {
    if text.len() > LONGEST {
        return Err(Unreadable(format!("is longer than {LONGEST} bytes")));
    }
    let mut out = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let mut value =
            serde_yaml_ng::Value::deserialize(document).map_err(|fault| Unreadable(fault.to_string()))?;
        // `<<: *anchor` is put in, as Kubernetes' reader does.
        value
            .apply_merge()
            .map_err(|fault| Unreadable(fault.to_string()))?;
        if !value.is_null() {
            out.push(json(value, ""));
        }
    }
    Ok(out)
}

/// The only document of a text.
///
/// # Errors
/// [`Unreadable`]: there is none, or several, or it cannot be read.
pub fn read_one(text: &str) -> Result<Json, Unreadable> {
    let mut documents = read(text)?;
    match documents.len() {
        1 => documents.pop().ok_or_else(|| Unreadable("is empty".to_owned())),
        0 => Err(Unreadable("is empty".to_owned())),
        many => Err(Unreadable(format!("has {many} documents, one is wanted"))),
    }
}
