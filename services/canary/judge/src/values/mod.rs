//! Values per interval (CPU, memory, queue depth, revenue): paired differences, valid under unknown autocorrelation.
//!
//! Shocks common to both tracks cancel in the difference of the same interval. Three lanes look at it, each an e-value, and
//! their fixed mixture `0.6 A + 0.25 S + 0.15 M` is the evidence: a level shift (A), fresh spikes (S), a standstill left (M).
//!
//! What the verdict assumes depends on what came before the change, and is said in [`ValueEvidence::assumes`]: without an
//! A/A period no slow component may hide under white noise (nobody can tell it from a shift); with one, it is bounded.

mod ahead;
mod chain;
mod direction;
mod past;
mod shift;
mod slow;
mod spikes;

use serde::{Deserialize, Serialize};

use self::chain::Chain;
pub use self::direction::Direction;
pub use self::past::PastTest;
use self::shift::Shift;
use self::slow::Slow;
use self::spikes::Spikes;
use crate::numeric::{bisect, log_mix};
use crate::verdict::{Levels, Reason, Ruling, Verdict};

/// What both tracks reported in one closed interval, each already averaged; nothing when a track was silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The candidate's value in the metric's unit.
    pub candidate: Option<f64>,
    /// The baseline's value in the metric's unit.
    pub baseline: Option<f64>,
}

/// What counts as worse, and the least to judge by. Fixed for the life of a [`ValueTest`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValueSettings {
    /// Which way is worse. Default either.
    pub direction: Direction,
    /// Ratio to the baseline that may not be let through, above 1. Default 1.25.
    pub margin: f64,
    /// Level of the interval for the effect, within (0, 1). Default 0.05.
    pub level: f64,
    /// Pairs after the change below which no verdict is given; at least 8 without points before the change. Default 8.
    pub min_samples: u32,
    /// Pairs before the change from which they bound a slow component. Default 30.
    pub min_history: u32,
    /// Consecutive intervals with one track alone that count as silence of the other. Default 3.
    pub silent_after: u32,
}

impl Default for ValueSettings {
    fn default() -> Self {
        Self {
            direction: Direction::Either,
            margin: 1.25,
            level: 0.05,
            min_samples: 8,
            min_history: 30,
            silent_after: 3,
        }
    }
}

impl ValueSettings {
    /// The level of the interval, as far as it is one.
    fn interval_level(&self) -> f64 {
        if self.level > 0.0 && self.level < 1.0 {
            self.level
        } else {
            0.05
        }
    }
}

/// What a verdict on values rests on besides the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assumption {
    /// The difference has one time scale: no slow component under white noise. Data before the change would bound it.
    OneTimeScale,
    /// The time before the change resembles the time after it, slow components included.
    HistoryHolds,
    /// Of one series: the same, and that nothing else moved it at that time. Nobody beside it could tell.
    OwnPastHolds,
}

/// Running evidence about one metric that is a value per interval. Below 4 kB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ValueTest {
    /// Power of two that brings the first value near 1, so that sums of squares neither overflow nor vanish.
    scale: Option<f64>,
    harm: Shift,
    above: Shift,
    below: Shift,
    slow: Slow,
    spikes: Spikes,
    chain: Chain,
    /// Median difference before the change, as of the change: what lane A holds differences by afterwards.
    #[serde(default)]
    usual: Option<f64>,
    /// Whether a difference after the change was held from below, and from above.
    #[serde(default)]
    held: (bool, bool),
    first: Option<(f64, f64)>,
    varies: bool,
    broken: u32,
    /// The latest intervals in a row, after the change, whose values were no numbers.
    #[serde(default)]
    broken_run: u32,
    silent_candidate: u32,
    silent_baseline: u32,
}

/// What the pairs absorbed so far say. Logarithms are natural.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueEvidence {
    /// Log e-value against "no worse".
    pub log_e_worse: f64,
    /// Log e-value against "worse by the margin".
    pub log_e_safe: f64,
    /// Mean of candidate minus baseline, in the metric's unit; none before the first pair.
    pub effect: Option<f64>,
    /// Lower end of its interval, all looks together; minus infinity when unbounded.
    pub low: f64,
    /// Upper end; infinite when unbounded.
    pub high: f64,
    /// Pairs after the change.
    pub samples: u64,
    /// Pairs before the change.
    pub history: u64,
    /// What the verdict rests on besides the data.
    pub assumes: Assumption,
    /// Both tracks have been constant and equal throughout.
    pub equal_constants: bool,
    /// Values were reported and none of them was a number, or the latest were not for as long as silence takes.
    pub not_finite: bool,
    /// The candidate has been silent beside its baseline for long enough to say so.
    pub silent_candidate: bool,
    /// The baseline has been silent beside the candidate for long enough to say so.
    pub silent_baseline: bool,
    /// There are fewer pairs than the least that a verdict may rest on.
    pub too_few: bool,
}

