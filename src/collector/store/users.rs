//! People, and secrets kept by their digest.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::UserRow;
use super::sqlite::{Result, Store, bytes, unsigned};
use crate::model::ids::{Digest, RandomId};

impl Store {
    /// A user by the name to sign in with.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>> {
        let row = sqlx::query("SELECT * FROM users WHERE name = ?").bind(name.to_string()).fetch_optional(&self.reader).await?;
        row.map(|row| user_row(&row)).transpose()
    }

    /// A user by id.
    pub async fn user(&self, id: &RandomId) -> Result<Option<UserRow>> {
        let row = sqlx::query("SELECT * FROM users WHERE id = ?").bind(id.bytes().to_vec()).fetch_optional(&self.reader).await?;
        row.map(|row| user_row(&row)).transpose()
    }

    /// Adds a user or replaces the one of this name (whose sessions then end).
    pub async fn put_user(&self, user: &UserRow) -> Result<()> {
        let mut transaction = self.begin().await?;
        let old = sqlx::query("SELECT id FROM users WHERE name = ?").bind(&user.name).fetch_optional(&mut *transaction).await?;
        if let Some(row) = old {
            let id = RandomId::new(bytes(&row, "id")?).to_string();
            sqlx::query("DELETE FROM secrets WHERE subject = ? AND purpose <> 'enrol'").bind(id).execute(&mut *transaction).await?;
        }
        sqlx::query("DELETE FROM users WHERE name = ?").bind(&user.name).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO users (id, name, role, password, created_at) VALUES (?, ?, ?, ?, ?)")
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
        sqlx::query("INSERT OR REPLACE INTO secrets (purpose, digest, subject, expires_at, uses_left) VALUES (?, ?, ?, ?, ?)")
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
            sqlx::query_scalar("SELECT subject FROM secrets WHERE purpose = ? AND digest = ? AND expires_at > ? AND (uses_left IS NULL OR uses_left > 0)")
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
        sqlx::query("DELETE FROM secrets WHERE purpose = ? AND digest = ?")
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
        let done = sqlx::query("DELETE FROM secrets WHERE expires_at <= ?").bind(now).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Takes one use of a secret inside a transaction.
pub(super) async fn take(transaction: &mut Transaction<'static, Sqlite>, purpose: &str, digest: &Digest, now: i64) -> Result<Option<String>> {
    let subject = sqlx::query_scalar(
        "UPDATE secrets SET uses_left = uses_left - 1
         WHERE purpose = ? AND digest = ? AND expires_at > ? AND (uses_left IS NULL OR uses_left > 0) RETURNING subject",
    )
    .bind(purpose.to_string())
    .bind(digest.bytes().to_vec())
    .bind(now)
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(subject)
}

fn user_row(row: &SqliteRow) -> Result<UserRow> {
    Ok(UserRow {
        id: RandomId::new(bytes(row, "id")?),
        name: row.try_get("name")?,
        role: row.try_get("role")?,
        password: row.try_get("password")?,
        created_at: row.try_get("created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::store::testing::{NOW, store};

    #[tokio::test]
    async fn a_secret_lives_until_its_uses_or_its_time_are_up() {
        let (_folder, store) = store().await;
        let digest = Digest::of(b"s");
        store.put_secret("signin", &digest, "u", NOW + 10, 2).await.unwrap();
        assert_eq!(store.peek_secret("signin", &digest, NOW).await.unwrap().as_deref(), Some("u"));
        assert_eq!(store.take_secret("session", &digest, NOW).await.unwrap(), None);
        assert_eq!(store.take_secret("signin", &digest, NOW + 10).await.unwrap(), None);
        for left in [true, true, false] {
            assert_eq!(store.take_secret("signin", &digest, NOW).await.unwrap().is_some(), left);
        }
        assert_eq!(store.peek_secret("signin", &digest, NOW).await.unwrap(), None);
        store.put_secret("session", &digest, "u", NOW + 10, 0).await.unwrap();
        for _ in 0..5 {
            assert!(store.take_secret("session", &digest, NOW).await.unwrap().is_some());
        }
        assert_eq!(store.sweep_secrets(NOW + 10).await.unwrap(), 2);
        assert_eq!(store.peek_secret("session", &digest, NOW).await.unwrap(), None);
    }

    #[tokio::test]
    async fn replacing_a_user_ends_the_sessions_of_the_old_one() {
        let (_folder, store) = store().await;
        let user = |n: u8| UserRow { id: RandomId::new([n; 16]), name: "ada".into(), role: "admin".into(), password: String::new(), created_at: NOW };
        store.put_user(&user(1)).await.unwrap();
        store.put_secret("session", &Digest::of(b"s"), &user(1).id.to_string(), NOW + 10, 0).await.unwrap();
        store.put_user(&user(2)).await.unwrap();
        assert_eq!(store.user_count().await.unwrap(), 1);
        assert_eq!(store.user_by_name("ada").await.unwrap(), Some(user(2)));
        assert_eq!(store.user(&user(1).id).await.unwrap(), None);
        assert_eq!(store.peek_secret("session", &Digest::of(b"s"), NOW).await.unwrap(), None);
    }
}
