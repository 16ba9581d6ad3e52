//! `assay explain`: why a rule matters, what it sees here, how to mend and to verify it.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::output;
use super::rules::{controls, find, indent};
use super::scan::{read_advisories, read_list};
use crate::agent::run::{self, Request};
use crate::agent::seccomp;
use crate::facts;
use crate::facts::services::Plan;
use crate::host::Host;
use crate::model::against::Against;
use crate::model::approvals::Approvals;
use crate::model::finding::{Citation, Finding};
use crate::model::policy::Policy;
use crate::model::roster::Roster;
use crate::model::third_parties::ThirdParties;
use crate::probe::Limits;
use crate::report::text::plain;
use crate::rules::derived::NEEDS;
use crate::rules::{Pack, Rule, framework};

/// Most findings that are shown in full.
const MAX_SHOWN: usize = 50;

/// Arguments of `assay explain`.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  assay explain storage-encryption\n  assay explain storage-encryption /srv\n  assay explain access-leaver-active m.keller --roster people.csv"
)]
pub struct Arguments {
    /// Rule id, such as `storage-encryption`
    rule: String,
    /// Only this subject, as the scan shows it
    subject: Option<String>,
    /// A mounted root instead of this machine
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Who works here and who left, for the rules about leavers
    #[arg(long, value_name = "FILE")]
    roster: Option<PathBuf>,
    /// Who may have which privileged access (CSV or JSON)
    #[arg(long, value_name = "FILE")]
    approvals: Option<PathBuf>,
    /// To whom this machine may send (CSV or JSON): public peers that nobody declared are findings
    #[arg(long, value_name = "FILE")]
    third_parties: Option<PathBuf>,
    /// Index of published advisories, for rules over them
    #[arg(long, value_name = "FILE")]
    advisories: Option<PathBuf>,
    /// Speak to this endpoint too; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    target: Vec<String>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    seccomp::install()?;
    let pack = Pack::builtin(facts::schemas())?;
    let rule = find(&pack, &arguments.rule)?;
    let frameworks = framework::builtin()?;
    let mut text = format!("{}\n{} · {} · {}\n\nWhy\n{}\n", rule.title, rule.id, rule.severity.word(), rule.cadence.word(), indent(&rule.why));
    let seen = observe(arguments, rule)?;
    let wanted: Vec<&Finding> = seen.iter().filter(|f| f.rule == rule.id && arguments.subject.as_ref().is_none_or(|s| s == &f.subject)).collect();
    if let (Some(subject), true) = (&arguments.subject, wanted.is_empty()) {
        let there: Vec<String> = seen.iter().filter(|f| f.rule == rule.id && !f.subject.is_empty()).map(|f| plain(&f.subject)).take(10).collect();
        let there = if there.is_empty() { "it has none on this host".to_string() } else { format!("there are {}", there.join("; ")) };
        anyhow::bail!("{} has no subject {:?} here: {there}", rule.id, plain(subject));
    }
    text.push_str("\nHere\n");
    for finding in wanted.iter().take(MAX_SHOWN) {
        text.push_str(&describe(finding));
    }
    if wanted.len() > MAX_SHOWN {
        text.push_str(&format!("  … and {} more: name a subject\n", wanted.len() - MAX_SHOWN));
    }
    text.push_str(&format!("\nFix\n{}\n\nVerify\n{}\n", indent(&rule.fix), indent(&rule.verify)));
    let serves: Vec<String> = controls(&frameworks, &rule.id).into_iter().map(|(f, c)| format!("  {} {} {}\n", f.id, c.id, c.title)).collect();
    if !serves.is_empty() {
        text.push_str(&format!("\nControls\n{}", serves.concat()));
    }
    output::print(&text)?;
    Ok(Exit::Ok)
}

/// Scans this machine, only what the rule reads.
fn observe(arguments: &Arguments, rule: &Rule) -> anyhow::Result<Vec<Finding>> {
    let host = match &arguments.root {
        Some(root) => Host::rooted(root)?,
        None => Host::live()?,
    };
    let roster = arguments.roster.as_deref().map(|path| read_list(path, Roster::parse)).transpose()?;
    let approvals = arguments.approvals.as_deref().map(|path| read_list(path, Approvals::parse)).transpose()?;
    let third_parties = arguments.third_parties.as_deref().map(|path| read_list(path, ThirdParties::parse)).transpose()?;
    let against = Against { roster: roster.as_ref(), approvals: approvals.as_ref(), third_parties: third_parties.as_ref() };
    let advisories = arguments.advisories.as_deref().map(read_advisories).transpose()?;
    let plan = Plan { targets: arguments.target.clone(), ..Plan::default() };
    let request =
        Request { host: &host, families: families(rule), plan, limits: Limits::default(), policy: Policy::default(), against, advisories: advisories.as_ref() };
    Ok(run::scan(request, &|_| {})?.findings)
}

/// The families to gather; empty means all, which the derived family needs.
fn families(rule: &Rule) -> Vec<String> {
    let read = rule.families();
    if NEEDS.iter().any(|(derived, _)| read.contains(derived)) {
        return Vec::new();
    }
    let mut names: Vec<String> = read.iter().map(ToString::to_string).collect();
    if read.iter().any(|name| facts::services::FAMILIES.contains(name)) && !read.contains(&"listeners") {
        names.push("listeners".into());
    }
    names
}

fn describe(finding: &Finding) -> String {
    let subject = if finding.subject.is_empty() { "this host".to_string() } else { plain(&finding.subject) };
    let message = match finding.verdict {
        _ if finding.message.is_empty() => String::new(),
        _ => format!(": {}", plain(&finding.message)),
    };
    let mut text = format!("  {}  {subject}{message}\n", finding.verdict.word());
    if let Some(reason) = finding.reason.as_ref().filter(|r| !r.remedy.is_empty()) {
        text.push_str(&format!("      {}\n", plain(&reason.remedy)));
    }
    for citation in &finding.citations {
        text.push_str(&format!("      {} = {}{}\n", plain(&citation.path), plain(&citation.value), place(citation)));
    }
    text
}

fn place(citation: &Citation) -> String {
    match &citation.source {
        Some(source) if source.line > 0 => format!("    ({}:{})", plain(&source.place), source.line),
        Some(source) => format!("    ({})", plain(&source.place)),
        None => String::new(),
    }
}
