//! Whether a feature's values have moved away from a reference, judged by how many there are.
//!
//! A fixed limit for the population stability index is not honest: without any change its mean is about
//! `(1/n + 1/m) * (bins - 1)`, so that with a hundred samples the usual 0.1 is passed nearly always and with ten thousand
//! never. Here PSI is set against that distribution of its own, Kolmogorov-Smirnov's against its own, and among many features
//! the share of false alarms is bounded (Benjamini-Hochberg, weighed by importance). What is significant and too small to matter
//! is not called drift.

use serde::{Deserialize, Serialize};

use crate::gamma::{chi_squared_quantile, chi_squared_tail};
use crate::scale::quantile;

/// How many bins, at most: quantiles of the reference.
const BINS: usize = 10;
/// How many samples of the lesser side a bin needs: with fewer the distribution of PSI has a heavier tail than is assumed.
const IN_BIN: usize = 20;
/// What an empty bin counts for.
const EMPTY: f64 = 0.5;

/// How strict.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Share of false alarms among the alarms of one look, 0..1.
    pub alpha: f64,
    /// The least PSI that matters, however significant.
    pub least_psi: f64,
    /// The least distance of the distributions (Kolmogorov-Smirnov) that matters.
    pub least_distance: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            least_psi: 0.1,
            least_distance: 0.1,
        }
    }
}

/// A feature's values then and now; what is not present is NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Its name.
    pub name: String,
    /// How much it bears upon what is decided, 0 or more; 1 when nothing is known.
    pub importance: f64,
    /// Then.
    pub reference: Vec<f64>,
    /// Now.
    pub current: Vec<f64>,
}

/// What is said of one feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Which.
    pub name: String,
    /// Values present then and now.
    pub samples: (usize, usize),
    /// Share of values not present, then and now.
    pub null_rate: (f64, f64),
    /// Least and greatest of the reference.
    pub reference_range: Option<(f64, f64)>,
    /// Share of current values outside of it.
    pub out_of_range: f64,
    /// Population stability index.
    pub psi: f64,
    /// What it would exceed by chance once in `1 / alpha` looks, for so many samples.
    pub psi_threshold: f64,
    /// How likely so large a PSI is without any change.
    pub psi_p: f64,
    /// Kolmogorov-Smirnov distance.
    pub ks: f64,
    /// How likely so large a distance is without any change.
    pub ks_p: f64,
    /// Adjusted for how many features were looked at, by importance; at most `alpha` is an alarm.
    pub q: f64,
    /// How much it bears.
    pub importance: f64,
    /// Whether it has moved, and enough to matter.
    pub drifted: bool,
}

