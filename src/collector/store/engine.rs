//! The two databases that hold the store, and what differs between them.
//!
//! Queries are written once: numbered placeholders (`$1`), whole numbers, text and bytes are what both
//! understand. Here is the rest: opening, schema, locks.
//!
//! **SQLite** (the default) is one file in the data folder. One writing connection, so that writers queue here and
//! not in SQLite, and a few reading ones. Write-ahead log with `synchronous = FULL`: a committed transaction
//! survives a power cut. Blobs are rows: one file to back up, one transaction, and with `secure_delete` an erased
//! blob is overwritten. Files beside the database would need their own sweep, fsyncs and permissions and are
//! slower below 100 KB, which a blob nearly always is.
//!
//! **PostgreSQL** (feature `postgres`) is used when the data folder holds a file `database.url`. Several collectors
//! may share one database: what concerns one host is serialised by a lock on its row, what concerns the ledger by
//! the sequencer's lease. Accepted reports lie in monthly partitions.

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::writer::Writer;
use crate::model::ids::HostId;
use sqlx::any::{AnyPoolOptions, AnyRow, install_default_drivers};
use sqlx::{Any, AnyPool, AssertSqlSafe, Connection as _, Executor as _, Row as _, Transaction};

/// Name of the SQLite database in its folder.
pub const SQLITE_FILE: &str = "assay.db";
/// Name of the file in the data folder that holds the address of a PostgreSQL database.
pub const URL_FILE: &str = "database.url";
/// Longest address of a database, bytes.
const MAX_URL: u64 = 4096;
/// SQLite connections that only read.
const READERS: u32 = 4;
/// PostgreSQL connections of one collector.
const CONNECTIONS: u32 = 16;
/// Longest wait for a connection to the database.
const CONNECT: Duration = Duration::from_secs(15);
/// What every SQLite connection is set to. The wait is for another process's lock.
const SQLITE_SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -16384;";
/// What every PostgreSQL connection is set to. A lock that can't be had in time fails the request, which is sent again.
const POSTGRES_SETTINGS: &str = "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'; SET TimeZone = 'UTC';";
/// Schema steps of SQLite and the version that each makes (`PRAGMA user_version`).
const SQLITE_SCHEMA: &[Step] = &[
    (1, include_str!("schema/sqlite/001.sql")),
    (2, include_str!("schema/sqlite/002.sql")),
    (3, include_str!("schema/sqlite/003.sql")),
    (4, include_str!("schema/sqlite/004.sql")),
    (5, include_str!("schema/sqlite/005.sql")),
    (6, include_str!("schema/sqlite/006.sql")),
    (7, include_str!("schema/sqlite/007.sql")),
    (9, include_str!("schema/sqlite/009.sql")),
];
/// Schema steps of PostgreSQL; versions are those of SQLite, whose second step was PostgreSQL's first.
const POSTGRES_SCHEMA: &[Step] = &[
    (2, include_str!("schema/postgres/002.sql")),
    (3, include_str!("schema/postgres/003.sql")),
    (4, include_str!("schema/postgres/004.sql")),
    (5, include_str!("schema/postgres/005.sql")),
    (6, include_str!("schema/postgres/006.sql")),
    (7, include_str!("schema/postgres/007.sql")),
    (9, include_str!("schema/postgres/009.sql")),
];
/// A host not heard of for this long is silent, seconds.
pub const SILENT_AFTER: i64 = 2 * 86_400;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("store: {0}")]
    Database(String),
    /// A row does not read back.
    #[error("store: damaged row: {0}")]
    Damaged(String),
    /// The folder, the database file or the address of the database failed.
    #[error("store: {0}")]
    File(String),
    /// Blobs that a report names went missing between check and commit.
    #[error("store: {0} blobs of the report are missing")]
    BlobsMissing(usize),
    /// Another collector numbers the ledger now.
    #[error("store: another collector holds the lease on the ledger")]
    LeaseLost,
}

impl From<sqlx::Error> for StoreError {
    fn from(e: sqlx::Error) -> Self {
        Self::Database(e.to_string())
    }
}

