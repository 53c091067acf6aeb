//! The table of proofs: each cell is one simulation with its limit and its floor.

use serde::{Deserialize, Serialize};

use super::cells::Kind;
use super::random::Random;
use super::{counts, latency, portfolio, values};
use crate::combine::shared;
use crate::verdict::Levels;

/// One measured figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// What came out.
    pub value: f64,
    /// Its unit: `%`, `s` or `points`.
    pub unit: String,
    /// What nobody can beat, or what must not be exceeded; none where no limit is known.
    pub limit: Option<f64>,
    /// Whose limit it is.
    pub limit_name: Option<String>,
    /// Value divided by limit.
    pub ratio: Option<f64>,
    /// The worst value that passes: a greatest one for alarms and delays, a least one for shares found.
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

/// Sorted values, the missing last.
fn sorted(found: impl Iterator<Item = Option<u32>>) -> Vec<u32> {
    let mut looks: Vec<u32> = found.map(|look| look.unwrap_or(u32::MAX)).collect();
    looks.sort_unstable();
    looks
}

fn share(looks: &[u32]) -> f64 {
    let found = looks.iter().filter(|look| **look < u32::MAX).count();
    100.0 * count(found) / count(looks.len()).max(1.0)
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Median over every path; infinite when fewer than half were found.
fn median(looks: &[u32]) -> f64 {
    match looks.get(looks.len() / 2) {
        Some(look) if *look < u32::MAX => f64::from(*look),
        _ => f64::INFINITY,
    }
}

/// Median among the paths that were found.
fn median_found(looks: &[u32]) -> f64 {
    let found = looks.iter().filter(|look| **look < u32::MAX).count();
    looks
        .get(found / 2)
        .filter(|_| found > 0)
        .map_or(f64::INFINITY, |look| f64::from(*look))
}

fn alarms(name: String, looks: &[u32]) -> Figure {
    let value = share(looks);
    let alpha = 100.0 * Levels::default().alpha;
    // Two standard errors of a simulation at exactly alpha.
    let error = 200.0 * (0.01 * 0.99 / count(looks.len()).max(1.0)).sqrt();
    let floor = alpha + error;
    Figure {
        name,
        value,
        unit: "%".to_owned(),
        limit: Some(alpha),
        limit_name: Some("alpha".to_owned()),
        ratio: Some(value / alpha),
        floor: Some(floor),
        ok: value <= floor,
    }
}

fn found(name: String, looks: &[u32], least: f64, ceiling: Option<f64>) -> Figure {
    let value = share(looks);
    let limit_name = ceiling.map(|_| "any rule, one look, noise unknown".to_owned());
    let ratio = ceiling.map(|limit| value / limit);
    Figure {
        name,
        value,
        unit: "%".to_owned(),
        limit: ceiling,
        limit_name,
        ratio,
        floor: Some(least),
        ok: value >= least,
    }
}

fn at_most(name: String, value: f64, unit: &str, limit: Option<(f64, &str)>, most: f64) -> Figure {
    let ratio = limit.map(|(limit, _)| value / limit);
    // A limit by name is a ratio's denominator; what must hold is then the ratio.
    let ok = ratio.unwrap_or(value) <= most;
    let floor = Some(limit.map_or(most, |(limit, _)| most * limit));
    let (limit, limit_name) = (limit.map(|l| l.0), limit.map(|l| l.1.to_owned()));
    Figure {
        name,
        value,
        unit: unit.to_owned(),
        limit,
        limit_name,
        ratio,
        floor,
        ok,
    }
}

const TOLD: &str = "sequential ratio test told the effect";

impl Cell {
    /// Measures the cell over `paths` paths from a seed. Cells are independent: a caller may spread them over threads.
    #[must_use]
    pub fn measure(&self, paths: u32, seed: u64) -> Vec<Figure> {
        let levels = Levels::default();
        let name = |what: &str| format!("{}: {what}", self.name);
        let each = || (0..paths).map(|path| Random::new(seed, u64::from(path)));
        match &self.kind {
            Kind::CountAlarms { scene, each_look } => {
                let looks =
                    sorted(each().map(|random| counts::play(scene, &levels, *each_look, random).judge));
                vec![alarms(name("false alarms"), &looks)]
            }
            Kind::CountDelay { scene, most } => {
                let calls: Vec<_> = each()
                    .map(|random| counts::play(scene, &levels, true, random))
                    .collect();
                let judge = sorted(calls.iter().map(|call| call.judge));
                let told = counts::STEP * median(&sorted(calls.iter().map(|call| call.told)));
                let delay = counts::STEP * median(&judge);
                vec![at_most(
                    name("median delay"),
                    delay,
                    "s",
                    Some((told, TOLD)),
                    *most,
                )]
            }
            Kind::CountFound { scene, least } => {
                let looks = sorted(each().map(|random| counts::play(scene, &levels, true, random).judge));
                vec![found(name("found"), &looks, *least, None)]
            }
            Kind::CountPass { scene, healthy } => {
                let looks = sorted(each().map(|random| counts::passed(scene, &levels, random)));
                if *healthy {
                    return vec![found(name("let through"), &looks, 95.0, None)];
                }
                let value = share(&looks);
                let limit = Some((100.0 * levels.beta, "beta"));
                vec![at_most(
                    name("let through though worse by the margin"),
                    value,
                    "%",
                    limit,
                    1.0 + 2.0 * 4.4 / count(looks.len()).sqrt(),
                )]
            }
            Kind::ValueAlarms { scene, each_look } => {
                let looks =
                    sorted(each().map(|random| values::first_alarm(*scene, &levels, *each_look, random)));
                vec![alarms(name("false alarms"), &looks)]
            }
            Kind::ValueFound {
                scene,
                least,
                most,
                ceiling,
            } => {
                let looks = sorted(each().map(|random| values::first_alarm(*scene, &levels, true, random)));
                let mut figures = vec![found(name("found"), &looks, *least, *ceiling)];
                if let Some(most) = most {
                    figures.push(at_most(
                        name("median of the found"),
                        median_found(&looks),
                        "points",
                        None,
                        *most,
                    ));
                }
                figures
            }
            Kind::Metrics { scene, metrics } => {
                let levels = shared(&levels, 1.0, f64::from(*metrics));
                let first = |path: u32| {
                    (0..*metrics).find_map(|metric| {
                        let random = Random::new(seed.wrapping_add(u64::from(metric) << 32), u64::from(path));
                        values::first_alarm(*scene, &levels, true, random)
                    })
                };
                vec![alarms(name("false alarms"), &sorted((0..paths).map(first)))]
            }
            Kind::Latency { scene, least } => {
                let looks = sorted(each().map(|random| latency::first_alarm(scene, &levels, random)));
                match least {
                    None => vec![alarms(name("false alarms"), &looks)],
                    Some(least) => vec![found(name("found"), &looks, *least, None)],
                }
            }
            Kind::Year { quality, effect } => year(&name, *quality, *effect, paths, seed),
        }
    }
}

fn year(
    name: &dyn Fn(&str) -> String,
    quality: portfolio::Quality,
    effect: f64,
    paths: u32,
    seed: u64,
) -> Vec<Figure> {
    let outcome = portfolio::play_year(quality, effect, paths.saturating_mul(2), seed);
    let all = f64::from(outcome.deployments);
    let looks: Vec<u32> = (0..outcome.deployments)
        .map(|k| if k < outcome.false_rollbacks { 1 } else { u32::MAX })
        .collect();
    let mut figures = vec![
        alarms(name("false rollbacks"), &looks),
        at_most(name("mean weight"), outcome.weights / all, "", None, 1.0 + 1e-9),
    ];
    if quality == portfolio::Quality::Good {
        let judge = counts::STEP * median(&sorted(outcome.weighted.iter().map(|call| call.judge)));
        let told = counts::STEP * median(&sorted(outcome.weighted.iter().map(|call| call.told)));
        figures.push(at_most(
            name("median delay at weight 2 or more"),
            judge,
            "s",
            Some((told, TOLD)),
            1.0,
        ));
    }
    figures
}
