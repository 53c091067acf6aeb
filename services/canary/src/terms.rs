//! What holds for one rollout: its document, with the configuration in the gaps. Fixed at the start, so that a change of the
//! configuration never changes a rollout under way.

pub mod size;

use std::time::Duration;

use auspex_judge::CountSettings;
use auspex_proto::decision::{Affinity, Mode};
use auspex_proto::score::Mitigation;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use auspex_proto::intent::Cohort;

use crate::document::strategy::LegChoice;
use crate::document::{
    Bake, CohortChoice, Criticality, Gates, Limits, Listed, RegionChoice, ScaleChoice, SlaChoice, Span, Spec,
    Step,
};
use crate::legs::{self, Leg};
use crate::policy::Policy;
use crate::state::window::Beat;

/// The terms of one rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are those of `Config` and `Spec`, documented there"
)]
pub struct Terms {
    pub mode: Mode,
    pub policy: Policy,
    pub limits: Limits,
    pub slo_ms: Option<f64>,
    pub metrics: Vec<Listed>,
    pub affinity: Option<Affinity>,
    pub alpha: f64,
    pub beta: f64,
    pub counts: CountSettings,
    /// The schedule alone is enough to promote.
    pub evidence_optional: bool,
    pub base_rate: f64,
    pub interval: Span,
    pub lateness: Span,
    pub score_wait: Span,
    pub score_settle: Span,
    pub min_dwell: Span,
    pub max_dwell: Span,
    pub deadline: Option<Span>,
    pub silent_after: u32,
    pub silent_rolls_back: bool,
    pub legs: Vec<Leg>,
    pub cohorts: Vec<Cohort>,
    pub mirror: u8,
    pub scale: Option<ScaleChoice>,
    pub gates: Gates,
    pub regions: Vec<RegionChoice>,
    pub bake: Bake,
    pub sla: SlaChoice,
    pub criticality: Criticality,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mitigations: Vec<Mitigation>,
}

impl Default for Terms {
    fn default() -> Self {
        Self::of(&Spec::default(), &Config::default())
    }
}

impl Terms {
    /// The terms that a document and the configuration make together.
    #[must_use]
    pub fn of(spec: &Spec, config: &Config) -> Self {
        let min_samples = spec.min_samples.unwrap_or(config.min_samples);
        Self {
            mode: spec.mode.unwrap_or(Mode::Act),
            policy: legs::policy_of(&spec.policy, spec, config),
            limits: spec.limits.clone(),
            slo_ms: spec.slo_ms,
            metrics: spec.metrics.clone(),
            affinity: spec.affinity.as_ref().and_then(crate::document::Sticky::affinity),
            alpha: spec.alpha.unwrap_or(config.alpha),
            beta: spec.beta.unwrap_or(config.beta),
            counts: CountSettings {
                margin: spec.margin.unwrap_or(config.margin),
                margin_abs: spec
                    .margin_abs
                    .unwrap_or(config.margin_abs * spec.criticality.unwrap_or_default().tolerance()),
                min_samples,
                // Silence is judged here, where the weight is known.
                silent_after: 0,
                ..CountSettings::default()
            },
            evidence_optional: min_samples == 0 || spec.strategy.rolling.is_some(),
            base_rate: config.base_rate,
            interval: config.interval,
            lateness: config.lateness,
            score_wait: spec.score_wait.unwrap_or(config.score_wait),
            score_settle: config.score_settle,
            min_dwell: spec.min_dwell.unwrap_or(config.min_dwell),
            max_dwell: spec.max_dwell.unwrap_or(config.max_dwell),
            deadline: spec.deadline,
            silent_after: config.silent_after,
            silent_rolls_back: config.silent_rolls_back,
            legs: legs::of(spec, config),
            cohorts: spec.cohorts.iter().filter_map(CohortChoice::cohort).collect(),
            mirror: spec.mirror,
            scale: scale(spec),
            gates: gates(spec, config),
            regions: spec.regions.clone(),
            bake: spec.bake.clone().unwrap_or_default(),
            sla: spec.sla.clone().unwrap_or_else(|| config.sla.clone()),
            criticality: spec.criticality.unwrap_or_default(),
            mitigations: spec.mitigations.clone(),
        }
    }

    /// The same for the first version of a service: there is nothing to compare it with, to go back to, or to protect. Everything
    /// goes to it with the first request: what would have to be so before a leg, a region or the promotion has to be so before that.
    #[must_use]
    pub fn at_once(self) -> Self {
        let whole = Step {
            set_weight: Some(100),
            ..Step::default()
        };
        Self {
            gates: self.gates.at_first(),
            policy: Policy::Steps(vec![whole]),
            legs: Vec::new(),
            metrics: Vec::new(),
            evidence_optional: true,
            score_wait: Span::seconds(0),
            score_settle: Span::seconds(0),
            cohorts: Vec::new(),
            mirror: 0,
            scale: None,
            regions: Vec::new(),
            bake: Bake::default(),
            ..self
        }
    }

    /// The measure of its intervals.
    #[must_use]
    pub fn beat(&self) -> Beat {
        Beat {
            width: self.interval.duration(),
            lateness: self.lateness.duration(),
        }
    }

    /// How long an interval stays unseen at most.
    #[must_use]
    pub fn unseen(&self) -> Duration {
        self.interval.duration() + self.lateness.duration()
    }
}

/// A rolling exchange scales both tracks as it goes.
fn scale(spec: &Spec) -> Option<ScaleChoice> {
    let rolls = |leg: &LegChoice| leg.rolling.is_some();
    let rolling = spec.strategy.rolling.is_some() || spec.strategy.pipeline.iter().flatten().any(rolls);
    spec.scale.clone().map(|scale| ScaleChoice {
        dynamic: scale.dynamic || rolling,
        ..scale
    })
}

/// The document's gates, and the windows that hold for all.
fn gates(spec: &Spec, config: &Config) -> Gates {
    let mut gates = spec.gates.clone();
    gates.freeze.extend(config.freeze.iter().cloned());
    gates
}
