//! An analysis run: what is to be measured when, and what it says in the end. Argo Rollouts' controller, without the cluster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assess::{Counters, Standing, assess, beyond_limits};
use crate::duration;
use crate::metric::Metric;
use crate::phase::Phase;
use crate::template::{KEPT, Together};

/// After an error a measurement is taken again, whatever the interval, after so many milliseconds.
pub const ERROR_RETRY_MS: i64 = 10_000;

/// One measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Measurement {
    /// Its phase.
    pub phase: Phase,
    /// What was measured, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Why it is an error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// Milliseconds since 1970; 0: under way.
    pub finished_ms: i64,
}

/// What became of a metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Its phase.
    pub phase: Phase,
    /// Why.
    pub message: String,
    /// It only watches.
    pub dry_run: bool,
    /// What was measured.
    pub counters: Counters,
    /// The last measurements.
    pub measurements: Vec<Measurement>,
}

/// A run under way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Run {
    /// Its metrics, arguments put in.
    pub metrics: Vec<Metric>,
    /// What became of them, in the same order.
    pub outcomes: Vec<Outcome>,
    /// Its phase.
    pub phase: Phase,
    /// Why.
    pub message: String,
    /// When it began, milliseconds since 1970.
    pub started_ms: i64,
    /// It is to end.
    pub terminate: bool,
    /// How many measurements of a metric are kept, where that is said.
    pub kept: BTreeMap<String, usize>,
}

impl Run {
    /// Begins a run. What is wrong with it is its outcome: Error.
    #[must_use]
    pub fn begin(whole: Together, now_ms: i64) -> Self {
        let mut run = Self {
            phase: Phase::Running,
            started_ms: now_ms,
            ..Self::default()
        };
        let checked = whole
            .validate()
            .and_then(|()| Ok((whole.watched()?, whole.retention()?)));
        match checked {
            Err(fault) => {
                run.phase = Phase::Error;
                run.message = format!("Analysis spec invalid: {fault}");
            }
            Ok((watched, kept)) => {
                run.outcomes = whole
                    .metrics
                    .iter()
                    .map(|metric| Outcome {
                        name: metric.name.clone(),
                        dry_run: watched.contains(&metric.name),
                        ..Outcome::default()
                    })
                    .collect();
                run.kept = kept;
            }
        }
        run.metrics = whole.metrics;
        run
    }

    /// A run that cannot even begin.
    #[must_use]
    pub fn failed(message: String, now_ms: i64) -> Self {
        Self {
            phase: Phase::Error,
            message,
            started_ms: now_ms,
            ..Self::default()
        }
    }

