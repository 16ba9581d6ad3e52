//! Installed packages against the ranges of one index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ecosystem::{Order, Release};
use super::index::{Frame, Index, IndexError, Range};
use super::interval::{End, holds};
use super::kernel::{self, Part};
use super::osv::{cve_of, is_module_build};
use super::rating::{Severity, Status};

/// One installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Binary package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// Source package.
    pub source_name: String,
    /// Version of the source package.
    pub source_version: String,
    /// `name:stream:…` of the module that it belongs to (rpm); may be empty.
    pub module: String,
}

/// What runs, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Release; `None`: not known (a root folder).
    pub release: Option<String>,
    /// Version of the package that built it, as the kernel says.
    pub version: Option<String>,
}

/// Which kernel a row is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kernel {
    /// None: an ordinary package.
    #[default]
    No,
    /// The one that runs.
    Running,
    /// One that does not.
    NotRunning,
    /// One of several of which nobody knows whether it runs.
    Unknown,
}

/// One advisory that concerns one source package in one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Id.
    pub id: String,
    /// Ids of the same holes.
    pub aliases: BTreeSet<String>,
    /// Binary packages.
    pub packages: BTreeSet<String>,
    /// Source package.
    pub source: String,
    /// Version that was compared.
    pub installed: String,
    /// Fixed version; empty when there is none.
    pub fixed: String,
    /// How severe.
    pub severity: Severity,
    /// CVSS base score in tenths.
    pub score: Option<u8>,
    /// How the distribution treats it.
    pub status: Status,
    /// Unix seconds.
    pub published: Option<i64>,
    /// Which kernel.
    pub kernel: Kernel,
    /// Whether a fixed kernel is installed and waits for a restart.
    pub is_restart_enough: bool,
}

/// What the matching came to.
#[derive(Clone, Debug, Default)]
pub struct Matched {
    /// Ecosystems that stand for the release.
    pub ecosystems: Vec<String>,
    /// Newest change of a record in them.
    pub newest: Option<i64>,
    /// Rows by id, source and version.
    pub rows: Vec<Row>,
    /// Packages whose versions are compared by these rules.
    pub order: Option<Order>,
}

/// Ecosystems of packages that a subscription of Ubuntu adds.
const UBUNTU_PRO: &str = "Ubuntu:Pro:";

/// One ecosystem of the release.
struct Source {
    is_pro: bool,
    frame: Arc<Frame>,
}

impl Source {
    /// Ids of the records that speak of a package.
    fn ids(&self, package: &str) -> Option<Vec<String>> {
        let ranges = self.frame.ranges_of(package)?;
        ranges.iter().map(|r| self.frame.entry(r.record).map(|e| e.id.to_string())).collect()
    }
}

/// Matches; without an ecosystem for the release nothing was evaluated.
pub fn run(index: &Index, release: &Release, packages: &[Package], running: &Running) -> Result<Matched, IndexError> {
    let mut matched = Matched::default();
    let mut frames = Vec::new();
    for (number, ecosystem) in index.directory().ecosystems.iter().enumerate() {
        if let Some(order) = Order::of(&ecosystem.name).filter(|_| release.is_in(&ecosystem.name)) {
            matched.order = Some(order);
            matched.newest = matched.newest.max(Some(ecosystem.newest));
            matched.ecosystems.push(ecosystem.name.clone());
            frames.push(Source { is_pro: ecosystem.name.starts_with(UBUNTU_PRO), frame: index.frame(number)? });
        }
    }
    if let Some(order) = matched.order {
        let host = Host { order, streams: streams(packages), newest_kernels: newest_kernels(order, packages), packages, running };
        matched.rows = host.rows(&frames)?;
    }
    Ok(matched)
}

/// Source package and version of the newest installed kernel of each source.
fn newest_kernels(order: Order, packages: &[Package]) -> BTreeMap<String, String> {
    let mut newest: BTreeMap<String, String> = BTreeMap::new();
    for package in packages {
        if let Part::Image(_) = part_of(order, package) {
            let source = kernel::source_of(&package.source_name);
            let is_newer = newest.get(&source).is_none_or(|v| order.compare(&package.version, v).is_gt());
            if is_newer {
                newest.insert(source, package.version.clone());
            }
        }
    }
    newest
}

