//! The verb: what a person should know, from what happened, was scored and was decided.
//!
//! One alert per matter, not per fact: a matter (a risky revision, a rolled-back rollout) has a deduplication key that is
//! the same when it fires and when it is resolved, and what fires is remembered until it is. Whoever was told of the
//! beginning is told of the end.

pub mod receivers;
mod risk;
mod rollout;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use auspex_chassis::{Input, Reject, Route as Keyed, Verb};
use auspex_proto::alert::{Cause, Kind, Severity, Status};
use auspex_proto::event::Body;
use auspex_proto::{Alert, EntityKind, Event, Fact, Project, ServiceName, stage};

use self::receivers::{Route, Topic};
use crate::state::{Open, State};
use crate::words::{clip, key, line, short};

/// The longest title, text, and name or value of a fact, in bytes.
const MAX_TITLE: usize = 240;
const MAX_BODY: usize = 2_400;
const MAX_VALUE: usize = 200;

/// The rules by which alerts are made.
#[derive(Debug, Clone, Default)]
pub struct Router {
    /// Names of all configured receivers.
    pub everybody: Vec<String>,
    /// Who is told of what.
    pub routes: Vec<Route>,
    /// Services whose rollback is critical rather than an error.
    pub critical: BTreeSet<String>,
}

impl Verb for Router {
    type State = State;

    fn route(&self, fact: &Fact) -> Keyed {
        match fact {
            // That a build may fail wakes nobody: it will end soon, and its CI system tells how.
            Fact::Score(score) if score.entity.kind == EntityKind::Run => Keyed::Nobody,
            Fact::Event(_) | Fact::Score(_) | Fact::Decision(_) if !fact.project().is_all() => {
                Keyed::Key(fact.project().to_string())
            }
            _ => Keyed::Nobody,
        }
    }

    fn absorb(&self, state: &mut State, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        let mut desk = Desk {
            rules: self,
            state,
            input: *input,
            project: input.fact.project(),
            out: Vec::new(),
        };
        match input.fact {
            Fact::Event(event) => desk.event(event),
            Fact::Score(score) => desk.scored(score),
            Fact::Decision(decision) => desk.decided(decision),
            _ => {}
        }
        Ok(desk.out)
    }
}

/// One fact on the desk: what is remembered, and the alerts that follow.
struct Desk<'a> {
    rules: &'a Router,
    state: &'a mut State,
    input: Input<'a>,
    project: &'a Project,
    out: Vec<Fact>,
}

/// An alert before it has a head and receivers.
struct Draft<'a> {
    kind: Kind,
    severity: Severity,
    key: String,
    title: String,
    text: String,
    service: Option<&'a ServiceName>,
    rollout: &'a str,
    causes: Vec<Cause>,
    facts: Vec<(&'static str, String)>,
}

