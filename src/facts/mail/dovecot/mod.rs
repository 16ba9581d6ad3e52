//! Dovecot 2.3 and 2.4: its main files, listeners, sign-in.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Collector, MailListener, MailServer};
use crate::facts::web::{is_exposed, launch, socket};
use crate::host::{Host, manager};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::reason;
use file::{Files, Setting};

/// The usual main file.
const MAIN: &str = "/etc/dovecot/dovecot.conf";
/// Packages whose version is that of the program.
const PACKAGES: [&str; 2] = ["dovecot-core", "dovecot"];
/// Release as numbers.
type Release = (u32, u32, u32);

/// A listener that services come with.
struct Usual {
    service: &'static str,
    /// Protocol that starts the service.
    protocol: &'static str,
    name: &'static str,
    port: u32,
    tls: bool,
}

const fn usual(service: &'static str, protocol: &'static str, name: &'static str, port: u32, tls: bool) -> Usual {
    Usual { service, protocol, name, port, tls }
}

const USUAL: [Usual; 7] = [
    usual("imap-login", "imap", "imap", 143, false),
    usual("imap-login", "imap", "imaps", 993, true),
    usual("pop3-login", "pop3", "pop3", 110, false),
    usual("pop3-login", "pop3", "pop3s", 995, true),
    usual("submission-login", "submission", "submission", 587, false),
    usual("submission-login", "submission", "submissions", 465, true),
    usual("managesieve-login", "sieve", "sieve", 4190, false),
];

/// Reads the usual main file and those with which servers run.
pub fn gather(collector: &mut Collector<'_>) {
    let mut mains: BTreeMap<String, bool> = BTreeMap::new();
    for process in launch::running(collector.host, &["dovecot"], collector.family, collector.gaps) {
        let main = launch::option_values(&process.arguments, "-c").pop().unwrap_or_else(|| MAIN.into());
        mains.insert(main, true);
    }
    match collector.host.exists(MAIN) {
        Ok(true) => drop(mains.entry(MAIN.into()).or_insert(false)),
        Ok(false) => {}
        Err(e) => collector.gaps.add(e.to_gap(collector.family, "", "")),
    }
    // The database of packages is large: it is asked only when there is a reason.
    let (version, release) = if mains.is_empty() { Default::default() } else { version(collector.host) };
    for (main, running) in mains {
        let files = file::read(collector, &main);
        listeners(collector, &files, release, &main);
        collector.mail.servers.push(MailServer {
            subject: format!("dovecot {main}"),
            program: "dovecot".into(),
            version: version.clone(),
            running,
            files: files.paths,
            source: Source::whole(main),
        });
    }
}

fn version(host: &Host) -> (String, Option<Release>) {
    let versions = manager::versions(host);
    let Some(newest) = PACKAGES.iter().find_map(|name| versions.get(*name)?.last()) else { return (String::new(), None) };
    let upstream = newest.split_once(':').map_or(newest.as_str(), |(_, v)| v);
    let text = upstream.split(['-', '+', '~']).next().unwrap_or(upstream).to_string();
    let mut numbers = text.split('.').map(|n| n.parse::<u32>().ok());
    let release = match (numbers.next().flatten(), numbers.next().flatten(), numbers.next().flatten()) {
        (Some(a), Some(b), c) => Some((a, b, c.unwrap_or(0))),
        _ => None,
    };
    (text, release)
}

/// Where connections are taken: service, listener, its address as written, port, whether TLS from the first byte.
struct Listener {
    service: String,
    protocol: String,
    addresses: Option<String>,
    port: u32,
    tls: bool,
    source: Source,
}

