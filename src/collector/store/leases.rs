//! Who numbers the ledger, and who judges again: one collector at a time, by a lease that runs out by itself.
//!
//! Time is the database's, so that the collectors' clocks don't matter. The lease is checked again, and its row
//! locked, inside the transaction that numbers: a collector that was asleep while another took over can't write.

use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use super::engine::{Engine, Result, Store, StoreError};
use crate::model::ids::RandomId;

/// Name of the lease on the ledger.
const LEDGER: &str = "ledger";
/// A lease that is not renewed for so long is over, seconds.
const LEASE_SECONDS: i64 = 10;

impl Store {
    /// Takes or renews the lease on the ledger; `false` while another holder has it.
    pub async fn lease_ledger(&self, holder: &RandomId) -> Result<bool> {
        self.lease(LEDGER, holder).await
    }

    /// Gives the lease on the ledger back.
    pub async fn release_ledger(&self, holder: &RandomId) -> Result<()> {
        self.release(LEDGER, holder).await
    }

    /// Takes or renews a lease; `false` while another holder has it.
    pub async fn lease(&self, name: &'static str, holder: &RandomId) -> Result<bool> {
        let mut transaction = self.begin().await?;
        // On SQLite the lock on the data folder lets one collector in: what an earlier one left is void.
        let over = match self.engine {
            Engine::Sqlite => String::new(),
            Engine::Postgres => format!(" WHERE leases.holder = excluded.holder OR leases.until < {}", now(self.engine)),
        };
        let done = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO leases (name, holder, until) VALUES ($1, $2, {} + $3)
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until{over}",
            now(self.engine)
        )))
        .bind(name)
        .bind(holder.bytes().to_vec())
        .bind(LEASE_SECONDS)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Gives a lease back, so that another collector need not wait until it runs out.
    pub async fn release(&self, name: &'static str, holder: &RandomId) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2").bind(name).bind(holder.bytes().to_vec()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Fails unless `holder` has the lease; nobody can take it until the transaction ends.
    pub(super) async fn hold_ledger(&self, transaction: &mut Transaction<'static, Any>, holder: &RandomId) -> Result<()> {
        let query = match self.engine {
            Engine::Sqlite => "SELECT holder FROM leases WHERE name = $1",
            Engine::Postgres => "SELECT holder FROM leases WHERE name = $1 FOR UPDATE",
        };
        let row = sqlx::query(query).bind(LEDGER).fetch_optional(&mut **transaction).await?;
        let held: Option<Vec<u8>> = row.map(|row| row.try_get("holder")).transpose()?;
        if held.as_deref() == Some(holder.bytes()) { Ok(()) } else { Err(StoreError::LeaseLost) }
    }
}

/// The database's clock, Unix seconds.
const fn now(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "unixepoch()",
        Engine::Postgres => "CAST(floor(extract(epoch FROM clock_timestamp())) AS BIGINT)",
    }
}
