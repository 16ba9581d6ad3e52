//! One walk over every file below the root, for whatever needs one.
//!
//! A folder is opened relative to its parent and never through a link, so the walk stays below
//! the root whatever happens meanwhile. It stays on file systems that this machine keeps itself:
//! network, FUSE and kernel file systems are not entered, and none is entered twice. Memory does
//! not grow with the tree: one buffer for each level of folders.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::{Host, ReadError};

/// Bounds of a walk.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most entries looked at.
    pub entries: u64,
    /// Longest time.
    pub time: Duration,
    /// Deepest folder, levels; each level holds one descriptor open.
    pub depth: usize,
}

impl Default for Bounds {
    /// 50 million entries, 10 minutes, 256 levels.
    fn default() -> Self {
        Self { entries: 50_000_000, time: Duration::from_secs(600), depth: 256 }
    }
}

/// Bytes of a folder read at a time.
const BUFFER: usize = 16 << 10;
/// Folders that could not be entered and are named; the rest is counted.
const NAMED: usize = 64;
/// The clock is looked at once in so many entries.
const LOOK_EVERY: u64 = 256;
/// Extended attribute that holds file capabilities (capabilities(7)).
const CAPABILITY: &CStr = c"security.capability";
/// Longest value of it: `struct vfs_ns_cap_data` (include/uapi/linux/capability.h).
const CAPABILITY_LIMIT: usize = 24;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Regular file.
    File,
    /// Folder.
    Folder,
    /// Block device.
    Block,
    /// Character device.
    Character,
}

/// What the kernel says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (`07777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Major and minor number of a device.
    pub special: (u32, u32),
    /// Major and minor number of the file system.
    device: (u32, u32),
    inode: u64,
    /// Whether something is mounted here, where the kernel says so (Linux 5.8).
    mounted: bool,
}

/// An entry as the walk passes it. Links, sockets and FIFOs are not shown.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What the kernel says.
    pub meta: Meta,
    /// The folder that it is in.
    pub parent: &'a Meta,
    /// Number of that folder, counted along the walk.
    pub folder: u64,
    /// Path of that folder, without a slash at the end.
    pub folder_path: &'a [u8],
    /// Whether every folder above lets everybody through (the root itself not looked at).
    pub reachable: bool,
    name: &'a CStr,
    fd: BorrowedFd<'a>,
}

impl Seen<'_> {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        self.name.to_bytes()
    }

    /// Its path, bytes that are not UTF-8 replaced.
    pub fn path(&self) -> String {
        format!("{}/{}", String::from_utf8_lossy(self.folder_path), self.name.to_string_lossy())
    }

    /// Its file capabilities as stored, if it has any.
    pub fn capability(&self) -> Result<Option<Vec<u8>>, ReadError> {
        // The name is resolved from the open folder, so a link planted meanwhile is not followed.
        let mut path = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        path.extend_from_slice(self.name.to_bytes());
        let mut value = [0; CAPABILITY_LIMIT];
        match fs::lgetxattr(path.as_slice(), CAPABILITY, &mut value) {
            Ok(length) => Ok(Some(value.get(..length).unwrap_or_default().to_vec())),
            Err(Errno::NODATA | Errno::NOTSUP | Errno::NOENT) => Ok(None),
            Err(e) => Err(ReadError::from_errno(&self.path(), e)),
        }
    }

    /// The first bytes of a regular file.
    pub fn head(&self, length: usize) -> Result<Vec<u8>, ReadError> {
        use std::io::Read as _;
        let fail = |e| ReadError::from_errno(&self.path(), e);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = fs::openat(self.fd, self.name, flags, Mode::empty()).map_err(fail)?;
        if FileType::from_raw_mode(fs::fstat(&fd).map_err(fail)?.st_mode) != FileType::RegularFile {
            return Err(ReadError::NotRegular(self.path()));
        }
        let mut out = Vec::new();
        let read = std::fs::File::from(fd).take(length as u64).read_to_end(&mut out);
        read.map_err(|e| ReadError::Io(self.path(), e.to_string()))?;
        Ok(out)
    }
}

