//! Runs the operator alone.
fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_operator::SERVICE])
}
