//! Built-in functions without closures, when they run.

use super::number::{float, integer, real, truncated};
use super::operators::{fetch, to_int};
use super::run::{Answer, Machine, stop};
use super::value::{Function, Key, Of, Value};
use super::{Class, Fault};

fn wrong(name: &str, value: &Value) -> Fault {
    Fault::run(
        Class::TypeMismatch,
        format!("invalid argument for {name} (type {})", value.type_name()),
    )
}

fn text<'v>(name: &str, value: &'v Value) -> Result<&'v str, Fault> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(wrong(name, other)),
    }
}

fn items<'v>(name: &str, value: &'v Value) -> Result<&'v [Value], Fault> {
    match value {
        Value::List(_, items) => Ok(items),
        other => Err(wrong(name, other)),
    }
}

/// `asInt` and `asFloat`.
pub(super) fn converted(function: Function, value: &Value) -> Result<Value, Fault> {
    let name = function.name();
    let unreadable = |go: &str, text: &str| {
        Fault::run(
            Class::Conversion,
            format!("strconv.{go}: parsing {text:?}: invalid syntax"),
        )
    };
    match (function, value) {
        (Function::AsInt, Value::Float(value)) => Ok(Value::Int64(truncated(*value))),
        (Function::AsInt, Value::Text(text)) => integer(text)
            .map(Value::Int64)
            .ok_or_else(|| unreadable("ParseInt", text)),
        (_, Value::Text(text)) => float(text)
            .map(Value::Float)
            .ok_or_else(|| unreadable("ParseFloat", text)),
        (Function::AsInt, value) => value
            .whole()
            .map(Value::Int64)
            .ok_or_else(|| unsupported(name, value)),
        (_, value) => value
            .number()
            .map(Value::Float)
            .ok_or_else(|| unsupported(name, value)),
    }
}

fn unsupported(name: &str, value: &Value) -> Fault {
    Fault::run(
        Class::Conversion,
        format!("{name}() not supported on {} {}", value.type_name(), value.show()),
    )
}

impl Machine<'_> {
    /// A built-in function of values.
    pub(super) fn plain(&mut self, name: &str, given: &[Value]) -> Answer<Value> {
        let first = given.first().cloned().unwrap_or_default();
        match name {
            "len" | "type" | "abs" | "ceil" | "floor" | "round" | "int" | "float" | "string" => {
                Ok(single(name, &first)?)
            }
            "max" | "min" => Ok(extreme(name, given)?),
            "mean" => {
                let values = numbers(name, given)?;
                let count = real(i64::try_from(values.len()).unwrap_or(i64::MAX));
                let sum: f64 = values.iter().fold(0.0, |sum, value| sum + value);
                Ok(Value::Float(if values.is_empty() { 0.0 } else { sum / count }))
            }
            "median" => Ok(Value::Float(median(numbers(name, given)?))),
            "now" => Ok(Value::Time(self.env.now)),
            "duration" => match crate::duration::parse(text(name, &first)?) {
                Ok(span) => Ok(Value::Span(span)),
                Err(fault) => stop(Class::Conversion, fault),
            },
            "date" => Ok(super::times::date(given)?),
            "first" | "last" => {
                let at = if name == "first" { 0 } else { -1 };
                Ok(fetch(&first, &Value::Int(at)).unwrap_or_default())
            }
            "get" => {
                let key = given.get(1).cloned().unwrap_or_default();
                match fetch(&first, &key) {
                    Err(fault) if fault.class == Class::TypeMismatch && first != Value::Nil => {
                        Err(fault.into())
                    }
                    got => Ok(got.unwrap_or_default()),
                }
            }
            "fromJSON" => match serde_json::from_str::<serde_json::Value>(text(name, &first)?) {
                Ok(json) => Ok(Value::from(&json)),
                Err(fault) => stop(Class::Conversion, fault.to_string()),
            },
            "take" | "keys" | "values" | "toPairs" | "fromPairs" | "reverse" | "uniq" | "concat"
            | "flatten" | "sort" => {
                let value = collection(name, given)?;
                if let Value::List(_, items) = &value {
                    self.made(items.len())?;
                }
                Ok(value)
            }
            name if name.starts_with("bit") => Ok(bits(name, given)?),
            "repeat" => {
                let times = to_int(given.get(1).unwrap_or(&Value::Nil))?;
                let times = usize::try_from(times).unwrap_or(usize::MAX);
                let text = text(name, &first)?;
                self.made(text.len().saturating_mul(times))?;
                Ok(Value::Text(text.repeat(times)))
            }
            _ => Ok(super::times::of_text(name, given)?),
        }
    }
}

