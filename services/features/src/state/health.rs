//! How the running services are, from Observations.

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_proto::observation::Value;
use auspex_proto::{Observation, Timestamp, Track};
use serde::{Deserialize, Serialize};

use super::season::Season;
use super::{key, make_room};
use crate::decay::Usual;
use crate::histogram::Histogram;

/// How many services are remembered, each in each of its environments; typically 1.5 kB each, at most 9 kB.
const SERVICES: usize = 24;
/// How many gauges of a service are remembered: the first ones heard of.
const GAUGES: usize = 8;
/// Observations are added up over this long, over all instances and regions.
const WIDTH: Duration = Duration::from_secs(10);
/// How many such spans stay open for late ones; a span closes when a third begins.
const OPEN: usize = 2;
/// What was measured up to this long after an event still counts as known at its time: a source's clock is not ours.
const SKEW: Duration = Duration::from_secs(60);
/// What is older than this says nothing about now.
const TTL: Duration = Duration::from_secs(10 * 60);
/// Latencies in a span before their 95th percentile is one.
const ENOUGH: u64 = 20;

/// Health by hash of the service, and of its environment when that was told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Health(BTreeMap<u64, Service>);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Service {
    /// Hash of the service alone, when the key names its environment too.
    #[serde(rename = "w", skip_serializing_if = "Option::is_none")]
    whose: Option<u64>,
    #[serde(rename = "o")]
    open: BTreeMap<Timestamp, Span>,
    /// End of the last closed span.
    #[serde(rename = "t")]
    closed: Timestamp,
    /// Share of bad requests.
    #[serde(rename = "e")]
    errors: Usual,
    /// 95th percentile, milliseconds.
    #[serde(rename = "l")]
    latency: Usual,
    /// Requests a second.
    #[serde(rename = "v")]
    volume: Usual,
    #[serde(rename = "g")]
    gauges: BTreeMap<u64, Usual>,
    #[serde(rename = "s")]
    season: Season,
}

/// Ten seconds of a service, by their start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Span {
    /// Of the stable version.
    #[serde(rename = "b")]
    bad: u64,
    #[serde(rename = "n")]
    total: u64,
    /// Requests a second, of all versions.
    #[serde(rename = "v")]
    rate: Option<f64>,
    #[serde(rename = "l", skip_serializing_if = "Option::is_none")]
    latency: Option<Histogram>,
}

/// How a service is, as known at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// Share of bad requests, 0..=1.
    pub error_rate: Option<f64>,
    /// In standard deviations from its usual.
    pub error_deviation: Option<f64>,
    /// 95th percentile, milliseconds.
    pub latency_ms: Option<f64>,
    /// In standard deviations from its usual.
    pub latency_deviation: Option<f64>,
    /// The largest of any gauge, in standard deviations from its usual, without sign.
    pub gauge_deviation: Option<f64>,
    /// Requests a second.
    pub volume: Option<f64>,
    /// Requests against the normal of this hour of the week.
    pub volume_ratio: Option<f64>,
    /// Its logarithm, in robust standard deviations.
    pub behaviour_deviation: Option<f64>,
}

/// What can be said of health at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    /// This.
    Now(Reading),
    /// Only what was long before.
    Expired,
    /// Nothing that was known then.
    Nothing,
}

/// Where a service in an environment is kept, and whose that is.
fn place(service: &str, environment: &str) -> (u64, Option<u64>) {
    match environment {
        "" => (key(service), None),
        environment => (key(&format!("{service}\n{environment}")), Some(key(service))),
    }
}

impl Health {
    /// Absorbs one observation of an environment, which is empty when nobody told; one of a span already closed is too late
    /// and left out.
    pub fn absorb(&mut self, environment: &str, observation: &Observation, now: Timestamp) {
        let (name, whose) = place(observation.service.as_str(), environment);
        if !self.0.contains_key(&name) {
            make_room(&mut self.0, SERVICES, |service| service.closed);
        }
        let service = self.0.entry(name).or_default();
        service.whose = whose;
        // A clock ahead of the log's must not close spans that others still fill.
        let start = observation.start.min(now).boundary(WIDTH);
        if start < service.closed {
            return;
        }
        let stable = observation.track != Some(Track::Candidate);
        match &observation.value {
            Value::Gauge(gauge) if stable => service.gauge(&observation.metric, start, *gauge),
            Value::Counts { bad, total } if observation.metric == "requests" => {
                let seconds = observation.length.max(WIDTH).as_secs_f64();
                let span = service.span(start);
                *span.rate.get_or_insert(0.0) += *total as f64 / seconds;
                if stable {
                    span.bad = span.bad.saturating_add(*bad);
                    span.total = span.total.saturating_add(*total);
                }
            }
            Value::Histogram { bounds, counts, .. } if stable && observation.metric == "latency_ms" => {
                let more = Histogram::new(bounds, counts);
                match &mut service.span(start).latency {
                    Some(latency) => latency.add(&more),
                    none => *none = Some(more),
                }
            }
            Value::Gauge(_) | Value::Counts { .. } | Value::Histogram { .. } => {}
        }
        service.close();
    }

