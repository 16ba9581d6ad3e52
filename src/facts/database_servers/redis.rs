//! Redis and Valkey servers in the document.
//!
//! The server overwrites its command line with its address, so that the file of a running one is
//! told by its unit or by its port.

use super::process::Running;
use super::redis_conf::{self, Directive, Unread};
use super::{DatabaseServer, DatabaseServers, DatabaseSetting, PLAIN_PATHS, code, note_all, reach, unit};
use crate::facts::Document as _;
use crate::host::{Host, manager};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const ENGINE: &str = "redis";
/// Folders where packages put files of servers.
const FOLDERS: [&str; 2] = ["/etc/redis", "/etc/valkey"];
/// Files where other packages put them.
const FILES: [&str; 2] = ["/etc/redis.conf", "/etc/valkey.conf"];
/// Settings that are told as they are, with their defaults (redis.conf of release 7.0).
const KNOWN: [(&str, &str); 13] = [
    ("aclfile", ""),
    ("appendfsync", "everysec"),
    ("appendonly", "no"),
    ("bind", ""),
    ("port", "6379"),
    ("protected-mode", "yes"),
    ("tls-auth-clients", "yes"),
    ("tls-cert-file", ""),
    ("tls-ciphers", ""),
    ("tls-key-file", ""),
    ("tls-port", "0"),
    ("tls-protocols", ""),
    ("tls-replication", "no"),
];

/// One server before it is read.
#[derive(Clone, Debug, Default)]
struct Found {
    config: String,
    options: Vec<Directive>,
    running: bool,
    place: String,
}

pub fn gather(host: &Host, processes: &[Running], into: &mut DatabaseServers, gaps: &mut Gaps) {
    let running: Vec<&Running> = processes.iter().filter(|p| p.engine == ENGINE).collect();
    let (versions, release) = release(host);
    let mut found = files(host);
    if !versions && running.is_empty() {
        return;
    }
    let mut titled = Vec::new();
    for process in running {
        match title_address(&process.title).filter(|_| process.arguments.is_empty()) {
            Some(address) => titled.push(address),
            None => started(process, &mut found),
        }
    }
    let mut servers: Vec<Server> = Vec::new();
    for one in found {
        match Server::read(host, &one, release) {
            Ok(server) => servers.push(server),
            Err(unread) => {
                let (id, detail) = told(&unread);
                note_all(gaps, &PLAIN_PATHS, &format!("{ENGINE} {}", one.config), id, &detail, "");
            }
        }
    }
    for address in titled {
        let port = address.rsplit(':').next().unwrap_or_default().to_string();
        match servers.iter_mut().find(|s| s.value("port") == port || s.value("tls-port") == port || s.value("unixsocket") == address) {
            Some(server) => server.running = true,
            None => {
                let detail = format!("a server at {address} runs with options that can't be told: its title stands in the place of its command line");
                let remedy = "Name its file in the systemd unit, or set set-proc-title to no.";
                note_all(gaps, &PLAIN_PATHS, &format!("{ENGINE} {address}"), reason::UNSUPPORTED, &detail, remedy);
            }
        }
    }
    servers.into_iter().for_each(|server| server.tell(host, into, gaps));
}

/// Whether a package is there, and its release.
fn release(host: &Host) -> (bool, Option<u32>) {
    let versions = manager::versions(host);
    let found = ["redis-server", "redis", "valkey", "valkey-server"].iter().find_map(|name| versions.get(*name)?.first().cloned());
    // Valkey went on from 7.2.
    let major = found.as_deref().map(|v| v.split_once(':').map_or(v, |(_, v)| v)).and_then(|v| v.split('.').next()?.parse().ok());
    let is_there = found.is_some() || ["/usr/bin/redis-server", "/usr/bin/valkey-server"].iter().any(|p| host.exists(p).unwrap_or(false));
    (is_there, major)
}

