//! People, and secrets kept by their digest.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, bytes, unsigned};
use super::{Statement, UserRow};
use crate::ledger::Kind;
use crate::model::ids::{Digest, RandomId};

/// What was done to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserAction {
    /// May sign in from now on.
    Add,
    /// Has another role or password.
    Change,
    /// May sign in no longer.
    Remove,
}

/// What the ledger says of a change: ids, no names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// What was done.
    pub action: UserAction,
    /// When, Unix seconds.
    pub at: i64,
    /// Who did it: a user's random id, or the operating-system user of the command.
    pub by: String,
    /// The role after it.
    pub role: String,
    /// Stands for the person.
    pub user: RandomId,
}

/// What the ledger says of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// When, Unix seconds.
    pub at: i64,
    /// The role at that time.
    pub role: String,
    /// Stands for the person.
    pub user: RandomId,
}

impl Store {
    /// A user who may sign in, by name.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>> {
        let query = sqlx::query("SELECT * FROM users WHERE name = $1 AND removed_at IS NULL").bind(name.to_string());
        query.fetch_optional(&self.reader).await?.map(|row| user_row(&row)).transpose()
    }

    /// A user who may sign in, by id.
    pub async fn user(&self, id: &RandomId) -> Result<Option<UserRow>> {
        let query = sqlx::query("SELECT * FROM users WHERE id = $1 AND removed_at IS NULL").bind(id.bytes().to_vec());
        query.fetch_optional(&self.reader).await?.map(|row| user_row(&row)).transpose()
    }

    /// Everybody who may or might once sign in, by name, and since when (Unix seconds) they may no longer.
    pub async fn users(&self) -> Result<Vec<(UserRow, Option<i64>)>> {
        let rows = sqlx::query("SELECT * FROM users ORDER BY name").fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((user_row(row)?, row.try_get("removed_at")?))).collect()
    }

    /// Adds a user, or gives the one of this name role and password anew, who keeps the id; sessions and links of before end. The ledger is told in
    /// the same transaction. The id that stands for the person.
    pub async fn put_user(&self, user: &UserRow, by: &str, at: i64) -> Result<RandomId> {
        let mut transaction = self.begin().await?;
        let old = sqlx::query("SELECT id, removed_at FROM users WHERE name = $1").bind(&user.name).fetch_optional(&mut *transaction).await?;
        let (id, action) = match old {
            Some(row) => {
                let id = RandomId::new(bytes(&row, "id")?);
                end_sessions(&mut transaction, &id).await?;
                sqlx::query("UPDATE users SET role = $1, password = $2, removed_at = NULL WHERE id = $3")
                    .bind(&user.role)
                    .bind(&user.password)
                    .bind(id.bytes().to_vec())
                    .execute(&mut *transaction)
                    .await?;
                (id, if row.try_get::<Option<i64>, _>("removed_at")?.is_some() { UserAction::Add } else { UserAction::Change })
            }
            None => {
                sqlx::query("INSERT INTO users (id, name, role, password, created_at) VALUES ($1, $2, $3, $4, $5)")
                    .bind(user.id.bytes().to_vec())
                    .bind(&user.name)
                    .bind(&user.role)
                    .bind(&user.password)
                    .bind(user.created_at)
                    .execute(&mut *transaction)
                    .await?;
                (user.id, UserAction::Add)
            }
        };
        tell(&mut transaction, &UserChange { action, at, by: by.into(), role: user.role.clone(), user: id }).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Gives the user of this name another role, from the next request on; `false`: there is none.
    pub async fn change_user(&self, name: &str, role: &str, by: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let changed = sqlx::query("UPDATE users SET role = $1 WHERE name = $2 AND removed_at IS NULL RETURNING id").bind(role).bind(name);
        let Some(row) = changed.fetch_optional(&mut *transaction).await? else { return Ok(false) };
        let user = RandomId::new(bytes(&row, "id")?);
        tell(&mut transaction, &UserChange { action: UserAction::Change, at, by: by.into(), role: role.into(), user }).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Lets the user of this name sign in no longer and ends the sessions; the name stays beside its id, for the ledger knows the id alone.
    /// `false`: there is none.
    pub async fn remove_user(&self, name: &str, by: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let removed =
            sqlx::query("UPDATE users SET removed_at = $1, password = '' WHERE name = $2 AND removed_at IS NULL RETURNING id, role").bind(at).bind(name);
        let Some(row) = removed.fetch_optional(&mut *transaction).await? else { return Ok(false) };
        let user = RandomId::new(bytes(&row, "id")?);
        end_sessions(&mut transaction, &user).await?;
        sqlx::query("DELETE FROM saved_views WHERE person = $1 AND shared = 0").bind(user.bytes().to_vec()).execute(&mut *transaction).await?;
        tell(&mut transaction, &UserChange { action: UserAction::Remove, at, by: by.into(), role: row.try_get("role")?, user }).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// How many users may sign in.
    pub async fn user_count(&self) -> Result<u64> {
        let row = sqlx::query("SELECT count(*) AS n FROM users WHERE removed_at IS NULL").fetch_one(&self.reader).await?;
        unsigned(&row, "n")
    }

    /// Begins a session, known by the digest of its cookie, until `expires_at`; an auditor's sign-in goes to the ledger in the same transaction,
    /// so it costs no flush of its own and can't be lost.
    pub async fn begin_session(&self, digest: &Digest, user: &UserRow, at: i64, expires_at: i64, is_logged: bool) -> Result<()> {
        let mut transaction = self.begin().await?;
        put_secret(&mut transaction, "session", digest, &user.id.to_string(), expires_at, 0).await?;
        if is_logged {
            let statement = Statement::of(Kind::SignIn, at, &SignIn { at, role: user.role.clone(), user: user.id })?;
            super::statements::put(&mut transaction, &statement, None).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Remembers a secret by its digest: `purpose` is `session`, `signin` (single use) or `enrol`.
    /// `subject` is a user id or empty; `uses` is how often it may be taken, 0: without limit.
    pub async fn put_secret(&self, purpose: &str, digest: &Digest, subject: &str, expires_at: i64, uses: u32) -> Result<()> {
        let mut transaction = self.begin().await?;
        put_secret(&mut transaction, purpose, digest, subject, expires_at, uses).await?;
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

/// What the ledger is told of a user.
async fn tell(transaction: &mut Transaction<'static, Any>, change: &UserChange) -> Result<()> {
    super::statements::put(transaction, &Statement::of(Kind::User, change.at, change)?, None).await
}

/// Sessions and sign-in links of a user end.
async fn end_sessions(transaction: &mut Transaction<'static, Any>, user: &RandomId) -> Result<()> {
    let ended = sqlx::query("DELETE FROM secrets WHERE subject = $1 AND purpose <> 'enrol'").bind(user.to_string());
    ended.execute(&mut **transaction).await?;
    Ok(())
}

/// Remembers a secret inside a transaction.
async fn put_secret(transaction: &mut Transaction<'static, Any>, purpose: &str, digest: &Digest, subject: &str, expires_at: i64, uses: u32) -> Result<()> {
    sqlx::query(
        "INSERT INTO secrets (purpose, digest, subject, expires_at, uses_left) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (purpose, digest) DO UPDATE SET subject = excluded.subject, expires_at = excluded.expires_at, uses_left = excluded.uses_left",
    )
    .bind(purpose.to_string())
    .bind(digest.bytes().to_vec())
    .bind(subject.to_string())
    .bind(expires_at)
    .bind((uses > 0).then_some(i64::from(uses)))
    .execute(&mut **transaction)
    .await?;
    Ok(())
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
