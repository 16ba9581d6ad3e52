//! From the store to evidence: everything a bundle needs, fixed to the current checkpoint.
//!
//! The export is logged as a leaf with the bundle's digest before the bundle is handed out, so no
//! bundle exists that the ledger does not know; its leaf comes after the checkpoint it is fixed to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use super::store::{FindingFilter, FindingRow, HostRow, ReportRow, Store, StoreError};
use crate::evidence::material::{Bulk, Host, HostBulk, Material, Period, PlainBlob, Proof, ReportMeta, Rule, Sampling, Scope, SignedReport, Transition};
use crate::evidence::{Bundle, BundleError, revocation};
use crate::ledger::{CheckpointError, Kind, Tree, Verifier, checkpoint, tree};
use crate::model::blob::{self, BlobError};
use crate::model::envelope::Envelope;
use crate::model::ids::{Address, HostId, Salt};
use crate::model::report::Report;
use crate::pki::keys::SigningKey;
use crate::records::types;
use crate::rules::{Pack, framework};

/// Leaves read at a time.
const PAGE: u64 = 4096;

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
    /// What the policy allows until every way in of a person who left is closed, seconds; `None`: not known here.
    pub revoke_limit: Option<i64>,
}

/// What to export.
#[derive(Clone, Debug)]
pub struct Order {
    /// Framework or page of commitments.
    pub framework: framework::Framework,
    /// Which days.
    pub period: Period,
    /// Which hosts.
    pub scope: Scope,
    /// How samples are drawn.
    pub sampling: Option<Sampling>,
    /// The day of the export: windows that end later are open.
    pub today: Date,
}

/// Makes a bundle and logs it.
pub async fn bundle(source: &Source, order: &Order) -> Result<Bundle, ExportError> {
    let (material, mut bulk) = material(source, order).await?;
    let signer = source.signer.clone();
    let made = tokio::task::spawn_blocking(move || Bundle::of(&material, &mut bulk, |m| signer.sign(m))).await;
    let bundle = made.map_err(|_| ExportError::Task)??;
    source.store.append_leaf(Kind::Export.id(), &bundle.digest, None).await?;
    Ok(bundle)
}

/// What a bundle is made from.
pub async fn material(source: &Source, order: &Order) -> Result<(Material, StoreBulk), ExportError> {
    let (store, period) = (&source.store, order.period);
    let (size, note) = store.checkpoint().await?.ok_or(ExportError::NoCheckpoint)?;
    let hosts = store.hosts(Some(period.end().saturating_sub(1))).await?;
    let mut found = Found::default();
    for host in &hosts {
        found.add(store, host, period, size).await?;
    }
    let mut enrolments = BTreeMap::new();
    for host in &hosts {
        if let Some(row) = store.leaf_of(Kind::Enrolment.id(), &host.id.to_string()).await?.filter(|r| r.index < size) {
            enrolments.insert(host.id, row.index);
        }
    }
    let wanted = found.leaves.values().flatten().copied().chain(enrolments.values().copied()).collect();
    let proofs = proofs(source, size, &note, &wanted).await?;
    let filter = FindingFilter { period: Some((period.start(), period.end())), ..FindingFilter::default() };
    let findings = transitions(store.findings(&filter).await?);
    let salts = hosts.iter().map(|h| (h.id, h.salt)).collect();
    found.reports.sort_by_key(|r| (r.finished, r.digest));
    let mut ways = Vec::new();
    for rule in revocation::RULES {
        ways.extend(transitions(store.spans(rule, period.start(), period.end()).await?));
    }
    let replaced: BTreeMap<HostId, HostId> = hosts.iter().filter_map(|h| Some((h.replaces?, h.id))).collect();
    let material = Material {
        company: String::new(),
        framework: order.framework.clone(),
        rules: rules_of(&source.pack, &order.framework),
        pack: source.pack.digest(),
        period,
        as_of: order.today,
        hosts: hosts.into_iter().map(|h| host_of(h, &enrolments, &proofs, &replaced)).collect(),
        scope: order.scope.clone(),
        reports: found.reports,
        erased: found.erased,
        unsequenced: found.late,
        findings,
        ways,
        revoke_limit: source.revoke_limit,
        silent_after: store.silence(),
        record_types: types::builtin().map_err(|e| ExportError::Damaged("record types", e.to_string()))?.to_vec(),
        records: Vec::new(),
        files: BTreeMap::new(),
        ledger: Vec::new(),
        lists: Vec::new(),
        sampling: order.sampling.clone(),
        verifier: source.verifier.clone(),
        checkpoint: note,
    };
    let bulk = StoreBulk { store: store.clone(), runtime: tokio::runtime::Handle::current(), period: period.padded(), size, salts, proofs };
    Ok((material, bulk))
}

/// What the first look at all reports of the period finds.
#[derive(Default)]
struct Found {
    reports: Vec<ReportMeta>,
    /// Leaves of the reports, by host.
    leaves: BTreeMap<HostId, Vec<u64>>,
    /// Reports of the period beyond the checkpoint.
    late: u64,
    /// Blobs that are named and not kept.
    erased: u64,
}

