//! An event from flags.

use std::path::PathBuf;
use std::time::Duration;

use auspex_proto::event::{
    Body, Deployment, DeploymentState, DeploymentStatus, Incident, Outcome, Run, RunPhase,
};
use auspex_proto::{Event, FactId, Meta, Project, Revision, ServiceName, Timestamp};
use clap::{Args, ValueEnum};

use super::super::id;
use crate::fault::Fault;

/// The source of what a person or a script tells by flags.
const SOURCE: &str = "cli";

/// The flags; which of them are needed depends on the kind.
#[derive(Debug, Default, Args)]
pub(crate) struct Compose {
    /// What happened
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    /// The revision it is about; with --from-git the default is HEAD
    #[arg(long)]
    pub(crate) revision: Option<String>,
    /// The service
    #[arg(long)]
    service: Option<String>,
    /// Id of the deployment, run or incident; sending the same again is no second event. Default: a fresh one
    #[arg(long)]
    id: Option<String>,
    /// deployment: the revision that users are on
    #[arg(long, value_name = "REVISION")]
    stable_revision: Option<String>,
    /// deployment: where to
    #[arg(long, default_value = "production")]
    environment: String,
    /// deployment: a Rollout document (YAML)
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// deployment-status: how it stands
    #[arg(long, value_enum)]
    state: Option<State>,
    /// run: how it ended; without it the run has started
    #[arg(long, value_enum)]
    outcome: Option<Ended>,
    /// run: its name
    #[arg(long, default_value = "build")]
    name: String,
    /// run: how long it took, in milliseconds
    #[arg(long, value_name = "MS")]
    duration_ms: Option<u64>,
    /// run: how long it waited for a runner, in milliseconds
    #[arg(long, value_name = "MS")]
    queued_ms: Option<u64>,
    /// run: which attempt it is, from 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    attempt: u32,
    /// run: where it ran, as in a runner's label or image: the environment of the build
    #[arg(long, default_value = "")]
    runner: String,
    /// incident: what it is; deployment-status: why
    #[arg(long, default_value = "")]
    title: String,
    /// incident: it is over
    #[arg(long)]
    resolved: bool,
}

/// What can be told by flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A build or test run
    Run,
    /// Somebody wants a revision in front of users
    Deployment,
    /// How a deployment goes
    DeploymentStatus,
    /// An incident opened or closed
    Incident,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Pending,
    InProgress,
    Success,
    Failure,
    Error,
    Inactive,
    RolledBack,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ended {
    Success,
    /// The code's fault
    Failure,
    /// The CI system's fault
    Error,
    Timeout,
    Cancellation,
    Skip,
}

impl Compose {
    pub(super) fn event(&self, project: Option<&str>) -> Result<Event, Fault> {
        let project = project.ok_or_else(|| Fault::invalid("--project: is needed"))?;
        let id = match &self.id {
            Some(id) => id.clone(),
            None => id::random_hex(12)?,
        };
        let body = self.body(&id)?;
        // The same deployment moves several times: each state is an event of its own.
        let stage = match &body {
            Body::DeploymentStatus(status) => format!("{:?}", status.state),
            Body::Run(run) if run.attempt > 1 => format!("{:?}\n{}", run.phase, run.attempt),
            Body::Run(run) => format!("{:?}", run.phase),
            Body::Incident(incident) => incident.resolved.to_string(),
            _ => String::new(),
        };
        let meta = Meta {
            id: FactId::outside(SOURCE, &format!("{project}\n{}\n{id}\n{stage}", body.kind())),
            project: Project::new(project)?,
            time: Timestamp(id::now_ms()),
            cause: 0,
            source: SOURCE.to_owned(),
        };
        Ok(Event { meta, body })
    }

    /// A flag of another kind would be dropped in silence: `--kind run --state success` would tell of a run that has begun.
    fn foreign(&self) -> Result<(), Fault> {
        use Kind::{Deployment, DeploymentStatus, Incident, Run};
        let flags = [
            ("--stable-revision", self.stable_revision.is_some(), Deployment),
            ("--document", self.document.is_some(), Deployment),
            ("--state", self.state.is_some(), DeploymentStatus),
            ("--outcome", self.outcome.is_some(), Run),
            ("--duration-ms", self.duration_ms.is_some(), Run),
            ("--queued-ms", self.queued_ms.is_some(), Run),
            ("--runner", !self.runner.is_empty(), Run),
            ("--resolved", self.resolved, Incident),
        ];
        match flags
            .iter()
            .find(|(_, given, of)| *given && self.kind != Some(*of))
        {
            Some((flag, ..)) => Err(Fault::invalid(format!("{flag}: is not for this kind"))),
            None => Ok(()),
        }
    }

