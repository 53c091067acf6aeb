//! Paths of failures among requests, and the sequential test that is told the truth beside ours.

use super::random::Random;
use crate::counts::{CountSettings, CountTest, Counts};
use crate::verdict::Levels;

/// A rollout of which failures are counted; a look every ten seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CountScene {
    /// Requests per second of both tracks.
    pub rate: f64,
    /// The candidate's share of them; at a ramp, the share it starts from.
    pub share: f64,
    /// The share grows from `share` to one half over the looks.
    pub ramp: bool,
    /// Failure rate of the baseline.
    pub base: f64,
    /// The failure rate of both tracks swings fourfold over the looks.
    pub swing: bool,
    /// Relative risk of the candidate.
    pub effect: f64,
    /// Failures that one cause brings at once.
    pub cluster: u32,
    /// Looks at the baseline alone before the rollout.
    pub history: u32,
    /// Looks.
    pub looks: u32,
}

impl Default for CountScene {
    fn default() -> Self {
        Self {
            rate: 50.0,
            share: 0.05,
            ramp: false,
            base: 0.01,
            swing: false,
            effect: 1.0,
            cluster: 1,
            history: 0,
            looks: 360,
        }
    }
}

/// Seconds between looks.
pub const STEP: f64 = 10.0;

/// Looks after which ours, and the test told the true effect, called harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Ours.
    pub judge: Option<u32>,
    /// The sequential probability ratio test at the true relative risk, same alpha, same path.
    pub told: Option<u32>,
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "traffic is small and positive"
)]
fn whole(units: f64) -> u64 {
    units.round() as u64
}

impl CountScene {
    /// Counts of look `k`, from 1.
    fn counts(&self, k: u32, random: &mut Random) -> Counts {
        let part = f64::from(k) / f64::from(self.looks.max(1));
        let share = if self.ramp {
            self.share + (0.5 - self.share) * part
        } else {
            self.share
        };
        let factor = if self.swing {
            (2.0 * (std::f64::consts::TAU * part).cos()).exp2() / 2.0
        } else {
            1.0
        };
        let all = self.rate * STEP;
        let (n, m) = (whole(all * share), whole(all * (1.0 - share)));
        let size = f64::from(self.cluster.max(1));
        let mut failed = |units: u64, rate: f64| {
            let causes = random.poisson(crate::numeric::real(units) * rate / size);
            (causes * u64::from(self.cluster.max(1))).min(units)
        };
        let rate = self.base * factor;
        Counts {
            candidate_bad: failed(n, rate * self.effect),
            candidate_total: n,
            baseline_bad: failed(m, rate),
            baseline_total: m,
        }
    }
}

/// Plays a scene until both tests have called, or it ends. `looks_each` false looks at the end only.
#[must_use]
pub fn play(scene: &CountScene, levels: &Levels, looks_each: bool, mut random: Random) -> Calls {
    let settings = CountSettings::default();
    let mut test = CountTest::new(&settings);
    for _ in 0..scene.history {
        let counts = scene.counts(0, &mut random);
        test.absorb_history(&Counts {
            candidate_bad: 0,
            candidate_total: 0,
            ..counts
        });
    }
    let (mut calls, mut log_told, mut units) = (Calls::default(), 0.0, 0u64);
    let log_alarm = Levels {
        weight: 1.0,
        ..*levels
    }
    .log_alarm();
    let told = scene.effect > 1.0;
    for k in 1..=scene.looks {
        let counts = scene.counts(k, &mut random);
        if told && calls.told.is_none() {
            let (c, b) = (
                crate::numeric::real(counts.candidate_bad),
                crate::numeric::real(counts.baseline_bad),
            );
            let (n, m) = (
                crate::numeric::real(counts.candidate_total),
                crate::numeric::real(counts.baseline_total),
            );
            let w = n / (n + m);
            log_told += c * scene.effect.ln() - (c + b) * (1.0 - w + scene.effect * w).ln();
            calls.told = (log_told >= log_alarm).then_some(k);
        }
        if calls.judge.is_none() {
            units += counts.candidate_total;
            test.absorb(&settings, &counts);
            let look = units >= settings.min_samples && (looks_each || k == scene.looks);
            calls.judge = (look && test.log_e_worse() >= levels.log_alarm()).then_some(k);
        }
        if calls.judge.is_some() && (calls.told.is_some() || !told) {
            break;
        }
    }
    calls
}

/// Look at which a healthy (or bad) candidate is let through, if it is.
#[must_use]
pub fn passed(scene: &CountScene, levels: &Levels, mut random: Random) -> Option<u32> {
    let settings = CountSettings::default();
    let mut test = CountTest::new(&settings);
    (1..=scene.looks).find(|k| {
        test.absorb(&settings, &scene.counts(*k, &mut random));
        test.log_e_safe(&settings) >= levels.log_pass()
    })
}
