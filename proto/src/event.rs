//! What CI, a deployer or a person did.

mod body;
mod change;

use serde::{Deserialize, Serialize};

pub use self::body::{Deployment, DeploymentStatus, Incident, Review, Run};
pub use self::change::{Change, ChangeComplexity, ChangeStats, MAX_PATHS};
use crate::invalid::{Invalid, required};
use crate::meta::Meta;
use crate::wire;

/// One event, under the order of its project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The head. Its id is the deduplication key: unique per source.
    pub meta: Meta,
    /// What happened.
    pub body: Body,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A revision is on its way to users.
    Change(Change),
    /// A pull or merge request moved.
    Review(Review),
    /// A build, test run or pipeline moved.
    Run(Run),
    /// Somebody wants a revision deployed.
    Deployment(Deployment),
    /// A deployment moved.
    DeploymentStatus(DeploymentStatus),
    /// An incident opened or closed.
    Incident(Incident),
    /// Known to its source, not to us: kept and counted.
    Other {
        /// The source's own word.
        kind: String,
        /// The source's own document.
        json: String,
    },
}

/// OpenTelemetry's `cicd.pipeline.result`: [`Outcome::Failure`] is the code's fault, [`Outcome::Error`] the CI system's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Outcome {
    Success,
    Failure,
    Error,
    Timeout,
    Cancellation,
    Skip,
}

/// How far a run is; only a finished one has an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum RunPhase {
    Queued,
    Started,
    Finished(Outcome),
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum DeploymentState {
    Pending,
    InProgress,
    Success,
    Failure,
    Error,
    Inactive,
    RolledBack,
}

impl Body {
    /// The last token of the event's subject.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Change(_) => "change",
            Self::Review(_) => "review",
            Self::Run(_) => "run",
            Self::Deployment(_) => "deployment",
            Self::DeploymentStatus(_) => "deployment_status",
            Self::Incident(_) => "incident",
            Self::Other { .. } => "other",
        }
    }
}

impl Event {
    /// From the wire.
    ///
    /// # Errors
    /// [`Invalid`] naming the field.
    pub fn from_wire(event: wire::Event) -> Result<Self, Invalid> {
        use wire::event::Body as W;
        let body = match required(event.body, "body")? {
            W::Change(change) => Change::from_wire(change)
                .map(Body::Change)
                .map_err(|f| f.within("change"))?,
            W::Review(review) => Review::from_wire(review)
                .map(Body::Review)
                .map_err(|f| f.within("review"))?,
            W::Run(run) => Run::from_wire(run).map(Body::Run).map_err(|f| f.within("run"))?,
            W::Deployment(d) => Deployment::from_wire(d)
                .map(Body::Deployment)
                .map_err(|f| f.within("deployment"))?,
            W::DeploymentStatus(s) => DeploymentStatus::from_wire(s)
                .map(Body::DeploymentStatus)
                .map_err(|f| f.within("deployment_status"))?,
            W::Incident(i) => Incident::from_wire(i)
                .map(Body::Incident)
                .map_err(|f| f.within("incident"))?,
            W::Other(other) => Body::Other {
                kind: other.kind,
                json: other.json,
            },
        };
        Ok(Self {
            meta: Meta::from_wire(event.meta)?,
            body,
        })
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(&self) -> wire::Event {
        use wire::event::Body as W;
        let body = match &self.body {
            Body::Change(change) => W::Change(change.to_wire()),
            Body::Review(review) => W::Review(review.to_wire()),
            Body::Run(run) => W::Run(run.to_wire()),
            Body::Deployment(deployment) => W::Deployment(deployment.to_wire()),
            Body::DeploymentStatus(status) => W::DeploymentStatus(status.to_wire()),
            Body::Incident(incident) => W::Incident(incident.to_wire()),
            Body::Other { kind, json } => W::Other(wire::Other {
                kind: kind.clone(),
                json: json.clone(),
            }),
        };
        wire::Event {
            meta: self.meta.to_wire(),
            body: Some(body),
        }
    }
}
