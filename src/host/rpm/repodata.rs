//! Repository metadata as dnf and zypper keep it: repomd.xml, primary, updateinfo, modules.

use std::collections::BTreeMap;

use super::repositories::Program;
use super::xml::{self, Attributes, Node};
use crate::host::compressed::{self, OpenError};
use crate::host::{FileKind, Host, ReadError};

/// Most advisories of one file.
const ADVISORY_LIMIT: usize = 200_000;
/// Most packages and texts of one advisory that are kept.
const PACKAGES_LIMIT: usize = 10_000;

/// Why metadata could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepodataError {
    /// It was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is not in the format.
    #[error("{0}: {1}")]
    Malformed(String, String),
}

impl From<ReadError> for RepodataError {
    fn from(e: ReadError) -> Self {
        Self::Open(e.into())
    }
}

/// What is kept of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Kind (`primary`, `updateinfo`, `modules`) -> file that is there.
    pub files: BTreeMap<String, String>,
    /// Kinds that repomd.xml names and no file is there for.
    pub missing: Vec<String>,
    /// Kinds of the whole list.
    pub kinds: Vec<String>,
    /// When it was last known current, Unix seconds.
    pub checked_at: i64,
}

/// The newest copy of a repository's metadata; `None` when there is none.
pub fn find(host: &Host, cache: &str, id: &str, program: Program) -> Result<Option<Kept>, RepodataError> {
    let mut newest: Option<(i64, String)> = None;
    for folder in folders(host, cache, id, program)? {
        match host.stat(&format!("{folder}/repodata/repomd.xml")) {
            Ok(stat) => newest = newest.max(Some((stat.modified, folder))),
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e.into()),
        }
    }
    let Some((modified, folder)) = newest else {
        return Ok(None);
    };
    let mut kept = read_repomd(host, &folder)?;
    // dnf touches the primary list, zypper its cookie, when a refresh finds nothing new.
    let touched = kept.files.get("primary").cloned().into_iter().chain([format!("{folder}/cookie")]);
    kept.checked_at = touched.filter_map(|p| host.stat(&p).ok()).map(|s| s.modified).fold(modified, i64::max);
    Ok(Some(kept))
}

/// Folders that may hold a repository: zypper names them by its alias, dnf adds 16 digits of a checksum
/// of its address.
fn folders(host: &Host, cache: &str, id: &str, program: Program) -> Result<Vec<String>, ReadError> {
    if program == Program::Zypper {
        return Ok(vec![format!("{cache}/{}", id.replace('/', "_"))]);
    }
    let entries = match host.list(cache) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => return Err(e),
    };
    let is_of = |name: &str| name.strip_prefix(id).and_then(|r| r.strip_prefix('-')).is_some_and(|r| r.len() == 16 && r.bytes().all(|b| b.is_ascii_hexdigit()));
    Ok(entries.into_iter().filter(|e| e.kind == FileKind::Folder && is_of(&e.name)).map(|e| format!("{cache}/{}", e.name)).collect())
}

fn read_repomd(host: &Host, folder: &str) -> Result<Kept, RepodataError> {
    let place = format!("{folder}/repodata/repomd.xml");
    let mut listed: BTreeMap<String, String> = BTreeMap::new();
    let mut kind = String::new();
    walk(host, &place, |node| {
        match node {
            Node::Open("data", attributes) => kind = attributes.of("type"),
            // Only the name counts: what is read lies in the same folder, whatever the list says.
            Node::Open("location", attributes) if !kind.is_empty() && listed.len() < 100 => {
                let href = attributes.of("href");
                listed.insert(std::mem::take(&mut kind), href.rsplit('/').next().unwrap_or_default().to_string());
            }
            _ => {}
        }
        true
    })?;
    let mut kept = Kept { kinds: listed.keys().cloned().collect(), ..Kept::default() };
    for kind in ["primary", "updateinfo", "modules"] {
        let zchunk = format!("{kind}_zck");
        let names = [listed.get(kind), listed.get(&zchunk)];
        let there = names.iter().flatten().map(|n| format!("{folder}/repodata/{n}")).find(|p| host.exists(p).unwrap_or(true));
        match there {
            Some(path) => {
                kept.files.insert(kind.into(), path);
            }
            None if names.iter().any(Option::is_some) => kept.missing.push(kind.into()),
            None => {}
        }
    }
    Ok(kept)
}

fn walk(host: &Host, place: &str, act: impl FnMut(Node<'_>) -> bool) -> Result<(), RepodataError> {
    xml::walk(compressed::open(host, place)?, act).map_err(|why| RepodataError::Malformed(place.into(), why))
}

/// A package that a list offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Name.
    pub name: String,
    /// `[epoch:]version-release`.
    pub version: String,
    /// Epoch, `0` without one.
    pub epoch: String,
    /// Architecture.
    pub architecture: String,
    /// Who built it.
    pub vendor: String,
}

