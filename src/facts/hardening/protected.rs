//! Files and folders whose owner and mode matter: `rules/data/protected-files.csv`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Hardening, ProtectedFile};
use crate::facts::Document as _;
use crate::facts::certificates::reach::Reach;
use crate::facts::jobs::names::Names;
use crate::host::{FileKind, Host, ReadError, glob};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const DATA: &str = include_str!("../../../rules/data/protected-files.csv");
/// Most files of one pattern.
const LIMIT: usize = 500;

/// One row.
struct Row {
    path: &'static str,
    purpose: &'static str,
    owners: Vec<&'static str>,
    groups: Vec<&'static str>,
    mode: u32,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let mut cells = line.split(',');
        let (path, purpose, owners, groups, mode) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?, cells.next()?);
        Some(Row { path, purpose, owners: owners.split('|').collect(), groups: groups.split('|').collect(), mode: u32::from_str_radix(mode, 8).ok()? })
    };
    DATA.lines().filter(|l| l.starts_with('/')).filter_map(row).collect()
});

pub fn gather(host: &Host, gaps: &mut Gaps) -> Vec<ProtectedFile> {
    // Nobody's expiry matters here.
    let names = Names::read(host, 0);
    for error in names.accounts_error.iter().chain(&names.groups_error) {
        if error.is_not_found() && !host.exists("/etc").unwrap_or(true) {
            continue;
        }
        gaps.add(error.to_gap(Hardening::NAME, "files", ""));
    }
    // In a copy that an ordinary user made its owner stands for root.
    let root = match host.stat("/") {
        Ok(stat) if !host.is_this_machine() => (stat.uid, stat.gid),
        _ => (0, 0),
    };
    if root.0 != 0 {
        let detail = "the root folder is not root's: owners were lost when the machine was copied, only modes still tell";
        gaps.note(Hardening::NAME, "files.owner_listed", "", reason::MISSING, detail, "Copy the machine as root, or scan it itself.");
    }
    let reach = Reach::new(host, &names);
    let mut out: BTreeMap<String, ProtectedFile> = BTreeMap::new();
    for row in ROWS.iter() {
        for path in matching(host, row.path, gaps) {
            match describe(row, &path, &reach, &names, root) {
                Ok(Some(found)) => {
                    out.entry(path).or_insert(found);
                }
                Ok(None) => {}
                Err(e) => gaps.add(e.to_gap(Hardening::NAME, "files", &path)),
            }
        }
    }
    out.into_values().collect()
}

fn describe(row: &Row, path: &str, reach: &Reach<'_>, names: &Names, root: (u32, u32)) -> Result<Option<ProtectedFile>, ReadError> {
    let way = match reach.way(path) {
        Ok(way) => way,
        Err(e) if e.is_not_found() => return Ok(None),
        Err(e) => return Err(e),
    };
    if !matches!(way.stat.kind, FileKind::File | FileKind::Folder) {
        return Ok(None);
    }
    // The right to run a file that is no program gives nobody anything; a folder's is the right to reach into it.
    let rights = if way.stat.kind == FileKind::File { 0o666 } else { 0o777 };
    let (owner, group) = (names.user(way.stat.uid), names.group(way.stat.gid));
    let is_root = |id: u32, of: u32| id == 0 || id == of;
    Ok(Some(ProtectedFile {
        subject: path.into(),
        purpose: row.purpose.into(),
        owner_listed: is_root(way.stat.uid, root.0) || row.owners.contains(&owner.as_str()),
        group_listed: is_root(way.stat.gid, root.1) || !gains(way.stat.mode) || row.groups.contains(&group.as_str()),
        owner,
        group,
        mode: way.stat.mode,
        mode_beyond: way.stat.mode & rights & !row.mode,
        access_list: way.listed(names, row.purpose == "secret"),
        source: Source::whole(path),
    }))
}

/// Whether the group may do what others may not.
const fn gains(mode: u32) -> bool {
    (mode >> 3 & 7) & !(mode & 7) != 0
}

/// Paths that a row names; `*` stands for any part of the last component.
fn matching(host: &Host, pattern: &str, gaps: &mut Gaps) -> Vec<String> {
    if !glob::is_pattern(pattern) {
        return vec![pattern.into()];
    }
    let found = glob::glob(host, pattern);
    found.errors.iter().for_each(|e| gaps.add(e.to_gap(Hardening::NAME, "files", pattern)));
    let mut out = found.paths;
    out.retain(|path| host.stat(path).is_ok_and(|s| s.kind != FileKind::Folder));
    if out.len() > LIMIT {
        out.truncate(LIMIT);
        gaps.note(Hardening::NAME, "files", pattern, reason::LIMIT_REACHED, format!("more than {LIMIT} files {pattern}"), "");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn every_row_is_whole() {
        assert!(ROWS.len() > 40);
        let lines = DATA.lines().filter(|l| l.starts_with('/')).count();
        assert_eq!(ROWS.len(), lines);
        for row in ROWS.iter() {
            assert!(["secret", "log", "boot", "configuration"].contains(&row.purpose) && row.owners[0] == "root" && row.groups[0] == "root", "{}", row.path);
            assert!(row.purpose != "secret" || row.mode & 0o007 == 0, "{}", row.path);
            assert_eq!(row.mode & 0o002, 0, "{}", row.path);
        }
    }

    #[test]
    fn modes_beyond_the_list() {
        let (root, host) = rooted(&[
            ("etc/passwd", "root:x:0:0::/:/bin/sh\n"),
            ("etc/group", ""),
            ("etc/wireguard/wg0.conf", ""),
            ("etc/pam.d/su", ""),
            ("etc/login.defs", ""),
        ]);
        let chmod = |path: &str, mode: u32| std::fs::set_permissions(root.path().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        chmod("etc/wireguard/wg0.conf", 0o640);
        chmod("etc/pam.d/su", 0o666);
        chmod("etc/login.defs", 0o644);
        let found = gather(&host, &mut Gaps::new());
        let of = |path: &str| found.iter().find(|f| f.subject == path).map(|f| f.mode_beyond);
        assert_eq!(of("/etc/wireguard/wg0.conf"), Some(0o040));
        assert_eq!(of("/etc/pam.d/su"), Some(0o022));
        assert_eq!(of("/etc/login.defs"), Some(0));
        chmod("etc/login.defs", 0o755);
        assert_eq!(gather(&host, &mut Gaps::new()).iter().find(|f| f.subject == "/etc/login.defs").map(|f| f.mode_beyond), Some(0), "it can be run: harmless");
    }
}
