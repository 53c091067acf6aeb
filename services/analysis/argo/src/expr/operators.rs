//! Operators on values that are there, as expr-lang runs them.

use super::number::{real, truncated};
use super::value::{Key, Value};
use super::{Class, Fault};

pub(super) fn wrong(operator: &str, a: &Value, b: &Value) -> Fault {
    Fault::run(
        Class::TypeMismatch,
        format!(
            "invalid operation: {} {operator} {}",
            a.type_name(),
            b.type_name()
        ),
    )
}

/// Whether two values are equal: numbers across types, lists element by element.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    if let (Some(x), Some(y)) = (a.whole(), b.whole()) {
        return x == y;
    }
    if let (Some(x), Some(y)) = (a.number(), b.number()) {
        return x == y;
    }
    match (a, b) {
        (Value::List(_, x), Value::List(_, y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y))
        }
        (a, b) => a == b,
    }
}

fn order(a: &Value, b: &Value) -> Option<Option<std::cmp::Ordering>> {
    if let (Some(x), Some(y)) = (a.whole(), b.whole()) {
        return Some(Some(x.cmp(&y)));
    }
    if let (Some(x), Some(y)) = (a.number(), b.number()) {
        return Some(x.partial_cmp(&y));
    }
    match (a, b) {
        (Value::Text(x), Value::Text(y)) => Some(Some(x.as_bytes().cmp(y.as_bytes()))),
        (Value::Time(x), Value::Time(y)) => Some(Some(x.cmp(y))),
        (Value::Span(x), Value::Span(y)) => Some(Some(x.cmp(y))),
        _ => None,
    }
}

/// `<`, `>`, `<=`, `>=`. Comparisons with NaN are false.
pub(super) fn compare(operator: &str, a: &Value, b: &Value) -> Result<bool, Fault> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let ordering = order(a, b).ok_or_else(|| wrong(operator, a, b))?;
    Ok(match operator {
        "<" => ordering == Some(Less),
        ">" => ordering == Some(Greater),
        "<=" => matches!(ordering, Some(Less | Equal)),
        _ => matches!(ordering, Some(Greater | Equal)),
    })
}

/// The operators of numbers, texts and times.
pub(super) fn arithmetic(operator: &str, a: &Value, b: &Value) -> Result<Value, Fault> {
    if let (Some(x), Some(y)) = (a.whole(), b.whole()) {
        return whole(operator, x, y);
    }
    if let (Some(x), Some(y)) = (a.number(), b.number()) {
        return match operator {
            "+" => Ok(Value::Float(x + y)),
            "-" => Ok(Value::Float(x - y)),
            "*" => Ok(Value::Float(x * y)),
            "/" => Ok(Value::Float(x / y)),
            "**" | "^" => Ok(Value::Float(x.powf(y))),
            _ => Err(wrong(operator, a, b)),
        };
    }
    match (operator, a, b) {
        ("+", Value::Text(x), Value::Text(y)) => Ok(Value::Text(format!("{x}{y}"))),
        ("+", Value::Time(at), Value::Span(span)) | ("+", Value::Span(span), Value::Time(at)) => {
            Ok(Value::Time(at.saturating_add(i128::from(*span))))
        }
        ("-", Value::Time(at), Value::Span(span)) => Ok(Value::Time(at.saturating_sub(i128::from(*span)))),
        ("-", Value::Time(x), Value::Time(y)) => {
            let span = i64::try_from(x.saturating_sub(*y)).unwrap_or(i64::MAX);
            Ok(Value::Span(span))
        }
        ("+", Value::Span(x), Value::Span(y)) => Ok(Value::Span(x.wrapping_add(*y))),
        ("-", Value::Span(x), Value::Span(y)) => Ok(Value::Span(x.wrapping_sub(*y))),
        ("*", Value::Span(x), Value::Span(y)) => Ok(Value::Span(x.wrapping_mul(*y))),
        ("*", Value::Span(x), y) | ("*", y, Value::Span(x)) => match y.number() {
            Some(y) => Ok(Value::Span(truncated(real(*x) * y))),
            None => Err(wrong(operator, a, b)),
        },
        _ => Err(wrong(operator, a, b)),
    }
}

fn whole(operator: &str, x: i64, y: i64) -> Result<Value, Fault> {
    Ok(match operator {
        "+" => Value::Int(x.wrapping_add(y)),
        "-" => Value::Int(x.wrapping_sub(y)),
        "*" => Value::Int(x.wrapping_mul(y)),
        "/" => Value::Float(real(x) / real(y)),
        "**" | "^" => Value::Float(real(x).powf(real(y))),
        "%" if y == 0 => {
            return Err(Fault::run(
                Class::Runtime,
                "runtime error: integer divide by zero",
            ));
        }
        "%" => Value::Int(x.wrapping_rem(y)),
        _ => return Err(wrong(operator, &Value::Int(x), &Value::Int(y))),
    })
}

