//! Secrets that must be read back (second factors, keys of alert targets), sealed with a key that is not in the database: a stolen backup opens none.
//!
//! ```text
//! key    = HMAC-SHA-256(ca-key.pem, "assay sealed v1")
//! sealed = nonce (12) | AES-256-GCM(key, nonce, purpose as associated data, secret)
//! ```

use std::path::Path;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

/// Largest key file, bytes.
const MAX_KEY: u64 = 64 << 10;

/// Why a secret can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The authority's key.
    #[error("ca-key.pem of the data folder can't be read: {0}")]
    Key(String),
    /// The system gave no random bytes, or the cipher failed.
    #[error("the secret could not be sealed")]
    Seal,
    /// Sealed under another key, or altered.
    #[error("a sealed secret does not open: it was sealed by another collector, or altered; set it anew")]
    Open,
}

fn key(folder: &Path) -> Result<LessSafeKey, SealError> {
    let bytes = super::bounded(&folder.join("ca-key.pem"), MAX_KEY).map_err(|e| SealError::Key(e.to_string()))?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"assay sealed v1");
    UnboundKey::new(&AES_256_GCM, tag.as_ref()).map(LessSafeKey::new).map_err(|_| SealError::Seal)
}

/// Seals a secret for one purpose.
pub fn seal(folder: &Path, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
    let nonce: [u8; NONCE_LEN] = crate::pki::random().map_err(|_| SealError::Seal)?;
    let mut out = secret.to_vec();
    let aad = Aad::from(purpose.as_bytes());
    key(folder)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut out).map_err(|_| SealError::Seal)?;
    Ok([nonce.as_slice(), &out].concat())
}

/// Opens what was sealed for the same purpose.
pub fn open(folder: &Path, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Open)?;
    let mut rest = rest.to_vec();
    let aad = Aad::from(purpose.as_bytes());
    let plain = key(folder)?.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut rest).map_err(|_| SealError::Open)?;
    Ok(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_purpose_and_under_its_key_only() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("ca-key.pem"), "one").unwrap();
        std::fs::write(other.path().join("ca-key.pem"), "two").unwrap();
        let sealed = seal(folder.path(), "totp", b"secret").unwrap();
        assert_eq!(open(folder.path(), "totp", &sealed).unwrap(), b"secret");
        assert!(open(folder.path(), "mail", &sealed).is_err() && open(other.path(), "totp", &sealed).is_err());
        assert!(open(folder.path(), "totp", &sealed[..20]).is_err() && open(folder.path(), "totp", b"").is_err());
    }
}
