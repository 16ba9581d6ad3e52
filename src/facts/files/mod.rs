//! What one walk over the file system shows: programs that change who runs them, what everybody
//! may write, what nobody owns, private keys that others may read.

mod capability;
mod collect;
mod keys;
mod known;
mod mounts;
mod names;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::debian::owners;
use crate::host::walk::{self, Bounds};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};
use crate::model::report::Cadence;
use collect::Collector;
use mounts::MountTable;
use names::Names;

/// Files whose place, owner or mode matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Executable files with the set-user-ID or set-group-ID bit, by subject.
    pub setuid: Vec<SetId>,
    /// Executable files with file capabilities, by subject.
    pub capabilities: Vec<Capable>,
    /// Regular files and folders that everybody may write, by subject.
    pub world_writable: Vec<WorldWritable>,
    /// Files and folders whose owner or group is no account or group; what lies below one with the same owner and group is left out.
    pub unowned: Vec<Unowned>,
    /// Installed programs, libraries and their folders that an ordinary account owns or a group may write, by subject; what lies below one with the same owner and group is left out.
    #[serde(default)]
    pub foreign_programs: Vec<ForeignProgram>,
    /// Device nodes outside `/dev`, by subject.
    pub devices: Vec<DeviceNode>,
    /// Files with a private key, by subject: outside the folders of installed programs, none of a program's own tests.
    pub private_keys: Vec<PrivateKey>,
    /// Mounts of `/tmp`, `/var/tmp`, `/dev/shm` and `/home` that are mounts of their own, by subject.
    pub mounts: Vec<MountPoint>,
    /// Mount points whose files were not looked at: network, FUSE and kernel file systems, images, second mounts.
    pub skipped: Vec<Skipped>,
    /// Entries looked at.
    #[schemars(extend("x-volatile" = true))]
    pub entries: u64,
}

impl Document for Files {
    const NAME: &'static str = "files";
    const TITLE: &'static str = "Files by a walk over local file systems: set-ID programs, capabilities, loose modes, owners, private keys";
    const CADENCE: Cadence = Cadence::Monthly;
}

/// A program that runs with its owner's or group's rights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetId {
    /// Path.
    pub subject: String,
    /// Name of the owner, or `#` and its number.
    pub owner: String,
    /// Number of the owner.
    pub uid: u32,
    /// Name of the group, or `#` and its number.
    pub group: String,
    /// Number of the group.
    pub gid: u32,
    /// Permission bits, octal, such as `4755`.
    pub mode: String,
    /// Whether it runs as its owner.
    pub setuid: bool,
    /// Whether it runs with its group.
    pub setgid: bool,
    /// Whether its group (other than root) or everybody may write it.
    pub writable_by_others: bool,
    /// Whether distributions ship a program at this path with these bits (`rules/data/setuid-programs.csv`).
    pub listed: bool,
    /// Package that owns the path by dpkg's lists; empty: none does, or there is no dpkg.
    pub package: String,
    /// Whether it lies where users may write: below `/tmp`, `/var/tmp`, `/dev/shm`, `/home`, `/run/user`, or in a folder that everybody may write.
    pub user_writable_place: bool,
    /// A shell or interpreter of this machine with the same content; empty: none.
    pub copy_of: String,
    /// Whether its mount ignores the bits.
    pub nosuid: bool,
    /// Whether it is part of a container image or snapshot, such as below `/var/lib/docker`.
    pub inside_container_store: bool,
    /// The file.
    pub source: Source,
}

/// A program that gets rights of root by file capabilities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capable {
    /// Path.
    pub subject: String,
    /// Capabilities that it gets, such as `cap_net_raw`, sorted by number.
    pub permitted: Vec<String>,
    /// Capabilities that it keeps if its caller passes them on.
    pub inheritable: Vec<String>,
    /// Whether they are in force from the start.
    pub effective: bool,
    /// User that is root in the user namespace for which they hold; 0: the machine's own root.
    pub root_uid: u32,
    /// Name of the owner, or `#` and its number.
    pub owner: String,
    /// Permission bits, octal.
    pub mode: String,
    /// Whether distributions ship a program at this path with at least these capabilities.
    pub listed: bool,
    /// Package that owns the path by dpkg's lists; empty: none does, or there is no dpkg.
    pub package: String,
    /// Whether its mount ignores them.
    pub nosuid: bool,
    /// Whether it is part of a container image or snapshot.
    pub inside_container_store: bool,
    /// The file.
    pub source: Source,
}

