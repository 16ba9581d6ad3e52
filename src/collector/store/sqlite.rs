//! The store on SQLite: opening, schema, connections.
//!
//! One writing connection, so that writers queue here and not in SQLite, and a few reading ones.
//! Write-ahead log with `synchronous = FULL`: a committed transaction survives a power cut.
//! Blobs are rows: one file to back up, one transaction, and with `secure_delete` an erased blob
//! is overwritten. Files beside the database would need their own sweep, fsyncs and permissions
//! and are slower below 100 KB, which a blob nearly always is.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Row as _, Sqlite, Transaction};

/// Name of the database in its folder.
const FILE: &str = "assay.db";
/// Connections that only read.
const READERS: u32 = 4;
/// Longest wait for another process's lock.
const BUSY: Duration = Duration::from_secs(10);
/// Schema steps; the position plus one is the version (`PRAGMA user_version`).
const SCHEMA: &[&str] = &[include_str!("schema/001.sql")];
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
    /// The folder or the database file failed.
    #[error("store: {0}")]
    File(String),
    /// Blobs that a report names went missing between check and commit.
    #[error("store: {0} blobs of the report are missing")]
    BlobsMissing(usize),
}

impl From<sqlx::Error> for StoreError {
    fn from(e: sqlx::Error) -> Self {
        Self::Database(e.to_string())
    }
}

/// Result of a store query.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The embedded store. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    pub(super) reader: SqlitePool,
    folder: PathBuf,
    pub(super) silent_after: i64,
}

impl Store {
    /// Opens or creates the store in a folder.
    pub async fn open(folder: &Path) -> Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| StoreError::File(format!("can't create the data folder {}: {e}", folder.display())))?;
        let file = folder.join(FILE);
        let unopened = |e: sqlx::Error| StoreError::File(format!("can't open {}: {e}", file.display()));
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .pragma("secure_delete", "ON")
            .pragma("trusted_schema", "OFF");
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.map_err(unopened)?;
        migrate(&writer, &file).await?;
        let reader = SqlitePoolOptions::new().max_connections(READERS).connect_with(options.pragma("query_only", "ON")).await.map_err(unopened)?;
        Ok(Self { writer, reader, folder: folder.to_path_buf(), silent_after: SILENT_AFTER })
    }

    /// The same store, calling hosts silent after so many seconds without contact.
    pub fn silent_after(mut self, seconds: i64) -> Self {
        self.silent_after = seconds;
        self
    }

    /// The folder it lives in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Closes every connection; the write-ahead log is folded into the database.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// A transaction that holds the write lock from its start.
    pub(in crate::collector) async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

async fn migrate(writer: &SqlitePool, file: &Path) -> Result<()> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > SCHEMA.len() {
        let known = SCHEMA.len();
        return Err(StoreError::File(format!(
            "{} has schema version {version} and this program knows {known}; start the newer program that wrote it",
            file.display()
        )));
    }
    for (number, step) in SCHEMA.iter().enumerate().skip(done) {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA user_version = {}", number + 1))).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// A column of exactly `N` bytes.
pub(super) fn bytes<const N: usize>(row: &SqliteRow, column: &str) -> Result<[u8; N]> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| StoreError::Damaged(format!("{column} has {} bytes instead of {N}", bytes.len())))
}

/// A column that holds a number from 0.
pub(super) fn unsigned(row: &SqliteRow, column: &str) -> Result<u64> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| StoreError::Damaged(format!("{column} is {value}")))
}

/// A number as SQLite keeps it; beyond 2^63 the largest.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Rows to fetch for a limit where 0 means all.
pub(super) fn limit_of(limit: u32) -> i64 {
    if limit == 0 { -1 } else { i64::from(limit) }
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
        let store = Store::open(folder.path()).await.unwrap();
        for pool in [&store.writer, &store.reader] {
            let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.unwrap();
            let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
            assert_eq!((synchronous, journal.as_str()), (2, "wal"));
        }
        assert!(sqlx::raw_sql("DELETE FROM users").execute(&store.reader).await.is_err());
        drop(store);
        assert!(Store::open(&folder.path().join("assay.db")).await.is_err());
    }
}
