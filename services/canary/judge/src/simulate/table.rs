//! The table of proofs: each cell is one simulation with its limit and its floor.

use serde::{Deserialize, Serialize};

use super::counts::{CountScene, STEP};
use super::latency::LatencyScene;
use super::portfolio::Quality;
use super::random::Random;
use super::series::SeriesScene;
use super::values::Scene;
use super::{counts, latency, portfolio, series, values};
use crate::verdict::Levels;

/// One measured figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// What came out.
    pub value: f64,
    /// Its unit: `%`, `s`, `points`, or none for a plain number.
    pub unit: String,
    /// What nobody can beat, or what must not be exceeded; none where no limit is known.
    pub limit: Option<f64>,
    /// Whose limit it is.
    pub limit_name: Option<String>,
    /// Value divided by limit.
    pub ratio: Option<f64>,
    /// The worst value that passes: the greatest one of alarms and delays, the least one of shares found.
    pub floor: Option<f64>,
    /// Whether it passes.
    pub ok: bool,
}

/// One simulation of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What it shows.
    pub name: String,
    pub(super) kind: Kind,
}

/// What is played, path by path, until the first call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Play {
    Counts { scene: CountScene, each_look: bool },
    Values { scene: Scene, each_look: bool },
    Metrics { scene: Scene, metrics: u32 },
    Latency { scene: LatencyScene },
    Series { scene: SeriesScene },
    SeriesAtChange { scene: SeriesScene },
    SeriesPass { scene: SeriesScene },
    Peer { scene: Scene },
    CountPass { scene: CountScene },
    ValuePass { scene: Scene },
    LatencyPass { scene: LatencyScene },
}

impl Play {
    /// Look of the first call on one path, if there is one.
    fn first(&self, levels: &Levels, seed: u64, path: u32) -> Option<u32> {
        let random = Random::new(seed, u64::from(path));
        match self {
            Self::Counts { scene, each_look } => counts::play(scene, levels, *each_look, random).judge,
            Self::Values { scene, each_look } => values::first_alarm(*scene, levels, *each_look, random),
            Self::Latency { scene } => latency::first_alarm(scene, levels, random),
            Self::Series { scene } => series::first_alarm(scene, true, levels, random),
            Self::SeriesAtChange { scene } => series::first_alarm(scene, false, levels, random),
            Self::SeriesPass { scene } => series::passed(scene, levels, random),
            Self::Peer { scene } => values::peer_alarm(*scene, levels, random),
            Self::CountPass { scene } => counts::passed(scene, levels, random),
            Self::ValuePass { scene } => values::passed(*scene, levels, random),
            Self::LatencyPass { scene } => latency::passed(scene, levels, random),
            Self::Metrics { scene, metrics } => {
                let random = |metric: u32| {
                    Random::new(seed.wrapping_add(u64::from(metric + 1) << 32), u64::from(path))
                };
                values::first_alarm_of_any(*scene, levels, (0..*metrics).map(random))
            }
        }
    }

    fn all(&self, levels: &Levels, paths: u32, seed: u64) -> Vec<u32> {
        sorted((0..paths).map(|path| self.first(levels, seed, path)))
    }
}

/// How a cell is measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Share of healthy candidates called worse: at most alpha.
    Alarms { play: Play },
    /// Share of healthy candidates called that is told and may be what it is: a peer's, or the judge's beyond what it assumes.
    Told { play: Play },
    /// Share of series called once the change has bitten: at least `least`; beside it the same evidence without later beginnings.
    Late { scene: SeriesScene, least: f64 },
    /// Share let through although worse by the margin: at most beta.
    Slips { play: Play },
    /// Share called, at least `least`; median look among them, at most `most`; the ceiling for any rule.
    Found {
        play: Play,
        least: f64,
        most: Option<f64>,
        ceiling: Option<f64>,
    },
    /// Median delay against the test that is told the effect, at most this ratio.
    Delay { scene: CountScene, most: f64 },
    /// Deployments with a prior.
    Year { quality: Quality, effect: f64 },
}

