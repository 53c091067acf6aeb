//! Examples: moments at which a vector was served, each with what became of it. The verb of the stage `trainer`.
//!
//! A vector holds what was known when it was made and nothing later, so that learning from served vectors cannot leak, and
//! training and serving cannot differ. Where a feature store is asked instead, an example holds the keys and the moment to ask
//! for in place of the values. Time is that of the events, never ahead of the log: the past may be played in again. What the mesh derives of
//! events carries the log's time, which then says nothing.

use std::collections::{BTreeMap, VecDeque};

use auspex_chassis::{Input, Reject, Route, Verb};
use auspex_proto::decision::{Phase, Reason};
use auspex_proto::event::{Body, DeploymentState, Outcome, RunPhase};
use auspex_proto::seen::Seen;
use auspex_proto::vector::Status;
use auspex_proto::{Decision, EntityKind, Event, Fact, FeatureVector};
use serde::{Deserialize, Serialize};

mod builds;
mod example;

pub use builds::{most, project_of};
pub use example::Example;
use example::Waiting;

use crate::config::{Config, Rule};

/// Vectors that wait for an outcome.
const MOST_WAITING: usize = 400;
/// Deployments of one revision that are told apart.
const MOST_DEPLOYMENTS: usize = 8;
/// Bytes of the examples of one project, about: one value is below 1 MB.
const MOST_BYTES: usize = 600_000;
/// Events so much behind the log, in milliseconds, are of a past that is played in. An hour.
const PLAYED_IN: i64 = 3_600_000;

/// What is collected, and by which rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Collect {
    /// The rules.
    pub config: Config,
}

/// What is known of one project. Bounded: 400 waiting vectors, and examples of 600 kB together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    seen: Seen,
    /// The newest time of an event, in milliseconds.
    pub clock: i64,
    /// Whether the last event was far behind the log.
    played_in: bool,
    /// By revision.
    waiting: BTreeMap<String, Waiting>,
    /// Those whose outcome is known, as they became known.
    pub examples: VecDeque<Example>,
    /// Of the examples.
    pub schema: String,
    /// Name and version of their feature service.
    pub service: String,
    /// Names of their values.
    pub names: Vec<String>,
}

impl Verb for Collect {
    type State = State;

    fn route(&self, fact: &Fact) -> Route {
        if fact.project().is_all() {
            return Route::Nobody;
        }
        let project = fact.project().to_string();
        let learns = !self.config.builds.feature_service.is_empty();
        match fact {
            Fact::Vector(vector) if self.reads_build(vector) => Route::Key(builds::key(&project)),
            Fact::Vector(vector) if !self.reads(vector) => Route::Nobody,
            Fact::Event(event) if learns && builds::ends(&event.body) => {
                let builds = builds::key(&project);
                Route::Keys(vec![project, builds])
            }
            Fact::Vector(_) | Fact::Event(_) | Fact::Decision(_) => Route::Key(project),
            _ => Route::Nobody,
        }
    }

    fn absorb(&self, state: &mut State, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        if project_of(input.key).is_some() {
            self.build(state, input);
            return Ok(Vec::new());
        }
        let time = input.fact.meta().time.0.min(input.now.0);
        match input.fact {
            Fact::Vector(vector) => {
                let values = match self.config.asks_store() {
                    true => Vec::new(),
                    false => state.values(vector),
                };
                state.expect(vector, (time, input.now.0), values);
            }
            Fact::Event(event) if state.seen.admit(&event.meta.id) => self.event(state, event, time),
            Fact::Decision(decision) if decision.acts => self.decision(state, decision, time),
            _ => {}
        }
        if matches!(input.fact, Fact::Event(_)) {
            state.played_in = input.now.0.saturating_sub(time) > PLAYED_IN;
            state.clock = state.clock.max(time);
        } else if !state.played_in {
            state.clock = state.clock.max(time);
        }
        state.mature(&self.config);
        Ok(Vec::new())
    }
}

impl Collect {
    fn reads(&self, vector: &FeatureVector) -> bool {
        let name = vector.feature_service.split('@').next().unwrap_or_default();
        // Where the store is asked, any vector marks the moment.
        (self.config.asks_store() || name == self.config.feature_service)
            && vector.entity.kind != EntityKind::Run
    }

