//! Newer packages that apk's indexes offer.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use super::database::{Database, Installed};
use super::index::{self, IndexError};
use super::repositories::{self, Configured};
use super::{version, world};
use crate::host::compressed::OpenError;
use crate::host::offers::{Automatic, List, Offers, Orphan, Pending};
use crate::host::{FileKind, Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::reason;

const REFRESH: &str = "Run apk update and scan again.";
/// Scripts that are searched for an upgrade, and how many days lie between two runs.
const PERIODIC: &[(&str, i64)] = &[("15min", 1), ("hourly", 1), ("daily", 1), ("weekly", 7), ("monthly", 31)];

/// Everything that is offered for the packages of a database.
pub fn read(host: &Host, database: &Database) -> Offers {
    let mut out = Offers { manager: "apk", ..Offers::default() };
    let configured = repositories::read(host).unwrap_or_else(|e| {
        for path in ["repositories", "lists", "pending"] {
            out.hide(path, why(&e), e.to_string(), "");
        }
        repositories::Repositories::default()
    });
    for text in &configured.unsupported {
        for path in ["repositories", "lists", "pending"] {
            out.hide(path, reason::UNSUPPORTED, text.clone(), "");
        }
    }
    if configured.items.is_empty() && out.problems.is_empty() {
        for path in ["lists", "pending"] {
            out.hide(path, reason::MISSING, format!("no package repository is configured in {}", repositories::PLACE), "");
        }
    }
    let architecture = architecture(host, database);
    let mut best = Best { names: HashMap::new(), found: HashMap::new(), offered: BTreeSet::new() };
    for (i, package) in database.packages.iter().enumerate() {
        best.names.insert(&package.name, i);
    }
    let wishes = world::read(host).unwrap_or_else(|e| {
        out.hide("pending.held", why(&e), e.to_string(), "");
        Vec::new()
    });
    // A tag counts for the packages that were asked for with it.
    let tags: BTreeSet<(&str, &str)> = wishes.iter().filter(|w| !w.tag.is_empty()).map(|w| (w.name.as_str(), w.tag.as_str())).collect();
    for repository in &configured.items {
        best.read(host, repository, &architecture, &tags, database, &mut out);
    }
    for (i, package) in database.packages.iter().enumerate() {
        if let Some(candidate) = best.found.get(&i) {
            let wish = wishes.iter().find(|w| w.name == package.name && !w.allows(&candidate.version));
            let held = wish.map(|w| ("world", Source::line(world::PLACE, w.line, format!("{}{}{}", w.name, w.operator, w.version))));
            out.pending.push(pending(package, candidate, held));
        }
    }
    if !out.pending.is_empty() {
        let some = out.pending.iter().take(3).map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
        let count = out.pending.len();
        out.hide(
            "pending.security",
            reason::MISSING,
            format!("apk's indexes do not say which updates are about security ({count} wait: {some})"),
            "Match the packages against Alpine's advisories.",
        );
    }
    let orphans = database.packages.iter().enumerate().filter(|(i, _)| !best.offered.contains(i));
    out.orphaned = orphans.map(|(_, p)| orphan(p, &database.place)).collect();
    automatic(host, &mut out);
    out.repositories = configured.items.into_iter().map(|c| c.shown).collect();
    out
}

fn why(error: &ReadError) -> &'static str {
    if matches!(error, ReadError::Denied(_)) { reason::PERMISSION_DENIED } else { reason::READ_FAILED }
}

/// `/etc/apk/arch`, else that of the first package that has one.
fn architecture(host: &Host, database: &Database) -> String {
    let named = host.read_text("/etc/apk/arch", 4096).ok().and_then(|t| t.lines().next().map(|l| l.trim().to_string()));
    let of_packages = || database.packages.iter().map(|p| p.architecture.clone()).find(|a| a != "noarch" && !a.is_empty());
    named.filter(|a| !a.is_empty()).or_else(of_packages).unwrap_or_default()
}

/// The newest version of one package.
struct Newest {
    version: String,
    repository: String,
    source: Source,
}

struct Best<'a> {
    names: HashMap<&'a str, usize>,
    found: HashMap<usize, Newest>,
    /// Packages that some index offers in some version.
    offered: BTreeSet<usize>,
}

