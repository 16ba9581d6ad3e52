//! nginx: its main files, servers, sockets.

mod answer;
mod listen;
mod parse;
mod scope;
mod site;
mod tls;

use std::collections::BTreeMap;

use super::collect::{Collector, is_exposed, place, socket};
use super::{WebServer, launch};
use crate::facts::web::tree::Directive;
use crate::host::{manager, processes};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::reason;
use listen::{Key, Listen, Shared};
use scope::Scope;
use tls::Version;

pub use answer::Answer;
pub use site::max_age;

/// Programs with the main file that each was built for.
const PROGRAMS: [(&str, &str); 4] = [
    ("/usr/sbin/nginx", "/etc/nginx/nginx.conf"),
    ("/usr/bin/nginx", "/etc/nginx/nginx.conf"),
    ("/usr/local/nginx/sbin/nginx", "/usr/local/nginx/conf/nginx.conf"),
    ("/usr/local/openresty/nginx/sbin/nginx", "/usr/local/openresty/nginx/conf/nginx.conf"),
];
/// Packages whose version is that of the program.
const PACKAGES: [&str; 7] = ["nginx", "nginx-core", "nginx-light", "nginx-full", "nginx-extras", "nginx-common", "nginx-mainline"];
/// Most of a program read in search of its version, bytes.
const PROGRAM_LIMIT: usize = 16 << 20;
/// Where relative main files are looked for when no prefix is given (Debian and Fedora build with it).
const PREFIX: &str = "/usr/share/nginx";

/// Reads every configuration that a running server, the unit or the usual place names.
pub fn gather(collector: &mut Collector<'_>) {
    for (main, running) in main_files(collector) {
        instance(collector, &main, running);
    }
}

/// Main file -> whether a server runs with it.
fn main_files(collector: &mut Collector<'_>) -> BTreeMap<String, bool> {
    let mut out = BTreeMap::new();
    let host = collector.host;
    for process in launch::running(host, &["nginx"], collector.family, collector.gaps) {
        let first = process.arguments.first().map_or("", String::as_str);
        let arguments: Vec<String> = match first.strip_prefix("nginx: ") {
            Some(title) => match title.strip_prefix("master process ") {
                Some(line) => line.split_whitespace().map(String::from).collect(),
                None => continue,
            },
            None => process.arguments.clone(),
        };
        let built_for = || {
            let program = processes::executable(host, process.pid).ok().flatten().map(|(path, _)| path).unwrap_or_default();
            PROGRAMS.iter().find(|(path, _)| *path == program).map_or("/etc/nginx/nginx.conf", |(_, main)| main).to_string()
        };
        out.insert(main_file(&arguments).unwrap_or_else(built_for), true);
    }
    let unit = launch::unit_arguments(host, &["nginx.service", "openresty.service"]);
    let usual: Vec<String> = match main_file(&unit) {
        Some(main) => vec![main],
        None => PROGRAMS.iter().map(|(_, main)| (*main).to_string()).collect(),
    };
    for main in usual {
        match host.exists(&main) {
            Ok(true) => drop(out.entry(main).or_insert(false)),
            Ok(false) => {}
            Err(e) => collector.gaps.add(e.to_gap(collector.family, "", "")),
        }
    }
    out
}

/// `-c FILE`, below `-p PREFIX` when it is relative.
fn main_file(arguments: &[String]) -> Option<String> {
    let file = launch::option_values(arguments, "-c").pop()?;
    let prefix = launch::option_values(arguments, "-p").pop().unwrap_or_else(|| PREFIX.into());
    Some(if file.starts_with('/') { file } else { format!("{}/{file}", prefix.trim_end_matches('/')) })
}

fn version(collector: &Collector<'_>) -> String {
    let in_program = PROGRAMS.iter().find_map(|(path, _)| collector.host.read(path, PROGRAM_LIMIT).ok()).and_then(|bytes| version_text(&bytes));
    in_program
        .or_else(|| {
            let versions = manager::versions(collector.host);
            let newest = PACKAGES.iter().find_map(|name| versions.get(*name))?.last()?.clone();
            let upstream = newest.split_once(':').map_or(newest.as_str(), |(_, v)| v);
            Some(upstream.split(['-', '+', '~']).next().unwrap_or(upstream).to_string())
        })
        .unwrap_or_default()
}

