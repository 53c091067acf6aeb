//! What is remembered of a project: scores that wait, and what became of those that do no longer.
//!
//! Bounded by construction: [`MOST_WAITING`] scores of at most 1 kB, [`MOST_MODELS`] models of at most 20 kB,
//! [`MOST_EXPERIMENTS`] experiments of 1 kB: below 700 kB in the worst case, some 30 kB in the usual one.

use std::collections::BTreeMap;

use auspex_judge::pairs::Gains;
use auspex_proto::score::Band;
use auspex_proto::seen::Seen;
use auspex_proto::{EntityKind, Score, Timestamp};
use serde::{Deserialize, Serialize};

use super::figures::ModelFigures;
use crate::catalog::trial::Counted;
use crate::config::{ExperimentConfig, FeedbackConfig};

/// Most scores that wait for their outcome; the oldest goes first.
pub const MOST_WAITING: usize = 500;
/// Most model versions whose figures are remembered; the one longest without an outcome goes first.
pub const MOST_MODELS: usize = 12;
/// Most experiments that are counted.
pub const MOST_EXPERIMENTS: usize = 8;
/// Bands of [`Band::of`], for what another version would have said.
const BANDS: (f64, f64) = (0.3, 0.7);
/// Probabilities are kept off 0 and 1 by this, so that one certain mistake does not decide for good.
const LEAST: f64 = 0.001;

/// What is remembered of a project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// By revision, or by run: scores without an outcome.
    pub waiting: BTreeMap<String, Waiting>,
    /// By name and version.
    pub models: BTreeMap<String, ModelFigures>,
    /// By name.
    pub experiments: BTreeMap<String, Counted>,
    /// Outcomes counted.
    pub outcomes: u64,
    /// Events absorbed.
    pub seen: Seen,
}

/// A score that waits for its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Sequence of the vector it was made of.
    pub cause: u64,
    /// When it was scored, by the log.
    pub scored: Timestamp,
    /// What it is about.
    pub kind: EntityKind,
    /// The service it runs as, once known.
    pub service: String,
    /// Its deployments.
    pub deployments: Vec<String>,
    /// A deployment has begun: later scores do not count.
    pub frozen: bool,
    /// Since when it serves users; `None`: not yet.
    pub released: Option<Timestamp>,
    /// What was predicted.
    pub said: Said,
}

/// What was predicted, and in what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// By which model.
    pub model: String,
    /// P(failure).
    pub p: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// Probability that nothing was held back because of it.
    pub propensity: f64,
    /// Its experiment; empty: none.
    pub experiment: String,
    /// Champion and challenger of it, and what each said.
    pub pair: Option<((String, f64), (String, f64))>,
}

/// A prediction and its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Matured {
    /// By which model.
    pub model: String,
    /// What was predicted.
    pub said: Said,
    /// What came of it.
    pub failed: bool,
    /// When it was known.
    pub at: Timestamp,
}

impl State {
    /// A score waits for its outcome. Of several about the same the last before its deployment began counts.
    pub fn expect(&mut self, score: &Score, now: Timestamp) {
        let key = key(
            score.entity.kind,
            &score.entity.id,
            score.entity.revision.as_str(),
        );
        let service = score
            .entity
            .service
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        match self.waiting.get_mut(&key) {
            Some(before) if before.frozen || before.cause >= score.meta.cause => return,
            Some(before) => {
                (before.cause, before.scored, before.said) = (score.meta.cause, now, said(score));
                if before.service.is_empty() {
                    before.service = service;
                }
                return;
            }
            None => {}
        }
        if self.waiting.len() >= MOST_WAITING {
            let oldest = self
                .waiting
                .iter()
                .min_by_key(|(_, w)| (w.scored, w.cause))
                .map(|(key, _)| key.clone());
            oldest.map(|key| self.waiting.remove(&key));
        }
        self.waiting.insert(
            key,
            Waiting {
                cause: score.meta.cause,
                scored: now,
                kind: score.entity.kind,
                service,
                deployments: Vec::new(),
                frozen: false,
                released: None,
                said: said(score),
            },
        );
    }

    /// Ends a wait with an outcome.
    pub fn settle(&mut self, key: &str, failed: bool, at: Timestamp) -> Option<Matured> {
        let waiting = self.waiting.remove(key)?;
        Some(Matured {
            model: waiting.said.model.clone(),
            said: waiting.said,
            failed,
            at,
        })
    }

    /// Whatever has served users for the time to maturity, and nothing happened; and what will never come is forgotten.
    pub fn due(&mut self, config: &FeedbackConfig, now: Timestamp) -> Vec<Matured> {
        let (mature, hopeless) = spans(config);
        let over = |from: Timestamp, span: i64| now.0.saturating_sub(from.0) >= span;
        let passed: Vec<String> = self
            .waiting
            .iter()
            .filter(|(_, w)| w.released.is_some_and(|at| over(at, mature)))
            .map(|(key, _)| key.clone())
            .collect();
        let matured = passed
            .iter()
            .filter_map(|key| self.settle(key, false, now))
            .collect();
        self.waiting
            .retain(|_, w| w.released.is_some() || !over(w.scored, hopeless));
        matured
    }

