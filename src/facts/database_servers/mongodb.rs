//! MongoDB servers in the document: `mongod.conf` in YAML or in the old form, then the command line
//! (MongoDB manual, "Configuration File Options"; no server was at hand to compare with).

use std::collections::BTreeMap;

use serde_json::Value;

use super::process::{Running, option};
use super::{DatabaseServer, DatabaseServers, DatabaseSetting, PLAIN_PATHS, code, note_all, reach, unit};
use crate::host::{CONFIG_LIMIT, Host, manager};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const ENGINE: &str = "mongodb";
/// Files of packages: MongoDB's own, and Debian's old ones.
const FILES: [&str; 2] = ["/etc/mongod.conf", "/etc/mongodb.conf"];
/// Packages that hold the server.
const PACKAGES: [&str; 5] = ["mongodb-org-server", "mongodb-enterprise-server", "mongodb-server-core", "mongodb-server", "mongodb"];
/// Settings by their path in YAML, their names on the command line and in the old form, and their defaults.
const KNOWN: [(&str, &[&str], &str); 15] = [
    ("auditLog.destination", &["auditDestination"], ""),
    ("net.bindIp", &["bind_ip"], "localhost"),
    ("net.bindIpAll", &["bind_ip_all"], "off"),
    ("net.ipv6", &["ipv6"], "off"),
    ("net.port", &["port"], "27017"),
    ("net.tls.certificateKeyFile", &["tlsCertificateKeyFile", "sslPEMKeyFile"], ""),
    ("net.tls.disabledProtocols", &["tlsDisabledProtocols", "sslDisabledProtocols"], ""),
    ("net.tls.mode", &["tlsMode", "sslMode"], "disabled"),
    ("replication.replSetName", &["replSet"], ""),
    ("security.authorization", &["auth"], "disabled"),
    ("security.clusterAuthMode", &["clusterAuthMode"], ""),
    ("security.enableEncryption", &["enableEncryption"], "off"),
    ("security.keyFile", &["keyFile"], ""),
    ("storage.dbPath", &["dbpath"], "/data/db"),
    ("storage.journal.enabled", &["journal"], "on"),
];
/// Old names of settings.
const OLD: [(&str, &str); 4] = [
    ("net.ssl.mode", "net.tls.mode"),
    ("net.ssl.PEMKeyFile", "net.tls.certificateKeyFile"),
    ("net.ssl.disabledProtocols", "net.tls.disabledProtocols"),
    ("net.bind_ip", "net.bindIp"),
];

/// Values by path, and where they stand.
type Settings = BTreeMap<String, (String, Source)>;

pub fn gather(host: &Host, processes: &[Running], into: &mut DatabaseServers, gaps: &mut Gaps) {
    let mut commands: Vec<(Vec<String>, String, bool)> = Vec::new();
    for process in processes.iter().filter(|p| p.engine == ENGINE && p.program == "mongod") {
        commands.push((process.arguments.clone(), "process mongod".into(), true));
    }
    for service in unit::services(host, &["mongod"]) {
        let words: Vec<String> = service.arguments.iter().skip(1).flatten().cloned().collect();
        if service.arguments.first().cloned().flatten().is_some_and(|p| p.ends_with("/mongod")) && !commands.iter().any(|(w, _, _)| config(w) == config(&words))
        {
            commands.push((words, service.source.place, false));
        }
    }
    let versions = manager::versions(host);
    let is_installed = PACKAGES.iter().any(|p| versions.contains_key(*p)) || host.exists("/usr/bin/mongod").unwrap_or(false);
    if is_installed && commands.is_empty() {
        let file = FILES.iter().find(|f| host.exists(f).unwrap_or(true));
        commands.extend(file.map(|f| (vec!["--config".to_string(), (*f).to_string()], String::new(), false)));
    }
    for (words, place, runs) in commands {
        let file = config(&words).unwrap_or_default().to_string();
        let subject = if file.is_empty() { format!("{ENGINE} {}", option(&words, &["--dbpath"]).unwrap_or("/data/db")) } else { format!("{ENGINE} {file}") };
        match settings(host, &file, &words, &place) {
            Ok(settings) => {
                let running = host.is_live().then_some(runs);
                let version = PACKAGES.iter().find_map(|p| versions.get(*p)?.first().cloned()).unwrap_or_default();
                tell(host, &subject, &file, version, running, &settings, into);
            }
            Err((id, detail)) => note_all(gaps, &PLAIN_PATHS, &subject, id, &detail, ""),
        }
    }
}