fn part_of(order: Order, package: &Package) -> Part {
    kernel::part(order, &package.name, &package.source_name, &package.version, &package.architecture)
}

/// Module -> streams in use: by the packages' own labels, else by the version of the package that
/// has the module's name.
fn streams(packages: &[Package]) -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let mut label = package.module.split(':');
        match (label.next().filter(|m| !m.is_empty()), label.next()) {
            (Some(module), Some(stream)) => {
                out.entry(module.into()).or_default().insert(stream.into());
            }
            _ if is_module_build(&package.version) => {
                let version = package.version.split_once(':').map_or(package.version.as_str(), |(_, rest)| rest);
                for name in BTreeSet::from([&package.name, &package.source_name]) {
                    out.entry(name.clone()).or_default().insert(format!("={version}"));
                }
            }
            _ => {}
        }
    }
    out
}

struct Host<'a> {
    order: Order,
    streams: BTreeMap<String, BTreeSet<String>>,
    newest_kernels: BTreeMap<String, String>,
    packages: &'a [Package],
    running: &'a Running,
}

type Key = (String, String, String);

/// One package on its way through the ecosystems.
struct Found<'a> {
    package: &'a Package,
    source: &'a str,
    version: &'a str,
    kernel: Kernel,
}

impl Host<'_> {
    fn rows(&self, sources: &[Source]) -> Result<Vec<Row>, IndexError> {
        let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
        for package in self.packages {
            let part = part_of(self.order, package);
            if part == Part::Beside {
                continue;
            }
            let source = kernel::source_of(&package.source_name);
            let (version, kernel) = self.version(package, &part, &source);
            let name = if self.order == Order::Rpm { &package.name } else { &source };
            let damaged = || IndexError::Damaged(format!("the ranges of {name} are not readable"));
            // Where the subscription is in use, what it says of a record stands in the place of what
            // is said to those who lack it (often: no fix).
            let mut by_pro = BTreeSet::new();
            for pro in sources.iter().filter(|s| s.is_pro) {
                by_pro.extend(pro.ids(name).ok_or_else(damaged)?);
            }
            let found = Found { package, source: &source, version: &version, kernel };
            for ecosystem in sources {
                let hidden = if ecosystem.is_pro { None } else { Some(&by_pro) };
                self.add(&found, name, &ecosystem.frame, hidden, &mut rows).ok_or_else(damaged)?;
            }
        }
        let mut rows = merged(self.order, rows.into_values().collect());
        for row in &mut rows {
            let newest = self.newest_kernels.get(&row.source).filter(|_| row.kernel == Kernel::Running && !row.fixed.is_empty());
            row.is_restart_enough = newest.is_some_and(|newest| self.order.compare(newest, &row.fixed).is_ge());
        }
        Ok(rows)
    }

    /// Adds what one ecosystem says of a package; `None` when the frame can't be read.
    fn add(&self, found: &Found<'_>, name: &str, frame: &Frame, hidden: Option<&BTreeSet<String>>, rows: &mut BTreeMap<Key, Row>) -> Option<()> {
        for range in frame.ranges_of(name)? {
            if !holds(self.order, found.version, range.from, range.end, range.until) {
                continue;
            }
            let entry = frame.entry(range.record)?;
            let is_hidden = hidden.is_some_and(|ids| ids.contains(entry.id));
            if is_hidden || (self.order == Order::Rpm && !self.is_same_build(found.package, found.version, &range, entry.stream)) {
                continue;
            }
            let key = (entry.id.to_string(), found.source.to_string(), found.version.to_string());
            let row = rows.entry(key).or_insert_with(|| Row {
                id: entry.id.into(),
                aliases: entry.aliases.split(' ').filter(|a| !a.is_empty()).map(String::from).collect(),
                source: found.source.into(),
                installed: found.version.into(),
                published: entry.published,
                kernel: found.kernel,
                status: range.status,
                ..Row::default()
            });
            row.packages.insert(found.package.name.clone());
            row.take(self.order, &range);
        }
        Some(())
    }

    /// The version that is compared, and which kernel it is.
    fn version(&self, package: &Package, part: &Part, source: &str) -> (String, Kernel) {
        let Part::Image(release) = part else {
            let version = if self.order == Order::Dpkg { &package.source_version } else { &package.version };
            return (version.clone(), Kernel::No);
        };
        let Some(running) = &self.running.release else {
            // What would start is the newest one; of the others nobody can say that they do not run.
            let is_newest = self.newest_kernels.get(source) == Some(&package.version);
            return (package.version.clone(), if is_newest { Kernel::Running } else { Kernel::Unknown });
        };
        if !kernel::is_running(release, running) {
            return (package.version.clone(), Kernel::NotRunning);
        }
        // The package may have been raised under the same release since the machine was started.
        let older = self.running.version.as_ref().filter(|v| self.order == Order::Dpkg && self.order.compare(v, &package.version).is_lt());
        (older.unwrap_or(&package.version).clone(), Kernel::Running)
    }

    /// Module builds have versions of their own: they compare with builds of their stream only.
    fn is_same_build(&self, package: &Package, version: &str, range: &Range<'_>, stream: &str) -> bool {
        if range.until.is_empty() {
            return true;
        }
        let is_module = is_module_build(version);
        if is_module != is_module_build(range.until) {
            return false;
        }
        let Some((module, stream)) = stream.split_once(':').filter(|_| is_module) else { return true };
        if let Some(own) = package.module.split_once(':') {
            return own.0 == module && own.1.split(':').next() == Some(stream);
        }
        let Some(in_use) = self.streams.get(module) else {
            // Nothing tells the stream: a stream that is named by a version can't be told apart.
            return !stream.starts_with(|c: char| c.is_ascii_digit());
        };
        in_use.iter().any(|used| match used.strip_prefix('=') {
            Some(version) => !stream.starts_with(|c: char| c.is_ascii_digit()) || version.strip_prefix(stream).is_some_and(|rest| rest.starts_with(['.', '-'])),
            None => used == stream,
        })
    }
}

