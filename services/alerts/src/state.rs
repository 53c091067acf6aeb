//! What `alerts` remembers of one project: enough to say what is open, and why something went wrong.
//!
//! Bounded by construction: every collection has a greatest length and every text a greatest size (see [`MAX_TEXT`]),
//! so that one project stays below 600 kB whatever it does; a test fills it to the brim.

use std::collections::VecDeque;

use auspex_proto::alert::{Kind, Severity};
use auspex_proto::decision::{Decision, MetricEvidence};
use auspex_proto::event::{Change, Deployment, Incident, Outcome, Run, RunPhase};
use auspex_proto::seen::Seen;
use auspex_proto::{Score, Timestamp};
use serde::{Deserialize, Serialize};

use crate::paths::{self, PathKind};
use crate::recent::Recent;
use crate::words::{hash, line};

/// The longest text kept of what others wrote, in bytes.
pub const MAX_TEXT: usize = 160;
/// How many reasons of a score are kept.
const MAX_REASONS: usize = 6;
/// How many kinds of runs are kept per revision.
const MAX_RUNS: usize = 6;
/// How many metrics are kept per rollout and service.
const MAX_METRICS: usize = 6;
/// How many deployments of the project are kept.
const MAX_DEPLOYMENTS: usize = 24;

/// One project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Events that were counted: a webhook may be redelivered days later.
    pub seen: Seen,
    /// Revisions about which a high risk was raised: once each.
    pub raised: Seen,
    /// By revision.
    pub changes: Recent<ChangeNote, 64>,
    /// By rollout.
    pub rollouts: Recent<RolloutNote, 48>,
    /// By service.
    pub services: Recent<ServiceNote, 48>,
    /// Oldest first, at most 24.
    pub deployments: VecDeque<DeploymentNote>,
    /// Incidents not closed, by id.
    pub incidents: Recent<IncidentNote, 24>,
    /// Alerts that fire, by deduplication key.
    pub open: Recent<Open, 96>,
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// What it is about.
    pub kind: Kind,
    /// As it was raised.
    pub severity: Severity,
    /// Its title, for the message that resolves it.
    pub title: String,
    /// Empty: of none.
    pub service: String,
    /// Empty: of none.
    pub rollout: String,
    /// Empty: of none.
    pub revision: String,
    /// Since when.
    pub since: Timestamp,
    /// What it waits for, in one word: equal words are not said twice.
    pub because: String,
    /// Who was told, and will be told of its end, whatever the configuration says by then.
    pub receivers: Vec<String>,
    /// False: it says what Auspex would have done.
    pub acted: bool,
}

/// A revision on its way to users.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeNote {
    /// Who wrote it.
    pub author: String,
    /// First line of its message.
    pub title: String,
    /// How many paths of each kind it touches, in the order of [`PathKind`].
    pub paths: Vec<(PathKind, u32)>,
    /// Runs about it that failed.
    pub runs: Vec<RunNote>,
    /// Its newest score.
    pub score: Option<ScoreNote>,
    /// A high score came without its reasons: to be raised with the next that has them, or when its rollout starts.
    pub pending: bool,
}

/// Runs of one name about one revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunNote {
    /// The run's name.
    pub name: String,
    /// How often it failed by the code's fault or by time.
    pub failures: u32,
    /// Whether the last one passed.
    pub passed: bool,
}

/// What a model said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScoreNote {
    /// Sequence of the vector: of two scores the one with the greater cause counts.
    pub cause: u64,
    /// P(failure), 0..=1, and its interval.
    pub p_failure: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Name and version.
    pub model: String,
    /// Feature, value when known, log-odds; largest first.
    pub reasons: Vec<(String, Option<f64>, f64)>,
    /// How many features the model had to do without.
    pub missing: u32,
}

/// One run of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RolloutNote {
    /// Whose.
    pub service: String,
    /// The candidate's.
    pub revision: String,
    /// When its first decision was made, by the log's time.
    pub started: Timestamp,
    /// Cause of the newest decision that was told; older ones are repeats.
    pub last: u64,
    /// Which decisions of that cause were told, as hashes; at most 8 (one input makes one or two).
    pub told: Vec<u64>,
    /// Promoted or rolled back, or would have been: nothing more is said about this run.
    pub ended: bool,
    /// The baseline's metrics when they were first seen in this run: metric, bad, total.
    pub first: Vec<(String, u64, u64)>,
}

/// What is usual for a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceNote {
    /// Metric, bad and total of the baseline over earlier rollouts; each rollout halves what was before.
    pub usual: Vec<(String, f64, f64)>,
}

/// A deployment of the project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentNote {
    /// Whose.
    pub service: String,
    /// Of what.
    pub revision: String,
    /// By whom.
    pub actor: String,
    /// When, as its source says.
    pub time: Timestamp,
}

/// An incident that is not closed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IncidentNote {
    /// Whose; empty: nobody said.
    pub service: String,
    /// In one line.
    pub title: String,
    /// Since when, as its source says.
    pub time: Timestamp,
}

impl State {
    /// Notes a change. What CI tells again with more (statistics, paths) replaces what was known.
    pub fn note_change(&mut self, change: &Change) {
        self.changes.touch(change.revision.as_str(), |note| {
            note.author = line(&change.author, MAX_TEXT);
            note.title = line(&change.title, MAX_TEXT);
            if !change.paths.is_empty() {
                note.paths = paths::count(change.paths.iter().map(String::as_str));
            }
        });
    }

