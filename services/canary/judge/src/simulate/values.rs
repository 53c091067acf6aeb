//! Paths of values per interval: healthy ones that tempt, and bad ones that must be found.

use super::peer::{Moments, p_value};
use super::random::Random;
use crate::combine::shared;
use crate::numeric::log_mix;
use crate::values::{Direction, Pair, ValueSettings, ValueTest};
use crate::verdict::Levels;

/// How the candidate differs from its baseline, or what tempts although it does not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Story {
    /// Two independent AR(1) tracks of mean 100 and standard deviation 10, the candidate higher by this much.
    Level(f64),
    /// The same, healthy, with a common trend, walk and shock.
    CommonShock,
    /// The same, healthy, times a common factor: 1 to 2 over the hour, threefold for five minutes.
    CommonFactor,
    /// Each track is a slow AR(1) under white noise of this many of its variances.
    SlowUnderWhite(f64),
    /// Healthy, mostly zero: an interval is above zero with this probability, and stays so with the other.
    Inflated(f64, f64),
    /// The candidate repeats 0,0,3,0,5,2,0,0,4,6 against zeros.
    ErrorsAgainstZero,
    /// Half of the candidate's intervals are a hundredfold, scattered at random.
    HalfHundredfold,
    /// Seven of ten intervals at 100 against ones, in random order, kept up.
    SevenOfTen,
    /// Three intervals an hour a hundredfold.
    ThreeSpikes,
    /// Healthy: each interval of either track is a hundredfold with this probability.
    RareSpikes(f64),
    /// A constant 100 against a constant 1.
    Constants,
    /// Sums of many lognormal minutes: skewed, healthy.
    Lognormal,
}

/// A story with its noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scene {
    /// What happens.
    pub story: Story,
    /// Autocorrelation of each track from one interval to the next, within (-1, 1).
    pub phi: f64,
    /// Innovations with three degrees of freedom instead of normal ones.
    pub heavy: bool,
    /// Healthy intervals before the change.
    pub history: u32,
    /// Intervals after it.
    pub points: u32,
}

/// One track's autoregression, standard deviation 1.
pub(super) struct Track {
    level: f64,
    phi: f64,
    heavy: bool,
}

impl Track {
    pub(super) fn new(phi: f64, heavy: bool, random: &mut Random) -> Self {
        let mut track = Self {
            level: random.normal(),
            phi,
            heavy,
        };
        // Heavy innovations need a while to reach their stationary law.
        for _ in 0..if heavy { 60 } else { 0 } {
            track.next(random);
        }
        track
    }

    pub(super) fn next(&mut self, random: &mut Random) -> f64 {
        let innovation = if self.heavy {
            random.heavy()
        } else {
            random.normal()
        };
        self.level = self.phi * self.level + (1.0 - self.phi * self.phi).sqrt() * innovation;
        self.level
    }
}

/// A path being told, interval by interval.
struct Teller {
    scene: Scene,
    tracks: [Track; 2],
    walk: f64,
    zeros: [bool; 2],
    deck: Vec<bool>,
}

impl Teller {
    fn new(scene: Scene, random: &mut Random) -> Self {
        let track = |random: &mut Random| Track::new(scene.phi, scene.heavy, random);
        let tracks = [track(random), track(random)];
        let zeros = match scene.story {
            Story::Inflated(share, _) => [random.chance(share), random.chance(share)],
            _ => [false; 2],
        };
        Self {
            scene,
            tracks,
            walk: 0.0,
            zeros,
            deck: Vec::new(),
        }
    }

    /// Draws without replacement from `hits` of `of`, reshuffled when empty.
    fn draw(&mut self, random: &mut Random, hits: usize, of: usize) -> bool {
        if self.deck.is_empty() {
            self.deck = (0..of).map(|k| k < hits).collect();
            for k in (1..of).rev() {
                let other = (0..=k).find(|j| random.uniform() * f64::from(to_u32(k + 1 - j)) < 1.0);
                self.deck.swap(k, other.unwrap_or(k));
            }
        }
        self.deck.pop().unwrap_or(false)
    }

    /// Interval `k` after the change (negative before it): candidate and baseline.
    fn next(&mut self, k: i64, random: &mut Random) -> (f64, f64) {
        let changed = k >= 0;
        let noise = [self.tracks[0].next(random), self.tracks[1].next(random)];
        let [c, b] = noise.map(|x| 100.0 + 10.0 * x);
        let Scene { story, points, .. } = self.scene;
        match story {
            Story::Level(by) => (c + if changed { by } else { 0.0 }, b),
            Story::CommonShock => {
                self.walk += random.normal() + 0.3;
                let shock = if (20..25).contains(&k) { 200.0 } else { 0.0 };
                (c + self.walk + shock, b + self.walk + shock)
            }
            Story::CommonFactor => {
                let ramp = 1.0 + super::ratio_of(k.max(0), points);
                let factor = ramp * if (20..25).contains(&k) { 3.0 } else { 1.0 };
                (c * factor, b * factor)
            }
            Story::SlowUnderWhite(share) => {
                let white = 10.0 * share.sqrt();
                (c + white * random.normal(), b + white * random.normal())
            }
            Story::Lognormal => (noise[0].exp(), noise[1].exp()),
            Story::Inflated(share, stay) => self.inflated(share, stay, random),
            Story::ErrorsAgainstZero => {
                const PATTERN: [f64; 10] = [0.0, 0.0, 3.0, 0.0, 5.0, 2.0, 0.0, 0.0, 4.0, 6.0];
                let at = usize::try_from(k.rem_euclid(10)).unwrap_or(0);
                (if changed { PATTERN[at] } else { 0.0 }, 0.0)
            }
            Story::HalfHundredfold => (
                if changed && self.draw(random, 30, 60) {
                    100.0 * c
                } else {
                    c
                },
                b,
            ),
            Story::RareSpikes(rate) => {
                let mut spiked = |x: f64| if random.chance(rate) { 100.0 * x } else { x };
                (spiked(c), spiked(b))
            }
            Story::SevenOfTen => (
                if changed && self.draw(random, 7, 10) {
                    100.0
                } else {
                    1.0
                },
                1.0,
            ),
            Story::ThreeSpikes => (
                if changed && self.draw(random, 3, 60) {
                    100.0 * c
                } else {
                    c
                },
                b,
            ),
            Story::Constants => (if changed { 100.0 } else { 1.0 }, 1.0),
        }
    }

