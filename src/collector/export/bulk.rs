//! The heavy parts: the ledger's hashes, and reports and blobs read host by host.

use std::collections::{BTreeMap, BTreeSet};

use super::{ExportError, Source, payload};
use crate::collector::store::{ReportRow, Store};
use crate::evidence::material::{Bulk, PlainBlob, Proof, SignedReport};
use crate::ledger::{Kind, Leaf, Tree, checkpoint, tree};
use crate::model::blob::Blob;
use crate::model::ids::{Address, HostId, Salt};

/// Leaves read at a time.
const PAGE: u64 = 4096;
/// Blobs read at a time: each may be some MiB.
const BLOBS: usize = 16;

/// The ledger as a checkpoint fixes it: every hash, and the few entries that are about no report.
#[derive(Debug)]
pub(super) struct History {
    /// The signed checkpoint.
    pub(super) note: String,
    tree: Tree,
    /// Entries that are about no report, by index.
    pub(super) events: Vec<(Leaf, Proof)>,
    /// Where among them a host was enrolled first.
    enrolled: BTreeMap<HostId, usize>,
}

impl History {
    /// Hashes the whole ledger again up to the newest checkpoint, or up to the one that an interrupted export is fixed to.
    pub(super) async fn read(source: &Source, fixed: Option<String>) -> Result<Self, ExportError> {
        let note = match fixed {
            Some(note) => note,
            None => source.store.checkpoint().await?.ok_or(ExportError::NoCheckpoint)?.1,
        };
        let signed = checkpoint::open(&note, &source.verifier)?;
        let (mut tree, mut texts) = (Tree::new(), Vec::new());
        while tree.size() < signed.size {
            let rows = source.store.leaves(tree.size(), signed.size.min(tree.size().saturating_add(PAGE))).await?;
            if rows.is_empty() {
                return Err(ExportError::Ledger(signed.size));
            }
            for row in rows {
                if row.index != tree.size() {
                    return Err(ExportError::Ledger(signed.size));
                }
                tree.push(tree::leaf_hash(&row.bytes));
                if row.kind != Kind::Report.id() {
                    let leaf = Leaf::parse(&row.bytes).map_err(|e| ExportError::Damaged("ledger entry", e.to_string()))?;
                    texts.push((leaf, row.index, text(row.bytes)?));
                }
            }
        }
        if tree.root() != signed.root {
            return Err(ExportError::Ledger(signed.size));
        }
        let prove = |(leaf, index, text)| Some((leaf, Proof { index, leaf: text, proof: tree.inclusion(index, signed.size)? }));
        let events: Vec<(Leaf, Proof)> = texts.into_iter().filter_map(prove).collect();
        let mut enrolled = BTreeMap::new();
        for (i, (leaf, _)) in events.iter().enumerate().filter(|(_, (leaf, _))| leaf.kind == Kind::Enrolment) {
            leaf.host.map(|host| enrolled.entry(host).or_insert(i));
        }
        Ok(Self { note, tree, events, enrolled })
    }

    /// Leaves under the checkpoint.
    pub(super) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The first enrolment of a host.
    pub(super) fn enrolment(&self, host: &HostId) -> Option<Proof> {
        self.events.get(*self.enrolled.get(host)?).map(|(_, proof)| proof.clone())
    }
}

fn text(bytes: Vec<u8>) -> Result<String, ExportError> {
    String::from_utf8(bytes).map_err(|e| ExportError::Damaged("ledger entry", e.to_string()))
}

/// Reports and blobs, read from the store when the bundle comes to their host.
#[derive(Debug)]
pub(super) struct StoreBulk {
    store: Store,
    runtime: tokio::runtime::Handle,
    /// Unix seconds.
    period: (i64, i64),
    salts: BTreeMap<HostId, Salt>,
    history: History,
}

impl StoreBulk {
    pub(super) fn new(store: Store, period: (i64, i64), salts: BTreeMap<HostId, Salt>, history: History) -> Self {
        Self { store, runtime: tokio::runtime::Handle::current(), period, salts, history }
    }

    /// Reports of a host under the checkpoint, each with the bytes of its leaf.
    async fn rows(&self, host: &HostId) -> Result<Vec<(ReportRow, u64, String)>, ExportError> {
        let mut rows = self.store.reports(Some(host), Some(self.period), 0).await?;
        rows.sort_by_key(|r| (r.finished, r.id));
        let indexes: Vec<u64> = rows.iter().filter_map(|r| r.leaf).filter(|l| *l < self.history.size()).collect();
        let mut leaves = BTreeMap::new();
        for some in indexes.chunks(super::ADDRESSES) {
            for row in self.store.leaves_at(some).await? {
                leaves.insert(row.index, text(row.bytes)?);
            }
        }
        Ok(rows.into_iter().filter_map(|row| row.leaf.and_then(|l| Some((row, l, leaves.remove(&l)?)))).collect())
    }

    async fn frames(&self, host: &HostId, some: &[Address]) -> Result<Vec<(Address, Vec<u8>)>, ExportError> {
        let mut frames = self.store.frames(host, some).await?;
        frames.sort_by_key(|(address, _)| *address);
        Ok(frames)
    }
}

impl Bulk for StoreBulk {
    fn reports(&mut self, host: &HostId, take: &mut dyn FnMut(SignedReport) -> Result<(), String>) -> Result<BTreeSet<Address>, String> {
        let rows = self.runtime.block_on(self.rows(host)).map_err(|e| e.to_string())?;
        let mut named = BTreeSet::new();
        for (row, index, leaf) in rows {
            named.extend(payload(&row).map_err(|e| e.to_string())?.addresses());
            let proof = self.history.tree.inclusion(index, self.history.size()).ok_or_else(|| ExportError::Ledger(self.history.size()).to_string())?;
            take(SignedReport { envelope: row.envelope, received: row.received, proof: Proof { index, leaf, proof } })?;
        }
        Ok(named)
    }

    fn blobs(&mut self, host: &HostId, named: &BTreeSet<Address>, take: &mut dyn FnMut(PlainBlob) -> Result<(), String>) -> Result<(), String> {
        let Some(salt) = self.salts.get(host).copied() else { return Ok(()) };
        let named: Vec<Address> = named.iter().copied().collect();
        for some in named.chunks(BLOBS) {
            for (address, frame) in self.runtime.block_on(self.frames(host, some)).map_err(|e| e.to_string())? {
                let opened = Blob::open(&salt, &address, &frame).map_err(|e| ExportError::Damaged("blob", format!("{address} of {host}: {e}")));
                take(PlainBlob { host: *host, address, plain: opened.map_err(|e| e.to_string())?.plain })?;
            }
        }
        Ok(())
    }
}
