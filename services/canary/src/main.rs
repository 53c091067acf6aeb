//! Runs canary control alone.

fn main() {}
