//! Ed25519 keys: the host's and the ledger's.

use std::path::Path;

use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::PkiError;
use crate::host::durable;
use crate::model::envelope::Envelope;
use crate::model::ids::HostId;

/// SubjectPublicKeyInfo head of an Ed25519 key (RFC 8410 section 4): the 32 key bytes follow.
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// SubjectPublicKeyInfo (DER) of a raw Ed25519 public key.
pub fn spki_of(public_key: &[u8; 32]) -> Vec<u8> {
    [SPKI_HEAD.as_slice(), public_key].concat()
}

/// The raw Ed25519 public key of a SubjectPublicKeyInfo; `None` for any other key.
pub fn raw_of(spki: &[u8]) -> Option<[u8; 32]> {
    spki.strip_prefix(&SPKI_HEAD)?.try_into().ok()
}

/// A private Ed25519 key. Its Debug shows the public part only.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pem: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id())
    }
}

impl SigningKey {
    /// A new key.
    pub fn generate() -> Result<Self, PkiError> {
        let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(|_| PkiError::Random)?;
        Self::from_pem("new key", &pair.serialize_pem())
    }

    /// From PKCS#8 PEM; `name` is what an error calls it.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, PkiError> {
        let bad = || PkiError::Key(name.into());
        let pair = KeyPair::from_pem(pem).map_err(|_| bad())?;
        if pair.algorithm() != &PKCS_ED25519 {
            return Err(bad());
        }
        let ring = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pair.serialized_der()).map_err(|_| bad())?;
        Ok(Self { pair: ring, pem: pem.into() })
    }

    /// Reads a key file.
    pub fn load(path: &Path) -> Result<Self, PkiError> {
        let name = path.display().to_string();
        let pem = std::fs::read_to_string(path).map_err(|e| PkiError::File(name.clone(), e))?;
        Self::from_pem(&name, &pem)
    }

    /// Writes the key file, readable by its owner only.
    pub fn save(&self, path: &Path) -> Result<(), PkiError> {
        durable::write(path, self.pem.as_bytes(), 0o600).map_err(|e| PkiError::File(path.display().to_string(), e))
    }

    /// Reads the key file, or makes one when there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, PkiError> {
        if path.exists() {
            return Self::load(path);
        }
        let key = Self::generate()?;
        key.save(path)?;
        Ok(key)
    }

    /// PKCS#8 PEM: a secret.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The 32 public bytes.
    pub fn public_key(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.pair.public_key().as_ref());
        out
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> Vec<u8> {
        spki_of(&self.public_key())
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the host id, or the ledger's key id.
    pub fn id(&self) -> HostId {
        HostId::of_spki(&self.spki())
    }

    /// The 64 bytes of an Ed25519 signature.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// A DSSE envelope around `payload`.
    pub fn seal(&self, payload_type: &str, payload: &[u8]) -> Envelope {
        Envelope::seal(payload_type, payload, &self.id().to_string(), |m| self.sign(m))
    }

    /// A certificate signing request (PKCS#10, PEM) for `name`.
    pub fn request(&self, name: &str) -> Result<String, PkiError> {
        let fail = |e: rcgen::Error| PkiError::Certificate("certificate request".into(), e.to_string());
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.serialize_request(&self.rcgen()?).map_err(fail)?.pem().map_err(fail)
    }

    pub(super) fn rcgen(&self) -> Result<KeyPair, PkiError> {
        KeyPair::from_pem(&self.pem).map_err(|_| PkiError::Key("key".into()))
    }
}

/// The raw Ed25519 public key of a PKCS#10 request whose own signature holds.
pub fn requested_key(pem: &str) -> Result<[u8; 32], PkiError> {
    let fail = |why: &str| PkiError::Certificate("certificate request".into(), why.into());
    let request = rcgen::CertificateSigningRequestParams::from_pem(pem).map_err(|e| fail(&e.to_string()))?;
    if request.public_key.algorithm() != &PKCS_ED25519 {
        return Err(fail("key is not Ed25519"));
    }
    request.public_key.der_bytes().try_into().map_err(|_| fail("key is not 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_keeps_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let key = SigningKey::load_or_create(&path).unwrap();
        let again = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(key.id(), again.id());
        assert_eq!(raw_of(&key.spki()), Some(key.public_key()));
        assert_eq!(requested_key(&key.request("web01").unwrap()).unwrap(), key.public_key());
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(SigningKey::load(&path), Err(PkiError::Key(_))));
    }
}
