//! Learning from outcomes, each when its time has come: recalibrations, what is proven about them, and experiments.

use auspex_judge::pairs::Gains;
use auspex_proto::Timestamp;
use auspex_proto::score::Band;
use serde::{Deserialize, Serialize};

use super::proof::{Back, Compared, LEAST, Turn};
use super::state::{Heard, MOST_EXPERIMENTS, MOST_HELD, Matured, State, spans};
use crate::catalog::trial::Counted;
use crate::config::{ExperimentConfig, FeedbackConfig};

/// Bands of [`Band::of`], for what another version would have said.
const BANDS: (f64, f64) = (0.3, 0.7);

/// An outcome that waits to be learnt from. Some 300 bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// When that may be.
    pub ripe: Timestamp,
    failed: bool,
    weight: f64,
    heard: Vec<Heard>,
    experiment: String,
    pair: Option<((String, f64), (String, f64))>,
}

impl State {
    /// Takes an outcome to learn from when it is ripe.
    pub fn hold(&mut self, matured: &Matured) {
        let weight = matured.said.weight();
        if weight <= 0.0 {
            return;
        }
        let held = Held {
            ripe: matured.ripe,
            failed: matured.failed,
            weight,
            heard: matured.said.heard.clone(),
            experiment: matured.said.experiment.clone(),
            pair: matured.said.pair.clone(),
        };
        let place = self.held.partition_point(|before| before.ripe <= held.ripe);
        self.held.insert(place, held);
    }

    /// Learns from what is ripe; which recalibrations have turned by it, and how.
    pub fn learn(
        &mut self,
        config: &FeedbackConfig,
        costs: &ExperimentConfig,
        now: Timestamp,
    ) -> Vec<(String, Turn)> {
        let ripe = self.held.partition_point(|held| held.ripe <= now);
        // More than can be kept are learnt from early: dropped, they would leave the others one-sided.
        let over = self.held.len().saturating_sub(MOST_HELD);
        let (mature, hopeless) = spans(config);
        let lag = self.lag_ms.max(mature);
        // Scores were dropped before their outcomes came, those that passed sooner than those that failed.
        let one_sided = self.lost.map(|at| Timestamp(at.0.saturating_add(lag)));
        let mut turns = Vec::new();
        for held in self.held.drain(..ripe.max(over)).collect::<Vec<_>>() {
            if one_sided.is_some_and(|until| held.ripe <= until) {
                continue;
            }
            for heard in &held.heard {
                let turn = self.recalibrate(heard, &held, config, now);
                turns.extend(turn.map(|turn| (heard.model.clone(), turn)));
            }
            self.weigh(&held, costs);
        }
        for (name, model) in &mut self.models {
            if model.stale_at(hopeless).is_some_and(|at| at <= now) {
                let turn = model.proof.give_up(Back::Stale);
                turns.extend(turn.map(|turn| (name.clone(), turn)));
            }
        }
        let forgotten = std::mem::take(&mut self.forgotten);
        turns.extend(
            forgotten
                .into_iter()
                .map(|name| (name, Turn::Returns(Back::Forgotten))),
        );
        turns
    }

    fn recalibrate(
        &mut self,
        heard: &Heard,
        held: &Held,
        config: &FeedbackConfig,
        now: Timestamp,
    ) -> Option<Turn> {
        let figures = self.figures(&heard.model);
        figures.last = figures.last.max(now);
        figures.online.learn(heard.raw, held.failed, held.weight);
        let outcome = Compared {
            raw: heard.raw,
            told: heard.told,
            failed: held.failed,
            weight: held.weight,
        };
        figures.proof.absorb(&outcome, &figures.online, config, now)
    }

    /// An outcome of an experiment, for its two versions.
    fn weigh(&mut self, held: &Held, costs: &ExperimentConfig) {
        let name = &held.experiment;
        let Some(((champion, p), (challenger, q))) = held.pair.as_ref().filter(|_| !name.is_empty()) else {
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
        let weight = held.weight;
        let (loss, cost) = (loss_gains(*p, *q, weight), cost_gains(*p, *q, weight, costs));
        counted.log_loss.absorb(loss, held.failed);
        counted.cost.absorb(cost, held.failed);
        let within = Gains {
            failed: cost.failed + costs.cost_margin,
            passed: cost.passed + costs.cost_margin,
        };
        counted.cost_within.absorb(within, held.failed);
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
