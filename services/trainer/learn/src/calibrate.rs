//! Platt's calibration: `p = sigmoid(a * raw + b)`, by weighted maximum likelihood.

use serde::{Deserialize, Serialize};

use crate::{logit, sigmoid};

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
