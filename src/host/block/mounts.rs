//! The kernel's tables of mounts and swap areas (proc_pid_mountinfo(5), proc_swaps(5)).

use std::collections::{HashMap, HashSet};

use super::network;
use crate::host::{Host, ReadError};

/// Largest table, bytes: a host of a thousand containers has 2 MiB.
const TABLE_LIMIT: usize = 16 << 20;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Number of the mount.
    pub id: u64,
    /// Number of the mount that it stands on.
    pub parent: u64,
    /// `MAJOR:MINOR` of the file system; major 0: not backed by one device.
    pub device: String,
    /// Folder of the file system that is mounted; `/` unless it is a bind mount or subvolume.
    pub root: String,
    /// Where.
    pub point: String,
    /// Type.
    pub file_system: String,
    /// Device or remote as mounted.
    pub source: String,
    /// Options of the file system.
    pub options: String,
    /// Options of this mount point, such as `rw,nosuid,nodev`.
    pub flags: String,
    /// Line of the table, from 1.
    pub line: usize,
}

/// A table of mounts, later ones over earlier ones, and where it was read.
#[derive(Debug)]
pub struct Mounts {
    /// In the order of the table.
    pub items: Vec<Mount>,
    /// Path of the table.
    pub place: String,
    /// Why the table of process 1 was not read, when it was not.
    pub own_view: Option<ReadError>,
    /// Lines of mounts that a later mount over a folder above them hides.
    hidden: HashSet<usize>,
}

impl Mounts {
    /// Mounts as process 1 sees them; its own view when that can't be read.
    pub fn read(host: &Host) -> Result<Self, ReadError> {
        let first = "/proc/1/mountinfo";
        match host.read_text(first, TABLE_LIMIT) {
            Ok(text) => Self::parse(&text, first, None),
            Err(e) => {
                let place = "/proc/self/mountinfo";
                Self::parse(&host.read_text(place, TABLE_LIMIT)?, place, Some(e))
            }
        }
    }

    fn parse(text: &str, place: &str, own_view: Option<ReadError>) -> Result<Self, ReadError> {
        let mut items = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let mount = parse_line(line, i + 1).ok_or_else(|| ReadError::Io(place.into(), format!("line {} is not a mount", i + 1)))?;
            items.push(mount);
        }
        let hidden = hidden(&items);
        Ok(Self { items, place: place.into(), own_view, hidden })
    }

    /// Whether a mount at this very point is one that could block a reader.
    pub fn is_remote(&self, point: &str) -> bool {
        self.items
            .iter()
            .rev()
            .find(|m| m.point == point)
            .is_some_and(|m| network::is_remote(&m.file_system) || m.file_system.starts_with("fuse") || m.file_system == "autofs")
    }

    /// Visible mounts below a folder.
    pub fn below<'s>(&'s self, folder: &'s str) -> impl Iterator<Item = &'s Mount> {
        let inside = move |m: &&Mount| m.point.strip_prefix(folder.trim_end_matches('/')).is_some_and(|r| r.len() > 1 && r.starts_with('/'));
        self.items.iter().filter(|m| !self.hidden.contains(&m.line)).filter(inside)
    }

    /// The mount that a path lies on: the longest mount point, the last one mounted there.
    pub fn of_path(&self, path: &str) -> Option<&Mount> {
        let covers = |point: &str| point == "/" || path == point || path.strip_prefix(point).is_some_and(|r| r.starts_with('/'));
        // max_by_key keeps the last of equals.
        self.items.iter().filter(|m| covers(&m.point) && !self.hidden.contains(&m.line)).max_by_key(|m| m.point.len())
    }
}

/// A mount is hidden when its parent also carries a mount over a folder above it (that one came
/// later, else it would be the parent), or when its parent is hidden.
fn hidden(items: &[Mount]) -> HashSet<usize> {
    /// Longest way up that is followed.
    const PARENTS: usize = 64;
    let places: HashSet<(u64, &str)> = items.iter().map(|m| (m.parent, m.point.as_str())).collect();
    let by_id: HashMap<u64, &Mount> = items.iter().map(|m| (m.id, m)).collect();
    let covered = |mount: &Mount| {
        let floor = by_id.get(&mount.parent).map_or("/", |m| m.point.as_str());
        let mut above = mount.point.as_str();
        while above.len() > 1 && above != floor {
            let end = above.rfind('/').unwrap_or(0).max(1);
            above = above.get(..end).unwrap_or("/");
            if above != floor && places.contains(&(mount.parent, above)) {
                return true;
            }
        }
        // Over the root of the parent itself.
        mount.point != floor && by_id.contains_key(&mount.parent) && places.contains(&(mount.parent, floor))
    };
    let direct: HashSet<u64> = items.iter().filter(|m| covered(m)).map(|m| m.id).collect();
    let is_hidden = |mount: &&Mount| {
        let mut at = *mount;
        for _ in 0..PARENTS {
            if direct.contains(&at.id) {
                return true;
            }
            match by_id.get(&at.parent) {
                Some(parent) if parent.id != at.id => at = parent,
                _ => return false,
            }
        }
        false
    };
    items.iter().filter(is_hidden).map(|m| m.line).collect()
}

