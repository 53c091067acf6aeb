//! Rows and labels as people have them: JSON lines, CSV.

use std::collections::BTreeMap;

use auspex_proto::wire::{FeatureEntity, PushRow};
use serde::Deserialize;
use serde_json::Value;

use super::moment;
use crate::fault::Fault;

#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Number(i64),
    Text(String),
}

fn at(value: &Value) -> Result<i64, Fault> {
    let fault = |_| Fault::invalid(format!("{value} is no time"));
    match serde_json::from_value(value.clone()).map_err(fault)? {
        Moment::Number(ms) => Ok(ms),
        Moment::Text(text) => moment(&text),
    }
}

pub(super) fn row(line: &str, keys: &[String]) -> Result<PushRow, Fault> {
    let fields: BTreeMap<String, Value> = serde_json::from_str(line).map_err(Fault::invalid)?;
    let mut row = PushRow::default();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("event_timestamp", value) => row.event_ms = at(&value)?,
            ("created", value) => row.created_ms = at(&value)?,
            ("id", Value::String(id)) => row.id = id,
            ("id", value) => row.id = value.to_string(),
            (key, Value::String(value)) if keys.iter().any(|k| k == key) => {
                row.keys.insert(name, value);
            }
            (key, value) if keys.iter().any(|k| k == key) => {
                row.keys.insert(name, value.to_string());
            }
            (_, Value::Null) => {}
            (_, Value::Bool(value)) => {
                row.numbers.insert(name, if value { 1.0 } else { 0.0 });
            }
            (_, Value::Number(number)) => {
                row.numbers.insert(name, number.as_f64().unwrap_or(f64::NAN));
            }
            (_, Value::String(text)) => {
                row.texts.insert(name, text);
            }
            (_, value) => {
                return Err(Fault::invalid(format!(
                    "{name}: {value} is neither number nor text"
                )));
            }
        }
    }
    Ok(row)
}

/// Entities and times, from CSV with a head or from JSON lines.
pub(super) fn labels(text: &str) -> Result<Vec<FeatureEntity>, Fault> {
    let mut labels = Vec::new();
    if text.trim_start().starts_with('{') {
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let wrong = |fault: &dyn std::fmt::Display| Fault::invalid(format!("line {number}: {fault}"));
            let fields: BTreeMap<String, Value> =
                serde_json::from_str(line).map_err(|fault| wrong(&fault))?;
            labels.push(label(fields).map_err(|fault| wrong(&fault))?);
        }
        return Ok(labels);
    }
    let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let (head, _) = lines
        .next()
        .ok_or_else(|| Fault::invalid("--entities: is empty"))?;
    let names: Vec<&str> = head.split(',').map(str::trim).collect();
    for (line, number) in lines {
        let cells: Vec<&str> = line
            .split(',')
            .map(|cell| cell.trim().trim_matches('"'))
            .collect();
        if cells.len() != names.len() {
            return Err(Fault::invalid(format!(
                "line {number}: has {} cells, the head has {}",
                cells.len(),
                names.len()
            )));
        }
        let fields = names
            .iter()
            .zip(cells)
            .map(|(name, cell)| ((*name).to_owned(), Value::from(cell)));
        labels.push(
            label(fields.collect()).map_err(|fault| Fault::invalid(format!("line {number}: {fault}")))?,
        );
    }
    Ok(labels)
}

fn label(fields: BTreeMap<String, Value>) -> Result<FeatureEntity, Fault> {
    let mut entity = FeatureEntity::default();
    for (name, value) in fields {
        if name == "event_timestamp" {
            entity.time_ms = at(&value)?;
        } else if let Some(name) = name.strip_prefix("request.") {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let number = text
                .parse::<f64>()
                .map_err(|_| Fault::invalid(format!("request.{name}: {text} is no number")))?;
            entity.request.insert(name.to_owned(), number);
        } else {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            entity.keys.insert(name, text);
        }
    }
    match entity.time_ms {
        0 => Err(Fault::invalid("event_timestamp: is missing")),
        _ => Ok(entity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_labels_are_read() {
        let keys = ["customer".to_owned()];
        let row = row(r#"{"customer": 7, "amount": 2.5, "coupon": "x", "event_timestamp": "1970-01-01T00:00:01Z", "vip": true, "gone": null}"#, &keys).unwrap();
        assert_eq!(
            (row.keys["customer"].as_str(), row.numbers["amount"], row.event_ms),
            ("7", 2.5, 1_000)
        );
        assert_eq!(
            (
                row.texts["coupon"].as_str(),
                row.numbers["vip"],
                row.numbers.len()
            ),
            ("x", 1.0, 2)
        );
        let csv = labels("customer,event_timestamp\na,2026-11-20\nb,5000\n").unwrap();
        let lines = labels("{\"customer\": \"a\", \"event_timestamp\": \"2026-11-20\"}\n{\"customer\":\"b\",\"event_timestamp\":5000}").unwrap();
        assert_eq!(csv, lines);
        assert!(labels("customer\na\n").is_err() && labels("a,b\n1\n").is_err());
    }
}
