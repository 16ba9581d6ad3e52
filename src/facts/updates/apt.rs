//! apt: which newer version it would install, from its own lists, pins and settings.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Held, Orphaned, PackageList, Pending, Updates, automatic, repositories};
use crate::facts::{Document as _, os, packages};
use crate::host::Host;
use crate::host::debian::apt_conf::AptConf;
use crate::host::debian::apt_lists::{self, Found, ReleaseFile};
use crate::host::debian::apt_pins::{Candidate, Offer, Pins, Release};
use crate::host::debian::apt_sources::{Repository, Sources};
use crate::host::debian::status::{self, Database, Installed};
use crate::host::debian::version;
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

pub(super) fn gather(host: &Host, gaps: &mut Gaps) -> Option<Updates> {
    let database = packages::read_database(host, gaps, Updates::NAME, "")?;
    let conf = AptConf::read(host);
    for error in &conf.errors {
        for path in CONFIGURED {
            gaps.add(error.to_gap(Updates::NAME, path, ""));
        }
    }
    for what in &conf.unsupported {
        for path in CONFIGURED {
            gaps.note(Updates::NAME, path, "", reason::UNSUPPORTED, what, "Write the setting in the form of apt.conf(5).");
        }
    }
    let default_release = conf.setting("APT::Default-Release");
    let pins = Pins::read(host, default_release.map_or("", |s| s.value.as_str()));
    for (error, path) in pins.errors.iter().flat_map(|e| OFFERED.map(|p| (e, p))) {
        gaps.add(error.to_gap(Updates::NAME, path, ""));
    }
    for (what, path) in pins.unsupported.iter().flat_map(|w| OFFERED.map(|p| (w, p))) {
        gaps.note(Updates::NAME, path, "", reason::UNSUPPORTED, what, "Write the pin as apt_preferences(5) says.");
    }
    let sources = Sources::read(host);
    let mut of_lists = Gaps::new();
    let (lists, offers, releases) = read_lists(host, &mut of_lists, &database, &conf, &sources);
    let of_lists = of_lists.into_sorted();
    // What no list knows may stand in one that was not read.
    let alone = orphaned(&database, &offers);
    let hidden = !alone.is_empty() && of_lists.iter().any(|g| g.path == "orphaned");
    let complete = !of_lists.iter().any(|g| g.path == "pending");
    gaps.extend(of_lists.into_iter().filter(|g| g.path != "orphaned" || hidden));
    let mut pending = Vec::new();
    let mut held = Vec::new();
    for (index, package) in database.packages.iter().enumerate() {
        let judged = Judge { package, offered: offers.of.get(&index).map_or(&[], Vec::as_slice), native: &offers.native, lists: &lists, pins: &pins };
        let (update, stays) = judged.outcome(default_release.map(|s| Source::line(s.place.clone(), s.line, "APT::Default-Release")));
        pending.extend(update);
        held.extend(stays);
    }
    let mut automatic = automatic::gather(host, gaps, &conf, &database, &lists);
    let unmatched = complete && !lists.iter().any(|l| pins.is_default_release(&l.offer()));
    if let Some(setting) = default_release.filter(|s| unmatched && !s.value.is_empty()) {
        automatic.obstacles.push(format!("apt refuses to work: APT::Default-Release names no configured release ({}:{})", setting.place, setting.line));
        automatic.enabled = false;
    }
    // One entry that apt does not understand makes it give up, whatever the other files say.
    let refused = sources.malformed.first().map(|what| format!("apt refuses its sources: {what}"));
    for obstacle in refused.into_iter().chain(conf.broken.first().map(|what| format!("apt refuses its settings: {what}"))) {
        automatic.obstacles.push(obstacle);
        automatic.enabled = false;
    }
    held.extend(automatic::excluded(&conf, &automatic, &pending));
    held.sort_by(|a, b| (&a.subject, &a.by).cmp(&(&b.subject, &b.by)));
    Some(Updates {
        manager: "apt".into(),
        repositories: repositories::describe(host, &conf, &sources, &releases),
        security_repository: repositories::security(host, gaps, &sources, &lists).into(),
        global_keys: repositories::global_keys(host, gaps),
        oldest_list_at: lists.iter().filter_map(|l| l.list.checked_at).min(),
        orphaned: if hidden { Vec::new() } else { alone },
        lists: lists.into_iter().map(|l| l.list).collect(),
        pending,
        held,
        automatic,
    })
}