impl Desk<'_> {
    fn event(&mut self, event: &Event) {
        // Only what is counted or told needs to be known as a repeat.
        let counted = matches!(event.body, Body::Run(_) | Body::Deployment(_));
        if counted && !self.state.seen.admit(&event.meta.id) {
            return;
        }
        match &event.body {
            Body::Change(change) => self.state.note_change(change),
            Body::Run(run) => self.state.note_run(run),
            Body::Incident(incident) => self.state.note_incident(incident, event.meta.time),
            Body::Deployment(deployment) => {
                self.state.note_deployment(deployment, event.meta.time);
                self.deployed(deployment);
            }
            Body::Review(_) | Body::DeploymentStatus(_) | Body::Other { .. } => {}
        }
    }

    fn deployed(&mut self, deployment: &auspex_proto::event::Deployment) {
        let service = &deployment.service;
        let revision = short(deployment.revision.as_str());
        let to = match deployment.environment.as_str() {
            "" => String::new(),
            environment => format!(" to {}", line(environment, 60)),
        };
        let by = match deployment.actor.as_str() {
            "" => String::new(),
            actor => format!(" by {}", line(actor, 60)),
        };
        let change = self.state.changes.get(deployment.revision.as_str());
        let about = change.map(|c| c.title.clone()).filter(|title| !title.is_empty());
        let stable = deployment.stable_revision.as_ref().map(|r| short(r.as_str()));
        let mut facts = vec![
            ("service", service.to_string()),
            ("revision", deployment.revision.to_string()),
        ];
        facts.extend(stable.map(|stable| ("stable", stable)));
        facts.extend(about.clone().map(|title| ("change", title)));
        let draft = Draft {
            kind: Kind::Deployment,
            severity: Severity::Info,
            key: key(
                self.project,
                &[service.as_str(), "deployment", &deployment.deployment_id],
            ),
            title: format!("Deploying {service} {revision}{to}{by}"),
            text: about.unwrap_or_else(|| "Nothing is known of the change yet.".to_owned()),
            service: Some(service),
            rollout: "",
            causes: Vec::new(),
            facts,
        };
        self.notice(draft);
    }

    /// Tells of something that neither fires nor resolves.
    fn notice(&mut self, draft: Draft<'_>) {
        let receivers = self.receivers(&draft);
        self.write(draft, Status::Notice, receivers);
    }

    /// Tells of something that goes on. `because`: said once per matter and word; `acted`: see [`Open::acted`].
    fn fire(&mut self, draft: Draft<'_>, revision: &str, because: &str, acted: bool) {
        let open = self.state.open.get(&draft.key);
        if open.is_some_and(|open| open.because == because) {
            return;
        }
        // Whoever was told of the beginning stays told, even if this is milder.
        let mut receivers = self.receivers(&draft);
        receivers.extend(open.iter().flat_map(|open| open.receivers.clone()));
        receivers.sort();
        receivers.dedup();
        let since = open.map_or(self.input.now, |open| open.since);
        let open = Open {
            kind: draft.kind,
            severity: draft.severity,
            title: clip(&draft.title, MAX_TITLE),
            service: draft.service.map(ToString::to_string).unwrap_or_default(),
            rollout: draft.rollout.to_owned(),
            revision: revision.to_owned(),
            since,
            because: because.to_owned(),
            receivers: receivers.clone(),
            acted,
        };
        let pushed_out = self.state.open.put(&draft.key, open);
        self.write(draft, Status::Firing, receivers);
        if let Some((key, open)) = pushed_out {
            self.close(
                &key,
                open,
                "It was neither promoted nor rolled back in a long time and is no longer watched.",
            );
        }
    }

    /// Tells that every open matter that matches is over.
    fn resolve(&mut self, over: impl Fn(&Open) -> bool, text: &str) {
        let keys: Vec<String> = self
            .state
            .open
            .iter()
            .filter(|(_, open)| over(open))
            .map(|(key, _)| key.to_owned())
            .collect();
        for key in keys {
            if let Some(open) = self.state.open.remove(&key) {
                self.close(&key, open, text);
            }
        }
    }

    fn close(&mut self, key: &str, open: Open, text: &str) {
        let lasted = self.input.now.since(open.since).as_secs();
        let service = ServiceName::new(open.service.clone()).ok();
        let draft = Draft {
            kind: open.kind,
            severity: open.severity,
            key: key.to_owned(),
            title: format!("Resolved: {}", open.title),
            text: text.to_owned(),
            service: service.as_ref(),
            rollout: &open.rollout,
            causes: Vec::new(),
            facts: vec![("lasted", crate::words::span(lasted))],
        };
        self.write(draft, Status::Resolved, open.receivers);
    }

    fn receivers(&self, draft: &Draft<'_>) -> Vec<String> {
        let topic = Topic {
            kind: draft.kind,
            severity: draft.severity,
            service: draft.service.map(ServiceName::as_str).unwrap_or_default(),
            project: self.project,
        };
        receivers::of(&topic, &self.rules.routes, &self.rules.everybody)
    }

    fn write(&mut self, draft: Draft<'_>, status: Status, receivers: Vec<String>) {
        let meta = self
            .input
            .derive(stage::ALERTS.name, self.project, self.out.len());
        let facts = draft
            .facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), line(&value, MAX_VALUE)));
        self.out.push(Fact::Alert(Alert {
            meta,
            kind: draft.kind,
            severity: draft.severity,
            status,
            dedup_key: draft.key,
            title: line(&draft.title, MAX_TITLE),
            text: clip(&draft.text, MAX_BODY),
            service: draft.service.cloned(),
            rollout: draft.rollout.to_owned(),
            causes: draft.causes,
            facts: facts.collect(),
            receivers,
        }));
    }
}
