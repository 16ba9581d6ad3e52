//! Facts of a host and an index -> the `advisories` family.

use serde_json::Value;

use super::ecosystem::{Order, Release};
use super::index::{Index, IndexError};
use super::matching::{self, Kernel, Matched, Package, Row, Running};
use super::rating::{Severity, Status};
use crate::model::advisories::{Advisories, Advisory, Data, Derived, NAME};
use crate::model::fact::{Observation, Source};
use crate::model::gap::{Gap, Gaps, reason};

/// Most rows of one list.
const MAX_ROWS: usize = 20_000;
const IMPORT: &str = "Import records of this release with assay advisories import.";

/// Matches what was observed; a fact that is missing is a gap, never an empty list.
pub fn derive(observation: &Observation, index: &Index) -> Derived {
    let mut gaps = Gaps::new();
    let value = derive_here(observation, index, &mut gaps);
    Derived { value, gaps: gaps.into_sorted() }
}

fn derive_here(observation: &Observation, index: &Index, gaps: &mut Gaps) -> Option<Value> {
    let none = |gaps: &mut Gaps, reason: &str, detail: String, remedy: &str| {
        gaps.note(NAME, "", "", reason, detail, remedy);
        None
    };
    for old in observation.gaps.iter().filter(|g| hides_packages(g)) {
        gaps.add(Gap { family: NAME.into(), path: String::new(), subject: String::new(), ..old.clone() });
    }
    let (Some(os), Some(installed)) = (observation.families.get("os"), observation.families.get("packages")) else {
        return none(gaps, reason::MISSING, "the operating system and its packages were not both gathered".into(), "Scan with the families os and packages.");
    };
    let packages = packages(installed);
    let release = release(os, &packages, observation);
    let running = running(observation);
    let matched = match matching::run(index, &release, &packages, &running) {
        Ok(matched) => matched,
        Err(e @ IndexError::Damaged(_)) => return none(gaps, reason::MALFORMED, e.to_string(), "Import the records again."),
        Err(e) => return none(gaps, reason::READ_FAILED, e.to_string(), "Import the records again."),
    };
    let Some(order) = matched.order else {
        let detail =
            format!("the index has no records for {} {}, so nothing was evaluated", or(&release.id, "this system"), or(&release.version, &release.codename));
        return none(gaps, reason::UNSUPPORTED, detail, IMPORT);
    };
    let host = Host { offers: Offers::read(observation), place: place(installed), order, packages: &packages };
    let advisories = host.document(index, matched, gaps);
    match serde_json::to_value(&advisories) {
        Ok(value) => Some(value),
        Err(e) => none(gaps, reason::INTERNAL, format!("the advisories do not serialise: {e}"), "Report this as a defect."),
    }
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

/// What could hide a package or its version.
fn hides_packages(gap: &Gap) -> bool {
    match gap.family.as_str() {
        "" => true,
        "packages" => ["", "items", "items.version", "items.source_version", "items.source_name", "manager"].contains(&gap.path.as_str()),
        "os" => ["", "id", "version_id", "codename"].contains(&gap.path.as_str()),
        _ => false,
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
}

fn packages(family: &Value) -> Vec<Package> {
    let items = family.get("items").and_then(Value::as_array);
    let package = |item: &Value| Package {
        name: text(item, "name"),
        version: text(item, "version"),
        architecture: text(item, "architecture"),
        source_name: text(item, "source_name"),
        source_version: text(item, "source_version"),
        module: text(item, "module"),
    };
    items.into_iter().flatten().map(package).collect()
}

fn place(family: &Value) -> Source {
    family.get("source").and_then(|s| serde_json::from_value(s.clone()).ok()).unwrap_or_default()
}

fn release(os: &Value, packages: &[Package], observation: &Observation) -> Release {
    let lists = observation.families.get("updates").and_then(|u| u.get("lists")).and_then(Value::as_array);
    let has_pro_list = lists.into_iter().flatten().any(|l| text(l, "repository").contains("esm.ubuntu.com"));
    let is_pro = has_pro_list || packages.iter().any(|p| p.version.contains("+esm") || p.version.contains("~esm"));
    Release { id: text(os, "id"), version: text(os, "version_id"), codename: text(os, "codename"), is_pro }
}

fn running(observation: &Observation) -> Running {
    let kernel = observation.families.get("kernel");
    let field = |key: &str| kernel.and_then(|k| k.get(key)).and_then(Value::as_str).map(String::from);
    Running { release: field("running"), version: field("running_version") }
}

/// What the host's own lists offer.
struct Offers {
    /// Binary package -> newest candidate; `None` when the lists do not tell.
    pending: Option<Vec<(String, String)>>,
}

impl Offers {
    fn read(observation: &Observation) -> Self {
        let hidden = observation.gaps.iter().any(|g| g.family == "updates" && (g.path.is_empty() || g.path == "pending") && g.subject.is_empty());
        let updates = observation.families.get("updates").filter(|u| !hidden && u.get("oldest_list_at").is_some_and(|at| !at.is_null()));
        let pending = updates.and_then(|u| u.get("pending")).and_then(Value::as_array);
        Self { pending: pending.map(|list| list.iter().map(|p| (text(p, "name"), text(p, "candidate"))).collect()) }
    }
}

struct Host<'a> {
    offers: Offers,
    place: Source,
    order: Order,
    packages: &'a [Package],
}

impl Host<'_> {
    fn document(&self, index: &Index, matched: Matched, gaps: &mut Gaps) -> Advisories {
        let directory = index.directory();
        let data =
            Data { imported_at: directory.imported_at, newest_record_at: matched.newest, records: directory.records, digest: index.digest().to_string() };
        let mut out = Advisories { data, ecosystems: matched.ecosystems, packages: self.packages.len() as u64, ..Advisories::default() };
        // Rows are sorted by id and source: only neighbours can share them.
        let mut unknown_kernels = std::collections::BTreeSet::new();
        for (number, row) in matched.rows.iter().enumerate() {
            let neighbours = matched.rows.get(number.saturating_sub(1)..(number + 2).min(matched.rows.len())).unwrap_or_default();
            let is_alone = neighbours.iter().filter(|r| r.id == row.id && r.source == row.source).count() < 2;
            let advisory = self.advisory(row, !is_alone);
            let (path, list) = list_of(&mut out, row);
            if row.kernel == Kernel::Unknown {
                unknown_kernels.insert((path_of(row), format!("{} {}", row.source, row.installed)));
            }
            if list.len() < MAX_ROWS {
                list.push(advisory);
            } else {
                gaps.note(NAME, path, "", reason::LIMIT_REACHED, format!("more than {MAX_ROWS} advisories"), "");
            }
        }
        for (path, subject) in unknown_kernels {
            let detail = format!("{subject} is affected and installed beside a newer kernel; which one runs is not known");
            gaps.note(NAME, path, &subject, reason::NEEDS_LIVE_KERNEL, detail, "Scan the machine itself.");
        }
        out
    }

    fn advisory(&self, row: &Row, several: bool) -> Advisory {
        let version = if several { format!(" {}", row.installed) } else { String::new() };
        Advisory {
            subject: format!("{} {}{version}", row.id, row.source),
            id: row.id.clone(),
            aliases: row.aliases.iter().cloned().collect(),
            packages: row.packages.iter().cloned().collect(),
            source_package: row.source.clone(),
            installed: row.installed.clone(),
            fixed: row.fixed.clone(),
            severity: row.severity.word().into(),
            score_tenths: row.score.map(i64::from),
            published_at: row.published,
            offered: self.offered(row).into(),
            state: state(row).into(),
            source: self.place.clone(),
        }
    }

    /// Candidates are versions of binary packages: they compare with a fixed version only where the
    /// installed binary and its source have the same version, rebuilds (`+b1`) apart.
    fn offered(&self, row: &Row) -> &'static str {
        if row.is_restart_enough {
            return "yes";
        }
        let Some(pending) = self.offers.pending.as_ref().filter(|_| !row.fixed.is_empty()) else {
            return if row.fixed.is_empty() { "no" } else { "unknown" };
        };
        let mut answer = "no";
        for name in &row.packages {
            let Some((_, candidate)) = pending.iter().find(|(n, _)| n == name) else { continue };
            let is_comparable = self.packages.iter().any(|p| &p.name == name && without_rebuild(&p.version) == row.installed);
            if !is_comparable {
                answer = "unknown";
            } else if self.order.compare(candidate, &row.fixed).is_ge() {
                return "yes";
            }
        }
        answer
    }
}

