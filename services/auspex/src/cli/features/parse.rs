//! Rows and labels as people have them: JSON lines, CSV.

use std::collections::{BTreeMap, BTreeSet};

use auspex_proto::wire::{FeatureEntity, PushRow};
use serde::Deserialize;
use serde_json::Value;

use super::moment;
use crate::fault::Fault;

/// When it happened, in rows and in labels.
const EVENT: &str = "event_timestamp";

#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Number(i64),
    Text(String),
}

fn at(name: &str, value: &Value) -> Result<i64, Fault> {
    let fault = |_| Fault::invalid(format!("{name}: {value} is no time"));
    let read = match serde_json::from_value(value.clone()).map_err(fault)? {
        Moment::Number(ms) => moment(&ms.to_string()),
        Moment::Text(text) => moment(text.trim()),
    };
    read.map_err(|fault| Fault::invalid(format!("{name}: {fault}")))
}

/// What programs on Windows write before a text.
fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The value of a join key, or of an id; none of what is null.
fn key(name: &str, value: &Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(Fault::invalid(format!(
            "{name}: {value} is neither number nor text"
        ))),
    }
}

pub(super) fn row(line: &str, keys: &[String]) -> Result<PushRow, Fault> {
    let fields: BTreeMap<String, Value> = serde_json::from_str(unmarked(line)).map_err(Fault::invalid)?;
    let mut row = PushRow::default();
    for (name, value) in fields {
        match (name.as_str(), value) {
            (EVENT, value) => row.event_ms = at(EVENT, &value)?,
            ("created", value) => row.created_ms = at("created", &value)?,
            ("id", value) => row.id = key("id", &value)?.unwrap_or_default(),
            (of, value) if keys.iter().any(|k| k == of) => {
                let value = key(of, &value)?;
                row.keys.extend(value.map(|value| (name, value)));
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
    let text = unmarked(text);
    let labels = match text.trim_start().chars().next() {
        None => return Err(Fault::invalid("--entities: is empty")),
        Some('{') => of_lines(text)?,
        Some('[') => {
            return Err(Fault::invalid(
                "--entities: is one JSON list; CSV with a head is read, or one JSON object a line",
            ));
        }
        Some(_) => of_table(text)?,
    };
    match labels.is_empty() {
        true => Err(Fault::invalid("--entities: holds no row")),
        false => Ok(labels),
    }
}

fn of_lines(text: &str) -> Result<Vec<FeatureEntity>, Fault> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let read = |(line, number): (&str, u64)| {
        let wrong = |fault: &dyn std::fmt::Display| Fault::invalid(format!("line {number}: {fault}"));
        let fields: BTreeMap<String, Value> = serde_json::from_str(line).map_err(|fault| wrong(&fault))?;
        label(fields).map_err(|fault| wrong(&fault))
    };
    lines.map(read).collect()
}

/// Cells may be quoted, and hold commas, quotes (doubled) and line breaks then.
fn of_table(text: &str) -> Result<Vec<FeatureEntity>, Fault> {
    let mut table = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let head = table.headers().map_err(Fault::invalid)?.clone();
    let mut told = BTreeSet::new();
    if let Some(name) = head.iter().find(|name| !told.insert(*name)) {
        return Err(Fault::invalid(format!("line 1: {name}: is told twice")));
    }
    if !told.contains(EVENT) {
        return Err(Fault::invalid(format!(
            "line 1: {EVENT}: is missing; the head has {}",
            head.iter().collect::<Vec<_>>().join(", ")
        )));
    }
    let mut labels = Vec::new();
    for record in table.records() {
        let record = record.map_err(Fault::invalid)?;
        let number = record.position().map_or(0, csv::Position::line);
        let wrong = |fault: &dyn std::fmt::Display| Fault::invalid(format!("line {number}: {fault}"));
        if record.len() != head.len() {
            let (has, wants) = (record.len(), head.len());
            return Err(wrong(&format!("has {has} cells, the head has {wants}")));
        }
        let cell = |(name, cell): (&str, &str)| (name.to_owned(), Value::from(cell));
        let fields = head.iter().zip(&record).map(cell).collect();
        labels.push(label(fields).map_err(|fault| wrong(&fault))?);
    }
    Ok(labels)
}

fn label(fields: BTreeMap<String, Value>) -> Result<FeatureEntity, Fault> {
    let mut entity = FeatureEntity::default();
    let mut timed = false;
    for (name, value) in fields {
        if name == EVENT {
            (entity.time_ms, timed) = (at(EVENT, &value)?, true);
        } else if let Some(name) = name.strip_prefix("request.") {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let number = text
                .parse::<f64>()
                .map_err(|_| Fault::invalid(format!("request.{name}: {text} is no number")))?;
            entity.request.insert(name.to_owned(), number);
        } else {
            let value = key(&name, &value)?;
            entity.keys.extend(value.map(|value| (name, value)));
        }
    }
    match timed {
        false => Err(Fault::invalid(format!("{EVENT}: is missing"))),
        true => Ok(entity),
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

    #[test]
    fn a_table_is_read_as_programs_write_it() {
        let table = "\u{feff}customer,event_timestamp\r\n\"a,b\",2026-11-20 01:02:03\r\n\"say \"\"hi\"\"\r\nthere\",2026-11-20\r\n";
        let read = labels(table).unwrap();
        let who = |n: usize| read[n].keys["customer"].as_str();
        assert_eq!((who(0), who(1)), ("a,b", "say \"hi\"\r\nthere"));
        assert_eq!(
            read[0].time_ms - read[1].time_ms,
            3_723_000,
            "the time of day stays"
        );
        let lines = "\u{feff}{\"customer\": null, \"event_timestamp\": 5000}\n";
        assert!(labels(lines).unwrap()[0].keys.is_empty(), "null is no name");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let told = |text: &str| labels(text).unwrap_err().to_string();
        for (text, words) in [
            ("a,event_timestamp\nx,\n", "line 2: event_timestamp: is empty"),
            ("a,a,event_timestamp\nx,y,5000\n", "line 1: a: is told twice"),
            (
                "a;event_timestamp\nx;5000\n",
                "event_timestamp: is missing; the head has a;event_timestamp",
            ),
            ("a,event_timestamp\n", "holds no row"),
            ("[{\"a\": 1}]", "one JSON object a line"),
            ("a,event_timestamp\nx,1795229400\n", "looks like seconds"),
            (
                "{\"a\": [1], \"event_timestamp\": 5000}",
                "a: [1] is neither number nor text",
            ),
            ("", "is empty"),
        ] {
            assert!(told(text).contains(words), "{text}: {}", told(text));
        }
        let keys = ["customer".to_owned()];
        for line in [
            r#"{"customer": "a", "event_timestamp": ""}"#,
            r#"{"customer": "a", "event_timestamp": null}"#,
            r#"{"customer": {"a": 1}}"#,
            r#"{"customer": "a", "id": [7]}"#,
        ] {
            assert!(row(line, &keys).is_err(), "{line}");
        }
        let id = |id: &str| {
            row(&format!(r#"{{"customer": "a", "id": {id}}}"#), &keys)
                .unwrap()
                .id
        };
        assert_eq!(
            (id("7"), id("\"x\""), id("null")),
            ("7".to_owned(), "x".to_owned(), String::new())
        );
        assert!(
            row("\u{feff}{\"customer\": null}", &keys)
                .unwrap()
                .keys
                .is_empty()
        );
    }
}
