//! What the machine shows of a program that should run: the unit that starts it, and its processes.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::jobs::gathering::Gathering;
use crate::facts::jobs::names::Names;
use crate::facts::jobs::unit_file::{self, Names as Specifiers};
use crate::facts::jobs::unit_tree::{Tree, Unit};
use crate::host::{CONFIG_LIMIT, FileKind, Host, processes, sockets};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Most processes looked at.
const PROCESS_LIMIT: usize = 100_000;
/// Characters that the kernel keeps of a program's name.
const NAME_LENGTH: usize = 15;
/// Longest command line that is read.
const LINE_LIMIT: usize = 128 << 10;
/// Most words of a command line.
const WORD_LIMIT: usize = 1024;
/// Clock ticks a second that the kernel shows to programs (`USER_HZ`).
const TICKS: i64 = 100;
/// Where OpenRC and SysV init name what starts at boot.
const RUNLEVELS: [&str; 3] = ["/etc/runlevels/default", "/etc/runlevels/boot", "/etc/runlevels/sysinit"];
const LINKS: [&str; 4] = ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d"];

/// Units, processes and init links of a machine, read once.
pub(in crate::facts) struct Observer<'a> {
    pub host: &'a Host,
    names: &'a Names,
    tree: Tree,
    /// Process ids by name; `None` where nothing runs or it can't be told.
    by_name: Option<BTreeMap<String, Vec<u32>>>,
    boot: Option<i64>,
    /// What other init systems start, and the link that says so.
    init_links: BTreeMap<String, String>,
}

/// The unit of a program.
#[derive(Clone, Debug, Default)]
pub(in crate::facts) struct UnitState {
    /// Its name; empty when there is none.
    pub name: String,
    /// What `systemctl is-enabled` says; `init` for a link of another init system.
    pub state: String,
    /// Whether it starts by itself.
    pub enabled: bool,
    /// Words of its command line.
    pub arguments: Vec<String>,
    /// Its file.
    pub source: Source,
}

/// A process.
#[derive(Clone, Debug, Default)]
pub(in crate::facts) struct Running {
    /// Words of its command line. They may hold secrets: options alone are looked at.
    pub arguments: Vec<String>,
    /// Start, Unix seconds.
    pub started_at: Option<i64>,
}

impl<'a> Observer<'a> {
    /// Reads them; what can't be read is a gap of `family` over `path`.
    pub fn read(host: &'a Host, names: &'a Names, family: &'static str, path: &str, gaps: &mut Gaps) -> Self {
        let mut own = Gaps::new();
        let mut gathering = Gathering::new(host, names, &mut own);
        let tree = Tree::read(&mut gathering);
        let denied = gathering.first_denied().cloned();
        drop(gathering);
        for mut gap in own.into_sorted() {
            (gap.family, gap.path) = (family.into(), path.into());
            gaps.add(gap);
        }
        if let Some(error) = denied {
            gaps.add(error.to_gap(family, path, ""));
        }
        let by_name = if host.is_live() { by_name(host, family, path, gaps) } else { None };
        Self { host, names, tree, by_name, boot: boot_time(host), init_links: init_links(host) }
    }

    /// The first of these units that is there, one that starts by itself before others.
    pub fn unit(&self, names: &[&str]) -> UnitState {
        let mut own = Gaps::new();
        let mut gathering = Gathering::new(self.host, self.names, &mut own);
        let mut found = UnitState::default();
        for name in names {
            if !self.tree.has(name) && !self.tree.is_linked(name) {
                continue;
            }
            let Some(unit) = self.tree.load(&mut gathering, name) else { continue };
            let state = self.tree.state(&mut gathering, &unit.name);
            let is_linked = self.tree.is_linked(name) || self.tree.is_linked(&unit.name);
            let is_on = matches!(state, "enabled" | "enabled-runtime" | "generated" | "transient") || is_linked;
            let enabled = is_on && !unit.masked && self.conditions_hold(&unit);
            if found.name.is_empty() || enabled && !found.enabled {
                let arguments = arguments_of(&mut gathering, &unit);
                found = UnitState { name: unit.name.clone(), state: state.into(), enabled, arguments, source: Source::whole(&unit.fragment) };
            }
        }
        if found.name.is_empty() { self.init_link(names) } else { found }
    }

    /// Conditions that files decide (systemd.unit(5)).
    fn conditions_hold(&self, unit: &Unit) -> bool {
        const KEYS: [&str; 2] = ["ConditionPathExists", "ConditionFileIsExecutable"];
        let settings = KEYS.iter().flat_map(|key| unit_file::all(&unit.settings, "Unit", key));
        settings.into_iter().all(|setting| {
            let value = setting.value.as_str();
            let (negated, path) = value.strip_prefix('!').map_or((false, value), |path| (true, path));
            // An alternative (`|`) may hold by another line.
            if path.starts_with('|') {
                return true;
            }
            match self.host.stat(path) {
                Ok(stat) if setting.key == "ConditionFileIsExecutable" => (stat.kind == FileKind::File && stat.mode & 0o111 != 0) != negated,
                Ok(_) => !negated,
                Err(e) if e.is_not_found() => negated,
                Err(_) => true,
            }
        })
    }

