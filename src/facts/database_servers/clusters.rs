//! PostgreSQL clusters of a machine with their effective settings: Debian's layout, the data folders
//! of other distributions, those that units name, and those of running servers.
//!
//! Settings in the order of the server: `postgresql.conf` with its includes, `postgresql.auto.conf`
//! of the data folder, the command line.

use super::pg_conf::{Settings, Unread, beside};
use super::process::Running;
use super::unit;
use crate::facts::jobs::unit_file;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::declared::{DatabaseAccess, DatabaseEngine};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Most clusters of one machine.
const CLUSTER_LIMIT: usize = 256;
/// Data folders of distributions; each may also be one level below, by release.
const DATA_FOLDERS: [&str; 4] = ["/var/lib/pgsql/data", "/var/lib/postgresql/data", "/var/lib/postgres/data", "/var/db/postgres/data"];

/// One cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// `postgresql 15/main`, or `postgresql FOLDER`.
    pub subject: String,
    /// Major release.
    pub major: u32,
    /// Main file.
    pub config: String,
    /// Data folder.
    pub data: String,
    /// Whether it runs; `None` when that can't be told.
    pub running: Option<bool>,
    /// Processes that send its log to standbys.
    pub senders: usize,
    /// What is in effect.
    pub settings: Settings,
}

impl Cluster {
    /// A file named by a setting: relative to the data folder.
    pub fn path(&self, value: &str) -> String {
        if value.is_empty() || value.starts_with('/') { value.into() } else { format!("{}/{value}", self.data) }
    }

    /// Its `pg_hba.conf`.
    pub fn hba_file(&self) -> String {
        let named = self.settings.text("hba_file");
        self.path(if named.is_empty() { "pg_hba.conf" } else { named })
    }

    /// Its port.
    pub fn port(&self) -> u32 {
        self.settings.get("port").map_or(Some(5432), |w| super::pg_values::port(&w.value)).unwrap_or(0)
    }

    /// Folders of its local sockets.
    pub fn socket_folders(&self) -> Vec<String> {
        match self.settings.get("unix_socket_directories") {
            Some(written) => written.value.split(',').map(|f| f.trim().trim_matches('"').to_string()).filter(|f| !f.is_empty()).collect(),
            None => ["/var/run/postgresql", "/run/postgresql", "/tmp"].map(String::from).to_vec(),
        }
    }

    /// The access that the operator declared to it.
    pub fn declared<'h>(&self, host: &'h Host) -> Option<&'h DatabaseAccess> {
        let name = format!(".s.PGSQL.{}", self.port());
        let folders: Vec<String> = self.socket_folders().iter().map(|f| below_run(f)).collect();
        host.declared().databases.iter().find(|d| {
            let socket = below_run(&d.socket);
            let (folder, file) = socket.rsplit_once('/').unwrap_or_default();
            d.engine == DatabaseEngine::Postgresql && file == name && folders.iter().any(|f| f == folder)
        })
    }
}

/// `/var/run` is a link to `/run`.
pub fn below_run(path: &str) -> String {
    let path = path.trim_end_matches('/');
    path.strip_prefix("/var/run").filter(|rest| rest.is_empty() || rest.starts_with('/')).map_or_else(|| path.to_string(), |rest| format!("/run{rest}"))
}

/// Settings of a command line in their order.
type Given = Vec<(String, String)>;

/// Before it is read.
#[derive(Clone, Debug, Default)]
struct Found {
    subject: String,
    config: String,
    data: String,
    running: bool,
    senders: usize,
    options: Given,
    options_place: String,
}