/// Mount points whose file system is known before they are touched: a dead network mount would
/// hold whoever looks at it.
#[derive(Clone, Debug, Default)]
pub struct Points {
    items: BTreeMap<Vec<u8>, Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    skip: Option<&'static str>,
    whole: bool,
}

impl Points {
    /// A later mount at the same point hides the earlier one. `whole`: no part of the file system
    /// is left out.
    pub fn add(&mut self, point: &str, file_system: &str, whole: bool) {
        self.items.insert(point.as_bytes().to_vec(), Point { skip: reason_to_skip(file_system), whole });
    }

    fn skip(&self, path: &[u8]) -> Option<&'static str> {
        self.items.get(path).and_then(|p| p.skip)
    }
}

/// File systems that this machine keeps itself and whose files have owners and modes.
const OWN: &[(&str, u64)] = &[
    ("ext4", 0xEF53),
    ("ext3", 0xEF53),
    ("ext2", 0xEF53),
    ("xfs", 0x5846_5342),
    ("btrfs", 0x9123_683E),
    ("zfs", 0x2FC1_2FC1),
    ("tmpfs", 0x0102_1994),
    ("devtmpfs", 0x0102_1994),
    ("ramfs", 0x8584_58F6),
    ("f2fs", 0xF2F5_2010),
    ("bcachefs", 0xCA45_1A4E),
    ("jfs", 0x3153_464A),
    ("reiserfs", 0x5265_4973),
    ("nilfs2", 0x3434),
    ("ubifs", 0x2405_1905),
];

/// Why a file system is not entered, by its name; `None`: it is.
pub fn reason_to_skip(file_system: &str) -> Option<&'static str> {
    match file_system {
        own if OWN.iter().any(|(name, _)| *name == own) => None,
        "nfs" | "nfs4" | "cifs" | "smb3" | "ceph" | "9p" | "afs" | "ocfs2" | "gfs2" | "glusterfs" | "lustre" | "virtiofs" => Some("network"),
        fuse if fuse.starts_with("fuse") => Some("FUSE"),
        "overlay" | "aufs" => Some("layers that lie elsewhere"),
        "squashfs" | "erofs" | "iso9660" | "udf" | "cramfs" => Some("read-only image"),
        "vfat" | "msdos" | "exfat" | "ntfs" | "ntfs3" | "hfsplus" => Some("no owners or modes"),
        _ => Some("kept by the kernel or not known"),
    }
}

/// How a walk went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Entries looked at.
    pub entries: u64,
    /// Folders that could not be read.
    pub unread: Vec<ReadError>,
    /// Further ones, counted only.
    pub unread_more: u64,
    /// Folders below the deepest level that is entered.
    pub deep: Vec<String>,
    /// Further ones, counted only.
    pub deep_more: u64,
    /// Whether capabilities can be asked for at all: that takes this process's own `/proc/self/fd`.
    pub tells_capabilities: bool,
    /// Which bound ended it.
    pub cut: Option<&'static str>,
    /// Mount points that were not entered, and why.
    pub skipped: Vec<(String, &'static str)>,
}

