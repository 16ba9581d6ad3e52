//! One virtual host of Apache: its headers, logs, listed folders, and what it hands on.

use super::answer;
use super::folders;
use super::hosts::VirtualHost;
use crate::facts::web::collect::{Collector, is_exposed, place, socket};
use crate::facts::web::nginx::{Answer, max_age};
use crate::facts::web::tree::Directive;
use crate::facts::web::upstream::without_port;
use crate::facts::web::{Listing, Site, Upstream};
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Schemes that are encrypted.
const ENCRYPTED: [&str; 4] = ["https", "wss", "h2", "suwsgi"];

/// A virtual host in its surroundings.
pub struct Server<'d> {
    /// The host.
    pub host: &'d VirtualHost<'d>,
    /// The main server.
    pub main: &'d [Directive],
    /// Main file.
    pub main_file: &'d str,
    /// ServerRoot.
    pub root: &'d str,
    /// Address, port, whether TLS.
    pub addresses: Vec<(String, u32, bool)>,
    /// Whether mod_autoindex is loaded.
    pub lists: bool,
}

impl Server<'_> {
    fn name(&self) -> &str {
        self.host.names.first().map_or("_", String::as_str)
    }

    fn source(&self) -> Source {
        self.host.node.map_or_else(|| Source::whole(self.main_file), Directive::source)
    }

    fn exposed(&self, tls: bool) -> Vec<String> {
        self.addresses.iter().filter(|(a, _, t)| *t == tls && is_exposed(a)).map(|(a, p, _)| socket(a, *p)).collect()
    }

    /// The host's own nodes, then those of the main server.
    fn layers(&self) -> impl Iterator<Item = &Directive> {
        let main: &[Directive] = if self.host.node.is_some() { self.main } else { &[] };
        self.host.nodes.iter().chain(main.iter().filter(|n| n.name != "virtualhost"))
    }
}

/// Adds the site with all that is inside.
pub fn gather(collector: &mut Collector<'_>, server: &Server<'_>) {
    let source = server.source();
    let subject = format!("apache {} {}", server.name(), if source.line == 0 { source.place.clone() } else { place(&source) });
    let has_backend = upstreams(collector, server);
    let (access_log, access_log_source) = access_log(server);
    let answer = answer(server);
    let plaintext = if server.addresses.iter().all(|(_, _, tls)| *tls) { Answer::Refused } else { answer };
    if server.lists {
        for listed in folders::listed(server.host, server.main, server.root) {
            collector.listing(Listing {
                subject: format!("{subject} {}", listed.path),
                program: "apache".into(),
                path: listed.path,
                site: server.name().into(),
                restricted: listed.restricted,
                exposed: !server.exposed(true).is_empty() || !server.exposed(false).is_empty(),
                source: listed.source,
            });
        }
    }
    collector.site(Site {
        program: "apache".into(),
        names: server.host.names.clone(),
        plaintext_addresses: server.exposed(false),
        tls_addresses: server.exposed(true),
        plaintext: plaintext.word().into(),
        refuses_all: answer == Answer::Refused,
        hsts_max_age_seconds: hsts(server),
        hsts_lost: Vec::new(),
        has_backend,
        access_log: access_log.into(),
        access_log_source,
        source,
        subject,
    });
}

/// mod_alias joins the main server's redirects to the host's; mod_rewrite's rules are not handed down.
fn answer(server: &Server<'_>) -> Answer {
    let names = &server.host.names;
    match answer::of_host(server.host.nodes, names) {
        Answer::Served => answer::of_host(&server.layers().filter(|n| !n.name.starts_with("rewrite")).cloned().collect::<Vec<Directive>>(), names),
        answer => answer,
    }
}

/// `Header [always] set Strict-Transport-Security …` of the host, of a section of it, or of the main server.
fn hsts(server: &Server<'_>) -> Option<i64> {
    let sections = |n: &&Directive| n.block.is_some() && matches!(n.name.as_str(), "location" | "directory" | "if" | "files");
    let inner = server.layers().filter(sections).flat_map(Directive::inner);
    server.layers().chain(inner).filter(|n| n.name == "header").find_map(|node| {
        let words: Vec<&str> = node.arguments.iter().map(String::as_str).filter(|a| !matches!(*a, "always" | "onsuccess")).collect();
        match words.as_slice() {
            [action, name, value, ..] if name.trim_end_matches(':').eq_ignore_ascii_case("strict-transport-security") && *action != "unset" => max_age(value),
            _ => None,
        }
    })
}

