//! Scoring: a feature vector becomes a calibrated probability of failure.

pub mod embedded;
pub mod explain;
pub mod manifest;
pub mod model;
pub mod onnx;
pub mod score;
