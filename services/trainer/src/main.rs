//! Runs the trainer alone.
fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_trainer::SERVICE])
}
