//! The append-only ledger: pure values, no I/O, no clock.
//!
//! ```text
//! leaf (canonical JSON) -> leaf hash -> tree (RFC 6962) -> checkpoint (C2SP tlog-checkpoint, Ed25519)
//!                                          \-> inclusion and consistency proofs -> receipt, evidence bundle
//! ```
//! Tree, note, proofs and tiles are our own: crate `tlog_tiles` 0.2 brings a second generation of base64
//! and thiserror plus sha2 and url, documents panics on inner errors, and no signature type but Ed25519
//! is needed, which ring already gives.

pub mod checkpoint;
pub mod leaf;
pub mod proof;
pub mod rotation;
pub mod tiles;
pub mod tree;

pub use checkpoint::{Checkpoint, CheckpointError, Verifier};
pub use leaf::{Kind, Leaf, LeafError};
pub use proof::{ProofError, check_receipt, check_receipt_by, verify_consistency, verify_inclusion};
pub use tree::Tree;
