//! Figures of merit. `p` is the probability of failure; a figure that cannot be had (one class only) is `None`.

use serde::{Deserialize, Serialize};

/// Row numbers by falling score; equal ones keep their order.
fn falling(score: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..score.len()).collect();
    let at = |row: usize| score.get(row).copied().unwrap_or(f64::NAN);
    order.sort_by(|a, b| at(*b).total_cmp(&at(*a)));
    order
}

/// Failures and rows up to each change of the score, by falling score: `(rows, failures, score)`, ties as one step.
fn steps(labels: &[bool], score: &[f64]) -> Vec<(usize, usize, f64)> {
    let mut found: Vec<(usize, usize, f64)> = Vec::new();
    let (mut rows, mut failures) = (0, 0);
    for row in falling(score) {
        let (Some(label), Some(score)) = (labels.get(row), score.get(row)) else {
            continue;
        };
        rows += 1;
        failures += usize::from(*label);
        match found.last_mut() {
            Some(last) if last.2 == *score => (last.0, last.1) = (rows, failures),
            _ => found.push((rows, failures, *score)),
        }
    }
    found
}

/// Number of failures.
#[must_use]
pub fn failures(labels: &[bool]) -> usize {
    labels.iter().filter(|y| **y).count()
}

/// Share of failures; 0 for no rows.
#[must_use]
pub fn rate(labels: &[bool]) -> f64 {
    failures(labels) as f64 / labels.len().max(1) as f64
}

/// Probability that a failure is scored above a success; ties count half.
#[must_use]
pub fn roc_auc(labels: &[bool], p: &[f64]) -> Option<f64> {
    let (mut area, mut rows, mut fails) = (0.0, 0, 0);
    for (to_rows, to_fails, _) in steps(labels, p) {
        let (good, bad) = ((to_rows - to_fails) - (rows - fails), to_fails - fails);
        area += good as f64 * (fails as f64 + bad as f64 / 2.0);
        (rows, fails) = (to_rows, to_fails);
    }
    let pairs = fails as f64 * (rows - fails) as f64;
    (pairs > 0.0).then(|| area / pairs)
}

/// Average precision; tied scores are one step.
#[must_use]
pub fn pr_auc(labels: &[bool], p: &[f64]) -> Option<f64> {
    let (mut sum, mut fails) = (0.0, 0);
    for (to_rows, to_fails, _) in steps(labels, p) {
        sum += (to_fails - fails) as f64 * to_fails as f64 / to_rows as f64;
        fails = to_fails;
    }
    (fails > 0).then(|| sum / fails as f64)
}

/// Mean squared difference.
#[must_use]
pub fn brier(labels: &[bool], p: &[f64]) -> f64 {
    let square = |(y, p): (&bool, &f64)| (p - f64::from(u8::from(*y))).powi(2);
    labels.iter().zip(p).map(square).sum::<f64>() / labels.len().max(1) as f64
}

/// Mean negative log-likelihood, in nats.
#[must_use]
pub fn log_loss(labels: &[bool], p: &[f64]) -> f64 {
    let one = |(y, p): (&bool, &f64)| {
        let p = p.clamp(1e-12, 1.0 - 1e-12);
        -(if *y { p } else { 1.0 - p }).ln()
    };
    labels.iter().zip(p).map(one).sum::<f64>() / labels.len().max(1) as f64
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Rows.
    pub rows: usize,
    /// Mean probability.
    pub p: f64,
    /// Share of failures.
    pub rate: f64,
}

/// Rows by equal-width bins of their probability; empty bins are left out.
#[must_use]
pub fn reliability(labels: &[bool], p: &[f64], bins: usize) -> Vec<Reliability> {
    let mut sums = vec![(0_usize, 0.0, 0_usize); bins.max(1)];
    for (label, p) in labels.iter().zip(p) {
        let bin = ((p * bins as f64) as usize).min(bins.saturating_sub(1));
        if let Some(sum) = sums.get_mut(bin) {
            *sum = (sum.0 + 1, sum.1 + p, sum.2 + usize::from(*label));
        }
    }
    let filled = sums.into_iter().filter(|(rows, ..)| *rows > 0);
    filled
        .map(|(rows, p, fails)| Reliability {
            rows,
            p: p / rows as f64,
            rate: fails as f64 / rows as f64,
        })
        .collect()
}

/// Expected calibration error over ten equal-width bins.
#[must_use]
pub fn ece(labels: &[bool], p: &[f64]) -> f64 {
    let bins = reliability(labels, p, 10);
    let off: f64 = bins.iter().map(|b| b.rows as f64 * (b.p - b.rate).abs()).sum();
    off / labels.len().max(1) as f64
}

/// The [`ece`] that a perfectly calibrated forecast has by chance alone: few rows scatter much.
#[must_use]
pub fn ece_by_chance(p: &[f64]) -> f64 {
    let nobody = vec![false; p.len()];
    let scatter =
        |bin: &Reliability| bin.rows as f64 * (0.64 * bin.p * (1.0 - bin.p) / bin.rows as f64).sqrt();
    reliability(&nobody, p, 10).iter().map(scatter).sum::<f64>() / p.len().max(1) as f64
}

