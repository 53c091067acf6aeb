//! Reading a JSON document field by field, so that a fault can say where it is.

use std::time::Duration;

use auspex_proto::{Invalid, Timestamp};
use serde_json::Value;

const NULL: Value = Value::Null;

/// A place in a document and the path that led there. What is absent reads as null.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            path: String::new(),
            value,
        }
    }

    /// The same place, known under a longer path.
    pub(super) fn within(self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self
        }
    }

    pub(super) fn at(&self, key: &str) -> Self {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Self {
            path,
            value: self.value.get(key).unwrap_or(&NULL),
        }
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.value.as_array().into_iter().flatten()
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    pub(super) fn fault(&self, reason: impl Into<String>) -> Invalid {
        Invalid::new(self.path.clone(), reason)
    }

    /// A text that must be there.
    pub(super) fn text(&self) -> Result<&'a str, Invalid> {
        match self.value {
            Value::String(text) if !text.is_empty() => Ok(text),
            Value::String(_) => Err(self.fault("is empty")),
            Value::Null => Err(self.fault("is missing")),
            _ => Err(self.fault("is not a text")),
        }
    }

    /// A text, or nothing when there is none.
    pub(super) fn some_text(&self) -> Option<&'a str> {
        self.value.as_str().filter(|text| !text.is_empty())
    }

    /// A text, empty when there is none.
    pub(super) fn any_text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// An id: a text, or a number as text.
    pub(super) fn id(&self) -> Result<String, Invalid> {
        match self.value {
            Value::Number(number) => Ok(number.to_string()),
            _ => self.text().map(str::to_owned),
        }
    }

    /// A count, or nothing when the source does not tell.
    pub(super) fn count(&self) -> Result<Option<f64>, Invalid> {
        match self.value {
            Value::Null => Ok(None),
            value => match value.as_f64() {
                Some(count) if count >= 0.0 => Ok(Some(count)),
                _ => Err(self.fault("is not a count")),
            },
        }
    }

    pub(super) fn flag(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }

    /// An instant, in RFC 3339 or in epoch seconds, or nothing when the source does not tell.
    pub(super) fn time(&self) -> Result<Option<Timestamp>, Invalid> {
        match self.value {
            Value::Null => Ok(None),
            value => instant(value)
                .map(Some)
                .ok_or_else(|| self.fault("is not a time")),
        }
    }
}

/// The latest instant anywhere in the document that is not after `until`: what a payload without a time of its own
/// was at least as late as. Only fields named like times are looked at.
pub(super) fn latest(value: &Value, until: Timestamp) -> Option<Timestamp> {
    let named = |key: &str| key.ends_with("_at") || key == "timestamp" || key == "time";
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(key, value)| match value {
                Value::Object(_) | Value::Array(_) => latest(value, until),
                _ if named(key) => instant(value).filter(|time| *time <= until),
                _ => None,
            })
            .max(),
        Value::Array(items) => items.iter().filter_map(|item| latest(item, until)).max(),
        _ => None,
    }
}

/// How long from one instant to another; nothing when one is unknown or they are in the wrong order.
pub(super) fn between(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<Duration> {
    let (start, end) = (start?, end?);
    (end >= start).then(|| end.since(start))
}

fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => time(text),
        Value::Number(seconds) => seconds.as_i64()?.checked_mul(1_000).map(Timestamp),
        _ => None,
    }
}

/// An instant from RFC 3339.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let parsed: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(parsed.as_millisecond()))
}
