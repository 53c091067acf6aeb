//! Ingest: what happened outside becomes facts.

pub mod change_stats;
pub mod git;
pub mod normalize;
