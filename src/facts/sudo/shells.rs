//! Which permitted commands are a way to a root shell.
//!
//! A command counts by the name of its program (data file `root-shell-programs.csv`) and by whether
//! the caller chooses arguments; or because somebody else than root can replace what it runs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::parse::Item;
use crate::facts::accounts::database::{GroupLine, PasswdLine};
use crate::host::{FileKind, Host, ReadError};

const PROGRAMS: &str = include_str!("../../../rules/data/root-shell-programs.csv");

/// Name -> way and whether fixed arguments do not prevent it.
static WAYS: LazyLock<BTreeMap<&str, (&str, bool)>> = LazyLock::new(|| {
    let rows = PROGRAMS.lines().filter(|l| !l.starts_with('#')).skip(1);
    rows.filter_map(|l| {
        let mut fields = l.split(',');
        Some((fields.next()?, (fields.next()?, fields.next()? == "yes")))
    })
    .collect()
});

/// Folders in which a name stands for the program that is known by it.
const FOLDERS: [&str; 9] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/snap/bin", "/usr/libexec", "/usr/lib/cargo/bin"];
/// Most links followed from a command.
const LINK_LIMIT: usize = 8;
/// Most programs that a wildcard in a path is compared with.
const MATCH_LIMIT: usize = 4096;

/// What the check needs to know of the machine.
#[derive(Debug)]
pub struct Programs<'a> {
    /// Machine.
    pub host: &'a Host,
    /// passwd(5).
    pub users: &'a [PasswdLine],
    /// group(5).
    pub groups: &'a [GroupLine],
}

impl Programs<'_> {
    /// How a command that runs as root gives a shell; `None` when it does not.
    pub fn how(&self, command: &Item, no_exec: bool) -> Option<String> {
        let path = command.text.as_str();
        if path == "ALL" {
            return Some("every command".into());
        }
        if path == "sudoedit" {
            return edited(command.arguments.as_deref());
        }
        if !path.starts_with('/') {
            // A regular expression, or a word that sudo would never match.
            return (path.starts_with('^') && path.contains(".*")).then(|| "a regular expression that matches programs of any name".into());
        }
        if let Some(folder) = path.strip_suffix('/') {
            return self.in_folder(folder, "*", no_exec).map(|name| format!("{path} holds {name}"));
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if has_wildcard(folder) {
            // Folders that match are not searched one by one; `/*/sh` is caught by its name.
            return FOLDERS
                .iter()
                .find(|f| crate::model::pattern::matches(folder, f))
                .and_then(|f| self.in_folder(f, name, no_exec))
                .map(|found| format!("{path} matches {found}"));
        }
        if has_wildcard(name) {
            return self.in_folder(folder, name, no_exec).map(|found| format!("{path} matches {found}"));
        }
        self.program(path, command.arguments.as_deref(), no_exec)
    }

    fn program(&self, path: &str, arguments: Option<&str>, no_exec: bool) -> Option<String> {
        self.names(path).into_iter().find_map(|name| {
            let (way, fixed) = *WAYS.get(name.as_str()).or_else(|| WAYS.get(versionless(&name)))?;
            (escapes(&name, way, fixed, arguments) && !(no_exec && way == "pager")).then(|| format!("{path} ({})", described(way)))
        })
    }

    /// The program's name and those of what it links to, as far as they stand in a known folder.
    fn names(&self, path: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut at = path.to_string();
        for _ in 0..LINK_LIMIT {
            let (folder, name) = at.rsplit_once('/').unwrap_or(("", &at));
            if FOLDERS.contains(&folder) {
                out.push(name.to_string());
            }
            match self.host.stat_link(&at) {
                Ok(stat) if stat.kind == FileKind::Link => match self.host.read_link(&at) {
                    Ok(target) if target.starts_with('/') => at = target,
                    Ok(target) => at = format!("{folder}/{target}"),
                    Err(_) => break,
                },
                _ => break,
            }
        }
        out
    }

    fn in_folder(&self, folder: &str, pattern: &str, no_exec: bool) -> Option<String> {
        let known = FOLDERS.contains(&folder);
        let entries = self.host.list(folder).unwrap_or_default();
        let found = entries
            .iter()
            .take(MATCH_LIMIT)
            .filter(|e| crate::model::pattern::matches(pattern, &e.name))
            .find_map(|e| self.program(&format!("{folder}/{}", e.name), None, no_exec));
        // An image may lack the folder; its usual programs still stand for it.
        found.or_else(|| (known && entries.is_empty() && crate::model::pattern::matches(pattern, "sh")).then(|| format!("{folder}/sh (a shell)")))
    }

    /// The first place through which somebody else than root, and who, can change what a command
    /// runs: the program, a script that an interpreter is given, or a folder above either.
    pub fn writable(&self, command: &Item) -> Result<Option<(String, String)>, ReadError> {
        if command.digest || !command.text.starts_with('/') {
            return Ok(None);
        }
        let path = command.text.trim_end_matches('/');
        // Of a wildcard, the folder before it can still be looked at.
        let path = match path.find(['*', '?', '[']) {
            Some(at) => path.get(..at).and_then(|p| p.rsplit_once('/')).map_or("", |(folder, _)| folder),
            None => path,
        };
        match (self.writable_path(path)?, script_of(command)) {
            (None, Some(script)) => self.writable_path(script),
            (found, _) => Ok(found),
        }
    }

    fn writable_path(&self, path: &str) -> Result<Option<(String, String)>, ReadError> {
        let mut at = path;
        let mut child_exists = true;
        loop {
            match self.host.stat(at) {
                Ok(stat) => {
                    let writers = self.writers(stat.mode, stat.uid, stat.gid);
                    // In a sticky folder only the owner of an entry may replace it.
                    let held = stat.kind == FileKind::Folder && stat.mode & 0o1000 != 0 && child_exists;
                    if let Some(who) = writers.filter(|_| !held || stat.uid != 0) {
                        return Ok(Some((at.to_string(), who)));
                    }
                    child_exists = true;
                }
                Err(e) if e.is_not_found() => child_exists = false,
                Err(e) => return Err(e),
            }
            at = match at.rsplit_once('/') {
                Some(("", _)) | None => return Ok(None),
                Some((parent, _)) => parent,
            };
        }
    }

    fn writers(&self, mode: u32, uid: u32, gid: u32) -> Option<String> {
        if mode & 0o002 != 0 {
            return Some("everybody".into());
        }
        if uid != 0 {
            return Some(self.users.iter().find(|u| u.uid == uid).map_or_else(|| format!("user id {uid}"), |u| u.name.clone()));
        }
        let members =
            self.users.iter().any(|u| u.uid != 0 && u.gid == gid) || self.groups.iter().any(|g| g.gid == gid && g.members.iter().any(|m| m != "root"));
        (mode & 0o020 != 0 && members)
            .then(|| self.groups.iter().find(|g| g.gid == gid).map_or_else(|| format!("group id {gid}"), |g| format!("group {}", g.name)))
    }
}

