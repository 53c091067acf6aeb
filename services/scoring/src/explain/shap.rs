//! Raw log-odds and contributions of one row.

use super::trees::{Condition, Ensemble, Leaf, MAX_DEPTH};

/// Scratch space: the weights of the subsets of a path, by size.
type Weights = [f64; MAX_DEPTH + 1];

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

    /// Adds each feature's contribution to `into`, in log-odds before calibration; with [`Ensemble::base`] they add up to
    /// [`Ensemble::raw`]. `into` is zeroed first and is as long as the row.
    pub fn contributions(&self, row: &[f32], into: &mut [f64]) {
        into.fill(0.0);
        let mut weights: Weights = [0.0; MAX_DEPTH + 1];
        let mut ones = [false; MAX_DEPTH + 1];
        for leaf in &self.leaves {
            let conditions = self.conditions_of(leaf);
            for (one, condition) in ones.iter_mut().zip(conditions) {
                *one = condition.holds(row.get(condition.feature as usize).copied().unwrap_or(f32::NAN));
            }
            extend(&mut weights, &ones, conditions);
            for (one, condition) in ones.iter().zip(conditions) {
                let sum = unwound(&weights, conditions.len(), *one, condition.share);
                if let Some(out) = into.get_mut(condition.feature as usize) {
                    *out += sum * (f64::from(u8::from(*one)) - condition.share) * leaf.value;
                }
            }
        }
    }
}

/// `weights[k]`: the permutation weight of the subsets of size k, once all conditions are in (EXTEND of the paper).
fn extend(weights: &mut Weights, ones: &[bool], conditions: &[Condition]) {
    weights[0] = 1.0;
    for (depth, (condition, one)) in (1_u32..).zip(conditions.iter().zip(ones)) {
        let d = depth as usize;
        let per = 1.0 / f64::from(depth + 1);
        if let Some(last) = weights.get_mut(d) {
            *last = 0.0;
        }
        for i in (0..depth).rev() {
            let Some([low, high]) = weights.get_mut(i as usize..i as usize + 2) else {
                continue;
            };
            if *one {
                *high += *low * f64::from(i + 1) * per;
            }
            *low *= condition.share * f64::from(depth - i) * per;
        }
    }
}

/// The sum of the weights with one condition taken out again (UNWIND of the paper, summed).
fn unwound(weights: &Weights, depth: usize, one: bool, share: f64) -> f64 {
    let Some((next, rest)) = weights.get(..=depth).and_then(<[f64]>::split_last) else {
        return 0.0;
    };
    let count = (depth + 1) as f64;
    let (mut next, mut total) = (*next, 0.0);
    // `left` is depth - i, the number of conditions that a subset of size i does not hold.
    let mut left = 1.0;
    for weight in rest.iter().rev() {
        if one {
            let held = next * count / (count - left);
            total += held;
            next = weight - held * share * left / count;
        } else {
            total += weight * count / (share * left);
        }
        left += 1.0;
    }
    total
}
