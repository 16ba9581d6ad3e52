//! One OSV record -> who is affected, in intervals of versions.
//!
//! The evaluation of the OSV schema is done once, at import: events are sorted by the order of the
//! ecosystem and become intervals; a version is affected when it lies in an interval or is listed.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::ecosystem::Order;
use super::interval::{End, MAX_TEXT, RawEvent, check_text, holds, intervals_of};
use super::rating::{Rating, RawSeverity, Severity, Status};

/// Most intervals of one affected package.
const MAX_INTERVALS: usize = 200;
/// Most listed versions of one affected package.
const MAX_VERSIONS: usize = 50_000;
/// Most intervals of one record.
const MAX_AFFECTED: usize = 500_000;
/// Most aliases of one record.
const MAX_ALIASES: usize = 4_000;
/// Kinds of errata that mend or improve; they count only where they name a CVE.
const NO_SECURITY: [&str; 12] =
    ["ALBA-", "ALEA-", "RHBA-", "RHEA-", "RLBA-", "RLEA-", "SUSE-RU-", "SUSE-FU-", "SUSE-OU-", "openSUSE-RU-", "openSUSE-FU-", "openSUSE-OU-"];
/// Live patches of Ubuntu's kernels: no package has their versions.
const LIVE_PATCH: &str = "LSN-";

/// What a file held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A record that concerns packages of distributions.
    Record(Record),
    /// One that is left out.
    Skipped(Skip),
    /// One that its publisher took back: older copies of it count no more.
    Withdrawn {
        /// Id.
        id: String,
        /// Unix seconds.
        modified: i64,
    },
}

/// Why a record is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// No package of a distribution and release that is known.
    UnknownEcosystem,
    /// An erratum without a CVE, or a live patch.
    NoSecurity,
    /// No version is affected: the distribution says so, or it says nothing.
    NothingAffected,
}

impl Skip {
    /// Stable id.
    pub const fn id(self) -> &'static str {
        match self {
            Self::UnknownEcosystem => "unknown-ecosystem",
            Self::NoSecurity => "no-security",
            Self::NothingAffected => "nothing-affected",
        }
    }
}

/// A record, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Id.
    pub id: String,
    /// Ids of the same holes, sorted; distribution prefixes of CVE ids taken off.
    pub aliases: Vec<String>,
    /// Unix seconds.
    pub published: Option<i64>,
    /// Unix seconds.
    pub modified: i64,
    /// `module:stream` that the builds belong to; empty outside modules.
    pub stream: String,
    /// Who is affected.
    pub affected: Vec<Affected>,
}

/// One interval of one package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Affected {
    /// Ecosystem with release.
    pub ecosystem: String,
    /// Package in the ecosystem's own terms.
    pub package: String,
    /// First version; `0` is before every version.
    pub from: String,
    /// Where it ends.
    pub end: End,
    /// Version of the end; empty when open.
    pub until: String,
    /// How the distribution treats it.
    pub status: Status,
    /// How severe.
    pub severity: Severity,
    /// CVSS base score in tenths.
    pub score: Option<u8>,
}

/// The CVE id in an id such as `DEBIAN-CVE-2024-1234`.
pub fn cve_of(id: &str) -> Option<&str> {
    let cve = id.get(id.find("CVE-")?..)?;
    let (year, number) = cve.strip_prefix("CVE-")?.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (is_number(year) && is_number(number)).then_some(cve)
}

