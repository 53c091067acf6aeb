//! Lengths of time as people write them: `30s`, `1h30m`, `500ms`, or a bare number of seconds.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, in whole milliseconds, at most a year.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// Nobody means more than this.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// As the standard library has it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Twice as long, at most a year.
    #[must_use]
    pub fn twice(self) -> Self {
        Self((self.0 * 2).min(LONGEST))
    }

    /// Reads `1h30m`, `30s`, `500ms`, `10` (seconds).
    ///
    /// # Errors
    /// A sentence that names the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is not a length of time such as 30s, 10m or 1h30m");
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(fault());
        }
        if let Ok(seconds) = rest.parse::<f64>() {
            return Self::of_seconds(seconds).ok_or_else(fault);
        }
        let mut sum = 0.0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(fault)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let number: f64 = number.parse().map_err(|_| fault())?;
            sum += number * unit_seconds(unit).ok_or_else(fault)?;
            rest = tail;
        }
        Self::of_seconds(sum).ok_or_else(fault)
    }

    fn of_seconds(seconds: f64) -> Option<Self> {
        let span = Duration::try_from_secs_f64(seconds).ok()?;
        let millis = u64::try_from(span.as_millis()).ok()?;
        (span <= LONGEST).then(|| Self::millis(millis))
    }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            m if m % 3_600_000 == 0 => write!(f, "{}h", m / 3_600_000),
            m if m % 60_000 == 0 => write!(f, "{}m", m / 60_000),
            m if m % 1_000 == 0 => write!(f, "{}s", m / 1_000),
            m => write!(f, "{m}ms"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time such as 30s, 10m or 1h30m")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        Span::parse(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Span, E> {
        Span::parse(&seconds.to_string()).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Span, E> {
        Span::parse(&seconds.to_string()).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Span, E> {
        Span::of_seconds(seconds).ok_or_else(|| E::custom(format!("{seconds} is not a length of time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("10", 10_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("2d", 172_800_000),
        ] {
            assert_eq!(Span::parse(text), Ok(Span::millis(millis)), "{text}");
            let span = Span::millis(millis);
            assert_eq!(Span::parse(&span.to_string()), Ok(span));
        }
        for wrong in ["", "soon", "5 s x", "-3s", "10y", "1e99", "s"] {
            assert!(Span::parse(wrong).is_err(), "{wrong}");
        }
    }
}
