//! Runs scoring alone.
fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_scoring::SERVICE])
}
