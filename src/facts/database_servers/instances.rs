//! MariaDB and MySQL servers of a machine with what they are given: option files in the order of the
//! server, then its command line; the last value wins.

use std::collections::BTreeMap;

use super::clusters::below_run;
use super::my_cnf::{Groups, Options, Unread};
use super::mysql_values::{Flavour, KNOWN, meaning, shown};
use super::process::Running;
use super::unit;
use crate::host::{Host, manager};
use crate::model::declared::{DatabaseAccess, DatabaseEngine};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Option files that are read when nothing else is named, in their order.
const FILES: [&str; 2] = ["/etc/my.cnf", "/etc/mysql/my.cnf"];
/// Programs of servers, and whether they are MariaDB's by their name.
const PROGRAMS: [(&str, bool); 6] = [
    ("/usr/sbin/mariadbd", true),
    ("/usr/bin/mariadbd", true),
    ("/usr/libexec/mariadbd", true),
    ("/usr/sbin/mysqld", false),
    ("/usr/bin/mysqld", false),
    ("/usr/libexec/mysqld", false),
];
/// Packages that hold a server, MariaDB's first.
const PACKAGES: [(&str, bool); 9] = [
    ("mariadb-server-core", true),
    ("mariadb-server", true),
    ("MariaDB-server", true),
    ("mariadb", true),
    ("mariadb-server-10.5", true),
    ("mysql-server-core-8.0", false),
    ("mysql-community-server-core", false),
    ("mysql-community-server", false),
    ("mysql-server", false),
];

/// One server and what it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// `mariadb /etc/mysql/my.cnf`, or the engine and its data folder.
    pub subject: String,
    /// `mariadb` or `mysql`.
    pub engine: String,
    /// Release; empty when it is not known.
    pub version: String,
    /// First option file that was read; empty when there is none.
    pub config: String,
    /// Data folder.
    pub data: String,
    /// Local socket; empty when it is not known.
    pub socket: String,
    /// Whether it runs; `None` when that can't be told.
    pub running: Option<bool>,
    /// Values by name, `-` written as `_`, and where they were given.
    pub values: BTreeMap<String, (String, Source)>,
    /// Plugins that are loaded at start, as written, with `;` between them.
    pub plugins: String,
    /// Which server it is.
    pub(super) flavour: Flavour,
    /// Settings that a shortened name may stand for, and where.
    pub(super) unclear: Vec<(String, String)>,
}

impl Instance {
    /// A value; empty when none was given.
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |v| v.0.as_str())
    }

    /// Whether a truth value is on, its default filled in.
    pub fn is_on(&self, name: &str) -> bool {
        let default = KNOWN.iter().find(|k| k.name == name).and_then(|k| (k.default)(&self.flavour)).unwrap_or("off");
        self.values.get(name).map_or(default == "on", |v| v.0 == "on")
    }

    /// The access that the operator declared to it.
    pub fn declared<'h>(&self, host: &'h Host) -> Option<&'h DatabaseAccess> {
        let own = below_run(&self.socket);
        host.declared().databases.iter().find(|d| d.engine == DatabaseEngine::Mariadb && !own.is_empty() && below_run(&d.socket) == own)
    }

    fn take(&mut self, options: &Options) {
        for given in &options.given {
            let (name, value) = meaning(&given.name, given.value.as_deref());
            match (name.as_str(), value) {
                ("plugin_load_add" | "plugin_load", Some(value)) => {
                    if name == "plugin_load" {
                        self.plugins.clear();
                    }
                    self.plugins.push_str(&value);
                    self.plugins.push(';');
                }
                ("datadir", Some(value)) => self.data = value.trim_end_matches('/').into(),
                ("socket", Some(value)) => self.socket = value,
                ("log_bin", value) => self.set("log_bin", if value.as_deref() == Some("off") { "off" } else { "on" }, &given.source),
                (name, value) if name.starts_with("ssl_") && KNOWN.iter().any(|k| k.name == name) => {
                    // Any of them turns TLS on; skip-ssl behind it turns it off again.
                    self.set(name, &value.unwrap_or_default(), &given.source);
                    self.set("ssl", "on", &given.source);
                }
                ("ssl", value) => self.set("ssl", if value.as_deref() == Some("off") { "off" } else { "on" }, &given.source),
                ("expire_logs_days", Some(days)) => {
                    if let Ok(days) = days.trim().parse::<u32>() {
                        self.set("binlog_expire_logs_seconds", &(u64::from(days) * 86_400).to_string(), &given.source);
                    }
                    self.set("expire_logs_days", &days, &given.source);
                }
                (name, value) if KNOWN.iter().any(|k| k.name == name) => match shown(name, &value.unwrap_or_else(|| "on".into())) {
                    Some(value) => self.set(name, &value, &given.source),
                    // The server warns and takes the option as off.
                    None => self.set(name, "off", &given.source),
                },
                ("master_info_file" | "relay_log_info_file", Some(value)) => self.set(&name, &value, &given.source),
                (name, _) => self.note_beginning(name, &given.source),
            }
        }
    }

    fn set(&mut self, name: &str, value: &str, source: &Source) {
        self.values.insert(name.into(), (value.into(), source.clone()));
    }

    /// The server takes any unambiguous beginning of a name; which ones are depends on its plugins.
    fn note_beginning(&mut self, name: &str, source: &Source) {
        const OTHERS: [&str; 12] = ["ssl", "server_audit", "log", "innodb", "gtid", "encrypt", "server", "local", "expire", "rpl", "tls", "sync"];
        if name.len() < 4 || OTHERS.contains(&name) {
            return;
        }
        for known in KNOWN.iter().filter(|k| k.name.starts_with(name)) {
            self.unclear.push((known.name.into(), format!("{}:{}: {name} may be short for {}", source.place, source.line, known.name)));
        }
    }
}

