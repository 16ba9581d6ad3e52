//! `assay-collector erase`: what is kept of a host or a person goes, the proofs stay.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::data::{DATA, actor, block_on, existing};
use super::exit::Exit;
use super::hosts::find;
use super::output;
use crate::host::clock;

/// Shortest word that stands for a person, characters: a shorter one would be found everywhere.
const MIN_WORD: usize = 3;

/// Arguments of `assay-collector erase`.
#[derive(Args, Debug)]
pub struct Arguments {
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
    /// Erase a person's login name or mail address from the facts and verdicts of every host, and from the records
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

A host on which the person still has an account tells it again with its next report: remove the account first.
Files of records are searched for the word as it is: what a compressed or scanned file says of the person is found by its entry alone.";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    block_on(async {
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
                if !erased.lists.is_empty() {
                    output::line(&format!("the bytes of {} past versions of lists erased", erased.lists.len()))?;
                }
                for list in store.lists_naming(word).await? {
                    output::line(&format!("the {} in force (version {}) still names it: put a version without it, then erase again", list.name, list.version))?;
                }
                if !erased.records.is_empty() || !erased.files.is_empty() {
                    output::line(&format!("{} events of records say {pseudonym} now, {} of their files erased", erased.records.len(), erased.files.len()))?;
                }
                store.close().await;
            }
        }
        Ok(Exit::Ok)
    })
}
