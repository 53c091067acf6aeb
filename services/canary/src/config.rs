//! Settings of the section `[canary]`. Every one of them can be overridden by a `Rollout` document where that makes sense.

use std::collections::BTreeMap;

use auspex_chassis::Settings;
use serde::{Deserialize, Serialize};

use crate::document::gates::Window;
use crate::document::{SlaChoice, Span, Spec, Tracks};
use crate::policy::{Adaptive, Budget};
use crate::state::history::Clock;

/// Settings of canary control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Width of the intervals in which evidence is counted. Default 1 s: what the embedded proxy reports.
    pub interval: Span,
    /// How long after its end an interval stays open for what comes late. Default 1 s: one more report of every proxy.
    pub lateness: Span,
    /// How long to wait at weight 0 for the score. Default 30 s.
    pub score_wait: Span,
    /// How long a score of the revision alone waits for the better informed one of the deployment. Default 3 s.
    pub score_settle: Span,
    /// P(failure) when no score comes, within (0, 1). Default 0.1: what teams commonly report of their changes.
    pub base_rate: f64,
    /// Greatest share of healthy rollouts that may be rolled back on evidence, within (0, 0.5]. Default 0.01.
    pub alpha: f64,
    /// Greatest probability of letting a candidate pass that is worse by the margin, within (0, 0.5]. Default 0.05.
    pub beta: f64,
    /// Relative risk that may not be let through, above 1. Default 1.25.
    pub margin: f64,
    /// Difference of the rates that is of no concern at medium criticality, a share of requests; low: twice, high: half,
    /// critical: a fifth of it. Default 0.01: with 1 % of errors on both tracks, proven after some 2,000 requests.
    pub margin_abs: f64,
    /// Requests of the candidate below which there is no verdict. Default 50.
    pub min_samples: u64,
    /// Intervals in which a served baseline beside a silent candidate is suspicious. Default 5; it also takes ten requests
    /// that the candidate should have had.
    pub silent_after: u32,
    /// Whether a silent candidate is rolled back (true) or held (false). Default false.
    pub silent_rolls_back: bool,
    /// Least time between two raises. Default 5 s: an interval, its lateness, and a few to see.
    pub min_dwell: Span,
    /// Longest time at one weight before a person is asked. Default 1 h.
    pub max_dwell: Span,
    /// The default policy, and what a document's `budget` leaves out.
    pub budget: Budget,
    /// What a document's `adaptive` leaves out.
    pub adaptive: Adaptive,
    /// Environments whose deployments start a configured rollout; empty: all. Default empty. A deployment that brings its
    /// own document starts it wherever.
    pub environments: Vec<String>,
    /// Rollouts by `project/service`, by service, or for all (`*`), the nearest counts: what a deployment starts that
    /// brings no document of its own.
    pub rollouts: BTreeMap<String, Spec>,
    /// When nothing is raised, whatever a document says: windows as in a document's `gates.freeze`. Default empty.
    pub freeze: Vec<Window>,
    /// What a rollout may cost its users, where its document does not say. Default 99.9 %, 30 s of impact, 2 m to return.
    pub sla: SlaChoice,
    /// Whether checks may run programs on the machine of this service. Default false: whoever may start a rollout could run
    /// anything there.
    pub allow_commands: bool,
    /// Where the tracks of a service are found when neither document nor event says it.
    pub targets: BTreeMap<String, Tracks>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Span::seconds(1),
            lateness: Span::seconds(1),
            score_wait: Span::seconds(30),
            score_settle: Span::seconds(3),
            base_rate: 0.1,
            alpha: 0.01,
            beta: 0.05,
            margin: 1.25,
            margin_abs: 0.01,
            min_samples: 50,
            silent_after: 5,
            silent_rolls_back: false,
            min_dwell: Span::seconds(5),
            max_dwell: Span::seconds(3_600),
            budget: Budget::default(),
            adaptive: Adaptive::default(),
            environments: Vec::new(),
            rollouts: BTreeMap::new(),
            freeze: Vec::new(),
            sla: SlaChoice::default(),
            allow_commands: false,
            targets: BTreeMap::new(),
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !(100..=600_000).contains(&self.interval.duration().as_millis()) {
            found.push(format!("interval: {} is not within 100ms..=10m", self.interval));
        }
        if self.lateness.duration().as_secs() > 600 {
            found.push(format!("lateness: {} is above 10m", self.lateness));
        }
        if self.silent_after == 0 {
            found.push("silent_after: 0 would call every candidate silent".to_owned());
        }
        // The defaults are held to what a document is held to.
        let defaults = Spec {
            alpha: Some(self.alpha),
            beta: Some(self.beta),
            margin: Some(self.margin),
            margin_abs: Some(self.margin_abs),
            policy: self.policies(),
            ..Spec::default()
        };
        found.extend(defaults.problems("canary"));
        if !(self.base_rate > 0.0 && self.base_rate < 1.0) {
            found.push(format!("base_rate: {} is not within (0, 1)", self.base_rate));
        }
        let adaptive = crate::document::PolicyChoice {
            adaptive: Some(choice(&self.adaptive)),
            ..Default::default()
        };
        let bands = Spec {
            policy: adaptive,
            ..Spec::default()
        };
        found.extend(bands.problems("canary"));
        // The keys stand in one section here, not below `policy` as in a document.
        let plain = |fault: String| fault.replacen("canary.", "", 1).replacen("policy.", "", 1);
        let mut found: Vec<String> = found.into_iter().map(plain).collect();
        for (at, window) in self.freeze.iter().enumerate() {
            found.extend(window.faults(&format!("freeze[{at}]")));
        }
        for (key, spec) in &self.rollouts {
            found.extend(spec.problems(&format!("rollouts.{key}")));
        }
        let waits = |(key, spec): (&String, &Spec)| {
            let service = key.rsplit_once('/').map_or(key.as_str(), |(_, service)| service);
            let others = spec.gates.dependencies.iter().map(|d| d.service.clone());
            (service.to_owned(), others.collect())
        };
        if let Some(cycle) = crate::document::cycle(&self.rollouts.iter().map(waits).collect()) {
            found.push(format!("rollouts: {} wait for each other", cycle.join(" -> ")));
        }
        found
    }
}