fn listeners(collector: &mut Collector<'_>, files: &Files, release: Option<Release>, main: &str) {
    let Some(protocols) = last(files, "protocols").map(|s| s.value.clone()).or_else(|| protocol_block(files)) else {
        let detail = format!("{main}: protocols is not written, and its default depends on how Dovecot was built");
        for path in ["endpoints", "listeners"] {
            collector.gap(path, "", reason::UNSUPPORTED, detail.clone(), "Write protocols, and compare with doveconf -n.");
        }
        return;
    };
    let enabled: BTreeSet<&str> = protocols.split_whitespace().filter(|p| *p != "none").collect();
    for listener in configured(files, &enabled, release, main) {
        let view = View { files, protocol: &listener.protocol, release };
        // Without TLS at all its listeners are not opened.
        if listener.tls && view.value("ssl", "", "yes").0 == "no" {
            continue;
        }
        let written = listener.addresses.clone().or_else(|| last(files, "listen").map(|s| s.value.clone())).unwrap_or_else(|| "*, ::".into());
        for address in written.split([',', ' ']).filter(|a| !a.is_empty()) {
            let address = if address == "*" { "0.0.0.0" } else { address.trim_start_matches('[').trim_end_matches(']') };
            if address.parse::<IpAddr>().is_err() && address != "localhost" {
                let detail = format!("{}:{}: the address of {address} is not looked up", listener.source.place, listener.source.line);
                for path in ["endpoints", "listeners"] {
                    collector.gap(path, "", reason::UNSUPPORTED, detail.clone(), "Write addresses into listen.");
                }
                continue;
            }
            endpoint(collector, &view, &listener, address);
        }
    }
}

/// `protocols { imap = yes }` of release 2.4.
fn protocol_block(files: &Files) -> Option<String> {
    let inside = |s: &&Setting| s.blocks.len() == 1 && s.blocks.first().is_some_and(|(kind, _)| kind == "protocols");
    let names: Vec<&str> = files.settings.iter().filter(inside).filter(|s| s.value == "yes").map(|s| s.key.as_str()).collect();
    if names.is_empty() { None } else { Some(names.join(" ")) }
}

/// The last value outside of blocks.
fn last<'f>(files: &'f Files, key: &str) -> Option<&'f Setting> {
    files.settings.iter().rfind(|s| s.blocks.is_empty() && s.key == key)
}

/// The usual listeners of enabled protocols with what the file says about them, and those that it adds.
fn configured(files: &Files, enabled: &BTreeSet<&str>, release: Option<Release>, main: &str) -> Vec<Listener> {
    let mut out: Vec<Listener> = Vec::new();
    let comes_with = |u: &&Usual| u.name != "submissions" || release.is_some_and(|r| r >= (2, 4, 0));
    let mut names: Vec<(String, String)> = USUAL.iter().filter(comes_with).map(|u| (u.service.to_string(), u.name.to_string())).collect();
    for blocks in &files.opened {
        if let [(kind, service), (inner, name)] = blocks.as_slice()
            && kind == "service"
            && inner == "inet_listener"
            && !names.contains(&(service.clone(), name.clone()))
        {
            names.push((service.clone(), name.clone()));
        }
    }
    for (service, name) in names {
        let of = |key: &str| {
            let inside = |s: &&Setting| match s.blocks.as_slice() {
                [(kind, of), (inner, own)] => kind == "service" && *of == service && inner == "inet_listener" && *own == name && s.key == key,
                _ => false,
            };
            files.settings.iter().rfind(inside)
        };
        let usual = USUAL.iter().filter(comes_with).find(|u| u.service == service && u.name == name);
        let protocol = USUAL.iter().find(|u| u.service == service).map_or_else(|| service.trim_end_matches("-login").to_string(), |u| u.protocol.to_string());
        let needs_protocol = service.ends_with("-login") || service == "lmtp";
        if needs_protocol && !enabled.contains(protocol.as_str()) && !(protocol == "sieve" && enabled.contains("managesieve")) {
            continue;
        }
        let port = of("port").map_or_else(|| usual.map_or(0, |u| u.port), |s| s.value.parse::<u16>().map_or(0, u32::from));
        if port == 0 {
            continue;
        }
        let tls = of("ssl").map_or_else(|| usual.is_some_and(|u| u.tls), |s| s.value == "yes");
        let source = of("port").or_else(|| of("ssl")).map(|s| s.source.clone());
        let source = source.or_else(|| last(files, "protocols").map(|s| s.source.clone())).unwrap_or_else(|| Source::whole(main));
        let addresses = of("address").or_else(|| of("listen")).map(|s| s.value.clone());
        out.push(Listener { service, protocol, addresses, port, tls, source });
    }
    out
}

