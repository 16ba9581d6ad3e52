//! One server block of nginx: its headers, log, listed folders, and what it hands on.

use super::answer;
use super::scope::Scope;
use crate::facts::web::collect::{Collector, is_exposed, place, socket};
use crate::facts::web::tree::Directive;
use crate::facts::web::upstream::without_port;
use crate::facts::web::{Listing, Site, Upstream};
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Header of RFC 6797.
const HSTS: &str = "strict-transport-security";
/// Directives that hand requests on, with the scheme of a target that names none.
const PASSES: [(&str, &str); 6] = [
    ("proxy_pass", "http"),
    ("fastcgi_pass", "fastcgi"),
    ("uwsgi_pass", "uwsgi"),
    ("scgi_pass", "scgi"),
    ("grpc_pass", "grpc"),
    ("memcached_pass", "memcached"),
];
/// Schemes that are encrypted.
const ENCRYPTED: [&str; 4] = ["https", "grpcs", "wss", "suwsgi"];

/// A server block in its surroundings.
pub struct Server<'d> {
    /// The block.
    pub directive: &'d Directive,
    /// http and server.
    pub scope: Scope<'d>,
    /// Names, `server_name`.
    pub names: Vec<String>,
    /// Address, port, whether TLS.
    pub addresses: Vec<(String, u32, bool)>,
    /// `upstream` blocks of http.
    pub upstreams: Vec<&'d Directive>,
}

impl Server<'_> {
    fn name(&self) -> &str {
        self.names.iter().find(|n| !n.is_empty()).map_or("_", String::as_str)
    }

    fn exposed(&self, tls: bool) -> Vec<String> {
        let those = self.addresses.iter().filter(|(address, _, is_tls)| *is_tls == tls && is_exposed(address));
        those.map(|(address, port, _)| socket(address, *port)).collect()
    }
}

/// Adds the site with all that is inside.
pub fn gather(collector: &mut Collector<'_>, server: &Server<'_>) {
    let source = server.directive.source();
    let subject = format!("nginx {} {}", server.name(), place(&source));
    let mut walk = Walk { collector, server, subject: &subject, hsts_lost: Vec::new(), has_backend: false };
    walk.block(&server.scope, server.directive.inner(), "/");
    let (hsts_lost, has_backend) = (walk.hsts_lost, walk.has_backend);
    let hsts_max_age_seconds = hsts(collector, &server.scope, &subject);
    let (access_log, access_log_source) = access_log(server);
    let answer = answer::of_server(server.directive.inner());
    let plaintext = if server.addresses.iter().all(|(_, _, tls)| *tls) { answer::Answer::Refused } else { answer };
    let refuses_all = answer == answer::Answer::Refused || server.scope.is_on("ssl_reject_handshake");
    collector.site(Site {
        program: "nginx".into(),
        names: server.names.clone(),
        plaintext_addresses: server.exposed(false),
        tls_addresses: server.exposed(true),
        plaintext: plaintext.word().into(),
        refuses_all,
        hsts_max_age_seconds,
        hsts_lost,
        has_backend,
        access_log: access_log.into(),
        access_log_source,
        source,
        subject,
    });
}

fn is_hsts(directive: &Directive) -> bool {
    directive.argument(0).eq_ignore_ascii_case(HSTS)
}

fn hsts(collector: &mut Collector<'_>, scope: &Scope<'_>, subject: &str) -> Option<i64> {
    let header = scope.nearest("add_header").into_iter().find(|d| is_hsts(d))?;
    let value = header.argument(1);
    let seconds = max_age(value);
    if seconds.is_none() && value.contains('$') {
        let detail = format!("{}: the value of Strict-Transport-Security is a variable", place(&header.source()));
        collector.gap("sites.hsts_max_age_seconds", subject, reason::UNSUPPORTED, detail, "Look at the header with curl --head.");
    }
    seconds
}

/// `max-age=N` of the header's value.
pub fn max_age(value: &str) -> Option<i64> {
    value.split(';').find_map(|part| {
        let (name, number) = part.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("max-age") { number.trim().trim_matches('"').parse().ok() } else { None }
    })
}

/// The log of the server; one of `location /` takes its place, those of other locations do not.
fn access_log(server: &Server<'_>) -> (&'static str, Source) {
    let root = server.directive.inner().iter().find(|d| d.name == "location" && d.arguments.len() == 1 && d.argument(0) == "/");
    let scope = root.map_or_else(|| server.scope.clone(), |location| server.scope.within(location.inner()));
    let logs = scope.nearest("access_log");
    let Some(last) = logs.last() else { return ("on", Source::default()) };
    let is_off = logs.iter().any(|d| d.argument(0) == "off") || logs.iter().all(|d| d.argument(0) == "/dev/null");
    let is_conditional = logs.iter().all(|d| d.arguments.iter().any(|a| a.starts_with("if=")));
    (
        if is_off {
            "off"
        } else if is_conditional {
            "conditional"
        } else {
            "on"
        },
        last.source(),
    )
}

