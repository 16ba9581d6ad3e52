//! The log of acts: what people did that no ledger entry tells, by the random id of the person.

use sqlx::{Any, Transaction};

use super::engine::{Result, Store, storable};

/// Longest detail that is kept, characters.
const MAX_DETAIL: usize = 500;

/// One act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When, Unix seconds.
    pub at: i64,
    /// `sign-in`, `locked`, `opened`, `exported`, `session`, …
    pub kind: &'static str,
    /// Random id of a user, or the operating-system user of a command; empty: a stranger.
    pub person: String,
    /// On what: a path, a name of ours. No words of hosts.
    pub detail: String,
}

impl Store {
    /// Writes an act down; durable when this returns.
    pub async fn put_act(&self, act: Act) -> Result<()> {
        self.write(move |transaction| Box::pin(async move { put(transaction, act.kind, &act.person, &act.detail, act.at).await })).await
    }
}

/// Writes an act down inside a transaction.
pub(super) async fn put(transaction: &mut Transaction<'static, Any>, kind: &str, person: &str, detail: &str, at: i64) -> Result<()> {
    let detail: String = detail.chars().take(MAX_DETAIL).collect();
    sqlx::query("INSERT INTO acts (at, kind, person, detail) VALUES ($1, $2, $3, $4)")
        .bind(at)
        .bind(kind.to_string())
        .bind(person.to_string())
        .bind(storable(&detail))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
