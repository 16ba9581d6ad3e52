//! Newer packages that the configured repositories offer, chosen as dnf and zypper choose.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::database::{Database, Installed};
use super::locks::{self, Locks};
use super::modules::{Filter, Streams, Switches};
use super::repodata::{self, Advisory, Kept, Offered, RepodataError};
use super::repositories::{Configured, Program, Repositories};
use super::{automatic, version};
use crate::host::Host;
use crate::host::compressed::{self, OpenError};
use crate::host::offers::{List, Offers, Orphan, Pending};
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Most versions and most fixed packages that are kept, of all repositories together.
const OFFER_LIMIT: usize = 1_000_000;

const REFRESH_DNF: &str = "Run dnf makecache and scan again.";
const REFRESH_ZYPPER: &str = "Run zypper refresh and scan again.";

/// Everything that is offered for the packages of a database.
pub fn read(host: &Host, database: &Database) -> Offers {
    let repositories = Repositories::read(host);
    let manager = if repositories.program == Program::Zypper { "zypper" } else { "dnf" };
    let mut out = Offers { manager, ..Offers::default() };
    note_configuration(&repositories, &mut out);
    let newest = newest_of_each(database);
    let mut search = Search {
        host,
        repositories: &repositories,
        newest: &newest,
        names: HashMap::new(),
        offers: BTreeMap::new(),
        kept: 0,
        advisories: Vec::new(),
        fixes: HashMap::new(),
        retracted: HashSet::new(),
    };
    for (i, package) in newest.iter().enumerate() {
        search.names.entry(&package.name).or_default().push(i);
    }
    let kept = search.lists(&mut out);
    let filter = search.modules(&kept, &mut out);
    for (index, kept) in &kept {
        search.packages(*index, kept, &filter, &mut out);
        search.updateinfo(kept, &filter, &mut out);
    }
    let locks = Locks::read(host, repositories.program);
    for error in &locks.errors {
        out.hide("pending.held", reason::READ_FAILED, error.to_string(), "");
    }
    out.pending = (0..newest.len()).filter_map(|i| search.pending(i, &locks, &kept)).collect();
    out.orphaned = newest.iter().enumerate().filter(|(i, _)| !search.offers.contains_key(i)).map(|(_, p)| orphan(p, &database.place)).collect();
    note_unknown_security(&kept, &repositories, &mut out);
    automatic::read(host, database, repositories.program, &mut out);
    out.repositories = repositories.items.into_iter().map(|c| c.shown).collect();
    out
}

fn note_configuration(repositories: &Repositories, out: &mut Offers) {
    let texts = repositories.errors.iter().map(|e| (reason::READ_FAILED, e.to_string()));
    let texts = texts.chain(repositories.malformed.iter().map(|m| (reason::MALFORMED, m.clone())));
    for (why, text) in texts.chain(repositories.unsupported.iter().map(|u| (reason::UNSUPPORTED, u.clone()))) {
        for path in ["repositories", "lists", "pending"] {
            out.hide(path, why, text.clone(), "");
        }
    }
    if repositories.items.iter().all(|i| !i.shown.enabled) && out.problems.is_empty() {
        for path in ["lists", "pending"] {
            out.hide(path, reason::MISSING, "no package repository is configured and enabled", "");
        }
    }
}

/// Of packages that are installed in several versions (kernels), the newest.
fn newest_of_each(database: &Database) -> Vec<&Installed> {
    let mut out: Vec<&Installed> = Vec::new();
    // Sorted by name, architecture and version.
    for package in &database.packages {
        match out.last_mut() {
            Some(last) if last.name == package.name && last.architecture == package.architecture => *last = package,
            _ => out.push(package),
        }
    }
    out
}

fn orphan(package: &Installed, place: &str) -> Orphan {
    let source = Source { place: place.into(), line: 0, directive: package.name.clone() };
    Orphan { name: package.name.clone(), architecture: package.architecture.clone(), installed: package.version.clone(), source }
}