    fn counts(&self, rule: Rule) -> bool {
        self.config.failures.contains(&rule)
    }

    fn event(&self, state: &mut State, event: &Event, time: i64) {
        match &event.body {
            Body::Change(change) => {
                let waiting = state.waiting(change.revision.as_str(), time);
                waiting.happened = time;
                if self.config.asks_store() {
                    waiting.key("author", &change.author);
                }
            }
            Body::Deployment(deployment) => {
                let waiting = state.waiting(deployment.revision.as_str(), time);
                waiting.service = deployment.service.to_string();
                waiting.happened = time;
                if self.config.asks_store() {
                    waiting.key("service", deployment.service.as_str());
                    waiting.key("environment", &deployment.environment);
                }
                if waiting.deployments.len() < MOST_DEPLOYMENTS {
                    waiting.deployments.push(deployment.deployment_id.clone());
                }
            }
            Body::DeploymentStatus(status) => {
                let revision = status.revision.as_ref().map(ToString::to_string);
                let Some(revision) = revision.or_else(|| state.deployed(&status.deployment_id)) else {
                    return;
                };
                match status.state {
                    DeploymentState::Failure | DeploymentState::Error | DeploymentState::RolledBack => {
                        if self.counts(Rule::Rollback) {
                            state.settle(&revision, true, time);
                        }
                    }
                    DeploymentState::Success => {
                        state.release(&revision, status.service.as_ref().map(ToString::to_string), time)
                    }
                    DeploymentState::Pending | DeploymentState::InProgress | DeploymentState::Inactive => {}
                }
            }
            Body::Run(run) if self.counts(Rule::Pipeline) => {
                let Some(revision) = run.revision.as_ref().map(ToString::to_string) else {
                    return;
                };
                match run.phase {
                    RunPhase::Finished(Outcome::Failure | Outcome::Timeout) => {
                        state.settle(&revision, true, time)
                    }
                    RunPhase::Finished(Outcome::Success) => state.release(&revision, None, time),
                    // The CI system's own fault, or nobody's, says nothing of the change.
                    _ => {}
                }
            }
            Body::Incident(incident) if !incident.resolved && self.counts(Rule::Incident) => {
                if let Some(service) = &incident.service {
                    state.incident(service.as_str(), time, self.maturity());
                }
            }
            _ => {}
        }
    }

    fn decision(&self, state: &mut State, decision: &Decision, time: i64) {
        let revision = decision.candidate.revision.clone();
        match decision.phase {
            Phase::RolledBack => match decision.reason {
                Reason::EvidenceWorse
                | Reason::LimitCrossed
                | Reason::SilentCandidate
                | Reason::Commanded
                    if self.counts(Rule::Rollback) =>
                {
                    state.settle(&revision, true, time);
                }
                // Held back by the prediction itself, or by what has nothing to do with the change: nobody will ever know.
                _ => {
                    state.waiting.remove(&revision);
                }
            },
            Phase::Promoted => state.release(&revision, Some(decision.service.to_string()), time),
            _ => {}
        }
    }

    fn maturity(&self) -> i64 {
        i64::try_from(self.config.maturity_minutes.saturating_mul(60_000)).unwrap_or(i64::MAX)
    }
}

