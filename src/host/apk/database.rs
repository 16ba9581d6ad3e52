//! apk's database of installed packages.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _};

use crate::host::{Host, ReadError};

/// The database; newer releases keep it below /usr.
pub const PLACES: &[&str] = &["/usr/lib/apk/db/installed", "/lib/apk/db/installed"];
/// Largest database, bytes (with all file lists of a desktop 20 MiB).
pub const DATABASE_LIMIT: u64 = 128 << 20;
/// Most packages that are kept.
pub const PACKAGE_LIMIT: usize = 100_000;
/// Longest line.
const LINE_LIMIT: u64 = 1 << 20;

/// Why the database could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not in the format.
    #[error("{0}:{1}: {2}")]
    Malformed(String, usize, &'static str),
}

/// One installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Name.
    pub name: String,
    /// Version with its `-rN`.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// Package that it was built from.
    pub origin: String,
    /// Repository tag that it came from (`s:` in the database); empty without one.
    pub tag: String,
    /// Whether its files or scripts are broken (`f:`).
    pub broken: bool,
    /// Line of its record, from 1.
    pub line: usize,
}

/// What the database says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// Packages by name.
    pub packages: Vec<Installed>,
    /// Where they were read.
    pub place: String,
}

/// The database file; `None` when there is none.
pub fn place(host: &Host) -> Result<Option<&'static str>, ReadError> {
    for place in PLACES {
        if host.exists(place)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Reads the database: `None` when there is none.
pub fn read(host: &Host) -> Result<Option<Database>, DatabaseError> {
    let Some(place) = place(host)? else {
        return Ok(None);
    };
    let mut packages: Vec<Installed> = Vec::new();
    let mut package = Installed::default();
    each_line(host, place, |number, key, value| {
        match key {
            None if !package.name.is_empty() => packages.push(std::mem::take(&mut package)),
            None => {}
            Some(b'P') => (package.name, package.line) = (value.into(), number),
            Some(b'V') => package.version = value.into(),
            Some(b'A') => package.architecture = value.into(),
            Some(b'o') => package.origin = value.into(),
            Some(b's') => package.tag = value.into(),
            Some(b'f') => package.broken = !value.is_empty(),
            Some(_) => {}
        }
        packages.len() <= PACKAGE_LIMIT
    })?;
    if packages.len() > PACKAGE_LIMIT {
        return Err(ReadError::TooLarge(place.into(), PACKAGE_LIMIT).into());
    }
    for package in &mut packages {
        if package.version.is_empty() {
            return Err(DatabaseError::Malformed(place.into(), package.line, "a package without a version"));
        }
        if package.origin.is_empty() {
            package.origin.clone_from(&package.name);
        }
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(Database { packages, place: place.into() }))
}

/// Owner of each path that has one.
pub fn owners(host: &Host, paths: &BTreeSet<String>) -> Result<BTreeMap<String, String>, DatabaseError> {
    let mut out = BTreeMap::new();
    let Some(place) = place(host)?.filter(|_| !paths.is_empty()) else {
        return Ok(out);
    };
    let (mut package, mut folder) = (String::new(), String::new());
    each_line(host, place, |_, key, value| {
        match key {
            Some(b'P') => package = value.into(),
            Some(b'F') => {
                folder = if value.is_empty() { String::new() } else { format!("/{value}") };
                // Several packages list a folder that they share.
                if paths.contains(&folder) {
                    out.entry(folder.clone()).or_insert_with(|| package.clone());
                }
            }
            Some(b'R') => {
                let path = format!("{folder}/{value}");
                if paths.contains(&path) {
                    out.insert(path, package.clone());
                }
            }
            _ => {}
        }
        true
    })?;
    Ok(out)
}

/// Calls `act` with number, key and value of each line; an empty line (and the end) has no key.
fn each_line(host: &Host, place: &str, mut act: impl FnMut(usize, Option<u8>, &str) -> bool) -> Result<(), DatabaseError> {
    if host.stat(place)?.size > DATABASE_LIMIT {
        return Err(ReadError::TooLarge(place.into(), DATABASE_LIMIT as usize).into());
    }
    let mut reader = BufReader::with_capacity(1 << 16, host.open_file(place)?.take(DATABASE_LIMIT));
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line).map_err(|e| ReadError::Io(place.into(), e.to_string()))?;
        if read as u64 == LINE_LIMIT {
            return Err(ReadError::TooLarge(place.into(), LINE_LIMIT as usize).into());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        let goes_on = match (text.as_bytes(), text.get(2..)) {
            ([], _) => act(number, None, ""),
            ([key, b':', ..], Some(value)) => act(number, Some(*key), value),
            _ => return Err(DatabaseError::Malformed(place.into(), number, "no field of a package")),
        };
        if read == 0 || !goes_on {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\n\
                        P:busybox-binsh\nV:1.36.1-r28\nA:x86_64\no:busybox\ns:edge\nF:\nR:top\nF:bin\nR:sh\n";

    #[test]
    fn packages_and_owners() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("lib/apk/db")).unwrap();
        std::fs::write(root.path().join("lib/apk/db/installed"), TEXT).unwrap();
        let host = Host::rooted(root.path()).unwrap();
        let database = read(&host).unwrap().unwrap();
        let shown: Vec<String> = database.packages.iter().map(|p| format!("{} {} {} {} {}", p.name, p.version, p.origin, p.tag, p.line)).collect();
        assert_eq!(shown, ["busybox-binsh 1.36.1-r28 busybox edge 10", "musl 1.2.5-r0 musl  2"]);
        let owners = owners(&host, &["/bin/sh", "/top", "/lib/ld-musl-x86_64.so.1", "/x"].map(String::from).into_iter().collect()).unwrap();
        assert_eq!(owners.into_values().collect::<Vec<_>>(), ["busybox-binsh", "musl", "busybox-binsh"]);
    }

    #[test]
    fn damaged_databases_are_named_or_read() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::rooted(root.path()).unwrap();
        assert_eq!(read(&host).unwrap(), None);
        std::fs::create_dir_all(root.path().join("lib/apk/db")).unwrap();
        let place = root.path().join("lib/apk/db/installed");
        for at in 0..TEXT.len() {
            for change in [b'\n', b':', 0, 0xff] {
                let mut bytes = TEXT.as_bytes().to_vec();
                bytes[at] = change;
                std::fs::write(&place, bytes).unwrap();
                let _ = read(&host);
            }
        }
        std::fs::write(&place, "P:a\n\n").unwrap();
        assert_eq!(read(&host).unwrap_err().to_string(), "/lib/apk/db/installed:1: a package without a version");
        std::fs::write(&place, "P:a\nV:1\nnonsense\n").unwrap();
        assert!(read(&host).is_err());
    }
}
