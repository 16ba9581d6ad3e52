//! What the operator of a host declares in its own configuration: where which data lies, and which
//! databases may be asked. Nothing else decides what is read, and nothing a collector sends can change it.

use serde::{Deserialize, Serialize};

pub use super::declared_places::{NumberKind, PathLimit, SearchPath, Site, TenantPattern};
use super::kept::{BackupSet, Offboarded, RetentionLimit, SnapshotSet};

/// Declarations of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Declared {
    /// Folders or files whose protection matters.
    pub data: Vec<DataPath>,
    /// Databases whose roles are read through their local socket.
    pub databases: Vec<DatabaseAccess>,
    /// How database servers are meant to be replicated.
    pub replication: Vec<ReplicationExpectation>,
    /// Backups that are made here or arrive here.
    pub backups: Vec<BackupSet>,
    /// Snapshots that are kept here.
    pub snapshots: Vec<SnapshotSet>,
    /// Data that must not grow older than a limit.
    pub retention: Vec<RetentionLimit>,
    /// Customers whose contract ended.
    pub offboarded: Vec<Offboarded>,
    /// Folders of customers that share this machine.
    pub tenants: Vec<TenantPattern>,
    /// Accounts that may reach every tenant, such as a backup's.
    pub tenants_trusted: Vec<String>,
    /// Where card numbers and IBANs are looked for.
    pub search: Vec<SearchPath>,
    /// Paths that must be empty, or hold no more than so much.
    pub path_limits: Vec<PathLimit>,
    /// Where the machine stands.
    pub site: Site,
}

/// One declared data path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataPath {
    /// Absolute path on the host.
    pub path: String,
    /// What lies there.
    pub class: DataClass,
    /// How a layer that the host can't see encrypts it, such as `AWS EBS, key alias/db`; recorded as declared, never observed.
    #[serde(default)]
    pub encrypted_by: String,
    /// Regions or zones in which it may be kept, in the provider's own words, such as `eu-central-1`; empty: anywhere.
    #[serde(default)]
    pub regions: Vec<String>,
}

/// Kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataClass {
    /// Customers' data.
    CustomerData,
    /// Files of a database.
    Database,
    /// Backups.
    Backup,
    /// Home folders.
    Home,
    /// Logs.
    Logs,
    /// Swap.
    Swap,
    /// Hibernation image.
    Hibernation,
    /// Anything else.
    Other,
}

impl DataClass {
    /// Stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CustomerData => "customer-data",
            Self::Database => "database",
            Self::Backup => "backup",
            Self::Home => "home",
            Self::Logs => "logs",
            Self::Swap => "swap",
            Self::Hibernation => "hibernation",
            Self::Other => "other",
        }
    }
}

/// A database server that grants a read-only role to the scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseAccess {
    /// What it is.
    pub engine: DatabaseEngine,
    /// Its local socket, such as `/run/postgresql/.s.PGSQL.5432`.
    pub socket: String,
    /// Role to sign in as, recognised by the socket (peer, unix_socket); no password is ever used.
    pub user: String,
}

/// What is promised of the replication of a database server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicationExpectation {
    /// What it is.
    pub engine: DatabaseEngine,
    /// Which one, as the facts name it without its engine, such as `15/main`; empty: each of the engine.
    #[serde(default)]
    pub server: String,
    /// What is promised.
    pub expected: Expected,
}

/// Kinds of replication that can be promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// A commit waits until another server has it.
    Synchronous,
    /// Another server follows.
    Asynchronous,
    /// None is needed.
    None,
}

impl Expected {
    /// Stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Synchronous => "synchronous",
            Self::Asynchronous => "asynchronous",
            Self::None => "none",
        }
    }
}

/// Database servers that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseEngine {
    /// PostgreSQL 10 or later.
    Postgresql,
    /// MariaDB 10.4 or later.
    Mariadb,
}