/// Every server that can be read: those that run, and the one that the files of the machine are for.
pub fn instances(host: &Host, processes: &[Running], family: &str, paths: &[&str], gaps: &mut Gaps) -> Vec<Instance> {
    let Some(flavour) = installed(host, processes) else { return Vec::new() };
    let mut out: Vec<Instance> = Vec::new();
    let own: Vec<&Running> = processes.iter().filter(|p| p.engine == "mysql").collect();
    let mut commands: Vec<(Vec<String>, String, bool)> = own.iter().map(|p| (p.arguments.clone(), format!("process {}", p.program), true)).collect();
    if !commands.iter().any(|(words, _, _)| uses_common_files(words)) && !FILES.iter().all(|f| !host.exists(f).unwrap_or(true)) {
        let service = unit::services(host, &["mariadb.service", "mysql.service", "mysqld.service"]).into_iter().next();
        let (words, place) = service.map_or_else(Default::default, |s| {
            let direct = s.arguments.first().cloned().flatten().is_some_and(|p| p.ends_with("/mariadbd") || p.ends_with("/mysqld"));
            (if direct { s.arguments.into_iter().skip(1).flatten().collect() } else { Vec::new() }, s.source.place)
        });
        commands.push((words, place, false));
    }
    for (words, place, runs) in commands {
        match instance(host, &flavour, &words, &place) {
            Ok(mut instance) => {
                instance.running = host.is_live().then_some(runs);
                if out.iter().any(|i| i.subject == instance.subject) {
                    instance.subject = format!("{} {}", instance.engine, if instance.socket.is_empty() { &instance.data } else { &instance.socket });
                }
                out.push(instance);
            }
            Err(unread) => paths.iter().for_each(|path| note(&unread, family, path, if flavour.is_mariadb { "mariadb" } else { "mysql" }, gaps)),
        }
    }
    out
}

fn note(unread: &Unread, family: &str, path: &str, subject: &str, gaps: &mut Gaps) {
    match unread {
        Unread::File(e) => gaps.add(e.to_gap(family, path, subject)),
        Unread::Line(file, line, problem) => {
            gaps.note(family, path, subject, reason::MALFORMED, format!("{file}:{line}: {problem}: the server would not start"), "Mend the line.");
        }
        Unread::Limit(detail) => gaps.note(family, path, subject, reason::LIMIT_REACHED, detail.clone(), "Simplify the includes."),
    }
}

fn uses_common_files(words: &[String]) -> bool {
    !words.first().is_some_and(|w| w.starts_with("--no-defaults") || w.starts_with("--defaults-file"))
}

