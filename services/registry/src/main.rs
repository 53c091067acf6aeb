//! Runs the registry alone.
fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_registry::SERVICE])
}
