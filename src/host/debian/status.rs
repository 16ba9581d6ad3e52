//! dpkg's database of installed packages.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _};

use super::control::Paragraphs;
use crate::host::{FileKind, Host, ReadError};
use crate::model::fact::Source;

/// The database.
pub const STATUS: &str = "/var/lib/dpkg/status";
/// One file a package, without `Status` field: images built without dpkg.
pub const STATUS_FOLDER: &str = "/var/lib/dpkg/status.d";
/// Records that dpkg has not yet merged into [`STATUS`].
const JOURNAL: &str = "/var/lib/dpkg/updates";
/// Largest database that is read, bytes (a full desktop has 10 MiB).
pub const STATUS_LIMIT: u64 = 64 << 20;
/// Most packages that are kept.
pub const PACKAGE_LIMIT: usize = 100_000;

const FIELDS: &[&str] = &["Package", "Version", "Architecture", "Source", "Status"];

/// Why the database could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// A file was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file is not control data.
    #[error("{0}: {1}")]
    Malformed(String, String),
}

/// One package whose files are on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Binary package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, `all` included.
    pub architecture: String,
    /// Source package.
    pub source_name: String,
    /// Version of the source package.
    pub source_version: String,
    /// Third word of `Status`.
    pub state: String,
    /// First word of `Status` is `hold`.
    pub held: bool,
    /// Second word of `Status` is `reinstreq`: dpkg refuses to touch it before it is installed anew.
    pub reinstall_required: bool,
    /// Its paragraph.
    pub source: Source,
}

/// What the database says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// Packages whose files are on disk, by name and architecture.
    pub packages: Vec<Installed>,
    /// Removed packages whose configuration files are still there, by name and architecture.
    pub residual: Vec<Installed>,
    /// Where they were read.
    pub place: String,
}

impl Database {
    /// The first package of this name.
    pub fn find(&self, name: &str) -> Option<&Installed> {
        self.packages.iter().find(|p| p.name == name)
    }
}

/// Reads the database: `None` when there is none.
pub fn read(host: &Host) -> Result<Option<Database>, StatusError> {
    let mut found = BTreeMap::new();
    let mut place = String::new();
    match host.stat(STATUS) {
        Ok(stat) if stat.size > STATUS_LIMIT => return Err(ReadError::TooLarge(STATUS.into(), STATUS_LIMIT as usize).into()),
        Ok(_) => {
            place = STATUS.into();
            read_file(host, STATUS, false, &mut found)?;
            for path in files(host, JOURNAL)?.into_iter().filter(|p| p.rsplit('/').next().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))) {
                read_file(host, &path, false, &mut found)?;
            }
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => return Err(e.into()),
    }
    for path in files(host, STATUS_FOLDER)?.into_iter().filter(|p| !p.ends_with(".md5sums")) {
        if place.is_empty() {
            place = STATUS_FOLDER.into();
        }
        read_file(host, &path, true, &mut found)?;
    }
    if place.is_empty() {
        return Ok(None);
    }
    let mut database = Database { place, ..Database::default() };
    for package in found.into_values() {
        match package.state.as_str() {
            "not-installed" => {}
            "config-files" => database.residual.push(package),
            _ => database.packages.push(package),
        }
    }
    Ok(Some(database))
}

/// Architectures whose packages apt considers: dpkg's own first, then the foreign ones.
pub fn architectures(host: &Host, database: &Database) -> Result<Vec<String>, ReadError> {
    let listed = match host.read_text("/var/lib/dpkg/arch", 4096) {
        Ok(text) => text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect(),
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => return Err(e),
    };
    if !listed.is_empty() {
        return Ok(listed);
    }
    let native = ["dpkg", "libc6", "bash"].iter().filter_map(|n| database.find(n)).find(|p| p.architecture != "all");
    Ok(native.or_else(|| database.packages.iter().find(|p| p.architecture != "all")).map(|p| p.architecture.clone()).into_iter().collect())
}