    /// Notes how a run of a revision ended. Cancelled and skipped runs say nothing about it.
    pub fn note_run(&mut self, run: &Run) {
        let (Some(revision), RunPhase::Finished(outcome)) = (&run.revision, run.phase) else {
            return;
        };
        let failed = match outcome {
            Outcome::Failure | Outcome::Timeout => true,
            Outcome::Success => false,
            Outcome::Error | Outcome::Cancellation | Outcome::Skip => return,
        };
        let name = line(&run.name, MAX_TEXT);
        let known = self.changes.get(revision.as_str());
        let known = known.is_some_and(|note| note.runs.iter().any(|run| run.name == name));
        if !known && !failed {
            return;
        }
        self.changes.touch(revision.as_str(), |note| {
            if !known && note.runs.len() < MAX_RUNS {
                note.runs.push(RunNote {
                    name: name.clone(),
                    ..RunNote::default()
                });
            }
            if let Some(run) = note.runs.iter_mut().find(|run| run.name == name) {
                run.failures = run.failures.saturating_add(u32::from(failed));
                run.passed = !failed;
            }
        });
    }

    /// Notes a score; `false` when a newer one is known already.
    pub fn note_score(&mut self, score: &Score) -> bool {
        let revision = score.entity.revision.as_str();
        let known = self.changes.get(revision).and_then(|note| note.score.as_ref());
        if known.is_some_and(|known| known.cause > score.meta.cause) {
            return false;
        }
        let kept = known
            .filter(|_| score.reasons.is_empty())
            .map(|k| k.reasons.clone());
        let reasons = score.reasons.iter().take(MAX_REASONS);
        let reasons = reasons.map(|r| {
            let value = r.value.is_finite().then_some(r.value);
            (line(&r.feature, MAX_TEXT), value, r.log_odds)
        });
        let note = ScoreNote {
            cause: score.meta.cause,
            p_failure: score.p_failure,
            low: score.low,
            high: score.high,
            model: line(&score.model, MAX_TEXT),
            reasons: kept.unwrap_or_else(|| reasons.collect()),
            missing: u32::try_from(score.missing.len()).unwrap_or(u32::MAX),
        };
        self.changes.touch(revision, |change| change.score = Some(note));
        true
    }

    /// Notes a deployment.
    pub fn note_deployment(&mut self, deployment: &Deployment, time: Timestamp) {
        while self.deployments.len() >= MAX_DEPLOYMENTS {
            drop(self.deployments.pop_front());
        }
        self.deployments.push_back(DeploymentNote {
            service: deployment.service.to_string(),
            revision: deployment.revision.to_string(),
            actor: line(&deployment.actor, MAX_TEXT),
            time,
        });
    }

    /// Notes that an incident opened or closed.
    pub fn note_incident(&mut self, incident: &Incident, time: Timestamp) {
        if incident.resolved {
            drop(self.incidents.remove(&incident.incident_id));
            return;
        }
        let note = IncidentNote {
            service: incident
                .service
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            title: line(&incident.title, MAX_TEXT),
            time,
        };
        drop(self.incidents.put(&incident.incident_id, note));
    }

    /// Notes what the baseline had when it was first measured in this run of a rollout.
    pub fn note_first(&mut self, decision: &Decision) {
        let Some(run) = self.rollouts.get_mut(decision.rollout.as_str()) else {
            return;
        };
        if run.first.is_empty() && decision.evidence.iter().any(|e| e.baseline_total > 0) {
            let measured = decision
                .evidence
                .iter()
                .filter(|e| e.baseline_total > 0)
                .take(MAX_METRICS);
            run.first = measured
                .map(|e| (line(&e.metric, MAX_TEXT), e.baseline_bad, e.baseline_total))
                .collect();
        }
    }

    /// Folds what the baseline had during a rollout into what is usual for the service.
    pub fn note_usual(&mut self, service: &str, evidence: &[MetricEvidence]) {
        let measured: Vec<&MetricEvidence> = evidence.iter().filter(|e| e.baseline_total > 0).collect();
        if measured.is_empty() {
            return;
        }
        self.services.touch(service, |note| {
            for metric in measured {
                let name = line(&metric.metric, MAX_TEXT);
                let (bad, total) = (float(metric.baseline_bad), float(metric.baseline_total));
                if let Some((_, b, t)) = note.usual.iter_mut().find(|(n, ..)| *n == name) {
                    (*b, *t) = (*b / 2.0 + bad, *t / 2.0 + total);
                } else if note.usual.len() < MAX_METRICS {
                    note.usual.push((name, bad, total));
                }
            }
        });
    }
}

impl RolloutNote {
    /// Whether this decision has been here before, or is older than what has been told.
    #[must_use]
    pub fn knows(&self, decision: &Decision) -> bool {
        let cause = decision.meta.cause;
        cause < self.last || (cause == self.last && self.told.contains(&hash(decision.meta.id.as_str())))
    }

    /// Remembers that this decision was told.
    pub fn tell(&mut self, decision: &Decision) {
        if decision.meta.cause != self.last {
            self.last = decision.meta.cause;
            self.told.clear();
        }
        if self.told.len() < 8 {
            self.told.push(hash(decision.meta.id.as_str()));
        }
    }
}

/// A count as a number to reckon with; exact up to 2^53.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn float(count: u64) -> f64 {
    count as f64
}
