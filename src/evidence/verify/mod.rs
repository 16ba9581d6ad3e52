//! Verifying a bundle offline: what holds, what does not, what a bundle can't show.
//!
//! Order: container, manifest, files, checkpoint, hosts, reports with their proofs, blobs, pieces.
//! Checks go on after a failure, so that every altered, missing or added file is named.

mod files;
mod signed;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::archive::{self, Archive};
use super::manifest::{self, Head, Manifest};
use crate::ledger::{Checkpoint, Verifier};
use crate::model::ids::{HostId, Salt};
use crate::model::report::Report;

/// Most problems kept; beyond it they are counted.
pub const MAX_PROBLEMS: usize = 1000;

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// File of the bundle; empty for the bundle as a whole.
    pub path: String,
    /// Stable id: `altered`, `missing`, `added`, `container`, `manifest`, `key`, `checkpoint`, `host`, `report`, `proof`, `blob`, `counts`, `piece`.
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
}

/// A host of the bundle whose file holds.
#[derive(Debug)]
struct KnownHost {
    key: [u8; 32],
    salt: Salt,
}

/// What the checks share.
#[derive(Debug)]
struct State<'a> {
    files: &'a BTreeMap<String, &'a [u8]>,
    verifier: &'a Verifier,
    checkpoint: Option<Checkpoint>,
    hosts: BTreeMap<HostId, KnownHost>,
    reports: Vec<Report>,
    /// Files whose place in the format is known.
    known: BTreeSet<String>,
}

/// Verifies a bundle. `key` is the ledger's verifier key from a source that the caller trusts;
/// without it the key that the manifest names is used, and the result says so.
pub fn verify(bytes: &[u8], key: Option<&Verifier>) -> Verification {
    let mut found = Verification {
        bundle: None,
        key_checked: key.is_some(),
        problems: Vec::new(),
        more_problems: 0,
        checks: Vec::new(),
        not_checked: Vec::new(),
        incomplete: false,
    };
    match archive::read(bytes) {
        Err(e) => found.problem("", "container", e.to_string()),
        Ok(archive) => with_archive(bytes, &archive, key, &mut found),
    }
    limits(&mut found);
    found.problems.sort();
    found
}

fn with_archive(bytes: &[u8], archive: &Archive<'_>, key: Option<&Verifier>, found: &mut Verification) {
    let Some((manifest, verifier)) = open_manifest(archive, key, found) else {
        container(bytes, archive, found);
        return;
    };
    found.bundle = Some(manifest.bundle.clone());
    found.check("manifest signature", 1);
    files::listed(&archive.files, &manifest, found);
    container(bytes, archive, found);
    let mut state = State { files: &archive.files, verifier: &verifier, checkpoint: None, hosts: BTreeMap::new(), reports: Vec::new(), known: BTreeSet::new() };
    signed::checkpoint(&mut state, &manifest, found);
    signed::hosts(&mut state, found);
    signed::reports(&mut state, found);
    files::blobs(&mut state, found);
    files::places(&mut state, found);
}

fn container(bytes: &[u8], archive: &Archive<'_>, found: &mut Verification) {
    match archive::difference(bytes, archive) {
        Some(difference) => found.problem("", "container", difference),
        None => found.check("zip container, byte for byte as written", 1),
    }
}

fn open_manifest(archive: &Archive<'_>, key: Option<&Verifier>, found: &mut Verification) -> Option<(Manifest, Verifier)> {
    let Some(bytes) = archive.files.get(manifest::PATH) else {
        found.problem(manifest::PATH, "missing", "the manifest is missing: nothing can be checked against it");
        return None;
    };
    let verifier = match key {
        Some(key) => key.clone(),
        None => {
            let named = Manifest::peek(bytes).map_err(|e| e.to_string()).and_then(|m| m.bundle.ledger.parse::<Verifier>().map_err(|e| e.to_string()));
            match named {
                Ok(verifier) => verifier,
                Err(e) => {
                    found.problem(manifest::PATH, "manifest", format!("altered: {e}"));
                    return None;
                }
            }
        }
    };
    match Manifest::open(bytes, &verifier) {
        Ok(manifest) => {
            if manifest.bundle.ledger != verifier.to_string() {
                found.problem(manifest::PATH, "key", format!("names the ledger {}, not the given key", manifest.bundle.ledger));
            }
            Some((manifest, verifier))
        }
        Err(e) => {
            let other = Manifest::peek(bytes).ok().filter(|m| m.bundle.ledger != verifier.to_string());
            match other {
                Some(other) => found.problem(manifest::PATH, "key", format!("is not signed by the given key; it names {}", other.bundle.ledger)),
                None => found.problem(manifest::PATH, "manifest", format!("altered: {e}")),
            }
            None
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
