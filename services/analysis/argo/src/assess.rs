//! The phase of a metric, from its measurements, in Argo Rollouts' order.

use serde::{Deserialize, Serialize};

use crate::metric::{CONSECUTIVE_ERRORS, Metric};
use crate::phase::Phase;

/// What was measured so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Counters {
    /// All but errors and those without data.
    pub count: i64,
    /// Good ones.
    pub successful: i64,
    /// Bad ones.
    pub failed: i64,
    /// Neither.
    pub inconclusive: i64,
    /// Errors.
    pub error: i64,
    /// Errors in a row, up to now.
    pub consecutive_error: i64,
    /// Good ones in a row, up to now.
    pub consecutive_success: i64,
    /// Those without data (safe mode).
    #[serde(skip_serializing_if = "is_zero")]
    pub no_data: i64,
    /// Those without data in a row, up to now.
    #[serde(skip_serializing_if = "is_zero")]
    pub consecutive_no_data: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl Counters {
    /// Counts one completed measurement; one that is not completed counts nothing.
    pub fn count(&mut self, phase: Phase) {
        if !phase.is_completed() {
            return;
        }
        if phase != Phase::Error {
            self.consecutive_error = 0;
        }
        if phase != Phase::Successful {
            self.consecutive_success = 0;
        }
        if phase != Phase::NoData {
            self.consecutive_no_data = 0;
        }
        match phase {
            Phase::Successful => {
                self.successful += 1;
                self.consecutive_success += 1;
            }
            Phase::Failed => self.failed += 1,
            Phase::Inconclusive => self.inconclusive += 1,
            Phase::Error => {
                self.error += 1;
                self.consecutive_error += 1;
                return;
            }
            Phase::NoData => {
                self.no_data += 1;
                self.consecutive_no_data += 1;
                return;
            }
            Phase::Pending | Phase::Running => {}
        }
        self.count += 1;
    }

    /// Of measurements in their order.
    #[must_use]
    pub fn of(phases: &[Phase]) -> Self {
        let mut counters = Self::default();
        for phase in phases {
            counters.count(*phase);
        }
        counters
    }
}

/// Which rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It had been completed before.
    Completed,
    /// The run is ending.
    Terminated,
    /// Nothing is measured yet.
    NotStarted,
    /// A measurement is under way.
    InFlight,
    /// Too many are bad.
    FailureLimit,
    /// Too many are inconclusive.
    InconclusiveLimit,
    /// Too many errors in a row.
    ConsecutiveErrorLimit,
    /// Too many without data in a row (safe mode).
    NoDataLimit,
    /// Enough good ones in a row.
    ConsecutiveSuccessLimit,
    /// All were taken.
    CountReached,
    /// It goes on.
    GoesOn,
}

/// The phase of a metric, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assessed {
    /// The phase.
    pub phase: Phase,
    /// Which rule decided.
    pub rule: Rule,
    /// In words.
    pub reason: String,
}

fn assessed(phase: Phase, rule: Rule, reason: impl Into<String>) -> Assessed {
    Assessed {
        phase,
        rule,
        reason: reason.into(),
    }
}

/// What a metric's state is.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The phase so far.
    pub phase: Phase,
    /// The last measurement's; `None`: there is none.
    pub last: Option<Phase>,
    /// All of them.
    pub counters: Counters,
    /// The run is ending.
    pub terminating: bool,
}

/// The limits that are passed; later lines overwrite earlier ones.
#[must_use]
pub fn beyond_limits(metric: &Metric, counters: &Counters) -> Option<Assessed> {
    let mut found = None;
    if let Some(limit) = metric.failures().filter(|limit| counters.failed > *limit) {
        let reason = format!("failed ({}) > failureLimit ({limit})", counters.failed);
        found = Some(assessed(Phase::Failed, Rule::FailureLimit, reason));
    }
    let limit = metric.inconclusives();
    if counters.inconclusive > limit {
        let reason = format!(
            "inconclusive ({}) > inconclusiveLimit ({limit})",
            counters.inconclusive
        );
        found = Some(assessed(Phase::Inconclusive, Rule::InconclusiveLimit, reason));
    }
    if counters.consecutive_no_data > CONSECUTIVE_ERRORS {
        let reason = format!(
            "no data ({} in a row) > {CONSECUTIVE_ERRORS}",
            counters.consecutive_no_data
        );
        found = Some(assessed(Phase::NoData, Rule::NoDataLimit, reason));
    }
    let limit = metric.errors();
    if counters.consecutive_error > limit {
        let reason = format!(
            "consecutiveErrors ({}) > consecutiveErrorLimit ({limit})",
            counters.consecutive_error
        );
        found = Some(assessed(Phase::Error, Rule::ConsecutiveErrorLimit, reason));
    }
    found
}

/// The phase of a metric.
#[must_use]
pub fn assess(metric: &Metric, standing: &Standing) -> Assessed {
    let counters = &standing.counters;
    if standing.phase.is_completed() {
        return assessed(standing.phase, Rule::Completed, "already completed");
    }
    match standing.last {
        None if standing.terminating => {
            return assessed(Phase::Successful, Rule::Terminated, "run terminated");
        }
        None => return assessed(Phase::Pending, Rule::NotStarted, "no measurement yet"),
        Some(last) if !last.is_completed() => {
            return assessed(Phase::Running, Rule::InFlight, "a measurement is under way");
        }
        Some(_) => {}
    }
    if let Some(beyond) = beyond_limits(metric, counters) {
        return beyond;
    }
    if let Some(limit) = metric
        .successes()
        .filter(|limit| counters.consecutive_success >= *limit)
    {
        let reason = format!("consecutiveSuccessLimit ({limit}) reached");
        return assessed(Phase::Successful, Rule::ConsecutiveSuccessLimit, reason);
    }
    if let Some(count) = metric.effective_count().filter(|count| counters.count >= *count) {
        return at_the_end(metric, count);
    }
    if standing.terminating {
        return assessed(Phase::Successful, Rule::Terminated, "run terminated");
    }
    let reason = match metric.effective_count() {
        Some(count) => format!("{} of {count} measurements are taken", counters.count),
        None => "runs until the rollout ends".to_owned(),
    };
    assessed(Phase::Running, Rule::GoesOn, reason)
}

fn at_the_end(metric: &Metric, count: i64) -> Assessed {
    let (phase, reason) = match (metric.successes(), metric.failures()) {
        (Some(successes), Some(failures)) => (
            Phase::Inconclusive,
            format!(
                "count ({count}) reached: consecutiveSuccessLimit ({successes}) not reached and failureLimit ({failures}) not violated"
            ),
        ),
        (Some(successes), None) => (
            Phase::Failed,
            format!("count ({count}) reached: consecutiveSuccessLimit ({successes}) not reached"),
        ),
        (None, _) => (Phase::Successful, format!("count ({count}) reached")),
    };
    assessed(phase, Rule::CountReached, reason)
}

#[cfg(test)]
mod tests;
