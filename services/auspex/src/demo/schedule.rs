//! What a fixed schedule would have done in the same run: computed, not measured.
//!
//! The rule: weights 10, 25, 50 and 75 % for 30 s each, then 100 %. Every 10 s a check compares the candidate's share of bad
//! answers with 5 %; three failed checks in a row take the candidate back. Without three failed checks the schedule goes
//! through, and what follows at 100 % is not counted.

/// The weights, in percent, each held for [`PAUSE`] seconds.
const WEIGHTS: [f64; 4] = [10.0, 25.0, 50.0, 75.0];
/// Seconds at each weight.
const PAUSE: f64 = 30.0;
/// Seconds between two checks.
const CHECK: f64 = 10.0;
/// Share of bad answers above which a check fails.
const THRESHOLD: f64 = 0.05;
/// Failed checks in a row that end it.
const CHECKS: f64 = 3.0;

/// The rule, in words.
pub const RULE: &str = "computed from the observed rates: 10/25/50/75/100 % with 30 s pauses, \
                        taken back after three checks of 10 s above 5 % bad answers";

/// What the schedule would have done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Bad answers that users would have got from the candidate.
    pub harmed: u64,
    /// Seconds until it would have been taken back; `None`: it would have gone through.
    pub seconds: Option<f64>,
}

/// Computes it. `bad`: the candidate's share of bad answers, 0..=1; `rate`: all users' requests per second.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates"
)]
pub fn harmed(bad: f64, rate: f64) -> Figure {
    let noticed = (bad > THRESHOLD).then_some(CHECKS * CHECK);
    let mut left = noticed.unwrap_or(f64::INFINITY);
    let mut requests = 0.0;
    for weight in WEIGHTS {
        let seconds = left.min(PAUSE);
        requests += rate * weight / 100.0 * seconds;
        left -= seconds;
    }
    Figure {
        harmed: (bad * requests).round().max(0.0) as u64,
        seconds: noticed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_regression_is_noticed_after_three_checks_at_the_first_weight() {
        // 400 a second, 10 %, 30 s: 1,200 requests, of which every fourth is bad.
        assert_eq!(
            harmed(0.25, 400.0),
            Figure {
                harmed: 300,
                seconds: Some(30.0)
            }
        );
    }

    #[test]
    fn what_stays_below_the_threshold_goes_through_all_weights() {
        // 160 % of 400 a second for 30 s: 19,200 requests.
        assert_eq!(
            harmed(0.04, 400.0),
            Figure {
                harmed: 768,
                seconds: None
            }
        );
        assert_eq!(
            harmed(0.0, 400.0),
            Figure {
                harmed: 0,
                seconds: None
            }
        );
    }
}
