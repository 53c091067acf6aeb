//! From a probability to a score: its band, its interval, what was missing.

use auspex_proto::score::{Band, Contribution};
use auspex_proto::vector::{Feature, Status};

use crate::manifest::{Bin, Manifest};

/// Features a known-set can tell apart: one bit each.
const MAX_FEATURES: usize = 128;

/// What the manifest says about reading a probability, ready for use.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    bands: (f64, f64),
    /// Known-set and its bins; the largest sets first.
    patterns: Vec<(u128, Vec<Bin>)>,
}

/// What a model says of one vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Calibrated P(failure), 0..=1.
    pub p_failure: f64,
    /// Lower end of the interval; at most `p_failure`.
    pub low: f64,
    /// Upper end; at least `p_failure`.
    pub high: f64,
    /// Its band.
    pub band: Band,
    /// Features the model had to do without, in the order of the schema.
    pub missing: Vec<String>,
    /// Largest first; empty when not asked for.
    pub reasons: Vec<Contribution>,
}

impl Scale {
    /// Of a checked manifest.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let bit = |name: &String| {
            let at = manifest.features.iter().position(|f| f.name == *name);
            at.filter(|at| *at < MAX_FEATURES).map_or(0, |at| 1_u128 << at)
        };
        let patterns = manifest.interval.patterns.values();
        let mut patterns: Vec<_> = patterns
            .map(|p| (p.present.iter().map(bit).fold(0, |a, b| a | b), p.bins.clone()))
            .collect();
        patterns.sort_by_key(|(known, _)| std::cmp::Reverse(known.count_ones()));
        Self {
            bands: manifest.bands,
            patterns,
        }
    }

    /// Reads a probability of the model about a vector with these features known. `None` when the model gave no number.
    #[must_use]
    pub fn read(&self, p_failure: f64, features: &[Feature]) -> Option<Scored> {
        if p_failure.is_nan() {
            return None;
        }
        let p_failure = p_failure.clamp(0.0, 1.0);
        let (mut known, mut missing) = (0_u128, Vec::new());
        for (at, feature) in features.iter().enumerate() {
            if feature.status != Status::Present {
                missing.push(feature.name.clone());
            } else if at < MAX_FEATURES {
                known |= 1 << at;
            }
        }
        let (low, high) = self.interval(p_failure, known);
        Some(Scored {
            p_failure,
            low,
            high,
            band: Band::of(p_failure, self.bands),
            missing,
            reasons: Vec::new(),
        })
    }

    /// The table of the largest known-set within this one: never more certainty than is due. Without any, all is possible.
    fn interval(&self, p_failure: f64, known: u128) -> (f64, f64) {
        let table = self
            .patterns
            .iter()
            .find(|(present, _)| present & known == *present);
        let bin = table.and_then(|(_, bins)| bins.iter().find(|bin| p_failure <= bin.upto));
        bin.map_or((0.0, 1.0), |bin| {
            (bin.low.min(p_failure), bin.high.max(p_failure))
        })
    }
}

/// Contributions as reasons: largest first, by name among equals; what moved nothing is left out.
#[must_use]
pub fn reasons(features: &[Feature], log_odds: &[f64], at_most: usize) -> Vec<Contribution> {
    let mut order: Vec<(&Feature, f64)> = features.iter().zip(log_odds.iter().copied()).collect();
    order.retain(|(_, moved)| *moved != 0.0);
    order.sort_by(|(a, x), (b, y)| y.abs().total_cmp(&x.abs()).then_with(|| a.name.cmp(&b.name)));
    let reason = |(feature, log_odds): (&Feature, f64)| Contribution {
        feature: feature.name.clone(),
        value: feature.value,
        log_odds,
    };
    order.into_iter().take(at_most).map(reason).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedded;

    fn features(known: impl Fn(&str) -> bool) -> Vec<Feature> {
        let manifest = Manifest::parse(embedded::MANIFEST).unwrap();
        let feature = |name: String| {
            if known(&name) {
                Feature::present(name, 1.0)
            } else {
                Feature::absent(name, Status::NotFound)
            }
        };
        manifest.features.into_iter().map(|f| feature(f.name)).collect()
    }

    fn scale() -> Scale {
        Scale::of(&Manifest::parse(embedded::MANIFEST).unwrap())
    }

    #[test]
    fn less_known_is_less_sure() {
        let full = scale().read(0.2, &features(|_| true)).unwrap();
        let none = scale().read(0.2, &features(|_| false)).unwrap();
        assert!(full.missing.is_empty() && none.missing.len() == 14);
        assert!(none.high - none.low > full.high - full.low, "{none:?} {full:?}");
    }

    #[test]
    fn the_table_of_the_largest_known_subset_is_taken() {
        let manifest = Manifest::parse(embedded::MANIFEST).unwrap();
        let table = |name: &str| manifest.interval.patterns[name].bins[0];
        let counts = ["subsystems", "directories", "files", "is_fix"];
        // An extra feature that no table lists does not claim the next larger table.
        let some = features(|name| counts.contains(&name) || name == "age_days");
        let scored = scale().read(0.001, &some).unwrap();
        assert_eq!((scored.low, scored.high), (0.001, table("paths").high));
    }

    #[test]
    fn no_number_is_no_score() {
        assert_eq!(scale().read(f64::NAN, &features(|_| true)), None);
        assert_eq!(
            scale().read(1.000_001, &features(|_| true)).unwrap().p_failure,
            1.0
        );
    }

    #[test]
    fn reasons_are_sorted_and_cut() {
        let features = [
            Feature::present("a", 1.0),
            Feature::present("b", 2.0),
            Feature::present("c", 3.0),
        ];
        let found = reasons(&features, &[0.1, -0.5, 0.0], 5);
        assert_eq!(
            found.iter().map(|r| r.feature.as_str()).collect::<Vec<_>>(),
            ["b", "a"]
        );
        assert_eq!(reasons(&features, &[0.1, -0.5, 0.3], 2).len(), 2);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_probability(p in 0.0_f64..=1.0, mask in any::<u16>()) {
            let mut at = 0;
            let all = features(|_| true);
            let some: Vec<_> = all.into_iter().map(|f| {
                at += 1;
                if mask >> at & 1 == 1 { f } else { Feature::absent(f.name, Status::Null) }
            }).collect();
            let s = scale().read(p, &some).unwrap();
            prop_assert!(0.0 <= s.low && s.low <= s.p_failure && s.p_failure <= s.high && s.high <= 1.0);
        }
    }
}
