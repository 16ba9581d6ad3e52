//! `assay scan`

pub(super) mod draw;
mod ports;
mod tls;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};

use super::exit::Exit;
use super::output;
use crate::advisory::Index;
use crate::agent::run::{self, Outcome, Progress, Request};
use crate::agent::{scan, seccomp};
use crate::config::agent::{self, AgentConfig};
use crate::facts;
use crate::host::Host;
use crate::model::advisories;
use crate::model::against::Against;
use crate::model::approvals::Approvals;
use crate::model::finding::{Severity, Verdict};
use crate::model::gap::reason;
use crate::model::policy::Policy;
use crate::model::report::ScanState;
use crate::model::roster::Roster;
use crate::model::table::{TABLE_LIMIT, TableError};
use crate::model::third_parties::ThirdParties;
use crate::probe::tls::certificate::trust::Choice;
use crate::report;
use crate::rules::derived::NEEDS;
use crate::rules::{Pack, access, transfers};

/// Width without a terminal, columns.
const PLAIN_WIDTH: usize = 120;
/// Shortest time between two drawings of the progress line.
const REDRAW: Duration = Duration::from_millis(80);
/// Unmatched people named in one line.
const UNMATCHED_SHOWN: usize = 10;

const EXAMPLES: &str = "\
Examples:
  sudo assay scan                                          this machine, everything
  assay scan --roster people.csv --approvals approved.csv  who left and still gets in, who has more than was approved
  assay scan --advisories advisories.idx --family os --family packages   known holes only
  assay scan --fail-on high                                exit 13 or 14 if something high or critical fails
  assay scan --family tls --target mail.example:25         one more endpoint, TLS only
  assay scan tls www.example.com mail.example.com:25       endpoints elsewhere, everything about their TLS
  assay scan ports db1.example.com                         what answers on the ports of a host

Usage: assay scan [OPTIONS]
       assay scan tls [OPTIONS] HOST[:PORT]…
       assay scan ports [OPTIONS] HOST…

Options:
{options}
";

/// Arguments of `assay scan`.
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Read a mounted root instead of this machine; nothing running is looked at
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Speak to this endpoint too (/udp behind it for UDP); may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    target: Vec<String>,
    /// Judge certificates by these trust anchors: system, mozilla, or a file or folder of certificates
    #[arg(long, value_name = "STORE")]
    trust: Option<String>,
    /// Who works here and who left (CSV or JSON): judge what leavers can still do
    #[arg(long, value_name = "FILE")]
    roster: Option<PathBuf>,
    /// Who may have which privileged access (CSV or JSON): differences in either direction are findings
    #[arg(long, value_name = "FILE")]
    approvals: Option<PathBuf>,
    /// To whom this machine may send (CSV or JSON): public peers that nobody declared are findings
    #[arg(long, value_name = "FILE")]
    third_parties: Option<PathBuf>,
    /// Index of published advisories (assay advisories import): which holes the installed packages still have
    #[arg(long, value_name = "FILE")]
    advisories: Option<PathBuf>,
    /// Only this family and the rules over it; may be repeated
    #[arg(long, value_name = "NAME")]
    family: Vec<String>,
    /// What to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Exit with 10 to 14 if something of this severity or above fails: info, low, medium, high, critical
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// Show what passes and what does not apply, too
    #[arg(long)]
    all: bool,
    /// Thresholds instead of the built-in ones
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Rules of this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Targets, exclusions and bounds [default: /etc/assay/agent.yaml if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A store of trust anchors as somebody at a shell names it: a path may be relative.
fn trust_store(text: &str) -> anyhow::Result<Choice> {
    match Choice::of(text) {
        Choice::Path(path) if !std::path::Path::new(&path).exists() => {
            anyhow::bail!("--trust {text:?} is neither system nor mozilla nor an existing file or folder")
        }
        Choice::Path(path) => Ok(Choice::Path(std::path::absolute(&path)?.display().to_string())),
        named => Ok(named),
    }
}

/// Instead of this machine.
#[derive(Debug, Subcommand)]
enum What {
    /// Everything about the TLS of named endpoints
    Tls(tls::Arguments),
    /// What answers on the ports of named hosts
    Ports(ports::Arguments),
}

/// What to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs: findings, gaps and facts
    Json,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.what {
        Some(What::Tls(arguments)) => return tls::run(arguments),
        Some(What::Ports(arguments)) => return ports::run(arguments),
        None => {}
    }
    seccomp::install()?;
    let config = AgentConfig::load(arguments.config.as_deref())?;
    let policy = match &arguments.policy {
        Some(path) => agent::read_policy(path)?,
        None => config.thresholds()?,
    };
    let roster = arguments.roster.as_deref().map(|path| read_list(path, Roster::parse)).transpose()?;
    let approvals = arguments.approvals.as_deref().map(|path| read_list(path, Approvals::parse)).transpose()?;
    let third_parties = arguments.third_parties.as_deref().map(|path| read_list(path, ThirdParties::parse)).transpose()?;
    for note in roster.iter().flat_map(|r| &r.notes).chain(approvals.iter().flat_map(|a| &a.notes)).chain(third_parties.iter().flat_map(|t| &t.notes)) {
        say(&format!("note: {note}"));
    }
    let against = Against { roster: roster.as_ref(), approvals: approvals.as_ref(), third_parties: third_parties.as_ref() };
    let advisories = arguments.advisories.as_deref().map(read_advisories).transpose()?;
    let pack = rules_of(arguments, against, advisories.is_some())?;
    let host = match &arguments.root {
        Some(root) => {
            let host = Host::rooted(root)?;
            // What a machine declares stands in its own configuration unless another one is named.
            let declared = if arguments.config.is_some() { config.declared() } else { AgentConfig::load_below(&host)?.declared() };
            host.with_declared(declared)
        }
        None => Host::live()?.with_declared(config.declared()),
    };
    let mut plan = scan::plan_of(&config);
    if arguments.root.is_some() {
        // What the configuration names belongs to the running machine.
        plan.targets.clear();
    }
    if let Some(wrong) = arguments.target.iter().find(|t| !agent::is_endpoint(t)) {
        anyhow::bail!("--target {wrong:?} is not HOST:PORT (IPv6 in brackets)");
    }
    plan.targets.extend(arguments.target.iter().cloned());
    if let Some(trust) = &arguments.trust {
        plan.trust = trust_store(trust)?;
    }
    let limits = scan::limits_of(&config);
    let request = Request { host: &host, families: arguments.family.clone(), plan, limits, policy: policy.clone(), against, advisories: advisories.as_ref() };
    let began = Instant::now();
    let line = ProgressLine::new(began);
    let outcome = run::scan_with(request, &pack, Duration::from_secs(config.scan_deadline_seconds.into()), &|p| line.draw(p))?;
    line.clear();
    show(arguments, &outcome, &pack, &policy, began.elapsed())?;
    Ok(Exit::of(&outcome.findings, outcome.state == ScanState::Complete, arguments.fail_on))
}

