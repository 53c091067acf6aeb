//! A metric of an analysis, as Argo Rollouts writes it, and what it must not be.

use serde::{Deserialize, Serialize};

use crate::duration;
use crate::measure::Conditions;
use crate::provider::Provider;
use crate::whole::{IntOrString, value};

/// A metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Metric {
    /// Unique within a run.
    pub name: String,
    /// Between two measurements, a Go duration; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interval: String,
    /// From the start of the run to the first measurement, a Go duration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub initial_delay: String,
    /// How many measurements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<IntOrString>,
    /// Holds when a measurement is good.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub success_condition: String,
    /// Holds when it is bad.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_condition: String,
    /// How many may be bad; -1: any number. Absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<IntOrString>,
    /// How many may be inconclusive. Absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive_limit: Option<IntOrString>,
    /// How many errors in a row. Absent: 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_error_limit: Option<IntOrString>,
    /// How many good ones in a row are enough; 0: that does not count. Absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_success_limit: Option<IntOrString>,
    /// Where it is measured.
    pub provider: Provider,
}

/// Errors in a row that a metric bears when it does not say.
pub const CONSECUTIVE_ERRORS: i64 = 4;

impl Metric {
    /// Its conditions.
    #[must_use]
    pub fn conditions(&self) -> Conditions<'_> {
        Conditions {
            success: &self.success_condition,
            failure: &self.failure_condition,
        }
    }

    /// How many measurements it takes; `None`: as long as the run lasts.
    #[must_use]
    pub fn effective_count(&self) -> Option<i64> {
        match value(self.count.as_ref()) {
            0 if self.interval.is_empty() => Some(1),
            0 => None,
            count => Some(count),
        }
    }

    /// Bad measurements that it bears; `None`: any number.
    #[must_use]
    pub fn failures(&self) -> Option<i64> {
        Some(value(self.failure_limit.as_ref())).filter(|limit| *limit >= 0)
    }

    /// Inconclusive ones that it bears.
    #[must_use]
    pub fn inconclusives(&self) -> i64 {
        value(self.inconclusive_limit.as_ref())
    }

    /// Errors in a row that it bears.
    #[must_use]
    pub fn errors(&self) -> i64 {
        let limit = self.consecutive_error_limit.as_ref();
        limit.map_or(CONSECUTIVE_ERRORS, IntOrString::value)
    }

    /// Good ones in a row that are enough; `None`: that does not count.
    #[must_use]
    pub fn successes(&self) -> Option<i64> {
        Some(value(self.consecutive_success_limit.as_ref())).filter(|limit| *limit > 0)
    }

    /// What is wrong with it, the provider aside; Argo Rollouts' own sentences.
    ///
    /// # Errors
    /// The first fault.
    pub fn validate_limits(&self) -> Result<(), String> {
        let count = value(self.count.as_ref());
        let failures = value(self.failure_limit.as_ref());
        let successes = value(self.consecutive_success_limit.as_ref());
        let inconclusives = self.inconclusives();
        let wrong = |text: &str| Err(text.to_owned());
        if successes < 0 {
            return wrong("consecutiveSuccessLimit must be >= 0");
        }
        if failures < -1 {
            return wrong("failureLimit must be >= 0, or -1 to be disabled");
        }
        if successes == 0 && failures == -1 {
            return wrong("failureLimit and consecutiveSuccessLimit cannot both be disabled");
        }
        if inconclusives < 0 {
            return wrong("inconclusiveLimit must be >= 0");
        }
        if self.errors() < 0 {
            return wrong("consecutiveErrorLimit must be >= 0");
        }
        if count > 0 {
            if failures >= 0 && count < failures.saturating_add(successes) {
                return Err(format!(
                    "count ({count}) must be >= failureLimit + consecutiveSuccessLimit ({failures} + {successes}) if both >= 0"
                ));
            }
            if failures < 0 && count < successes {
                return wrong("count must be >= consecutiveSuccessLimit");
            }
            if count < inconclusives {
                return wrong("count must be >= inconclusiveLimit");
            }
        }
        if count > 1 && self.interval.is_empty() {
            return wrong("interval must be specified when count > 1");
        }
        for (what, text) in [("interval", &self.interval), ("startDelay", &self.initial_delay)] {
            if !text.is_empty()
                && let Err(fault) = duration::parse(text)
            {
                return Err(format!("invalid {what} string: {fault}"));
            }
        }
        Ok(())
    }

    /// Everything that is wrong with it.
    ///
    /// # Errors
    /// The first fault.
    pub fn validate(&self) -> Result<(), String> {
        self.validate_limits()?;
        match self.provider.0.len() {
            0 => Err("no provider specified".to_owned()),
            1 => Ok(()),
            _ => Err("multiple providers specified".to_owned()),
        }
    }
}

/// What is wrong with the metrics of a run.
///
/// # Errors
/// The first fault, with the metric's place.
pub fn validate(metrics: &[Metric]) -> Result<(), String> {
    if metrics.is_empty() {
        return Err("no metrics specified".to_owned());
    }
    for (at, metric) in metrics.iter().enumerate() {
        if metrics.iter().take(at).any(|other| other.name == metric.name) {
            return Err(format!("metrics[{at}]: duplicate name '{}'", metric.name));
        }
        metric
            .validate()
            .map_err(|fault| format!("metrics[{at}]: {fault}"))?;
    }
    Ok(())
}
