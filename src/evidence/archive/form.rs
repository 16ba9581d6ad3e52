//! Headers of the zip file as bytes: what is written, and what a reader expects.

use serde::{Deserialize, Serialize};

use crate::model::ids::Digest;

pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
pub(super) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
pub(super) const END: [u8; 4] = *b"PK\x05\x06";
pub(super) const END64: [u8; 4] = *b"PK\x06\x06";
pub(super) const LOCATOR: [u8; 4] = *b"PK\x06\x07";
/// Flag: the name is UTF-8.
pub(super) const UTF8: u16 = 0x0800;
/// Method of deflated content.
pub(super) const DEFLATED: u16 = 8;
/// Length of an end record without comment.
pub(super) const END_LEN: u64 = 22;
/// Length of the zip64 end record and its locator.
pub(super) const END64_LEN: u64 = 56 + 20;
/// Id of the extra field with numbers that don't fit.
pub(super) const ZIP64: u16 = 1;

/// 1980-01-01 in MS-DOS form, the earliest there is.
const DATE: u16 = 0x0021;
/// What stands where a number does not fit.
const FULL: u32 = u32::MAX;

/// One file of a bundle, as content and as it is packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Length of the content.
    pub bytes: u64,
    /// CRC-32 of the content (ISO 3309).
    pub crc: u32,
    /// Whether it is deflated; otherwise stored.
    pub deflated: bool,
    /// Length of the packed bytes.
    pub packed: u64,
    /// SHA-256 of the packed bytes.
    pub packed_sha256: Digest,
    /// Path in the bundle.
    pub path: String,
    /// SHA-256 of the content.
    pub sha256: Digest,
}

impl Facts {
    fn is_large(&self) -> bool {
        self.bytes >= u64::from(FULL) || self.packed >= u64::from(FULL)
    }

    fn version(&self, offset: u64) -> u16 {
        match (self.is_large() || offset >= u64::from(FULL), self.deflated) {
            (true, _) => 45,
            (false, true) => 20,
            (false, false) => 10,
        }
    }

    /// The 24 bytes that local and central header share, from the version to the length of the name.
    fn common(&self, version: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        for half in [version, UTF8, if self.deflated { DEFLATED } else { 0 }, 0, DATE] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        let (packed, bytes) = if self.is_large() { (FULL, FULL) } else { (fits(self.packed), fits(self.bytes)) };
        for word in [self.crc, packed, bytes] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&u16::try_from(self.path.len()).unwrap_or(u16::MAX).to_le_bytes());
        out
    }

    /// The header before the packed bytes.
    pub(super) fn local_header(&self) -> Vec<u8> {
        let mut out = LOCAL.to_vec();
        out.extend_from_slice(&self.common(self.version(0)));
        let extra = if self.is_large() { zip64(&[self.bytes, self.packed]) } else { Vec::new() };
        out.extend_from_slice(&length(&extra));
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(&extra);
        out
    }

    /// The header in the directory of an entry whose local header is at `offset`.
    pub(super) fn central_header(&self, offset: u64) -> Vec<u8> {
        let version = self.version(offset);
        let mut out = CENTRAL.to_vec();
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&self.common(version));
        let mut numbers = if self.is_large() { vec![self.bytes, self.packed] } else { Vec::new() };
        if offset >= u64::from(FULL) {
            numbers.push(offset);
        }
        let extra = if numbers.is_empty() { Vec::new() } else { zip64(&numbers) };
        out.extend_from_slice(&length(&extra));
        // Length of the comment, number of the disk, internal and external attributes.
        out.extend_from_slice(&[0; 10]);
        out.extend_from_slice(&fits(offset).to_le_bytes());
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(&extra);
        out
    }
}

/// Everything after the directory.
pub(super) fn end(count: u64, directory_len: u64, directory_at: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if count >= u64::from(u16::MAX) || directory_len >= u64::from(FULL) || directory_at >= u64::from(FULL) {
        out.extend_from_slice(&END64);
        out.extend_from_slice(&44u64.to_le_bytes());
        out.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [count, count, directory_len, directory_at] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&LOCATOR);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&directory_at.saturating_add(directory_len).to_le_bytes());
        out.extend_from_slice(&1u32.to_le_bytes());
    }
    let count = u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes();
    out.extend_from_slice(&END);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&count);
    out.extend_from_slice(&count);
    out.extend_from_slice(&fits(directory_len).to_le_bytes());
    out.extend_from_slice(&fits(directory_at).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out
}

/// A zip64 extra field of these numbers.
fn zip64(numbers: &[u64]) -> Vec<u8> {
    let mut out = ZIP64.to_le_bytes().to_vec();
    out.extend_from_slice(&u16::try_from(numbers.len() * 8).unwrap_or(u16::MAX).to_le_bytes());
    numbers.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    out
}

fn length(extra: &[u8]) -> [u8; 2] {
    u16::try_from(extra.len()).unwrap_or(u16::MAX).to_le_bytes()
}

fn fits(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(FULL)
}
