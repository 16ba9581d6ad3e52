//! Who besides root may change what root executes: the file, a link on its way, or a folder above.
//!
//! A folder with the sticky bit lets its entries be replaced only by their owner, by the folder's
//! owner and by root (unlink(2)). Access control lists are read where there are any: the group bits
//! of a mode are then only their mask (acl(5)).

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::Names;
use crate::host::{FileKind, Host, ReadError, Stat};

/// Most links followed on the way to one file (path_resolution(7)).
const LINK_LIMIT: usize = 40;
/// Most components of one way, links expanded.
const STEP_LIMIT: usize = 512;
const STICKY: u32 = 0o1000;

/// A place on the way to a file that somebody else may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weak {
    /// The file itself, or the folder or link on the way to it.
    pub path: String,
    /// Its owner, name or number.
    #[schemars(extend("x-personal" = true))]
    pub owner: String,
    /// Its group, name or number.
    pub group: String,
    /// Its permission bits.
    pub mode: u32,
    /// Who may change it and by what: `owned by bob`, `anyone may write it`, `group ops may write it (anna, bob)`, `an access control list lets …`.
    #[schemars(extend("x-personal" = true))]
    pub why: String,
}

/// What stands at a path.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Its metadata, links followed; `None` when nothing is there.
    pub stat: Option<Stat>,
    /// The weak place nearest to the file.
    pub weak: Option<Weak>,
    /// Writable for a group without known members, while a directory service may know some.
    pub uncertain: Option<String>,
}

/// Looks at paths of one machine.
#[derive(Debug)]
pub struct Trust<'a> {
    host: &'a Host,
    names: &'a Names,
    /// Owner and group of the root folder: in a copy that an ordinary user made they stand for root.
    root: (u32, u32),
    seen: RefCell<BTreeMap<String, Result<Stat, ReadError>>>,
    lists: RefCell<BTreeMap<String, Option<Vec<u8>>>>,
}

impl<'a> Trust<'a> {
    /// Of this machine.
    pub fn new(host: &'a Host, names: &'a Names) -> Self {
        let root = match host.stat("/") {
            Ok(stat) if !host.is_this_machine() => (stat.uid, stat.gid),
            _ => (0, 0),
        };
        Self { host, names, root, seen: RefCell::default(), lists: RefCell::default() }
    }

    /// Whether owners tell nothing: a copy that is not root's own.
    pub const fn is_copied_by_user(&self) -> bool {
        self.root.0 != 0
    }

