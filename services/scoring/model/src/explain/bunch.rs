//! Trees that need the same number of points, with everything that can be computed before a row is known.

use super::trees::{Edge, Tree, nodes_of, points_for};

/// What an edge does to a path, at each point, for the two ways a row can stand to it.
///
/// The path of a row is, at a point `t`, the product over its features of `(1 - t) share + t`, or without the `t` where the row
/// does not take the way. A step multiplies it; what the step contributes is the path's worth below it, times a difference.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables<const M: usize> {
    /// The row takes this way.
    pub(super) taken: Effect<M>,
    /// It took the way above that asks about the same feature, and leaves it here.
    pub(super) left: Effect<M>,
    /// It had left it before: nothing more is owed, and the path shrinks by this.
    pub(super) gone: f64,
}

/// Of one way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effect<const M: usize> {
    /// By this the path is multiplied.
    pub(super) step: [f64; M],
    /// What is owed to the feature for each unit of the path's worth.
    pub(super) owed: [f64; M],
}

/// Trees of one number of points.
#[derive(Debug, Clone, Default)]
pub(super) struct Bunch<const M: usize> {
    pub(super) edges: Vec<Edge>,
    pub(super) tables: Vec<Tables<M>>,
    /// Edges of each tree.
    pub(super) lengths: Vec<usize>,
}

/// All trees, by the points they need.
#[derive(Debug, Clone, Default)]
pub(super) struct Bunches {
    pub(super) two: Bunch<2>,
    pub(super) four: Bunch<4>,
    pub(super) six: Bunch<6>,
    pub(super) eight: Bunch<8>,
    pub(super) sixteen: Bunch<16>,
    pub(super) all: Bunch<32>,
}

impl Bunches {
    pub(super) fn add(&mut self, tree: &Tree) {
        match points_for(tree.features) {
            0..=2 => self.two.add(tree),
            3..=4 => self.four.add(tree),
            5..=6 => self.six.add(tree),
            7..=8 => self.eight.add(tree),
            9..=16 => self.sixteen.add(tree),
            _ => self.all.add(tree),
        }
    }

    pub(super) fn edges(&self) -> usize {
        self.two.edges.len()
            + self.four.edges.len()
            + self.six.edges.len()
            + self.eight.edges.len()
            + self.sixteen.edges.len()
            + self.all.edges.len()
    }
}

impl<const M: usize> Bunch<M> {
    fn add(&mut self, tree: &Tree) {
        self.lengths.push(tree.edges.len());
        self.edges.extend_from_slice(&tree.edges);
        self.tables.extend(tree.edges.iter().map(tables));
    }
}

fn tables<const M: usize>(edge: &Edge) -> Tables<M> {
    let points = nodes_of::<M>();
    let (share, above) = (edge.share, edge.share_above);
    let first = edge.same == 0;
    let each = |of: &dyn Fn(f64) -> f64| points.map(|(t, _)| of(t));
    let path = |share: f64, t: f64| (1.0 - t) * share + t;
    // What a feature whose condition holds is owed, and one whose condition does not: (1 - share) / path, -1 / (1 - t).
    let hot = |share: f64, t: f64| (1.0 - share) / path(share, t);
    let cold = |t: f64| -1.0 / (1.0 - t);
    // Below an edge that asks again, the feature is owed what the lower edge says instead of what the upper one said.
    let before = |t: f64| if first { 0.0 } else { hot(above, t) };
    Tables {
        taken: Effect {
            step: each(&|t| path(share, t) / path(above, t)),
            owed: each(&|t| hot(share, t) - before(t)),
        },
        left: Effect {
            step: each(&|t| (1.0 - t) * share / path(above, t)),
            owed: each(&|t| cold(t) - before(t)),
        },
        gone: share / above,
    }
}