/// The script that a shell or an interpreter is told to run.
fn script_of(command: &Item) -> Option<&str> {
    let name = command.text.rsplit('/').next()?;
    let (way, _) = *WAYS.get(name).or_else(|| WAYS.get(versionless(name)))?;
    let script = command.arguments.as_deref()?.split_whitespace().find(|a| !a.starts_with('-'))?;
    (matches!(way, "shell" | "interpreter") && script.starts_with('/') && !has_wildcard(script)).then_some(script)
}

fn described(way: &str) -> &'static str {
    match way {
        "shell" => "a shell",
        "interpreter" => "an interpreter",
        "editor" => "an editor that writes any file and starts a shell",
        "pager" => "a pager that starts a shell",
        "runner" => "starts any program",
        "writer" => "changes any file",
        _ => "administers the machine",
    }
}

/// `python3.11` is `python3`, `gcc-12` is `gcc`.
fn versionless(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-')
}

/// Whether the permitted arguments leave a way.
fn escapes(name: &str, way: &str, fixed: bool, arguments: Option<&str>) -> bool {
    let Some(arguments) = arguments else { return true };
    if fixed {
        return true;
    }
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let plain: Vec<&str> = words.iter().copied().filter(|w| !w.starts_with('-')).collect();
    match (way, name) {
        // Without arguments they stand at a prompt; with a script that is named they run it.
        (_, "su" | "login" | "runuser") => plain.is_empty() && !arguments.contains('*') || plain == ["root"] || is_open(arguments),
        ("shell", _) | ("interpreter", "python" | "python2" | "python3" | "lua" | "node" | "tclsh" | "irb" | "php" | "expect" | "gdb") => {
            plain.is_empty() || is_open_from_start(&words)
        }
        (_, "passwd") => arguments.is_empty() || plain == ["root"] || is_open_from_start(&words),
        // Of these, the verb decides: restarting services or containers of any name gives no shell.
        (_, "systemctl") => {
            is_open_from_start(&words) || plain.first().is_some_and(|v| ["edit", "link", "enable", "set-environment"].contains(v) && is_open(arguments))
        }
        (_, "docker" | "podman" | "nerdctl") => {
            is_open_from_start(&words)
                || plain.first().is_some_and(|v| ["run", "exec", "create", "cp", "build", "compose", "container", "image"].contains(v) && is_open(arguments))
        }
        (_, "visudo" | "crontab") => arguments.is_empty() || words.contains(&"-e") || is_open(arguments),
        ("writer", _) if plain.iter().any(|w| DECISIVE.iter().any(|d| w.starts_with(d))) => true,
        _ => is_open(arguments),
    }
}

