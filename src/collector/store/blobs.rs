//! Blobs: erasable, per host, unused until a report names them.

use std::collections::BTreeSet;

use sqlx::{Any, Row as _, Transaction};

use super::BlobRow;
use super::engine::{Result, Store, StoreError, bytes};
use super::query::Query;
use crate::model::ids::{Address, HostId};

impl Store {
    /// Keeps a blob whose address was checked; durable when this returns.
    pub async fn put_blob(&self, host: &HostId, blob: &BlobRow, now: i64) -> Result<()> {
        let (host, blob) = (*host, blob.clone());
        self.write(move |transaction| {
            Box::pin(async move {
                // The address binds the plain bytes, so what is there already says the same; its age
                // starts anew, for the sender counts on it for the report that follows.
                let kept = "INSERT INTO blobs (host, address, received_at, frame) VALUES ($1, $2, $3, $4) ON CONFLICT (host, address) DO UPDATE
                     SET received_at = CASE WHEN excluded.received_at > blobs.received_at THEN excluded.received_at ELSE blobs.received_at END";
                let query = sqlx::query(kept).bind(host.bytes().to_vec()).bind(blob.address.bytes().to_vec()).bind(now).bind(blob.frame);
                query.execute(&mut **transaction).await?;
                Ok(())
            })
        })
        .await
    }

    /// The zstd frame of a blob; `None` when it was never sent or is erased.
    pub async fn blob(&self, host: &HostId, address: &Address) -> Result<Option<Vec<u8>>> {
        let frame = sqlx::query_scalar("SELECT frame FROM blobs WHERE host = $1 AND address = $2")
            .bind(host.bytes().to_vec())
            .bind(address.bytes().to_vec())
            .fetch_optional(&self.reader)
            .await?;
        Ok(frame)
    }

    /// The zstd frames of those blobs that are here.
    pub async fn frames(&self, host: &HostId, addresses: &[Address]) -> Result<Vec<(Address, Vec<u8>)>> {
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = Query::new("SELECT address, frame FROM blobs WHERE host = ");
        query.bind(host.bytes().to_vec()).push(" AND address IN ").bind_list(addresses.iter().map(|a| a.bytes().to_vec()));
        let rows = query.all(&self.reader).await?;
        rows.iter().map(|row| Ok((Address::new(bytes(row, "address")?), row.try_get("frame")?))).collect()
    }

    /// Bytes of those blobs together, as stored.
    pub async fn frame_bytes(&self, host: &HostId, addresses: &[Address]) -> Result<u64> {
        if addresses.is_empty() {
            return Ok(0);
        }
        let mut query = Query::new("SELECT coalesce(sum(length(frame)), 0) AS n FROM blobs WHERE host = ");
        query.bind(host.bytes().to_vec()).push(" AND address IN ").bind_list(addresses.iter().map(|a| a.bytes().to_vec()));
        query.first(&self.reader).await?.map_or(Ok(0), |row| super::engine::unsigned(&row, "n"))
    }

    /// Which of these blobs are not here.
    pub async fn missing_blobs(&self, host: &HostId, addresses: &[Address]) -> Result<Vec<Address>> {
        let here = present(&self.reader, host, addresses, "").await?;
        Ok(addresses.iter().filter(|a| !here.contains(*a)).copied().collect())
    }

    /// Bytes of the blobs of a host that no report names yet.
    pub async fn unused_blob_bytes(&self, host: &HostId) -> Result<u64> {
        let row = sqlx::query("SELECT coalesce(sum(length(frame)), 0) AS n FROM blobs WHERE host = $1 AND used = 0")
            .bind(host.bytes().to_vec())
            .fetch_one(&self.reader)
            .await?;
        super::engine::unsigned(&row, "n")
    }

    /// Erases a blob for good: its address stays in the reports, its content can't be guessed back.
    pub async fn erase_blob(&self, host: &HostId, address: &Address) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("DELETE FROM blobs WHERE host = $1 AND address = $2")
            .bind(host.bytes().to_vec())
            .bind(address.bytes().to_vec())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Erases blobs received before `before` that no report ever named; how many.
    pub async fn sweep_blobs(&self, before: i64) -> Result<u64> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("DELETE FROM blobs WHERE used = 0 AND received_at < $1").bind(before).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Marks the blobs of a report as used; fails when one is not there, so that no accepted report
/// ever names a blob that a sweep took away a moment before.
pub(super) async fn claim(transaction: &mut Transaction<'static, Any>, host: &HostId, addresses: &[Address]) -> Result<()> {
    // What is used already is not written again: a report that changed little writes little.
    let unused = present(&mut **transaction, host, addresses, " AND used = 0").await?;
    if !unused.is_empty() {
        let mut query = Query::new("UPDATE blobs SET used = 1 WHERE host = ");
        query.bind(host.bytes().to_vec()).push(" AND address IN ").bind_list(unused.iter().map(|a| a.bytes().to_vec()));
        query.run(&mut **transaction).await?;
    }
    let used = present(&mut **transaction, host, addresses, " AND used = 1").await?;
    match addresses.iter().filter(|a| !used.contains(*a)).count() {
        0 => Ok(()),
        missing => Err(StoreError::BlobsMissing(missing)),
    }
}

/// Those of the addresses that are stored and fulfil the condition.
async fn present<'e, E: sqlx::Executor<'e, Database = Any>>(on: E, host: &HostId, addresses: &[Address], condition: &str) -> Result<BTreeSet<Address>> {
    if addresses.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut query = Query::new("SELECT address FROM blobs WHERE host = ");
    query.bind(host.bytes().to_vec()).push(" AND address IN ").bind_list(addresses.iter().map(|a| a.bytes().to_vec())).push(condition);
    query.all(on).await?.iter().map(|row| Ok(Address::new(bytes(row, "address")?))).collect()
}