impl State {
    fn waiting(&mut self, revision: &str, time: i64) -> &mut Waiting {
        if self.waiting.len() >= MOST_WAITING && !self.waiting.contains_key(revision) {
            let oldest = self
                .waiting
                .iter()
                .min_by_key(|(_, w)| w.at)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.waiting.remove(&oldest);
            }
        }
        let fresh = || Waiting {
            at: time,
            ..Waiting::default()
        };
        self.waiting.entry(revision.to_owned()).or_insert_with(fresh)
    }

    /// The values of a vector.
    fn values(&mut self, vector: &FeatureVector) -> Vec<f32> {
        if vector.schema_hash != self.schema {
            // A model has one schema: what was collected under another is of no use to it.
            self.examples.clear();
            for waiting in self.waiting.values_mut() {
                waiting.values.clear();
                waiting.noted = false;
            }
            self.schema.clone_from(&vector.schema_hash);
            self.service.clone_from(&vector.feature_service);
            self.names = vector
                .features
                .iter()
                .map(|feature| feature.name.clone())
                .collect();
        }
        let value = |feature: &auspex_proto::vector::Feature| match feature.status {
            Status::Present => feature.value as f32,
            Status::Null | Status::NotFound | Status::Expired => f32::NAN,
        };
        vector.features.iter().map(value).collect()
    }

    /// Notes a vector, unless the outcome is already on its way: what was served before the release counts.
    fn expect(&mut self, vector: &FeatureVector, (time, now): (i64, i64), values: Vec<f32>) {
        let played_in = self.played_in;
        let waiting = self.waiting(vector.entity.revision.as_str(), time);
        let is_deployment = vector.entity.kind == EntityKind::Deployment;
        if waiting.released.is_some()
            || (waiting.is_noted() && !waiting.deployments.is_empty() && !is_deployment)
        {
            return;
        }
        // By now the rows of the change itself are known to the store; in a past that is played in, as far as somebody claims it.
        (waiting.at, waiting.asked) = match (played_in, waiting.happened) {
            (false, _) => (time, now),
            (true, 0) => (time, time),
            (true, happened) => (happened, happened),
        };
        (waiting.values, waiting.noted) = (values, true);
    }

    fn deployed(&self, deployment: &str) -> Option<String> {
        let holds = |waiting: &Waiting| waiting.deployments.iter().any(|id| id == deployment);
        let found = self.waiting.iter().find(|(_, waiting)| holds(waiting));
        found.map(|(revision, _)| revision.clone())
    }

    fn release(&mut self, revision: &str, service: Option<String>, time: i64) {
        if let Some(waiting) = self.waiting.get_mut(revision) {
            waiting.released.get_or_insert(time);
            if let Some(service) = service {
                waiting.service = service;
            }
        }
    }

    /// An incident is laid at the door of what was released last there, if that has not matured.
    fn incident(&mut self, service: &str, time: i64, span: i64) {
        let young = |at: &i64| *at <= time && time.saturating_sub(*at) < span;
        let last = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.service == service)
            .filter_map(|(revision, waiting)| Some((waiting.released.filter(young)?, revision.clone())))
            .max();
        if let Some((_, revision)) = last {
            self.settle(&revision, true, time);
        }
    }

    fn settle(&mut self, revision: &str, failed: bool, time: i64) {
        let Some(mut waiting) = self.waiting.remove(revision).filter(Waiting::is_noted) else {
            return;
        };
        if waiting.values.is_empty() {
            waiting.key("revision", revision);
        } else {
            waiting.asked = 0;
        }
        self.examples.push_back(Example {
            at: waiting.at,
            known: time,
            failed,
            values: waiting.values,
            asked: waiting.asked,
            keys: waiting.keys,
        });
        let mut bytes: usize = self.examples.iter().map(Example::bytes).sum();
        while bytes > MOST_BYTES {
            bytes -= self.examples.pop_front().map_or(bytes, |example| example.bytes());
        }
    }

    fn mature(&mut self, config: &Config) {
        let span = i64::try_from(config.maturity_minutes.saturating_mul(60_000)).unwrap_or(i64::MAX);
        let patience = i64::try_from(config.give_up_days.saturating_mul(86_400_000)).unwrap_or(i64::MAX);
        let clock = self.clock;
        let ripe = |waiting: &Waiting| {
            waiting
                .released
                .is_some_and(|at| at.saturating_add(span) <= clock)
        };
        let mut due: Vec<(i64, String)> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| ripe(waiting))
            .map(|(revision, waiting)| (waiting.released.unwrap_or_default(), revision.clone()))
            .collect();
        due.sort();
        for (released, revision) in due {
            self.settle(&revision, false, released.saturating_add(span));
        }
        self.waiting
            .retain(|_, waiting| waiting.at.saturating_add(patience) > clock);
    }

    /// How many vectors wait for an outcome.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.is_noted()).count()
    }
}
