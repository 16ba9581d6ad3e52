//! Names of owners, and which numbers belong to nobody.

use std::collections::{BTreeMap, BTreeSet};

use super::Files;
use crate::facts::Document as _;
use crate::host::{Host, ReadError};
use crate::model::gap::{Gap, Gaps, reason};

/// Largest database, bytes.
const LIMIT: usize = 16 << 20;
/// Accounts and groups of the file system itself, of images with a read-only `/usr` and of libnss-extrausers.
const PASSWD: [&str; 3] = ["/etc/passwd", "/usr/lib/passwd", "/var/lib/extrausers/passwd"];
const GROUP: [&str; 3] = ["/etc/group", "/usr/lib/group", "/var/lib/extrausers/group"];
/// nsswitch.conf(5) sources whose accounts stand in those files or can't own files for long.
const LOCAL_SOURCES: [&str; 8] = ["files", "compat", "systemd", "altfiles", "extrausers", "db", "mymachines", "cache"];
/// Numbers that systemd gives to services while they run (DynamicUser=, systemd.exec(5)), and nobody.
const DYNAMIC: std::ops::RangeInclusive<u32> = 61_184..=65_534;
/// Ordinary accounts begin here; directory services give none below.
const FIRST_ORDINARY: u32 = 1000;

/// Who has which number.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
    /// Ranges that accounts may use inside their user namespaces: first number and count.
    lent: BTreeSet<(u32, u32)>,
    users_told: bool,
    groups_told: bool,
    users_elsewhere: bool,
    groups_elsewhere: bool,
}

impl Names {
    pub(super) fn read(host: &Host, gaps: &mut Gaps) -> Self {
        let (users, users_told) = numbers(host, &PASSWD, gaps);
        let (groups, groups_told) = numbers(host, &GROUP, gaps);
        let mut names = Self { users, groups, users_told, groups_told, ..Self::default() };
        for path in ["/etc/subuid", "/etc/subgid"] {
            names.lent.extend(lent(&host.read_text(path, LIMIT).unwrap_or_default()));
        }
        let switch = host.read_text("/etc/nsswitch.conf", LIMIT).unwrap_or_default();
        names.users_elsewhere = elsewhere(&switch, "passwd");
        names.groups_elsewhere = elsewhere(&switch, "group");
        if names.users_elsewhere || names.groups_elsewhere {
            let detail = "nsswitch.conf names accounts of a directory service: who owns numbers from 1000 on can't be told from files";
            gaps.note(
                Files::NAME,
                "unowned",
                "numbers of a directory service",
                reason::UNSUPPORTED,
                detail,
                "Compare with `find / -xdev -nouser -o -nogroup`.",
            );
        }
        names
    }

    pub(super) fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_else(|| format!("#{uid}"))
    }

    pub(super) fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_else(|| format!("#{gid}"))
    }

    pub(super) fn without_user(&self, uid: u32) -> bool {
        let perhaps_elsewhere = self.users_elsewhere && uid >= FIRST_ORDINARY;
        self.users_told && !perhaps_elsewhere && !self.users.contains_key(&uid) && !self.is_lent(uid)
    }

    pub(super) fn without_group(&self, gid: u32) -> bool {
        let perhaps_elsewhere = self.groups_elsewhere && gid >= FIRST_ORDINARY;
        self.groups_told && !perhaps_elsewhere && !self.groups.contains_key(&gid) && !self.is_lent(gid)
    }

    fn is_lent(&self, number: u32) -> bool {
        DYNAMIC.contains(&number) || self.lent.iter().any(|(first, count)| number >= *first && number - first < *count)
    }
}

/// Number -> name; the first line of a number wins. `false`: the database can't be told.
fn numbers(host: &Host, paths: &[&str], gaps: &mut Gaps) -> (BTreeMap<u32, String>, bool) {
    let mut out = BTreeMap::new();
    let mut missing: Option<ReadError> = None;
    for (i, path) in paths.iter().enumerate() {
        match host.read_text(path, LIMIT) {
            Ok(text) => {
                for line in text.lines() {
                    let mut fields = line.split(':');
                    if let (Some(name), Some(number)) = (fields.next(), fields.nth(1).and_then(|n| n.parse().ok())) {
                        out.entry(number).or_insert_with(|| name.to_string());
                    }
                }
            }
            Err(e) if i > 0 && e.is_not_found() => {}
            Err(e) => missing = Some(e),
        }
    }
    match missing {
        // An image without accounts of its own, or one that may not be read.
        Some(e) => {
            gaps.add(Gap { remedy: String::new(), ..e.to_gap(Files::NAME, "unowned", "") });
            (out, false)
        }
        None => (out, true),
    }
}

/// Ranges of subuid(5) and subgid(5).
fn lent(text: &str) -> impl Iterator<Item = (u32, u32)> {
    text.lines().take(10_000).filter_map(|line| {
        let mut fields = line.trim().split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// Whether a database is also asked of something else than files (nsswitch.conf(5)).
fn elsewhere(switch: &str, database: &str) -> bool {
    let line = switch.lines().map(|l| l.split('#').next().unwrap_or_default()).find_map(|l| l.trim().strip_prefix(database)?.trim_start().strip_prefix(':'));
    let sources = line.unwrap_or("files").split_whitespace();
    sources.filter(|s| !s.starts_with('[') && !s.ends_with(']')).any(|s| !LOCAL_SOURCES.contains(&s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_accounts() {
        assert!(!elsewhere("passwd:         files systemd\n", "passwd"));
        assert!(!elsewhere("# passwd: sss\npasswd: files [NOTFOUND=return] # sss\n", "passwd"));
        assert!(elsewhere("passwd: files sss\ngroup: files\n", "passwd"));
        assert!(!elsewhere("passwd: files sss\ngroup: files\n", "group"));
        assert!(!elsewhere("", "passwd"));
    }

    #[test]
    fn numbers_that_belong_to_somebody() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nbroken\na:x:1000:1000::/:/bin/sh\n").unwrap();
        std::fs::write(root.path().join("etc/group"), "root:x:0:\n").unwrap();
        std::fs::write(root.path().join("etc/subuid"), "a:100000:65536\nbad\n").unwrap();
        let mut gaps = Gaps::new();
        let names = Names::read(&Host::rooted(root.path()).unwrap(), &mut gaps);
        assert_eq!((names.user(0), names.user(7)), ("root".into(), "#7".into()));
        assert!(names.without_user(1001) && names.without_group(1000) && names.without_user(165_536));
        assert!(!names.without_user(1000) && !names.without_user(165_535) && !names.without_user(65_534) && !names.without_user(61_184));
        assert!(gaps.into_sorted().is_empty());
    }

    #[test]
    fn an_image_without_accounts_is_a_gap() {
        let root = tempfile::tempdir().unwrap();
        let mut gaps = Gaps::new();
        let names = Names::read(&Host::rooted(root.path()).unwrap(), &mut gaps);
        assert!(!names.without_user(4242));
        assert_eq!(gaps.into_sorted()[0].path, "unowned");
    }
}
