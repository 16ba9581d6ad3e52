//! DSSE envelopes (Dead Simple Signing Envelope 1.0.2): what a host or the collector signs.
//!
//! ```text
//! signature = Ed25519(key, "DSSEv1" SP len(type) SP type SP len(payload) SP payload)
//! ```
//! One signature per envelope; `keyid` is the [`HostId`](super::ids::HostId) or the ledger key's
//! SubjectPublicKeyInfo digest, in hexadecimal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::ids::Digest;

/// Payload type of a signed report.
pub const REPORT_TYPE: &str = "application/vnd.assay.report.v1+json";
/// Payload type of a receipt.
pub const RECEIPT_TYPE: &str = "application/vnd.assay.receipt.v1+json";
/// Payload type of a bundle manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.assay.manifest.v1+json";

/// Largest payload that is read, bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// Largest manifest payload that is read, bytes: it lists every file of a bundle.
pub const MAX_MANIFEST: usize = 128 << 20;

/// Why bytes are not an envelope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    /// Not the JSON of an envelope.
    #[error("envelope is not readable: {0}")]
    Json(String),
    /// The payload is of another type.
    #[error("envelope holds {found:?}, not {expected:?}")]
    Type {
        /// What was asked for.
        expected: &'static str,
        /// What it says.
        found: String,
    },
    /// Not base64, or too large.
    #[error("envelope payload is not base64 of at most {MAX_PAYLOAD} bytes")]
    Payload,
    /// Not exactly one signature.
    #[error("envelope must have exactly one signature")]
    Signatures,
    /// The signature is not by this key.
    #[error("envelope signature does not verify under key {0}")]
    Signature(String),
}

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Hexadecimal SHA-256 of the signer's SubjectPublicKeyInfo.
    pub keyid: String,
    /// Base64 (RFC 4648 section 4) of the 64 signature bytes.
    pub sig: String,
}

/// A signed payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Base64 (RFC 4648 section 4) of the payload.
    pub payload: String,
    /// Media type of the payload.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Exactly one.
    pub signatures: Vec<Signature>,
}

impl Envelope {
    /// Seals `payload`; `sign` gets the pre-authentication encoding.
    pub fn seal(payload_type: &str, payload: &[u8], keyid: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        let sig = sign(&pre_authentication(payload_type, payload));
        Self {
            payload: STANDARD.encode(payload),
            payload_type: payload_type.into(),
            signatures: vec![Signature { keyid: keyid.into(), sig: STANDARD.encode(sig) }],
        }
    }

    /// Reads an envelope from JSON.
    pub fn parse(json: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(json).map_err(|e| EnvelopeError::Json(e.to_string()))
    }

    /// The canonical JSON of the envelope.
    pub fn to_bytes(&self) -> Vec<u8> {
        super::canonical::to_bytes(self).unwrap_or_default()
    }

    /// Who claims to have signed; not verified.
    pub fn keyid(&self) -> Option<&str> {
        self.signatures.first().map(|s| s.keyid.as_str())
    }

    /// The payload if type and signature hold under the Ed25519 public key (32 raw bytes) whose
    /// id is `keyid`.
    pub fn open(&self, expected: &'static str, keyid: &str, public_key: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        if self.payload_type != expected {
            return Err(EnvelopeError::Type { expected, found: self.payload_type.clone() });
        }
        let [signature] = self.signatures.as_slice() else {
            return Err(EnvelopeError::Signatures);
        };
        let payload = self.payload_bytes()?;
        let bad = || EnvelopeError::Signature(keyid.into());
        let sig = STANDARD.decode(&signature.sig).map_err(|_| bad())?;
        if signature.keyid != keyid {
            return Err(bad());
        }
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public_key)
            .verify(&pre_authentication(expected, &payload), &sig)
            .map_err(|_| bad())?;
        Ok(payload)
    }

    /// The payload, unverified.
    pub fn payload_bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        let limit = if self.payload_type == MANIFEST_TYPE { MAX_MANIFEST } else { MAX_PAYLOAD };
        if self.payload.len() > limit / 3 * 4 + 4 {
            return Err(EnvelopeError::Payload);
        }
        STANDARD.decode(&self.payload).map_err(|_| EnvelopeError::Payload)
    }

    /// SHA-256 of the payload: the id of what was signed.
    pub fn payload_digest(&self) -> Result<Digest, EnvelopeError> {
        Ok(Digest::of(&self.payload_bytes()?))
    }
}

/// DSSE's pre-authentication encoding.
pub fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {} {} ", payload_type.len(), payload_type, payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    #[test]
    fn only_the_signed_payload_under_the_signing_key_opens() {
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let other = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap();
        let sealed = Envelope::seal(REPORT_TYPE, b"{}", "k", |m| key.sign(m).as_ref().to_vec());
        assert_eq!(sealed.open(REPORT_TYPE, "k", key.public_key().as_ref()).unwrap(), b"{}");
        assert!(sealed.open(REPORT_TYPE, "k", other.public_key().as_ref()).is_err());
        assert!(sealed.open(RECEIPT_TYPE, "k", key.public_key().as_ref()).is_err());
        let mut changed = sealed.clone();
        changed.payload = STANDARD.encode(b"[]");
        assert!(changed.open(REPORT_TYPE, "k", key.public_key().as_ref()).is_err());
        let mut twice = sealed;
        twice.signatures.push(twice.signatures[0].clone());
        assert_eq!(twice.open(REPORT_TYPE, "k", key.public_key().as_ref()), Err(EnvelopeError::Signatures));
    }
}
