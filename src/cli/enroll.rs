//! `assay enroll`

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::exit::Exit;
use crate::agent::{enrol, seccomp};
use crate::config::agent::{AgentConfig, DEFAULT_PATH};
use crate::config::proxy::Proxy;
use crate::pki::token::Token;

/// Largest token file, bytes.
const MAX_TOKEN: u64 = 4096;

const EXAMPLES: &str = "\
Examples:
  sudo -u assay-agent assay enroll --collector https://collector.example:9443 --token-file token
  assay enroll --token-file - < token               with the collector of /etc/assay/agent.yaml
  assay enroll --collector https://10.0.0.5:9443 --token assay1.SECRET.PIN --state ./state --name web01
  sudo -u assay-agent assay enroll --moved          after the machine-id was changed on purpose

Usage: assay enroll [OPTIONS] <--token <TOKEN>|--token-file <FILE>>
       assay enroll --moved [--state <DIR>]

Options:
{options}

On a clone of an enrolled machine, `assay enroll` with a token makes the clone a host of its own; what the other
machine had in its spool is set aside below the state folder.
";

/// Arguments of `assay enroll`.
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES)]
pub struct Arguments {
    /// Address of the collector's listener for agents, https://HOST:PORT [default: `collector` of the configuration]
    #[arg(long, value_name = "URL", conflicts_with = "moved")]
    collector: Option<String>,
    /// Token as `assay-collector token` prints it; other users can see it in the process list
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["token_file", "moved"], required_unless_present_any = ["token_file", "moved"])]
    token: Option<String>,
    /// File with the token; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "moved")]
    token_file: Option<PathBuf>,
    /// Folder for key, certificate, state and spool [default: `state_dir` of the configuration]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// What the host is called at the collector [default: its host name]
    #[arg(long, value_name = "NAME", conflicts_with = "moved")]
    name: Option<String>,
    /// HTTP proxy, http://HOST:PORT [default: that of the configuration]; a password belongs into the configuration, for other
    /// users can see arguments in the process list
    #[arg(long, value_name = "URL", conflicts_with = "moved")]
    proxy: Option<Proxy>,
    /// Configuration of the agent [default: /etc/assay/agent.yaml if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The machine-id was changed on purpose: bind the identity that is there to this machine
    #[arg(long)]
    moved: bool,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    seccomp::install()?;
    super::service::log();
    let config = AgentConfig::load(arguments.config.as_deref())?;
    let state = arguments.state.as_ref().unwrap_or(&config.state_dir);
    let mut out = std::io::stdout();
    if arguments.moved {
        let identity = enrol::moved(state)?;
        writeln!(out, "{} ({}) is bound to this machine now; next: assay agent", identity.name, identity.host).context("standard output")?;
        return Ok(Exit::Ok);
    }
    let text = match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) => read_token(path)?,
        (None, None) => anyhow::bail!("give --token TOKEN or --token-file FILE"),
    };
    let token: Token = text.parse()?;
    let collector = arguments.collector.as_ref().unwrap_or(&config.collector);
    anyhow::ensure!(!collector.is_empty(), "no collector: give --collector https://HOST:PORT, or set `collector` in {DEFAULT_PATH}");
    let proxy = arguments.proxy.as_ref().unwrap_or(&config.proxy);
    let identity = enrol::enrol_through(proxy, collector, &token, state, arguments.name.as_deref())?;
    writeln!(out, "{} is enrolled as {}\nstate in {}; next: assay agent", identity.name, identity.host, state.display()).context("standard output")?;
    if *proxy != config.proxy {
        writeln!(out, "set `proxy` in the agent's configuration, so that the agent goes the same way").context("standard output")?;
    }
    Ok(Exit::Ok)
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(MAX_TOKEN).read_to_string(&mut text).context("standard input: token can't be read")?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("{}: token can't be read", path.display()))?;
        file.take(MAX_TOKEN).read_to_string(&mut text).with_context(|| format!("{}: token can't be read", path.display()))?;
    }
    Ok(text)
}