/// Compiles one record, or says what is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let raw: RawRecord = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let id = raw.id.ok_or("it has no id")?;
    check_text(&id, "id")?;
    if id.contains(char::is_whitespace) {
        return Err("its id has a space".into());
    }
    let modified = time(raw.modified.as_deref(), "modified")?.ok_or("it does not say when it was modified")?;
    if raw.withdrawn.is_some() {
        return Ok(Parsed::Withdrawn { id, modified });
    }
    let aliases = aliases(&id, raw.aliases, raw.upstream, raw.related);
    let names_cve = aliases.iter().any(|a| cve_of(a).is_some());
    if id.starts_with(LIVE_PATCH) || (!names_cve && NO_SECURITY.iter().any(|p| id.starts_with(p))) {
        return Ok(Parsed::Skipped(Skip::NoSecurity));
    }
    let summary = raw.summary.unwrap_or_default();
    let whole = Rating::of(raw.severity.as_deref(), raw.database_specific.as_ref(), None).or(Rating::of_summary(&id, &summary));
    let mut affected = Vec::new();
    let mut is_known = false;
    for part in raw.affected.unwrap_or_default() {
        let Some(package) = part.package.as_ref() else { continue };
        let Some(order) = Order::of(&package.ecosystem) else { continue };
        is_known = true;
        check_text(&package.name, "package name")?;
        check_text(&package.ecosystem, "ecosystem")?;
        compile(&part, package, order, whole, &mut affected)?;
        if affected.len() > MAX_AFFECTED {
            return Err(format!("it has more than {MAX_AFFECTED} affected versions"));
        }
    }
    if !is_known {
        return Ok(Parsed::Skipped(Skip::UnknownEcosystem));
    }
    keep_first_builds(&mut affected);
    affected.sort();
    affected.dedup();
    if affected.is_empty() {
        return Ok(Parsed::Skipped(Skip::NothingAffected));
    }
    let published = time(raw.published.as_deref(), "published")?;
    let stream = if affected.iter().any(|a| is_module_build(&a.until)) { stream(&summary) } else { String::new() };
    Ok(Parsed::Record(Record { id, aliases, published, modified, stream, affected }))
}

/// Whether a version is that of a module build (`…module+el8…`, `…module_el8…`).
pub fn is_module_build(version: &str) -> bool {
    version.contains("module+el") || version.contains("module_el")
}

/// The intervals of one affected package.
fn compile(part: &RawAffected, package: &RawPackage, order: Order, whole: Rating, out: &mut Vec<Affected>) -> Result<(), String> {
    let own = Rating::of(part.severity.as_deref(), part.database_specific.as_ref(), part.ecosystem_specific.as_ref());
    let rating = own.or(whole);
    let mut push = |name: &str, from: String, end: End, until: String| {
        out.push(Affected {
            ecosystem: package.ecosystem.clone(),
            package: name.into(),
            from,
            end,
            until,
            status: own.status,
            severity: rating.severity,
            score: rating.score,
        });
    };
    let binaries = if matches!(order, Order::Rpm) { binaries(part.ecosystem_specific.as_ref()) } else { Vec::new() };
    if !binaries.is_empty() {
        // SUSE names the source package and lists what was built of it.
        for (name, version) in binaries {
            check_text(&name, "package name")?;
            check_text(&version, "version")?;
            push(&name, "0".into(), End::Fixed, version);
        }
        return Ok(());
    }
    let mut intervals = Vec::new();
    for range in part.ranges.iter().flatten().filter(|r| r.kind == "ECOSYSTEM") {
        intervals.extend(intervals_of(range.events.as_deref().unwrap_or_default(), order)?);
    }
    if intervals.len() > MAX_INTERVALS || part.versions.as_ref().is_some_and(|v| v.len() > MAX_VERSIONS) {
        return Err(format!("{} has more than {MAX_INTERVALS} ranges or {MAX_VERSIONS} versions", package.name));
    }
    for version in part.versions.iter().flatten() {
        check_text(version, "version")?;
        if !intervals.iter().any(|(from, end, until)| holds(order, version, from, *end, until)) {
            push(&package.name, version.clone(), End::Exact, String::new());
        }
    }
    for (from, end, until) in intervals {
        push(&package.name, from, end, until);
    }
    Ok(())
}

/// A module erratum may list one package in several builds of the same sources: the first one has
/// the fix already.
fn keep_first_builds(affected: &mut Vec<Affected>) {
    let mut kept: Vec<Affected> = Vec::with_capacity(affected.len());
    affected.sort();
    for next in affected.drain(..) {
        if let Some(last) = kept.last_mut()
            && last.end == End::Fixed
            && next.end == End::Fixed
            && (&last.ecosystem, &last.package, &last.from) == (&next.ecosystem, &next.package, &next.from)
            && is_module_build(&last.until)
            && is_module_build(&next.until)
        {
            if Order::Rpm.compare(&next.until, &last.until).is_lt() {
                *last = next;
            }
            continue;
        }
        kept.push(next);
    }
    *affected = kept;
}

