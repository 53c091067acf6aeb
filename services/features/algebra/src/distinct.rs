//! How many different values there were: HyperLogLog with 1,024 registers, 3.3 % standard error, nearly exact below a hundred.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bits that choose the register.
const BITS: u32 = 10;
const REGISTERS: usize = 1 << BITS;

/// A sketch of a set. Sparse while it is small: a few bytes for each different value, at most 3 kB.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Distinct(BTreeMap<u16, u8>);

/// A 64-bit hash of bytes that is the same on every machine and in every release: FNV-1a, then Murmur's finish.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

impl Distinct {
    /// Adds a value by its [`hash`].
    pub fn add(&mut self, hash: u64) {
        let register = u16::try_from(hash >> (64 - BITS)).unwrap_or_default();
        let rank = (hash << BITS).leading_zeros().min(64 - BITS) + 1;
        let rank = u8::try_from(rank).unwrap_or(u8::MAX);
        let held = self.0.entry(register).or_default();
        *held = (*held).max(rank);
    }

    /// Adds all that another has seen.
    pub fn merge(&mut self, other: &Self) {
        for (register, rank) in &other.0 {
            let held = self.0.entry(*register).or_default();
            *held = (*held).max(*rank);
        }
    }

    /// How many different values, about.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "at most 1,024")]
    pub fn estimate(&self) -> f64 {
        let all = REGISTERS as f64;
        let empty = (REGISTERS - self.0.len().min(REGISTERS)) as f64;
        let sum: f64 = self
            .0
            .values()
            .map(|rank| (-f64::from(*rank)).exp2())
            .sum::<f64>()
            + empty;
        let raw = 0.7213 / (1.0 + 1.079 / all) * all * all / sum;
        if raw <= 2.5 * all && empty > 0.0 {
            (all * (all / empty).ln()).round()
        } else {
            raw.round()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: std::ops::Range<u32>) -> Distinct {
        let mut distinct = Distinct::default();
        range.for_each(|n| distinct.add(hash(format!("value-{n}").as_bytes())));
        distinct
    }

    #[test]
    fn few_are_exact_and_many_are_close() {
        for count in [0, 1, 5, 20] {
            assert_eq!(of(0..count).estimate(), f64::from(count));
        }
        for count in [100, 1_000, 20_000, 100_000] {
            let off = of(0..count).estimate() / f64::from(count) - 1.0;
            assert!(off.abs() < 0.1, "{count}: {off}");
        }
    }

    #[test]
    fn a_union_counts_what_is_in_both_once() {
        let mut union = of(0..600);
        union.merge(&of(300..900));
        assert_eq!(union, of(0..900));
    }
}
