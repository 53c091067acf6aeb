//! Logistic regression over binned columns: each bin is worth its weight of evidence, each column one coefficient. As a model
//! it is one small tree a column, so that it is served, explained and summed like the others. Needs no library, and says
//! whether anything fancier is worth it.

use crate::bins::{self, Binned};
use crate::forest::{Forest, Node, Tree};
use crate::{Matrix, logit, sigmoid};

/// Evidence of a bin with few rows is pulled to none: as many rows of the base rate are added to it.
const SMOOTHING: f64 = 20.0;
/// Pull of the coefficients towards that of plain evidence divided by the number of columns.
const RIDGE: f64 = 3.0;

/// Solves `m x = v` for a symmetric positive definite `m` (row-major), by Cholesky. `None` when it is not.
#[must_use]
pub fn solve(m: &[f64], v: &[f64]) -> Option<Vec<f64>> {
    let n = v.len();
    let mut l = vec![0.0; n * n];
    let at = |l: &[f64], i: usize, j: usize| l.get(i * n + j).copied().unwrap_or(0.0);
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| at(&l, i, k) * at(&l, j, k)).sum();
            let rest = at(m, i, j) - dot;
            let value = if i == j {
                if rest <= 1e-12 {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / at(&l, j, j)
            };
            *l.get_mut(i * n + j)? = value;
        }
    }
    let mut y = vec![0.0; n];
    for i in 0..n {
        let dot: f64 = (0..i)
            .map(|k| at(&l, i, k) * y.get(k).copied().unwrap_or(0.0))
            .sum();
        *y.get_mut(i)? = (v.get(i)? - dot) / at(&l, i, i);
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n)
            .map(|k| at(&l, k, i) * x.get(k).copied().unwrap_or(0.0))
            .sum();
        *x.get_mut(i)? = (y.get(i)? - dot) / at(&l, i, i);
    }
    Some(x)
}

/// Weight and failures by bin of one column.
fn tally(codes: &[u8], size: usize, labels: &[bool], weight: &impl Fn(usize) -> f64) -> Vec<(f64, f64, u32)> {
    let mut cells = vec![(0.0, 0.0, 0); size];
    for (row, (code, label)) in codes.iter().zip(labels).enumerate() {
        if let Some(cell) = cells.get_mut(usize::from(*code)) {
            let w = weight(row);
            *cell = (cell.0 + w, cell.1 + if *label { w } else { 0.0 }, cell.2 + 1);
        }
    }
    cells
}

/// Coefficients by Newton's method; the last is the offset.
fn coefficients(
    evidence: &[Vec<f64>],
    labels: &[bool],
    weight: &impl Fn(usize) -> f64,
    base: f64,
) -> Vec<f64> {
    let width = evidence.len() + 1;
    let start = (1.0 / evidence.len().max(1) as f64).sqrt().min(1.0);
    let mut beta = vec![start; width];
    if let Some(last) = beta.last_mut() {
        *last = base;
    }
    let mut x = vec![1.0; width];
    for _ in 0..25 {
        let mut gradient = vec![0.0; width];
        let mut hessian = vec![0.0; width * width];
        for (row, label) in labels.iter().enumerate() {
            for (slot, column) in x.iter_mut().zip(evidence) {
                *slot = column.get(row).copied().unwrap_or(0.0);
            }
            let raw: f64 = x.iter().zip(&beta).map(|(x, b)| x * b).sum();
            let (p, w) = (sigmoid(raw), weight(row));
            let (error, spread) = (w * (p - f64::from(u8::from(*label))), w * p * (1.0 - p));
            for (a, gradient) in x.iter().zip(&mut gradient) {
                *gradient += error * a;
            }
            for (a, line) in x.iter().zip(hessian.chunks_mut(width)) {
                for (b, cell) in x.iter().zip(line) {
                    *cell += spread * a * b;
                }
            }
        }
        for (place, b) in beta.iter().enumerate().take(width - 1) {
            if let (Some(g), Some(h)) = (gradient.get_mut(place), hessian.get_mut(place * width + place)) {
                *g += RIDGE * (b - start);
                *h += RIDGE;
            }
        }
        if let Some(corner) = hessian.last_mut() {
            *corner += 1e-6;
        }
        let Some(step) = solve(&hessian, &gradient) else {
            break;
        };
        let largest = step.iter().fold(0.0_f64, |most, s| most.max(s.abs()));
        let damp = (2.0 / largest.max(1e-12)).min(1.0);
        for (b, s) in beta.iter_mut().zip(&step) {
            *b -= s * damp;
        }
        if largest < 1e-9 {
            break;
        }
    }
    beta
}

