//! `assay-collector serve`

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use crate::collector::{self, auth};
use crate::config::collector::Config;
use crate::host::clock;

/// Arguments of `assay-collector serve`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Configuration file; the options below win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data folder [default: /var/lib/assay-collector]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where agents connect [default: 0.0.0.0:9443]
    #[arg(long, value_name = "ADDR:PORT")]
    agents: Option<SocketAddr>,
    /// Where people connect [default: 0.0.0.0:8443]
    #[arg(long, value_name = "ADDR:PORT")]
    people: Option<SocketAddr>,
    /// Where monitoring asks for /metrics, /healthz and /readyz, plain HTTP on a loopback address [default: nowhere]
    #[arg(long, value_name = "ADDR:PORT")]
    operations: Option<SocketAddr>,
    /// How the log is written to standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Name or address by which agents and people reach this collector (repeatable)
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Serve people plain HTTP, on a loopback address only
    #[arg(long)]
    plain_http: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line: timestamp, level, message and the fields of the event.
    Json,
}

const EXAMPLES: &str = "Examples:
  assay-collector serve --data /var/lib/assay-collector --name collector.example.com
  assay-collector serve --config /etc/assay/collector.yaml --log-format json --operations 127.0.0.1:9464
  assay-collector serve --data ./data --agents 127.0.0.1:9443 --people 127.0.0.1:8080 --plain-http";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    log(arguments.log_format);
    let config = configuration(arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the listeners open: an early signal must not end the process half-way.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let running = collector::start(config).await?;
        let app = &running.app;
        tracing::info!(agents = app.agents_url, people = app.people_url, ledger = %app.verifier, "serving");
        if let Some(operations) = running.operations {
            tracing::info!(operations = %operations, "metrics and health are told");
        }
        if app.store.user_count().await? == 0 {
            let token = auth::issue_setup(&app.store, clock::unix_now()).await?;
            tracing::info!(
                "nobody can sign in yet: open {}/setup?token={token} once, within a day, or run `assay-collector user add NAME --role admin`",
                app.people_url
            );
        }
        let mut halt = app.halt.subscribe();
        let reason = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            halted = halt.wait_for(Option::is_some) => halted.ok().and_then(|reason| reason.clone()),
        };
        tracing::info!("stopping");
        running.stop().await;
        reason.map_or(Ok(Exit::Ok), |reason| Err(anyhow::anyhow!(reason)))
    })
}

fn log(format: LogFormat) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => builder.with_ansi(colour).init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
}

fn configuration(arguments: &Arguments) -> anyhow::Result<Config> {
    let mut config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    if let Some(data) = &arguments.data {
        config.data.clone_from(data);
    }
    config.agents = arguments.agents.unwrap_or(config.agents);
    config.people = arguments.people.unwrap_or(config.people);
    config.operations = arguments.operations.or(config.operations);
    config.names.extend(arguments.names.iter().cloned());
    config.plain_http |= arguments.plain_http;
    config.check("arguments")?;
    Ok(config)
}
