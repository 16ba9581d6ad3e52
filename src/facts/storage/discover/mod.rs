//! Where programs keep data, read from their configuration and from running servers.

mod postgresql;
mod programs;
mod sql;

use crate::host::{Host, ReadError, sockets};
use crate::model::fact::Source;

/// A path that keeps data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Absolute path.
    pub path: String,
    /// Word of a data class.
    pub class: &'static str,
    /// Program, `declared` or `system`.
    pub program: &'static str,
    /// What the operator declares to encrypt it.
    pub encrypted_by: String,
    /// Where the path was read.
    pub source: Source,
}

/// What was found, and configuration that could not be read.
#[derive(Debug, Default)]
pub struct Discovered {
    /// Paths; one may come twice.
    pub found: Vec<Found>,
    /// Program and why its data is not known.
    pub unread: Vec<(&'static str, ReadError)>,
}

impl Discovered {
    /// Adds an absolute path; closing slashes go.
    pub fn add(&mut self, program: &'static str, class: &'static str, path: &str, source: Source) {
        let short = path.trim_end_matches('/');
        if short.starts_with('/') {
            self.found.push(Found { path: short.into(), class, program, encrypted_by: String::new(), source });
        }
    }

    /// Adds a folder that is only taken when it is there.
    pub fn add_default(&mut self, host: &Host, program: &'static str, class: &'static str, path: &str) {
        if host.exists(path).unwrap_or(false) {
            self.add(program, class, path, Source::whole(path));
        }
    }

    /// Text of a configuration file; `None` when there is none or, noted, it can't be read.
    pub fn text(&mut self, host: &Host, program: &'static str, path: &str) -> Option<String> {
        match host.read_text(path, crate::host::CONFIG_LIMIT) {
            Ok(text) => Some(text),
            Err(e) => {
                if !e.is_not_found() {
                    self.unread.push((program, e));
                }
                None
            }
        }
    }
}

/// Everything that can be discovered.
pub fn all(host: &Host) -> Discovered {
    let mut out = Discovered::default();
    postgresql::find(host, &mut out);
    sql::find(host, &mut out);
    programs::find(host, &mut out);
    running(host, &mut out);
    out.add_default(host, "system", "home", "/home");
    out.add_default(host, "system", "logs", "/var/log");
    out
}

/// Servers whose working folder is their data folder, or which name it in an argument.
const SERVERS: &[(&str, &str, &[&str])] = &[
    ("postgres", "postgresql", &["-D", "--pgdata"]),
    ("mariadbd", "mysql", &["--datadir"]),
    ("mysqld", "mysql", &["--datadir", "-h"]),
    ("mongod", "mongodb", &["--dbpath"]),
    ("redis-server", "redis", &["--dir"]),
    ("valkey-server", "redis", &["--dir"]),
    ("etcd", "etcd", &["--data-dir", "-data-dir"]),
    ("dockerd", "docker", &["--data-root", "-g"]),
    ("containerd", "containerd", &["--root"]),
];
/// Most processes looked at.
const PROCESS_LIMIT: usize = 65_536;

fn running(host: &Host, out: &mut Discovered) {
    if !host.is_live() {
        return;
    }
    for entry in host.list("/proc").unwrap_or_default().into_iter().take(PROCESS_LIMIT) {
        let Ok(pid) = entry.name.parse::<u32>() else { continue };
        let name = host.read_text(&format!("/proc/{pid}/comm"), 256).unwrap_or_default();
        let Some((_, program, flags)) = SERVERS.iter().find(|s| s.0 == name.trim()) else {
            continue;
        };
        // Paths of a container are those of its own file systems.
        if !sockets::runs_in_host_root(host, pid) {
            continue;
        }
        let place = format!("/proc/{pid}/cmdline");
        let class = if matches!(*program, "docker" | "containerd") { "other" } else { "database" };
        let words = host.read(&place, 1 << 20).unwrap_or_default();
        let words: Vec<String> = words.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        // The process id is left out: it changes at each start.
        let source = |flag: &str| Source { place: format!("process {}", name.trim()), line: 0, directive: flag.into() };
        match argument(&words, flags) {
            Some((flag, path)) => out.add(program, class, &path, source(flag)),
            None if matches!(name.trim(), "postgres" | "redis-server" | "valkey-server") => {
                let folder = host.read_link(&format!("/proc/{pid}/cwd")).unwrap_or_default();
                // A server that never left the root folder says nothing by it.
                if folder.len() > 1 {
                    out.add(program, class, &folder, source("working folder"));
                }
            }
            None => {}
        }
    }
}

/// `--flag=VALUE`, `--flag VALUE` or `-DVALUE`: only the path leaves, never the other arguments.
fn argument<'f>(words: &[String], flags: &[&'f str]) -> Option<(&'f str, String)> {
    for (i, word) in words.iter().enumerate().skip(1) {
        for &flag in flags {
            let Some(rest) = word.strip_prefix(flag) else {
                continue;
            };
            let value = match rest.strip_prefix('=') {
                Some(value) => value,
                None if rest.is_empty() => words.get(i + 1).map_or("", String::as_str),
                None if !flag.starts_with("--") && rest.starts_with('/') => rest,
                None => continue,
            };
            if value.starts_with('/') {
                return Some((flag, value.to_string()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_is_taken_from_arguments() {
        let words = |t: &str| t.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(argument(&words("postgres -c x=y -D /srv/pg"), &["-D"]), Some(("-D", "/srv/pg".into())));
        assert_eq!(argument(&words("postgres -D/srv/pg"), &["-D"]), Some(("-D", "/srv/pg".into())));
        assert_eq!(argument(&words("mongod --dbpath=/srv/m"), &["--dbpath"]), Some(("--dbpath", "/srv/m".into())));
        assert_eq!(argument(&words("mysqld --datadir-x=/a --datadir rel"), &["--datadir"]), None);
        assert_eq!(argument(&words("-D"), &["-D"]), None);
    }

    #[test]
    fn a_server_names_its_folder_also_from_a_mount_namespace_of_its_own_and_containers_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("image")).unwrap();
        let process = |pid: &str, comm: &str, words: &str, sees: &str| {
            let folder = root.path().join("proc").join(pid);
            std::fs::create_dir_all(folder.join("ns")).unwrap();
            std::fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
            std::fs::write(folder.join("cmdline"), words.replace(' ', "\0")).unwrap();
            std::os::unix::fs::symlink(format!("mnt:[{pid}]"), folder.join("ns/mnt")).unwrap();
            std::os::unix::fs::symlink(sees, folder.join("root")).unwrap();
        };
        process("1", "systemd", "init", "/");
        process("20", "postgres", "postgres -D /srv/pg", "/");
        process("30", "mongod", "mongod --dbpath /data/db", "/image");
        process("40", "bash", "bash -D /x", "/");
        let mut out = Discovered::default();
        running(&Host::recorded(root.path()).unwrap(), &mut out);
        assert_eq!(out.found.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["/srv/pg"]);
        let mut none = Discovered::default();
        running(&Host::rooted(root.path()).unwrap(), &mut none);
        assert!(none.found.is_empty());
    }
}
