//! Programs that daemons of root start at an event: a connection (inetd, xinetd), a sign-in
//! (pam_exec), a rotated log, a new device (udev), a call on the bus, a crash (core(5)).

use std::collections::BTreeMap;

use super::Job;
use super::gathering::Gathering;
use super::started::{self, Context, Outcome, Started};
use super::unit_file;
use super::units::SEARCH;
use crate::host::{CONFIG_LIMIT, FileKind, machine};
use crate::model::fact::Source;

/// Most lines looked at of one file.
const LINE_LIMIT: usize = 20_000;

/// Reads all of it.
pub fn gather(gathering: &mut Gathering<'_>) {
    inetd(gathering, "/etc/inetd.conf");
    for path in files(gathering, "/etc/inetd.d") {
        inetd(gathering, &path);
    }
    for path in std::iter::once("/etc/xinetd.conf".to_string()).chain(files(gathering, "/etc/xinetd.d")) {
        xinetd(gathering, &path);
    }
    for path in files(gathering, "/etc/pam.d") {
        pam(gathering, &path);
    }
    for path in std::iter::once("/etc/logrotate.conf".to_string()).chain(files(gathering, "/etc/logrotate.d")) {
        logrotate(gathering, &path);
    }
    udev(gathering);
    bus(gathering);
    crash(gathering);
}

/// Files of a folder whose names are no leftovers of editors and package managers.
fn files(gathering: &mut Gathering<'_>, folder: &str) -> Vec<String> {
    let is_leftover = |n: &str| n.starts_with('.') || n.ends_with('~') || [".dpkg-", ".rpm", ".bak", ".ucf-"].iter().any(|s| n.contains(s));
    gathering.list(folder).into_iter().filter(|(n, k)| *k != FileKind::Folder && !is_leftover(n)).map(|(n, _)| format!("{folder}/{n}")).collect()
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().take(LINE_LIMIT).enumerate().map(|(i, l)| (i + 1, l.trim())).filter(|(_, l)| !l.is_empty() && !l.starts_with('#'))
}

fn context() -> Context {
    Context { variables: BTreeMap::from([("PATH".to_string(), SEARCH.to_string())]), folder: Some("/".into()) }
}

fn known(words: &[&str]) -> Vec<Option<String>> {
    words.iter().map(|w| Some((*w).to_string())).collect()
}

fn job(gathering: &Gathering<'_>, kind: &str, path: &str, line: usize, account: &str, schedule: &str) -> Job {
    let mut job = gathering.job(kind, &format!("{path}:{line}"), account, Source::line(path, line, ""));
    job.schedule = schedule.into();
    job
}

/// inetd.conf(5): service, type, protocol, wait, account, program, arguments from the name on.
fn inetd(gathering: &mut Gathering<'_>, path: &str) {
    let Some(text) = gathering.text(path, CONFIG_LIMIT) else { return };
    for (number, line) in lines(&text) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, _, account, program, arguments @ ..] = words.as_slice() else { continue };
        if !program.starts_with('/') {
            continue;
        }
        let account = account.split(['.', ':', '/']).next().unwrap_or(account);
        let job = job(gathering, "inetd", path, number, account, "on connection");
        let mut outcome = started::by_arguments(&known(&[program]), &context());
        // The TCP wrapper starts what stands in the place of the name.
        if program.ends_with("/tcpd") {
            outcome.files.extend(arguments.first().filter(|a| a.starts_with('/')).map(|a| Started::File((*a).to_string())));
        }
        gathering.keep(job, outcome);
    }
}