fn single(name: &str, value: &Value) -> Result<Value, Fault> {
    let size = |length: usize| Value::Int(i64::try_from(length).unwrap_or(i64::MAX));
    Ok(match (name, value) {
        ("len", Value::List(_, items)) => size(items.len()),
        ("len", Value::Map(entries)) => size(entries.len()),
        ("len", Value::Text(text)) => size(text.chars().count()),
        ("string", value) => Value::Text(value.show()),
        ("type", value) => Value::Text(
            match value {
                Value::Nil => "nil",
                Value::Bool(_) => "bool",
                Value::Int(_) | Value::Int64(_) => "int",
                Value::Float(_) => "float",
                Value::Text(_) => "string",
                Value::List(..) => "array",
                Value::Map(_) => "map",
                Value::Time(_) => "time.Time",
                Value::Span(_) => "time.Duration",
                Value::Function(_) => "func",
            }
            .to_owned(),
        ),
        ("abs", Value::Float(value)) => Value::Float(value.abs()),
        ("abs", Value::Int(value)) => Value::Int(value.wrapping_abs()),
        ("abs", Value::Int64(value)) => Value::Int64(value.wrapping_abs()),
        ("int", Value::Float(value)) => Value::Int(truncated(*value)),
        ("int", Value::Int(value) | Value::Int64(value) | Value::Span(value)) => Value::Int(*value),
        ("int", Value::Text(text)) => Value::Int(integer(text).ok_or_else(|| unconverted(name, text))?),
        ("float", Value::Text(text)) => Value::Float(float(text).ok_or_else(|| unconverted(name, text))?),
        ("ceil" | "floor" | "round" | "float", value) => {
            let number = value.number().ok_or_else(|| wrong(name, value))?;
            Value::Float(match name {
                "ceil" => number.ceil(),
                "floor" => number.floor(),
                "round" => number.round(),
                _ => number,
            })
        }
        (name, value) => return Err(wrong(name, value)),
    })
}

fn unconverted(name: &str, text: &str) -> Fault {
    Fault::run(Class::Conversion, format!("invalid operation: {name}({text})"))
}

/// Every number of arguments and of the lists among them.
fn numbers(name: &str, given: &[Value]) -> Result<Vec<f64>, Fault> {
    let mut out = Vec::new();
    for value in given {
        match value {
            Value::List(_, items) => out.extend(numbers(name, items)?),
            Value::Span(span) => out.push(real(*span)),
            value => out.push(value.number().ok_or_else(|| wrong(name, value))?),
        }
    }
    Ok(out)
}

fn median(mut values: Vec<f64>) -> f64 {
    // Go sorts NaN first.
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let half = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    if values.len() % 2 == 1 {
        at(half)
    } else if values.is_empty() {
        0.0
    } else {
        f64::midpoint(at(half - 1), at(half))
    }
}

/// `max` and `min`: the first number stays unless another is beyond it, so that NaN in front stays.
fn extreme(name: &str, given: &[Value]) -> Result<Value, Fault> {
    let mut best = Value::Nil;
    for value in given {
        let value = match value {
            Value::List(_, items) if items.is_empty() => continue,
            Value::List(_, items) => {
                for item in items {
                    if item.number().is_none() && !matches!(item, Value::List(..) | Value::Span(_)) {
                        return Err(wrong(name, item));
                    }
                }
                extreme(name, items)?
            }
            value if value.number().is_some() || matches!(value, Value::Span(_)) => value.clone(),
            value if given.len() == 1 => return Ok(value.clone()),
            value => return Err(wrong(name, value)),
        };
        let operator = if name == "max" { "<" } else { ">" };
        if value != Value::Nil && (best == Value::Nil || super::operators::compare(operator, &best, &value)?)
        {
            best = value;
        }
    }
    Ok(best)
}

