//! Pending updates as apt would see them, from its own lists.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::debian::apt_conf::AptConf;
use crate::host::debian::apt_lists::{self, Found, ReleaseFile};
use crate::host::debian::apt_pins::{Candidate, Offer, Pins, Release};
use crate::host::debian::apt_sources::{Repository, Sources};
use crate::host::debian::status::{self, Database, Installed};
use crate::host::debian::{apt_periodic, version};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// What apt's lists offer beyond what is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Updates {
    /// Every package list that the configured sources name.
    pub lists: Vec<PackageList>,
    /// When the oldest required list was last known current, Unix seconds; `null` without lists.
    #[schemars(extend("x-volatile" = true))]
    pub oldest_list_at: Option<i64>,
    /// Installed packages with a newer candidate, by name and architecture.
    pub pending: Vec<Pending>,
    /// Automatic updates as they take effect.
    pub automatic: Automatic,
}

impl Document for Updates {
    const NAME: &'static str = "updates";
    const TITLE: &'static str = "Pending updates and the age of the lists that tell";
}

impl HostFamily for Updates {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let database = super::packages::read_database(host, gaps, Self::NAME, "")?;
        let conf = AptConf::read(host);
        for error in &conf.errors {
            gaps.add(error.to_gap(Self::NAME, "automatic", ""));
            gaps.add(error.to_gap(Self::NAME, "pending", ""));
        }
        for what in &conf.unsupported {
            gaps.note(Self::NAME, "automatic", "", reason::UNSUPPORTED, what, "");
        }
        let (lists, offers) = read_lists(host, gaps, &database, &conf);
        let pins = Pins::read(host, conf.setting("APT::Default-Release").map_or("", |s| s.value.as_str()));
        for error in &pins.errors {
            gaps.add(error.to_gap(Self::NAME, "pending", ""));
        }
        for what in &pins.unsupported {
            gaps.note(Self::NAME, "pending", "", reason::UNSUPPORTED, what, "Write the pin with plain names or * patterns.");
        }
        let native = offers.native.clone();
        let pending = database.packages.iter().enumerate().filter_map(|(i, p)| offers.pending(i, p, &native, &lists, &pins)).collect();
        let oldest_list_at = lists.iter().filter_map(|l| l.list.checked_at).min();
        let automatic = automatic(host, gaps, &conf, &database);
        Some(Self { lists: lists.into_iter().map(|l| l.list).collect(), oldest_list_at, pending, automatic })
    }
}

/// A list with what pins need to know of it.
struct Known {
    list: PackageList,
    release: Release,
    site: String,
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
}

/// Offers by index of the installed package.
#[derive(Default)]
struct Offers {
    native: String,
    of: BTreeMap<usize, Vec<Offered>>,
}

