//! The isotonic calibration: whatever rises with the score and tells the outcomes best, by pooling neighbours that do not rise (PAV).
//! Between the middles of two pools it is a line, so that it is a function without steps and close to itself in 32 bits.

use serde::{Deserialize, Serialize};

use crate::sigmoid;

/// Failures and successes without which it is not fitted: of fewer a table tells of chance.
pub const LEAST: usize = 200;
/// Steepest line between two rows of the table: what the graph rounds, 1e-7, must not become 1e-6.
const STEEPEST: f64 = 4.0;

/// Pairs of the graph's probability `sigmoid(raw)` and the calibrated one, both rising; beyond the ends it is flat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    /// At least one.
    pub table: Vec<(f64, f64)>,
}

/// Neighbours that are told the same: weight, and weighted sums of what was said and of what came.
#[derive(Debug, Clone, Copy, Default)]
struct Pool {
    mass: f64,
    said: f64,
    failed: f64,
}

impl Pool {
    fn x(self) -> f64 {
        self.said / self.mass
    }

    fn y(self) -> f64 {
        self.failed / self.mass
    }

    fn with(self, other: Self) -> Self {
        Self {
            mass: self.mass + other.mass,
            said: self.said + other.said,
            failed: self.failed + other.failed,
        }
    }

    /// Whether what comes behind it does not rise, or rises too steeply to stand alone.
    fn swallows(self, next: Self) -> bool {
        let (along, up) = (next.x() - self.x(), next.y() - self.y());
        up <= 0.0 || along <= 1e-9 || up > STEEPEST * along
    }
}

impl Isotonic {
    /// The calibrated probability.
    #[must_use]
    pub fn apply(&self, raw: f64) -> f64 {
        let p = sigmoid(raw);
        let after = self.table.partition_point(|(from, _)| *from <= p);
        let below = after.checked_sub(1).and_then(|at| self.table.get(at));
        match (below, self.table.get(after)) {
            (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (p - x0) / (x1 - x0),
            (Some((_, only)), None) | (None, Some((_, only))) => *only,
            (None, None) => p,
        }
    }

    /// Fits to raw log-odds that the model gave for rows it had not seen. `None` below [`LEAST`] failures or successes, or when
    /// nothing rises.
    #[must_use]
    pub fn fit(raws: &[f64], labels: &[bool], weights: &[f64]) -> Option<Self> {
        let failures = labels.iter().filter(|failed| **failed).count();
        if failures.min(labels.len() - failures) < LEAST {
            return None;
        }
        let mut order: Vec<usize> = (0..labels.len()).collect();
        let raw = |row: usize| raws.get(row).copied().unwrap_or_default();
        order.sort_by(|a, b| raw(*a).total_cmp(&raw(*b)));
        let mut pools: Vec<Pool> = Vec::new();
        let mut last = f64::NAN;
        for row in order {
            let mass = weights.get(row).copied().unwrap_or(1.0).max(1e-12);
            let failed = labels.get(row).copied().unwrap_or(false);
            let own = Pool {
                mass,
                said: mass * sigmoid(raw(row)),
                failed: if failed { mass } else { 0.0 },
            };
            // Rows with the same score can only be told the same.
            match pools.last_mut().filter(|_| raw(row) == last) {
                Some(tied) => *tied = tied.with(own),
                None => pools.push(own),
            }
            last = raw(row);
        }
        let table = ends(&pooled(&pools));
        (table.len() >= 2).then_some(Self { table })
    }
}

/// Neighbours are put together until everything rises, and nothing too steeply.
fn pooled(pools: &[Pool]) -> Vec<Pool> {
    let mut stack: Vec<Pool> = Vec::with_capacity(pools.len());
    for pool in pools {
        let mut own = *pool;
        while let Some(before) = stack.last().copied().filter(|before| before.swallows(own)) {
            stack.pop();
            own = before.with(own);
        }
        stack.push(own);
    }
    stack
}

/// The table; who has never failed among so many may yet, by half a row, and the other way round.
fn ends(pools: &[Pool]) -> Vec<(f64, f64)> {
    let low = pools.first().map_or(0.0, |pool| 0.5 / (pool.mass + 1.0));
    let high = pools.last().map_or(1.0, |pool| 1.0 - 0.5 / (pool.mass + 1.0));
    let row = |pool: &Pool| (pool.x(), pool.y().clamp(low.min(high), high.max(low)));
    pools.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::Platt;
    use crate::metrics;
    use crate::random::Random;

    fn drawn(truth: impl Fn(f64) -> f64, rows: usize) -> (Vec<f64>, Vec<bool>) {
        let mut random = Random::new(9);
        let raws: Vec<f64> = (0..rows).map(|_| random.unit() * 8.0 - 4.0).collect();
        let labels = raws.iter().map(|raw| random.unit() < truth(*raw)).collect();
        (raws, labels)
    }

    #[test]
    fn it_follows_what_no_slope_can() {
        // Flat, then a rise, then flat again.
        let truth = |raw: f64| {
            if raw < -1.0 {
                0.1
            } else {
                (0.1 + 0.3 * (raw + 1.0)).min(0.6)
            }
        };
        let (raws, labels) = drawn(truth, 20_000);
        let fitted = Isotonic::fit(&raws, &labels, &[]).unwrap();
        let error = |apply: &dyn Fn(f64) -> f64| {
            let of = |place: i32| f64::from(place) / 10.0;
            (-38..38)
                .map(|place| (apply(of(place)) - truth(of(place))).abs())
                .sum::<f64>()
                / 76.0
        };
        let platt = Platt::fit(&raws, &labels, &[]);
        let (own, straight) = (error(&|raw| fitted.apply(raw)), error(&|raw| platt.apply(raw)));
        assert!(own < 0.03 && own < straight / 2.0, "{own} {straight}");
        for pair in fitted.table.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            assert!(
                x0 < x1 && y0 <= y1 && (y1 - y0) / (x1 - x0) <= STEEPEST + 1e-9,
                "{pair:?}"
            );
        }
    }

