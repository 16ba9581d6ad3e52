//! Directory servers: OpenLDAP's slapd, from `slapd.conf` or the folder of cn=config.

mod access;
mod config;
mod ldif;
mod listeners;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super_servers::launch::{self, Launch, Wanted};
use super::{Document, HostFamily};
use crate::host::{CONFIG_LIMIT, FileKind, Host, manager};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use config::{Config, Value};

/// Directory servers and the databases that they serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Servers, by subject.
    pub servers: Vec<DirectoryServer>,
    /// Their databases that hold entries, by subject.
    pub databases: Vec<DirectoryDatabase>,
    /// What they are made to listen on.
    pub endpoints: Vec<ConfiguredEndpoint>,
}

/// One slapd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectoryServer {
    /// `slapd` and its configuration.
    pub subject: String,
    /// Version of its package; empty when no package owns it.
    pub version: String,
    /// Whether it runs or a boot starts it.
    pub starts: bool,
    /// `running`, `boot`, `on demand by …` or `no`.
    pub started: String,
    /// URLs that it listens on, as written.
    pub listeners: Vec<String>,
    /// Whether a listener that others reach takes LDAP without TLS from the first byte (`ldap://` beyond loopback).
    pub plain_listener: bool,
    /// Whether a certificate is configured, so that StartTLS is offered.
    pub tls: bool,
    /// Whether operations are refused over connections that are not encrypted (security ssf or tls).
    pub tls_required: bool,
    /// Whether names and passwords are refused over such connections (security simple_bind, ssf or tls).
    pub tls_for_binds: bool,
    /// Whether binds without a name are accepted (disallow bind_anon).
    pub anonymous_bind: bool,
    /// Whether a name is demanded before anything is answered (require authc, strong or SASL).
    pub authentication_required: bool,
    /// Schemes in which new passwords are stored, upper case; `{SSHA}` by default.
    pub password_hash: Vec<String>,
    /// The configuration.
    pub source: Source,
    /// Line that decides whether TLS is demanded; without a line by default.
    pub security_source: Source,
    /// Line that decides about binds without a name, likewise.
    pub anonymous_source: Source,
    /// Line that decides how passwords are stored, likewise.
    pub password_source: Source,
}

/// One database of a slapd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectoryDatabase {
    /// Server, number and suffix.
    pub subject: String,
    /// Kind, such as `mdb`.
    pub backend: String,
    /// Suffixes.
    pub suffixes: Vec<String>,
    /// Whether its server starts.
    pub starts: bool,
    /// Whether others reach it by a listener that takes LDAP without TLS from the first byte.
    pub plain_listener: bool,
    /// The most that strangers may do with userPassword of any entry: `none`, `disclose`, `auth`, `compare`, `search`, `read`, `write` or `manage`.
    pub anonymous_password: String,
    /// The same for an ordinary attribute (cn).
    pub anonymous_entries: String,
    /// Whether operations are refused over connections that are not encrypted.
    pub tls_required: bool,
    /// Where it begins.
    pub source: Source,
    /// Line of the access rule that lets strangers see passwords; without a line when none decides.
    pub access_source: Source,
}

impl Document for Directory {
    const NAME: &'static str = "directory";
    const TITLE: &'static str = "Effective configuration of OpenLDAP servers";
}

impl HostFamily for Directory {
    const WATCHED: &'static [&'static str] = &[
        "/etc/ldap/slapd.conf",
        "/etc/ldap/slapd.d/**",
        "/etc/openldap/slapd.conf",
        "/etc/openldap/slapd.d/**",
        "/etc/default/slapd",
        "/etc/sysconfig/slapd",
        "/etc/systemd/system/multi-user.target.wants/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        Some(read(host, gaps))
    }
}

/// What directory servers are made to listen on, for whoever compares it with the wire or with certificates.
pub fn endpoints(host: &Host, gaps: &mut Gaps) -> Vec<ConfiguredEndpoint> {
    read(host, gaps).endpoints
}

/// Where distributions keep the configuration; a folder comes before a file.
const USUAL: [&str; 4] = ["/etc/ldap/slapd.d", "/etc/openldap/slapd.d", "/etc/ldap/slapd.conf", "/etc/openldap/slapd.conf"];
/// Debian's variables of the init script.
const VARIABLES: &str = "/etc/default/slapd";
/// Other directory servers.
const OTHERS: [&str; 2] = ["ns-slapd", "apacheds"];

