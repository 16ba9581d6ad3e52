//! Verifying a bundle offline: what holds, what does not, what a bundle can't show.
//!
//! Order: directory, manifest, checkpoint; host by host key, reports, proofs, blobs; records, lists, entries of the ledger;
//! controls with their pieces, tables, samples; every other file; the container. Each entry is read once, by the line, so memory
//! does not grow with the bundle. Checks go on after a failure, so that every altered, missing or added file is named.

mod files;
mod hosts;
mod logged;
mod reading;
mod tables;

use std::io::{Read, Seek};

use serde::Serialize;

use self::reading::Reading;
use super::archive::{self, Archive, ArchiveError};
use super::manifest::{self, Head, Manifest};
use crate::ledger::Verifier;
use crate::model::envelope::MAX_MANIFEST;

/// Most problems kept; beyond it they are counted.
pub const MAX_PROBLEMS: usize = 1000;

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// File of the bundle; empty for the bundle as a whole.
    pub path: String,
    /// Stable id: `altered`, `missing`, `added`, `container`, `manifest`, `key`, `checkpoint`, `host`, `report`, `proof`, `blob`, `counts`,
    /// `entry`, `record`, `file`, `table`, `piece`, `sample`.
    pub id: &'static str,
    /// What is wrong, a fragment.
    pub message: String,
}

/// One kind of check that was made, and how often it held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked, a fragment.
    pub what: &'static str,
    /// How many held.
    pub held: u64,
}

/// What verification found.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// What the bundle says it is; `None` when its manifest does not read.
    pub bundle: Option<Head>,
    /// Whether the ledger key was given by the caller, not taken from the bundle.
    pub key_checked: bool,
    /// What does not hold, by path.
    pub problems: Vec<Problem>,
    /// Problems beyond [`MAX_PROBLEMS`].
    pub more_problems: u64,
    /// What was checked.
    pub checks: Vec<Check>,
    /// What a bundle can't show, or this one does not; one sentence each.
    pub not_checked: Vec<String>,
    /// Whether something that a complete bundle holds is absent without being tampered with.
    pub incomplete: bool,
}

impl Verification {
    /// Whether nothing was found wrong.
    pub fn holds(&self) -> bool {
        self.problems.is_empty() && self.more_problems == 0
    }

    fn problem(&mut self, path: &str, id: &'static str, message: impl Into<String>) {
        let problem = Problem { path: path.chars().take(archive::MAX_PATH).collect(), id, message: message.into() };
        if self.problems.contains(&problem) {
            return;
        }
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
        }
    }

    fn check(&mut self, what: &'static str, held: u64) {
        self.checks.push(Check { what, held });
    }

    /// Something that a complete bundle holds is not there.
    fn absent(&mut self, sentence: String) {
        self.incomplete = true;
        self.not_checked.push(sentence);
    }
}

/// Verifies a bundle where it lies. `key` is the ledger's verifier key from a source that the caller trusts; without it
/// the key that the manifest names is used, and the result says so. An error is a failure to read the file at all.
pub fn verify<R: Read + Seek>(source: R, key: Option<&Verifier>) -> Result<Verification, std::io::Error> {
    let mut found = Verification {
        bundle: None,
        key_checked: key.is_some(),
        problems: Vec::new(),
        more_problems: 0,
        checks: Vec::new(),
        not_checked: Vec::new(),
        incomplete: false,
    };
    match Archive::open(source).and_then(|mut archive| with_archive(&mut archive, key, &mut found)) {
        Ok(()) => (),
        Err(ArchiveError::Io(e)) => return Err(std::io::Error::other(e)),
        Err(e) => found.problem("", "container", e.to_string()),
    }
    limits(&mut found);
    found.problems.sort();
    Ok(found)
}

fn with_archive<R: Read + Seek>(archive: &mut Archive<R>, key: Option<&Verifier>, found: &mut Verification) -> Result<(), ArchiveError> {
    let Some((manifest, verifier)) = open_manifest(archive, key, found)? else { return Ok(()) };
    found.bundle = Some(manifest.bundle.clone());
    found.check("manifest signature", 1);
    let mut reading = Reading::new(archive, &manifest, found)?;
    let checkpoint = files::checkpoint(&mut reading, &manifest, &verifier)?;
    hosts::all(&mut reading, checkpoint.as_ref())?;
    logged::all(&mut reading, checkpoint.as_ref())?;
    tables::all(&mut reading, manifest.bundle.sampling.as_ref())?;
    files::rest(&mut reading)?;
    reading.finish()
}

fn open_manifest<R: Read + Seek>(
    archive: &mut Archive<R>,
    key: Option<&Verifier>,
    found: &mut Verification,
) -> Result<Option<(Manifest, Verifier)>, ArchiveError> {
    let Some(entry) = archive.entry(manifest::PATH).cloned() else {
        found.problem(manifest::PATH, "missing", "the manifest is missing: nothing can be checked against it");
        return Ok(None);
    };
    // Base64 in JSON: a third more than the payload.
    let limit = (MAX_MANIFEST as u64).saturating_mul(2);
    if entry.deflated || entry.bytes > limit {
        found.problem(manifest::PATH, "manifest", "altered: it is packed, or too large to be one");
        return Ok(None);
    }
    let mut bytes = Vec::new();
    archive.content(manifest::PATH, limit)?.read_to_end(&mut bytes)?;
    let bytes = bytes.as_slice();
    let verifier = match key {
        Some(key) => key.clone(),
        None => {
            let named = Manifest::peek(bytes).map_err(|e| e.to_string()).and_then(|m| m.bundle.ledger.parse::<Verifier>().map_err(|e| e.to_string()));
            match named {
                Ok(verifier) => verifier,
                Err(e) => {
                    found.problem(manifest::PATH, "manifest", format!("altered: {e}"));
                    return Ok(None);
                }
            }
        }
    };
    match Manifest::open(bytes, &verifier) {
        Ok(manifest) => {
            if manifest.bundle.ledger != verifier.to_string() {
                found.problem(manifest::PATH, "key", format!("names the ledger {}, not the given key", manifest.bundle.ledger));
            }
            Ok(Some((manifest, verifier)))
        }
        Err(manifest::ManifestError::Format(e)) => {
            found.problem(manifest::PATH, "manifest", manifest::ManifestError::Format(e).to_string());
            Ok(None)
        }
        Err(e) => {
            let other = Manifest::peek(bytes).ok().filter(|m| m.bundle.ledger != verifier.to_string());
            match other {
                Some(other) => found.problem(manifest::PATH, "key", format!("is not signed by the given key; it names {}", other.bundle.ledger)),
                None => found.problem(manifest::PATH, "manifest", format!("altered: {e}")),
            }
            Ok(None)
        }
    }
}

/// What no bundle can show.
fn limits(found: &mut Verification) {
    if !found.key_checked {
        found
            .not_checked
            .insert(0, "Whether the ledger key is the collector's: it was taken from the bundle itself. Give --key with a key from a source you trust.".into());
    }
    for sentence in [
        "Whether hosts exist that were never enrolled: compare population.csv with your own inventory.",
        "Whether a host told the truth: its key signs what its agent observed.",
        "Whether each verdict follows from the facts: the facts are in blobs/, the rules in the pack that the working paper names.",
        "Whether the ledger showed everyone the same history: compare checkpoint.txt with a later checkpoint or a receipt that a host kept.",
    ] {
        found.not_checked.push(sentence.into());
    }
}
