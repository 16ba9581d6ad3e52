//! Apache httpd: its main files, virtual hosts, listeners.

mod answer;
mod folders;
mod hosts;
mod line;
mod read;
mod site;
mod tls;

use std::collections::BTreeMap;

use super::collect::{Collector, place, socket};
use super::{WebServer, launch};
use crate::facts::web::tree::Directive;
use crate::host::{Host, manager};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::reason;
use hosts::{Listen, VirtualHost};
use read::{Files, Start};
use tls::Version;

/// ServerRoot and main file that programs were built for.
const USUAL: [(&str, &str); 4] = [
    ("/etc/apache2", "/etc/apache2/apache2.conf"),
    ("/etc/httpd", "/etc/httpd/conf/httpd.conf"),
    ("/etc/apache2", "/etc/apache2/httpd.conf"),
    ("/usr/local/apache2", "/usr/local/apache2/conf/httpd.conf"),
];
/// Programs.
const PROGRAMS: [&str; 4] = ["/usr/sbin/apache2", "/usr/sbin/httpd", "/usr/sbin/httpd-prefork", "/usr/local/apache2/bin/httpd"];
/// Packages whose version is that of the program.
const PACKAGES: [&str; 3] = ["apache2-bin", "httpd-core", "httpd"];
/// Most of a program read in search of its version, bytes.
const PROGRAM_LIMIT: usize = 16 << 20;

/// Reads every configuration that a running server, the unit or the usual place names.
pub fn gather(collector: &mut Collector<'_>) {
    let starts = starts(collector);
    // The database of packages is large: it is asked only when there is a reason.
    let (version, release) = if starts.is_empty() { Default::default() } else { version(collector.host) };
    for (mut start, running) in starts {
        start.release = release;
        instance(collector, &start, &version, running);
    }
}

/// How servers are started, and whether one runs so; by main file.
fn starts(collector: &mut Collector<'_>) -> Vec<(Start, bool)> {
    let host = collector.host;
    let mut out: BTreeMap<String, (Start, bool)> = BTreeMap::new();
    for process in launch::running(host, &["apache2", "httpd", "httpd-prefork"], collector.family, collector.gaps) {
        let start = start(host, &process.arguments);
        for option in ["-C", "-c"] {
            if !launch::option_values(&process.arguments, option).is_empty() {
                let detail = format!("the command line of process {} holds directives ({option}), which are not read", process.pid);
                collector.gap("", "", reason::UNSUPPORTED, detail, "Write the directives into a file.");
            }
        }
        out.entry(start.main.clone()).or_insert((start, true));
    }
    let unit = launch::unit_arguments(host, &["apache2.service", "httpd.service"]);
    let start = start(host, &unit);
    match host.exists(&start.main) {
        Ok(true) => drop(out.entry(start.main.clone()).or_insert((start, false))),
        Ok(false) => {}
        Err(e) => collector.gaps.add(e.to_gap(collector.family, "", "")),
    }
    out.into_values().collect()
}

/// `-d ROOT`, `-f FILE` and `-D NAME` over the usual places.
fn start(host: &Host, arguments: &[String]) -> Start {
    let value = |option: &str| launch::option_values(arguments, option).pop();
    let there = |(_, main): &&(&str, &str)| host.exists(main).unwrap_or(false);
    let (root, main) = USUAL.iter().find(there).or(USUAL.first()).copied().unwrap_or_default();
    let given = value("-d").map(|d| d.trim_end_matches('/').to_string());
    let name = main.strip_prefix(root).unwrap_or(main).trim_start_matches('/').to_string();
    let root = given.unwrap_or_else(|| root.to_string());
    let main = value("-f").unwrap_or(name);
    let main = if main.starts_with('/') { main } else { format!("{root}/{main}") };
    Start { main, root, defines: launch::option_values(arguments, "-D"), release: None }
}

fn version(host: &Host) -> (String, Option<Version>) {
    const MARK: &[u8] = b"Apache/2.";
    let in_program = |bytes: Vec<u8>| {
        bytes.windows(MARK.len()).enumerate().filter(|(_, w)| *w == MARK).find_map(|(at, _)| {
            let rest = bytes.iter().skip(at + MARK.len() - 2).take(16).map(|b| char::from(*b));
            let text: String = rest.take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            release(&text).map(|_| text)
        })
    };
    let found = PROGRAMS.iter().find_map(|path| host.read(path, PROGRAM_LIMIT).ok()).and_then(in_program);
    let text = found.or_else(|| {
        let versions = manager::versions(host);
        let newest = PACKAGES.iter().find_map(|name| versions.get(*name))?.last()?.clone();
        let upstream = newest.split_once(':').map_or(newest.as_str(), |(_, v)| v);
        Some(upstream.split(['-', '+', '~']).next().unwrap_or(upstream).to_string())
    });
    let text = text.unwrap_or_default();
    let numbers = release(&text);
    (text, numbers)
}