/// Every cluster that can be read. What can't becomes a gap of `family` at each of `paths` that names it.
pub fn read(host: &Host, running: &[Running], family: &str, paths: &[&str], gaps: &mut Gaps) -> Vec<Cluster> {
    let mut found = Vec::new();
    debian(host, &mut found);
    folders(host, &mut found);
    processes(host, running, &mut found);
    if found.len() > CLUSTER_LIMIT {
        found.truncate(CLUSTER_LIMIT);
        let detail = format!("more than {CLUSTER_LIMIT} clusters of PostgreSQL");
        paths.iter().for_each(|path| gaps.note(family, path, "", reason::LIMIT_REACHED, detail.clone(), ""));
    }
    let mut out = Vec::new();
    for one in found {
        match cluster(host, &one) {
            Ok(cluster) => out.push(cluster),
            Err(unread) => paths.iter().for_each(|path| note(&unread, family, path, &one.subject, gaps)),
        }
    }
    out
}

/// The gap that an unread configuration leaves.
pub fn note(unread: &Unread, family: &str, path: &str, subject: &str, gaps: &mut Gaps) {
    match unread {
        Unread::File(e) => gaps.add(e.to_gap(family, path, subject)),
        Unread::Line(file, line, problem) => {
            let detail = format!("{file}:{line}: {problem}: the server would not load this file");
            gaps.note(family, path, subject, reason::MALFORMED, detail, "Mend the line.");
        }
        Unread::Limit(detail) => gaps.note(family, path, subject, reason::LIMIT_REACHED, detail.clone(), "Simplify the includes."),
    }
}

fn debian(host: &Host, found: &mut Vec<Found>) {
    for version in host.list("/etc/postgresql").unwrap_or_default() {
        for cluster in host.list(&format!("/etc/postgresql/{}", version.name)).unwrap_or_default() {
            let folder = format!("/etc/postgresql/{}/{}", version.name, cluster.name);
            let config = format!("{folder}/postgresql.conf");
            if !host.exists(&config).unwrap_or(true) {
                continue;
            }
            let options_place = format!("{folder}/pg_ctl.conf");
            let options = host.read_text(&options_place, CONFIG_LIMIT).map(|text| pg_ctl_options(&text)).unwrap_or_default();
            found.push(Found {
                subject: format!("postgresql {}/{}", version.name, cluster.name),
                config,
                data: format!("/var/lib/postgresql/{}/{}", version.name, cluster.name),
                options,
                options_place,
                ..Found::default()
            });
        }
    }
}

/// `pg_ctl_options = '-o "-c ssl=off"'`: the options of the server among those of pg_ctl.
fn pg_ctl_options(text: &str) -> Vec<(String, String)> {
    let line = text.lines().map(str::trim).rfind(|l| l.starts_with("pg_ctl_options")).unwrap_or_default();
    let value = line.split_once('=').map_or("", |(_, v)| v.trim().trim_matches('\''));
    let words = unit_file::words(value);
    let inner = words.iter().enumerate().filter_map(|(i, w)| match w.as_str() {
        "-o" | "--options" => words.get(i + 1).cloned(),
        _ => w.strip_prefix("-o").or_else(|| w.strip_prefix("--options=")).map(String::from),
    });
    inner.flat_map(|options| command_line(&unit_file::words(&options))).collect()
}

fn folders(host: &Host, found: &mut Vec<Found>) {
    let mut folders: Vec<(String, Given, String)> = Vec::new();
    for service in unit::services(host, &["postgresql"]) {
        let words: Vec<String> = service.arguments.iter().skip(1).flatten().cloned().collect();
        let program = service.arguments.first().cloned().flatten().unwrap_or_default();
        let options = command_line(&words);
        let data = service.environment.get("PGDATA").cloned().or_else(|| options.iter().find(|(n, _)| n == "data_folder").map(|(_, v)| v.clone()));
        // pg_ctl has options of its own; those of `postmaster` and `postgres` are the server's.
        let options = if program.ends_with("/pg_ctl") || program.ends_with("/pg_ctlcluster") { Vec::new() } else { options };
        folders.extend(data.map(|d| (d, options, service.source.place.clone())));
    }
    for folder in DATA_FOLDERS {
        folders.push((folder.into(), Vec::new(), String::new()));
        let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
        for entry in host.list(above).unwrap_or_default() {
            folders.push((format!("{above}/{}/data", entry.name), Vec::new(), String::new()));
        }
    }
    for (data, options, options_place) in folders {
        let data = data.trim_end_matches('/').to_string();
        let config = format!("{data}/postgresql.conf");
        // A folder that may not be entered is told; one that is not there is not.
        let there = host.exists(&config).unwrap_or(true);
        if there && !found.iter().any(|f| f.config == config || f.data == data) {
            found.push(Found { subject: format!("postgresql {data}"), config, data, options, options_place, ..Found::default() });
        }
    }
}

