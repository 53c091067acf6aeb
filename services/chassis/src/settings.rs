//! Configuration in layers: defaults, then a file, then `AUSPEX__SECTION__KEY`, then flags. All mistakes are told at once.
//!
//! Every service owns one section with typed settings whose defaults are the compiled-in layer. The tree of defaults is also
//! the schema: a key that is not in it, or a value of another type, is an error.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path as Place, Segment};

/// A service's typed settings.
pub trait Settings: Default + Serialize + DeserializeOwned {
    /// Every mistake in the values, as `key: what is wrong with it`.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}

/// One section of the configuration, as the program needs it without knowing its type.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name in the file.
    pub name: &'static str,
    defaults: fn() -> Value,
    check: fn(Value) -> Vec<String>,
}

impl Section {
    /// The section of these settings.
    #[must_use]
    pub const fn of<T: Settings>(name: &'static str) -> Self {
        Self {
            name,
            defaults: defaults::<T>,
            check: check::<T>,
        }
    }
}

fn defaults<T: Settings>() -> Value {
    serde_json::to_value(T::default()).unwrap_or(Value::Null)
}

/// The most mistakes that one section's free tables are searched for.
const MOST: usize = 32;

/// What cannot be read is left out and the rest read again, so that the first mistake hides no other.
fn check<T: Settings>(mut value: Value) -> Vec<String> {
    let mut mistakes = Vec::new();
    loop {
        let fault = match serde_path_to_error::deserialize::<_, T>(value.clone()) {
            Ok(settings) => {
                mistakes.extend(settings.problems());
                return mistakes;
            }
            Err(fault) => fault,
        };
        let path = fault.path().to_string();
        let inner = fault.inner().to_string();
        // It misses what was left out just now.
        if !mistakes.is_empty() && inner.starts_with("missing field") {
            return mistakes;
        }
        // What serde says of a value of another type repeats the value.
        let said = if is_secret(&path) {
            "is not a text, or not of this form".to_owned()
        } else {
            inner
        };
        mistakes.push(format!("{path}: {said}"));
        if mistakes.len() == MOST || !leave_out(&mut value, fault.path()) {
            return mistakes;
        }
    }
}

