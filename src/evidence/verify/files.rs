//! The checkpoint, inclusion in the ledger, and files that only the manifest vouches for.

use std::io::{Read, Seek};

use super::reading::Reading;
use crate::evidence::archive::ArchiveError;
use crate::evidence::layout::{self, Place, place};
use crate::evidence::manifest::Manifest;
use crate::evidence::material::Proof;
use crate::ledger::{Checkpoint, Leaf, Verifier, checkpoint as note, tree, verify_inclusion};

/// The checkpoint, if it is signed by the ledger key and the one that the manifest names.
pub(super) fn checkpoint<R: Read + Seek>(reading: &mut Reading<'_, R>, manifest: &Manifest, verifier: &Verifier) -> Result<Option<Checkpoint>, ArchiveError> {
    const PATH: &str = layout::CHECKPOINT;
    let Some(bytes) = reading.whole(PATH, note::MAX_BYTES as u64 + 1)? else { return Ok(None) };
    let opened = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_string()).and_then(|t| note::open(t, verifier).map_err(|e| e.to_string()));
    Ok(match opened {
        Err(e) => {
            reading.found.problem(PATH, "checkpoint", e);
            None
        }
        Ok(checkpoint) if checkpoint.size != manifest.bundle.checkpoint_size => {
            let message = format!("covers {} leaves, the manifest says {}", checkpoint.size, manifest.bundle.checkpoint_size);
            reading.found.problem(PATH, "checkpoint", message);
            None
        }
        Ok(checkpoint) => {
            reading.found.check("checkpoint signature", 1);
            Some(checkpoint)
        }
    })
}

/// The leaf of a proof, if it stands in the ledger under the checkpoint.
pub(super) fn logged(checkpoint: Option<&Checkpoint>, proof: &Proof) -> Result<Leaf, String> {
    let leaf = Leaf::parse(proof.leaf.as_bytes()).map_err(|e| e.to_string())?;
    let checkpoint = checkpoint.ok_or("there is no sound checkpoint to check it against")?;
    let hash = tree::leaf_hash(proof.leaf.as_bytes());
    verify_inclusion(&hash, proof.index, checkpoint.size, &proof.proof, &checkpoint.root).map_err(|e| e.to_string())?;
    Ok(leaf)
}

/// Everything that was not read yet; every file has a place in the format, and what a bundle must hold is there.
pub(super) fn rest<R: Read + Seek>(reading: &mut Reading<'_, R>) -> Result<(), ArchiveError> {
    for path in reading.paths() {
        if !matches!(place(&path), Some(p) if p != Place::Manifest) {
            reading.found.problem(&path, "added", "has no place in the bundle format");
        }
        if !reading.was_read(&path) {
            reading.entry(&path, |_, _| ())?;
        }
    }
    for path in layout::required() {
        if !reading.holds(path) {
            reading.found.problem(path, "missing", "a bundle holds this file");
        }
    }
    Ok(())
}
