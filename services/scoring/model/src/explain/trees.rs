//! The trees of a `TreeEnsembleRegressor`, laid out for explaining: one edge after the other, parents first.

use super::columns::{Columns, Node, Way, fault};
use super::quadrature::points;
use super::{EnsembleFault, bunch};
use crate::onnx::ModelProto;

/// Deeper trees are refused: nothing that was learnt from data is, and a cycle would be.
pub(super) const MAX_DEPTH: usize = 64;

/// The step from a node to one of its children. The first of a tree leads nowhere: it stands for the root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    /// Position in the tree of the edge above; always before this one.
    pub(super) parent: u32,
    /// Position of the nearest edge above that asks about the same feature; the root when there is none.
    pub(super) same: u32,
    /// Column.
    pub(super) feature: u32,
    /// The way leads here for values above this; NaN: there is no lower end. Whatever the path has asked about this feature
    /// is part of it.
    pub(super) above: f32,
    /// And up to this.
    pub(super) upto: f32,
    /// And for a missing value.
    pub(super) missing: bool,
    /// Share of training rows that take this way, over all that the path has asked about this feature.
    pub(super) share: f64,
    /// The same of the edge above that asks about it; 1 when there is none.
    pub(super) share_above: f64,
    /// Of a leaf its value; 0 of an inner node, which has none.
    pub(super) value: f64,
}

impl Edge {
    /// Whether a value takes this way; NaN is a missing one. Without a branch: which way it goes cannot be foreseen.
    #[inline]
    pub(super) fn holds(&self, value: f32) -> bool {
        // Nothing is at most NaN, so that a condition without a lower end says no to nothing.
        let at_most_above = value <= self.above;
        ((value <= self.upto) & !at_most_above) | (value.is_nan() & self.missing)
    }
}

/// One tree on its way into a bunch.
pub(super) struct Tree {
    pub(super) edges: Vec<Edge>,
    /// The most features that one of its paths asks about.
    pub(super) features: usize,
}

/// Trees, ready to be explained.
#[derive(Debug, Clone)]
pub struct Ensemble {
    pub(super) bunches: bunch::Bunches,
    /// Mean raw log-odds over the training rows: what a contribution of zero everywhere would give.
    pub base: f64,
    /// How many columns it reads, at most.
    pub columns: usize,
    /// What is added to the sum of the leaves.
    pub(super) offset: f64,
}

/// The way from a root, while its tree is laid out.
struct Walk<'a> {
    columns: &'a Columns<'a>,
    tree: i64,
    edges: Vec<Edge>,
    /// Positions of the edges that the present path consists of.
    path: Vec<u32>,
    features: usize,
    /// Sum of the leaves, each times the share of rows that reach it.
    mean: f64,
    read: usize,
}

impl Ensemble {
    /// Lays out the one ensemble of a model.
    ///
    /// # Errors
    /// [`EnsembleFault`] for a graph without exactly one `TreeEnsembleRegressor`, or one with settings that are not read:
    /// anything but sums of one target over comparisons with `nodes_hitrates`.
    pub fn of(model: &ModelProto) -> Result<Self, EnsembleFault> {
        let node = model
            .only("TreeEnsembleRegressor")
            .ok_or(EnsembleFault::NotOneEnsemble)?;
        let columns = Columns::read(node)?;
        let offset = node
            .attribute("base_values")
            .and_then(|a| a.floats.first().copied())
            .unwrap_or(0.0);
        let mut ensemble = Self {
            bunches: bunch::Bunches::default(),
            base: f64::from(offset),
            columns: 0,
            offset: f64::from(offset),
        };
        let mut trees = columns.tree.to_vec();
        trees.sort_unstable();
        trees.dedup();
        for tree in trees {
            let mut walk = Walk::new(&columns, tree);
            walk.down(columns.row(tree, 0)?, 1.0)?;
            ensemble.base += walk.mean;
            ensemble.columns = ensemble.columns.max(walk.read);
            ensemble.bunches.add(&Tree {
                edges: walk.edges,
                features: walk.features,
            });
        }
        Ok(ensemble)
    }

