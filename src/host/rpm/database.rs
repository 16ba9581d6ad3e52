//! rpm's database of installed packages.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;

use super::header::{Header, signing_key, tag};
use crate::host::sqlite::{self, SqliteError, Value};
use crate::host::{Host, ReadError};

/// Folders that hold the database, the one of rpm's newer default first.
pub const FOLDERS: &[&str] = &["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
/// Most packages that are kept.
pub const PACKAGE_LIMIT: usize = 100_000;
/// How often a database that changes under the reader is read again.
const ATTEMPTS: usize = 3;

/// Why the database could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file was not read.
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    /// A header contradicts its format.
    #[error("{0}: the header of package {1} is malformed")]
    Header(String, i64),
    /// A database of another kind.
    #[error("{0}: rpm's {1} database is not read; only its SQLite database is")]
    Other(String, &'static str),
}

/// One installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Name.
    pub name: String,
    /// `[epoch:]version-release`.
    pub version: String,
    /// Architecture, `noarch` included.
    pub architecture: String,
    /// Name of the source package.
    pub source_name: String,
    /// `version-release` of the source package.
    pub source_version: String,
    /// Who built it.
    pub vendor: String,
    /// When it was installed, Unix seconds.
    pub installed_at: Option<i64>,
    /// Id of the key that signed it; empty without a signature.
    pub signed_by: String,
    /// Module label, `name:stream:version:context`; empty outside modules.
    pub module: String,
}

/// What the database says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// Packages by name, architecture and version.
    pub packages: Vec<Installed>,
    /// Where they were read.
    pub place: String,
}

impl Database {
    /// Whether a package of this name is installed.
    pub fn has(&self, name: &str) -> bool {
        self.packages.iter().any(|p| p.name == name)
    }
}

/// The database file, `None` when there is none of any kind.
pub fn place(host: &Host) -> Result<Option<String>, DatabaseError> {
    for (file, kind) in [("rpmdb.sqlite", ""), ("Packages.db", "ndb"), ("Packages", "Berkeley DB")] {
        for folder in FOLDERS {
            let place = format!("{folder}/{file}");
            if host.exists(&place).map_err(SqliteError::from)? {
                return if kind.is_empty() { Ok(Some(place)) } else { Err(DatabaseError::Other(place, kind)) };
            }
        }
    }
    Ok(None)
}

/// Reads the database: `None` when there is none.
pub fn read(host: &Host) -> Result<Option<Database>, DatabaseError> {
    let Some(place) = place(host)? else {
        return Ok(None);
    };
    // Imported keys are kept beside the packages and are none.
    let mut packages = collect(host, &place, |header| installed(header).filter(|p| p.name != "gpg-pubkey"))?;
    packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)).then_with(|| super::version::compare(&a.version, &b.version)));
    Ok(Some(Database { packages, place }))
}

/// Owner of each path that has one; paths that no package owns are absent.
pub fn owners(host: &Host, paths: &BTreeSet<String>) -> Result<BTreeMap<String, String>, DatabaseError> {
    let Some(place) = place(host)?.filter(|_| !paths.is_empty()) else {
        return Ok(BTreeMap::new());
    };
    let wanted: BTreeMap<(&str, &str), &String> = paths.iter().filter_map(|p| without_merge(p).rsplit_once('/').map(|split| (split, p))).collect();
    let names: BTreeSet<&[u8]> = wanted.keys().map(|(_, name)| name.as_bytes()).collect();
    let found = collect(host, &place, |header| {
        let hits: Vec<(usize, &[u8])> = header.strings(tag::BASENAMES).enumerate().filter(|(_, name)| names.contains(name)).collect();
        if hits.is_empty() {
            return None;
        }
        let folders: Vec<&[u8]> = header.strings(tag::DIRNAMES).collect();
        let indexes: Vec<u32> = header.numbers(tag::DIRINDEXES).collect();
        let owned = hits.into_iter().filter_map(|(i, name)| {
            let folder = indexes.get(i).and_then(|d| folders.get(*d as usize)).and_then(|f| std::str::from_utf8(f).ok())?;
            wanted.get(&(without_merge(folder).trim_end_matches('/'), std::str::from_utf8(name).ok()?)).map(|p| (*p).clone())
        });
        let owned: Vec<String> = owned.collect();
        header.text(tag::NAME).filter(|_| !owned.is_empty()).map(|package| (package, owned))
    })?;
    Ok(found.into_iter().flat_map(|(package, owned)| owned.into_iter().map(move |path| (path, package.clone()))).collect())
}