/// Something that everybody may write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorldWritable {
    /// Path.
    pub subject: String,
    /// `file` or `folder`.
    pub kind: String,
    /// Name of the owner, or `#` and its number.
    pub owner: String,
    /// Permission bits, octal.
    pub mode: String,
    /// Whether it is a folder with the sticky bit, in which only owners remove and rename.
    pub sticky: bool,
    /// Whether every folder above lets everybody through.
    pub reachable: bool,
    /// Whether it lies below a folder made for everybody: `/tmp`, `/var/tmp`, `/dev/shm`, `/run/lock`, `/run/user`.
    pub in_temporary_place: bool,
    /// Whether it is part of a container image or snapshot.
    pub inside_container_store: bool,
    /// Package that owns the path by dpkg's lists; empty: none does, or there is no dpkg.
    pub package: String,
    /// The file.
    pub source: Source,
}

/// Something without an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unowned {
    /// Path.
    pub subject: String,
    /// `file`, `folder` or `device`.
    pub kind: String,
    /// Number of the owner.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Whether no account has the owner's number.
    pub without_user: bool,
    /// Whether no group has the group's number.
    pub without_group: bool,
    /// The file.
    pub source: Source,
}

/// Something of the installed programs that others than system accounts may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignProgram {
    /// Path.
    pub subject: String,
    /// `file` or `folder`.
    pub kind: String,
    /// Name of the owner, or `#` and its number.
    pub owner: String,
    /// Whether the owner is an ordinary account or none, not a system account.
    pub ordinary_owner: bool,
    /// Name of the group, or `#` and its number.
    pub group: String,
    /// Whether its group, other than root and staff, may write it.
    pub group_writable: bool,
    /// Permission bits, octal.
    pub mode: String,
    /// The file.
    pub source: Source,
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceNode {
    /// Path.
    pub subject: String,
    /// `block` or `character`.
    pub kind: String,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Whether it is one that chroots need and that gives nothing away: null, zero, full, random, urandom, tty, console, ptmx.
    pub harmless: bool,
    /// Name of the owner, or `#` and its number.
    pub owner: String,
    /// Permission bits, octal.
    pub mode: String,
    /// Whether its mount ignores it.
    pub nodev: bool,
    /// The node.
    pub source: Source,
}

/// A file with a private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrivateKey {
    /// Path.
    pub subject: String,
    /// Name of the owner, or `#` and its number.
    pub owner: String,
    /// Name of the group, or `#` and its number.
    pub group: String,
    /// Permission bits, octal.
    pub mode: String,
    /// Whether everybody may read it: its mode says so and every folder above lets everybody through.
    pub readable_by_all: bool,
    /// Whether everybody may write it.
    pub writable_by_all: bool,
    /// Whether the key is kept under a passphrase.
    pub encrypted: bool,
    /// Package that owns the path by dpkg's lists; a key that a package ships is no secret. Empty: none does, or there is no dpkg.
    pub package: String,
    /// The file.
    pub source: Source,
}

/// A mount that users may write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MountPoint {
    /// Mount point.
    pub subject: String,
    /// Type of the file system.
    pub file_system: String,
    /// Whether set-ID bits and capabilities are ignored.
    pub nosuid: bool,
    /// Whether device nodes are ignored.
    pub nodev: bool,
    /// Whether programs can't be run from it.
    pub noexec: bool,
    /// Line of the kernel's table or of fstab.
    pub source: Source,
}

/// A mount that was not entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Mount point.
    pub subject: String,
    /// Why, in a few words.
    pub why: String,
    /// The mount point.
    pub source: Source,
}

impl HostFamily for Files {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        gather_within(host, gaps, Bounds::default())
    }
}

