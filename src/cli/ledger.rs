//! `assay-collector ledger` and `assay-collector erase`: orders that the ledger itself records.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::exit::Exit;
use super::hosts::{DATA, actor, existing, find};
use super::output;
use crate::collector::{Keys, lock, resume, rotate, sequencer};
use crate::host::clock;

/// Shortest word that stands for a person, characters: a shorter one would be found everywhere.
const MIN_WORD: usize = 3;

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

/// Arguments of `assay-collector erase`.
#[derive(Args, Debug)]
pub struct Erase {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Erase what is kept of a retired host; its reports' digests and the ledger stay, so that every proof holds
    #[command(after_help = ERASE_HOST)]
    Host {
        /// Name or id
        host: String,
        /// Why; kept as evidence, so name no person
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Erase a person's login name or mail address from the facts and verdicts of every host
    #[command(after_help = ERASE_PERSON)]
    Person {
        /// The word that stands for the person, such as a login name
        word: String,
        /// Why; kept as evidence, so name no person
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const ERASE_HOST: &str = "Examples:
  assay-collector erase host web07 --why 'request 2026-114'
  assay-collector erase host 3fd1…64-digit-id --why 'end of contract 88' --data ./data";

const ERASE_PERSON: &str = "Examples:
  assay-collector erase person m.keller --why 'request 2026-114'
  assay-collector erase person m.keller@example.com --why 'request 2026-114' --data ./data

A host on which the person still has an account tells it again with its next report: remove the account first.";

/// Runs `ledger`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &arguments.command {
            Command::Status { data } => status(data).await,
            Command::Rotate { data } => {
                let store = existing(data).await?;
                let _lock = lock(data)?;
                let keys = Keys::load_or_create(data, clock::unix_now())?;
                let key = rotate::rotate(&store, keys, &actor()).await?;
                output::line(&format!("the ledger's key is now {key}\nthe old key is gone; back up ledger-key.pem and ledger-origin, then start the collector"))?;
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
                let keys = Keys::load_or_create(data, clock::unix_now())?;
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
    let keys = Keys::load_or_create(data, clock::unix_now())?;
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

/// Runs `erase`.
pub fn erase(arguments: &Erase) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &arguments.what {
            What::Host { host, why, data } => {
                let store = existing(data).await?;
                let hosts = store.hosts(Some(i64::MAX)).await?;
                let host = find(&hosts, host)?;
                if !store.erase_host(host.id, &actor(), why, clock::unix_now()).await? {
                    bail!("{} is not retired, or was erased before; first: assay-collector host retire {} --why …", host.name, host.name);
                }
                output::line(&format!("{} is erased; its reports' digests and ledger entries stay", host.name))?;
                store.close().await;
            }
            What::Person { word, why, data } => {
                if word.chars().count() < MIN_WORD {
                    bail!("{word:?} is shorter than {MIN_WORD} characters and would be found everywhere; give the full login name or address");
                }
                let store = existing(data).await?;
                let pseudonym = format!("person-{}", crate::pki::random::<4>()?.iter().map(|b| format!("{b:02x}")).collect::<String>());
                let erased = store.erase_person(word, &pseudonym, &actor(), why, clock::unix_now()).await?;
                let (blobs, findings): (usize, u64) = erased.hosts.iter().fold((0, 0), |(b, f), h| (b + h.blobs.len(), f + h.findings));
                output::line(&format!("{blobs} facts of {} hosts erased, {findings} verdicts say {pseudonym} now", erased.hosts.len()))?;
                store.close().await;
            }
        }
        Ok(Exit::Ok)
    })
}
