//! Runs the routers alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    auspex_chassis::main(&[auspex_router::SERVICE])
}
