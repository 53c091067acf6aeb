//! Learning from a table of numbers, as far as it needs no library from outside: trees and how they are fitted, figures of
//! merit with their bounds, calibration, what to do as outcomes come in.
//!
//! Pure: no files, clock, network or randomness but that of a seed, so that the same table gives the same model, bit for bit.
//! Rows are in time order; nothing here ever shuffles across time. A failure is `true`, and every probability is one of
//! failure.

pub mod bins;
pub mod bounds;
pub mod calibrate;
pub mod conformal;
pub mod forest;
pub mod gbdt;
pub mod isotonic;
pub mod matrix;
pub mod metrics;
pub mod online;
pub mod random;
pub mod scorecard;
pub mod stack;

pub use forest::{Forest, Node, Tree};
pub use matrix::Matrix;

/// Probability of log-odds.
#[must_use]
pub fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// Log-odds of a probability, which is kept off 0 and 1 by 1e-7.
#[must_use]
pub fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-7, 1.0 - 1e-7);
    (p / (1.0 - p)).ln()
}