impl Best<'_> {
    fn read(&mut self, host: &Host, repository: &Configured, architecture: &str, tags: &BTreeSet<(&str, &str)>, database: &Database, out: &mut Offers) {
        let shown = &repository.shown;
        let found = index::find(host, &repository.url, architecture).unwrap_or_else(|e| {
            out.hide("pending", why(&e), e.to_string(), "");
            None
        });
        let (name, component) = shown.url.rsplit_once('/').unwrap_or((shown.url.as_str(), ""));
        out.lists.push(List {
            repository: name.split_once("://").map_or(name, |(_, rest)| rest).into(),
            component: component.into(),
            architecture: architecture.into(),
            present: found.is_some(),
            checked_at: found.as_ref().map(|f| f.1),
            source: shown.source.clone(),
        });
        let Some((place, _)) = found else {
            out.hide("pending", reason::MISSING, format!("no index of {}", shown.subject), REFRESH);
            return;
        };
        let read = index::each_package(host, &place, |offered| {
            let Some((&i, package)) = self.names.get(offered.name.as_str()).and_then(|i| database.packages.get(*i).map(|p| (i, p))) else {
                return;
            };
            let asked = repository.tag.is_empty() || package.tag == repository.tag || tags.contains(&(package.name.as_str(), repository.tag.as_str()));
            self.offered.insert(i);
            let newer_than = |v: &str| version::compare(&offered.version, v) == Ordering::Greater;
            if asked && newer_than(&package.version) && self.found.get(&i).is_none_or(|f| newer_than(&f.version)) {
                let source = Source::line(place.clone(), offered.line, format!("{}-{}", offered.name, offered.version));
                self.found.insert(i, Newest { version: offered.version, repository: shown.subject.clone(), source });
            }
        });
        match read {
            Ok(()) => {}
            Err(IndexError::Open(OpenError::Unsupported(..))) => out.hide("pending", reason::UNSUPPORTED, format!("{place}: this compression is not read"), ""),
            Err(e @ IndexError::Open(_)) => out.hide("pending", reason::READ_FAILED, e.to_string(), ""),
            Err(e @ IndexError::Malformed(..)) => out.hide("pending", reason::MALFORMED, e.to_string(), REFRESH),
        }
    }
}

fn orphan(package: &Installed, place: &str) -> Orphan {
    let source = Source::line(place, package.line, package.name.clone());
    Orphan { name: package.name.clone(), architecture: package.architecture.clone(), installed: package.version.clone(), source }
}

fn pending(package: &Installed, candidate: &Newest, held: Option<(&'static str, Source)>) -> Pending {
    Pending {
        name: package.name.clone(),
        architecture: package.architecture.clone(),
        installed: package.version.clone(),
        candidate: candidate.version.clone(),
        held,
        repository: candidate.repository.clone(),
        source: candidate.source.clone(),
        ..Pending::default()
    }
}

/// apk has no automatic updates; a script of cron may run it.
fn automatic(host: &Host, out: &mut Offers) {
    const SCRIPT_LIMIT: usize = 64 << 10;
    out.automatic = Automatic { source: Source::whole("/etc/periodic"), ..Automatic::default() };
    out.automatic.obstacles.push("no script below /etc/periodic upgrades packages".into());
    let started = host.exists("/etc/runlevels/default/crond").unwrap_or(false);
    for (folder, days) in PERIODIC {
        let folder = format!("/etc/periodic/{folder}");
        let entries = match host.list(&folder) {
            Ok(entries) => entries,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                out.hide("automatic", why(&e), e.to_string(), "");
                continue;
            }
        };
        for entry in entries.into_iter().filter(|e| e.kind != FileKind::Folder) {
            let place = format!("{folder}/{}", entry.name);
            // run-parts starts only what is executable and has no dot in its name.
            let runs = !entry.name.contains('.') && host.stat(&place).is_ok_and(|s| s.mode & 0o111 != 0);
            let line = host.read_text(&place, SCRIPT_LIMIT).ok().and_then(|t| t.lines().position(upgrades));
            if let (true, Some(line)) = (runs, line) {
                let source = Source::line(place, line + 1, "apk upgrade");
                let obstacles = if started { Vec::new() } else { vec!["crond is not started at boot".to_string()] };
                out.automatic = Automatic {
                    lists_every_days: *days,
                    upgrade_every_days: *days,
                    tool_installed: true,
                    enabled: started,
                    obstacles,
                    source,
                    ..Automatic::default()
                };
                return;
            }
        }
    }
}

/// Whether a line of a script upgrades packages.
fn upgrades(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|'));
    let simulated = line.contains("--simulate") || line.split_whitespace().any(|w| w == "-s");
    words.any(|w| w == "apk" || w.ends_with("/apk")) && words.any(|w| w == "upgrade") && !simulated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_upgrade() {
        for line in ["apk -U upgrade", "  /sbin/apk update && apk upgrade --available", "apk upgrade;true"] {
            assert!(upgrades(line), "{line}");
        }
        for line in ["# apk upgrade", "apk update", "apk upgrade -s", "echo upgrade", "apkx upgrade"] {
            assert!(!upgrades(line), "{line}");
        }
    }
}