fn config(words: &[String]) -> Option<&str> {
    option(words, &["--config", "-f"])
}

/// File and command line, defaults left out.
fn settings(host: &Host, file: &str, words: &[String], place: &str) -> Result<Settings, (&'static str, String)> {
    let mut out = Settings::new();
    if !file.is_empty() {
        let text = host.read_text(file, CONFIG_LIMIT).map_err(|e| (reason::READ_FAILED, e.to_string()))?;
        if is_old_form(&text) { old_form(&text, file, &mut out) } else { yaml(&text, file, &mut out)? }
    }
    for (path, names, _) in KNOWN {
        for name in names {
            let long = format!("--{name}");
            let flags = [long.as_str()];
            let value = match *name {
                // These stand alone.
                "auth" | "bind_ip_all" | "ipv6" | "journal" | "enableEncryption" if words.contains(&long) => Some("true"),
                "auth" | "bind_ip_all" | "ipv6" | "journal" | "enableEncryption" => None,
                _ => option(words, &flags),
            };
            if let Some(value) = value {
                out.insert(path.into(), (shown(path, value), Source { place: place.into(), line: 0, directive: (*name).into() }));
            }
        }
    }
    for (flag, path, value) in [("--nojournal", "storage.journal.enabled", "off"), ("--noauth", "security.authorization", "disabled")] {
        if words.iter().any(|w| w == flag) {
            out.insert(path.into(), (value.into(), Source { place: place.into(), line: 0, directive: flag.into() }));
        }
    }
    Ok(out)
}

/// `name = value` lines, and none of YAML.
fn is_old_form(text: &str) -> bool {
    let lines = || text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let is_yaml = |l: &str| l.split_once(':').is_some_and(|(key, rest)| !key.contains('=') && (rest.is_empty() || rest.starts_with(' ')));
    lines().any(|l| l.contains('=')) && !lines().any(is_yaml)
}

fn old_form(text: &str, file: &str, out: &mut Settings) {
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((name, value)) = line.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        let source = Source::line(file, index + 1, name);
        match (name, KNOWN.iter().find(|(path, names, _)| names.contains(&name) || *path == name)) {
            ("noauth", _) if value == "true" => drop(out.insert("security.authorization".into(), ("disabled".into(), source))),
            ("nojournal", _) if value == "true" => drop(out.insert("storage.journal.enabled".into(), ("off".into(), source))),
            (_, Some((path, _, _))) => drop(out.insert((*path).into(), (shown(path, value), source))),
            _ => {}
        }
    }
}

fn yaml(text: &str, file: &str, out: &mut Settings) -> Result<(), (&'static str, String)> {
    const NODES: usize = 10_000;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: NODES, max_aliases: 0, max_anchors: 0, max_depth: 16, max_documents: 1 },
        with_snippet: false,
    };
    let is_empty = text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'));
    let read = || serde_saphyr::from_str_with_options::<Value>(if is_empty { "{}" } else { text }, options);
    let parsed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    let value = match parsed {
        Ok(Ok(value)) => value,
        Ok(Err(e)) => return Err((reason::MALFORMED, format!("{file}:{}: not readable as YAML", e.location().map_or(1, |l| l.line())))),
        Err(_) => return Err((reason::MALFORMED, format!("{file}: not readable as YAML"))),
    };
    if text.contains("__exec") || text.contains("__rest") {
        return Err((reason::UNSUPPORTED, format!("{file}: values that a program or another server gives (__exec, __rest) are not read")));
    }
    flatten(&value, "", text, file, out);
    Ok(())
}

