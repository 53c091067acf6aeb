//! One series against its own past: nobody runs beside it.
//!
//! The season (the same time of earlier days and weeks) is taken out before values come here; what remains has a mean, a scale
//! and an autocorrelation of its own, all of them unknown and none of them estimated. Three lanes look at it, each an e-value,
//! mixed as those of pairs are: a shift of the level, beginning at the change or whenever later (`level`), spikes that come
//! oftener than before, a standstill that is left oftener, or for longer, than before. Signs are no coins here: the spikes of a queue go up.

mod level;
mod wander;

use serde::{Deserialize, Serialize};

use self::level::Level;
use self::wander::{View, Wander};
use super::chain::Chain;
use super::spikes::{Spikes, log_oftener};
use super::{Assumption, Direction, HELD, LANES, LARGEST, Pair, ValueEvidence, ValueSettings, scale_of};
use crate::numeric::{bisect, log_mix};
use crate::verdict::Levels;

/// Weights of the lanes where most points of the past repeat one value.
const STILL: [f64; 3] = [0.0, 0.0, 1.0];

/// Running evidence about one series. Below 4 kB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PastTest {
    /// Power of two that brings the first value near 1.
    scale: Option<f64>,
    level: Level,
    /// The same of differences that nobody held: what is worse by the margin may lie beyond all that was usual.
    whole: Level,
    wander: Wander,
    spikes: Spikes,
    chain: Chain,
    /// Spikes upwards and downwards, and calm points, as of the change.
    past: Option<(u32, u32, u32)>,
    /// Median difference as of the change: what differences are held by afterwards.
    usual: Option<f64>,
    /// The greatest such median of the past: what spikes are told by afterwards. Nights are calmer than days, and a change at
    /// dawn would else find a day full of spikes.
    widest: f64,
    /// Whether a difference after the change was held from below, and from above.
    held: (bool, bool),
    /// Sum of the expectations' sizes after the change.
    expected: f64,
    first: Option<f64>,
    varies: bool,
    broken: u32,
    broken_run: u32,
}

impl PastTest {
    /// Adds a point after the change: the value, and as baseline what the season lets expect.
    pub fn absorb(&mut self, settings: &ValueSettings, pair: &Pair) {
        self.add(settings, pair, true);
    }

    /// Adds a point before the change.
    pub fn absorb_history(&mut self, settings: &ValueSettings, pair: &Pair) {
        if self.level.changed() == 0 {
            self.add(settings, pair, false);
        }
    }

    fn add(&mut self, settings: &ValueSettings, pair: &Pair, changed: bool) {
        let (Some(value), Some(expected)) = (pair.candidate, pair.baseline) else {
            return;
        };
        if !(value.is_finite() && expected.is_finite()) {
            self.broken = self.broken.saturating_add(1);
            self.broken_run = self.broken_run.saturating_add(u32::from(changed));
            return;
        }
        self.broken_run = 0;
        let largest = value.abs().max(expected.abs());
        if self.scale.is_none() && largest > 0.0 {
            self.scale = Some(scale_of(largest));
        }
        let scale = self.scale.unwrap_or(1.0);
        let within = |x: f64| (x * scale).clamp(-LARGEST, LARGEST);
        let d = within(value) - within(expected);
        let median = self.spikes.median();
        if changed && self.past.is_none() {
            self.usual = median;
            self.past = Some(self.spikes.counted());
        }
        if !changed {
            self.widest = self.widest.max(self.spikes.settled(median).unwrap_or(0.0));
        }
        let held = self.hold(settings, d, if changed { self.usual } else { median });
        let scale = if changed {
            self.usual.map(|usual| usual.max(self.widest))
        } else {
            median
        };
        if changed {
            self.held = (self.held.0 || held > d, self.held.1 || held < d);
            self.expected += within(expected).abs();
        }
        let seen = self.wander.absorb(held, changed);
        self.level.absorb(held, changed, seen, (d, self.whole.last()));
        self.whole.absorb(d, changed, None, (d, 0.0));
        // Without a scale nothing is a spike: a standstill is the chain's.
        self.spikes.absorb_at(d, true, scale.filter(|scale| *scale > 0.0));
        self.chain.absorb_alone(value, changed);
        let first = *self.first.get_or_insert(value);
        self.varies |= value.total_cmp(&first).is_ne();
    }

