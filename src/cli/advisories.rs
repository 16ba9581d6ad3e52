//! `assay advisories`: importing OSV records, what an index holds, what matches.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::Exit;
use super::output::{self, Format};
use super::scan::read_advisories;
use crate::advisory::{self, Import, Summary};
use crate::agent::seccomp;
use crate::facts;
use crate::host::{Host, clock, durable};
use crate::model::advisories::{Advisories, Advisory, Derived};
use crate::model::fact::Observation;
use crate::model::gap::{Gaps, reason};
use crate::report::json::indented;
use crate::report::text::plain;

/// Shortest time between two drawings of the progress line.
const REDRAW: Duration = Duration::from_millis(80);
/// Families that matching needs.
const NEEDS: [&str; 4] = ["os", "kernel", "packages", "updates"];

/// Arguments of `assay advisories`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compile OSV records (zip files, folders, JSON files) into one index
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArguments),
    /// Show what an index holds, and check every byte of it
    #[command(after_help = INFO_HELP)]
    Info(InfoArguments),
    /// Show the advisories that concern installed packages
    #[command(after_help = MATCH_HELP)]
    Match(MatchArguments),
}

const IMPORT_HELP: &str = "Examples:
  assay advisories import debian.zip alpine.zip --output advisories.idx
  assay advisories import records/ --output advisories.idx

Records are published as one zip file per ecosystem at osv.dev (Debian, Ubuntu, Alpine, Red Hat, Rocky Linux, AlmaLinux, SUSE, openSUSE are read).
Exit codes: 0 done, 3 some files are no OSV record, 1 error, 2 usage";
const INFO_HELP: &str = "Examples:
  assay advisories info advisories.idx
  assay advisories info advisories.idx --format json

Exit codes: 0 done, 1 not an index or damaged, 2 usage";
const MATCH_HELP: &str = "Examples:
  assay advisories match advisories.idx
  assay advisories match advisories.idx --root /mnt/image --format json
  assay advisories match advisories.idx --release debian:12 --package openssl=3.0.9-1

Exit codes: 0 done, 3 something could not be told, 1 error, 2 usage; to fail on what is found use assay scan --advisories FILE --fail-on high";

#[derive(Args, Debug)]
struct ImportArguments {
    /// Zip files, folders or JSON files of OSV records
    #[arg(required = true)]
    source: Vec<PathBuf>,
    /// The index to write; replaced whole or not at all
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct InfoArguments {
    /// The index
    file: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Args, Debug)]
struct MatchArguments {
    /// The index
    file: PathBuf,
    /// Read the packages of a mounted root instead of this machine
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// These packages instead of the installed ones, by the name that advisories use (source packages of Debian,
    /// Ubuntu and Alpine, binary ones elsewhere); may be repeated
    #[arg(long, value_name = "NAME=VERSION")]
    package: Vec<String>,
    /// Release of --package, as os-release(5) names it [default: that of the machine or root]
    #[arg(long, value_name = "ID:VERSION", requires = "package")]
    release: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    seccomp::install()?;
    match &arguments.command {
        Command::Import(a) => import(a),
        Command::Info(a) => info(a),
        Command::Match(a) => matching(a),
    }
}

fn import(arguments: &ImportArguments) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let mut import = Import::default();
    for source in &arguments.source {
        let mut line = ProgressLine::new(source);
        import.add(source, &mut |done, total| line.draw(done, total))?;
        line.clear();
    }
    let (bytes, summary) = import.finish(clock::unix_now())?;
    let output = &arguments.output;
    durable::write(output, &bytes, 0o644).with_context(|| format!("{}: the index can't be written", output.display()))?;
    output::print(&told(&summary, output, bytes.len(), began.elapsed()))?;
    Ok(if summary.problems.is_empty() { Exit::Ok } else { Exit::Incomplete })
}

fn told(summary: &Summary, output: &Path, bytes: usize, took: Duration) -> String {
    let mut text = format!("{}: {} records of {} files, {} bytes, {:.1} s\n", output.display(), summary.records, summary.files, bytes, took.as_secs_f64());
    for (reason, count) in &summary.skipped {
        let _ = writeln!(text, "  left out: {count} {reason}");
    }
    for problem in &summary.problems {
        let _ = writeln!(text, "  {}", plain(problem));
    }
    text
}

fn info(arguments: &InfoArguments) -> anyhow::Result<Exit> {
    let index = read_advisories(&arguments.file)?;
    index.verify().with_context(|| arguments.file.display().to_string())?;
    let directory = index.directory();
    if arguments.format == Format::Json {
        let mut value = serde_json::to_value(directory)?;
        if let Some(map) = value.as_object_mut() {
            map.insert("digest".into(), json!(index.digest()));
        }
        output::print(&indented(&value))?;
        return Ok(Exit::Ok);
    }
    let mut text = format!("records   {}\nimported  {}\ndigest    {}\n", directory.records, day(Some(directory.imported_at)), index.digest());
    for source in &directory.sources {
        let _ = writeln!(text, "source    {} ({} records)", plain(&source.name), source.records);
    }
    for (reason, count) in &directory.skipped {
        let _ = writeln!(text, "left out  {count} {reason}");
    }
    let rows = directory
        .ecosystems
        .iter()
        .map(|e| [plain(&e.name), e.records.to_string(), e.packages.to_string(), e.ranges.to_string(), day(Some(e.newest)), e.length.to_string()]);
    let _ = write!(text, "\n{}", columns(&["ECOSYSTEM", "RECORDS", "PACKAGES", "RANGES", "NEWEST", "BYTES"], rows));
    output::print(&text)?;
    Ok(Exit::Ok)
}

