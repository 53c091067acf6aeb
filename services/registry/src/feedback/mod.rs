//! Outcomes meet the scores that foretold them: the verb of the stage `feedback`.
//!
//! A score waits for what becomes of it. It failed when its deployment failed, was rolled back, or an incident of its service
//! opened while it was the last thing deployed there; a score about a CI run failed when the run did. It passed when nothing of
//! the kind has happened within the time to maturity after it succeeded: success alone is not known before. What never comes is
//! forgotten, and says nothing: no data is not a pass.
//!
//! What was held back has no outcome. Of such scores a share is let go by chance and says so; each of those outcomes counts with
//! 1 / propensity where the whole population is meant, and those that somebody chose to see count not at all there.
//!
//! From outcomes a recalibration is learnt ([`online`]) and, once proven ([`proof`]), said as a `Model` fact of the project, which
//! scoring reads the version by; another takes it back.

pub mod figures;
pub mod learn;
pub mod online;
pub mod outcome;
pub mod proof;
pub mod state;
#[cfg(test)]
mod tests;

use auspex_chassis::{Input, Reject, Route, Verb};
use auspex_proto::observation::Value;
use auspex_proto::{
    Fact, Model, Observation, ObservationBatch, Project, Recalibration, ServiceName, Timestamp, stage,
};

use self::proof::{Back, Turn};
use self::state::{Matured, State};
use crate::config::{ExperimentConfig, FeedbackConfig};

/// The verb.
#[derive(Debug, Clone, Copy, Default)]
pub struct Feedback {
    /// How outcomes are counted.
    pub config: FeedbackConfig,
    /// What a wrong prediction costs.
    pub costs: ExperimentConfig,
}

impl Verb for Feedback {
    type State = State;

    fn route(&self, fact: &Fact) -> Route {
        match fact {
            Fact::Score(_) | Fact::Event(_) | Fact::Decision(_) if !fact.project().is_all() => {
                Route::Key(fact.project().to_string())
            }
            Fact::Tick(_) => Route::Every,
            _ => Route::Nobody,
        }
    }

    fn absorb(&self, state: &mut State, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        let mut matured = Vec::new();
        match input.fact {
            Fact::Score(score) => state.expect(score, input.now),
            Fact::Event(event) => matured.extend(outcome::event(state, event, &self.config, input.now)),
            Fact::Decision(decision) => {
                matured.extend(outcome::decision(state, decision, &self.config, input.now))
            }
            _ => {}
        }
        matured.extend(state.due(&self.config, input.now));
        for one in &matured {
            state.count(one);
            state.hold(one);
        }
        let turns = state.learn(&self.config, &self.costs, input.now);
        let publishes =
            |before: u64, after: u64| before / self.config.publish_every < after / self.config.publish_every;
        let after = state.outcomes;
        let before = after.saturating_sub(matured.len() as u64);
        let mut told = Vec::new();
        if !matured.is_empty() && publishes(before, after) {
            told.extend(observations(state, &matured, input)?);
        }
        for (name, turn) in last_of_each(turns) {
            told.extend(recalibration(state, &name, turn, input, told.len())?);
        }
        Ok(told)
    }

    fn due(&self, state: &State) -> Option<Timestamp> {
        state.next_due(&self.config)
    }
}

/// Of several turns of a version the last stands.
fn last_of_each(turns: Vec<(String, Turn)>) -> std::collections::BTreeMap<String, Turn> {
    turns.into_iter().collect()
}

/// What a turn says to whoever scores: how a version is to be read in this project from now on.
fn recalibration(
    state: &State,
    name: &str,
    turn: Turn,
    input: &Input<'_>,
    index: usize,
) -> Result<Option<Fact>, Reject> {
    let Some((model, version)) = name.rsplit_once('@') else {
        return Ok(None);
    };
    let figures = state.models.get(name);
    let offer = figures.and_then(|figures| figures.proof.offer);
    let (removed, note) = match turn {
        Turn::Serves { log_e } => (
            false,
            format!("it tells more than the version by itself: log e-value {log_e:.2}"),
        ),
        Turn::Renewed => (false, "it has learnt".to_owned()),
        Turn::Returns(Back::Worse(log_e)) => (
            true,
            format!("the version tells more by itself: log e-value {log_e:.2}"),
        ),
        Turn::Returns(Back::Stale) => (true, "no outcome has been heard of for too long".to_owned()),
        Turn::Returns(Back::Forgotten) => (true, "newer versions have taken its place".to_owned()),
    };
    let Some(offer) = offer.or(removed.then_some(NOTHING)) else {
        return Ok(None);
    };
    let project = Project::new(input.key.to_owned())?;
    let meta = input.derive(stage::FEEDBACK.name, &project, index);
    Ok(Some(Fact::Model(Model {
        removed,
        actor: stage::FEEDBACK.name.to_owned(),
        note,
        ..Model::reading(meta, (model, version), offer)
    })))
}

/// What is taken back when nobody knows any more what it was.
const NOTHING: Recalibration = Recalibration {
    slope: 1.0,
    offset: 0.0,
    from: 0.0,
    to: 1.0,
    variances: [0.0; 3],
    outcomes: 0,
    log_e: 0.0,
};

/// The figures of the models that have new outcomes.
fn observations(state: &State, matured: &[Matured], input: &Input<'_>) -> Result<Option<Fact>, Reject> {
    let project = Project::new(input.key.to_owned())?;
    let mut names: Vec<&str> = matured.iter().map(|one| one.model.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        let Some(model) = state.models.get(name) else {
            continue;
        };
        // A model stands where a service stands in what others measure: it is what is observed.
        let service = ServiceName::new(name.to_owned())?;
        let observe = |metric: String, value: Value| Observation {
            service: service.clone(),
            track: None,
            region: String::new(),
            metric,
            instance: stage::FEEDBACK.name.to_owned(),
            start: input.now,
            length: std::time::Duration::from_millis(1),
            value,
        };
        found.extend(
            model
                .measured()
                .into_iter()
                .map(|(metric, value)| observe(metric, value)),
        );
    }
    if found.is_empty() {
        return Ok(None);
    }
    Ok(Some(Fact::Observations(ObservationBatch {
        meta: input.derive(stage::FEEDBACK.name, &project, 0),
        observations: found,
        applied: Vec::new(),
        environment: String::new(),
    })))
}
