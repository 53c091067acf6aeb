//! Two statements about how sure a probability is, both from rows that the model had not seen.
//!
//! *Intervals*: the range in which the failure rate of comparable rows lies, by bins of p. *Conformal quantiles*: split
//! conformal prediction per class; the set of outcomes whose `1 - p(outcome)` is at most the quantile of its class holds the
//! true outcome with at least the level's probability, as long as the future is like the past.

use serde::{Deserialize, Serialize};

use crate::{logit, sigmoid};

/// One row of an interval table: it holds for probabilities up to `upto`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Upper end of p.
    pub upto: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Rows that it was measured on.
    pub rows: usize,
}

/// Student's t, 0.9 quantile, for this many degrees of freedom.
fn t90(freedom: usize) -> f64 {
    const TABLE: [f64; 10] = [
        3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372,
    ];
    let place = freedom.saturating_sub(1);
    TABLE.get(place).copied().unwrap_or(1.31)
}

/// The 80 % interval table. `slices` tells which part (a group, or a stretch of time) each row is from: what differs between
/// parts will differ again in the next one, so the spread between them, less that of counting, widens the interval.
#[must_use]
pub fn intervals(labels: &[bool], p: &[f64], slices: &[usize]) -> Vec<Bin> {
    let mut sorted = p.to_vec();
    sorted.sort_by(f64::total_cmp);
    let bins = (p.len() / 60).clamp(1, 10);
    let mut edges: Vec<f64> = (1..bins)
        .filter_map(|bin| sorted.get(p.len() * bin / bins).copied())
        .collect();
    edges.dedup();
    edges.push(1.0);
    let which = |p: f64| edges.partition_point(|edge| *edge < p).min(edges.len() - 1);
    let parts = slices.iter().max().map_or(1, |most| most + 1);
    let mut cells = vec![(0_usize, 0_usize, 0.0_f64); edges.len() * parts];
    for ((label, p), slice) in labels.iter().zip(p).zip(slices) {
        if let Some(cell) = cells.get_mut(which(*p) * parts + slice) {
            *cell = (cell.0 + 1, cell.1 + usize::from(*label), cell.2 + p);
        }
    }
    let spread = spread(&cells);
    let mut table: Vec<Bin> = cells
        .chunks(parts)
        .zip(&edges)
        .map(|(of, upto)| bin(of, *upto, spread, parts))
        .collect();
    // Neither end falls as p rises.
    for place in 1..table.len() {
        let before = table.get(place - 1).map_or(0.0, |bin| bin.high);
        if let Some(bin) = table.get_mut(place) {
            bin.high = bin.high.max(before);
        }
    }
    for place in (1..table.len()).rev() {
        let after = table.get(place).map_or(1.0, |bin| bin.low);
        if let Some(bin) = table.get_mut(place - 1) {
            bin.low = bin.low.min(after);
        }
    }
    table
}

/// Variance between parts, in log-odds, with the noise of counting taken out.
fn spread(cells: &[(usize, usize, f64)]) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for (rows, fails, p) in cells.iter().filter(|cell| cell.0 >= 30) {
        let (fails, rows) = (*fails as f64, *rows as f64);
        let off = logit((fails + 0.5) / (rows + 1.0)) - logit(p / rows);
        sum += off * off - 1.0 / (fails + 0.5) - 1.0 / (rows - fails + 0.5);
        count += 1;
    }
    if count == 0 {
        0.25
    } else {
        (sum / f64::from(count)).max(0.0)
    }
}

fn bin(cells: &[(usize, usize, f64)], upto: f64, spread: f64, parts: usize) -> Bin {
    let sum = cells
        .iter()
        .fold((0, 0, 0.0), |a, c| (a.0 + c.0, a.1 + c.1, a.2 + c.2));
    let (rows, fails) = (sum.0 as f64, sum.1 as f64);
    let centre = logit((fails + 0.5) / (rows + 1.0));
    let counting = 1.0 / (fails + 0.5) + 1.0 / (rows - fails + 0.5);
    let half = t90(parts.saturating_sub(1).max(1)).min(1.9) * (spread + counting).sqrt();
    Bin {
        upto,
        low: sigmoid(centre - half),
        high: sigmoid(centre + half),
        rows: sum.0,
    }
}

