//! `assay rules`: list, show, test and check rules. Nothing of the machine is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::exit::Exit;
use super::output;
use crate::config::agent::AgentConfig;
use crate::facts;
use crate::host::{clock, durable};
use crate::report::json::indented;
use crate::report::text::plain;
use crate::rules::framework::{self, Control, Framework};
use crate::rules::signed::{self, Place, SignedPack};
use crate::rules::{Pack, Rule, selftest};

/// Arguments of `assay rules`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the rules
    #[command(before_help = "Examples:\n  assay rules list\n  assay rules list --format json\n  assay rules show tls-version-minimum")]
    List {
        /// How
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Show one rule: why, fix, verify, what it reads and which controls it serves
    Show {
        /// Rule id, such as `tls-version-minimum`
        id: String,
    },
    /// Run every example that the rules carry
    Test {
        /// Folder of rule files, or one file; without it the rules that assay carries
        place: Option<PathBuf>,
    },
    /// Check rule files: every problem with file, line and column
    Check {
        /// Folder of rule files, or one file
        place: PathBuf,
    },
    /// Make one file of a folder of rules, to be signed with minisign(1)
    #[command(after_help = PACKING)]
    Pack {
        /// Folder of rule files
        folder: PathBuf,
        /// Its number: greater is newer
        #[arg(long, value_name = "NUMBER")]
        number: u64,
        /// Last day on which it may be installed; later its reports say `pack-expired`
        #[arg(long, value_name = "YYYY-MM-DD")]
        expires: jiff::civil::Date,
        /// The file to write
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
    },
    /// Verify a signed pack of rules; its signature lies beside it as FILE.minisig
    Verify {
        /// The pack
        pack: PathBuf,
        /// Public key of its signer [default: `rules_key` of the configuration]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Install a signed pack of rules, which judges from the agent's next scan on
    #[command(after_help = "Examples:\n  assay rules install assay-rules-7.pack")]
    Install {
        /// The pack
        pack: PathBuf,
        /// Agent configuration [default: /etc/assay/agent.yaml]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

const PACKING: &str = "Examples:
  assay rules pack ./rules --number 7 --expires 2027-06-30 -o assay-rules-7.pack
  minisign -S -m assay-rules-7.pack";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::List { format } => list(*format),
        Command::Show { id } => show(id),
        Command::Test { place } => test(place.as_deref()),
        Command::Check { place } => check(place),
        Command::Pack { folder, number, expires, out } => pack(folder, *number, *expires, out),
        Command::Verify { pack, key } => verify(pack, key.as_deref()),
        Command::Install { pack, config } => install(pack, config.as_deref()),
    }
}

fn pack(folder: &Path, number: u64, expires: jiff::civil::Date, out: &Path) -> anyhow::Result<Exit> {
    // The whole of that day, wherever the host is.
    let end = expires.tomorrow().and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC)).context("--expires is out of range")?.timestamp().as_second();
    let bytes = signed::make(folder, number, clock::unix_now(), end, facts::schemas())?;
    durable::write(out, &bytes, 0o644).with_context(|| format!("can't write {}", out.display()))?;
    output::print(&format!("{}: pack {number}, {} bytes; next: minisign -S -m {}\n", out.display(), bytes.len(), out.display()))?;
    Ok(Exit::Ok)
}

fn verify(pack: &Path, key: Option<&Path>) -> anyhow::Result<Exit> {
    let key = match key {
        Some(key) => key.to_path_buf(),
        None => AgentConfig::load(None)?.rules_key,
    };
    let opened = SignedPack::open(&Place::beside(pack, &key))?;
    let rules = opened.compile(facts::schemas())?.rules.len();
    output::print(&describe_pack(&opened, rules))?;
    anyhow::ensure!(!opened.is_expired(clock::unix_now()), "{}: expired: fetch a newer pack", pack.display());
    Ok(Exit::Ok)
}

fn install(pack: &Path, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = AgentConfig::load(config)?;
    let opened = SignedPack::open(&Place::beside(pack, &config.rules_key))?;
    opened.install(&config.state_dir, &config.rules_key, clock::unix_now(), facts::schemas())?;
    let rules = opened.compile(facts::schemas())?.rules.len();
    output::print(&format!("{}installed in {}; the next scan is judged by it\n", describe_pack(&opened, rules), config.state_dir.display()))?;
    Ok(Exit::Ok)
}

fn describe_pack(pack: &SignedPack, rules: usize) -> String {
    let day = |at: i64| jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.strftime("%F").to_string());
    format!("pack {}: {rules} rules, made {}, to be installed before {}\n", pack.number(), day(pack.created()), day(pack.expires()))
}

/// The rule of this id, or an error that names the nearest ones.
pub(super) fn find<'p>(pack: &'p Pack, id: &str) -> anyhow::Result<&'p Rule> {
    if let Some(rule) = pack.rule(id) {
        return Ok(rule);
    }
    let words: Vec<&str> = id.split('-').filter(|w| w.len() > 2).collect();
    let mut near: Vec<(usize, &str)> =
        pack.rules.iter().map(|r| (words.iter().filter(|w| r.id.contains(**w)).count(), r.id.as_str())).filter(|(n, _)| *n > 0).collect();
    let shared = |other: &str| id.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    near.sort_by_key(|(n, id)| (std::cmp::Reverse((*n, shared(id))), *id));
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, id)| id).collect();
    let hint = if near.is_empty() { "see `assay rules list`".to_string() } else { format!("did you mean {}?", near.join(", ")) };
    anyhow::bail!("there is no rule {:?}: {hint}", plain(id))
}

