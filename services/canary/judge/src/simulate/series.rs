//! One series with its seasons, before and after a change.

use super::random::Random;
use super::values::{Track, zero_or_burst};
use crate::rows::{Row, Sample};
use crate::series::as_tracks;
use crate::values::{Pair, PastTest, ValueSettings};
use crate::verdict::Levels;

/// What comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Nothing.
    Flat,
    /// Every day's curve, each day on a level of its own.
    Days,
    /// The same, and weekends lie a third lower with a flatter curve.
    Weeks,
    /// Nothing but its scatter: a day's, from a fifth to nine fifths, and calm when the change comes.
    Hours,
    /// Whole numbers, 0.7 on average, each point by itself.
    Few,
    /// Nothing, and tails to one side: the exponential of a series.
    Skewed,
    /// Nothing; it walks, and never comes back.
    Walk,
    /// Nothing; its level jumps by itself, once in a hundred points.
    Jumps,
    /// Mostly zero: an interval in ten is above it, and stays so with the autocorrelation as its probability.
    Zeros,
}

impl Pattern {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "level",
            Self::Days => "days",
            Self::Weeks => "days and weeks",
            Self::Hours => "scatter by the hour",
            Self::Few => "few and whole",
            Self::Skewed => "lognormal",
            Self::Walk => "a random walk",
            Self::Jumps => "a level that jumps by itself",
            Self::Zeros => "mostly zero",
        }
    }
}

/// What the change does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bite {
    /// Nothing.
    Never,
    /// The level rises by this much, so many points after the change.
    Step(u32, f64),
    /// It rises by this much with every point from the change on.
    Drift(f64),
}

/// A series of standard deviation 10 around 200, points five minutes apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesScene {
    /// What comes again.
    pub pattern: Pattern,
    /// Autocorrelation from one point to the next.
    pub phi: f64,
    /// Innovations with three degrees of freedom instead of normal ones.
    pub heavy: bool,
    /// Whole days before the day of the change; it is a Saturday's noon where there are weeks.
    pub days: u32,
    /// Points after the change.
    pub after: u32,
    /// What happens.
    pub bite: Bite,
}

const STEP: u32 = 300;
const DAY: u32 = 86_400 / STEP;

impl SeriesScene {
    /// Points after the change at which it begins to bite.
    #[must_use]
    pub const fn bites(&self) -> u32 {
        match self.bite {
            Bite::Step(at, _) => at,
            Bite::Never | Bite::Drift(_) => 0,
        }
    }
}

/// Index of the look after the change at which harm is called; `late`: whether a shift may begin after it.
#[must_use]
pub fn first_alarm(scene: &SeriesScene, late: bool, levels: &Levels, random: Random) -> Option<u32> {
    first(scene, random, |test, settings| {
        let log_e = if late {
            test.log_e_worse(settings)
        } else {
            test.log_e_at_change(settings)
        };
        log_e >= levels.log_alarm()
    })
}

/// Index of the look after the change at which the series may pass.
#[must_use]
pub fn passed(scene: &SeriesScene, levels: &Levels, random: Random) -> Option<u32> {
    first(scene, random, |test, settings| {
        test.log_e_safe(settings) >= levels.log_pass()
    })
}

fn first(
    scene: &SeriesScene,
    random: Random,
    called: impl Fn(&PastTest, &ValueSettings) -> bool,
) -> Option<u32> {
    // At noon: what jumps at midnight is the day's own.
    let change = scene.days * DAY + DAY / 2;
    let from = f64::from(change * STEP);
    let rows = told(scene, change, random);
    let rows = as_tracks(&rows.iter().collect::<Vec<_>>(), Some(from)).unwrap_or_default();
    let settings = ValueSettings::default();
    let (mut test, mut after) = (PastTest::default(), 0);
    // A series and its expectation come as two rows of one time, the candidate first.
    rows.chunks(2).find_map(|pair| {
        let value = |at: usize| match pair.get(at)?.sample {
            Sample::Value(value) => Some(value),
            _ => None,
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
        (test.ripe(&settings) && called(&test, &settings)).then_some(after)
    })
}

/// Angle of a point in its day.
fn hour(k: u32) -> f64 {
    f64::from(k) / f64::from(DAY) * std::f64::consts::TAU
}

/// The rows of a series whose point `change` is the first after the change.
fn told(scene: &SeriesScene, change: u32, mut random: Random) -> Vec<Row> {
    let mut track = Track::new(scene.phi, scene.heavy, &mut random);
    let (mut on, mut day_level, mut walked, mut level) = (false, 0.0, 0.0, 0.0);
    let row = |k: u32| {
        if k.is_multiple_of(DAY) {
            day_level = 4.0 * random.normal();
        }
        let curve = 50.0 * hour(k).sin();
        let noise = 10.0 * track.next(&mut random);
        // The day of the change is a Saturday.
        let weekend = (k / DAY + 7 - scene.days % 7) % 7 < 2;
        let value = match scene.pattern {
            Pattern::Flat => 200.0 + noise,
            Pattern::Weeks if weekend => 130.0 + 0.6 * curve + day_level + noise,
            Pattern::Hours => 200.0 + noise * (1.0 - 0.8 * hour(k.abs_diff(change)).cos()),
            Pattern::Few => crate::numeric::real(random.poisson(0.7)),
            Pattern::Skewed => 100.0 * (0.1 * noise).exp(),
            Pattern::Walk => {
                walked += random.normal();
                2_000.0 + walked
            }
            Pattern::Jumps => {
                if random.chance(0.01) {
                    level = 20.0 * random.normal();
                }
                200.0 + level + noise
            }
            Pattern::Days | Pattern::Weeks => 200.0 + curve + day_level + noise,
            Pattern::Zeros => zero_or_burst(&mut on, 0.1, scene.phi, &mut random),
        };
        let since = k.checked_sub(change);
        let shift = match (scene.bite, since) {
            (Bite::Step(at, by), Some(since)) if since >= at => by,
            (Bite::Drift(by), Some(since)) => by * f64::from(since),
            _ => 0.0,
        };
        Row {
            time: f64::from(k * STEP),
            track: None,
            metric: "load".to_owned(),
            sample: Sample::Value(value + shift),
            direction: None,
            weight: None,
            critical: false,
        }
    };
    (0..change + scene.after).map(row).collect()
}
