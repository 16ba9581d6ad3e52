//! Which programs start and with which command line: processes that run, services that the boot or
//! a socket leads to, init scripts that a run level links.
//!
//! A service counts as started when a process of it runs now, or when a boot would start it: its
//! unit is reached from the targets of a boot and its conditions about paths hold, or a run level
//! links its init script. A program that is only installed counts as not started.

use std::collections::BTreeMap;

use crate::facts::jobs::gathering::Gathering;
use crate::facts::jobs::names::Names;
use crate::facts::jobs::unit_file::{self, Setting};
use crate::facts::jobs::unit_tree::{Tree, Unit};
use crate::facts::jobs::units;
use crate::host::{CONFIG_LIMIT, Host, ReadError, processes, sockets};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps};

/// Most words of one command line.
const WORD_LIMIT: usize = 1024;
/// Largest command line read, bytes.
const COMMAND_LIMIT: usize = 128 << 10;
/// Most processes looked at.
const PROCESS_LIMIT: usize = 200_000;
/// Folders whose links a boot follows without systemd.
const RUN_LEVELS: [&str; 6] = ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d", "/etc/rc.d/rc3.d", "/etc/rc.d/rc5.d"];
/// OpenRC's folders likewise.
const OPENRC: [&str; 2] = ["/etc/runlevels/default", "/etc/runlevels/boot"];

/// One way in which a program starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Name of the program, without folders.
    pub program: String,
    /// Arguments behind its name; `None` when they can't be told.
    pub arguments: Option<Vec<String>>,
    /// `running`, `boot`, or `on demand by UNIT`.
    pub how: String,
    /// Unit or init script; empty for a process that belongs to none.
    pub unit: String,
    /// Where it was seen.
    pub source: Source,
}

impl Launch {
    /// The argument of an option such as `-f FILE` or `-fFILE`, the last one.
    pub fn option(&self, flag: &str) -> Option<String> {
        let arguments = self.arguments.as_ref()?;
        let mut out = None;
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let Some(attached) = word.strip_prefix(flag) else { continue };
            if attached.is_empty() {
                out = words.next().cloned();
            } else if let Some(value) = attached.strip_prefix('=') {
                out = Some(value.into());
            } else if !flag.starts_with("--") {
                out = Some(attached.into());
            }
        }
        out
    }

    /// The word behind a whole option.
    pub fn behind(&self, flag: &str) -> Option<String> {
        let arguments = self.arguments.as_ref()?;
        let at = arguments.iter().rposition(|w| w == flag)?;
        arguments.get(at + 1).cloned()
    }

    /// Whether an argument stands among the others.
    pub fn has(&self, argument: &str) -> bool {
        self.arguments.as_ref().is_some_and(|a| a.iter().any(|w| w == argument))
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Names of programs, without folders.
    pub programs: &'a [&'a str],
    /// Init scripts and the program each of them starts.
    pub scripts: &'a [(&'a str, &'a str)],
    /// Family and the path of its list that can't be relied on when something was not read.
    pub family: &'a str,
    /// That path.
    pub path: &'a str,
}

/// How programs start, processes first.
pub fn survey(host: &Host, wanted: Wanted<'_>, gaps: &mut Gaps) -> Vec<Launch> {
    let mut own = Gaps::new();
    let names = Names::default();
    let mut gathering = Gathering::new(host, &names, &mut own);
    let tree = Tree::read(&mut gathering);
    let reached = units::reach(&mut gathering, &tree);
    let mut configured = of_units(&mut gathering, &reached, wanted);
    of_scripts(&mut gathering, &tree, wanted, &mut configured);
    // Tells of what could not be read.
    gathering.finish("");
    let relabel = |gap: Gap| Gap { family: wanted.family.into(), path: wanted.path.into(), ..gap };
    gaps.extend(own.into_sorted().into_iter().filter(|g| g.path == "items" || g.path.is_empty()).map(relabel));
    let mut out = if host.is_live() { of_processes(host, wanted, gaps) } else { Vec::new() };
    merge(&mut out, configured);
    out
}

