//! One entry of the ledger.
//!
//! ```text
//! {"at":…,"format":"assay.leaf.v1","host":HOSTID|null,"id":RANDOM16,"kind":"report","lineage":…|null,"reference":DIGEST,"sequence":…|null}
//! leaf hash = SHA-256(0x00 || canonical bytes)                                                                          RFC 6962 section 2.1
//! ```
//! No personal data: who acted is a random id whose name is an erasable row elsewhere.

use serde::{Deserialize, Serialize};

use super::tree;
use crate::model::canonical::{self, CanonicalError};
use crate::model::ids::{Digest, HostId, Lineage, RandomId};

/// Version that this code writes.
pub const FORMAT: &str = "assay.leaf.v1";
/// Largest leaf that is read, bytes.
pub const MAX_BYTES: usize = 64 << 10;

/// What a leaf is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An accepted report; the reference is the SHA-256 of its payload.
    Report,
    /// A host key; the reference is the SHA-256 of its SubjectPublicKeyInfo, the same bytes as the host id.
    Enrolment,
    /// An evidence bundle; the reference is the digest of the statement that names the file's digest, what was ordered and by whom.
    Export,
    /// A user was added, changed or removed; the reference is the digest of the statement that says which, by random id. Entries of ledgers that
    /// began before there were statements refer to the digest of that id itself.
    User,
    /// An enrolment token was made; the reference is its digest.
    Token,
    /// The first leaf of a ledger.
    LedgerStart,
    /// A host was taken out of the population, or another took its place; the reference is the digest of the statement that says who did it and why.
    Retirement,
    /// The ledger goes on from a restored database; the reference is the digest of the statement that says from where.
    Resumption,
    /// What was kept of a host or a person was erased; the reference is the digest of the statement that says when and how much.
    Erasure,
    /// The ledger goes on under a new key; the reference is the digest of the statement that both keys signed.
    KeyRotation,
    /// Facts older than the policy keeps were erased; the reference is the digest of the statement that says which.
    Retention,
    /// A version of the roster; like those below, the reference is the digest of the statement that names the version's digest and rows.
    Roster,
    /// A version of the approved privileged access.
    Approvals,
    /// A version of the declared third parties.
    ThirdParties,
    /// A version of the list of hosts that are known elsewhere.
    Inventory,
    /// A version of what is said of hosts: owner, purpose, criticality, region, labels.
    Labels,
    /// Other thresholds judge from now on.
    Policy,
    /// Another index of advisories judges from now on.
    Advisories,
    /// Another pack of rules judges from now on; the reference is the digest of the statement that names the old and the new one.
    RulePack,
    /// The company's own pages of commitments are others from now on.
    Commitments,
    /// An auditor signed in; the reference is the digest of the statement that says who, by random id.
    SignIn,
    /// Something that must be said again by its cadence was recorded; like the four below, the reference is the digest of the event.
    Attestation,
    /// An entry of a register was added, changed, closed or withdrawn; or a failure was given an owner, a day, a cause or a resolution.
    Register,
    /// A waiver was asked for, or the request changed or withdrawn.
    Waiver,
    /// A second person approved, refused or revoked.
    Approval,
    /// A register was signed as complete.
    SignOff,
    /// A setting of the collector is another from now on; the reference is the digest of the statement that says which and by whom.
    Setting,
}

