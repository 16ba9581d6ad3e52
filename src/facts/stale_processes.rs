//! Processes that still run code which an update has replaced.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::{Host, ReadError, processes, sockets};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Running programs whose file or libraries were replaced or removed since they started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaleProcesses {
    /// One entry for each program, service and user, by subject.
    pub items: Vec<StaleProcess>,
}

/// Processes of one program that run deleted code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaleProcess {
    /// Program, with service and user where that is needed to tell two apart.
    pub subject: String,
    /// Path of the program.
    pub executable: String,
    /// Whether the program itself was replaced or removed.
    pub executable_deleted: bool,
    /// Deleted libraries (executable mappings) that it still uses, sorted.
    pub libraries: Vec<String>,
    /// systemd service, from the control group; empty for sessions and on machines without systemd.
    pub unit: String,
    /// Real user id.
    pub uid: u32,
    /// Whether it runs in a root folder of its own (a container or chroot): the paths are those of that root, and its update is another matter.
    pub own_root: bool,
    /// Process ids.
    #[schemars(extend("x-volatile" = true))]
    pub pids: Vec<u32>,
    /// First deleted file.
    pub source: Source,
}

impl Document for StaleProcesses {
    const NAME: &'static str = "stale_processes";
    const TITLE: &'static str = "Running programs whose code was replaced by an update";
}

/// Programs that a gap names.
const NAMED_LIMIT: usize = 5;

/// What tells entries apart.
type Key = (String, String, u32, bool);

#[derive(Default)]
struct Found {
    executable_deleted: bool,
    libraries: BTreeSet<String>,
    pids: Vec<u32>,
}

impl HostFamily for StaleProcesses {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        if !host.is_live() {
            gaps.note(Self::NAME, "items", "", reason::NEEDS_LIVE_KERNEL, "a root folder runs nothing", "Scan the machine itself.");
            return Some(Self { items: Vec::new() });
        }
        let ids = match processes::ids(host) {
            Ok(ids) => ids,
            Err(e) => {
                gaps.add(e.to_gap(Self::NAME, "items", ""));
                return Some(Self { items: Vec::new() });
            }
        };
        let mut found: BTreeMap<Key, Found> = BTreeMap::new();
        let mut denied = BTreeSet::new();
        for pid in ids {
            match look_at(host, pid, &mut found) {
                Ok(()) => {}
                Err(ReadError::Denied(_)) => {
                    denied.insert(processes::name(host, pid));
                }
                Err(e) => gaps.add(e.to_gap(Self::NAME, "items", "")),
            }
        }
        if !denied.is_empty() {
            let more = denied.len().saturating_sub(NAMED_LIMIT);
            let names = denied.into_iter().take(NAMED_LIMIT).collect::<Vec<_>>().join(", ");
            let detail =
                format!("/proc/PID/maps: permission denied for {names}{}", if more > 0 { format!(" and {more} more programs") } else { String::new() });
            gaps.note(Self::NAME, "items", "", reason::PERMISSION_DENIED, detail, "Run the scan as root or grant CAP_SYS_PTRACE.");
        }
        Some(Self { items: items(found) })
    }
}

fn look_at(host: &Host, pid: u32, found: &mut BTreeMap<Key, Found>) -> Result<(), ReadError> {
    let Some(deleted) = processes::deleted_code(host, pid)?.filter(|d| !d.is_empty()) else {
        return Ok(());
    };
    let (Some((executable, executable_deleted)), Some(uid)) = (processes::executable(host, pid)?, processes::uid(host, pid)) else {
        return Ok(());
    };
    let own_root = !sockets::runs_in_host_root(host, pid);
    let entry = found.entry((executable.clone(), processes::service(host, pid), uid, own_root)).or_default();
    entry.executable_deleted |= executable_deleted && deleted.contains(&executable);
    entry.libraries.extend(deleted.into_iter().filter(|path| *path != executable));
    entry.pids.push(pid);
    Ok(())
}