/// Files of packages and of units.
fn files(host: &Host) -> Vec<Found> {
    let mut out: Vec<Found> = Vec::new();
    for service in unit::services(host, &["redis", "valkey"]) {
        let words: Vec<String> = service.arguments.iter().skip(1).flatten().cloned().collect();
        let Some(config) = words.first().filter(|w| w.starts_with('/')).cloned() else { continue };
        if config.contains("sentinel") || words.iter().any(|w| w == "--sentinel") || out.iter().any(|f| f.config == config) {
            continue;
        }
        if host.exists(&config).unwrap_or(true) {
            let options = redis_conf::command_line(words.get(1..).unwrap_or_default(), &service.source.place);
            out.push(Found { config, options, running: false, place: service.source.place });
        }
    }
    let mut paths: Vec<String> = FILES.map(String::from).to_vec();
    for folder in FOLDERS {
        paths.extend(host.list(folder).unwrap_or_default().into_iter().filter(|e| e.name.ends_with(".conf")).map(|e| format!("{folder}/{}", e.name)));
    }
    for config in paths {
        let is_known = out.iter().any(|f| f.config == config || same_file(host, &f.config, &config));
        if !config.contains("sentinel") && !is_known && host.exists(&config).unwrap_or(true) && is_main(host, &config) {
            out.push(Found { config, ..Found::default() });
        }
    }
    out
}

fn same_file(host: &Host, a: &str, b: &str) -> bool {
    matches!((host.stat(a), host.stat(b)), (Ok(a), Ok(b)) if (a.device, a.inode) == (b.device, b.inode))
}

/// A file that says where to listen is one of a server; others are parts that it includes.
fn is_main(host: &Host, path: &str) -> bool {
    match host.read_text(path, crate::host::CONFIG_LIMIT) {
        Ok(text) => text.lines().any(|l| ["port ", "bind ", "unixsocket ", "tls-port "].iter().any(|k| l.trim_start().to_ascii_lowercase().starts_with(k))),
        Err(_) => true,
    }
}

/// `/usr/bin/redis-server 127.0.0.1:6379`: the address; `[cluster]` and the like behind it.
fn title_address(title: &str) -> Option<String> {
    let (_, rest) = title.split_once(' ')?;
    let word = rest.split_whitespace().next()?;
    (word.contains(':') || word.starts_with('/')).then(|| word.to_string())
}

fn started(process: &Running, found: &mut Vec<Found>) {
    let place = format!("process {}", process.program);
    let named = process.arguments.first().filter(|w| !w.starts_with('-')).cloned();
    let options = redis_conf::command_line(process.arguments.get(usize::from(named.is_some())..).unwrap_or_default(), &place);
    let config = named.map(|n| if n.starts_with('/') || process.folder.is_empty() { n } else { format!("{}/{n}", process.folder) }).unwrap_or_default();
    match found.iter_mut().find(|f| !config.is_empty() && f.config == config) {
        Some(known) => {
            known.running = true;
            known.options = options;
        }
        None => found.push(Found { config, options, running: true, place }),
    }
}

fn told(unread: &Unread) -> (&'static str, String) {
    match unread {
        Unread::File(e) => (if e.is_not_found() { reason::MISSING } else { reason::READ_FAILED }, e.to_string()),
        Unread::Line(file, line, problem) => (reason::MALFORMED, format!("{file}:{line}: {problem}: the server would not start")),
        Unread::Limit(detail) => (reason::LIMIT_REACHED, detail.clone()),
    }
}

/// One server that was read.
struct Server {
    subject: String,
    config: String,
    directives: Vec<Directive>,
    running: bool,
    release: Option<u32>,
    place: String,
}

impl Server {
    fn read(host: &Host, found: &Found, release: Option<u32>) -> Result<Self, Unread> {
        let mut directives = Vec::new();
        if !found.config.is_empty() {
            redis_conf::read(host, &found.config, &mut directives)?;
        }
        directives.extend(found.options.iter().cloned());
        let mut server = Self { subject: String::new(), config: found.config.clone(), directives, running: found.running, release, place: found.place.clone() };
        let named = if found.config.is_empty() { format!("port {}", server.value("port")) } else { found.config.clone() };
        server.subject = format!("{ENGINE} {named}");
        Ok(server)
    }

    fn last(&self, keyword: &str) -> Option<&Directive> {
        self.directives.iter().rev().find(|d| d.keyword == keyword)
    }

    fn value(&self, keyword: &str) -> String {
        let default = || KNOWN.iter().find(|k| k.0 == keyword).map_or("", |k| k.1).to_string();
        self.last(keyword).map_or_else(default, |d| d.arguments.join(" "))
    }

