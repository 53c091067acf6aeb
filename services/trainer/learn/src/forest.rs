//! Trees whose leaves add up to log-odds: what every candidate becomes, so that one graph serves and one method explains all.

use serde::{Deserialize, Serialize};

/// A node. A leaf leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Column asked about; of a leaf 0.
    pub feature: u32,
    /// `value <= threshold` goes to `yes`.
    pub threshold: f32,
    /// Number of the node in its tree; 0 in a leaf.
    pub yes: u32,
    /// The other way; 0 in a leaf.
    pub no: u32,
    /// Whether a missing value goes to `yes`.
    pub missing_yes: bool,
    /// Log-odds that a leaf adds.
    pub value: f32,
    /// Weight of the training rows that passed; above 0.
    pub cover: f32,
}

impl Node {
    /// A leaf.
    #[must_use]
    pub fn leaf(value: f32, cover: f32) -> Self {
        Self {
            feature: 0,
            threshold: 0.0,
            yes: 0,
            no: 0,
            missing_yes: false,
            value,
            cover,
        }
    }

    /// Whether it ends the way.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.yes == 0
    }
}

/// A tree; node 0 is its root, and a child has a greater number than its parent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tree(pub Vec<Node>);

impl Tree {
    /// The leaf that a row ends in.
    #[must_use]
    pub fn reach(&self, row: &[f32]) -> Option<&Node> {
        let mut node = self.0.first()?;
        // A child comes after its parent, so the way ends.
        loop {
            if node.is_leaf() {
                return Some(node);
            }
            let value = row.get(node.feature as usize).copied().unwrap_or(f32::NAN);
            let yes = if value.is_nan() {
                node.missing_yes
            } else {
                value <= node.threshold
            };
            node = self.0.get(if yes { node.yes } else { node.no } as usize)?;
        }
    }
}

/// Trees that are summed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Forest {
    /// The trees.
    pub trees: Vec<Tree>,
}

/// Leaves are multiples of this, so that sums below 16 are exact in 32 bits whatever their order: every runtime then gives
/// the same log-odds.
pub const GRID: f64 = 1.0 / (1 << 20) as f64;
/// No leaf is worth more than this, up or down.
const LEAF_LIMIT: f64 = 8.0;

impl Forest {
    /// Log-odds of a row.
    #[must_use]
    pub fn raw(&self, row: &[f32]) -> f64 {
        let leaves = self.trees.iter().filter_map(|tree| tree.reach(row));
        leaves.map(|leaf| f64::from(leaf.value)).sum()
    }

    /// Log-odds of all rows.
    #[must_use]
    pub fn raws(&self, rows: &crate::Matrix) -> Vec<f64> {
        rows.iter().map(|row| self.raw(row)).collect()
    }

    /// Nodes of all trees.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.trees.iter().map(|tree| tree.0.len()).sum()
    }

    /// Adds another, its leaves times a factor.
    pub fn add(&mut self, other: &Forest, factor: f64) {
        for tree in &other.trees {
            let mut tree = tree.clone();
            for node in &mut tree.0 {
                node.value = (f64::from(node.value) * factor) as f32;
            }
            self.trees.push(tree);
        }
    }

    /// Adds a number to every row's log-odds, as a tree of one leaf.
    pub fn shift(&mut self, by: f64) {
        self.trees.push(Tree(vec![Node::leaf(by as f32, 1.0)]));
    }

    /// Rounds the leaves to [`GRID`] and folds trees of one leaf into one.
    pub fn snap(&mut self) {
        let constant: f64 = self.trees.iter().filter_map(single).sum();
        self.trees.retain(|tree| single(tree).is_none());
        if self.trees.is_empty() {
            self.shift(constant);
        } else if let Some(first) = self.trees.first_mut() {
            for node in first.0.iter_mut().filter(|node| node.is_leaf()) {
                node.value = (f64::from(node.value) + constant) as f32;
            }
        }
        for node in self.trees.iter_mut().flat_map(|tree| &mut tree.0) {
            let value = f64::from(node.value).clamp(-LEAF_LIMIT, LEAF_LIMIT);
            node.value = ((value / GRID).round() * GRID) as f32;
        }
    }

    /// Distinct thresholds by column, ascending.
    #[must_use]
    pub fn thresholds(&self, columns: usize) -> Vec<Vec<f32>> {
        let mut found = vec![Vec::new(); columns];
        for node in self.trees.iter().flat_map(|tree| &tree.0) {
            if let (false, Some(of)) = (node.is_leaf(), found.get_mut(node.feature as usize)) {
                of.push(node.threshold);
            }
        }
        for of in &mut found {
            of.sort_by(f32::total_cmp);
            of.dedup();
        }
        found
    }
}

/// The value of a tree of one leaf.
fn single(tree: &Tree) -> Option<f64> {
    let only = tree.0.first().filter(|node| node.is_leaf());
    only.map(|node| f64::from(node.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stump(threshold: f32, yes: f32, no: f32) -> Tree {
        let root = Node {
            feature: 1,
            threshold,
            yes: 1,
            no: 2,
            missing_yes: true,
            value: 0.0,
            cover: 10.0,
        };
        Tree(vec![root, Node::leaf(yes, 4.0), Node::leaf(no, 6.0)])
    }

    #[test]
    fn a_row_takes_its_way() {
        let forest = Forest {
            trees: vec![stump(2.0, -1.0, 1.0)],
        };
        assert_eq!(forest.raw(&[0.0, 2.0]), -1.0);
        assert_eq!(forest.raw(&[0.0, 2.0_f32.next_up()]), 1.0);
        assert_eq!(forest.raw(&[0.0, f32::NAN]), -1.0);
        assert_eq!(forest.raw(&[]), -1.0);
        assert_eq!(forest.thresholds(2), [vec![], vec![2.0]]);
    }

    #[test]
    fn what_is_added_is_scaled_and_snapping_keeps_the_sum() {
        let mut forest = Forest::default();
        forest.add(
            &Forest {
                trees: vec![stump(2.0, -1.0, 1.0 / 3.0)],
            },
            0.5,
        );
        forest.shift(0.25);
        forest.snap();
        assert_eq!(forest.trees.len(), 1);
        assert!((forest.raw(&[0.0, 3.0]) - (0.25 + 1.0 / 6.0)).abs() < GRID);
        assert_eq!(forest.raw(&[0.0, 0.0]), -0.25);
        let mut constant = Forest::default();
        constant.shift(0.5);
        constant.snap();
        assert_eq!(constant.raw(&[]), 0.5);
    }
}
