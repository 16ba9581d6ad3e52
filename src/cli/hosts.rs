//! `assay-collector host`: the population, and who leaves it.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::data::{DATA, actor, block_on, existing, time};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::labels;
use crate::collector::store::{HostRow, Retirement};
use crate::host::clock;
use crate::model::labels::HostLabels;
use crate::report::text::plain;

/// Arguments of `assay-collector host`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List hosts with their state
    #[command(after_help = LIST)]
    List {
        /// Only hosts in this state: active, silent, retired or replaced
        #[arg(long)]
        state: Option<String>,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Say who owns a host, what it is for, how much hangs on it and where it is: a new version of the list `labels`
    #[command(after_help = LABEL)]
    Label {
        /// Name of the host; hosts of the same name share what is said
        host: String,
        /// Who answers for it
        #[arg(long, value_name = "TEXT", default_value = "")]
        owner: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        purpose: String,
        /// How much hangs on it: critical, high, medium or low
        #[arg(long, value_name = "WORD", default_value = "")]
        criticality: String,
        /// Region, zone or site
        #[arg(long, value_name = "TEXT", default_value = "")]
        region: String,
        /// A word of your own; may be given several times
        #[arg(long, value_name = "WORD")]
        label: Vec<String>,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Take a host out of the population, from now on; its reports and verdicts stay
    #[command(after_help = RETIRE)]
    Retire {
        /// Name or id of the host
        host: String,
        /// Why; kept as evidence
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// The enrolled host that takes its place: the population counts the two once
        #[arg(long, value_name = "HOST")]
        replaced_by: Option<String>,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const LIST: &str = "Examples:
  assay-collector host list
  assay-collector host list --state silent
  assay-collector host list --format json --data ./data";

const LABEL: &str = "Examples:
  assay-collector host label web01 --owner Ops --criticality high
  assay-collector host label web01 --owner Ops --purpose shop --region eu-1 --label pci
  assay-collector host label web01      takes back what was said";

const RETIRE: &str = "Examples:
  assay-collector host retire web07 --why 'contract ended on 30 June'
  assay-collector host retire web07 --replaced-by web12 --why 'moved to new hardware'
  assay-collector host retire 3fd1…64-digit-id --why 'enrolled by mistake' --data ./data";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    block_on(async {
        match &arguments.command {
            Command::List { state, format, data } => list(data, state.as_deref(), *format).await,
            Command::Label { host, owner, purpose, criticality, region, label, data } => {
                let (owner, purpose, criticality, region) = (owner.clone(), purpose.clone(), criticality.clone(), region.clone());
                let said = HostLabels { host: host.clone(), owner, purpose, criticality, region, labels: label.clone(), line: 0 };
                set_labels(data, said).await
            }
            Command::Retire { host, why, replaced_by, data } => retire(data, host, replaced_by.as_deref(), why).await,
        }
    })
}

async fn set_labels(data: &Path, said: HostLabels) -> anyhow::Result<Exit> {
    let store = existing(data).await?;
    let name = said.host.to_ascii_lowercase();
    let is_enrolled = store.host_names(None).await?.iter().any(|(_, host, _)| host.to_ascii_lowercase() == name);
    let given = labels::set(&store, said, &actor(), clock::unix_now()).await?;
    store.close().await;
    if !is_enrolled {
        output::line(&format!(" - no host is called {}; the words wait for one", plain(&name)))?;
    }
    output::line(&match given.is_new {
        true => format!("labels: version {} is in force", given.version),
        false => format!("labels: version {} is in force already and says the same", given.version),
    })?;
    Ok(Exit::Ok)
}

async fn list(data: &Path, state: Option<&str>, format: Format) -> anyhow::Result<Exit> {
    const STATES: [&str; 4] = ["active", "silent", "retired", "replaced"];
    if let Some(unknown) = state.filter(|s| !STATES.contains(s)) {
        bail!("--state {unknown:?} is unknown; there is {}", STATES.join(", "));
    }
    let store = existing(data).await?;
    let mut hosts = store.hosts(None).await?;
    hosts.retain(|h| state.is_none_or(|s| h.state.word() == s));
    match format {
        Format::Json => output::line(&serde_json::to_string_pretty(&hosts.iter().map(document).collect::<Vec<_>>())?)?,
        Format::Table => output::line(&table(&hosts))?,
    }
    store.close().await;
    Ok(Exit::Ok)
}

fn document(host: &HostRow) -> serde_json::Value {
    serde_json::json!({
        "id": host.id, "name": host.name, "state": host.state.word(), "os": host.os,
        "enrolled_at": host.enrolled_at, "seen_at": host.seen_at, "replaces": host.replaces,
    })
}

fn table(hosts: &[HostRow]) -> String {
    let mut rows = Builder::default();
    rows.push_record(["HOST", "STATE", "SYSTEM", "LAST HEARD", "ID"]);
    for host in hosts {
        let seen = host.seen_at.map_or_else(|| "never".into(), time);
        let short: String = host.id.to_string().chars().take(16).collect();
        rows.push_record([host.name.as_str(), host.state.word(), &host.os, &seen, &short]);
    }
    rows.build().with(Style::blank()).to_string()
}

async fn retire(data: &Path, host: &str, replaced_by: Option<&str>, why: &str) -> anyhow::Result<Exit> {
    if why.trim().is_empty() {
        bail!("--why is empty; say why, an auditor will ask");
    }
    let store = existing(data).await?;
    let hosts = store.hosts(Some(i64::MAX)).await?;
    let (old, new) = (find(&hosts, host)?, replaced_by.map(|name| find(&hosts, name)).transpose()?);
    let retirement = Retirement { at: clock::unix_now(), by: actor(), host: old.id, replaced_by: new.map(|h| h.id), why: why.into() };
    if !store.retire(&retirement).await? {
        match new {
            Some(new) => bail!("{} was taken out before, or {} can't take its place (it has taken another's, or is retired)", old.name, new.name),
            None => bail!("{} was taken out before", old.name),
        }
    }
    output::line(&format!("{} is retired: no report of it is accepted from now on, and its certificate is refused within seconds", old.name))?;
    store.close().await;
    Ok(Exit::Ok)
}

/// The host of this name or id; several of one name must be told apart by id.
pub(super) fn find<'h>(hosts: &'h [HostRow], name: &str) -> anyhow::Result<&'h HostRow> {
    let by_id = |h: &&HostRow| name.len() >= 8 && h.id.to_string().starts_with(name);
    let mut found: Vec<&HostRow> = hosts.iter().filter(by_id).collect();
    if found.is_empty() {
        found = hosts.iter().filter(|h| h.name == name).collect();
    }
    match found.as_slice() {
        [one] => Ok(one),
        [] => bail!("there is no host {name:?}; see assay-collector host list"),
        several => {
            let ids: Vec<String> = several.iter().map(|h| h.id.to_string().chars().take(16).collect()).collect();
            bail!("{} hosts are called {name:?}; give the id: {}", several.len(), ids.join(", "))
        }
    }
}
