//! API tokens, by the digest of their text.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::engine::{Result, Store, bytes, flag, storable};
use super::users::{About, UserChange, tell};
use crate::host::clock;
use crate::ledger::{Kind, Leaf};
use crate::model::ids::{Digest, RandomId};

/// One API token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its name in addresses.
    pub id: RandomId,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// For whom it acts.
    pub user: RandomId,
    /// What people call it.
    pub name: String,
    /// Within which role.
    pub role: String,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// Areas of the API that it opens, such as `records`; empty: all.
    pub areas: Vec<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// Last use to about five minutes, Unix seconds.
    pub used_at: Option<i64>,
    /// Since when it opens nothing, Unix seconds.
    pub revoked_at: Option<i64>,
}

impl Store {
    /// Keeps a token and queues its ledger entry: all or nothing.
    pub async fn put_token(&self, token: &TokenRow) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO tokens (id, digest, person, name, role, read_only, areas, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(token.id.bytes().to_vec())
        .bind(token.digest.bytes().to_vec())
        .bind(token.user.bytes().to_vec())
        .bind(storable(&token.name))
        .bind(token.role.clone())
        .bind(i64::from(token.read_only))
        .bind(storable(&token.areas.join(" ")))
        .bind(token.created_at)
        .bind(token.expires_at)
        .execute(&mut *transaction)
        .await?;
        // Digest of the digest: the ledger is shown to auditors and must not help to guess.
        let leaf = Leaf::new(Kind::Token, super::random_id()?, Digest::of(token.digest.bytes()), None, clock::unix_now());
        super::ledger::queue(&mut transaction, &leaf).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Keeps a token that enrols hosts, by the digest of its secret, and queues its ledger entry: all or nothing.
    pub async fn put_enrolment_token(&self, digest: &Digest, uses: u32, expires_at: i64) -> Result<()> {
        let mut transaction = self.begin().await?;
        super::users::put_secret(&mut transaction, "enrol", digest, "", expires_at, uses).await?;
        let leaf = Leaf::new(Kind::Token, super::random_id()?, Digest::of(digest.bytes()), None, clock::unix_now());
        super::ledger::queue(&mut transaction, &leaf).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// A token by the digest of its text, if it lives.
    pub async fn living_token(&self, digest: &Digest, now: i64) -> Result<Option<TokenRow>> {
        let row = sqlx::query("SELECT * FROM tokens WHERE digest = $1 AND revoked_at IS NULL AND expires_at > $2").bind(digest.bytes().to_vec()).bind(now);
        row.fetch_optional(&self.reader).await?.map(|row| token_row(&row)).transpose()
    }

    /// Tokens, of one user or of all, newest first; at most 1000.
    pub async fn tokens(&self, user: Option<&RandomId>) -> Result<Vec<TokenRow>> {
        let rows = sqlx::query("SELECT * FROM tokens WHERE $1 = 1 OR person = $2 ORDER BY created_at DESC, id LIMIT 1000")
            .bind(i64::from(user.is_none()))
            .bind(user.map_or_else(Vec::new, |u| u.bytes().to_vec()))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(token_row).collect()
    }

    /// Notes that a token was used.
    pub async fn touch_token(&self, id: &RandomId, at: i64) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE tokens SET used_at = $1 WHERE id = $2").bind(at).bind(id.bytes().to_vec()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Revokes a token; the ledger is told in the same transaction. `false`: there is none that lives.
    pub async fn revoke_token(&self, id: &RandomId, by: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query("UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL RETURNING person, role").bind(at);
        let Some(row) = row.bind(id.bytes().to_vec()).fetch_optional(&mut *transaction).await? else { return Ok(false) };
        let user = RandomId::new(bytes(&row, "person")?);
        let role: String = row.try_get("role")?;
        tell(&mut transaction, &UserChange { about: Some(About::TokenRevoked), token: Some(*id), ..UserChange::new(user, &role, by, at) }).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn token_row(row: &AnyRow) -> Result<TokenRow> {
    let areas: String = row.try_get("areas")?;
    Ok(TokenRow {
        id: RandomId::new(bytes(row, "id")?),
        digest: Digest::new(bytes(row, "digest")?),
        user: RandomId::new(bytes(row, "person")?),
        name: row.try_get("name")?,
        role: row.try_get("role")?,
        read_only: flag(row, "read_only")?,
        areas: areas.split_whitespace().map(str::to_string).collect(),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        used_at: row.try_get("used_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}
