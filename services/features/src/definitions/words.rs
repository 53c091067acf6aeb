//! Words of documents: durations and aggregates.

use auspex_algebra::Aggregate;
use auspex_algebra::hop::{DAY, HOUR, MINUTE, SECOND};

use super::document::FeatureSpec;

/// A duration as in `5m`, `12h`, `30d`, `2w`, in milliseconds; empty is 0.
///
/// # Errors
/// In words, when it is none.
pub fn duration(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let fault = || format!("{text} is no duration such as 5m, 12h, 30d");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
    let (number, unit) = text.split_at(split);
    let number: i64 = number.parse().map_err(|_| fault())?;
    let unit = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        "w" => 7 * DAY,
        _ => return Err(fault()),
    };
    match number.checked_mul(unit) {
        Some(0) => Err(format!("{text} is no time at all; one such as 5m, 12h, 30d is")),
        ms => ms.ok_or_else(fault),
    }
}

/// A duration in its largest whole unit: `48h` is `2d`. What is none stays as it is.
#[must_use]
pub(super) fn span(text: &str) -> String {
    let Some(ms) = duration(text).ok().filter(|ms| *ms > 0) else {
        return text.to_owned();
    };
    let units = [("d", DAY), ("h", HOUR), ("m", MINUTE)];
    match units.into_iter().find(|(_, size)| ms % size == 0) {
        Some((unit, size)) => format!("{}{unit}", ms / size),
        None => format!("{}s", ms / SECOND),
    }
}

/// An aggregate by its word; empty is `latest`.
///
/// # Errors
/// In words, when it is none.
pub fn aggregate(word: &str) -> Result<Aggregate, String> {
    Ok(match word {
        "" | "latest" => Aggregate::Latest,
        "count" => Aggregate::Count,
        "sum" => Aggregate::Sum,
        "mean" => Aggregate::Mean,
        "variance" => Aggregate::Variance,
        "stddev" => Aggregate::Stddev,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "last" => Aggregate::Last,
        "age" => Aggregate::Age,
        "distinct" => Aggregate::Distinct,
        "rate" => Aggregate::Rate,
        "sum_rate" => Aggregate::SumRate,
        "ewma" => Aggregate::Ewma,
        "deviation" => Aggregate::Deviation,
        _ => {
            let share = word.strip_prefix('p').and_then(|share| share.parse::<f64>().ok());
            let share = share.filter(|share| (0.0..=100.0).contains(share));
            Aggregate::Quantile(share.ok_or_else(|| format!("{word} is no aggregate"))? / 100.0)
        }
    })
}

/// A feature in one line, as in `sum(amount) over 1h`.
#[must_use]
pub fn formula(feature: &FeatureSpec) -> String {
    let column = if feature.column.is_empty() {
        &feature.name
    } else {
        &feature.column
    };
    let over = if feature.window.is_empty() {
        String::new()
    } else {
        format!(" over {}", feature.window)
    };
    match feature.aggregate.as_str() {
        "" | "latest" => format!("latest({column})"),
        "ewma" if !feature.half_life.is_empty() => {
            format!("ewma({column}, half-life {}){over}", feature.half_life)
        }
        aggregate => format!("{aggregate}({column}){over}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        assert_eq!(duration("90m"), Ok(90 * MINUTE));
        assert_eq!(duration(""), Ok(0));
        for wrong in ["5", "m", "5y", "-5m", "0h", "99999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for (told, plain) in [
            ("48h", "2d"),
            ("2w", "14d"),
            ("90m", "90m"),
            ("3600s", "1h"),
            ("61s", "61s"),
            ("x", "x"),
        ] {
            assert_eq!(span(told), plain);
        }
        assert_eq!(aggregate("p75"), Ok(Aggregate::Quantile(0.75)));
        assert!(aggregate("p101").is_err() && aggregate("median").is_err());
    }
}