/// Walks over everything below the root. Entries of a folder come in the order of the disk.
pub fn walk(host: &Host, points: &Points, bounds: Bounds, visit: &mut dyn FnMut(&Seen<'_>)) -> Result<Outcome, ReadError> {
    let root = host.folder("/")?;
    let fail = |e| ReadError::from_errno("/", e);
    let modern = !matches!(fs::statx(&root, c"", AtFlags::EMPTY_PATH, MASK), Err(Errno::NOSYS));
    let meta = meta_of(root.as_fd(), c"", modern).map_err(fail)?.ok_or_else(|| ReadError::NotRegular("/".into()))?;
    let mut walker = Walker {
        points,
        bounds,
        visit,
        modern,
        until: Instant::now() + bounds.time,
        path: Vec::new(),
        buffers: Vec::new(),
        entered: BTreeSet::from([(meta.device, meta.inode)]),
        whole: BTreeSet::from([meta.device]),
        folders: 0,
        outcome: Outcome { tells_capabilities: fs::access("/proc/self/fd", fs::Access::EXISTS).is_ok(), ..Outcome::default() },
    };
    walker.folder(root.as_fd(), &meta, true, 0);
    Ok(walker.outcome)
}

const MASK: StatxFlags = StatxFlags::TYPE.union(StatxFlags::MODE).union(StatxFlags::UID).union(StatxFlags::GID).union(StatxFlags::INO).union(StatxFlags::SIZE);

struct Walker<'a> {
    points: &'a Points,
    bounds: Bounds,
    visit: &'a mut dyn FnMut(&Seen<'_>),
    /// Whether the kernel has statx(2).
    modern: bool,
    until: Instant,
    path: Vec<u8>,
    /// Of levels that are done with theirs.
    buffers: Vec<Vec<MaybeUninit<u8>>>,
    /// Roots of mounts that were entered.
    entered: BTreeSet<((u32, u32), u64)>,
    /// File systems of which nothing is left out: a second mount shows nothing new.
    whole: BTreeSet<(u32, u32)>,
    folders: u64,
    outcome: Outcome,
}

impl Walker<'_> {
    /// `false` when the walk is over.
    fn folder(&mut self, fd: BorrowedFd<'_>, own: &Meta, reachable: bool, level: usize) -> bool {
        let mut buffer = self.buffers.pop().unwrap_or_else(|| vec![MaybeUninit::uninit(); BUFFER]);
        self.folders += 1;
        let number = self.folders;
        let mut entries = RawDir::new(fd, &mut buffer);
        let mut goes_on = true;
        while goes_on && let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    self.unread(e);
                    break;
                }
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            goes_on = self.count();
            match entry.file_type() {
                FileType::Symlink | FileType::Fifo | FileType::Socket => {}
                FileType::Directory if !self.points.items.is_empty() && self.is_skipped_point(name) => {}
                _ => goes_on = goes_on && self.entry(fd, own, (name, entry.ino(), number), reachable, level),
            }
        }
        self.buffers.push(buffer);
        goes_on
    }

    fn entry(&mut self, fd: BorrowedFd<'_>, parent: &Meta, (name, inode, folder): (&CStr, u64, u64), reachable: bool, level: usize) -> bool {
        let meta = match meta_of(fd, name, self.modern) {
            Ok(Some(meta)) => meta,
            // It is gone, or a link, socket or FIFO on a file system that does not say so at once.
            Ok(None) | Err(Errno::NOENT) => return true,
            Err(e) => {
                self.within(name, |walker| walker.unread(e));
                return true;
            }
        };
        // A folder mounted onto itself, as a service unit makes it read-only: its parent lists the same inode.
        let is_itself = meta.device == parent.device && meta.inode == inode;
        if meta.kind == Kind::Folder && !is_itself && (meta.mounted || meta.device != parent.device) && !self.crosses(fd, name, &meta) {
            return true;
        }
        (self.visit)(&Seen { meta, parent, folder, folder_path: &self.path, reachable, name, fd });
        if meta.kind != Kind::Folder {
            return true;
        }
        let before = self.path.len();
        self.path.push(b'/');
        self.path.extend_from_slice(name.to_bytes());
        let goes_on = self.inside(fd, name, &meta, reachable && meta.mode & 0o001 != 0, level + 1);
        self.path.truncate(before);
        goes_on
    }

    fn inside(&mut self, fd: BorrowedFd<'_>, name: &CStr, meta: &Meta, reachable: bool, level: usize) -> bool {
        if level >= self.bounds.depth {
            if self.outcome.deep.len() < NAMED {
                self.outcome.deep.push(self.shown());
            } else {
                self.outcome.deep_more += 1;
            }
            return true;
        }
        match fs::openat(fd, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Ok(opened) => self.folder(opened.as_fd(), meta, reachable, level),
            // Gone, or replaced by something else.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => true,
            Err(e) => {
                self.unread(e);
                true
            }
        }
    }

    /// Whether the file system that begins here is entered.
    fn crosses(&mut self, fd: BorrowedFd<'_>, name: &CStr, meta: &Meta) -> bool {
        let point = self.within(name, |walker| walker.points.items.get(&walker.path).copied());
        let skip = point.map_or_else(|| foreign(fd, name), |p| p.skip);
        let again = self.whole.contains(&meta.device) || !self.entered.insert((meta.device, meta.inode));
        // Process 1 does not have this mount: whoever started this process laid it over what is there.
        let why = if point.is_none() && !self.points.items.is_empty() { "hidden from this process alone" } else { "shown elsewhere already" };
        let skip = skip.or_else(|| again.then_some(why));
        if let Some(why) = skip {
            let shown = self.within(name, |walker| walker.shown());
            self.note_skipped(shown, why);
        } else if point.is_some_and(|p| p.whole) {
            self.whole.insert(meta.device);
        }
        skip.is_none()
    }

    fn is_skipped_point(&mut self, name: &CStr) -> bool {
        let Some(why) = self.within(name, |walker| walker.points.skip(&walker.path)) else { return false };
        let shown = self.within(name, |walker| walker.shown());
        self.note_skipped(shown, why);
        true
    }

    fn note_skipped(&mut self, path: String, why: &'static str) {
        if self.outcome.skipped.len() < NAMED {
            self.outcome.skipped.push((path, why));
        }
    }

    fn within<T>(&mut self, name: &CStr, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        self.path.push(b'/');
        self.path.extend_from_slice(name.to_bytes());
        let value = work(self);
        self.path.truncate(before);
        value
    }

    fn count(&mut self) -> bool {
        self.outcome.entries += 1;
        if self.outcome.entries > self.bounds.entries {
            self.outcome.entries = self.bounds.entries;
            self.outcome.cut = Some("number of entries");
            return false;
        }
        if self.outcome.entries.is_multiple_of(LOOK_EVERY) && Instant::now() >= self.until {
            self.outcome.cut = Some("time");
            return false;
        }
        true
    }

    fn unread(&mut self, errno: Errno) {
        // A folder that was removed meanwhile holds nothing.
        if errno == Errno::NOENT {
            return;
        }
        if self.outcome.unread.len() < NAMED {
            let error = ReadError::from_errno(&self.shown(), errno);
            self.outcome.unread.push(error);
        } else {
            self.outcome.unread_more += 1;
        }
    }

    fn shown(&self) -> String {
        if self.path.is_empty() { "/".into() } else { String::from_utf8_lossy(&self.path).into_owned() }
    }
}

