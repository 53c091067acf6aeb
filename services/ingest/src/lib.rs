//! Ingest: what happened outside becomes facts.

pub mod normalize;
