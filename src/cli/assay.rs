//! The `assay` command line.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::exit;

/// Proves that what is promised about this server is true.
#[derive(Debug, Parser)]
#[command(name = "assay", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 error, 2 usage, 3 incomplete (something is unknown), 10 to 14 a failure at or above --fail-on (info, low, medium, high, critical)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Scan this machine, a mounted root or named endpoints, and show the findings
    Scan(Box<super::scan::Arguments>),
    /// Explain a rule, and why it fails on a subject here
    Explain(super::explain::Arguments),
    /// List, show, test and check rules
    Rules(super::rules::Arguments),
    /// Import published advisories, and match them with installed packages
    Advisories(super::advisories::Arguments),
    /// Enrol this machine at a collector
    Enroll(super::enroll::Arguments),
    /// Run the agent: scans on schedule, spools and uploads reports
    Agent(super::service::Arguments),
    /// Run the privileged half of the agent: reads the machine, touches no network
    Gatherer(super::gatherer::Arguments),
    /// Tell what this host lacks to be observed and to report, each gap with its cure
    Doctor(super::doctor::Arguments),
    /// Verify an evidence bundle offline
    Evidence(super::evidence::Arguments),
}

/// The command line as data, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the process's arguments and runs.
pub fn main() -> ExitCode {
    let cli: Cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    finish(match &cli.command {
        Command::Scan(a) => super::scan::run(a),
        Command::Explain(a) => super::explain::run(a),
        Command::Rules(a) => super::rules::run(a),
        Command::Advisories(a) => super::advisories::run(a),
        Command::Enroll(a) => super::enroll::run(a),
        Command::Agent(a) => super::service::run(a),
        Command::Gatherer(a) => super::gatherer::run(a),
        Command::Doctor(a) => super::doctor::run(a),
        Command::Evidence(a) => super::evidence::run(a),
    })
}

/// The arguments, or the exit code once help, version or what is wrong with them was printed.
pub(super) fn parse<T: Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|e| {
        // Nobody is left to tell when the terminal is gone.
        let _ = e.print();
        ExitCode::from(if e.use_stderr() { exit::USAGE } else { 0 })
    })
}

/// One sentence for an error, the code for everything else.
pub(super) fn finish(result: anyhow::Result<exit::Exit>) -> ExitCode {
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(e) => {
            #[expect(clippy::print_stderr, reason = "the one place where an error reaches the person")]
            {
                eprintln!("error: {e:#}");
            }
            ExitCode::from(exit::ERROR)
        }
    }
}