    fn body(&self, id: &str) -> Result<Body, Fault> {
        self.foreign()?;
        let id = id.to_owned();
        Ok(match self.kind {
            Some(Kind::Deployment) => Body::Deployment(Deployment {
                deployment_id: id,
                service: needed(self.service()?, "--service")?,
                environment: self.environment.clone(),
                revision: needed(self.revision()?, "--revision")?,
                stable_revision: self.stable_revision.clone().map(Revision::new).transpose()?,
                document: self.document()?,
                actor: id::person(),
            }),
            Some(Kind::DeploymentStatus) => Body::DeploymentStatus(DeploymentStatus {
                deployment_id: needed(self.id.clone(), "--id")?,
                service: self.service()?,
                environment: self.environment.clone(),
                revision: self.revision()?,
                state: needed(self.state, "--state")?.into(),
                reason: self.title.clone(),
            }),
            Some(Kind::Run) => Body::Run(Run {
                run_id: id,
                name: self.name.clone(),
                revision: self.revision()?,
                branch: String::new(),
                attempt: self.attempt.max(1),
                phase: self
                    .outcome
                    .map_or(RunPhase::Started, |ended| RunPhase::Finished(ended.into())),
                queued: self.queued_ms.map(Duration::from_millis),
                duration: self.duration_ms.map(Duration::from_millis),
                runner: self.runner.clone(),
            }),
            Some(Kind::Incident) => Body::Incident(Incident {
                incident_id: id,
                service: self.service()?,
                title: self.title.clone(),
                resolved: self.resolved,
            }),
            None => return Err(Fault::invalid("--kind: is needed")),
        })
    }

    fn service(&self) -> Result<Option<ServiceName>, Fault> {
        Ok(self.service.clone().map(ServiceName::new).transpose()?)
    }

    fn revision(&self) -> Result<Option<Revision>, Fault> {
        Ok(self.revision.clone().map(Revision::new).transpose()?)
    }

    fn document(&self) -> Result<String, Fault> {
        let Some(path) = &self.document else {
            return Ok(String::new());
        };
        let text = std::fs::read_to_string(path)
            .map_err(|fault| Fault::invalid(format!("--document {}: {fault}", path.display())))?;
        // Control has the last word, for it may be another version: the event is sent all the same.
        if let Err(fault) = auspex_canary::document::Document::parse(&text) {
            eprintln!(
                "auspex: --document {}: {fault}; no rollout will start (`auspex dlq list` will say so)",
                path.display()
            );
        }
        Ok(text)
    }
}

fn needed<T>(value: Option<T>, flag: &str) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::invalid(format!("{flag}: is needed for this kind")))
}

impl From<State> for DeploymentState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::InProgress => Self::InProgress,
            State::Success => Self::Success,
            State::Failure => Self::Failure,
            State::Error => Self::Error,
            State::Inactive => Self::Inactive,
            State::RolledBack => Self::RolledBack,
        }
    }
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Success => Self::Success,
            Ended::Failure => Self::Failure,
            Ended::Error => Self::Error,
            Ended::Timeout => Self::Timeout,
            Ended::Cancellation => Self::Cancellation,
            Ended::Skip => Self::Skip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Compose {
        Compose {
            kind: Some(Kind::Deployment),
            revision: Some("abc".to_owned()),
            service: Some("shop".to_owned()),
            id: Some("7".to_owned()),
            ..Compose::default()
        }
    }

    #[test]
    fn what_is_missing_is_named_by_its_flag() {
        let fault = deployment().event(None).unwrap_err();
        assert_eq!(fault, Fault::invalid("--project: is needed"));
        let bare = Compose {
            service: None,
            ..deployment()
        };
        let fault = bare.event(Some("acme/shop")).unwrap_err();
        assert_eq!(fault, Fault::invalid("--service: is needed for this kind"));
        let status = Compose {
            kind: Some(Kind::DeploymentStatus),
            ..deployment()
        };
        let fault = status.event(Some("acme/shop")).unwrap_err();
        assert_eq!(fault, Fault::invalid("--state: is needed for this kind"));
    }

    #[test]
    fn a_flag_of_another_kind_is_not_dropped_in_silence() {
        let run = Compose {
            kind: Some(Kind::Run),
            state: Some(State::Success),
            ..deployment()
        };
        let fault = run.event(Some("acme/shop")).unwrap_err();
        assert_eq!(fault, Fault::invalid("--state: is not for this kind"));
        let resolved = Compose {
            resolved: true,
            ..deployment()
        };
        let fault = resolved.event(Some("acme/shop")).unwrap_err();
        assert_eq!(fault, Fault::invalid("--resolved: is not for this kind"));
    }

    #[test]
    fn the_same_deployment_is_the_same_event_and_its_states_are_others() {
        let id = |compose: &Compose| compose.event(Some("acme/shop")).unwrap().meta.id;
        assert_eq!(id(&deployment()), id(&deployment()));
        let status = |state| Compose {
            kind: Some(Kind::DeploymentStatus),
            state: Some(state),
            ..deployment()
        };
        assert_ne!(id(&status(State::Pending)), id(&status(State::Success)));
    }

    #[test]
    fn a_run_says_where_and_in_which_attempt() {
        let run = |attempt| Compose {
            kind: Some(Kind::Run),
            outcome: Some(Ended::Success),
            attempt,
            runner: "ubuntu-24.04".to_owned(),
            ..deployment()
        };
        let event = |attempt| run(attempt).event(Some("acme/shop")).unwrap();
        let Body::Run(second) = event(2).body else {
            panic!("a run was asked for")
        };
        assert_eq!((second.attempt, second.runner.as_str()), (2, "ubuntu-24.04"));
        assert_ne!(
            event(1).meta.id,
            event(2).meta.id,
            "another attempt is another event"
        );
    }

    #[test]
    fn what_is_composed_can_be_read_back_from_the_log() {
        let event = deployment().event(Some("acme/shop")).unwrap();
        assert_eq!(Event::from_wire(event.to_wire()).unwrap(), event);
    }
}