/// A version of the schema, and the statements that make it from the one before.
type Step = (i64, &'static str);

/// Result of a store query.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Which database holds the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One file in the data folder.
    Sqlite,
    /// A server that several collectors may share.
    Postgres,
}

/// The store. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    writer: AnyPool,
    pub(super) reader: AnyPool,
    pub(super) engine: Engine,
    pub(super) grouped: Writer,
    folder: PathBuf,
    pub(super) silent_after: i64,
}

impl Store {
    /// Opens or creates the store of a data folder: the SQLite file in it, or the PostgreSQL database that its
    /// `database.url` names.
    pub async fn open(folder: &Path) -> Result<Self> {
        create_folder(folder)?;
        match url(folder)? {
            Some(url) => Self::open_postgres(folder, &url).await,
            None => Self::open_sqlite(folder).await,
        }
    }

    /// Opens or creates the SQLite store in a folder, whatever its `database.url` says.
    pub async fn open_sqlite(folder: &Path) -> Result<Self> {
        install_default_drivers();
        let file = folder.join(SQLITE_FILE);
        create_file(&file).map_err(|e| StoreError::File(format!("can't open {}: {e}", file.display())))?;
        let unopened = |e: sqlx::Error| StoreError::File(format!("can't open {}: {e}", file.display()));
        let address = format!("sqlite://{}?mode=rw", percent_encoded(&file));
        let writer = pool(1, &[SQLITE_SETTINGS]).connect(&address).await.map_err(unopened)?;
        migrate_sqlite(&writer, &file).await?;
        let reader = pool(READERS, &[SQLITE_SETTINGS, "PRAGMA query_only = ON"]).connect(&address).await.map_err(unopened)?;
        let store =
            Self { grouped: Writer::start(writer.clone()), writer, reader, engine: Engine::Sqlite, folder: folder.to_path_buf(), silent_after: SILENT_AFTER };
        store.derive().await?;
        Ok(store)
    }

    /// Opens or creates the store in a PostgreSQL database; `folder` holds keys and ledger head.
    pub async fn open_postgres(folder: &Path, url: &str) -> Result<Self> {
        install_default_drivers();
        create_folder(folder)?;
        if !cfg!(feature = "postgres") {
            let file = folder.join(URL_FILE);
            return Err(StoreError::File(format!("{} names a PostgreSQL database, and this program was built without the feature `postgres`", file.display())));
        }
        let unopened = |e: sqlx::Error| StoreError::File(format!("can't open the database of {}: {e}", folder.join(URL_FILE).display()));
        let writer = pool(CONNECTIONS, &[POSTGRES_SETTINGS]).connect(url).await.map_err(unopened)?;
        durable_commits(&writer).await?;
        migrate_postgres(&writer).await?;
        let store = Self {
            grouped: Writer::start(writer.clone()),
            reader: writer.clone(),
            writer,
            engine: Engine::Postgres,
            folder: folder.to_path_buf(),
            silent_after: SILENT_AFTER,
        };
        store.prepare_partitions(crate::host::clock::unix_now()).await?;
        store.derive().await?;
        Ok(store)
    }

    /// The same store, calling hosts silent after so many seconds without contact.
    pub fn silent_after(mut self, seconds: i64) -> Self {
        self.silent_after = seconds;
        self
    }