fn present(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[allow(clippy::cast_precision_loss, reason = "counts of samples")]
fn float(count: usize) -> f64 {
    count as f64
}

/// How many of these sorted values lie in each bin; a bin holds its upper bound.
fn counts(sorted: &[f64], bounds: &[f64]) -> Vec<f64> {
    let mut below = 0;
    let mut counts: Vec<f64> = bounds
        .iter()
        .map(|bound| {
            let upto = sorted.partition_point(|value| value <= bound);
            let count = float(upto - below);
            below = upto;
            count
        })
        .collect();
    counts.push(float(sorted.len() - below));
    counts
}

/// PSI of sorted values and its degrees of freedom; `None` where either side is empty or the reference has one value.
fn psi(reference: &[f64], current: &[f64]) -> Option<(f64, f64)> {
    if reference.is_empty() || current.is_empty() {
        return None;
    }
    let bins = (reference.len().min(current.len()) / IN_BIN).clamp(2, BINS);
    let mut bounds: Vec<f64> = (1..bins)
        .filter_map(|n| quantile(reference, float(n) / float(bins)))
        .collect();
    bounds.dedup();
    let (then, now) = (counts(reference, &bounds), counts(current, &bounds));
    // Bins that hold nothing on either side (ties) are none.
    let pairs: Vec<(f64, f64)> = then.into_iter().zip(now).filter(|(a, b)| a + b > 0.0).collect();
    let total = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(|p| of(p).max(EMPTY)).sum::<f64>();
    let (all_then, all_now) = (total(|p| p.0), total(|p| p.1));
    let psi = pairs
        .iter()
        .map(|(a, b)| (b.max(EMPTY) / all_now, a.max(EMPTY) / all_then))
        .map(|(now, then)| (now - then) * (now / then).ln())
        .sum();
    Some((psi, float(pairs.len().saturating_sub(1))))
}

/// The greatest distance between two empirical distributions, from sorted values.
fn distance(reference: &[f64], current: &[f64]) -> f64 {
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while let (Some(a), Some(b)) = (reference.get(i), current.get(j)) {
        let at = a.min(*b);
        while reference.get(i).is_some_and(|v| *v <= at) {
            i += 1;
        }
        while current.get(j).is_some_and(|v| *v <= at) {
            j += 1;
        }
        most = most.max((float(i) / float(reference.len()) - float(j) / float(current.len())).abs());
    }
    most
}

/// How likely so large a distance is without any change (Kolmogorov's distribution with Stephens' correction).
fn distance_p(distance: f64, n: usize, m: usize) -> f64 {
    let effective = (float(n) * float(m) / float(n + m)).sqrt();
    let lambda = (effective + 0.12 + 0.11 / effective) * distance;
    if lambda < 0.2 {
        return 1.0;
    }
    let terms = (1..=100).map(|k| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(k * k) * lambda * lambda).exp()
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}

fn look(samples: &Samples, limits: &Limits) -> Drift {
    let (then, now) = (present(&samples.reference), present(&samples.current));
    let range = then.first().copied().zip(then.last().copied());
    let outside = |(low, high): (f64, f64)| now.iter().filter(|v| **v < low || **v > high).count();
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { float(part) / float(of) };
    let nulls = |all: &[f64], present: usize| share(all.len() - present, all.len());
    let spread = 1.0 / float(then.len().max(1)) + 1.0 / float(now.len().max(1));
    let (psi, freedom) = psi(&then, &now).unwrap_or((0.0, 0.0));
    let ks = distance(&then, &now);
    let enough = !then.is_empty() && !now.is_empty();
    Drift {
        name: samples.name.clone(),
        samples: (then.len(), now.len()),
        null_rate: (
            nulls(&samples.reference, then.len()),
            nulls(&samples.current, now.len()),
        ),
        reference_range: range,
        out_of_range: range.map_or(0.0, |range| share(outside(range), now.len())),
        psi,
        psi_threshold: if freedom > 0.0 {
            (spread * chi_squared_quantile(limits.alpha, freedom)).max(limits.least_psi)
        } else {
            limits.least_psi
        },
        psi_p: chi_squared_tail(psi / spread, freedom),
        ks,
        ks_p: if enough {
            distance_p(ks, then.len(), now.len())
        } else {
            1.0
        },
        q: 1.0,
        importance: samples.importance.max(0.0),
        drifted: false,
    }
}

/// Looks at all features together; the answer is in their order.
#[must_use]
pub fn drift(features: &[Samples], limits: &Limits) -> Vec<Drift> {
    let mut found: Vec<Drift> = features.iter().map(|samples| look(samples, limits)).collect();
    let weights: Vec<f64> = found.iter().map(|f| f.importance).collect();
    // Two tests of one feature: the lesser of their levels, doubled.
    let levels: Vec<f64> = found
        .iter()
        .map(|f| (2.0 * f.psi_p.min(f.ks_p)).min(1.0))
        .collect();
    for (drift, q) in found.iter_mut().zip(adjusted(&levels, &weights)) {
        drift.q = q;
        let matters = drift.psi >= limits.least_psi || drift.ks >= limits.least_distance;
        drift.drifted = q <= limits.alpha && matters;
    }
    found
}

/// Levels adjusted by Benjamini and Hochberg, weighed (Genovese et al., 2006): each level is divided by its weight, weights
/// having mean 1.
#[must_use]
pub fn adjusted(levels: &[f64], weights: &[f64]) -> Vec<f64> {
    let mean = weights.iter().sum::<f64>() / float(weights.len().max(1));
    let weighed = |(level, weight): (&f64, &f64)| {
        let weight = if mean > 0.0 { weight / mean } else { 1.0 };
        if weight > 0.0 {
            level / weight
        } else {
            f64::INFINITY
        }
    };
    let weighed: Vec<f64> = levels.iter().zip(weights).map(weighed).collect();
    let mut order: Vec<usize> = (0..weighed.len()).collect();
    let at = |i: usize| weighed.get(i).copied().unwrap_or(1.0);
    order.sort_by(|a, b| at(*a).total_cmp(&at(*b)));
    let mut adjusted = vec![1.0; weighed.len()];
    let mut least = 1.0_f64;
    for (rank, place) in order.iter().enumerate().rev() {
        least = least.min(at(*place) * float(weighed.len()) / float(rank + 1));
        if let Some(slot) = adjusted.get_mut(*place) {
            *slot = least;
        }
    }
    adjusted
}

/// The share of importance that has drifted, 0..=1.
#[must_use]
pub fn weight_drifted(found: &[Drift]) -> f64 {
    let all: f64 = found.iter().map(|f| f.importance).sum();
    let moved: f64 = found.iter().filter(|f| f.drifted).map(|f| f.importance).sum();
    if all > 0.0 { moved / all } else { 0.0 }
}
