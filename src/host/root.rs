//! Bounded, non-blocking reads below one root folder.
//!
//! Every path is resolved inside the root by the kernel (`openat2` with `RESOLVE_IN_ROOT`, Linux
//! 5.6), so that an absolute link of a mounted image can't lead out to the running host. Older
//! kernels are refused for a root folder; for `/` they fall back to plain `openat`.
//! Only regular files are read; a FIFO or device never blocks a scan.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::model::declared::Declared;
use crate::model::gap::{Gap, reason};

/// Ordinary limit of a configuration file, bytes.
pub const CONFIG_LIMIT: usize = 1 << 20;
/// Most entries listed of one folder.
pub const LIST_LIMIT: usize = 65_536;
/// Largest access control list that is read, bytes: 8,191 entries.
const ACCESS_LIST_LIMIT: usize = 64 << 10;

/// Why something was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is nothing at this path.
    #[error("{0}: no such file")]
    NotFound(String),
    /// This process may not read it.
    #[error("{0}: permission denied")]
    Denied(String),
    /// More bytes or entries than the limit.
    #[error("{0}: larger than {1}")]
    TooLarge(String, usize),
    /// A folder, device, socket or FIFO where a file should be.
    #[error("{0}: not a regular file")]
    NotRegular(String),
    /// Anything else.
    #[error("{0}: {1}")]
    Io(String, String),
}

impl ReadError {
    pub(super) fn from_errno(path: &str, errno: Errno) -> Self {
        let path = path.to_string();
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::NotFound(path),
            Errno::ACCESS | Errno::PERM => Self::Denied(path),
            other => Self::Io(path, other.to_string()),
        }
    }

    /// Whether the file is simply not there.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// The gap that this error leaves.
    pub fn to_gap(&self, family: &str, path: &str, subject: &str) -> Gap {
        let (id, remedy) = match self {
            Self::NotFound(_) => (reason::MISSING, ""),
            Self::Denied(_) => (reason::PERMISSION_DENIED, "Run the scan as root or grant CAP_DAC_READ_SEARCH."),
            Self::TooLarge(..) => (reason::LIMIT_REACHED, ""),
            Self::NotRegular(_) => (reason::MALFORMED, ""),
            Self::Io(..) => (reason::READ_FAILED, ""),
        };
        Gap { family: family.into(), path: path.into(), subject: subject.into(), reason: id.into(), detail: self.to_string(), remedy: remedy.into() }
    }
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// Regular file.
    File,
    /// Folder.
    Folder,
    /// Symbolic link.
    Link,
    /// Device, socket or FIFO.
    Other,
}

/// Metadata of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky (`07777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Last modification, Unix seconds.
    pub modified: i64,
    /// Device number (`st_dev`).
    pub device: u64,
    /// Device number if it is a device node (`st_rdev`).
    pub special_device: u64,
    /// Inode.
    pub inode: u64,
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// File name (bytes that are not UTF-8 replaced).
    pub name: String,
    /// What it is, without following a link.
    pub kind: FileKind,
}

/// The machine, or a mounted image of one.
#[derive(Debug)]
pub struct Host {
    root: OwnedFd,
    path: PathBuf,
    live: bool,
    /// Whether paths are kept inside the root (everything but `/` of the running machine).
    confined: bool,
    declared: Declared,
}

impl Host {
    /// The running machine.
    pub fn live() -> Result<Self, ReadError> {
        Self::open(Path::new("/"), true, false)
    }

    /// A folder that holds the root of another machine; nothing of the running one is read.
    pub fn rooted(root: &Path) -> Result<Self, ReadError> {
        Self::open(root, false, true)
    }

    /// A folder that also holds recorded `/proc` and `/sys` trees of the same machine: it is read
    /// like a running one, and still nothing outside the folder is.
    pub fn recorded(root: &Path) -> Result<Self, ReadError> {
        Self::open(root, true, true)
    }

