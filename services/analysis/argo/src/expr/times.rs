//! Times and texts: `date`, `trim`, `split` and their kind.

use jiff::civil;
use jiff::tz::TimeZone;

use super::operators::to_int;
use super::value::{Of, Value};
use super::{Class, Env, Fault, Mode};

fn argument<'v>(name: &str, given: &'v [Value], index: usize) -> Result<&'v str, Fault> {
    match given.get(index) {
        Some(Value::Text(text)) => Ok(text),
        other => Err(Fault::run(
            Class::TypeMismatch,
            format!(
                "invalid argument for {name} (type {})",
                other.map_or("<nil>", Value::type_name)
            ),
        )),
    }
}

/// `date(text)`, `date(text, layout)`, `date(text, layout, zone)`. Only UTC is known as a zone.
pub(super) fn date(given: &[Value]) -> Result<Value, Fault> {
    let text = argument("date", given, 0)?;
    let invalid = || Fault::run(Class::Conversion, format!("invalid date {text}"));
    if given.len() == 3 && argument("date", given, 2)? != "UTC" {
        return Err(Fault::run(
            Class::Conversion,
            "only the time zone UTC is supported",
        ));
    }
    let layouts: Vec<String> = if given.len() > 1 {
        vec![pattern(argument("date", given, 1)?)]
    } else {
        ["%Y-%m-%d", "%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
            .map(str::to_owned)
            .to_vec()
    };
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Value::Time(at.as_nanosecond()));
    }
    layouts
        .iter()
        .find_map(|layout| read(text, layout))
        .map(Value::Time)
        .ok_or_else(invalid)
}

/// Go's layout as strptime's.
fn pattern(layout: &str) -> String {
    let pairs = [
        ("2006", "%Y"),
        ("01", "%m"),
        ("02", "%d"),
        ("15", "%H"),
        ("04", "%M"),
        ("05", "%S"),
        ("Z07:00", "%:z"),
        ("-07:00", "%:z"),
        ("-0700", "%z"),
        ("Jan", "%b"),
        ("MST", "UTC"),
    ];
    let layout = layout.replace('%', "%%");
    pairs
        .iter()
        .fold(layout, |layout, (go, own)| layout.replace(go, own))
}

fn read(text: &str, pattern: &str) -> Option<i128> {
    let parts = jiff::fmt::strtime::parse(pattern, text).ok()?;
    if let Ok(at) = parts.to_timestamp() {
        return Some(at.as_nanosecond());
    }
    let moment = parts.to_datetime().or_else(|_| {
        let day = parts.to_date().or_else(|_| civil::Date::new(0, 1, 1))?;
        let time = parts.to_time().unwrap_or(civil::Time::midnight());
        Ok::<_, jiff::Error>(day.to_datetime(time))
    });
    let zoned = moment.ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_nanosecond())
}

/// The time that an expression of a range query means: nanoseconds since 1970.
///
/// # Errors
/// A sentence, when it cannot be evaluated or is no time.
pub fn moment(text: &str, now: i128) -> Result<i128, String> {
    let env = Env {
        result: None,
        mode: Mode::Strict,
        now,
    };
    match super::evaluate(text, &env) {
        Ok(Value::Time(at)) => Ok(at),
        Ok(other) => Err(format!("expected time.Time, but got {}", other.type_name())),
        Err(fault) => Err(fault.message),
    }
}

/// Built-in functions of texts.
pub(super) fn of_text(name: &str, given: &[Value]) -> Result<Value, Fault> {
    if name == "join" {
        return join(given);
    }
    let text = argument(name, given, 0)?;
    let part = || argument(name, given, 1);
    let or_space = || if given.len() > 1 { part() } else { Ok(" ") };
    let owned = |text: &str| Ok(Value::Text(text.to_owned()));
    match name {
        "trim" if given.len() == 1 => owned(text.trim()),
        "trim" => {
            let cut = part()?;
            owned(text.trim_matches(|c| cut.contains(c)))
        }
        "trimPrefix" => owned(text.strip_prefix(or_space()?).unwrap_or(text)),
        "trimSuffix" => owned(text.strip_suffix(or_space()?).unwrap_or(text)),
        "upper" => Ok(Value::Text(text.to_uppercase())),
        "lower" => Ok(Value::Text(text.to_lowercase())),
        "hasPrefix" => Ok(Value::Bool(text.starts_with(part()?))),
        "hasSuffix" => Ok(Value::Bool(text.ends_with(part()?))),
        "indexOf" => Ok(found(text.find(part()?))),
        "lastIndexOf" => Ok(found(text.rfind(part()?))),
        "split" | "splitAfter" => split(name, text, part()?, given.get(2)),
        "replace" => {
            let (old, new) = (part()?, argument(name, given, 2)?);
            let times = given.get(3).map_or(Ok(-1), to_int)?;
            Ok(Value::Text(match usize::try_from(times) {
                Ok(times) => text.replacen(old, new, times),
                Err(_) => text.replace(old, new),
            }))
        }
        _ => Err(Fault::run(
            Class::Runtime,
            format!("{name} is not supported here"),
        )),
    }
}

fn found(at: Option<usize>) -> Value {
    Value::Int(at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
}

fn split(name: &str, text: &str, by: &str, most: Option<&Value>) -> Result<Value, Fault> {
    let most = most.map_or(Ok(-1), to_int)?;
    let mut parts: Vec<String> = if by.is_empty() {
        text.chars().map(String::from).collect()
    } else if name == "split" {
        text.split(by).map(str::to_owned).collect()
    } else {
        text.split_inclusive(by).map(str::to_owned).collect()
    };
    if name == "splitAfter" && !by.is_empty() && text.ends_with(by) {
        parts.push(String::new());
    }
    if let Ok(most) = usize::try_from(most)
        && parts.len() > most
    {
        let glue = if name == "split" { by } else { "" };
        let rest = parts.split_off(most.saturating_sub(1));
        if most > 0 {
            parts.push(rest.join(glue));
        } else {
            parts.clear();
        }
    }
    let parts = parts.into_iter().map(Value::Text).collect();
    Ok(Value::List(Of::Text, parts))
}

fn join(given: &[Value]) -> Result<Value, Fault> {
    let glue = if given.len() > 1 {
        argument("join", given, 1)?
    } else {
        ""
    };
    let wrong = || Fault::run(Class::TypeMismatch, "invalid argument for join");
    let Some(Value::List(_, items)) = given.first() else {
        return Err(wrong());
    };
    let texts: Option<Vec<&str>> = items
        .iter()
        .map(|item| match item {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    Ok(Value::Text(texts.ok_or_else(wrong)?.join(glue)))
}
