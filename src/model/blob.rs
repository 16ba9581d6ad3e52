//! Erasable blobs: canonical JSON, stored and sent as one zstd frame, addressed per host.
//!
//! ```text
//! plain   = canonical JSON of the document
//! address = HMAC-SHA-256(key: salt of the host, message: plain)
//! frame   = zstd(plain), with its content size in the frame head
//! ```

use std::io::Read as _;

use serde::Serialize;

use super::canonical::{self, CanonicalError};
use super::ids::{Address, Salt};

/// Largest plain blob, bytes.
pub const MAX_PLAIN: usize = 32 << 20;
/// Largest compressed blob, bytes.
pub const MAX_FRAME: usize = 8 << 20;
/// zstd level: 3 keeps a scan's blobs under a few milliseconds.
const LEVEL: i32 = 3;

/// Why bytes are not a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// Bigger than a limit.
    #[error("blob is larger than {0} bytes")]
    TooLarge(usize),
    /// Not a zstd frame.
    #[error("blob is not a readable zstd frame: {0}")]
    Frame(String),
    /// Bytes and address do not match.
    #[error("blob does not have the address {0}")]
    Address(Address),
}

/// A document ready to be stored: its plain bytes and their address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// HMAC of `plain`.
    pub address: Address,
    /// Canonical JSON.
    pub plain: Vec<u8>,
}

impl Blob {
    /// The blob of `document` on the host that holds `salt`.
    pub fn of<T: Serialize + ?Sized>(salt: &Salt, document: &T) -> Result<Self, BlobError> {
        let plain = canonical::to_bytes(document)?;
        if plain.len() > MAX_PLAIN {
            return Err(BlobError::TooLarge(MAX_PLAIN));
        }
        Ok(Self { address: address(salt, &plain), plain })
    }

    /// The compressed frame.
    pub fn frame(&self) -> Result<Vec<u8>, BlobError> {
        zstd::bulk::compress(&self.plain, LEVEL).map_err(|e| BlobError::Frame(e.to_string()))
    }

    /// The plain bytes of a frame that claims `expected`; refuses anything larger than
    /// [`MAX_PLAIN`] while decompressing, and any other content.
    pub fn open(salt: &Salt, expected: &Address, frame: &[u8]) -> Result<Self, BlobError> {
        let plain = inflate(frame)?;
        if address(salt, &plain) != *expected {
            return Err(BlobError::Address(*expected));
        }
        Ok(Self { address: *expected, plain })
    }
}

/// The plain bytes of a frame, bounded by [`MAX_PLAIN`].
pub fn inflate(frame: &[u8]) -> Result<Vec<u8>, BlobError> {
    if frame.len() > MAX_FRAME {
        return Err(BlobError::TooLarge(MAX_FRAME));
    }
    let fail = |e: std::io::Error| BlobError::Frame(e.to_string());
    let mut plain = Vec::new();
    let mut reader = zstd::stream::read::Decoder::new(frame).map_err(fail)?.single_frame().take(MAX_PLAIN as u64 + 1);
    reader.read_to_end(&mut plain).map_err(fail)?;
    if plain.len() > MAX_PLAIN {
        return Err(BlobError::TooLarge(MAX_PLAIN));
    }
    Ok(plain)
}

/// HMAC-SHA-256 (RFC 2104) of `plain` under the host's salt.
pub fn address(salt: &Salt, plain: &[u8]) -> Address {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, salt.bytes());
    let tag = ring::hmac::sign(&key, plain);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    Address::new(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_opens_only_under_its_own_salt_and_address() {
        let (salt, other) = (Salt::new([7; 32]), Salt::new([8; 32]));
        let blob = Blob::of(&salt, &serde_json::json!({"a": 1})).unwrap();
        let frame = blob.frame().unwrap();
        assert_eq!(Blob::open(&salt, &blob.address, &frame).unwrap(), blob);
        assert!(matches!(Blob::open(&other, &blob.address, &frame), Err(BlobError::Address(_))));
        assert!(Blob::open(&salt, &blob.address, &frame[..frame.len() - 1]).is_err());
    }

    #[test]
    fn a_zip_bomb_stops_at_the_limit() {
        let bomb = zstd::bulk::compress(&vec![0u8; MAX_PLAIN + 10], 19).unwrap();
        assert!(matches!(inflate(&bomb), Err(BlobError::TooLarge(_))));
    }
}