fn items(found: BTreeMap<Key, Found>) -> Vec<StaleProcess> {
    let mut of_program: BTreeMap<String, usize> = BTreeMap::new();
    for (executable, ..) in found.keys() {
        *of_program.entry(executable.clone()).or_default() += 1;
    }
    let describe = |((executable, unit, uid, own_root), found): (Key, Found)| {
        let alone = of_program.get(&executable) == Some(&1);
        let first = if found.executable_deleted { Some(&executable) } else { found.libraries.first() };
        StaleProcess {
            subject: subject(&executable, &unit, uid, own_root, alone),
            source: Source { place: first.cloned().unwrap_or_default(), line: 0, directive: "deleted, still mapped".into() },
            executable_deleted: found.executable_deleted,
            libraries: found.libraries.into_iter().collect(),
            pids: found.pids,
            executable,
            unit,
            uid,
            own_root,
        }
    };
    let mut out: Vec<StaleProcess> = found.into_iter().map(describe).collect();
    out.sort_by(|a, b| a.subject.cmp(&b.subject));
    out
}

fn subject(executable: &str, unit: &str, uid: u32, own_root: bool, alone: bool) -> String {
    let mut out = executable.to_string();
    if !unit.is_empty() {
        out.push_str(&format!(" ({unit})"));
    }
    if !alone {
        out.push_str(&format!(" of user {uid}"));
    }
    if own_root {
        out.push_str(" in a root of its own");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn process(root: &Path, pid: u32, executable: &str, maps: &str, cgroup: &str) {
        let folder = root.join(format!("proc/{pid}"));
        std::fs::create_dir_all(folder.join("ns")).unwrap();
        std::fs::write(folder.join("maps"), maps).unwrap();
        std::fs::write(folder.join("cgroup"), cgroup).unwrap();
        std::fs::write(folder.join("status"), "Name:\tx\nUid:\t33\t33\t33\t33\n").unwrap();
        symlink(executable, folder.join("exe")).unwrap();
        symlink("/", folder.join("root")).unwrap();
    }

    fn mapped(path: &str) -> String {
        format!("7f1000-7f2000 r-xp 00000000 fe:01 77 {path}\n")
    }

    #[test]
    fn entries_are_grouped_by_program_service_and_user() {
        let root = tempfile::tempdir().unwrap();
        let service = "0::/system.slice/nginx.service\n";
        let stale = mapped("/usr/lib/libssl.so.3 (deleted)");
        process(root.path(), 10, "/usr/sbin/nginx", &stale, service);
        process(root.path(), 11, "/usr/sbin/nginx", &(stale.clone() + &mapped("/usr/lib/libc.so.6 (deleted)")), service);
        process(root.path(), 12, "/usr/sbin/sshd (deleted)", &mapped("/usr/sbin/sshd (deleted)"), "0::/user.slice/user-0.slice/session-3.scope\n");
        process(root.path(), 13, "/usr/bin/fresh", &mapped("/usr/lib/libssl.so.3"), "");
        let mut gaps = Gaps::new();
        let facts = StaleProcesses::gather(&Host::recorded(root.path()).unwrap(), &mut gaps).unwrap();
        let shown: Vec<String> = facts.items.iter().map(|i| format!("{} {:?} {:?} {}", i.subject, i.libraries, i.pids, i.executable_deleted)).collect();
        assert_eq!(shown, ["/usr/sbin/nginx (nginx.service) [\"/usr/lib/libc.so.6\", \"/usr/lib/libssl.so.3\"] [10, 11] false", "/usr/sbin/sshd [] [12] true"]);
        assert_eq!(facts.items[1].source.place, "/usr/sbin/sshd");
        assert_eq!(gaps.into_sorted(), []);
    }

    #[test]
    fn odd_tables_and_root_folders() {
        let root = tempfile::tempdir().unwrap();
        for (pid, maps) in [(1, ""), (2, "\u{0}\u{0}"), (3, " (deleted)\n- x (deleted)\n"), (4, &"-".repeat(4000))] {
            process(root.path(), pid, "/x", maps, "::::");
        }
        let mut gaps = Gaps::new();
        assert_eq!(StaleProcesses::gather(&Host::recorded(root.path()).unwrap(), &mut gaps).unwrap().items, []);
        let mut gaps = Gaps::new();
        StaleProcesses::gather(&Host::rooted(root.path()).unwrap(), &mut gaps);
        assert_eq!(gaps.into_sorted()[0].reason, reason::NEEDS_LIVE_KERNEL);
    }
}
