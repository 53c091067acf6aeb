//! The bodies of events.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DeploymentState, Outcome, RunPhase};
use crate::id::{FactId, Revision, ServiceName};
use crate::invalid::Invalid;
use crate::meta::{optional_revision, optional_service, text};
use crate::wire;

/// A pull or merge request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Review {
    pub number: String,
    pub revision: Option<Revision>,
    pub author: String,
    /// `opened`, `updated`, `merged` or `closed`.
    pub state: String,
    pub lines_added: Option<f64>,
    pub lines_deleted: Option<f64>,
    pub files: Option<f64>,
    pub commits: Option<f64>,
    pub comments: Option<f64>,
    pub draft: bool,
    pub merged_revision: Option<Revision>,
    pub title: String,
}

/// A build, test run or pipeline about a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Run {
    pub run_id: String,
    pub name: String,
    pub revision: Option<Revision>,
    pub branch: String,
    /// From 1.
    pub attempt: u32,
    pub phase: RunPhase,
    pub queued: Option<Duration>,
    pub duration: Option<Duration>,
    pub runner: String,
}

/// Somebody wants a revision deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Deployment {
    pub deployment_id: String,
    pub service: ServiceName,
    pub environment: String,
    pub revision: Revision,
    /// What users are on now, when the source knows.
    pub stable_revision: Option<Revision>,
    /// A Rollout document (YAML) that came along; empty: the configured one.
    pub document: String,
    pub actor: String,
}

/// A deployment moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DeploymentStatus {
    pub deployment_id: String,
    pub service: Option<ServiceName>,
    pub environment: String,
    pub revision: Option<Revision>,
    pub state: DeploymentState,
    pub reason: String,
}

/// An incident opened or closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Incident {
    pub incident_id: String,
    pub service: Option<ServiceName>,
    pub title: String,
    pub resolved: bool,
}

fn id(text: String, field: &str) -> Result<String, Invalid> {
    FactId::new(text)
        .map(String::from)
        .map_err(|fault| Invalid::new(field, fault.reason))
}

pub(super) fn count(value: Option<f64>, field: &str) -> Result<Option<f64>, Invalid> {
    match value {
        Some(v) if !v.is_finite() || v < 0.0 => Err(Invalid::new(
            field,
            format!("{v} is not a finite number above or equal 0"),
        )),
        other => Ok(other),
    }
}

fn duration(ms: Option<i64>, field: &str) -> Result<Option<Duration>, Invalid> {
    ms.map(|ms| {
        u64::try_from(ms)
            .map(Duration::from_millis)
            .map_err(|_| Invalid::new(field, format!("{ms} is below 0")))
    })
    .transpose()
}

impl Review {
    pub(super) fn from_wire(wire: wire::Review) -> Result<Self, Invalid> {
        Ok(Self {
            number: id(wire.number, "number")?,
            revision: optional_revision(wire.revision)?,
            author: wire.author,
            state: wire.state,
            lines_added: count(wire.lines_added, "lines_added")?,
            lines_deleted: count(wire.lines_deleted, "lines_deleted")?,
            files: count(wire.files, "files")?,
            commits: count(wire.commits, "commits")?,
            comments: count(wire.comments, "comments")?,
            draft: wire.draft,
            merged_revision: optional_revision(wire.merged_revision)?,
            title: wire.title,
        })
    }

    pub(super) fn to_wire(&self) -> wire::Review {
        wire::Review {
            number: self.number.clone(),
            revision: text(self.revision.as_ref()),
            author: self.author.clone(),
            state: self.state.clone(),
            lines_added: self.lines_added,
            lines_deleted: self.lines_deleted,
            files: self.files,
            commits: self.commits,
            comments: self.comments,
            draft: self.draft,
            merged_revision: text(self.merged_revision.as_ref()),
            title: self.title.clone(),
        }
    }
}

impl Run {
    pub(super) fn from_wire(wire: wire::Run) -> Result<Self, Invalid> {
        let phase = match wire::RunPhase::try_from(wire.phase) {
            Ok(wire::RunPhase::Queued) => RunPhase::Queued,
            Ok(wire::RunPhase::Started) => RunPhase::Started,
            Ok(wire::RunPhase::Finished) => RunPhase::Finished(outcome(wire.outcome)?),
            _ => return Err(Invalid::new("phase", format!("{} is not a phase", wire.phase))),
        };
        Ok(Self {
            run_id: id(wire.run_id, "run_id")?,
            name: wire.name,
            revision: optional_revision(wire.revision)?,
            branch: wire.branch,
            attempt: wire.attempt.max(1),
            phase,
            queued: duration(wire.queued_ms, "queued_ms")?,
            duration: duration(wire.duration_ms, "duration_ms")?,
            runner: wire.runner,
        })
    }