    fn source(&self, keyword: &str) -> Source {
        self.last(keyword).map(|d| d.source.clone()).unwrap_or_default()
    }

    fn number(&self, keyword: &str) -> u32 {
        self.value(keyword).parse().unwrap_or(0)
    }

    /// Addresses that it binds, and those of them that must be there.
    fn addresses(&self) -> Vec<String> {
        let bound: Vec<String> = self.last("bind").map(|d| d.arguments.clone()).unwrap_or_default();
        if bound.is_empty() || bound == [""] {
            return vec!["*".into()];
        }
        bound.into_iter().map(|a| a.strip_prefix('-').map(String::from).unwrap_or(a)).map(|a| if a == "::*" { "::".into() } else { a }).collect()
    }

    /// Whether somebody without a password gets in, and where that was decided; an error names a
    /// file of users that can't be read.
    fn default_user(&self, host: &Host) -> Result<(bool, Source), Unread> {
        let file = self.value("aclfile");
        if !file.is_empty() {
            let text = host.read_text(&file, crate::host::CONFIG_LIMIT).map_err(Unread::File)?;
            let lines = text.lines().enumerate().filter_map(|(i, l)| redis_conf::words(l.trim()).map(|w| (i + 1, w)));
            let own = lines.filter(|(_, w)| matches!(w.as_slice(), [user, name, ..] if user == "user" && name == "default")).last();
            // The file stands in the place of requirepass; a default user that it does not name is open.
            return Ok(own.map_or_else(
                || (true, Source::whole(&file)),
                |(line, words)| (is_open(words.get(2..).unwrap_or_default(), true), Source::line(&file, line, "user default")),
            ));
        }
        let (mut open, mut source) = (true, Source::default());
        for directive in &self.directives {
            match (directive.keyword.as_str(), directive.arguments.as_slice()) {
                ("requirepass", [password]) => {
                    open = password.is_empty();
                    source = directive.source.clone();
                }
                ("user", [name, rules @ ..]) if name == "default" => {
                    open = is_open(rules, open);
                    source = directive.source.clone();
                }
                _ => {}
            }
        }
        Ok((open, source))
    }

    fn tell(self, host: &Host, into: &mut DatabaseServers, gaps: &mut Gaps) {
        for (name, default) in KNOWN {
            let given = self.last(name);
            if given.is_none() && default.is_empty() && name != "tls-protocols" {
                continue;
            }
            let value = self.value(name);
            let value = match value.as_str() {
                "yes" => "on".into(),
                "no" => "off".into(),
                _ => value,
            };
            self.setting(name, value, given.is_some(), self.source(name), into);
        }
        let saves: Vec<String> = self.directives.iter().filter(|d| d.keyword == "save").map(|d| d.arguments.join(" ")).collect();
        let saves = saves.iter().rposition(String::is_empty).map_or(saves.as_slice(), |at| saves.get(at + 1..).unwrap_or_default()).join(" ");
        let written = self.last("save").is_some();
        self.setting("save", if written { saves } else { "3600 1 300 100 60 10000".into() }, written, self.source("save"), into);
        let (authentication, authentication_source) = self.authentication(host, gaps);
        self.setting(
            "requirepass",
            if self.value("requirepass").is_empty() { "" } else { "set" }.into(),
            self.last("requirepass").is_some(),
            self.source("requirepass"),
            into,
        );
        let (plain, tls_port) = (self.number("port"), self.number("tls-port"));
        let tls = match (plain, tls_port) {
            (_, 0) => "none",
            (0, _) => "required",
            _ => "offered",
        };
        let versions = self.versions().filter(|_| tls != "none");
        let oldest = versions.as_ref().and_then(|v| v.first()).cloned().unwrap_or_default();
        self.endpoints(plain, tls_port, versions, into);
        let is_listening = plain != 0 || tls_port != 0;
        into.servers.push(DatabaseServer {
            subject: self.subject.clone(),
            engine: ENGINE.into(),
            version: self.release.map(|r| r.to_string()).unwrap_or_default(),
            config: self.config.clone(),
            data: self.value("dir"),
            running: host.is_live().then_some(self.running),
            declared: false,
            exposed: is_listening && self.addresses().iter().any(|a| !reach::is_loopback(host, a)),
            tls: tls.into(),
            tls_source: self.source(if tls == "none" { "port" } else { "tls-port" }),
            tls_minimum_code: code(&oldest),
            tls_minimum: oldest,
            tls_minimum_source: self.source("tls-protocols"),
            authentication: authentication.into(),
            authentication_source,
            checksums: None,
            source: Source::whole(if self.config.is_empty() { &self.place } else { &self.config }),
        });
    }

