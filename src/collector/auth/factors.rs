//! Setting a second factor up, asking for it, and the link of a first start.

use super::{AuthError, random_text};
use crate::collector::seal;
use crate::collector::second;
use crate::collector::store::Store;
use crate::model::ids::{Digest, RandomId};

/// The link of a first start lives this long, seconds; a new start makes a new one.
const SETUP_SECONDS: i64 = 24 * 3_600;
/// What secrets of second factors are sealed for.
const TOTP: &str = "totp";

/// Begins to set a second factor up: a new secret, asked for once it is confirmed. `false`: one is asked for already.
pub async fn begin_second_factor(store: &Store, user: &RandomId) -> Result<bool, AuthError> {
    let secret: [u8; second::SECRET_BYTES] = crate::pki::random().map_err(|e| AuthError::Hash(e.to_string()))?;
    Ok(store.begin_second_factor(user, &seal::seal(store.folder(), TOTP, &secret)?).await?)
}

/// The secret of a second factor that waits to be confirmed.
pub async fn pending_secret(store: &Store, user: &RandomId) -> Result<Option<Vec<u8>>, AuthError> {
    let pending = store.second_factor(user).await?.filter(|s| s.confirmed_at.is_none());
    pending.map(|s| Ok(seal::open(store.folder(), TOTP, &s.sealed)?)).transpose()
}

/// Confirms a second factor by a code; the recovery codes, which are told once.
pub async fn confirm_second_factor(store: &Store, user: &RandomId, code: &str, keep: Option<&Digest>, by: &str, now: i64) -> Result<Vec<String>, AuthError> {
    let secret = pending_secret(store, user).await?.ok_or(AuthError::Link)?;
    let step = second::step_of(&secret, code, now).ok_or(AuthError::Code)?;
    let codes = second::recovery_codes().map_err(|e| AuthError::Hash(e.to_string()))?;
    let digests: Vec<Digest> = codes.iter().map(|c| second::recovery_digest(c)).collect();
    if !store.confirm_second_factor(user, step, &digests, keep, by, now).await? {
        return Err(AuthError::Link);
    }
    Ok(codes)
}

/// Whether a code, or a recovery code, is good; it is used up.
pub(super) async fn takes(store: &Store, user: &RandomId, sealed: &[u8], code: &str, now: i64) -> Result<bool, AuthError> {
    let secret = seal::open(store.folder(), TOTP, sealed)?;
    match second::step_of(&secret, code, now) {
        Some(step) => Ok(store.take_step(user, step).await?),
        None => Ok(store.take_recovery_code(user, &second::recovery_digest(code), now).await?),
    }
}

/// Makes the one-time link of a first start: the token of `/setup?token=…`. Links of earlier starts die.
pub async fn issue_setup(store: &Store, now: i64) -> Result<String, AuthError> {
    let token = random_text()?;
    store.drop_secrets("setup").await?;
    store.put_secret("setup", &Digest::of(token.as_bytes()), "", now + SETUP_SECONDS, 1).await?;
    Ok(token)
}

/// Whether the link of a first start still lives; it is not used up.
pub async fn is_setup_alive(store: &Store, token: &str, now: i64) -> Result<bool, AuthError> {
    Ok(store.peek_secret("setup", &Digest::of(token.as_bytes()), now).await?.is_some())
}

/// Uses the link of a first start up; `false`: it is dead.
pub async fn redeem_setup(store: &Store, token: &str, now: i64) -> Result<bool, AuthError> {
    Ok(store.take_secret("setup", &Digest::of(token.as_bytes()), now).await?.is_some())
}
