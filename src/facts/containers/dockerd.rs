//! How dockerd is started: its command line, or that of its unit, and daemon.json (dockerd(8)).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Api, Containers, Engine};
use crate::facts::Document as _;
use crate::facts::jobs::names::Names;
use crate::facts::jobs::unit_file;
use crate::facts::jobs::unit_list;
use crate::host::{CONFIG_LIMIT, Host, ReadError, processes, sockets};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const PROGRAMS: [&str; 3] = ["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd"];
const UNIT: &str = "docker.service";
const SOCKET: &str = "docker.socket";
const CONFIG: &str = "/etc/docker/daemon.json";
const DATA: &str = "/var/lib/docker";
/// Flags that take a value; others are switches.
const VALUES: [&str; 13] = [
    "host",
    "tlscacert",
    "tlscert",
    "tlskey",
    "data-root",
    "graph",
    "config-file",
    "userns-remap",
    "log-driver",
    "insecure-registry",
    "exec-root",
    "pidfile",
    "storage-driver",
];

/// One dockerd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Daemon {
    /// Its facts.
    pub engine: Engine,
    /// Addresses of its interface.
    pub apis: Vec<Api>,
    /// Account that runs it; `root` mostly.
    pub account: String,
}

/// Words of a command line and where they stand.
struct Start {
    words: Vec<String>,
    source: Source,
    /// User id of the process; 0 for what a unit would start.
    uid: u32,
}

/// Every dockerd that runs; where none does, the one that would be started; none when it is not installed.
pub fn daemons(host: &Host, gaps: &mut Gaps) -> Vec<Daemon> {
    let mut starts = running(host, gaps);
    if starts.is_empty() {
        starts.extend(by_unit(host, gaps));
    }
    let is_there = |path: &str| host.exists(path).unwrap_or(true);
    if starts.is_empty() && (PROGRAMS.iter().any(|p| is_there(p)) || is_there(CONFIG) || is_there(&format!("{DATA}/containers"))) {
        starts.push(Start { words: Vec::new(), source: Source::whole(CONFIG), uid: 0 });
    }
    starts.iter().map(|start| daemon(host, start, gaps)).collect()
}

fn running(host: &Host, gaps: &mut Gaps) -> Vec<Start> {
    if !host.is_live() {
        return Vec::new();
    }
    let pids = match processes::ids(host) {
        Ok(pids) => pids,
        Err(e) => {
            gaps.add(e.to_gap(Containers::NAME, "engines", "docker"));
            return Vec::new();
        }
    };
    let mut out = Vec::new();
    for pid in pids.into_iter().filter(|pid| processes::name(host, *pid) == "dockerd" && sockets::runs_in_host_root(host, *pid)) {
        let place = format!("/proc/{pid}/cmdline");
        match host.read_text(&place, CONFIG_LIMIT) {
            Ok(text) => {
                let words = text.split('\0').skip(1).filter(|w| !w.is_empty()).map(String::from).collect();
                // The number changes with each start and tells nothing.
                out.push(Start { words, source: Source { place: "process dockerd".into(), ..Source::default() }, uid: processes::uid(host, pid).unwrap_or(0) });
            }
            Err(ReadError::NotFound(_)) => {}
            Err(e) => gaps.add(e.to_gap(Containers::NAME, "engines", "docker")),
        }
    }
    out
}