/// Settings as one protocol on one address sees them.
struct View<'v> {
    files: &'v Files,
    protocol: &'v str,
    release: Option<Release>,
}

impl View<'_> {
    /// The last value of the most specific block that holds for the address, with its place; the default when none is written.
    fn value(&self, key: &str, address: &str, default: &str) -> (String, Source) {
        let found = self.files.settings.iter().filter(|s| s.key == key && self.holds(s, address));
        let best = found.enumerate().max_by_key(|(at, s)| (s.blocks.len(), s.blocks.iter().any(|(kind, _)| kind == "local"), *at));
        best.map_or_else(|| (default.to_string(), Source::default()), |(_, s)| (s.value.clone(), s.source.clone()))
    }

    /// One of these names, the newer one first.
    fn either(&self, names: [&str; 2], address: &str) -> (String, Source) {
        let newer = self.value(names[0], address, "");
        if newer.1.place.is_empty() { self.value(names[1], address, "") } else { newer }
    }

    fn holds(&self, setting: &Setting, address: &str) -> bool {
        setting.blocks.iter().all(|(kind, name)| match kind.as_str() {
            "protocol" => name.strip_prefix('!').map_or(name == self.protocol, |n| n != self.protocol) || (name == "lda" && self.protocol == "lda"),
            "local" => !address.is_empty() && name.split([',', ' ']).any(|n| n.trim_start_matches('[').trim_end_matches(']') == address),
            _ => false,
        })
    }

    /// Versions from the oldest one that is allowed; `None` when the word is not known.
    fn versions(&self, address: &str) -> (Option<Vec<String>>, Source) {
        const VERSIONS: [(&str, &str); 5] = [("SSLv3", "SSLv3"), ("TLSv1", "TLSv1.0"), ("TLSv1.1", "TLSv1.1"), ("TLSv1.2", "TLSv1.2"), ("TLSv1.3", "TLSv1.3")];
        let default = match self.release {
            Some(release) if release < (2, 3, 15) => "TLSv1",
            _ => "TLSv1.2",
        };
        let (lowest, source) = self.value("ssl_min_protocol", address, default);
        let chosen = if lowest.eq_ignore_ascii_case("LATEST") {
            Some(VERSIONS.len() - 1)
        } else if lowest.eq_ignore_ascii_case("ANY") {
            Some(0)
        } else {
            VERSIONS.iter().position(|(name, _)| name.eq_ignore_ascii_case(&lowest))
        };
        let versions = chosen.and_then(|from| VERSIONS.get(from..)).map(|v| v.iter().map(|(_, name)| (*name).to_string()).collect());
        // Releases before 2.3 have a list instead, which is not read.
        let old = self.release.is_some_and(|r| r < (2, 3, 0)) || self.files.settings.iter().any(|s| s.key == "ssl_protocols");
        (if old { None } else { versions }, source)
    }

    /// Whether passwords are taken without TLS on an address, and what decides.
    fn cleartext(&self, address: &str) -> (bool, Source) {
        let (denied, denied_source) = self.value("disable_plaintext_auth", address, "");
        let (allowed, allowed_source) = self.value("auth_allow_cleartext", address, "");
        let exception = self.files.settings.iter().find(|s| {
            let is_allowed = (s.key == "disable_plaintext_auth" && s.value == "no") || (s.key == "auth_allow_cleartext" && s.value == "yes");
            is_allowed && s.blocks.iter().any(|(kind, name)| kind == "remote" && is_exposed(name.split('/').next().unwrap_or(name)))
        });
        match exception {
            _ if denied == "no" => (true, denied_source),
            _ if allowed == "yes" => (true, allowed_source),
            Some(exception) => (true, exception.source.clone()),
            None => (false, if denied_source.place.is_empty() { allowed_source } else { denied_source }),
        }
    }
}