    /// Follows a path from the root; `also` is one more user id that may change it.
    pub fn look(&self, path: &str, also: Option<u32>) -> Result<Found, ReadError> {
        let mut found = Found::default();
        let mut at = String::new();
        let mut links = 0;
        let mut left: VecDeque<String> = parts(path).collect();
        let mut folder = self.stat("/")?;
        for _ in 0..STEP_LIMIT {
            let Some(part) = left.pop_front() else { break };
            if part == ".." {
                at.truncate(at.rfind('/').unwrap_or(0));
                folder = self.stat(if at.is_empty() { "/" } else { &at })?;
                continue;
            }
            let child = format!("{at}/{part}");
            let parent = if at.is_empty() { "/".to_string() } else { at.clone() };
            let stat = match self.stat(&child) {
                Ok(stat) => Some(stat),
                Err(e) if e.is_not_found() => None,
                Err(e) => return Err(e),
            };
            self.replaceable(&parent, &folder, stat.as_ref(), also, &mut found);
            let Some(stat) = stat else { return Ok(found) };
            match stat.kind {
                FileKind::Link => {
                    links += 1;
                    let target = self.host.read_link(&child)?;
                    if links > LINK_LIMIT || target.len() > 4096 {
                        return Err(ReadError::Io(path.into(), "too many links".into()));
                    }
                    if target.starts_with('/') {
                        at.clear();
                        folder = self.stat("/")?;
                    }
                    for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                        left.push_front(part);
                    }
                }
                FileKind::Folder if !left.is_empty() => (at, folder) = (child, stat),
                _ if !left.is_empty() => return Ok(found),
                _ => {
                    if let Some(why) = self.writer(&child, &stat, also, &mut found.uncertain) {
                        found.weak = Some(self.weak(&child, &stat, why));
                    }
                    found.stat = Some(stat);
                    return Ok(found);
                }
            }
        }
        if left.is_empty() {
            found.stat = Some(folder);
            return Ok(found);
        }
        Err(ReadError::TooLarge(path.into(), STEP_LIMIT))
    }

    /// Whether somebody may put another thing in the place of `child`.
    fn replaceable(&self, parent: &str, folder: &Stat, child: Option<&Stat>, also: Option<u32>, found: &mut Found) {
        let mut uncertain = None;
        let Some(why) = self.writer(parent, folder, also, &mut uncertain) else {
            found.uncertain = found.uncertain.take().or(uncertain);
            return;
        };
        let held = folder.mode & STICKY != 0 && self.is_trusted(folder.uid, also) && child.is_some_and(|c| self.is_trusted(c.uid, also));
        if !held {
            found.weak = Some(self.weak(parent, folder, why));
        }
    }

    fn is_trusted(&self, uid: u32, also: Option<u32>) -> bool {
        uid == 0 || uid == self.root.0 || Some(uid) == also
    }

    /// Who besides root may write here, as a sentence fragment.
    fn writer(&self, path: &str, stat: &Stat, also: Option<u32>, uncertain: &mut Option<String>) -> Option<String> {
        if !self.is_trusted(stat.uid, also) {
            return Some(format!("owned by {}", self.names.user(stat.uid)));
        }
        if stat.mode & 0o002 != 0 {
            return Some("anyone may write it".into());
        }
        if stat.mode & 0o020 == 0 {
            return None;
        }
        match self.access_list(path).as_deref().and_then(entries) {
            Some(entries) => entries.iter().find_map(|entry| self.entry_writer(entry, stat, also, uncertain)),
            None => self.group_writer(stat.gid, also, uncertain).map(|who| format!("{who} may write it")),
        }
    }

    fn group_writer(&self, gid: u32, also: Option<u32>, uncertain: &mut Option<String>) -> Option<String> {
        const SHOWN: usize = 4;
        if gid == self.root.1 && self.root.0 != 0 {
            return None;
        }
        let is_other = |m: &&str| also.is_none() || self.names.account(m).map(|a| a.uid) != also;
        let members: Vec<&str> = self.names.outsiders(gid).filter(is_other).take(SHOWN + 1).collect();
        if members.is_empty() {
            if gid != 0 && !self.names.directories.is_empty() {
                *uncertain = Some(self.names.group(gid));
            }
            return None;
        }
        let more = if members.len() > SHOWN { ", …" } else { "" };
        let shown = members.get(..SHOWN).unwrap_or(&members);
        Some(format!("group {} ({}{more})", self.names.group(gid), shown.join(", ")))
    }

    fn entry_writer(&self, entry: &Entry, stat: &Stat, also: Option<u32>, uncertain: &mut Option<String>) -> Option<String> {
        if !entry.writes {
            return None;
        }
        let who = match entry.tag {
            Tag::User if !self.is_trusted(entry.id, also) => self.names.user(entry.id),
            Tag::OwningGroup => self.group_writer(stat.gid, also, uncertain)?,
            Tag::Group => self.group_writer(entry.id, also, uncertain)?,
            _ => return None,
        };
        Some(format!("an access control list lets {who} write it"))
    }

    fn weak(&self, path: &str, stat: &Stat, why: String) -> Weak {
        Weak { path: path.into(), owner: self.names.user(stat.uid), group: self.names.group(stat.gid), mode: stat.mode, why }
    }

    fn stat(&self, path: &str) -> Result<Stat, ReadError> {
        if let Some(known) = self.seen.borrow().get(path) {
            return known.clone();
        }
        let read = self.host.stat_link(path);
        self.seen.borrow_mut().insert(path.into(), read.clone());
        read
    }

    fn access_list(&self, path: &str) -> Option<Vec<u8>> {
        if let Some(known) = self.lists.borrow().get(path) {
            return known.clone();
        }
        // Without the list the mode's mask decides, which never shows less than the list allows.
        let read = self.host.access_list(path).ok().flatten();
        self.lists.borrow_mut().insert(path.into(), read.clone());
        read
    }
}

fn parts(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split('/').filter(|p| !p.is_empty() && *p != ".").map(String::from)
}

/// Entries of an access control list that can matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    User,
    OwningGroup,
    Group,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: Tag,
    id: u32,
    writes: bool,
}