/// Three numbers.
fn release(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(|n| n.parse::<u32>().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

fn instance(collector: &mut Collector<'_>, start: &Start, version: &str, running: bool) {
    let files = read::read(collector, start);
    let (listens, unread) = hosts::listens(&files.nodes);
    for node in unread {
        let detail = format!("{}: Listen has an address that is not understood", place(&node.source()));
        for path in ["endpoints", "sites"] {
            collector.gap(path, "", reason::UNSUPPORTED, detail.clone(), "Compare with apachectl -t -D DUMP_VHOSTS.");
        }
    }
    let hosts = hosts::virtual_hosts(&files.nodes);
    unread_hosts(collector, &hosts);
    let mut addresses: BTreeMap<usize, Vec<(String, u32, bool)>> = BTreeMap::new();
    for listen in &listens {
        for (address, answering) in hosts::answering(listen, &hosts) {
            let first = answering.first().and_then(|i| hosts.get(*i));
            for index in answering.iter().copied() {
                let Some((host, first)) = hosts.get(index).zip(first) else { continue };
                let tls = endpoint(collector, &Place { listen, address: &address, host, first, files: &files, release: start.release });
                addresses.entry(index).or_default().push((address.clone(), listen.port, tls));
            }
        }
    }
    for (index, addresses) in addresses {
        let Some(host) = hosts.get(index) else { continue };
        let server =
            site::Server { host, main: &files.nodes, main_file: &start.main, root: &files.root, addresses, lists: files.modules.contains("autoindex") };
        site::gather(collector, &server);
    }
    let last = |name: &str| files.nodes.iter().rfind(|n| n.name == name).map(|n| n.argument(0).to_ascii_lowercase());
    let tokens = last("servertokens").unwrap_or_default();
    collector.web.servers.push(WebServer {
        subject: format!("apache {}", start.main),
        program: "apache".into(),
        version: version.into(),
        running,
        shows_version: !matches!(tokens.as_str(), "prod" | "productonly" | "major" | "minor"),
        trace: last("traceenable").is_none_or(|v| v != "off"),
        files: files.paths,
        source: Source::whole(start.main.clone()),
    });
}

fn unread_hosts(collector: &mut Collector<'_>, hosts: &[VirtualHost<'_>]) {
    for node in hosts.iter().filter_map(|h| h.node) {
        let is_name = |text: &str| hosts::address(text).is_none_or(|(address, _)| address.is_some_and(|a| a.parse::<std::net::IpAddr>().is_err()));
        if node.arguments.iter().any(|a| is_name(a)) {
            let detail = format!("{}: VirtualHost has a name for an address, or a variable that is not known here", place(&node.source()));
            for path in ["endpoints", "sites"] {
                collector.gap(path, "", reason::UNSUPPORTED, detail.clone(), "Write the address.");
            }
        }
    }
}

/// A host on a listener.
struct Place<'p> {
    listen: &'p Listen<'p>,
    address: &'p str,
    host: &'p VirtualHost<'p>,
    /// The host that answers names that none has.
    first: &'p VirtualHost<'p>,
    files: &'p Files,
    release: Option<Version>,
}

/// Adds the endpoint; whether it speaks TLS.
fn endpoint(collector: &mut Collector<'_>, place: &Place<'_>) -> bool {
    let Place { listen, host, files, release, .. } = *place;
    let main = &files.nodes;
    let on = files.modules.contains("ssl") && tls::is_on(host, main, listen.https);
    let name = host.names.first().map(|n| format!(" {n}")).unwrap_or_default();
    let mut endpoint = ConfiguredEndpoint {
        address: place.address.into(),
        port: listen.port,
        names: host.names.clone(),
        tls: if on { "required" } else { "none" }.into(),
        ..ConfiguredEndpoint::plain(
            "apache",
            format!("apache {}{name}", socket(place.address, listen.port)),
            host.node.map_or_else(|| listen.node.source(), |n| n.source()),
        )
    };
    if !on {
        collector.endpoint(endpoint);
        return false;
    }
    endpoint.ciphers = cipher_suites(host, main);
    endpoint.certificates = tls::files(host, main, "sslcertificatefile", &files.root);
    endpoint.keys = tls::files(host, main, "sslcertificatekeyfile", &files.root);
    if endpoint.keys.is_empty() {
        endpoint.keys.clone_from(&endpoint.certificates);
    }
    let own = tls::versions(host, main, release);
    let decides = std::ptr::eq(host, place.first) || tls::decides_itself(host, main, release).unwrap_or(true);
    let is_clear = std::ptr::eq(host, place.first) || tls::decides_itself(host, main, release).is_some();
    let decided = if decides { own } else { tls::versions(place.first, main, release) };
    (endpoint.versions, endpoint.versions_source) = decided;
    let at = super::collect::place(&endpoint.source);
    let command = tls::last(host, main, "sslopensslconfcmd").is_some_and(|n| n.argument(0).to_ascii_lowercase().contains("protocol"));
    let policy = tls::last(host, main, "sslpolicy").is_some();
    let is_read = endpoint.versions.is_some() && is_clear && !command && !policy;
    let subject = collector.endpoint(endpoint);
    if !is_read {
        let detail = format!("{at}: the TLS versions are decided by a directive that is not followed, or by a release that is not known");
        collector.gap("endpoints.versions", &subject, reason::UNSUPPORTED, detail, "Write SSLProtocol for every virtual host.");
    }
    true
}

/// `SSLCipherSuite [SSL] LIST`; the form for TLS 1.3 names its protocol.
fn cipher_suites(host: &VirtualHost<'_>, main: &[Directive]) -> String {
    let of = |nodes: &[Directive]| {
        let those = nodes.iter().rfind(|n| n.name == "sslciphersuite" && !n.argument(0).eq_ignore_ascii_case("TLSv1.3"));
        those.and_then(|n| n.arguments.last().cloned())
    };
    of(host.nodes).or_else(|| of(main)).unwrap_or_default()
}