    fn setting(&self, name: &str, value: String, written: bool, source: Source, into: &mut DatabaseServers) {
        into.settings.push(DatabaseSetting {
            subject: format!("{} {name}", self.subject),
            server: self.subject.clone(),
            engine: ENGINE.into(),
            name: name.into(),
            value,
            written,
            running: None,
            pending_restart: false,
            source,
        });
    }

    fn authentication(&self, host: &Host, gaps: &mut Gaps) -> (&'static str, Source) {
        match self.default_user(host) {
            Ok((false, source)) => ("required", source),
            Ok((true, source)) => {
                // Before 7 an address to bind turned protected mode off.
                let protects = self.value("protected-mode") == "yes" && (self.release.is_none_or(|r| r >= 7) || self.last("bind").is_none());
                if self.value("protected-mode") == "yes" && self.release.is_none() && self.last("bind").is_some() {
                    let detail = "the release is not known, and protected mode depends on it";
                    gaps.note(DatabaseServers::NAME, "servers.authentication", &self.subject, reason::UNSUPPORTED, detail, "");
                }
                if protects { ("protected", source) } else { ("none", if source.place.is_empty() { self.source("protected-mode") } else { source }) }
            }
            Err(unread) => {
                let (id, detail) = told(&unread);
                gaps.note(DatabaseServers::NAME, "servers.authentication", &self.subject, id, detail, "");
                ("required", self.source("aclfile"))
            }
        }
    }

    /// `tls-protocols "TLSv1.2 TLSv1.3"`; without it 1.2 and 1.3 are on.
    fn versions(&self) -> Option<Vec<String>> {
        let written = self.value("tls-protocols");
        let words = if written.is_empty() { "TLSv1.2 TLSv1.3" } else { &written };
        let mut out: Vec<String> = Vec::new();
        for known in ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] {
            if words.split_whitespace().any(|w| w.eq_ignore_ascii_case(known)) {
                out.push(super::pg_values::named(known));
            }
        }
        (!out.is_empty()).then_some(out)
    }

    fn endpoints(&self, plain: u32, tls_port: u32, versions: Option<Vec<String>>, into: &mut DatabaseServers) {
        let own = self.source("bind");
        let source = if own.place.is_empty() { Source::whole(if self.config.is_empty() { &self.place } else { &self.config }) } else { own };
        let addresses = reach::resolved(&self.addresses());
        let like = ConfiguredEndpoint { transport: String::new(), ..ConfiguredEndpoint::plain(ENGINE, self.subject.clone(), source.clone()) };
        if plain != 0 {
            into.listen(&addresses, plain, &like);
        }
        if tls_port != 0 {
            let file = |keyword: &str| Some(self.value(keyword)).filter(|v| !v.is_empty()).into_iter().collect();
            let with = ConfiguredEndpoint {
                tls: "required".into(),
                versions,
                ciphers: self.value("tls-ciphers"),
                certificates: file("tls-cert-file"),
                keys: file("tls-key-file"),
                versions_source: self.source("tls-protocols"),
                ..like
            };
            into.listen(&addresses, tls_port, &with);
        }
        let socket = self.value("unixsocket");
        if !socket.is_empty() {
            into.listen_locally(&[socket], ENGINE, &self.subject, &source);
        }
    }
}