/// A host without a log of its own writes into those of the main server; without any nothing is written.
fn access_log(server: &Server<'_>) -> (&'static str, Source) {
    let of = |nodes: &'_ [Directive]| nodes.iter().filter(|n| matches!(n.name.as_str(), "customlog" | "transferlog")).cloned().collect::<Vec<_>>();
    let own = of(server.host.nodes);
    let global = server.main.iter().any(|n| n.name == "globallog");
    let logs = if own.is_empty() { of(server.main) } else { own };
    let writes = |n: &&Directive| n.argument(0) != "/dev/null";
    let is_conditional = |n: &&Directive| n.arguments.iter().any(|a| a.starts_with("env=") || a.starts_with("expr="));
    let source = logs.last().map(Directive::source).unwrap_or_default();
    let written: Vec<&Directive> = logs.iter().filter(writes).collect();
    let state = if global || written.iter().any(|n| !is_conditional(n)) {
        "on"
    } else if written.is_empty() {
        "off"
    } else {
        "conditional"
    };
    (state, source)
}

/// Deepest section looked into, levels.
const DEPTH_LIMIT: usize = 16;

fn upstreams(collector: &mut Collector<'_>, server: &Server<'_>) -> bool {
    let mut found = Vec::new();
    walk(server.host.nodes, 0, &mut found);
    let of_main = server.main.iter().any(|n| matches!(n.name.as_str(), "proxypass" | "proxypassmatch"));
    let has_backend = !found.is_empty() || of_main;
    for (node, target) in found {
        hand_on(collector, node, &target);
    }
    has_backend
}

/// Directives that hand on, with their targets.
fn walk<'d>(nodes: &'d [Directive], depth: usize, out: &mut Vec<(&'d Directive, String)>) {
    for node in nodes.iter().filter(|n| n.name != "virtualhost") {
        let target = match node.name.as_str() {
            // Inside a Location the path is left out.
            "proxypass" | "proxypassmatch" => node.arguments.iter().take(2).find(|a| a.contains("://")).cloned(),
            "balancermember" => node.arguments.iter().find(|a| a.contains("://")).cloned(),
            "rewriterule" => {
                let flags = node.argument(2).trim_matches(['[', ']']).to_ascii_uppercase();
                let proxied = flags.split(',').any(|f| matches!(f.trim(), "P" | "PROXY"));
                proxied.then(|| node.argument(1).to_string()).filter(|t| t.contains("://"))
            }
            "sethandler" => node.argument(0).strip_prefix("proxy:").map(String::from),
            _ => None,
        };
        out.extend(target.map(|t| (node, t)));
        if depth < DEPTH_LIMIT {
            walk(node.inner(), depth + 1, out);
        }
    }
}

fn hand_on(collector: &mut Collector<'_>, node: &Directive, text: &str) {
    let source = node.source();
    // `unix:/run/x.sock|fcgi://localhost/` goes through the local socket.
    let (is_local, url) = match text.strip_prefix("unix:") {
        Some(rest) => (true, rest.split_once('|').map_or(rest, |(_, url)| url)),
        None => (false, text),
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme == "balancer" {
        return;
    }
    let target = if is_local { text.split('|').next().unwrap_or(text) } else { rest.split('/').next().unwrap_or(rest) }.to_string();
    let subject = format!("apache {} {}", if is_local { target.clone() } else { format!("{scheme}://{target}") }, place(&source));
    if !is_local && (target.contains(['$', '%']) || target.is_empty()) {
        let detail = format!("{}: a variable decides where requests are handed on", place(&source));
        collector.gap("upstreams", &subject, reason::UNSUPPORTED, detail, "");
        return;
    }
    let this_machine = is_local || collector.own.is_this_machine(without_port(&target));
    let scheme = if scheme == "fcgi" { "fastcgi" } else { scheme }.to_ascii_lowercase();
    let encrypted = ENCRYPTED.contains(&scheme.as_str());
    collector.upstream(Upstream { program: "apache".into(), scheme, target, encrypted, this_machine, source, subject });
}
