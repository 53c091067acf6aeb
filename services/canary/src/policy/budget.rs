//! By the harm that is bearable: the largest next weight whose expected harm fits what is left of the budget.
//!
//! A raise to the weight `w` puts at stake, until it can be seen and answered, about
//! `P(bad) x effect x requests per second x w x horizon` harmed requests. One raise may stake a fixed share of what is left.
//! The effect is the smaller of what a bad change plausibly does and of the upper bound that the evidence still allows, so
//! that clean traffic earns weight. Raises are limited by a factor, because some failures come with load alone, and by a
//! ceiling, because evidence needs a baseline; past the ceiling only the proof "no worse" promotes.

use auspex_judge::numeric::real;
use auspex_proto::decision::{Action, Reason};
use serde::{Deserialize, Serialize};

use super::{Sight, Wish, floor_percent, linger, proven};
use crate::document::Criticality;

/// The blast-radius budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Requests that a rollout of medium criticality may harm in all; low: 4 times, high: 0.4 times, critical: 0.15 times.
    /// Default 100: a few seconds of a bad change at a small share.
    pub harmed: u64,
    /// Share of what is left of it that one raise may put at stake, in expectation. Default 0.1.
    pub stake: f64,
    /// Greatest first weight, percent. Default 5.
    pub first_weight: u8,
    /// Greatest factor of one raise. Default 2: failures that come with load alone are met at half of it first.
    pub growth: f64,
    /// Greatest weight before the evidence says "no worse", percent. Default 50: the split from which most is learnt.
    pub ceiling: u8,
    /// Share of requests that a bad change is taken to harm before anything is known. Default 0.3.
    pub plausible_effect: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            harmed: 100,
            stake: 0.1,
            first_weight: 5,
            growth: 2.0,
            ceiling: 50,
            plausible_effect: 0.3,
        }
    }
}

impl Budget {
    /// The budget of a service that matters this much.
    #[must_use]
    pub fn of(self, criticality: Criticality) -> Self {
        let (times, by) = match criticality {
            Criticality::Low => (4, 1),
            Criticality::Medium => (1, 1),
            Criticality::High => (2, 5),
            Criticality::Critical => (3, 20),
        };
        Self {
            harmed: (self.harmed.saturating_mul(times) / by).max(1),
            ..self
        }
    }

    /// The weight whose expected harm fits one stake, 0..=100.
    fn admitted(&self, sight: &Sight<'_>, traffic: f64) -> u8 {
        let left = real(self.harmed.saturating_sub(sight.harmed));
        let effect = self.plausible_effect.min(sight.diff_upper.max(0.0));
        let harm = sight.posterior * effect * traffic * sight.horizon.as_secs_f64();
        if harm <= 0.0 {
            return 100;
        }
        floor_percent(100.0 * self.stake * left / harm)
    }

    /// The first weight: smaller for a worse prior even when the traffic is not known yet.
    fn first(&self, sight: &Sight<'_>) -> u8 {
        let doubt = (2.0 * (1.0 - sight.posterior)).clamp(0.0, 1.0);
        let most = floor_percent(f64::from(self.first_weight) * doubt).max(1);
        let admitted = sight.traffic.map_or(100, |traffic| self.admitted(sight, traffic));
        most.min(admitted).max(1)
    }

    /// The largest weight that one raise may reach from here.
    fn next(&self, weight: u8) -> u8 {
        floor_percent(f64::from(weight) * self.growth)
            .max(weight.saturating_add(1))
            .min(self.ceiling)
    }
}

/// What the budget admits.
#[must_use]
pub fn wish(budget: &Budget, sight: &Sight<'_>) -> Option<Wish> {
    if sight.weight == 0 {
        let first = budget.first(sight);
        let text = format!(
            "{first} % to begin with, at most {} harmed requests in all",
            budget.harmed
        );
        return Some(Wish::new(Action::Advance, first, Reason::BudgetAdmits, text));
    }
    let next = budget.next(sight.weight);
    if sight.pushed {
        let text = format!("past the hold at {} %", sight.weight);
        return Some(match sight.weight >= budget.ceiling {
            true => Wish::new(Action::Promote, 100, Reason::Commanded, text),
            false => Wish::new(Action::Advance, next, Reason::Commanded, text),
        });
    }
    if !sight.safe && sight.harmed >= budget.harmed {
        let text = format!(
            "{} requests harmed of {} that are bearable: down to 1 % until the evidence decides",
            sight.harmed, budget.harmed
        );
        return Some(Wish::new(Action::Hold, 1, Reason::BudgetSpent, text));
    }
    if sight.dwelt < sight.min_dwell {
        return None;
    }
    if sight.safe {
        return Some(proven(sight, next, budget.ceiling));
    }
    if let Some(why) = sight.none {
        return Some(linger(
            sight,
            Reason::NoEvidence,
            format!("nothing to judge by: {why}"),
        ));
    }
    Some(raise(budget, sight, next))
}

fn raise(budget: &Budget, sight: &Sight<'_>, next: u8) -> Wish {
    let admitted = sight.traffic.map_or(0, |traffic| budget.admitted(sight, traffic));
    let to = next.min(admitted);
    if to > sight.weight {
        let text = format!(
            "{} of {} bearable harmed requests, P(bad) {:.2}, difference at most {:.1} points: the budget admits {admitted} %",
            sight.harmed,
            budget.harmed,
            sight.posterior,
            100.0 * sight.diff_upper
        );
        Wish::new(Action::Advance, to, Reason::BudgetAdmits, text)
    } else if sight.weight >= budget.ceiling {
        let text = format!(
            "{} % is the most before no worse is proven: {}",
            sight.weight, sight.figures
        );
        linger(sight, Reason::Uncertain, text)
    } else {
        let text = format!(
            "P(bad) {:.2}: the budget admits {admitted} %, {}",
            sight.posterior, sight.figures
        );
        linger(sight, Reason::BudgetSpent, text)
    }
}
