//! Erasable blobs: canonical JSON, stored and sent as one zstd frame, addressed per host.
//!
//! ```text
//! plain   = canonical JSON of the document
//! address = HMAC-SHA-256(key: salt of the host, message: plain)
//! frame   = zstd(plain), with its content size in the frame head
//! ```

use std::io::Read as _;

use serde::Serialize;

use super::canonical::check::{Checker, NotCanonical};
use super::canonical::{self, CanonicalError};
use super::ids::{Address, Salt};

/// Largest plain blob, bytes.
pub const MAX_PLAIN: usize = 32 << 20;
/// Largest compressed blob, bytes.
pub const MAX_FRAME: usize = 8 << 20;
/// Largest window that the reader of a foreign frame is asked to hold, power of two of bytes: level
/// 3 writes 2 MiB, zstd's `ZSTD_getCParams`.
const WINDOW_LOG: u32 = 22;
/// Plain bytes looked at in one piece.
const PIECE: usize = 64 << 10;
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
    /// Readable, and not what [`Blob::of`] writes.
    #[error("blob is {0}")]
    NotCanonical(#[from] NotCanonical),
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

/// Bytes that a frame says it holds, at most [`MAX_PLAIN`].
pub fn announced(frame: &[u8]) -> Result<usize, BlobError> {
    if frame.len() > MAX_FRAME {
        return Err(BlobError::TooLarge(MAX_FRAME));
    }
    let size = zstd::zstd_safe::get_frame_content_size(frame).map_err(|_| BlobError::Frame("its head is malformed".into()))?;
    let size = size.ok_or_else(|| BlobError::Frame("its head does not tell its size".into()))?;
    usize::try_from(size).ok().filter(|size| *size <= MAX_PLAIN).ok_or(BlobError::TooLarge(MAX_PLAIN))
}

/// Whether a frame is the blob of `expected`: one frame of the announced size, canonical JSON, the
/// right address. The content streams by and is not kept, so that a bomb costs no memory.
pub fn check(salt: &Salt, expected: &Address, frame: &[u8]) -> Result<(), BlobError> {
    let mut left = announced(frame)?;
    let fail = |e: std::io::Error| BlobError::Frame(e.to_string());
    let mut reader = zstd::stream::read::Decoder::with_buffer(frame).map_err(fail)?.single_frame();
    reader.window_log_max(WINDOW_LOG).map_err(fail)?;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, salt.bytes());
    let (mut tag, mut checker) = (ring::hmac::Context::with_key(&key), Checker::default());
    let mut piece = vec![0; PIECE.min(left.max(1))];
    loop {
        let count = reader.read(&mut piece).map_err(fail)?;
        if count == 0 {
            break;
        }
        left = left.checked_sub(count).ok_or_else(|| BlobError::Frame("it holds more than its head says".into()))?;
        let bytes = piece.get(..count).unwrap_or_default();
        checker.feed(bytes)?;
        tag.update(bytes);
    }
    if left > 0 || !reader.finish().is_empty() {
        return Err(BlobError::Frame("it holds another size than its head says, or something follows it".into()));
    }
    checker.finish()?;
    if tag.sign().as_ref() == expected.bytes() { Ok(()) } else { Err(BlobError::Address(*expected)) }
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
    fn a_frame_is_checked_without_keeping_what_is_in_it() {
        let salt = Salt::new([7; 32]);
        let list: Vec<String> = (0..200_000).map(|n| format!("item {n}")).collect();
        let blob = Blob::of(&salt, &list).unwrap();
        let frame = blob.frame().unwrap();
        assert_eq!(announced(&frame).unwrap(), blob.plain.len());
        check(&salt, &blob.address, &frame).unwrap();
        let wrong = |frame: &[u8]| check(&salt, &blob.address, frame).unwrap_err().to_string();
        assert!(wrong(&Blob::of(&salt, &[1]).unwrap().frame().unwrap()).contains("does not have the address"));
        assert!(wrong(&[frame.as_slice(), b"x"].concat()).contains("something follows"));
        assert!(wrong(&[frame.as_slice(), &frame].concat()).contains("something follows"));
        assert!(wrong(&frame[..frame.len() - 5]).contains("not a readable zstd frame"));
        assert!(wrong(&frame[..3]).contains("not a readable zstd frame"));
        let pack = |plain: &[u8], level| zstd::bulk::compress(plain, level).unwrap();
        assert!(wrong(&pack(b"[1, 2]", 3)).contains("not canonical JSON at byte 3"));
        assert!(wrong(&pack(&vec![b' '; MAX_PLAIN], 3)).contains("not canonical JSON at byte 0"));
        assert!(wrong(&pack(&vec![b' '; MAX_PLAIN + 1], 3)).contains("larger than"));
        // A stream does not know its size when it begins.
        assert!(wrong(&zstd::stream::encode_all(blob.plain.as_slice(), 3).unwrap()).contains("does not tell its size"));
        let mut wide = zstd::bulk::Compressor::new(3).unwrap();
        wide.set_parameter(zstd::zstd_safe::CParameter::WindowLog(27)).unwrap();
        let long = Blob::of(&salt, &"x".repeat(9 << 20)).unwrap();
        assert!(check(&salt, &long.address, &wide.compress(&long.plain).unwrap()).unwrap_err().to_string().contains("not a readable zstd frame"));
    }

    #[test]
    fn a_zip_bomb_stops_at_the_limit() {
        let bomb = zstd::bulk::compress(&vec![0u8; MAX_PLAIN + 10], 19).unwrap();
        assert!(matches!(inflate(&bomb), Err(BlobError::TooLarge(_))));
    }
}