fn processes(host: &Host, running: &[Running], found: &mut Vec<Found>) {
    for process in running.iter().filter(|r| r.engine == "postgresql") {
        let options = command_line(&process.arguments);
        let named = |name: &str| options.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.trim_end_matches('/').to_string());
        let folder = named("data_folder").filter(|d| d.starts_with('/')).unwrap_or_else(|| process.folder.clone());
        let config = named("config_file").unwrap_or_else(|| format!("{folder}/postgresql.conf"));
        let data = named("data_directory").unwrap_or_else(|| folder.clone());
        let data = if process.folder.is_empty() { data } else { process.folder.clone() };
        let options_place = format!("process {}", process.program);
        let same = |f: &&mut Found| {
            f.config == config || host.stat(&f.config).is_ok_and(|a| host.stat(&config).is_ok_and(|b| (a.device, a.inode) == (b.device, b.inode)))
        };
        match found.iter_mut().find(same) {
            Some(known) => {
                known.running = true;
                known.senders = process.senders;
                known.options = options;
                known.options_place = options_place;
            }
            None => found.push(Found { subject: format!("postgresql {data}"), config, data, running: true, senders: process.senders, options, options_place }),
        }
    }
}

fn cluster(host: &Host, found: &Found) -> Result<Cluster, Unread> {
    let mut settings = Settings::default();
    settings.read(host, &found.config)?;
    let option = |name: &str| found.options.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let written = settings.text("data_directory");
    let data = match option("data_directory").or_else(|| (!written.is_empty()).then_some(written)) {
        Some(data) => beside(&found.config, data),
        None => found.data.clone(),
    };
    match settings.read(host, &format!("{data}/postgresql.auto.conf")) {
        Err(Unread::File(e)) if e.is_not_found() => {}
        other => other?,
    }
    for (name, value) in &found.options {
        settings.set(name, value, Source { place: found.options_place.clone(), line: 0, directive: name.clone() });
    }
    let major = major(host, &found.subject, &data)?;
    let running = host.is_live().then_some(found.running);
    Ok(Cluster {
        subject: found.subject.clone(),
        major,
        config: found.config.clone(),
        data: data.trim_end_matches('/').into(),
        running,
        senders: found.senders,
        settings,
    })
}

/// The release that made the data folder.
fn major(host: &Host, subject: &str, data: &str) -> Result<u32, Unread> {
    let named = || subject.strip_prefix("postgresql ").and_then(|s| s.split_once('/')).and_then(|(v, _)| number(v));
    match host.read_text(&format!("{data}/PG_VERSION"), 64) {
        Ok(text) => number(text.trim()).ok_or_else(|| Unread::Line(format!("{data}/PG_VERSION"), 1, "no release")),
        Err(e) => named().ok_or(Unread::File(e)),
    }
}

/// `15`, and `9` of `9.6`.
fn number(text: &str) -> Option<u32> {
    text.split('.').next()?.parse().ok()
}

