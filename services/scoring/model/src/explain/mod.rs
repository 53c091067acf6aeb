//! Why a score is what it is: exact path-dependent TreeSHAP (Lundberg et al. 2018) over the very ONNX that is served.
//!
//! Contributions are in log-odds *before* calibration and add up, with [`Ensemble::base`], to the raw log-odds.
//!
//! The trees are unrolled once, at load, into one rule per leaf: the features its path asks about, each with the interval
//! that leads there and the share of training rows that take that way. Explaining a row is then a scan over leaves, with no
//! recursion and no allocation, and a feature asked about twice on a path counts once, as it must.

mod shap;
mod trees;

pub use self::trees::{Ensemble, EnsembleFault};

#[cfg(test)]
mod tests;
