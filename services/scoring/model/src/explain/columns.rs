//! The columns of a `TreeEnsembleRegressor`, checked against each other.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::onnx::NodeProto;

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

pub(super) fn fault(attribute: &'static str, reason: impl Into<String>) -> EnsembleFault {
    EnsembleFault::Attribute {
        attribute,
        reason: reason.into(),
    }
}

/// How a node asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Leaf,
    /// `<=`, or `>` with its ways exchanged.
    AtMost {
        exchanged: bool,
    },
    /// `<`, or `>=` with its ways exchanged.
    Below {
        exchanged: bool,
    },
}

/// One child of a node: which values lead to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) row: usize,
    pub(super) feature: u32,
    /// For values above this; NaN: there is no lower end.
    pub(super) above: f32,
    /// And up to this.
    pub(super) upto: f32,
    /// And for a missing value.
    pub(super) missing: bool,
    /// Share of the training rows of the parent.
    pub(super) share: f64,
}

/// What stands at a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node {
    Leaf(f64),
    Inner([Way; 2]),
}

/// The columns.
pub(super) struct Columns<'a> {
    pub(super) tree: &'a [i64],
    node: &'a [i64],
    feature: &'a [i64],
    value: &'a [f32],
    yes: &'a [i64],
    no: &'a [i64],
    missing: &'a [i64],
    cover: &'a [f32],
    mode: Vec<Mode>,
    row: BTreeMap<(i64, i64), usize>,
    weight: BTreeMap<(i64, i64), f32>,
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

fn mode(text: &[u8]) -> Result<Mode, EnsembleFault> {
    match text {
        b"LEAF" => Ok(Mode::Leaf),
        b"BRANCH_LEQ" => Ok(Mode::AtMost { exchanged: false }),
        b"BRANCH_GT" => Ok(Mode::AtMost { exchanged: true }),
        b"BRANCH_LT" => Ok(Mode::Below { exchanged: false }),
        b"BRANCH_GTE" => Ok(Mode::Below { exchanged: true }),
        other => Err(fault(
            "nodes_modes",
            format!(
                "holds {}; what is read is BRANCH_LEQ, _LT, _GTE, _GT and LEAF",
                String::from_utf8_lossy(other)
            ),
        )),
    }
}

impl<'a> Columns<'a> {
    pub(super) fn read(node: &'a NodeProto) -> Result<Self, EnsembleFault> {
        expect(node, "aggregate_function", "SUM")?;
        expect(node, "post_transform", "NONE")?;
        if node.attribute("n_targets").is_some_and(|a| a.i() != 1) {
            return Err(fault("n_targets", "is not 1"));
        }
        let (tree, ids) = (ints(node, "nodes_treeids")?, ints(node, "nodes_nodeids")?);
        let modes = node.attribute("nodes_modes").map(|a| a.strings.as_slice());
        let modes = modes.ok_or_else(|| fault("nodes_modes", "is missing"))?;
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
            mode: modes.iter().map(|m| mode(m)).collect::<Result<_, _>>()?,
            row: tree.iter().copied().zip(ids.iter().copied()).zip(0..).collect(),
            weight: targets
                .map(|(t, n)| (*t, *n))
                .zip(floats(node, "target_weights")?.iter().copied())
                .collect(),
        };
        found.same_length()?;
        Ok(found)
    }

    fn same_length(&self) -> Result<(), EnsembleFault> {
        let rows = self.tree.len();
        let lengths = [
            self.node.len(),
            self.feature.len(),
            self.value.len(),
            self.yes.len(),
        ];
        let more = [
            self.no.len(),
            self.missing.len(),
            self.cover.len(),
            self.mode.len(),
            self.row.len(),
        ];
        if lengths.iter().chain(&more).any(|n| *n != rows) {
            return Err(fault(
                "nodes_nodeids",
                "and its sister columns differ in length, or name a node twice",
            ));
        }
        Ok(())
    }

    /// The row of a node.
    pub(super) fn row(&self, tree: i64, node: i64) -> Result<usize, EnsembleFault> {
        let found = self.row.get(&(tree, node)).copied();
        found.ok_or_else(|| fault("nodes_nodeids", format!("tree {tree} has no node {node}")))
    }

    /// What stands at a row.
    pub(super) fn at(&self, row: usize) -> Result<Node, EnsembleFault> {
        let missing = || fault("nodes_nodeids", "names a row that is not there");
        let of = |column: &[i64]| column.get(row).copied().ok_or_else(missing);
        let tree = of(self.tree)?;
        let value = self.value.get(row).copied().ok_or_else(missing)?;
        let (upto, exchanged) = match self.mode.get(row).copied().ok_or_else(missing)? {
            Mode::Leaf => {
                let weight = self.weight.get(&(tree, of(self.node)?)).copied();
                let text = || fault("target_nodeids", format!("tree {tree} has a leaf without weight"));
                return Ok(Node::Leaf(f64::from(weight.ok_or_else(text)?)));
            }
            Mode::AtMost { exchanged } => (value, exchanged),
            // Between a 32-bit number and the one before there is none.
            Mode::Below { exchanged } => (value.next_down(), exchanged),
        };
        let feature =
            u32::try_from(of(self.feature)?).map_err(|_| fault("nodes_featureids", "is below 0"))?;
        let tracks_true = of(self.missing)? != 0;
        let whole = self.cover.get(row).copied().ok_or_else(missing)?;
        let way = |taken_when_true: bool, node: i64| {
            let child = self.row(tree, node)?;
            let share = f64::from(self.cover.get(child).copied().ok_or_else(missing)?) / f64::from(whole);
            if !(share > 0.0 && share <= 1.0) {
                let text = format!("tree {tree}: a child is not a part of its parent");
                return Err(fault("nodes_hitrates", text));
            }
            let low_side = taken_when_true != exchanged;
            Ok(Way {
                row: child,
                feature,
                above: if low_side { f32::NAN } else { upto },
                upto: if low_side { upto } else { f32::INFINITY },
                missing: tracks_true == taken_when_true,
                share,
            })
        };
        Ok(Node::Inner([
            way(true, of(self.yes)?)?,
            way(false, of(self.no)?)?,
        ]))
    }
}
