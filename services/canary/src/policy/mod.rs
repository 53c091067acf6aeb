//! How weight is raised: three pure functions from what is seen to what is wished.
//!
//! A policy never rolls back on evidence, never overrules a person and never sees a raw observation: the rules above it
//! ([`crate::decide`]) have spoken before. It answers one question: at this weight, after this long, knowing this, what next?

pub mod adaptive;
pub mod budget;
pub mod steps;

use std::time::Duration;

use auspex_proto::Timestamp;
use auspex_proto::decision::{Action, Reason};
use serde::{Deserialize, Serialize};

pub use self::adaptive::Adaptive;
pub use self::budget::Budget;
pub use self::steps::Cursor;
use crate::document::Step;

/// How weight is raised, with everything filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Policy {
    /// Weights and pauses, in order.
    Steps(Vec<Step>),
    /// By bands of confidence.
    Adaptive(Adaptive),
    /// By the harm that is bearable.
    Budget(Budget),
}

impl Default for Policy {
    fn default() -> Self {
        Self::Budget(Budget::default())
    }
}

impl Policy {
    /// Name and version, as decisions carry it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Steps(_) => "steps@1",
            Self::Adaptive(bands) if bands.preset == adaptive::Preset::Classic => "adaptive/classic@1",
            Self::Adaptive(_) => "adaptive@1",
            Self::Budget(_) => "budget@1",
        }
    }
}

impl Policy {
    /// The same with more care: increments and stakes are halved. The steps of a schedule stay, its pauses last twice as long.
    #[must_use]
    pub fn cautious(&self) -> Self {
        let half = |points: u8| points.div_ceil(2);
        match self {
            Self::Steps(steps) => Self::Steps(steps.iter().map(Step::longer).collect()),
            Self::Adaptive(bands) => Self::Adaptive(Adaptive {
                fast: half(bands.fast),
                gradual: half(bands.gradual),
                limit: half(bands.limit),
                below: half(bands.below),
                above: half(bands.above),
                ..*bands
            }),
            Self::Budget(budget) => Self::Budget(Budget {
                stake: budget.stake / 2.0,
                first_weight: half(budget.first_weight),
                growth: 1.0 + (budget.growth - 1.0) / 2.0,
                ..*budget
            }),
        }
    }
}

/// What a policy sees.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// What the watched clock shows.
    pub watched: Timestamp,
    /// The candidate's share now, 0..=100.
    pub weight: u8,
    /// For how long it has been watched.
    pub dwelt: Duration,
    /// Least time between raises.
    pub min_dwell: Duration,
    /// Longest time at one weight before a person is asked.
    pub max_dwell: Duration,
    /// How long harm goes on unseen after a raise: until the next raise, the interval's end and its lateness.
    pub horizon: Duration,
    /// P(the candidate is bad), of prior and evidence.
    pub posterior: f64,
    /// Every metric is proven no worse.
    pub safe: bool,
    /// Why there is nothing to judge by; `None`: there is.
    pub none: Option<&'a str>,
    /// Upper bound of the difference of rates, the worst over metrics; 1 when nothing is known.
    pub diff_upper: f64,
    /// Requests harmed so far.
    pub harmed: u64,
    /// Requests per second of both tracks; `None`: not seen yet.
    pub traffic: Option<f64>,
    /// Share of the candidate's requests of the last thirty intervals that failed; `None`: too few to say.
    pub error_rate: Option<f64>,
    /// A person asked to go past the current hold.
    pub pushed: bool,
    /// The evidence in a clause, for the text of the reason.
    pub figures: &'a str,
}

/// What a policy wishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The weight, 0..=100.
    pub weight: u8,
    /// What that is.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Why, in one sentence with its numbers.
    pub text: String,
}

impl Wish {
    /// A wish.
    pub fn new(action: Action, weight: u8, reason: Reason, text: impl Into<String>) -> Self {
        Self {
            weight: weight.min(100),
            action,
            reason,
            text: text.into(),
        }
    }
}

/// What the policy wishes now, and where its steps stand; no wish: quietly go on as it is.
#[must_use]
pub fn wish(policy: &Policy, cursor: Cursor, sight: &Sight<'_>) -> (Cursor, Option<Wish>) {
    match policy {
        Policy::Steps(steps) => steps::wish(steps, cursor, sight),
        Policy::Adaptive(bands) => (cursor, adaptive::wish(bands, sight)),
        Policy::Budget(budget) => (cursor, budget::wish(budget, sight)),
    }
}

/// What the two policies without a schedule have in common, once they know nothing better than to stay:
/// a person is asked after the longest dwell.
fn linger(sight: &Sight<'_>, reason: Reason, text: String) -> Wish {
    if sight.dwelt >= sight.max_dwell {
        let asked = format!(
            "{text}; after {} s at {} % a person is asked",
            sight.dwelt.as_secs(),
            sight.weight
        );
        Wish::new(Action::Pause, sight.weight, reason, asked)
    } else {
        Wish::new(Action::Hold, sight.weight, reason, text)
    }
}

/// A raise to `next`, at most to the ceiling; from the ceiling on, promotion.
fn proven(sight: &Sight<'_>, next: u8, ceiling: u8) -> Wish {
    let text = format!("no worse: {}", sight.figures);
    if sight.weight >= ceiling {
        Wish::new(Action::Promote, 100, Reason::EvidenceSafe, text)
    } else {
        Wish::new(Action::Advance, next.min(ceiling), Reason::EvidenceSafe, text)
    }
}

/// A non-negative number as a whole percentage, rounded down.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=100 before"
)]
fn floor_percent(value: f64) -> u8 {
    // 5 x 0.4 is 2, whatever the last bit says.
    (value + 1e-9).clamp(0.0, 100.0).floor() as u8
}

#[cfg(test)]
mod tests;
