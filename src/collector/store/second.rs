//! Of each user: password, second factor, sessions, and the bounds of auditors. Secrets are sealed or kept by their digest.

use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, StoreError, bytes};
use super::users::{About, Grant, UserChange, end_sessions, tell};
use crate::model::canonical;
use crate::model::ids::{Digest, RandomId};

/// The second factor of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactor {
    /// The secret, sealed.
    pub sealed: Vec<u8>,
    /// Since when it is asked for, Unix seconds; `None`: it was not confirmed yet.
    pub confirmed_at: Option<i64>,
    /// Recovery codes that were not used.
    pub codes_left: u64,
}

/// A session of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Digest of its cookie.
    pub digest: Digest,
    /// When it began, Unix seconds.
    pub began: i64,
    /// From where; words of a browser.
    pub label: String,
    /// When it ends unless it is used, Unix seconds.
    pub expires_at: i64,
}

impl Store {
    /// Gives a user another password; every session and link but `keep` ends. `false`: there is no such user.
    pub async fn set_password(&self, user: &RandomId, hash: &str, keep: Option<&Digest>, by: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let changed = sqlx::query("UPDATE users SET password = $1 WHERE id = $2 AND removed_at IS NULL RETURNING role").bind(hash.to_string());
        let Some(row) = changed.bind(user.bytes().to_vec()).fetch_optional(&mut *transaction).await? else { return Ok(false) };
        end_others(&mut transaction, user, keep).await?;
        let role: String = row.try_get("role")?;
        tell(&mut transaction, &UserChange { about: Some(About::Password), ..UserChange::new(*user, &role, by, at) }).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The second factor of a user, confirmed or not.
    pub async fn second_factor(&self, user: &RandomId) -> Result<Option<SecondFactor>> {
        let row = sqlx::query(
            "SELECT totp, totp_at, (SELECT count(*) FROM recovery_codes c WHERE c.person = u.id AND c.used_at IS NULL) AS codes
             FROM users u WHERE u.id = $1 AND u.totp IS NOT NULL",
        );
        let row = row.bind(user.bytes().to_vec()).fetch_optional(&self.reader).await?;
        row.map(|row| {
            let codes_left = super::engine::unsigned(&row, "codes")?;
            Ok(SecondFactor { sealed: row.try_get("totp")?, confirmed_at: row.try_get("totp_at")?, codes_left })
        })
        .transpose()
    }

    /// Keeps the secret of a second factor that is not asked for until it is confirmed. `false`: one is asked for already.
    pub async fn begin_second_factor(&self, user: &RandomId, sealed: &[u8]) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let kept = sqlx::query("UPDATE users SET totp = $1, totp_step = NULL WHERE id = $2 AND totp_at IS NULL AND removed_at IS NULL");
        let kept = kept.bind(sealed.to_vec()).bind(user.bytes().to_vec()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(kept.rows_affected() == 1)
    }

    /// The second factor is asked for from now on; its recovery codes are kept by their digests. Other sessions than `keep` end.
    pub async fn confirm_second_factor(&self, user: &RandomId, step: i64, codes: &[Digest], keep: Option<&Digest>, by: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query("UPDATE users SET totp_at = $1, totp_step = $2 WHERE id = $3 AND totp IS NOT NULL AND totp_at IS NULL RETURNING role");
        let row = row.bind(at).bind(step).bind(user.bytes().to_vec()).fetch_optional(&mut *transaction).await?;
        let Some(row) = row else { return Ok(false) };
        sqlx::query("DELETE FROM recovery_codes WHERE person = $1").bind(user.bytes().to_vec()).execute(&mut *transaction).await?;
        for code in codes {
            let kept = sqlx::query("INSERT INTO recovery_codes (person, digest) VALUES ($1, $2)").bind(user.bytes().to_vec()).bind(code.bytes().to_vec());
            kept.execute(&mut *transaction).await?;
        }
        end_others(&mut transaction, user, keep).await?;
        let role: String = row.try_get("role")?;
        tell(&mut transaction, &UserChange { about: Some(About::SecondFactor), ..UserChange::new(*user, &role, by, at) }).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes a step of the second factor; `false`: it, or a later one, was used before.
    pub async fn take_step(&self, user: &RandomId, step: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let taken = sqlx::query("UPDATE users SET totp_step = $1 WHERE id = $2 AND (totp_step IS NULL OR totp_step < $1)");
        let taken = taken.bind(step).bind(user.bytes().to_vec()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Uses a recovery code up; `false`: there is none, or it was used.
    pub async fn take_recovery_code(&self, user: &RandomId, code: &Digest, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let taken = sqlx::query("UPDATE recovery_codes SET used_at = $1 WHERE person = $2 AND digest = $3 AND used_at IS NULL");
        let taken = taken.bind(at).bind(user.bytes().to_vec()).bind(code.bytes().to_vec()).execute(&mut *transaction).await?;
        if taken.rows_affected() == 1 {
            super::acts::put(&mut transaction, "recovery-code", &user.to_string(), "", at).await?;
        }
        transaction.commit().await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Takes the second factor of a user away. `false`: there is none.
    pub async fn remove_second_factor(&self, user: &RandomId, by: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query("SELECT role FROM users WHERE id = $1 AND totp IS NOT NULL").bind(user.bytes().to_vec());
        let Some(row) = row.fetch_optional(&mut *transaction).await? else { return Ok(false) };
        forget_second_factor(&mut transaction, user).await?;
        let role: String = row.try_get("role")?;
        tell(&mut transaction, &UserChange { about: Some(About::SecondFactorRemoved), ..UserChange::new(*user, &role, by, at) }).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Living sessions of a user, newest first.
    pub async fn sessions(&self, user: &RandomId, now: i64) -> Result<Vec<Opened>> {
        let rows = sqlx::query(
            "SELECT digest, began, label, expires_at FROM secrets WHERE subject = $1 AND purpose = 'session' AND expires_at > $2 ORDER BY began DESC LIMIT 100",
        );
        let rows = rows.bind(user.to_string()).bind(now).fetch_all(&self.reader).await?;
        let opened = |row: &sqlx::any::AnyRow| {
            let label: Option<String> = row.try_get("label")?;
            let began: Option<i64> = row.try_get("began")?;
            let digest = Digest::new(bytes(row, "digest")?);
            Ok(Opened { digest, began: began.unwrap_or_default(), label: label.unwrap_or_default(), expires_at: row.try_get("expires_at")? })
        };
        rows.iter().map(opened).collect()
    }

    /// Ends a session of a user, or all but `keep`.
    pub async fn end_sessions_of(&self, user: &RandomId, one: Option<&Digest>, keep: Option<&Digest>, at: i64) -> Result<()> {
        let mut transaction = self.begin().await?;
        match one {
            Some(one) => {
                let ended = sqlx::query("DELETE FROM secrets WHERE purpose = 'session' AND subject = $1 AND digest = $2");
                ended.bind(user.to_string()).bind(one.bytes().to_vec()).execute(&mut *transaction).await?;
            }
            None => end_others(&mut transaction, user, keep).await?,
        }
        super::acts::put(&mut transaction, "session-ended", &user.to_string(), if one.is_some() { "one" } else { "all others" }, at).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Within what a user may look; `None`: without bounds.
    pub async fn grant(&self, user: &RandomId) -> Result<Option<Grant>> {
        let row = sqlx::query("SELECT body FROM grants WHERE person = $1").bind(user.bytes().to_vec()).fetch_optional(&self.reader).await?;
        let Some(row) = row else { return Ok(None) };
        let body: &str = row.try_get("body")?;
        // A grant that can't be read must not become one without bounds.
        serde_json::from_str(body).map(Some).map_err(|e| StoreError::Damaged(format!("grant of {user}: {e}")))
    }

    /// Sets or takes away the bounds of a user. `false`: there is no such user.
    pub async fn put_grant(&self, user: &RandomId, grant: Option<Grant>, by: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query("SELECT role FROM users WHERE id = $1 AND removed_at IS NULL").bind(user.bytes().to_vec());
        let Some(row) = row.fetch_optional(&mut *transaction).await? else { return Ok(false) };
        sqlx::query("DELETE FROM grants WHERE person = $1").bind(user.bytes().to_vec()).execute(&mut *transaction).await?;
        if let Some(grant) = &grant {
            let body = canonical::to_bytes(grant).map_err(|e| StoreError::Database(e.to_string()))?;
            let kept = sqlx::query("INSERT INTO grants (person, body) VALUES ($1, $2)").bind(user.bytes().to_vec());
            kept.bind(String::from_utf8_lossy(&body).into_owned()).execute(&mut *transaction).await?;
        }
        let about = Some(if grant.is_some() { About::Grant } else { About::GrantRemoved });
        let role: String = row.try_get("role")?;
        tell(&mut transaction, &UserChange { about, grant, ..UserChange::new(*user, &role, by, at) }).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// Secret and recovery codes go.
pub(super) async fn forget_second_factor(transaction: &mut Transaction<'static, Any>, user: &RandomId) -> Result<()> {
    let gone = sqlx::query("UPDATE users SET totp = NULL, totp_at = NULL, totp_step = NULL WHERE id = $1").bind(user.bytes().to_vec());
    gone.execute(&mut **transaction).await?;
    sqlx::query("DELETE FROM recovery_codes WHERE person = $1").bind(user.bytes().to_vec()).execute(&mut **transaction).await?;
    Ok(())
}

/// Sessions and links of a user end, but one.
async fn end_others(transaction: &mut Transaction<'static, Any>, user: &RandomId, keep: Option<&Digest>) -> Result<()> {
    let Some(keep) = keep else { return end_sessions(transaction, user).await };
    let ended = sqlx::query("DELETE FROM secrets WHERE subject = $1 AND purpose <> 'enrol' AND digest <> $2");
    ended.bind(user.to_string()).bind(keep.bytes().to_vec()).execute(&mut **transaction).await?;
    Ok(())
}