/// `None` for what the walk does not show.
fn meta_of(fd: BorrowedFd<'_>, name: &CStr, modern: bool) -> Result<Option<Meta>, Errno> {
    let empty = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::empty() };
    if !modern {
        let s = fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW | empty)?;
        let (device, special) = (s.st_dev, s.st_rdev);
        return Ok(kind_of(s.st_mode).map(|kind| Meta {
            kind,
            mode: s.st_mode & 0o7777,
            uid: s.st_uid,
            gid: s.st_gid,
            size: u64::try_from(s.st_size).unwrap_or(0),
            special: (fs::major(special), fs::minor(special)),
            device: (fs::major(device), fs::minor(device)),
            inode: s.st_ino,
            mounted: false,
        }));
    }
    let s = fs::statx(fd, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | empty, MASK)?;
    Ok(kind_of(s.stx_mode.into()).map(|kind| Meta {
        kind,
        mode: u32::from(s.stx_mode) & 0o7777,
        uid: s.stx_uid,
        gid: s.stx_gid,
        size: s.stx_size,
        special: (s.stx_rdev_major, s.stx_rdev_minor),
        device: (s.stx_dev_major, s.stx_dev_minor),
        inode: s.stx_ino,
        mounted: s.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
    }))
}

fn kind_of(mode: u32) -> Option<Kind> {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Folder),
        FileType::BlockDevice => Some(Kind::Block),
        FileType::CharacterDevice => Some(Kind::Character),
        _ => None,
    }
}

