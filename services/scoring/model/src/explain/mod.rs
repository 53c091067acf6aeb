//! Why a score is what it is: exact path-dependent TreeSHAP (Lundberg et al. 2018) over the very ONNX that is served.
//!
//! Contributions are in log-odds *before* calibration and add up, with [`Ensemble::base`], to the raw log-odds.
//!
//! The trees are laid out once, at load, parents before children, with what each step does to the path of a row that takes it
//! and of one that does not ([`quadrature`]: exact, at a few points). Explaining a row is then one pass down and one pass up,
//! with no recursion, and a feature asked about twice on a path counts once, as it must.

mod bunch;
mod columns;
pub mod quadrature;
mod shap;
mod trees;

pub use self::columns::EnsembleFault;
pub use self::trees::Ensemble;

#[cfg(test)]
mod tests;
