//! Whether an experiment is over, from what was counted of its outcomes.

use auspex_judge::pairs::{PairTest, judge_pairs};
use auspex_judge::{Levels, Verdict};
use serde::{Deserialize, Serialize};

use crate::config::ExperimentConfig;

/// What was counted of an experiment's outcomes, in one project or over all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counted {
    /// Champion and challenger, as their scores named them: another pair is another experiment.
    pub pair: (String, String),
    /// Gain in log-loss.
    pub log_loss: PairTest,
    /// Gain in cost.
    pub cost: PairTest,
    /// Gain in cost, plus the margin: whether the challenger's cost is no worse by more than that.
    pub cost_within: PairTest,
}

impl Counted {
    /// Adds what was counted elsewhere of the same pair.
    pub fn merge(&mut self, other: &Self) {
        if self.pair == (String::new(), String::new()) {
            self.pair.clone_from(&other.pair);
        }
        if self.pair != other.pair {
            return;
        }
        self.log_loss.merge(&other.log_loss);
        self.cost.merge(&other.cost);
        self.cost_within.merge(&other.cost_within);
    }
}

/// How an experiment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It goes on.
    Running,
    /// The challenger is to be champion.
    Promote,
    /// The champion stays.
    Return,
}

/// Why it stands so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Neither is proven yet.
    #[default]
    StillWatching,
    /// Fewer outcomes than the least.
    TooFewOutcomes,
    /// Better by log-loss, and no worse by cost.
    Better,
    /// Worse by log-loss.
    WorseLogLoss,
    /// Worse by cost.
    WorseCost,
    /// As many outcomes as it may take, and neither was proven.
    NoDifference,
    /// A person ended it.
    Stopped,
    /// Another version became champion or challenger meanwhile.
    Superseded,
    /// The challenger no longer passes its golden rows.
    Refused,
}

/// A verdict on an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// What is to be done.
    pub standing: Standing,
    /// Why.
    pub why: Why,
    /// The same with its numbers.
    pub text: String,
}

/// Whether it is over. May be asked after every outcome: both error rates hold over all looks together.
#[must_use]
pub fn rule(counted: &Counted, config: &ExperimentConfig) -> Ruling {
    let (loss, cost) = (counted.log_loss.evidence(), counted.cost.evidence());
    let within = counted.cost_within.evidence();
    // Two ways to be worse share the error rate.
    let both = Levels {
        alpha: config.alpha / 2.0,
        beta: config.alpha,
        weight: 1.0,
    };
    let margin = Levels {
        alpha: config.alpha,
        beta: config.beta,
        weight: 1.0,
    };
    let by_loss = judge_pairs(&loss, config.least, &both).verdict;
    let by_cost = judge_pairs(&cost, config.least, &both).verdict;
    let no_dearer = judge_pairs(&within, config.least, &margin).verdict == Verdict::NoWorse;
    let (standing, why) = match (by_loss, by_cost) {
        (Verdict::NoEvidence, _) => (Standing::Running, Why::TooFewOutcomes),
        (Verdict::Worse, _) => (Standing::Return, Why::WorseLogLoss),
        (_, Verdict::Worse) => (Standing::Return, Why::WorseCost),
        (Verdict::NoWorse, _) if no_dearer => (Standing::Promote, Why::Better),
        _ if loss.samples >= config.most => (Standing::Return, Why::NoDifference),
        _ => (Standing::Running, Why::StillWatching),
    };
    let text = format!(
        "{} outcomes; log-loss {} by {:.4} a score (e-value {:.3}), cost {} by {:.4} (e-value within the margin {:.3})",
        loss.samples,
        if loss.gain >= 0.0 { "better" } else { "worse" },
        loss.gain.abs(),
        if loss.gain >= 0.0 {
            loss.log_e_better
        } else {
            loss.log_e_worse
        }
        .min(700.0)
        .exp(),
        if cost.gain >= 0.0 { "lower" } else { "higher" },
        cost.gain.abs(),
        within.log_e_better.min(700.0).exp(),
    );
    Ruling { standing, why, text }
}

#[cfg(test)]
mod tests {
    use auspex_judge::pairs::Gains;

    use super::*;

    fn gains(p: f64, q: f64) -> Gains {
        Gains {
            failed: (q / p).ln(),
            passed: ((1.0 - q) / (1.0 - p)).ln(),
        }
    }

    /// A hundred units in which every fifth fails, of which one of the two knows.
    fn counted(knows: bool, rounds: usize) -> Counted {
        let mut counted = Counted::default();
        for n in 0..rounds {
            let failed = n % 5 == 0;
            let (blind, seeing) = (0.2, if failed { 0.8 } else { 0.1 });
            let pair = if knows {
                gains(blind, seeing)
            } else {
                gains(seeing, blind)
            };
            counted.log_loss.absorb(pair, failed);
            let cost = Gains {
                failed: if knows { 10.0 } else { -10.0 },
                passed: 0.0,
            };
            counted.cost.absorb(cost, failed);
            let within = Gains {
                failed: cost.failed + 0.05,
                passed: 0.05,
            };
            counted.cost_within.absorb(within, failed);
        }
        counted
    }

    #[test]
    fn the_better_is_promoted_the_worse_returned_and_few_say_nothing() {
        let config = ExperimentConfig::default();
        let of = |counted: &Counted| rule(counted, &config);
        assert_eq!(of(&counted(true, 20)).why, Why::TooFewOutcomes);
        let better = of(&counted(true, 200));
        assert_eq!(
            (better.standing, better.why),
            (Standing::Promote, Why::Better),
            "{}",
            better.text
        );
        let worse = of(&counted(false, 200));
        assert_eq!((worse.standing, worse.why), (Standing::Return, Why::WorseLogLoss));
        let mut same = Counted::default();
        for n in 0..5_000 {
            for test in [&mut same.log_loss, &mut same.cost, &mut same.cost_within] {
                test.absorb(gains(0.2, 0.2), n % 5 == 0);
            }
        }
        let idle = of(&same);
        assert_eq!((idle.standing, idle.why), (Standing::Return, Why::NoDifference));
        let mut both = counted(true, 30);
        both.merge(&counted(true, 30));
        assert_eq!(both.log_loss.evidence().samples, 60);
    }
}
