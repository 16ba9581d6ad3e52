//! `assay-collector list`: what people give the collector to judge by, in versions.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::data::{DATA, actor, block_on, existing, moment, time};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::bounded;
use crate::collector::lists::{self, List};
use crate::collector::store::ListVersion;
use crate::host::clock;
use crate::ledger::Kind;
use crate::model::table::TABLE_LIMIT;
use crate::report::text::plain;

/// Arguments of `assay-collector list`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put a new version of a list into force; a running collector judges by it within seconds
    #[command(after_help = PUT)]
    Put {
        /// Which list: roster, approvals, third-parties, inventory or labels
        name: String,
        /// CSV or JSON
        file: PathBuf,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Print a version of a list as it was given
    #[command(after_help = SHOW)]
    Show {
        /// Which list: one of the five, or policy
        name: String,
        /// The version that was in force then: a day (as of its end, UTC) or a time
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// List the versions of a list: since when, until when, rows, by whom, digest
    #[command(after_help = HISTORY)]
    History {
        /// Which list: one of the five, policy, advisories or commitments
        name: String,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const PUT: &str = "Examples:
  assay-collector list put roster people.csv
  assay-collector list put approvals approved.json --data ./data
  assay-collector list put inventory instances.csv

A list that collector.yaml names a file for takes the file's word again when the file changes.";

const SHOW: &str = "Examples:
  assay-collector list show roster > people.csv
  assay-collector list show approvals --as-of 2026-06-30
  assay-collector list show policy --as-of 2026-06-30T12:00:00Z --data ./data";

const HISTORY: &str = "Examples:
  assay-collector list history roster
  assay-collector list history policy
  assay-collector list history approvals --format json --data ./data";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    block_on(async {
        match &arguments.command {
            Command::Put { name, file, data } => put(data, name, file).await,
            Command::Show { name, as_of, data } => show(data, name, as_of.as_deref()).await,
            Command::History { name, format, data } => history(data, name, *format).await,
        }
    })
}

async fn put(data: &Path, name: &str, file: &Path) -> anyhow::Result<Exit> {
    let names: Vec<&str> = List::ALL.iter().map(|l| l.name()).collect();
    let list = List::of(name).with_context(|| format!("there is no list {name:?} to put; there is {}", names.join(", ")))?;
    let bytes = bounded(file, TABLE_LIMIT as u64)?;
    let parsed = list.parse(&file.display().to_string(), &bytes)?;
    let store = existing(data).await?;
    let given = lists::put(&store, list, &parsed, bytes, &actor(), clock::unix_now()).await?;
    store.close().await;
    for note in parsed.notes() {
        output::line(&format!(" - {}", plain(note)))?;
    }
    let (version, rows) = (given.version, parsed.rows());
    let rows = format!("{rows} {}", if rows == 1 { "row" } else { "rows" });
    output::line(&match given.is_new {
        true => format!("{name}: version {version} with {rows} is in force"),
        false => format!("{name}: version {version} with {rows} is in force already and says the same"),
    })?;
    Ok(Exit::Ok)
}

async fn show(data: &Path, name: &str, as_of: Option<&str>) -> anyhow::Result<Exit> {
    let now = clock::unix_now();
    let at = as_of.map_or(Ok(now), |text| moment(text, now))?;
    let store = existing(data).await?;
    check(name)?;
    let Some(version) = store.list_at(name, at).await? else { bail!("no version of {name} was in force on {}", time(at)) };
    store.close().await;
    let Some(bytes) = version.bytes else { bail!("the bytes of version {} of {name} are not kept (SHA-256 {})", version.version, version.digest) };
    if std::io::stdout().is_terminal() {
        for line in String::from_utf8_lossy(&bytes).lines() {
            output::line(&plain(line))?;
        }
    } else {
        std::io::stdout().lock().write_all(&bytes).context("standard output")?;
    }
    Ok(Exit::Ok)
}

async fn history(data: &Path, name: &str, format: Format) -> anyhow::Result<Exit> {
    check(name)?;
    let store = existing(data).await?;
    let versions = store.list_history(name).await?;
    store.close().await;
    match format {
        Format::Json => output::line(&serde_json::to_string_pretty(&versions.iter().map(document).collect::<Vec<_>>())?)?,
        Format::Table if versions.is_empty() => output::line(&format!("no version of {name} was ever given"))?,
        Format::Table => output::line(&table(&versions))?,
    }
    Ok(Exit::Ok)
}

fn check(name: &str) -> anyhow::Result<()> {
    let names: Vec<&str> = Kind::ALL.into_iter().filter(|k| k.is_list()).map(Kind::id).collect();
    if !names.contains(&name) {
        bail!("there is no list {name:?}; there is {}", names.join(", "));
    }
    Ok(())
}

fn document(v: &ListVersion) -> serde_json::Value {
    serde_json::json!({
        "by": v.by, "digest": v.digest, "kept": v.kept, "name": v.name, "rows": v.rows, "since": v.since, "until": v.until, "version": v.version,
    })
}

fn table(versions: &[ListVersion]) -> String {
    let mut rows = Builder::default();
    rows.push_record(["VERSION", "SINCE", "UNTIL", "ROWS", "BYTES", "BY", "SHA-256"]);
    for v in versions {
        let (number, count) = (v.version.to_string(), v.rows.to_string());
        let until = v.until.map_or_else(|| "in force".into(), time);
        let kept = if v.kept { "kept" } else { "not kept" };
        rows.push_record([number.as_str(), &time(v.since), &until, &count, kept, &v.by, &v.digest.to_string()]);
    }
    rows.build().with(Style::blank()).to_string()
}
