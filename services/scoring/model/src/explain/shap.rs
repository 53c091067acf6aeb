//! Raw log-odds and contributions of one row.
//!
//! Shapley's weight of a set of `s` among `n` features is the integral of `t^s (1-t)^(n-s-1)`. So what a leaf owes a feature is
//! the integral over `t` of the product, over the *other* features of its path, of `(1-t) share` and, where the row takes the
//! way, plus `t`: a polynomial of degree `n - 1`, whose integral is a sum over `n / 2` points, exactly. With that the products of
//! all leaves below a node share what is above it, every step is a multiplication at a few points side by side, and nothing is
//! subtracted that nearly cancels.

use super::bunch::{Bunch, Effect};
use super::trees::{Edge, Ensemble, nodes_of};

impl Ensemble {
    /// Log-odds before calibration. A row shorter than the model's columns counts as missing there.
    #[must_use]
    pub fn raw(&self, row: &[f32]) -> f64 {
        let bunches = &self.bunches;
        self.offset
            + bunches.two.raw(row)
            + bunches.four.raw(row)
            + bunches.six.raw(row)
            + bunches.eight.raw(row)
            + bunches.sixteen.raw(row)
            + bunches.all.raw(row)
    }

    /// Each feature's contribution, in log-odds before calibration; with [`Ensemble::base`] they add up to
    /// [`Ensemble::raw`]. `into` is zeroed first and is as long as the row.
    pub fn contributions(&self, row: &[f32], into: &mut [f64]) {
        into.fill(0.0);
        let bunches = &self.bunches;
        bunches.two.contributions(row, into);
        bunches.four.contributions(row, into);
        bunches.six.contributions(row, into);
        bunches.eight.contributions(row, into);
        bunches.sixteen.contributions(row, into);
        bunches.all.contributions(row, into);
    }
}

fn value(row: &[f32], edge: &Edge) -> f32 {
    row.get(edge.feature as usize).copied().unwrap_or(f32::NAN)
}

/// Where a row stands at an edge.
#[derive(Debug, Clone, Copy)]
struct Place<const M: usize> {
    /// The path down to here, at each point.
    path: [f64; M],
    /// It takes the way that this edge and those above it lead.
    holds: bool,
    /// Something is owed here; the rest follows from tables.
    owes: bool,
}

impl<const M: usize> Bunch<M> {
    fn raw(&self, row: &[f32]) -> f64 {
        let (mut sum, mut edges) = (0.0, self.edges.as_slice());
        let mut reached: Vec<bool> = Vec::new();
        for length in &self.lengths {
            let (tree, rest) = edges.split_at_checked(*length).unwrap_or((edges, &[]));
            edges = rest;
            reached.clear();
            reached.push(true);
            for edge in tree.iter().skip(1) {
                let above = reached.get(edge.parent as usize).copied().unwrap_or(false);
                let here = above && edge.holds(value(row, edge));
                reached.push(here);
                sum += if here { edge.value } else { 0.0 };
            }
            // A tree that is one leaf has no edge but its root's.
            sum += tree.first().map_or(0.0, |root| root.value);
        }
        sum
    }

    fn contributions(&self, row: &[f32], into: &mut [f64]) {
        let (mut edges, mut tables) = (self.edges.as_slice(), self.tables.as_slice());
        let most = self.lengths.iter().copied().max().unwrap_or(0);
        let weights = nodes_of::<M>().map(|(_, weight)| weight);
        let root = Place {
            path: weights,
            holds: true,
            owes: false,
        };
        let mut places = vec![root; most];
        let mut worth = vec![[0.0; M]; most];
        for length in &self.lengths {
            let (tree, more) = edges.split_at_checked(*length).unwrap_or((edges, &[]));
            let (tree_tables, rest) = tables.split_at_checked(*length).unwrap_or((tables, &[]));
            (edges, tables) = (more, rest);
            for (at, (edge, table)) in tree.iter().zip(tree_tables).enumerate().skip(1) {
                let above = places
                    .get(edge.parent as usize)
                    .map_or(weights, |place| place.path);
                let held = places.get(edge.same as usize).is_none_or(|place| place.holds);
                let holds = held & edge.holds(value(row, edge));
                let mut path = above;
                if held {
                    let effect = if holds { &table.taken } else { &table.left };
                    path.iter_mut().zip(&effect.step).for_each(|(p, step)| *p *= step);
                } else {
                    path.iter_mut().for_each(|p| *p *= table.gone);
                }
                if let (Some(place), Some(slot)) = (places.get_mut(at), worth.get_mut(at)) {
                    *place = Place {
                        path,
                        holds,
                        owes: held,
                    };
                    *slot = path.map(|p| p * edge.value);
                }
            }
            for (at, (edge, table)) in tree.iter().zip(tree_tables).enumerate().skip(1).rev() {
                let below = worth.get(at).copied().unwrap_or([0.0; M]);
                let Some(place) = places.get(at) else { continue };
                if place.owes {
                    let effect: &Effect<M> = if place.holds { &table.taken } else { &table.left };
                    let owed: f64 = below.iter().zip(&effect.owed).map(|(b, o)| b * o).sum();
                    if let Some(slot) = into.get_mut(edge.feature as usize) {
                        *slot += owed;
                    }
                }
                if let Some(slot) = worth.get_mut(edge.parent as usize) {
                    slot.iter_mut().zip(&below).for_each(|(s, b)| *s += b);
                }
            }
            // The next tree's root starts from nothing.
            worth.iter_mut().take(1).for_each(|slot| *slot = [0.0; M]);
        }
    }
}