fn collection(name: &str, given: &[Value]) -> Result<Value, Fault> {
    let first = given.first().cloned().unwrap_or_default();
    let second = given.get(1).cloned().unwrap_or_default();
    let list = |items: Vec<Value>| Ok(Value::List(Of::Any, items));
    match (name, &first) {
        ("take", Value::List(of, items)) => {
            let many = usize::try_from(to_int(&second)?).map_err(|_| {
                Fault::run(
                    Class::IndexOutOfRange,
                    "reflect.Value.Slice: slice index out of bounds",
                )
            })?;
            let taken = items.iter().take(many).cloned().collect();
            Ok(Value::List(*of, taken))
        }
        ("keys", Value::Map(entries)) => list(entries.keys().map(Value::from).collect()),
        ("values", Value::Map(entries)) => list(entries.values().cloned().collect()),
        ("toPairs", Value::Map(entries)) => list(
            entries
                .iter()
                .map(|(key, value)| Value::List(Of::Any, vec![Value::from(key), value.clone()]))
                .collect(),
        ),
        ("fromPairs", pairs) => pairs_to_map(items(name, pairs)?),
        ("reverse", value) => list(items(name, value)?.iter().rev().cloned().collect()),
        ("uniq", value) => {
            let mut out: Vec<Value> = Vec::new();
            for item in items(name, value)? {
                if !out.iter().any(|known| super::operators::equal(item, known)) {
                    out.push(item.clone());
                }
            }
            list(out)
        }
        ("concat", _) => {
            let mut out = Vec::new();
            for value in given {
                out.extend_from_slice(items(name, value)?);
            }
            list(out)
        }
        ("flatten", value) => {
            let mut out = Vec::new();
            flatten(items(name, value)?, &mut out);
            list(out)
        }
        ("sort", value) => {
            let order = if given.len() > 1 {
                second
            } else {
                Value::Text("asc".to_owned())
            };
            let keyed = items(name, value)?
                .iter()
                .map(|item| (item.clone(), item.clone()));
            list(super::lists::sorted(keyed.collect(), &order)?)
        }
        (name, value) => Err(wrong(name, value)),
    }
}

fn flatten(items: &[Value], out: &mut Vec<Value>) {
    for item in items {
        match item {
            Value::List(_, inner) => flatten(inner, out),
            item => out.push(item.clone()),
        }
    }
}

fn pairs_to_map(pairs: &[Value]) -> Result<Value, Fault> {
    let mut map = std::collections::BTreeMap::new();
    for pair in pairs {
        let (key, value) = match pair {
            Value::List(_, pair) if pair.len() == 2 => (pair.first(), pair.last()),
            _ => (None, None),
        };
        let key: Option<Key> = key.and_then(Value::key);
        let (Some(key), Some(value)) = (key, value) else {
            return Err(Fault::run(Class::TypeMismatch, "invalid pair"));
        };
        map.insert(key, value.clone());
    }
    Ok(Value::Map(map))
}

fn bits(name: &str, given: &[Value]) -> Result<Value, Fault> {
    let operand = |index: usize| {
        let value = given.get(index).cloned().unwrap_or_default();
        value.whole().ok_or_else(|| wrong(name, &value))
    };
    let x = operand(0)?;
    if name == "bitnot" {
        return Ok(Value::Int(!x));
    }
    let y = operand(1)?;
    let by = || {
        u32::try_from(y).map_err(|_| {
            Fault::run(
                Class::Runtime,
                format!("invalid operation: negative shift count {y} (type int)"),
            )
        })
    };
    Ok(Value::Int(match name {
        "bitand" => x & y,
        "bitor" => x | y,
        "bitxor" => x ^ y,
        "bitnand" => x & !y,
        "bitshl" => x.checked_shl(by()?).unwrap_or(0),
        "bitshr" => x.checked_shr(by()?).unwrap_or(if x < 0 { -1 } else { 0 }),
        _ => x.cast_unsigned().checked_shr(by()?).unwrap_or(0).cast_signed(),
    }))
}
