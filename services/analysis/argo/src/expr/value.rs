//! What a condition computes with.

use std::collections::BTreeMap;

use super::number::{real, show};

/// Go's type of a list's elements: what a provider says statically about its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Of {
    /// `[]any`: JSON.
    #[default]
    Any,
    /// `[]float64`: Prometheus.
    Float,
    /// `[]int`: a range.
    Int,
    /// `[]string`: `split`.
    Text,
}

/// A key of a map. JSON has text only; `groupBy` and `fromPairs` have any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `nil`.
    Nil,
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A float, by its bits.
    Float(u64),
    /// Text.
    Text(String),
}

/// A value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `nil`: JSON's null, a field that is not there.
    #[default]
    Nil,
    /// A truth.
    Bool(bool),
    /// Go's `int`: literals, counts.
    Int(i64),
    /// Go's `int64`: what `asInt` gives.
    Int64(i64),
    /// Go's `float64`: every number of JSON and Prometheus.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Of, Vec<Value>),
    /// A map.
    Map(BTreeMap<Key, Value>),
    /// A point in time: nanoseconds since 1970.
    Time(i128),
    /// A duration in nanoseconds.
    Span(i64),
    /// A function of the environment.
    Function(Function),
}

/// Argo's functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `asInt(x)`.
    AsInt,
    /// `asFloat(x)`.
    AsFloat,
    /// `isNaN(x)`.
    IsNan,
    /// `isInf(x)`.
    IsInf,
    /// `isNil(x)`, which in strict mode looks at the whole result whatever x is.
    IsNil,
    /// `default(x, d)`, likewise.
    Default,
}

impl Function {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::AsInt,
        Self::AsFloat,
        Self::IsNan,
        Self::IsInf,
        Self::IsNil,
        Self::Default,
    ];

    /// Its name in a condition.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AsInt => "asInt",
            Self::AsFloat => "asFloat",
            Self::IsNan => "isNaN",
            Self::IsInf => "isInf",
            Self::IsNil => "isNil",
            Self::Default => "default",
        }
    }
}

impl Value {
    /// A list of floats, as Prometheus gives it.
    #[must_use]
    pub fn floats(values: &[f64]) -> Self {
        Self::List(Of::Float, values.iter().copied().map(Self::Float).collect())
    }

    /// The name of its Go type, for messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(Of::Any, _) => "[]interface {}",
            Self::List(Of::Float, _) => "[]float64",
            Self::List(Of::Int, _) => "[]int",
            Self::List(Of::Text, _) => "[]string",
            Self::Map(_) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
            Self::Span(_) => "time.Duration",
            Self::Function(_) => "func",
        }
    }

    /// Its number, when it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) | Self::Int64(value) => Some(real(*value)),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Its whole number, when it is one of Go's integer types.
    pub(crate) fn whole(&self) -> Option<i64> {
        match self {
            Self::Int(value) | Self::Int64(value) => Some(*value),
            _ => None,
        }
    }

    /// Nothing to speak of: null, or an empty list. What Argo calls "nil or empty".
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nil) || matches!(self, Self::List(_, items) if items.is_empty())
    }

    pub(crate) fn key(&self) -> Option<Key> {
        Some(match self {
            Self::Nil => Key::Nil,
            Self::Bool(value) => Key::Bool(*value),
            Self::Int(value) | Self::Int64(value) => Key::Int(*value),
            Self::Float(value) => Key::Float(value.to_bits()),
            Self::Text(value) => Key::Text(value.clone()),
            _ => return None,
        })
    }

    /// As `fmt.Sprint` would write it.
    #[must_use]
    pub fn show(&self) -> String {
        match self {
            Self::Nil => "<nil>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) | Self::Int64(value) => value.to_string(),
            Self::Float(value) => show(*value),
            Self::Text(value) => value.clone(),
            Self::List(_, items) => {
                let items: Vec<String> = items.iter().map(Self::show).collect();
                format!("[{}]", items.join(" "))
            }
            Self::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{}:{}", Self::from(key).show(), value.show()))
                    .collect();
                format!("map[{}]", entries.join(" "))
            }
            Self::Time(at) => format!("{at} ns"),
            Self::Span(span) => crate::duration::show(*span),
            Self::Function(function) => function.name().to_owned(),
        }
    }
}

impl From<&Key> for Value {
    fn from(key: &Key) -> Self {
        match key {
            Key::Nil => Self::Nil,
            Key::Bool(value) => Self::Bool(*value),
            Key::Int(value) => Self::Int(*value),
            Key::Float(bits) => Self::Float(f64::from_bits(*bits)),
            Key::Text(text) => Self::Text(text.clone()),
        }
    }
}

/// As Go decodes JSON: every number is a float.
impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(value) => Self::Float(value.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(value) => Self::Text(value.clone()),
            serde_json::Value::Array(items) => Self::List(Of::Any, items.iter().map(Self::from).collect()),
            serde_json::Value::Object(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| (Key::Text(key.clone()), Self::from(value)))
                    .collect(),
            ),
        }
    }
}
