//! How much longer: the sums of lane A carried on as they went so far.

use super::{Direction, ValueSettings, ValueTest, safest};
use crate::plan::first;
use crate::verdict::Levels;

/// Most intervals that are still worth telling.
const LONGEST: f64 = 1e6;

impl ValueTest {
    /// Intervals until a decision is likely: the longer of the times until a candidate at `effect` times its baseline is called
    /// worse, and until one that equals it may pass. None when never, before there are pairs enough to know the noise by, or
    /// where the baseline lies at zero, which has no multiple.
    ///
    /// Spikes and a slow component are not foreseen: the latter makes it longer where there is no time before the change.
    pub(crate) fn remaining(&self, settings: &ValueSettings, levels: &Levels, effect: f64) -> Option<f64> {
        if self.harm.changed() < 3 || !(effect.is_finite() && effect > 1.0) {
            return None;
        }
        let level = self.level(settings)?;
        let by = match settings.direction {
            Direction::Decrease => (1.0 / effect - 1.0) * level,
            Direction::Increase | Direction::Either => (effect - 1.0) * level,
        };
        let detect = soonest(|t| {
            self.ripens(settings, t) && self.foreseen_worse(settings, t, by) >= levels.log_alarm()
        })?;
        let pass = soonest(|t| {
            self.ripens(settings, t) && self.foreseen_safe(settings, t, level) >= levels.log_pass()
        })?;
        Some(detect.max(pass).ceil())
    }

    /// Mean size of the baseline, as the sums hold it: what the two margins are apart by, undone.
    pub(super) fn level(&self, settings: &ValueSettings) -> Option<f64> {
        let margin = settings.margin.max(1.0);
        let apart = self.below.mean()? - self.above.mean()?;
        let level = apart / (margin - 1.0 / margin);
        (level.is_finite() && level > 0.0).then_some(level)
    }

    fn ripens(&self, settings: &ValueSettings, more: f64) -> bool {
        self.harm.changed().saturating_add(whole(more)) >= self.least(settings)
    }

    fn foreseen_worse(&self, settings: &ValueSettings, more: f64, by: f64) -> f64 {
        let shift = self.harm.foreseen(whole(more), by);
        self.lanes(settings, shift.log_e(f64::NEG_INFINITY))
    }

    fn foreseen_safe(&self, settings: &ValueSettings, more: f64, level: f64) -> f64 {
        let margin = settings.margin.max(1.0);
        let above = self.above.foreseen(whole(more), (1.0 - margin) * level);
        let below = self.below.foreseen(whole(more), (1.0 - 1.0 / margin) * level);
        safest(settings.direction, &above, &below)
    }
}

/// First number of intervals at which something holds; none when never.
pub(super) fn soonest(holds: impl Fn(f64) -> bool) -> Option<f64> {
    first(LONGEST, holds)
}

/// Intervals are whole.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and below the longest time told"
)]
pub(super) fn whole(intervals: f64) -> u32 {
    intervals.ceil().clamp(0.0, LONGEST * 2.0) as u32
}