fn matching(arguments: &MatchArguments) -> anyhow::Result<Exit> {
    let index = read_advisories(&arguments.file)?;
    let mut observation = observe(arguments)?;
    if !arguments.package.is_empty() {
        replace_packages(&mut observation, arguments)?;
    }
    let derived = advisory::derive(&observation, &index);
    let complete = derived.value.is_some() && derived.gaps.is_empty();
    let text = match arguments.format {
        Format::Json => {
            let mut answer = json!({"format": "assay.advisories-match.v1", "gaps": derived.gaps});
            // Moved in: the macro would copy every row.
            answer["advisories"] = derived.value.unwrap_or_default();
            indented(&answer)
        }
        Format::Table => table(&derived)?,
    };
    output::print(&text)?;
    Ok(if complete { Exit::Ok } else { Exit::Incomplete })
}

/// The facts that matching needs, of this machine or of a root.
fn observe(arguments: &MatchArguments) -> anyhow::Result<Observation> {
    let mut observation = Observation { gathered_at: clock::unix_now(), ..Observation::default() };
    if arguments.release.is_some() {
        return Ok(observation);
    }
    let host = match &arguments.root {
        Some(root) => Host::rooted(root)?,
        None => Host::live()?,
    };
    let mut gaps = Gaps::new();
    for name in NEEDS.iter().filter(|n| arguments.package.is_empty() || **n == "os") {
        let family = facts::family(name).context("a family is missing: report this as a defect")?;
        if let Some(value) = facts::gather(family, &host, &mut gaps) {
            observation.families.insert((*name).into(), value);
        }
    }
    observation.gaps = gaps.into_sorted();
    Ok(observation)
}

fn replace_packages(observation: &mut Observation, arguments: &MatchArguments) -> anyhow::Result<()> {
    if let Some(release) = &arguments.release {
        let Some((id, version)) = release.split_once(':') else { bail!("--release {release:?} is not ID:VERSION, such as debian:12") };
        observation.families.insert("os".into(), json!({"id": id, "version_id": version, "codename": ""}));
    }
    let mut items = Vec::new();
    for package in &arguments.package {
        let Some((name, version)) = package.split_once('=').filter(|(n, v)| !n.is_empty() && !v.is_empty()) else {
            bail!("--package {package:?} is not NAME=VERSION");
        };
        items.push(json!({"name": name, "version": version, "source_name": name, "source_version": version}));
    }
    observation.families.insert("packages".into(), json!({"items": items, "source": {"place": "--package", "line": 0, "directive": ""}}));
    Ok(())
}

fn table(derived: &Derived) -> anyhow::Result<String> {
    let mut text = String::new();
    if let Some(value) = &derived.value {
        let found: Advisories = serde_json::from_value(value.clone())?;
        let lists = [&found.critical, &found.high, &found.medium, &found.low, &found.unrated, &found.no_fix, &found.unimportant, &found.kernels_not_running];
        let rows: Vec<[String; 7]> = lists.into_iter().flatten().map(cells).collect();
        let count = rows.len();
        if count > 0 {
            text.push_str(&columns(&["SEVERITY", "ADVISORY", "PACKAGE", "INSTALLED", "FIXED", "STATE", "PUBLISHED"], rows.into_iter()));
            text.push('\n');
        }
        let _ = writeln!(text, "{count} advisories concern the {} packages compared with {}", found.packages, found.ecosystems.join(", "));
    }
    for gap in derived.gaps.iter().filter(|g| g.reason != reason::NEEDS_LIVE_KERNEL || g.family == "advisories") {
        let _ = writeln!(text, "unknown: {}{}{}", plain(&gap.detail), if gap.remedy.is_empty() { "" } else { ". " }, plain(&gap.remedy));
    }
    Ok(text)
}

fn cells(advisory: &Advisory) -> [String; 7] {
    let severity = match advisory.score_tenths {
        Some(tenths) => format!("{} {}.{}", advisory.severity, tenths / 10, tenths % 10),
        None => advisory.severity.clone(),
    };
    let fixed = if advisory.fixed.is_empty() { "-".into() } else { plain(&advisory.fixed) };
    [severity, plain(&advisory.id), plain(&advisory.source_package), plain(&advisory.installed), fixed, advisory.state.clone(), day(advisory.published_at)]
}

/// Cells in columns as wide as their widest one.
fn columns<const N: usize>(head: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(String::from)).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
    }
    text
}

fn day(at: Option<i64>) -> String {
    let day = at.and_then(|at| jiff::Timestamp::from_second(at).ok());
    day.map_or_else(|| "-".into(), |t| t.strftime("%Y-%m-%d").to_string())
}

/// One line that is drawn over itself, on a terminal only.
struct ProgressLine {
    name: String,
    drawn: Option<Instant>,
}

impl ProgressLine {
    fn new(source: &Path) -> Self {
        let name = source.file_name().map(|n| plain(&n.to_string_lossy())).unwrap_or_default();
        Self { name, drawn: std::io::stderr().is_terminal().then(Instant::now) }
    }

    fn draw(&mut self, done: usize, total: usize) {
        let Some(drawn) = self.drawn.as_mut().filter(|d| d.elapsed() >= REDRAW) else { return };
        *drawn = Instant::now();
        // Standard error may be closed; there is nobody to tell then.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}  {done}/{total}", self.name);
    }

    fn clear(&self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