fn by_unit(host: &Host, gaps: &mut Gaps) -> Option<Start> {
    let (unit, unread) = unit_list::unit_text(host, UNIT);
    if !unread.is_empty() {
        gaps.note(Containers::NAME, "engines", "docker", reason::READ_FAILED, "units of systemd can't be read", "");
    }
    let unit = unit?;
    let mut variables = BTreeMap::new();
    for setting in unit_file::all(&unit.settings, "Service", "Environment") {
        variables.extend(unit_file::words(&setting.value).iter().filter_map(|w| w.split_once('=')).map(|(k, v)| (k.to_string(), v.to_string())));
    }
    for setting in unit_file::all(&unit.settings, "Service", "EnvironmentFile") {
        let text = host.read_text(setting.value.trim_start_matches('-'), CONFIG_LIMIT).unwrap_or_default();
        let pairs = text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';'])).filter_map(|l| l.split_once('='));
        variables.extend(pairs.map(|(k, v)| (k.trim().to_string(), v.trim().trim_matches(['"', '\'']).to_string())));
    }
    let start = unit_file::last(&unit.settings, "Service", "ExecStart")?;
    let mut words = Vec::new();
    for word in unit_file::words(&start.value).into_iter().skip(1) {
        match word.strip_prefix('$') {
            // A variable without braces is taken apart at its blanks (systemd.service(5)).
            Some(name) => words.extend(variables.get(name).map(|v| unit_file::words(v)).unwrap_or_default()),
            None => words.push(word),
        }
    }
    Some(Start { words, source: Source::line(start.place.clone(), start.line, "ExecStart"), uid: 0 })
}

/// What options and file set, under the file's names.
#[derive(Debug, Default)]
struct Settings {
    values: BTreeMap<String, Vec<(String, Source)>>,
}

impl Settings {
    fn add(&mut self, name: &str, value: impl Into<String>, source: Source) {
        let name = match name {
            "host" => "hosts",
            "graph" => "data-root",
            "insecure-registry" => "insecure-registries",
            other => other,
        };
        self.values.entry(name.into()).or_default().push((value.into(), source));
    }

    fn last(&self, name: &str) -> Option<&(String, Source)> {
        self.values.get(name)?.last()
    }

    fn text(&self, name: &str) -> String {
        self.last(name).map(|(v, _)| v.clone()).unwrap_or_default()
    }

    fn is_on(&self, name: &str) -> Option<bool> {
        self.last(name).map(|(v, _)| v == "true" || v == "1")
    }

    fn all(&self, name: &str) -> &[(String, Source)] {
        self.values.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn options(&mut self, start: &Start) {
        let mut words = start.words.iter();
        while let Some(word) = words.next() {
            let source = Source { directive: word.split('=').next().unwrap_or_default().to_string(), ..start.source.clone() };
            let Some((name, value)) = option(word) else { continue };
            let takes = VALUES.contains(&name.as_str());
            match value {
                Some(value) => self.add(&name, value, source),
                None if takes => self.add(&name, words.next().cloned().unwrap_or_default(), source),
                None => self.add(&name, "true", source),
            }
        }
    }

    fn file(&mut self, place: &str, text: &str) -> bool {
        let Ok(Value::Object(map)) = serde_json::from_str::<Value>(text) else { return false };
        for (name, value) in map {
            let source = Source { place: place.into(), line: line_of(text, &name), directive: name.clone() };
            match value {
                Value::Array(items) => items.iter().filter_map(Value::as_str).for_each(|v| self.add(&name, v, source.clone())),
                Value::String(value) => self.add(&name, value, source),
                Value::Bool(value) => self.add(&name, value.to_string(), source),
                _ => {}
            }
        }
        true
    }
}

/// Name and value of an option.
fn option(word: &str) -> Option<(String, Option<String>)> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_string())));
        return Some((name.into(), value));
    }
    let short = word.strip_prefix('-')?;
    let mut letters = short.chars();
    let name = match letters.next()? {
        'H' => "host",
        'g' => "data-root",
        'p' => "pidfile",
        's' => "storage-driver",
        'l' => "log-level",
        _ => return Some((short.into(), None)),
    };
    let rest = letters.as_str().trim_start_matches('=');
    Some((name.into(), (!rest.is_empty()).then(|| rest.to_string())))
}

/// The line on which a key of a JSON text stands.
fn line_of(text: &str, key: &str) -> u32 {
    let quoted = format!("\"{key}\"");
    text.lines().position(|l| l.contains(&quoted)).and_then(|i| u32::try_from(i + 1).ok()).unwrap_or(0)
}

