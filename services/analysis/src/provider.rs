//! Where a metric is measured: one trait, one adapter per kind.

pub mod http;
mod influx;
mod job;
mod own;
mod prometheus;
mod web;

use std::collections::BTreeMap;
use std::sync::Arc;

use auspex_argo::arguments::{self, Values};
use auspex_argo::expr::{Mode, Value};
use auspex_argo::measure::{Conditions, Judged, Problem, is_nothing, judge};
use auspex_argo::metric::Metric;
use auspex_argo::phase::Phase;
use auspex_argo::provider::Known;
use auspex_argo::run::Measurement;
use futures::future::BoxFuture;
use serde_json::json;

use crate::config::{Config, Influx};

/// What a provider has found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The result that conditions see.
    pub value: Value,
    /// It, as text.
    pub shown: String,
    /// A phase of its own, where there are no conditions to ask: a command's exit code, the judge's verdict.
    pub phase: Option<Phase>,
    /// What else is to be said, one line.
    pub note: String,
}

/// Takes one measurement.
pub trait Provider: Send + Sync {
    /// Measures. Cancelled by dropping: a command is killed then.
    fn measure<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, Result<Found, String>>;
}

/// What providers know of the place where they are.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Prometheus, when a metric does not say; empty: none.
    pub prometheus: String,
    /// InfluxDB servers by profile.
    pub influx: BTreeMap<String, Influx>,
    /// Whether commands may be run.
    pub jobs: bool,
    /// Secrets by the names of their arguments: put in when it is measured, and never shown.
    pub secrets: Values,
    /// P(failure) of what is on trial, when that is known.
    pub score: Option<f64>,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

impl Site {
    /// As configured.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            prometheus: config.prometheus.clone(),
            influx: config.influx.clone(),
            jobs: config.jobs,
            ..Self::default()
        }
    }

    fn hide(&self, text: &str) -> String {
        let hide = |text: String, secret: &String| {
            if secret.is_empty() {
                text
            } else {
                text.replace(secret.as_str(), "*****")
            }
        };
        self.secrets.values().fold(text.to_owned(), hide)
    }
}

/// The adapter of a provider.
///
/// # Errors
/// It is none of those that Auspex has.
pub fn adapter(metric: &Metric) -> Result<Arc<dyn Provider>, String> {
    let known = metric.provider.known().map_err(|refused| {
        if refused.field.is_empty() {
            refused.reason
        } else {
            format!("provider.{}: {}", refused.field, refused.reason)
        }
    })?;
    Ok(match known {
        Known::Prometheus(prometheus) => Arc::new(prometheus::Prometheus(prometheus)),
        Known::Web(web) => Arc::new(web::Web(web)),
        Known::Influx(influx) => Arc::new(influx::Flux(influx)),
        Known::Job(job) => Arc::new(job::Command(job)),
        Known::Auspex(auspex) => Arc::new(own::Own(auspex)),
    })
}

/// Takes one measurement and judges it.
pub async fn measure(metric: &Metric, mode: Mode, site: &Site) -> Measurement {
    let started = jiff::Timestamp::now().as_millisecond();
    let site = Site {
        now_ms: started,
        ..site.clone()
    };
    let whole = filled(metric, &site.secrets);
    let metric = whole.as_ref().unwrap_or(metric);
    let found = match whole.as_ref().map_err(Clone::clone).and_then(adapter) {
        Ok(adapter) => adapter.measure(&site).await,
        Err(fault) => Err(fault),
    };
    let (judged, shown, note) = match found {
        Ok(found) => (of(&found, metric.conditions(), mode), found.shown, found.note),
        Err(fault) => (
            Judged::failed(Problem::of_provider(fault)),
            String::new(),
            String::new(),
        ),
    };
    Measurement {
        phase: judged.phase,
        value: site.hide(&shown),
        message: site.hide(&judged.error.map_or(note, |error| error.message)),
        started_ms: started,
        finished_ms: jiff::Timestamp::now().as_millisecond(),
    }
}

/// A metric with its secrets in it.
fn filled(metric: &Metric, secrets: &Values) -> Result<Metric, String> {
    if secrets.is_empty() {
        return Ok(metric.clone());
    }
    let wrong = |fault: String| format!("unable to resolve metric arguments: {fault}");
    let json = arguments::resolve(&json!(metric), secrets).map_err(wrong)?;
    serde_json::from_value(json).map_err(|fault| wrong(fault.to_string()))
}

fn of(found: &Found, conditions: Conditions<'_>, mode: Mode) -> Judged {
    let none = conditions.success.is_empty() && conditions.failure.is_empty();
    match found.phase {
        // Argo Rollouts has no phase for it: nobody knows.
        Some(Phase::NoData) if mode == Mode::Strict => Judged {
            phase: Phase::Inconclusive,
            error: None,
        },
        Some(phase) if none || (mode == Mode::Strict && found.value == Value::Nil) => {
            Judged { phase, error: None }
        }
        _ if mode == Mode::Safe && found.phase.is_some() && is_nothing(&found.value) => Judged {
            phase: found.phase.unwrap_or_default(),
            error: None,
        },
        _ => judge(&found.value, conditions, mode),
    }
}
