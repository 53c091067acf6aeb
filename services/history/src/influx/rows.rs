//! From the crate's records to windows.

use std::collections::BTreeMap;

use fallible_iterator::FallibleIterator as _;
use influxdb2::RequestError;
use influxdb2::api::query::QueryTableIter;
use influxdb2_structmap::GenericMap;
use influxdb2_structmap::value::Value;

use crate::series::{Series, Window, track_of};

/// Every record of an answer; a row that says what went wrong ends it.
pub(super) fn collect(answer: &QueryTableIter) -> Result<Vec<GenericMap>, RequestError> {
    let mut records = Vec::new();
    let mut rows = answer.result();
    while let Some(record) = rows.next()? {
        records.push(record.values);
    }
    Ok(records)
}

/// Whose windows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    project: String,
    service: String,
    track: String,
    region: String,
}

/// The windows of all records, joined.
pub(super) fn series(records: Vec<GenericMap>) -> Vec<Series> {
    let mut found: BTreeMap<Key, BTreeMap<i64, Window>> = BTreeMap::new();
    for record in records {
        let key = Key {
            project: text(&record, "project"),
            service: text(&record, "service"),
            track: text(&record, "track"),
            region: text(&record, "region"),
        };
        let Some(Value::TimeRFC(time)) = record.get("_time") else {
            continue;
        };
        let start_ms = time.timestamp_millis();
        let window = found.entry(key).or_default().entry(start_ms).or_insert(Window {
            start_ms,
            ..Window::default()
        });
        fill(
            window,
            &text(&record, "result"),
            &text(&record, "_field"),
            record.get("_value"),
        );
    }
    let joined = |(key, windows): (Key, BTreeMap<i64, Window>)| Series {
        project: key.project,
        service: key.service,
        track: track_of(&key.track),
        region: key.region,
        windows: windows.into_values().collect(),
    };
    found.into_iter().map(joined).collect()
}

fn fill(window: &mut Window, result: &str, field: &str, value: Option<&Value>) {
    let count = || match value {
        Some(Value::Long(n)) => u64::try_from(*n).ok(),
        Some(Value::UnsignedLong(n)) => Some(*n),
        _ => None,
    };
    let number = || match value {
        Some(Value::Double(number)) => Some(number.0).filter(|n| n.is_finite()),
        _ => None,
    };
    match (result, field) {
        ("points", _) => window.points = count().unwrap_or_default(),
        ("sum", "bad") => window.bad = count(),
        ("sum", "total") => window.total = count(),
        ("sum", "sum") => window.sum = number(),
        ("mean", _) => window.mean = number(),
        ("min", _) => window.min = number(),
        ("max", _) => window.max = number(),
        ("quantile", "p50") => window.p50 = number(),
        ("quantile", "p95") => window.p95 = number(),
        ("quantile", "p99") => window.p99 = number(),
        _ => {}
    }
}

fn text(record: &GenericMap, name: &str) -> String {
    match record.get(name) {
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    }
}