/// `Important: nodejs:20 security update` is about stream `nodejs:20`.
fn stream(summary: &str) -> String {
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'+'));
    let is_stream = |word: &&str| word.split_once(':').is_some_and(|(module, stream)| is_name(module) && is_name(stream));
    let mut found = summary.split_whitespace().map(|w| w.trim_end_matches([',', ';'])).filter(is_stream);
    match (found.next(), found.next()) {
        (Some(one), None) if one.len() <= MAX_TEXT => one.into(),
        _ => String::new(),
    }
}

fn aliases(id: &str, same: Option<Vec<String>>, upstream: Option<Vec<String>>, related: Option<Vec<String>>) -> Vec<String> {
    let related = related.unwrap_or_default().into_iter().filter(|r| cve_of(r).is_some());
    let all = same.unwrap_or_default().into_iter().chain(upstream.unwrap_or_default()).chain(related).chain([id.to_string()]);
    let plain = all.filter_map(|a| cve_of(&a).map(String::from).or(Some(a))).filter(|a| check_text(a, "").is_ok() && !a.contains(char::is_whitespace));
    let mut out: BTreeSet<String> = plain.collect();
    out.remove(id);
    out.into_iter().take(MAX_ALIASES).collect()
}

/// `[{"libfoo1": "1.2-3", …}]`.
fn binaries(specific: Option<&Value>) -> Vec<(String, String)> {
    let lists = specific.and_then(|s| s.get("binaries")).and_then(Value::as_array);
    let named = lists.into_iter().flatten().filter_map(Value::as_object).flatten();
    named.filter_map(|(name, version)| Some((name.clone(), version.as_str()?.to_string()))).collect()
}

fn time(text: Option<&str>, what: &str) -> Result<Option<i64>, String> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    let parsed: jiff::Timestamp = text.parse().map_err(|_| format!("{what} is not a time of RFC 3339"))?;
    Ok(Some(parsed.as_second()))
}

/// The fields of OSV that are used; publishers add others.
#[derive(Deserialize)]
struct RawRecord {
    id: Option<String>,
    modified: Option<String>,
    published: Option<String>,
    withdrawn: Option<Value>,
    aliases: Option<Vec<String>>,
    upstream: Option<Vec<String>>,
    related: Option<Vec<String>>,
    summary: Option<String>,
    severity: Option<Vec<RawSeverity>>,
    affected: Option<Vec<RawAffected>>,
    database_specific: Option<Value>,
}

#[derive(Deserialize)]
struct RawAffected {
    package: Option<RawPackage>,
    severity: Option<Vec<RawSeverity>>,
    ranges: Option<Vec<RawRange>>,
    versions: Option<Vec<String>>,
    ecosystem_specific: Option<Value>,
    database_specific: Option<Value>,
}

