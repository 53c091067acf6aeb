//! Rows of observations: intervals of traffic, and gauges.

use std::collections::BTreeMap;

use auspex_algebra::Value;
use auspex_algebra::distinct::hash;
use auspex_proto::observation::Value as Measure;
use auspex_proto::{ObservationBatch, Timestamp, Track};

use super::made::{Cells, Made, Told};
use crate::histogram::Histogram;

/// A gauge by the names that are usual for it.
fn gauge_column(metric: &str) -> Option<&'static str> {
    Some(match metric {
        "cpu" | "cpu_usage" | "process.cpu.utilization" => "cpu",
        "memory" | "memory_usage" | "process.memory.usage" => "memory",
        "db_ms" | "database_ms" | "db.client.operation.duration" => "database_ms",
        "saturation" | "queue_saturation" => "saturation",
        _ => return None,
    })
}

/// Whose row it is, and of when: instances of the same name in two environments are two.
fn seen_by(batch: &ObservationBatch, instance: &str, region: &str, start: i64) -> u64 {
    let environment = batch.environment.as_str();
    let between = if environment.is_empty() { "" } else { "\n" };
    hash(format!("{environment}{between}{instance}\n{region}\n{start}").as_bytes())
}

/// Intervals of traffic and gauges, as one instance saw them.
fn health(told: &Told<'_>, batch: &ObservationBatch) -> Made {
    let mut spans: BTreeMap<(&str, &str, &str, i64), Cells> = BTreeMap::new();
    for observation in &batch.observations {
        let start = observation.start.0.min(told.now.0);
        let span = (
            observation.service.as_str(),
            observation.region.as_str(),
            observation.instance.as_str(),
            start,
        );
        let cells = spans.entry(span).or_default();
        let stable = observation.track != Some(Track::Candidate);
        match (&observation.value, observation.metric.as_str()) {
            (Measure::Counts { bad, total }, "requests") => {
                let (bad, total) = (*bad as f64, *total as f64);
                let seconds = observation.length.as_secs_f64();
                let before = cells.0.get("requests_per_second").and_then(Value::number);
                cells.put(
                    "requests_per_second",
                    Some(before.unwrap_or(0.0) + total / seconds),
                );
                if stable {
                    cells.put("requests", Some(total));
                    cells.put("bad", Some(bad));
                    cells.put("error_rate", (total > 0.0).then(|| bad / total));
                }
            }
            (Measure::Counts { bad, .. }, "slow") if stable => cells.put("slow", Some(*bad as f64)),
            (Measure::Histogram { bounds, counts, .. }, "latency_ms") if stable => {
                let histogram = Histogram::new(bounds, counts);
                let quantile = |share| (histogram.total() > 0).then(|| histogram.quantile(share));
                cells.put("latency_p50_ms", quantile(0.5));
                cells.put("latency_p95_ms", quantile(0.95));
                cells.put("latency_p99_ms", quantile(0.99));
            }
            (Measure::Gauge(value), metric) if stable => {
                if let Some(column) = gauge_column(metric) {
                    cells.put(column, Some(*value));
                }
            }
            _ => {}
        }
    }
    let mut made = Made::new("health");
    for ((service, region, instance, start), cells) in spans.iter().filter(|(_, cells)| !cells.0.is_empty()) {
        let stamp = (
            Timestamp(*start),
            told.now,
            seen_by(batch, instance, region, *start),
        );
        made.row(&[("service", service)], stamp, cells);
        made.row(&[("region", region), ("service", service)], stamp, cells);
        made.row(
            &[("environment", &batch.environment), ("service", service)],
            stamp,
            cells,
        );
    }
    made
}

/// Every gauge by its own name.
fn gauges(told: &Told<'_>, batch: &ObservationBatch) -> Made {
    let mut made = Made::new("gauges");
    for observation in &batch.observations {
        let (Measure::Gauge(value), true) = (&observation.value, observation.track != Some(Track::Candidate))
        else {
            continue;
        };
        let mut cells = Cells::default();
        cells.put("value", Some(*value));
        let start = Timestamp(observation.start.0.min(told.now.0));
        let id = seen_by(batch, &observation.instance, &observation.region, start.0);
        let keys = [
            ("metric", observation.metric.as_str()),
            ("service", observation.service.as_str()),
        ];
        made.row(&keys, (start, told.now, id), &cells);
    }
    made
}

/// All that a batch of observations makes.
#[must_use]
pub fn batches(told: &Told<'_>, batch: &ObservationBatch) -> Vec<Made> {
    vec![health(told, batch), gauges(told, batch)]
}
