//! JSON lines.

use serde_json::{Map, Value};

use super::Row;
use super::field::{Fault, Raw, fault};
use crate::distributions::Histogram;

pub(super) fn rows(text: &str) -> impl Iterator<Item = (usize, Result<Row, Fault>)> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(k, line)| (k + 1, row(line)))
}

fn row(line: &str) -> Result<Row, Fault> {
    let fields: Map<String, Value> =
        serde_json::from_str(line).map_err(|err| fault("row", err.to_string()))?;
    let mut raw = Raw::default();
    for (name, value) in fields {
        if name == "histogram" {
            raw.histogram = if value.is_null() {
                None
            } else {
                Some(histogram(value)?)
            };
            continue;
        }
        let slot = raw.slot(&name).ok_or_else(|| fault(&name, "unknown field"))?;
        *slot = match value {
            // JSON knows no NaN: a probe that measured nothing writes null.
            Value::Null if name == "value" => Some("NaN".to_owned()),
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Array(_) | Value::Object(_) => return Err(fault(&name, "expected a plain value")),
        };
    }
    raw.check()
}

/// `{"bounds": [..], "counts": [..]}`: ascending upper bounds, and counts per bucket with one more for above.
pub(super) fn histogram(value: Value) -> Result<Histogram, Fault> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Buckets {
        bounds: Vec<f64>,
        counts: Vec<u64>,
    }
    let Buckets { bounds, counts } =
        serde_json::from_value(value).map_err(|err| fault("histogram", err.to_string()))?;
    Histogram::new(bounds, counts).map_err(|err| fault("histogram", err.to_string()))
}