    fn init_link(&self, units: &[&str]) -> UnitState {
        for unit in units {
            let name = unit.trim_end_matches(".service");
            if let Some(place) = self.init_links.get(name) {
                return UnitState { name: name.into(), state: "init".into(), enabled: true, arguments: Vec::new(), source: Source::whole(place) };
            }
            let script = format!("/etc/init.d/{name}");
            if self.host.exists(&script).unwrap_or(false) {
                return UnitState { name: name.into(), state: "disabled".into(), source: Source::whole(script), ..UnitState::default() };
            }
        }
        UnitState::default()
    }

    /// Whether a process of one of these names runs in the host's own root; `None` on a root folder.
    pub fn is_running(&self, names: &[&str]) -> Option<bool> {
        self.by_name.as_ref().map(|_| !self.processes(names).is_empty())
    }

    /// The oldest process of one of these names.
    pub fn running(&self, names: &[&str]) -> Option<Running> {
        let pid = *self.processes(names).first()?;
        let line = self.host.read(&format!("/proc/{pid}/cmdline"), LINE_LIMIT).unwrap_or_default();
        let words = line.split(|b| *b == 0).take(WORD_LIMIT).map(|w| String::from_utf8_lossy(w).into_owned());
        let ticks = self.host.read_text(&format!("/proc/{pid}/stat"), CONFIG_LIMIT).ok().and_then(|s| started(&s));
        let started_at = ticks.zip(self.boot).map(|(ticks, boot)| boot + ticks / TICKS);
        Some(Running { arguments: words.filter(|w| !w.is_empty()).collect(), started_at })
    }

    /// Command line that decides: of the process, else of the unit.
    pub fn arguments(&self, unit: &UnitState, names: &[&str]) -> Vec<String> {
        self.running(names).map(|r| r.arguments).filter(|a| !a.is_empty()).unwrap_or_else(|| unit.arguments.clone())
    }

    fn processes(&self, names: &[&str]) -> Vec<u32> {
        let Some(by_name) = &self.by_name else { return Vec::new() };
        let mut out: BTreeSet<u32> = BTreeSet::new();
        for name in names {
            let kept: String = name.chars().take(NAME_LENGTH).collect();
            let pids = by_name.get(&kept).into_iter().flatten();
            out.extend(pids.filter(|pid| sockets::runs_in_host_root(self.host, **pid)));
        }
        out.into_iter().collect()
    }
}

/// The value of an option: the word behind it, or the rest of the word.
pub(in crate::facts) fn option(arguments: &[String], names: &[&str]) -> Option<String> {
    for (index, word) in arguments.iter().enumerate().skip(1) {
        for name in names {
            if word == name {
                return arguments.get(index + 1).cloned();
            }
            if let Some(rest) = word.strip_prefix(name) {
                match (name.starts_with("--"), rest.strip_prefix('=')) {
                    (true, Some(value)) => return Some(value.into()),
                    (false, _) => return Some(rest.into()),
                    (true, None) => {}
                }
            }
        }
    }
    None
}

fn by_name(host: &Host, family: &'static str, path: &str, gaps: &mut Gaps) -> Option<BTreeMap<String, Vec<u32>>> {
    let pids = match processes::ids(host) {
        Ok(pids) => pids,
        Err(e) => {
            gaps.add(e.to_gap(family, path, "processes"));
            return None;
        }
    };
    if !pids.contains(&1) {
        let detail = "/proc shows only some processes (hidepid)";
        gaps.note(family, path, "", reason::PERMISSION_DENIED, detail, "Run the scan as root or grant CAP_SYS_PTRACE.");
        return None;
    }
    if pids.len() > PROCESS_LIMIT {
        gaps.note(family, path, "", reason::LIMIT_REACHED, format!("more than {PROCESS_LIMIT} processes"), "");
    }
    let mut out: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for pid in pids.into_iter().take(PROCESS_LIMIT) {
        let name = processes::name(host, pid);
        let file = processes::executable(host, pid).ok().flatten().and_then(|(file, _)| file.rsplit('/').next().map(String::from));
        // A program that another one was started as (an interpreter's script) has the name, a renamed thread the file.
        let kept: Option<String> = file.map(|f| f.chars().take(NAME_LENGTH).collect());
        for name in [Some(name.clone()), kept.filter(|k| *k != name)].into_iter().flatten() {
            out.entry(name).or_default().push(pid);
        }
    }
    Some(out)
}

fn init_links(host: &Host) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for folder in RUNLEVELS.iter().chain(&LINKS) {
        for entry in host.list(folder).unwrap_or_default() {
            let is_sysv = LINKS.contains(folder);
            // S20name starts, K20name stops.
            let name = if is_sysv { entry.name.strip_prefix('S').and_then(|r| r.get(2..)) } else { Some(entry.name.as_str()) };
            if let Some(name) = name {
                out.entry(name.to_string()).or_insert_with(|| format!("{folder}/{}", entry.name));
            }
        }
    }
    out
}

