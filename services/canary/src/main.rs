//! Runs canary control alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    auspex_chassis::main(&[auspex_canary::SERVICE])
}