/// A file behind `<`, or the plain path of newer releases.
fn file_path(value: &str) -> Option<String> {
    let path = value.trim_start_matches('<').trim();
    path.starts_with('/').then(|| path.to_string())
}

fn endpoint(collector: &mut Collector<'_>, view: &View<'_>, listener: &Listener, address: &str) {
    let (ssl, ssl_source) = view.value("ssl", address, "yes");
    let is_login = listener.service.ends_with("-login") || listener.service == "lmtp";
    let tls = match ssl.as_str() {
        _ if listener.tls => "required",
        "no" => "none",
        _ if !is_login => "none",
        "required" if listener.service != "lmtp" => "required",
        _ => "offered",
    };
    let certificates: Vec<String> = file_path(&view.either(["ssl_server_cert_file", "ssl_cert"], address).0).into_iter().collect();
    let keys: Vec<String> = file_path(&view.either(["ssl_server_key_file", "ssl_key"], address).0).into_iter().collect();
    let (versions, versions_source) = if tls == "none" { (None, Source::default()) } else { view.versions(address) };
    let subject = format!("dovecot {}", socket(address, listener.port));
    if tls != "none" && versions.is_none() {
        let detail = format!("the TLS versions of {subject} are set by words that are not known here");
        collector.gap("endpoints.versions", &subject, reason::UNSUPPORTED, detail, "Write ssl_min_protocol.");
    }
    let (cleartext, cleartext_source) = view.cleartext(address);
    let (sign_in, sign_in_source) = match (listener.service.ends_with("-login"), tls, cleartext) {
        (false, ..) => ("off", Source::default()),
        (_, "required", _) => ("after-tls", ssl_source),
        (_, _, true) => ("cleartext", cleartext_source),
        (_, "none", false) => ("off", cleartext_source),
        _ => ("after-tls", cleartext_source),
    };
    let endpoint = ConfiguredEndpoint {
        address: address.into(),
        port: listener.port,
        tls: tls.into(),
        versions,
        ciphers: view.value("ssl_cipher_list", address, "").0,
        certificates: if tls == "none" { Vec::new() } else { certificates },
        keys: if tls == "none" { Vec::new() } else { keys },
        versions_source,
        ..ConfiguredEndpoint::plain("dovecot", subject, listener.source.clone())
    };
    let item = MailListener {
        subject: String::new(),
        program: "dovecot".into(),
        protocol: if listener.protocol == "sieve" { "managesieve".into() } else { listener.protocol.clone() },
        address: address.into(),
        port: listener.port,
        exposed: false,
        tls: String::new(),
        sign_in: sign_in.into(),
        sign_in_source,
        relay: String::new(),
        relay_detail: String::new(),
        relay_source: Source::default(),
        source: listener.source.clone(),
    };
    let named = named(view.files, &endpoint);
    collector.add(endpoint, Some(item));
    for endpoint in named {
        collector.add(endpoint, None);
    }
}