/// Which server the machine has; `None` when there is none.
fn installed(host: &Host, processes: &[Running]) -> Option<Flavour> {
    let versions = manager::versions(host);
    for (package, is_mariadb) in PACKAGES {
        if let Some(version) = versions.get(package).and_then(|v| v.first()) {
            return Some(Flavour { is_mariadb, release: release(version) });
        }
    }
    let program = PROGRAMS.iter().find(|(path, _)| host.exists(path).unwrap_or(false));
    if let Some((path, is_mariadb)) = program {
        // MariaDB keeps a link under the old name.
        let linked = host.read_link(path).is_ok_and(|target| target.ends_with("mariadbd"));
        return Some(Flavour { is_mariadb: *is_mariadb || linked, release: None });
    }
    let process = processes.iter().find(|p| p.engine == "mysql")?;
    Some(Flavour { is_mariadb: process.program == "mariadbd", release: None })
}

/// `1:10.11.19-0+deb12u1` is 10.11.
fn release(version: &str) -> Option<(u32, u32)> {
    let version = version.split_once(':').map_or(version, |(_, v)| v);
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn instance(host: &Host, flavour: &Flavour, words: &[String], place: &str) -> Result<Instance, Unread> {
    let mut options = Options::default();
    let release = flavour.release.map(|(major, minor)| format!("{major}.{minor}")).unwrap_or_default();
    let mut groups = Groups { is_mariadb: flavour.is_mariadb, release: release.clone(), suffix: String::new() };
    // These are options only where they stand first.
    let mut files: Vec<String> = FILES.map(String::from).to_vec();
    let mut must_be_there = false;
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        if first == "--no-defaults" {
            files.clear();
        } else if let Some(file) = first.strip_prefix("--defaults-file=") {
            files = vec![file.into()];
            must_be_there = true;
        } else if let Some(file) = first.strip_prefix("--defaults-extra-file=") {
            files.push(file.into());
        } else if let Some(suffix) = first.strip_prefix("--defaults-group-suffix=") {
            groups.suffix = suffix.into();
        } else {
            break;
        }
        rest = after;
    }
    for file in &files {
        if !options.read(host, file, &groups)? && must_be_there {
            return Err(Unread::Line(file.clone(), 0, "the file that the command line names is not there"));
        }
    }
    if release.is_empty()
        && let Some(group) = options.release_groups.first()
    {
        return Err(Unread::Limit(format!("the release is not known and there is a group [{group}]")));
    }
    joined(rest).iter().for_each(|word| options.argument(word, place));
    let engine = if flavour.is_mariadb { "mariadb" } else { "mysql" };
    let mut out = Instance {
        engine: engine.into(),
        version: release,
        config: options.files.first().cloned().unwrap_or_default(),
        data: "/var/lib/mysql".into(),
        socket: "/run/mysqld/mysqld.sock".into(),
        flavour: flavour.clone(),
        ..Instance::default()
    };
    out.take(&options);
    out.subject = format!("{engine} {}", if out.config.is_empty() { &out.data } else { &out.config });
    let persisted = format!("{}/mysqld-auto.cnf", out.data);
    if !flavour.is_mariadb && host.exists(&persisted).unwrap_or(true) {
        return Err(Unread::Limit(format!("{persisted}: settings kept by SET PERSIST are not read")));
    }
    Ok(out)
}

/// `--port 1` as `--port=1`, `-P 1` likewise.
fn joined(words: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in words {
        match (word.as_str(), out.last_mut()) {
            (value, Some(last)) if !value.starts_with('-') && last.starts_with("--") && !last.contains('=') => {
                last.push('=');
                last.push_str(value);
            }
            ("-P", _) => out.push("--port".into()),
            ("-h", _) => out.push("--datadir".into()),
            _ => out.push(word.clone()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_and_words() {
        assert_eq!((release("1:10.11.19-0"), release("8.0.36-1.el9"), release("x")), (Some((10, 11)), Some((8, 0)), None));
        assert_eq!(joined(&["--port".into(), "1".into(), "--ssl".into(), "-P".into(), "2".into()]), ["--port=1", "--ssl", "--port=2"]);
    }
}