/// Why a mount that no table told of is not entered.
fn foreign(fd: BorrowedFd<'_>, name: &CStr) -> Option<&'static str> {
    let opened = fs::openat(fd, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let Ok(status) = opened.and_then(|opened| fs::fstatfs(&opened)) else { return Some("kept by the kernel or not known") };
    // A 32-bit magic number in a word whose width and sign differ between processors.
    let magic = status.f_type as u64 & 0xFFFF_FFFF;
    if OWN.iter().any(|(_, own)| *own == magic) { None } else { Some("kept by the kernel or not known") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn paths(host: &Host, points: &Points, bounds: Bounds) -> (Vec<String>, Outcome) {
        let mut seen = Vec::new();
        let outcome = walk(host, points, bounds, &mut |s| seen.push(s.path())).unwrap();
        seen.sort();
        (seen, outcome)
    }

    fn tree(files: &[&str]) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let host = Host::rooted(root.path()).unwrap();
        (root, host)
    }

    #[test]
    fn links_are_never_followed_and_odd_names_are_shown() {
        let (root, host) = tree(&["a/b", "c\nd", "e/f g"]);
        symlink("/etc", root.path().join("out")).unwrap();
        symlink(".", root.path().join("a/loop")).unwrap();
        let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
        std::fs::write(root.path().join(odd), "").unwrap();
        let (seen, outcome) = paths(&host, &Points::default(), Bounds::default());
        assert_eq!(seen, ["/a", "/a/b", "/c\nd", "/e", "/e/f g", "/\u{fffd}"]);
        assert_eq!((outcome.entries, outcome.cut), (8, None));
    }

    #[test]
    fn bounds_are_held_and_told() {
        let (_root, host) = tree(&["a/b/c/d/e", "f", "g"]);
        let (seen, outcome) = paths(&host, &Points::default(), Bounds { depth: 3, ..Bounds::default() });
        assert_eq!(seen, ["/a", "/a/b", "/a/b/c", "/f", "/g"]);
        assert_eq!(outcome.deep, ["/a/b/c"]);
        let (seen, outcome) = paths(&host, &Points::default(), Bounds { entries: 2, ..Bounds::default() });
        assert!(seen.len() <= 2);
        assert_eq!((outcome.entries, outcome.cut), (2, Some("number of entries")));
        let many: Vec<String> = (0..600).map(|i| format!("x/{i}")).collect();
        let (_root, host) = tree(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let (_, outcome) = paths(&host, &Points::default(), Bounds { time: Duration::ZERO, ..Bounds::default() });
        assert_eq!((outcome.entries, outcome.cut), (256, Some("time")));
    }

    #[test]
    fn a_point_of_a_foreign_file_system_is_not_touched() {
        let (_root, host) = tree(&["mnt/nfs/x", "mnt/disk/y"]);
        let mut points = Points::default();
        points.add("/mnt/nfs", "nfs4", true);
        points.add("/mnt/disk", "ext4", true);
        let (seen, outcome) = paths(&host, &points, Bounds::default());
        assert_eq!(seen, ["/mnt", "/mnt/disk", "/mnt/disk/y"]);
        assert_eq!(outcome.skipped, [("/mnt/nfs".to_string(), "network")]);
    }

    #[test]
    fn reach_and_heads() {
        use std::os::unix::fs::PermissionsExt as _;
        let (root, host) = tree(&["open/x", "shut/deep/x"]);
        std::fs::write(root.path().join("open/x"), "0123456789").unwrap();
        std::fs::set_permissions(root.path().join("shut"), std::fs::Permissions::from_mode(0o750)).unwrap();
        let mut reach = BTreeMap::new();
        let mut head = Vec::new();
        walk(&host, &Points::default(), Bounds::default(), &mut |s| {
            reach.insert(s.path(), s.reachable);
            if s.path() == "/open/x" {
                head = s.head(4).unwrap();
                assert_eq!(s.capability().unwrap(), None);
            }
        })
        .unwrap();
        assert_eq!((reach["/open/x"], reach["/shut"], reach["/shut/deep/x"]), (true, true, false));
        assert_eq!(head, b"0123");
    }
}