/// Takes the value at this place out of its table; `false` when it stands in none.
fn leave_out(value: &mut Value, place: &Place) -> bool {
    let segments: Vec<&Segment> = place.iter().collect();
    let Some((Segment::Map { key: last }, path)) = segments.split_last() else {
        return false;
    };
    let mut at = value;
    for segment in path {
        let next = match segment {
            Segment::Map { key } => at.get_mut(key),
            Segment::Seq { index } => at.get_mut(index),
            _ => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    at.as_object_mut()
        .is_some_and(|table| table.remove(last).is_some())
}

/// The whole configuration after all layers, before typing.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    sections: BTreeMap<String, Value>,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} mistake(s):\n  {}", .0.len(), .0.join("\n  "))]
pub struct Mistakes(pub Vec<String>);

impl Tree {
    /// Reads the layers and checks every section.
    ///
    /// `flags` are `section.key=value` pairs, the last layer. Environment variables are `AUSPEX__SECTION__KEY`.
    ///
    /// # Errors
    /// [`Mistakes`], all of them.
    pub fn load(file: Option<&Path>, flags: &[String], sections: &[Section]) -> Result<Self, Mistakes> {
        let environment = config::Environment::with_prefix("AUSPEX")
            .prefix_separator("__")
            .separator("__");
        let said = config::Config::builder().add_source(environment);
        Self::layered(file, (said, flags), sections)
    }

    /// As [`Tree::load`], without the environment.
    ///
    /// # Errors
    /// [`Mistakes`], all of them.
    pub fn load_alone(file: Option<&Path>, flags: &[String], sections: &[Section]) -> Result<Self, Mistakes> {
        Self::layered(file, (config::Config::builder(), flags), sections)
    }

    fn layered(
        file: Option<&Path>,
        (mut said, flags): (Builder, &[String]),
        sections: &[Section],
    ) -> Result<Self, Mistakes> {
        let mut written = config::Config::builder();
        if let Some(path) = file {
            written = written.add_source(config::File::from(path).format(config::FileFormat::Toml));
        }
        for flag in flags {
            let Some((key, value)) = flag.split_once('=') else {
                return Err(Mistakes(vec![format!("--set {flag}: is not section.key=value")]));
            };
            let key = key.trim();
            said = said
                .set_override(key, value.trim())
                .map_err(|fault| Mistakes(vec![format!("--set {key}: {fault}")]))?;
        }
        let (mut given, mut said) = (built(written)?, built(said)?);
        if let Value::Object(said) = &mut said {
            for (name, value) in said {
                let section = sections.iter().find(|section| section.name == name);
                interpret(section.map(|s| (s.defaults)()).as_ref(), name, value);
            }
        }
        merge(&mut given, said);
        Self::check(given, sections)
    }

    fn check(given: Value, sections: &[Section]) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut tree = Self::default();
        let mut given = match given {
            Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        for section in sections {
            let schema = (section.defaults)();
            let mut merged = schema.clone();
            if let Some(mut value) = given.remove(section.name)
                && fits(section.name, &schema, &mut value, &mut mistakes)
            {
                merge(&mut merged, value);
            }
            let found = (section.check)(merged.clone());
            mistakes.extend(found.into_iter().map(|m| format!("{}.{m}", section.name)));
            tree.sections.insert(section.name.to_owned(), merged);
        }
        let known: Vec<&str> = sections.iter().map(|s| s.name).collect();
        mistakes.extend(
            given
                .keys()
                .map(|key| format!("{key}: no such section; there are {}", known.join(", "))),
        );
        if mistakes.is_empty() {
            Ok(tree)
        } else {
            Err(Mistakes(mistakes))
        }
    }

    /// The typed settings of a section; its defaults when the tree has no such section.
    ///
    /// # Errors
    /// When the section does not have that type; [`Tree::load`] has checked it, so only when another section is asked for.
    pub fn get<T: Settings>(&self, section: &str) -> anyhow::Result<T> {
        match self.sections.get(section) {
            Some(value) => Ok(serde_json::from_value(value.clone())?),
            None => Ok(T::default()),
        }
    }

    /// Every effective value as `section.key = value` lines, secrets hidden.
    #[must_use]
    pub fn effective(&self) -> String {
        let mut out = String::new();
        for (name, section) in &self.sections {
            flatten(name, section, &mut out);
        }
        out
    }
}

/// Keys whose values are secrets wherever they stand: the untyped tree must not print what the typed one hides.
const SECRET_WORDS: [&str; 8] = [
    "secret",
    "token",
    "password",
    "routing_key",
    "webhook_url",
    "nkey",
    "credentials",
    "seed",
];

/// Whether the last key of this path names a secret.
fn is_secret(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or(path);
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

type Builder = config::ConfigBuilder<config::builder::DefaultState>;

fn built(builder: Builder) -> Result<Value, Mistakes> {
    let layers = builder.build().and_then(config::Config::try_deserialize);
    layers.map_err(|fault| Mistakes(vec![fault.to_string()]))
}

/// The environment and flags know texts only: what is wanted as a number or a yes becomes one. A text stays as it was
/// written, for a password may be all digits; where any type may stand, what looks like a number is one, but for secrets.
fn interpret(schema: Option<&Value>, key: &str, value: &mut Value) {
    match (schema, &mut *value) {
        (schema, Value::Object(map)) => {
            for (key, value) in map {
                interpret(schema.and_then(|schema| schema.get(key)), key, value);
            }
        }
        (Some(Value::String(_)), _) => {}
        (_, Value::String(text)) if !is_secret(key) => *value = scalar(text),
        _ => {}
    }
}

fn flatten(path: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                flatten(&format!("{path}.{key}"), value, out);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (i, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{i}]"), item, out);
            }
        }
        value => {
            let hidden = is_secret(path) && !is_blank(value);
            let shown = if hidden {
                "\"***\"".to_owned()
            } else {
                value.to_string()
            };
            out.push_str(&format!("{path} = {shown}\n"));
        }
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Whether a value may stand here. Unknown keys and values of another type are told and taken out of their table, so that
/// the rest is looked at too. An empty map or list in the schema is free-form: its type checks it.
fn fits(path: &str, schema: &Value, given: &mut Value, mistakes: &mut Vec<String>) -> bool {
    match (schema, given) {
        (Value::Object(known), Value::Object(given)) if !known.is_empty() => {
            given.retain(|key, value| {
                let path = format!("{path}.{key}");
                if let Some(schema) = known.get(key) {
                    return fits(&path, schema, value, mistakes);
                }
                let keys: Vec<&str> = known.keys().map(String::as_str).collect();
                mistakes.push(format!("{path}: no such key; there are {}", keys.join(", ")));
                false
            });
            true
        }
        (Value::Null, _) | (Value::Object(_), Value::Object(_)) | (Value::Array(_), Value::Array(_)) => true,
        (schema, given) if kind(schema) == kind(given) => true,
        // The value itself is not shown: it may be a secret.
        (schema, given) => {
            mistakes.push(format!("{path}: is {}, wanted {}", kind(given), kind(schema)));
            false
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

fn scalar(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
        return number.into();
    }
    if let Ok(flag) = text.parse::<bool>() {
        return flag.into();
    }
    text.into()
}

#[cfg(test)]
mod tests;
