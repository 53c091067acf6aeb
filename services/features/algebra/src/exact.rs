//! Sums without rounding until they are read: the order of what is added cannot be told from the sum.

use serde::{Deserialize, Serialize};

/// A sum of doubles, exact: parts that do not overlap, the smallest first (Shewchuk, 1997). Two or three parts are usual; there
/// are never more than forty, for that is how many fit side by side into the range of a double.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Exact(Vec<f64>);

impl Exact {
    /// Adds a number. One that is not finite is left out.
    pub fn add(&mut self, number: f64) {
        if !number.is_finite() {
            return;
        }
        let mut carried = number;
        self.0.retain_mut(|part| {
            let (mut large, mut small) = (carried, *part);
            if large.abs() < small.abs() {
                std::mem::swap(&mut large, &mut small);
            }
            let sum = large + small;
            *part = small - (sum - large);
            carried = sum;
            *part != 0.0
        });
        if !carried.is_finite() {
            // Beyond the range of a double there is nothing to be exact about.
            self.0.clear();
            carried = f64::MAX.copysign(carried);
        }
        if carried != 0.0 {
            self.0.push(carried);
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|part| self.add(*part));
    }

    /// The sum, rounded once, to the nearest double.
    #[must_use]
    pub fn value(&self) -> f64 {
        let mut parts = self.0.iter().rev().copied();
        let Some(mut high) = parts.next() else { return 0.0 };
        let mut low = 0.0;
        for part in parts.by_ref() {
            let sum = high + part;
            low = part - (sum - high);
            high = sum;
            if low != 0.0 {
                break;
            }
        }
        // Halfway between two doubles the parts below decide.
        if let Some(below) = parts.next()
            && ((low < 0.0 && below < 0.0) || (low > 0.0 && below > 0.0))
        {
            let twice = low * 2.0;
            let up = high + twice;
            if twice == up - high {
                high = up;
            }
        }
        high
    }

    /// Whether nothing but zeros was added.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(numbers: &[f64]) -> Exact {
        let mut sum = Exact::default();
        numbers.iter().for_each(|n| sum.add(*n));
        sum
    }

    #[test]
    fn what_a_double_forgets_is_kept() {
        assert_eq!(sum(&[1e16, 1.0, -1e16]).value(), 1.0);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0);
        assert_eq!(sum(&[1e308, 1e308]).value(), f64::MAX);
        assert_eq!(sum(&[f64::NAN, 2.0]).value(), 2.0);
        assert_eq!(sum(&[]).value(), 0.0);
    }

    proptest! {
        #[test]
        fn neither_order_nor_grouping_shows(mut numbers in prop::collection::vec(-1e15..1e15_f64, 0..60), cut in 0_usize..60) {
            let one = sum(&numbers).value();
            let (left, right) = numbers.split_at(cut.min(numbers.len()));
            let mut merged = sum(right);
            merged.merge(&sum(left));
            prop_assert_eq!(merged.value().to_bits(), one.to_bits());
            numbers.sort_by(f64::total_cmp);
            prop_assert_eq!(sum(&numbers).value().to_bits(), one.to_bits());
        }
    }
}
