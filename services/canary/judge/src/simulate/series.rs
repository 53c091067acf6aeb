//! One series with a day's season, before and after a change.

use super::random::Random;
use crate::rows::{Row, Sample};
use crate::series::as_tracks;
use crate::values::{Pair, ValueSettings, ValueTest};
use crate::verdict::Levels;

/// Whole days before the day of the change, and points after it, five minutes apart.
const DAYS: u32 = 5;
const AFTER: u32 = 60;
const STEP: u32 = 300;

/// Index of the look after the change at which harm is called, when the level rises by `by` (standard deviation 10).
#[must_use]
pub fn first_alarm(by: f64, levels: &Levels, mut random: Random) -> Option<u32> {
    // At noon: what jumps at midnight is the day's own.
    let change = (2 * DAYS + 1) * 43_200 / STEP;
    let (mut noise, mut day_level) = (random.normal(), 0.0);
    let mut rows = Vec::new();
    for k in 0..change + AFTER {
        if (k * STEP).is_multiple_of(86_400) {
            day_level = 4.0 * random.normal();
        }
        noise = 0.8 * noise + 0.6 * random.normal();
        let season = 50.0 * (f64::from(k * STEP) / 86_400.0 * std::f64::consts::TAU).sin();
        let shift = if k >= change { by } else { 0.0 };
        rows.push(Row {
            time: f64::from(k * STEP),
            track: None,
            metric: "load".to_owned(),
            sample: Sample::Value(200.0 + season + day_level + 10.0 * noise + shift),
            direction: None,
            weight: None,
            critical: false,
        });
    }
    let from = f64::from(change * STEP);
    let rows = as_tracks(&rows.iter().collect::<Vec<_>>(), Some(from)).unwrap_or_default();
    let (settings, mut after) = (ValueSettings::default(), 0);
    let mut test = ValueTest::new(&settings);
    // A series and its expectation come as two rows of one time, the candidate first.
    rows.chunks(2).find_map(|pair| {
        let value = |at: usize| {
            pair.get(at).and_then(|row| {
                if let Sample::Value(v) = row.sample {
                    Some(v)
                } else {
                    None
                }
            })
        };
        let both = Pair {
            candidate: value(0),
            baseline: value(1),
        };
        if pair.first().is_some_and(|row| row.time < from) {
            test.absorb_history(&settings, &both);
            return None;
        }
        test.absorb(&settings, &both);
        after += 1;
        (test.ripe(&settings) && test.log_e_worse(&settings) >= levels.log_alarm()).then_some(after)
    })
}