/// One server to be read.
struct Instance {
    place: String,
    listeners: Vec<String>,
    how: String,
}

fn read(host: &Host, gaps: &mut Gaps) -> Directory {
    let wanted =
        Wanted { programs: &["slapd", "ns-slapd", "apacheds"], scripts: &[("slapd", "slapd"), ("ldap", "slapd")], family: Directory::NAME, path: "servers" };
    let launches = launch::survey(host, wanted, gaps);
    for other in launches.iter().filter(|l| OTHERS.contains(&l.program.as_str())) {
        let detail = format!("{} starts ({}), and its configuration is not read", other.program, other.how);
        for path in ["servers", "databases"] {
            gaps.note(Directory::NAME, path, &other.program, reason::UNSUPPORTED, detail.clone(), "");
        }
    }
    let mut instances: Vec<Instance> = launches.iter().filter(|l| l.program == "slapd").map(|l| instance(host, l)).collect();
    if instances.is_empty() {
        // Debian makes the folder before anybody configures it.
        instances.extend(usual(host).map(|place| Instance { place, listeners: Vec::new(), how: "no".into() }));
    }
    let mut out = Directory::default();
    for instance in instances {
        tell(host, &instance, gaps, &mut out);
    }
    out.servers.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.servers.dedup_by(|a, b| a.subject == b.subject);
    out.databases.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.databases.dedup_by(|a, b| a.subject == b.subject);
    out.endpoints.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.endpoints.dedup_by(|a, b| a.subject == b.subject);
    out
}

fn usual(host: &Host) -> Option<String> {
    let there = |p: &&&str| host.stat(p).map_or_else(|e| !e.is_not_found(), |s| s.kind == FileKind::Folder || p.ends_with(".conf"));
    USUAL.iter().find(there).map(|p| (*p).to_string())
}

/// Configuration and listeners of a launch: its options, or what Debian's script makes of its variables.
fn instance(host: &Host, launch: &Launch) -> Instance {
    let mut place = launch.option("-F").or_else(|| launch.option("-f"));
    let mut urls = launch.option("-h");
    if launch.arguments.is_none() {
        let variables = launch::assignments(&host.read_text(VARIABLES, CONFIG_LIMIT).unwrap_or_default());
        let of = |name: &str| variables.get(name).filter(|v| !v.is_empty()).cloned();
        place = of("SLAPD_CONF");
        urls = of("SLAPD_SERVICES");
    }
    let urls = urls.unwrap_or_else(|| "ldap:///".into());
    Instance {
        place: place.or_else(|| usual(host)).unwrap_or_else(|| USUAL.first().copied().unwrap_or_default().into()),
        listeners: urls.split_whitespace().map(String::from).collect(),
        how: launch.how.clone(),
    }
}

fn tell(host: &Host, instance: &Instance, gaps: &mut Gaps, out: &mut Directory) {
    let subject = format!("slapd {}", instance.place);
    let config = config::read(host, &instance.place, &subject, gaps);
    let starts = instance.how != "no";
    if config.databases.is_empty() && config.global.is_empty() && !starts {
        return;
    }
    let versions = manager::versions(host);
    let version = ["slapd", "openldap-servers", "openldap"].iter().find_map(|p| versions.get(*p).and_then(|v| v.last())).cloned().unwrap_or_default();
    let server = server(&config, instance, &subject, version);
    out.endpoints.extend(listeners::endpoints(&server, &config, starts));
    for database in config.databases.iter().filter(|d| holds_entries(d)) {
        out.databases.push(self::database(database, &config, &server));
    }
    out.servers.push(server);
}

/// Whether a database is one of people's, not of slapd's own.
fn holds_entries(database: &config::Database) -> bool {
    !matches!(database.kind.as_str(), "config" | "monitor" | "frontend" | "null") && database.values.iter().any(|v| v.name == "suffix")
}

/// Words of every value of a name, with the first one's place.
fn words<'v>(values: impl Iterator<Item = &'v Value>, name: &str) -> (Vec<String>, Option<Source>) {
    let found: Vec<&Value> = values.filter(|v| v.name == name).collect();
    (found.iter().flat_map(|v| v.text.split_whitespace().map(str::to_ascii_lowercase)).collect(), found.first().map(|v| v.source.clone()))
}

