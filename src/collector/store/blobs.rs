//! Blobs: erasable, per host, unused until a report names them.

use sqlx::{Row as _, Sqlite, Transaction};

use super::BlobRow;
use super::sqlite::{Result, Store, StoreError};
use crate::model::ids::{Address, HostId};

impl Store {
    /// Keeps a blob whose address was checked; durable when this returns.
    pub async fn put_blob(&self, host: &HostId, blob: &BlobRow, now: i64) -> Result<()> {
        let mut transaction = self.begin().await?;
        // The address binds the plain bytes, so what is there already says the same; its age
        // starts anew, for the sender counts on it for the report that follows.
        sqlx::query(
            "INSERT INTO blobs (host, address, received_at, frame) VALUES (?, ?, ?, ?)
             ON CONFLICT (host, address) DO UPDATE SET received_at = max(received_at, excluded.received_at)",
        )
        .bind(host.bytes().to_vec())
        .bind(blob.address.bytes().to_vec())
        .bind(now)
        .bind(blob.frame.clone())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The zstd frame of a blob; `None` when it was never sent or is erased.
    pub async fn blob(&self, host: &HostId, address: &Address) -> Result<Option<Vec<u8>>> {
        let frame = sqlx::query_scalar("SELECT frame FROM blobs WHERE host = ? AND address = ?")
            .bind(host.bytes().to_vec())
            .bind(address.bytes().to_vec())
            .fetch_optional(&self.reader)
            .await?;
        Ok(frame)
    }

    /// Which of these blobs are not here.
    pub async fn missing_blobs(&self, host: &HostId, addresses: &[Address]) -> Result<Vec<Address>> {
        let mut missing = Vec::new();
        for address in addresses {
            let found = sqlx::query("SELECT 1 FROM blobs WHERE host = ? AND address = ?")
                .bind(host.bytes().to_vec())
                .bind(address.bytes().to_vec())
                .fetch_optional(&self.reader)
                .await?;
            if found.is_none() {
                missing.push(*address);
            }
        }
        Ok(missing)
    }

    /// Bytes of the blobs of a host that no report names yet.
    pub async fn unused_blob_bytes(&self, host: &HostId) -> Result<u64> {
        let row = sqlx::query("SELECT coalesce(sum(length(frame)), 0) AS n FROM blobs WHERE host = ? AND used = 0")
            .bind(host.bytes().to_vec())
            .fetch_one(&self.reader)
            .await?;
        super::sqlite::unsigned(&row, "n")
    }

    /// Erases a blob for good: its address stays in the reports, its content can't be guessed back.
    pub async fn erase_blob(&self, host: &HostId, address: &Address) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("DELETE FROM blobs WHERE host = ? AND address = ?")
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
        let done = sqlx::query("DELETE FROM blobs WHERE used = 0 AND received_at < ?").bind(before).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Marks the blobs of a report as used; fails when one is not there, so that no accepted report
/// ever names a blob that a sweep took away a moment before.
pub(super) async fn claim(transaction: &mut Transaction<'static, Sqlite>, host: &HostId, addresses: &[Address]) -> Result<()> {
    let mut missing = 0;
    for address in addresses {
        let row = sqlx::query("SELECT used FROM blobs WHERE host = ? AND address = ?")
            .bind(host.bytes().to_vec())
            .bind(address.bytes().to_vec())
            .fetch_optional(&mut **transaction)
            .await?;
        let Some(row) = row else {
            missing += 1;
            continue;
        };
        if row.try_get::<i64, _>("used")? == 0 {
            sqlx::query("UPDATE blobs SET used = 1 WHERE host = ? AND address = ?")
                .bind(host.bytes().to_vec())
                .bind(address.bytes().to_vec())
                .execute(&mut **transaction)
                .await?;
        }
    }
    if missing > 0 { Err(StoreError::BlobsMissing(missing)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::store::testing::{DAY, NOW, enrolled, store};

    #[tokio::test]
    async fn a_blob_belongs_to_one_host_and_an_orphan_is_swept() {
        let (_folder, store) = store().await;
        let (host, other) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
        let blob = |n: u8| BlobRow { address: Address::new([n; 32]), frame: vec![n] };
        store.put_blob(&host, &blob(1), NOW).await.unwrap();
        store.put_blob(&host, &blob(2), NOW + DAY).await.unwrap();
        store.put_blob(&host, &blob(2), NOW).await.unwrap();
        assert_eq!(store.blob(&other, &blob(1).address).await.unwrap(), None);
        assert_eq!(store.missing_blobs(&host, &[blob(1).address, blob(3).address]).await.unwrap(), [blob(3).address]);
        assert_eq!(store.unused_blob_bytes(&host).await.unwrap(), 2);
        assert_eq!(store.sweep_blobs(NOW + 1).await.unwrap(), 1);
        assert_eq!(store.blob(&host, &blob(1).address).await.unwrap(), None);
        assert_eq!(store.blob(&host, &blob(2).address).await.unwrap(), Some(vec![2]));
        assert!(store.put_blob(&HostId::new([9; 32]), &blob(1), NOW).await.is_err());
    }
}