fn daemon(host: &Host, start: &Start, gaps: &mut Gaps) -> Daemon {
    let mut settings = Settings::default();
    settings.options(start);
    // An account's own engine keeps everything below its home.
    let own =
        (start.uid != 0).then(|| Names::read(host, 0)).and_then(|names| names.account(&start.uid.to_string()).map(|a| (names.user(start.uid), a.home.clone())));
    let named = settings.text("config-file");
    let config =
        if named.is_empty() { own.as_ref().map_or_else(|| CONFIG.to_string(), |(_, home)| format!("{home}/.config/docker/daemon.json")) } else { named };
    match host.read_text(&config, CONFIG_LIMIT) {
        Ok(text) => {
            if !text.trim().is_empty() && !settings.file(&config, &text) {
                let detail = format!("{config}: not a JSON object");
                for path in ["engines", "apis", "endpoints"] {
                    gaps.note(Containers::NAME, path, "docker", reason::MALFORMED, detail.clone(), "");
                }
            }
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => {
            for path in ["engines", "apis", "endpoints"] {
                gaps.add(e.to_gap(Containers::NAME, path, "docker"));
            }
        }
    }
    let data = Some(settings.text("data-root")).filter(|d| !d.is_empty());
    let data = data.unwrap_or_else(|| own.as_ref().map_or_else(|| DATA.to_string(), |(_, home)| format!("{home}/.local/share/docker")));
    let subject = if data == DATA { "docker".to_string() } else { format!("docker {data}") };
    let account = own.map_or_else(|| if start.uid == 0 { "root".to_string() } else { start.uid.to_string() }, |(name, _)| name);
    let engine = Engine {
        user_namespace: settings.text("userns-remap"),
        live_restore: Some(settings.is_on("live-restore").unwrap_or(false)),
        containers_talk: Some(settings.is_on("icc").unwrap_or(true)),
        no_new_privileges: settings.is_on("no-new-privileges").unwrap_or(false),
        log_driver: Some(settings.text("log-driver")).filter(|d| !d.is_empty()).unwrap_or_else(|| "json-file".into()),
        insecure_registries: settings.all("insecure-registries").iter().map(|(v, _)| v.clone()).collect(),
        source: if start.words.is_empty() { Source::whole(config) } else { start.source.clone() },
        data,
        subject: subject.clone(),
    };
    Daemon { apis: apis(host, &settings, &subject), engine, account }
}

fn apis(host: &Host, settings: &Settings, subject: &str) -> Vec<Api> {
    // Whoever names tlsverify at all, to whatever end, turns TLS on.
    let verify = settings.is_on("tlsverify");
    let tls = verify.is_some() || settings.is_on("tls").unwrap_or(false);
    let file = |name: &str| Some(settings.text(name)).filter(|v| !v.is_empty());
    let api = |(address, port): (String, u32), source: &Source| Api {
        subject: format!("{subject} {address}:{port}"),
        address,
        port,
        tls,
        certificate: file("tlscert").filter(|_| tls),
        key: file("tlskey").filter(|_| tls),
        verifies_clients: verify.unwrap_or(false),
        source: source.clone(),
    };
    let mut out = Vec::new();
    for (value, source) in settings.all("hosts") {
        if let Some(rest) = value.strip_prefix("tcp://") {
            out.push(api(address(rest, if tls { 2376 } else { 2375 }), source));
        } else if value.starts_with("fd://") {
            for (value, source) in listening(host) {
                out.extend(stream(&value).map(|a| api(a, &source)));
            }
        } else if !value.contains("://") && !value.starts_with('/') {
            // Without a scheme it is an address of TCP.
            out.push(api(address(value, if tls { 2376 } else { 2375 }), source));
        }
    }
    out.dedup_by(|a, b| a.subject == b.subject);
    out
}

/// `HOST:PORT` as dockerd reads it: without a host this machine alone, without a port the usual one.
fn address(text: &str, usual: u32) -> (String, u32) {
    let text = text.split('/').next().unwrap_or_default();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(usual)),
        _ => (text, usual),
    };
    let host = host.trim_matches(['[', ']']);
    let host = if host.is_empty() || host == "localhost" { "127.0.0.1" } else { host };
    (host.into(), port)
}

