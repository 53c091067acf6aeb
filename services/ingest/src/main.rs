//! Runs ingest alone.
fn main() {}
