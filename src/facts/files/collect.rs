//! What is kept of each entry that the walk passes. Lists are bounded; what did not fit is counted.

use super::mounts::MountTable;
use super::names::Names;
use super::{Capable, DeviceNode, Files, ForeignProgram, PrivateKey, SetId, Unowned, WorldWritable, capability, keys, known};
use crate::facts::Document as _;
use crate::host::ReadError;
use crate::host::walk::{Kind, Meta, Seen};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

/// Most items of each list.
pub(super) const LIST_LIMIT: usize = 2000;
/// Most set-ID programs and most programs with capabilities kept of images and snapshots: nothing is judged by them.
const STORE_LIMIT: usize = 500;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const ANY_EXECUTE: u32 = 0o111;
const GROUP_EXECUTE: u32 = 0o010;
const GROUP_WRITE: u32 = 0o020;
const OTHER_WRITE: u32 = 0o002;
const OTHER_READ: u32 = 0o004;

/// Where container engines, snapshots and images keep other machines' files.
const STORES: [&str; 13] = [
    "/var/lib/docker/",
    "/var/lib/containers/",
    "/var/lib/containerd/",
    "/var/lib/rancher/",
    "/var/lib/kubelet/",
    "/var/lib/lxc/",
    "/var/lib/lxd/",
    "/var/lib/incus/",
    "/var/lib/machines/",
    "/var/lib/flatpak/",
    "/var/snap/",
    "/snap/",
    "/.snapshots/",
];
/// The same below a home folder.
const HOME_STORES: [&str; 2] = ["/.local/share/containers/", "/.local/share/docker/"];
/// Places where users may write.
const USER_PLACES: [&str; 5] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/home/", "/run/user/"];
/// Places where what everybody may write is meant to be.
const TEMPORARY: [&str; 5] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/lock/", "/run/user/"];
/// Folders of installed programs and libraries; what the machine's owner adds lies in the last two.
const PROGRAMS: [&str; 13] = [
    "/bin/",
    "/sbin/",
    "/lib/",
    "/lib32/",
    "/lib64/",
    "/usr/bin/",
    "/usr/sbin/",
    "/usr/lib/",
    "/usr/lib64/",
    "/usr/libexec/",
    "/boot/",
    "/usr/local/bin/",
    "/usr/local/sbin/",
];
/// Numbers of ordinary accounts (login.defs(5)) and groups.
const ORDINARY: std::ops::RangeInclusive<u32> = 1000..=60_000;
/// Devices that chroots need: character devices by major and minor number (admin-guide/devices.txt of Linux).
const HARMLESS: [(u32, u32); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];

/// Fills the lists along the walk.
pub(super) struct Collector<'a> {
    table: &'a MountTable,
    names: &'a Names,
    files: Files,
    /// Number of the folder that the next two belong to.
    folder: u64,
    in_store: bool,
    in_key_place: bool,
    in_programs: bool,
    /// Items that did not fit, by list.
    left_out: [u64; 7],
    unread_capabilities: Option<ReadError>,
}

const LISTS: [&str; 7] = ["setuid", "capabilities", "world_writable", "unowned", "devices", "private_keys", "foreign_programs"];

impl<'a> Collector<'a> {
    pub(super) fn new(table: &'a MountTable, names: &'a Names) -> Self {
        let files = Files {
            setuid: Vec::new(),
            capabilities: Vec::new(),
            world_writable: Vec::new(),
            unowned: Vec::new(),
            foreign_programs: Vec::new(),
            devices: Vec::new(),
            private_keys: Vec::new(),
            mounts: Vec::new(),
            skipped: Vec::new(),
            entries: 0,
        };
        Self { table, names, files, folder: 0, in_store: false, in_key_place: false, in_programs: false, left_out: [0; 7], unread_capabilities: None }
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        if seen.folder != self.folder {
            self.folder = seen.folder;
            let path = format!("{}/", String::from_utf8_lossy(seen.folder_path));
            self.in_store = is_in_store(&path);
            self.in_programs = !self.in_store && PROGRAMS.iter().any(|p| path.starts_with(p));
            self.in_key_place = !self.in_store && keys::is_in_place(&path);
        }
        let mode = seen.meta.mode;
        match seen.meta.kind {
            Kind::File => {
                if mode & (SETUID | SETGID) != 0 && mode & ANY_EXECUTE != 0 {
                    self.set_id(seen);
                }
                if mode & ANY_EXECUTE != 0 {
                    self.capable(seen);
                }
                if self.in_key_place && keys::may_hold_a_key(seen.name(), seen.folder_path, mode & (OTHER_READ | OTHER_WRITE) != 0, seen.meta.size) {
                    self.private_key(seen);
                }
            }
            Kind::Block | Kind::Character => self.device(seen),
            Kind::Folder => {}
        }
        let writable = mode & OTHER_WRITE != 0 && matches!(seen.meta.kind, Kind::File | Kind::Folder);
        if writable && !self.in_store {
            self.world_writable(seen);
        }
        if !self.in_store {
            self.unowned(seen);
            self.foreign_program(seen);
        }
    }

