//! What people give the collector to judge by, version by version: which one was in force at any time, by whom, and its bytes until they
//! are erased.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::Statement;
use super::engine::{Result, Store, StoreError, bytes, flag, signed, storable, unsigned};
use crate::ledger::Kind;
use crate::model::ids::Digest;
use crate::model::labels::Labels;

/// Largest body, bytes: a list is at most 8 MiB, a folder of pages less.
const MAX_BODY: usize = 32 << 20;
/// zstd level of bodies.
const LEVEL: i32 = 9;
/// How often a version is tried while others give versions of the same list.
const TRIES: usize = 8;

/// A version on its way in.
#[derive(Clone, Debug)]
pub struct NewList {
    /// Kind of its ledger entry; the list is called by its id.
    pub kind: Kind,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its bytes; `None`: they are kept elsewhere.
    pub bytes: Option<Vec<u8>>,
    /// Entries.
    pub rows: u64,
    /// From when on it is in force, Unix seconds.
    pub at: i64,
    /// Who gave it; never a name.
    pub by: String,
}

/// One version of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListVersion {
    /// Which list: `roster`, `approvals`, `third-parties`, `inventory`, `labels`, `policy`, `advisories`, `commitments`.
    pub name: String,
    /// From 1.
    pub version: u64,
    /// First second in force, Unix.
    pub since: i64,
    /// First second no longer in force, Unix; `None`: it still is.
    pub until: Option<i64>,
    /// SHA-256 of its bytes as they were given.
    pub digest: Digest,
    /// Entries.
    pub rows: u64,
    /// Who gave it.
    pub by: String,
    /// Whether its bytes are kept here.
    pub kept: bool,
    /// Its bytes; `None`: erased, never kept, or not asked for.
    pub bytes: Option<Vec<u8>>,
}

/// What the ledger says of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListGiven {
    /// From when on it is in force, Unix seconds.
    pub at: i64,
    /// Who gave it.
    pub by: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Which list.
    pub name: String,
    /// Entries.
    pub rows: u64,
}

/// A version whose bytes were erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasedList {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Which list.
    pub name: String,
    /// Which version.
    pub version: u64,
}

/// What became of a version that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Number of the version in force.
    pub version: u64,
    /// Whether it is new; else the version in force says the same.
    pub is_new: bool,
}

const VERSIONS: &str = "SELECT name, version, digest, entries, at, giver, CAST(CASE WHEN body IS NULL THEN 0 ELSE 1 END AS BIGINT) AS kept,
    lead(at) OVER (PARTITION BY name ORDER BY version) AS ended FROM lists";

impl Store {
    /// Puts a version into force with its ledger entry, unless the one in force has the same digest: all or nothing, durable when this
    /// returns.
    pub async fn put_list(&self, new: &NewList) -> Result<Given> {
        Ok(self.put_version(new, None, None).await?.unwrap_or(Given { version: 0, is_new: false }))
    }

    /// The same of the labels of hosts, which pages find hosts by. With `after`, only if that is the number of the version in force (0: there is
    /// none); else nothing is done and `None` comes back.
    pub async fn put_labels(&self, new: &NewList, labels: &Labels, after: Option<u64>) -> Result<Option<Given>> {
        self.put_version(new, Some(labels), after).await
    }

    async fn put_version(&self, new: &NewList, labels: Option<&Labels>, after: Option<u64>) -> Result<Option<Given>> {
        let body = new.bytes.as_deref().map(|bytes| zstd::encode_all(bytes, LEVEL)).transpose().map_err(|e| StoreError::File(e.to_string()))?;
        for _ in 0..TRIES {
            let mut transaction = self.begin().await?;
            let newest = newest(&mut transaction, new.kind.id()).await?;
            if after.is_some_and(|after| newest.map_or(0, |(version, _, _)| version) != after) {
                return Ok(None);
            }
            if let Some((version, _, digest)) = newest
                && digest == new.digest
            {
                return Ok(Some(Given { version, is_new: false }));
            }
            let (version, at) = newest.map_or((1, new.at), |(version, since, _)| (version + 1, new.at.max(since)));
            let done =
                sqlx::query("INSERT INTO lists (name, version, digest, entries, at, giver, body) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING")
                    .bind(new.kind.id())
                    .bind(signed(version))
                    .bind(new.digest.bytes().to_vec())
                    .bind(signed(new.rows))
                    .bind(at)
                    .bind(storable(&new.by))
                    .bind(body.clone())
                    .execute(&mut *transaction)
                    .await?;
            // Another collector gave this number to its own: look again.
            if done.rows_affected() == 0 {
                continue;
            }
            let given = ListGiven { at, by: new.by.clone(), digest: new.digest, name: new.kind.id().into(), rows: new.rows };
            super::statements::put(&mut transaction, &Statement::of(new.kind, at, &given)?, None).await?;
            if let Some(labels) = labels {
                super::population::lay_labels(&mut transaction, labels, at).await?;
            }
            transaction.commit().await?;
            return Ok(Some(Given { version, is_new: true }));
        }
        Err(StoreError::Database(format!("others give versions of {} all the time", new.kind.id())))
    }