    /// The folder of keys and ledger head.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Which database this is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Closes every connection; SQLite folds its write-ahead log into the database.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// A transaction that writes. On SQLite it holds the write lock from its start.
    pub(in crate::collector) async fn begin(&self) -> Result<Transaction<'static, Any>> {
        Ok(match self.engine {
            Engine::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await?,
            Engine::Postgres => self.writer.begin().await?,
        })
    }

    /// A transaction that sees one state of all tables, whatever is committed meanwhile.
    pub(super) async fn snapshot(&self) -> Result<Transaction<'static, Any>> {
        Ok(match self.engine {
            Engine::Sqlite => self.reader.begin_with("BEGIN").await?,
            Engine::Postgres => self.reader.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
        })
    }

    /// Serialises what concerns one host until the transaction ends. SQLite has one writer anyway.
    pub(super) async fn lock_host(&self, transaction: &mut Transaction<'static, Any>, host: &HostId) -> Result<()> {
        if self.engine == Engine::Postgres {
            let lock = sqlx::query("SELECT 1 AS found FROM hosts WHERE id = $1 FOR UPDATE").bind(host.bytes().to_vec());
            lock.fetch_optional(&mut **transaction).await?;
        }
        Ok(())
    }

    /// Makes the partitions of accepted reports for the months around `now`; nothing on SQLite. A report of any
    /// other time goes into the default partition.
    pub async fn prepare_partitions(&self, now: i64) -> Result<()> {
        if self.engine == Engine::Sqlite {
            return Ok(());
        }
        for (name, from, to) in months_around(now) {
            let made = self
                .writer
                .execute(AssertSqlSafe(format!("CREATE TABLE IF NOT EXISTS reports_{name} PARTITION OF reports FOR VALUES FROM ({from}) TO ({to})")))
                .await;
            if let Err(e) = made {
                // Reports of that month lie in the default partition already: they stay there.
                tracing::warn!("no partition for the reports of {name}: {e}");
            }
        }
        Ok(())
    }
}

/// The months from the one before `now` to the third after it: name, first second, first second after.
fn months_around(now: i64) -> Vec<(String, i64, i64)> {
    let Ok(at) = jiff::Timestamp::from_second(now) else { return Vec::new() };
    let utc = jiff::tz::TimeZone::UTC;
    let first = utc.to_datetime(at).date().first_of_month();
    let month = |n: i64| first.checked_add(jiff::Span::new().months(n)).ok();
    let second = |date: jiff::civil::Date| utc.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).ok().map(|t| t.as_second());
    (-1..=3).filter_map(|n| Some((month(n)?, second(month(n)?)?, second(month(n + 1)?)?))).map(|(m, a, b)| (m.strftime("%Y_%m").to_string(), a, b)).collect()
}

fn pool(connections: u32, settings: &'static [&'static str]) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(CONNECT)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for setting in settings {
                    sqlx::raw_sql(*setting).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                // On a full disk SQLite rolls back by itself, and the driver goes on believing in a
                // transaction: such a connection would refuse every transaction for ever.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

/// An acknowledged report must survive: a server that does not write through is refused or overruled.
async fn durable_commits(pool: &AnyPool) -> Result<()> {
    let setting = |name: &'static str| async move {
        let row = sqlx::query("SELECT current_setting($1) AS value").bind(name).fetch_one(pool).await?;
        Ok::<String, StoreError>(row.try_get("value")?)
    };
    if setting("fsync").await? == "off" {
        return Err(StoreError::File("the PostgreSQL server has fsync off and would lose acknowledged reports; set fsync = on".into()));
    }
    let commit = setting("synchronous_commit").await?;
    if matches!(commit.as_str(), "off" | "local" | "remote_write") {
        return Err(StoreError::File(format!(
            "the PostgreSQL server has synchronous_commit = {commit} for this user and may lose acknowledged reports; set it to on: ALTER ROLE … SET synchronous_commit = on"
        )));
    }
    Ok(())
}

