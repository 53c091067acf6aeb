//! The proofs: seeded simulations of false alarms and of detection. Pure; the caller spreads the cells over threads.

pub mod random;
pub mod values;

/// Share of the way through.
fn ratio_of(k: i64, of: u32) -> f64 {
    f64::from(i32::try_from(k).unwrap_or(i32::MAX)) / f64::from(of.max(1))
}
