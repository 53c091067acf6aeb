//! Scoring: a feature vector becomes a calibrated probability of failure.

pub mod embedded;
pub mod explain;
pub mod latest;
pub mod manifest;
pub mod model;
pub mod onnx;
pub mod pool;
pub mod runtime;
pub mod score;
pub mod transform;
