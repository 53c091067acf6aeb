//! Runs the service `history` alone.

fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_history::SERVICE])
}
