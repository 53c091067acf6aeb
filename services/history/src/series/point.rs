//! Observations as points of a time series.

use auspex_proto::observation::{Applied, Observation, ObservationBatch, Value};
use auspex_proto::{Meta, Track};
use serde::{Deserialize, Serialize};

/// The metric under which the weight that a router applies is kept.
pub const APPLIED_WEIGHT: &str = "applied_weight";

/// One measurement. Series and start are its place: a second one there replaces it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Whose.
    pub project: String,
    /// Which service's.
    pub service: String,
    /// Which version's.
    pub track: Option<Track>,
    /// Where; empty when there is one region only.
    pub region: String,
    /// Of what.
    pub metric: String,
    /// By whom.
    pub instance: String,
    /// Start of its interval, in unix milliseconds.
    pub start_ms: i64,
    /// Length of its interval, in milliseconds.
    pub length_ms: i64,
    /// How much.
    pub measure: Measure,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Measure {
    /// Bad units out of all.
    Counts {
        /// At most `total`.
        bad: u64,
        /// All.
        total: u64,
    },
    /// A histogram, as far as a series can keep it.
    Histogram {
        /// How many values.
        total: u64,
        /// Their sum.
        sum: f64,
        /// The median, 95th and 99th percentile, interpolated within their buckets; `None` without values.
        quantiles: Option<[f64; 3]>,
    },
    /// One number.
    Gauge(f64),
}

/// The points of a batch.
#[must_use]
pub fn points(batch: &ObservationBatch) -> Vec<Point> {
    let observed = batch.observations.iter().map(|o| observed(&batch.meta, o));
    let applied = batch.applied.iter().map(|a| applied(&batch.meta, a));
    observed.chain(applied).collect()
}

fn observed(meta: &Meta, observation: &Observation) -> Point {
    Point {
        project: meta.project.to_string(),
        service: observation.service.to_string(),
        track: observation.track,
        region: observation.region.clone(),
        metric: observation.metric.clone(),
        instance: observation.instance.clone(),
        start_ms: observation.start.0,
        length_ms: i64::try_from(observation.length.as_millis()).unwrap_or(i64::MAX),
        measure: measure(&observation.value),
    }
}

fn applied(meta: &Meta, applied: &Applied) -> Point {
    Point {
        project: meta.project.to_string(),
        service: applied.service.to_string(),
        track: None,
        region: String::new(),
        metric: APPLIED_WEIGHT.to_owned(),
        instance: applied.instance.clone(),
        start_ms: meta.time.0,
        length_ms: 0,
        measure: Measure::Gauge(f64::from(applied.weight)),
    }
}

fn measure(value: &Value) -> Measure {
    match value {
        Value::Counts { bad, total } => Measure::Counts {
            bad: *bad,
            total: *total,
        },
        Value::Histogram { bounds, counts, sum } => Measure::Histogram {
            total: counts.iter().fold(0, |a, b| a.saturating_add(*b)),
            sum: *sum,
            quantiles: quantiles(bounds, counts),
        },
        Value::Gauge(gauge) => Measure::Gauge(*gauge),
    }
}

fn quantiles(bounds: &[f64], counts: &[u64]) -> Option<[f64; 3]> {
    let at = |q| quantile(bounds, counts, q);
    Some([at(0.5)?, at(0.95)?, at(0.99)?])
}

/// A quantile of a histogram, linear within its bucket. Below the first bound it begins at 0 (or at the bound, when that is
/// below 0); above the last bound nothing is known, and the last bound is answered: a quantile at least that great.
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn quantile(bounds: &[f64], counts: &[u64], q: f64) -> Option<f64> {
    let total: f64 = counts.iter().map(|n| *n as f64).sum();
    if total <= 0.0 {
        return None;
    }
    let (last, rank) = (*bounds.last()?, q * total);
    let mut below = 0.0;
    let mut low = bounds.first().map_or(0.0, |first| first.min(0.0));
    for (bound, count) in bounds.iter().zip(counts) {
        let count = *count as f64;
        if count > 0.0 && below + count >= rank {
            return Some(low + (bound - low) * ((rank - below) / count).clamp(0.0, 1.0));
        }
        below += count;
        low = *bound;
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let bounds = [10.0, 20.0, 40.0];
        assert_eq!(quantile(&bounds, &[10, 10, 0, 0], 0.5), Some(10.0));
        assert_eq!(quantile(&bounds, &[10, 10, 0, 0], 0.75), Some(15.0));
        assert_eq!(
            quantile(&bounds, &[0, 0, 0, 5], 0.99),
            Some(40.0),
            "at least the last bound"
        );
        assert_eq!(quantile(&bounds, &[0, 0, 0, 0], 0.5), None, "no data is not zero");
        assert_eq!(quantile(&[], &[3], 0.5), None);
    }
}
