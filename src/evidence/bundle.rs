//! Material to the bytes of a bundle.

use std::collections::BTreeMap;

use super::archive::{self, ArchiveError};
use super::assemble::{AssembleError, assemble};
use super::manifest::{self, Head, Manifest};
use super::material::{Bulk, Material, PlainBlob};
use super::paper::Paper;
use super::{csv, html, json};
use crate::model::canonical::CanonicalError;
use crate::model::ids::{Digest, HostId};

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The material is no evidence.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A value has no canonical form.
    #[error("bundle: {0}")]
    Canonical(#[from] CanonicalError),
    /// A host's reports or blobs could not be had.
    #[error("bundle: {0}")]
    Bulk(String),
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
    pub fn of(material: &Material, bulk: &mut dyn Bulk, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<Self, BundleError> {
        let mut paper = assemble(material)?;
        let mut files = documents(material, &mut paper)?;
        proofs(material, bulk, &mut files)?;
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

/// What people read: tables first, for the page tells how each was made.
fn documents(material: &Material, paper: &mut Paper) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let failed = |e: std::io::Error| BundleError::Bulk(e.to_string());
    for (list, bytes) in csv::all(material, paper).map_err(failed)? {
        files.insert(list.path.clone(), bytes);
        paper.lists.push(list);
    }
    let mut lists = Vec::new();
    csv::lists(&paper.lists, &mut lists).map_err(failed)?;
    files.insert(csv::LISTS.into(), lists);
    files.insert("index.html".into(), html::render(paper).into_bytes());
    for control in &paper.controls {
        files.insert(format!("controls/{}.json", control.id), json::control(control)?);
    }
    Ok(files)
}

/// What a verifier checks.
fn proofs(material: &Material, bulk: &mut dyn Bulk, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), BundleError> {
    files.insert("checkpoint.txt".into(), material.checkpoint.clone().into_bytes());
    let mut digests: BTreeMap<HostId, Vec<Digest>> = BTreeMap::new();
    material.reports.iter().for_each(|r| digests.entry(r.host).or_default().push(r.digest));
    for host in &material.hosts {
        files.insert(format!("hosts/{}.json", host.id), json::host(host)?);
        let heavy = bulk.host(&host.id).map_err(BundleError::Bulk)?;
        for (signed, digest) in heavy.reports.iter().zip(digests.remove(&host.id).unwrap_or_default()) {
            files.insert(format!("reports/{digest}.json"), signed.envelope.clone());
            files.insert(format!("proofs/{digest}.json"), json::proof(&signed.proof)?);
        }
        for PlainBlob { host, address, plain } in &heavy.blobs {
            files.insert(format!("blobs/{host}/{address}.json"), plain.clone());
        }
    }
    Ok(())
}