/// A process and the unit that it belongs to are one launch; a process's own words come first.
fn merge(running: &mut Vec<Launch>, configured: Vec<Launch>) {
    for launch in configured {
        let same = |l: &Launch| {
            l.program == launch.program && (l.unit == launch.unit || (l.arguments.is_none() && l.unit.is_empty()) || l.arguments == launch.arguments)
        };
        match running.iter_mut().find(|l| same(l)) {
            Some(process) => {
                process.unit = launch.unit;
                if process.arguments.is_none() {
                    process.arguments = launch.arguments;
                    process.source = launch.source;
                }
            }
            None => running.push(launch),
        }
    }
}

fn of_processes(host: &Host, wanted: Wanted<'_>, gaps: &mut Gaps) -> Vec<Launch> {
    let ids = match processes::ids(host) {
        Ok(ids) => ids,
        Err(e) => {
            gaps.add(e.to_gap(wanted.family, wanted.path, "processes"));
            return Vec::new();
        }
    };
    let mut out: Vec<Launch> = Vec::new();
    for pid in ids.into_iter().take(PROCESS_LIMIT) {
        let name = processes::name(host, pid);
        // The kernel keeps 15 bytes of a name.
        let Some(program) = wanted.programs.iter().find(|p| p.get(..15).unwrap_or(p) == name) else { continue };
        match processes::executable(host, pid) {
            Ok(Some((path, _))) if path.rsplit('/').next() == Some(program) => {}
            // Who may not follow the link still knows the name.
            Err(ReadError::Denied(_)) => {}
            _ => continue,
        }
        if !sockets::runs_in_host_root(host, pid) {
            continue;
        }
        let service = processes::service(host, pid);
        let arguments = command_line(host, pid, program);
        let place = format!("process {program}");
        let launch = Launch { program: (*program).into(), arguments, how: "running".into(), unit: service, source: Source::whole(place) };
        if !out.contains(&launch) {
            out.push(launch);
        }
    }
    // Children that renamed themselves tell nothing more than their parent.
    let known: Vec<(String, String)> = out.iter().filter(|l| l.arguments.is_some()).map(|l| (l.program.clone(), l.unit.clone())).collect();
    out.retain(|l| l.arguments.is_some() || !known.iter().any(|(p, u)| *p == l.program && *u == l.unit));
    out
}

/// Words behind the name; `None` when the process wrote a title over them.
fn command_line(host: &Host, pid: u32, program: &str) -> Option<Vec<String>> {
    let bytes = host.read(&format!("/proc/{pid}/cmdline"), COMMAND_LIMIT).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut words = text.trim_end_matches('\0').split('\0');
    let first = words.next()?;
    let is_name = first.rsplit('/').next() == Some(program);
    is_name.then(|| words.take(WORD_LIMIT).map(String::from).collect())
}

fn of_units(gathering: &mut Gathering<'_>, reached: &BTreeMap<String, (Unit, String)>, wanted: Wanted<'_>) -> Vec<Launch> {
    let mut out = Vec::new();
    for (name, (unit, by)) in reached.iter().filter(|(n, _)| n.ends_with(".service")) {
        if !conditions_hold(gathering.host, &unit.settings) {
            continue;
        }
        for launch in of_unit(gathering, unit, wanted) {
            let how = if by == "boot" || by.starts_with("on demand") { by.clone() } else { "boot".into() };
            out.push(Launch { how, unit: name.clone(), ..launch });
        }
    }
    out
}

/// Programs that a unit's `ExecStart=` lines start.
pub fn of_unit(gathering: &mut Gathering<'_>, unit: &Unit, wanted: Wanted<'_>) -> Vec<Launch> {
    let variables = variables(gathering, unit);
    let mut out = Vec::new();
    for setting in unit_file::all(&unit.settings, "Service", "ExecStart") {
        let value = unit_file::specify(&setting.value, units::names_of(unit));
        let words = expanded(&value, &variables);
        let Some((first, rest)) = words.split_first() else { continue };
        let program = first.trim_start_matches(['@', '-', ':', '+', '!', '|']);
        let base = program.rsplit('/').next().unwrap_or(program);
        let source = Source::line(setting.place.clone(), setting.line, "ExecStart");
        let launch = |program: &str, arguments| Launch { program: program.into(), arguments, how: String::new(), unit: String::new(), source: source.clone() };
        if let Some(found) = wanted.programs.iter().find(|p| **p == base) {
            let rest = if first.starts_with('@') { rest.get(1..).unwrap_or_default() } else { rest };
            out.push(launch(found, Some(rest.iter().take(WORD_LIMIT).cloned().collect())));
        } else if program.starts_with("/etc/init.d/") || program.starts_with("/etc/rc.d/init.d/") {
            out.extend(wanted.scripts.iter().find(|(script, _)| *script == base).map(|(_, p)| launch(p, None)));
        } else if ["sh", "bash", "dash", "env", "start-stop-daemon", "setpriv", "nice", "chrt"].contains(&base) {
            // What another program is told to start: which arguments it gets is not told here.
            let named = rest.iter().flat_map(|w| w.split_whitespace()).find_map(|w| {
                let base = w.rsplit('/').next().unwrap_or(w);
                wanted.programs.iter().find(|p| **p == base)
            });
            out.extend(named.map(|p| launch(p, None)));
        }
    }
    out
}