    /// The versions of a list that were in force within `[from, to)`, Unix seconds, oldest first, with their bytes.
    pub async fn list_versions(&self, name: &str, from: i64, to: i64) -> Result<Vec<ListVersion>> {
        let mut versions = self.versions(name, from, to).await?;
        // Of two versions of one second the first was never in force.
        versions.retain(|v| v.until.is_none_or(|until| until > v.since));
        for version in versions.iter_mut().filter(|v| v.kept) {
            version.bytes = self.list_bytes(name, version.version).await?;
        }
        Ok(versions)
    }

    /// The version of a list that was in force at a time (Unix seconds), with its bytes.
    pub async fn list_at(&self, name: &str, at: i64) -> Result<Option<ListVersion>> {
        Ok(self.list_versions(name, at, at.saturating_add(1)).await?.pop())
    }

    /// Every version of a list, oldest first, without bytes.
    pub async fn list_history(&self, name: &str) -> Result<Vec<ListVersion>> {
        self.versions(name, i64::MIN, i64::MAX).await
    }

    /// Number of the newest version of each list.
    pub async fn list_heads(&self) -> Result<Vec<(String, u64)>> {
        let rows = sqlx::query("SELECT name, max(version) AS version FROM lists GROUP BY name ORDER BY name").fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("name")?, unsigned(row, "version")?))).collect()
    }

    async fn versions(&self, name: &str, from: i64, to: i64) -> Result<Vec<ListVersion>> {
        let query = format!("SELECT * FROM ({VERSIONS} WHERE name = $1) AS v WHERE v.at < $2 AND (v.ended IS NULL OR v.ended > $3) ORDER BY version");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(name.to_string()).bind(to).bind(from).fetch_all(&self.reader).await?;
        rows.iter().map(version).collect()
    }

    /// The bytes of a version; `None`: erased, or never kept.
    pub async fn list_bytes(&self, name: &str, version: u64) -> Result<Option<Vec<u8>>> {
        let row = sqlx::query("SELECT body FROM lists WHERE name = $1 AND version = $2").bind(name.to_string()).bind(signed(version));
        let body: Option<Vec<u8>> = row.fetch_optional(&self.reader).await?.map(|row| row.try_get("body")).transpose()?.flatten();
        body.map(|frame| unpacked(name, version, &frame)).transpose()
    }
}

/// Number, beginning and digest of the newest version.
async fn newest(transaction: &mut Transaction<'static, Any>, name: &str) -> Result<Option<(u64, i64, Digest)>> {
    let query = sqlx::query("SELECT version, at, digest FROM lists WHERE name = $1 ORDER BY version DESC LIMIT 1").bind(name.to_string());
    let row = query.fetch_optional(&mut **transaction).await?;
    row.map(|row| Ok((unsigned(&row, "version")?, row.try_get("at")?, Digest::new(bytes(&row, "digest")?)))).transpose()
}

fn version(row: &AnyRow) -> Result<ListVersion> {
    Ok(ListVersion {
        name: row.try_get("name")?,
        version: unsigned(row, "version")?,
        since: row.try_get("at")?,
        until: row.try_get("ended")?,
        digest: Digest::new(bytes(row, "digest")?),
        rows: unsigned(row, "entries")?,
        by: row.try_get("giver")?,
        kept: flag(row, "kept")?,
        bytes: None,
    })
}

fn unpacked(name: &str, version: u64, frame: &[u8]) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let damaged = |e: String| StoreError::Damaged(format!("version {version} of {name}: {e}"));
    let mut out = Vec::new();
    let decoder = zstd::Decoder::new(frame).map_err(|e| damaged(e.to_string()))?;
    decoder.take(MAX_BODY as u64 + 1).read_to_end(&mut out).map_err(|e| damaged(e.to_string()))?;
    if out.len() > MAX_BODY {
        return Err(damaged(format!("it is larger than {MAX_BODY} bytes")));
    }
    Ok(out)
}
