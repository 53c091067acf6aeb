//! Who is dealt which version, and who is let go to learn from: by a hash of something that stays the same.
//!
//! Equal units are dealt equally, on any replica and in any replay, and what one experiment deals says nothing about what the
//! next one does: its name is part of the hash.

use auspex_proto::{EntityKind, FeatureVector};
use sha2::{Digest, Sha256};

/// What stays the same about a vector: its project and revision. All vectors of one change are dealt the same; those of a build,
/// which has a model of its own, by its run, whose attempts are dealt the same.
#[must_use]
pub fn unit(vector: &FeatureVector) -> String {
    match vector.entity.kind {
        EntityKind::Change | EntityKind::Deployment => {
            format!("{}\n{}", vector.meta.project, vector.entity.revision)
        }
        EntityKind::Run => format!("{}\nrun\n{}", vector.meta.project, vector.entity.id),
    }
}

/// Where a unit stands among all, in [0, 1), under a salt.
#[must_use]
pub fn place(salt: &str, unit: &str) -> f64 {
    let digest = Sha256::new_with_prefix(salt.as_bytes())
        .chain_update(b"\n")
        .chain_update(unit.as_bytes())
        .finalize();
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    // The upper 53 bits are a number exactly.
    (u64::from_be_bytes(first) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Whether a unit is dealt the challenger.
#[must_use]
pub fn challenged(experiment: &str, unit: &str, percent: u8) -> bool {
    place(experiment, unit) * 100.0 < f64::from(percent)
}

/// Whether a unit is let go although it would be held back.
#[must_use]
pub fn released(unit: &str, share: f64) -> bool {
    place("release quota", unit) < share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_dealt_and_stays_dealt() {
        let units: Vec<String> = (0..20_000).map(|n| format!("shop\nrevision-{n}")).collect();
        let dealt = |name: &str, percent| {
            let all = units.iter().map(|unit| challenged(name, unit, percent));
            all.collect::<Vec<bool>>()
        };
        let ten = dealt("e1", 10);
        assert_eq!(ten, dealt("e1", 10));
        let share = ten.iter().filter(|d| **d).count() as f64 / 20_000.0;
        assert!((share - 0.1).abs() < 0.01, "{share}");
        // Raising the share takes nobody's version away.
        let thirty = dealt("e1", 30);
        assert!(ten.iter().zip(&thirty).all(|(a, b)| !a || *b));
        // Another experiment deals anew.
        let other = dealt("e2", 10);
        let both = ten.iter().zip(&other).filter(|(a, b)| **a && **b).count() as f64 / 20_000.0;
        assert!((both - 0.01).abs() < 0.005, "{both}");
        assert!(dealt("e1", 0).iter().all(|d| !d) && dealt("e1", 100).iter().all(|d| *d));
        let quota = units.iter().filter(|unit| released(unit, 0.02)).count();
        assert!((300..500).contains(&quota), "{quota}");
    }

    /// Written once: a replica of another build must deal the same.
    #[test]
    fn places_are_fixed() {
        let found = [place("e1", "a"), place("e1", "b"), place("e2", "a")];
        let golden = [0.5998550033834039, 0.06721508417063138, 0.09949201927492712];
        assert!(
            found
                .iter()
                .zip(golden)
                .all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-12)
        );
    }
}
