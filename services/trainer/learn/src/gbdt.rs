//! Gradient boosting on histograms, leaf by leaf: no library, no threads, the same bits every time.

use crate::bins::Binned;
use crate::forest::{Forest, Node, Tree};
use crate::random::Random;
use crate::{Matrix, logit, sigmoid};

/// How trees grow.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// How many.
    pub trees: usize,
    /// Leaves of each, at most.
    pub leaves: usize,
    /// What each adds of what it found, 0..1.
    pub rate: f64,
    /// Rows in a leaf, at least.
    pub least: usize,
    /// Share of the columns that a tree may ask about, 0..=1.
    pub columns: f64,
    /// Share of the rows that a tree learns from, 0..=1.
    pub rows: f64,
    /// Pull of the leaves towards 0.
    pub ridge: f64,
    /// Of the drawing of rows and columns.
    pub seed: u64,
    /// Forests of different draws that are averaged; 1 is one.
    pub bags: usize,
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            trees: 160,
            leaves: 15,
            rate: 0.05,
            least: 30,
            columns: 0.6,
            rows: 0.8,
            ridge: 5.0,
            seed: 0,
            bags: 1,
        }
    }
}

/// Sums over the rows of one bin.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    gradient: f64,
    hessian: f64,
    rows: u32,
}

impl Cell {
    fn plus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient + other.gradient,
            hessian: self.hessian + other.hessian,
            rows: self.rows + other.rows,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient - other.gradient,
            hessian: self.hessian - other.hessian,
            rows: self.rows - other.rows,
        }
    }
}

/// A cut of a leaf that would gain.
#[derive(Debug, Clone, Copy)]
struct Cut {
    gain: f64,
    column: usize,
    /// The last bin that goes to `yes`.
    bin: usize,
    missing_yes: bool,
}

/// A leaf while its tree grows.
struct Open {
    node: usize,
    rows: Vec<u32>,
    total: Cell,
    histograms: Vec<Vec<Cell>>,
    cut: Option<Cut>,
}

struct Grower<'a> {
    binned: &'a Binned,
    gradients: &'a [(f64, f64)],
    growth: &'a Growth,
    columns: Vec<usize>,
}

/// Fits trees to labelled rows with weights; `weights` may be empty for equal ones. The first tree is the base rate.
#[must_use]
pub fn fit(table: &Matrix, labels: &[bool], weights: &[f64], growth: &Growth) -> Forest {
    fit_from(table, labels, weights, growth, &[])
}

/// Fits trees to what log-odds that each row starts with leave unexplained. Those are not part of the forest; without any, the
/// first tree is the base rate.
#[must_use]
pub fn fit_from(table: &Matrix, labels: &[bool], weights: &[f64], growth: &Growth, start: &[f64]) -> Forest {
    let bags = growth.bags.max(1);
    let mut forest = Forest::default();
    for bag in 0..bags as u64 {
        let growth = Growth {
            seed: growth.seed.wrapping_add(bag.wrapping_mul(7919)),
            ..growth.clone()
        };
        forest.add(&one(table, labels, weights, &growth, start), 1.0 / bags as f64);
    }
    forest
}

fn one(table: &Matrix, labels: &[bool], weights: &[f64], growth: &Growth, start: &[f64]) -> Forest {
    let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
    let binned = Binned::of(table, 128);
    let mass: f64 = (0..labels.len()).map(weight).sum();
    let failed: f64 = labels
        .iter()
        .enumerate()
        .filter(|(_, y)| **y)
        .map(|(row, _)| weight(row))
        .sum();
    let base = logit((failed + 0.5) / (mass + 1.0));
    let mut forest = Forest::default();
    let mut raws = match start.is_empty() {
        true => vec![base; labels.len()],
        false => start.to_vec(),
    };
    if start.is_empty() {
        forest.shift(base);
    }
    let mut random = Random::new(growth.seed);
    for _ in 0..growth.trees {
        let gradients: Vec<(f64, f64)> = raws
            .iter()
            .zip(labels)
            .enumerate()
            .map(|(row, (raw, y))| {
                let (p, w) = (sigmoid(*raw), weight(row));
                (w * (p - f64::from(u8::from(*y))), (w * p * (1.0 - p)).max(1e-12))
            })
            .collect();
        let grower = Grower {
            binned: &binned,
            gradients: &gradients,
            growth,
            columns: drawn(table.width(), growth.columns, &mut random),
        };
        let rows = (0..labels.len() as u32)
            .filter(|_| random.unit() < growth.rows)
            .collect();
        let tree = grower.grow(rows);
        if tree.0.len() < 2 {
            continue;
        }
        for (raw, row) in raws.iter_mut().zip(table.iter()) {
            *raw += tree.reach(row).map_or(0.0, |leaf| f64::from(leaf.value));
        }
        forest.trees.push(tree);
    }
    forest
}