fn parse_line(line: &str, number: usize) -> Option<Mount> {
    let (head, tail) = line.split_once(" - ")?;
    let mut head = head.split(' ');
    let (id, parent) = (head.next()?.parse().ok()?, head.next()?.parse().ok()?);
    let (device, root, point) = (head.next()?, head.next()?, head.next()?);
    let flags = head.next().unwrap_or_default();
    let mut tail = tail.split(' ');
    let (file_system, source, options) = (tail.next()?, tail.next().unwrap_or_default(), tail.next().unwrap_or_default());
    Some(Mount {
        id,
        parent,
        device: device.into(),
        root: unescape(root),
        point: unescape(point),
        file_system: file_system.into(),
        source: unescape(source),
        options: unescape(options),
        flags: flags.into(),
        line: number,
    })
}

/// One swap area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Device or file.
    pub path: String,
    /// Whether it is a file.
    pub is_file: bool,
    /// Line of the table.
    pub line: usize,
}

/// The table of swap areas.
pub const SWAPS: &str = "/proc/swaps";

/// Active swap areas; a kernel without swap has none.
pub fn swaps(host: &Host) -> Result<Vec<Swap>, ReadError> {
    let text = match host.read_text(SWAPS, TABLE_LIMIT) {
        Ok(text) => text,
        Err(e) if e.is_not_found() => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        let mut words = line.split_whitespace();
        let (Some(path), Some(kind)) = (words.next(), words.next()) else {
            return Err(ReadError::Io(SWAPS.into(), format!("line {} is not a swap area", i + 1)));
        };
        let path = unescape(path);
        out.push(Swap { path: path.trim_end_matches(" (deleted)").into(), is_file: kind == "file", line: i + 1 });
    }
    Ok(out)
}

/// Octal escapes such as `\040` for a space (also those of fstab(5)).
pub fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((&first, rest)) = bytes.split_first() {
        let code = (first == b'\\').then(|| rest.get(..3)).flatten().and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        match code {
            Some(code) => {
                out.push(code);
                bytes = rest.get(3..).unwrap_or_default();
            }
            None => {
                out.push(first);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_with_optional_fields_and_escapes() {
        let text = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n36 27 0:40 /@home /mnt/a\\040b rw shared:1 master:2 - btrfs /dev/sda2 rw,subvol=/@home\n40 27 8:1 / /mnt rw - xfs /dev/sda1 rw\n41 27 8:2 / /mnt rw - xfs /dev/sdb1 rw\n";
        let mounts = Mounts::parse(text, "/x", None).unwrap();
        assert_eq!((mounts.items[1].point.as_str(), mounts.items[1].root.as_str(), mounts.items[1].file_system.as_str()), ("/mnt/a b", "/@home", "btrfs"));
        assert_eq!(mounts.of_path("/mnt/x").unwrap().source, "/dev/sdb1");
        assert_eq!(mounts.of_path("/mntx").unwrap().point, "/");
        assert!(Mounts::parse("27 1 254:0", "/x", None).is_err());
    }

    #[test]
    fn a_mount_over_a_folder_above_hides() {
        let text = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /srv/db rw - ext4 /dev/b rw\n3 1 8:3 / /srv rw - ext4 /dev/c rw\n4 2 8:4 / /srv/db/wal rw - ext4 /dev/d rw\n\
                    5 3 8:5 / /srv/new rw - ext4 /dev/e rw\n6 1 8:6 / /srvx rw - ext4 /dev/f rw\n";
        let mounts = Mounts::parse(text, "/x", None).unwrap();
        let on = |p: &str| mounts.of_path(p).unwrap().source.clone();
        assert_eq!(
            (on("/srv/db/x"), on("/srv/db/wal/x"), on("/srv/new/x"), on("/srvx/y")),
            ("/dev/c".into(), "/dev/c".into(), "/dev/e".into(), "/dev/f".into())
        );
        let names: Vec<&str> = mounts.below("/srv").map(|m| m.point.as_str()).collect();
        assert_eq!(names, ["/srv/new"]);
    }

    #[test]
    fn escapes_that_are_none_stay() {
        assert_eq!(unescape("a\\134b\\9\\"), "a\\b\\9\\");
    }
}
