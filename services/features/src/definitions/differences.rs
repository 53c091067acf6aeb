//! What differs between a document and the one before, in words.

use super::registry::Registered;

/// What differs between two documents, field by field.
pub(super) fn differences(old: &Registered, new: &Registered) -> Vec<String> {
    let mut found = Vec::new();
    compare("", &old.document.meaning(), &new.document.meaning(), &mut found);
    if old.scales != new.scales {
        found.push("scales are fitted anew".to_owned());
    }
    if found.is_empty() && old.meaning != new.meaning {
        found.push("what it reads has changed".to_owned());
    }
    found
}

fn compare(path: &str, old: &serde_json::Value, new: &serde_json::Value, found: &mut Vec<String>) {
    use serde_json::Value;
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let at = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let none = Value::Null;
                compare(
                    &at,
                    old.get(key).unwrap_or(&none),
                    new.get(key).unwrap_or(&none),
                    found,
                );
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (number, (old, new)) in old.iter().zip(new).enumerate() {
                let name = new.get("name").and_then(Value::as_str).map(str::to_owned);
                compare(
                    &format!("{path}[{}]", name.unwrap_or(number.to_string())),
                    old,
                    new,
                    found,
                );
            }
        }
        (old, new) if old != new => found.push(format!("{path}: {old} -> {new}")),
        _ => {}
    }
}