    /// The document, its lists sorted; what did not fit is a gap.
    pub(super) fn finish(self, gaps: &mut Gaps) -> Files {
        let mut files = self.files;
        files.setuid.sort_by(|a, b| a.subject.cmp(&b.subject));
        files.capabilities.sort_by(|a, b| a.subject.cmp(&b.subject));
        files.world_writable.sort_by(|a, b| a.subject.cmp(&b.subject));
        files.unowned.sort_by(|a, b| a.subject.cmp(&b.subject));
        files.foreign_programs.sort_by(|a, b| a.subject.cmp(&b.subject));
        files.devices.sort_by(|a, b| a.subject.cmp(&b.subject));
        files.private_keys.sort_by(|a, b| a.subject.cmp(&b.subject));
        for (list, count) in LISTS.iter().zip(self.left_out).filter(|(_, count)| *count > 0) {
            let detail = format!("{count} more items of {list} than the limit of {LIST_LIMIT}");
            gaps.note(Files::NAME, list, "", reason::LIMIT_REACHED, detail, "Mend those listed and scan again.");
        }
        if let Some(e) = self.unread_capabilities {
            gaps.add(Gap { subject: "files whose capabilities could not be read".into(), ..e.to_gap(Files::NAME, "capabilities", "") });
        }
        files
    }

    fn set_id(&mut self, seen: &Seen<'_>) {
        let Meta { mode, uid, gid, .. } = seen.meta;
        // Without group execution the set-group-ID bit gives nothing (inode(7)).
        let (setuid, setgid) = (mode & SETUID != 0, mode & SETGID != 0 && mode & GROUP_EXECUTE != 0);
        if !setuid && !setgid || !self.fits(0, self.files.setuid.len(), self.files.setuid.iter().filter(|i| i.inside_container_store).count()) {
            return;
        }
        let path = seen.path();
        self.files.setuid.push(SetId {
            owner: self.names.user(uid),
            uid,
            group: self.names.group(gid),
            gid,
            mode: octal(mode),
            setuid,
            setgid,
            writable_by_others: mode & OTHER_WRITE != 0 || mode & GROUP_WRITE != 0 && gid != 0,
            listed: (!setuid || known::has_bit(&path, "setuid")) && (!setgid || known::has_bit(&path, "setgid")),
            package: String::new(),
            user_writable_place: USER_PLACES.iter().any(|p| path.starts_with(p)) || seen.parent.mode & OTHER_WRITE != 0,
            copy_of: String::new(),
            nosuid: self.table.has(&path, "nosuid"),
            inside_container_store: self.in_store,
            source: Source::whole(&path),
            subject: path,
        });
    }

    fn capable(&mut self, seen: &Seen<'_>) {
        let bytes = match seen.capability() {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(e) => {
                self.unread_capabilities.get_or_insert(e);
                return;
            }
        };
        let Some(found) = capability::parse(&bytes) else {
            let error = ReadError::Io(seen.path(), "its capabilities are not in a known format".into());
            self.unread_capabilities.get_or_insert(error);
            return;
        };
        if !self.fits(1, self.files.capabilities.len(), self.files.capabilities.iter().filter(|i| i.inside_container_store).count()) {
            return;
        }
        let path = seen.path();
        self.files.capabilities.push(Capable {
            listed: known::has_capabilities(&path, &found.permitted),
            permitted: found.permitted,
            inheritable: found.inheritable,
            effective: found.effective,
            root_uid: found.root_uid,
            owner: self.names.user(seen.meta.uid),
            mode: octal(seen.meta.mode),
            package: String::new(),
            nosuid: self.table.has(&path, "nosuid"),
            inside_container_store: self.in_store,
            source: Source::whole(&path),
            subject: path,
        });
    }

    fn world_writable(&mut self, seen: &Seen<'_>) {
        let path = seen.path();
        let in_temporary_place = TEMPORARY.iter().any(|p| path.starts_with(p));
        // What nobody reaches or what is thrown away must not crowd out what matters.
        if in_temporary_place && self.files.world_writable.len() >= LIST_LIMIT / 2 || !self.fits(2, self.files.world_writable.len(), 0) {
            return;
        }
        self.files.world_writable.push(WorldWritable {
            kind: word(seen.meta.kind).into(),
            owner: self.names.user(seen.meta.uid),
            mode: octal(seen.meta.mode),
            sticky: seen.meta.kind == Kind::Folder && seen.meta.mode & STICKY != 0,
            reachable: seen.reachable,
            in_temporary_place,
            inside_container_store: self.in_store,
            package: String::new(),
            source: Source::whole(&path),
            subject: path,
        });
    }