/// A share of the columns, at least one, in order.
fn drawn(width: usize, share: f64, random: &mut Random) -> Vec<usize> {
    let wanted = ((width as f64 * share).round() as usize).clamp(1.min(width), width);
    let mut all: Vec<usize> = (0..width).collect();
    for place in 0..wanted {
        all.swap(place, place + random.below(width - place));
    }
    all.truncate(wanted);
    all.sort_unstable();
    all
}

impl Grower<'_> {
    fn grow(&self, rows: Vec<u32>) -> Tree {
        let mut tree = Tree(vec![Node::leaf(0.0, 1.0)]);
        let histograms = self.histograms(&rows);
        let mut open = vec![self.open(0, rows, histograms)];
        for _ in 1..self.growth.leaves {
            let gain = |leaf: &Open| leaf.cut.map_or(0.0, |cut| cut.gain);
            let best = open
                .iter()
                .enumerate()
                .filter(|(_, leaf)| leaf.cut.is_some())
                .max_by(|a, b| gain(a.1).total_cmp(&gain(b.1)))
                .map(|(place, _)| place);
            let Some(place) = best else { break };
            let leaf = open.swap_remove(place);
            let Some(cut) = leaf.cut else { break };
            let (yes, no) = self.divide(leaf, cut, &mut tree);
            open.push(yes);
            open.push(no);
        }
        for leaf in &open {
            if let Some(node) = tree.0.get_mut(leaf.node) {
                let best = -leaf.total.gradient / (leaf.total.hessian + self.growth.ridge);
                node.value = (best * self.growth.rate) as f32;
            }
        }
        tree
    }

    fn open(&self, node: usize, rows: Vec<u32>, histograms: Vec<Vec<Cell>>) -> Open {
        let first = histograms.first().map(Vec::as_slice).unwrap_or_default();
        let total = first.iter().fold(Cell::default(), |sum, cell| sum.plus(*cell));
        let cuts = histograms.iter().zip(&self.columns);
        let cut = cuts
            .filter_map(|(bins, column)| self.best(bins, *column, total))
            .max_by(|a, b| a.gain.total_cmp(&b.gain));
        Open {
            node,
            rows,
            total,
            histograms,
            cut,
        }
    }

    fn histograms(&self, rows: &[u32]) -> Vec<Vec<Cell>> {
        let of = |column: &usize| {
            let uppers = self.binned.uppers.get(*column).map_or(0, Vec::len);
            let mut bins = vec![Cell::default(); uppers + 2];
            let codes = self
                .binned
                .codes
                .get(*column)
                .map(Vec::as_slice)
                .unwrap_or_default();
            for row in rows {
                let (Some(code), Some((gradient, hessian))) =
                    (codes.get(*row as usize), self.gradients.get(*row as usize))
                else {
                    continue;
                };
                if let Some(cell) = bins.get_mut(*code as usize) {
                    cell.gradient += gradient;
                    cell.hessian += hessian;
                    cell.rows += 1;
                }
            }
            bins
        };
        self.columns.iter().map(of).collect()
    }

    fn best(&self, bins: &[Cell], column: usize, total: Cell) -> Option<Cut> {
        let missing = bins.first().copied().unwrap_or_default();
        let mut found: Option<Cut> = None;
        let worth = |cell: Cell| cell.gradient * cell.gradient / (cell.hessian + self.growth.ridge);
        let whole = worth(total);
        for missing_yes in [true, false] {
            if missing.rows == 0 && !missing_yes {
                break;
            }
            let mut yes = if missing_yes { missing } else { Cell::default() };
            for (bin, cell) in bins.iter().enumerate().skip(1) {
                yes = yes.plus(*cell);
                let no = total.minus(yes);
                let least = self.growth.least as u32;
                if bin + 1 == bins.len() || yes.rows < least || no.rows < least {
                    continue;
                }
                let gain = worth(yes) + worth(no) - whole;
                if gain > found.map_or(1e-9, |cut| cut.gain) {
                    found = Some(Cut {
                        gain,
                        column,
                        bin,
                        missing_yes,
                    });
                }
            }
        }
        found
    }

    /// Divides a leaf. The smaller half is counted, the larger is what remains.
    fn divide(&self, leaf: Open, cut: Cut, tree: &mut Tree) -> (Open, Open) {
        let codes = self
            .binned
            .codes
            .get(cut.column)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let goes = |row: &u32| match codes.get(*row as usize).copied().unwrap_or_default() {
            0 => cut.missing_yes,
            code => usize::from(code) <= cut.bin,
        };
        let (yes, no): (Vec<u32>, Vec<u32>) = leaf.rows.iter().partition(|row| goes(row));
        let smaller = self.histograms(if yes.len() <= no.len() { &yes } else { &no });
        let larger: Vec<Vec<Cell>> = leaf
            .histograms
            .iter()
            .zip(&smaller)
            .map(|(all, part)| all.iter().zip(part).map(|(a, b)| a.minus(*b)).collect())
            .collect();
        let place = tree.0.len();
        let threshold = self
            .binned
            .uppers
            .get(cut.column)
            .and_then(|u| u.get(cut.bin - 1));
        if let Some(node) = tree.0.get_mut(leaf.node) {
            node.feature = cut.column as u32;
            node.threshold = threshold.copied().unwrap_or(f32::INFINITY);
            (node.yes, node.no) = (place as u32, place as u32 + 1);
            node.missing_yes = cut.missing_yes;
            node.cover = leaf.rows.len() as f32;
        }
        tree.0.push(Node::leaf(0.0, yes.len() as f32));
        tree.0.push(Node::leaf(0.0, no.len() as f32));
        let (of_yes, of_no) = if yes.len() <= no.len() {
            (smaller, larger)
        } else {
            (larger, smaller)
        };
        (self.open(place, yes, of_yes), self.open(place + 1, no, of_no))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics;

    /// Two columns that matter together, one of noise, some values missing.
    pub(crate) fn made(rows: usize, seed: u64) -> (Matrix, Vec<bool>) {
        let mut random = Random::new(seed);
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            let (a, b, c) = (random.unit(), random.unit(), random.unit());
            let risk = -2.0 + 3.0 * a + if b > 0.5 { 1.5 * a } else { 0.0 };
            labels.push(random.unit() < sigmoid(risk));
            let a = if random.unit() < 0.05 { f32::NAN } else { a as f32 };
            values.extend([a, b as f32, c as f32]);
        }
        (Matrix::new(values, 3), labels)
    }

    #[test]
    fn it_learns_what_is_there_and_repeats_itself() {
        let (table, labels) = made(4000, 1);
        let forest = fit(&table, &labels, &[], &Growth::default());
        assert_eq!(forest, fit(&table, &labels, &[], &Growth::default()));
        let (fresh, truth) = made(4000, 2);
        let p: Vec<f64> = forest.raws(&fresh).into_iter().map(sigmoid).collect();
        let auc = metrics::roc_auc(&truth, &p).unwrap();
        assert!(auc > 0.76, "{auc}");
        assert!(metrics::ece(&truth, &p) < 0.05);
    }

    #[test]
    fn nothing_to_learn_is_the_base_rate() {
        let table = Matrix::new(vec![1.0; 200], 1);
        let labels: Vec<bool> = (0..200).map(|row| row % 4 == 0).collect();
        let forest = fit(&table, &labels, &[], &Growth::default());
        assert_eq!(forest.trees.len(), 1);
        assert!((sigmoid(forest.raw(&[1.0])) - 0.25).abs() < 0.01);
        assert_eq!(
            fit(&Matrix::default(), &[], &[], &Growth::default()).trees.len(),
            1
        );
    }

    #[test]
    fn weights_move_it() {
        let (table, labels) = made(500, 3);
        let heavy: Vec<f64> = labels.iter().map(|y| if *y { 5.0 } else { 1.0 }).collect();
        let (plain, heavier) = (
            fit(&table, &labels, &[], &Growth::default()),
            fit(&table, &labels, &heavy, &Growth::default()),
        );
        let mean = |f: &Forest| f.raws(&table).iter().sum::<f64>();
        assert!(mean(&heavier) > mean(&plain) + 100.0);
    }
}
