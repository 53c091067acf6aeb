//! Runs ingest alone.

fn main() -> std::process::ExitCode {
    auspex_chassis::main(&[auspex_ingest::SERVICE])
}
