//! What is kept of a plan while its rollout is under way: where the rollout stands, and its runs.

use std::collections::BTreeMap;

use auspex_argo::course::{Course, Sign};
use auspex_argo::plan::{Plan, When};
use auspex_argo::run::Run;
use auspex_proto::decision::{Action, Decision, Phase, Reason};
use serde::{Deserialize, Serialize};

/// A run of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    /// The how-manieth.
    pub number: u32,
    /// It.
    pub run: Run,
    /// What it said has been passed on.
    pub told: bool,
    /// How often the rollout had been resumed when it began.
    pub resumed: u32,
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Which start of the rollout; empty: none yet.
    pub start: String,
    /// Runs by name.
    pub attempts: BTreeMap<String, Attempt>,
}

/// What control has said of the rollout so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// Where it stands.
    pub course: Course,
    /// The decision with which it began.
    pub start: String,
    /// Sequence of the last decision.
    pub seq: u64,
    /// The version users are on.
    pub stable: String,
    /// The version on trial.
    pub candidate: String,
    /// P(failure) at the start.
    pub score: Option<f64>,
}

impl Heard {
    /// Takes a decision in; an older one than the last is passed over.
    pub fn absorb(&mut self, plan: &Plan, decision: &Decision, seq: u64) {
        if seq <= self.seq {
            return;
        }
        self.seq = seq;
        if decision.action == Action::Start {
            self.start = decision.meta.id.as_str().to_owned();
        }
        self.stable.clone_from(&decision.stable.revision);
        self.candidate.clone_from(&decision.candidate.revision);
        if decision.score.is_some() {
            self.score = Some(decision.prior);
        }
        if let Some(sign) = sign(decision) {
            self.course.absorb(&plan.steps, sign);
        }
        if let Some(step) = decision.step.and_then(|step| usize::try_from(step).ok()) {
            self.course.stand(step);
        }
    }
}

/// What a decision says of the steps.
fn sign(decision: &Decision) -> Option<Sign> {
    Some(match (decision.action, decision.phase, decision.reason) {
        (_, Phase::Promoted | Phase::RolledBack, _) => Sign::Over,
        (Action::Start, ..) => Sign::Begun,
        (Action::Pause, Phase::Baking, _) => Sign::Held,
        (Action::Resume, Phase::Baking, _) => Sign::Resumed,
        (Action::Bake, ..) | (_, Phase::Baking, _) => Sign::Switched,
        (Action::Advance, ..) => Sign::Weight(decision.weight),
        (Action::Pause, _, Reason::StepWait) => Sign::Paused,
        (Action::Pause, ..) => Sign::Held,
        (Action::Hold, _, Reason::StepWait) => Sign::Waits,
        (Action::Resume, ..) => Sign::Resumed,
        _ => return None,
    })
}

/// What a run that is over asks of its rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Nothing.
    Nothing,
    /// Back to stable.
    Abort,
    /// A person has to look.
    Pause,
    /// On with the steps.
    Resume,
    /// The switch may come, or be for good, as far as this run is concerned.
    Approve,
}

/// What follows from a run that is over.
#[must_use]
pub fn follows(when: &When, run: &Run) -> Follows {
    use auspex_argo::phase::Phase as P;
    match (when, run.phase) {
        (When::Now, _) => Follows::Nothing,
        (_, P::Failed | P::Error) => Follows::Abort,
        (When::Step(_), P::Successful) => Follows::Resume,
        (When::PrePromotion | When::PostPromotion, P::Successful) => Follows::Approve,
        (_, P::Successful) => Follows::Nothing,
        // A step is held already: it stays so until somebody resumes.
        (When::Step(_) | When::PrePromotion, _) => Follows::Nothing,
        _ => Follows::Pause,
    }
}

/// Whether a run is over and has left open what it was asked: it is measured anew when somebody lets the rollout go on.
#[must_use]
pub fn is_open(run: &Run) -> bool {
    use auspex_argo::phase::Phase as P;
    matches!(run.phase, P::Inconclusive | P::NoData)
}

impl Record {
    /// Forgets the runs of an earlier start.
    pub fn renew(&mut self, heard: &Heard) {
        if self.start != heard.start {
            *self = Self {
                start: heard.start.clone(),
                attempts: BTreeMap::new(),
            };
        }
    }

    /// Measurements that a process took with it are taken again.
    pub fn take_up(&mut self) {
        for attempt in self.attempts.values_mut() {
            attempt.run.forget_unfinished();
        }
    }
}