/// `nginx/1.22.1` in a program.
fn version_text(bytes: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"nginx/";
    bytes.windows(MARK.len()).enumerate().filter(|(_, w)| *w == MARK).find_map(|(at, _)| {
        let text: String = bytes.iter().skip(at + MARK.len()).take(16).map(|b| char::from(*b)).take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        tls::release(&text).map(|_| text)
    })
}

/// One main file.
struct Instance {
    version: String,
    release: Option<Version>,
    /// Folder of the main file: relative certificates lie there.
    folder: String,
}

fn instance(collector: &mut Collector<'_>, main: &str, running: bool) {
    let files = parse::read(collector, main);
    let version = version(collector);
    let release = tls::release(&version);
    let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder).to_string();
    let instance = Instance { version, release, folder };
    let mut shows_version = true;
    for block in &files.directives {
        match block.name.as_str() {
            "http" => {
                let scope = Scope::default().within(block.inner());
                shows_version = scope.last("server_tokens").is_none_or(|d| matches!(d.argument(0), "on" | "build"));
                http(collector, block, &scope, &instance);
            }
            "stream" => other(collector, block, &instance, "stream"),
            "mail" => other(collector, block, &instance, "mail"),
            _ => {}
        }
    }
    collector.web.servers.push(WebServer {
        subject: format!("nginx {main}"),
        program: "nginx".into(),
        version: instance.version,
        running,
        shows_version,
        trace: false,
        files: files.paths,
        source: Source::whole(main),
    });
}

fn listens(collector: &mut Collector<'_>, server: &Directive) -> Vec<Listen> {
    let mut out = Vec::new();
    let written: Vec<&Directive> = server.inner().iter().filter(|d| d.name == "listen").collect();
    for directive in &written {
        match listen::parse(directive) {
            Some(found) => out.extend(found),
            None => {
                let detail = format!("{}: listen has an address that is not understood", place(&directive.source()));
                for path in ["endpoints", "sites"] {
                    collector.gap(path, "", reason::UNSUPPORTED, detail.clone(), "Check it with nginx -T.");
                }
            }
        }
    }
    if written.is_empty() {
        out.push(listen::default(server));
    }
    // `ssl on`, which releases before 1.25.1 know, holds for every address of the server.
    if server.inner().iter().any(|d| d.name == "ssl" && d.argument(0) == "on") {
        out.iter_mut().for_each(|l| l.tls = true);
    }
    out
}

fn http(collector: &mut Collector<'_>, block: &Directive, scope: &Scope<'_>, instance: &Instance) {
    let servers: Vec<&Directive> = block.inner().iter().filter(|d| d.name == "server" && d.block.is_some()).collect();
    let listens: Vec<Vec<Listen>> = servers.iter().map(|s| listens(collector, s)).collect();
    let sockets = listen::shared(&listens);
    endpoints(collector, &servers, &listens, &sockets, scope, instance, "");
    let upstreams: Vec<&Directive> = block.inner().iter().filter(|d| d.name == "upstream").collect();
    for (server, listens) in servers.iter().zip(&listens) {
        let is_tls = |l: &Listen| sockets.get(&listen::key(l)).is_some_and(|s| s.tls);
        let addresses = listens.iter().filter(|l| !l.udp).map(|l| (l.address.clone(), l.port, is_tls(l))).collect();
        site::gather(
            collector,
            &site::Server { directive: server, scope: scope.within(server.inner()), names: names(server), addresses, upstreams: upstreams.clone() },
        );
    }
}

fn names(server: &Directive) -> Vec<String> {
    server.inner().iter().filter(|d| d.name == "server_name").flat_map(|d| d.arguments.iter().filter(|a| !a.is_empty()).cloned()).collect()
}

/// Endpoints of all servers of a block; the default of each socket comes first.
fn endpoints(
    collector: &mut Collector<'_>,
    servers: &[&Directive],
    listens: &[Vec<Listen>],
    sockets: &BTreeMap<Key, Shared>,
    scope: &Scope<'_>,
    instance: &Instance,
    kind: &str,
) {
    let mut all: Vec<(usize, &Listen)> = listens.iter().enumerate().flat_map(|(index, l)| l.iter().map(move |l| (index, l))).collect();
    all.sort_by_key(|(index, l)| (listen::key(l), sockets.get(&listen::key(l)).is_none_or(|s| s.default != *index), *index));
    for (index, listen) in all {
        let (Some(server), Some(shared)) = (servers.get(index), sockets.get(&listen::key(listen))) else { continue };
        let default = servers.get(shared.default).unwrap_or(server);
        endpoint(collector, Place { server, default, listen, shared: *shared, scope, kind }, instance);
    }
}