impl Offers {
    /// The newer version that apt would install, chosen as `pkgPolicy::GetCandidateVer` does.
    fn pending(&self, index: usize, package: &Installed, native: &str, lists: &[Known], pins: &Pins) -> Option<Pending> {
        let offered = self.of.get(&index)?;
        let architecture = if package.architecture == "all" { native } else { package.architecture.as_str() };
        let mut versions: Vec<&str> = offered.iter().map(|o| o.version.as_str()).chain([package.version.as_str()]).collect();
        versions.sort_by(|a, b| version::compare(b, a));
        versions.dedup();
        let mut best: Option<(&str, i32)> = None;
        for candidate in versions {
            let of_version = || offered.iter().filter(move |o| o.version == candidate);
            let from: Vec<Offer<'_>> = of_version().filter_map(|o| lists.get(o.list)).map(Known::offer).collect();
            let source = of_version().next().map_or(package.source_name.as_str(), |o| o.source.as_str());
            let installed = candidate == package.version;
            let judged = Candidate { package: &package.name, architecture, native: architecture == native, source, version: candidate, installed };
            let priority = pins.priority(&judged, &from);
            if priority == 0 || priority <= best.map_or(-1, |b| b.1) {
                continue;
            }
            if priority < 1000 && version::compare(candidate, &package.version) == Ordering::Less {
                continue;
            }
            best = Some((candidate, priority));
        }
        let (candidate, _) = best.filter(|(v, _)| version::compare(v, &package.version) == Ordering::Greater)?;
        let is_security = |o: &Offered| lists.get(o.list).is_some_and(|l| l.list.security);
        let between =
            |o: &&Offered| version::compare(&o.version, &package.version) == Ordering::Greater && version::compare(&o.version, candidate) != Ordering::Greater;
        let place = offered.iter().filter(|o| o.version == candidate).max_by_key(|o| is_security(o))?;
        let list = lists.get(place.list)?;
        Some(Pending {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            installed: package.version.clone(),
            candidate: candidate.into(),
            security: offered.iter().filter(between).any(is_security),
            held: package.held,
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

/// A gap over what the lists tell.
fn lists_gap(gaps: &mut Gaps, reason: &str, detail: &str, remedy: &str) {
    for path in ["lists", "pending"] {
        gaps.note(Updates::NAME, path, "", reason, detail, remedy);
    }
}

const UPDATE: &str = "Run apt-get update and scan again.";

fn read_lists(host: &Host, gaps: &mut Gaps, database: &Database, conf: &AptConf) -> (Vec<Known>, Offers) {
    let sources = Sources::read(host);
    for error in &sources.errors {
        lists_gap(gaps, reason::READ_FAILED, &error.to_string(), "Make apt's sources readable to the scan.");
    }
    for what in &sources.malformed {
        lists_gap(gaps, reason::MALFORMED, what, "Mend the entry as sources.list(5) says.");
    }
    for name in ["Dir", "Dir::State", "Dir::State::Lists", "Dir::Etc", "Dir::Etc::SourceList", "Dir::Etc::SourceParts"] {
        if let Some(s) = conf.setting(name) {
            lists_gap(gaps, reason::UNSUPPORTED, &format!("{}:{}: {name} moves what apt reads", s.place, s.line), "Remove the setting.");
        }
    }
    let architectures = status::architectures(host, database).unwrap_or_else(|e| {
        gaps.add(e.to_gap(Updates::NAME, "pending", ""));
        Vec::new()
    });
    if sources.repositories.is_empty() && sources.errors.is_empty() {
        lists_gap(gaps, reason::MISSING, "no package repository is configured in /etc/apt/sources.list or /etc/apt/sources.list.d", "");
    }
    let mut offers = Offers { native: architectures.first().cloned().unwrap_or_default(), ..Offers::default() };
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, package) in database.packages.iter().enumerate() {
        by_name.entry(&package.name).or_default().push(i);
    }
    let mut lists = Vec::new();
    let mut seen = BTreeSet::new();
    for repository in &sources.repositories {
        let names = [repository.list_name("InRelease"), repository.list_name("Release")];
        let release = apt_lists::read_release(host, &names).unwrap_or_else(|e| {
            lists_gap(gaps, reason::READ_FAILED, &e.to_string(), "Run the scan as root.");
            None
        });
        for (component, architecture) in wanted_lists(repository, release.as_ref(), &architectures) {
            if seen.insert(repository.list_name(&relative(&component, &architecture))) {
                let index = lists.len();
                let known = one_list(host, gaps, repository, release.as_ref(), component, architecture);
                if !known.place.is_empty() {
                    read_offers(host, gaps, &known.place, index, database, &by_name, &mut offers);
                }
                lists.push(known);
            }
        }
    }
    set_ages(host, &mut lists);
    (lists, offers)
}

/// Component and architecture of every list that apt would fetch; both empty for a flat repository.
fn wanted_lists(repository: &Repository, release: Option<&ReleaseFile>, architectures: &[String]) -> Vec<(String, String)> {
    if repository.is_flat() {
        return vec![(String::new(), String::new())];
    }
    let asked = if repository.architectures.is_empty() { architectures } else { &repository.architectures };
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

fn one_list(host: &Host, gaps: &mut Gaps, repository: &Repository, release: Option<&ReleaseFile>, component: String, architecture: String) -> Known {
    let file = relative(&component, &architecture);
    let shown = format!("{} {}", repository.shown(), repository.suite);
    let (mut present, mut place) = (false, String::new());
    match apt_lists::find_list(host, &repository.list_name(&file)) {
        Ok(Found::Readable(path)) => (present, place) = (true, path),
        Ok(Found::Compressed(path)) => {
            present = true;
            gaps.note(
                Updates::NAME,
                "pending",
                "",
                reason::UNSUPPORTED,
                format!("{path}: this compression is not read"),
                "Set Acquire::GzipIndexes to false and run apt-get update.",
            );
        }
        // apt keeps no file of an empty list.
        Ok(Found::Absent) if release.is_some_and(|r| r.sizes.get(&file) == Some(&0)) => present = true,
        Ok(Found::Absent) => gaps.note(Updates::NAME, "pending", "", reason::MISSING, format!("no package list of {shown} {component} {architecture}"), UPDATE),
        Err(e) => gaps.add(e.to_gap(Updates::NAME, "pending", "")),
    }
    if release.is_none() {
        lists_gap(gaps, reason::MISSING, &format!("no Release file of {shown}"), UPDATE);
    }
    let fields = release.map(|r| r.release.clone()).unwrap_or_default();
    let named = |text: &str| text.to_ascii_lowercase().contains("security");
    let fetched_from = if repository.is_mirror_list() { "mirrors".into() } else { repository.site() };
    let list = PackageList {
        repository: shown,
        suite: if fields.suite.is_empty() { fields.codename.clone() } else { fields.suite.clone() },
        component,
        architecture,
        security: named(&fields.label) || named(&fields.suite) || named(&fields.codename),
        present,
        checked_at: release.map(|r| r.modified),
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
                let offered = Offered { version: stanza.version.clone(), list, line: stanza.line, source: stanza.source.clone() };
                offers.of.entry(index).or_default().push(offered);
            }
        }
    });
    if let Err(e) = result {
        gaps.add(e.to_gap(Updates::NAME, "pending", ""));
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

fn automatic(host: &Host, gaps: &mut Gaps, conf: &AptConf, database: &Database) -> Automatic {
    let periodic = apt_periodic::read(host, conf);
    for error in periodic.errors {
        gaps.add(error.to_gap(Updates::NAME, "automatic", ""));
    }
    let tool_installed = database.find("unattended-upgrades").is_some_and(|p| p.state == "installed");
    Automatic {
        lists_every_days: periodic.lists_every_days,
        upgrade_every_days: periodic.upgrade_every_days,
        tool_installed,
        enabled: periodic.is_started && periodic.lists_every_days > 0 && periodic.upgrade_every_days > 0 && tool_installed,
        last_success_at: periodic.last_success_at,
        source: periodic.source,
    }
}

/// One list of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageList {
    /// Address without credentials, with suite: `deb.debian.org/debian bookworm-security`.
    pub repository: String,
    /// Suite or codename of the Release file.
    pub suite: String,
    /// Component, such as `main`.
    pub component: String,
    /// Architecture, `all` for a list of its own; empty for a flat repository.
    pub architecture: String,
    /// Whether the Release file (`Label`, `Suite` or `Codename`) marks it as the distribution's security repository.
    pub security: bool,
    /// Whether the list file is there.
    pub present: bool,
    /// When it was last known current, Unix seconds: the newest of the Release file's modification time, apt's
    /// `update-success-stamp` and `update-stamp`, and another Release file of the same server.
    #[schemars(extend("x-volatile" = true))]
    pub checked_at: Option<i64>,
    /// The sources.list(5) entry.
    pub source: Source,
}

/// One pending update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// Binary package.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// Installed version.
    pub installed: String,
    /// Version that apt would install.
    pub candidate: String,
    /// Whether a security repository offers the candidate, or any version between installed and candidate.
    pub security: bool,
    /// Whether the package is on hold.
    pub held: bool,
    /// Repository that offers the candidate.
    pub repository: String,
    /// List file that offers the candidate.
    pub source: Source,
}

/// APT::Periodic and unattended-upgrades, first- and last-wins as apt reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Automatic {
    /// `APT::Periodic::Update-Package-Lists`, days; 0: never.
    pub lists_every_days: i64,
    /// `APT::Periodic::Unattended-Upgrade`, days; 0: never.
    pub upgrade_every_days: i64,
    /// Whether unattended-upgrades is installed.
    pub tool_installed: bool,
    /// Whether both are set, the tool is installed and a timer or cron job starts it.
    pub enabled: bool,
    /// Newest run recorded, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub last_success_at: Option<i64>,
    /// Deciding place.
    pub source: Source,
}