fn gather_within(host: &Host, gaps: &mut Gaps, bounds: Bounds) -> Option<Files> {
    let table = MountTable::read(host, gaps);
    let names = Names::read(host, gaps);
    let mut collector = Collector::new(&table, &names);
    let outcome = match walk::walk(host, &table.points(), bounds, &mut |seen| collector.see(seen)) {
        Ok(outcome) => outcome,
        Err(e) => {
            gaps.add(e.to_gap(Files::NAME, "", ""));
            return None;
        }
    };
    let mut files = collector.finish(gaps);
    files.skipped = outcome.skipped.iter().map(|(path, why)| Skipped { subject: path.clone(), why: (*why).into(), source: Source::whole(path) }).collect();
    files.skipped.sort_by(|a, b| a.subject.cmp(&b.subject));
    files.entries = outcome.entries;
    files.mounts = table.shared_places();
    note_outcome(gaps, &outcome);
    tell_packages(host, &mut files, gaps);
    tell_copies(host, &mut files);
    Some(files)
}

/// The lists that come from the walk: all of them miss what it did not see.
const WALKED: [&str; 7] = ["setuid", "capabilities", "world_writable", "unowned", "foreign_programs", "devices", "private_keys"];

/// Folders named in one gap.
const NAMED_UNREAD: usize = 5;

fn note_outcome(gaps: &mut Gaps, outcome: &walk::Outcome) {
    let everywhere = |gaps: &mut Gaps, gap: Gap| WALKED.iter().for_each(|path| gaps.add(Gap { path: (*path).into(), ..gap.clone() }));
    let limit = |subject: &str, detail: String, remedy: &str| Gap {
        family: Files::NAME.into(),
        path: String::new(),
        subject: subject.into(),
        reason: reason::LIMIT_REACHED.into(),
        detail,
        remedy: remedy.into(),
    };
    if !outcome.tells_capabilities {
        let detail = "/proc is not mounted where the scan runs: file capabilities can't be read";
        gaps.note(Files::NAME, "capabilities", "", reason::READ_FAILED, detail, "Mount /proc.");
    }
    if let Some(bound) = outcome.cut {
        let detail = format!("the walk over the file system ended after {} entries: limit on {bound}", outcome.entries);
        everywhere(gaps, limit("", detail, "Look for a runaway folder of files."));
    }
    let mut unread: BTreeMap<String, Vec<Gap>> = BTreeMap::new();
    for error in &outcome.unread {
        let gap = error.to_gap(Files::NAME, "", "");
        unread.entry(gap.reason.clone()).or_default().push(gap);
    }
    for (id, found) in unread {
        let Some(first) = found.first().cloned() else { continue };
        let more = found.len() as u64 - 1 + if id == reason::PERMISSION_DENIED { outcome.unread_more } else { 0 };
        let others: Vec<&str> = found.iter().skip(1).take(NAMED_UNREAD).filter_map(|g| g.detail.split(": ").next()).collect();
        let detail = if more == 0 { first.detail.clone() } else { format!("{}; {more} more, such as {}", first.detail, others.join(", ")) };
        everywhere(gaps, Gap { subject: format!("folders not read: {id}"), detail, ..first });
    }
    if let Some(path) = outcome.deep.first() {
        let more = outcome.deep.len() as u64 - 1 + outcome.deep_more;
        let others = if more == 0 { String::new() } else { format!("; {more} more") };
        let detail = format!("{path}: folders are nested deeper than the walk goes{others}");
        everywhere(gaps, limit("folders nested too deeply", detail, "Remove the folders if nobody needs them."));
    }
}

fn tell_packages(host: &Host, files: &mut Files, gaps: &mut Gaps) {
    let mut paths: BTreeSet<String> = BTreeSet::new();
    paths.extend(files.setuid.iter().filter(|i| !i.inside_container_store).map(|i| i.subject.clone()));
    paths.extend(files.capabilities.iter().filter(|i| !i.inside_container_store).map(|i| i.subject.clone()));
    paths.extend(files.world_writable.iter().filter(|i| i.reachable).map(|i| i.subject.clone()));
    paths.extend(files.private_keys.iter().map(|i| i.subject.clone()));
    let owners = match owners::owners(host, &paths) {
        Ok(owners) => owners,
        Err(e) => {
            for list in ["setuid", "capabilities", "world_writable", "private_keys"] {
                gaps.add(e.to_gap(Files::NAME, &format!("{list}.package"), ""));
            }
            return;
        }
    };
    let of = |path: &str| owners.get(path).cloned().unwrap_or_default();
    files.setuid.iter_mut().for_each(|i| i.package = of(&i.subject));
    files.capabilities.iter_mut().for_each(|i| i.package = of(&i.subject));
    files.world_writable.iter_mut().for_each(|i| i.package = of(&i.subject));
    files.private_keys.iter_mut().for_each(|i| i.package = of(&i.subject));
}

