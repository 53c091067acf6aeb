//! Weights of models that are summed: none below 0, fitted on rows that none of them had seen.

use crate::scorecard::solve;
use crate::sigmoid;

/// Pull towards equal shares, in rows: few rows say little about who is better.
const RIDGE: f64 = 60.0;

/// Fits `sigmoid(b + sum of weight * raw)`. One weight a model, in order; the offset is left to calibration.
#[must_use]
pub fn weights(raws: &[Vec<f64>], labels: &[bool], row_weights: &[f64]) -> Vec<f64> {
    let equal = 1.0 / raws.len().max(1) as f64;
    let mut active: Vec<usize> = (0..raws.len()).collect();
    loop {
        let of: Vec<&[f64]> = active
            .iter()
            .filter_map(|m| raws.get(*m))
            .map(Vec::as_slice)
            .collect();
        let found = fitted(&of, labels, row_weights, equal);
        let least = found
            .iter()
            .copied()
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(&b.1));
        match least {
            Some((place, weight)) if weight < 0.0 && active.len() > 1 => {
                active.remove(place);
            }
            _ => {
                let mut all = vec![0.0; raws.len()];
                for (model, weight) in active.iter().zip(found) {
                    if let Some(slot) = all.get_mut(*model) {
                        *slot = weight.max(0.0);
                    }
                }
                return all;
            }
        }
    }
}

fn fitted(raws: &[&[f64]], labels: &[bool], row_weights: &[f64], equal: f64) -> Vec<f64> {
    let width = raws.len() + 1;
    let mut beta = vec![equal; width];
    if let Some(offset) = beta.last_mut() {
        *offset = 0.0;
    }
    let mut x = vec![1.0; width];
    for _ in 0..25 {
        let mut gradient = vec![0.0; width];
        let mut hessian = vec![0.0; width * width];
        for (row, label) in labels.iter().enumerate() {
            for (slot, raws) in x.iter_mut().zip(raws) {
                *slot = raws.get(row).copied().unwrap_or(0.0);
            }
            let p = sigmoid(x.iter().zip(&beta).map(|(x, b)| x * b).sum());
            let w = row_weights.get(row).copied().unwrap_or(1.0);
            let (error, spread) = (w * (p - f64::from(u8::from(*label))), w * p * (1.0 - p));
            for (a, slot) in x.iter().zip(&mut gradient) {
                *slot += error * a;
            }
            for (a, line) in x.iter().zip(hessian.chunks_mut(width)) {
                for (b, cell) in x.iter().zip(line) {
                    *cell += spread * a * b;
                }
            }
        }
        for place in 0..raws.len() {
            let pull = beta.get(place).map_or(0.0, |b| b - equal);
            if let (Some(g), Some(h)) = (gradient.get_mut(place), hessian.get_mut(place * width + place)) {
                *g += RIDGE * pull;
                *h += RIDGE;
            }
        }
        if let Some(corner) = hessian.last_mut() {
            *corner += 1e-6;
        }
        let Some(step) = solve(&hessian, &gradient) else {
            break;
        };
        for (b, s) in beta.iter_mut().zip(&step) {
            *b -= s.clamp(-1.0, 1.0);
        }
        if step.iter().all(|s| s.abs() < 1e-9) {
            break;
        }
    }
    beta.truncate(raws.len());
    beta
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn who_knows_more_weighs_more_and_nobody_below_nothing() {
        let mut random = Random::new(4);
        let truth: Vec<f64> = (0..4000).map(|_| random.unit() * 4.0 - 2.0).collect();
        let labels: Vec<bool> = truth.iter().map(|t| random.unit() < sigmoid(*t)).collect();
        let mut noisy =
            |by: f64| -> Vec<f64> { truth.iter().map(|t| t + by * (random.unit() - 0.5)).collect() };
        let (good, poor) = (noisy(1.0), noisy(6.0));
        let against: Vec<f64> = truth.iter().map(|t| -t).collect();
        let found = weights(&[good, poor, against], &labels, &[]);
        assert!(
            found[0] > 2.0 * found[1] && found[1] >= 0.0 && found[2] == 0.0,
            "{found:?}"
        );
        assert!(weights(&[], &labels, &[]).is_empty());
    }
}
