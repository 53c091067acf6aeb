//! What stands in a cell.

use jiff::civil;
use jiff::tz::TimeZone;

/// A cell, read as a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// A finite number.
    Number(f64),
    /// Empty, or a word for nothing.
    Missing,
    /// A number that is not finite; read as missing.
    Infinite,
    /// Something else.
    Text,
}

/// Words for nothing, in lower case.
const NOTHING: [&str; 9] = ["", "na", "n/a", "nan", "null", "none", "nil", "?", "-"];

/// Reads a cell as a number; `true` and `false` are 1 and 0.
#[must_use]
pub fn number(cell: &str) -> Cell {
    let cell = cell.trim();
    if let Ok(value) = cell.parse::<f64>() {
        return match value {
            value if value.is_nan() => Cell::Missing,
            value if value.is_infinite() => Cell::Infinite,
            value => Cell::Number(value),
        };
    }
    match cell.to_ascii_lowercase().as_str() {
        "true" => Cell::Number(1.0),
        "false" => Cell::Number(0.0),
        word if NOTHING.contains(&word) => Cell::Missing,
        _ => Cell::Text,
    }
}

/// Words that say that it failed.
const FAILED: [&str; 17] = [
    "true", "t", "yes", "y", "fail", "failed", "failure", "fails", "error", "errored", "broken", "bug",
    "buggy", "bad", "defect", "incident", "rollback",
];
/// Words that say that it did not.
const PASSED: [&str; 15] = [
    "false",
    "f",
    "no",
    "n",
    "pass",
    "passed",
    "success",
    "successful",
    "succeeded",
    "ok",
    "good",
    "clean",
    "fixed",
    "green",
    "healthy",
];

/// A word that says neither failed nor passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neither;

/// Reads a cell as an outcome: a number above 0 or a word of failure is `Some(true)`; `Ok(None)` is an outcome that is not
/// known.
///
/// # Errors
/// For a word that says neither.
pub fn outcome(cell: &str) -> Result<Option<bool>, Neither> {
    match number(cell) {
        Cell::Number(value) => Ok(Some(value > 0.0)),
        Cell::Missing => Ok(None),
        Cell::Infinite => Err(Neither),
        Cell::Text => {
            let word = cell.trim().to_ascii_lowercase();
            if FAILED.contains(&word.as_str()) {
                return Ok(Some(true));
            }
            if PASSED.contains(&word.as_str()) {
                return Ok(Some(false));
            }
            Err(Neither)
        }
    }
}

/// Reads a cell as a time, in seconds: a number (epoch seconds; milli-, micro- and nanoseconds are told by their size), RFC
/// 3339, or a date with or without a time of day, then in UTC.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    reason = "milliseconds of this age stay far below 2^53"
)]
pub fn time(cell: &str) -> Option<f64> {
    let cell = cell.trim();
    if let Cell::Number(value) = number(cell) {
        return Some(match value.abs() {
            v if v >= 1e17 => value / 1e9,
            v if v >= 1e14 => value / 1e6,
            v if v >= 1e11 => value / 1e3,
            _ => value,
        });
    }
    if let Ok(instant) = cell.parse::<jiff::Timestamp>() {
        return Some(instant.as_millisecond() as f64 / 1000.0);
    }
    let civil = cell
        .parse::<civil::DateTime>()
        .or_else(|_| cell.trim_end_matches(" UTC").parse::<civil::DateTime>())
        .or_else(|_| cell.parse::<civil::Date>().map(|date| date.at(0, 0, 0, 0)));
    let zoned = civil.ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond() as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_nothing_and_words() {
        assert_eq!(number(" 1.5e3 "), Cell::Number(1500.0));
        assert_eq!(number("True"), Cell::Number(1.0));
        for nothing in ["", "NaN", "null", " NA ", "-"] {
            assert_eq!(number(nothing), Cell::Missing, "{nothing}");
        }
        assert_eq!(number("-inf"), Cell::Infinite);
        assert_eq!(number("1,5"), Cell::Text);
    }

    #[test]
    fn outcomes() {
        assert_eq!(outcome("3"), Ok(Some(true)));
        assert_eq!(outcome("0.0"), Ok(Some(false)));
        assert_eq!(outcome("Failed"), Ok(Some(true)));
        assert_eq!(outcome("success"), Ok(Some(false)));
        assert_eq!(outcome(""), Ok(None));
        assert_eq!(outcome("maybe"), Err(Neither));
    }

    #[test]
    fn times() {
        assert_eq!(time("1451580138"), Some(1_451_580_138.0));
        assert_eq!(time("1451580138000"), Some(1_451_580_138.0));
        assert_eq!(time("1970-01-01T00:01:00Z"), Some(60.0));
        assert_eq!(time("1970-01-02"), Some(86_400.0));
        assert_eq!(time("1970-01-01 00:00:05"), Some(5.0));
        assert_eq!(time("noon"), None);
    }
}
