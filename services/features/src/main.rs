//! Runs features alone.
fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_features::SERVICE])
}