/// What apt.conf(5) decides.
const CONFIGURED: &[&str] = &["automatic", "pending", "held", "repositories"];
/// What lists and pins decide.
const OFFERED: [&str; 2] = ["pending", "held"];

/// Packages that no list knows by name: removed from the archive, or installed from elsewhere.
fn orphaned(database: &Database, offers: &Offers) -> Vec<Orphaned> {
    let unknown = database.packages.iter().enumerate().filter(|(i, p)| p.state == "installed" && !offers.of.contains_key(i));
    let describe = |p: &Installed| Orphaned { subject: subject(p), name: p.name.clone(), installed: p.version.clone(), source: p.source.clone() };
    unknown.map(|(_, p)| describe(p)).collect()
}

fn subject(package: &Installed) -> String {
    format!("{}:{}", package.name, package.architecture)
}

/// A list with what pins need to know of it.
pub(super) struct Known {
    pub(super) list: PackageList,
    pub(super) release: Release,
    pub(super) site: String,
    /// What lists fetched in one run have in common: the server, or that they come from mirrors.
    fetched_from: String,
    place: String,
}

/// One version that a list offers.
struct Offered {
    version: String,
    list: usize,
    line: u64,
    source: String,
    phased_percentage: i64,
}

/// Offers by index of the installed package.
#[derive(Default)]
struct Offers {
    native: String,
    of: BTreeMap<usize, Vec<Offered>>,
}

/// One installed package and everything that decides about it.
struct Judge<'a> {
    package: &'a Installed,
    offered: &'a [Offered],
    native: &'a str,
    lists: &'a [Known],
    pins: &'a Pins,
}

impl Judge<'_> {
    /// The update that apt would install, and the newer version that stays away.
    fn outcome(&self, default_release: Option<Source>) -> (Option<Pending>, Option<Held>) {
        let chosen = self.chosen();
        let update = chosen.as_deref().filter(|v| self.is_newer(v)).and_then(|v| self.pending(v));
        let held = |available: &str, security: bool, by: &str, source: Source| Held {
            subject: subject(self.package),
            name: self.package.name.clone(),
            installed: self.package.version.clone(),
            available: available.into(),
            security,
            by: by.into(),
            source,
        };
        if let Some(update) = update.as_ref().filter(|u| u.held) {
            let stays = held(&update.candidate, update.security, "hold", self.package.source.clone());
            return (Some(update.clone()), Some(stays));
        }
        let reached = update.as_ref().map_or(self.package.version.as_str(), |u| u.candidate.as_str());
        let beyond = |o: &&Offered| self.is_security(o) && version::compare(&o.version, reached) == Ordering::Greater;
        let Some(missed) = self.offered.iter().filter(beyond).max_by(|a, b| version::compare(&a.version, &b.version)) else {
            return (update, None);
        };
        let pin = |version: &str| self.with_offers(version, |candidate, offers| self.pins.place(candidate, offers).cloned());
        let (by, source) = match (pin(&missed.version).or_else(|| pin(reached)), default_release) {
            (Some(place), _) => ("pin", place),
            (None, Some(place)) => ("default-release", place),
            (None, None) => ("priority", self.lists.get(missed.list).map(|l| l.list.source.clone()).unwrap_or_default()),
        };
        let stays = held(&missed.version, true, by, source);
        (update, Some(stays))
    }

    fn is_newer(&self, version: &str) -> bool {
        version::compare(version, &self.package.version) == Ordering::Greater
    }

    fn is_security(&self, offered: &Offered) -> bool {
        self.lists.get(offered.list).is_some_and(|l| l.list.security)
    }

    /// The version that `pkgPolicy::GetCandidateVer` chooses.
    fn chosen(&self) -> Option<String> {
        let mut versions: Vec<&str> = self.offered.iter().map(|o| o.version.as_str()).chain([self.package.version.as_str()]).collect();
        versions.sort_by(|a, b| version::compare(b, a));
        versions.dedup();
        let mut best: Option<(&str, i32)> = None;
        for candidate in versions {
            let priority = self.with_offers(candidate, |judged, from| self.pins.priority(judged, from));
            if priority == 0 || priority <= best.map_or(-1, |b| b.1) {
                continue;
            }
            if priority < 1000 && version::compare(candidate, &self.package.version) == Ordering::Less {
                continue;
            }
            best = Some((candidate, priority));
        }
        best.map(|(version, _)| version.to_string())
    }

    fn with_offers<T>(&self, version: &str, then: impl FnOnce(&Candidate<'_>, &[Offer<'_>]) -> T) -> T {
        let of_version = || self.offered.iter().filter(|o| o.version == version);
        let from: Vec<Offer<'_>> = of_version().filter_map(|o| self.lists.get(o.list)).map(Known::offer).collect();
        let source = of_version().next().map_or(self.package.source_name.as_str(), |o| o.source.as_str());
        let architecture = if self.package.architecture == "all" { self.native } else { self.package.architecture.as_str() };
        let installed = version == self.package.version;
        then(&Candidate { package: &self.package.name, architecture, native: architecture == self.native, source, version, installed }, &from)
    }

    fn pending(&self, candidate: &str) -> Option<Pending> {
        let between = |o: &&Offered| self.is_newer(&o.version) && version::compare(&o.version, candidate) != Ordering::Greater;
        let place = self.offered.iter().filter(|o| o.version == candidate).max_by_key(|o| self.is_security(o))?;
        let list = self.lists.get(place.list)?;
        let security = self.offered.iter().filter(between).any(|o| self.is_security(o));
        // Stable's own list offers a version that came through security, too: any sighting of it counts.
        let fixes: Vec<&str> = self.offered.iter().filter(between).filter(|o| !security || self.is_security(o)).map(|o| o.version.as_str()).collect();
        let sightings = self.offered.iter().filter(|o| fixes.contains(&o.version.as_str())).filter_map(|o| self.lists.get(o.list)?.list.published_at);
        Some(Pending {
            name: self.package.name.clone(),
            architecture: self.package.architecture.clone(),
            installed: self.package.version.clone(),
            candidate: candidate.into(),
            security,
            severity: String::new(),
            advisories: Vec::new(),
            held: self.package.held,
            phased_percentage: place.phased_percentage,
            published_at: sightings.min(),
            repository: list.list.repository.clone(),
            source: Source::line(list.place.clone(), usize::try_from(place.line).unwrap_or(usize::MAX), "Version"),
        })
    }
}