/// Weights of the lanes in the mixture.
const LANES: [f64; 3] = [0.6, 0.25, 0.15];
/// By how many nats a slow component under white noise is discounted as an explanation, without and with enough pairs before
/// the change. Undiscounted, it explains every shift away when there is no history; at 6 nats every measured power stays
/// while its false alarms halve (7.7 % to 4.0 % under an AR(.9) with as much white noise, 240 points); with 30 pairs of
/// history 3 nats keep them below 1 % (largest measured: 0.8 %).
const DOUBT: (f64, f64) = (6.0, 3.0);
/// Medians of past differences beyond which lane A holds a difference, once there is history.
const HELD: f64 = 6.0;
/// Fewer pairs leak under heavy tails.
const LEAST: u32 = 8;
/// Largest multiple of the first value that enters the sums.
const LARGEST: f64 = 1e60;

impl ValueTest {
    /// An empty test.
    #[must_use]
    pub fn new(_settings: &ValueSettings) -> Self {
        Self::default()
    }

    /// Adds one closed interval after the change.
    pub fn absorb(&mut self, settings: &ValueSettings, pair: &Pair) {
        let silent = |before: u32, this: Option<f64>, other: Option<f64>| match (this, other) {
            (Some(_), _) => 0,
            (None, Some(_)) => before.saturating_add(1),
            (None, None) => before,
        };
        self.silent_candidate = silent(self.silent_candidate, pair.candidate, pair.baseline);
        self.silent_baseline = silent(self.silent_baseline, pair.baseline, pair.candidate);
        self.add(settings, pair, true);
    }

    /// Adds one closed interval before the change, when both tracks ran the same version.
    pub fn absorb_history(&mut self, settings: &ValueSettings, pair: &Pair) {
        if self.harm.changed() == 0 {
            self.add(settings, pair, false);
        }
    }

    fn add(&mut self, settings: &ValueSettings, pair: &Pair, changed: bool) {
        let (Some(candidate), Some(baseline)) = (pair.candidate, pair.baseline) else {
            return;
        };
        if !(candidate.is_finite() && baseline.is_finite()) {
            self.broken = self.broken.saturating_add(1);
            self.broken_run = self.broken_run.saturating_add(u32::from(changed));
            return;
        }
        self.broken_run = 0;
        let largest = candidate.abs().max(baseline.abs());
        if self.scale.is_none() && largest > 0.0 {
            self.scale = Some(scale_of(largest));
        }
        let scale = self.scale.unwrap_or(1.0);
        let within = |x: f64| (x * scale).clamp(-LARGEST, LARGEST);
        let (c, b) = (within(candidate), within(baseline));
        let d = c - b;
        if changed && self.harm.changed() == 0 {
            self.usual = self.spikes.median();
        }
        let held = self.held(settings, d, changed);
        if changed {
            self.held = (self.held.0 || held > d, self.held.1 || held < d);
        }
        self.slow.absorb(held);
        self.harm.absorb(held, changed);
        self.spikes.absorb(d, changed);
        self.chain.absorb(candidate, baseline, changed);
        if changed {
            let margin = settings.margin.max(1.0);
            self.above.absorb(d - (margin - 1.0) * b.abs(), true);
            self.below.absorb(d + (1.0 - 1.0 / margin) * b.abs(), true);
        }
        let (first, _) = *self.first.get_or_insert((candidate, baseline));
        let same = |x: f64| x.total_cmp(&first).is_eq();
        self.varies |= !(same(candidate) && same(baseline));
    }

    /// A difference as lane A sees it. After a quiet history a single outlier would weigh as much as a lasting shift, for the
    /// history has fixed the scale: beyond six medians of the past it is held, and the outlier left to lane S. After the change
    /// the past is what came before it: a scale that learns from the shift itself would let go of it bit by bit, and a level
    /// that creeps upwards is a slow component.
    fn held(&self, settings: &ValueSettings, d: f64, changed: bool) -> f64 {
        let usual = if changed { self.usual } else { self.spikes.median() };
        match usual.map(|usual| HELD * usual) {
            Some(most) if most > 0.0 && self.bounded(settings) => d.clamp(-most, most),
            _ => d,
        }
    }

    fn bounded(&self, settings: &ValueSettings) -> bool {
        self.harm.history() >= settings.min_history.max(1)
    }

    /// Whether there are pairs enough for a verdict.
    #[must_use]
    pub fn ripe(&self, settings: &ValueSettings) -> bool {
        self.harm.changed() >= self.least(settings)
    }

    fn least(&self, settings: &ValueSettings) -> u32 {
        let least = if self.bounded(settings) { 1 } else { LEAST };
        settings.min_samples.max(least)
    }

    /// Log e-value against "no worse", cheaper than the whole evidence.
    #[must_use]
    pub fn log_e_worse(&self, settings: &ValueSettings) -> f64 {
        let slow = self.slow.log_null() - if self.bounded(settings) { DOUBT.1 } else { DOUBT.0 };
        self.lanes(settings, self.harm.log_e(slow))
    }