/// Fits it; `weights` may be empty for equal ones.
#[must_use]
pub fn fit(table: &Matrix, labels: &[bool], weights: &[f64]) -> Forest {
    let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
    let most = (labels.len() / 60).clamp(2, 24);
    let binned = Binned::of(table, most);
    let mass: f64 = (0..labels.len()).map(weight).sum();
    let failed: f64 = (0..)
        .zip(labels)
        .filter(|(_, y)| **y)
        .map(|(row, _)| weight(row))
        .sum();
    let rate = (failed + 0.5) / (mass + 1.0);
    let base = logit(rate);
    let mut columns = Vec::new();
    for (column, (codes, uppers)) in binned.codes.iter().zip(&binned.uppers).enumerate() {
        let cells = tally(codes, uppers.len() + 2, labels, &weight);
        if cells.iter().filter(|cell| cell.2 > 0).count() < 2 {
            continue;
        }
        let worth: Vec<f64> = cells
            .iter()
            .map(|(all, failed, _)| logit((failed + SMOOTHING * rate) / (all + SMOOTHING)) - base)
            .collect();
        let at = |code: &u8| worth.get(usize::from(*code)).copied().unwrap_or(0.0);
        let evidence: Vec<f64> = codes.iter().map(at).collect();
        columns.push((column, cells, worth, evidence));
    }
    let evidence: Vec<Vec<f64>> = columns.iter_mut().map(|c| std::mem::take(&mut c.3)).collect();
    let beta = coefficients(&evidence, labels, &weight, base);
    let mut forest = Forest::default();
    forest.shift(beta.last().copied().unwrap_or(base));
    for ((column, cells, worth, _), slope) in columns.iter().zip(&beta) {
        let leaves: Vec<(f32, f32)> = worth
            .iter()
            .zip(cells)
            .map(|(worth, cell)| ((worth * slope) as f32, cell.2.max(1) as f32))
            .collect();
        let uppers = binned.uppers.get(*column).map(Vec::as_slice).unwrap_or_default();
        forest.trees.push(tree(*column as u32, uppers, &leaves));
    }
    forest
}

/// One column as a balanced tree; `leaves` are by bin, the missing one first.
fn tree(column: u32, uppers: &[f32], leaves: &[(f32, f32)]) -> Tree {
    let (missing, bins) = leaves
        .split_first()
        .map_or(((0.0, 1.0), &[][..]), |(m, b)| (*m, b));
    let mut tree = Tree::default();
    let cover: f32 = bins.iter().map(|b| b.1).sum();
    // Missing values go down the left side, past every threshold, to a leaf of their own below all numbers.
    tree.0.push(Node {
        feature: column,
        threshold: f32::NEG_INFINITY.max(f32::MIN),
        yes: 1,
        no: 2,
        missing_yes: true,
        value: 0.0,
        cover: cover + missing.1,
    });
    tree.0.push(Node::leaf(missing.0, missing.1));
    tree.0.push(Node::leaf(0.0, cover));
    halve(&mut tree, 2, column, (uppers, bins));
    tree
}