impl Known {
    fn offer(&self) -> Offer<'_> {
        Offer { release: &self.release, component: &self.list.component, architecture: &self.list.architecture, site: &self.site }
    }
}

/// A gap over what one list would tell.
fn list_gap(gaps: &mut Gaps, gap: &Gap) {
    for path in ["pending", "held", "orphaned"] {
        gaps.add(Gap { path: path.into(), ..gap.clone() });
    }
}

/// A gap over what the lists tell.
fn lists_gap(gaps: &mut Gaps, reason: &str, detail: &str, remedy: &str) {
    for path in ["lists", "pending", "held", "orphaned", "automatic.covers_security"] {
        gaps.note(Updates::NAME, path, "", reason, detail, remedy);
    }
}

const UPDATE: &str = "Run apt-get update and scan again.";

/// Release files by index of the repository.
pub(super) type Releases = Vec<Option<ReleaseFile>>;

fn read_lists(host: &Host, gaps: &mut Gaps, database: &Database, conf: &AptConf, sources: &Sources) -> (Vec<Known>, Offers, Releases) {
    for error in &sources.errors {
        lists_gap(gaps, reason::READ_FAILED, &error.to_string(), "Make apt's sources readable to the scan.");
        gaps.add(error.to_gap(Updates::NAME, "repositories", ""));
    }
    for what in &sources.malformed {
        gaps.note(Updates::NAME, "pending", "", reason::MALFORMED, what, "Mend the entry as sources.list(5) says.");
    }
    for name in ["Dir", "Dir::State", "Dir::State::Lists", "Dir::Etc", "Dir::Etc::SourceList", "Dir::Etc::SourceParts"] {
        if let Some(s) = conf.setting(name) {
            let what = format!("{}:{}: {name} moves what apt reads", s.place, s.line);
            lists_gap(gaps, reason::UNSUPPORTED, &what, "Remove the setting.");
            gaps.note(Updates::NAME, "repositories", "", reason::UNSUPPORTED, what, "Remove the setting.");
        }
    }
    let mut architectures = status::architectures(host, database).unwrap_or_else(|e| {
        list_gap(gaps, &e.to_gap(Updates::NAME, "", ""));
        Vec::new()
    });
    let native = conf.setting("APT::Architecture").map(|s| s.value.clone()).or_else(|| architectures.first().cloned()).unwrap_or_default();
    let configured = conf.values("APT::Architectures");
    if !configured.is_empty() {
        architectures = configured.into_iter().map(|s| s.value.clone()).collect();
    }
    if sources.repositories.iter().all(|r| r.options.disabled) && sources.errors.is_empty() {
        lists_gap(gaps, reason::MISSING, "no package repository is configured in /etc/apt/sources.list or /etc/apt/sources.list.d", "");
    }
    let mut offers = Offers { native, ..Offers::default() };
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, package) in database.packages.iter().enumerate() {
        by_name.entry(&package.name).or_default().push(i);
    }
    let mut lists: Vec<Known> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut releases = Vec::new();
    let distribution = os::distribution(host);
    for repository in &sources.repositories {
        if repository.options.disabled {
            releases.push(None);
            continue;
        }
        let names = [repository.list_name("InRelease"), repository.list_name("Release")];
        let release = apt_lists::read_release(host, &names).unwrap_or_else(|e| {
            lists_gap(gaps, reason::READ_FAILED, &e.to_string(), "Run the scan as root.");
            None
        });
        for (component, architecture) in wanted_lists(repository, release.as_ref(), &architectures) {
            if seen.insert(repository.list_name(&relative(&component, &architecture))) {
                let index = lists.len();
                let known = one_list(host, gaps, &distribution.id, repository, release.as_ref(), component, architecture);
                if !known.place.is_empty() {
                    read_offers(host, gaps, &known.place, index, database, &by_name, &mut offers);
                }
                lists.push(known);
            }
        }
        releases.push(release);
    }
    if lists.iter().all(|l| !l.list.present) {
        gaps.add(Gap { path: "orphaned".into(), ..missed(reason::MISSING, "no package list was ever fetched".into(), UPDATE) });
    }
    set_ages(host, &mut lists);
    (lists, offers, releases)
}