/// Whether rules of a user leave it on without a password (Redis documentation, "ACL").
fn is_open(rules: &[String], before: bool) -> bool {
    let (mut on, mut nopass) = (true, before);
    for rule in rules {
        match rule.as_str() {
            "on" => on = true,
            "off" => on = false,
            "nopass" => nopass = true,
            "resetpass" => nopass = false,
            "reset" => (on, nopass) = (false, false),
            secret if secret.starts_with(['>', '#']) => nopass = false,
            _ => {}
        }
    }
    on && nopass
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostFamily as _;
    use crate::host::testing::{recorded, rooted};

    const STATUS: &str = "Package: redis-server\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5:7.0.15-1\n\n";

    fn server(config: &str, more: &[(&str, &str)]) -> (DatabaseServers, Vec<crate::model::gap::Gap>) {
        let mut files = vec![("/var/lib/dpkg/status", STATUS), ("/etc/redis/redis.conf", config)];
        files.extend(more);
        let (_root, host) = rooted(&files);
        let mut gaps = Gaps::new();
        let found = DatabaseServers::gather(&host, &mut gaps).unwrap();
        (found, gaps.into_sorted())
    }

    #[test]
    fn who_gets_in() {
        let judged = |config: &str, more: &[(&str, &str)]| {
            let (found, _) = server(config, more);
            format!("{} {} {}", found.servers[0].exposed, found.servers[0].authentication, found.servers[0].tls)
        };
        assert_eq!(judged("bind 127.0.0.1 -::1\nport 6379\n", &[]), "false protected none");
        assert_eq!(judged("port 6379\nprotected-mode no\n", &[]), "true none none");
        assert_eq!(judged("bind 10.0.0.1\nport 0\ntls-port 6379\nrequirepass s\n", &[]), "true required required");
        assert_eq!(judged("bind *\nport 1\ntls-port 2\nprotected-mode no\nuser default on nopass ~* +@all\n", &[]), "true none offered");
        assert_eq!(judged("port 1\nprotected-mode no\nuser default off\n", &[]), "true required none");
        assert_eq!(judged("port 1\nprotected-mode no\nrequirepass x\naclfile /u.acl\n", &[("/u.acl", "user ada on >x\n")]), "true none none");
        assert_eq!(judged("port 1\nprotected-mode no\naclfile /u.acl\n", &[("/u.acl", "user default on #abc ~*\n")]), "true required none");
        assert_eq!(judged("bind -::*\nport 1\n", &[]), "true protected none");
        let (found, gaps) = server("port 1\naclfile /gone\n", &[]);
        assert_eq!((found.servers.len(), gaps[0].path.as_str(), gaps[0].reason.as_str()), (1, "servers.authentication", "missing"));
        assert!(!serde_json::to_string(&server("port 1\nrequirepass verysecret\n", &[]).0).unwrap().contains("verysecret"));
    }

    #[test]
    fn files_of_units_and_titles_of_processes() {
        let (root, host) = recorded(&[
            ("/var/lib/dpkg/status", STATUS),
            ("/etc/redis/redis.conf", "port 6379\nbind 127.0.0.1\nsave 900 1\nsave \"\"\nsave 60 5\n"),
            ("/srv/two.conf", "port 7000\n"),
            ("/lib/systemd/system/redis-two.service", "[Service]\nExecStart=/usr/bin/redis-server /srv/two.conf --tls-port 7001\n"),
            ("/etc/redis/sentinel.conf", "port 26379\n"),
            ("/etc/redis/part.conf", "maxmemory 1gb\n"),
            ("/proc/1/comm", "init\n"),
            ("/proc/8/comm", "redis-server\n"),
            ("/proc/8/cmdline", "/usr/bin/redis-server 127.0.0.1:6379"),
            ("/proc/9/comm", "redis-server\n"),
            ("/proc/9/cmdline", "/usr/bin/redis-server *:9999"),
        ]);
        let mut gaps = Gaps::new();
        let found = DatabaseServers::gather(&host, &mut gaps).unwrap();
        drop(root);
        let shown: Vec<String> = found.servers.iter().map(|s| format!("{} {:?} {}", s.subject, s.running, s.tls)).collect();
        assert_eq!(shown, ["redis /etc/redis/redis.conf Some(true) none", "redis /srv/two.conf Some(false) offered"]);
        let save = found.settings.iter().find(|s| s.subject == "redis /etc/redis/redis.conf save").unwrap();
        assert_eq!((save.value.as_str(), save.source.line), ("60 5", 5));
        assert!(gaps.into_sorted().iter().any(|g| g.subject == "redis *:9999" && g.path == "servers"));
    }
}
