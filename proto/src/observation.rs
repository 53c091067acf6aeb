//! What a running system or its users did, per service, track, metric and interval.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{FactId, ServiceName};
use crate::invalid::{Invalid, finite, percent, required};
use crate::meta::Meta;
use crate::report::RouterReport;
use crate::time::Timestamp;
use crate::wire;

/// Which version served it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Track {
    /// The version users are on.
    Stable,
    /// The version on trial.
    Candidate,
}

/// A batch: one fact, because a synced write costs the same for one number or a thousand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservationBatch {
    /// The head.
    pub meta: Meta,
    /// What was measured.
    pub observations: Vec<Observation>,
    /// What routers do at this moment.
    pub applied: Vec<Applied>,
    /// Where all of these services run, as in `production`, at most 128 bytes; empty: nobody told.
    #[serde(default)]
    pub environment: String,
}

/// One metric of one track in one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Whose.
    pub service: ServiceName,
    /// Of which version; `None` when the service is not on trial.
    pub track: Option<Track>,
    /// Where; empty when there is one region only.
    pub region: String,
    /// `requests` (counts: bad are 5xx and transport errors), `slow` (counts: bad are above the SLO threshold),
    /// `latency_ms` (histogram), or any gauge's own name.
    pub metric: String,
    /// Who measured. Two instances add up; one instance twice does not.
    pub instance: String,
    /// Start of the interval.
    pub start: Timestamp,
    /// Its length, above zero.
    pub length: Duration,
    /// The measure.
    pub value: Value,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Bad units out of all units.
    Counts {
        /// At most `total`.
        bad: u64,
        /// All.
        total: u64,
    },
    /// `counts[i]` lie in `(bounds[i-1], bounds[i]]`, the last count above the last bound.
    Histogram {
        /// Strictly ascending.
        bounds: Vec<f64>,
        /// One longer than the bounds.
        counts: Vec<u64>,
        /// Of all values.
        sum: f64,
    },
    /// One number.
    Gauge(f64),
}

/// What a router does at this moment: a weight verified at the data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// For which service.
    pub service: ServiceName,
    /// By which decision; `None` before the first.
    pub decision: Option<FactId>,
    /// The candidate's share, 0..=100.
    pub weight: u8,
    /// Control is gone: everything goes to stable until it is back.
    pub suspended: bool,
    /// Which router.
    pub instance: String,
    /// What else it tells.
    pub report: RouterReport,
}

impl ObservationBatch {
    pub(crate) fn from_wire(batch: wire::ObservationBatch) -> Result<Self, Invalid> {
        let observation = |(i, o): (usize, wire::Observation)| {
            Observation::from_wire(o).map_err(|fault| fault.within(&format!("observations[{i}]")))
        };
        if batch.environment.len() > 128 {
            return Err(Invalid::new("environment", "is longer than 128 bytes"));
        }
        Ok(Self {
            meta: Meta::from_wire(batch.meta)?,
            observations: batch
                .observations
                .into_iter()
                .enumerate()
                .map(observation)
                .collect::<Result<_, _>>()?,
            applied: batch.applied.into_iter().map(applied).collect::<Result<_, _>>()?,
            environment: batch.environment,
        })
    }

    pub(crate) fn to_wire(&self) -> wire::ObservationBatch {
        let applied = self.applied.iter().map(|a| wire::Applied {
            service: a.service.to_string(),
            decision_id: a.decision.as_ref().map(ToString::to_string).unwrap_or_default(),
            weight: a.weight.into(),
            suspended: a.suspended,
            instance: a.instance.clone(),
            report: a.report.to_wire(),
        });
        wire::ObservationBatch {
            meta: self.meta.to_wire(),
            observations: self.observations.iter().map(Observation::to_wire).collect(),
            applied: applied.collect(),
            environment: self.environment.clone(),
        }
    }
}

fn applied(wire: wire::Applied) -> Result<Applied, Invalid> {
    let decision = if wire.decision_id.is_empty() {
        None
    } else {
        Some(FactId::new(wire.decision_id)?)
    };
    Ok(Applied {
        service: ServiceName::new(wire.service).map_err(|f| f.within("applied"))?,
        decision,
        weight: percent(wire.weight, "applied.weight")?,
        suspended: wire.suspended,
        instance: wire.instance,
        report: wire
            .report
            .map(RouterReport::from_wire)
            .transpose()
            .map_err(|f| f.within("applied"))?
            .unwrap_or_default(),
    })
}

impl Observation {
    fn from_wire(wire: wire::Observation) -> Result<Self, Invalid> {
        let track = match wire::Track::try_from(wire.track) {
            Ok(wire::Track::Unspecified) => None,
            Ok(wire::Track::Stable) => Some(Track::Stable),
            Ok(wire::Track::Candidate) => Some(Track::Candidate),
            Err(_) => return Err(Invalid::new("track", format!("{} is not a track", wire.track))),
        };
        if wire.metric.is_empty() || wire.metric.len() > 256 {
            return Err(Invalid::new("metric", "is not 1 to 256 bytes long"));
        }
        let length = u64::try_from(wire.length_ms).ok().filter(|ms| *ms > 0);
        Ok(Self {
            service: ServiceName::new(wire.service)?,
            track,
            region: wire.region,
            metric: wire.metric,
            instance: wire.instance,
            start: Timestamp(wire.start_ms),
            length: Duration::from_millis(required(length, "length_ms").map_err(|mut fault| {
                fault.reason = "is not above 0".to_owned();
                fault
            })?),
            value: value(required(wire.value, "value")?)?,
        })
    }

    fn to_wire(&self) -> wire::Observation {
        use wire::observation::Value as W;
        let track = match self.track {
            None => wire::Track::Unspecified,
            Some(Track::Stable) => wire::Track::Stable,
            Some(Track::Candidate) => wire::Track::Candidate,
        };
        let value = match &self.value {
            Value::Counts { bad, total } => W::Counts(wire::Counts {
                bad: *bad,
                total: *total,
            }),
            Value::Histogram { bounds, counts, sum } => W::Histogram(wire::Histogram {
                bounds: bounds.clone(),
                counts: counts.clone(),
                sum: *sum,
            }),
            Value::Gauge(gauge) => W::Gauge(*gauge),
        };
        wire::Observation {
            service: self.service.to_string(),
            track: track.into(),
            region: self.region.clone(),
            metric: self.metric.clone(),
            instance: self.instance.clone(),
            start_ms: self.start.0,
            length_ms: i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX),
            value: Some(value),
        }
    }
}

fn value(wire: wire::observation::Value) -> Result<Value, Invalid> {
    use wire::observation::Value as W;
    match wire {
        W::Counts(counts) if counts.bad > counts.total => Err(Invalid::new(
            "counts.bad",
            format!("{} is above the total {}", counts.bad, counts.total),
        )),
        W::Counts(counts) => Ok(Value::Counts {
            bad: counts.bad,
            total: counts.total,
        }),
        W::Histogram(h) => {
            let ascending = h.bounds.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascending || h.bounds.iter().any(|b| !b.is_finite()) {
                return Err(Invalid::new(
                    "histogram.bounds",
                    "are not finite and strictly ascending",
                ));
            }
            if h.counts.len() != h.bounds.len() + 1 {
                return Err(Invalid::new(
                    "histogram.counts",
                    "are not one more than the bounds",
                ));
            }
            Ok(Value::Histogram {
                bounds: h.bounds,
                counts: h.counts,
                sum: finite(h.sum, "histogram.sum")?,
            })
        }
        W::Gauge(gauge) => Ok(Value::Gauge(finite(gauge, "gauge")?)),
    }
}
