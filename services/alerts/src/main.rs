//! Runs the service `alerts` alone.

fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_alerts::SERVICE])
}
