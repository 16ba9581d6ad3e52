//! The texts behind ledger entries that are about no report: who retired a host and why, from where a restored
//! ledger goes on. The entry holds the digest, the text can be read here.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, StoreError, bytes};
use crate::ledger::{Kind, Leaf};
use crate::model::canonical;
use crate::model::ids::{Digest, HostId};

/// A text behind a ledger entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// SHA-256 of the body; the reference of the entry.
    pub digest: Digest,
    /// Kind of the entry.
    pub kind: Kind,
    /// When it was made, Unix seconds.
    pub at: i64,
    /// Canonical JSON.
    pub body: Vec<u8>,
}

impl Statement {
    /// The statement that says `value`.
    pub fn of<T: Serialize>(kind: Kind, at: i64, value: &T) -> Result<Self> {
        let body = canonical::to_bytes(value).map_err(|e| StoreError::Database(e.to_string()))?;
        Ok(Self { digest: Digest::of(&body), kind, at, body })
    }

    /// What it says.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|e| StoreError::Damaged(format!("statement {}: {e}", self.digest)))
    }
}

const STATEMENTS: &str = "SELECT s.*,
      (SELECT min(l.number) FROM leaves l WHERE l.kind = s.kind AND l.reference = s.digest) AS numbered,
      (SELECT min(p.number) FROM pending_leaves p WHERE p.kind = s.kind AND p.reference = s.digest) AS waiting
    FROM statements s WHERE s.kind = $1 ORDER BY numbered NULLS LAST, waiting NULLS LAST, s.at, s.digest";

/// The part of an export's statement that people read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct ExportSaid {
    /// When, Unix seconds.
    #[serde(default)]
    pub at: i64,
    /// SHA-256 of the bundle's file.
    pub bundle: crate::model::ids::Digest,
    /// Who: id of a user, or the operator's account on the command line.
    #[serde(default)]
    pub by: String,
    /// Length of the file.
    #[serde(default)]
    pub bytes: u64,
    /// Id of the framework or page.
    pub framework: String,
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
}

impl Store {
    /// Keeps a statement and queues the entry that refers to it: all or nothing, durable when this returns.
    pub async fn put_statement(&self, statement: &Statement, host: Option<HostId>) -> Result<()> {
        let mut transaction = self.begin().await?;
        put(&mut transaction, statement, host).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Statements of a kind in the order of their ledger entries, those that wait for a number last: clocks can't tell two of one
    /// second apart.
    pub async fn statements(&self, kind: Kind) -> Result<Vec<Statement>> {
        let rows = sqlx::query(STATEMENTS).bind(kind.id()).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(Statement { digest: Digest::new(bytes(row, "digest")?), kind, at: row.try_get("at")?, body: row.try_get("body")? })).collect()
    }
}

/// Keeps a statement and queues its entry inside a transaction. The same statement twice is two entries and one text.
pub(super) async fn put(transaction: &mut Transaction<'static, Any>, statement: &Statement, host: Option<HostId>) -> Result<()> {
    sqlx::query("INSERT INTO statements (digest, kind, at, body) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING")
        .bind(statement.digest.bytes().to_vec())
        .bind(statement.kind.id())
        .bind(statement.at)
        .bind(statement.body.clone())
        .execute(&mut **transaction)
        .await?;
    let leaf = Leaf::new(statement.kind, super::ledger::random_id()?, statement.digest, host, statement.at);
    super::ledger::queue(transaction, &leaf).await
}