/// Whether the conditions of systemd.unit(5) about paths hold here; others are taken to hold.
fn conditions_hold(host: &Host, settings: &[Setting]) -> bool {
    ["ConditionPathExists", "AssertPathExists", "ConditionFileNotEmpty"].iter().all(|key| {
        unit_file::all(settings, "Unit", key).into_iter().all(|s| {
            // A leading `|` makes it one of several of which one is enough: taken to hold.
            if s.value.starts_with('|') {
                return true;
            }
            let (path, negated) = s.value.strip_prefix('!').map_or((s.value.as_str(), false), |p| (p, true));
            host.exists(path.trim()) != Ok(negated)
        })
    })
}

/// Variables of a unit's environment, files last.
fn variables(gathering: &mut Gathering<'_>, unit: &Unit) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for setting in unit_file::all(&unit.settings, "Service", "Environment") {
        for word in unit_file::words(&unit_file::specify(&setting.value, units::names_of(unit))) {
            if let Some((name, value)) = word.split_once('=') {
                out.insert(name.to_string(), value.to_string());
            }
        }
    }
    for setting in unit_file::all(&unit.settings, "Service", "EnvironmentFile") {
        let path = unit_file::specify(setting.value.trim_start_matches('-'), units::names_of(unit));
        if path.starts_with('/')
            && let Some(text) = gathering.text(&path, CONFIG_LIMIT)
        {
            out.extend(assignments(&text));
        }
    }
    out
}

/// `NAME=VALUE` lines of a file of variables, quotes taken off; the last of a name counts.
pub fn assignments(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=').filter(|(n, _)| !n.starts_with(['#', ';'])) else { continue };
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q).and_then(|v| v.split_once(*q)).map(|(v, _)| v));
        out.insert(name.trim().to_string(), quoted.unwrap_or(value).to_string());
    }
    out
}

/// Words with variables put in: `$NAME` alone makes as many words as its value has, `${NAME}` none more.
fn expanded(value: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let mut out = Vec::new();
    for word in unit_file::words(value) {
        let alone = word.strip_prefix('$').filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        if let Some(name) = alone {
            out.extend(unit_file::words(variables.get(name).map_or("", String::as_str)));
            continue;
        }
        let mut text = String::new();
        let mut rest = word.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            text.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                text.push_str("${");
                rest = after;
                break;
            };
            text.push_str(variables.get(name).map_or("", String::as_str));
            rest = after;
        }
        text.push_str(rest);
        out.push(text);
    }
    out.truncate(WORD_LIMIT);
    out
}