#[derive(Deserialize)]
struct RawPackage {
    #[serde(default)]
    ecosystem: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct RawRange {
    #[serde(default, rename = "type")]
    kind: String,
    events: Option<Vec<RawEvent>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: &Value) -> Record {
        match parse(value.to_string().as_bytes()) {
            Ok(Parsed::Record(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    fn with_events(events: &Value) -> Value {
        json!({"id": "CVE-2024-1", "modified": "2024-01-02T00:00:00Z",
            "affected": [{"package": {"ecosystem": "Debian:12", "name": "p"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]})
    }

    fn shown(value: &Value) -> Vec<String> {
        record(value).affected.iter().map(|a| format!("{} {:?} {}", a.from, a.end, a.until)).collect()
    }

    #[test]
    fn events_become_intervals() {
        for (events, expected) in [
            (json!([{"introduced": "0"}, {"fixed": "2"}]), vec!["0 Fixed 2"]),
            (json!([{"fixed": "2"}, {"introduced": "0"}]), vec!["0 Fixed 2"]),
            (json!([{"introduced": "0"}]), vec!["0 Open "]),
            (json!([{"introduced": "0"}, {"fixed": "0~20230607-1"}]), vec!["0 Fixed 0~20230607-1"]),
            (json!([{"introduced": "1"}, {"last_affected": "2"}]), vec!["1 Last 2"]),
            (json!([{"introduced": "0"}, {"fixed": "2"}, {"introduced": "2"}, {"fixed": "3"}, {"introduced": "5"}]), vec!["0 Fixed 2", "2 Fixed 3", "5 Open "]),
            (json!([{"introduced": "0"}, {"limit": "4"}]), vec!["0 Limit 4"]),
            (json!([{"introduced": "0"}, {"fixed": "2"}, {"limit": "4"}, {"limit": "1"}]), vec!["0 Fixed 2"]),
        ] {
            assert_eq!(shown(&with_events(&events)), expected, "{events}");
        }
    }

    #[test]
    fn a_release_that_was_never_affected_is_left_out() {
        for events in [json!([{"introduced": "0"}, {"fixed": "0"}]), json!([]), json!([{"introduced": "3"}, {"fixed": "3"}])] {
            assert_eq!(parse(with_events(&events).to_string().as_bytes()), Ok(Parsed::Skipped(Skip::NothingAffected)), "{events}");
        }
    }

    #[test]
    fn listed_versions_count_beside_ranges() {
        let mut value = with_events(&json!([{"introduced": "0"}, {"fixed": "2-1"}]));
        value["affected"][0]["versions"] = json!(["1-1", "2-0", "3-1"]);
        assert_eq!(shown(&value), ["0 Fixed 2-1", "3-1 Exact "]);
        assert!(holds(Order::Dpkg, "3-1", "3-1", End::Exact, "") && !holds(Order::Dpkg, "3-2", "3-1", End::Exact, ""));
        // A pre-release is before 0 and still after the beginning.
        assert!(holds(Order::Dpkg, "0~rc1-1", "0", End::Fixed, "2"));
    }

    #[test]
    fn withdrawn_foreign_and_other_errata_are_left_out() {
        let base = with_events(&json!([{"introduced": "0"}, {"fixed": "2"}]));
        let skipped = |change: &dyn Fn(&mut Value)| {
            let mut value = base.clone();
            change(&mut value);
            parse(value.to_string().as_bytes())
        };
        assert_eq!(skipped(&|v| v["withdrawn"] = json!("2024-02-01T00:00:00Z")), Ok(Parsed::Withdrawn { id: "CVE-2024-1".into(), modified: 1_704_153_600 }));
        assert_eq!(skipped(&|v| v["affected"][0]["package"]["ecosystem"] = json!("npm")), Ok(Parsed::Skipped(Skip::UnknownEcosystem)));
        assert_eq!(skipped(&|v| v["affected"][0]["package"]["ecosystem"] = json!("Debian")), Ok(Parsed::Skipped(Skip::UnknownEcosystem)));
        assert_eq!(skipped(&|v| v["id"] = json!("ALBA-2024:1")), Ok(Parsed::Skipped(Skip::NoSecurity)));
        assert_eq!(skipped(&|v| v["id"] = json!("LSN-0001-1")), Ok(Parsed::Skipped(Skip::NoSecurity)));
        for bad in [json!(null), json!(""), json!("a b"), json!("a\u{7}"), json!("x".repeat(300)), json!(7)] {
            assert!(skipped(&|v| v["id"] = bad.clone()).is_err(), "{bad}");
        }
        assert!(skipped(&|v| v["modified"] = json!("yesterday")).unwrap_err().contains("modified"));
    }

    #[test]
    fn ratings_are_taken_and_never_made_up() {
        let rated = |change: &dyn Fn(&mut Value)| {
            let mut value = with_events(&json!([{"introduced": "0"}, {"fixed": "2"}]));
            change(&mut value);
            let first = record(&value).affected.remove(0);
            (first.severity, first.score, first.status)
        };
        assert_eq!(rated(&|_| {}), (Severity::Unknown, None, Status::Open));
        let vector = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]);
        assert_eq!(rated(&|v| v["severity"] = vector.clone()), (Severity::Critical, Some(98), Status::Open));
        let urgency = |word: &'static str| move |v: &mut Value| v["affected"][0]["ecosystem_specific"] = json!({"urgency": word});
        assert_eq!(rated(&urgency("high")).0, Severity::High);
        assert_eq!(rated(&urgency("low**")).0, Severity::Low);
        assert_eq!(rated(&urgency("not yet assigned")), (Severity::Unknown, None, Status::Open));
        assert_eq!(rated(&urgency("unimportant")), (Severity::Unknown, None, Status::Unimportant));
        assert_eq!(rated(&urgency("end-of-life")).2, Status::EndOfLife);
        assert_eq!(rated(&|v| v["severity"] = json!([{"type": "Ubuntu", "score": "medium"}])).0, Severity::Medium);
        assert_eq!(rated(&|v| v["summary"] = json!("Critical: not an erratum")).0, Severity::Unknown);
        let erratum = |v: &mut Value| {
            v["id"] = json!("ALSA-2024:1");
            v["summary"] = json!("Important: p security update");
        };
        assert_eq!(rated(&erratum).0, Severity::High);
    }

    #[test]
    fn ids_of_the_same_holes_and_modules() {
        let mut value = with_events(&json!([{"introduced": "0"}, {"fixed": "1.0-1.module_el9.7.0+226+88d36870"}]));
        value["id"] = json!("RHSA-2024:1");
        value["upstream"] = json!(["UBUNTU-CVE-2024-7", "CVE-2024-1"]);
        value["related"] = json!(["CVE-2024-2", "SUSE-SU-1"]);
        value["summary"] = json!("Important: nodejs:20 security update");
        let record = record(&value);
        assert_eq!(record.aliases, ["CVE-2024-1", "CVE-2024-2", "CVE-2024-7"]);
        assert_eq!(record.stream, "nodejs:20");
        assert_eq!(stream("Moderate: a:1 and b:2 security update"), "");
        assert_eq!((cve_of("ALPINE-CVE-2024-1"), cve_of("CVE-2024-x"), cve_of("DSA-1-1")), (Some("CVE-2024-1"), None, None));
    }

    #[test]
    fn two_builds_of_one_module_count_from_the_first() {
        let range = |fixed: &str| json!({"package": {"ecosystem": "AlmaLinux:9", "name": "p"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}]});
        let value = json!({"id": "ALSA-2026:1", "modified": "2024-01-02T00:00:00Z",
            "affected": [range("1:20-1.module_el9.7.0+226+8"), range("1:20-1.module_el9.7.0+224+0")]});
        assert_eq!(shown(&value), ["0 Fixed 1:20-1.module_el9.7.0+224+0"]);
    }

    #[test]
    fn suse_lists_what_was_built() {
        let mut value = with_events(&json!([{"introduced": "0"}, {"fixed": "2-1"}]));
        value["affected"][0]["package"]["ecosystem"] = json!("SUSE:Linux Enterprise Server 15 SP5");
        value["affected"][0]["ecosystem_specific"] = json!({"binaries": [{"libp1": "2-1", "p-tools": "2-1"}]});
        let names: Vec<String> = record(&value).affected.into_iter().map(|a| a.package).collect();
        assert_eq!(names, ["libp1", "p-tools"]);
    }

    #[test]
    fn damaged_records_never_panic() {
        let text = with_events(&json!([{"introduced": "0"}, {"last_affected": "2"}, {"limit": "*"}])).to_string().into_bytes();
        for i in 0..text.len() {
            let _ = parse(&text[..i]);
            for byte in [0, b'"', b'9', b'~', 0xff] {
                let mut changed = text.clone();
                changed[i] = byte;
                let _ = parse(&changed);
            }
        }
    }
}