/// `ListenStream=` of the socket unit.
fn listening(host: &Host) -> Vec<(String, Source)> {
    let (Some(unit), _) = unit_list::unit_text(host, SOCKET) else { return Vec::new() };
    unit_file::all(&unit.settings, "Socket", "ListenStream")
        .into_iter()
        .map(|s| (s.value.clone(), Source::line(s.place.clone(), s.line, "ListenStream")))
        .collect()
}

/// A port alone is every address (systemd.socket(5)).
fn stream(value: &str) -> Option<(String, u32)> {
    if value.starts_with(['/', '@']) {
        return None;
    }
    if let Ok(port) = value.parse() {
        return Some(("0.0.0.0".into(), port));
    }
    let (host, port) = value.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).into(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    fn shown(host: &Host) -> Vec<String> {
        let mut gaps = Gaps::new();
        let found = daemons(host, &mut gaps);
        assert_eq!(gaps.into_sorted(), []);
        let line = |d: &Daemon| {
            let apis: Vec<String> = d.apis.iter().map(|a| format!("{}:{} {} {}", a.address, a.port, a.tls, a.verifies_clients)).collect();
            format!("{} [{}] {} {}", d.engine.data, apis.join(", "), d.engine.user_namespace, d.engine.insecure_registries.join(","))
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn options_of_the_unit_and_the_file() {
        let (_root, host) = rooted(&[
            (
                "usr/lib/systemd/system/docker.service",
                "[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/sbin/dockerd -H fd:// --tls $DOCKER_OPTS\n",
            ),
            ("usr/lib/systemd/system/docker.socket", "[Socket]\nListenStream=/run/docker.sock\nListenStream=2375\n"),
            ("etc/default/docker", "# DOCKER_OPTS=\"no\"\nDOCKER_OPTS=\"-H tcp://0.0.0.0:2376 -Htcp://:1 --userns-remap=default\"\n"),
            ("etc/docker/daemon.json", "{\n  \"data-root\": \"/srv/docker\",\n  \"insecure-registries\": [\"a:5000\"]\n}\n"),
        ]);
        assert_eq!(shown(&host), ["/srv/docker [0.0.0.0:2375 true false, 0.0.0.0:2376 true false, 127.0.0.1:1 true false] default a:5000"]);
    }

    #[test]
    fn a_file_alone_and_nothing() {
        let (_root, host) = rooted(&[("etc/docker/daemon.json", "{\"hosts\": [\"unix:///run/docker.sock\", \"tcp://[::]:2375\"], \"tlsverify\": false}")]);
        assert_eq!(shown(&host), ["/var/lib/docker [:::2375 true false]  "]);
        let (_root, host) = rooted(&[]);
        assert_eq!(shown(&host), Vec::<String>::new());
        let (_root, host) = rooted(&[("etc/docker/daemon.json", "{")]);
        let mut gaps = Gaps::new();
        daemons(&host, &mut gaps);
        assert_eq!(gaps.into_sorted().len(), 3);
    }

    #[test]
    fn options_of_any_form() {
        for (word, expected) in
            [("--tls", ("tls", None)), ("--host=x", ("host", Some("x"))), ("-H", ("host", None)), ("-H=x", ("host", Some("x"))), ("-D", ("D", None))]
        {
            let found = option(word).unwrap();
            assert_eq!((found.0.as_str(), found.1.as_deref()), expected);
        }
        assert_eq!(option("x"), None);
        assert_eq!(option("-"), None);
        for text in ["", ":", "[", "]:", "[::1]", "a:b", "::"] {
            let _ = (address(text, 1), stream(text));
        }
    }
}
