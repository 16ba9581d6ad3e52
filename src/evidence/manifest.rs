//! The manifest: every other file of a bundle with its lengths and digests, as content and as packed, signed by the ledger key.

use serde::{Deserialize, Serialize};

use super::archive::Facts;
use super::material::Sampling;
use crate::ledger::Verifier;
use crate::model::canonical::{self, CanonicalError};
use crate::model::envelope::{Envelope, EnvelopeError, MANIFEST_TYPE};
use crate::model::ids::Digest;

/// Version that this code writes.
pub const FORMAT: &str = "assay.bundle.v2";
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
    /// How samples are drawn; `null`: none are.
    pub sampling: Option<Sampling>,
    /// Which hosts, in words.
    pub scope: String,
    /// Last day, `YYYY-MM-DD`, UTC.
    pub to: String,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length of its content.
    pub bytes: u64,
    /// Length of its packed bytes.
    pub packed: u64,
    /// SHA-256 of its packed bytes.
    pub packed_sha256: Digest,
    /// Path in the bundle.
    pub path: String,
    /// SHA-256 of its content.
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
    /// Another version.
    #[error("format {0:?} is not {FORMAT:?}: export the bundle again, or verify it with the release that made it")]
    Format(String),
    /// Paths are not strictly ascending.
    #[error("files are not listed once each, by path")]
    Order,
}

impl Manifest {
    /// Lists files, sorted by path.
    pub fn of<'a>(head: Head, files: impl IntoIterator<Item = &'a Facts>) -> Self {
        let entry = |f: &Facts| FileEntry { bytes: f.bytes, packed: f.packed, packed_sha256: f.packed_sha256, path: f.path.clone(), sha256: f.sha256 };
        Self { bundle: head, files: files.into_iter().map(entry).collect(), format: FORMAT.into() }
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
        #[derive(Deserialize)]
        struct Version {
            format: String,
        }
        let version: Version = serde_json::from_slice(payload).map_err(|e| ManifestError::Payload(e.to_string()))?;
        if version.format != FORMAT {
            return Err(ManifestError::Format(version.format.chars().take(40).collect()));
        }
        let manifest: Self = serde_json::from_slice(payload).map_err(|e| ManifestError::Payload(e.to_string()))?;
        if !manifest.files.windows(2).all(|w| matches!(w, [a, b] if a.path < b.path)) {
            return Err(ManifestError::Order);
        }
        Ok(manifest)
    }
}
