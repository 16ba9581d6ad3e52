//! From the store to evidence: everything a bundle needs, fixed to the current checkpoint.
//!
//! The export is logged with the bundle's digest before the bundle gets its name, so no bundle exists that the ledger
//! does not know; its entry comes after the checkpoint that the bundle is fixed to.

mod bulk;
pub mod jobs;
mod ticket;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use self::bulk::{History, StoreBulk};
use self::ticket::Ticket;
use super::lists::List;
use super::store::{FindingFilter, FindingRow, HostRow, ReportRow, Statement, Store, StoreError};
use crate::evidence::bundle::{self, Progress, Written};
use crate::evidence::material::{Host, LedgerEvent, ListVersion, Material, Period, Proof, RecordedEvent, ReportMeta, Rule, Sampling, Scope, Transition};
use crate::evidence::work::{Noted, Work, WorkError};
use crate::evidence::{BundleError, revocation};
use crate::host::{clock, durable};
use crate::ledger::{CheckpointError, Kind, Leaf, Verifier};
use crate::model::canonical;
use crate::model::envelope::Envelope;
use crate::model::finding::UnknownReason;
use crate::model::ids::{Address, Digest, HostId};
use crate::model::report::Report;
use crate::pki::keys::SigningKey;
use crate::records::types;
use crate::rules::{Pack, framework};

/// Addresses of blobs asked for at a time.
const ADDRESSES: usize = 1000;
/// Permission bits of a bundle.
const MODE: u32 = 0o640;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bundle could not be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The work folder can't be used.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// The interrupted export was another one.
    #[error("{}: the interrupted export differs from this one in {differs}; give the same order, or remove the folder", .folder.display())]
    OtherOrder {
        /// The work folder.
        folder: PathBuf,
        /// What differs, in words.
        differs: String,
    },
    /// No host of this name.
    #[error("no host enrolled before the end of the period is named {0}; see the names in population.csv or on the page Hosts")]
    NoHost(String),
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
    /// A list that the population is compared with, given with the order.
    pub inventory: Option<ListVersion>,
    /// The day of the export: windows that end later are open.
    pub today: Date,
}

/// Where the bundle goes, and who asked.
#[derive(Clone, Debug)]
pub struct Target {
    /// The file.
    pub out: PathBuf,
    /// Go on with what an interrupted export of this file packed.
    pub resume: bool,
    /// Who asked, for the ledger.
    pub by: String,
}

/// Hears of each packed host; `false` stops the export, which can be resumed.
pub type Tell = Box<dyn FnMut(Progress) -> bool + Send>;

/// What the ledger keeps of an export.
#[derive(Debug, Serialize)]
struct Exported<'a> {
    at: i64,
    /// SHA-256 of the file.
    bundle: Digest,
    by: &'a str,
    bytes: u64,
    checkpoint_size: u64,
    framework: &'a str,
    from: String,
    sampling: &'a Option<Sampling>,
    scope: &'a Scope,
    to: String,
}