    /// A difference as the level sees it: beyond six medians of the past it is held, and the rest left to the spikes.
    fn hold(&self, settings: &ValueSettings, d: f64, usual: Option<f64>) -> f64 {
        match usual.map(|usual| HELD * usual) {
            Some(most) if most > 0.0 && self.bounded(settings) => d.clamp(-most, most),
            _ => d,
        }
    }

    fn bounded(&self, settings: &ValueSettings) -> bool {
        self.level.history() >= settings.min_history.max(2)
    }

    /// Whether there are points enough for a verdict, before the change and after it.
    #[must_use]
    pub fn ripe(&self, settings: &ValueSettings) -> bool {
        self.bounded(settings) && self.level.changed() >= settings.min_samples.max(1)
    }

    /// Log e-value against "no worse", cheaper than the whole evidence.
    #[must_use]
    pub fn log_e_worse(&self, settings: &ValueSettings) -> f64 {
        let told = self.level.log_ever(self.wander.view().as_ref());
        self.lanes(settings, &self.level, told)
    }

    /// The same, had nobody thought of a shift that begins later: what the sum over beginnings is measured against.
    #[must_use]
    pub(crate) fn log_e_at_change(&self, settings: &ValueSettings) -> f64 {
        let told = self.level.log_at_change(0.0, self.wander.view().as_ref());
        self.lanes(settings, &self.level, told)
    }

    fn lanes(&self, settings: &ValueSettings, level: &Level, (above, below): (f64, f64)) -> f64 {
        let null = level.log_null(0.0, None).max(self.wander.log_null());
        // Where most points repeat one value there is no noise to measure a shift against: that is the chain's.
        let stands = self.usual == Some(0.0) && self.chain.stands();
        let still = stands || level.size() <= 0.0;
        let one_way = |up: bool| {
            let shift = if up { above } else { below } - null;
            let lanes = [
                if still { 0.0 } else { shift },
                self.oftener(up),
                self.chain.log_e_alone(up),
            ];
            // The past decides which lanes can say anything.
            let weights = if stands { STILL } else { LANES };
            log_mix(weights.into_iter().zip(lanes))
        };
        settings.direction.mixed(one_way)
    }

    /// Log e-value for spikes upwards (or downwards) that come oftener than before the change.
    fn oftener(&self, up: bool) -> f64 {
        let Some(past) = self.past else {
            return 0.0;
        };
        let now = self.spikes.counted();
        let of = |(above, below, tries): (u32, u32, u32)| (if up { above } else { below }, tries);
        let ((before, before_tries), (all, all_tries)) = (of(past), of(now));
        let after = |all: u32, before: u32| f64::from(all.saturating_sub(before));
        log_oftener(
            (after(all, before), after(all_tries, before_tries)),
            (f64::from(before), f64::from(before_tries)),
        )
    }

    /// Log e-value against "worse by the margin": since the change, and since the shift most likely began where that was later.
    #[must_use]
    pub fn log_e_safe(&self, settings: &ValueSettings) -> f64 {
        let view = self.wander.view();
        // Whole, for what is worse may lie beyond all that was usual; and held, where a slow part may hide what is worse.
        let since_change =
            self.safe(settings, &self.whole, None)
                .min(self.safe(settings, &self.level, view.as_ref()));
        let Some(start) = self.level.leading(view.as_ref()) else {
            return since_change;
        };
        since_change.min(self.within(settings, |shift| self.whole.log_e_from(&start, shift)))
    }

    fn safe(&self, settings: &ValueSettings, level: &Level, view: Option<&View>) -> f64 {
        self.within(settings, |shift| {
            let (up, down) = level.log_at_change(shift, view);
            let null = level.log_null(shift, view);
            (up - null, down - null)
        })
    }