/// A version that a repository offers for an installed package.
struct Offer {
    package: Offered,
    repository: usize,
    excluded: Option<Source>,
}

struct Search<'a> {
    host: &'a Host,
    repositories: &'a Repositories,
    newest: &'a [&'a Installed],
    names: HashMap<&'a str, Vec<usize>>,
    offers: BTreeMap<usize, Vec<Offer>>,
    /// How many versions are kept in `offers`.
    kept: usize,
    /// Security advisories, and by package name which of them bring it.
    advisories: Vec<Advisory>,
    fixes: HashMap<String, Vec<usize>>,
    /// `name-epoch:version-release.arch` of what was taken back.
    retracted: HashSet<String>,
}

/// Lists that are there, by index of their repository.
type Lists = Vec<(usize, Kept)>;

impl Search<'_> {
    fn remedy(&self) -> &'static str {
        if self.repositories.program == Program::Zypper { REFRESH_ZYPPER } else { REFRESH_DNF }
    }

    /// Finds the list of every enabled repository.
    fn lists(&self, out: &mut Offers) -> Lists {
        let mut found = Vec::new();
        for (i, configured) in self.repositories.items.iter().enumerate().filter(|(_, c)| c.shown.enabled) {
            let id = configured.shown.subject.as_str();
            let kept = match repodata::find(self.host, &self.repositories.cache, id, self.repositories.program) {
                Ok(kept) => kept,
                Err(e) => {
                    self.failed(&e, &["lists", "pending"], out);
                    continue;
                }
            };
            let present = kept.as_ref().is_some_and(|k| k.files.contains_key("primary"));
            if !present {
                out.hide("pending", reason::MISSING, format!("no package list of repository {id} below {}", self.repositories.cache), self.remedy());
            }
            let source = Source::line(configured.shown.source.place.clone(), configured.shown.source.line as usize, id);
            out.lists.push(List {
                repository: id.into(),
                component: "packages".into(),
                architecture: String::new(),
                present,
                checked_at: kept.as_ref().map(|k| k.checked_at),
                source,
            });
            found.extend(kept.map(|k| (i, k)));
        }
        found
    }

    fn failed(&self, error: &RepodataError, paths: &[&'static str], out: &mut Offers) {
        let why = match error {
            RepodataError::Open(OpenError::Unsupported(..)) => reason::UNSUPPORTED,
            RepodataError::Open(OpenError::Read(e)) => match e.to_gap("", "", "").reason.as_str() {
                reason::PERMISSION_DENIED => reason::PERMISSION_DENIED,
                reason::LIMIT_REACHED => reason::LIMIT_REACHED,
                _ => reason::READ_FAILED,
            },
            RepodataError::Malformed(..) => reason::MALFORMED,
        };
        for path in paths {
            out.hide(path, why, error.to_string(), if why == reason::MALFORMED { self.remedy() } else { "" });
        }
    }

    /// What module streams hide. Zypper knows none.
    fn modules(&self, lists: &Lists, out: &mut Offers) -> Filter {
        let mut streams = Streams::default();
        if self.repositories.program == Program::Zypper {
            return Filter::default();
        }
        for (_, kept) in lists {
            let Some(place) = kept.files.get("modules") else {
                if kept.missing.iter().any(|m| m == "modules") {
                    out.hide("pending", reason::MISSING, "a list of module streams was not downloaded", REFRESH_DNF);
                }
                continue;
            };
            let read = compressed::open(self.host, place).map_err(RepodataError::from);
            let added = read.and_then(|input| streams.add(input, |n| self.names.contains_key(n)).map_err(|why| RepodataError::Malformed(place.clone(), why)));
            if let Err(e) = added {
                self.failed(&e, &["pending"], out);
            }
        }
        let switches = Switches::read(self.host).unwrap_or_else(|e| {
            out.hide("pending", reason::READ_FAILED, e.to_string(), "");
            Switches::default()
        });
        streams.filter(&switches)
    }

    fn packages(&mut self, repository: usize, kept: &Kept, filter: &Filter, out: &mut Offers) {
        let (Some(place), Some(configured)) = (kept.files.get("primary"), self.repositories.items.get(repository)) else {
            return;
        };
        let (names, newest, offers, kept_now) = (&self.names, self.newest, &mut self.offers, &mut self.kept);
        let repositories = self.repositories;
        let read = repodata::each_package(
            self.host,
            place,
            |n| names.contains_key(n),
            |package| {
                let hidden = !configured.module_hotfixes && !filter.lets_pass(&package.name, &package.nevra());
                if hidden || !is_taken(configured, &package) {
                    return;
                }
                let by = configured.excluded.iter().find(|(p, _)| locks::names(p, &package.name, &package.version, &package.architecture));
                let excluded = by.map(|(_, source)| source.clone());
                for &i in names.get(package.name.as_str()).into_iter().flatten() {
                    let replaces = newest.get(i).is_some_and(|p| {
                        let same = p.architecture == package.architecture || p.architecture == "noarch" || package.architecture == "noarch";
                        same && repositories.may_replace(&p.vendor, &package.vendor)
                    });
                    if replaces && *kept_now < OFFER_LIMIT {
                        *kept_now += 1;
                        offers.entry(i).or_default().push(Offer { package: package.clone(), repository, excluded: excluded.clone() });
                    }
                }
            },
        );
        if let Err(e) = read {
            self.failed(&e, &["pending"], out);
        }
        if self.kept >= OFFER_LIMIT {
            out.hide("pending", reason::LIMIT_REACHED, format!("the repositories offer more than {OFFER_LIMIT} versions of installed packages"), "");
        }
    }

    fn updateinfo(&mut self, kept: &Kept, filter: &Filter, out: &mut Offers) {
        let Some(place) = kept.files.get("updateinfo") else {
            if kept.missing.iter().any(|m| m == "updateinfo") {
                out.hide("pending.security", reason::MISSING, "a list of advisories was not downloaded", self.remedy());
            }
            return;
        };
        let mut found = Vec::new();
        let mut count = self.fixes.values().map(Vec::len).sum::<usize>();
        let names = &self.names;
        let read = repodata::each_advisory(
            self.host,
            place,
            |n| names.contains_key(n),
            |mut advisory| {
                advisory.packages.retain(|p| p.module.as_ref().is_none_or(|(module, stream)| filter.is_active(module, stream)));
                count += advisory.packages.len();
                if (advisory.kind == "security" || advisory.retracted) && count < OFFER_LIMIT {
                    found.push(advisory);
                }
            },
        );
        for advisory in found {
            self.index(advisory);
        }
        if count >= OFFER_LIMIT {
            out.hide("pending.security", reason::LIMIT_REACHED, format!("{place}: more than {OFFER_LIMIT} fixed packages"), "");
        }
        if let Err(e) = read {
            self.failed(&e, &["pending.security"], out);
        }
    }

    fn index(&mut self, advisory: Advisory) {
        if advisory.retracted {
            self.retracted.extend(advisory.packages.iter().map(|f| f.package.nevra()));
            return;
        }
        let names: BTreeSet<&str> = advisory.packages.iter().map(|f| f.package.name.as_str()).collect();
        for name in names {
            self.fixes.entry(name.into()).or_default().push(self.advisories.len());
        }
        self.advisories.push(advisory);
    }

    /// The newest version of the preferred repositories, when it is newer than what is installed.
    fn pending(&self, index: usize, locks: &Locks, lists: &Lists) -> Option<Pending> {
        let installed = *self.newest.get(index)?;
        let offers = self.offers.get(&index)?;
        let priority = |o: &Offer| self.repositories.items.get(o.repository).map_or(99, |c| c.priority);
        let preferred = offers.iter().map(priority).min()?;
        let is_newer = |a: &str, b: &str| version::compare(a, b) == Ordering::Greater;
        let fit = |o: &&Offer| priority(o) == preferred && is_newer(&o.package.version, &installed.version) && !self.retracted.contains(&o.package.nevra());
        let best = |excluded: bool| {
            offers.iter().filter(fit).filter(|o| o.excluded.is_some() == excluded).max_by(|a, b| version::compare(&a.package.version, &b.package.version))
        };
        let candidate = best(false).or_else(|| best(true))?;
        let fixes = |a: &&Advisory| {
            a.packages.iter().map(|f| &f.package).any(|p| {
                let same =
                    p.name == installed.name && (p.architecture == installed.architecture || p.architecture == "noarch" || installed.architecture == "noarch");
                same && is_newer(&p.version, &installed.version) && !is_newer(&p.version, &candidate.package.version)
            })
        };
        let of_name = self.fixes.get(&installed.name).into_iter().flatten().filter_map(|i| self.advisories.get(*i));
        let mut fixed: Vec<&Advisory> = of_name.filter(fixes).collect();
        fixed.sort_by(|a, b| (a.issued, &a.id).cmp(&(b.issued, &b.id)));
        let severity = fixed.iter().map(|a| a.severity.as_str()).max_by_key(|s| severity_rank(s)).unwrap_or_default();
        let advisories: BTreeSet<(Option<i64>, &str)> = fixed.iter().map(|a| (a.issued, a.id.as_str())).collect();
        let place = lists.iter().find(|(i, _)| *i == candidate.repository).and_then(|(_, kept)| kept.files.get("primary")).cloned().unwrap_or_default();
        Some(Pending {
            name: installed.name.clone(),
            architecture: installed.architecture.clone(),
            installed: installed.version.clone(),
            candidate: candidate.package.version.clone(),
            security: !fixed.is_empty(),
            severity: severity.into(),
            advisories: advisories.into_iter().map(|(_, id)| id.to_string()).collect(),
            published_at: fixed.iter().filter_map(|a| a.issued).min(),
            held: candidate.excluded.clone().map(|s| ("exclude", s)).or_else(|| locks.hold(installed).map(|s| ("lock", s))),
            repository: self.repositories.items.get(candidate.repository).map(|c| c.shown.subject.clone()).unwrap_or_default(),
            source: Source { place, line: 0, directive: candidate.package.nevra() },
        })
    }
}