    fn inflated(&mut self, share: f64, stay: f64, random: &mut Random) -> (f64, f64) {
        let [c, b] = &mut self.zeros;
        let c = zero_or_burst(c, share, stay, random);
        (c, zero_or_burst(b, share, stay, random))
    }
}

/// The next interval of a track that is above zero with probability `share`, and stays so with probability `stay` (0: is so
/// independently of the one before).
pub(super) fn zero_or_burst(on: &mut bool, share: f64, stay: f64, random: &mut Random) -> f64 {
    let enter = if stay > 0.0 {
        share * (1.0 - stay) / (1.0 - share)
    } else {
        share
    };
    *on = random.chance(if *on && stay > 0.0 { stay } else { enter });
    crate::numeric::real(if *on { random.poisson(4.0) + 1 } else { 0 })
}

fn to_u32(k: usize) -> u32 {
    u32::try_from(k).unwrap_or(u32::MAX)
}

/// First interval after the change at which harm is proven, looking at each (or at the last only).
#[must_use]
pub fn first_alarm(scene: Scene, levels: &Levels, every_look: bool, random: Random) -> Option<u32> {
    first(scene, random, |test, settings, k| {
        let look = every_look || k == scene.points;
        look && test.log_e_worse(settings) >= levels.log_alarm()
    })
}

/// First interval, from the eighth on, at which the peer that takes intervals for independent calls any difference.
#[must_use]
pub fn peer_alarm(scene: Scene, levels: &Levels, mut random: Random) -> Option<u32> {
    let mut teller = Teller::new(scene, &mut random);
    let (mut candidate, mut baseline) = (Moments::default(), Moments::default());
    (1..=scene.points).find(|k| {
        let (c, b) = teller.next(i64::from(*k) - 1, &mut random);
        candidate.absorb(c);
        baseline.absorb(b);
        *k >= 8 && p_value(&candidate, &baseline, levels.alpha) <= levels.alpha
    })
}

/// First interval after the change at which the candidate may pass.
#[must_use]
pub fn passed(scene: Scene, levels: &Levels, random: Random) -> Option<u32> {
    first(scene, random, |test, settings, _| {
        test.log_e_safe(settings) >= levels.log_pass()
    })
}

/// First interval at which several healthy metrics of one weight, a story each, call harm: one of them at its share of alpha, or
/// all of them together.
#[must_use]
pub fn first_alarm_of_any(
    scene: Scene,
    levels: &Levels,
    metrics: impl Iterator<Item = Random>,
) -> Option<u32> {
    let mut metrics: Vec<Path> = metrics.map(|random| Path::new(scene, random)).collect();
    let even = 1.0 / f64::from(to_u32(metrics.len()));
    let share = shared(levels, even, 1.0).log_alarm();
    (1..=scene.points).find(|k| {
        metrics.iter_mut().for_each(|path| path.step(*k));
        let logs = metrics
            .iter()
            .filter(|path| path.test.ripe(&path.settings))
            .map(|path| path.test.log_e_worse(&path.settings));
        logs.clone().any(|log| log >= share) || log_mix(logs.map(|log| (even, log))) >= levels.log_alarm()
    })
}

/// First interval after the change at which something is called, among those with pairs enough.
fn first(
    scene: Scene,
    random: Random,
    called: impl Fn(&ValueTest, &ValueSettings, u32) -> bool,
) -> Option<u32> {
    let mut path = Path::new(scene, random);
    (1..=scene.points).find(|k| {
        path.step(*k);
        path.test.ripe(&path.settings) && called(&path.test, &path.settings, *k)
    })
}

/// A story and the test that follows it.
struct Path {
    settings: ValueSettings,
    test: ValueTest,
    teller: Teller,
    random: Random,
}

impl Path {
    /// At the change, with its history behind it.
    fn new(scene: Scene, mut random: Random) -> Self {
        let settings = ValueSettings {
            direction: Direction::Increase,
            ..ValueSettings::default()
        };
        let (mut test, mut teller) = (ValueTest::new(&settings), Teller::new(scene, &mut random));
        for k in 0..scene.history {
            let (c, b) = teller.next(i64::from(k) - i64::from(scene.history), &mut random);
            test.absorb_history(&settings, &pair(c, b));
        }
        Self {
            settings,
            test,
            teller,
            random,
        }
    }

    /// Interval `k` after the change, from 1.
    fn step(&mut self, k: u32) {
        let (c, b) = self.teller.next(i64::from(k) - 1, &mut self.random);
        self.test.absorb(&self.settings, &pair(c, b));
    }
}

const fn pair(candidate: f64, baseline: f64) -> Pair {
    Pair {
        candidate: Some(candidate),
        baseline: Some(baseline),
    }
}
