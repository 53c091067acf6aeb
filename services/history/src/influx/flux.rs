//! Questions in Flux.

use super::line::{MEASUREMENT, clean};
use crate::series::{Ask, track_text};

/// Downsampling: counts add up, values have a mean, quantiles are never averaged. Windows without points are left out, so
/// that no answer holds a null.
#[must_use]
pub fn range(ask: &Ask, bucket: &str) -> String {
    let mut wanted = vec![
        equals("_measurement", MEASUREMENT),
        equals("metric", &clean(&ask.metric)),
    ];
    for (tag, value) in [
        ("project", &ask.project),
        ("service", &ask.service),
        ("region", &ask.region),
    ] {
        if !value.is_empty() {
            wanted.push(equals(tag, &clean(value)));
        }
    }
    if let Some(track) = ask.track {
        wanted.push(equals("track", track_text(Some(track))));
    }
    let mut flux = format!(
        "points = from(bucket: {})\n  |> range(start: time(v: {}), stop: time(v: {}))\n  |> filter(fn: (r) => {})\n  \
         |> filter(fn: (r) => exists r._value)\n  \
         |> group(columns: [\"project\", \"service\", \"track\", \"region\", \"_field\"])\n",
        text(bucket),
        i128::from(ask.from_ms) * 1_000_000,
        i128::from(ask.to_ms) * 1_000_000,
        wanted.join(" and "),
    );
    let yields: [(&str, &str, &[&str]); 6] = [
        ("points", "count", &["length"]),
        ("sum", "sum", &["bad", "total", "sum"]),
        ("mean", "mean", &["value"]),
        ("min", "min", &["value"]),
        ("max", "max", &["value"]),
        ("quantile", "max", &["p50", "p95", "p99"]),
    ];
    for (name, function, fields) in yields {
        let fields: Vec<String> = fields.iter().map(|field| equals("_field", field)).collect();
        flux.push_str(&format!(
            "points |> filter(fn: (r) => {}) |> aggregateWindow(every: {}ms, fn: {function}, createEmpty: false, \
             timeSrc: \"_start\") |> yield(name: \"{name}\")\n",
            fields.join(" or "),
            ask.step_ms,
        ));
    }
    flux
}

fn equals(column: &str, value: &str) -> String {
    format!("r[{}] == {}", text(column), text(value))
}

/// A text of Flux's own: quotes and backslashes are escaped, and so is what would begin an expression within it.
fn text(text: &str) -> String {
    let mut out = String::from("\"");
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' if characters.peek() == Some(&'{') => out.push_str("\\$"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_become_code() {
        assert_eq!(text("a\"b\\c${x}$"), "\"a\\\"b\\\\c\\${x}$\"");
        assert_eq!(text("a\nb"), "\"a\\nb\"");
    }

    #[test]
    fn only_what_is_asked_is_filtered() {
        let ask = Ask {
            metric: "requests".to_owned(),
            project: String::new(),
            service: "shop".to_owned(),
            track: None,
            region: String::new(),
            from_ms: 1,
            to_ms: 2,
            step_ms: 60_000,
        };
        let flux = range(&ask, "b");
        assert!(flux.contains("from(bucket: \"b\")") && flux.contains("start: time(v: 1000000)"));
        assert!(flux.contains("r[\"service\"] == \"shop\"") && !flux.contains("r[\"track\"]"));
        assert!(flux.contains("every: 60000ms") && flux.matches("createEmpty: false").count() == 6);
    }
}
