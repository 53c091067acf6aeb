//! What is remembered of a project: scores that wait, and what became of those that do no longer.
//!
//! Bounded by construction: [`MOST_WAITING`] scores of at most 1 kB, [`MOST_HELD`] outcomes of half of that, [`MOST_MODELS`]
//! models of at most 20 kB, [`MOST_EXPERIMENTS`] experiments of 1 kB: below 900 kB in the worst case, some 30 kB in the usual one.

use std::collections::BTreeMap;

use auspex_proto::seen::Seen;
use auspex_proto::{EntityKind, Score, Timestamp};
use serde::{Deserialize, Serialize};

use super::figures::ModelFigures;
use super::learn::Held;
use crate::catalog::trial::Counted;
use crate::config::FeedbackConfig;

/// Most scores that wait for their outcome; the oldest goes first.
pub const MOST_WAITING: usize = 500;
/// Most model versions whose figures are remembered; the one longest without an outcome goes first.
pub const MOST_MODELS: usize = 12;
/// Most experiments that are counted.
pub const MOST_EXPERIMENTS: usize = 8;
/// Most versions that speak of one vector: champion, challenger, shadow.
const MOST_HEARD: usize = 3;
/// Most outcomes that are known and not learnt from yet.
pub const MOST_HELD: usize = 250;
/// Propensities are kept above this: an outcome counts for 50 at most.
const LEAST_PROPENSITY: f64 = 0.02;

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
    /// Known outcomes, in the order in which they will be learnt from.
    pub held: Vec<Held>,
    /// From the beginning of the last deployment that passed until that was known, in milliseconds.
    pub lag_ms: i64,
    /// Versions whose figures went while their recalibration was served: that is still to be told.
    pub forgotten: Vec<String>,
    /// When a score was last dropped whose deployment had begun.
    pub lost: Option<Timestamp>,
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
    /// Since when a deployment is under way: later scores do not count. `None`: none is.
    #[serde(default)]
    pub begun: Option<Timestamp>,
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
    /// It would have been held back, and was let go to learn what becomes of such.
    #[serde(default)]
    pub quota: bool,
    /// What the version says by itself; `None`: `p`.
    #[serde(default)]
    pub raw: Option<f64>,
    /// Each version that spoke: what it said by itself, and what its recalibration would have made of it then.
    #[serde(default)]
    pub heard: Vec<Heard>,
    /// Its experiment; empty: none.
    pub experiment: String,
    /// Champion and challenger of it, and what each said.
    pub pair: Option<((String, f64), (String, f64))>,
}

/// What one version said of a vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Which.
    pub model: String,
    /// By itself.
    pub raw: f64,
    /// By its recalibration as that stood when the score was made; `None`: there was none.
    pub told: Option<f64>,
}

