//! `assay agent`

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use crate::agent::{seccomp, service};
use crate::config::agent::AgentConfig;

const EXAMPLES: &str = "\
Examples:
  assay agent                                    as the service does, after `assay enroll`
  assay agent --config /etc/assay/agent.yaml     with another configuration
  assay agent --once                             one scan, delivered with all that waits, and the end

Usage: assay agent [OPTIONS]

Options:
{options}
";

/// Arguments of `assay agent`.
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES)]
pub struct Arguments {
    /// Configuration [default: /etc/assay/agent.yaml if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Scan once on demand, deliver everything that waits, and end
    #[arg(long)]
    once: bool,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    seccomp::install()?;
    log();
    let config = AgentConfig::load(arguments.config.as_deref())?;
    if arguments.once {
        service::once(&config)?;
    } else {
        service::run(&config)?;
    }
    Ok(Exit::Ok)
}

/// Lines for the journal: no time (the journal has it), no colour.
pub(super) fn log() {
    // A second subscriber is refused; the first one serves as well.
    let _ = tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().with_target(false).with_ansi(false).try_init();
}
