//! `assay agent`

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use crate::agent::landlock::{self, Confined};
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
    confine(&config)?;
    if arguments.once {
        service::once(&config)?;
    } else {
        service::run(&config)?;
    }
    Ok(Exit::Ok)
}

/// Before any other thread starts. An agent that reads the machine itself must see all of it.
fn confine(config: &AgentConfig) -> anyhow::Result<()> {
    if config.gatherer.in_process {
        tracing::info!("not confined by landlock: gatherer.in_process reads the whole machine in this process");
        return Ok(());
    }
    match landlock::confine(config)? {
        Confined::Fully => tracing::info!("confined by landlock"),
        Confined::Partly => tracing::info!("confined by landlock as far as this kernel can"),
        Confined::Not => tracing::warn!("not confined by landlock: the kernel has none or an old one (Linux 5.19 and later)"),
    }
    Ok(())
}

/// Lines for the journal: no time (the journal has it), no colour.
pub(super) fn log() {
    // A second subscriber is refused; the first one serves as well.
    let _ = tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().with_target(false).with_ansi(false).try_init();
}