/// All rules, or with `--family` those that read nothing else.
fn rules_of(arguments: &Arguments, against: Against<'_>, has_advisories: bool) -> anyhow::Result<Pack> {
    let mut pack = match &arguments.rules {
        Some(folder) => Pack::load(folder, facts::schemas())?,
        None => run::builtin_rules()?,
    };
    if !arguments.family.is_empty() {
        let asked: Vec<&str> = run::plan_families(&arguments.family)?.into_iter().map(|f| f.name).collect();
        let is_given = |name: &str| match name {
            access::NAME => !against.is_empty(),
            advisories::NAME => has_advisories,
            transfers::NAME => against.third_parties.is_some(),
            _ => true,
        };
        let derived = |name: &str| NEEDS.iter().any(|(n, needs)| *n == name && is_given(n) && needs.iter().all(|family| asked.contains(family)));
        pack.rules.retain(|rule| rule.families().iter().all(|f| asked.contains(f) || derived(f)));
    }
    Ok(pack)
}

/// Reads a list that people keep.
pub(super) fn read_list<T>(path: &Path, parse: impl Fn(&str, &[u8]) -> Result<T, TableError>) -> anyhow::Result<T> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(|| format!("{name}: the list can't be read"))?;
    file.take(TABLE_LIMIT as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("{name}: the list can't be read"))?;
    Ok(parse(&name, &bytes)?)
}

pub(super) fn read_advisories(path: &Path) -> anyhow::Result<Index> {
    Index::open(path).with_context(|| format!("{}: advisories can't be read", path.display()))
}

fn show(arguments: &Arguments, outcome: &Outcome, pack: &Pack, policy: &Policy, took: Duration) -> anyhow::Result<()> {
    let text = match arguments.format {
        Format::Json => report::json::render(&document(outcome, pack, policy, &named(outcome))),
        Format::Table => table(outcome, pack, took, arguments.all),
    };
    output::print(&text)?;
    if let Some(line) = unmatched(outcome) {
        say(&line);
    }
    if outcome.state == ScanState::Aborted {
        say(&format!("incomplete: {}; what was not seen is unknown", outcome.limits.join(", ")));
    }
    if let Some(cure) = missing_rights(outcome, "sudo assay scan") {
        say(&cure);
    }
    Ok(())
}

