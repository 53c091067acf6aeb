//! From log-odds that a model adds up to, to probabilities that can be believed: Platt's `sigmoid(a * raw + b)`, and where that
//! is not enough the beta calibration, whose two slopes bend the ends on their own. Both by weighted maximum likelihood. The third
//! is a table.

use serde::{Deserialize, Serialize};

use crate::isotonic::Isotonic;
use crate::scorecard::solve;
use crate::{logit, sigmoid};

/// A calibration, as the graph holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Calibration {
    /// See [`Platt`].
    Platt(Platt),
    /// See [`Beta`].
    Beta(Beta),
    /// See [`Isotonic`]: beside the graph, whose own answer is then `sigmoid(raw)`.
    Isotonic(Isotonic),
}

impl Calibration {
    /// Changes nothing.
    pub const IDENTITY: Self = Self::Platt(Platt::IDENTITY);

    /// The calibrated probability.
    #[must_use]
    pub fn apply(&self, raw: f64) -> f64 {
        match self {
            Self::Platt(platt) => platt.apply(raw),
            Self::Beta(beta) => beta.apply(raw),
            Self::Isotonic(table) => table.apply(raw),
        }
    }

    /// Its name in a manifest.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Platt(_) => "platt",
            Self::Beta(_) => "beta",
            Self::Isotonic(_) => "isotonic",
        }
    }
}

/// The beta calibration: `p = sigmoid(a ln q - b ln(1 - q) + c)` of `q = sigmoid(raw)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Beta {
    /// Of `ln q`; above 0.
    pub a: f64,
    /// Of `-ln(1 - q)`; above 0.
    pub b: f64,
    /// Offset, in log-odds.
    pub c: f64,
}

/// `-ln q` and `-ln(1 - q)`, neither of which ends where `q` does.
fn surprises(raw: f64) -> (f64, f64) {
    let bend = (-raw.abs()).exp().ln_1p();
    ((-raw).max(0.0) + bend, raw.max(0.0) + bend)
}

impl Beta {
    /// The calibrated probability.
    #[must_use]
    pub fn apply(&self, raw: f64) -> f64 {
        let (failed, passed) = surprises(raw);
        sigmoid(self.b * passed - self.a * failed + self.c)
    }

    /// Fits as [`Platt::fit`] does, from where that one ends. `None` when the order would be turned round on one side: Platt's is
    /// then all that the rows bear out.
    #[must_use]
    pub fn fit(raws: &[f64], labels: &[bool], weights: &[f64]) -> Option<Self> {
        const PRIOR: f64 = 4.0;
        let platt = Platt::fit(raws, labels, weights);
        let mut beta = [platt.a, platt.a, platt.b];
        for _ in 0..60 {
            let mut gradient = vec![PRIOR * (beta[0] - 1.0), PRIOR * (beta[1] - 1.0), 0.0];
            let mut hessian = vec![PRIOR, 0.0, 0.0, 0.0, PRIOR, 0.0, 0.0, 0.0, 1e-6];
            for ((row, raw), label) in raws.iter().enumerate().zip(labels) {
                let (failed, passed) = surprises(*raw);
                let x = [-failed, passed, 1.0];
                let p = sigmoid(x.iter().zip(&beta).map(|(x, b)| x * b).sum());
                let w = weights.get(row).copied().unwrap_or(1.0);
                let (error, spread) = (w * (p - f64::from(u8::from(*label))), w * p * (1.0 - p));
                for ((a, slot), line) in x.iter().zip(&mut gradient).zip(hessian.chunks_mut(3)) {
                    *slot += error * a;
                    for (b, cell) in x.iter().zip(line) {
                        *cell += spread * a * b;
                    }
                }
            }
            let step = solve(&hessian, &gradient)?;
            for (b, s) in beta.iter_mut().zip(&step) {
                *b -= s.clamp(-1.0, 1.0);
            }
            if step.iter().all(|s| s.abs() < 1e-10) {
                break;
            }
        }
        // As the graph holds them.
        let [a, b, c] = beta.map(|b| f64::from(b as f32));
        let sound = a > 0.01 && b > 0.01 && a < 10.0 && b < 10.0 && c.abs() < 12.0;
        sound.then_some(Self { a, b, c })
    }
}

/// Slope and offset, in log-odds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    /// Slope; above 0.
    pub a: f64,
    /// Offset.
    pub b: f64,
}

impl Platt {
    /// Changes nothing.
    pub const IDENTITY: Self = Self { a: 1.0, b: 0.0 };

    /// The calibrated probability.
    #[must_use]
    pub fn apply(&self, raw: f64) -> f64 {
        sigmoid(self.a * raw + self.b)
    }

