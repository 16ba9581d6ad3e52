//! `assay-collector backup`, `restore`, `migrate`: the store as a whole, out and in.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;

use super::data::{DATA, block_on, existing, keys};
use super::exit::Exit;
use super::output;
use crate::collector::lock;
use crate::collector::store::{Moved, Store, is_postgres, url_file};
use crate::host::{clock, durable};

/// Rows between two steps of the progress line.
const STEP: u64 = 1000;

/// Arguments of `assay-collector backup`.
#[derive(Args, Debug)]
#[command(after_help = BACKUP)]
pub struct Backup {
    /// Where to write it; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Data folder of the collector
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

/// Arguments of `assay-collector restore`.
#[derive(Args, Debug)]
#[command(after_help = RESTORE)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// Data folder with the collector's keys and no database yet
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

/// Arguments of `assay-collector migrate`.
#[derive(Args, Debug)]
#[command(after_help = MIGRATE)]
pub struct Migrate {
    /// Where to: the address of an empty PostgreSQL database, or `sqlite` for the data folder
    #[arg(long, value_name = "URL")]
    to: String,
    /// Data folder of the collector, which must be stopped
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

const BACKUP: &str = "Examples:
  assay-collector backup --out /backup/assay-$(date +%F).zst
  assay-collector backup --out ./assay.zst --data ./data

The collector may go on meanwhile. The keys (ca-key.pem, ledger-key.pem) are not in it: keep them elsewhere.";

const RESTORE: &str = "Examples:
  assay-collector restore /backup/assay-2026-11-18.zst
  assay-collector restore ./assay.zst --data ./new-data

The data folder must hold the keys of the collector that was backed up. Reports that came after the backup are
missed when the collector starts; then `assay-collector ledger resume` goes on and asks the agents for them.";

const MIGRATE: &str = "Examples:
  assay-collector migrate --to 'postgres://assay@db.example:5432/assay?sslmode=verify-full'
  assay-collector migrate --to sqlite
  assay-collector migrate --to postgres:///assay?host=/run/postgresql --data ./data

The schema of a database is brought up to date by itself when the collector starts.";

/// Runs `backup`.
pub fn back_up(arguments: &Backup) -> anyhow::Result<Exit> {
    block_on(async {
        let store = existing(&arguments.data).await?;
        let out = &arguments.out;
        if out.exists() {
            bail!("--out {} is there already; name a new file", out.display());
        }
        // Whole under its name or not at all.
        let half = out.with_extension("unfinished");
        let file = File::options().create_new(true).write(true).mode(0o600).open(&half).with_context(|| format!("{} can't be made", half.display()))?;
        let mut writer = BufWriter::new(&file);
        let made = store.back_up(&mut writer, clock::unix_now(), &|rows| step("backing up", rows)).await;
        drop(writer);
        let moved = match made.map_err(anyhow::Error::from).and_then(|moved| Ok((moved, file.sync_all()?))) {
            Ok((moved, ())) => moved,
            Err(e) => {
                let _ = std::fs::remove_file(&half);
                return Err(e);
            }
        };
        std::fs::rename(&half, out).with_context(|| format!("{} can't be named {}", half.display(), out.display()))?;
        durable::sync_parent(out).with_context(|| out.display().to_string())?;
        output::end_of_steps();
        told(&format!("{} holds", out.display()), &moved)?;
        output::line("The keys are not in it: ca-key.pem and ledger-key.pem of the data folder must be kept elsewhere.")?;
        store.close().await;
        Ok(Exit::Ok)
    })
}

/// Runs `restore`.
pub fn restore(arguments: &Restore) -> anyhow::Result<Exit> {
    block_on(async {
        let file = File::open(&arguments.file).with_context(|| format!("{} can't be read", arguments.file.display()))?;
        let store = existing(&arguments.data).await.context("put the collector's keys into the data folder first")?;
        let _lock = lock(&arguments.data)?;
        let keys = keys(&arguments.data)?;
        let moved = store.restore(BufReader::new(file), &|rows| step("restoring", rows)).await;
        output::end_of_steps();
        let moved = moved.with_context(|| arguments.file.display().to_string())?;
        crate::collector::sequencer::stored_tree(&store, &keys.verifier).await?;
        told("restored", &moved)?;
        store.close().await;
        Ok(Exit::Ok)
    })
}

/// Runs `migrate`.
pub fn migrate(arguments: &Migrate) -> anyhow::Result<Exit> {
    let data = &arguments.data;
    block_on(async {
        let from = existing(data).await?;
        let _lock = lock(data)?;
        let keys = keys(data)?;
        let to = match arguments.to.as_str() {
            "sqlite" => Store::open_sqlite(data).await?,
            url if is_postgres(url) => Store::open_postgres(data, url).await?,
            other => bail!("--to {other:?}: write sqlite or postgres://USER@HOST:PORT/DATABASE"),
        };
        if to.engine() == from.engine() && arguments.to == "sqlite" {
            bail!("the store is in SQLite already");
        }
        let moved = from.copy_to(&to, &|rows| step("moving", rows)).await;
        output::end_of_steps();
        let moved = moved?;
        crate::collector::sequencer::stored_tree(&to, &keys.verifier).await?;
        // From here on every command uses the new one; the old one stays as it is.
        switch(data, &arguments.to)?;
        told("moved", &moved)?;
        output::line("The old database is as it was; remove it when the collector has run on the new one.")?;
        from.close().await;
        to.close().await;
        Ok(Exit::Ok)
    })
}

fn switch(data: &Path, to: &str) -> anyhow::Result<()> {
    let file = url_file(data);
    if to == "sqlite" {
        std::fs::remove_file(&file).with_context(|| format!("{} can't be removed", file.display()))?;
        return Ok(durable::sync_parent(&file)?);
    }
    durable::write(&file, format!("{to}\n").as_bytes(), 0o600).with_context(|| format!("{} can't be written", file.display()))
}

fn told(what: &str, moved: &Moved) -> anyhow::Result<()> {
    let digest = moved.digest.map_or_else(String::new, |d| format!("\nSHA-256 of its content {d}"));
    output::line(&format!("{what} {} rows, {} entries of the ledger{digest}", moved.rows, moved.ledger))
}

fn step(what: &str, rows: u64) {
    static SHOWN: AtomicU64 = AtomicU64::new(0);
    if rows.is_multiple_of(STEP) && SHOWN.swap(rows, Ordering::Relaxed) != rows {
        output::step(&format!("{what}: {rows} rows"));
    }
}
