//! Training.

pub mod artifact;
pub mod backtest;
pub mod candidate;
pub mod choose;
pub mod encode;
pub mod evaluate;
pub mod fault;
pub mod figures;
pub mod fit;
pub mod golden;
pub mod graph;
pub mod local;
pub mod plugin;
pub mod prepare;
pub mod report;
pub mod request;
pub mod sample;
mod suspect;
pub mod table;
pub mod train;
pub mod verdict;

pub use candidate::Candidate;
pub use evaluate::{Evaluation, evaluate};
pub use fault::Fault;
pub use report::Report;
pub use request::{Bench, Recalibrate, Request};
pub use train::train;
