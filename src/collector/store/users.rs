//! People, and secrets kept by their digest.

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::UserRow;
use super::engine::{Result, Store, bytes, unsigned};
use crate::model::ids::{Digest, RandomId};

impl Store {
    /// A user by the name to sign in with.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>> {
        let row = sqlx::query("SELECT * FROM users WHERE name = $1").bind(name.to_string()).fetch_optional(&self.reader).await?;
        row.map(|row| user_row(&row)).transpose()
    }

    /// A user by id.
    pub async fn user(&self, id: &RandomId) -> Result<Option<UserRow>> {
        let row = sqlx::query("SELECT * FROM users WHERE id = $1").bind(id.bytes().to_vec()).fetch_optional(&self.reader).await?;
        row.map(|row| user_row(&row)).transpose()
    }

    /// Adds a user or replaces the one of this name (whose sessions then end).
    pub async fn put_user(&self, user: &UserRow) -> Result<()> {
        let mut transaction = self.begin().await?;
        let old = sqlx::query("SELECT id FROM users WHERE name = $1").bind(&user.name).fetch_optional(&mut *transaction).await?;
        if let Some(row) = old {
            let id = RandomId::new(bytes(&row, "id")?).to_string();
            sqlx::query("DELETE FROM secrets WHERE subject = $1 AND purpose <> 'enrol'").bind(id).execute(&mut *transaction).await?;
        }
        sqlx::query("DELETE FROM users WHERE name = $1").bind(&user.name).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO users (id, name, role, password, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(user.id.bytes().to_vec())
            .bind(&user.name)
            .bind(&user.role)
            .bind(&user.password)
            .bind(user.created_at)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How many users there are.
    pub async fn user_count(&self) -> Result<u64> {
        let row = sqlx::query("SELECT count(*) AS n FROM users").fetch_one(&self.reader).await?;
        unsigned(&row, "n")
    }

    /// Remembers a secret by its digest: `purpose` is `session`, `signin` (single use) or `enrol`.
    /// `subject` is a user id or empty; `uses` is how often it may be taken, 0: without limit.
    pub async fn put_secret(&self, purpose: &str, digest: &Digest, subject: &str, expires_at: i64, uses: u32) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO secrets (purpose, digest, subject, expires_at, uses_left) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (purpose, digest) DO UPDATE SET subject = excluded.subject, expires_at = excluded.expires_at, uses_left = excluded.uses_left",
        )
        .bind(purpose.to_string())
        .bind(digest.bytes().to_vec())
        .bind(subject.to_string())
        .bind(expires_at)
        .bind((uses > 0).then_some(i64::from(uses)))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The subject of a living secret, not counted as a use.
    pub async fn peek_secret(&self, purpose: &str, digest: &Digest, now: i64) -> Result<Option<String>> {
        let subject =
            sqlx::query_scalar("SELECT subject FROM secrets WHERE purpose = $1 AND digest = $2 AND expires_at > $3 AND (uses_left IS NULL OR uses_left > 0)")
                .bind(purpose.to_string())
                .bind(digest.bytes().to_vec())
                .bind(now)
                .fetch_optional(&self.reader)
                .await?;
        Ok(subject)
    }

    /// Takes one use of a secret, atomically; `None` when unknown, expired or used up.
    pub async fn take_secret(&self, purpose: &str, digest: &Digest, now: i64) -> Result<Option<String>> {
        let mut transaction = self.begin().await?;
        let subject = take(&mut transaction, purpose, digest, now).await?;
        transaction.commit().await?;
        Ok(subject)
    }

    /// Forgets a secret.
    pub async fn drop_secret(&self, purpose: &str, digest: &Digest) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("DELETE FROM secrets WHERE purpose = $1 AND digest = $2")
            .bind(purpose.to_string())
            .bind(digest.bytes().to_vec())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets every secret that expired before `now`.
    pub async fn sweep_secrets(&self, now: i64) -> Result<u64> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("DELETE FROM secrets WHERE expires_at <= $1").bind(now).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Takes one use of a secret inside a transaction.
pub(super) async fn take(transaction: &mut Transaction<'static, Any>, purpose: &str, digest: &Digest, now: i64) -> Result<Option<String>> {
    let subject = sqlx::query_scalar(
        "UPDATE secrets SET uses_left = uses_left - 1
         WHERE purpose = $1 AND digest = $2 AND expires_at > $3 AND (uses_left IS NULL OR uses_left > 0) RETURNING subject",
    )
    .bind(purpose.to_string())
    .bind(digest.bytes().to_vec())
    .bind(now)
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(subject)
}

fn user_row(row: &AnyRow) -> Result<UserRow> {
    Ok(UserRow {
        id: RandomId::new(bytes(row, "id")?),
        name: row.try_get("name")?,
        role: row.try_get("role")?,
        password: row.try_get("password")?,
        created_at: row.try_get("created_at")?,
    })
}