    /// How many leaves and inner nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.bunches.edges()
    }
}

impl<'a> Walk<'a> {
    fn new(columns: &'a Columns<'a>, tree: i64) -> Self {
        let root = Edge {
            parent: 0,
            same: 0,
            feature: 0,
            above: f32::NAN,
            upto: f32::INFINITY,
            missing: true,
            share: 1.0,
            share_above: 1.0,
            value: 0.0,
        };
        Self {
            columns,
            tree,
            edges: vec![root],
            path: vec![0],
            features: 0,
            mean: 0.0,
            read: 0,
        }
    }

    /// Lays out what hangs below a row that this share of all rows reaches.
    fn down(&mut self, row: usize, reach: f64) -> Result<(), EnsembleFault> {
        match self.columns.at(row)? {
            Node::Leaf(value) => {
                self.mean += value * reach;
                if let Some(last) = self.edges.last_mut() {
                    last.value = value;
                }
                let mut asked: Vec<u32> = self
                    .path
                    .iter()
                    .skip(1)
                    .filter_map(|at| self.feature(*at))
                    .collect();
                asked.sort_unstable();
                asked.dedup();
                self.features = self.features.max(asked.len());
                Ok(())
            }
            Node::Inner(ways) => {
                if self.path.len() > MAX_DEPTH {
                    let text = format!("tree {} is deeper than {MAX_DEPTH}, or has a cycle", self.tree);
                    return Err(fault("nodes_truenodeids", text));
                }
                for way in ways {
                    let at = self.step(&way)?;
                    self.path.push(at);
                    self.down(way.row, reach * way.share)?;
                    self.path.pop();
                }
                Ok(())
            }
        }
    }

    fn feature(&self, at: u32) -> Option<u32> {
        self.edges.get(at as usize).map(|edge| edge.feature)
    }

    /// Adds an edge below the path; what the path has asked about the same feature becomes part of it.
    fn step(&mut self, way: &Way) -> Result<u32, EnsembleFault> {
        // A node reached on two ways would make more edges than there are nodes, without end.
        if self.edges.len() > self.columns.tree.len() {
            return Err(fault(
                "nodes_nodeids",
                "are reached on more than one way, or in a cycle",
            ));
        }
        self.read = self.read.max(way.feature as usize + 1);
        let earlier = self.path.iter().skip(1).rev().copied();
        let same = earlier
            .into_iter()
            .find(|at| self.feature(*at) == Some(way.feature));
        let above = same.and_then(|at| self.edges.get(at as usize).copied());
        let edge = Edge {
            parent: self.path.last().copied().unwrap_or(0),
            same: same.unwrap_or(0),
            feature: way.feature,
            // The maximum of a number and NaN is the number.
            above: above.map_or(way.above, |edge| edge.above.max(way.above)),
            upto: above.map_or(way.upto, |edge| edge.upto.min(way.upto)),
            missing: above.is_none_or(|edge| edge.missing) && way.missing,
            share: above.map_or(1.0, |edge| edge.share) * way.share,
            share_above: above.map_or(1.0, |edge| edge.share),
            value: 0.0,
        };
        let at = u32::try_from(self.edges.len()).map_err(|_| fault("nodes_nodeids", "are too many"))?;
        self.edges.push(edge);
        Ok(at)
    }
}

/// How many points a tree of so many features a path needs.
pub(super) fn points_for(features: usize) -> usize {
    features.div_ceil(2).max(1)
}

/// The points and weights for a number of points; see [`points`].
pub(super) fn nodes_of<const M: usize>() -> [(f64, f64); M] {
    let mut found = [(0.5, 0.0); M];
    for (slot, point) in found.iter_mut().zip(points(M)) {
        *slot = point;
    }
    found
}