/// `local_name` blocks: further names with certificates of their own, on every endpoint with TLS.
fn named(files: &Files, endpoint: &ConfiguredEndpoint) -> Vec<ConfiguredEndpoint> {
    let mut out: BTreeMap<String, ConfiguredEndpoint> = BTreeMap::new();
    if endpoint.tls == "none" {
        return Vec::new();
    }
    for setting in &files.settings {
        let [(kind, name)] = setting.blocks.as_slice() else { continue };
        if kind != "local_name" {
            continue;
        }
        let entry = out.entry(name.clone()).or_insert_with(|| ConfiguredEndpoint {
            subject: format!("{} {name}", endpoint.subject),
            names: name.split_whitespace().map(String::from).collect(),
            source: setting.source.clone(),
            ..endpoint.clone()
        });
        match (setting.key.as_str(), file_path(&setting.value)) {
            ("ssl_cert" | "ssl_server_cert_file", Some(path)) => entry.certificates = vec![path],
            ("ssl_key" | "ssl_server_key_file", Some(path)) => entry.keys = vec![path],
            _ => {}
        }
    }
    out.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostFamily as _;
    use crate::facts::mail::Mail;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    fn shown(main: &str, version: &str) -> (Vec<String>, usize) {
        let status = format!("Package: dovecot-core\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:{version}\n\n");
        let (_root, host) = rooted(&[(MAIN, main), ("/var/lib/dpkg/status", &status)]);
        let mut gaps = Gaps::new();
        let mail = Mail::gather(&host, &mut gaps).unwrap();
        let sign = |subject: &str| mail.listeners.iter().find(|l| l.subject == subject).map_or("", |l| l.sign_in.as_str());
        let lines = mail.endpoints.iter().map(|e| {
            let first = e.versions.as_ref().and_then(|v| v.first()).map_or("", String::as_str);
            format!("{} {} {first} {}", e.subject.trim_start_matches("dovecot "), e.tls, sign(&e.subject)).trim_end().to_string()
        });
        (lines.collect(), gaps.into_sorted().len())
    }

    #[test]
    fn listeners_follow_protocols_blocks_and_defaults() {
        let main = "protocols = imap pop3 lmtp\nlisten = 10.0.0.1\nssl = yes\nservice imap-login {\n inet_listener imap {\n port = 0\n }\n inet_listener imaps {\n address = 127.0.0.1\n }\n}\n\
            service lmtp {\n inet_listener lmtp {\n port = 24\n }\n}\nservice managesieve-login {\n inet_listener sieve {\n port = 4190\n }\n}\n";
        assert_eq!(
            shown(main, "2.3.19.1-2"),
            (
                vec![
                    "127.0.0.1:993 required TLSv1.2 after-tls".into(),
                    "10.0.0.1:110 offered TLSv1.2 after-tls".into(),
                    "10.0.0.1:995 required TLSv1.2 after-tls".into(),
                    "10.0.0.1:24 offered TLSv1.2 off".into(),
                ],
                0
            )
        );
        let only = |main: &str, version: &str| shown(&format!("listen = ::1\nprotocols = pop3\n{main}"), version).0;
        assert_eq!(only("ssl = no\ndisable_plaintext_auth = no", "2.3.4"), ["[::1]:110 none  cleartext"]);
        assert_eq!(only("disable_plaintext_auth = no", "2.3.4"), ["[::1]:110 offered TLSv1.0 cleartext", "[::1]:995 required TLSv1.0 after-tls"]);
        assert_eq!(only("ssl = required\ndisable_plaintext_auth = no\nssl_min_protocol = TLSv1.3", "2.3.19")[0], "[::1]:110 required TLSv1.3 after-tls");
        assert_eq!(only("auth_allow_cleartext = yes", "2.4.1")[0], "[::1]:110 offered TLSv1.2 cleartext");
        assert_eq!(only("remote 10.0.0.0/8 {\n disable_plaintext_auth = no\n}", "2.3.19")[0], "[::1]:110 offered TLSv1.2 cleartext");
        assert_eq!(only("remote 127.0.0.1 {\n disable_plaintext_auth = no\n}", "2.3.19")[0], "[::1]:110 offered TLSv1.2 after-tls");
        assert_eq!(only("protocol pop3 {\n ssl_min_protocol = TLSv1.1\n}\nlocal ::1 {\n ssl = no\n}", "2.3.19")[0], "[::1]:110 none  off");
        assert_eq!(only("local_name a.example {\n ssl_cert = </c.pem\n}", "2.3.19").len(), 4);
        assert_eq!(shown("listen = *\n", "2.3.19"), (vec![], 2));
        assert_eq!(shown("protocols {\n imap = yes\n}\nlisten = ::1\n", "2.4.1").0.len(), 2);
    }
}
