//! From the store to evidence: everything a bundle needs, fixed to the current checkpoint.
//!
//! The export is logged as a leaf with the bundle's digest before the bundle is handed out, so no
//! bundle exists that the ledger does not know; its leaf comes after the checkpoint it is fixed to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use super::store::{FindingFilter, HostRow, ReportRow, Store, StoreError};
use crate::evidence::archive;
use crate::evidence::material::{Host, Material, Period, PlainBlob, Proof, Rule, SignedReport, Transition};
use crate::evidence::{Bundle, BundleError};
use crate::ledger::{CheckpointError, Kind, Tree, Verifier, checkpoint, tree};
use crate::model::blob::{self, BlobError};
use crate::model::envelope::Envelope;
use crate::model::ids::{Address, HostId};
use crate::model::report::Report;
use crate::pki::keys::SigningKey;
use crate::rules::{Pack, framework};

/// Leaves read at a time.
const PAGE: u64 = 4096;
/// Most bytes of blobs in one bundle: what a bundle may hold.
const MAX_BLOBS: usize = archive::MAX_BYTES;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bundle could not be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Nothing was ever signed.
    #[error("the ledger has no checkpoint yet: start the collector once, then export")]
    NoCheckpoint,
    /// The checkpoint is not by the key at hand.
    #[error("the ledger's checkpoint is not by the ledger key at hand: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The leaves don't lead to the signed root.
    #[error("the ledger was altered: its first {0} entries do not lead to the signed root; restore the newest backup")]
    Ledger(u64),
    /// A stored row does not read.
    #[error("stored {0} is damaged: {1}; restore the newest backup")]
    Damaged(&'static str, String),
    /// More than a bundle holds.
    #[error("the blobs of this period exceed {MAX_BLOBS} bytes: export a shorter period")]
    TooLarge,
    /// The task that makes the bundle failed.
    #[error("making the bundle failed inside assay: report this as a defect")]
    Task,
}

/// Where a bundle comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// What is remembered.
    pub store: Store,
    /// The ledger key.
    pub signer: Arc<SigningKey>,
    /// Its public half under the ledger's name.
    pub verifier: Verifier,
    /// What was judged by.
    pub pack: Arc<Pack>,
}

/// Makes a bundle and logs it. `today` is the day of the export: windows that end later are open.
pub async fn bundle(source: &Source, framework: &framework::Framework, period: Period, today: Date) -> Result<Bundle, ExportError> {
    let material = material(source, framework, period, today).await?;
    let signer = source.signer.clone();
    let made = tokio::task::spawn_blocking(move || Bundle::of(&material, |m| signer.sign(m))).await;
    let bundle = made.map_err(|_| ExportError::Task)??;
    source.store.append_leaf(Kind::Export.id(), &bundle.digest, None).await?;
    Ok(bundle)
}

/// What a bundle of this framework and period is made from.
pub async fn material(source: &Source, framework: &framework::Framework, period: Period, today: Date) -> Result<Material, ExportError> {
    let store = &source.store;
    let (size, note) = store.checkpoint().await?.ok_or(ExportError::NoCheckpoint)?;
    let hosts = store.hosts(Some(period.end().saturating_sub(1))).await?;
    let (start, end) = period.padded();
    let known: BTreeSet<HostId> = hosts.iter().map(|h| h.id).collect();
    let reports: Vec<ReportRow> = store.reports(None, Some((start, end)), 0).await?.into_iter().filter(|r| known.contains(&r.host)).collect();
    let (mut reports, late): (Vec<ReportRow>, Vec<ReportRow>) = reports.into_iter().partition(|r| r.leaf.is_some_and(|l| l < size));
    reports.sort_by_key(|r| (r.finished, r.id));
    let mut enrolments = BTreeMap::new();
    for host in &hosts {
        if let Some(row) = store.leaf_of(Kind::Enrolment.id(), &host.id.to_string()).await?.filter(|r| r.index < size) {
            enrolments.insert(host.id, row.index);
        }
    }
    let wanted = reports.iter().filter_map(|r| r.leaf).chain(enrolments.values().copied()).collect();
    let proofs = proofs(source, size, &note, &wanted).await?;
    let blobs = blobs(store, &hosts, &reports).await?;
    let filter = FindingFilter { period: Some((period.start(), period.end())), ..FindingFilter::default() };
    let transition = |r: super::store::FindingRow| Transition { host: r.host, finding: r.finding, since: r.since, until: r.until, report: r.report };
    let findings = store.findings(&filter).await?.into_iter().map(transition).collect();
    Ok(Material {
        framework: framework.clone(),
        rules: rules_of(&source.pack, framework),
        pack: source.pack.digest(),
        period,
        as_of: today,
        hosts: hosts.into_iter().map(|h| host_of(h, &enrolments, &proofs)).collect(),
        reports: reports.into_iter().filter_map(|r| signed(r, &proofs)).collect(),
        unsequenced: late.iter().filter(|r| r.finished < period.end() && r.finished >= period.start()).count() as u64,
        findings,
        blobs,
        verifier: source.verifier.clone(),
        checkpoint: note,
    })
}

