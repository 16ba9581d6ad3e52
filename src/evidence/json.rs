//! JSON files of a bundle: canonical, so the same values are the same bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::material::{Host, Proof};
use super::paper::ControlPaper;
use crate::model::canonical::{self, CanonicalError};
use crate::model::ids::Salt;

/// Version of [`HostFile`].
pub const HOST_FORMAT: &str = "assay.host.v1";

/// `hosts/HOSTID.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFile {
    /// Leaf of its enrolment; `null` when the ledger holds none.
    pub enrolment: Option<Proof>,
    /// [`HOST_FORMAT`].
    pub format: String,
    /// Name it gave; shown, never trusted.
    pub name: String,
    /// SubjectPublicKeyInfo (DER), base64.
    pub public_key: String,
    /// Salt of its blob addresses.
    pub salt: Salt,
}

/// The file of a host.
pub fn host(host: &Host) -> Result<Vec<u8>, CanonicalError> {
    canonical::to_bytes(&HostFile {
        enrolment: host.enrolment.clone(),
        format: HOST_FORMAT.into(),
        name: host.name.clone(),
        public_key: STANDARD.encode(&host.public_key),
        salt: host.salt,
    })
}

/// `controls/ID.json`.
pub fn control(paper: &ControlPaper) -> Result<Vec<u8>, CanonicalError> {
    canonical::to_bytes(paper)
}

/// `proofs/DIGEST.json`.
pub fn proof(proof: &Proof) -> Result<Vec<u8>, CanonicalError> {
    canonical::to_bytes(proof)
}