/// `struct posix_acl_xattr_header` and its entries (include/uapi/linux/posix_acl_xattr.h): version
/// 2, then tag (2), permissions (2), id (4), little-endian; the mask is laid over named entries.
fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    const MASK: u16 = 0x10;
    let (version, rest) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || rest.len() % 8 != 0 {
        return None;
    }
    let mut raw = Vec::new();
    let mut mask = 0o7;
    for entry in rest.chunks_exact(8) {
        let [t0, t1, p0, p1, i0, i1, i2, i3] = entry else { return None };
        let (tag, permissions) = (u16::from_le_bytes([*t0, *t1]), u16::from_le_bytes([*p0, *p1]));
        if tag == MASK {
            mask = permissions;
        }
        raw.push((tag, permissions, u32::from_le_bytes([*i0, *i1, *i2, *i3])));
    }
    let entry = |(tag, permissions, id): (u16, u16, u32)| {
        let tag = match tag {
            0x02 => Tag::User,
            0x04 => Tag::OwningGroup,
            0x08 => Tag::Group,
            _ => Tag::Other,
        };
        Entry { tag, id, writes: permissions & mask & 0o2 != 0 }
    };
    Some(raw.into_iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut out = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            out.extend(tag.to_le_bytes());
            out.extend(permissions.to_le_bytes());
            out.extend(id.to_le_bytes());
        }
        out
    }

    #[test]
    fn the_mask_is_laid_over_named_entries() {
        let masked = entries(&list(&[(1, 7, u32::MAX), (2, 7, 1000), (4, 5, u32::MAX), (8, 6, 50), (0x10, 5, u32::MAX), (0x20, 5, u32::MAX)])).unwrap();
        assert!(masked.iter().all(|e| !e.writes || e.tag == Tag::Other));
        let open = entries(&list(&[(2, 6, 1000), (4, 5, u32::MAX), (0x10, 7, u32::MAX)])).unwrap();
        assert_eq!(open[0], Entry { tag: Tag::User, id: 1000, writes: true });
        assert!(!open[1].writes);
        for end in 0..12 {
            let _ = entries(&list(&[(2, 6, 1000)])[..end]);
        }
        assert_eq!(entries(&[1, 0, 0, 0]), None);
    }

    fn chmod(root: &Path, path: &str, mode: u32) {
        std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Files are of whoever runs the test; what owners decide is tested by root alone elsewhere.
    #[test]
    fn the_nearest_writable_place_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for folder in ["opt/safe", "opt/open", "opt/sticky", "etc"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nanna:x:1000:100::/home/anna:/bin/sh\n").unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\nusers:x:100:\n").unwrap();
        for file in ["opt/safe/run", "opt/open/run", "opt/sticky/run", "opt/safe/wide"] {
            std::fs::write(root.join(file), "").unwrap();
            chmod(root, file, 0o755);
        }
        chmod(root, "opt", 0o755);
        chmod(root, "opt/safe", 0o755);
        chmod(root, "opt/open", 0o777);
        chmod(root, "opt/sticky", 0o1777);
        chmod(root, "opt/safe/wide", 0o757);
        symlink("/opt/open/run", root.join("opt/safe/link")).unwrap();
        symlink("loop", root.join("opt/safe/loop")).unwrap();
        let host = Host::rooted(root).unwrap();
        let names = Names::read(&host, 0);
        let trust = Trust::new(&host, &names);
        let weak = |path: &str| trust.look(path, None).unwrap().weak.map(|w| format!("{} {}", w.path, w.why));
        assert_eq!(weak("/opt/safe/run"), None);
        assert_eq!(weak("/opt/sticky/run"), None, "the sticky bit holds root's file");
        assert_eq!(weak("/opt/sticky/new").unwrap(), "/opt/sticky anyone may write it", "what is missing can be made");
        assert_eq!(weak("/opt/open/run").unwrap(), "/opt/open anyone may write it");
        assert_eq!(weak("/opt/safe/link").unwrap(), "/opt/open anyone may write it");
        assert_eq!(weak("/opt/safe/../safe/wide").unwrap(), "/opt/safe/wide anyone may write it");
        assert_eq!(weak("/opt/safe/run/below"), None);
        assert!(trust.look("/opt/safe/loop", None).is_err());
        assert!(trust.look("/opt/safe/run", None).unwrap().stat.is_some());
    }
}