    fn open(root: &Path, live: bool, confined: bool) -> Result<Self, ReadError> {
        let shown = root.display().to_string();
        let fd = fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|e| ReadError::from_errno(&shown, e))?;
        let host = Self { root: fd, path: root.to_path_buf(), live, confined, declared: Declared::default() };
        if confined && !host.kernel_resolves_in_root() {
            return Err(ReadError::Io(shown, "reading another root needs openat2 (Linux 5.6 or later)".into()));
        }
        Ok(host)
    }

    /// The same machine opened once more, for another thread.
    pub fn again(&self) -> Result<Self, ReadError> {
        Ok(Self::open(&self.path, self.live, self.confined)?.with_declared(self.declared.clone()))
    }

    /// With what its operator declares.
    #[must_use]
    pub fn with_declared(self, declared: Declared) -> Self {
        Self { declared, ..self }
    }

    /// What its operator declares.
    pub const fn declared(&self) -> &Declared {
        &self.declared
    }

    /// Whether the running kernel belongs to what is read.
    pub const fn is_live(&self) -> bool {
        self.live
    }

    /// Whether `/` of this very machine is read, so that system calls may add to it.
    pub const fn is_this_machine(&self) -> bool {
        !self.confined
    }

    /// The root folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a regular file of at most `limit` bytes (a procfs file, too).
    pub fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = fs::fstat(&fd).map_err(|e| ReadError::from_errno(path, e))?;
        if kind_of(stat.st_mode) != FileKind::File {
            return Err(ReadError::NotRegular(path.into()));
        }
        let mut out = Vec::new();
        let mut reader = std::fs::File::from(fd).take(limit as u64 + 1);
        reader.read_to_end(&mut out).map_err(|e| match e.kind() {
            std::io::ErrorKind::PermissionDenied => ReadError::Denied(path.into()),
            _ => ReadError::Io(path.into(), e.to_string()),
        })?;
        if out.len() > limit {
            return Err(ReadError::TooLarge(path.into(), limit));
        }
        Ok(out)
    }

    /// Like [`Host::read`], as text; bytes that are not UTF-8 are replaced.
    pub fn read_text(&self, path: &str, limit: usize) -> Result<String, ReadError> {
        let bytes = self.read(path, limit)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        })
    }

    /// An open file for streaming; the caller bounds what it reads.
    pub fn open_file(&self, path: &str) -> Result<std::fs::File, ReadError> {
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = fs::fstat(&fd).map_err(|e| ReadError::from_errno(path, e))?;
        match kind_of(stat.st_mode) {
            FileKind::File => Ok(std::fs::File::from(fd)),
            _ => Err(ReadError::NotRegular(path.into())),
        }
    }

    /// A regular file or folder, open for a question about it (an ioctl); other kinds are refused.
    pub(super) fn open_to_ask(&self, path: &str) -> Result<OwnedFd, ReadError> {
        match self.stat(path)?.kind {
            FileKind::File | FileKind::Folder => self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY),
            _ => Err(ReadError::NotRegular(path.into())),
        }
    }

    /// The first `length` bytes of a regular file or a block device (a LUKS header).
    pub fn read_head(&self, path: &str, length: usize) -> Result<Vec<u8>, ReadError> {
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = fs::fstat(&fd).map_err(|e| ReadError::from_errno(path, e))?;
        let block = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::BlockDevice;
        if kind_of(stat.st_mode) != FileKind::File && !block {
            return Err(ReadError::NotRegular(path.into()));
        }
        let mut out = Vec::new();
        std::fs::File::from(fd).take(length as u64).read_to_end(&mut out).map_err(|e| ReadError::Io(path.into(), e.to_string()))?;
        Ok(out)
    }

    /// The entries of a folder, sorted by name.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let fail = |e| ReadError::from_errno(path, e);
        let mut entries = Vec::new();
        for item in fs::Dir::read_from(&fd).map_err(fail)? {
            let item = item.map_err(fail)?;
            let name = item.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() == LIST_LIMIT {
                return Err(ReadError::TooLarge(path.into(), LIST_LIMIT));
            }
            let kind = match item.file_type() {
                rustix::fs::FileType::RegularFile => FileKind::File,
                rustix::fs::FileType::Directory => FileKind::Folder,
                rustix::fs::FileType::Symlink => FileKind::Link,
                rustix::fs::FileType::Unknown => fs::statat(&fd, item.file_name(), AtFlags::SYMLINK_NOFOLLOW).map(|s| kind_of(s.st_mode)).map_err(fail)?,
                _ => FileKind::Other,
            };
            entries.push(Entry { name, kind });
        }
        entries.sort();
        Ok(entries)
    }

    /// Metadata, links followed inside the root.
    pub fn stat(&self, path: &str) -> Result<Stat, ReadError> {
        self.stat_with(path, OFlags::PATH)
    }

    /// Metadata of the path itself, its last link not followed.
    pub fn stat_link(&self, path: &str) -> Result<Stat, ReadError> {
        self.stat_with(path, OFlags::PATH | OFlags::NOFOLLOW)
    }

    fn stat_with(&self, path: &str, flags: OFlags) -> Result<Stat, ReadError> {
        let fd = self.open_at(path, flags)?;
        let s = fs::fstat(&fd).map_err(|e| ReadError::from_errno(path, e))?;
        Ok(Stat {
            kind: kind_of(s.st_mode),
            mode: s.st_mode & 0o7777,
            uid: s.st_uid,
            gid: s.st_gid,
            size: u64::try_from(s.st_size).unwrap_or(0),
            modified: s.st_mtime,
            device: s.st_dev,
            special_device: s.st_rdev,
            inode: s.st_ino,
        })
    }

    /// When a file began to be, Unix seconds; `None` where the file system or the kernel does not tell (Linux 4.11).
    pub fn born(&self, path: &str) -> Option<i64> {
        let fd = self.open_at(path, OFlags::PATH).ok()?;
        let told = fs::statx(&fd, c"", AtFlags::EMPTY_PATH, fs::StatxFlags::BTIME).ok()?;
        (told.stx_mask & fs::StatxFlags::BTIME.bits() != 0).then_some(told.stx_btime.tv_sec)
    }

    /// What changes whenever a file does, links followed: device, inode, mode, owner, group, size, and both times
    /// (modification, status) in nanoseconds. The status time can't be set back by whoever writes the file (inode(7)).
    pub fn mark(&self, path: &str) -> Result<[u64; 8], ReadError> {
        let fd = self.open_at(path, OFlags::PATH)?;
        let s = fs::fstat(&fd).map_err(|e| ReadError::from_errno(path, e))?;
        let time = |seconds: i64, nanoseconds: u64| seconds.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(nanoseconds);
        let size = s.st_size.cast_unsigned();
        let (modified, changed) = (time(s.st_mtime, s.st_mtime_nsec), time(s.st_ctime, s.st_ctime_nsec));
        Ok([s.st_dev, s.st_ino, s.st_mode.into(), s.st_uid.into(), s.st_gid.into(), size, modified, changed])
    }

    /// Whether anything is at the path (a missing right counts as an error, not as absence).
    pub fn exists(&self, path: &str) -> Result<bool, ReadError> {
        match self.stat(path) {
            Ok(_) => Ok(true),
            Err(e) if e.is_not_found() => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The access control list of a file or folder beyond its mode (the raw value of
    /// `system.posix_acl_access`, acl(5)); `None` when it has none or the file system knows none.
    pub fn access_list(&self, path: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.list_attribute(path, "system.posix_acl_access")
    }

    /// The list that what is made in a folder later begins with (the raw value of `system.posix_acl_default`, acl(5)).
    pub fn default_access_list(&self, path: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.list_attribute(path, "system.posix_acl_default")
    }

    fn list_attribute(&self, path: &str, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        // Opening a device or FIFO for reading could have effects; neither is ever executed.
        if !matches!(self.stat(path)?.kind, FileKind::File | FileKind::Folder) {
            return Ok(None);
        }
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let mut value = vec![0_u8; ACCESS_LIST_LIMIT];
        match fs::fgetxattr(&fd, name, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(Errno::RANGE) => Err(ReadError::TooLarge(path.into(), ACCESS_LIST_LIMIT)),
            Err(e) => Err(ReadError::from_errno(path, e)),
        }
    }

    /// The target of a symbolic link (also of the magic links below `/proc/PID`).
    pub fn read_link(&self, path: &str) -> Result<String, ReadError> {
        let fd = self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = fs::readlinkat(&fd, "", Vec::new()).map_err(|e| ReadError::from_errno(path, e))?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// A folder itself, links followed inside the root.
    pub(super) fn folder(&self, path: &str) -> Result<OwnedFd, ReadError> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, ReadError> {
        let relative = path.trim_start_matches('/');
        let relative = if relative.is_empty() { "." } else { relative };
        let flags = flags | OFlags::CLOEXEC;
        let opened = if !self.confined {
            // The root is the process's own: plain resolution is the same, and allows /proc's links.
            fs::openat(&self.root, relative, flags, Mode::empty())
        } else {
            retry(|| fs::openat2(&self.root, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS))
        };
        opened.map_err(|e| ReadError::from_errno(path, e))
    }

    fn kernel_resolves_in_root(&self) -> bool {
        retry(|| fs::openat2(&self.root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)).is_ok()
    }
}

/// openat2 answers EAGAIN when a rename races with the walk (openat2(2)).
fn retry<T>(mut attempt: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..16 {
        match attempt() {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    attempt()
}

fn kind_of(mode: u32) -> FileKind {
    match rustix::fs::FileType::from_raw_mode(mode) {
        rustix::fs::FileType::RegularFile => FileKind::File,
        rustix::fs::FileType::Directory => FileKind::Folder,
        rustix::fs::FileType::Symlink => FileKind::Link,
        _ => FileKind::Other,
    }
}

/// Without `.`, `..` and doubled slashes, as text: what links lead to is not looked at.
pub fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_never_leads_out_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/hostname"), "image\n").unwrap();
        symlink("/etc/hostname", dir.path().join("absolute")).unwrap();
        symlink("../../../../../../etc/passwd", dir.path().join("etc/escape")).unwrap();
        symlink("/proc/self/environ", dir.path().join("magic")).unwrap();
        let host = Host::rooted(dir.path()).unwrap();
        assert_eq!(host.read_text("/absolute", 100).unwrap(), "image\n");
        assert!(host.read("/etc/escape", 1 << 20).unwrap_err().is_not_found());
        assert!(host.read("/magic", 1 << 20).is_err());
        assert_eq!(host.read_link("/absolute").unwrap(), "/etc/hostname");
    }

    #[test]
    fn limits_and_kinds_are_held() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ten"), "0123456789").unwrap();
        let fifo = std::ffi::CString::new(dir.path().join("fifo").to_str().unwrap()).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, fifo.as_c_str(), rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let host = Host::rooted(dir.path()).unwrap();
        assert_eq!(host.read("/ten", 10).unwrap().len(), 10);
        assert_eq!(host.read("/ten", 9), Err(ReadError::TooLarge("/ten".into(), 9)));
        assert_eq!(host.read("/fifo", 9), Err(ReadError::NotRegular("/fifo".into())));
        assert_eq!(host.read("/", 9), Err(ReadError::NotRegular("/".into())));
        let names: Vec<String> = host.list("/").unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["fifo", "ten"]);
    }
}
