//! The operating system and the machine it runs on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::debian::apt_sources::Sources;
use crate::host::debian::status;
use crate::host::manager;
use crate::host::{CONFIG_LIMIT, Host, ReadError, machine};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

/// The operating system and the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Os {
    /// Name from `/etc/hostname`, else the kernel's; empty when neither is there.
    pub hostname: String,
    /// `ID` of os-release(5), such as `debian`.
    pub id: String,
    /// `ID_LIKE` of os-release(5).
    pub id_like: Vec<String>,
    /// `VERSION_ID` of os-release(5), such as `12`; empty on rolling releases.
    pub version_id: String,
    /// `VERSION_CODENAME`, else the suite that `debian_version` names; may be empty.
    pub codename: String,
    /// `PRETTY_NAME` of os-release(5), with the point release of `/etc/debian_version` when that says more.
    pub pretty_name: String,
    /// When the release stops getting security updates; `null` when the data file does not know it.
    pub end_of_life: Option<EndOfLife>,
    /// Repositories of extended support that apt uses, whose end is a matter of contract.
    #[serde(default)]
    pub extended_support: Vec<ExtendedSupport>,
    /// Machine name as uname(2) says; for a root folder dpkg's own architecture, or the one that rpm's or apk's packages have.
    pub architecture: String,
    /// `none`, `kvm`, `vmware`, `xen`, `hyperv`, `container`, `other`; empty when it can't be told.
    pub virtualization: String,
    /// Live hardware; `null` for a root folder.
    pub hardware: Option<Hardware>,
    /// Where the release was read.
    pub source: Source,
}

impl Document for Os {
    const NAME: &'static str = "os";
    const TITLE: &'static str = "Host, operating system and its end of life";
}

/// End of security support of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndOfLife {
    /// First second after support ends, Unix seconds (midnight UTC).
    pub at: i64,
    /// Which support is meant: `security` or `lts`.
    pub support: String,
    /// Publisher of the date, from the data file.
    pub source: String,
}

/// A repository of extended support.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendedSupport {
    /// `Freexian ELTS` or `Ubuntu ESM`, and the suite.
    pub subject: String,
    /// The sources.list(5) entry.
    pub source: Source,
}

/// Processor and memory of the live machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// Logical processors online.
    pub processors: u64,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
}

impl HostFamily for Os {
    const WATCHED: &'static [&'static str] = &["/etc/os-release", "/usr/lib/os-release", "/etc/debian_version", "/etc/lsb-release", "/etc/hostname"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let release = read_release(host, gaps);
        let point = host.read_text("/etc/debian_version", CONFIG_LIMIT).unwrap_or_default().trim().to_string();
        let field = |name: &str| release.fields.get(name).cloned().unwrap_or_default();
        let (id, version_id) = (field("ID"), field("VERSION_ID"));
        let (architecture, dpkg_architecture) = architecture(host, gaps);
        let end_of_life = end_of_life(&id, &version_id, &dpkg_architecture);
        if end_of_life.is_none() && !id.is_empty() {
            let release = if version_id.is_empty() { "a rolling release".into() } else { format!("release {version_id}") };
            gaps.note(Self::NAME, "end_of_life", "", reason::UNSUPPORTED, format!("the end of life of {id} ({release}) is not in the data file"), "");
        }
        Some(Self {
            hostname: hostname(host, gaps),
            id_like: field("ID_LIKE").split_whitespace().map(String::from).collect(),
            codename: codename(field("VERSION_CODENAME"), &point),
            pretty_name: pretty_name(&field("PRETTY_NAME"), &version_id, &point),
            id,
            version_id,
            end_of_life,
            extended_support: extended_support(host, gaps),
            architecture,
            virtualization: machine::virtualization(host).into(),
            hardware: hardware(host, gaps),
            source: Source::whole(release.place),
        })
    }
}

/// What os-release(5) says, and where.
#[derive(Default)]
struct Release {
    fields: BTreeMap<String, String>,
    place: String,
}

fn read_release(host: &Host, gaps: &mut Gaps) -> Release {
    for place in ["/etc/os-release", "/usr/lib/os-release"] {
        match host.read_text(place, CONFIG_LIMIT) {
            Ok(text) => return Release { fields: parse_release(&text), place: place.into() },
            Err(e) if e.is_not_found() => {}
            Err(e) => {
                release_gaps(gaps, &e.to_gap(Os::NAME, "", ""));
                return Release::default();
            }
        }
    }
    let missing = ReadError::NotFound("/etc/os-release".into());
    release_gaps(gaps, &missing.to_gap(Os::NAME, "", ""));
    Release::default()
}

fn release_gaps(gaps: &mut Gaps, gap: &Gap) {
    for path in ["id", "id_like", "version_id", "codename", "pretty_name", "end_of_life"] {
        gaps.add(Gap { path: path.into(), ..gap.clone() });
    }
}

