//! Runs the proxy alone.
fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_proxy::SERVICE])
}
