//! The program.

fn main() -> std::process::ExitCode {
    auspex::cli::main()
}