    /// A metric that counts has gone wrong, or somebody asked for the end.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        let wrong = |outcome: &Outcome| {
            let bad = matches!(
                outcome.phase,
                Phase::Failed | Phase::Error | Phase::Inconclusive | Phase::NoData
            );
            bad && !outcome.dry_run
        };
        self.terminate || self.outcomes.iter().any(wrong)
    }

    /// Metrics to measure now, by their place; those under way are not among them.
    #[must_use]
    pub fn due(&self, now_ms: i64) -> Vec<usize> {
        if self.phase.is_completed() || self.is_terminating() {
            return Vec::new();
        }
        let each = self.metrics.iter().zip(&self.outcomes).enumerate();
        each.filter(|(_, (metric, outcome))| self.next_of(metric, outcome).is_some_and(|next| next <= now_ms))
            .map(|(at, _)| at)
            .collect()
    }

    /// When the next measurement is due, milliseconds since 1970; `None`: none is.
    #[must_use]
    pub fn next_ms(&self) -> Option<i64> {
        if self.phase.is_completed() || self.is_terminating() {
            return None;
        }
        let each = self.metrics.iter().zip(&self.outcomes);
        each.filter_map(|(metric, outcome)| self.next_of(metric, outcome))
            .min()
    }

    fn next_of(&self, metric: &Metric, outcome: &Outcome) -> Option<i64> {
        let milliseconds = |text: &str| duration::parse(text).ok().map(|span| span / 1_000_000);
        if outcome.phase.is_completed() {
            return None;
        }
        let Some(last) = outcome.measurements.last() else {
            return match metric.initial_delay.as_str() {
                "" => Some(self.started_ms),
                delay => milliseconds(delay).map(|delay| self.started_ms.saturating_add(delay)),
            };
        };
        if !last.phase.is_completed() {
            return None;
        }
        let count = metric.effective_count();
        if count.is_some_and(|count| outcome.counters.count >= count) {
            return None;
        }
        let wait = match (last.phase, metric.interval.as_str()) {
            (Phase::Error, _) | (_, "") => ERROR_RETRY_MS,
            (_, interval) => milliseconds(interval)?,
        };
        Some(last.finished_ms.saturating_add(wait))
    }

    /// Notes that a measurement has begun.
    pub fn started(&mut self, at: usize, now_ms: i64) {
        if let Some(outcome) = self.outcomes.get_mut(at) {
            outcome.measurements.push(Measurement {
                phase: Phase::Running,
                started_ms: now_ms,
                ..Measurement::default()
            });
            outcome.phase = Phase::Running;
        }
    }

    /// Notes what a measurement has given, and assesses the whole.
    pub fn finished(&mut self, at: usize, measurement: Measurement) {
        self.finished_all([(at, measurement)]);
    }

    /// Notes what measurements have given that were taken together, and assesses the whole once.
    pub fn finished_all(&mut self, taken: impl IntoIterator<Item = (usize, Measurement)>) {
        for (at, measurement) in taken {
            self.note(at, measurement);
        }
        self.assess();
    }

    fn note(&mut self, at: usize, measurement: Measurement) {
        if let Some(outcome) = self.outcomes.get_mut(at) {
            outcome.counters.count(measurement.phase);
            match outcome.measurements.last_mut() {
                Some(last) if !last.phase.is_completed() => *last = measurement,
                _ => outcome.measurements.push(measurement),
            }
            let kept = self.kept.get(&outcome.name).copied();
            let kept = kept.filter(|kept| *kept > 0).unwrap_or(KEPT);
            let beyond = outcome.measurements.len().saturating_sub(kept);
            outcome.measurements.drain(..beyond);
        }
    }

    /// Forgets measurements under way: whoever took them is gone.
    pub fn forget_unfinished(&mut self) {
        for outcome in &mut self.outcomes {
            if outcome
                .measurements
                .last()
                .is_some_and(|last| !last.phase.is_completed())
            {
                outcome.measurements.pop();
            }
        }
    }

    /// Ends it: what goes on is called successful, as Argo Rollouts does.
    pub fn end(&mut self) {
        self.terminate = true;
        self.cut_short();
        self.assess();
    }

    /// Ends measurements under way.
    fn cut_short(&mut self) {
        for outcome in &mut self.outcomes {
            if let Some(last) = outcome.measurements.last_mut()
                && !last.phase.is_completed()
            {
                last.phase = Phase::Successful;
                "Metric Terminated".clone_into(&mut last.message);
                outcome.counters.count(Phase::Successful);
            }
        }
    }

    fn assess(&mut self) {
        if self.phase.is_completed() {
            return;
        }
        // A metric that goes wrong ends the others, which is seen only in the next look.
        for _ in 0..2 {
            let terminating = self.is_terminating();
            if terminating {
                self.cut_short();
            }
            for (metric, outcome) in self.metrics.iter().zip(&mut self.outcomes) {
                let standing = Standing {
                    phase: outcome.phase,
                    last: outcome.measurements.last().map(|last| last.phase),
                    counters: outcome.counters,
                    terminating,
                };
                let said = assess(metric, &standing);
                if said.phase != outcome.phase {
                    outcome.phase = said.phase;
                    outcome.message = said.reason;
                }
            }
        }
        self.conclude();
    }

    fn conclude(&mut self) {
        let terminating = self.is_terminating();
        let mut worst: Option<Phase> = None;
        let mut message = String::new();
        if self.terminate {
            "Run Terminated".clone_into(&mut message);
        }
        for (metric, outcome) in self.metrics.iter().zip(&self.outcomes) {
            if !outcome.phase.is_completed() {
                if terminating {
                    continue;
                }
                return;
            }
            if outcome.dry_run {
                // Its own verdict does not count; that it is done does.
                worst.get_or_insert(Phase::Successful);
            } else if worst.is_none_or(|phase| outcome.phase.badness() > phase.badness()) {
                worst = Some(outcome.phase);
                let why = why(metric, outcome);
                if !why.is_empty() {
                    message = why;
                }
            }
        }
        match worst {
            Some(phase) => (self.phase, self.message) = (phase, message),
            None if terminating => (self.phase, self.message) = (Phase::Successful, message),
            None => {}
        }
    }
}

fn why(metric: &Metric, outcome: &Outcome) -> String {
    let Some(beyond) = beyond_limits(metric, &outcome.counters) else {
        return String::new();
    };
    let last = outcome.measurements.last().map(|last| last.message.as_str());
    let detail = last.filter(|message| !message.is_empty());
    let detail = detail.map(|message| format!(": \"Error Message: {message}\""));
    format!(
        "Metric \"{}\" assessed {} due to {}{}",
        outcome.name,
        outcome.phase,
        beyond.reason,
        detail.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests;
