//! The trees of a `TreeEnsembleRegressor`, unrolled into one rule per leaf.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::onnx::{ModelProto, NodeProto};

/// Deeper trees are refused: the scratch space of an explanation is of fixed size.
pub(super) const MAX_DEPTH: usize = 64;

/// Why an ensemble cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EnsembleFault {
    /// None, or more than one.
    #[error("graph: it does not hold exactly one TreeEnsembleRegressor")]
    NotOneEnsemble,
    /// A setting that the unrolling does not know.
    #[error("{attribute}: {reason}")]
    Attribute {
        /// Which.
        attribute: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// One feature on the way to a leaf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    /// Column.
    pub(super) feature: u32,
    /// The way leads here for values above this; NaN: there is no lower end.
    pub(super) above: f32,
    /// And up to this.
    pub(super) upto: f32,
    /// And for a missing value.
    pub(super) missing: bool,
    /// Share of training rows that take this way where the feature is asked about.
    pub(super) share: f64,
}

/// One leaf: which conditions (a range of [`Ensemble::conditions`]) lead to which value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) value: f64,
}

/// Unrolled trees.
#[derive(Debug, Clone)]
pub struct Ensemble {
    pub(super) leaves: Vec<Leaf>,
    pub(super) conditions: Vec<Condition>,
    /// Mean raw log-odds over the training rows: what a contribution of zero everywhere would give.
    pub base: f64,
    /// How many columns it reads, at most.
    pub columns: usize,
    /// What is added to the sum of the leaves.
    pub(super) offset: f64,
    /// By number of conditions; see [`super::shap::orders`].
    pub(super) orders: Vec<Vec<f64>>,
}

struct Columns<'a> {
    tree: &'a [i64],
    node: &'a [i64],
    feature: &'a [i64],
    value: &'a [f32],
    yes: &'a [i64],
    no: &'a [i64],
    missing: &'a [i64],
    cover: &'a [f32],
    leaf: Vec<bool>,
    row: BTreeMap<(i64, i64), usize>,
    weight: BTreeMap<(i64, i64), f32>,
}

fn fault(attribute: &'static str, reason: impl Into<String>) -> EnsembleFault {
    EnsembleFault::Attribute {
        attribute,
        reason: reason.into(),
    }
}

fn ints<'a>(node: &'a NodeProto, name: &'static str) -> Result<&'a [i64], EnsembleFault> {
    let found = node.attribute(name).map(|a| a.ints.as_slice());
    found
        .filter(|v| !v.is_empty())
        .ok_or_else(|| fault(name, "is missing"))
}

fn floats<'a>(node: &'a NodeProto, name: &'static str) -> Result<&'a [f32], EnsembleFault> {
    let found = node.attribute(name).map(|a| a.floats.as_slice());
    found
        .filter(|v| !v.is_empty())
        .ok_or_else(|| fault(name, "is missing"))
}

fn expect(node: &NodeProto, name: &'static str, value: &str) -> Result<(), EnsembleFault> {
    let found = node.attribute(name).map_or(value.as_bytes(), |a| a.s());
    if found == value.as_bytes() {
        return Ok(());
    }
    Err(fault(
        name,
        format!("is {}, not {value}", String::from_utf8_lossy(found)),
    ))
}

impl<'a> Columns<'a> {
    fn read(node: &'a NodeProto) -> Result<Self, EnsembleFault> {
        expect(node, "aggregate_function", "SUM")?;
        expect(node, "post_transform", "NONE")?;
        if node.attribute("n_targets").is_some_and(|a| a.i() != 1) {
            return Err(fault("n_targets", "is not 1"));
        }
        let (tree, ids) = (ints(node, "nodes_treeids")?, ints(node, "nodes_nodeids")?);
        let modes = node.attribute("nodes_modes").map(|a| a.strings.as_slice());
        let modes = modes.ok_or_else(|| fault("nodes_modes", "is missing"))?;
        let odd = modes.iter().find(|m| *m != b"LEAF" && *m != b"BRANCH_LEQ");
        if let Some(mode) = odd {
            let mode = String::from_utf8_lossy(mode);
            return Err(fault(
                "nodes_modes",
                format!("holds {mode}; only BRANCH_LEQ and LEAF are read"),
            ));
        }
        let targets = ints(node, "target_treeids")?
            .iter()
            .zip(ints(node, "target_nodeids")?);
        let found = Self {
            tree,
            node: ids,
            feature: ints(node, "nodes_featureids")?,
            value: floats(node, "nodes_values")?,
            yes: ints(node, "nodes_truenodeids")?,
            no: ints(node, "nodes_falsenodeids")?,
            missing: ints(node, "nodes_missing_value_tracks_true")?,
            cover: floats(node, "nodes_hitrates")?,
            leaf: modes.iter().map(|m| m == b"LEAF").collect(),
            row: tree.iter().copied().zip(ids.iter().copied()).zip(0..).collect(),
            weight: targets
                .map(|(t, n)| (*t, *n))
                .zip(floats(node, "target_weights")?.iter().copied())
                .collect(),
        };
        let rows = tree.len();
        let lengths = [
            ids.len(),
            found.feature.len(),
            found.value.len(),
            found.yes.len(),
            found.no.len(),
        ];
        let more = [
            found.missing.len(),
            found.cover.len(),
            found.leaf.len(),
            found.row.len(),
        ];
        if lengths.iter().chain(&more).any(|n| *n != rows) {
            return Err(fault(
                "nodes_nodeids",
                "and its sister columns differ in length, or name a node twice",
            ));
        }
        Ok(found)
    }

