//! Following a template through a document.

use std::cmp::Ordering;

use serde_json::{Value as Json, json};

use super::{DEEPEST, Node};

type Found = Result<Vec<Json>, String>;

/// What a node finds from these values.
pub(super) fn walk(values: Vec<Json>, node: &Node) -> Found {
    match node {
        Node::List(nodes) => nodes.iter().try_fold(values, walk),
        Node::Text(text) => Ok(vec![Json::String(text.clone())]),
        Node::Int(value) => Ok(values.iter().map(|_| json!(value)).collect()),
        Node::Float(value) => Ok(values.iter().map(|_| json!(value)).collect()),
        Node::Bool(value) => Ok(values.iter().map(|_| json!(value)).collect()),
        Node::Field(name) => field(&values, name),
        Node::Slice(from, to, step, derived) => slice(&values, (*from, *to, *step), *derived),
        Node::Wildcard => Ok(values.iter().flat_map(children).collect()),
        Node::Recursive => Ok(recursive(&values, 0)),
        Node::Union(parts) => {
            let mut out = Vec::new();
            for part in parts {
                out.extend(part.iter().try_fold(values.clone(), walk)?);
            }
            Ok(out)
        }
        Node::Filter(left, right, operator) => filter(&values, (left, right, operator)),
    }
}

fn children(value: &Json) -> Vec<Json> {
    match value {
        Json::Array(items) => items.clone(),
        Json::Object(fields) => fields.values().cloned().collect(),
        _ => Vec::new(),
    }
}

fn field(values: &[Json], name: &str) -> Found {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<Json> = values
        .iter()
        .filter_map(|value| value.get(name).cloned())
        .collect();
    if found.is_empty() {
        Err(format!("{name} is not found"))
    } else {
        Ok(found)
    }
}

fn recursive(values: &[Json], deep: usize) -> Vec<Json> {
    let mut out = Vec::new();
    for value in values.iter().filter(|_| deep < DEEPEST) {
        let inside = children(value);
        if !inside.is_empty() {
            out.push(value.clone());
            out.extend(recursive(&inside, deep + 1));
        }
    }
    out
}

fn slice(values: &[Json], (from, to, step): (Option<i64>, Option<i64>, Option<i64>), derived: bool) -> Found {
    let mut out = Vec::new();
    for value in values {
        let items = match value {
            Json::Null => continue,
            Json::Array(items) => items,
            other => return Err(format!("{} is not array or slice", go_type(other))),
        };
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let mut from = from.unwrap_or(0);
        let mut to = to.unwrap_or(length);
        if from < 0 {
            from += length;
        }
        if to < 0 || (to == 0 && derived) {
            to += length;
        }
        if to == from {
            return Ok(out);
        }
        if from >= length || from < 0 {
            return Err(format!(
                "array index out of bounds: index {from}, length {length}"
            ));
        }
        if to > length || to < 0 {
            return Err(format!(
                "array index out of bounds: index {}, length {length}",
                to - 1
            ));
        }
        if from > to {
            return Err(format!("starting index {from} is greater than ending index {to}"));
        }
        let step = match step.map(usize::try_from) {
            None => 1,
            Some(Ok(step)) if step > 0 => step,
            Some(_) => return Err("step must be > 0".to_owned()),
        };
        let (from, to) = (usize::try_from(from), usize::try_from(to));
        let range = from.unwrap_or(0)..to.unwrap_or(0);
        out.extend(items.get(range).unwrap_or_default().iter().step_by(step).cloned());
    }
    Ok(out)
}

fn go_type(value: &Json) -> &'static str {
    match value {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    }
}

fn filter(values: &[Json], (left, right, operator): (&[Node], &[Node], &str)) -> Found {
    let mut out = Vec::new();
    for value in values {
        let Json::Array(items) = value else {
            return Err(format!("{value} is not array or slice and cannot be filtered"));
        };
        for item in items {
            let side = |nodes: &[Node]| nodes.iter().try_fold(vec![item.clone()], walk);
            let lefts = side(left);
            if operator == "exists" {
                if lefts.is_ok_and(|lefts| !lefts.is_empty()) {
                    out.push(item.clone());
                }
                continue;
            }
            let (lefts, rights) = (lefts?, side(right)?);
            let literal = matches!(right, [Node::Int(_)]);
            match (lefts.as_slice(), rights.as_slice()) {
                ([], _) | (_, []) => {}
                ([one], [other]) => {
                    // A document's numbers are floats, and Go does not compare a float with a whole number.
                    if literal && one.is_number() {
                        return Err("incompatible types for comparison".to_owned());
                    }
                    if compares(one, other, operator)? {
                        out.push(item.clone());
                    }
                }
                _ => return Err("can only compare one element at a time".to_owned()),
            }
        }
    }
    Ok(out)
}

fn compares(one: &Json, other: &Json, operator: &str) -> Result<bool, String> {
    let incompatible = || "incompatible types for comparison".to_owned();
    let ordering = match (one, other) {
        (Json::Number(x), Json::Number(y)) => x.as_f64().partial_cmp(&y.as_f64()),
        (Json::String(x), Json::String(y)) => Some(x.cmp(y)),
        (Json::Bool(x), Json::Bool(y)) if matches!(operator, "==" | "!=") => Some(x.cmp(y)),
        (Json::Bool(_), Json::Bool(_)) | (Json::Array(_) | Json::Object(_) | Json::Null, _) => {
            return Err("invalid type for comparison".to_owned());
        }
        _ => return Err(incompatible()),
    };
    Ok(match operator {
        "==" => ordering == Some(Ordering::Equal),
        "!=" => ordering != Some(Ordering::Equal),
        "<" => ordering == Some(Ordering::Less),
        "<=" => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        ">" => ordering == Some(Ordering::Greater),
        ">=" => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        other => return Err(format!("unrecognized filter operator {other}")),
    })
}