/// Everything, for programs.
fn document<'a>(outcome: &'a Outcome, pack: &'a Pack, policy: &'a Policy, (host, os): &'a (String, String)) -> report::json::Document<'a> {
    report::json::Document {
        host,
        os,
        pack,
        policy,
        times: outcome.times,
        state: outcome.state,
        limits: &outcome.limits,
        findings: &outcome.findings,
        observation: &outcome.observation,
        advisories: outcome.advisories.as_ref(),
        access: outcome.access.as_ref(),
    }
}

/// The findings as a table for standard output: as wide as the terminal, coloured on one only.
pub(super) fn table(outcome: &Outcome, pack: &Pack, took: Duration, all: bool) -> String {
    let terminal = std::io::stdout().is_terminal();
    let width = terminal_size::terminal_size().filter(|_| terminal).map_or(PLAIN_WIDTH, |(w, _)| usize::from(w.0));
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let (host, os) = named(outcome);
    let header = report::table::Header { host: &host, os: &os, rules: pack.rules.len(), seconds: took.as_secs_f64() };
    report::table::render(&header, &outcome.findings, width, colour, all)
}

/// People of the roster whom nothing on this host was recognised as; told, because a misspelt name looks the same.
fn unmatched(outcome: &Outcome) -> Option<String> {
    let people = outcome.access.as_ref()?.get("unmatched_people")?.as_array()?;
    let people: Vec<&str> = people.iter().filter_map(|p| p.as_str()).collect();
    if people.is_empty() {
        return None;
    }
    let shown = people.iter().take(UNMATCHED_SHOWN).copied().collect::<Vec<_>>().join(", ");
    let more = people.len().saturating_sub(UNMATCHED_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("of the roster, nothing here matches {shown}{more}"))
}

/// One line for everything that a right would have shown; `cure` is the command that has it.
pub(super) fn missing_rights(outcome: &Outcome, cure: &str) -> Option<String> {
    let denied = outcome.observation.gaps.iter().any(|g| g.reason == reason::PERMISSION_DENIED);
    if !denied || rustix::process::geteuid().is_root() {
        return None;
    }
    let unknown = |f: &&crate::model::finding::Finding| f.verdict == Verdict::Unknown && f.reason.as_ref().is_some_and(|r| r.id == reason::PERMISSION_DENIED);
    let count = outcome.findings.iter().filter(unknown).count();
    Some(format!("{count} unknown for want of rights; with them: {cure}"))
}

/// Host and operating system for the head line.
fn named(outcome: &Outcome) -> (String, String) {
    let os = outcome.observation.families.get("os");
    let text = |key: &str| os.and_then(|o| o.get(key)).and_then(|v| v.as_str()).unwrap_or_default().to_string();
    let or = |text: String, other: &str| if text.is_empty() { other.to_string() } else { text };
    let was_asked = os.is_some() || outcome.observation.gaps.iter().any(|g| g.family == "os");
    let no_name = if was_asked { "operating system unknown" } else { "operating system not read" };
    (or(text("hostname"), "this machine"), or(text("pretty_name"), no_name))
}

/// A line on standard error.
pub(super) fn say(line: &str) {
    // Standard error may be closed; there is nobody to tell then.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// One line that is drawn over itself, on a terminal only.
pub(super) struct ProgressLine {
    began: Instant,
    drawn: Option<Mutex<Instant>>,
}

impl ProgressLine {
    pub(super) fn new(began: Instant) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { began, drawn: terminal.then(|| Mutex::new(began)) }
    }

    pub(super) fn draw(&self, progress: Progress) {
        let Some(Ok(mut drawn)) = self.drawn.as_ref().map(Mutex::lock) else {
            return;
        };
        if drawn.elapsed() < REDRAW {
            return;
        }
        *drawn = Instant::now();
        let line = wording(progress, self.began.elapsed());
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    pub(super) fn clear(&self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn wording(progress: Progress, elapsed: Duration) -> String {
    let Progress { families_done, families_total, endpoints_done, endpoints_total } = progress;
    let endpoints = if endpoints_total > 0 { format!("   endpoints {endpoints_done}/{endpoints_total}") } else { String::new() };
    format!("families {families_done}/{families_total}{endpoints}   {:.1} s", elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_line_says_how_far_and_how_long() {
        let mut progress = Progress { families_done: 3, families_total: 12, ..Progress::default() };
        assert_eq!(wording(progress, Duration::from_millis(1240)), "families 3/12   1.2 s");
        (progress.endpoints_done, progress.endpoints_total) = (1, 4);
        assert_eq!(wording(progress, Duration::ZERO), "families 3/12   endpoints 1/4   0.0 s");
    }
}
