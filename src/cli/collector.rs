//! The `assay-collector` command line.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Keeps, judges and shows what the agents report.
#[derive(Debug, Parser)]
#[command(name = "assay-collector", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve agents and people
    Serve(super::serve::Arguments),
    /// Try everything on this machine: a collector, this machine enrolled and scanned, the pages
    Demo(super::demo::Arguments),
    /// Make tokens: for hosts that enrol, for programs that use the API
    Token(super::token::Arguments),
    /// Say who may sign in and what they may do
    User(super::user::Arguments),
    /// Give lists to judge by, such as the roster, and look at their versions
    List(super::list::Arguments),
    /// The company's own sentences: whether each is true, since when, where not; and a status page for the public
    Commitments(super::commitments::Arguments),
    /// Record what people must say: incidents, sub-processors, trainings, reviews and the like
    Record(super::record::Arguments),
    /// Open findings of the fleet: list them, say who deals with them, take a baseline
    Finding(super::finding::Arguments),
    /// Accept a failure for a time: asked for by one person, approved by another
    Waiver(super::waiver::Arguments),
    /// Export SOC 2 evidence
    Evidence(super::export::Arguments),
    /// List hosts, and take them out of the population
    Host(super::hosts::Arguments),
    /// Look at the ledger, or go on from a restored database
    Ledger(super::ledger::Arguments),
    /// Erase what is kept of a host or a person, without breaking a proof
    Erase(super::erase::Arguments),
    /// Write the whole store into one file, while the collector works
    Backup(super::backup::Backup),
    /// Fill an empty store from a backup
    Restore(super::backup::Restore),
    /// Move the store to another database
    Migrate(super::backup::Migrate),
    /// Read everything again and name every difference
    Fsck(super::fsck::Arguments),
}

/// The command line as data, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the process's arguments and runs.
pub fn main() -> ExitCode {
    let cli: Cli = match super::assay::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    super::assay::finish(match &cli.command {
        Command::Serve(a) => super::serve::run(a),
        Command::Demo(a) => super::demo::run(a),
        Command::Token(a) => super::token::run(a),
        Command::User(a) => super::user::run(a),
        Command::List(a) => super::list::run(a),
        Command::Commitments(a) => super::commitments::run(a),
        Command::Record(a) => super::record::run(a),
        Command::Finding(a) => super::finding::run(a),
        Command::Waiver(a) => super::waiver::run(a),
        Command::Evidence(a) => super::export::run(a),
        Command::Host(a) => super::hosts::run(a),
        Command::Ledger(a) => super::ledger::run(a),
        Command::Erase(a) => super::erase::run(a),
        Command::Backup(a) => super::backup::back_up(a),
        Command::Restore(a) => super::backup::restore(a),
        Command::Migrate(a) => super::backup::migrate(a),
        Command::Fsck(a) => super::fsck::run(a),
    })
}