fn boot_time(host: &Host) -> Option<i64> {
    const STAT_LIMIT: usize = 8 << 20;
    let stat = host.read_text("/proc/stat", STAT_LIMIT).ok()?;
    stat.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()
}

/// Field 22 of proc_pid_stat(5), counted from behind the name, which may hold anything.
fn started(stat: &str) -> Option<i64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Words of `ExecStart`, variables of the unit and of its environment files put in.
fn arguments_of(gathering: &mut Gathering<'_>, unit: &Unit) -> Vec<String> {
    let specifiers = Specifiers { unit: &unit.name, home: "/root" };
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for setting in unit_file::all(&unit.settings, "Service", "Environment") {
        variables.extend(assignments(&unit_file::words(&unit_file::specify(&setting.value, specifiers))));
    }
    for setting in unit_file::all(&unit.settings, "Service", "EnvironmentFile") {
        let path = unit_file::specify(setting.value.trim_start_matches('-'), specifiers);
        let text = gathering.text(&path, CONFIG_LIMIT).unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';'])).map(|l| l.strip_prefix("export ").unwrap_or(l));
        let words: Vec<String> =
            lines.map(|l| l.split_once('=').map(|(k, v)| format!("{}={}", k.trim(), v.trim().trim_matches(['"', '\'']))).unwrap_or_default()).collect();
        variables.extend(assignments(&words));
    }
    let starts = unit_file::all(&unit.settings, "Service", "ExecStart");
    let Some(start) = starts.last() else { return Vec::new() };
    let mut out = Vec::new();
    for word in unit_file::words(&unit_file::specify(&start.value, specifiers)) {
        match word.strip_prefix('$').map(|n| n.trim_matches(['{', '}'])) {
            Some(name) => out.extend(variables.get(name).map(String::as_str).unwrap_or_default().split_whitespace().map(String::from)),
            None => out.push(word),
        }
    }
    out.truncate(WORD_LIMIT);
    out
}

fn assignments(words: &[String]) -> Vec<(String, String)> {
    words.iter().filter_map(|w| w.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{recorded, rooted};

    #[test]
    fn units_with_their_options_and_conditions() {
        let (root, host) = rooted(&[
            (
                "usr/lib/systemd/system/chrony.service",
                "[Unit]\nConditionPathExists=!/etc/no\n[Service]\nEnvironmentFile=-/etc/default/chrony\nExecStart=!/usr/sbin/chronyd $DAEMON_OPTS -x\n[Install]\nWantedBy=multi-user.target\n",
            ),
            ("etc/default/chrony", "# c\nDAEMON_OPTS=\"-F 1 -f /etc/other.conf\"\n"),
            ("usr/lib/systemd/system/off.service", "[Service]\nExecStart=/x\n[Install]\nWantedBy=multi-user.target\n"),
            ("etc/init.d/old", ""),
            ("etc/rc2.d/S20old", ""),
        ]);
        let link = |folder: &str, name: &str| {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
            std::os::unix::fs::symlink(format!("/usr/lib/systemd/system/{name}"), root.path().join(folder).join(name)).unwrap();
        };
        link("etc/systemd/system/multi-user.target.wants", "chrony.service");
        let names = Names::read(&host, 0);
        let mut gaps = Gaps::new();
        let observer = Observer::read(&host, &names, "f", "p", &mut gaps);
        let unit = observer.unit(&["chronyd.service", "chrony.service"]);
        assert_eq!((unit.name.as_str(), unit.state.as_str(), unit.enabled), ("chrony.service", "enabled", true));
        assert_eq!(option(&unit.arguments, &["-f"]).as_deref(), Some("/etc/other.conf"));
        assert_eq!(observer.is_running(&["chronyd"]), None);
        let off = observer.unit(&["off.service"]);
        assert_eq!((off.state.as_str(), off.enabled), ("disabled", false));
        assert!(observer.unit(&["old.service"]).enabled && observer.unit(&["gone.service"]).name.is_empty());
        std::fs::write(root.path().join("etc/no"), "").unwrap();
        assert!(!observer.unit(&["chrony.service"]).enabled);
    }

    #[test]
    fn processes_by_name() {
        let stat = "9 (chronyd) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 500 1000 200";
        let (_root, host) = recorded(&[
            ("proc/stat", "cpu 1\nbtime 1000\n"),
            ("proc/1/comm", "systemd\n"),
            ("proc/9/comm", "chronyd\n"),
            ("proc/9/stat", stat),
            ("proc/9/cmdline", "/usr/sbin/chronyd\0-f\0/x\0"),
        ]);
        let names = Names::read(&host, 0);
        let observer = Observer::read(&host, &names, "f", "p", &mut Gaps::new());
        assert_eq!((observer.is_running(&["chronyd"]), observer.is_running(&["ntpd"])), (Some(true), Some(false)));
        let running = observer.running(&["chronyd"]).unwrap();
        assert_eq!((running.started_at, option(&running.arguments, &["-f"]).as_deref()), (Some(1005), Some("/x")));
        assert_eq!(option(&["x".into(), "--config=/y".into()], &["-c", "--config"]).as_deref(), Some("/y"));
    }
}