    /// Fits to raw log-odds that the model gave for rows it had not seen. A weak prior holds the slope near 1; a slope that
    /// would turn the order round becomes next to flat, which says the base rate.
    #[must_use]
    pub fn fit(raws: &[f64], labels: &[bool], weights: &[f64]) -> Self {
        const PRIOR: f64 = 4.0;
        let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
        let mass: f64 = (0..labels.len()).map(weight).sum();
        let failed: f64 = (0..)
            .zip(labels)
            .filter(|(_, y)| **y)
            .map(|(row, _)| weight(row))
            .sum();
        let mean: f64 = raws
            .iter()
            .enumerate()
            .map(|(row, raw)| weight(row) * raw)
            .sum::<f64>()
            / mass.max(1e-9);
        // Around the mean, slope and offset hardly depend on each other.
        let (mut slope, mut offset) = (1.0_f64, logit((failed + 0.5) / (mass + 1.0)));
        for _ in 0..60 {
            let mut g = [PRIOR * (slope - 1.0), 0.0];
            let mut h = [PRIOR, 0.0, 1e-9];
            for ((row, raw), label) in raws.iter().enumerate().zip(labels) {
                let z = raw - mean;
                let p = sigmoid(slope * z + offset);
                let (error, spread) = (p - f64::from(u8::from(*label)), p * (1.0 - p));
                let w = weight(row);
                g = [g[0] + w * error * z, g[1] + w * error];
                h = [
                    h[0] + w * spread * z * z,
                    h[1] + w * spread * z,
                    h[2] + w * spread,
                ];
            }
            let det = h[0] * h[2] - h[1] * h[1];
            if det.abs() < 1e-12 {
                break;
            }
            let step = [
                (h[2] * g[0] - h[1] * g[1]) / det,
                (h[0] * g[1] - h[1] * g[0]) / det,
            ];
            slope = (slope - step[0].clamp(-1.0, 1.0)).clamp(0.01, 10.0);
            offset = (offset - step[1].clamp(-2.0, 2.0)).clamp(-12.0, 12.0);
            if step[0].abs().max(step[1].abs()) < 1e-10 {
                break;
            }
        }
        // As the graph holds them.
        let a = f64::from(slope as f32);
        Self {
            a,
            b: f64::from((offset - a * mean) as f32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics;
    use crate::random::Random;

    #[test]
    fn it_undoes_what_was_done() {
        let mut random = Random::new(2);
        let truth: Vec<f64> = (0..8000).map(|_| random.unit() * 4.0 - 3.0).collect();
        let labels: Vec<bool> = truth.iter().map(|t| random.unit() < sigmoid(*t)).collect();
        let raws: Vec<f64> = truth.iter().map(|t| (t - 0.5) * 2.0).collect();
        let platt = Platt::fit(&raws, &labels, &[]);
        assert!(
            (platt.a - 0.5).abs() < 0.04 && (platt.b - 0.5).abs() < 0.1,
            "{platt:?}"
        );
        let p: Vec<f64> = raws.iter().map(|raw| platt.apply(*raw)).collect();
        assert!(metrics::ece(&labels, &p) < 0.02);
    }

    #[test]
    fn beta_bends_the_ends_where_platt_cannot() {
        let mut random = Random::new(5);
        let raws: Vec<f64> = (0..20_000).map(|_| random.unit() * 8.0 - 4.0).collect();
        let truth = Beta {
            a: 0.5,
            b: 1.5,
            c: 0.2,
        };
        let labels: Vec<bool> = raws.iter().map(|raw| random.unit() < truth.apply(*raw)).collect();
        let beta = Beta::fit(&raws, &labels, &[]).unwrap();
        assert!(
            (beta.a - 0.5).abs() < 0.08 && (beta.b - 1.5).abs() < 0.15,
            "{beta:?}"
        );
        let loss = |apply: &dyn Fn(f64) -> f64| {
            let p: Vec<f64> = raws.iter().map(|raw| apply(*raw)).collect();
            metrics::log_loss(&labels, &p)
        };
        let platt = Platt::fit(&raws, &labels, &[]);
        assert!(loss(&|raw| beta.apply(raw)) < loss(&|raw| platt.apply(raw)) - 0.003);
        // With equal slopes it is Platt's.
        let same = Beta {
            a: 0.7,
            b: 0.7,
            c: -0.3,
        };
        for raw in [-60.0, -2.0, 0.0, 3.0, 60.0] {
            assert!((same.apply(raw) - Platt { a: 0.7, b: -0.3 }.apply(raw)).abs() < 1e-12);
        }
        for (raws, labels) in [(vec![], vec![]), (vec![-50.0, 50.0], vec![true, false])] {
            assert!(Beta::fit(&raws, &labels, &[]).is_none_or(|b| b.a > 0.0 && b.b > 0.0 && b.c.is_finite()));
        }
    }

    #[test]
    fn odd_input_gives_finite_numbers() {
        for (raws, labels) in [
            (vec![], vec![]),
            (vec![1.0; 4], vec![true; 4]),
            (vec![-50.0, 50.0], vec![true, false]),
            (vec![0.0; 3], vec![false, false, true]),
        ] {
            let platt = Platt::fit(&raws, &labels, &[]);
            assert!(
                platt.a > 0.0 && platt.a.is_finite() && platt.b.is_finite(),
                "{platt:?}"
            );
        }
    }
}