/// What the distribution calls itself, for families that need to know whose packages they see.
#[derive(Debug, Default)]
pub(super) struct Distribution {
    /// `ID`.
    pub(super) id: String,
    /// `VERSION_ID`; empty on rolling releases.
    pub(super) version_id: String,
    /// `VERSION_CODENAME`, else what `debian_version` says.
    pub(super) codename: String,
    /// What lsb_release(1) would print as distributor: `Debian`, `Ubuntu`.
    pub(super) distributor: String,
}

/// Reads it; the family `os` reports what can't be read.
pub(super) fn distribution(host: &Host) -> Distribution {
    let read = |path: &str| host.read_text(path, CONFIG_LIMIT).unwrap_or_default();
    let release = parse_release(&host.read_text("/etc/os-release", CONFIG_LIMIT).unwrap_or_else(|_| read("/usr/lib/os-release")));
    let lsb = parse_release(&read("/etc/lsb-release"));
    let field = |name: &str| release.get(name).cloned().unwrap_or_default();
    let id = field("ID");
    let capitalised = id.chars().take(1).flat_map(char::to_uppercase).chain(id.chars().skip(1)).collect();
    Distribution {
        version_id: field("VERSION_ID"),
        codename: codename(field("VERSION_CODENAME"), read("/etc/debian_version").trim()),
        distributor: lsb.get("DISTRIB_ID").cloned().unwrap_or(capitalised),
        id,
    }
}

/// Assignments as a shell would read them; other lines are skipped, as os-release(5) asks.
fn parse_release(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line.trim().split_once('=') else {
            continue;
        };
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            out.insert(name.into(), unquote(value.trim()));
        }
    }
    out
}

