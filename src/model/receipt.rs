//! The receipt: the collector's signed word that a report is durable and in the ledger.
//!
//! Canonical JSON inside a DSSE envelope signed by the ledger key. It proves itself: leaf, index,
//! inclusion proof and checkpoint verify offline with the ledger's public key.

use serde::{Deserialize, Serialize};

use super::ids::{Digest, HostId, Lineage};

/// Version that this code writes.
pub const FORMAT: &str = "assay.receipt.v1";

/// What the collector acknowledges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`FORMAT`].
    pub format: String,
    /// SHA-256 of the report's payload.
    pub report: Digest,
    /// Who signed the report.
    pub host: HostId,
    /// Its lineage.
    pub lineage: Lineage,
    /// Its number in the lineage.
    pub sequence: u64,
    /// When the collector committed it, Unix seconds.
    pub received: i64,
    /// The leaf, canonical JSON text (see `ledger::leaf`).
    pub leaf: String,
    /// Index of the leaf, from 0.
    pub index: u64,
    /// Inclusion proof (RFC 6962 section 2.1.1) for the checkpoint's tree, leaf side first.
    pub proof: Vec<Digest>,
    /// Signed checkpoint (C2SP tlog-checkpoint), text.
    pub checkpoint: String,
}
