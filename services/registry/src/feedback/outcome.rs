//! Which facts are outcomes, and of what.

use auspex_proto::decision::{Decision, Phase, Reason};
use auspex_proto::event::{Body, DeploymentState, Outcome, Run, RunPhase};
use auspex_proto::{EntityKind, Event, Timestamp};

use super::state::{Matured, State, Waiting, key};
use crate::config::FeedbackConfig;

/// Most deployments of one revision that are told apart.
const MOST_DEPLOYMENTS: usize = 8;

/// What an event says about waiting scores. One that says nothing leaves the state as it was: it is not saved for it.
pub(super) fn event(
    state: &mut State,
    event: &Event,
    config: &FeedbackConfig,
    now: Timestamp,
) -> Vec<Matured> {
    match &event.body {
        Body::Deployment(deployment) => {
            let key = key(EntityKind::Deployment, "", deployment.revision.as_str());
            if let Some(waiting) = state.waiting.get_mut(&key) {
                waiting.begun.get_or_insert(now);
                waiting.service = deployment.service.to_string();
                let id = &deployment.deployment_id;
                if waiting.deployments.len() < MOST_DEPLOYMENTS && !waiting.deployments.contains(id) {
                    waiting.deployments.push(id.clone());
                }
            }
            Vec::new()
        }
        Body::DeploymentStatus(status) => {
            let by_revision = status
                .revision
                .as_ref()
                .map(|r| key(EntityKind::Deployment, "", r.as_str()));
            let known = by_revision.filter(|key| state.waiting.contains_key(key));
            let Some(key) = known.or_else(|| deployed(state, &status.deployment_id)) else {
                return Vec::new();
            };
            match status.state {
                DeploymentState::Failure | DeploymentState::Error | DeploymentState::RolledBack => {
                    state.settle(&key, true, now, config).into_iter().collect()
                }
                DeploymentState::Success => {
                    let service = status.service.as_ref().map(ToString::to_string);
                    release(state, &key, service, now);
                    Vec::new()
                }
                DeploymentState::Pending | DeploymentState::InProgress | DeploymentState::Inactive => {
                    Vec::new()
                }
            }
        }
        // All else is known again by what it is about, and changes nothing the second time; an incident would be laid at the
        // door of the release before.
        Body::Incident(incident) if !incident.resolved && state.seen.admit(&event.meta.id) => {
            let service = incident.service.as_ref().map(ToString::to_string);
            incident_of(state, service.as_deref(), config, now)
                .into_iter()
                .collect()
        }
        Body::Run(run) => run_ended(state, run, config, now),
        Body::Change(_) | Body::Review(_) | Body::Incident(_) | Body::Other { .. } => Vec::new(),
    }
}

fn run_ended(state: &mut State, run: &Run, config: &FeedbackConfig, now: Timestamp) -> Vec<Matured> {
    let RunPhase::Finished(outcome) = run.phase else {
        return Vec::new();
    };
    let key = key(EntityKind::Run, &run.run_id, "");
    match outcome {
        Outcome::Failure | Outcome::Timeout => state.settle(&key, true, now, config).into_iter().collect(),
        Outcome::Success => state.settle(&key, false, now, config).into_iter().collect(),
        // The CI system's fault, or nobody's: nothing is known of the run.
        Outcome::Error | Outcome::Cancellation | Outcome::Skip => {
            state.waiting.remove(&key);
            Vec::new()
        }
    }
}

fn deployed(state: &State, deployment: &str) -> Option<String> {
    let holds = |waiting: &Waiting| waiting.deployments.iter().any(|id| id == deployment);
    let found = state.waiting.iter().find(|(_, waiting)| holds(waiting));
    found.map(|(key, _)| key.clone())
}

fn release(state: &mut State, key: &str, service: Option<String>, now: Timestamp) {
    if let Some(waiting) = state.waiting.get_mut(key) {
        waiting.begun.get_or_insert(now);
        waiting.released.get_or_insert(now);
        if let Some(service) = service {
            waiting.service = service;
        }
    }
}

/// An incident is laid at the door of what was released last there, if that has not matured.
fn incident_of(
    state: &mut State,
    service: Option<&str>,
    config: &FeedbackConfig,
    now: Timestamp,
) -> Option<Matured> {
    let service = service?;
    let span = i64::try_from(config.maturity_minutes.saturating_mul(60_000)).unwrap_or(i64::MAX);
    let young = |at: Timestamp| now.0.saturating_sub(at.0) < span;
    let last = state
        .waiting
        .iter()
        .filter(|(_, waiting)| waiting.service == service)
        .filter_map(|(key, waiting)| Some((waiting.released.filter(|at| young(*at))?, waiting.cause, key)))
        .max();
    let key = last.map(|(_, _, key)| key.clone())?;
    state.settle(&key, true, now, config)
}

/// What a decision about a rollout says about waiting scores.
pub(super) fn decision(
    state: &mut State,
    decision: &Decision,
    config: &FeedbackConfig,
    now: Timestamp,
) -> Vec<Matured> {
    if !decision.acts {
        return Vec::new();
    }
    let key = key(EntityKind::Deployment, "", &decision.candidate.revision);
    if let Some(waiting) = state.waiting.get_mut(&key) {
        waiting.begun.get_or_insert(now);
    }
    match decision.phase {
        Phase::RolledBack => match decision.reason {
            Reason::EvidenceWorse | Reason::LimitCrossed | Reason::SilentCandidate | Reason::Commanded => {
                state.settle(&key, true, now, config).into_iter().collect()
            }
            // Held back by the prediction itself, or by what has nothing to do with the change: nobody will ever know.
            _ => {
                state.waiting.remove(&key);
                Vec::new()
            }
        },
        Phase::Promoted => {
            release(state, &key, Some(decision.service.to_string()), now);
            Vec::new()
        }
        _ => Vec::new(),
    }
}
