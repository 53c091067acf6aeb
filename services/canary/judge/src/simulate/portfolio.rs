//! A year of deployments with a prior: what the weights buy, and that they cannot buy too much.

use super::counts::{Calls, CountScene, play};
use super::random::Random;
use crate::prior::Portfolio;
use crate::verdict::Levels;

/// What the prior is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Calibrated: a change of prior risk `p` is bad with probability `p`.
    Good,
    /// The same for every change.
    Absent,
    /// Calibrated for another change.
    Shuffled,
    /// Highest where the change is healthy.
    Adversarial,
}

/// What came of the deployments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Deployments.
    pub deployments: u32,
    /// Healthy ones that were rolled back.
    pub false_rollbacks: u32,
    /// Of bad changes whose weight was 2 or more: looks until ours called, and until the test told the truth did.
    pub weighted: Vec<Calls>,
    /// Sum of all weights.
    pub weights: f64,
}

/// Risky changes are one in eight, bad with probability 0.5; the others with 0.02.
fn risk(random: &mut Random) -> f64 {
    if random.chance(0.125) { 0.5 } else { 0.02 }
}

/// Plays deployments of relative risk `effect` where bad, at 5 % share, 50 requests per second and 1 % failures.
#[must_use]
pub fn play_year(quality: Quality, effect: f64, deployments: u32, seed: u64) -> Outcome {
    let mut portfolio = Portfolio::default();
    let mut outcome = Outcome {
        deployments,
        ..Outcome::default()
    };
    for k in 0..deployments {
        let mut random = Random::new(seed, u64::from(k));
        let (real, other) = (risk(&mut random), risk(&mut random));
        let bad = random.chance(real);
        let said = match quality {
            Quality::Good => real,
            Quality::Absent => 0.08,
            Quality::Shuffled => other,
            Quality::Adversarial => {
                if bad {
                    0.02
                } else {
                    0.5
                }
            }
        };
        let weight = portfolio.weight_for(said);
        outcome.weights += weight;
        let scene = CountScene {
            effect: if bad { effect } else { 1.0 },
            ..CountScene::default()
        };
        let calls = play(
            &scene,
            &Levels {
                weight,
                ..Levels::default()
            },
            true,
            random,
        );
        outcome.false_rollbacks += u32::from(!bad && calls.judge.is_some());
        if bad && weight >= 2.0 {
            outcome.weighted.push(calls);
        }
    }
    outcome
}
