//! Runs the proxy alone.
fn main() {}