impl Found {
    async fn add(&mut self, store: &Store, host: &HostRow, period: Period, size: u64) -> Result<(), ExportError> {
        let mut named: BTreeSet<Address> = BTreeSet::new();
        for row in store.reports(Some(&host.id), Some(period.padded()), 0).await? {
            let Some(leaf) = row.leaf.filter(|l| *l < size) else {
                self.late += u64::from(row.finished < period.end() && row.finished >= period.start());
                continue;
            };
            let report = payload(&row)?;
            named.extend(report.addresses());
            self.leaves.entry(host.id).or_default().push(leaf);
            self.reports.push(ReportMeta {
                digest: row.id,
                host: row.host,
                kind: row.kind,
                state: row.state,
                window: row.window,
                started: row.started,
                finished: row.finished,
                received: row.received,
                limits: report.limits,
            });
        }
        let named: Vec<Address> = named.into_iter().collect();
        self.erased += store.missing_blobs(&host.id, &named).await?.len() as u64;
        Ok(())
    }
}

fn payload(row: &ReportRow) -> Result<Report, ExportError> {
    let damaged = |e: String| ExportError::Damaged("report", e);
    let payload = Envelope::parse(&row.envelope).and_then(|e| e.payload_bytes()).map_err(|e| damaged(e.to_string()))?;
    serde_json::from_slice(&payload).map_err(|e| damaged(e.to_string()))
}

/// Findings with their texts shared.
fn transitions(rows: Vec<FindingRow>) -> Vec<Transition> {
    let mut texts: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut shared = |text: String| match texts.get(text.as_str()) {
        Some(known) => known.clone(),
        None => {
            let new: Arc<str> = text.into();
            texts.insert(new.clone());
            new
        }
    };
    let transition = |r: FindingRow| Transition {
        host: r.host,
        rule: shared(r.finding.rule),
        subject: shared(r.finding.subject),
        verdict: r.finding.verdict,
        severity: r.finding.severity,
        message: shared(r.finding.message),
        reason: r.finding.reason.map(Arc::new),
        since: r.since,
        until: r.until,
        report: r.report,
    };
    rows.into_iter().map(transition).collect()
}

/// The heavy parts of hosts, read from the store when the bundle comes to them.
#[derive(Debug)]
pub struct StoreBulk {
    store: Store,
    runtime: tokio::runtime::Handle,
    /// Unix seconds.
    period: (i64, i64),
    /// Leaves under the checkpoint.
    size: u64,
    salts: BTreeMap<HostId, Salt>,
    proofs: BTreeMap<u64, Proof>,
}

impl Bulk for StoreBulk {
    fn host(&mut self, host: &HostId) -> Result<HostBulk, String> {
        self.runtime.block_on(self.read(host)).map_err(|e| e.to_string())
    }
}

impl StoreBulk {
    async fn read(&self, host: &HostId) -> Result<HostBulk, ExportError> {
        let mut rows = self.store.reports(Some(host), Some(self.period), 0).await?;
        rows.retain(|r| r.leaf.is_some_and(|l| l < self.size));
        rows.sort_by_key(|r| (r.finished, r.id));
        let mut named: BTreeSet<Address> = BTreeSet::new();
        for row in &rows {
            named.extend(payload(row)?.addresses());
        }
        let mut bulk = HostBulk { reports: rows.into_iter().filter_map(|r| signed(r, &self.proofs)).collect(), blobs: Vec::new() };
        for address in named {
            let (Some(frame), Some(salt)) = (self.store.blob(host, &address).await?, self.salts.get(host)) else { continue };
            let plain =
                blob::Blob::open(salt, &address, &frame).map_err(|e: BlobError| ExportError::Damaged("blob", format!("{address} of {host}: {e}")))?.plain;
            bulk.blobs.push(PlainBlob { host: *host, address, plain });
        }
        Ok(bulk)
    }
}

fn host_of(row: HostRow, enrolments: &BTreeMap<HostId, u64>, proofs: &BTreeMap<u64, Proof>, replaced: &BTreeMap<HostId, HostId>) -> Host {
    Host {
        replaced_by: replaced.get(&row.id).copied(),
        enrolment: enrolments.get(&row.id).and_then(|i| proofs.get(i)).cloned(),
        id: row.id,
        name: row.name,
        public_key: row.public_key,
        salt: row.salt,
        os: row.os,
        enrolled_at: row.enrolled_at,
        seen_at: row.seen_at,
        retired_at: row.retired_at,
        retired_why: row.retired_why,
    }
}

fn signed(row: ReportRow, proofs: &BTreeMap<u64, Proof>) -> Option<SignedReport> {
    let proof = proofs.get(&row.leaf?)?.clone();
    Some(SignedReport { envelope: row.envelope, received: row.received, proof })
}

fn rules_of(pack: &Pack, framework: &framework::Framework) -> Vec<Rule> {
    let mut named: BTreeSet<&str> = framework.controls.iter().flat_map(|c| c.rules.iter().map(|m| m.rule.as_str())).collect();
    // A page that names no rule is about all of them.
    if named.is_empty() {
        named.extend(pack.rules.iter().map(|r| r.id.as_str()));
    }
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
