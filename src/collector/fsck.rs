//! Reads everything again and names every difference: leaves, tree and checkpoints; reports against their
//! signatures, rows, leaves and receipts; blobs against their addresses; verdicts against time; statements against
//! their entries. It changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::store::{Erased, HostRow, ListGiven, ReportRow, Statement, Store, StoreError, Thinned};
use super::verdicts::Judged;
use super::{sequencer, tiles};
use crate::ledger::{self, Checkpoint, CheckpointError, Kind, Leaf, Tree, Verifier, checkpoint, tree};
use crate::model::blob::Blob;
use crate::model::envelope::{Envelope, REPORT_TYPE};
use crate::model::ids::{Address, Digest, HostId};
use crate::model::report::{Report, ScanKind};
use crate::pki::keys as pki_keys;
use crate::records::Event;

/// Differences that are told one by one; more are counted.
const MAX_TOLD: usize = 1000;
/// Rows read at a time.
const PAGE: u64 = 4096;

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Stable id of the kind of difference.
    pub id: &'static str,
    /// Where: a ledger entry, a report, a blob, a host.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// What was read, and what differs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fsck {
    /// What was read, and how many of it.
    pub checked: BTreeMap<&'static str, u64>,
    /// Differences, in the order in which they were found.
    pub differences: Vec<Difference>,
    /// Differences beyond those that are told.
    pub more: u64,
    /// Facts that are not kept any more, as the ledger says, by why.
    pub erased: BTreeMap<&'static str, u64>,
}

impl Fsck {
    fn add(&mut self, id: &'static str, place: impl std::fmt::Display, message: impl Into<String>) {
        if self.differences.len() < MAX_TOLD {
            self.differences.push(Difference { id, place: place.to_string(), message: message.into() });
        } else {
            self.more += 1;
        }
    }

    fn count(&mut self, what: &'static str, by: u64) {
        *self.checked.entry(what).or_default() += by;
    }

