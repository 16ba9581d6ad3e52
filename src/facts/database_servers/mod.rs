//! Database servers by their configuration: what takes effect from files and command lines, and,
//! where the operator declared access, what the running server says instead.
//!
//! Two kinds of facts: settings one by one, each with the line that decides, and for each server
//! what follows from several of them together: who can reach it, whether TLS is asked for, whether
//! somebody without a password gets in. No secret is kept: of passwords and commands only that they are set.

mod clusters;
mod instances;
mod mongodb;
mod my_cnf;
mod mysql;
mod mysql_values;
mod pg_conf;
mod pg_control;
mod pg_hba;
mod pg_values;
mod postgresql;
mod process;
mod reach;
mod redis;
mod redis_conf;
mod running;
mod unit;

pub(in crate::facts) use clusters::{Cluster, read as clusters};
pub(in crate::facts) use instances::{Instance, instances};
pub(in crate::facts) use pg_conf::Settings;
pub(in crate::facts) use process::{Running, running as running_servers};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::policy::TLS_VERSIONS;

/// Database servers of the machine as they are configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseServers {
    /// Servers, by subject.
    pub servers: Vec<DatabaseServer>,
    /// Settings that matter for protection, of a fixed list for each engine, by subject.
    pub settings: Vec<DatabaseSetting>,
    /// Lines of PostgreSQL's `pg_hba.conf` as the files have them, in their order.
    pub access: Vec<HbaLine>,
    /// Endpoints that the configuration makes the servers listen on.
    pub endpoints: Vec<ConfiguredEndpoint>,
}

impl Document for DatabaseServers {
    const NAME: &'static str = "database_servers";
    const TITLE: &'static str = "Effective configuration of PostgreSQL, MariaDB, MySQL, Redis and MongoDB servers";
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseServer {
    /// Engine and cluster, file or folder, such as `postgresql 15/main`, `mariadb /etc/mysql/my.cnf`, `redis /etc/redis/redis.conf`.
    pub subject: String,
    /// `postgresql`, `mariadb`, `mysql`, `redis` or `mongodb`.
    pub engine: String,
    /// Release as far as it is known, such as `15` or `10.11`; empty when it is not.
    pub version: String,
    /// Main configuration file; empty when there is none.
    pub config: String,
    /// Data folder.
    pub data: String,
    /// Whether a process of it runs; null for a machine that is read from a folder.
    pub running: Option<bool>,
    /// Whether the operator declared access to its local socket.
    pub declared: bool,
    /// Whether it listens on an address that other machines can reach.
    pub exposed: bool,
    /// What it asks of connections from other machines: `required`, `offered` or `none` of TLS.
    pub tls: String,
    /// Where that was decided; the place is empty when defaults decide.
    pub tls_source: Source,
    /// Oldest version of TLS that its configuration leaves on, such as `TLSv1.2`; empty when the library decides or there is no TLS.
    pub tls_minimum: String,
    /// Wire code of that version (RFC 8446 section 4.1.2); null when the library decides or there is no TLS.
    pub tls_minimum_code: Option<u32>,
    /// Where that was decided.
    pub tls_minimum_source: Source,
    /// Who gets in: `required` (a password or certificate is asked for), `none` (nothing is asked for), `protected` (nothing is asked
    /// for, and only this machine is answered: Redis' protected mode), `rules` (PostgreSQL: see `access`).
    pub authentication: String,
    /// Where that was decided.
    pub authentication_source: Source,
    /// Whether data pages carry checksums, which tell damaged ones (PostgreSQL: `global/pg_control`); null: another engine, or not known.
    pub checksums: Option<bool>,
    /// Its main file or its command line.
    pub source: Source,
}

/// One setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSetting {
    /// Server and name, such as `postgresql 15/main fsync`.
    pub subject: String,
    /// Subject of the server.
    pub server: String,
    /// Engine of the server.
    pub engine: String,
    /// Name as the server shows it, such as `ssl_min_protocol_version`, `innodb_flush_log_at_trx_commit`, `net.tls.mode`.
    pub name: String,
    /// Value in effect by files and command line, defaults of the release filled in; truth values are `on` and `off`; a secret or command is `set`.
    pub value: String,
    /// Whether it was written somewhere, in a file or on the command line.
    pub written: bool,
    /// What the running server says; null when it was not asked or does not tell.
    pub running: Option<String>,
    /// Whether the running server says that the value waits for a restart (PostgreSQL).
    pub pending_restart: bool,
    /// Where it was decided; the place is empty for a default.
    pub source: Source,
}