async fn migrate_sqlite(writer: &AnyPool, file: &Path) -> Result<()> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    for (number, step) in steps(SQLITE_SCHEMA, version, &file.display().to_string())? {
        sqlx::raw_sql(step).execute(&mut *transaction).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA user_version = {number}"))).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn migrate_postgres(pool: &AnyPool) -> Result<()> {
    // Two collectors that start at once on an empty database: the second finds what the first made.
    let made = sqlx::raw_sql("CREATE TABLE IF NOT EXISTS schema_version (one BIGINT PRIMARY KEY, version BIGINT NOT NULL)").execute(pool).await;
    let begun = sqlx::raw_sql("INSERT INTO schema_version (one, version) VALUES (1, 0) ON CONFLICT (one) DO NOTHING").execute(pool).await;
    if let (Err(e), Err(_)) = (made, begun) {
        return Err(e.into());
    }
    let mut transaction = pool.begin().await?;
    let version: i64 = sqlx::query_scalar("SELECT version FROM schema_version WHERE one = 1 FOR UPDATE").fetch_one(&mut *transaction).await?;
    for (number, step) in steps(POSTGRES_SCHEMA, version, "the database")? {
        sqlx::raw_sql(step).execute(&mut *transaction).await?;
        sqlx::query("UPDATE schema_version SET version = $1 WHERE one = 1").bind(number).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The steps that a database of this version lacks, with the version that each makes.
fn steps(all: &'static [Step], version: i64, name: &str) -> Result<Vec<Step>> {
    let known = all.iter().map(|(number, _)| *number).max().unwrap_or_default();
    if version > known {
        return Err(StoreError::File(format!("{name} has schema version {version} and this program knows {known}; start the newer program that wrote it")));
    }
    Ok(all.iter().copied().filter(|(number, _)| *number > version).collect())
}

/// The address in the data folder's `database.url`, if there is one.
pub fn url(folder: &Path) -> Result<Option<String>> {
    let path = folder.join(URL_FILE);
    let bad = |why: String| StoreError::File(format!("{}: {why}", path.display()));
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(bad(e.to_string())),
        Ok(m) if m.len() > MAX_URL => return Err(bad("it is too large to be an address".into())),
        Ok(_) => {}
    }
    let url = std::fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?.trim().to_string();
    if !is_postgres(&url) {
        return Err(bad("write one line: postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full".into()));
    }
    Ok(Some(url))
}

/// Where the address of a PostgreSQL database is written.
pub fn url_file(folder: &Path) -> PathBuf {
    folder.join(URL_FILE)
}

/// Whether an address is one of a PostgreSQL database.
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn create_folder(folder: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| StoreError::File(format!("can't create the data folder {}: {e}", folder.display())))
}

/// The file with our mode, before SQLite makes one with the process's.
fn create_file(path: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(|_| ())
}

/// A path as the address of a SQLite database writes it (RFC 3986 section 2.1).
fn percent_encoded(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.');
    path.as_os_str().as_bytes().iter().map(|b| if plain(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A column of exactly `N` bytes.
pub(super) fn bytes<const N: usize>(row: &AnyRow, column: &str) -> Result<[u8; N]> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| StoreError::Damaged(format!("{column} has {} bytes instead of {N}", bytes.len())))
}

/// A column that holds a number from 0.
pub(super) fn unsigned(row: &AnyRow, column: &str) -> Result<u64> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| StoreError::Damaged(format!("{column} is {value}")))
}

/// A column that holds 0 or 1.
pub(super) fn flag(row: &AnyRow, column: &str) -> Result<bool> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

/// A number as the databases keep it; beyond 2^63 the largest.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A text as both databases take it: PostgreSQL has no NUL in text.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Rows to fetch for a limit where 0 means all.
pub(super) fn limit_of(limit: u32) -> i64 {
    if limit == 0 { i64::MAX } else { i64::from(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_of_a_newer_program_is_refused_with_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&store.writer).await.unwrap();
        store.close().await;
        let error = Store::open(folder.path()).await.unwrap_err().to_string();
        assert!(error.contains("schema version 99"), "{error}");
    }

    #[tokio::test]
    async fn commits_are_durable_and_readers_can_not_write() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a folder, 100% odd?");
        let store = Store::open(&odd).await.unwrap();
        for pool in [&store.writer, &store.reader] {
            let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.unwrap();
            let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
            assert_eq!((synchronous, journal.as_str()), (2, "wal"));
        }
        assert!(sqlx::raw_sql("DELETE FROM users").execute(&store.reader).await.is_err());
        drop(store);
        assert!(Store::open(&odd.join("assay.db")).await.is_err());
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_with_its_form() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(URL_FILE), "mysql://here").unwrap();
        let error = Store::open(folder.path()).await.unwrap_err().to_string();
        assert!(error.contains("postgres://USER"), "{error}");
    }

    #[test]
    fn months_are_those_around_now_also_over_the_end_of_a_year() {
        let months = months_around(1_765_000_000);
        let names: Vec<&str> = months.iter().map(|(n, _, _)| n.as_str()).collect();
        assert_eq!(names, ["2025_11", "2025_12", "2026_01", "2026_02", "2026_03"]);
        assert!(months.windows(2).all(|w| w[0].2 == w[1].1));
    }
}