/// Turns a leaf into a tree over these bins.
fn halve(tree: &mut Tree, at: usize, column: u32, part: (&[f32], &[(f32, f32)])) {
    let (uppers, bins) = part;
    let middle = bins.len() / 2;
    let threshold = middle.checked_sub(1).and_then(|m| uppers.get(m)).copied();
    let (Some(threshold), true) = (threshold, bins.len() > 1) else {
        if let (Some(node), Some(bin)) = (tree.0.get_mut(at), bins.first()) {
            *node = Node::leaf(bin.0, bin.1);
        }
        return;
    };
    let (left, right) = bins.split_at(middle);
    let place = tree.0.len();
    if let Some(node) = tree.0.get_mut(at) {
        *node = Node {
            feature: column,
            threshold,
            yes: place as u32,
            no: place as u32 + 1,
            missing_yes: false,
            value: 0.0,
            cover: bins.iter().map(|b| b.1).sum(),
        };
    }
    let cover = |of: &[(f32, f32)]| of.iter().map(|b| b.1).sum();
    tree.0.push(Node::leaf(0.0, cover(left)));
    tree.0.push(Node::leaf(0.0, cover(right)));
    halve(
        tree,
        place,
        column,
        (uppers.get(..middle - 1).unwrap_or_default(), left),
    );
    halve(
        tree,
        place + 1,
        column,
        (uppers.get(middle..).unwrap_or_default(), right),
    );
}

/// The bin of each row of a column, as [`fit`] would cut it.
#[must_use]
pub fn codes(column: &[f32], most: usize) -> Vec<u8> {
    let uppers = bins::uppers(column, most);
    column.iter().map(|value| bins::code(&uppers, *value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics;
    use crate::random::Random;

    #[test]
    fn a_system_is_solved() {
        let x = solve(&[4.0, 2.0, 2.0, 3.0], &[8.0, 7.0]).unwrap();
        assert!((x[0] - 1.25).abs() < 1e-12 && (x[1] - 1.5).abs() < 1e-12);
        assert_eq!(solve(&[0.0], &[1.0]), None);
    }

    #[test]
    fn it_learns_a_bent_line_and_missing_values() {
        let mut random = Random::new(9);
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..6000 {
            let (a, b) = (random.unit(), random.unit());
            let gone = random.unit() < 0.1;
            let risk = -1.5 + 6.0 * (a - 0.5).abs() + if gone { 1.5 } else { b };
            labels.push(random.unit() < sigmoid(risk));
            values.extend([a as f32, if gone { f32::NAN } else { b as f32 }, 7.0]);
        }
        let table = Matrix::new(values, 3);
        let forest = fit(&table, &labels, &[]);
        assert_eq!(forest.trees.len(), 3);
        let p: Vec<f64> = forest.raws(&table).into_iter().map(sigmoid).collect();
        assert!(metrics::roc_auc(&labels, &p).unwrap() > 0.7);
        assert!(metrics::ece(&labels, &p) < 0.03);
        let mean = |wanted: bool| {
            let of: Vec<f64> = table
                .iter()
                .zip(&p)
                .filter(|(r, _)| r[1].is_nan() == wanted)
                .map(|(_, p)| *p)
                .collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        assert!(mean(true) > mean(false) + 0.05);
    }

    #[test]
    fn a_tree_gives_each_bin_its_leaf() {
        let uppers = [1.0, 2.0, 3.0, 4.0];
        let leaves: Vec<(f32, f32)> = (0..6).map(|v| (v as f32, 2.0)).collect();
        let tree = tree(0, &uppers, &leaves);
        for (value, leaf) in [
            (f32::NAN, 0.0),
            (-9.0, 1.0),
            (1.0, 1.0),
            (1.5, 2.0),
            (3.0, 3.0),
            (3.5, 4.0),
            (99.0, 5.0),
        ] {
            assert_eq!(tree.reach(&[value]).unwrap().value, leaf, "{value}");
        }
        assert_eq!(tree.0[0].cover, 12.0);
    }
}