/// Component and architecture of every list that apt would fetch; both empty for a flat repository.
fn wanted_lists(repository: &Repository, release: Option<&ReleaseFile>, architectures: &[String]) -> Vec<(String, String)> {
    if !repository.options.targets.is_empty() && !repository.options.targets.iter().any(|t| t == "Packages") {
        return Vec::new();
    }
    if repository.is_flat() {
        return vec![(String::new(), String::new())];
    }
    let asked = repository.options.effective_architectures(architectures);
    let offered = release.map(|r| r.architectures.as_slice()).unwrap_or_default();
    let mut out = Vec::new();
    for component in &repository.components {
        // apt skips an architecture that the Release file does not name.
        for architecture in asked.iter().filter(|a| offered.is_empty() || offered.contains(a)) {
            out.push((component.clone(), architecture.clone()));
        }
        let all = format!("{component}/binary-all/Packages");
        if release.is_some_and(|r| !r.all_is_inside && r.architectures.iter().any(|a| a == "all") && r.sizes.keys().any(|k| k.starts_with(&all))) {
            out.push((component.clone(), "all".into()));
        }
    }
    out
}

fn relative(component: &str, architecture: &str) -> String {
    if component.is_empty() { "Packages".into() } else { format!("{component}/binary-{architecture}/Packages") }
}

fn missed(reason: &str, detail: String, remedy: &str) -> Gap {
    Gap { family: Updates::NAME.into(), path: String::new(), subject: String::new(), reason: reason.into(), detail, remedy: remedy.into() }
}

/// A repository that was never fetched hides nothing of the others: to apt, too, it offers nothing.
fn never_fetched(gaps: &mut Gaps, distribution: &str, repository: &Repository, release: Option<&ReleaseFile>, component: &str, architecture: &str) {
    let shown = format!("{} {}", repository.shown(), repository.suite);
    let origin = release.map_or("", |r| r.release.origin.as_str());
    let security = release.map_or_else(|| names_security(repository), |r| is_security(&r.release));
    let own = repositories::is_third_party(distribution, repository, origin) == Some(false);
    let list = missed(reason::MISSING, format!("no package list of {shown} {component} {architecture}"), UPDATE);
    for (path, hidden) in [("pending", true), ("held", security), ("orphaned", own)] {
        if hidden {
            gaps.add(Gap { path: path.into(), ..list.clone() });
        }
    }
}

/// What only the Release file tells of a list.
fn no_release(gaps: &mut Gaps, repository: &Repository, component: &str) {
    let shown = format!("{} {}", repository.shown(), repository.suite);
    let gap = missed(reason::MISSING, format!("no Release file of {shown}"), UPDATE);
    for path in ["lists.suite", "lists.security"] {
        gaps.add(Gap { path: path.into(), subject: format!("{shown} {component}"), ..gap.clone() });
    }
    gaps.add(Gap { path: "pending".into(), ..gap.clone() });
    if names_security(repository) {
        for path in ["held", "automatic.covers_security"] {
            gaps.add(Gap { path: path.into(), ..gap.clone() });
        }
    }
}

