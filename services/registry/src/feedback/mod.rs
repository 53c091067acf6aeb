//! Outcomes meet the scores that foretold them: the verb of the stage `feedback`.
//!
//! A score waits for what becomes of it. It failed when its deployment failed, was rolled back, or an incident of its service
//! opened while it was the last thing deployed there; a score about a CI run failed when the run did. It passed when nothing of
//! the kind has happened within the time to maturity after it succeeded: success alone is not known before. What never comes is
//! forgotten, and says nothing: no data is not a pass.
//!
//! What was held back has no outcome. Of such scores a share is let go and says so; each outcome counts with 1 / propensity
//! where the whole population is meant.

pub mod figures;
pub mod online;
pub mod outcome;
pub mod state;
#[cfg(test)]
mod tests;

use auspex_chassis::{Input, Reject, Route, Verb};
use auspex_proto::observation::Value;
use auspex_proto::{Fact, Observation, ObservationBatch, ServiceName, Timestamp, stage};

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
            state.count(one, &self.costs);
        }
        let publishes =
            |before: u64, after: u64| before / self.config.publish_every < after / self.config.publish_every;
        let after = state.outcomes;
        let before = after.saturating_sub(matured.len() as u64);
        if matured.is_empty() || !publishes(before, after) {
            return Ok(Vec::new());
        }
        Ok(observations(state, &matured, input)?.into_iter().collect())
    }

    fn due(&self, state: &State) -> Option<Timestamp> {
        state.next_due(&self.config)
    }
}

/// The figures of the models that have new outcomes.
fn observations(state: &State, matured: &[Matured], input: &Input<'_>) -> Result<Option<Fact>, Reject> {
    let project = auspex_proto::Project::new(input.key.to_owned())?;
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
