//! The prior beside the evidence: posterior odds, and a budget of weights that keeps the guarantee whatever the prior is worth.

use serde::{Deserialize, Serialize};

/// Probability that the candidate is bad: prior odds times the e-value. Within [0, 1] for any input.
///
/// `prior` within [0, 1] (a value that is no number counts as one half), `log_e` the natural log of the e-value.
#[must_use]
pub fn posterior(prior: f64, log_e: f64) -> f64 {
    let prior = if prior.is_nan() {
        0.5
    } else {
        prior.clamp(0.0, 1.0)
    };
    if prior <= 0.0 || prior >= 1.0 || log_e.is_nan() {
        return prior;
    }
    let logit = prior.ln() - (-prior).ln_1p() + log_e;
    if logit >= 0.0 {
        1.0 / (1.0 + (-logit).exp())
    } else {
        logit.exp() / (1.0 + logit.exp())
    }
}

/// Least and greatest weight of one rollout.
const RANGE: (f64, f64) = (0.25, 4.0);
/// Most unspent weight that is carried over, in rollouts.
const RESERVE: f64 = 6.0;
/// Rollouts that the first estimate of the mean risk counts for.
const FIRST: f64 = 4.0;

/// Weights for the evidence of the rollouts of one project, from their prior risks.
///
/// Rolling back when `weight x e-value >= 1 / alpha` calls a healthy candidate worse with probability at most
/// `alpha x weight`. Every rollout grants a weight of 1 and spends what it gets, never more than is there: after any number
/// of rollouts the weights sum to at most their number, so the expected share of false rollbacks is at most alpha,
/// with a good prior, none, a shuffled one or one that lies. A good prior buys speed on risky changes for patience
/// on safe ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Portfolio {
    /// Rollouts so far.
    rollouts: u64,
    /// Granted and not spent.
    reserve: f64,
    /// Sum of the priors so far.
    risks: f64,
}

impl Portfolio {
    /// Weight of the next rollout, whose prior risk is `pi` within [0, 1]; within [0.25, 4]. Asked once per rollout,
    /// before its evidence begins.
    pub fn weight_for(&mut self, pi: f64) -> f64 {
        let pi = if pi.is_nan() {
            self.mean_risk()
        } else {
            pi.clamp(0.0, 1.0)
        };
        let mean = self.mean_risk().max(1e-9);
        let asked = (pi / mean).clamp(RANGE.0, RANGE.1);
        let granted = self.reserve + 1.0;
        // What the reserve cannot hold goes to this rollout, or it would be patience for nothing.
        let weight = asked.max(granted - RESERVE).min(granted);
        self.reserve = granted - weight;
        self.risks += pi;
        self.rollouts = self.rollouts.saturating_add(1);
        weight
    }

    /// Mean prior so far, starting from one in ten.
    #[must_use]
    pub fn mean_risk(&self) -> f64 {
        (FIRST * 0.1 + self.risks) / (FIRST + crate::numeric::real(self.rollouts))
    }

    /// Rollouts that have been given a weight.
    #[must_use]
    pub const fn rollouts(&self) -> u64 {
        self.rollouts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posterior_is_odds_times_evidence() {
        assert!((posterior(0.1, 9f64.ln()) - 0.5).abs() < 1e-12);
        assert!((posterior(0.5, 1e6) - 1.0).abs() < 1e-12);
        assert!(posterior(0.5, -1e6).abs() < 1e-12);
        assert!((posterior(f64::NAN, 0.0) - 0.5).abs() < 1e-12);
        assert!((posterior(1.0, f64::NEG_INFINITY) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn weights_never_sum_to_more_than_the_rollouts() {
        for scheme in 0..4u32 {
            let (mut portfolio, mut sum) = (Portfolio::default(), 0.0);
            for k in 0..500u32 {
                let pi = match scheme {
                    0 => 0.1,
                    1 => f64::from(k % 10) / 10.0,
                    2 => f64::from(k % 100 / 99),
                    _ => f64::NAN,
                };
                let weight = portfolio.weight_for(pi);
                sum += weight;
                assert!((0.25..=4.0).contains(&weight));
                assert!(sum <= f64::from(k) + 1.0 + 1e-9);
            }
        }
    }
}
