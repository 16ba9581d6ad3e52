//! Checking what the ledger claims: inclusion, consistency, receipts.
//!
//! The walks are those of RFC 9162 sections 2.1.3.2 and 2.1.4.2.

use super::checkpoint::{self, CheckpointError, Verifier};
use super::leaf::{Kind, Leaf, LeafError};
use super::tree::{self, node_hash};
use crate::model::envelope::{Envelope, EnvelopeError, RECEIPT_TYPE};
use crate::model::ids::Digest;
use crate::model::receipt::{self, Receipt};

/// Why a claim of the ledger does not hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProofError {
    /// An index or size that no tree has.
    #[error("leaf {index} does not exist in a ledger of {size} leaves")]
    Range {
        /// Index of the leaf, from 0.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// Too few or too many hashes.
    #[error("proof has the wrong number of hashes")]
    Length,
    /// The hashes lead to another root.
    #[error("proof leads to another root than the checkpoint's")]
    Root,
    /// The leaf is not readable.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The checkpoint is not trusted.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The envelope is not trusted.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The signed payload is not a receipt.
    #[error("receipt is not readable: {0}")]
    Receipt(String),
    /// Leaf and receipt tell different stories.
    #[error("leaf and receipt differ in {0}")]
    Differs(&'static str),
}

/// Checks that `leaf` is at `index` in the tree of `size` leaves under `root`.
pub fn verify_inclusion(leaf: &Digest, index: u64, size: u64, proof: &[Digest], root: &Digest) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range { index, size });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `old` leaves under `old_root` is a prefix of the tree of `new` leaves under `new_root`.
pub fn verify_consistency(old: u64, old_root: &Digest, new: u64, new_root: &Digest, proof: &[Digest]) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Range { index: old, size: new });
    }
    if old == new || old == 0 {
        let same = if old == new { old_root == new_root } else { *old_root == tree::empty_root() };
        return match (proof.is_empty(), same) {
            (false, _) => Err(ProofError::Length),
            (true, false) => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    // A complete old tree is its own first node; the proof leaves it out.
    let mut hashes = proof.iter();
    let first = if old.is_power_of_two() { old_root } else { hashes.next().ok_or(ProofError::Length)? };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut before, mut after) = (*first, *first);
    for sibling in hashes {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            before = node_hash(sibling, &before);
            after = node_hash(sibling, &after);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            after = node_hash(&after, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if before == *old_root && after == *new_root { Ok(()) } else { Err(ProofError::Root) }
}

/// [`check_receipt`] under whichever of these keys of one ledger signed it.
pub fn check_receipt_by(envelope: &Envelope, keys: &[Verifier]) -> Result<Receipt, ProofError> {
    let signer = keys.iter().find(|key| envelope.keyid() == Some(&key.keyid())).or(keys.first());
    check_receipt(envelope, signer.ok_or_else(|| ProofError::Receipt("there is no key to check it by".into()))?)
}

/// The receipt in `envelope`, if the ledger key signed it and its leaf is about the report it names
/// and stands in the ledger under its signed checkpoint. Whose report it acknowledges is for the
/// caller to compare.
pub fn check_receipt(envelope: &Envelope, verifier: &Verifier) -> Result<Receipt, ProofError> {
    let payload = envelope.open(RECEIPT_TYPE, &verifier.keyid(), verifier.public_key())?;
    let receipt: Receipt = serde_json::from_slice(&payload).map_err(|e| ProofError::Receipt(e.to_string()))?;
    if receipt.format != receipt::FORMAT {
        return Err(ProofError::Receipt(format!("format {:?} is not {:?}", receipt.format, receipt::FORMAT)));
    }
    let leaf = Leaf::parse(receipt.leaf.as_bytes())?;
    let same = [
        (leaf.kind == Kind::Report, "kind"),
        (leaf.reference == receipt.report, "report"),
        (leaf.host == Some(receipt.host), "host"),
        (leaf.lineage == Some(receipt.lineage), "lineage"),
        (leaf.sequence == Some(receipt.sequence), "sequence"),
    ];
    if let Some((_, what)) = same.into_iter().find(|(same, _)| !same) {
        return Err(ProofError::Differs(what));
    }
    let checkpoint = checkpoint::open(&receipt.checkpoint, verifier)?;
    let hash = tree::leaf_hash(receipt.leaf.as_bytes());
    verify_inclusion(&hash, receipt.index, checkpoint.size, &receipt.proof, &checkpoint.root)?;
    Ok(receipt)
}
