//! The fields that both formats share: raw values in, a checked row out.

use super::{Row, Sample, Track};
use crate::distributions::Histogram;
use crate::values::Direction;

/// A field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) reason: String,
}

pub(super) fn fault(field: &str, reason: impl Into<String>) -> Fault {
    Fault {
        field: field.to_owned(),
        reason: reason.into(),
    }
}

/// A row as text; absent fields are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    pub(super) time: Option<String>,
    pub(super) track: Option<String>,
    pub(super) metric: Option<String>,
    pub(super) bad: Option<String>,
    pub(super) total: Option<String>,
    pub(super) value: Option<String>,
    pub(super) histogram: Option<Histogram>,
    pub(super) direction: Option<String>,
    pub(super) weight: Option<String>,
    pub(super) critical: Option<String>,
}

impl Raw {
    /// Where a named text field is kept; none for a name that no row has.
    pub(super) fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "time" => &mut self.time,
            "track" => &mut self.track,
            "metric" => &mut self.metric,
            "bad" => &mut self.bad,
            "total" => &mut self.total,
            "value" => &mut self.value,
            "direction" => &mut self.direction,
            "weight" => &mut self.weight,
            "critical" => &mut self.critical,
            _ => return None,
        })
    }

    pub(super) fn check(self) -> Result<Row, Fault> {
        let time = self.time.as_deref().ok_or_else(|| fault("time", "missing"))?;
        let time = seconds(time).map_err(|reason| fault("time", reason))?;
        let track = match self.track.as_deref() {
            None => None,
            Some("baseline") => Some(Track::Baseline),
            Some("candidate") => Some(Track::Candidate),
            Some(other) => {
                return Err(fault(
                    "track",
                    format!("expected baseline or candidate, got {:?}", brief(other)),
                ));
            }
        };
        let metric = self
            .metric
            .clone()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| fault("metric", "missing"))?;
        let direction = match self.direction.as_deref() {
            None => None,
            Some("increase") => Some(Direction::Increase),
            Some("decrease") => Some(Direction::Decrease),
            Some("either") => Some(Direction::Either),
            Some(other) => {
                let reason = format!("expected increase, decrease or either, got {:?}", brief(other));
                return Err(fault("direction", reason));
            }
        };
        let weight = self
            .weight
            .as_deref()
            .map(|text| number("weight", text))
            .transpose()?;
        if weight.is_some_and(|weight| !(weight.is_finite() && weight > 0.0)) {
            return Err(fault("weight", "must be above 0"));
        }
        let critical = match self.critical.as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(other) => {
                return Err(fault(
                    "critical",
                    format!("expected true or false, got {:?}", brief(other)),
                ));
            }
        };
        Ok(Row {
            time,
            track,
            metric,
            sample: self.sample()?,
            direction,
            weight,
            critical,
        })
    }

    fn sample(self) -> Result<Sample, Fault> {
        match (self.bad, self.total, self.value, self.histogram) {
            (Some(bad), Some(total), None, None) => {
                let (bad, total) = (count("bad", &bad)?, count("total", &total)?);
                if bad > total {
                    return Err(fault("bad", format!("{bad} exceeds total {total}")));
                }
                Ok(Sample::Counts { bad, total })
            }
            (None, None, Some(value), None) => Ok(Sample::Value(number("value", &value)?)),
            (None, None, None, Some(histogram)) => Ok(Sample::Histogram(histogram)),
            (Some(_), None, ..) => Err(fault("total", "missing beside bad")),
            (None, Some(_), ..) => Err(fault("bad", "missing beside total")),
            (None, None, None, None) => Err(fault("row", "needs bad and total, value, or histogram")),
            _ => Err(fault(
                "row",
                "has more than one of bad and total, value, histogram",
            )),
        }
    }
}

/// The start of a text, so that an error line stays a line.
fn brief(text: &str) -> String {
    text.chars().take(40).collect()
}

fn number(field: &str, text: &str) -> Result<f64, Fault> {
    text.parse()
        .map_err(|_| fault(field, format!("not a number: {:?}", brief(text))))
}

/// A count; one with a point and nothing behind it too, as tables with holes are written.
fn count(field: &str, text: &str) -> Result<u64, Fault> {
    let whole = text
        .split_once('.')
        .filter(|(_, rest)| rest.bytes().all(|b| b == b'0'));
    let digits = whole.map_or(text, |(digits, _)| digits);
    digits
        .parse()
        .map_err(|_| fault(field, format!("not a count: {:?}", brief(text))))
}

/// Unix seconds, or RFC 3339.
///
/// # Errors
/// What is wrong with it, in a clause.
pub fn seconds(text: &str) -> Result<f64, String> {
    let plain = text.parse::<f64>().ok().or_else(|| rfc3339(text));
    let time = plain.ok_or_else(|| format!("neither seconds nor RFC 3339: {:?}", brief(text)))?;
    // The year 9999 ends there, in seconds; in milliseconds 1978 does.
    if time.abs() <= 253_402_300_800.0 {
        Ok(time)
    } else if time.is_finite() {
        Err("beyond the year 9999: seconds are wanted, not milliseconds".to_owned())
    } else {
        Err("out of range".to_owned())
    }
}

fn rfc3339(text: &str) -> Option<f64> {
    let digits = |from: usize, to: usize| {
        let part = text.get(from..to)?;
        part.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse::<i64>().ok())
            .flatten()
    };
    let mark = |at: usize, any: &str| text.get(at..=at).filter(|c| any.contains(*c));
    mark(4, "-")
        .and(mark(7, "-"))
        .and(mark(10, "Tt "))
        .and(mark(13, ":"))
        .and(mark(16, ":"))?;
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let split = rest.find(['Z', 'z', '+', '-'])?;
    let (fraction, zone) = (rest.get(..split)?, rest.get(split..)?);
    let fraction = match fraction {
        "" => 0.0,
        dot if dot.starts_with('.') && dot.len() > 1 => format!("0{dot}").parse::<f64>().ok()?,
        _ => return None,
    };
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign, _, _, b':', _, _] => {
            let (h, m) = (digits(20 + split, 22 + split)?, digits(23 + split, 25 + split)?);
            if h > 23 || m > 59 {
                return None;
            }
            if *sign == b'-' {
                -(h * 3600 + m * 60)
            } else {
                h * 3600 + m * 60
            }
        }
        _ => return None,
    };
    let whole = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(
        f64::from(i32::try_from(whole / 1000).ok()?) * 1000.0
            + f64::from(i32::try_from(whole % 1000).ok()?)
            + fraction,
    )
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's `days_from_civil`).
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_ways_to_write_a_time() {
        assert_eq!(seconds("12.5"), Ok(12.5));
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Ok(0.0));
        assert_eq!(seconds("2024-02-29T12:30:15.250+02:00"), Ok(1_709_202_615.25));
        assert_eq!(seconds("1969-12-31T23:59:59Z"), Ok(-1.0));
        for wrong in [
            "",
            "x",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01T00:00:00",
            "NaN",
            "inf",
            "1e300",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(seconds("2024-01-01T00:00:00é").is_err());
    }
}