/// Programs that give a shell to whoever runs them with another's rights.
const SHELLS: &[&str] = &[
    "/bin/bash",
    "/bin/dash",
    "/bin/sh",
    "/bin/busybox",
    "/bin/zsh",
    "/usr/bin/bash",
    "/usr/bin/dash",
    "/usr/bin/zsh",
    "/usr/bin/ksh",
    "/usr/bin/fish",
    "/usr/bin/busybox",
    "/usr/bin/env",
    "/usr/bin/find",
    "/usr/bin/perl",
    "/usr/bin/python3",
    "/usr/bin/vim.basic",
    "/usr/bin/vim.tiny",
];
/// Largest program that is compared, bytes.
const COPY_LIMIT: usize = 16 << 20;
/// Most programs that are compared.
const COPIES: usize = 32;

fn tell_copies(host: &Host, files: &mut Files) {
    let shells: Vec<(&str, u64)> = SHELLS.iter().filter_map(|p| host.stat(p).ok().filter(|s| s.size > 0).map(|s| (*p, s.size))).collect();
    let candidates = files.setuid.iter_mut().filter(|i| !i.inside_container_store);
    let mut compared = 0;
    for item in candidates {
        let Ok(own) = host.stat_link(&item.subject) else { continue };
        let mut alike = shells.iter().filter(|(path, size)| *size == own.size && *path != item.subject).peekable();
        if alike.peek().is_none() {
            continue;
        }
        compared += 1;
        if compared > COPIES {
            return;
        }
        let Ok(content) = host.read(&item.subject, COPY_LIMIT) else { continue };
        let same = alike.find(|(path, _)| {
            let itself = host.stat(path).is_ok_and(|s| (s.device, s.inode) == (own.device, own.inode));
            !itself && host.read(path, COPY_LIMIT).is_ok_and(|c| c == content)
        });
        item.copy_of = same.map(|(path, _)| (*path).to_string()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    fn root(files: &[(&str, &str, u32)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text, mode) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
        }
        root
    }

    #[test]
    fn a_walk_that_ends_early_spoils_every_list() {
        let root = root(&[("etc/passwd", "", 0o644), ("etc/group", "", 0o644), ("a/b", "", 0o644), ("a/c", "", 0o644)]);
        let mut gaps = Gaps::new();
        let bounds = Bounds { entries: 2, time: Duration::from_secs(60), depth: 9 };
        gather_within(&Host::rooted(root.path()).unwrap(), &mut gaps, bounds).unwrap();
        let gaps = gaps.into_sorted();
        for path in WALKED {
            assert!(gaps.iter().any(|g| g.path == path && g.reason == reason::LIMIT_REACHED && g.subject.is_empty()), "{path}: {gaps:?}");
        }
    }

    #[test]
    fn folders_that_are_not_read_are_one_gap_of_a_list() {
        let unread = (0..60).map(|i| crate::host::ReadError::Denied(format!("/a{i}"))).collect();
        let outcome = walk::Outcome { unread, unread_more: 7, tells_capabilities: true, ..walk::Outcome::default() };
        let mut gaps = Gaps::new();
        note_outcome(&mut gaps, &outcome);
        let gaps = gaps.into_sorted();
        assert_eq!(gaps.len(), WALKED.len());
        assert!(gaps.iter().all(|g| g.subject == "folders not read: permission-denied"), "{gaps:?}");
        assert_eq!(gaps[0].detail, "/a0: permission denied; 66 more, such as /a1, /a2, /a3, /a4, /a5");
    }

    #[test]
    fn copies_of_shells_are_known_by_their_content() {
        let root = root(&[("bin/bash", "#!shell", 0o755), ("opt/.x", "#!shell", 0o4755), ("opt/y", "#!other", 0o4755), ("opt/no", "#!shell", 0o4644)]);
        let files = Files::gather(&Host::rooted(root.path()).unwrap(), &mut Gaps::new()).unwrap();
        let shown: Vec<(&str, &str)> = files.setuid.iter().map(|i| (i.subject.as_str(), i.copy_of.as_str())).collect();
        assert_eq!(shown, [("/opt/.x", "/bin/bash"), ("/opt/y", "")]);
    }
}
