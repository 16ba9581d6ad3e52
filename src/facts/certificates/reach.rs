//! Which accounts can read a file, as the kernel decides: owner, group, others and access control
//! lists of the file, and the right to pass each folder on its way, links followed (acl(5),
//! path_resolution(7)).

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use crate::facts::jobs::names::Names;
use crate::host::{FileKind, Host, ReadError, Stat};

/// Most links followed on the way to one file.
const LINK_LIMIT: usize = 40;
/// Most components of one way, links expanded.
const STEP_LIMIT: usize = 512;
const READ: u16 = 4;
const WRITE: u16 = 2;
const PASS: u16 = 1;

/// What stands on the way to a file: each folder, and the file at the end.
#[derive(Clone, Debug)]
pub struct Way {
    /// The file without links.
    pub path: String,
    /// Its metadata.
    pub stat: Stat,
    folders: Vec<Guarded>,
    file: Guarded,
}

#[derive(Clone, Debug)]
struct Guarded {
    stat: Stat,
    entries: Vec<Entry>,
}

/// One entry of an access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u16,
    permissions: u16,
    id: u32,
}

const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;

/// Looks at files of one machine.
#[derive(Debug)]
pub struct Reach<'a> {
    host: &'a Host,
    names: &'a Names,
    seen: RefCell<BTreeMap<String, Guarded>>,
}

impl<'a> Reach<'a> {
    /// Of this machine.
    pub fn new(host: &'a Host, names: &'a Names) -> Self {
        Self { host, names, seen: RefCell::default() }
    }

    /// Follows a path to its file.
    pub fn way(&self, path: &str) -> Result<Way, ReadError> {
        let mut folders = vec![self.guarded("/")?];
        let mut at = String::new();
        let mut links = 0;
        let mut left: VecDeque<String> = parts(path).collect();
        for _ in 0..STEP_LIMIT {
            let Some(part) = left.pop_front() else { break };
            if part == ".." {
                at.truncate(at.rfind('/').unwrap_or(0));
                continue;
            }
            let child = format!("{at}/{part}");
            let stat = self.host.stat_link(&child)?;
            match stat.kind {
                FileKind::Link => {
                    links += 1;
                    let target = self.host.read_link(&child)?;
                    if links > LINK_LIMIT || target.len() > 4096 {
                        return Err(ReadError::Io(path.into(), "too many links".into()));
                    }
                    if target.starts_with('/') {
                        at.clear();
                    }
                    for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                        left.push_front(part);
                    }
                }
                FileKind::Folder if !left.is_empty() => {
                    folders.push(self.guarded(&child)?);
                    at = child;
                }
                _ if left.is_empty() => {
                    let file = self.guarded(&child)?;
                    return Ok(Way { path: child, stat: file.stat, folders, file });
                }
                _ => return Err(ReadError::NotFound(path.into())),
            }
        }
        Err(ReadError::TooLarge(path.into(), STEP_LIMIT))
    }

    /// Whether an account of no group can read it.
    pub fn everybody_reads(&self, way: &Way) -> bool {
        way.folders.iter().all(|f| f.others() & PASS != 0) && way.file.others() & READ != 0
    }

    /// Whether an account of no group can write it.
    pub fn everybody_writes(&self, way: &Way) -> bool {
        way.folders.iter().all(|f| f.others() & PASS != 0) && way.file.others() & WRITE != 0
    }

    /// Accounts besides root and the owner that can read it, by name.
    pub fn readers(&self, way: &Way) -> Vec<String> {
        let others = self.names.accounts().filter(|(_, a)| a.uid != 0 && a.uid != way.stat.uid);
        others.filter(|(name, a)| self.reads(way, name, a.uid)).map(|(name, _)| name.to_string()).collect()
    }

    fn reads(&self, way: &Way, name: &str, uid: u32) -> bool {
        let member = |gid: u32| self.names.outsiders(gid).any(|m| m == name);
        way.file.gives(uid, &member) & READ != 0 && way.folders.iter().all(|f| f.gives(uid, &member) & PASS != 0)
    }

    /// A group that lets its members read the file and whose members a directory service may know.
    pub fn uncertain_group(&self, way: &Way) -> Option<u32> {
        if self.names.directories.is_empty() {
            return None;
        }
        let own = (way.file.group() & READ != 0 && way.stat.gid != 0).then_some(way.stat.gid);
        let listed = || way.file.masked().find(|e| e.tag == GROUP && e.permissions & READ != 0 && e.id != 0).map(|e| e.id);
        own.or_else(listed)
    }

    fn guarded(&self, path: &str) -> Result<Guarded, ReadError> {
        if let Some(known) = self.seen.borrow().get(path) {
            return Ok(known.clone());
        }
        let stat = self.host.stat_link(path)?;
        // Without the list the mode's mask decides, which never shows less than the list allows.
        let list = self.host.access_list(path).ok().flatten();
        let found = Guarded { stat, entries: list.as_deref().and_then(entries).unwrap_or_default() };
        self.seen.borrow_mut().insert(path.into(), found.clone());
        Ok(found)
    }
}

impl Way {
    /// Accounts and groups that the file's access control list names and lets write it, or, where reading counts, read it.
    pub fn listed(&self, names: &Names, reading_counts: bool) -> Vec<String> {
        let counts = if reading_counts { READ | WRITE } else { WRITE };
        let named = self.file.masked().filter(|e| e.permissions & counts != 0);
        let name = |e: Entry| match e.tag {
            USER => Some(names.user(e.id)),
            GROUP => Some(format!("group {}", names.group(e.id))),
            _ => None,
        };
        named.filter_map(name).collect()
    }
}

impl Guarded {
    fn others(&self) -> u16 {
        u16::try_from(self.stat.mode & 7).unwrap_or(0)
    }

