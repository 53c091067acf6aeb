//! The proofs: seeded simulations of false alarms and of detection. Pure; the caller spreads the cells over threads.
//!
//! `cells()` lists the table; [`Cell::measure`] gives a cell's figures. The same seed gives the same figures.

mod cells;
pub mod counts;
pub mod latency;
pub mod peer;
pub mod portfolio;
pub mod random;
pub mod series;
pub mod speed;
mod table;
pub mod values;

pub use self::cells::cells;
pub use self::table::{Cell, Figure};

/// Share of the way through.
fn ratio_of(k: i64, of: u32) -> f64 {
    f64::from(i32::try_from(k).unwrap_or(i32::MAX)) / f64::from(of.max(1))
}
