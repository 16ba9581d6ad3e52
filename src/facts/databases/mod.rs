//! Roles of database servers, asked through their local socket where the operator declared access.
//!
//! Nothing is asked of a server that is not declared; that it runs is told, with what would let it
//! be read. Password hashes stay in the server: it is asked for their scheme alone.

pub(in crate::facts) mod mariadb;
pub(super) mod oldest;
pub(in crate::facts) mod postgresql;
pub(in crate::facts) mod read_mariadb;
pub(in crate::facts) mod read_postgresql;
mod running;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::local_socket::{LocalSocket, TALK_TIME};
use crate::model::declared::{DatabaseAccess, DatabaseEngine};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Database servers and who may sign in to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Databases {
    /// Servers that were asked, by subject.
    pub servers: Vec<Server>,
    /// Roles and users of those servers, by subject.
    pub roles: Vec<Role>,
    /// Lines of PostgreSQL's `pg_hba.conf` in their order: who may sign in from where, and how.
    pub access: Vec<Access>,
}

impl Document for Databases {
    const NAME: &'static str = "databases";
    const TITLE: &'static str = "Roles of declared PostgreSQL and MariaDB servers, read through their local sockets";
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Engine and port or socket, such as `postgresql 5432`.
    pub subject: String,
    /// `postgresql` or `mariadb`.
    pub engine: String,
    /// Version as the server tells it.
    pub version: String,
    /// Its socket.
    pub source: Source,
}

/// A role of PostgreSQL, or a user or role of MariaDB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Server and name, such as `postgresql 5432 app` or `mariadb mysqld.sock app@localhost`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// `postgresql` or `mariadb`.
    pub engine: String,
    /// Name; empty for MariaDB's anonymous user.
    #[schemars(extend("x-personal" = true))]
    pub name: String,
    /// Pattern of client hosts (MariaDB); empty for PostgreSQL.
    pub host: String,
    /// Whether the pattern admits every host.
    pub any_host: bool,
    /// Whether one can sign in as it: LOGIN in PostgreSQL, a user that is neither a role nor locked in MariaDB.
    pub can_sign_in: bool,
    /// Whether it is one that the server itself comes with, such as the owner of the cluster or `root@localhost`.
    pub built_in: bool,
    /// Whether it may do everything: SUPERUSER in PostgreSQL, the global privilege SUPER, or CREATE USER with GRANT OPTION, in MariaDB.
    pub superuser: bool,
    /// Further powers over the whole server, such as `create role`, `replication`, `bypass row security`, `FILE`, `SHUTDOWN`, sorted.
    pub powers: Vec<String>,
    /// Roles that it is a member of, sorted (PostgreSQL).
    pub member_of: Vec<String>,
    /// When its password expires, Unix seconds; null: never, or the engine has no such date.
    pub valid_until: Option<i64>,
    /// Whether its password has expired (MariaDB).
    pub password_expired: bool,
    /// `none` (no password, so none is accepted), `empty` (none is asked for), `scram-sha-256`, `md5`, `mysql-native`, `mysql-old`, `ed25519`, `invalid` (matches nothing), `other`.
    pub password_scheme: String,
    /// Plugins that may sign it in (MariaDB), in their order.
    pub authentication: Vec<String>,
    /// Whether it signs in without a secret and without the operating system vouching for who it is.
    pub passwordless: bool,
    /// The server's socket and the catalog.
    pub source: Source,
}

/// One line of `pg_hba.conf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Server and line, such as `postgresql 5432 line 12`.
    pub subject: String,
    /// `local`, `host`, `hostssl`, `hostnossl`, `hostgssenc`, `hostnogssenc`.
    pub connection: String,
    /// Databases, as written.
    pub databases: Vec<String>,
    /// Users, as written.
    #[schemars(extend("x-personal" = true))]
    pub users: Vec<String>,
    /// Address as the server shows it, with `/` and the mask if it has one; empty for `local`.
    pub address: String,
    /// Whether only this machine itself can come from there: `local` or a loopback address.
    pub this_machine: bool,
    /// Method, such as `peer`, `scram-sha-256`, `trust`.
    pub method: String,
    /// Whether an earlier line decides for all connections that this one is for.
    pub shadowed: bool,
    /// File and line.
    pub source: Source,
}