/// Whether a wildcard lets the caller add words of their own: `*` matches blanks, too.
fn is_open(arguments: &str) -> bool {
    arguments.contains('*') || (arguments.starts_with('^') && (arguments.contains(".*") || arguments.contains(".+")))
}

/// Whether the first word that matters is the caller's.
fn is_open_from_start(words: &[&str]) -> bool {
    words.first().is_some_and(|w| w.starts_with(['*', '?', '[', '^']) || (w.starts_with('-') && w.contains('*')))
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Files whose content decides who is root.
const DECISIVE: [&str; 12] = [
    "/etc/sudoers",
    "/etc/doas.conf",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
    "/etc/crontab",
    "/etc/cron.",
    "/etc/pam.d",
    "/etc/systemd/system",
    "/etc/ld.so.preload",
    "/root/.ssh",
];

/// sudoedit(8) writes the file that is named; a wildcard does not match a slash, but `..` and links
/// of a folder that the user may write do the rest.
fn edited(arguments: Option<&str>) -> Option<String> {
    let Some(arguments) = arguments else { return Some("sudoedit of any file".into()) };
    let mut files = arguments.split_whitespace();
    let decisive = |file: &str| file == "*" || file == "/*" || DECISIVE.iter().any(|d| file.starts_with(d));
    files.find(|f| decisive(f)).map(|f| format!("sudoedit of {f}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(text: &str, arguments: Option<&str>, no_exec: bool) -> bool {
        let root = tempfile::tempdir().unwrap();
        let host = Host::rooted(root.path()).unwrap();
        let programs = Programs { host: &host, users: &[], groups: &[] };
        programs.how(&Item { arguments: arguments.map(String::from), ..Item::plain(text) }, no_exec).is_some()
    }

    #[test]
    fn programs_that_give_a_shell_are_told_from_those_that_do_not() {
        for (text, arguments, expected) in [
            ("ALL", None, true),
            ("/bin/bash", None, true),
            ("/bin/bash", Some("/opt/run.sh"), false),
            ("/bin/sh", Some(""), true),
            ("/usr/bin/vim", Some("/etc/hosts"), true),
            ("/usr/bin/less", Some("/var/log/syslog"), true),
            ("/usr/bin/systemctl", None, true),
            ("/usr/bin/systemctl", Some("restart nginx"), false),
            ("/usr/bin/systemctl", Some("restart nginx.service"), false),
            ("/usr/bin/systemctl", Some("restart nginx*"), false),
            ("/usr/bin/systemctl", Some("* nginx"), true),
            ("/usr/bin/systemctl", Some("edit *"), true),
            ("/usr/bin/docker", Some("restart *"), false),
            ("/usr/bin/docker", Some("exec *"), true),
            ("/bin/tar", Some("czf /backup/x.tgz *"), true),
            ("/bin/tar", Some("czf /backup/x.tgz /srv"), false),
            ("/usr/bin/python3.11", None, true),
            ("/usr/bin/python3", Some("/opt/report.py"), false),
            ("/usr/bin/id", None, false),
            ("/usr/bin/whoami", None, false),
            ("/opt/tools/find", None, false),
            ("/bin/*", None, true),
            ("/usr/bin/", None, true),
            ("/opt/app/*", None, false),
            ("/bin/su", Some("- postgres"), false),
            ("/bin/su", Some("-"), true),
            ("/usr/bin/passwd", Some("deploy"), false),
            ("/usr/bin/passwd", None, true),
            ("sudoedit", None, true),
            ("sudoedit", Some("/etc/nginx/nginx.conf"), false),
            ("sudoedit", Some("/etc/sudoers.d/x"), true),
            ("/usr/bin/tee", Some("/sys/class/backlight/brightness"), false),
            ("/usr/bin/tee", Some("-a /etc/sudoers.d/x"), true),
        ] {
            assert_eq!(how(text, arguments, false), expected, "{text} {arguments:?}");
        }
        assert!(!how("/usr/bin/less", Some("/var/log/syslog"), true));
        assert!(how("/usr/bin/vim", None, true));
    }

    #[test]
    fn every_row_of_the_data_is_read() {
        let rows = PROGRAMS.lines().filter(|l| !l.starts_with('#')).count() - 1;
        assert_eq!(WAYS.len(), rows);
        assert!(WAYS.values().all(|(way, _)| ["shell", "interpreter", "editor", "pager", "runner", "writer", "manager"].contains(way)));
    }
}
