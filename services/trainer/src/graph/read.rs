//! From a graph that a plug-in wrote to trees.

use std::collections::BTreeMap;

use auspex_learn::{Forest, Node, Tree};
use auspex_model::onnx::{ModelProto, NodeProto};
use prost::Message as _;

/// What a graph is.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Trees whose sum is the log-odds.
    Trees(Forest),
    /// Something else, which a runtime must run.
    Other(Box<ModelProto>),
}

/// Reads a graph. Its trees must sum one target over `BRANCH_LEQ` nodes.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(bytes: &[u8]) -> Result<Found, String> {
    let model = ModelProto::decode(bytes).map_err(|fault| format!("is no ONNX file: {fault}"))?;
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let ensembles: Vec<&NodeProto> = nodes
        .filter(|node| node.op_type() == "TreeEnsembleRegressor")
        .collect();
    match ensembles.as_slice() {
        [] => Ok(Found::Other(Box::new(model))),
        [only] => forest(only).map(Found::Trees),
        _ => Err("holds more than one TreeEnsembleRegressor".to_owned()),
    }
}

fn ints<'a>(node: &'a NodeProto, name: &str) -> Result<&'a [i64], String> {
    let found = node.attribute(name).map(|attribute| attribute.ints.as_slice());
    found.ok_or_else(|| format!("{name} is missing"))
}

fn floats<'a>(node: &'a NodeProto, name: &str) -> Result<&'a [f32], String> {
    let found = node.attribute(name).map(|attribute| attribute.floats.as_slice());
    found.ok_or_else(|| format!("{name} is missing"))
}

fn forest(node: &NodeProto) -> Result<Forest, String> {
    let (trees, ids) = (ints(node, "nodes_treeids")?, ints(node, "nodes_nodeids")?);
    let columns = Columns {
        feature: ints(node, "nodes_featureids")?,
        value: floats(node, "nodes_values")?,
        yes: ints(node, "nodes_truenodeids")?,
        no: ints(node, "nodes_falsenodeids")?,
        missing: ints(node, "nodes_missing_value_tracks_true")?,
        cover: floats(node, "nodes_hitrates")?,
        modes: node
            .attribute("nodes_modes")
            .map_or(&[], |attribute| attribute.strings.as_slice()),
        rows: trees.iter().copied().zip(ids.iter().copied()).zip(0..).collect(),
        weights: ints(node, "target_treeids")?
            .iter()
            .copied()
            .zip(ints(node, "target_nodeids")?.iter().copied())
            .zip(floats(node, "target_weights")?.iter().copied())
            .collect(),
    };
    let mut numbers = trees.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let mut forest = Forest::default();
    for number in numbers {
        let mut tree = Tree::default();
        columns.place(number, 0, &mut tree)?;
        forest.trees.push(tree);
    }
    let base = node
        .attribute("base_values")
        .and_then(|base| base.floats.first().copied());
    if let Some(base) = base.filter(|base| *base != 0.0) {
        forest.shift(f64::from(base));
    }
    Ok(forest)
}

struct Columns<'a> {
    feature: &'a [i64],
    value: &'a [f32],
    yes: &'a [i64],
    no: &'a [i64],
    missing: &'a [i64],
    cover: &'a [f32],
    modes: &'a [Vec<u8>],
    rows: BTreeMap<(i64, i64), usize>,
    weights: BTreeMap<(i64, i64), f32>,
}

impl Columns<'_> {
    /// Puts a node and what hangs on it at the end of a tree; gives its place.
    fn place(&self, tree: i64, id: i64, into: &mut Tree) -> Result<u32, String> {
        let row = *self
            .rows
            .get(&(tree, id))
            .ok_or_else(|| format!("tree {tree} has no node {id}"))?;
        let short = || format!("tree {tree}: a list of nodes is too short");
        let place = into.0.len();
        if place > self.rows.len() {
            return Err(format!("tree {tree} has a cycle"));
        }
        let cover = self.cover.get(row).copied().ok_or_else(short)?.max(1e-6);
        if self.modes.get(row).is_some_and(|mode| mode == b"LEAF") {
            let weight = self.weights.get(&(tree, id)).copied();
            let weight = weight.ok_or_else(|| format!("tree {tree}: leaf {id} has no weight"))?;
            if !weight.is_finite() {
                return Err(format!("tree {tree}: leaf {id} is not a number"));
            }
            into.0.push(Node::leaf(weight, cover));
            return Ok(place as u32);
        }
        if self.modes.get(row).is_none_or(|mode| mode != b"BRANCH_LEQ") {
            return Err(format!("tree {tree}: node {id} is neither BRANCH_LEQ nor LEAF"));
        }
        into.0.push(Node::leaf(0.0, cover));
        let yes = self.place(tree, *self.yes.get(row).ok_or_else(short)?, into)?;
        let no = self.place(tree, *self.no.get(row).ok_or_else(short)?, into)?;
        let feature = self.feature.get(row).and_then(|f| u32::try_from(*f).ok());
        if let Some(node) = into.0.get_mut(place) {
            node.feature = feature.ok_or_else(short)?;
            node.threshold = self.value.get(row).copied().ok_or_else(short)?;
            node.missing_yes = self.missing.get(row).is_some_and(|m| *m != 0);
            (node.yes, node.no) = (yes, no);
        }
        Ok(place as u32)
    }
}

#[cfg(test)]
mod tests {
    use auspex_learn::calibrate::Calibration;
    use auspex_learn::gbdt::{self, Growth};
    use auspex_learn::{Matrix, sigmoid};

    use super::*;
    use crate::graph::{Naming, write};

    #[test]
    fn what_was_written_is_read() {
        let values: Vec<f32> = (0..800).map(|v| (v * 37 % 101) as f32).collect();
        let labels: Vec<bool> = values
            .chunks(2)
            .map(|row| sigmoid(f64::from(row[0]) / 20.0 - 2.0) > 0.5)
            .collect();
        let mut forest = gbdt::fit(&Matrix::new(values.clone(), 2), &labels, &[], &Growth::default());
        forest.snap();
        let naming = Naming {
            model: "m".to_owned(),
            version: "1".to_owned(),
            feature_service: "m@1".to_owned(),
            schema_sha256: String::new(),
            features: vec!["a".to_owned(), "b".to_owned()],
        };
        let bytes = write(&forest, &Calibration::IDENTITY, &naming);
        let Found::Trees(again) = read(&bytes).unwrap() else {
            panic!("no trees")
        };
        for row in values.chunks(2).chain([&[f32::NAN, 3.0][..]]) {
            assert_eq!(forest.raw(row), again.raw(row));
        }
        assert!(read(b"no such thing").is_err());
    }
}
