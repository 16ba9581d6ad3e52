//! API tokens: a program acts for a person, within a role that is no more than the person's, over the areas that it was given.
//!
//! ```text
//! token = "assay-api." role "." base64url(32 random bytes)        stored: SHA-256(token)
//! ```
//! The role in it is for people to see; what counts stands in the store.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::ids::Digest;

/// How a token begins.
const PREFIX: &str = "assay-api.";
/// Longest token that is looked at, bytes.
const MAX_BYTES: usize = 128;
/// Longest life of a token, days.
pub const MAX_DAYS: u32 = 366;

/// The text of a new token.
pub fn generate(role: &str) -> Result<String, crate::pki::PkiError> {
    Ok(format!("{PREFIX}{role}.{}", URL_SAFE_NO_PAD.encode(crate::pki::random::<32>()?)))
}

/// The digest by which a token is known; `None`: this is none.
pub fn digest(token: &str) -> Option<Digest> {
    (token.starts_with(PREFIX) && token.len() <= MAX_BYTES).then(|| Digest::of(token.as_bytes()))
}
