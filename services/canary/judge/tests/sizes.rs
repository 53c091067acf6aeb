//! States stay below 4 kB, as MessagePack with named fields writes them.

use auspex_judge::simulate::speed::{Work, state};
use serde_json::Value;

/// Bytes of a value in MessagePack, every number at its longest.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 9,
        Value::String(text) => 2 + text.len(),
        Value::Array(items) => 3 + items.iter().map(bytes).sum::<usize>(),
        Value::Object(fields) => {
            3 + fields
                .iter()
                .map(|(name, field)| 2 + name.len() + bytes(field))
                .sum::<usize>()
        }
    }
}

fn size(state: &impl serde::Serialize) -> usize {
    serde_json::to_value(state).map_or(usize::MAX, |value| bytes(&value))
}

#[test]
fn every_kind_stays_below_four_kilobytes() {
    let sizes =
        [Work::Counts, Work::Values, Work::Series, Work::Histograms].map(|kind| size(&state(kind, 400)));
    assert!(sizes.iter().all(|size| *size <= 4_096), "{sizes:?}");
    // What is counted is there.
    assert!(sizes.iter().all(|size| *size >= 500), "{sizes:?}");
}