/// A server on a socket.
struct Place<'p, 'd> {
    server: &'d Directive,
    default: &'d Directive,
    listen: &'p Listen,
    shared: Shared,
    scope: &'p Scope<'d>,
    /// `stream`, `mail`, or empty for http.
    kind: &'p str,
}

fn endpoint(collector: &mut Collector<'_>, place: Place<'_, '_>, instance: &Instance) {
    let Place { server, listen, .. } = place;
    let names = names(server);
    let socket_text = socket(&listen.address, listen.port);
    let label = [place.kind, names.first().map_or("", String::as_str)].iter().filter(|w| !w.is_empty()).map(|w| format!(" {w}")).collect::<String>();
    let scope = place.scope.within(server.inner());
    let starttls = scope.last("starttls").map_or("off", |d| d.argument(0));
    let tls = match (place.shared.tls, place.kind, starttls) {
        (true, ..) | (false, "mail", "only") => "required",
        (false, "mail", "on") => "offered",
        _ => "none",
    };
    let mut endpoint = ConfiguredEndpoint {
        address: listen.address.clone(),
        port: listen.port,
        transport: if listen.port == 0 {
            "unix"
        } else if listen.udp {
            "udp"
        } else {
            "tcp"
        }
        .into(),
        names,
        tls: tls.into(),
        ..ConfiguredEndpoint::plain("nginx", format!("nginx {socket_text}{}{label}", if listen.udp { "/udp" } else { "" }), listen.directive.source())
    };
    if tls == "none" {
        collector.endpoint(endpoint);
        return;
    }
    let variable = tls::fill(&mut endpoint, &scope, &instance.folder);
    let own = tls::versions(&scope, instance.release);
    let default = tls::versions(&place.scope.within(place.default.inner()), instance.release);
    let decided =
        if listen.quic { Some((Some(vec!["TLSv1.3".to_string()]), listen.directive.source())) } else { tls::effective(own, default, instance.release) };
    let is_known = decided.as_ref().is_some_and(|(versions, _)| versions.is_some());
    (endpoint.versions, endpoint.versions_source) = decided.unwrap_or_default();
    let at = super::collect::place(&endpoint.source);
    let subject = collector.endpoint(endpoint);
    if !is_known {
        let detail = format!("{at}: the TLS versions depend on the release of nginx, which is not known");
        collector.gap("endpoints.versions", &subject, reason::MISSING, detail, "Write ssl_protocols in the http block.");
    }
    if variable {
        let detail = format!("{at}: a variable names the certificate or its key");
        for path in ["endpoints.certificates", "key_files"] {
            collector.gap(path, &subject, reason::UNSUPPORTED, detail.clone(), "");
        }
    }
}

/// `stream` and `mail`: endpoints, and what stream hands on after it took TLS away.
fn other(collector: &mut Collector<'_>, block: &Directive, instance: &Instance, kind: &str) {
    let scope = Scope::default().within(block.inner());
    let servers: Vec<&Directive> = block.inner().iter().filter(|d| d.name == "server" && d.block.is_some()).collect();
    let listens: Vec<Vec<Listen>> = servers.iter().map(|s| listens(collector, s)).collect();
    let sockets = listen::shared(&listens);
    endpoints(collector, &servers, &listens, &sockets, &scope, instance, kind);
    let upstreams: Vec<&Directive> = block.inner().iter().filter(|d| d.name == "upstream").collect();
    for (server, listens) in servers.iter().zip(&listens) {
        let scope = scope.within(server.inner());
        // What comes without TLS is passed through as it is: it may hold TLS of its own.
        let takes_off = kind == "stream" && listens.iter().any(|l| l.tls && is_exposed(&l.address));
        if let Some(pass) = scope.last("proxy_pass").filter(|_| takes_off) {
            site::hand_on(collector, &upstreams, pass, "tcp", pass.argument(0), scope.is_on("proxy_ssl"));
        }
    }
}