fn files(host: &Host, folder: &str) -> Result<Vec<String>, ReadError> {
    match host.list(folder) {
        Ok(entries) => Ok(entries.into_iter().filter(|e| e.kind == FileKind::File).map(|e| format!("{folder}/{}", e.name)).collect()),
        Err(e) if e.is_not_found() => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

fn read_file(host: &Host, path: &str, without_status: bool, found: &mut BTreeMap<(String, String), Installed>) -> Result<(), StatusError> {
    let reader = BufReader::with_capacity(1 << 16, host.open_file(path)?.take(STATUS_LIMIT));
    let mut paragraphs = Paragraphs::new(reader, FIELDS);
    let malformed = |why: String| StatusError::Malformed(path.to_string(), why);
    while paragraphs.advance().map_err(|e| malformed(e.to_string()))? {
        let Some(name) = paragraphs.text(0).filter(|n| !n.is_empty()) else {
            return Err(malformed(format!("line {}: paragraph without a package", paragraphs.paragraph_line())));
        };
        let status = match paragraphs.text(4) {
            Some(status) => status,
            None if without_status => "install ok installed".into(),
            None => return Err(malformed(format!("line {}: package {name} has no status", paragraphs.paragraph_line()))),
        };
        let mut words = status.split_whitespace();
        let (want, flag, state) = (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let version = paragraphs.text(1).unwrap_or_default();
        let (source_name, source_version) = source(paragraphs.text(3).as_deref(), &name, &version);
        let architecture = paragraphs.text(2).unwrap_or_default();
        let package = Installed {
            held: want == "hold",
            reinstall_required: flag == "reinstreq",
            state: state.into(),
            source: Source::line(path, usize::try_from(paragraphs.field_line(4)).unwrap_or(usize::MAX), "Status"),
            source_name,
            source_version,
            version,
            architecture,
            name,
        };
        if found.len() == PACKAGE_LIMIT {
            return Err(ReadError::TooLarge(path.into(), PACKAGE_LIMIT).into());
        }
        found.insert((package.name.clone(), package.architecture.clone()), package);
    }
    Ok(())
}

/// `Source: name (version)`; either part defaults to the binary's (deb-control(5)).
fn source(field: Option<&str>, name: &str, version: &str) -> (String, String) {
    let Some(field) = field else {
        return (name.into(), version.into());
    };
    let (source, rest) = field.split_once(char::is_whitespace).unwrap_or((field, ""));
    let own = rest.trim().trim_start_matches('(').trim_end_matches(')').trim();
    (source.into(), if own.is_empty() { version.into() } else { own.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted as host_with;

    #[test]
    fn journal_records_win_and_removed_packages_are_left_out() {
        let status = "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n\
                      Package: b\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 2\n\n\
                      Package: c\nStatus: hold ok half-configured\nArchitecture: amd64\nSource: src (9)\nVersion: 3+b1\n";
        let (_root, host) = host_with(&[
            (STATUS, status),
            ("/var/lib/dpkg/updates/0000", "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1.1\n"),
            ("/var/lib/dpkg/updates/tmp.i", "Package: a\n"),
        ]);
        let database = read(&host).unwrap().unwrap();
        let shown: Vec<String> =
            database.packages.iter().map(|p| format!("{} {} {} {} {}", p.name, p.version, p.source_name, p.source_version, p.held)).collect();
        assert_eq!(shown, ["a 1.1 a 1.1 false", "c 3+b1 src 9 true"]);
        assert_eq!(database.residual.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!((database.packages[1].source.line, database.packages[0].source.place.as_str()), (12, "/var/lib/dpkg/updates/0000"));
        assert_eq!(architectures(&host, &database).unwrap(), ["amd64"]);
    }

    #[test]
    fn images_without_dpkg_and_no_database_at_all() {
        let (_root, host) = host_with(&[
            ("/var/lib/dpkg/status.d/base", "Package: base-files\nArchitecture: amd64\nVersion: 12\n"),
            ("/var/lib/dpkg/status.d/base.md5sums", "0 x\n"),
        ]);
        let database = read(&host).unwrap().unwrap();
        assert_eq!((database.packages.len(), database.packages[0].state.as_str(), database.place.as_str()), (1, "installed", STATUS_FOLDER));
        let (_root, empty) = host_with(&[]);
        assert_eq!(read(&empty).unwrap(), None);
        let (_root, broken) = host_with(&[(STATUS, "Package: a\n\0\n")]);
        assert!(read(&broken).unwrap_err().to_string().contains("line 2"));
    }
}
