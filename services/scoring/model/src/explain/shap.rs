//! Raw log-odds and contributions of one row.

use super::trees::{Condition, Ensemble, Leaf, MAX_DEPTH};

/// For one number of conditions, the share of all orders in which a given set of each size comes before a given condition:
/// `s! (n - s - 1)! / n!`.
pub(super) fn orders(conditions: usize) -> Vec<f64> {
    let n = conditions as f64;
    let next = |(share, size): (f64, f64)| (share * (size + 1.0) / (n - size - 1.0), size + 1.0);
    std::iter::successors(Some((1.0 / n, 0.0)), |last| Some(next(*last)))
        .map(|(share, _)| share)
        .take(conditions)
        .collect()
}

/// The conditions of one leaf, told apart by a row.
struct Path {
    /// Features whose condition holds, with the share of training rows for which it does.
    hot: [(u32, f64); MAX_DEPTH],
    hots: usize,
    /// Features whose condition does not hold.
    cold: [u32; MAX_DEPTH],
    colds: usize,
    /// Product of the shares of the cold ones.
    cold_share: f64,
    /// Coefficients of the product of `x + share` over the hot ones: at `x^s` the sum, over the sets of s hot features that
    /// are known, of the shares of those that are not.
    sets: [f64; MAX_DEPTH + 1],
}

impl Ensemble {
    /// Log-odds before calibration. A row shorter than the model's columns counts as missing there.
    #[must_use]
    pub fn raw(&self, row: &[f32]) -> f64 {
        let value = |c: &Condition| row.get(c.feature as usize).copied().unwrap_or(f32::NAN);
        let reached = |leaf: &&Leaf| self.conditions_of(leaf).iter().all(|c| c.holds(value(c)));
        self.offset
            + self
                .leaves
                .iter()
                .filter(reached)
                .map(|leaf| leaf.value)
                .sum::<f64>()
    }

    /// Each feature's contribution, in log-odds before calibration; with [`Ensemble::base`] they add up to
    /// [`Ensemble::raw`]. `into` is zeroed first and is as long as the row.
    ///
    /// A leaf is worth its value to a set of known features when the conditions of all of them hold, times the shares of the
    /// others. So a set with a cold feature is worth nothing, all cold features of a leaf are owed the same, and only the
    /// sets of hot ones need be counted, by size: a polynomial, and for each hot feature that polynomial without its factor.
    pub fn contributions(&self, row: &[f32], into: &mut [f64]) {
        into.fill(0.0);
        let mut path = Path {
            hot: [(0, 0.0); MAX_DEPTH],
            hots: 0,
            cold: [0; MAX_DEPTH],
            colds: 0,
            cold_share: 1.0,
            sets: [0.0; MAX_DEPTH + 1],
        };
        for leaf in &self.leaves {
            let conditions = self.conditions_of(leaf);
            let orders = self.orders.get(conditions.len()).map_or(&[][..], Vec::as_slice);
            path.tell_apart(conditions, row);
            path.share_out(leaf.value, orders, into);
        }
    }
}

impl Path {
    fn tell_apart(&mut self, conditions: &[Condition], row: &[f32]) {
        (self.hots, self.colds, self.cold_share) = (0, 0, 1.0);
        for condition in conditions {
            let value = row.get(condition.feature as usize).copied().unwrap_or(f32::NAN);
            let holds = condition.holds(value);
            // Both are written and one is kept: whether a condition holds cannot be foreseen, and a wrong guess is dear.
            if let (Some(hot), Some(cold)) = (self.hot.get_mut(self.hots), self.cold.get_mut(self.colds)) {
                *hot = (condition.feature, condition.share);
                *cold = condition.feature;
            }
            self.hots += usize::from(holds);
            self.colds += usize::from(!holds);
            self.cold_share *= if holds { 1.0 } else { condition.share };
        }
    }

    fn share_out(&mut self, value: f64, orders: &[f64], into: &mut [f64]) {
        let worth = value * self.cold_share;
        let hot = self.hot.get(..self.hots).unwrap_or_default();
        let sets = multiplied(&mut self.sets, hot);
        let owed: f64 = sets.iter().zip(orders).map(|(set, order)| set * order).sum();
        for feature in self.cold.get(..self.colds).unwrap_or_default() {
            if let Some(slot) = into.get_mut(*feature as usize) {
                *slot -= worth * owed;
            }
        }
        for (feature, share) in hot {
            if let Some(slot) = into.get_mut(*feature as usize) {
                *slot += worth * (1.0 - share) * without(sets, *share, orders);
            }
        }
    }
}

/// The coefficients of the product of `x + share`, lowest first.
fn multiplied<'a>(sets: &'a mut [f64], hot: &[(u32, f64)]) -> &'a [f64] {
    if let Some(first) = sets.first_mut() {
        *first = 1.0;
    }
    for (degree, (_, share)) in hot.iter().enumerate() {
        let mut below = 0.0;
        for set in sets.iter_mut().take(degree + 1) {
            (below, *set) = (*set, *set * share + below);
        }
        if let Some(top) = sets.get_mut(degree + 1) {
            *top = 1.0;
        }
    }
    sets.get(..=hot.len()).unwrap_or_default()
}

/// The sum over the sets without one hot feature: the polynomial divided by its `x + share`, each coefficient weighted.
fn without(sets: &[f64], share: f64, orders: &[f64]) -> f64 {
    let (mut quotient, mut sum) = (0.0, 0.0);
    for (set, order) in sets.iter().skip(1).zip(orders).rev() {
        quotient = set - share * quotient;
        sum += quotient * order;
    }
    sum
}