/// xinetd.conf(5).
fn xinetd(gathering: &mut Gathering<'_>, path: &str) {
    let Some(text) = gathering.text(path, CONFIG_LIMIT) else { return };
    let mut service: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for (number, line) in lines(&text) {
        if line.starts_with("service") || line.starts_with("defaults") {
            service.clear();
        } else if let Some((key, value)) = line.split_once('=') {
            service.insert(key.trim().into(), (value.trim().into(), number));
        } else if line.starts_with('}')
            && let Some((program, number)) = service.get("server").cloned()
        {
            let account = service.get("user").map_or("root", |(u, _)| u);
            let disabled = service.get("disable").is_some_and(|(d, _)| d.eq_ignore_ascii_case("yes"));
            let mut job = job(gathering, "inetd", path, number, account, "on connection");
            job.enabled = !disabled;
            job.ignored = if disabled { "disabled" } else { "" }.into();
            gathering.keep(job, started::by_arguments(&[Some(program)], &context()));
        }
    }
}

/// pam_exec(8): the first word that is no option is the program.
fn pam(gathering: &mut Gathering<'_>, path: &str) {
    let Some(text) = gathering.text(path, CONFIG_LIMIT) else { return };
    for (number, line) in lines(&text) {
        let line = line.split('#').next().unwrap_or("");
        let mut words = line.split_whitespace().skip_while(|w| w.rsplit('/').next() != Some("pam_exec.so")).skip(1);
        let is_option = |w: &&str| !w.starts_with('/');
        if let Some(program) = words.find(|w| !is_option(w)) {
            let arguments: Vec<&str> = std::iter::once(program).chain(words).collect();
            let job = job(gathering, "hook", path, number, "root", "sign-in");
            gathering.keep(job, started::by_arguments(&known(&arguments), &context()));
        }
    }
}

/// Scripts of logrotate(8), which its `su` runs as another account.
fn logrotate(gathering: &mut Gathering<'_>, path: &str) {
    const OPENINGS: [&str; 5] = ["prerotate", "postrotate", "firstaction", "lastaction", "preremove"];
    let Some(text) = gathering.text(path, CONFIG_LIMIT) else { return };
    let mut scripts: Vec<(usize, String)> = Vec::new();
    let (mut inside, mut as_other) = (false, false);
    for (index, line) in text.lines().take(LINE_LIMIT).enumerate() {
        let line = line.trim();
        if inside {
            inside = line != "endscript";
            if let Some((_, script)) = scripts.last_mut().filter(|_| inside) {
                script.push_str(line);
                script.push('\n');
            }
            continue;
        }
        if OPENINGS.contains(&line) {
            inside = true;
            scripts.push((index + 1, String::new()));
        } else if let Some(account) = line.strip_prefix("su ") {
            as_other = account.split_whitespace().next() != Some("root");
        } else if line.ends_with('}') {
            for (number, script) in std::mem::take(&mut scripts).into_iter().filter(|_| !as_other) {
                let job = job(gathering, "hook", path, number, "root", "log rotation");
                let mut outcome = started::by_shell(&script, &context());
                // What such a script starts by a variable or by name tells nothing of this machine's own files.
                outcome.unresolved = 0;
                gathering.keep(job, outcome);
            }
            as_other = false;
        }
    }
}

/// Rules of udev(7): of two files with one name the first folder's.
fn udev(gathering: &mut Gathering<'_>) {
    const FOLDERS: [&str; 4] = ["/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d"];
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    for folder in FOLDERS {
        for (name, _) in gathering.list(folder).into_iter().filter(|(n, _)| n.ends_with(".rules")) {
            let path = format!("{folder}/{name}");
            by_name.entry(name).or_insert(path);
        }
    }
    for path in by_name.into_values() {
        let Some(text) = gathering.text(&path, CONFIG_LIMIT) else { continue };
        for (number, line) in lines(&text) {
            let mut outcome = Outcome::default();
            for value in run_keys(line) {
                let words = unit_file::words(value);
                let first = words.first().map_or("", String::as_str);
                // A program without a folder is udev's own; one with a substitution can't be told.
                if first.starts_with('/') && !first.contains(['$', '%']) {
                    let arguments: Vec<Option<String>> = words.into_iter().map(|w| Some(w).filter(|w| !w.contains(['$', '%']))).collect();
                    outcome.files.extend(started::by_arguments(&arguments, &context()).files);
                }
            }
            if !outcome.files.is_empty() {
                let job = job(gathering, "hook", &path, number, "root", "device event");
                gathering.keep(job, outcome);
            }
        }
    }
}