    /// What can be said of a service in an environment at a time: of what was told without one when nothing is known of it.
    /// Of all its environments, or of all services together when `None`: the worst of each, and the sum of requests.
    #[must_use]
    pub fn said(&self, service: Option<&str>, environment: Option<&str>, at: Timestamp) -> Said {
        if let (Some(service), Some(environment)) = (service, environment) {
            let of = |environment| self.0.get(&place(service, environment).0);
            let there = of(environment).or_else(|| of(""));
            return there.map_or(Said::Nothing, |there| there.said(at));
        }
        let service = service.map(key);
        let asked = self
            .0
            .iter()
            .filter(|(name, of)| service.is_none_or(|s| s == **name || Some(s) == of.whose));
        let mut said = Said::Nothing;
        for (_, service) in asked {
            said = match (said, service.said(at)) {
                (Said::Now(a), Said::Now(b)) => Said::Now(a.worse(&b)),
                (Said::Now(a), _) | (_, Said::Now(a)) => Said::Now(a),
                (Said::Nothing, Said::Nothing) => Said::Nothing,
                (Said::Expired, _) | (_, Said::Expired) => Said::Expired,
            };
        }
        said
    }
}

impl Service {
    fn gauge(&mut self, metric: &str, at: Timestamp, value: f64) {
        let metric = key(metric);
        if self.gauges.contains_key(&metric) || self.gauges.len() < GAUGES {
            self.gauges.entry(metric).or_default().add(at, value);
        }
        self.span(at);
    }

    fn span(&mut self, start: Timestamp) -> &mut Span {
        self.open.entry(start).or_default()
    }

    fn close(&mut self) {
        while self.open.len() > OPEN {
            let Some((start, span)) = self.open.pop_first() else {
                return;
            };
            self.closed = start + WIDTH;
            if span.total > 0 {
                self.errors.add(start, span.bad as f64 / span.total as f64);
            }
            if let Some(latency) = span.latency.filter(|l| l.total() >= ENOUGH) {
                self.latency.add(start, latency.quantile(0.95));
            }
            if let Some(rate) = span.rate {
                self.volume.add(start, rate);
                self.season.add(start, rate);
            }
        }
    }

    fn said(&self, at: Timestamp) -> Said {
        if self.closed == Timestamp::default() || self.closed > at + SKEW {
            return Said::Nothing;
        }
        if at.since(self.closed) > TTL {
            return Said::Expired;
        }
        let latency_ms = self.latency.now();
        let season = self
            .volume
            .now()
            .and_then(|volume| self.season.compare(at, volume));
        let gauges = self
            .gauges
            .values()
            .filter_map(|gauge| gauge.off(1e-9))
            .map(f64::abs);
        Said::Now(Reading {
            error_rate: self.errors.now(),
            // A thousandth of the requests, a twentieth of the latency: less is no deviation worth a word.
            error_deviation: self.errors.off(0.001),
            latency_ms,
            latency_deviation: self.latency.off((latency_ms.unwrap_or(0.0) * 0.05).max(1.0)),
            gauge_deviation: gauges.max_by(f64::total_cmp),
            volume: self.volume.now(),
            volume_ratio: season.map(|(ratio, _)| ratio),
            behaviour_deviation: season.map(|(_, off)| off),
        })
    }
}

impl Reading {
    fn worse(&self, other: &Self) -> Self {
        let both = |f: fn(f64, f64) -> f64, a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(f(a, b)),
            (a, b) => a.or(b),
        };
        let strays_more = match (self.behaviour_deviation, other.behaviour_deviation) {
            (Some(a), Some(b)) => a.abs() >= b.abs(),
            (a, _) => a.is_some(),
        };
        let stray = if strays_more { self } else { other };
        Self {
            error_rate: both(f64::max, self.error_rate, other.error_rate),
            error_deviation: both(f64::max, self.error_deviation, other.error_deviation),
            latency_ms: both(f64::max, self.latency_ms, other.latency_ms),
            latency_deviation: both(f64::max, self.latency_deviation, other.latency_deviation),
            gauge_deviation: both(f64::max, self.gauge_deviation, other.gauge_deviation),
            volume: both(|a, b| a + b, self.volume, other.volume),
            volume_ratio: stray.volume_ratio,
            behaviour_deviation: stray.behaviour_deviation,
        }
    }
}
