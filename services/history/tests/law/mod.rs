//! What every database of metrics has to do, whichever it is.

#![allow(unreachable_pub, missing_docs, dead_code, reason = "a module of tests")]

use auspex_history::series::{Ask, Measure, Point, Series, TimeSeries};
use auspex_proto::Track;

/// A round minute, in the recent past, in unix milliseconds.
pub const BEGIN: i64 = 1_790_000_040_000;
/// Points of the first minute.
pub const FIRST_MINUTE: u64 = 24;

fn point(metric: &str, track: Option<Track>, instance: &str, second: i64, measure: Measure) -> Point {
    Point {
        project: "acme/shop, \"quoted\"".to_owned(),
        service: "check out=1".to_owned(),
        track,
        region: String::new(),
        metric: metric.to_owned(),
        instance: instance.to_owned(),
        start_ms: BEGIN + second * 1_000,
        length_ms: 10_000,
        measure,
    }
}

/// Two minutes, a point every ten seconds: counts of two instances, a histogram, a value.
fn points() -> Vec<Point> {
    let mut points = Vec::new();
    for n in 0..12 {
        let second = n * 10;
        let counts = Measure::Counts { bad: 1, total: 10 };
        points.push(point(
            "requests",
            Some(Track::Candidate),
            "a",
            second,
            counts.clone(),
        ));
        points.push(point("requests", Some(Track::Candidate), "b", second, counts));
        let quantiles = Some([5.0, 50.0 + n as f64, 99.0]);
        let histogram = Measure::Histogram {
            total: 4,
            sum: 100.0,
            quantiles,
        };
        points.push(point("latency_ms", Some(Track::Stable), "a", second, histogram));
        points.push(point("cpu", None, "a", second, Measure::Gauge(n as f64)));
    }
    points
}

pub fn ask(metric: &str, step_ms: i64) -> Ask {
    Ask {
        metric: metric.to_owned(),
        project: String::new(),
        service: String::new(),
        track: None,
        region: String::new(),
        from_ms: BEGIN,
        to_ms: BEGIN + 120_000,
        step_ms,
    }
}

async fn one(series: &dyn TimeSeries, ask: Ask) -> Series {
    let mut found = series.range(&ask.on_grid().unwrap()).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Panics where the law is broken.
pub async fn holds(series: &dyn TimeSeries) {
    let points = points();
    series.write(&points).await.unwrap();
    // Twice is once.
    series.write(&points[..20]).await.unwrap();

    let found = one(series, ask("requests", 60_000)).await;
    assert_eq!(
        (found.project.as_str(), found.service.as_str()),
        ("acme/shop, \"quoted\"", "check out=1")
    );
    assert_eq!((found.track, found.region.as_str()), (Some(Track::Candidate), ""));
    let starts: Vec<i64> = found.windows.iter().map(|w| w.start_ms - BEGIN).collect();
    assert_eq!(starts, [0, 60_000]);
    let first = &found.windows[0];
    assert_eq!(
        (first.points, first.bad, first.total),
        (12, Some(12), Some(120)),
        "instances add up"
    );
    assert_eq!(first.value(), Some(0.1));
    assert_eq!(
        (first.mean, first.p95),
        (None, None),
        "what was not measured is not there"
    );

    let found = one(series, ask("latency_ms", 60_000)).await;
    let first = &found.windows[0];
    assert_eq!(
        (first.total, first.sum, first.value()),
        (Some(24), Some(600.0), Some(25.0))
    );
    assert_eq!(
        (first.p50, first.p95),
        (Some(5.0), Some(55.0)),
        "the greatest, never an average"
    );

    let found = one(series, ask("cpu", 120_000)).await;
    let only = &found.windows[0];
    assert_eq!(
        (only.mean, only.min, only.max, only.points),
        (Some(5.5), Some(0.0), Some(11.0), 12)
    );
    assert_eq!(found.track, None);

    // Seconds without a point are no windows.
    assert_eq!(one(series, ask("cpu", 5_000)).await.windows.len(), 12);
    let mut none = ask("cpu", 60_000);
    none.track = Some(Track::Stable);
    assert!(series.range(&none).await.unwrap().is_empty());
    let mut quoted = ask("cpu", 60_000);
    quoted.project = "acme/shop, \"quoted\"".to_owned();
    quoted.service = "check out=1".to_owned();
    assert_eq!(series.range(&quoted).await.unwrap().len(), 1);
    quoted.project = "acme/shop, \" or true or \"".to_owned();
    assert!(
        series.range(&quoted).await.unwrap().is_empty(),
        "a name is no code"
    );
}
