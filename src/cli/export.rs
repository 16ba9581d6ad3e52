//! `assay-collector evidence`: exporting bundles, and the key to verify them with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::data::{DATA, actor, block_on, keys};
use super::exit::Exit;
use super::output;
use super::scan::read_list;
use crate::collector::commitments::pages;
use crate::collector::export::{self, Order, Source, Target, Tell};
use crate::collector::rotate::KEY_FILE;
use crate::collector::store::Store;
use crate::evidence::Period;
use crate::evidence::bundle::Written;
use crate::evidence::material::{ListVersion, Sampling, Scope, day_of};
use crate::evidence::sampling::MAX_SEED;
use crate::evidence::text::count;
use crate::facts;
use crate::host::clock;
use crate::model::ids::Digest;
use crate::model::inventory::Inventory;
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
    Export(Box<ExportArguments>),
    /// Print the ledger's verifier key: what auditors pass to `assay evidence verify --key`
    Key {
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const EXAMPLES: &str = "Examples:
  assay-collector evidence export --framework soc2 --from 2026-01-01 --to 2026-06-30 --seed 'audit 2026' --sample 25
  assay-collector evidence export --framework soc2 --date 2026-11-18 --host 'web*' --out type1.zip
  assay-collector evidence export --framework soc2 --from 2026-01-01 --to 2026-06-30 --resume

Days are in UTC, both included. One day is evidence as of that day (Type 1), a period is evidence over it (Type 2).
An export that was interrupted leaves the folder FILE.part: the same order with --resume goes on there and gives the same bytes.";

/// Samples per control when a seed is given and no number.
const SAMPLE: u32 = 25;
/// Most samples per control.
const MAX_SAMPLE: i64 = 1000;
/// Shortest time between two steps of the progress line.
const STEP: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
struct ExportArguments {
    /// Framework: its id, or its id without the version; or a page of commitments by its id, the company's own included
    #[arg(long)]
    framework: String,
    /// First day, YYYY-MM-DD, UTC
    #[arg(long, value_name = "DATE", required_unless_present = "date", requires = "to")]
    from: Option<String>,
    /// Last day, YYYY-MM-DD, UTC
    #[arg(long, value_name = "DATE", requires = "from")]
    to: Option<String>,
    /// One day instead of a period
    #[arg(long, value_name = "DATE", conflicts_with_all = ["from", "to"])]
    date: Option<String>,
    /// Hosts of this name only; * stands for any characters; may be repeated
    #[arg(long = "host", value_name = "PATTERN")]
    hosts: Vec<String>,
    /// The auditor's seed: draws samples that the auditor can draw again
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,
    /// Samples per control and kind [default: 25]
    #[arg(long, value_name = "N", requires = "seed", value_parser = clap::value_parser!(u32).range(1..=MAX_SAMPLE))]
    sample: Option<u32>,
    /// A list of hosts from elsewhere, CSV with a column name, to compare the population with
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// Data folder of the collector
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
    /// Where to write the bundle; otherwise assay-FRAMEWORK-FROM-TO.zip here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Go on with the interrupted export of the same file and order
    #[arg(long)]
    resume: bool,
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
    let period = period(arguments)?;
    let framework = &named(&arguments.data, &arguments.framework)?;
    let sampling = sampling(arguments)?;
    let inventory = arguments.inventory.as_deref().map(inventory).transpose()?;
    let keys = keys(&arguments.data)?;
    let schemas = facts::schemas();
    let pack = arguments.rules.as_ref().map_or_else(|| Pack::builtin(schemas), |dir| Pack::load(dir, schemas))?;
    let out = arguments.out.clone().unwrap_or_else(|| format!("assay-{}-{}-{}.zip", framework.id, period.from, period.to).into());
    if out.is_dir() {
        bail!("--out {}: is a folder, name a file in it", out.display());
    }
    let scope = Scope { hosts: arguments.hosts.clone() };
    let order = Order { framework: framework.clone(), period, scope, sampling, inventory, today: day_of(clock::unix_now()) };
    let target = Target { out: out.clone(), resume: arguments.resume, by: actor() };
    output::step("exporting · reading the ledger and the results");
    let made = block_on(async {
        let store = Store::open(&arguments.data).await?;
        let source = Source { store, signer: Arc::new(keys.signer), verifier: keys.verifier.clone(), pack: Arc::new(pack) };
        let made = export::export(&source, &order, &target, steps()).await;
        source.store.close().await;
        anyhow::Ok(made?)
    });
    output::end_of_steps();
    print(&out, &made?, &keys.verifier.to_string())?;
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

fn period(arguments: &ExportArguments) -> anyhow::Result<Period> {
    match (&arguments.date, &arguments.from, &arguments.to) {
        (Some(day), ..) => Period::parse(day, day).context("--date"),
        (None, Some(from), Some(to)) => Period::parse(from, to).context("--from, --to"),
        _ => bail!("name the days with --from and --to, or one with --date"),
    }
}

fn sampling(arguments: &ExportArguments) -> anyhow::Result<Option<Sampling>> {
    let Some(seed) = &arguments.seed else { return Ok(None) };
    if seed.is_empty() || seed.chars().count() > MAX_SEED || seed.chars().any(char::is_control) {
        bail!("--seed: must be 1 to {MAX_SEED} characters without line breaks");
    }
    Ok(Some(Sampling { seed: seed.clone(), size: arguments.sample.unwrap_or(SAMPLE) }))
}

/// A list of hosts that is kept elsewhere.
fn inventory(path: &Path) -> anyhow::Result<ListVersion> {
    read_list(path, |name, bytes| {
        let rows = Inventory::parse(name, bytes)?.items.len() as u64;
        Ok(ListVersion { name: "inventory".into(), since: clock::unix_now(), until: None, digest: Digest::of(bytes), rows, bytes: Some(bytes.to_vec()) })
    })
}

/// The progress line: hosts, bytes, time.
fn steps() -> Tell {
    let began = Instant::now();
    let mut drawn: Option<Instant> = None;
    Box::new(move |progress| {
        if drawn.is_none_or(|at| at.elapsed() >= STEP) || progress.done == progress.hosts {
            drawn = Some(Instant::now());
            let mib = progress.bytes as f64 / f64::from(1 << 20);
            output::step(&format!("exporting · hosts {} / {} · {mib:.1} MiB · {} s", progress.done, progress.hosts, began.elapsed().as_secs()));
        }
        true
    })
}

fn print(out: &Path, made: &Written, key: &str) -> anyhow::Result<()> {
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
    lines.push(format!("SHA-256 {}, {:.1} MiB", made.digest, made.bytes as f64 / f64::from(1 << 20)));
    lines.push(format!("Next: assay evidence verify {} --key '{key}'", out.display()));
    output::line(&lines.join("\n"))
}