/// Share of the failures found within a share of all effort, rows read by falling p per effort. `effort` is that of each row
/// (lines to read); empty: every row is the same.
#[must_use]
pub fn recall_at_effort(labels: &[bool], p: &[f64], effort: &[f64], share: f64) -> Option<f64> {
    let of = |row: usize| {
        if effort.is_empty() {
            1.0
        } else {
            effort.get(row).copied().unwrap_or(0.0).max(0.0)
        }
    };
    let density: Vec<f64> = p
        .iter()
        .enumerate()
        .map(|(row, p)| {
            if effort.is_empty() {
                *p
            } else {
                p / (of(row) + 1.0)
            }
        })
        .collect();
    let all: f64 = (0..labels.len()).map(of).sum();
    let (mut spent, mut found) = (0.0, 0);
    for row in falling(&density) {
        spent += of(row);
        if spent > share * all {
            break;
        }
        found += usize::from(labels.get(row).copied().unwrap_or(false));
    }
    let fails = failures(labels);
    (fails > 0).then(|| found as f64 / fails as f64)
}

/// Share of the failures among the riskiest share of rows.
#[must_use]
pub fn share_in_riskiest(labels: &[bool], p: &[f64], share: f64) -> Option<f64> {
    let taken = (labels.len() as f64 * share).round() as usize;
    let hit = |row: &usize| labels.get(*row).copied().unwrap_or(false);
    let found = falling(p).into_iter().take(taken).filter(hit).count();
    let fails = failures(labels);
    (fails > 0).then(|| found as f64 / fails as f64)
}

/// Points of the three curves, at most about `points` each.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Curves {
    /// (share of successes called risky, share of failures called risky).
    pub roc: Vec<(f64, f64)>,
    /// (share of failures found, share of failures among what is called risky).
    pub pr: Vec<(f64, f64)>,
    /// (share of rows looked at, share of failures found).
    pub gain: Vec<(f64, f64)>,
}

/// The curves of a forecast; empty for one class.
#[must_use]
pub fn curves(labels: &[bool], p: &[f64], points: usize) -> Curves {
    let all = steps(labels, p);
    let fails = failures(labels) as f64;
    let rows = labels.len() as f64;
    if fails == 0.0 || fails == rows {
        return Curves::default();
    }
    let stride = (all.len() / points.max(1)).max(1);
    let last = all.len().saturating_sub(1);
    let kept = all
        .iter()
        .enumerate()
        .filter(|(place, _)| place % stride == 0 || *place == last);
    let mut curves = Curves {
        roc: vec![(0.0, 0.0)],
        pr: Vec::new(),
        gain: vec![(0.0, 0.0)],
    };
    for (_, (to_rows, to_fails, _)) in kept {
        let (seen, hit) = (*to_rows as f64, *to_fails as f64);
        curves.roc.push(((seen - hit) / (rows - fails), hit / fails));
        curves.pr.push((hit / fails, hit / seen));
        curves.gain.push((seen / rows, hit / fails));
    }
    curves
}

#[cfg(test)]
mod tests {
    use super::*;

    const Y: [bool; 6] = [true, false, true, false, false, true];
    const P: [f64; 6] = [0.9, 0.8, 0.7, 0.3, 0.2, 0.2];

    #[test]
    fn they_are_what_the_books_say() {
        // scikit-learn 1.9.1: roc_auc_score, average_precision_score, brier_score_loss, log_loss.
        assert!((roc_auc(&Y, &P).unwrap() - 5.5 / 9.0).abs() < 1e-12);
        assert!((pr_auc(&Y, &P).unwrap() - (1.0 + 2.0 / 3.0 + 0.5) / 3.0).abs() < 1e-12);
        assert!((brier(&Y, &P) - (0.01 + 0.64 + 0.09 + 0.09 + 0.04 + 0.64) / 6.0).abs() < 1e-12);
        let loss =
            -(0.9_f64.ln() + 0.2_f64.ln() + 0.7_f64.ln() + 0.7_f64.ln() + 0.8_f64.ln() + 0.2_f64.ln()) / 6.0;
        assert!((log_loss(&Y, &P) - loss).abs() < 1e-12);
    }

    #[test]
    fn one_class_has_no_ranking() {
        assert_eq!(roc_auc(&[true, true], &[0.1, 0.2]), None);
        assert_eq!(pr_auc(&[false], &[0.1]), None);
        assert_eq!(recall_at_effort(&[false], &[0.1], &[], 0.2), None);
        assert!(curves(&[false], &[0.1], 10).roc.is_empty());
        assert_eq!(ece(&[], &[]), 0.0);
    }

    #[test]
    fn calibration_error_is_the_gap_per_bin() {
        let (y, p) = ([true, false, false, false], [0.25; 4]);
        assert!(ece(&y, &p).abs() < 1e-12);
        assert!((ece(&y, &[0.45; 4]) - 0.2).abs() < 1e-12);
        assert_eq!(reliability(&y, &[1.0; 4], 10).len(), 1);
        let mut random = crate::random::Random::new(1);
        let p: Vec<f64> = (0..300).map(|_| random.unit()).collect();
        let y: Vec<bool> = p.iter().map(|p| random.unit() < *p).collect();
        assert!((ece(&y, &p) - ece_by_chance(&p)).abs() < 0.03);
        assert!(ece_by_chance(&[0.5; 10_000]) < 0.005);
    }

    #[test]
    fn effort_decides_what_is_read_first() {
        let y = [true, true, false, false];
        let p = [0.5, 0.5, 0.4, 0.1];
        // The first failure costs ten lines of a hundred, the second eighty.
        let effort = [10.0, 80.0, 5.0, 5.0];
        assert_eq!(recall_at_effort(&y, &p, &effort, 0.2), Some(0.5));
        assert_eq!(recall_at_effort(&y, &p, &[], 0.5), Some(1.0));
        assert_eq!(share_in_riskiest(&y, &p, 0.25), Some(0.5));
    }
}