    fn row(&self, tree: i64, node: i64) -> Result<usize, EnsembleFault> {
        let found = self.row.get(&(tree, node)).copied();
        found.ok_or_else(|| fault("nodes_nodeids", format!("tree {tree} has no node {node}")))
    }
}

impl Ensemble {
    /// Unrolls the one ensemble of a model.
    ///
    /// # Errors
    /// [`EnsembleFault`] for a graph without exactly one `TreeEnsembleRegressor`, or one with settings that are not read:
    /// anything but sums of one target over `BRANCH_LEQ` nodes with `nodes_hitrates`.
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
            leaves: Vec::new(),
            conditions: Vec::new(),
            base: f64::from(offset),
            columns: 0,
            offset: f64::from(offset),
            orders: (0..=MAX_DEPTH).map(super::shap::orders).collect(),
        };
        let mut trees = columns.tree.to_vec();
        trees.sort_unstable();
        trees.dedup();
        for tree in trees {
            let mut path = Vec::new();
            ensemble.unroll(&columns, columns.row(tree, 0)?, &mut path)?;
        }
        ensemble.base += ensemble
            .leaves
            .iter()
            .map(|leaf| leaf.value * ensemble.reach(leaf))
            .sum::<f64>();
        Ok(ensemble)
    }

    /// Share of training rows that end in this leaf.
    fn reach(&self, leaf: &Leaf) -> f64 {
        self.conditions_of(leaf).iter().map(|c| c.share).product()
    }

    pub(super) fn conditions_of(&self, leaf: &Leaf) -> &[Condition] {
        self.conditions
            .get(leaf.from as usize..leaf.to as usize)
            .unwrap_or_default()
    }

    fn unroll(
        &mut self,
        columns: &Columns<'_>,
        row: usize,
        path: &mut Vec<Condition>,
    ) -> Result<(), EnsembleFault> {
        let missing = || fault("nodes_nodeids", "names a row that is not there");
        let of = |column: &[i64]| column.get(row).copied().ok_or_else(missing);
        let tree = of(columns.tree)?;
        if columns.leaf.get(row).copied().unwrap_or(true) {
            let weight = columns.weight.get(&(tree, of(columns.node)?)).copied();
            let weight = weight
                .ok_or_else(|| fault("target_nodeids", format!("tree {tree} has a leaf without weight")))?;
            return self.leaf(f64::from(weight), path, columns.tree.len());
        }
        if path.len() >= MAX_DEPTH {
            return Err(fault(
                "nodes_truenodeids",
                format!("tree {tree} is deeper than {MAX_DEPTH}, or has a cycle"),
            ));
        }
        let feature =
            u32::try_from(of(columns.feature)?).map_err(|_| fault("nodes_featureids", "is below 0"))?;
        self.columns = self.columns.max(feature as usize + 1);
        let value = columns.value.get(row).copied().ok_or_else(missing)?;
        let cover = |row: usize| columns.cover.get(row).copied().map(f64::from).ok_or_else(missing);
        let tracks_true = of(columns.missing)? != 0;
        for (goes_true, child) in [(true, of(columns.yes)?), (false, of(columns.no)?)] {
            let child = columns.row(tree, child)?;
            let share = cover(child)? / cover(row)?;
            if !(share > 0.0 && share <= 1.0) {
                return Err(fault(
                    "nodes_hitrates",
                    format!("tree {tree}: a child is not a part of its parent"),
                ));
            }
            path.push(Condition {
                feature,
                above: if goes_true { f32::NAN } else { value },
                upto: if goes_true { value } else { f32::INFINITY },
                missing: tracks_true == goes_true,
                share,
            });
            self.unroll(columns, child, path)?;
            path.pop();
        }
        Ok(())
    }

    /// Adds a leaf; conditions on the same feature become one.
    fn leaf(&mut self, value: f64, path: &[Condition], nodes: usize) -> Result<(), EnsembleFault> {
        // A node reached on two ways would make more leaves than there are nodes, without end.
        if self.leaves.len() >= nodes {
            return Err(fault("nodes_nodeids", "are reached on more than one way"));
        }
        let start = self.conditions.len();
        for next in path {
            let own = self
                .conditions
                .iter_mut()
                .skip(start)
                .find(|c| c.feature == next.feature);
            match own {
                Some(own) => {
                    // The maximum of a number and NaN is the number.
                    own.above = own.above.max(next.above);
                    own.upto = own.upto.min(next.upto);
                    own.missing &= next.missing;
                    own.share *= next.share;
                }
                None => self.conditions.push(*next),
            }
        }
        let too_many = |_| fault("nodes_nodeids", "are too many");
        self.leaves.push(Leaf {
            from: u32::try_from(start).map_err(too_many)?,
            to: u32::try_from(self.conditions.len()).map_err(too_many)?,
            value,
        });
        Ok(())
    }
}

impl Condition {
    /// Whether a value takes this way; NaN is a missing one. Without a branch: which way it goes cannot be foreseen.
    #[inline]
    pub(super) fn holds(&self, value: f32) -> bool {
        // Nothing is at most NaN, so that a condition without a lower end says no to nothing.
        let at_most_above = value <= self.above;
        ((value <= self.upto) & !at_most_above) | (value.is_nan() & self.missing)
    }
}