impl Said {
    /// For how many of its kind the outcome stands. Of what is to be held back only a share is let go by chance, and stands for
    /// all of them; another such outcome was seen because somebody chose to, and stands for nothing but itself.
    #[must_use]
    pub fn weight(&self) -> f64 {
        if self.quota {
            1.0 / self.propensity.max(LEAST_PROPENSITY)
        } else if self.propensity < 1.0 {
            0.0
        } else {
            1.0
        }
    }
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
    /// When it may be learnt from: not before it would have been known had it come out otherwise.
    pub ripe: Timestamp,
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
        let said = self.said(score);
        match self.waiting.get_mut(&key) {
            Some(before) if before.begun.is_some() || before.cause >= score.meta.cause => return,
            Some(before) => {
                (before.cause, before.scored, before.said) = (score.meta.cause, now, said);
                if before.service.is_empty() {
                    before.service = service;
                }
                return;
            }
            None => {}
        }
        self.make_room(now);
        self.waiting.insert(
            key,
            Waiting {
                cause: score.meta.cause,
                scored: now,
                kind: score.entity.kind,
                service,
                deployments: Vec::new(),
                begun: None,
                released: None,
                said,
            },
        );
    }

    /// The oldest goes: of those that nobody has deployed, while there are any.
    fn make_room(&mut self, now: Timestamp) {
        if self.waiting.len() < MOST_WAITING {
            return;
        }
        let order = |w: &Waiting| (w.begun.is_some(), w.scored, w.cause);
        let oldest = self.waiting.iter().min_by_key(|(_, w)| order(w));
        let oldest = oldest.map(|(key, _)| key.clone());
        let gone = oldest.and_then(|key| self.waiting.remove(&key));
        if gone.is_some_and(|w| w.begun.is_some()) {
            self.lost = Some(now);
        }
    }

    /// What was predicted, by each version that spoke.
    fn said(&self, score: &Score) -> Said {
        let heard = |model: &str, raw: f64| Heard {
            model: model.to_owned(),
            raw,
            told: self.models.get(model).and_then(|m| m.proof.told(raw)),
        };
        let others = score.trial.others.iter();
        let others = others.map(|other| heard(&other.model, other.raw.unwrap_or(other.p_failure)));
        let heard: Vec<Heard> = std::iter::once(heard(&score.model, score.raw()))
            .chain(others)
            .take(MOST_HEARD)
            .collect();
        Said {
            model: score.model.clone(),
            p: score.p_failure,
            raw: score.recalibration.map(|r| r.raw),
            low: score.low,
            high: score.high,
            propensity: score.trial.propensity,
            quota: score.trial.quota,
            heard,
            experiment: score.trial.experiment.clone(),
            pair: pair(score),
        }
    }

    /// Ends a wait with an outcome.
    ///
    /// That something failed is known at once, that it passed only when it has lasted. Learnt from as they come, the failures of
    /// the last day would be without the successes that belong to them; so a failure is held as long as a success takes.
    pub fn settle(
        &mut self,
        key: &str,
        failed: bool,
        at: Timestamp,
        config: &FeedbackConfig,
    ) -> Option<Matured> {
        let waiting = self.waiting.remove(key)?;
        let (mature, _) = spans(config);
        let begun = waiting.begun.unwrap_or(at);
        let ripe = match (waiting.kind, failed) {
            (EntityKind::Run, _) => at,
            (_, true) => Timestamp(begun.0.saturating_add(self.lag_ms.max(mature))).max(at),
            (_, false) => {
                let released = waiting.released.unwrap_or(begun);
                self.lag_ms = mature.saturating_add(released.0.saturating_sub(begun.0));
                at
            }
        };
        Some(Matured {
            model: waiting.said.model.clone(),
            said: waiting.said,
            failed,
            at,
            ripe,
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
            .filter_map(|key| self.settle(key, false, now, config))
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
        let held = self.held.first().map(|held| held.ripe);
        let waiting = self.waiting.values().map(at).min();
        let stale = self
            .models
            .values()
            .filter_map(|model| model.stale_at(hopeless))
            .min();
        [held, waiting, stale].into_iter().flatten().min()
    }

    /// Counts an outcome in the figures of the version that scored.
    pub fn count(&mut self, matured: &Matured) {
        self.outcomes += 1;
        self.figures(&matured.model).count(matured);
    }

    /// The figures of a version; when there is no room for another, those longest without an outcome go.
    pub(super) fn figures(&mut self, model: &str) -> &mut ModelFigures {
        if !self.models.contains_key(model) && self.models.len() >= MOST_MODELS {
            let idle = self.models.iter().min_by_key(|(_, m)| m.last);
            let idle = idle.map(|(name, _)| name.clone());
            let gone = idle.and_then(|name| Some((name.clone(), self.models.remove(&name)?)));
            if let Some((name, _)) = gone.filter(|(_, m)| m.proof.since.is_some()) {
                self.forgotten.push(name);
            }
        }
        self.models.entry(model.to_owned()).or_default()
    }
}

pub(super) fn spans(config: &FeedbackConfig) -> (i64, i64) {
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

/// Champion and challenger of an experiment, and what each said.
fn pair(score: &Score) -> Option<((String, f64), (String, f64))> {
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
    other("champion").zip(challenger)
}