/// Options of the server's command line in their order, as settings (postgres(1)).
pub fn command_line(words: &[String]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').unwrap_or((long, ""));
            out.push((name.to_ascii_lowercase().replace('-', "_"), value.to_string()));
            continue;
        }
        let Some((flag, attached)) = word.split_at_checked(2).filter(|(flag, _)| flag.starts_with('-')) else { continue };
        let plain = match flag {
            "-F" => Some(("fsync", "off")),
            "-i" => Some(("listen_addresses", "*")),
            "-l" => Some(("ssl", "on")),
            _ => None,
        };
        if let Some((name, value)) = plain {
            out.push((name.into(), value.into()));
            continue;
        }
        if !"BcdDfhkNprStvW".contains(flag.trim_start_matches('-')) {
            continue;
        }
        let value = if attached.is_empty() { words.next().cloned().unwrap_or_default() } else { attached.to_string() };
        match flag {
            "-c" => out.extend(value.split_once('=').map(|(n, v)| (n.trim().to_ascii_lowercase().replace('-', "_"), v.to_string()))),
            "-D" => out.push(("data_folder".into(), value)),
            "-h" => out.push(("listen_addresses".into(), value)),
            "-k" => out.push(("unix_socket_directories".into(), value)),
            "-p" => out.push(("port".into(), value)),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn options_of_the_command_line() {
        let words: Vec<String> = "-D /d -c SSL=on --log-connections=on -p5433 -h * -F -N 10 -k /s".split(' ').map(String::from).collect();
        let shown: Vec<String> = command_line(&words).iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(shown, ["data_folder=/d", "ssl=on", "log_connections=on", "port=5433", "listen_addresses=*", "fsync=off", "unix_socket_directories=/s"]);
        assert!(command_line(&["-c".into(), "é".into(), "-".into(), "é-".into()]).is_empty());
    }

    #[test]
    fn clusters_of_every_layout() {
        let (_root, host) = rooted(&[
            ("/etc/postgresql/15/main/postgresql.conf", "data_directory = '/srv/pg15'\nport = 5433\nssl = on\n"),
            ("/etc/postgresql/15/main/pg_ctl.conf", "pg_ctl_options = '-l /x -o \"-c fsync=off\"'\n"),
            ("/srv/pg15/PG_VERSION", "15\n"),
            ("/srv/pg15/postgresql.auto.conf", "# Do not edit\nssl = 'off'\n"),
            ("/var/lib/pgsql/data/postgresql.conf", "hba_file = 'access.conf'\n"),
            ("/var/lib/pgsql/data/PG_VERSION", "16\n"),
            ("/var/lib/pgsql/9.6/data/postgresql.conf", "port = \n"),
            ("/lib/systemd/system/postgresql.service", "[Service]\nEnvironment=PGDATA=/srv/other\nExecStart=/usr/bin/postmaster -D ${PGDATA} -p 6000\n"),
            ("/srv/other/postgresql.conf", ""),
            ("/srv/other/PG_VERSION", "17\n"),
        ]);
        let mut gaps = Gaps::new();
        let clusters = read(&host, &[], "database_servers", &["servers"], &mut gaps);
        let shown: Vec<String> = clusters.iter().map(|c| format!("{} {} {} {} {}", c.subject, c.major, c.port(), c.data, c.settings.text("ssl"))).collect();
        assert_eq!(
            shown,
            [
                "postgresql 15/main 15 5433 /srv/pg15 off",
                "postgresql /srv/other 17 6000 /srv/other ",
                "postgresql /var/lib/pgsql/data 16 5432 /var/lib/pgsql/data "
            ]
        );
        assert_eq!(clusters[0].settings.get("fsync").unwrap().source.place, "/etc/postgresql/15/main/pg_ctl.conf");
        assert_eq!(clusters[2].hba_file(), "/var/lib/pgsql/data/access.conf");
        let gaps = gaps.into_sorted();
        assert_eq!((gaps.len(), gaps[0].subject.as_str(), gaps[0].reason.as_str()), (1, "postgresql /var/lib/pgsql/9.6/data", "malformed"));
        assert_eq!((below_run("/var/run/postgresql/"), below_run("/var/running")), ("/run/postgresql".into(), "/var/running".into()));
    }
}