/// The interval of a probability.
#[must_use]
pub fn look_up(table: &[Bin], p: f64) -> (f64, f64) {
    let bin = table.iter().find(|bin| p <= bin.upto);
    bin.map_or((0.0, 1.0), |bin| (bin.low.min(p), bin.high.max(p)))
}

/// Split conformal quantiles of one level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// Wanted share of sets that hold the outcome, within 0..1.
    pub level: f64,
    /// Largest `1 - p` at which failing stays in the set.
    pub failed: f64,
    /// Largest `p` at which passing stays in the set.
    pub passed: f64,
}

/// Quantiles at some levels, per class (Mondrian).
#[must_use]
pub fn quantiles(labels: &[bool], p: &[f64], levels: &[f64]) -> Vec<Quantile> {
    let of = |wanted: bool| -> Vec<f64> {
        let rows = labels.iter().zip(p).filter(|(y, _)| **y == wanted);
        let mut strange: Vec<f64> = rows.map(|(_, p)| if wanted { 1.0 - p } else { *p }).collect();
        strange.sort_by(f64::total_cmp);
        strange
    };
    let (failed, passed) = (of(true), of(false));
    let at = |sorted: &[f64], level: f64| {
        let rank = ((sorted.len() as f64 + 1.0) * level).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(1.0)
    };
    let quantile = |level: &f64| Quantile {
        level: *level,
        failed: at(&failed, *level),
        passed: at(&passed, *level),
    };
    levels.iter().map(quantile).collect()
}

/// Share of rows whose set holds the outcome, and mean size of the sets.
#[must_use]
pub fn coverage(quantile: &Quantile, labels: &[bool], p: &[f64]) -> (f64, f64) {
    let (mut held, mut size) = (0_usize, 0_usize);
    for (label, p) in labels.iter().zip(p) {
        let (failed, passed) = (1.0 - p <= quantile.failed, *p <= quantile.passed);
        held += usize::from(if *label { failed } else { passed });
        size += usize::from(failed) + usize::from(passed);
    }
    let rows = labels.len().max(1) as f64;
    (held as f64 / rows, size as f64 / rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn drawn(rows: usize, seed: u64) -> (Vec<bool>, Vec<f64>, Vec<usize>) {
        let mut random = Random::new(seed);
        let p: Vec<f64> = (0..rows).map(|_| random.unit() * 0.6).collect();
        let labels = p.iter().map(|p| random.unit() < *p).collect();
        (labels, p, (0..rows).map(|row| row * 4 / rows).collect())
    }

    #[test]
    fn sets_hold_the_outcome_as_often_as_promised() {
        let (labels, p, _) = drawn(4000, 1);
        let (fresh, q, _) = drawn(4000, 2);
        for quantile in quantiles(&labels, &p, &[0.8, 0.9]) {
            let (held, size) = coverage(&quantile, &fresh, &q);
            assert!((held - quantile.level).abs() < 0.03, "{held}");
            assert!((1.0..=2.0).contains(&size));
        }
        assert_eq!(quantiles(&[], &[], &[0.9])[0].failed, 1.0);
    }

    #[test]
    fn intervals_hold_the_rate_and_ascend() {
        let (labels, p, slices) = drawn(6000, 3);
        let table = intervals(&labels, &p, &slices);
        assert_eq!(table.last().unwrap().upto, 1.0);
        assert!(
            table
                .windows(2)
                .all(|w| w[0].upto < w[1].upto && w[0].low <= w[1].low && w[0].high <= w[1].high)
        );
        let (low, high) = look_up(&table, 0.3);
        assert!(low < 0.3 && 0.3 <= high && high - low < 0.25, "{low} {high}");
        assert_eq!(intervals(&[], &[], &[]).len(), 1);
        assert_eq!(look_up(&[], 0.5), (0.0, 1.0));
    }
}
