//! Which package manager keeps a host, and what is asked of each of them alike.

use std::collections::{BTreeMap, BTreeSet};

use super::debian::{owners, status};
use super::{Host, ReadError, apk, rpm};
use crate::model::gap::{Gap, reason};

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// dpkg with apt.
    Dpkg,
    /// rpm with dnf, yum or zypper.
    Rpm,
    /// apk.
    Apk,
}

/// The manager whose database is there. A second one may be installed as a tool (rpm on Debian, dpkg
/// on Fedora); its database is then empty or absent, and the order here decides.
pub fn of(host: &Host) -> Option<Manager> {
    let filled = |place: &str| host.stat(place).is_ok_and(|s| s.size > 0);
    if filled(status::STATUS) || host.exists(status::STATUS_FOLDER).unwrap_or(false) {
        return Some(Manager::Dpkg);
    }
    if apk::database::PLACES.iter().any(|p| filled(p)) {
        return Some(Manager::Apk);
    }
    // A database that may not be read or is of another kind is rpm's all the same.
    rpm::database::place(host).map_or(true, |p| p.is_some()).then_some(Manager::Rpm)
}

/// Owner of each path that has one; the gap has neither family nor path.
pub fn owners(host: &Host, paths: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Box<Gap>> {
    match of(host) {
        Some(Manager::Rpm) => rpm::database::owners(host, paths).map_err(|e| Box::new(rpm_gap(&e))),
        Some(Manager::Apk) => apk::database::owners(host, paths).map_err(|e| Box::new(apk_gap(&e))),
        _ => owners::owners(host, paths).map_err(|e| Box::new(e.to_gap("", "", ""))),
    }
}

/// Versions of each installed package; kernels may have several, oldest first.
pub fn versions(host: &Host) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |name: String, version: String| out.entry(name).or_default().push(version);
    match of(host) {
        Some(Manager::Rpm) => rpm::database::read(host).ok().flatten().into_iter().flat_map(|d| d.packages).for_each(|p| add(p.name, p.version)),
        Some(Manager::Apk) => apk::database::read(host).ok().flatten().into_iter().flat_map(|d| d.packages).for_each(|p| add(p.name, p.version)),
        _ => status::read(host).ok().flatten().into_iter().flat_map(|d| d.packages).for_each(|p| add(p.name, p.version)),
    }
    out
}

/// Architecture that rpm's or apk's packages have in common; empty elsewhere.
pub fn architecture(host: &Host) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |architecture: String| *counts.entry(architecture).or_default() += 1;
    match of(host) {
        Some(Manager::Rpm) => rpm::database::read(host).ok().flatten().into_iter().flat_map(|d| d.packages).for_each(|p| count(p.architecture)),
        Some(Manager::Apk) => apk::database::read(host).ok().flatten().into_iter().flat_map(|d| d.packages).for_each(|p| count(p.architecture)),
        _ => {}
    }
    let own = counts.into_iter().filter(|(a, _)| a != "noarch" && !a.is_empty()).max_by_key(|(_, n)| *n);
    own.map(|(a, _)| a).unwrap_or_default()
}

/// The gap that an unread rpm database leaves.
pub fn rpm_gap(error: &rpm::database::DatabaseError) -> Gap {
    use super::sqlite::SqliteError;
    use rpm::database::DatabaseError;
    let (why, remedy) = match error {
        DatabaseError::Sqlite(SqliteError::Read(e)) => return of_read(e),
        DatabaseError::Sqlite(SqliteError::Malformed(..)) | DatabaseError::Header(..) => (reason::MALFORMED, "Run rpmdb --verifydb; rpmdb --rebuilddb."),
        DatabaseError::Sqlite(SqliteError::Changed(_)) => (reason::READ_FAILED, "Scan again when no package is being installed."),
        DatabaseError::Sqlite(SqliteError::Unsupported(..)) => (reason::UNSUPPORTED, ""),
        DatabaseError::Other(..) => (reason::UNSUPPORTED, "Convert the database: rpmdb --rebuilddb with %_db_backend sqlite."),
    };
    Gap { reason: why.into(), detail: error.to_string(), remedy: remedy.into(), ..empty() }
}

/// The gap that an unread apk database leaves.
pub fn apk_gap(error: &apk::database::DatabaseError) -> Gap {
    match error {
        apk::database::DatabaseError::Read(e) => of_read(e),
        apk::database::DatabaseError::Malformed(..) => {
            Gap { reason: reason::MALFORMED.into(), detail: error.to_string(), remedy: "Run apk fix.".into(), ..empty() }
        }
    }
}

fn of_read(error: &ReadError) -> Gap {
    error.to_gap("", "", "")
}

fn empty() -> Gap {
    Gap { family: String::new(), path: String::new(), subject: String::new(), reason: String::new(), detail: String::new(), remedy: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_for_foreign_packages_is_not_the_manager() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let host = Host::rooted(root.path()).unwrap();
        assert_eq!(of(&host), None);
        make("var/lib/rpm/Packages", "x");
        assert_eq!(of(&host), Some(Manager::Rpm));
        make("var/lib/dpkg/status", "");
        assert_eq!(of(&host), Some(Manager::Rpm));
        make("var/lib/dpkg/status", "Package: rpm\n");
        assert_eq!(of(&host), Some(Manager::Dpkg));
    }
}
