//! `assay-collector fsck`: everything is read again, every difference named.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::data::{DATA, block_on, existing, keys};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::fsck::{self, Fsck};
use crate::collector::rotate;
use crate::ledger::rotation;

/// Arguments of `assay-collector fsck`.
#[derive(Args, Debug)]
#[command(after_help = FSCK)]
pub struct Arguments {
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Data folder of the collector
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

const FSCK: &str = "Examples:
  assay-collector fsck
  assay-collector fsck --format json --data ./data

Exit codes: 0 nothing differs, 1 something does or can't be read.";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    block_on(async {
        let store = existing(&arguments.data).await?;
        let keys = keys(&arguments.data)?;
        let ledger_keys = rotation::keys(&keys.verifier, &rotate::all(&store).await?);
        let found = fsck::fsck(&store, &ledger_keys, &|done, all| output::step(&format!("checking hosts {done} of {all}"))).await;
        output::end_of_steps();
        let found = found?;
        match arguments.format {
            Format::Json => output::line(&serde_json::to_string_pretty(&found)?)?,
            Format::Table => output::print(&table(&found))?,
        }
        store.close().await;
        if !found.is_clean() {
            bail!("{} differences", found.differences.len() as u64 + found.more);
        }
        Ok(Exit::Ok)
    })
}

fn table(found: &Fsck) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    // Writing to a String can't fail.
    for difference in &found.differences {
        let _ = writeln!(out, " ✕ {:<20} {}: {}", difference.id, difference.place, difference.message);
    }
    if found.more > 0 {
        let _ = writeln!(out, " … and {} more", found.more);
    }
    let _ = writeln!(out, "Checked:");
    for (what, count) in &found.checked {
        let _ = writeln!(out, " {count:>9}  {what}");
    }
    for (why, count) in &found.erased {
        let _ = writeln!(out, " {count:>9}  facts not kept: {why}");
    }
    let _ = writeln!(out, "{}", if found.is_clean() { "Nothing differs." } else { "Something differs: restore the newest backup, or ask who changed it." });
    out
}
