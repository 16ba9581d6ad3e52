//! The collector's binary.

fn main() -> std::process::ExitCode {
    assay::cli::collector::main()
}
