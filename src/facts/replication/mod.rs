//! Replication of database servers: what the configuration asks for, and, where the operator
//! declared access, what the running server says of its replicas, its source and its slots.

mod conninfo;
mod expected;
mod mariadb;
mod mariadb_running;
mod postgresql;
mod postgresql_running;
mod standby_names;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::database_servers::running_servers;
use super::{Document, HostFamily};
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Replication of PostgreSQL, MariaDB and MySQL servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replication {
    /// Servers, by subject; one more for each declaration that no server answers to.
    pub servers: Vec<ReplicatedServer>,
    /// Connections over which data is replicated, seen from this machine, by subject.
    pub links: Vec<ReplicationLink>,
    /// Replication slots of PostgreSQL, by subject.
    pub slots: Vec<ReplicationSlot>,
}

impl Document for Replication {
    const NAME: &'static str = "replication";
    const TITLE: &'static str = "Replication of database servers: mode, replicas, lag, slots";
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicatedServer {
    /// As in family `database_servers`, such as `postgresql 15/main`; the declaration for one that is not there.
    pub subject: String,
    /// `postgresql`, `mariadb` or `mysql`.
    pub engine: String,
    /// `primary` (others follow it), `standby` (it follows another), `none` (neither is seen), `absent` (declared, and there is no such server).
    pub role: String,
    /// What the operator declared: `synchronous`, `asynchronous`, `none`; empty: nothing.
    pub expected: String,
    /// What its configuration asks of a commit: `synchronous` (waits for a standby, or for all of a Galera cluster), `semi-synchronous`
    /// (waits for one replica for a while; MariaDB, MySQL), `asynchronous`, `none` (nothing is replicated from here).
    pub mode: String,
    /// Where the mode is decided; the place is empty for a default.
    pub mode_source: Source,
    /// Standbys that a commit waits for (PostgreSQL).
    pub required_standbys: u32,
    /// Whether a replica confirms commits at the moment, as the running server says; null when it was not asked.
    pub synchronous_now: Option<bool>,
    /// Main configuration file.
    pub source: Source,
}

/// One connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicationLink {
    /// Server, `to` or `from`, and name and address of the other, such as `postgresql 15/main to walreceiver 10.0.0.6`.
    pub subject: String,
    /// Subject of the server.
    pub server: String,
    /// Engine of the server.
    pub engine: String,
    /// `to` a replica, or `from` the server that this one follows.
    pub direction: String,
    /// Address or name of the other; empty for a local socket.
    pub peer: String,
    /// Whether the other is another machine: neither a local socket nor a loopback address.
    pub other_machine: bool,
    /// What the server says of it, such as `streaming`, `catchup`, `running`, `connecting`, `stopped`; empty when it was not asked.
    #[schemars(extend("x-volatile" = true))]
    pub state: String,
    /// Whether data flows; null when the server was not asked.
    pub running: Option<bool>,
    /// `sync`, `quorum`, `potential`, `async` (PostgreSQL, seen from the primary); else empty.
    pub sync_state: String,
    /// Log that the replica has not applied yet, bytes; null when it is not known.
    #[schemars(extend("x-volatile" = true))]
    pub lag_bytes: Option<i64>,
    /// Time by which the replica is behind, seconds; null when it is not known.
    #[schemars(extend("x-volatile" = true))]
    pub lag_seconds: Option<i64>,
    /// `in-use` (the running server says so), `required` (configured, and refused without), `optional` (used when the other offers
    /// it), `none`, `unknown`.
    pub tls: String,
    /// File and line that make the connection, or the catalog.
    pub source: Source,
}

/// One slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicationSlot {
    /// Server and name, such as `postgresql 15/main slot standby1`.
    pub subject: String,
    /// Subject of the server.
    pub server: String,
    /// Name.
    pub name: String,
    /// `physical` or `logical`; empty when the server was not asked.
    pub kind: String,
    /// Whether somebody reads from it; null when the server was not asked.
    pub active: Option<bool>,
    /// Log that is kept for it, bytes; null when it is not known.
    #[schemars(extend("x-volatile" = true))]
    pub retained_bytes: Option<i64>,
    /// `reserved`, `extended`, `unreserved`, `lost`; empty when it is not known.
    pub wal_status: String,
    /// Its folder.
    pub source: Source,
}

impl HostFamily for Replication {
    const WATCHED: &'static [&'static str] = &["/etc/postgresql/**", "/etc/my.cnf", "/etc/my.cnf.d/*", "/etc/mysql/**"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let processes = running_servers(host).unwrap_or_else(|e| {
            PATHS.iter().for_each(|path| gaps.add(e.to_gap(Self::NAME, path, "running servers")));
            Vec::new()
        });
        let mut out = Self::default();
        postgresql::gather(host, &processes, &mut out, gaps);
        mariadb::gather(host, &processes, &mut out, gaps);
        expected::lay_over(host, &mut out, gaps);
        out.servers.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.links.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.slots.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(out)
    }
}

/// Every list of the document.
const PATHS: [&str; 3] = ["servers", "links", "slots"];
/// Most links, slots and sources kept of one server.
const ITEM_LIMIT: usize = 1024;

/// What can't be told of replication without asking: `subjects` are the links that are known of.
fn note_unasked(host: &Host, gaps: &mut Gaps, server: &str, subjects: &[String], paths: &[&str], remedy: &str) {
    let (id, detail, remedy) = if host.is_live() {
        (reason::PERMISSION_DENIED, format!("access to {server} is not declared, or it does not run: what its replication does is not known"), remedy)
    } else {
        (reason::NEEDS_LIVE_KERNEL, format!("{server} of a root folder does not run"), "Scan the machine itself.")
    };
    for path in paths {
        if path.starts_with("links.") {
            subjects.iter().for_each(|subject| gaps.note(Replication::NAME, path, subject, id, detail.clone(), remedy));
        } else {
            gaps.note(Replication::NAME, path, server, id, detail.clone(), remedy);
        }
    }
}
