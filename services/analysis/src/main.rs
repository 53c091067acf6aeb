//! Runs this service alone.

fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_analysis::SERVICE])
}