/// `-x`.
pub(super) fn negated(value: &Value) -> Result<Value, Fault> {
    match value {
        Value::Int(value) => Ok(Value::Int(value.wrapping_neg())),
        Value::Int64(value) => Ok(Value::Int64(value.wrapping_neg())),
        Value::Float(value) => Ok(Value::Float(-value)),
        other => Err(Fault::run(
            Class::TypeMismatch,
            format!("invalid operation: - {}", other.type_name()),
        )),
    }
}

/// `needle in hay`.
pub(super) fn contained(needle: &Value, hay: &Value) -> Result<bool, Fault> {
    match hay {
        Value::Nil => Ok(false),
        Value::List(_, items) => Ok(items.iter().any(|item| equal(item, needle))),
        Value::Map(_) => Ok(entry(hay, needle)?.is_some()),
        other => Err(Fault::run(
            Class::TypeMismatch,
            format!("operator \"in\" not defined on {}", other.type_name()),
        )),
    }
}

/// The entry of a map; `None`: it has none of that key.
fn entry<'v>(map: &'v Value, key: &Value) -> Result<Option<&'v Value>, Fault> {
    let Value::Map(entries) = map else {
        return Ok(None);
    };
    let text_keys = entries.keys().all(|key| matches!(key, Key::Text(_)));
    let key = match key {
        // Go's zero value of a text key.
        Value::Nil if text_keys => Key::Text(String::new()),
        Value::Text(text) => Key::Text(text.clone()),
        other => match other.key().filter(|_| !text_keys) {
            Some(key) => key,
            None => {
                return Err(Fault::run(
                    Class::TypeMismatch,
                    format!(
                        "reflect.Value.MapIndex: value of type {} is not assignable to type string",
                        other.type_name()
                    ),
                ));
            }
        },
    };
    Ok(entries.get(&key))
}

/// `from[key]`. A map has nil where it has nothing.
pub(super) fn fetch(from: &Value, key: &Value) -> Result<Value, Fault> {
    match from {
        Value::List(_, items) => {
            let length = items.len();
            let at = position(key, length)?;
            let found = usize::try_from(at).ok().and_then(|at| items.get(at));
            found.cloned().ok_or_else(|| outside(at, length))
        }
        Value::Text(text) => {
            let at = position(key, text.len())?;
            let found = usize::try_from(at).ok().and_then(|at| text.as_bytes().get(at));
            found
                .map(|byte| Value::Int(i64::from(*byte)))
                .ok_or_else(|| outside(at, text.len()))
        }
        Value::Map(_) => Ok(entry(from, key)?.cloned().unwrap_or_default()),
        other => Err(Fault::run(
            Class::TypeMismatch,
            format!("cannot fetch {} from {}", key.show(), other.type_name()),
        )),
    }
}

fn outside(at: i64, length: usize) -> Fault {
    Fault::run(
        Class::IndexOutOfRange,
        format!("index out of range: {at} (array length is {length})"),
    )
}

/// An integer as Go's `runtime.ToInt` makes it of a number.
pub(super) fn to_int(value: &Value) -> Result<i64, Fault> {
    match value {
        Value::Float(value) => Ok(truncated(*value)),
        value => value.whole().ok_or_else(|| {
            Fault::run(
                Class::TypeMismatch,
                format!("invalid operation: int({})", value.type_name()),
            )
        }),
    }
}

/// From the end when it is negative.
fn position(key: &Value, length: usize) -> Result<i64, Fault> {
    let at = to_int(key)?;
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    Ok(if at < 0 { length.saturating_add(at) } else { at })
}

/// `from[a:b]`, bounds cut to what there is.
pub(super) fn slice(base: &Value, from: &Value, to: Option<&Value>) -> Result<Value, Fault> {
    let length = match base {
        Value::List(_, items) => items.len(),
        Value::Text(text) => text.len(),
        other => {
            return Err(Fault::run(
                Class::TypeMismatch,
                format!("cannot slice {}", other.type_name()),
            ));
        }
    };
    let bound = |value: &Value| -> Result<usize, Fault> {
        let at = position(value, length)?.max(0);
        Ok(usize::try_from(at).unwrap_or(usize::MAX))
    };
    let b = to.map_or(Ok(length), bound)?.min(length);
    let a = bound(from)?.min(b);
    Ok(match base {
        Value::List(of, items) => Value::List(*of, items.get(a..b).unwrap_or_default().to_vec()),
        Value::Text(text) => {
            let bytes = text.as_bytes().get(a..b).unwrap_or_default();
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
        _ => Value::Nil,
    })
}