/// One line of `pg_hba.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HbaLine {
    /// Server, file and line, such as `postgresql 15/main /etc/postgresql/15/main/pg_hba.conf:12`.
    pub subject: String,
    /// Subject of the server.
    pub server: String,
    /// Whether the operator declared access to the server, so that family `databases` tells of its lines and judges them.
    pub declared: bool,
    /// `local`, `host`, `hostssl`, `hostnossl`, `hostgssenc`, `hostnogssenc`.
    pub connection: String,
    /// Databases, lists of files (`@file`) put in.
    pub databases: Vec<String>,
    /// Users, likewise.
    #[schemars(extend("x-personal" = true))]
    pub users: Vec<String>,
    /// Address as written, with `/` and the mask if there is one; empty for `local`.
    pub address: String,
    /// Whether only this machine itself can come from there: `local` or a loopback address.
    pub this_machine: bool,
    /// Method, such as `peer`, `scram-sha-256`, `trust`.
    pub method: String,
    /// Whether the line asks for a client certificate.
    pub client_certificate: bool,
    /// Whether it lets another machine sign in over a connection without TLS: earlier lines that refuse those are taken into account.
    pub without_tls: bool,
    /// Whether an earlier line decides for all connections that this one is for, or none can match (`hostssl` where `ssl` is off).
    pub shadowed: bool,
    /// File and line.
    pub source: Source,
}

impl HostFamily for DatabaseServers {
    const WATCHED: &'static [&'static str] = &[
        "/etc/postgresql/**",
        "/var/lib/pgsql/data/pg_hba.conf",
        "/var/lib/pgsql/data/postgresql.auto.conf",
        "/var/lib/pgsql/data/postgresql.conf",
        "/etc/my.cnf",
        "/etc/my.cnf.d/*",
        "/etc/mysql/**",
        "/etc/redis.conf",
        "/etc/redis/*",
        "/etc/valkey/*",
        "/etc/mongod.conf",
        "/etc/mongodb.conf",
        "/etc/systemd/system/postgresql*",
        "/etc/systemd/system/mariadb.service.d/*",
        "/etc/systemd/system/redis-server.service.d/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let processes = match process::running(host) {
            Ok(processes) => processes,
            Err(e) => {
                PATHS.iter().for_each(|path| gaps.add(e.to_gap(Self::NAME, path, "running servers")));
                Vec::new()
            }
        };
        let mut out = Self::default();
        postgresql::gather(host, &processes, &mut out, gaps);
        mysql::gather(host, &processes, &mut out, gaps);
        redis::gather(host, &processes, &mut out, gaps);
        mongodb::gather(host, &processes, &mut out, gaps);
        out.servers.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.settings.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.endpoints.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(out)
    }
}

/// The endpoints that database servers are configured for; what can't be read is left to the family itself.
pub fn configured_endpoints(host: &Host) -> Vec<ConfiguredEndpoint> {
    DatabaseServers::gather(host, &mut Gaps::new()).map(|d| d.endpoints).unwrap_or_default()
}

/// Every list of the document.
const PATHS: [&str; 4] = ["servers", "settings", "access", "endpoints"];
/// The lists that servers other than PostgreSQL are in.
const PLAIN_PATHS: [&str; 3] = ["servers", "settings", "endpoints"];

impl DatabaseServers {
    /// Endpoints of one server at each address, local addresses resolved.
    fn listen(&mut self, addresses: &[String], port: u32, like: &ConfiguredEndpoint) {
        for address in addresses.iter().take(reach::ADDRESS_LIMIT) {
            let shown = if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
            self.endpoints.push(ConfiguredEndpoint {
                subject: format!("{} {shown}", like.subject),
                address: address.clone(),
                port,
                transport: "tcp".into(),
                ..like.clone()
            });
        }
    }

    /// Local sockets of one server.
    fn listen_locally(&mut self, paths: &[String], program: &str, subject: &str, source: &Source) {
        for path in paths {
            self.endpoints.push(ConfiguredEndpoint {
                address: path.clone(),
                transport: "unix".into(),
                ..ConfiguredEndpoint::plain(program, format!("{subject} {path}"), source.clone())
            });
        }
    }
}

/// Wire code of a version by name.
fn code(version: &str) -> Option<u32> {
    TLS_VERSIONS.iter().find(|v| v.0 == version).map(|v| u32::from(v.1))
}

/// The same gap at each of some paths.
fn note_all(gaps: &mut Gaps, paths: &[&str], subject: &str, id: &str, detail: &str, remedy: &str) {
    paths.iter().for_each(|path| gaps.note(DatabaseServers::NAME, path, subject, id, detail, remedy));
}

/// What a running server that can't be asked leaves unsaid.
fn note_unasked(gaps: &mut Gaps, subject: &str, remedy: &str) {
    let detail = format!("{subject} runs and access to it is not declared: whether it runs with what its files say is not known");
    gaps.note(DatabaseServers::NAME, "settings.running", subject, reason::PERMISSION_DENIED, detail, remedy);
}