fn flatten(value: &Value, path: &str, text: &str, file: &str, out: &mut Settings) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(value, &path, text, file, out);
            }
        }
        other => {
            let word = match other {
                Value::String(s) => s.clone(),
                Value::Null => String::new(),
                Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
                plain => plain.to_string(),
            };
            let path = OLD.iter().find(|(old, _)| *old == path).map_or(path, |(_, new)| new);
            if KNOWN.iter().any(|k| k.0 == path) {
                let line = line_of(text, path.rsplit('.').next().unwrap_or(path));
                out.insert(path.into(), (shown(path, &word), Source::line(file, line, path)));
            }
        }
    }
}

/// Line of a key; 0 when it stands there more than once, or under an old name.
fn line_of(text: &str, key: &str) -> usize {
    let is_key = |l: &str| {
        l.trim_start().trim_start_matches(['"', '\'']).strip_prefix(key).is_some_and(|r| r.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    };
    let mut found = text.lines().enumerate().filter(|(_, l)| is_key(l)).map(|(i, _)| i + 1);
    match (found.next(), found.next()) {
        (Some(line), None) => line,
        _ => 0,
    }
}

/// The form in which settings are told.
fn shown(path: &str, value: &str) -> String {
    match (path, value) {
        ("net.tls.mode", mode) => mode.replace("SSL", "TLS"),
        ("security.authorization", "true" | "on") => "enabled".into(),
        ("security.authorization", "false" | "off") => "disabled".into(),
        ("security.keyFile", file) if !file.is_empty() => "set".into(),
        (_, "true") => "on".into(),
        (_, "false") => "off".into(),
        (_, value) => value.into(),
    }
}

fn tell(host: &Host, subject: &str, file: &str, version: String, running: Option<bool>, settings: &Settings, into: &mut DatabaseServers) {
    let default = |path: &str| KNOWN.iter().find(|k| k.0 == path).map_or("", |k| k.2);
    let value = |path: &str| settings.get(path).map_or_else(|| default(path), |v| v.0.as_str());
    let source = |path: &str| settings.get(path).map(|v| v.1.clone()).unwrap_or_default();
    for (path, _, default) in KNOWN {
        if default.is_empty() && !settings.contains_key(path) {
            continue;
        }
        into.settings.push(DatabaseSetting {
            subject: format!("{subject} {path}"),
            server: subject.into(),
            engine: ENGINE.into(),
            name: path.into(),
            value: value(path).into(),
            written: settings.contains_key(path),
            running: None,
            pending_restart: false,
            source: source(path),
        });
    }
    let addresses: Vec<String> = match value("net.bindIp") {
        _ if value("net.bindIpAll") == "on" => vec!["*".into()],
        bound => bound.split(',').map(|a| a.trim().to_string()).filter(|a| !a.is_empty()).collect(),
    };
    let (sockets, addresses): (Vec<String>, Vec<String>) = addresses.into_iter().partition(|a| a.starts_with('/'));
    let tls = match value("net.tls.mode") {
        "requireTLS" => "required",
        "allowTLS" | "preferTLS" => "offered",
        _ => "none",
    };
    let versions = (tls != "none").then(|| versions(value("net.tls.disabledProtocols"))).flatten();
    let oldest = versions.as_ref().and_then(|v| v.first()).cloned().unwrap_or_default();
    // A key file between the members turns authorisation on.
    let has_key = !value("security.keyFile").is_empty();
    let is_required =
        value("security.authorization") == "enabled" || has_key || matches!(value("security.clusterAuthMode"), "x509" | "sendX509" | "sendKeyFile" | "keyFile");
    let port = value("net.port").parse().unwrap_or(0);
    let listen_source = Some(source("net.bindIp")).filter(|s| !s.place.is_empty()).unwrap_or_else(|| Source::whole(file));
    let key_file: Vec<String> = Some(value("net.tls.certificateKeyFile")).filter(|f| !f.is_empty() && tls != "none").map(String::from).into_iter().collect();
    let like = ConfiguredEndpoint {
        port,
        transport: String::new(),
        tls: tls.into(),
        versions,
        certificates: key_file.clone(),
        keys: key_file,
        versions_source: source("net.tls.disabledProtocols"),
        ..ConfiguredEndpoint::plain(ENGINE, subject.into(), listen_source.clone())
    };
    into.listen(&reach::resolved(&addresses), port, &like);
    into.listen_locally(&sockets, ENGINE, subject, &listen_source);
    into.servers.push(DatabaseServer {
        subject: subject.into(),
        engine: ENGINE.into(),
        version,
        config: file.into(),
        data: value("storage.dbPath").into(),
        running,
        declared: false,
        exposed: addresses.iter().any(|a| !reach::is_loopback(host, a)),
        tls: tls.into(),
        tls_source: source("net.tls.mode"),
        tls_minimum_code: code(&oldest),
        tls_minimum: oldest,
        tls_minimum_source: source("net.tls.disabledProtocols"),
        authentication: if is_required { "required" } else { "none" }.into(),
        authentication_source: source("security.authorization"),
        checksums: None,
        source: Source::whole(file),
    });
}

/// What is left on; without a list the library decides about the old versions.
fn versions(disabled: &str) -> Option<Vec<String>> {
    if disabled.is_empty() {
        return None;
    }
    let on = [("TLSv1.0", "TLS1_0"), ("TLSv1.1", "TLS1_1"), ("TLSv1.2", "TLS1_2"), ("TLSv1.3", "TLS1_3")];
    Some(on.iter().filter(|(_, word)| !disabled.split(',').any(|d| d.trim() == *word)).map(|(version, _)| (*version).to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostFamily as _;
    use crate::host::testing::rooted;

    const STATUS: &str = "Package: mongodb-org-server\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.0.1\n\n";

    fn judged(path: &str, config: &str) -> String {
        let (_root, host) = rooted(&[("/var/lib/dpkg/status", STATUS), (path, config)]);
        let mut gaps = Gaps::new();
        let found = DatabaseServers::gather(&host, &mut gaps).unwrap();
        let gaps: Vec<String> = gaps.into_sorted().into_iter().map(|g| g.reason).collect();
        found.servers.first().map_or_else(
            || gaps.join(" "),
            |s| format!("{} {} {} {} {}:{}", s.exposed, s.tls, s.authentication, s.tls_minimum, s.authentication_source.place, s.authentication_source.line),
        )
    }

    #[test]
    fn both_forms_of_the_file() {
        let yaml = "net:\n  port: 27017\n  bindIp: 127.0.0.1,10.0.0.5\n  tls:\n    mode: requireTLS\n    certificateKeyFile: /m.pem\n    disabledProtocols: TLS1_0,TLS1_1\nsecurity:\n  authorization: enabled\n";
        assert_eq!(judged("/etc/mongod.conf", yaml), "true required required TLSv1.2 /etc/mongod.conf:9");
        assert_eq!(judged("/etc/mongod.conf", "net:\n  bindIpAll: true\n  ssl:\n    mode: preferSSL\n"), "true offered none  :0");
        assert_eq!(judged("/etc/mongod.conf", "security:\n  keyFile: /k\n"), "false none required  :0");
        assert_eq!(judged("/etc/mongodb.conf", "# c\nbind_ip = 0.0.0.0\nauth=true\n"), "true none required  /etc/mongodb.conf:3");
        assert_eq!(judged("/etc/mongodb.conf", "bind_ip = 127.0.0.1\n#auth = true\n"), "false none none  :0");
        assert_eq!(judged("/etc/mongod.conf", "net: [\n"), "malformed malformed malformed");
        assert_eq!(judged("/etc/mongod.conf", "net:\n  tls:\n    certificateKeyFilePassword:\n      __exec: x\n"), "unsupported unsupported unsupported");
    }
}