fn host_of(row: HostRow, enrolments: &BTreeMap<HostId, u64>, proofs: &BTreeMap<u64, Proof>) -> Host {
    Host {
        enrolment: enrolments.get(&row.id).and_then(|i| proofs.get(i)).cloned(),
        id: row.id,
        name: row.name,
        public_key: row.public_key,
        salt: row.salt,
        os: row.os,
        enrolled_at: row.enrolled_at,
        seen_at: row.seen_at,
        retired: row.state.is_over(),
    }
}

fn signed(row: ReportRow, proofs: &BTreeMap<u64, Proof>) -> Option<SignedReport> {
    let proof = proofs.get(&row.leaf?)?.clone();
    Some(SignedReport { envelope: row.envelope, received: row.received, proof })
}

fn rules_of(pack: &Pack, framework: &framework::Framework) -> Vec<Rule> {
    let named: BTreeSet<&str> = framework.controls.iter().flat_map(|c| c.rules.iter().map(|m| m.rule.as_str())).collect();
    let rule = |r: &crate::rules::Rule| Rule {
        id: r.id.clone(),
        title: r.title.clone(),
        severity: r.severity,
        why: r.why.clone(),
        verify: r.verify.clone(),
        cadence: r.cadence,
    };
    named.into_iter().filter_map(|id| pack.rule(id).map(rule)).collect()
}

/// Proofs of the wanted leaves under the checkpoint; the whole ledger is hashed again on the way.
async fn proofs(source: &Source, size: u64, note: &str, wanted: &BTreeSet<u64>) -> Result<BTreeMap<u64, Proof>, ExportError> {
    let signed = checkpoint::open(note, &source.verifier)?;
    let (mut tree, mut texts) = (Tree::new(), BTreeMap::new());
    while tree.size() < size {
        let rows = source.store.leaves(tree.size(), size.min(tree.size().saturating_add(PAGE))).await?;
        if rows.is_empty() {
            return Err(ExportError::Ledger(size));
        }
        for row in rows {
            if row.index != tree.size() {
                return Err(ExportError::Ledger(size));
            }
            tree.push(tree::leaf_hash(&row.bytes));
            if wanted.contains(&row.index) {
                texts.insert(row.index, String::from_utf8(row.bytes).map_err(|e| ExportError::Damaged("ledger entry", e.to_string()))?);
            }
        }
    }
    if signed.size != size || tree.root() != signed.root {
        return Err(ExportError::Ledger(size));
    }
    let proof = |(index, leaf): (u64, String)| Some((index, Proof { index, leaf, proof: tree.inclusion(index, size)? }));
    Ok(texts.into_iter().filter_map(proof).collect())
}

/// Every blob that the reports name and that is still kept, by host and address.
async fn blobs(store: &Store, hosts: &[HostRow], reports: &[ReportRow]) -> Result<Vec<PlainBlob>, ExportError> {
    let mut named: BTreeSet<(HostId, Address)> = BTreeSet::new();
    for row in reports {
        let damaged = |e: String| ExportError::Damaged("report", e);
        let payload = Envelope::parse(&row.envelope).and_then(|e| e.payload_bytes()).map_err(|e| damaged(e.to_string()))?;
        let report: Report = serde_json::from_slice(&payload).map_err(|e| damaged(e.to_string()))?;
        named.extend(report.addresses().into_iter().map(|a| (row.host, a)));
    }
    let salts: BTreeMap<HostId, _> = hosts.iter().map(|h| (h.id, h.salt)).collect();
    let (mut out, mut total) = (Vec::new(), 0usize);
    for (host, address) in named {
        let (Some(frame), Some(salt)) = (store.blob(&host, &address).await?, salts.get(&host)) else { continue };
        let plain = blob::Blob::open(salt, &address, &frame).map_err(|e: BlobError| ExportError::Damaged("blob", format!("{address} of {host}: {e}")))?.plain;
        total = total.saturating_add(plain.len());
        if total > MAX_BLOBS {
            return Err(ExportError::TooLarge);
        }
        out.push(PlainBlob { host, address, plain });
    }
    Ok(out)
}