/// The strength that `NAME=NUMBER` demands.
fn strength(words: &[String], name: &str) -> u32 {
    words.iter().filter_map(|w| w.split_once('=')).filter(|(n, _)| *n == name).filter_map(|(_, v)| v.parse().ok()).max().unwrap_or(0)
}

/// Whether nothing goes over a connection in the clear; a strength of 1 is integrity alone.
fn demands_encryption(words: &[String]) -> bool {
    ["ssf", "tls", "transport"].iter().any(|n| strength(words, n) > 1)
}

fn server(config: &Config, instance: &Instance, subject: &str, version: String) -> DirectoryServer {
    let everywhere = || config.global.iter().chain(config.frontend());
    let or_default = |source: Option<Source>, shown: &str| source.unwrap_or_else(|| Source { directive: shown.into(), ..Source::whole(&instance.place) });
    let (security, security_source) = words(everywhere(), "security");
    let (disallows, disallows_source) = words(everywhere(), "disallows");
    let (requires, requires_source) = words(everywhere(), "requires");
    let (_, password_source) = words(everywhere(), "passwordhash");
    let hashes: Vec<String> = everywhere().filter(|v| v.name == "passwordhash").flat_map(|v| v.text.split_whitespace().map(str::to_ascii_uppercase)).collect();
    let certificates = ["tlscertificatefile", "tlscertificate"].iter().any(|n| config.global.iter().any(|v| v.name == *n));
    let authentication_required = requires.iter().any(|w| matches!(w.as_str(), "authc" | "strong" | "sasl"));
    let all = demands_encryption(&security);
    DirectoryServer {
        subject: subject.into(),
        version,
        starts: instance.how != "no",
        started: instance.how.clone(),
        plain_listener: instance.listeners.iter().any(|u| listeners::is_plain_and_reachable(u)),
        listeners: instance.listeners.clone(),
        tls: certificates,
        tls_required: all,
        tls_for_binds: all || strength(&security, "simple_bind") > 1,
        anonymous_bind: !disallows.iter().any(|w| w == "bind_anon"),
        authentication_required,
        password_hash: if hashes.is_empty() { vec!["{SSHA}".into()] } else { hashes },
        source: Source::whole(&instance.place),
        security_source: or_default(security_source, "security"),
        anonymous_source: or_default(disallows_source.or(requires_source), "disallow"),
        password_source: or_default(password_source, "password-hash"),
    }
}

fn database(database: &config::Database, config: &Config, server: &DirectoryServer) -> DirectoryDatabase {
    let suffixes: Vec<String> = database.values.iter().filter(|v| v.name == "suffix").map(|v| v.text.clone()).collect();
    let (requires, _) = words(database.values.iter(), "requires");
    let (security, _) = words(database.values.iter(), "security");
    // A database's own rules come first, those for all databases after them.
    let own = database.values.iter().filter(|v| v.name == "access");
    let rules: Vec<&Value> = own.chain(config.frontend().filter(|v| v.name == "access")).chain(config.global.iter().filter(|v| v.name == "access")).collect();
    let refused = server.authentication_required || requires.iter().any(|w| matches!(w.as_str(), "authc" | "strong" | "sasl"));
    let of = |attribute: &str| if refused { access::Found::default() } else { access::of_strangers(&rules, attribute, &suffixes) };
    let (password, entries) = (of("userPassword"), of("cn"));
    DirectoryDatabase {
        subject: format!("{} {} {}", server.subject, database.label, suffixes.first().map_or("", String::as_str)),
        backend: database.kind.clone(),
        suffixes,
        starts: server.starts,
        plain_listener: server.plain_listener,
        anonymous_password: access::LEVELS.get(password.level).copied().unwrap_or("none").into(),
        anonymous_entries: access::LEVELS.get(entries.level).copied().unwrap_or("none").into(),
        tls_required: server.tls_required || demands_encryption(&security),
        source: database.source.clone(),
        access_source: password.source.unwrap_or_else(|| Source { directive: "access".into(), ..database.source.clone() }),
    }
}
