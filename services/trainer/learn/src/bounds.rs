//! How far a figure may be off: DeLong's variance for the ROC-AUC, the bootstrap for the rest. 95 %, two-sided.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Midranks of values, from 1.
fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let at = |row: usize| values.get(row).copied().unwrap_or(f64::NAN);
    order.sort_by(|a, b| at(*a).total_cmp(&at(*b)));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while let Some(first) = order.get(start) {
        let same = order
            .iter()
            .skip(start)
            .take_while(|row| at(**row) == at(*first))
            .count()
            .max(1);
        let rank = start as f64 + (same as f64 + 1.0) / 2.0;
        for row in order.iter().skip(start).take(same) {
            if let Some(slot) = ranks.get_mut(*row) {
                *slot = rank;
            }
        }
        start += same;
    }
    ranks
}

/// DeLong's interval of the ROC-AUC (Sun and Xu 2014), on the scale of log-odds so that it stays within 0..=1. `None` with
/// fewer than two failures or two successes.
#[must_use]
pub fn roc_auc(labels: &[bool], p: &[f64]) -> Option<Bounds> {
    let pick = |wanted: bool| -> Vec<f64> {
        let of = labels.iter().zip(p).filter(|(y, _)| **y == wanted);
        of.map(|(_, p)| *p).collect()
    };
    let (bad, good) = (pick(true), pick(false));
    if bad.len() < 2 || good.len() < 2 {
        return None;
    }
    let (m, n) = (bad.len() as f64, good.len() as f64);
    let together: Vec<f64> = bad.iter().chain(&good).copied().collect();
    let ranks = midranks(&together);
    let place = |own: &[f64], among: &[f64], others: f64| -> Vec<f64> {
        own.iter()
            .zip(among)
            .map(|(own, all)| (all - own) / others)
            .collect()
    };
    let (of_bad, of_good) = ranks.split_at(bad.len());
    let v10 = place(&midranks(&bad), of_bad, n);
    let v01 = place(&midranks(&good), of_good, m);
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let variance = |v: &[f64]| {
        let mean = mean(v);
        v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (v.len() as f64 - 1.0)
    };
    let auc = mean(&v10);
    let error = (variance(&v10) / m + variance(&v01) / n).sqrt();
    let edge = (auc * (1.0 - auc)).max(1e-9);
    let (centre, half) = (crate::logit(auc), 1.959_963_985 * error / edge);
    Some(Bounds {
        low: crate::sigmoid(centre - half).min(auc),
        high: crate::sigmoid(centre + half).max(auc),
    })
}

/// Rounds of a bootstrap that take bearable time for so many rows.
#[must_use]
pub fn rounds(rows: usize) -> usize {
    (4_000_000 / rows.max(1)).clamp(30, 300)
}

/// Percentile bootstrap over rows: `figures` are worked out on each resample (row numbers), and what cannot be had there is
/// left out. One interval a figure, in order.
pub fn bootstrap(
    rows: usize,
    rounds: usize,
    seed: u64,
    figures: impl Fn(&[usize]) -> Vec<Option<f64>>,
) -> Vec<Option<Bounds>> {
    let mut random = Random::new(seed);
    let mut draws: Vec<Vec<f64>> = Vec::new();
    for _ in 0..rounds {
        let sample: Vec<usize> = (0..rows).map(|_| random.below(rows)).collect();
        for (place, figure) in figures(&sample).into_iter().enumerate() {
            if draws.len() <= place {
                draws.push(Vec::new());
            }
            if let (Some(of), Some(figure)) = (draws.get_mut(place), figure) {
                of.push(figure);
            }
        }
    }
    draws
        .into_iter()
        .map(|mut of| {
            of.sort_by(f64::total_cmp);
            let at = |share: f64| {
                of.get(((of.len() as f64 - 1.0) * share).round().max(0.0) as usize)
                    .copied()
            };
            Some(Bounds {
                low: at(0.025)?,
                high: at(0.975)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics;

    #[test]
    fn delong_and_the_bootstrap_agree() {
        let mut random = Random::new(5);
        let labels: Vec<bool> = (0..600).map(|_| random.unit() < 0.3).collect();
        let p: Vec<f64> = labels
            .iter()
            .map(|y| random.unit() + if *y { 0.4 } else { 0.0 })
            .collect();
        let delong = roc_auc(&labels, &p).unwrap();
        let drawn = bootstrap(600, 300, 1, |sample| {
            let y: Vec<bool> = sample.iter().map(|row| labels[*row]).collect();
            let q: Vec<f64> = sample.iter().map(|row| p[*row]).collect();
            vec![metrics::roc_auc(&y, &q), None]
        });
        let auc = metrics::roc_auc(&labels, &p).unwrap();
        assert!(delong.low < auc && auc < delong.high);
        let other = drawn[0].unwrap();
        assert!(
            (delong.low - other.low).abs() < 0.02 && (delong.high - other.high).abs() < 0.02,
            "{delong:?} {other:?}"
        );
        assert_eq!(drawn.len(), 2);
        assert_eq!(drawn[1], None);
    }

    #[test]
    fn too_few_have_no_bounds() {
        assert_eq!(roc_auc(&[true, false], &[0.1, 0.2]), None);
        assert_eq!(midranks(&[2.0, 1.0, 2.0]), [2.5, 1.0, 2.5]);
    }
}