impl Offered {
    /// `name-epoch:version-release.arch`.
    pub fn nevra(&self) -> String {
        let plain = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        format!("{}-{}:{plain}.{}", self.name, self.epoch, self.architecture)
    }
}

/// Calls `act` for each package of a primary list whose name is `wanted`.
pub fn each_package(host: &Host, place: &str, wanted: impl Fn(&str) -> bool, mut act: impl FnMut(Offered)) -> Result<(), RepodataError> {
    let mut package = Offered::default();
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    walk(host, place, |node| {
        match node {
            Node::Open(name, attributes) => {
                path.push(name.into());
                text.clear();
                match (path.len(), name) {
                    (2, "package") => package = Offered::default(),
                    (3, "version") => (package.epoch, package.version) = version_of(attributes, "ver", "rel"),
                    _ => {}
                }
            }
            Node::Text(piece) if matches!(path.len(), 3 | 4) && text.len() + piece.len() < 4096 => text.push_str(piece),
            Node::Text(_) => {}
            Node::Close(name) => {
                match (path.len(), name) {
                    (3, "name") => package.name = text.trim().into(),
                    (3, "arch") => package.architecture = text.trim().into(),
                    (4, "vendor") => package.vendor = text.trim().into(),
                    (2, "package") if wanted(&package.name) => act(std::mem::take(&mut package)),
                    _ => {}
                }
                path.pop();
            }
        }
        true
    })
}

/// Epoch, and `[epoch:]version-release`.
fn version_of(attributes: &Attributes<'_>, version: &str, release: &str) -> (String, String) {
    let epoch = Some(attributes.of("epoch")).filter(|e| !e.is_empty()).unwrap_or_else(|| "0".into());
    let plain = format!("{}-{}", attributes.of(version), attributes.of(release));
    let whole = if epoch == "0" { plain } else { format!("{epoch}:{plain}") };
    (epoch, whole)
}

/// One advisory of an updateinfo list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advisory {
    /// Id, such as `RLSA-2024:1234`.
    pub id: String,
    /// `security`, `bugfix`, `enhancement`, `newpackage`, `recommended`, `optional`.
    pub kind: String,
    /// Severity, lower case; may be empty.
    pub severity: String,
    /// When it was published, Unix seconds.
    pub issued: Option<i64>,
    /// Whether it was taken back.
    pub retracted: bool,
    /// Packages of `wanted` names.
    pub packages: Vec<Fixed>,
}

/// A package that an advisory brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// What it is.
    pub package: Offered,
    /// Module and stream that it belongs to.
    pub module: Option<(String, String)>,
}

/// Calls `act` for each advisory that brings a package of a `wanted` name.
pub fn each_advisory(host: &Host, place: &str, wanted: impl Fn(&str) -> bool, mut act: impl FnMut(Advisory)) -> Result<(), RepodataError> {
    let mut advisory = Advisory::default();
    let mut module = None;
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut seen = 0usize;
    walk(host, place, |node| {
        match node {
            Node::Open(name, attributes) => {
                path.push(name.into());
                text.clear();
                match (path.len(), name) {
                    (2, "update") => {
                        advisory = Advisory { kind: attributes.of("type"), retracted: attributes.of("status") == "retracted", ..Advisory::default() };
                    }
                    (3, "issued") => advisory.issued = date(&attributes.of("date")),
                    (4, "collection") => module = None,
                    (5, "module") => module = Some((attributes.of("name"), attributes.of("stream"))),
                    (5, "package") if advisory.packages.len() < PACKAGES_LIMIT && wanted(&attributes.of("name")) => {
                        let (epoch, version) = version_of(attributes, "version", "release");
                        let package = Offered { name: attributes.of("name"), architecture: attributes.of("arch"), version, epoch, vendor: String::new() };
                        advisory.packages.push(Fixed { package, module: module.clone() });
                    }
                    _ => {}
                }
            }
            Node::Text(piece) if path.len() == 3 && text.len() + piece.len() < 256 => text.push_str(piece),
            Node::Text(_) => {}
            Node::Close(name) => {
                match (path.len(), name) {
                    (3, "id") => advisory.id = text.trim().into(),
                    (3, "severity") => advisory.severity = text.trim().to_ascii_lowercase(),
                    (2, "update") => {
                        seen += 1;
                        if !advisory.packages.is_empty() {
                            act(std::mem::take(&mut advisory));
                        }
                    }
                    _ => {}
                }
                path.pop();
            }
        }
        seen < ADVISORY_LIMIT
    })?;
    if seen < ADVISORY_LIMIT { Ok(()) } else { Err(ReadError::TooLarge(place.into(), ADVISORY_LIMIT).into()) }
}