impl Config {
    /// Width and lateness of the intervals before a rollout.
    pub(crate) fn clock(&self) -> Clock {
        Clock {
            width: self.interval.duration(),
            lateness: self.lateness.duration(),
        }
    }

    fn policies(&self) -> crate::document::PolicyChoice {
        let b = &self.budget;
        crate::document::PolicyChoice {
            budget: Some(crate::document::BudgetChoice {
                harmed: Some(b.harmed),
                stake: Some(b.stake),
                first_weight: Some(b.first_weight),
                growth: Some(b.growth),
                ceiling: Some(b.ceiling),
                plausible_effect: Some(b.plausible_effect),
            }),
            ..Default::default()
        }
    }
}

fn choice(a: &Adaptive) -> crate::document::AdaptiveChoice {
    crate::document::AdaptiveChoice {
        high: Some(a.high),
        moderate: Some(a.moderate),
        low: Some(a.low),
        fast: Some(a.fast),
        gradual: Some(a.gradual),
        limit: Some(a.limit),
        ceiling: Some(a.ceiling),
        rollback: Some(a.rollback),
        preset: Some(a.preset),
        below: Some(a.below),
        above: Some(a.above),
        p_failure: Some(a.p_failure),
        error_rate: Some(a.error_rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_every_mistake_is_named() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            interval: Span::millis(1),
            alpha: 0.0,
            base_rate: 1.0,
            budget: Budget {
                growth: 0.5,
                ..Budget::default()
            },
            adaptive: Adaptive {
                high: 2.0,
                ..Adaptive::default()
            },
            ..Config::default()
        };
        let found = wrong.problems();
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(
            found.iter().any(|f| f.starts_with("budget.growth: 0.5")),
            "{found:?}"
        );
    }
}
