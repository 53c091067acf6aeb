//! What a strategy means: legs, one after the other. A plain canary is one leg; so every strategy and pipeline runs through
//! the same rules.

mod beside;

use serde::{Deserialize, Serialize};

pub use self::beside::{Beside, steps};
use crate::config::Config;
use crate::document::strategy::{Ab, BlueGreen, Canary, LegChoice, Rolling};
use crate::document::{Pause, PolicyChoice, Span, Spec, Step};
use crate::policy::Policy;

/// One leg.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// By which gates refer to it.
    pub name: String,
    /// What it does.
    pub kind: Kind,
}

/// What a leg does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// Named cohorts alone, for a time.
    Cohorts {
        /// How long.
        dwell: Span,
    },
    /// A policy raises the weight up to here.
    Ramp {
        /// Which.
        policy: Policy,
        /// Percent.
        to: u8,
    },
    /// A split for a time; then a goal decides.
    Split(Ab),
    /// Everything in one go, after a preview.
    Switch(BlueGreen),
    /// Batch by batch, as instances become ready.
    Roll(Vec<Step>),
}

impl Leg {
    /// As people read it.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::Cohorts { .. } => "cohorts",
            Kind::Ramp { .. } => "canary",
            Kind::Split(_) => "ab",
            Kind::Switch(_) => "blue_green",
            Kind::Roll(_) => "rolling",
        }
    }
}

/// The legs of a document.
#[must_use]
pub fn of(spec: &Spec, config: &Config) -> Vec<Leg> {
    let mut legs = Vec::new();
    if let Some(dwell) = spec.cohorts_first {
        let kind = Kind::Cohorts { dwell };
        let name = "cohorts".to_owned();
        legs.push(Leg { name, kind });
    }
    let choice = &spec.strategy;
    if let Some(pipeline) = &choice.pipeline {
        let mut reached = 0;
        for leg in pipeline {
            legs.push(one(leg, spec, config, reached));
            reached = reaches(leg);
        }
        return legs;
    }
    let single = LegChoice {
        name: String::new(),
        canary: choice.canary.clone(),
        blue_green: choice.blue_green.clone(),
        ab: choice.ab.clone(),
        rolling: choice.rolling.clone(),
    };
    legs.push(one(&single, spec, config, 0));
    legs
}

/// The candidate's share, percent, where a leg has ended that another one follows.
fn reaches(leg: &LegChoice) -> u8 {
    match (&leg.canary, &leg.ab) {
        (Some(canary), _) => canary.to.unwrap_or(100),
        (None, Some(split)) => split.split,
        (None, None) => 0,
    }
}

/// One leg that begins with so many percent.
fn one(leg: &LegChoice, spec: &Spec, config: &Config, from: u8) -> Leg {
    let kind = match (&leg.blue_green, &leg.ab, &leg.rolling) {
        (Some(switch), _, _) => Kind::Switch(switch.clone()),
        (_, Some(split), _) => Kind::Split(split.clone()),
        (_, _, Some(rolling)) => Kind::Roll(batches(rolling, from)),
        _ => {
            let Canary { to, policy } = leg.canary.clone().unwrap_or_default();
            let choice = policy.as_ref().unwrap_or(&spec.policy);
            Kind::Ramp {
                policy: policy_of(choice, spec, config),
                to: to.unwrap_or(100).min(100),
            }
        }
    };
    let name = leg.called();
    let name = if name.is_empty() {
        "canary".to_owned()
    } else {
        name
    };
    Leg { name, kind }
}

/// The policy of a choice, with the configuration in its gaps.
#[must_use]
pub fn policy_of(choice: &PolicyChoice, spec: &Spec, config: &Config) -> Policy {
    if let Some(steps) = &choice.steps {
        return Policy::Steps(steps.clone());
    }
    if let Some(adaptive) = &choice.adaptive {
        return Policy::Adaptive(adaptive.over(&config.adaptive));
    }
    let configured = config.budget.of(spec.criticality.unwrap_or_default());
    Policy::Budget(choice.budget.clone().unwrap_or_default().over(&configured))
}

/// Batch by batch from so many percent on: what the leg before has reached stays.
fn batches(rolling: &Rolling, from: u8) -> Vec<Step> {
    let batch = usize::from(rolling.batch.clamp(1, 100));
    let weights = (from.min(100)..100).step_by(batch).skip(1);
    let pause = Pause {
        duration: Some(rolling.pause),
    };
    weights
        .flat_map(|weight| {
            let set = Step {
                set_weight: Some(weight),
                ..Step::default()
            };
            let wait = Step {
                pause: Some(pause.clone()),
                ..Step::default()
            };
            [set, wait]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_go_up_to_everything() {
        let weights = |batch, from| {
            let rolling = Rolling {
                batch,
                ..Rolling::default()
            };
            batches(&rolling, from)
                .iter()
                .filter_map(|step| step.set_weight)
                .collect::<Vec<_>>()
        };
        assert_eq!(weights(25, 0), [25, 50, 75]);
        assert_eq!(weights(40, 0), [40, 80]);
        assert_eq!(weights(100, 0), [0; 0]);
        assert_eq!(weights(25, 50), [75]);
        assert_eq!(weights(20, 30), [50, 70, 90]);
        assert_eq!(weights(10, 100), [0; 0]);
    }

    #[test]
    fn a_plain_document_is_one_canary() {
        let legs = of(&Spec::default(), &Config::default());
        assert!(matches!(
            legs.as_slice(),
            [Leg {
                kind: Kind::Ramp { to: 100, .. },
                ..
            }]
        ));
    }
}