    fn unowned(&mut self, seen: &Seen<'_>) {
        let Meta { uid, gid, .. } = seen.meta;
        let (without_user, without_group) = (self.names.without_user(uid), self.names.without_group(gid));
        let told_above = !seen.folder_path.is_empty() && (seen.parent.uid, seen.parent.gid) == (uid, gid);
        if !without_user && !without_group || told_above || !self.fits(3, self.files.unowned.len(), 0) {
            return;
        }
        let path = seen.path();
        self.files.unowned.push(Unowned {
            kind: word(seen.meta.kind).into(),
            uid,
            gid,
            without_user,
            without_group,
            source: Source::whole(&path),
            subject: path,
        });
    }

    fn foreign_program(&mut self, seen: &Seen<'_>) {
        let Meta { mode, uid, gid, kind, .. } = seen.meta;
        let ordinary_owner = ORDINARY.contains(&uid) || uid != 0 && self.names.without_user(uid);
        let group_writable = mode & GROUP_WRITE != 0 && gid != 0;
        if !ordinary_owner && !group_writable || !matches!(kind, Kind::File | Kind::Folder) {
            return;
        }
        // The folders themselves lie one level above.
        if !self.in_programs && !PROGRAMS.contains(&format!("{}/", seen.path()).as_str()) {
            return;
        }
        let group = self.names.group(gid);
        // Debian gave /usr/local to the group staff until release 10.
        let group_writable = group_writable && group != "staff";
        let told_above = self.in_programs && (seen.parent.uid, seen.parent.gid, seen.parent.mode & GROUP_WRITE) == (uid, gid, mode & GROUP_WRITE);
        if !ordinary_owner && !group_writable || told_above || !self.fits(6, self.files.foreign_programs.len(), 0) {
            return;
        }
        let path = seen.path();
        self.files.foreign_programs.push(ForeignProgram {
            kind: word(kind).into(),
            owner: self.names.user(uid),
            ordinary_owner,
            group,
            group_writable,
            mode: octal(mode),
            source: Source::whole(&path),
            subject: path,
        });
    }

    fn device(&mut self, seen: &Seen<'_>) {
        let special = seen.meta.special;
        // Character device 0:0 marks a deleted file in an overlay (overlayfs.rst of Linux).
        let whiteout = seen.meta.kind == Kind::Character && special == (0, 0);
        if seen.folder_path == b"/dev" || seen.folder_path.starts_with(b"/dev/") || whiteout || self.in_store || !self.fits(4, self.files.devices.len(), 0) {
            return;
        }
        let path = seen.path();
        self.files.devices.push(DeviceNode {
            kind: if seen.meta.kind == Kind::Block { "block" } else { "character" }.into(),
            major: special.0,
            minor: special.1,
            harmless: seen.meta.kind == Kind::Character && HARMLESS.contains(&special),
            owner: self.names.user(seen.meta.uid),
            mode: octal(seen.meta.mode),
            nodev: self.table.has(&path, "nodev"),
            source: Source::whole(&path),
            subject: path,
        });
    }

    fn private_key(&mut self, seen: &Seen<'_>) {
        let Meta { mode, uid, gid, .. } = seen.meta;
        let encrypted = match seen.head(keys::HEAD) {
            Ok(bytes) => match keys::private_key(&bytes) {
                Some(encrypted) => encrypted,
                None => return,
            },
            // What even the scan may not read, others may not either.
            Err(_) => return,
        };
        if !self.fits(5, self.files.private_keys.len(), 0) {
            return;
        }
        let path = seen.path();
        self.files.private_keys.push(PrivateKey {
            owner: self.names.user(uid),
            group: self.names.group(gid),
            mode: octal(mode),
            readable_by_all: seen.reachable && mode & OTHER_READ != 0,
            writable_by_all: seen.reachable && mode & OTHER_WRITE != 0,
            encrypted,
            package: String::new(),
            source: Source::whole(&path),
            subject: path,
        });
    }

    /// Whether one more fits into a list, of whose items `stored` lie in images and snapshots.
    fn fits(&mut self, list: usize, length: usize, stored: usize) -> bool {
        if self.in_store {
            return stored < STORE_LIMIT;
        }
        if length - stored < LIST_LIMIT {
            return true;
        }
        if let Some(count) = self.left_out.get_mut(list) {
            *count += 1;
        }
        false
    }
}

fn is_in_store(folder: &str) -> bool {
    STORES.iter().any(|s| folder.starts_with(s)) || HOME_STORES.iter().any(|s| folder.contains(s))
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Folder => "folder",
        Kind::Block | Kind::Character => "device",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores() {
        for path in ["/var/lib/docker/overlay2/a/diff/usr/bin/", "/home/a/.local/share/containers/storage/", "/snap/core/1/bin/"] {
            assert!(is_in_store(path), "{path}");
        }
        for path in ["/var/lib/", "/var/lib/dockerx/", "/usr/bin/", "/home/a/"] {
            assert!(!is_in_store(path), "{path}");
        }
    }
}
