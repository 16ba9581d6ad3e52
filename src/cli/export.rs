//! `assay-collector evidence`: exporting bundles, and the key to verify them with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::data::{DATA, block_on, keys};
use super::exit::Exit;
use super::output;
use crate::collector::commitments::pages;
use crate::collector::export::{Order, Source, bundle};
use crate::collector::rotate::KEY_FILE;
use crate::collector::store::Store;
use crate::evidence::material::{Scope, day_of};
use crate::evidence::text::count;
use crate::evidence::{Bundle, Period};
use crate::facts;
use crate::host::{clock, durable};
use crate::rules::Pack;
use crate::rules::framework::{self, Framework};

/// Arguments of `assay-collector evidence`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Export an evidence bundle of a framework over a period
    #[command(after_help = EXAMPLES)]
    Export(ExportArguments),
    /// Print the ledger's verifier key: what auditors pass to `assay evidence verify --key`
    Key {
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const EXAMPLES: &str = "Examples:
  assay-collector evidence export --framework soc2 --from 2026-01-01 --to 2026-06-30
  assay-collector evidence export --framework soc2 --from 2026-11-18 --to 2026-11-18 --out type1.zip
  assay-collector evidence export --framework soc2-2017 --from 2026-11-01 --to 2026-11-30 --data ./data

Both days are included, in UTC. The same day twice is evidence as of that day (Type 1).";

#[derive(Args, Debug)]
struct ExportArguments {
    /// Framework: its id, or its id without the version; or a page of commitments by its id, the company's own included
    #[arg(long)]
    framework: String,
    /// First day, YYYY-MM-DD, UTC
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Last day, YYYY-MM-DD, UTC
    #[arg(long, value_name = "DATE")]
    to: String,
    /// Data folder of the collector
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
    /// Where to write the bundle; otherwise assay-FRAMEWORK-FROM-TO.zip here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder of rules that the collector judges by, when not the built-in pack
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Export(arguments) => export(arguments),
        Command::Key { data } => key(data),
    }
}

fn key(data: &Path) -> anyhow::Result<Exit> {
    output::line(&keys(data)?.verifier.to_string())?;
    Ok(Exit::Ok)
}

fn export(arguments: &ExportArguments) -> anyhow::Result<Exit> {
    let period = Period::parse(&arguments.from, &arguments.to).context("--from, --to")?;
    let framework = &named(&arguments.data, &arguments.framework)?;
    let keys = keys(&arguments.data)?;
    let schemas = facts::schemas();
    let pack = arguments.rules.as_ref().map_or_else(|| Pack::builtin(schemas), |dir| Pack::load(dir, schemas))?;
    let out = arguments.out.clone().unwrap_or_else(|| format!("assay-{}-{}-{}.zip", framework.id, period.from, period.to).into());
    if out.is_dir() {
        bail!("--out {}: is a folder, name a file in it", out.display());
    }
    let order = Order { framework: framework.clone(), period, scope: Scope::default(), sampling: None, today: day_of(clock::unix_now()) };
    let made = block_on(async {
        let store = Store::open(&arguments.data).await?;
        let source = Source { store, signer: Arc::new(keys.signer), verifier: keys.verifier.clone(), pack: Arc::new(pack), revoke_limit: None };
        let made = bundle(&source, &order).await;
        source.store.close().await;
        anyhow::Ok(made?)
    })?;
    durable::write(&out, &made.bytes, 0o640).with_context(|| format!("{}: can't be written", out.display()))?;
    print(&out, &made, &keys.verifier.to_string())?;
    Ok(Exit::Ok)
}

/// A framework that the program carries, or a page of the company's own that is in force.
fn named(data: &Path, name: &str) -> anyhow::Result<Framework> {
    let mut all = framework::builtin()?;
    if framework::find(&all, name).is_none() && data.join(KEY_FILE).is_file() {
        all = block_on(async {
            let store = Store::open(data).await?;
            let all = pages::frameworks(&store, clock::unix_now()).await?;
            store.close().await;
            Ok(all)
        })?;
    }
    let known = || all.iter().map(|f| f.id.as_str()).collect::<Vec<_>>().join(", ");
    framework::find(&all, name).cloned().with_context(|| format!("--framework {name:?} is unknown; there is {}", known()))
}

fn print(out: &Path, made: &Bundle, key: &str) -> anyhow::Result<()> {
    let paper = &made.paper;
    let pieces: usize = paper.controls.iter().map(|c| c.pieces.len()).sum();
    let mut lines = vec![
        format!("{} · {} {} to {}", out.display(), paper.cover.framework, paper.cover.from, paper.cover.to),
        format!(
            "{}, {}, {}, {}",
            count(paper.controls.len(), "control", "controls"),
            count(pieces, "piece", "pieces"),
            count(paper.population.len(), "host", "hosts"),
            count(paper.cover.reports, "signed report", "signed reports")
        ),
    ];
    lines.extend(paper.notes.iter().map(|note| format!(" - {note}")));
    lines.push(format!("SHA-256 {}", made.digest));
    lines.push(format!("Next: assay evidence verify {} --key '{key}'", out.display()));
    output::line(&lines.join("\n"))
}
