//! How a server was started: the command lines of its running processes and of its systemd unit.
//! Options there name other files than the usual ones, and override what the files say.

use std::collections::BTreeMap;

use crate::facts::jobs::unit_file;
use crate::host::root::CONFIG_LIMIT;
use crate::host::{Host, processes, sockets};
use crate::model::gap::{Gaps, reason};

/// Folders of units, the first one wins (systemd.unit(5)).
const UNIT_FOLDERS: [&str; 4] = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// Longest command line read, bytes.
const LINE_LIMIT: usize = 128 << 10;
/// Most processes looked at.
const PROCESS_LIMIT: usize = 65_536;

/// A running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its command line.
    pub arguments: Vec<String>,
}

/// Processes of these names (comm) whose root folder is the host's own; one in a container is part of another
/// machine. None in a root folder that is only mounted.
pub fn running(host: &Host, names: &[&str], family: &str, gaps: &mut Gaps) -> Vec<Process> {
    if !host.is_live() {
        return Vec::new();
    }
    let ids = match processes::ids(host) {
        Ok(ids) => ids,
        Err(e) => {
            gaps.add(e.to_gap(family, "", ""));
            return Vec::new();
        }
    };
    let mut out = Vec::new();
    for pid in ids.into_iter().take(PROCESS_LIMIT) {
        if !names.contains(&processes::name(host, pid).as_str()) {
            continue;
        }
        let Ok(bytes) = host.read(&format!("/proc/{pid}/cmdline"), LINE_LIMIT) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let arguments: Vec<String> = text.trim_end_matches('\0').split('\0').map(String::from).collect();
        if arguments.iter().all(String::is_empty) {
            continue;
        }
        match sockets::shares_root(host, pid) {
            Ok(true) => out.push(Process { pid, arguments }),
            Ok(false) => {}
            Err(e) => {
                let detail = format!("whether process {pid} reads the files of this machine or of a container is not known: {e}");
                gaps.note(family, "", "", reason::PERMISSION_DENIED, detail, "Run the scan as root or grant CAP_SYS_PTRACE.");
            }
        }
    }
    out
}

/// Folder in which a process works; empty when it is not known.
pub fn working_folder(host: &Host, pid: u32) -> String {
    host.read_link(&format!("/proc/{pid}/cwd")).unwrap_or_default()
}

/// The words that the first of these units starts, variables of its environment files put in; empty without a unit.
pub fn unit_arguments(host: &Host, units: &[&str]) -> Vec<String> {
    for unit in units {
        let Some(text) = UNIT_FOLDERS.iter().find_map(|folder| host.read_text(&format!("{folder}/{unit}"), CONFIG_LIMIT).ok()) else { continue };
        let mut settings = unit_file::parse(&text, unit);
        for path in drop_ins(host, unit) {
            settings.extend(host.read_text(&path, CONFIG_LIMIT).map(|text| unit_file::parse(&text, &path)).unwrap_or_default());
        }
        let mut variables = BTreeMap::new();
        for file in unit_file::all(&settings, "Service", "EnvironmentFile") {
            variables.extend(assignments(&host.read_text(file.value.trim_start_matches('-'), CONFIG_LIMIT).unwrap_or_default()));
        }
        for line in unit_file::all(&settings, "Service", "Environment") {
            variables.extend(unit_file::words(&line.value).into_iter().filter_map(|w| w.split_once('=').map(|(k, v)| (k.to_string(), v.to_string()))));
        }
        let start = unit_file::all(&settings, "Service", "ExecStart").into_iter().next_back();
        return start.map(|s| words(&s.value, &variables)).unwrap_or_default();
    }
    Vec::new()
}

/// `UNIT.d/*.conf` by file name, the first folder that has a name wins.
fn drop_ins(host: &Host, unit: &str) -> Vec<String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for folder in UNIT_FOLDERS.map(|f| format!("{f}/{unit}.d")) {
        for entry in host.list(&folder).unwrap_or_default() {
            if entry.name.ends_with(".conf") {
                found.entry(entry.name.clone()).or_insert_with(|| format!("{folder}/{}", entry.name));
            }
        }
    }
    found.into_values().collect()
}

/// A lone `$NAME` becomes the words of its value (systemd.service(5)).
fn words(line: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let mut out = Vec::new();
    for word in unit_file::words(line) {
        match word.strip_prefix('$').filter(|n| !n.starts_with('$')) {
            Some(name) => {
                let value = variables.get(name.trim_matches(['{', '}'])).cloned().unwrap_or_default();
                out.extend(unit_file::words(&value));
            }
            None => out.push(word),
        }
    }
    out
}

/// `NAME=value` lines.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';']));
    lines.filter_map(|l| l.split_once('=')).map(|(k, v)| (k.trim().to_string(), v.trim().trim_matches(['"', '\'']).to_string())).collect()
}

/// The values of an option (`-c FILE` or `-cFILE`), in order.
pub fn option_values(arguments: &[String], option: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        match word.strip_prefix(option) {
            Some("") => out.extend(words.next().cloned()),
            Some(attached) => out.push(attached.to_string()),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn units_with_drop_ins_and_environment() {
        let (_root, host) = rooted(&[
            ("/lib/systemd/system/httpd.service", "[Service]\nEnvironmentFile=-/etc/sysconfig/httpd\nExecStart=/usr/sbin/httpd $OPTIONS -DFOREGROUND\n"),
            ("/etc/sysconfig/httpd", "# x\nOPTIONS=\"-f /etc/x.conf -D TWO\"\n"),
            ("/lib/systemd/system/nginx.service", "[Service]\nExecStart=/usr/sbin/nginx -g 'daemon on;'\n"),
            ("/etc/systemd/system/nginx.service.d/a.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/nginx -c /etc/n.conf\n"),
        ]);
        let httpd = unit_arguments(&host, &["none.service", "httpd.service"]);
        assert_eq!(httpd, ["/usr/sbin/httpd", "-f", "/etc/x.conf", "-D", "TWO", "-DFOREGROUND"]);
        assert_eq!(option_values(&httpd, "-D"), ["TWO", "FOREGROUND"]);
        assert_eq!(option_values(&unit_arguments(&host, &["nginx.service"]), "-c"), ["/etc/n.conf"]);
        assert!(unit_arguments(&host, &["no.service"]).is_empty());
    }
}