/// `1.2-3+b4` was rebuilt from source version `1.2-3`.
fn without_rebuild(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((source, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => source,
        _ => version,
    }
}

fn state(row: &Row) -> &'static str {
    match (row.kernel, row.status) {
        (Kernel::NotRunning | Kernel::Unknown, _) => "kernel-not-running",
        (_, Status::Unimportant) => "unimportant",
        (_, Status::EndOfLife) => "end-of-life",
        _ if row.is_restart_enough => "restart-required",
        _ if row.fixed.is_empty() => "no-fix",
        _ => "fixed-available",
    }
}

/// Where a row would stand if its kernel ran.
fn path_of(row: &Row) -> &'static str {
    match (row.status, row.fixed.is_empty(), row.severity) {
        (Status::Unimportant | Status::EndOfLife, ..) => "unimportant",
        (_, true, _) => "no_fix",
        (_, _, Severity::Critical) => "critical",
        (_, _, Severity::High) => "high",
        (_, _, Severity::Medium) => "medium",
        (_, _, Severity::Low | Severity::None) => "low",
        (_, _, Severity::Unknown) => "unrated",
    }
}

fn list_of<'o>(out: &'o mut Advisories, row: &Row) -> (&'static str, &'o mut Vec<Advisory>) {
    if matches!(row.kernel, Kernel::NotRunning | Kernel::Unknown) {
        return ("kernels_not_running", &mut out.kernels_not_running);
    }
    let path = path_of(row);
    let list = match path {
        "critical" => &mut out.critical,
        "high" => &mut out.high,
        "medium" => &mut out.medium,
        "low" => &mut out.low,
        "unrated" => &mut out.unrated,
        "no_fix" => &mut out.no_fix,
        _ => &mut out.unimportant,
    };
    (path, list)
}
