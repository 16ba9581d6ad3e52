//! Ledger rows: leaves waiting for a number, leaves, checkpoints.

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::LeafRow;
use super::engine::{Result, Store, StoreError, bytes, signed, unsigned};
use super::query::Query;
use crate::host::clock;
use crate::ledger::{Kind, Leaf};
use crate::model::ids::{Digest, HostId, RandomId};

/// A checkpoint with the root it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many leaves.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
    /// Signed note.
    pub note: String,
}

/// A leaf that waits for its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLeaf {
    /// Order of commit.
    pub number: i64,
    /// Canonical JSON.
    pub bytes: Vec<u8>,
}

impl Store {
    /// Ledger entries `[from, to)` by index.
    pub async fn leaves(&self, from: u64, to: u64) -> Result<Vec<LeafRow>> {
        let rows = sqlx::query("SELECT * FROM leaves WHERE number >= $1 AND number < $2 ORDER BY number")
            .bind(signed(from))
            .bind(signed(to))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(leaf_row).collect()
    }

    /// Ledger entries of these indexes, in no order.
    pub async fn leaves_at(&self, indexes: &[u64]) -> Result<Vec<LeafRow>> {
        if indexes.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = Query::new("SELECT * FROM leaves WHERE number IN ");
        query.bind_list(indexes.iter().map(|i| signed(*i)));
        query.all(&self.reader).await?.iter().map(leaf_row).collect()
    }

    /// The entry of a kind about a reference (hexadecimal).
    pub async fn leaf_of(&self, kind: &str, reference: &str) -> Result<Option<LeafRow>> {
        let Ok(reference) = reference.parse::<Digest>() else { return Ok(None) };
        let row = sqlx::query("SELECT * FROM leaves WHERE kind = $1 AND reference = $2 ORDER BY number LIMIT 1")
            .bind(kind.to_string())
            .bind(reference.bytes().to_vec())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| leaf_row(&row)).transpose()
    }

    /// Ledger entries of a kind, newest first; `limit` 0: all.
    pub async fn leaves_of_kind(&self, kind: &str, limit: u32) -> Result<Vec<LeafRow>> {
        let rows = sqlx::query("SELECT * FROM leaves WHERE kind = $1 ORDER BY number DESC LIMIT $2")
            .bind(kind.to_string())
            .bind(super::engine::limit_of(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(leaf_row).collect()
    }

    /// The newest signed checkpoint with its size; `None` on an empty ledger.
    pub async fn checkpoint(&self) -> Result<Option<(u64, String)>> {
        Ok(self.head().await?.map(|head| (head.size, head.note)))
    }

    /// The newest checkpoint.
    pub async fn head(&self) -> Result<Option<Head>> {
        let row = sqlx::query("SELECT * FROM checkpoints ORDER BY size DESC LIMIT 1").fetch_optional(&self.reader).await?;
        row.map(|row| Ok(Head { size: unsigned(&row, "size")?, root: Digest::new(bytes(&row, "root")?), note: row.try_get("note")? })).transpose()
    }

    /// Replaces the note of a checkpoint by one of the same size and root under another key.
    pub async fn sign_head_anew(&self, size: u64, note: &str) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE checkpoints SET note = $1 WHERE size = $2").bind(note).bind(signed(size)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Queues a leaf of `kind` about `reference`; the sequencer numbers it. Durable when this returns.
    pub async fn append_leaf(&self, kind: &str, reference: &Digest, host: Option<&HostId>) -> Result<()> {
        let kind = Kind::from_id(kind).ok_or_else(|| StoreError::Database(format!("{kind:?} is not a kind of ledger entry")))?;
        let leaf = Leaf::new(kind, random_id()?, *reference, host.copied(), clock::unix_now());
        let mut transaction = self.begin().await?;
        queue(&mut transaction, &leaf).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Leaves that wait for a number, in order of commit.
    pub async fn pending_leaves(&self, limit: u32) -> Result<Vec<PendingLeaf>> {
        let rows = sqlx::query("SELECT number, bytes FROM pending_leaves ORDER BY number LIMIT $1")
            .bind(super::engine::limit_of(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok(PendingLeaf { number: row.try_get("number")?, bytes: row.try_get("bytes")? })).collect()
    }

    /// How many leaves wait for a number.
    pub async fn pending_count(&self) -> Result<u64> {
        let row = sqlx::query("SELECT count(*) AS n FROM pending_leaves").fetch_one(&self.reader).await?;
        unsigned(&row, "n")
    }

    /// Makes pending leaves the entries from index `first` on, with the checkpoint over them and
    /// the receipts of the reports among them: one transaction, durable when this returns. Only the
    /// `holder` of the lease may.
    pub async fn sequence(&self, holder: &RandomId, first: u64, leaves: &[PendingLeaf], head: &Head, receipts: &[(Digest, Vec<u8>)]) -> Result<()> {
        let mut transaction = self.begin().await?;
        self.hold_ledger(&mut transaction, holder).await?;
        let row = sqlx::query("SELECT coalesce(max(number), -1) + 1 AS n FROM leaves").fetch_one(&mut *transaction).await?;
        if unsigned(&row, "n")? != first {
            return Err(StoreError::Damaged(format!("another process appended to the ledger behind entry {first}; run one collector per data folder")));
        }
        for (index, leaf) in (first..).zip(leaves) {
            let parsed = Leaf::parse(&leaf.bytes).map_err(|e| StoreError::Damaged(format!("pending leaf {}: {e}", leaf.number)))?;
            sqlx::query("INSERT INTO leaves (number, kind, reference, bytes, at) VALUES ($1, $2, $3, $4, $5)")
                .bind(signed(index))
                .bind(parsed.kind.id())
                .bind(parsed.reference.bytes().to_vec())
                .bind(leaf.bytes.clone())
                .bind(parsed.at)
                .execute(&mut *transaction)
                .await?;
            let gone = sqlx::query("DELETE FROM pending_leaves WHERE number = $1").bind(leaf.number).execute(&mut *transaction).await?;
            if gone.rows_affected() != 1 {
                return Err(StoreError::Damaged(format!("pending leaf {} vanished", leaf.number)));
            }
        }
        sqlx::query("INSERT INTO checkpoints (size, root, note) VALUES ($1, $2, $3)")
            .bind(signed(head.size))
            .bind(head.root.bytes().to_vec())
            .bind(&head.note)
            .execute(&mut *transaction)
            .await?;
        for (report, receipt) in receipts {
            sqlx::query("UPDATE reports SET receipt = $1 WHERE id = $2").bind(receipt.clone()).bind(report.bytes().to_vec()).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Queues a leaf inside a transaction.
pub(super) async fn queue(transaction: &mut Transaction<'static, Any>, leaf: &Leaf) -> Result<()> {
    let bytes = leaf.to_bytes().map_err(|e| StoreError::Database(e.to_string()))?;
    sqlx::query("INSERT INTO pending_leaves (kind, reference, bytes) VALUES ($1, $2, $3)")
        .bind(leaf.kind.id())
        .bind(leaf.reference.bytes().to_vec())
        .bind(bytes)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// A fresh random id.
pub(in crate::collector) fn random_id() -> Result<RandomId> {
    crate::pki::random().map(RandomId::new).map_err(|e| StoreError::File(e.to_string()))
}

fn leaf_row(row: &AnyRow) -> Result<LeafRow> {
    Ok(LeafRow {
        index: unsigned(row, "number")?,
        kind: row.try_get("kind")?,
        bytes: row.try_get("bytes")?,
        reference: Digest::new(bytes(row, "reference")?).to_string(),
    })
}