/// The controls that a rule serves, with their framework.
pub(super) fn controls<'f>(frameworks: &'f [Framework], rule: &str) -> Vec<(&'f Framework, &'f Control)> {
    frameworks.iter().flat_map(|f| f.controls_of(rule).into_iter().map(move |c| (f, c))).collect()
}

fn list(format: Format) -> anyhow::Result<Exit> {
    let pack = Pack::builtin(facts::schemas())?;
    let text = match format {
        Format::Json => {
            let rules: Vec<Value> = pack.rules.iter().map(describe).collect();
            indented(&json!({"format": "assay.rules.v1", "pack": {"version": pack.version, "digest": pack.digest()}, "rules": rules}))
        }
        Format::Table => {
            let width = pack.rules.iter().map(|r| r.id.len()).max().unwrap_or(0);
            let mut text = format!(" {:8}  {:width$}  TITLE\n", "SEVERITY", "RULE");
            for rule in &pack.rules {
                text.push_str(&format!(" {:8}  {:width$}  {}\n", rule.severity.word(), rule.id, rule.title));
            }
            let mut counts = BTreeMap::new();
            pack.rules.iter().for_each(|r| *counts.entry(std::cmp::Reverse(r.severity)).or_insert(0) += 1);
            let counts: Vec<String> = counts.iter().map(|(s, n)| format!("{n} {}", s.0.word())).collect();
            text.push_str(&format!("\n{} rules: {}\n", pack.rules.len(), counts.join(", ")));
            text
        }
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}

fn describe(rule: &Rule) -> Value {
    json!({
        "id": rule.id, "title": rule.title, "severity": rule.severity, "cadence": rule.cadence.word(), "promises": rule.promises,
        "applies": rule.applies_text(), "for_each": rule.for_each, "unknown": rule.unknown_text(), "assert": rule.assertion(), "reads": rule.reads,
        "why": rule.why, "fix": rule.fix, "verify": rule.verify, "refs": rule.refs,
    })
}

fn show(id: &str) -> anyhow::Result<Exit> {
    let pack = Pack::builtin(facts::schemas())?;
    let rule = find(&pack, id)?;
    let frameworks = framework::builtin()?;
    let mut text = format!("{}\n{} · {} · promises {}\n", rule.title, rule.severity.word(), rule.cadence.word(), rule.promises.join(", "));
    let mut part = |head: &str, body: &str| text.push_str(&format!("\n{head}\n{}\n", indent(body)));
    part("Why", &rule.why);
    part("Fix", &rule.fix);
    part("Verify", &rule.verify);
    if let Some(path) = &rule.for_each {
        part("For each item of", path);
    }
    if let Some(applies) = rule.applies_text() {
        part("Applies where", applies);
    }
    if let Some(unknown) = rule.unknown_text() {
        part("Can't be told where", unknown);
    }
    part("Holds where", rule.assertion());
    part("Reads", &rule.reads.join("\n"));
    let serves: Vec<String> = controls(&frameworks, id).into_iter().map(|(f, c)| format!("{} {} {}", f.id, c.id, c.title)).collect();
    if !serves.is_empty() {
        part("Serves", &serves.join("\n"));
    }
    if !rule.refs.is_empty() {
        part("References", &rule.refs.join(", "));
    }
    output::print(&text)?;
    Ok(Exit::Ok)
}

pub(super) fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn test(place: Option<&Path>) -> anyhow::Result<Exit> {
    let pack = match place {
        Some(place) => Pack::load(place, facts::schemas())?,
        None => Pack::builtin_with_examples(facts::schemas())?,
    };
    let outcome = selftest::run(&pack);
    let mut text: String = outcome.failures.iter().map(|f| format!("{f}\n")).collect();
    text.push_str(&format!("{} rules, {} examples, {} failed\n", pack.rules.len(), outcome.run, outcome.failures.len()));
    output::print(&text)?;
    if outcome.failures.is_empty() {
        return Ok(Exit::Ok);
    }
    anyhow::bail!("{} examples do not come out as written: mend the rule or the example at the line named above", outcome.failures.len())
}

fn check(place: &Path) -> anyhow::Result<Exit> {
    match Pack::load(place, facts::schemas()) {
        Ok(pack) => {
            output::print(&format!("{} rules, no problem\n", pack.rules.len()))?;
            Ok(Exit::Ok)
        }
        Err(e) => {
            let base = if place.is_dir() { place.display().to_string() } else { place.parent().map(|p| p.display().to_string()).unwrap_or_default() };
            let base = if base.is_empty() { String::new() } else { format!("{}/", base.trim_end_matches('/')) };
            let lines: String = e.problems.iter().map(|p| if p.file.starts_with('/') { format!("{p}\n") } else { format!("{base}{p}\n") }).collect();
            output::print(&lines)?;
            anyhow::bail!("{}: {} problems, listed above with file, line and column", place.display(), e.problems.len())
        }
    }
}