fn of_scripts(gathering: &mut Gathering<'_>, tree: &Tree, wanted: Wanted<'_>, out: &mut Vec<Launch>) {
    let mut linked: Vec<(String, String)> = Vec::new();
    for folder in RUN_LEVELS {
        for (name, _) in gathering.list(folder) {
            if let Some(script) = name.strip_prefix('S').and_then(|n| n.get(2..)).filter(|s| !s.is_empty()) {
                linked.push((script.to_string(), format!("{folder}/{name}")));
            }
        }
    }
    for folder in OPENRC {
        linked.extend(gathering.list(folder).into_iter().map(|(name, _)| (name.clone(), format!("{folder}/{name}"))));
    }
    for (script, program) in wanted.scripts {
        // A unit of the same name takes the script's place, a mask puts an end to it.
        let replaced = tree.has(&format!("{script}.service"));
        let Some((_, link)) = linked.iter().find(|(s, _)| s == script).filter(|_| !replaced) else { continue };
        let is_there = ["/etc/init.d", "/etc/rc.d/init.d"].iter().any(|f| gathering.is_executable(&format!("{f}/{script}")));
        if is_there && !out.iter().any(|l| l.program == *program) {
            out.push(Launch { program: (*program).into(), arguments: None, how: "boot".into(), unit: (*script).into(), source: Source::whole(link.clone()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{recorded, rooted};

    const WANTED: Wanted<'static> = Wanted { programs: &["vsftpd", "slapd"], scripts: &[("slapd", "slapd")], family: "ftp", path: "servers" };

    fn shown(host: &Host) -> Vec<String> {
        let mut gaps = Gaps::new();
        let launches = survey(host, WANTED, &mut gaps);
        assert_eq!(gaps.into_sorted(), []);
        launches.iter().map(|l| format!("{} {} {:?} {}", l.program, l.how, l.arguments.as_ref().map(|a| a.join(" ")), l.unit)).collect()
    }

    #[test]
    fn a_unit_counts_when_a_boot_reaches_it() {
        let unit = "[Unit]\nConditionPathExists=/etc/vsftpd.conf\n[Service]\nEnvironment=A=/etc/a.conf\nEnvironmentFile=-/etc/default/vsftpd\nExecStart=/usr/sbin/vsftpd $A ${B}\n[Install]\nWantedBy=multi-user.target\n";
        let (root, host) = rooted(&[("/lib/systemd/system/vsftpd.service", unit), ("/etc/default/vsftpd", "# x\nB='b c'\n"), ("/etc/vsftpd.conf", "")]);
        assert!(shown(&host).is_empty());
        let wants = root.path().join("etc/systemd/system/multi-user.target.wants");
        std::fs::create_dir_all(&wants).unwrap();
        std::os::unix::fs::symlink("/lib/systemd/system/vsftpd.service", wants.join("vsftpd.service")).unwrap();
        assert_eq!(shown(&host), ["vsftpd boot Some(\"/etc/a.conf b c\") vsftpd.service"]);
        std::fs::remove_file(root.path().join("etc/vsftpd.conf")).unwrap();
        assert!(shown(&host).is_empty());
    }

    #[test]
    fn a_script_counts_when_a_run_level_links_it_and_no_mask_ends_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let (root, host) = rooted(&[("/etc/init.d/slapd", "#!/bin/sh\n"), ("/etc/rc2.d/K01slapd", "")]);
        std::fs::set_permissions(root.path().join("etc/init.d/slapd"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(shown(&host).is_empty());
        std::os::unix::fs::symlink("../init.d/slapd", root.path().join("etc/rc2.d/S01slapd")).unwrap();
        assert_eq!(shown(&host), ["slapd boot None slapd"]);
        let units = root.path().join("etc/systemd/system");
        std::fs::create_dir_all(&units).unwrap();
        std::os::unix::fs::symlink("/dev/null", units.join("slapd.service")).unwrap();
        assert!(shown(&host).is_empty());
    }

    #[test]
    fn a_process_is_told_by_its_program_and_its_words() {
        let files = [
            ("/proc/7/comm", "slapd\n"),
            ("/proc/7/cmdline", "/usr/sbin/slapd\0-h\0ldap:///\0"),
            ("/proc/8/comm", "slapd\n"),
            ("/proc/8/cmdline", "other\0"),
            ("/proc/9/comm", "vsftpd\n"),
            ("/proc/9/cmdline", "vsftpd: waiting\0"),
        ];
        let (root, host) = recorded(&files);
        for (pid, path) in [(7, "/usr/sbin/slapd"), (8, "/opt/other"), (9, "/usr/sbin/vsftpd")] {
            std::os::unix::fs::symlink(path, root.path().join(format!("proc/{pid}/exe"))).unwrap();
        }
        assert_eq!(shown(&host), ["slapd running Some(\"-h ldap:///\") ", "vsftpd running None "]);
    }

    #[test]
    fn options_and_globs() {
        let launch = Launch {
            program: "x".into(),
            arguments: Some(["-f/a", "-h", "b", "--config=c"].map(String::from).to_vec()),
            how: String::new(),
            unit: String::new(),
            source: Source::default(),
        };
        assert_eq!((launch.option("-f"), launch.option("-h"), launch.option("--config")), (Some("/a".into()), Some("b".into()), Some("c".into())));
    }
}