    /// The owning group's rights; the group bits of a mode with a list are its mask.
    fn group(&self) -> u16 {
        let bits = u16::try_from(self.stat.mode >> 3 & 7).unwrap_or(0);
        self.entries.iter().find(|e| e.tag == OWNING_GROUP).map_or(bits, |e| e.permissions & bits)
    }

    /// Named entries under the mask.
    fn masked(&self) -> impl Iterator<Item = Entry> + '_ {
        let mask = self.entries.iter().find(|e| e.tag == MASK).map_or(7, |e| e.permissions);
        self.entries.iter().map(move |e| Entry { permissions: e.permissions & mask, ..*e })
    }

    /// Rights of an account (acl(5), access check algorithm).
    fn gives(&self, uid: u32, member: &dyn Fn(u32) -> bool) -> u16 {
        if uid == self.stat.uid {
            return u16::try_from(self.stat.mode >> 6 & 7).unwrap_or(0);
        }
        if let Some(entry) = self.masked().find(|e| e.tag == USER && e.id == uid) {
            return entry.permissions;
        }
        let mut groups = self.masked().filter(|e| e.tag == GROUP && member(e.id)).map(|e| e.permissions).collect::<Vec<u16>>();
        if member(self.stat.gid) {
            groups.push(self.group());
        }
        if groups.is_empty() { self.others() } else { groups.into_iter().fold(0, |a, b| a | b) }
    }
}

fn parts(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split('/').filter(|p| !p.is_empty() && *p != ".").map(String::from)
}

/// `struct posix_acl_xattr_header` and its entries (include/uapi/linux/posix_acl_xattr.h): version
/// 2, then tag (2), permissions (2), id (4), little-endian.
fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (version, rest) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || rest.len() % 8 != 0 {
        return None;
    }
    let entry = |chunk: &[u8]| {
        let [t0, t1, p0, p1, i0, i1, i2, i3] = chunk else { return None };
        Some(Entry { tag: u16::from_le_bytes([*t0, *t1]), permissions: u16::from_le_bytes([*p0, *p1]), id: u32::from_le_bytes([*i0, *i1, *i2, *i3]) })
    };
    rest.chunks_exact(8).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(mode: u32, entries: &[(u16, u16, u32)]) -> Guarded {
        let stat = Stat { kind: FileKind::File, mode, uid: 0, gid: 50, size: 1, modified: 0, device: 1, special_device: 0, inode: 1 };
        Guarded { stat, entries: entries.iter().map(|(tag, permissions, id)| Entry { tag: *tag, permissions: *permissions, id: *id }).collect() }
    }

    #[test]
    fn rights_by_mode_and_by_list() {
        let in_50 = |gid: u32| gid == 50;
        let nowhere = |_: u32| false;
        assert_eq!(guarded(0o640, &[]).gives(7, &in_50), 4);
        assert_eq!(guarded(0o640, &[]).gives(7, &nowhere), 0);
        assert_eq!(guarded(0o604, &[]).gives(7, &in_50), 0, "who is in the group is none of the others");
        assert_eq!(guarded(0o604, &[]).gives(0, &in_50), 6);
        // user:7:r--, group::---, mask::r--
        let list = [(USER, 4, 7), (OWNING_GROUP, 0, u32::MAX), (MASK, 4, u32::MAX)];
        assert_eq!(guarded(0o640, &list).gives(7, &nowhere), 4);
        assert_eq!(guarded(0o640, &list).gives(8, &in_50), 0, "the group bits are the mask");
        let masked = [(USER, 4, 7), (OWNING_GROUP, 0, u32::MAX), (MASK, 0, u32::MAX)];
        assert_eq!(guarded(0o600, &masked).gives(7, &nowhere), 0);
        let group = [(OWNING_GROUP, 0, u32::MAX), (GROUP, 4, 9), (MASK, 4, u32::MAX)];
        assert_eq!(guarded(0o640, &group).gives(8, &|gid| gid == 9), 4);
    }

    #[test]
    fn folders_and_links_on_the_way() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let (root, host) = crate::host::testing::rooted(&[
            ("etc/passwd", "root:x:0:0::/:/bin/sh\nanna:x:4000000:4000000::/:/bin/sh\n"),
            ("etc/group", ""),
            ("a/b/key", ""),
            ("c/x", ""),
        ]);
        let chmod = |path: &str, mode: u32| std::fs::set_permissions(root.path().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        symlink("../a/b/key", root.path().join("c/link")).unwrap();
        symlink("loop", root.path().join("c/loop")).unwrap();
        chmod("", 0o755);
        chmod("a", 0o755);
        chmod("a/b", 0o755);
        chmod("a/b/key", 0o644);
        let names = Names::read(&host, 0);
        let look = |path: &str| {
            let reach = Reach::new(&host, &names);
            let way = reach.way(path).unwrap();
            (way.path.clone(), reach.everybody_reads(&way), reach.readers(&way))
        };
        assert_eq!(look("/c/link"), ("/a/b/key".into(), true, vec!["anna".to_string()]));
        chmod("a", 0o700);
        assert_eq!(look("/a/b/key"), ("/a/b/key".into(), false, vec![]));
        let reach = Reach::new(&host, &names);
        assert!(reach.way("/c/loop").is_err() && reach.way("/a/none").unwrap_err().is_not_found() && reach.way("/c/x/y").unwrap_err().is_not_found());
    }

    #[test]
    fn any_bytes_of_a_list() {
        let whole = [2, 0, 0, 0, 2, 0, 4, 0, 7, 0, 0, 0];
        assert_eq!(entries(&whole).unwrap().len(), 1);
        for end in 0..whole.len() {
            let _ = entries(&whole[..end]);
        }
    }
}