impl Row {
    fn take(&mut self, order: Order, range: &Range<'_>) {
        let fixed = if range.end == End::Fixed { range.until } else { "" };
        if self.fixed.is_empty() || (!fixed.is_empty() && order.compare(fixed, &self.fixed).is_gt()) {
            self.fixed = fixed.into();
        }
        self.severity = self.severity.max(range.severity);
        self.score = self.score.max(range.score);
        self.status = self.status.min(range.status);
    }
}

/// Records of single CVEs are laid into the advisory that names them, so that one hole is one row.
fn merged(order: Order, rows: Vec<Row>) -> Vec<Row> {
    let mut groups: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for row in rows {
        groups.entry((row.source.clone(), row.installed.clone())).or_default().push(row);
    }
    let mut out: Vec<Row> = groups.into_values().flat_map(|group| merged_group(order, group)).collect();
    out.sort_by(|a, b| (&a.id, &a.source, &a.installed).cmp(&(&b.id, &b.source, &b.installed)));
    out
}

fn merged_group(order: Order, rows: Vec<Row>) -> Vec<Row> {
    let (single, mut kept): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|r| cve_of(&r.id).is_some());
    let mut by_cve: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, row) in kept.iter().enumerate() {
        for alias in &row.aliases {
            by_cve.entry(alias.clone()).or_default().push(number);
        }
    }
    for row in single {
        let cve = cve_of(&row.id).unwrap_or_default().to_string();
        let into = by_cve.get(&cve).cloned().unwrap_or_default();
        if into.is_empty() {
            // A second record of the same CVE (`CVE-…` beside `DEBIAN-CVE-…`) meets this one.
            by_cve.insert(cve, vec![kept.len()]);
            kept.push(row);
            continue;
        }
        for target in into.into_iter().filter_map(|n| kept.get_mut(n).map(|_| n)).collect::<Vec<_>>() {
            if let Some(target) = kept.get_mut(target) {
                target.absorb(order, &row);
            }
        }
    }
    kept
}

impl Row {
    fn absorb(&mut self, order: Order, other: &Self) {
        self.aliases.extend(other.aliases.iter().cloned().chain([other.id.clone()]));
        self.aliases.remove(&self.id);
        self.packages.extend(other.packages.iter().cloned());
        if other.status == Status::Open {
            self.severity = self.severity.max(other.severity);
            self.score = self.score.max(other.score);
        }
        if !other.fixed.is_empty() && (self.fixed.is_empty() || order.compare(&other.fixed, &self.fixed).is_gt()) {
            self.fixed.clone_from(&other.fixed);
        }
        self.published = self.published.or(other.published);
    }
}