fn severity_rank(severity: &str) -> usize {
    const ORDER: [&str; 6] = ["", "none", "low", "moderate", "important", "critical"];
    ORDER.iter().position(|s| *s == severity).unwrap_or(1)
}

/// `includepkgs` lets nothing else pass.
fn is_taken(configured: &Configured, package: &Offered) -> bool {
    configured.included.is_empty() || configured.included.iter().any(|p| locks::names(p, &package.name, &package.version, &package.architecture))
}

/// Without a list of advisories nobody can tell whether an update is about security.
fn note_unknown_security(lists: &Lists, repositories: &Repositories, out: &mut Offers) {
    let mut unknown = Vec::new();
    for (index, _) in lists.iter().filter(|(_, k)| !k.kinds.iter().any(|kind| kind.starts_with("updateinfo"))) {
        let Some(id) = repositories.items.get(*index).map(|c| c.shown.subject.as_str()) else {
            continue;
        };
        let names: Vec<&str> = out.pending.iter().filter(|p| p.repository == id && !p.security).map(|p| p.name.as_str()).collect();
        if !names.is_empty() {
            let some = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
            unknown
                .push(format!("repository {id} has no list of advisories, so nobody can tell whether its {} updates ({some}) are about security", names.len()));
        }
    }
    for text in unknown {
        out.hide("pending.security", reason::MISSING, text, "");
    }
}