/// Why bytes are not a leaf.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LeafError {
    /// Bigger than [`MAX_BYTES`].
    #[error("leaf is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Not the JSON of a leaf.
    #[error("leaf is not readable: {0}")]
    Json(String),
    /// Another version.
    #[error("leaf has format {0:?}, not {FORMAT:?}")]
    Format(String),
    /// The same value written in other bytes.
    #[error("leaf is not canonical JSON")]
    NotCanonical,
    /// No canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// When it was made, Unix seconds.
    pub at: i64,
    /// [`FORMAT`].
    pub format: String,
    /// The host it concerns.
    pub host: Option<HostId>,
    /// Random; two leaves are never equal.
    pub id: RandomId,
    /// What it is about.
    pub kind: Kind,
    /// Lineage of the report.
    pub lineage: Option<Lineage>,
    /// SHA-256 of what it is about.
    pub reference: Digest,
    /// Number of the report.
    pub sequence: Option<u64>,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 27] = [
        Self::Report,
        Self::Enrolment,
        Self::Export,
        Self::User,
        Self::Token,
        Self::LedgerStart,
        Self::Retirement,
        Self::Resumption,
        Self::Erasure,
        Self::KeyRotation,
        Self::Retention,
        Self::Roster,
        Self::Approvals,
        Self::ThirdParties,
        Self::Inventory,
        Self::Labels,
        Self::Policy,
        Self::Advisories,
        Self::RulePack,
        Self::Commitments,
        Self::SignIn,
        Self::Attestation,
        Self::Register,
        Self::Waiver,
        Self::Approval,
        Self::SignOff,
        Self::Setting,
    ];

    /// Kinds whose statements are events of records.
    pub const RECORDS: [Self; 5] = [Self::Attestation, Self::Register, Self::Waiver, Self::Approval, Self::SignOff];

    /// The form on disk and wire.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Enrolment => "enrolment",
            Self::Export => "export",
            Self::User => "user",
            Self::Token => "token",
            Self::LedgerStart => "ledger-start",
            Self::Retirement => "retirement",
            Self::Resumption => "resumption",
            Self::Erasure => "erasure",
            Self::KeyRotation => "key-rotation",
            Self::Retention => "retention",
            Self::Roster => "roster",
            Self::Approvals => "approvals",
            Self::ThirdParties => "third-parties",
            Self::Inventory => "inventory",
            Self::Labels => "labels",
            Self::Policy => "policy",
            Self::Advisories => "advisories",
            Self::RulePack => "rule-pack",
            Self::Commitments => "commitments",
            Self::SignIn => "sign-in",
            Self::Attestation => "attestation",
            Self::Register => "register",
            Self::Waiver => "waiver",
            Self::Approval => "approval",
            Self::SignOff => "sign-off",
            Self::Setting => "setting",
        }
    }

    /// Whether a text stands behind each entry: a statement whose digest the entry refers to.
    pub const fn has_statement(self) -> bool {
        !matches!(self, Self::Report | Self::Enrolment | Self::Token | Self::LedgerStart)
    }

    /// Whether each entry is about a version of a list that is kept, called by the kind's id.
    pub const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Roster | Self::Approvals | Self::ThirdParties | Self::Inventory | Self::Labels | Self::Policy | Self::Advisories | Self::Commitments
        )
    }

    /// From the form on disk and wire.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.id() == id)
    }
}

impl Leaf {
    /// A leaf about anything but a report.
    pub fn new(kind: Kind, id: RandomId, reference: Digest, host: Option<HostId>, at: i64) -> Self {
        Self { at, format: FORMAT.into(), host, id, kind, lineage: None, reference, sequence: None }
    }

    /// The leaf of an accepted report.
    pub fn report(id: RandomId, report: Digest, host: HostId, lineage: Lineage, sequence: u64, at: i64) -> Self {
        Self { lineage: Some(lineage), sequence: Some(sequence), ..Self::new(Kind::Report, id, report, Some(host), at) }
    }

    /// The canonical bytes: what is stored and hashed.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LeafError> {
        Ok(canonical::to_bytes(self)?)
    }

    /// Reads canonical bytes; every other spelling is refused, for it would have another hash.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > MAX_BYTES {
            return Err(LeafError::TooLarge);
        }
        let leaf: Self = serde_json::from_slice(bytes).map_err(|e| LeafError::Json(e.to_string()))?;
        if leaf.format != FORMAT {
            return Err(LeafError::Format(leaf.format));
        }
        if leaf.to_bytes()? != bytes {
            return Err(LeafError::NotCanonical);
        }
        Ok(leaf)
    }

    /// The leaf hash.
    pub fn hash(&self) -> Result<Digest, LeafError> {
        Ok(tree::leaf_hash(&self.to_bytes()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf {
        Leaf::report(RandomId::new([1; 16]), Digest::of(b"report"), HostId::new([2; 32]), Lineage::new([3; 16]), 7, 1_795_000_010)
    }

    #[test]
    fn only_canonical_bytes_of_a_known_version_are_a_leaf() {
        let bytes = leaf().to_bytes().unwrap();
        assert_eq!(Leaf::parse(&bytes).unwrap(), leaf());
        let spaced = String::from_utf8(bytes.clone()).unwrap().replace("{\"at\"", "{ \"at\"");
        assert_eq!(Leaf::parse(spaced.as_bytes()), Err(LeafError::NotCanonical));
        let other = Leaf { format: "assay.leaf.v2".into(), ..leaf() };
        assert_eq!(Leaf::parse(&other.to_bytes().unwrap()), Err(LeafError::Format("assay.leaf.v2".into())));
        let mut long = bytes;
        long.resize(MAX_BYTES + 1, b' ');
        assert_eq!(Leaf::parse(&long), Err(LeafError::TooLarge));
    }

    #[test]
    fn the_id_of_a_kind_is_its_form_on_disk() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.id());
            assert_eq!(Kind::from_id(kind.id()), Some(kind));
        }
        assert_eq!(Kind::from_id("Report"), None);
    }
}
