//! One report on disk with everything its delivery needs.
//!
//! ```text
//! assay.spool.v1\n
//! SHA-256 of the rest, hexadecimal\n
//! {"covers":[WINDOW…],"envelope":{…},"frames":[{"address":…,"bytes":N}…],"replaces":null|NAME}\n
//! frame … frame                                        zstd, in the order of the head
//! ```
//! The name is `ORDER-LINEAGE-SEQUENCE.report`: ORDER counts up over all lineages. A file is
//! written once and never changed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::canonical;
use crate::model::envelope::Envelope;
use crate::model::ids::{Address, Digest, Lineage};

/// First line.
const MAGIC: &[u8] = b"assay.spool.v1\n";
/// Hexadecimal digest and line feed.
const DIGEST_LINE: usize = 65;
/// Largest head, bytes: an envelope and a few dozen addresses.
const MAX_HEAD: usize = 4 << 20;
/// Largest file, bytes.
pub const MAX_FILE: usize = 128 << 20;
/// Ending of the name.
const ENDING: &str = ".report";

/// Name of a spool file, in order of age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Counts up over all lineages.
    pub order: u64,
    /// Lineage of the report.
    pub lineage: Lineage,
    /// Its number.
    pub sequence: u64,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{}-{:010}{ENDING}", self.order, self.lineage, self.sequence)
    }
}

impl Name {
    /// From a file name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_suffix(ENDING)?.splitn(3, '-');
        let order = u64::from_str_radix(parts.next()?, 16).ok()?;
        let name = Self { order, lineage: parts.next()?.parse().ok()?, sequence: parts.next()?.parse().ok()? };
        (name.to_string() == text).then_some(name)
    }
}

/// A report that waits for its delivery, or was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The signed report.
    pub envelope: Envelope,
    /// The blobs it names, compressed.
    pub frames: BTreeMap<Address, Vec<u8>>,
    /// Windows that the scan fulfils.
    pub covers: Vec<String>,
    /// Name of the file that this one stands for in a new lineage.
    pub replaces: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    covers: Vec<String>,
    envelope: Envelope,
    frames: Vec<FrameHead>,
    replaces: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameHead {
    address: Address,
    bytes: usize,
}

/// Why a file is not a spool file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Could not be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// Not as it was written.
    #[error("damaged: {0}")]
    Damaged(&'static str),
}

impl Item {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, canonical::CanonicalError> {
        let frames = self.frames.iter().map(|(address, frame)| FrameHead { address: *address, bytes: frame.len() }).collect();
        let head = Head { covers: self.covers.clone(), envelope: self.envelope.clone(), frames, replaces: self.replaces.clone() };
        let mut body = canonical::to_bytes(&head)?;
        body.push(b'\n');
        for frame in self.frames.values() {
            body.extend_from_slice(frame);
        }
        let digest = Digest::of(&body).to_string();
        Ok([MAGIC, digest.as_bytes(), b"\n", &body].concat())
    }

    /// Reads a file back; every damaged byte is noticed.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(FileError::Damaged("head line"))?;
        let (digest, body) = rest.split_at_checked(DIGEST_LINE).ok_or(FileError::Damaged("digest line"))?;
        if digest != format!("{}\n", Digest::of(body)).as_bytes() {
            return Err(FileError::Damaged("digest"));
        }
        let end = body.iter().take(MAX_HEAD).position(|b| *b == b'\n').ok_or(FileError::Damaged("head"))?;
        let (head, frames) = body.split_at(end);
        let head: Head = serde_json::from_slice(head).map_err(|_| FileError::Damaged("head"))?;
        let mut frames = frames.get(1..).unwrap_or_default();
        let mut found = BTreeMap::new();
        for FrameHead { address, bytes } in head.frames {
            let (frame, rest) = frames.split_at_checked(bytes).ok_or(FileError::Damaged("frame"))?;
            found.insert(address, frame.to_vec());
            frames = rest;
        }
        if !frames.is_empty() {
            return Err(FileError::Damaged("length"));
        }
        Ok(Self { envelope: head.envelope, frames: found, covers: head.covers, replaces: head.replaces })
    }

    /// Reads a file, at most [`MAX_FILE`] bytes.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_FILE {
            return Err(FileError::Damaged("length"));
        }
        Self::parse(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let frames = BTreeMap::from([(Address::new([1; 32]), vec![1, 2, 3]), (Address::new([2; 32]), vec![])]);
        let envelope = Envelope { payload: "e30=".into(), payload_type: "t".into(), signatures: Vec::new() };
        let item = Item { envelope, frames, covers: vec!["2026-W47".into()], replaces: None };
        let bytes = item.to_bytes().unwrap();
        assert_eq!(Item::parse(&bytes).unwrap(), item);
        for cut in 0..bytes.len() {
            assert!(Item::parse(&bytes[..cut]).is_err(), "cut at {cut}");
            let mut changed = bytes.clone();
            changed[cut] ^= 0x20;
            assert!(Item::parse(&changed).is_err(), "changed at {cut}");
        }
        assert!(Item::parse(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn names_sort_by_age_and_nothing_else_is_a_name() {
        let name = Name { order: 255, lineage: Lineage::new([9; 16]), sequence: 7 };
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        let later = Name { order: 256, lineage: Lineage::new([1; 16]), sequence: 1 };
        assert!(name < later && name.to_string() < later.to_string());
        for bad in ["", "x.report", "lock", "00ff-09-1.report", ".00.tmp"] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }
}