/// Whether address or suite are those of a security repository, as far as they tell.
fn names_security(repository: &Repository) -> bool {
    repository.suite.ends_with("/updates") || [repository.suite.as_str(), repository.uri.as_str()].iter().any(|t| t.to_ascii_lowercase().contains("security"))
}

/// `Debian-Security`, `bookworm-security`, `jammy-infra-security`; not a vendor of security products.
fn is_security(release: &Release) -> bool {
    [&release.label, &release.suite, &release.codename].iter().any(|text| text.to_ascii_lowercase().ends_with("-security"))
}

fn one_list(
    host: &Host,
    gaps: &mut Gaps,
    distribution: &str,
    repository: &Repository,
    release: Option<&ReleaseFile>,
    component: String,
    architecture: String,
) -> Known {
    let file = relative(&component, &architecture);
    let shown = format!("{} {}", repository.shown(), repository.suite);
    let (mut present, mut place) = (false, String::new());
    match apt_lists::find_list(host, &repository.list_name(&file)) {
        Ok(Found::Readable(path)) => (present, place) = (true, path),
        Ok(Found::Compressed(path)) => {
            present = true;
            let detail = format!("{path}: this compression is not read");
            list_gap(gaps, &missed(reason::UNSUPPORTED, detail, "Set Acquire::GzipIndexes to false and run apt-get update."));
        }
        // apt keeps no file of an empty list.
        Ok(Found::Absent) if release.is_some_and(|r| r.sizes.get(&file) == Some(&0)) => present = true,
        Ok(Found::Absent) => never_fetched(gaps, distribution, repository, release, &component, &architecture),
        Err(e) => list_gap(gaps, &e.to_gap(Updates::NAME, "", "")),
    }
    if release.is_none() {
        no_release(gaps, repository, &component);
    }
    let fields = release.map(|r| r.release.clone()).unwrap_or_default();
    let fetched_from = if repository.is_mirror_list() { "mirrors".into() } else { repository.site() };
    let list = PackageList {
        repository: shown,
        suite: if fields.suite.is_empty() { fields.codename.clone() } else { fields.suite.clone() },
        component,
        architecture,
        security: is_security(&fields),
        present,
        checked_at: release.map(|r| r.modified),
        published_at: release.and_then(|r| r.date),
        valid_until: release.and_then(|r| r.valid_until),
        source: repository.source.clone(),
    };
    Known { list, release: fields, site: repository.site(), fetched_from, place }
}

fn read_offers(host: &Host, gaps: &mut Gaps, place: &str, list: usize, database: &Database, by_name: &HashMap<&str, Vec<usize>>, offers: &mut Offers) {
    let wanted = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|n| by_name.contains_key(n));
    let native = offers.native.clone();
    let result = apt_lists::read_list(host, place, wanted, |stanza| {
        for &index in by_name.get(stanza.name.as_str()).into_iter().flatten() {
            // To apt, a package of architecture `all` is one of dpkg's own architecture.
            let own = |a: &str| if a == "all" { native.clone() } else { a.to_string() };
            if database.packages.get(index).is_some_and(|p| own(&p.architecture) == own(&stanza.architecture)) {
                let offered = Offered {
                    version: stanza.version.clone(),
                    list,
                    line: stanza.line,
                    source: stanza.source.clone(),
                    phased_percentage: stanza.phased_percentage,
                };
                offers.of.entry(index).or_default().push(offered);
            }
        }
    });
    if let Err(e) = result {
        list_gap(gaps, &e.to_gap(Updates::NAME, "", ""));
    }
}

/// apt leaves an unchanged Release file alone, so a newer sign of a refresh counts, too: the stamps
/// that its timer leaves on success, and a newer Release file from the same server.
fn set_ages(host: &Host, lists: &mut [Known]) {
    let stamps = ["update-success-stamp", "update-stamp"].map(|n| host.stat(&format!("/var/lib/apt/periodic/{n}")).ok().map(|s| s.modified));
    let stamp = stamps.into_iter().flatten().max();
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    for known in lists.iter().filter(|k| !k.fetched_from.is_empty()) {
        if let Some(at) = known.list.checked_at {
            newest.entry(known.fetched_from.clone()).and_modify(|n| *n = at.max(*n)).or_insert(at);
        }
    }
    for known in lists {
        if known.list.checked_at.is_some() {
            known.list.checked_at = known.list.checked_at.max(stamp).max(newest.get(&known.fetched_from).copied());
        }
    }
}
