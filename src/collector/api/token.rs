//! API tokens: a program acts for a person, within a role that is no more than the person's.
//!
//! ```text
//! token = "assay-api." role "." base64url(32 random bytes)        stored: SHA-256(token) -> user, expiry
//! ```
//! The digest is over the whole text, so the role in it can't be changed by its holder.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::collector::auth::{AuthError, Role};
use crate::collector::store::{Store, UserRow};
use crate::model::ids::{Digest, RandomId};

/// What the store calls the purpose of such a secret.
const PURPOSE: &str = "api";
/// How a token begins.
const PREFIX: &str = "assay-api.";
/// Longest token that is looked at, bytes.
const MAX_BYTES: usize = 128;
/// Longest life of a token, days.
pub const MAX_DAYS: u32 = 366;

/// Makes a token for a user; only its digest is kept.
pub async fn issue(store: &Store, user: &UserRow, role: Role, days: u32, now: i64) -> Result<String, AuthError> {
    let random: [u8; 32] = crate::pki::random().map_err(|e| AuthError::Hash(e.to_string()))?;
    let token = format!("{PREFIX}{}.{}", role.word(), URL_SAFE_NO_PAD.encode(random));
    let expires = now.saturating_add(i64::from(days.min(MAX_DAYS)) * 86_400);
    store.put_secret(PURPOSE, &Digest::of(token.as_bytes()), &user.id.to_string(), expires, 0).await?;
    Ok(token)
}

/// The digest by which a token is known.
pub fn digest(token: &str) -> Digest {
    Digest::of(token.as_bytes())
}

/// Whom a living token speaks for, and within which role: the lesser of the token's and the user's.
pub async fn holder(store: &Store, token: &str, now: i64) -> Result<Option<(UserRow, Role)>, AuthError> {
    if token.len() > MAX_BYTES {
        return Ok(None);
    }
    let Some((word, _)) = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.')) else { return Ok(None) };
    let Some(subject) = store.peek_secret(PURPOSE, &digest(token), now).await? else { return Ok(None) };
    let Ok(id) = subject.parse::<RandomId>() else { return Ok(None) };
    let Some(user) = store.user(&id).await? else { return Ok(None) };
    let role = Role::of(word).at_most(Role::of(&user.role));
    Ok(Some((user, role)))
}