impl HostFamily for Databases {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let mut databases = Self::default();
        if !host.is_live() {
            let detail = "database servers of a root folder do not run";
            gaps.note(Self::NAME, "roles", "databases of the root", reason::NEEDS_LIVE_KERNEL, detail, "Scan the machine itself.");
            gaps.note(Self::NAME, "access", "databases of the root", reason::NEEDS_LIVE_KERNEL, detail, "Scan the machine itself.");
            return Some(databases);
        }
        for access in &host.declared().databases {
            ask(host, access, &mut databases, gaps);
        }
        running::note_undeclared(host, gaps);
        databases.roles.sort_by(|a, b| a.subject.cmp(&b.subject));
        databases.servers.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(databases)
    }
}

/// One declared server on its way into the document.
struct Asked<'a> {
    access: &'a DatabaseAccess,
    /// `postgresql 5432`.
    server: String,
    into: &'a mut Databases,
    gaps: &'a mut Gaps,
}

impl Asked<'_> {
    /// What can't be told of this server.
    fn gap(&mut self, path: &str, reason: &str, detail: &str, remedy: &str) {
        let detail = format!("{}: {detail}", self.access.socket);
        self.gaps.note(Databases::NAME, path, &self.server, reason, detail, remedy);
    }

    fn told(&mut self, version: &str) {
        self.into.servers.push(Server {
            subject: self.server.clone(),
            engine: engine_word(self.access.engine).into(),
            version: version.into(),
            source: Source::whole(&self.access.socket),
        });
    }
}

fn ask(host: &Host, access: &DatabaseAccess, into: &mut Databases, gaps: &mut Gaps) {
    let server = format!("{} {}", engine_word(access.engine), instance(&access.socket));
    let mut asked = Asked { access, server, into, gaps };
    let socket = match LocalSocket::connect(host, &access.socket, TALK_TIME) {
        Ok(socket) => socket,
        Err(e) => {
            let remedy = "Start the server, or correct databases in the agent's configuration.";
            for path in ["roles", "access"] {
                asked.gap(path, reason::UNREACHABLE, &e.to_string(), remedy);
            }
            return;
        }
    };
    match access.engine {
        DatabaseEngine::Postgresql => read_postgresql::read(socket, &mut asked),
        DatabaseEngine::Mariadb => read_mariadb::read(socket, &mut asked),
    }
}

const fn engine_word(engine: DatabaseEngine) -> &'static str {
    match engine {
        DatabaseEngine::Postgresql => "postgresql",
        DatabaseEngine::Mariadb => "mariadb",
    }
}

/// The port of a PostgreSQL socket; the file name of another, with its folder where it is not the usual one.
fn instance(socket: &str) -> String {
    let (folder, name) = socket.rsplit_once('/').unwrap_or(("", socket));
    let short = name.strip_prefix(".s.PGSQL.").unwrap_or(name);
    let usual = ["/run/postgresql", "/var/run/postgresql", "/run/mysqld", "/var/run/mysqld"];
    if usual.contains(&folder) { short.into() } else { format!("{short} in {folder}") }
}

/// What lets PostgreSQL be read, and nothing more.
pub(in crate::facts) const POSTGRESQL_REMEDY: &str = "As a superuser: CREATE ROLE assay LOGIN; GRANT SELECT (rolname, rolpassword) ON pg_catalog.pg_authid TO assay; \
     GRANT SELECT ON pg_catalog.pg_hba_file_rules TO assay; GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO assay; GRANT pg_read_all_settings TO assay; give the scan's system \
     user this role by peer in pg_hba.conf and pg_ident.conf; name it under databases in the agent's configuration.";
/// What lets MariaDB be read, and nothing more.
pub(in crate::facts) const MARIADB_REMEDY: &str = "As root: CREATE USER assay@localhost IDENTIFIED VIA unix_socket; GRANT SELECT ON mysql.global_priv TO assay@localhost; the scan's \
     system user must bear the name of that user; name it under databases in the agent's configuration.";