/// Sorted looks, the missing last.
fn sorted(found: impl Iterator<Item = Option<u32>>) -> Vec<u32> {
    let mut looks: Vec<u32> = found.map(|look| look.unwrap_or(u32::MAX)).collect();
    looks.sort_unstable();
    looks
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

fn share(looks: &[u32]) -> f64 {
    100.0 * count(looks.partition_point(|look| *look < u32::MAX)) / count(looks.len()).max(1.0)
}

/// Median of some looks, a path that never called counting as infinite.
fn median(looks: &[u32]) -> f64 {
    looks
        .get(looks.len() / 2)
        .filter(|look| **look < u32::MAX)
        .map_or(f64::INFINITY, |look| f64::from(*look))
}

/// Median of looks in seconds, a look standing for the time since the one before: within it, paths call evenly.
fn median_seconds(looks: &[u32]) -> f64 {
    let middle = median(looks);
    if middle.is_infinite() {
        return middle;
    }
    let before = count(looks.partition_point(|look| f64::from(*look) < middle));
    let within = count(looks.partition_point(|look| f64::from(*look) <= middle)) - before;
    STEP * (middle - 1.0 + (0.5 * count(looks.len()) - before) / within.max(1.0))
}

/// Median among the paths that called.
fn median_found(looks: &[u32]) -> f64 {
    median(
        looks
            .get(..looks.partition_point(|look| *look < u32::MAX))
            .unwrap_or_default(),
    )
}

const TOLD: &str = "sequential ratio test told the effect";

/// A share that may not exceed an error rate, within two standard errors of the simulation.
fn rate(name: String, looks: &[u32], level: f64, level_name: &str) -> Figure {
    let value = share(looks);
    let floor = 100.0 * (level + 2.0 * (level * (1.0 - level) / count(looks.len()).max(1.0)).sqrt());
    let (limit, ratio) = (100.0 * level, value / (100.0 * level));
    Figure {
        name,
        value,
        unit: "%".to_owned(),
        limit: Some(limit),
        limit_name: Some(level_name.to_owned()),
        ratio: Some(ratio),
        floor: Some(floor),
        ok: value <= floor,
    }
}

/// A share that may not fall below a floor, within two standard errors of the simulation.
fn called(name: String, looks: &[u32], least: f64, ceiling: Option<f64>) -> Figure {
    let (value, least_share) = (share(looks), (least / 100.0).clamp(0.0, 1.0));
    let error = 200.0 * (least_share * (1.0 - least_share) / count(looks.len()).max(1.0)).sqrt();
    Figure {
        name,
        value,
        unit: "%".to_owned(),
        limit: ceiling,
        limit_name: ceiling.map(|_| "any rule at one look, noise unknown".to_owned()),
        ratio: ceiling.map(|limit| value / limit),
        floor: Some(least),
        ok: value + error >= least,
    }
}

/// A value that is told and may be what it is.
fn told(name: String, value: f64, unit: &str) -> Figure {
    Figure {
        floor: None,
        ..at_most(name, value, unit, f64::INFINITY)
    }
}

/// A value that may not exceed `most`.
fn at_most(name: String, value: f64, unit: &str, most: f64) -> Figure {
    let (unit, ok) = (unit.to_owned(), value <= most);
    Figure {
        name,
        value,
        unit,
        limit: None,
        limit_name: None,
        ratio: None,
        floor: Some(most),
        ok,
    }
}

/// A median delay that may not exceed `most` times that of the test that is told the effect.
fn delay(name: String, calls: &[counts::Calls], most: f64) -> Figure {
    let told = median_seconds(&sorted(calls.iter().map(|call| call.told)));
    let value = median_seconds(&sorted(calls.iter().map(|call| call.judge)));
    // Two medians of one set of paths: few paths move their ratio by about this much.
    let error = 1.0 + 1.0 / count(calls.len()).max(1.0).sqrt();
    let figure = at_most(name, value, "s", most * error * told);
    Figure {
        limit: Some(told),
        limit_name: Some(TOLD.to_owned()),
        ratio: Some(value / told),
        ..figure
    }
}

impl Cell {
    /// Measures the cell over `paths` paths from a seed. Cells are independent: a caller may spread them over threads.
    #[must_use]
    pub fn measure(&self, paths: u32, seed: u64) -> Vec<Figure> {
        let levels = Levels::default();
        let name = |what: &str| format!("{}: {what}", self.name);
        match &self.kind {
            Kind::Alarms { play } => {
                vec![rate(
                    name("false alarms"),
                    &play.all(&levels, paths, seed),
                    levels.alpha,
                    "alpha",
                )]
            }
            Kind::Told { play } => {
                let value = share(&play.all(&levels, paths, seed));
                vec![told(name("false alarms"), value, "%")]
            }
            Kind::Late { scene, least } => late(&name, scene, *least, (paths, seed)),
            Kind::Slips { play } => {
                vec![rate(
                    name("let through"),
                    &play.all(&levels, paths, seed),
                    levels.beta,
                    "beta",
                )]
            }
            Kind::Found {
                play,
                least,
                most,
                ceiling,
            } => {
                let looks = play.all(&levels, paths, seed);
                let median = most.map(|most| at_most(name("median"), median_found(&looks), "points", most));
                [called(name("found"), &looks, *least, *ceiling)]
                    .into_iter()
                    .chain(median)
                    .collect()
            }
            Kind::Delay { scene, most } => {
                let random = |path: u32| Random::new(seed, u64::from(path));
                let calls: Vec<_> = (0..paths)
                    .map(|path| counts::play(scene, &levels, true, random(path)))
                    .collect();
                vec![delay(name("median delay"), &calls, *most)]
            }
            Kind::Year { quality, effect } => year(&name, *quality, *effect, (paths, seed)),
        }
    }
}

/// Share of series called once the change has bitten, beside that of the same evidence without later beginnings, and how long
/// it took.
fn late(
    name: &dyn Fn(&str) -> String,
    scene: &SeriesScene,
    least: f64,
    (paths, seed): (u32, u64),
) -> Vec<Figure> {
    let (levels, paths) = (Levels::default(), (paths / 4).max(1));
    // What is called before there is anything to call is no find.
    let bitten = |play: Play| {
        let looks = play.all(&levels, paths, seed).into_iter();
        sorted(looks.map(|look| (look > scene.bites()).then_some(look)))
    };
    let found = bitten(Play::Series { scene: *scene });
    let limit = share(&bitten(Play::SeriesAtChange { scene: *scene }));
    let figure = called(name("found"), &found, least, None);
    let delay = median_found(&found) - f64::from(scene.bites());
    vec![
        Figure {
            limit: Some(limit),
            limit_name: Some("the same evidence for a shift at the change alone".to_owned()),
            ratio: (limit > 0.0).then_some(figure.value / limit),
            ..figure
        },
        told(name("median after it began"), delay, "points"),
    ]
}

fn year(
    name: &dyn Fn(&str) -> String,
    quality: Quality,
    effect: f64,
    (paths, seed): (u32, u64),
) -> Vec<Figure> {
    let outcome = portfolio::play_year(quality, effect, paths.saturating_mul(2), seed);
    let all = outcome.deployments;
    let looks: Vec<u32> = (0..all)
        .map(|k| if k < outcome.false_rollbacks { 1 } else { u32::MAX })
        .collect();
    let weight = outcome.weights / f64::from(all.max(1));
    let mut figures = vec![
        rate(name("false rollbacks"), &looks, Levels::default().alpha, "alpha"),
        at_most(name("mean weight"), weight, "", 1.0 + 1e-9),
    ];
    if quality == Quality::Good {
        figures.push(delay(
            name("median delay at weight 2 or more"),
            &outcome.weighted,
            1.0,
        ));
    }
    figures
}
