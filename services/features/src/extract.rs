//! The verb: what happened becomes what is remembered, and a change or deployment becomes a vector of numbers.
//!
//! *As known at the event's time*: a vector holds what came earlier in the log and, of that, what had happened by the time
//! of its own event. So a fact that comes late changes no vector that was made before it, and a change or deployment that
//! is told late is not judged by what happened after it. Repeats are recognised by their ids and leave no trace.

use auspex_chassis::{Input, Reject, Route, Speech, Verb};
use auspex_proto::event::{Body, Change, Deployment, Run, RunPhase};
use auspex_proto::vector::{Feature, Status};
use auspex_proto::{
    Entity, EntityKind, Event, Fact, FactId, FeatureVector, Meta, ObservationBatch, Timestamp,
};

use crate::context::{Question, WorkingHours, context};
use crate::schema;
use crate::state::deployments::Deployments;
use crate::state::{State, key};
use crate::streams::{self, Made, Surroundings, Told};

/// The stage's name, in ids and as the source of its facts.
pub const STAGE: &str = "features";

/// The stage: one state per project.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract {
    /// For `off_hours`.
    pub hours: WorkingHours,
    /// What projects live in.
    pub around: Surroundings,
}

impl Verb for Extract {
    type State = State;

    fn route(&self, fact: &Fact) -> Route {
        match fact {
            Fact::Event(_) | Fact::Observations(_) if !fact.project().is_all() => {
                Route::Key(fact.project().to_string())
            }
            _ => Route::Nobody,
        }
    }

    /// Who asks absorbs himself what is not saved yet ([`auspex_chassis::View::now`]).
    fn is_seen(&self, _: &State, _: &Fact) -> bool {
        false
    }

    /// Scores go by the cause of their vector, rows by the fact that tells them.
    fn speech(&self) -> Speech {
        Speech::First
    }

    fn absorb(&self, state: &mut State, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        let (vector, made) = match input.fact {
            Fact::Event(event) => self.event(state, input, event),
            Fact::Observations(batch) => (None, self.observations(state, input, batch)),
            _ => (None, Vec::new()),
        };
        let mut facts: Vec<Fact> = vector.map(Fact::Vector).into_iter().collect();
        // The vector is the first of a fact's outputs, rows follow: their ids stay whatever else is made.
        for rows in made.into_iter().filter(|_| !self.around.silent) {
            let index = facts.len().max(1);
            facts.extend(rows.facts(input, STAGE, input.fact.project(), index));
        }
        Ok(facts)
    }
}

impl Extract {
    /// Whether an event is of any use here. What is not leaves the state as it is, so that nothing need be saved.
    fn bears(&self, body: &Body) -> bool {
        match body {
            Body::Other { .. } => false,
            Body::Run(run) => self.around.builds || matches!(run.phase, RunPhase::Finished(_)),
            Body::DeploymentStatus(status) => Deployments::concludes(status.state),
            Body::Change(_) | Body::Review(_) | Body::Deployment(_) | Body::Incident(_) => true,
        }
    }

    fn observations(&self, state: &mut State, input: &Input<'_>, batch: &ObservationBatch) -> Vec<Made> {
        if batch.observations.is_empty() || !state.batches.admit(&batch.meta.id) {
            return Vec::new();
        }
        state.as_of = state.as_of.max(input.now);
        for observation in &batch.observations {
            state.health.absorb(&batch.environment, observation, input.now);
        }
        let told = self.told(input, batch.meta.time.min(input.now), &batch.meta);
        streams::batches(&told, batch)
    }