/// Deepest location, levels.
const DEPTH_LIMIT: usize = 32;

struct Walk<'w, 'c, 'd> {
    collector: &'w mut Collector<'c>,
    server: &'w Server<'d>,
    subject: &'w str,
    hsts_lost: Vec<String>,
    has_backend: bool,
}

impl<'d> Walk<'_, '_, 'd> {
    fn block(&mut self, scope: &Scope<'d>, block: &'d [Directive], path: &str) {
        self.listing(scope, path);
        for directive in block {
            let scheme = PASSES.iter().find(|(name, _)| *name == directive.name).map(|(_, scheme)| *scheme);
            if let Some(scheme) = scheme {
                self.has_backend = true;
                self.pass(directive, scheme);
            }
            self.has_backend |= directive.name.ends_with("_by_lua_block") || directive.name == "js_content" || directive.name == "content_by_lua_file";
            let inner_path = match directive.name.as_str() {
                "location" => directive.arguments.last().map_or("/", String::as_str),
                "if" | "limit_except" => path,
                _ => continue,
            };
            let inner = scope.within(directive.inner());
            if directive.name == "location" {
                self.header(&inner, scope, directive);
            }
            if inner.depth() < DEPTH_LIMIT {
                self.block(&inner, directive.inner(), inner_path);
            }
        }
    }

    /// Headers of a location take the place of those around it.
    fn header(&mut self, inner: &Scope<'d>, outer: &Scope<'d>, location: &Directive) {
        let own = inner.own("add_header");
        let is_merged = inner.last("add_header_inherit").is_some_and(|d| d.argument(0) == "merge");
        if !own.is_empty() && !is_merged && !own.iter().any(|d| is_hsts(d)) && outer.nearest("add_header").iter().any(|d| is_hsts(d)) {
            self.hsts_lost.push(place(&location.source()));
        }
    }

    fn listing(&mut self, scope: &Scope<'d>, path: &str) {
        let Some(directive) = scope.last("autoindex").filter(|d| d.argument(0) == "on") else { return };
        // Said once where it begins, not again in each location inside.
        let begins = !scope.own("autoindex").is_empty() || scope.depth() == self.server.scope.depth();
        if !begins {
            return;
        }
        let asks = ["auth_basic", "auth_jwt", "auth_request"].iter().any(|n| scope.last(n).is_some_and(|d| d.argument(0) != "off"));
        let lists = [scope.nearest("allow"), scope.nearest("deny")].concat();
        let filtered = lists.iter().any(|d| d.name == "deny" && d.argument(0) == "all");
        let source = directive.source();
        self.collector.listing(Listing {
            subject: format!("{} {path}", self.subject),
            program: "nginx".into(),
            path: path.into(),
            site: self.server.name().into(),
            restricted: asks || filtered || !scope.own("internal").is_empty(),
            exposed: !self.server.exposed(true).is_empty() || !self.server.exposed(false).is_empty(),
            source,
        });
    }

    fn pass(&mut self, directive: &Directive, default: &str) {
        let (scheme, rest) = directive.argument(0).split_once("://").unwrap_or((default, directive.argument(0)));
        let target = if rest.starts_with("unix:") { rest } else { rest.split('/').next().unwrap_or(rest) };
        // Behind the address a path of the request may follow as a variable.
        let target = ["$request_uri", "$uri"].iter().find_map(|v| target.split_once(v)).map_or(target, |(before, _)| before);
        hand_on(self.collector, &self.server.upstreams, directive, scheme, target, ENCRYPTED.contains(&scheme));
    }
}

/// Adds a target, or every server of the `upstream` block that has its name.
pub fn hand_on(collector: &mut Collector<'_>, upstreams: &[&Directive], directive: &Directive, scheme: &str, target: &str, encrypted: bool) {
    let group = upstreams.iter().find(|u| u.argument(0) == without_port(target) || u.argument(0) == target);
    let members: Vec<String> = match group {
        Some(group) => group.inner().iter().filter(|d| d.name == "server").map(|d| d.argument(0).to_string()).collect(),
        None => vec![target.to_string()],
    };
    for target in members {
        let source = directive.source();
        let shown = if target.starts_with("unix:") { target.clone() } else { format!("{scheme}://{target}") };
        let subject = format!("nginx {shown} {}", place(&source));
        if target.contains('$') || scheme.contains('$') {
            let detail = format!("{}: a variable decides where requests are handed on", place(&source));
            collector.gap("upstreams", &subject, reason::UNSUPPORTED, detail, "Name the servers in an upstream block.");
            continue;
        }
        let this_machine = collector.own.is_this_machine(without_port(&target));
        collector.upstream(Upstream { program: "nginx".into(), scheme: scheme.into(), this_machine, target, encrypted, source, subject });
    }
}
