//! Material to a bundle: host by host, so that memory does not grow with reports and blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Seek, Write};

use ring::digest::{Context, SHA256};

use super::archive::{ArchiveError, Container, Facts, Method, Pack};
use super::assemble::{AssembleError, assemble};
use super::json::LineError;
use super::manifest::{self, Head, Manifest};
use super::material::{Bulk, Host, Material};
use super::paper::Paper;
use super::{csv, html, json, layout, oscal, xlsx};
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
    /// A stored value does not read.
    #[error("bundle: {0}")]
    Line(#[from] LineError),
    /// A host's reports or blobs could not be had.
    #[error("bundle: {0}")]
    Bulk(String),
    /// The workbook could not be made.
    #[error("bundle: workbook: {0}")]
    Workbook(String),
    /// Too large, a path that can't be written, or the disk failed.
    #[error("bundle: {0}")]
    Archive(#[from] ArchiveError),
    /// Somebody asked to stop.
    #[error("the export was stopped")]
    Stopped,
}

impl From<std::io::Error> for BundleError {
    fn from(e: std::io::Error) -> Self {
        Self::Archive(e.into())
    }
}

/// How far an export is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Hosts packed.
    pub done: u64,
    /// Hosts in all.
    pub hosts: u64,
    /// Packed bytes.
    pub bytes: u64,
}

/// What happens while a bundle is made.
pub trait Steps {
    /// A host is packed; `facts` are its files. An error stops the export.
    fn packed(&mut self, facts: &[Facts], progress: Progress) -> Result<(), BundleError>;
}

/// Nothing happens.
impl Steps for () {
    fn packed(&mut self, _: &[Facts], _: Progress) -> Result<(), BundleError> {
        Ok(())
    }
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// SHA-256 of the zip file.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// What it says.
    pub paper: Paper,
}

/// Makes the bundle: packs into `pack`, then writes the zip file to `out`; `sign` is Ed25519 by the ledger key.
/// The same material gives the same bytes, whatever was packed before.
pub fn write<D: Read + Write + Seek>(
    material: &Material,
    bulk: &mut dyn Bulk,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
    pack: &mut Pack<D>,
    steps: &mut dyn Steps,
    out: &mut dyn Write,
) -> Result<Written, BundleError> {
    let mut paper = assemble(material)?;
    hosts(material, bulk, pack, steps)?;
    logged(material, pack)?;
    documents(material, &mut paper, pack)?;
    let mut entries = pack.entries().to_vec();
    entries.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    let manifest = Manifest::of(head(material, &paper), entries.iter().map(|(facts, _)| facts)).seal(&material.verifier.keyid(), sign)?;
    let mut hashed = Hashed { out, sha: Context::new(&SHA256), bytes: 0 };
    let mut container = Container::new(&mut hashed);
    for entry in &entries {
        container.entry(&entry.0, pack.packed(entry)?)?;
    }
    let mut last = Pack::new(Cursor::new(Vec::new()));
    last.add::<_, BundleError>(manifest::PATH, Method::Store, |out| Ok(out.write_all(&manifest)?))?;
    for entry in &last.entries().to_vec() {
        container.entry(&entry.0, last.packed(entry)?)?;
    }
    container.finish()?;
    let (digest, bytes) = hashed.done();
    Ok(Written { digest, bytes, paper })
}

/// Digests what is written.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    sha: Context,
    bytes: u64,
}

