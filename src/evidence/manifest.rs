//! The manifest: every other file of a bundle with its length and digest, signed by the ledger key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::Verifier;
use crate::model::canonical::{self, CanonicalError};
use crate::model::envelope::{Envelope, EnvelopeError, MANIFEST_TYPE};
use crate::model::ids::Digest;

/// Version that this code writes.
pub const FORMAT: &str = "assay.bundle.v1";
/// Name of the manifest in a bundle.
pub const PATH: &str = "manifest.json";

/// What the bundle is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Leaves under the checkpoint.
    pub checkpoint_size: u64,
    /// Framework id.
    pub framework: String,
    /// First day, `YYYY-MM-DD`, UTC.
    pub from: String,
    /// Verifier key of the ledger.
    pub ledger: String,
    /// Which hosts, in words.
    pub scope: String,
    /// Last day, `YYYY-MM-DD`, UTC.
    pub to: String,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length.
    pub bytes: u64,
    /// Path in the bundle.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// The signed payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What the bundle is.
    pub bundle: Head,
    /// Every file but the manifest, by path.
    pub files: Vec<FileEntry>,
    /// [`FORMAT`].
    pub format: String,
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ManifestError {
    /// The envelope is not trusted.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The same envelope in other bytes.
    #[error("envelope is not canonical JSON")]
    NotCanonical,
    /// The payload is not a manifest.
    #[error("payload is not a manifest: {0}")]
    Payload(String),
    /// Paths are not strictly ascending.
    #[error("files are not listed once each, by path")]
    Order,
}

impl Manifest {
    /// Lists `files` (path -> bytes).
    pub fn of(head: Head, files: &BTreeMap<String, Vec<u8>>) -> Self {
        let entry = |(path, bytes): (&String, &Vec<u8>)| FileEntry { bytes: bytes.len() as u64, path: path.clone(), sha256: Digest::of(bytes) };
        Self { bundle: head, files: files.iter().map(entry).collect(), format: FORMAT.into() }
    }

    /// The signed envelope, canonical JSON.
    pub fn seal(&self, keyid: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<Vec<u8>, CanonicalError> {
        Ok(Envelope::seal(MANIFEST_TYPE, &canonical::to_bytes(self)?, keyid, sign).to_bytes())
    }

    /// What a manifest says, whoever signed it: the way to the key that it names.
    pub fn peek(bytes: &[u8]) -> Result<Self, ManifestError> {
        let envelope = Envelope::parse(bytes)?;
        if envelope.to_bytes() != bytes {
            return Err(ManifestError::NotCanonical);
        }
        Self::parse(&envelope.payload_bytes()?)
    }

    /// What a manifest says, if `verifier` signed it.
    pub fn open(bytes: &[u8], verifier: &Verifier) -> Result<Self, ManifestError> {
        let envelope = Envelope::parse(bytes)?;
        if envelope.to_bytes() != bytes {
            return Err(ManifestError::NotCanonical);
        }
        Self::parse(&envelope.open(MANIFEST_TYPE, &verifier.keyid(), verifier.public_key())?)
    }

    fn parse(payload: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(payload).map_err(|e| ManifestError::Payload(e.to_string()))?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Payload(format!("format {:?} is not {FORMAT:?}", manifest.format)));
        }
        if !manifest.files.windows(2).all(|w| matches!(w, [a, b] if a.path < b.path)) {
            return Err(ManifestError::Order);
        }
        Ok(manifest)
    }
}
