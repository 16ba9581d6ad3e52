//! `assay gatherer`

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use crate::agent::gatherer::Gatherer;
use crate::agent::seccomp;
use crate::config::agent::AgentConfig;
use crate::host::Host;

const EXAMPLES: &str = "\
Examples:
  assay gatherer                                     as the service does
  assay gatherer --config /etc/assay/agent.yaml      with another configuration
  systemctl status assay-gatherer

Usage: assay gatherer [OPTIONS]

Options:
{options}
";

/// Arguments of `assay gatherer`.
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES)]
pub struct Arguments {
    /// Configuration [default: /etc/assay/agent.yaml if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    seccomp::install()?;
    super::service::log();
    let config = AgentConfig::load(arguments.config.as_deref())?;
    let gatherer = Gatherer::bind(Host::live()?.with_declared(config.declared()), &config.gatherer.socket, &config.gatherer.agent_user)?;
    // From here on it only reads.
    seccomp::read_only()?;
    gatherer.serve();
    Ok(Exit::Ok)
}