impl Hashed<'_> {
    fn done(self) -> (Digest, u64) {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.sha.finish().as_ref());
        (Digest::new(digest), self.bytes)
    }
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.sha.update(bytes.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn head(material: &Material, paper: &Paper) -> Head {
    let cover = &paper.cover;
    Head {
        checkpoint_size: cover.checkpoint_size,
        framework: cover.framework.clone(),
        from: cover.from.clone(),
        ledger: cover.ledger.clone(),
        sampling: material.sampling.clone(),
        scope: cover.scope.clone(),
        to: cover.to.clone(),
    }
}

/// Key, reports and blobs of every host that was not packed before.
fn hosts<D: Read + Write + Seek>(material: &Material, bulk: &mut dyn Bulk, pack: &mut Pack<D>, steps: &mut dyn Steps) -> Result<(), BundleError> {
    let packed: BTreeSet<String> = pack.entries().iter().map(|(f, _)| f.path.clone()).collect();
    let mut counts: BTreeMap<HostId, usize> = BTreeMap::new();
    material.reports.iter().for_each(|r| *counts.entry(r.host).or_default() += 1);
    let mut progress = Progress { done: 0, hosts: material.hosts.len() as u64, bytes: pack.len() };
    for one in &material.hosts {
        let before = pack.entries().len();
        if !packed.contains(&layout::host(&one.id)) {
            host(one, counts.get(&one.id).copied().unwrap_or_default(), bulk, pack)?;
        }
        let facts: Vec<Facts> = pack.entries().iter().skip(before).map(|(f, _)| f.clone()).collect();
        progress = Progress { done: progress.done + 1, bytes: pack.len(), ..progress };
        steps.packed(&facts, progress)?;
    }
    Ok(())
}

fn host<D: Read + Write + Seek>(host: &Host, expected: usize, bulk: &mut dyn Bulk, pack: &mut Pack<D>) -> Result<(), BundleError> {
    let bytes = json::host(host)?;
    pack.add::<_, BundleError>(&layout::host(&host.id), Method::Auto, |out| Ok(out.write_all(&bytes)?))?;
    if expected == 0 {
        return Ok(());
    }
    let said = |e: &dyn std::fmt::Display| e.to_string();
    let named = pack.add(&layout::reports(&host.id), Method::Auto, |out| {
        let mut n = 0;
        let named = bulk.reports(&host.id, &mut |report| {
            n += 1;
            out.write_all(&json::report(&report).map_err(|e| said(&e))?).map_err(|e| said(&e))
        });
        let named = named.map_err(BundleError::Bulk)?;
        if n != expected {
            return Err(BundleError::Bulk(format!("host {} has {n} reports, {expected} were counted before: export again", host.id)));
        }
        Ok(named)
    })?;
    pack.add(&layout::blobs(&host.id), Method::Auto, |out| {
        bulk.blobs(&host.id, &named, &mut |blob| out.write_all(&json::blob(&blob)).map_err(|e| said(&e))).map_err(BundleError::Bulk)
    })
}

/// What the ledger vouches for beside reports: checkpoint, entries, records with their files, versions of lists.
fn logged<D: Read + Write + Seek>(material: &Material, pack: &mut Pack<D>) -> Result<(), BundleError> {
    plain(pack, layout::CHECKPOINT, material.checkpoint.as_bytes())?;
    pack.add::<_, BundleError>(layout::LEDGER, Method::Auto, |out| material.ledger.iter().try_for_each(|e| Ok(out.write_all(&json::entry(e)?)?)))?;
    pack.add::<_, BundleError>(layout::EVENTS, Method::Auto, |out| material.records.iter().try_for_each(|e| Ok(out.write_all(&json::event(e)?)?)))?;
    for (digest, bytes) in &material.files {
        plain(pack, &layout::file(digest), bytes)?;
    }
    let kept: BTreeMap<Digest, &Vec<u8>> = material.lists.iter().filter_map(|l| Some((l.digest, l.bytes.as_ref()?))).collect();
    kept.iter().try_for_each(|(digest, bytes)| plain(pack, &layout::list(digest), bytes))
}

/// What people read. The tables come first: the paper tells how many rows each has.
fn documents<D: Read + Write + Seek>(material: &Material, paper: &mut Paper, pack: &mut Pack<D>) -> Result<(), BundleError> {
    let tables = csv::Tables::new(material, paper);
    let mut lists = Vec::new();
    for (path, table) in csv::FILES {
        let rows = pack.add::<_, BundleError>(path, Method::Auto, |out| Ok(table(&tables, out)?))?;
        let digest = pack.entries().last().map_or_else(|| Digest::of(b""), |(facts, _)| facts.sha256);
        lists.push(tables.list(path, rows, digest));
    }
    paper.lists = lists;
    pack.add::<_, BundleError>(csv::LISTS, Method::Auto, |out| Ok(csv::lists(&paper.lists, out).map(|_| ())?))?;
    plain(pack, layout::PAGE, html::render(paper).as_bytes())?;
    for control in &paper.controls {
        pack.add::<_, BundleError>(&layout::control(&control.id), Method::Auto, |out| Ok(json::control(control, out)?))?;
    }
    pack.add::<_, BundleError>(layout::OSCAL, Method::Auto, |out| Ok(oscal::write(paper, out)?))?;
    let workbook = xlsx::workbook(paper).map_err(|e| BundleError::Workbook(e.to_string()))?;
    pack.add::<_, BundleError>(layout::WORKBOOK, Method::Store, |out| Ok(out.write_all(&workbook)?))
}

fn plain<D: Read + Write + Seek>(pack: &mut Pack<D>, path: &str, bytes: &[u8]) -> Result<(), BundleError> {
    pack.add(path, Method::Auto, |out| Ok(out.write_all(bytes)?))
}
