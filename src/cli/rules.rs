//! `assay rules`: list, show, test and check rules. Nothing of the machine is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::exit::Exit;
use super::output;
use crate::facts;
use crate::report::json::indented;
use crate::report::text::plain;
use crate::rules::framework::{self, Control, Framework};
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
}

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
    }
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
        None => Pack::builtin(facts::schemas())?,
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