    pub(super) fn to_wire(&self) -> wire::Run {
        let (phase, outcome) = match self.phase {
            RunPhase::Queued => (wire::RunPhase::Queued, wire::Outcome::Unspecified),
            RunPhase::Started => (wire::RunPhase::Started, wire::Outcome::Unspecified),
            RunPhase::Finished(outcome) => (wire::RunPhase::Finished, outcome_to_wire(outcome)),
        };
        let ms = |d: Option<Duration>| d.map(|d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        wire::Run {
            run_id: self.run_id.clone(),
            name: self.name.clone(),
            revision: text(self.revision.as_ref()),
            branch: self.branch.clone(),
            attempt: self.attempt,
            phase: phase.into(),
            outcome: outcome.into(),
            queued_ms: ms(self.queued),
            duration_ms: ms(self.duration),
            runner: self.runner.clone(),
        }
    }
}

fn outcome(wire: i32) -> Result<Outcome, Invalid> {
    match wire::Outcome::try_from(wire) {
        Ok(wire::Outcome::Success) => Ok(Outcome::Success),
        Ok(wire::Outcome::Failure) => Ok(Outcome::Failure),
        Ok(wire::Outcome::Error) => Ok(Outcome::Error),
        Ok(wire::Outcome::Timeout) => Ok(Outcome::Timeout),
        Ok(wire::Outcome::Cancellation) => Ok(Outcome::Cancellation),
        Ok(wire::Outcome::Skip) => Ok(Outcome::Skip),
        _ => Err(Invalid::new("outcome", "a finished run needs one")),
    }
}

fn outcome_to_wire(outcome: Outcome) -> wire::Outcome {
    match outcome {
        Outcome::Success => wire::Outcome::Success,
        Outcome::Failure => wire::Outcome::Failure,
        Outcome::Error => wire::Outcome::Error,
        Outcome::Timeout => wire::Outcome::Timeout,
        Outcome::Cancellation => wire::Outcome::Cancellation,
        Outcome::Skip => wire::Outcome::Skip,
    }
}

impl Deployment {
    pub(super) fn from_wire(wire: wire::Deployment) -> Result<Self, Invalid> {
        Ok(Self {
            deployment_id: id(wire.deployment_id, "deployment_id")?,
            service: ServiceName::new(wire.service)?,
            environment: wire.environment,
            revision: Revision::new(wire.revision)?,
            stable_revision: optional_revision(wire.stable_revision)?,
            document: wire.document,
            actor: wire.actor,
        })
    }

    pub(super) fn to_wire(&self) -> wire::Deployment {
        wire::Deployment {
            deployment_id: self.deployment_id.clone(),
            service: self.service.to_string(),
            environment: self.environment.clone(),
            revision: self.revision.to_string(),
            stable_revision: text(self.stable_revision.as_ref()),
            document: self.document.clone(),
            actor: self.actor.clone(),
        }
    }
}

impl DeploymentStatus {
    pub(super) fn from_wire(wire: wire::DeploymentStatus) -> Result<Self, Invalid> {
        use wire::DeploymentState as W;
        let state = match W::try_from(wire.state) {
            Ok(W::Pending) => DeploymentState::Pending,
            Ok(W::InProgress) => DeploymentState::InProgress,
            Ok(W::Success) => DeploymentState::Success,
            Ok(W::Failure) => DeploymentState::Failure,
            Ok(W::Error) => DeploymentState::Error,
            Ok(W::Inactive) => DeploymentState::Inactive,
            Ok(W::RolledBack) => DeploymentState::RolledBack,
            _ => return Err(Invalid::new("state", format!("{} is not a state", wire.state))),
        };
        Ok(Self {
            deployment_id: id(wire.deployment_id, "deployment_id")?,
            service: optional_service(wire.service)?,
            environment: wire.environment,
            revision: optional_revision(wire.revision)?,
            state,
            reason: wire.reason,
        })
    }

    pub(super) fn to_wire(&self) -> wire::DeploymentStatus {
        use wire::DeploymentState as W;
        let state = match self.state {
            DeploymentState::Pending => W::Pending,
            DeploymentState::InProgress => W::InProgress,
            DeploymentState::Success => W::Success,
            DeploymentState::Failure => W::Failure,
            DeploymentState::Error => W::Error,
            DeploymentState::Inactive => W::Inactive,
            DeploymentState::RolledBack => W::RolledBack,
        };
        wire::DeploymentStatus {
            deployment_id: self.deployment_id.clone(),
            service: text(self.service.as_ref()),
            environment: self.environment.clone(),
            revision: text(self.revision.as_ref()),
            state: state.into(),
            reason: self.reason.clone(),
        }
    }
}

impl Incident {
    pub(super) fn from_wire(wire: wire::Incident) -> Result<Self, Invalid> {
        Ok(Self {
            incident_id: id(wire.incident_id, "incident_id")?,
            service: optional_service(wire.service)?,
            title: wire.title,
            resolved: wire.resolved,
        })
    }

    pub(super) fn to_wire(&self) -> wire::Incident {
        wire::Incident {
            incident_id: self.incident_id.clone(),
            service: text(self.service.as_ref()),
            title: self.title.clone(),
            resolved: self.resolved,
        }
    }
}