    fn told<'a>(&'a self, input: &Input<'_>, at: Timestamp, meta: &'a Meta) -> Told<'a> {
        Told {
            at,
            now: input.now,
            id: meta.id.as_str(),
            project: &meta.project,
            around: &self.around,
            hours: &self.hours,
        }
    }

    fn event(
        &self,
        state: &mut State,
        input: &Input<'_>,
        event: &Event,
    ) -> (Option<FeatureVector>, Vec<Made>) {
        if !self.bears(&event.body) || !state.seen.admit(&event.meta.id) {
            return (None, Vec::new());
        }
        state.as_of = state.as_of.max(input.now);
        // A source's clock may run ahead; nothing has happened after the log's own time.
        let at = event.meta.time.min(input.now);
        let told = self.told(input, at, &event.meta);
        let made = match &event.body {
            Body::Change(change) => {
                let vector = self.change(state, input, event, change);
                // What tells no more than was known tells no row either.
                let told_anew = vector.is_some() && !self.around.silent;
                let remembered = state.changes.get(&change.revision).filter(|_| told_anew);
                let made = remembered.map(|remembered| streams::change(&told, change, remembered));
                return (vector, made.into_iter().collect());
            }
            Body::Deployment(deployment) => {
                return (self.deployment(state, input, event, deployment), Vec::new());
            }
            Body::Review(review) => {
                state.changes.review(review, at, input.now);
                Some(streams::review(&told, review))
            }
            Body::DeploymentStatus(status) => state.deployments.status(status, at).map(|ending| {
                let revision = status.revision.as_ref();
                let remembered = revision.and_then(|revision| state.changes.get(revision));
                streams::conclusion(&told, status, ending, remembered)
            }),
            Body::Incident(incident) => {
                state.deployments.incident(incident, at);
                Some(streams::incident(&told, incident))
            }
            Body::Run(run) => self.run(state, &told, run),
            Body::Other { .. } => None,
        };
        (None, made.into_iter().collect())
    }

    /// A run ended; or it is asked for, and nobody has told of this attempt before.
    fn run(&self, state: &mut State, told: &Told<'_>, run: &Run) -> Option<Made> {
        let attempt = || FactId::outside("run", &format!("{}\n{}", run.attempt, run.run_id));
        let first = self.around.builds && state.begun.admit(&attempt());
        let revision = run.revision.as_ref();
        match run.phase {
            RunPhase::Finished(outcome) => {
                let before = state.builds.count(key(&run.name), told.at, outcome, run.duration);
                state.changes.run(run, told.at, told.now, before);
                let remembered = revision.and_then(|revision| state.changes.get(revision));
                Some(streams::finished_run(told, run, outcome, before, remembered))
            }
            RunPhase::Queued | RunPhase::Started => first.then(|| {
                let remembered = revision.and_then(|revision| state.changes.get(revision));
                streams::asked_run(told, run, remembered)
            }),
        }
    }

    fn change(
        &self,
        state: &mut State,
        input: &Input<'_>,
        event: &Event,
        change: &Change,
    ) -> Option<FeatureVector> {
        let at = event.meta.time.min(input.now);
        let authors = &mut state.authors;
        state
            .changes
            .announce(change, input.now, |author| authors.count(author, at))?;
        let entity = Entity {
            kind: EntityKind::Change,
            id: change.revision.to_string(),
            revision: change.revision.clone(),
            service: None,
        };
        let question = Question {
            at,
            service: None,
            environment: None,
            deployment: None,
        };
        let meta = input.derive(STAGE, &event.meta.project, 0);
        Some(self.vector(state, meta, entity, question))
    }

    fn deployment(
        &self,
        state: &mut State,
        input: &Input<'_>,
        event: &Event,
        deployment: &Deployment,
    ) -> Option<FeatureVector> {
        let at = event.meta.time.min(input.now);
        if !state.deployments.ask(deployment, at) {
            return None;
        }
        let entity = Entity {
            kind: EntityKind::Deployment,
            id: deployment.deployment_id.clone(),
            revision: deployment.revision.clone(),
            service: Some(deployment.service.clone()),
        };
        let question = Question {
            at,
            service: Some(&deployment.service),
            environment: Some(deployment.environment.as_str()).filter(|told| !told.is_empty()),
            deployment: Some(&deployment.deployment_id),
        };
        let meta = input.derive(STAGE, &event.meta.project, 0);
        Some(self.vector(state, meta, entity, question))
    }

    /// The vector of an entity as the state knows it: the one function behind events, questions and training.
    /// Of a revision nobody has told about, every feature is [`Status::NotFound`].
    #[must_use]
    pub fn vector(&self, state: &State, meta: Meta, entity: Entity, question: Question<'_>) -> FeatureVector {
        let remembered = state.changes.get(&entity.revision);
        let values = remembered.map(|r| r.values()).unwrap_or_default();
        let feature = |(name, value): (&str, Option<f64>)| match value {
            Some(value) => Feature::present(name, value),
            None => Feature::absent(name, Status::NotFound),
        };
        FeatureVector {
            meta,
            wants_reasons: entity.kind == EntityKind::Deployment,
            entity,
            feature_service: schema::SERVICE.to_owned(),
            schema_hash: schema::hash().to_owned(),
            features: schema::MODEL.into_iter().zip(values.0).map(feature).collect(),
            context: context(state, remembered, question, &self.hours),
        }
    }
}
