//! `assay enroll`

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::exit::Exit;
use crate::agent::{enrol, seccomp};
use crate::config::agent::{AgentConfig, DEFAULT_PATH};
use crate::pki::token::Token;

/// Largest token file, bytes.
const MAX_TOKEN: u64 = 4096;

const EXAMPLES: &str = "\
Examples:
  sudo -u assay-agent assay enroll --collector https://collector.example:8443 --token-file token
  assay enroll --token-file - < token                with the collector of /etc/assay/agent.yaml
  assay enroll --collector https://10.0.0.5:8443 --token assay1.SECRET.PIN --state ./state
  assay enroll --collector https://10.0.0.5:8443 --token-file - --name web01 < token

Usage: assay enroll [OPTIONS] <--token <TOKEN>|--token-file <FILE>>

Options:
{options}
";

/// Arguments of `assay enroll`.
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES)]
pub struct Arguments {
    /// Address of the collector's listener for agents, https://HOST:PORT [default: `collector` of the configuration]
    #[arg(long, value_name = "URL")]
    collector: Option<String>,
    /// Token as `assay-collector token` prints it; other users can see it in the process list
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file", required_unless_present = "token_file")]
    token: Option<String>,
    /// File with the token; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Folder for key, certificate, state and spool [default: `state_dir` of the configuration]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Configuration [default: /etc/assay/agent.yaml if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the host is called at the collector [default: its host name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    seccomp::install()?;
    let text = match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) => read_token(path)?,
        (None, None) => anyhow::bail!("give --token TOKEN or --token-file FILE"),
    };
    let token: Token = text.parse()?;
    let config = AgentConfig::load(arguments.config.as_deref())?;
    let collector = arguments.collector.as_deref().unwrap_or(&config.collector);
    if collector.is_empty() {
        anyhow::bail!("no collector: give --collector https://HOST:PORT, or set `collector` in {DEFAULT_PATH}");
    }
    let state = arguments.state.as_deref().unwrap_or(&config.state_dir);
    let identity = enrol::enrol(collector, &token, state, arguments.name.as_deref())?;
    let state = state.display();
    writeln!(std::io::stdout(), "{} is enrolled as {}\nstate in {state}; next: assay agent", identity.name, identity.host).context("standard output")?;
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
