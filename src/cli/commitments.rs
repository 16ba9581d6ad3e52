//! `assay-collector commitments`: a company's own sentences, whether each is true, since when, and where not.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::data::{DATA, block_on, existing, moment, time};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::commitments::pages::{Files, Known};
use crate::collector::commitments::published::Published;
use crate::collector::commitments::telling::{known, told};
use crate::collector::commitments::{Status, Truth};
use crate::collector::store::Store;
use crate::facts;
use crate::host::{clock, durable};
use crate::model::finding::{Severity, Verdict};
use crate::records;
use crate::report::text::plain;
use crate::rules::Pack;
use crate::rules::framework::Page;

/// Hosts named in the line of a sentence.
const NAMED: usize = 3;

/// Arguments of `assay-collector commitments`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check pages without putting them into force: what they name must be there
    #[command(after_help = CHECK)]
    Check {
        /// A page, or a folder of pages
        place: PathBuf,
        /// Folder of rules that the collector judges by, when not the built-in pack
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
    },
    /// Tell of each sentence whether it is true, since when, and on which hosts not
    #[command(after_help = STATUS)]
    Status {
        /// One page by its id, also one that the program carries; otherwise the company's own
        #[arg(long, value_name = "ID")]
        page: Option<String>,
        /// As it stood then: a day (as of its end, UTC) or a time
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Fail when a sentence is false because of a rule of at least this severity
        #[arg(long, value_name = "SEVERITY")]
        fail_on: Option<Severity>,
        /// Folder of rules that the collector judges by, when not the built-in pack
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Write a status page for the public: what the page publishes, and no more
    #[command(after_help = PUBLISH)]
    Publish {
        /// Id of the page
        #[arg(long, value_name = "ID")]
        page: String,
        /// Folder for index.html and status.json; made when it is not there
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// As it stood then: a day (as of its end, UTC) or a time
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
        /// Folder of rules that the collector judges by, when not the built-in pack
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const CHECK: &str = "Examples:
  assay-collector commitments check ./pages
  assay-collector commitments check ./pages/security.yaml
  assay-collector commitments check ./pages --rules ./rules

A page has the form of rules/commitments/*.yaml; a sentence with `publish: true` and a `wording` is shown on the status page.
The folder that `commitments` of collector.yaml names is in force; a change is an entry of the ledger.";

const STATUS: &str = "Examples:
  assay-collector commitments status
  assay-collector commitments status --page acme-security --as-of 2026-06-30
  assay-collector commitments status --format json --fail-on high

Exit codes: 10 and up by severity when a sentence is false and --fail-on says so, else 3 when one is unknown or lacks a record, else 0.";

const PUBLISH: &str = "Examples:
  assay-collector commitments publish --page acme-security --out ./public
  assay-collector commitments publish --page acme-security --out ./public --as-of 2026-06-30
  assay-collector commitments publish --page acme-security --out /var/www/status --data ./data

Equal inputs give equal bytes: as of a past time, and with the same ledger, the files are the same.";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Check { place, rules } => check(place, rules.as_deref()),
        Command::Status { page, as_of, format, fail_on, rules, data } => block_on(async {
            let view = View::open(data, rules.as_deref(), as_of.as_deref()).await?;
            let pages = view.pages(page.as_deref()).await?;
            let told = view.told(&pages).await?;
            view.store.close().await;
            match format {
                Format::Json => output::line(&serde_json::to_string_pretty(&document(&pages, &told, view.at))?)?,
                Format::Table => output::print(&table(&pages, &told, view.at))?,
            }
            Ok(exit(told.iter().flatten(), *fail_on))
        }),
        Command::Publish { page, out, as_of, rules, data } => block_on(async {
            let view = View::open(data, rules.as_deref(), as_of.as_deref()).await?;
            publish(&view, page, out).await?;
            view.store.close().await;
            Ok(Exit::Ok)
        }),
    }
}

fn pack(rules: Option<&Path>) -> anyhow::Result<Pack> {
    let schemas = facts::schemas();
    Ok(rules.map_or_else(|| Pack::builtin(schemas), |dir| Pack::load(dir, schemas))?)
}

fn check(place: &Path, rules: Option<&Path>) -> anyhow::Result<Exit> {
    let known = Known::new(&pack(rules)?, records::types::builtin()?)?;
    let files = Files::read(place)?;
    match files.pages(&known) {
        Ok(pages) if pages.is_empty() => bail!("{}: there is no page (*.yaml) here", place.display()),
        Ok(pages) => {
            for page in &pages {
                let (sentences, published) = (page.framework.controls.len(), page.published.len());
                output::line(&format!("{}: {sentences} sentences, {published} published", plain(&page.framework.id)))?;
            }
            Ok(Exit::Ok)
        }
        Err(e) => {
            for problem in &e.problems {
                output::line(&plain(&problem.to_string()))?;
            }
            bail!("{} problems in {}", e.problems.len(), place.display())
        }
    }
}

/// A store as of a time.
struct View {
    store: Store,
    pack: Pack,
    at: i64,
}

impl View {
    async fn open(data: &Path, rules: Option<&Path>, as_of: Option<&str>) -> anyhow::Result<Self> {
        let now = clock::unix_now();
        let at = as_of.map_or(Ok(now), |text| moment(text, now))?;
        Ok(Self { pack: pack(rules)?, store: existing(data).await?, at })
    }

    /// The page of this id, else the company's own.
    async fn pages(&self, id: Option<&str>) -> anyhow::Result<Vec<Page>> {
        let mut known = known(&self.store, self.at).await?;
        if id.is_none() {
            known.retain(|k| k.is_own);
        }
        let mut pages: Vec<Page> = known.into_iter().map(|k| k.page).collect();
        let Some(id) = id else {
            if pages.is_empty() {
                bail!("no page of commitments was in force on {}; name a folder under `commitments` in collector.yaml, or a page with --page", time(self.at));
            }
            return Ok(pages);
        };
        let ids: Vec<String> = pages.iter().map(|p| p.framework.id.clone()).collect();
        pages.retain(|p| p.framework.id == id);
        if pages.is_empty() {
            bail!("there is no page {id:?}; there is {}", ids.join(", "));
        }
        Ok(pages)
    }

    async fn told(&self, pages: &[Page]) -> anyhow::Result<Vec<Vec<Status>>> {
        let pages: Vec<&Page> = pages.iter().collect();
        // One person waits for this, and no page: everything is looked at.
        let told = told(&self.store, &self.pack, &pages, self.at, u32::MAX).await?;
        Ok(told.0)
    }
}

async fn publish(view: &View, id: &str, out: &Path) -> anyhow::Result<()> {
    let pages = view.pages(Some(id)).await?;
    let told = view.told(&pages).await?;
    let (Some(page), Some(statuses)) = (pages.first(), told.first()) else { bail!("there is no page {id:?}") };
    if page.published.is_empty() {
        bail!("page {id:?} publishes no sentence; give some `publish: true` and a `wording`");
    }
    let checkpoint = view.store.checkpoint().await?.map(|(_, note)| note).unwrap_or_default();
    let published = Published::of(page, statuses, view.store.last_observed(view.at).await?, &checkpoint);
    std::fs::create_dir_all(out).with_context(|| format!("can't make {}", out.display()))?;
    for (name, text) in [("status.json", published.json()?), ("index.html", published.html()?)] {
        let path = out.join(name);
        durable::write(&path, text.as_bytes(), 0o644).with_context(|| format!("can't write {}", path.display()))?;
    }
    output::line(&format!("{}: {} of {} sentences published", out.display(), published.sentences.len(), statuses.len()))
}

fn exit<'s>(statuses: impl Iterator<Item = &'s Status>, fail_on: Option<Severity>) -> Exit {
    let mut exit = Exit::Ok;
    for status in statuses {
        // What people must record has no severity of its own: that it is wrong counts as high.
        let worst = status.severity.unwrap_or(Severity::High);
        exit = exit.max(match status.truth {
            Truth::True => Exit::Ok,
            Truth::False if fail_on.is_some_and(|limit| worst >= limit) => Exit::Failing(worst),
            Truth::False => Exit::Ok,
            Truth::Unknown | Truth::NoRecord => Exit::Incomplete,
        });
    }
    exit
}

fn document(pages: &[Page], told: &[Vec<Status>], at: i64) -> serde_json::Value {
    let page = |(page, statuses): (&Page, &Vec<Status>)| serde_json::json!({"id": page.framework.id, "sentences": statuses, "title": page.framework.title, "version": page.framework.version});
    serde_json::json!({"as_of": at, "format": "assay.commitments.v1", "pages": pages.iter().zip(told).map(page).collect::<Vec<_>>()})
}

fn table(pages: &[Page], told: &[Vec<Status>], at: i64) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    for (page, statuses) in pages.iter().zip(told) {
        let count = |truth| statuses.iter().filter(|s| s.truth == truth).count();
        let _ = writeln!(
            out,
            "{} · {} · as of {}      true {}   false {}   unknown {}   no record {}\n",
            plain(&page.framework.id),
            plain(&page.framework.title),
            time(at),
            count(Truth::True),
            count(Truth::False),
            count(Truth::Unknown),
            count(Truth::NoRecord)
        );
        let widest = statuses.iter().map(|s| s.id.chars().count()).max().unwrap_or_default();
        for status in statuses {
            let mark = match status.truth {
                Truth::True => "✓",
                Truth::False => "✕",
                Truth::Unknown => "?",
                Truth::NoRecord => "○",
            };
            let since = status.since.map_or_else(|| " ".repeat(10), |at| time(at).chars().take(10).collect::<String>());
            let id = plain(&status.id);
            let line = format!(" {mark} {:<9} {id:<widest$}  {since:<10}  {}", status.truth.word(), plain(&status.title));
            let _ = writeln!(out, "{}{}", line, where_not(status));
        }
        out.push('\n');
    }
    out
}

/// Where a sentence does not hold, behind its title.
fn where_not(status: &Status) -> String {
    if status.truth == Truth::True {
        return String::new();
    }
    let wanted = if status.truth == Truth::False { Verdict::Fail } else { Verdict::Unknown };
    let mut hosts: Vec<&str> = Vec::new();
    for place in status.places.iter().filter(|p| p.verdict == wanted || (wanted == Verdict::Fail && p.verdict == Verdict::Waived)) {
        if !hosts.contains(&place.host.as_str()) && !place.host.is_empty() {
            hosts.push(&place.host);
        }
    }
    let mut parts = Vec::new();
    if !hosts.is_empty() {
        let more = hosts.len().saturating_sub(NAMED);
        let names: Vec<String> = hosts.iter().take(NAMED).map(|h| plain(h)).collect();
        parts.push(format!(
            "{} of {} hosts: {}{}",
            hosts.len(),
            status.hosts,
            names.join(", "),
            if more > 0 { format!(" and {more} more") } else { String::new() }
        ));
    } else if status.hosts == 0 && !status.places.is_empty() {
        parts.push("no host reports".into());
    }
    parts.extend(status.missing.iter().map(|m| plain(m)));
    if parts.is_empty() { String::new() } else { format!(" — {}", parts.join("; ")) }
}
