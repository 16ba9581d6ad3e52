//! `assay-collector ledger`: looking at it, resuming it, changing its key.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::data::{DATA, actor, block_on, existing, keys};
use super::exit::Exit;
use super::output;
use crate::collector::{lock, resume, rotate, sequencer};

/// Arguments of `assay-collector ledger`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the ledger's size, root, key, and whether it was ever resumed
    Status {
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Give the ledger a new key, signed by the old one; agents and auditors follow from the old to the new
    #[command(after_help = ROTATE)]
    Rotate {
        /// Data folder of the collector, which must be stopped
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Print how the ledger came to its key, for auditors who hold an earlier one
    Rotations {
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Go on from a restored database that lacks entries which were published
    #[command(after_help = RESUME)]
    Resume {
        /// Data folder of the collector, which must be stopped
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const ROTATE: &str = "Examples:
  systemctl stop assay-collector && assay-collector ledger rotate && systemctl start assay-collector
  assay-collector ledger rotate --data ./data
  assay-collector ledger rotations > rotations.json      for assay evidence verify --rotations

Collectors that share a database must all be stopped, and get the new ledger-key.pem and ledger-origin.";

const RESUME: &str = "Examples:
  assay-collector ledger resume
  assay-collector ledger resume --data ./data

The order becomes an entry of the ledger. Agents that hold receipts of lost reports are asked for them when they next
report (within 15 minutes) and send what they kept, 35 days; holes that stay are told by assay-collector ledger status.";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    block_on(async {
        match &arguments.command {
            Command::Status { data } => status(data).await,
            Command::Rotate { data } => {
                let store = existing(data).await?;
                let _lock = lock(data)?;
                let keys = keys(data)?;
                let key = rotate::rotate(&store, keys, &actor()).await?;
                output::line(&format!(
                    "the ledger's key is now {key}\nthe old key is gone; back up ledger-key.pem and ledger-origin, then start the collector"
                ))?;
                store.close().await;
                Ok(Exit::Ok)
            }
            Command::Rotations { data } => {
                let store = existing(data).await?;
                output::line(&serde_json::to_string_pretty(&rotate::all(&store).await?)?)?;
                store.close().await;
                Ok(Exit::Ok)
            }
            Command::Resume { data } => {
                let store = existing(data).await?;
                let _lock = lock(data)?;
                let keys = keys(data)?;
                let done = resume::resume(&store, keys, &actor()).await?;
                output::line(&format!(
                    "the ledger goes on behind entry {}; {} published entries are not in this database\nNext: start the collector; agents are asked for their reports, see assay-collector ledger status",
                    done.kept,
                    done.missing()
                ))?;
                store.close().await;
                Ok(Exit::Ok)
            }
        }
    })
}

async fn status(data: &std::path::Path) -> anyhow::Result<Exit> {
    let store = existing(data).await?;
    let keys = keys(data)?;
    let (size, root) = sequencer::stored_tree(&store, &keys.verifier).await?;
    let mut lines = vec![format!("ledger  {}", keys.verifier), format!("entries {size}"), format!("root    {root}")];
    for resumption in resume::all(&store).await? {
        let at = jiff::Timestamp::from_second(resumption.at).map_or_else(|_| resumption.at.to_string(), |t| t.strftime("%F %R UTC").to_string());
        lines.push(format!("resumed {at} by {}: {} of {} published entries were not in the database", resumption.by, resumption.missing(), resumption.lost));
    }
    let mut holes = 0;
    for host in store.hosts(Some(i64::MAX)).await? {
        for missing in store.missing_reports(&host.id).await? {
            holes += 1;
            lines.push(format!("missing {} reports {} to {} of lineage {}", host.name, missing.from, missing.to, missing.lineage));
        }
    }
    if holes == 0 {
        lines.push("no host has a hole in the numbers of its reports".into());
    }
    output::line(&lines.join("\n"))?;
    store.close().await;
    Ok(if holes == 0 { Exit::Ok } else { Exit::Incomplete })
}
