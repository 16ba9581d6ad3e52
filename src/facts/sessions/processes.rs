//! Processes by the account as which they run, from proc_pid_status(5).

use std::collections::{BTreeMap, BTreeSet};

use super::{Known, Session, Sessions};
use crate::facts::Document as _;
use crate::host::{FileKind, Host, sockets};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Most processes looked at.
const PROCESS_LIMIT: usize = 100_000;
/// Most programs and ids named of one account.
const NAMED_LIMIT: usize = 64;
/// Clock ticks a second that the kernel shows to programs (`USER_HZ`).
const TICKS: u64 = 100;
/// Longest status file.
const STATUS_LIMIT: usize = 64 << 10;

/// The processes of each account, and how many have a root folder of their own.
pub fn gather(known: &Known<'_>, gaps: &mut Gaps) -> (Vec<Session>, u64) {
    let host = known.host;
    let pids = match host.list("/proc") {
        Ok(entries) => entries.iter().filter(|e| e.kind == FileKind::Folder).filter_map(|e| e.name.parse::<u32>().ok()).collect::<BTreeSet<_>>(),
        Err(e) => {
            gaps.add(e.to_gap(Sessions::NAME, "items", "processes"));
            return (Vec::new(), 0);
        }
    };
    if !pids.contains(&1) {
        // proc(5), hidepid: other accounts' processes are not even listed.
        let detail = "/proc shows only some processes (hidepid)";
        gaps.note(Sessions::NAME, "items", "", reason::PERMISSION_DENIED, detail, "Run the scan as root or grant CAP_SYS_PTRACE.");
    }
    if pids.len() > PROCESS_LIMIT {
        gaps.note(Sessions::NAME, "items", "", reason::LIMIT_REACHED, format!("more than {PROCESS_LIMIT} processes"), "");
    }
    let boot = boot_time(host);
    let mut by_uid: BTreeMap<u32, Group> = BTreeMap::new();
    let mut elsewhere = 0;
    for pid in pids.into_iter().take(PROCESS_LIMIT) {
        let Some(process) = read(host, pid) else { continue };
        if process.is_kernel {
            continue;
        }
        if !sockets::runs_in_host_root(host, pid) {
            // Its user ids belong to another system; without the right to look, the ids still tell.
            if host.stat(&format!("/proc/{pid}/root/")).is_ok() {
                elsewhere += 1;
                continue;
            }
        }
        for uid in BTreeSet::from([process.real, process.effective]) {
            by_uid.entry(uid).or_default().add(pid, &process);
        }
    }
    let items = by_uid.into_iter().map(|(uid, group)| group.into_item(known, uid, boot)).collect();
    (items, elsewhere)
}

struct Process {
    name: String,
    real: u32,
    effective: u32,
    is_kernel: bool,
    /// Start, clock ticks after boot.
    started: Option<u64>,
}

/// `None` when it ended meanwhile.
fn read(host: &Host, pid: u32) -> Option<Process> {
    let status = host.read_text(&format!("/proc/{pid}/status"), STATUS_LIMIT).ok()?;
    let value = |key: &str| status.lines().find_map(|l| l.strip_prefix(key).and_then(|r| r.strip_prefix(':'))).map(str::trim);
    let mut ids = value("Uid")?.split_whitespace().map(str::parse::<u32>);
    let (real, effective) = (ids.next()?.ok()?, ids.next()?.ok()?);
    let is_kernel = pid == 2 || value("PPid") == Some("2") || value("Kthread") == Some("1");
    let executable = host.read_link(&format!("/proc/{pid}/exe")).ok().filter(|e| e.starts_with('/'));
    let name = executable
        .map_or_else(|| value("Name").unwrap_or_default().to_string(), |e| e.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or_default().to_string());
    let started = host.read_text(&format!("/proc/{pid}/stat"), STATUS_LIMIT).ok().and_then(|s| start_of(&s));
    Some(Process { name: name.chars().filter(|c| !c.is_control()).take(64).collect(), real, effective, is_kernel, started })
}

/// Field 22 of proc_pid_stat(5), counted from behind the name, which may hold anything.
fn start_of(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn boot_time(host: &Host) -> Option<i64> {
    const STAT_LIMIT: usize = 8 << 20;
    let stat = host.read_text("/proc/stat", STAT_LIMIT).ok()?;
    stat.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()
}

#[derive(Default)]
struct Group {
    programs: BTreeSet<String>,
    pids: Vec<u32>,
    count: u64,
    oldest: Option<(u64, u32)>,
}

impl Group {
    fn add(&mut self, pid: u32, process: &Process) {
        self.count += 1;
        if self.programs.len() < NAMED_LIMIT {
            self.programs.insert(process.name.clone());
        }
        if self.pids.len() < NAMED_LIMIT {
            self.pids.push(pid);
        }
        let start = process.started.map(|s| (s, pid));
        self.oldest = match (self.oldest, start) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
    }

    fn into_item(self, known: &Known<'_>, uid: u32, boot: Option<i64>) -> Session {
        let oldest = self.oldest.map_or_else(|| self.pids.first().copied().unwrap_or(0), |(_, pid)| pid);
        let mut item = known.item("processes", &known.names.user(uid), Some(uid), Source::line(format!("/proc/{oldest}/status"), 0, "Uid"));
        item.since = self.oldest.zip(boot).map(|((ticks, _), boot)| boot + i64::try_from(ticks / TICKS).unwrap_or(0));
        item.programs = self.programs.into_iter().collect();
        item.pids = self.pids;
        item.count = self.count;
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_hides_no_field() {
        let stat = "812 (a) (b c) S 1 812 812 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 200";
        assert_eq!(start_of(stat), Some(98765));
        for end in 0..stat.len() {
            let _ = start_of(&stat[..end]);
        }
    }
}