fn unquote(value: &str) -> String {
    let single = value.len() > 1 && value.starts_with('\'') && value.ends_with('\'');
    if single {
        return value.trim_matches('\'').into();
    }
    let double = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    let inner = if double { value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or_default() } else { value };
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// Debian's `debian_version` holds `CODENAME/sid` before a release.
fn codename(declared: String, point: &str) -> String {
    match point.split_once('/') {
        Some((suite, _)) if declared.is_empty() => suite.into(),
        _ => declared,
    }
}

/// `Debian GNU/Linux 12 (bookworm)` with point release 12.11 becomes `Debian GNU/Linux 12.11 (bookworm)`.
fn pretty_name(pretty: &str, version_id: &str, point: &str) -> String {
    let says_more = !version_id.is_empty() && point.strip_prefix(version_id).is_some_and(|rest| rest.starts_with('.'));
    if !says_more {
        return pretty.into();
    }
    let words: Vec<&str> = pretty.split(' ').map(|w| if w == version_id { point } else { w }).collect();
    words.join(" ")
}

fn hostname(host: &Host, gaps: &mut Gaps) -> String {
    let from_file = |path: &str| match host.read_text(path, 4096) {
        Ok(text) => Ok(text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or_default().to_string()),
        Err(e) if e.is_not_found() => Ok(String::new()),
        Err(e) => Err(e),
    };
    let mut places = vec!["/etc/hostname"];
    if host.is_live() {
        places.push("/proc/sys/kernel/hostname");
    }
    for place in places {
        match from_file(place) {
            Ok(name) if !name.is_empty() => return name,
            Ok(_) => {}
            Err(e) => gaps.add(e.to_gap(Os::NAME, "hostname", "")),
        }
    }
    String::new()
}

/// The architecture to show, and dpkg's name of it (empty when it has none).
fn architecture(host: &Host, gaps: &mut Gaps) -> (String, String) {
    let dpkg = match status::read(host) {
        Ok(Some(database)) => status::architectures(host, &database).unwrap_or_default().first().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let kernel = machine::kernel_architecture(host);
    let shown = if kernel.is_empty() && dpkg.is_empty() {
        manager::architecture(host)
    } else if kernel.is_empty() {
        dpkg.clone()
    } else {
        kernel
    };
    if shown.is_empty() {
        gaps.note(Os::NAME, "architecture", "", reason::MISSING, "no architecture in the package database", "");
    }
    let dpkg = if dpkg.is_empty() { dpkg_name(&shown).into() } else { dpkg };
    (shown, dpkg)
}

fn dpkg_name(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" => "armhf",
        "i686" | "i586" => "i386",
        "ppc64le" => "ppc64el",
        other => other,
    }
}

/// By the servers that carry nothing else.
fn extended_support(host: &Host, gaps: &mut Gaps) -> Vec<ExtendedSupport> {
    let sources = Sources::read(host);
    for error in &sources.errors {
        gaps.add(error.to_gap(Os::NAME, "extended_support", ""));
    }
    let mut out = Vec::new();
    for entry in sources.repositories.iter().filter(|r| !r.options.disabled) {
        let name = match entry.site().as_str() {
            "esm.ubuntu.com" => "Ubuntu ESM",
            "deb.freexian.com" if entry.shown().contains("extended-lts") => "Freexian ELTS",
            _ => continue,
        };
        out.push(ExtendedSupport { subject: format!("{name} {}", entry.suite), source: entry.source.clone() });
    }
    out
}

/// Published dates: see the head of the file.
const END_OF_LIFE: &str = include_str!("../../rules/data/os-end-of-life.csv");

/// The last support that needs no contract; the version is looked up as it is, then without its last parts.
fn end_of_life(id: &str, version_id: &str, dpkg_architecture: &str) -> Option<EndOfLife> {
    let mut version = version_id;
    while !version.is_empty() {
        let found = END_OF_LIFE.lines().filter_map(|line| end_of_life_row(line, id, version, dpkg_architecture)).max_by_key(|e| e.at);
        if found.is_some() {
            return found;
        }
        version = version.rsplit_once('.').map_or("", |(short, _)| short);
    }
    None
}

fn end_of_life_row(line: &str, id: &str, version: &str, dpkg_architecture: &str) -> Option<EndOfLife> {
    let mut cells = line.split(',');
    let (row_id, row_version, support, last_day, architectures, source) =
        (cells.next()?, cells.next()?, cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    let covered = architectures.is_empty() || architectures.split(' ').any(|a| a == dpkg_architecture);
    if line.starts_with('#') || row_id != id || row_version != version || !covered {
        return None;
    }
    let day: jiff::civil::Date = last_day.parse().ok()?;
    let at = day.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(EndOfLife { at, support: support.into(), source: source.into() })
}

fn hardware(host: &Host, gaps: &mut Gaps) -> Option<Hardware> {
    if !host.is_live() {
        return None;
    }
    match machine::hardware(host) {
        Ok((processors, memory_bytes)) => Some(Hardware { processors, memory_bytes }),
        Err(e) => {
            gaps.add(e.to_gap(Os::NAME, "hardware", ""));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_a_shell_would() {
        let fields = parse_release("NAME='A b'\nPRETTY_NAME=\"x \\\"y\\\" \\$z\"\n# c\nID=debian\nbroken\nA B=c\nE=\"");
        let shown: Vec<(&str, &str)> = fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(shown, [("E", "\""), ("ID", "debian"), ("NAME", "A b"), ("PRETTY_NAME", "x \"y\" $z")]);
        assert_eq!(pretty_name("Debian GNU/Linux 12 (bookworm)", "12", "12.11"), "Debian GNU/Linux 12.11 (bookworm)");
        assert_eq!(pretty_name("Ubuntu 22.04.4 LTS", "22.04", "bookworm/sid"), "Ubuntu 22.04.4 LTS");
        assert_eq!(codename(String::new(), "trixie/sid"), "trixie");
    }

    #[test]
    fn end_of_life_by_release_and_architecture() {
        let at = |id: &str, version: &str, arch: &str| end_of_life(id, version, arch).map(|e| (e.at, e.support));
        // date -u -d 2028-07-01 +%s
        assert_eq!(at("debian", "12", "amd64"), Some((1_846_022_400, "lts".into())));
        // No LTS for this architecture: date -u -d 2026-07-12 +%s
        assert_eq!(at("debian", "12", "s390x"), Some((1_783_814_400, "security".into())));
        assert_eq!(at("alpine", "3.19.1", ""), at("alpine", "3.19", "amd64"));
        assert_eq!(at("rocky", "9.4", "x").unwrap().1, "security");
        assert_eq!(at("debian", "", "amd64"), None);
        assert_eq!(at("arch", "1", "amd64"), None);
    }

    #[test]
    fn derivatives_and_rolling_releases_have_no_date_and_extended_support_is_named() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let gather = || {
            let mut gaps = Gaps::new();
            let os = Os::gather(&Host::rooted(root.path()).unwrap(), &mut gaps).unwrap();
            (os, gaps.into_sorted().iter().any(|g| g.path == "end_of_life"))
        };
        for release in [
            "ID=raspbian\nID_LIKE=debian\nVERSION_ID=12",
            "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=21.3",
            "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux forky/sid\"",
        ] {
            make("etc/os-release", release);
            let (os, gap) = gather();
            assert!(os.end_of_life.is_none() && gap, "{release}");
        }
        make("etc/os-release", "ID=debian\nVERSION_ID=10\n");
        make("etc/apt/sources.list.d/x.list", "deb https://deb.freexian.com/extended-lts buster main\n#deb https://esm.ubuntu.com/infra/ubuntu x main\n");
        let (os, gap) = gather();
        assert!(os.end_of_life.is_some() && !gap);
        assert_eq!(os.extended_support.iter().map(|e| e.subject.as_str()).collect::<Vec<_>>(), ["Freexian ELTS buster"]);
    }

    #[test]
    fn every_row_of_the_data_file_is_whole() {
        let rows: Vec<&str> = END_OF_LIFE.lines().filter(|l| !l.starts_with('#')).skip(1).collect();
        for row in &rows {
            let cells: Vec<&str> = row.split(',').collect();
            assert_eq!(cells.len(), 6, "{row}");
            let arch = cells[4].split(' ').next().unwrap_or_default();
            assert!(end_of_life_row(row, cells[0], cells[1], arch).is_some(), "{row}");
            assert!(["security", "lts"].contains(&cells[2]), "{row}");
        }
        assert!(rows.len() > 40);
    }
}
