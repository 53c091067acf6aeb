//! A model version: what it says of itself, the checks it must pass before it may score, its session, its reasons.
//!
//! Whoever judges a model uses this crate and no other: scoring before it serves it, the registry before a version takes an
//! alias, the trainer before it publishes one. So a version that passes anywhere passes everywhere.
//!
//! No bus, no clock, no network. [`runtime`] is the one place that runs a graph.

pub mod calibration;
pub mod embedded;
pub mod explain;
pub mod folder;
pub mod manifest;
pub mod model;
pub mod onnx;
pub mod reasons;
pub mod runtime;
pub mod score;

pub use manifest::Manifest;
pub use model::{Files, Model, ModelFault};
pub use reasons::Explained;
pub use runtime::{Reasons, Runtime, ScoreFault, Scorer};
pub use score::Scored;
