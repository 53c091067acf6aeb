//! Recalibration as outcomes come in: a slope and an offset on the log-odds, learnt from each outcome when it is known.
//!
//! One step of a Bayesian logistic regression with forgetting: certainty gained fades with each further outcome, so that the last
//! few hundred count. Two sums watch whether failures run ahead of, or behind, what is said (Page's test); when one of them crosses
//! its limit the world has changed, most of the certainty is dropped, and the next outcomes weigh heavily.

use std::collections::VecDeque;

use auspex_proto::Recalibration;
use auspex_proto::recalibration::log_odds;
use serde::{Deserialize, Serialize};

/// By this the certainty fades with each outcome: 300 outcomes count.
const FADE: f64 = 1.0 - 1.0 / 300.0;
/// Certainty about offset and slope before anything is known, in outcomes at even odds: the slope is trusted more.
const PRIOR: (f64, f64) = (2.0, 20.0);
/// Drift in the mean of the error that is let pass, and the sum at which the world counts as changed.
const SLACK: f64 = 0.05;
const LIMIT: f64 = 6.0;
/// What is left of the certainty then.
const KEPT: f64 = 0.1;
/// Outcomes of which the probabilities are remembered: as many as count.
const SEEN: usize = 300;
/// As many of them must lie at or beyond an end of what counts as seen: of fewer nothing is known.
const EDGE: usize = 5;
/// The most that one outcome counts for, where few of its kind are seen: what it stands for beyond that would be one outcome's
/// word for too many.
const MOST_WEIGHT: f64 = 10.0;

/// A slope and an offset, and how certain they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Online {
    /// Of the log-odds.
    pub slope: f64,
    /// Added to them.
    pub offset: f64,
    /// Certainty: of the offset, of both, of the slope.
    certainty: [f64; 3],
    ahead: f64,
    behind: f64,
    /// How often the world has changed.
    pub drifts: u64,
    /// Outcomes.
    pub outcomes: u64,
    /// Sum of squared errors of what it said before each outcome.
    pub brier: f64,
    /// What the version said of the last of them.
    seen: VecDeque<f32>,
}

impl Default for Online {
    fn default() -> Self {
        Self {
            slope: 1.0,
            offset: 0.0,
            certainty: [PRIOR.0, 0.0, PRIOR.1],
            ahead: 0.0,
            behind: 0.0,
            drifts: 0,
            outcomes: 0,
            brier: 0.0,
            seen: VecDeque::new(),
        }
    }
}

impl Online {
    /// What a probability means, by what has become of such.
    #[must_use]
    pub fn read(&self, p: f64) -> f64 {
        1.0 / (1.0 + (-(self.slope * log_odds(p) + self.offset)).exp())
    }

    /// What has been learnt, for whoever reads by it; `None` while too little was seen.
    #[must_use]
    pub fn offer(&self) -> Option<Recalibration> {
        let mut sorted: Vec<f32> = self.seen.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        let low = sorted.get(EDGE.checked_sub(1)?)?;
        let high = sorted.get(sorted.len().checked_sub(EDGE)?)?;
        let [offset, both, slope] = self.certainty;
        let determinant = (offset * slope - both * both).max(1e-9);
        Some(Recalibration {
            slope: self.slope,
            offset: self.offset,
            from: f64::from(low.min(*high)),
            to: f64::from(high.max(*low)),
            variances: [slope / determinant, offset / determinant, -both / determinant],
            outcomes: self.outcomes,
            log_e: 0.0,
        })
    }

    /// Learns from an outcome that stands for this many; what it would have said before is counted first.
    pub fn learn(&mut self, p: f64, failed: bool, weight: f64) {
        let weight = weight.min(MOST_WEIGHT);
        let (z, y) = (log_odds(p), if failed { 1.0 } else { 0.0 });
        let said = self.read(p);
        let error = y - said;
        self.outcomes += 1;
        self.brier += error * error;
        self.watch(error);
        self.seen.push_back(p as f32);
        if self.seen.len() > SEEN {
            self.seen.pop_front();
        }
        let spread = weight * (said * (1.0 - said)).max(1e-3);
        // Certainty never fades below what there was at first.
        let [offset, both, slope] = self.certainty;
        self.certainty = [
            PRIOR.0 + FADE * (offset - PRIOR.0) + spread,
            FADE * both + spread * z,
            PRIOR.1 + FADE * (slope - PRIOR.1) + spread * z * z,
        ];
        let [offset, both, slope] = self.certainty;
        let determinant = (offset * slope - both * both).max(1e-9);
        self.offset += weight * error * (slope - both * z) / determinant;
        self.slope += weight * error * (offset * z - both) / determinant;
        self.offset = self.offset.clamp(-10.0, 10.0);
        self.slope = self.slope.clamp(0.05, 5.0);
    }

    fn watch(&mut self, error: f64) {
        self.ahead = (self.ahead + error - SLACK).max(0.0);
        self.behind = (self.behind - error - SLACK).max(0.0);
        if self.ahead > LIMIT || self.behind > LIMIT {
            (self.ahead, self.behind) = (0.0, 0.0);
            self.drifts += 1;
            let [offset, both, slope] = self.certainty;
            self.certainty = [
                PRIOR.0 + KEPT * (offset - PRIOR.0),
                KEPT * both,
                PRIOR.1 + KEPT * (slope - PRIOR.1),
            ];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A congruential row of numbers in [0, 1): the test is the same every time.
    fn chance(seed: &mut u64) -> f64 {
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Plays outcomes of a forecast that was right about a world whose log-odds have moved: Brier scores of the forecast as it
    /// is, recalibrated, and of the failure rate alone, over the later part.
    fn play(shift: f64, outcomes: usize, settle: usize) -> (f64, f64, f64, Online) {
        let (mut seed, mut online) = (11, Online::default());
        let (mut raw, mut mended, mut failures, mut counted) = (0.0, 0.0, 0.0, 0.0);
        for n in 0..outcomes {
            let z = -0.9 + 1.1 * (chance(&mut seed) + chance(&mut seed) + chance(&mut seed) - 1.5) * 2.0;
            let p = 1.0 / (1.0 + (-z).exp());
            let failed = chance(&mut seed) < 1.0 / (1.0 + (-(z + shift)).exp());
            let y = if failed { 1.0 } else { 0.0 };
            if n >= settle {
                raw += (p - y) * (p - y);
                mended += (online.read(p) - y).powi(2);
                failures += y;
                counted += 1.0;
            }
            online.learn(p, failed, 1.0);
        }
        let rate: f64 = failures / counted;
        (raw / counted, mended / counted, rate * (1.0 - rate), online)
    }

    #[test]
    fn when_failures_halve_it_stays_below_the_base_rate() {
        // A shift of -1 takes a rate of 0.31 to 0.15.
        let (raw, mended, base, online) = play(-1.0, 3_000, 300);
        assert!(mended < base, "{mended} is not below {base}");
        assert!(mended < raw, "{mended} is not below {raw}");
        assert!(
            (online.offset + 1.0).abs() < 0.5 && online.drifts >= 1,
            "{online:?}"
        );
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let (raw, mended, base, online) = play(0.0, 3_000, 300);
        assert!(mended < raw + 0.002 && mended < base, "{mended} {raw} {base}");
        assert!(
            (online.slope - 1.0).abs() < 0.4 && online.offset.abs() < 0.4,
            "{online:?}"
        );
    }
}
