//! A real Prometheus, where there is one on PATH: types of results, NaN, nothing, ranges, faults.

#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "a test may")]

use std::time::{Duration, Instant};

use auspex_analysis::local::Prometheus;
use auspex_analysis::provider::{Site, measure};
use auspex_argo::expr::Mode;
use auspex_argo::metric::Metric;
use auspex_argo::phase::Phase;
use serde_json::json;

#[tokio::test]
async fn a_real_prometheus_gives_argos_types() {
    let folder = tempfile::tempdir().unwrap();
    let Some(prometheus) = Prometheus::start(folder.path(), &[]).await.unwrap() else {
        auspex_chassis::testing::not_run("prometheus is not on PATH: the real one is not asked");
        return;
    };
    let site = Site {
        prometheus: prometheus.url(),
        ..Site::default()
    };
    let taken = async |prometheus: serde_json::Value, success: &str| {
        let metric =
            json!({"name": "m", "provider": {"prometheus": prometheus}, "successCondition": success});
        let metric: Metric = serde_json::from_value(metric).unwrap();
        measure(&metric, Mode::Strict, &site).await
    };
    let of = async |query: &str, success: &str| taken(json!({"query": query}), success).await;
    let begun = Instant::now();
    while of("up", "result[0] == 1").await.phase != Phase::Successful {
        assert!(begun.elapsed() < Duration::from_secs(60), "it scrapes nothing");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let cases = [
        (
            "up",
            "len(result) == 1 && result[0] == 1",
            Phase::Successful,
            "[1]",
        ),
        ("scalar(vector(0.5))", "result == 0.5", Phase::Successful, "0.5"),
        ("scalar(vector(0.5))", "result[0] == 0.5", Phase::Error, ""),
        ("nothing_of_that_name", "result[0] == 1", Phase::Error, "[]"),
        (
            "nothing_of_that_name or vector(0)",
            "result[0] == 0",
            Phase::Successful,
            "[0]",
        ),
        ("vector(0) / vector(0)", "result[0] < 1", Phase::Failed, "[NaN]"),
        (
            "vector(0) / vector(0)",
            "isNaN(result[0])",
            Phase::Successful,
            "[NaN]",
        ),
        (
            "vector(1) / vector(0)",
            "isInf(result[0])",
            Phase::Successful,
            "[+Inf]",
        ),
        (
            "-vector(1) / vector(0)",
            "result[0] < 0",
            Phase::Successful,
            "[-Inf]",
        ),
        (
            "vector(1e21)",
            "result[0] == 1e21",
            Phase::Successful,
            "[1000000000000000000000]",
        ),
        ("\"text\"", "true", Phase::Error, ""),
    ];
    for (query, success, phase, value) in cases {
        let found = of(query, success).await;
        assert_eq!(found.phase, phase, "{query}, {success}: {found:?}");
        if phase != Phase::Error {
            assert_eq!(found.value, value, "{query}");
        }
    }
    let bad = of("sum(", "true").await;
    assert!(bad.message.starts_with("bad_data: "), "{}", bad.message);
    let range = json!({
        "query": "vector(2)",
        "rangeQuery": {"start": "now() - duration(\"4s\")", "end": "now()", "step": "1s"},
    });
    let found = taken(range, "len(result) == 5 && all(result, # == 2)").await;
    assert_eq!(found.phase, Phase::Successful, "{found:?}");
}
