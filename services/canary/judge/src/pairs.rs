//! Two forecasts of the same yes or no, compared by what became of it.
//!
//! Before an outcome is known, both forecasts are; so for each of the two outcomes the gain of the challenger over the champion
//! (in log-loss, in cost, in whatever both can be charged) is known too, and with it the most that a bet on the challenger can
//! lose. The bet is made then: a fixed rate per unit of gain, never more than most of the purse. Nobody gets rich by such bets
//! when the challenger's expected gain is never above zero, at whichever moment he stops (Choe & Ramdas 2024, *Comparing
//! sequential forecasters*; Henzi & Ziegel 2022).
//!
//! What is kept is a sum for each rate: sums of several logs add up, so outcomes of many projects may be counted apart and judged
//! together, in any order, with the same result.

use serde::{Deserialize, Serialize};

use crate::numeric::log_mix;
use crate::verdict::{Levels, Reason, Ruling, Verdict};

/// Stakes per unit of gain that are tried side by side, with equal weights.
const RATES: [f64; 8] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
/// The most of the purse that one outcome may cost.
const MOST: f64 = 0.75;

/// What a challenger gains over its champion on one unit, for each outcome, as known before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gains {
    /// When it fails.
    pub failed: f64,
    /// When it does not.
    pub passed: f64,
}

/// Running evidence about pairs of forecasts. 160 bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PairTest {
    better: [f64; 8],
    worse: [f64; 8],
    samples: u64,
    gain: f64,
}

/// What the outcomes so far say. Logarithms are natural.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairEvidence {
    /// Log e-value against "the challenger is no better".
    pub log_e_better: f64,
    /// Log e-value against "the challenger is no worse".
    pub log_e_worse: f64,
    /// Outcomes.
    pub samples: u64,
    /// Mean gain per outcome; 0 before the first.
    pub gain: f64,
}

impl PairTest {
    /// Adds one outcome. Gains that are no numbers are passed over: nothing is known of them.
    pub fn absorb(&mut self, gains: Gains, failed: bool) {
        if !(gains.failed.is_finite() && gains.passed.is_finite()) {
            return;
        }
        let got = if failed { gains.failed } else { gains.passed };
        let loss = -gains.failed.min(gains.passed);
        let profit = gains.failed.max(gains.passed);
        let bet = |sums: &mut [f64; 8], got: f64, most: f64| {
            for (sum, rate) in sums.iter_mut().zip(RATES) {
                let stake = if most > 0.0 { rate.min(MOST / most) } else { rate };
                *sum += (stake * got).ln_1p();
            }
        };
        bet(&mut self.better, got, loss);
        bet(&mut self.worse, -got, profit);
        self.samples += 1;
        self.gain += got;
    }

    /// Adds what was counted elsewhere about the same two.
    pub fn merge(&mut self, other: &Self) {
        self.better
            .iter_mut()
            .zip(other.better)
            .for_each(|(sum, more)| *sum += more);
        self.worse
            .iter_mut()
            .zip(other.worse)
            .for_each(|(sum, more)| *sum += more);
        self.samples += other.samples;
        self.gain += other.gain;
    }

    /// What has been absorbed so far says this.
    #[must_use]
    pub fn evidence(&self) -> PairEvidence {
        let weight = 1.0 / RATES.len() as f64;
        let mixed = |sums: &[f64; 8]| log_mix(sums.iter().map(|sum| (weight, *sum)));
        PairEvidence {
            log_e_better: mixed(&self.better),
            log_e_worse: mixed(&self.worse),
            samples: self.samples,
            gain: if self.samples == 0 {
                0.0
            } else {
                self.gain / self.samples as f64
            },
        }
    }
}

/// The verdict on a challenger that the evidence permits at these levels: worse, or better (`no_worse`), or neither yet.
#[must_use]
pub fn judge_pairs(evidence: &PairEvidence, least: u64, levels: &Levels) -> Ruling {
    if evidence.samples < least.max(1) {
        return Ruling::new(Verdict::NoEvidence, Reason::TooFewSamples);
    }
    if evidence.log_e_worse >= levels.log_alarm() {
        return Ruling::new(Verdict::Worse, Reason::HarmProven);
    }
    if evidence.log_e_better >= levels.log_pass() {
        return Ruling::new(Verdict::NoWorse, Reason::NoWorseByDifference);
    }
    Ruling::new(Verdict::Undecided, Reason::StillWatching)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::random::Random;

    /// Gains in log-loss of saying `q` rather than `p`.
    fn gains(p: f64, q: f64) -> Gains {
        Gains {
            failed: (q / p).ln(),
            passed: ((1.0 - q) / (1.0 - p)).ln(),
        }
    }

    /// Plays outcomes until one level is crossed or there are no more: which, and after how many.
    fn play(random: &mut Random, champion: f64, challenger: f64, most: u64) -> (Verdict, u64) {
        let levels = Levels {
            alpha: 0.05,
            beta: 0.05,
            weight: 1.0,
        };
        let mut test = PairTest::default();
        for n in 1..=most {
            // The truth is a log-odds; each forecast is off by noise of its own size.
            let truth = -1.5 + 1.2 * random.normal();
            let said = |noise: f64| 1.0 / (1.0 + (-(truth + noise)).exp());
            let (p, q) = (
                said(champion * random.normal()),
                said(challenger * random.normal()),
            );
            let failed = random.uniform() < 1.0 / (1.0 + (-truth).exp());
            test.absorb(gains(p, q), failed);
            let ruling = judge_pairs(&test.evidence(), 30, &levels);
            if matches!(ruling.verdict, Verdict::Worse | Verdict::NoWorse) {
                return (ruling.verdict, n);
            }
        }
        (Verdict::Undecided, most)
    }

    #[test]
    fn equals_are_seldom_told_apart_and_unequals_nearly_always() {
        let mut random = Random::new(7, 0);
        let share = |random: &mut Random, (a, b): (f64, f64), wanted: Verdict| {
            let hits = (0..300).filter(|_| play(random, a, b, 1_000).0 == wanted).count();
            hits as f64 / 300.0
        };
        // Each way at most 5 %, over a thousand looks.
        assert!(share(&mut random, (0.5, 0.5), Verdict::NoWorse) <= 0.05);
        assert!(share(&mut random, (0.5, 0.5), Verdict::Worse) <= 0.05);
        assert!(share(&mut random, (1.0, 0.3), Verdict::NoWorse) >= 0.9);
        assert!(share(&mut random, (0.3, 1.0), Verdict::Worse) >= 0.9);
    }

    #[test]
    fn counted_apart_is_counted_together() {
        let mut random = Random::new(3, 0);
        let (mut one, mut two, mut all) = (PairTest::default(), PairTest::default(), PairTest::default());
        for n in 0..100 {
            let pair = gains(0.1 + 0.8 * random.uniform(), 0.1 + 0.8 * random.uniform());
            let failed = random.uniform() < 0.3;
            all.absorb(pair, failed);
            if n % 3 == 0 { &mut one } else { &mut two }.absorb(pair, failed);
        }
        one.merge(&two);
        let (merged, whole) = (one.evidence(), all.evidence());
        assert!((merged.log_e_better - whole.log_e_better).abs() < 1e-9);
        assert_eq!(merged.samples, 100);
        // The extreme: a certain forecast that was wrong costs most of the purse, never all of it.
        all.absorb(gains(0.5, 1.0 - 1e-15), false);
        assert!(all.evidence().log_e_better.is_finite());
        assert_eq!(
            judge_pairs(&PairTest::default().evidence(), 0, &Levels::default()).verdict,
            Verdict::NoEvidence
        );
    }
}