/// `/lib` and the like are links below `/usr` on every rpm system of today; packages list either.
fn without_merge(path: &str) -> &str {
    let inner = path.strip_prefix("/usr").unwrap_or(path);
    if ["/bin/", "/sbin/", "/lib/", "/lib64/"].iter().any(|m| inner.starts_with(m)) { inner } else { path }
}

/// What `take` makes of every header. What a database tells that changes meanwhile is thrown away.
fn collect<T>(host: &Host, place: &str, take: impl Fn(&Header<'_>) -> Option<T>) -> Result<Vec<T>, DatabaseError> {
    for attempt in 1..=ATTEMPTS {
        let (mut out, mut broken) = (Vec::new(), None);
        let walked = sqlite::Database::open(host, place).and_then(|mut database| {
            database.rows("Packages", |id, values| {
                let header = match values {
                    [_, Value::Blob(blob)] => Header::new(blob),
                    _ => None,
                };
                match header {
                    Some(header) => out.extend(take(&header)),
                    None => broken = Some(id),
                }
                broken.is_none() && out.len() <= PACKAGE_LIMIT
            })
        });
        match walked {
            Err(SqliteError::Changed(_)) if attempt < ATTEMPTS => continue,
            Err(SqliteError::Malformed(..)) if attempt < ATTEMPTS && host.is_live() => continue,
            Err(e) => return Err(e.into()),
            Ok(()) => {}
        }
        if let Some(id) = broken {
            return Err(DatabaseError::Header(place.into(), id));
        }
        if out.len() > PACKAGE_LIMIT {
            return Err(SqliteError::Read(ReadError::TooLarge(place.into(), PACKAGE_LIMIT)).into());
        }
        return Ok(out);
    }
    Err(SqliteError::Changed(place.into()).into())
}

fn installed(header: &Header<'_>) -> Option<Installed> {
    let text = |tag| header.text(tag).unwrap_or_default();
    let name = header.text(tag::NAME)?;
    let release = format!("{}-{}", text(tag::VERSION), text(tag::RELEASE));
    let version = match header.numbers(tag::EPOCH).next() {
        Some(epoch) if epoch > 0 => format!("{epoch}:{release}"),
        _ => release.clone(),
    };
    let (source_name, source_version) = source(&text(tag::SOURCERPM)).unwrap_or_else(|| (name.clone(), release));
    Some(Installed {
        version,
        architecture: text(tag::ARCH),
        source_name,
        source_version,
        vendor: text(tag::VENDOR),
        installed_at: header.numbers(tag::INSTALLTIME).next().map(i64::from),
        signed_by: signed_by(header),
        module: text(tag::MODULARITYLABEL),
        name,
    })
}

/// `bash-5.1.8-9.el9.src.rpm`: name and `version-release`.
fn source(file: &str) -> Option<(String, String)> {
    let stem = file.strip_suffix(".src.rpm").or_else(|| file.strip_suffix(".nosrc.rpm"))?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    Some((name.into(), format!("{version}-{release}")))
}

/// Signatures of the header first: they cover what the database holds.
fn signed_by(header: &Header<'_>) -> String {
    let packet = [tag::RSAHEADER, tag::DSAHEADER, tag::SIGPGP, tag::SIGGPG].iter().find_map(|t| header.bytes(*t));
    if let Some(packet) = packet {
        return signing_key(packet);
    }
    // rpm 6 keeps them as base64.
    let encoded = header.strings(tag::OPENPGP).next().and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    encoded.map_or_else(String::new, |packet| signing_key(&packet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_packages_are_split_from_the_right() {
        assert_eq!(source("java-11-openjdk-11.0.20-1.el9.src.rpm"), Some(("java-11-openjdk".into(), "11.0.20-1.el9".into())));
        assert_eq!(source("(none)"), None);
        assert_eq!((without_merge("/usr/lib/modules/6/vmlinuz"), without_merge("/usr/share/x")), ("/lib/modules/6/vmlinuz", "/usr/share/x"));
    }

    #[test]
    fn databases_of_other_kinds_are_named() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::rooted(root.path()).unwrap();
        assert_eq!(read(&host).unwrap(), None);
        std::fs::create_dir_all(root.path().join("var/lib/rpm")).unwrap();
        std::fs::write(root.path().join("var/lib/rpm/Packages"), "").unwrap();
        assert!(read(&host).unwrap_err().to_string().contains("Berkeley DB"));
        std::fs::write(root.path().join("var/lib/rpm/rpmdb.sqlite"), "x").unwrap();
        assert!(matches!(read(&host), Err(DatabaseError::Sqlite(SqliteError::Malformed(..)))));
    }
}