    /// When the next score matures or is given up.
    #[must_use]
    pub fn next_due(&self, config: &FeedbackConfig) -> Option<Timestamp> {
        let (mature, hopeless) = spans(config);
        let at = |w: &Waiting| match w.released {
            Some(released) => Timestamp(released.0.saturating_add(mature)),
            None => Timestamp(w.scored.0.saturating_add(hopeless)),
        };
        self.waiting.values().map(at).min()
    }

    /// Counts an outcome.
    pub fn count(&mut self, matured: &Matured, costs: &ExperimentConfig) {
        self.outcomes += 1;
        if !self.models.contains_key(&matured.model) && self.models.len() >= MOST_MODELS {
            let idle = self
                .models
                .iter()
                .min_by_key(|(_, m)| m.last)
                .map(|(name, _)| name.clone());
            idle.map(|name| self.models.remove(&name));
        }
        self.models
            .entry(matured.model.clone())
            .or_default()
            .count(matured);
        let (name, pair) = (&matured.said.experiment, &matured.said.pair);
        let Some(((champion, p), (challenger, q))) = pair.as_ref().filter(|_| !name.is_empty()) else {
            return;
        };
        if !self.experiments.contains_key(name) && self.experiments.len() >= MOST_EXPERIMENTS {
            let least = self
                .experiments
                .iter()
                .min_by_key(|(_, c)| c.log_loss.evidence().samples);
            let least = least.map(|(name, _)| name.clone());
            least.map(|name| self.experiments.remove(&name));
        }
        let counted = self.experiments.entry(name.clone()).or_default();
        let names = (champion.clone(), challenger.clone());
        if counted.pair != names {
            *counted = Counted {
                pair: names,
                ..Counted::default()
            };
        }
        let weight = 1.0 / matured.said.propensity.max(0.02);
        let (loss, cost) = (loss_gains(*p, *q, weight), cost_gains(*p, *q, weight, costs));
        counted.log_loss.absorb(loss, matured.failed);
        counted.cost.absorb(cost, matured.failed);
        let within = Gains {
            failed: cost.failed + costs.cost_margin,
            passed: cost.passed + costs.cost_margin,
        };
        counted.cost_within.absorb(within, matured.failed);
    }
}

fn spans(config: &FeedbackConfig) -> (i64, i64) {
    let minutes = |n: u64| i64::try_from(n.saturating_mul(60_000)).unwrap_or(i64::MAX);
    (
        minutes(config.maturity_minutes),
        minutes(config.give_up_days.saturating_mul(1_440)),
    )
}

/// Under which a score waits: what becomes of a change and of its deployment is one thing.
#[must_use]
pub fn key(kind: EntityKind, id: &str, revision: &str) -> String {
    match kind {
        EntityKind::Run => format!("run {id}"),
        EntityKind::Change | EntityKind::Deployment => format!("revision {revision}"),
    }
}

fn said(score: &Score) -> Said {
    let other = |arm: &str| {
        let own = score.trial.arm == arm || (arm == "champion" && score.trial.arm.is_empty());
        if own {
            return Some((score.model.clone(), score.p_failure));
        }
        let other = score.trial.others.iter().find(|other| other.arm == arm);
        other.map(|other| (other.model.clone(), other.p_failure))
    };
    // A shadow is judged like a challenger that is dealt nobody.
    let challenger = other("challenger").or_else(|| other("shadow"));
    Said {
        model: score.model.clone(),
        p: score.p_failure,
        low: score.low,
        high: score.high,
        propensity: score.trial.propensity,
        experiment: score.trial.experiment.clone(),
        pair: other("champion").zip(challenger),
    }
}

/// What the challenger gains in log-loss.
fn loss_gains(p: f64, q: f64, weight: f64) -> Gains {
    let (p, q) = (p.clamp(LEAST, 1.0 - LEAST), q.clamp(LEAST, 1.0 - LEAST));
    Gains {
        failed: weight * (q / p).ln(),
        passed: weight * ((1.0 - q) / (1.0 - p)).ln(),
    }
}

/// What the challenger gains in cost: a failure let through costs most at low risk, a hold most at high risk.
fn cost_gains(p: f64, q: f64, weight: f64, costs: &ExperimentConfig) -> Gains {
    let share = |p: f64| match Band::of(p, BANDS) {
        Band::Low => 0.0,
        Band::Medium => 0.5,
        Band::High => 1.0,
    };
    let (champion, challenger) = (share(p), share(q));
    Gains {
        failed: weight * costs.cost_missed * (challenger - champion),
        passed: weight * costs.cost_held * (champion - challenger),
    }
}