/// Unix seconds of `2024-05-01 10:00:00`, `2024-05-01T10:00:00Z`, `2024-05-01` or `1714550400`.
fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(seconds);
    }
    let day: jiff::civil::Date = text.get(..10)?.parse().ok()?;
    let time: jiff::civil::Time = text.get(11..19).and_then(|t| t.parse().ok()).unwrap_or_default();
    Some(day.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted as host_with;

    const PRIMARY: &str = "<metadata xmlns='http://linux.duke.edu/metadata/common' xmlns:rpm='http://linux.duke.edu/metadata/rpm' packages='2'>\
        <package type='rpm'><name>bash</name><arch>x86_64</arch><version epoch='0' ver='5.1.8' rel='9.el9'/><format><rpm:vendor>Rocky &amp; Co</rpm:vendor>\
        <rpm:provides><rpm:entry name='bash'/></rpm:provides><file>/bin/bash</file></format></package>\
        <package type='rpm'><name>other</name><arch>noarch</arch><version epoch='1' ver='1' rel='1'/></package></metadata>";
    const UPDATEINFO: &str = "<updates><update from='x' status='final' type='security' version='2'><id>RLSA-2024:1</id><title>t</title>\
        <issued date='2024-05-01 10:00:00'/><severity>Important</severity><description>a &lt;b</description><pkglist><collection short='c'><name>n</name>\
        <module name='nodejs' stream='18' version='1' context='c' arch='x86_64'/>\
        <package name='bash' version='5.1.8' release='10.el9' epoch='2' arch='x86_64' src='s'><filename>f</filename></package></collection></pkglist></update>\
        <update type='bugfix' status='retracted'><id>B</id><issued date='1714550400'/><pkglist><collection><package name='bash' version='6' release='1' arch='x86_64'/></collection></pkglist></update></updates>";

    #[test]
    fn packages_and_advisories() {
        let (_root, host) = host_with(&[("/p", PRIMARY), ("/u", UPDATEINFO)]);
        let mut packages = Vec::new();
        each_package(&host, "/p", |n| n == "bash", |p| packages.push(p)).unwrap();
        assert_eq!((packages.len(), packages[0].nevra().as_str(), packages[0].vendor.as_str()), (1, "bash-0:5.1.8-9.el9.x86_64", "Rocky & Co"));
        let mut advisories = Vec::new();
        each_advisory(&host, "/u", |n| n == "bash", |a| advisories.push(a)).unwrap();
        let (first, second) = (&advisories[0], &advisories[1]);
        assert_eq!(
            (first.id.as_str(), first.kind.as_str(), first.severity.as_str(), first.issued),
            ("RLSA-2024:1", "security", "important", Some(1_714_557_600))
        );
        assert_eq!(first.packages[0].package.version, "2:5.1.8-10.el9");
        assert_eq!(first.packages[0].module, Some(("nodejs".into(), "18".into())));
        assert_eq!((second.retracted, second.issued, second.packages[0].module.clone()), (true, Some(1_714_550_400), None));
    }

    #[test]
    fn damaged_lists_end_in_an_error_or_in_fewer_packages() {
        let (root, host) = host_with(&[]);
        for text in [PRIMARY, UPDATEINFO] {
            for at in 0..text.len() {
                for change in [b'<', b'&', 0, 0xff] {
                    let mut bytes = text.as_bytes().to_vec();
                    bytes[at] = change;
                    std::fs::write(root.path().join("x"), bytes).unwrap();
                    let _ = each_package(&host, "/x", |_| true, |_| {});
                    let _ = each_advisory(&host, "/x", |_| true, |_| {});
                }
            }
            std::fs::write(root.path().join("x"), &text[..text.len() / 2]).unwrap();
            assert!(each_package(&host, "/x", |_| true, |_| {}).is_err());
        }
    }

    #[test]
    fn the_newest_copy_counts_and_names_stay_in_its_folder() {
        let repomd = "<repomd><data type='primary'><location href='repodata/../../../../../etc/p.xml'/></data><data type='updateinfo'><location href='repodata/u.xml'/></data></repomd>";
        let old = "/var/cache/dnf/base-0123456789abcdef/repodata";
        let new = "/var/cache/dnf/base-fedcba9876543210/repodata";
        let (root, host) = host_with(&[
            (&format!("{old}/repomd.xml"), "<repomd/>"),
            (&format!("{new}/repomd.xml"), repomd),
            (&format!("{new}/p.xml"), PRIMARY),
            ("/var/cache/dnf/base-extra-0123456789abcdef/repodata/repomd.xml", "<repomd/>"),
            ("/etc/p.xml", ""),
        ]);
        let past = std::time::UNIX_EPOCH + std::time::Duration::from_secs(9000);
        std::fs::File::options().write(true).open(root.path().join(format!("{}/repomd.xml", &old[1..]))).unwrap().set_modified(past).unwrap();
        let kept = find(&host, "/var/cache/dnf", "base", Program::Dnf).unwrap().unwrap();
        assert_eq!((kept.files.get("primary"), kept.missing), (Some(&format!("{new}/p.xml")), vec!["updateinfo".to_string()]));
        assert_eq!(find(&host, "/var/cache/dnf", "other", Program::Dnf).unwrap(), None);
        assert_eq!(find(&host, "/none", "base", Program::Dnf).unwrap(), None);
    }
}
