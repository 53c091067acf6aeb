//! Why a row is scored as it is, by whichever way its graph allows.
//!
//! Trees are explained exactly ([`crate::explain`]). Any other graph, an LSTM as well, by integrated gradients (Sundararajan
//! et al. 2017): along the straight way from the background to the row, at eight points, each feature is moved a little both
//! ways and the graph is asked what changes. What the eight points miss is told as the remainder.

use crate::calibration::log_odds;
use crate::explain::quadrature::points;
use crate::manifest::Raw;
use crate::runtime::{ScoreFault, Scorer};

/// Points on the way from the background to the row.
const POINTS: usize = 8;
/// Rows a run: enough to fill the processor, and some megabytes at most.
const ROWS_A_RUN: usize = 1_024;

/// Every contribution to one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// `tree_shap` or `integrated_gradients`.
    pub method: &'static str,
    /// Log-odds of nothing known: the mean over the training rows, or the background's.
    pub base: f64,
    /// Log-odds of the row; before calibration, of trees.
    pub raw: f64,
    /// By feature, in log-odds.
    pub contributions: Vec<f64>,
    /// What is left of `raw` after the base and all contributions; 0, but for rounding, of trees.
    pub remainder: f64,
}

impl Scorer {
    /// Explains a row, whose missing values are NaN.
    ///
    /// # Errors
    /// [`ScoreFault`] when the graph has to be asked and fails.
    pub fn explain(&mut self, row: &[f32]) -> Result<Explained, ScoreFault> {
        let model = std::sync::Arc::clone(&self.model);
        let Some(ensemble) = &model.ensemble else {
            return self.gradients(row);
        };
        let mut contributions = vec![0.0; row.len()];
        ensemble.contributions(row, &mut contributions);
        let sum: f64 = contributions.iter().sum();
        let (mut base, mut raw) = (ensemble.base, ensemble.base + sum);
        if model.manifest.raw == Raw::Probability {
            // A forest's votes add up to a probability; stretched alike, they add up to its log-odds.
            let (from, to) = (log_odds(base), log_odds(raw));
            let stretch = if sum.abs() > 1e-12 { (to - from) / sum } else { 0.0 };
            contributions.iter_mut().for_each(|c| *c *= stretch);
            (base, raw) = (from, to);
        }
        Ok(Explained {
            method: "tree_shap",
            remainder: raw - base - contributions.iter().sum::<f64>(),
            base,
            raw,
            contributions,
        })
    }

    fn gradients(&mut self, row: &[f32]) -> Result<Explained, ScoreFault> {
        let background = &self.model.manifest.background;
        let usual = |at: usize| background.get(at).copied().unwrap_or(0.0);
        let from: Vec<f32> = (0..row.len()).map(usual).collect();
        // What is missing stays missing all the way, and is owed nothing.
        let start: Vec<f32> = row
            .iter()
            .zip(&from)
            .map(|(x, b)| if x.is_nan() { *x } else { *b })
            .collect();
        let moved = |(x, b): (&f32, &f32)| x.is_finite() && x != b;
        let asked: Vec<usize> = row
            .iter()
            .zip(&from)
            .enumerate()
            .filter(|(_, pair)| moved(*pair))
            .map(|(at, _)| at)
            .collect();
        let mut probes: Vec<(usize, f64)> = Vec::new();
        let mut rows: Vec<f32> = Vec::new();
        let mut contributions = vec![0.0; row.len()];
        for (t, weight) in points(POINTS) {
            let at_t: Vec<f32> = row
                .iter()
                .zip(&start)
                .map(|(x, b)| b + (x - b) * t as f32)
                .collect();
            for feature in &asked {
                let (Some(x), Some(b)) = (row.get(*feature), from.get(*feature)) else {
                    continue;
                };
                let step = (0.02 * (x - b).abs()).max(1e-3);
                for side in [step, -step] {
                    let begins = rows.len();
                    rows.extend_from_slice(&at_t);
                    if let Some(value) = rows.get_mut(begins + feature) {
                        *value += side;
                    }
                }
                probes.push((*feature, weight * f64::from(x - b) / f64::from(2.0 * step)));
                if probes.len() * 2 >= ROWS_A_RUN {
                    self.probe(&mut rows, &mut probes, &mut contributions)?;
                }
            }
        }
        self.probe(&mut rows, &mut probes, &mut contributions)?;
        let ends: Vec<f64> = self
            .p_fail(&[start.as_slice(), row].concat())?
            .into_iter()
            .map(|p| log_odds(f64::from(p)))
            .collect();
        let (base, raw) = match ends.as_slice() {
            [base, raw] => (*base, *raw),
            _ => return Err(ScoreFault::NoNumber),
        };
        Ok(Explained {
            method: "integrated_gradients",
            remainder: raw - base - contributions.iter().sum::<f64>(),
            base,
            raw,
            contributions,
        })
    }

    /// Asks the graph about pairs of rows, and adds what each pair's difference is worth.
    fn probe(
        &mut self,
        rows: &mut Vec<f32>,
        probes: &mut Vec<(usize, f64)>,
        contributions: &mut [f64],
    ) -> Result<(), ScoreFault> {
        if probes.is_empty() {
            return Ok(());
        }
        let answers = self.p_fail(rows)?;
        for ((feature, worth), pair) in probes.iter().zip(answers.chunks_exact(2)) {
            if let ([up, down], Some(slot)) = (pair, contributions.get_mut(*feature)) {
                *slot += worth * (log_odds(f64::from(*up)) - log_odds(f64::from(*down)));
            }
        }
        rows.clear();
        probes.clear();
        Ok(())
    }
}
