//! Material to the bytes of a bundle.

use std::collections::BTreeMap;

use super::archive::{self, ArchiveError};
use super::assemble::{AssembleError, Read, assemble, read_reports};
use super::manifest::{self, Head, Manifest};
use super::material::{Material, PlainBlob};
use super::paper::Paper;
use super::{csv, html, json};
use crate::model::canonical::CanonicalError;
use crate::model::ids::Digest;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The material is no evidence.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A value has no canonical form.
    #[error("bundle: {0}")]
    Canonical(#[from] CanonicalError),
    /// Too large, or a path that can't be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// A finished bundle.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The zip file.
    pub bytes: Vec<u8>,
    /// SHA-256 of it.
    pub digest: Digest,
    /// What it says.
    pub paper: Paper,
}

impl Bundle {
    /// Makes the bundle; `sign` is Ed25519 by the ledger key. The same material gives the same bytes.
    pub fn of(material: &Material, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<Self, BundleError> {
        let paper = assemble(material)?;
        let mut files = documents(&paper)?;
        proofs(material, &read_reports(material)?, &mut files)?;
        let manifest = Manifest::of(head(&paper), &files).seal(&material.verifier.keyid(), sign)?;
        files.insert(manifest::PATH.into(), manifest);
        let bytes = archive::write(&files)?;
        Ok(Self { digest: Digest::of(&bytes), bytes, paper })
    }
}

fn head(paper: &Paper) -> Head {
    let cover = &paper.cover;
    Head {
        checkpoint_size: cover.checkpoint_size,
        framework: cover.framework.clone(),
        from: cover.from.clone(),
        ledger: cover.ledger.clone(),
        scope: cover.scope.clone(),
        to: cover.to.clone(),
    }
}

/// What people read.
fn documents(paper: &Paper) -> Result<BTreeMap<String, Vec<u8>>, CanonicalError> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::from([
        ("index.html".into(), html::render(paper).into_bytes()),
        ("controls.csv".into(), csv::controls(paper)),
        ("findings.csv".into(), csv::findings(paper)),
        ("population.csv".into(), csv::population(paper)),
        ("windows.csv".into(), csv::windows(paper)),
        ("pieces.csv".into(), csv::pieces(paper)),
    ]);
    for control in &paper.controls {
        files.insert(format!("controls/{}.json", control.id), json::control(control)?);
    }
    Ok(files)
}

/// What a verifier checks.
fn proofs(material: &Material, reports: &[Read], files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), CanonicalError> {
    files.insert("checkpoint.txt".into(), material.checkpoint.clone().into_bytes());
    for host in &material.hosts {
        files.insert(format!("hosts/{}.json", host.id), json::host(host)?);
    }
    for (signed, read) in material.reports.iter().zip(reports) {
        files.insert(format!("reports/{}.json", read.digest), signed.envelope.clone());
        files.insert(format!("proofs/{}.json", read.digest), json::proof(&signed.proof)?);
    }
    for PlainBlob { host, address, plain } in &material.blobs {
        files.insert(format!("blobs/{host}/{address}.json"), plain.clone());
    }
    Ok(())
}
