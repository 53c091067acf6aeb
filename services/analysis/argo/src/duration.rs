//! Go's durations: `10s`, `1h30m`, `-1.5ms`.

/// Nanoseconds of each unit.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3_600e9),
];

/// Reads a duration as `time.ParseDuration` does: nanoseconds.
///
/// # Errors
/// Go's own sentence when it cannot be read or does not fit.
pub fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let mut end = digits(rest);
        if let Some(fraction) = rest.get(end..).and_then(|rest| rest.strip_prefix('.')) {
            end += 1 + digits(fraction);
        }
        let (number, after) = rest.split_at(end);
        let end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| invalid())?
        };
        let fraction: f64 = format!("0.{fraction}0").parse().map_err(|_| invalid())?;
        total = whole
            .checked_mul(cut(*scale))
            .and_then(|part| part.checked_add(cut(fraction * scale)))
            .and_then(|part| total.checked_add(part))
            .ok_or_else(invalid)?;
        rest = next;
    }
    let signed = if negative { -total } else { total };
    i64::try_from(signed).map_err(|_| invalid())
}

#[allow(clippy::cast_possible_truncation, reason = "within 0..3.6e12")]
fn cut(value: f64) -> i128 {
    value as i128
}

/// Writes a duration as Go does.
#[must_use]
pub fn show(nanoseconds: i64) -> String {
    let size = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    if size == 0 {
        return "0s".to_owned();
    }
    let (part, unit) = match size {
        0..1_000 => return format!("{sign}{size}ns"),
        1_000..1_000_000 => (fraction(size, 1_000), "\u{b5}s"),
        1_000_000..1_000_000_000 => (fraction(size, 1_000_000), "ms"),
        _ => {
            let seconds = size / 1_000_000_000;
            let rest = fraction(size % 60_000_000_000, 1_000_000_000);
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            return match (hours, minutes) {
                (0, 0) => format!("{sign}{rest}s"),
                (0, minutes) => format!("{sign}{minutes}m{rest}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{rest}s"),
            };
        }
    };
    format!("{sign}{part}{unit}")
}

fn fraction(size: u64, unit: u64) -> String {
    let digits = unit.to_string().len() - 1;
    let rest = format!("{:0digits$}", size % unit);
    match rest.trim_end_matches('0') {
        "" => (size / unit).to_string(),
        rest => format!("{}.{rest}", size / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let cases: [(&str, Option<i64>); 21] = [
            ("0", Some(0)),
            ("5s", Some(5_000_000_000)),
            ("30s", Some(30_000_000_000)),
            ("1478s", Some(1_478_000_000_000)),
            ("-5s", Some(-5_000_000_000)),
            ("+5s", Some(5_000_000_000)),
            ("5.6s", Some(5_600_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("10ns", Some(10)),
            ("12us", Some(12_000)),
            ("3h30m", Some(12_600_000_000_000)),
            ("1m30.5s", Some(90_500_000_000)),
            ("", None),
            ("3", None),
            ("s", None),
            ("1d", None),
            ("10 s", None),
            ("1.2.3s", None),
            ("1.5h", Some(5_400_000_000_000)),
            ("90s", Some(90_000_000_000)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
        assert_eq!(
            parse("1d").unwrap_err(),
            "time: unknown unit \"d\" in duration \"1d\""
        );
        assert_eq!(
            parse("1.2.3s").unwrap_err(),
            "time: missing unit in duration \"1.2.3s\""
        );
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (-60_000_000_000, "-1m0s"),
        ] {
            assert_eq!(show(nanoseconds), text);
        }
    }
}