    #[test]
    fn ties_are_told_the_same_and_nobody_is_certain() {
        let (mut raws, mut labels) = (vec![-3.0; 400], vec![false; 400]);
        raws.extend([-1.0; 300]);
        labels.extend((0..300).map(|row| row % 3 == 0));
        raws.extend([4.0; 200]);
        labels.extend([true; 200]);
        let fitted = Isotonic::fit(&raws, &labels, &[]).unwrap();
        assert_eq!(fitted.table.len(), 3, "{fitted:?}");
        assert!((fitted.apply(-1.0) - 1.0 / 3.0).abs() < 1e-12);
        let (low, high) = (fitted.apply(-90.0), fitted.apply(90.0));
        assert!(
            low > 0.0 && low < 0.002 && high < 1.0 && high > 0.997,
            "{low} {high}"
        );
        // Failures that weigh three times as much are told three times the odds.
        let weights: Vec<f64> = labels
            .iter()
            .map(|failed| if *failed { 3.0 } else { 1.0 })
            .collect();
        assert!((Isotonic::fit(&raws, &labels, &weights).unwrap().apply(-1.0) - 0.6).abs() < 1e-12);
    }

    #[test]
    fn too_few_or_what_falls_is_not_fitted() {
        let (raws, labels) = drawn(|_| 0.1, 1000);
        assert_eq!(Isotonic::fit(&raws, &labels, &[]), None);
        let (raws, labels) = drawn(|raw| if raw < 0.0 { 0.9 } else { 0.1 }, 4000);
        assert!(
            Isotonic::fit(&raws, &labels, &[]).is_none_or(|found| metrics::ece(
                &labels,
                &raws.iter().map(|raw| found.apply(*raw)).collect::<Vec<_>>()
            ) < 0.1)
        );
        assert_eq!(Isotonic::fit(&[], &[], &[]), None);
    }
}