    /// The lanes mixed in the direction that is worse, given what lane A says of upwards and of downwards.
    fn lanes(&self, settings: &ValueSettings, (above, below): (f64, f64)) -> f64 {
        let one_way = |up: bool| {
            let shift = if up { above } else { below };
            let lanes = [
                shift,
                self.spikes.log_e(up, self.bounded(settings)),
                self.chain.log_e(up),
            ];
            log_mix(LANES.into_iter().zip(lanes))
        };
        settings.direction.mixed(one_way)
    }

    /// Log e-value against "worse by the margin".
    #[must_use]
    pub fn log_e_safe(&self, settings: &ValueSettings) -> f64 {
        safest(settings.direction, &self.above, &self.below)
    }

    /// Mean difference after the change, none of them held: what both margins are apart by tells the baseline's mean.
    fn mean(&self, settings: &ValueSettings) -> Option<f64> {
        let apart = (settings.margin.max(1.0) - 1.0) * self.level(settings).unwrap_or_default();
        Some(self.above.mean()? + apart)
    }

    /// Shifts not refuted at `level`, in the metric's unit; unbounded where differences were held.
    fn interval(&self, settings: &ValueSettings) -> (f64, f64) {
        let level = settings.interval_level();
        let open = (f64::NEG_INFINITY, f64::INFINITY);
        let (Some(mean), Some(scale)) = (self.harm.mean(), self.scale) else {
            return open;
        };
        if self.harm.changed() < LEAST {
            return open;
        }
        let inside = |shift: f64| self.harm.log_e_either(shift) < -level.ln();
        let reach = 1e3 * self.harm.size();
        let side = |far: f64| {
            if reach <= 0.0 || inside(far) || !inside(mean) {
                None
            } else {
                Some(bisect(28, mean, far, inside) / scale)
            }
        };
        let low = side(mean - reach).filter(|_| !self.held.0);
        let high = side(mean + reach).filter(|_| !self.held.1);
        (low.unwrap_or(open.0), high.unwrap_or(open.1))
    }

    /// What has been absorbed so far says this.
    #[must_use]
    pub fn evidence(&self, settings: &ValueSettings) -> ValueEvidence {
        let (low, high) = self.interval(settings);
        let pairs = self.harm.changed();
        let silent = |run: u32| settings.silent_after > 0 && run >= settings.silent_after;
        ValueEvidence {
            log_e_worse: self.log_e_worse(settings),
            log_e_safe: self.log_e_safe(settings),
            effect: self.mean(settings).map(|mean| mean / self.scale.unwrap_or(1.0)),
            low,
            high,
            samples: u64::from(pairs),
            history: u64::from(self.harm.history()),
            assumes: if self.bounded(settings) {
                Assumption::HistoryHolds
            } else {
                Assumption::OneTimeScale
            },
            equal_constants: pairs > 0 && !self.varies,
            not_finite: (pairs == 0 && self.broken > 0) || silent(self.broken_run),
            silent_candidate: silent(self.silent_candidate),
            silent_baseline: silent(self.silent_baseline),
            too_few: !self.ripe(settings),
        }
    }
}

/// The power of two that brings a size near 1.
fn scale_of(largest: f64) -> f64 {
    (-largest.log2().floor()).clamp(-1000.0, 1000.0).exp2()
}

/// Log e-value against "worse by the margin", of the sums that hold the differences beyond it upwards and downwards.
fn safest(direction: Direction, above: &Shift, below: &Shift) -> f64 {
    let above = || above.log_e(f64::NEG_INFINITY).1;
    let below = || below.log_e(f64::NEG_INFINITY).0;
    match direction {
        Direction::Increase => above(),
        Direction::Decrease => below(),
        Direction::Either => above().min(below()),
    }
}

/// The verdict that the evidence permits at these levels.
#[must_use]
pub fn judge_values(evidence: &ValueEvidence, levels: &Levels) -> Ruling {
    let none = |reason| Ruling::new(Verdict::NoEvidence, reason);
    if evidence.too_few {
        return none(match evidence {
            ValueEvidence { not_finite: true, .. } => Reason::NotFinite,
            ValueEvidence {
                silent_candidate: true,
                ..
            } => Reason::SilentCandidate,
            ValueEvidence {
                silent_baseline: true,
                ..
            } => Reason::SilentBaseline,
            _ => Reason::TooFewSamples,
        });
    }
    if evidence.equal_constants {
        return none(Reason::EqualConstants);
    }
    let small = evidence.log_e_safe >= levels.log_pass();
    match (evidence.log_e_worse >= levels.log_alarm(), small) {
        (true, true) => Ruling::new(Verdict::NoWorse, Reason::WithinMargin),
        (true, false) => Ruling::new(Verdict::Worse, Reason::HarmProven),
        _ if evidence.silent_candidate => none(Reason::SilentCandidate),
        _ if evidence.silent_baseline => none(Reason::SilentBaseline),
        _ if evidence.not_finite => none(Reason::NotFinite),
        (false, true) => Ruling::new(Verdict::NoWorse, Reason::NoWorseByRatio),
        (false, false) => Ruling::new(Verdict::Undecided, Reason::StillWatching),
    }
}