/// The folder in which an export to `out` works.
pub fn work_folder(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Makes a bundle, logs it and gives it its name.
pub async fn export(source: &Source, order: &Order, target: &Target, mut tell: Tell) -> Result<Written, ExportError> {
    let folder = work_folder(&target.out);
    let fixed = if target.resume { Some(Ticket::of_folder(&folder)?) } else { None };
    if let Some(differs) = fixed.as_ref().and_then(|ticket| ticket.differs(source, order)) {
        return Err(ExportError::OtherOrder { folder, differs });
    }
    let order = &Order { today: fixed.as_ref().and_then(Ticket::day).unwrap_or(order.today), ..order.clone() };
    let history = History::read(source, fixed.as_ref().map(|t| t.checkpoint.clone())).await?;
    let checkpoint_size = history.size();
    let ticket = Ticket::of(source, order, &history.note);
    let (material, mut bulk) = material(source, order, history).await?;
    let mut work = if fixed.is_some() { Work::resume(&folder)? } else { Work::begin(&folder, &ticket.to_bytes()?)? };
    let signer = source.signer.clone();
    let made = tokio::task::spawn_blocking(move || {
        let mut out = durable::create(&work.container(), MODE)?;
        let mut steps = Noted { journal: &mut work.journal, tell: &mut tell };
        let written = bundle::write(&material, &mut bulk, |m| signer.sign(m), &mut work.pack, &mut steps, &mut out)?;
        out.sync_all()?;
        Ok::<_, BundleError>((written, work))
    })
    .await;
    let (written, work) = made.map_err(|_| ExportError::Task)??;
    let at = clock::unix_now();
    let said = Exported {
        at,
        bundle: written.digest,
        by: &target.by,
        bytes: written.bytes,
        checkpoint_size,
        framework: &order.framework.id,
        from: order.period.from.to_string(),
        sampling: &order.sampling,
        scope: &order.scope,
        to: order.period.to.to_string(),
    };
    source.store.put_statement(&Statement::of(Kind::Export, at, &said)?, None).await?;
    work.finish(&target.out)?;
    Ok(written)
}

/// What a bundle is made from.
async fn material(source: &Source, order: &Order, history: History) -> Result<(Material, StoreBulk), ExportError> {
    let (store, period, size) = (&source.store, order.period, history.size());
    let mut hosts = store.hosts(Some(period.end().saturating_sub(1))).await?;
    hosts.retain(|h| order.scope.covers(&h.name));
    if hosts.is_empty() && !order.scope.hosts.is_empty() {
        return Err(ExportError::NoHost(order.scope.hosts.join(", ")));
    }
    let mut found = Found::default();
    for host in &hosts {
        found.add(store, host, period, size).await?;
    }
    let inside: BTreeSet<HostId> = hosts.iter().map(|h| h.id).collect();
    let (mut texts, mut findings, mut ways) = (Texts::default(), Vec::new(), Vec::new());
    for host in &hosts {
        // Host by host: as rows, with everything they cite, verdicts are many times larger than what is kept of them.
        let filter = FindingFilter { host: Some(host.id), period: Some((period.start(), period.end())), ..FindingFilter::default() };
        findings.extend(store.findings(&filter).await?.into_iter().map(|f| texts.transition(f)));
    }
    for rule in revocation::RULES {
        let spans = store.spans(rule, period.start(), period.end()).await?;
        ways.extend(spans.into_iter().filter(|f| inside.contains(&f.host)).map(|f| texts.transition(f)));
    }
    let replaced: BTreeMap<HostId, HostId> = hosts.iter().filter_map(|h| Some((h.replaces?, h.id))).collect();
    let ledger = entries(store, &history, period, &inside).await?;
    let records = records(store, &history).await?;
    let files = files(store, &order.framework, &records).await?;
    let salts = hosts.iter().map(|h| (h.id, h.salt)).collect();
    found.reports.sort_by_key(|r| (r.finished, r.digest));
    let material = Material {
        company: store.setting(super::accounts::COMPANY).await?,
        framework: order.framework.clone(),
        rules: rules_of(&source.pack, &order.framework),
        pack: source.pack.digest(),
        period,
        as_of: order.today,
        hosts: hosts.into_iter().map(|h| host_of(h, &history, &replaced)).collect(),
        scope: order.scope.clone(),
        reports: found.reports,
        erased: found.erased,
        unsequenced: found.late,
        findings,
        ways,
        revoke_limit: revoke_limit(store, period).await?,
        silent_after: store.silence(),
        record_types: types::builtin().map_err(|e| ExportError::Damaged("record types", e.to_string()))?.to_vec(),
        records,
        files,
        ledger,
        lists: lists(store, order).await?,
        sampling: order.sampling.clone(),
        verifier: source.verifier.clone(),
        checkpoint: history.note.clone(),
    };
    Ok((material, StoreBulk::new(store.clone(), period.padded(), salts, history)))
}

/// What the last policy of the period allows until every way in of a person who left is closed, seconds; `None`: none was in force, or
/// it is in a form that this program does not know.
async fn revoke_limit(store: &Store, period: Period) -> Result<Option<i64>, ExportError> {
    #[derive(Deserialize)]
    struct Limit {
        leaver_limit_days: i64,
    }
    let policies = store.list_versions(Kind::Policy.id(), period.start(), period.end()).await?;
    let bytes = policies.into_iter().next_back().and_then(|v| v.bytes);
    let limit: Option<Limit> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(limit.map(|l| l.leaver_limit_days.saturating_mul(86_400)))
}

/// Versions of the lists that were in force in the period, by name and time; the one given with the order is the last.
async fn lists(store: &Store, order: &Order) -> Result<Vec<ListVersion>, ExportError> {
    let mut out = Vec::new();
    for list in List::ALL {
        let versions = store.list_versions(list.name(), order.period.start(), order.period.end()).await?;
        out.extend(versions.into_iter().map(|v| ListVersion { name: v.name, since: v.since, until: v.until, digest: v.digest, rows: v.rows, bytes: v.bytes }));
    }
    out.sort_by(|a, b| (&a.name, a.since).cmp(&(&b.name, b.since)));
    out.extend(order.inventory.iter().cloned());
    Ok(out)
}

/// Everything that was recorded under the checkpoint, in the order of the ledger.
async fn records(store: &Store, history: &History) -> Result<Vec<RecordedEvent>, ExportError> {
    let about = |(leaf, _): &&(Leaf, Proof)| Kind::RECORDS.contains(&leaf.kind);
    let proofs: BTreeMap<Digest, &Proof> = history.events.iter().filter(about).map(|(leaf, proof)| (leaf.reference, proof)).collect();
    let mut out = Vec::new();
    for recorded in store.record_events().await? {
        let Some(proof) = proofs.get(&recorded.digest) else { continue };
        let body = canonical::to_bytes(&recorded.event).map_err(|e| ExportError::Damaged("event of a record", e.to_string()))?;
        out.push(RecordedEvent { digest: recorded.digest, body, event: recorded.event, proof: (*proof).clone() });
    }
    out.sort_by_key(|r| r.proof.index);
    Ok(out)
}

/// The files of the records that the framework asks for.
async fn files(store: &Store, framework: &framework::Framework, records: &[RecordedEvent]) -> Result<BTreeMap<Digest, Vec<u8>>, ExportError> {
    let asked: BTreeSet<&str> = framework.controls.iter().flat_map(|c| c.records.iter().map(String::as_str)).collect();
    let mut out = BTreeMap::new();
    for file in records.iter().filter(|r| asked.contains(r.event.record.as_str())).flat_map(|r| &r.event.files) {
        if let Some(bytes) = store.record_file(&file.sha256).await? {
            out.insert(file.sha256, bytes);
        }
    }
    Ok(out)
}

/// Entries of the period that are about no report and no record, with the texts behind them.
async fn entries(store: &Store, history: &History, period: Period, hosts: &BTreeSet<HostId>) -> Result<Vec<LedgerEvent>, ExportError> {
    let inside = |leaf: &Leaf| leaf.at >= period.start() && leaf.at < period.end() && !Kind::RECORDS.contains(&leaf.kind);
    let kinds: BTreeSet<Kind> = history.events.iter().filter(|(leaf, _)| inside(leaf)).map(|(leaf, _)| leaf.kind).collect();
    let mut texts: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    for kind in kinds {
        texts.extend(store.statements(kind).await?.into_iter().map(|s| (s.digest, s.body)));
    }
    let ours = |host: Option<HostId>| host.is_none_or(|h| hosts.contains(&h));
    let event = |(leaf, proof): &(Leaf, Proof)| LedgerEvent {
        kind: leaf.kind,
        at: leaf.at,
        host: leaf.host,
        body: texts.get(&leaf.reference).cloned(),
        reference: leaf.reference,
        proof: proof.clone(),
    };
    Ok(history.events.iter().filter(|(leaf, _)| inside(leaf) && ours(leaf.host)).map(event).collect())
}

/// What the first look at all reports of the period finds.
#[derive(Default)]
struct Found {
    reports: Vec<ReportMeta>,
    /// Reports of the period beyond the checkpoint.
    late: u64,
    /// Blobs that are named and not kept.
    erased: u64,
}

impl Found {
    async fn add(&mut self, store: &Store, host: &HostRow, period: Period, size: u64) -> Result<(), ExportError> {
        let mut named: BTreeSet<Address> = BTreeSet::new();
        for row in store.reports(Some(&host.id), Some(period.padded()), 0).await? {
            if row.leaf.is_none_or(|l| l >= size) {
                self.late += u64::from(row.finished < period.end() && row.finished >= period.start());
                continue;
            }
            let report = payload(&row)?;
            named.extend(report.addresses());
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
        for some in named.chunks(ADDRESSES) {
            self.erased += store.missing_blobs(&host.id, some).await?.len() as u64;
        }
        Ok(())
    }
}

fn payload(row: &ReportRow) -> Result<Report, ExportError> {
    let damaged = |e: String| ExportError::Damaged("report", e);
    let payload = Envelope::parse(&row.envelope).and_then(|e| e.payload_bytes()).map_err(|e| damaged(e.to_string()))?;
    serde_json::from_slice(&payload).map_err(|e| damaged(e.to_string()))
}

/// Texts and reasons that many findings share.
#[derive(Default)]
struct Texts {
    texts: BTreeSet<Arc<str>>,
    reasons: BTreeSet<Arc<UnknownReason>>,
}

impl Texts {
    fn shared(&mut self, text: String) -> Arc<str> {
        match self.texts.get(text.as_str()) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = text.into();
                self.texts.insert(new.clone());
                new
            }
        }
    }

    fn reason(&mut self, why: UnknownReason) -> Arc<UnknownReason> {
        match self.reasons.get(&why) {
            Some(known) => known.clone(),
            None => {
                let new = Arc::new(why);
                self.reasons.insert(new.clone());
                new
            }
        }
    }

    fn transition(&mut self, r: FindingRow) -> Transition {
        Transition {
            host: r.host,
            rule: self.shared(r.finding.rule),
            subject: self.shared(r.finding.subject),
            verdict: r.finding.verdict,
            severity: r.finding.severity,
            message: self.shared(r.finding.message),
            reason: r.finding.reason.map(|why| self.reason(why)),
            since: r.since,
            until: r.until,
            report: r.report,
        }
    }
}

fn host_of(row: HostRow, history: &History, replaced: &BTreeMap<HostId, HostId>) -> Host {
    Host {
        replaced_by: replaced.get(&row.id).copied(),
        enrolment: history.enrolment(&row.id),
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