/// Values of `RUN`, `RUN{program}`, `PROGRAM` and `IMPORT{program}`.
fn run_keys(line: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for key in ["RUN", "PROGRAM", "IMPORT{program}"] {
        for (at, _) in line.match_indices(key) {
            let begins = line.get(..at).is_some_and(|b| b.is_empty() || b.ends_with([',', ' ', '\t']));
            let rest = line.get(at + key.len()..).unwrap_or("");
            let rest = rest.strip_prefix("{program}").unwrap_or(rest).trim_start_matches(['+', '=', ':', ' ']);
            if begins && let Some((value, _)) = rest.strip_prefix('"').and_then(|r| r.split_once('"')) {
                out.push(value);
            }
        }
    }
    out
}

/// Services of the bus that no unit takes over.
fn bus(gathering: &mut Gathering<'_>) {
    for path in files(gathering, "/usr/share/dbus-1/system-services") {
        let Some(text) = gathering.text(&path, CONFIG_LIMIT) else { continue };
        let settings = unit_file::parse(&text, &path);
        let section = "D-BUS Service";
        let (unit, exec) = (unit_file::last(&settings, section, "SystemdService"), unit_file::last(&settings, section, "Exec"));
        let user = unit_file::last(&settings, section, "User").map_or("root", |s| s.value.as_str());
        if let Some(exec) = exec.filter(|_| unit.is_none()) {
            let words = unit_file::words(&exec.value);
            let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
            let job = job(gathering, "hook", &path, exec.line, user, "on demand by D-Bus");
            gathering.keep(job, started::by_arguments(&known(&arguments), &context()));
        }
    }
}

/// core(5): a pattern that begins with a pipe is a program, run as root when any process crashes.
fn crash(gathering: &mut Gathering<'_>) {
    const PATTERN: &str = "/proc/sys/kernel/core_pattern";
    let mut found: Option<(String, usize, String)> = None;
    if gathering.host.is_live() {
        // In a container it is the outer machine's.
        if machine::virtualization(gathering.host) == "container" {
            return;
        }
        found = gathering.host.read_text(PATTERN, CONFIG_LIMIT).ok().map(|text| (PATTERN.to_string(), 1, text));
    } else {
        // sysctl.d(5): by file name, the last assignment of all counts.
        let mut by_name: BTreeMap<String, String> = BTreeMap::new();
        for folder in ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"] {
            for (name, _) in gathering.list(folder).into_iter().filter(|(n, _)| n.ends_with(".conf")) {
                let path = format!("{folder}/{name}");
                by_name.entry(name).or_insert(path);
            }
        }
        for path in by_name.into_values().chain(["/etc/sysctl.conf".to_string()]) {
            let Some(text) = gathering.text(&path, CONFIG_LIMIT) else { continue };
            for (number, line) in lines(&text) {
                let Some((key, value)) = line.split_once('=') else { continue };
                if key.trim().trim_start_matches('-').replace('/', ".") == "kernel.core_pattern" {
                    found = Some((path.clone(), number, value.trim().to_string()));
                }
            }
        }
    }
    let Some((path, line, pattern)) = found else { return };
    if let Some(program) = pattern.trim().strip_prefix('|') {
        let program = program.split_whitespace().next().unwrap_or("").to_string();
        let job = job(gathering, "hook", &path, line, "root", "crash of a process");
        gathering.keep(job, started::by_arguments(&[Some(program)], &context()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_udev_rules() {
        let line = r#"ACTION=="add", RUN+="/opt/a x", RUN{builtin}+="kmod", PROGRAM=="/opt/b", IMPORT{program}="/opt/c", ENV{RUN}="no""#;
        assert_eq!(run_keys(line), ["/opt/a x", "/opt/b", "/opt/c"]);
        for end in 0..line.len() {
            let _ = run_keys(&line[..end]);
        }
    }
}
