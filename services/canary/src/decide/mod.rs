//! The verb: from scores, observations, events, commands and ticks to decisions.
//!
//! What arrives between two ticks only accumulates; intervals close, evidence is judged and weights are raised on ticks, so
//! that neither the order nor the batches in which observations arrive can change a decision. Events, commands and scores
//! act at once.

mod actuate;
mod again;
mod approve;
mod bake;
mod close;
mod command;
mod course;
mod gates;
pub mod judge;
mod prior;
mod room;
mod rules;
mod start;
mod succession;
mod voice;
mod wake;

pub(crate) use self::actuate::sampling;
pub(crate) use self::again::undone;
pub(crate) use self::course::{past, switch};
pub(crate) use self::gates::instant;
pub(crate) use self::rules::differs;

use auspex_chassis::{Input, Reject, Route, Speech, Verb};
use auspex_proto::decision::Phase;
use auspex_proto::event::Body;
use auspex_proto::observation::Applied;
use auspex_proto::{EntityKind, Fact, ObservationBatch, Project, Tick, Timestamp};

use self::voice::Voice;
use crate::config::Config;
use crate::state::history::Clock;
use crate::state::rollout::MOST_ROUTERS_TOGETHER;
use crate::state::window::{MOST_SEEN, MOST_SEEN_TOGETHER, Now};
use crate::state::{State, Ticked};

/// The canary's verb, with its configuration.
#[derive(Debug, Clone, Default)]
pub struct Decide {
    config: Config,
}

impl Decide {
    /// With this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Verb for Decide {
    type State = State;

    fn route(&self, fact: &Fact) -> Route {
        match fact {
            Fact::Tick(_) => Route::Every,
            Fact::Event(event) if !matches!(event.body, Body::Deployment(_)) => Route::Nobody,
            // What becomes of a build is for its CI system to mind.
            Fact::Score(score) if score.entity.kind == EntityKind::Run => Route::Nobody,
            Fact::Event(_) | Fact::Observations(_) | Fact::Score(_) | Fact::Command(_) => {
                let project = fact.project();
                // What bears on all projects (freezes, dependencies) says nothing to control yet.
                if project.is_all() {
                    Route::Nobody
                } else {
                    Route::Key(project.to_string())
                }
            }
            _ => Route::Nobody,
        }
    }

    fn absorb(&self, state: &mut State, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        let project = Project::new(input.key)?;
        let mut voice = Voice::new(input, project);
        match input.fact {
            Fact::Event(event) => start::by_event(&self.config, state, event, &mut voice)?,
            Fact::Command(command) => command::carry_out(&self.config, state, command, &mut voice)?,
            Fact::Score(score) => prior::learn(&self.config, state, score, &mut voice),
            Fact::Observations(batch) => observe(self.config.clock(), state, batch, input.now),
            Fact::Tick(tick) => pass(&self.config, state, tick, &mut voice),
            _ => {}
        }
        Ok(voice.into_facts())
    }

    /// Of rollouts that are over nothing changes but when routers were back; what users get meanwhile is for the next one, as a
    /// score is that is about none under way. Time alone shows nothing of one that waits for its score.
    fn is_seen(&self, state: &State, fact: &Fact) -> bool {
        let mut active = state.active.values();
        match fact {
            Fact::Score(score) => active.any(|rollout| prior::is_about(score, rollout)),
            Fact::Tick(_) => active.any(|rollout| rollout.phase != Phase::Waiting),
            _ => active.next().is_some(),
        }
    }

    /// Nobody else writes decisions, and the same facts give the same ones: a word that moves weights is refused by the log itself
    /// where a newer owner has spoken.
    fn speech(&self) -> Speech {
        Speech::Fenced
    }

    fn due(&self, state: &State) -> Option<Timestamp> {
        state
            .active
            .values()
            .map(|rollout| wake::at(rollout, state.ticked.0))
            .min()
    }
}

/// Observations accumulate, and nothing else: for the rollout of their service, else for the history of its next one.
fn observe(clock: Clock, state: &mut State, batch: &ObservationBatch, now: Timestamp) {
    state.histories.forget(now, clock);
    let most = MOST_SEEN.min(MOST_SEEN_TOGETHER / state.active.len().max(1));
    for seen in &batch.observations {
        let service = seen.service.as_str();
        let Some(rollout) = state.active.get_mut(service) else {
            state.histories.add(seen, now, clock);
            continue;
        };
        state.histories.touch(service, now, clock);
        if let Some(track) = seen.track {
            let (width, listed) = (rollout.terms.interval.duration(), &rollout.terms.metrics);
            rollout.window.add((seen, track), (width, most), listed, now);
        }
    }
    let share = MOST_ROUTERS_TOGETHER / state.active.len().max(1);
    for applied in &batch.applied {
        match state.active.get_mut(applied.service.as_str()) {
            Some(rollout) => rollout.applied(applied, batch.meta.time, share),
            None => returned(state, applied, now),
        }
    }
}

/// A router is seen at 0 after a rollback: so long it took.
fn returned(state: &mut State, applied: &Applied, now: Timestamp) {
    let mut newest = state.ended.iter_mut().rev();
    let newest = newest.find(|ended| ended.service == applied.service);
    let Some(ended) = newest.filter(|ended| ended.phase == Phase::RolledBack) else {
        return;
    };
    let of_it = ended.last.as_ref().map(|last| &last.meta.id) == applied.decision.as_ref();
    if of_it && applied.weight == 0 && !applied.report.scaler && ended.toll.back.is_none() {
        ended.edit().toll.back = Some(now);
    }
}

/// Time passes: intervals close, what they say is judged, and each rollout goes on or ends.
fn pass(config: &Config, state: &mut State, tick: &Tick, voice: &mut Voice<'_>) {
    if state.active.is_empty() || tick.boundary <= state.ticked.0 {
        return;
    }
    state.ticked = Ticked(tick.boundary);
    let moment = Now {
        boundary: tick.boundary,
        previous: tick.previous.unwrap_or_default(),
    };
    let blocked = start::blocked(state);
    // One after the other: what begins behind one that ends has to see the rest as under way.
    for service in state.active.keys().cloned().collect::<Vec<_>>() {
        let Some(mut rollout) = state.active.remove(&service) else {
            continue;
        };
        rollout.course.blocked = blocked.get(&service).cloned();
        close::close(&mut rollout, moment);
        prior::settle(&mut rollout, &state.scores, &mut state.portfolio, voice);
        rules::tick(&mut rollout, voice);
        succession::settle(config, state, rollout, voice);
    }
}