    /// Whether nothing differs.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Checks a store whose ledger had these keys, newest first; `progress` hears how many hosts were read, of how many.
pub async fn fsck(store: &Store, keys: &[Verifier], progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Fsck, StoreError> {
    let mut found = Fsck::default();
    let hosts = store.hosts(Some(i64::MAX)).await?;
    let enrolled: BTreeSet<HostId> = hosts.iter().map(|h| h.id).collect();
    ledger(store, keys, &enrolled, &mut found).await?;
    let gone = Gone::read(store).await?;
    statements(store, &gone, &mut found).await?;
    lists(store, &gone, &mut found).await?;
    records(store, &gone, &mut found).await?;
    let judged = Judged::read(store).await?;
    for (number, host) in hosts.iter().enumerate() {
        progress(number, hosts.len());
        host_of(store, keys, host, (&gone, &judged), &mut found).await?;
    }
    progress(hosts.len(), hosts.len());
    for wrong in store.wrong_tallies().await? {
        found.add("tally", "counts of verdicts", wrong);
    }
    Ok(found)
}

/// Leaves, tree, checkpoints, the published head.
async fn ledger(store: &Store, keys: &[Verifier], enrolled: &BTreeSet<HostId>, found: &mut Fsck) -> Result<(), StoreError> {
    let mut tree = Tree::new();
    let mut files = tiles::Check::begin(store);
    let mut entries: BTreeSet<HostId> = BTreeSet::new();
    loop {
        let page = store.leaves(tree.size(), tree.size() + PAGE).await?;
        if page.is_empty() {
            break;
        }
        let mut reports = Vec::new();
        for row in &page {
            if row.index != tree.size() {
                found.add("leaf-hole", format!("ledger entry {}", tree.size()), format!("missing; the next one is {}", row.index));
                return Ok(());
            }
            tree.push(tree::leaf_hash(&row.bytes));
            if let Some(files) = &mut files {
                files.entry(&row.bytes);
            }
            match Leaf::parse(&row.bytes) {
                Err(e) => found.add("leaf-malformed", format!("ledger entry {}", row.index), e.to_string()),
                Ok(leaf) if leaf.kind.id() != row.kind || leaf.reference.to_string() != row.reference => {
                    found.add("leaf-row", format!("ledger entry {}", row.index), "its row tells another kind or reference than the entry itself");
                }
                Ok(leaf) if leaf.kind == Kind::Report => reports.push((row.index, leaf)),
                Ok(leaf) if leaf.kind == Kind::Enrolment => entries.extend(leaf.host),
                Ok(_) => {}
            }
        }
        found.count("ledger entries", page.len() as u64);
        deleted_reports(store, &reports, found).await?;
    }
    for host in enrolled.difference(&entries) {
        found.add("enrolment-unlogged", format!("host {host}"), "it is enrolled and the ledger has no entry of it");
    }
    for host in entries.difference(enrolled) {
        found.add("host-deleted", format!("host {host}"), "the ledger has its enrolment and the host is not here");
    }
    for reference in store.doubled_leaves().await? {
        found.add("leaf-doubled", format!("report {reference}"), "more than one ledger entry is about it");
    }
    if let Some(mut files) = files {
        files.end();
        found.count("tiles", files.checked);
        for (path, what) in files.differences {
            found.add("tile", format!("tiles/{path}"), what);
        }
    }
    checkpoints(store, keys, &tree, found).await
}

async fn deleted_reports(store: &Store, reports: &[(u64, Leaf)], found: &mut Fsck) -> Result<(), StoreError> {
    let ids: Vec<Digest> = reports.iter().map(|(_, leaf)| leaf.reference).collect();
    let here = store.present_reports(&ids).await?;
    for (index, leaf) in reports.iter().filter(|(_, leaf)| !here.contains(&leaf.reference)) {
        found.add("report-deleted", format!("report {}", leaf.reference), format!("ledger entry {index} acknowledges it and it is not here"));
    }
    Ok(())
}

async fn checkpoints(store: &Store, keys: &[Verifier], tree: &Tree, found: &mut Fsck) -> Result<(), StoreError> {
    let mut after = 0;
    let mut newest = 0;
    loop {
        let page = store.checkpoints_after(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.size;
        newest = last.size;
        found.count("checkpoints", page.len() as u64);
        for head in &page {
            let place = format!("checkpoint {}", head.size);
            match opened(&head.note, keys) {
                Err(e) => found.add("checkpoint-signature", &place, e.to_string()),
                Ok(signed) if signed.size != head.size || signed.root != head.root => {
                    found.add("checkpoint-row", &place, "its row tells another size or root than the signed note");
                }
                Ok(signed) if tree.root_at(signed.size) != Some(signed.root) => {
                    found.add("checkpoint-root", &place, "the entries do not lead to the root that was signed");
                }
                Ok(_) => {}
            }
        }
    }
    if newest != tree.size() {
        found.add(
            "ledger-unsigned",
            format!("ledger entry {newest}"),
            format!("{} entries are behind the newest checkpoint", tree.size().saturating_sub(newest)),
        );
    }
    match keys.first().map_or(Ok(None), |key| sequencer::published_head(store, key)) {
        Err(e) => found.add("ledger-head", "ledger-head", e.to_string()),
        Ok(Some(head)) if tree.root_at(head.size) != Some(head.root) => {
            let message = format!("{} entries were published and {} are here; they do not lead to the root that was signed", head.size, tree.size());
            found.add("ledger-rolled-back", "ledger-head", message);
        }
        Ok(_) => {}
    }
    Ok(())
}

/// What a checkpoint says, if one of the ledger's keys signed it; else why the newest did not.
fn opened(note: &str, keys: &[Verifier]) -> Result<Checkpoint, CheckpointError> {
    let mut found = Err(CheckpointError::TooLarge);
    for key in keys.iter().rev() {
        found = checkpoint::open(note, key);
        if found.is_ok() {
            break;
        }
    }
    found
}

/// Texts behind entries, both ways.
async fn statements(store: &Store, gone: &Gone, found: &mut Fsck) -> Result<(), StoreError> {
    for kind in Kind::ALL.into_iter().filter(|k| k.has_statement()) {
        let statements = store.statements(kind).await?;
        let mut leaves = store.leaves_of_kind(kind.id(), 0).await?;
        if kind == Kind::User {
            // Before there were statements, entries about users referred to the digest of the id.
            let first = leaves.iter().filter(|l| statements.iter().any(|s| s.digest.to_string() == l.reference)).map(|l| l.index).min();
            leaves.retain(|l| first.is_some_and(|first| l.index >= first));
        }
        let told: BTreeSet<String> = leaves.into_iter().map(|l| l.reference).collect();
        let waiting = store.pending_references(kind.id()).await?;
        let here: BTreeSet<String> = statements.iter().map(|s| s.digest.to_string()).collect();
        found.count("statements", statements.len() as u64);
        for statement in &statements {
            let place = format!("statement {}", statement.digest);
            let body = Digest::of(&statement.body);
            if body != statement.digest && gone.records.get(&statement.digest) == Some(&body) {
                *found.erased.entry("erased by order").or_default() += 1;
            } else if body != statement.digest {
                found.add("statement-altered", &place, format!("the text of a {} is not the one the ledger refers to", kind.id()));
            } else if !told.contains(&statement.digest.to_string()) && !waiting.contains(&statement.digest) {
                found.add("statement-unlogged", &place, format!("the ledger has no entry of this {}", kind.id()));
            }
        }
        for missing in told.difference(&here) {
            found.add("statement-deleted", format!("statement {missing}"), format!("the ledger has an entry of this {} and its text is not here", kind.id()));
        }
    }
    Ok(())
}

/// Versions of lists against their statements and their bytes.
async fn lists(store: &Store, gone: &Gone, found: &mut Fsck) -> Result<(), StoreError> {
    for kind in Kind::ALL.into_iter().filter(|k| k.is_list()) {
        let mut given: Vec<ListGiven> = store.statements(kind).await?.iter().map(Statement::read).collect::<Result<_, _>>()?;
        let versions = store.list_history(kind.id()).await?;
        found.count("versions of lists", versions.len() as u64);
        for version in &versions {
            let place = format!("{} version {}", version.name, version.version);
            let told = |g: &ListGiven| (g.at, g.digest, g.rows, &g.by) == (version.since, version.digest, version.rows, &version.by);
            match given.iter().position(told) {
                Some(at) => drop(given.remove(at)),
                None => found.add("list-unlogged", &place, "no statement of the ledger says the same of it"),
            }
            match store.list_bytes(&version.name, version.version).await {
                Ok(Some(bytes)) if Digest::of(&bytes) != version.digest => found.add("list-altered", &place, "its bytes are not those that were given"),
                Ok(None) if kind == Kind::Advisories => {}
                Ok(None) if gone.lists.contains(&(version.name.clone(), version.version)) => *found.erased.entry("erased by order").or_default() += 1,
                Ok(None) => found.add("list-missing", &place, "its bytes are not here and nothing in the ledger says why"),
                Err(e) => found.add("list-altered", &place, e.to_string()),
                Ok(Some(_)) => {}
            }
        }
        for lost in given.iter().filter(|g| !versions.iter().any(|v| (v.since, v.digest) == (g.at, g.digest))) {
            found.add("list-deleted", format!("{} of {} (Unix time)", lost.name, lost.at), "the ledger says that it was given and it is not here");
        }
    }
    Ok(())
}

/// Events of records, and the files that they name.
async fn records(store: &Store, gone: &Gone, found: &mut Fsck) -> Result<(), StoreError> {
    let mut named = BTreeSet::new();
    for kind in Kind::RECORDS {
        for statement in store.statements(kind).await? {
            match Event::parse(&statement.body) {
                Ok(event) => named.extend(event.files.iter().map(|f| (f.sha256, statement.digest))),
                Err(e) => found.add("record-malformed", format!("statement {}", statement.digest), format!("it is no event of a record: {e}")),
            }
        }
    }
    let (here, files) = (store.record_files().await?, named.iter().map(|(file, _)| *file).collect::<BTreeSet<Digest>>());
    found.count("files of records", here.len() as u64);
    for digest in &here {
        if store.record_file(digest).await?.is_some_and(|bytes| Digest::of(&bytes) != *digest) {
            found.add("file-altered", format!("file {digest}"), "its bytes are not those that were recorded");
        }
        if !files.contains(digest) {
            found.add("file-unfounded", format!("file {digest}"), "no record names it");
        }
    }
    for (digest, statement) in named.iter().filter(|(digest, _)| !here.contains(digest)) {
        if gone.files.contains(digest) {
            *found.erased.entry("erased by order").or_default() += 1;
        } else {
            found.add("file-missing", format!("file {digest}"), format!("statement {statement} names it and nothing in the ledger says why it is not here"));
        }
    }
    Ok(())
}

/// What the ledger says is not kept any more.
#[derive(Debug, Default)]
struct Gone {
    blobs: BTreeSet<(HostId, Address)>,
    lists: BTreeSet<(String, u64)>,
    /// Statement to digest of the body that stands there now, after the last erasure.
    records: BTreeMap<Digest, Digest>,
    files: BTreeSet<Digest>,
    thinned: Option<Thinned>,
}

impl Gone {
    async fn read(store: &Store) -> Result<Self, StoreError> {
        let mut gone = Self::default();
        for statement in store.statements(Kind::Erasure).await? {
            let erased: Erased = statement.read()?;
            gone.lists.extend(erased.lists.iter().map(|l| (l.name.clone(), l.version)));
            gone.records.extend(erased.records.iter().map(|r| (r.statement, r.now)));
            gone.files.extend(&erased.files);
            gone.blobs.extend(erased.hosts.iter().flat_map(|h| h.blobs.iter().map(|b| (h.host, *b))));
        }
        gone.thinned = store.statements(Kind::Retention).await?.last().map(|s| s.read()).transpose()?;
        Ok(gone)
    }

    /// Why a blob of a report may be missing.
    fn why(&self, report: &ReportRow, address: Address) -> Option<&'static str> {
        if self.blobs.contains(&(report.host, address)) {
            return Some("erased by order");
        }
        let thinned = self.thinned.as_ref()?;
        let days = if report.kind == ScanKind::Monthly { thinned.horizon.monthly_facts_days } else { thinned.horizon.facts_days };
        (report.received < thinned.at.saturating_sub(i64::from(days) * 86_400)).then_some("older than the policy keeps")
    }
}

async fn host_of(store: &Store, keys: &[Verifier], host: &HostRow, (gone, judged): (&Gone, &Judged), found: &mut Fsck) -> Result<(), StoreError> {
    found.count("hosts", 1);
    let public_key = pki_keys::raw_of(&host.public_key);
    if public_key.is_none_or(|_| HostId::of_spki(&host.public_key) != host.id) {
        found.add("host-key", format!("host {}", host.id), "its key is not the one its id stands for");
    }
    let blobs = blobs_of(store, host, found).await?;
    let reports = store.reports(Some(&host.id), None, 0).await?;
    found.count("reports", reports.len() as u64);
    let mut read = Vec::new();
    for row in &reports {
        let Some(report) = public_key.and_then(|key| report_of(row, host, &key, found)) else { continue };
        leaf_of(store, keys, row, found).await?;
        for address in report.addresses().into_iter().filter(|a| !blobs.contains(a)) {
            match gone.why(row, address) {
                Some(why) => *found.erased.entry(why).or_default() += 1,
                None => found.add("blob-missing", format!("report {}", row.id), format!("blob {address} is not here and nothing in the ledger says why")),
            }
        }
        read.push((row, report));
    }
    let (altered, compared) = judged.compare(store, host, &read).await?;
    found.count("verdicts that hosts signed", compared);
    for altered in altered {
        found.add("verdict-altered", format!("report {}", altered.report), altered.text());
    }
    for rule in store.overlapping_findings(&host.id).await? {
        found.add("finding-overlap", format!("host {}", host.id), format!("verdicts of {rule} overlap in time, or end before they begin"));
    }
    for kind in store.overlapping_kept(&host.id).await? {
        found.add(
            "kept-overlap",
            format!("host {}", host.id),
            format!("kept facts of the kind {kind} overlap in time, end before they begin, or outlive the host"),
        );
    }
    let unknown = store.findings_without_report(&host.id).await?;
    if unknown > 0 {
        found.add("finding-unfounded", format!("host {}", host.id), format!("{unknown} verdicts name a report that is not here"));
    }
    Ok(())
}

/// Every blob against its address; the addresses that are here.
async fn blobs_of(store: &Store, host: &HostRow, found: &mut Fsck) -> Result<BTreeSet<Address>, StoreError> {
    let addresses = store.blob_addresses(&host.id).await?;
    for address in &addresses {
        let Some(frame) = store.blob(&host.id, address).await? else { continue };
        if let Err(e) = Blob::open(&host.salt, address, &frame) {
            found.add("blob-altered", format!("blob {address} of host {}", host.id), e.to_string());
        }
    }
    found.count("blobs", addresses.len() as u64);
    Ok(addresses.into_iter().collect())
}

/// The report inside a row, if it is what the host signed and the row says the same.
fn report_of(row: &ReportRow, host: &HostRow, key: &[u8; 32], found: &mut Fsck) -> Option<Report> {
    let place = format!("report {}", row.id);
    let opened = Envelope::parse(&row.envelope).and_then(|e| e.open(REPORT_TYPE, &host.id.to_string(), key));
    let payload = match opened {
        Ok(payload) => payload,
        Err(e) => {
            found.add("report-altered", place, e.to_string());
            return None;
        }
    };
    let report: Report = match serde_json::from_slice(&payload) {
        Ok(report) => report,
        Err(e) => {
            found.add("report-altered", place, e.to_string());
            return None;
        }
    };
    let same = [
        (Digest::of(&payload) == row.id, "id"),
        (report.host == row.host, "host"),
        (report.lineage == row.lineage, "lineage"),
        (report.sequence == row.sequence, "sequence"),
        (report.scan.kind == row.kind, "kind"),
        (report.scan.window == row.window, "window"),
        (report.scan.state == row.state, "state"),
        (report.times.started == row.started, "started"),
        (report.times.finished == row.finished, "finished"),
    ];
    for (_, what) in same.into_iter().filter(|(same, _)| !same) {
        found.add("report-row", &place, format!("its row tells another {what} than the signed report"));
    }
    Some(report)
}

/// The ledger entry and the receipt of a report.
async fn leaf_of(store: &Store, keys: &[Verifier], row: &ReportRow, found: &mut Fsck) -> Result<(), StoreError> {
    let place = format!("report {}", row.id);
    let Some(leaf) = store.leaf_of(Kind::Report.id(), &row.id.to_string()).await? else {
        if !store.pending_references(Kind::Report.id()).await?.contains(&row.id) {
            found.add("report-unlogged", place, "the ledger has no entry of it");
        }
        return Ok(());
    };
    if let Ok(entry) = Leaf::parse(&leaf.bytes) {
        let same = (entry.host, entry.lineage, entry.sequence, entry.at) == (Some(row.host), Some(row.lineage), Some(row.sequence), row.received);
        if !same {
            found.add("report-row", &place, format!("ledger entry {} tells another host, number or time of receipt than its row", leaf.index));
        }
    }
    match store.receipt(&row.id).await? {
        None => found.add("receipt-missing", place, "it has a ledger entry and no receipt"),
        Some((_, receipt)) => {
            let checked = Envelope::parse(&receipt).map_err(|e| e.to_string()).and_then(|e| ledger::check_receipt_by(&e, keys).map_err(|e| e.to_string()));
            match checked {
                Err(e) => found.add("receipt-altered", place, e),
                Ok(receipt) if receipt.report != row.id || receipt.index != leaf.index => {
                    found.add("receipt-altered", place, "its receipt is about something else")
                }
                Ok(_) => found.count("receipts", 1),
            }
        }
    }
    Ok(())
}
