//! Paths of latency histograms.

use super::counts::STEP;
use super::random::Random;
use crate::distributions::{Histogram, HistogramSettings, HistogramTest};
use crate::numeric::log_normal_cdf;
use crate::verdict::Levels;

/// A rollout of which latencies are watched: lognormal, median 100 ms; a look every ten seconds at 50 requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyScene {
    /// The candidate's share of the requests; at a ramp, the share it starts from.
    pub share: f64,
    /// The share grows to one half over the looks, while the latency of both tracks falls by a third.
    pub ramp: bool,
    /// What is beyond the 95 % quantile takes twice as long in the candidate: its p99 doubles, its body stays.
    pub tail: bool,
    /// How many times as long everything takes in the candidate.
    pub slower: f64,
    /// Looks.
    pub looks: u32,
}

const BUCKETS: u32 = 40;
const SPREAD: f64 = 0.5;
const Q95: f64 = 1.644_853_6;

/// Probability of a latency at or below `x`, in units of the median.
fn below(x: f64, tail: bool) -> f64 {
    let cdf = |x: f64| log_normal_cdf(x.ln() / SPREAD).exp();
    let cut = (Q95 * SPREAD).exp();
    if !tail || x <= cut {
        return cdf(x);
    }
    // The slowest twentieth starts at twice the cut.
    if x <= 2.0 * cut { 0.95 } else { cdf(x / 2.0) }
}

fn draw(units: f64, level: f64, tail: bool, random: &mut Random) -> Histogram {
    let bounds: Vec<f64> = (0..BUCKETS)
        .map(|k| 20.0 * 1.12f64.powi(i32::try_from(k).unwrap_or(0)))
        .collect();
    let mut last = 0.0;
    let mut counts: Vec<u64> = Vec::with_capacity(bounds.len() + 1);
    for bound in &bounds {
        let share = below(bound / (100.0 * level), tail);
        counts.push(random.poisson(units * (share - last)));
        last = share;
    }
    counts.push(random.poisson(units * (1.0 - last)));
    Histogram::new(bounds, counts).unwrap_or_default()
}

/// Look at which harm is called, if it is.
#[must_use]
pub fn first_alarm(scene: &LatencyScene, levels: &Levels, random: Random) -> Option<u32> {
    first(scene, random, |test, _| test.log_e_worse() >= levels.log_alarm())
}

/// Look at which the candidate may pass, if it may.
#[must_use]
pub fn passed(scene: &LatencyScene, levels: &Levels, random: Random) -> Option<u32> {
    first(scene, random, |test, settings| {
        test.evidence(settings).log_e_safe >= levels.log_pass()
    })
}

fn first(
    scene: &LatencyScene,
    mut random: Random,
    called: impl Fn(&HistogramTest, &HistogramSettings) -> bool,
) -> Option<u32> {
    let settings = HistogramSettings::default();
    let mut test = HistogramTest::new(&settings);
    (1..=scene.looks).find(|k| {
        let part = f64::from(*k) / f64::from(scene.looks.max(1));
        let (share, level) = if scene.ramp {
            (scene.share + (0.5 - scene.share) * part, 1.0 - part / 3.0)
        } else {
            (scene.share, 1.0)
        };
        let units = 50.0 * STEP;
        let candidate = draw(units * share, level * scene.slower, scene.tail, &mut random);
        let baseline = draw(units * (1.0 - share), level, false, &mut random);
        test.absorb(&settings, &candidate, &baseline);
        called(&test, &settings)
    })
}