    /// Log e-value against a shift by the margin, given those against a shift of any size.
    fn within(&self, settings: &ValueSettings, refuted: impl Fn(f64) -> (f64, f64)) -> f64 {
        let margin = settings.margin.max(1.0);
        let Some(size) = self.size().filter(|_| self.whole.size() > 0.0) else {
            return 0.0;
        };
        let above = || refuted((margin - 1.0) * size).1;
        let below = || refuted((1.0 / margin - 1.0) * size).0;
        match settings.direction {
            Direction::Increase => above(),
            Direction::Decrease => below(),
            Direction::Either => above().min(below()),
        }
    }

    /// Mean size of what was expected after the change, as the sums hold it.
    fn size(&self) -> Option<f64> {
        let size = self.expected / f64::from(self.level.changed().max(1));
        (size.is_finite() && size > 0.0).then_some(size)
    }

    /// Shifts not refuted at the level asked for, in the metric's unit; unbounded where differences were held.
    fn interval(&self, settings: &ValueSettings) -> (f64, f64) {
        let open = (f64::NEG_INFINITY, f64::INFINITY);
        let (Some(effect), Some(scale)) = (self.level.effect(), self.scale) else {
            return open;
        };
        if !self.ripe(settings) {
            return open;
        }
        let most = -settings.interval_level().ln();
        let view = self.wander.view();
        let inside = |shift: f64| {
            let (up, down) = self.level.log_at_change(shift, view.as_ref());
            let null = self.level.log_null(shift, view.as_ref());
            log_mix([(0.5, up), (0.5, down)].into_iter()) - null < most
        };
        let reach = 1e3 * self.level.size();
        let side = |far: f64| {
            let known = reach > 0.0 && !inside(far) && inside(effect);
            known.then(|| bisect(28, effect, far, inside) / scale)
        };
        let low = side(effect - reach).filter(|_| !self.held.0);
        let high = side(effect + reach).filter(|_| !self.held.1);
        (low.unwrap_or(open.0), high.unwrap_or(open.1))
    }

    /// What has been absorbed so far says this.
    #[must_use]
    pub fn evidence(&self, settings: &ValueSettings) -> ValueEvidence {
        let (low, high) = self.interval(settings);
        let points = self.level.changed();
        let silent = |run: u32| settings.silent_after > 0 && run >= settings.silent_after;
        ValueEvidence {
            log_e_worse: self.log_e_worse(settings),
            log_e_safe: self.log_e_safe(settings),
            effect: self
                .whole
                .effect()
                .map(|effect| effect / self.scale.unwrap_or(1.0)),
            low,
            high,
            samples: u64::from(points),
            history: u64::from(self.level.history()),
            assumes: Assumption::OwnPastHolds,
            equal_constants: points > 0 && !self.varies,
            not_finite: (points == 0 && self.broken > 0) || silent(self.broken_run),
            silent_candidate: false,
            silent_baseline: false,
            too_few: !self.ripe(settings),
        }
    }

    /// Points until a decision is likely, as [`super::ValueTest`] tells it.
    pub(crate) fn remaining(&self, settings: &ValueSettings, levels: &Levels, effect: f64) -> Option<f64> {
        if self.level.changed() < 3 || !(effect.is_finite() && effect > 1.0) {
            return None;
        }
        let size = self.size()?;
        let by = match settings.direction {
            Direction::Decrease => (1.0 / effect - 1.0) * size,
            Direction::Increase | Direction::Either => (effect - 1.0) * size,
        };
        let at = |level: &Level, more: f64, by: f64| level.foreseen(super::ahead::whole(more), by);
        let detect = super::ahead::soonest(|more| {
            let level = at(&self.level, more, by);
            self.lanes(settings, &level, level.log_at_change(0.0, None)) >= levels.log_alarm()
        })?;
        let pass = super::ahead::soonest(|more| {
            self.safe(settings, &at(&self.whole, more, 0.0), None) >= levels.log_pass()
        })?;
        Some(detect.max(pass).ceil())
    }
}

#[cfg(test)]
mod tests;
