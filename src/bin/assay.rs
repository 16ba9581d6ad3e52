//! The agent's binary.

fn main() -> std::process::ExitCode {
    assay::cli::assay::main()
}
