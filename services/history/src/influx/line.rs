//! Points as lines that a tag cannot break out of.

use std::fmt::Write as _;

use crate::series::{Measure, Point, track_text};

/// The measurement of every line: a metric's name is a tag, where any name may stand.
pub const MEASUREMENT: &str = "auspex";
/// The longest tag, in bytes.
const LONGEST: usize = 256;

/// The lines of points, in their order, with times in milliseconds. What has no finite value has no line.
#[must_use]
pub fn lines(points: &[Point]) -> String {
    let mut out = String::new();
    for point in points {
        let fields = fields(&point.measure);
        if fields.is_empty() {
            continue;
        }
        out.push_str(MEASUREMENT);
        // In the order of their names, as InfluxDB likes them best.
        tag(&mut out, "instance", &point.instance);
        tag(&mut out, "metric", &point.metric);
        tag(&mut out, "project", &point.project);
        tag(&mut out, "region", &point.region);
        tag(&mut out, "service", &point.service);
        tag(&mut out, "track", track_text(point.track));
        let _infallible = writeln!(out, " {fields},length={}i {}", point.length_ms, point.start_ms);
    }
    out
}

fn tag(out: &mut String, name: &str, value: &str) {
    let value = clean(value);
    if value.is_empty() {
        return;
    }
    out.push(',');
    out.push_str(name);
    out.push('=');
    for c in value.chars() {
        if matches!(c, ',' | '=' | ' ') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// A tag's text as the database keeps it: without line breaks and other control characters, and without backslashes, one of
/// which at the end would take the delimiter behind it into the tag.
#[must_use]
pub fn clean(text: &str) -> String {
    let clean = |c: char| match c {
        c if c.is_control() => '_',
        '\\' => '/',
        c => c,
    };
    let mut out: String = text.chars().map(clean).collect();
    if out.len() > LONGEST {
        let mut end = LONGEST;
        while !out.is_char_boundary(end) {
            end -= 1;
        }
        out.truncate(end);
    }
    out
}

fn fields(measure: &Measure) -> String {
    let mut fields: Vec<String> = Vec::new();
    let mut count = |name: &str, n: u64| fields.push(format!("{name}={}i", n.min(1 << 53)));
    match measure {
        Measure::Counts { bad, total } => {
            count("bad", *bad);
            count("total", *total);
        }
        Measure::Histogram {
            total,
            sum,
            quantiles,
        } => {
            count("total", *total);
            float(&mut fields, "sum", *sum);
            for (name, value) in ["p50", "p95", "p99"].iter().zip(quantiles.iter().flatten()) {
                float(&mut fields, name, *value);
            }
        }
        Measure::Gauge(value) => float(&mut fields, "value", *value),
    }
    fields.join(",")
}

/// Not every float is one in a line: what is not finite is left out.
fn float(fields: &mut Vec<String>, name: &str, value: f64) {
    if value.is_finite() {
        fields.push(format!("{name}={value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(instance: &str, measure: Measure) -> Point {
        Point {
            project: "acme/shop".to_owned(),
            service: "check out".to_owned(),
            track: None,
            region: String::new(),
            metric: "#requests".to_owned(),
            instance: instance.to_owned(),
            start_ms: 5,
            length_ms: 1_000,
            measure,
        }
    }

    #[test]
    fn a_point_is_one_line() {
        let counts = Measure::Counts { bad: 1, total: 3 };
        assert_eq!(
            lines(&[point("a,b=c", counts)]),
            "auspex,instance=a\\,b\\=c,metric=#requests,project=acme/shop,service=check\\ out,track=none bad=1i,total=3i,length=1000i 5\n"
        );
        assert_eq!(
            lines(&[point("a", Measure::Gauge(f64::NAN))]),
            "",
            "what is no number is no field"
        );
        assert!(lines(&[point("a", Measure::Gauge(1e300))]).contains(" value=1e300,length"));
    }

    #[test]
    fn a_tag_cannot_add_a_line() {
        let evil = "x value=1 1\nauspex,service=shop total=1i";
        let written = lines(&[point(evil, Measure::Gauge(1.0))]);
        assert_eq!(written.lines().count(), 1, "{written}");
        assert_eq!(written.matches(" value=").count(), 1, "{written}");
    }

    proptest! {
        #[test]
        fn whatever_a_tag_holds_the_line_reads_back(instance in "\\PC{0,40}|[\\\\,= \"\n\r\t#]{0,12}|.{0,400}") {
            let written = lines(&[point(&instance, Measure::Gauge(1.0))]);
            prop_assert_eq!(written.matches('\n').count(), 1);
            // Split at the first space that no backslash precedes, as the server does.
            let bytes = written.as_bytes();
            let space = (1..bytes.len()).find(|i| bytes[*i] == b' ' && bytes[*i - 1] != b'\\').unwrap();
            prop_assert_eq!(&written[space..], " value=1.0,length=1000i 5\n");
            let expected = clean(&instance);
            prop_assert!(expected.len() <= LONGEST);
            if !expected.is_empty() {
                let tag = written.split(",metric=").next().unwrap().strip_prefix("auspex,instance=").unwrap();
                prop_assert_eq!(tag.replace('\\', ""), expected);
            }
        }
    }
}
