//! Accepted reports, and the facts they name.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Engine, Result, Store, StoreError, bytes, flag, limit_of, signed, storable, unsigned};
use super::kept::{self, Word};
use super::query::Query;
use super::transitions::{Laying, is_same};
use super::{ReportRow, blobs, findings, hosts, judged, ledger};
use crate::collector::judge;
use crate::collector::kept::Extract;
use crate::ledger::Leaf;
use crate::model::envelope::{Envelope, REPORT_TYPE};
use crate::model::fact::Observation;
use crate::model::finding::{Counts, Finding};
use crate::model::ids::{Address, Digest, HostId, Lineage};
use crate::model::report::{Cadence, Report, ScanKind, ScanState};
use crate::rules::{Need, Needs};

/// A verified and judged report on its way into the store.
#[derive(Clone, Debug)]
pub struct NewReport {
    /// The row; its `leaf` is not looked at.
    pub row: ReportRow,
    /// The report.
    pub report: Report,
    /// The collector's verdicts.
    pub findings: Vec<Finding>,
    /// `pretty_name` of its `os` facts.
    pub os: Option<String>,
    /// What each rule needs of a report to be judged by it: a report leaves the verdicts of the others alone.
    pub needs: Arc<Needs>,
    /// Digest of what it was judged by.
    pub basis: Digest,
    /// Families that it looked at, those that could not be read included.
    pub looked_at: BTreeSet<String>,
    /// What is kept of its facts for pages of the fleet.
    pub kept: Vec<Extract>,
}

/// What a report judges: all rules of its cadence, or those alone that read nothing but what it read.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    cadence: Cadence,
    /// Families read; `None`: all.
    families: Option<BTreeSet<String>>,
}

impl Reach {
    fn of(new: &NewReport) -> Self {
        let drift = new.row.kind == ScanKind::Drift;
        Self { cadence: new.row.kind.cadence(), families: drift.then(|| new.looked_at.clone()) }
    }

    /// As a column: the families, divided by commas; empty: all.
    fn column(&self) -> String {
        self.families.iter().flatten().cloned().collect::<Vec<_>>().join(",")
    }

    pub(super) fn from_columns(kind: ScanKind, families: &str) -> Self {
        let read = || families.split(',').filter(|f| !f.is_empty()).map(String::from).collect();
        Self { cadence: kind.cadence(), families: (kind == ScanKind::Drift).then(read) }
    }

    /// Whether it looked at all of these families.
    fn looked_at(&self, families: &[&str]) -> bool {
        self.families.as_ref().is_none_or(|own| families.iter().all(|f| own.contains(*f)))
    }

    /// A rule that is in no pack any more is judged by whole scans, which then end its verdicts.
    pub(super) fn judges(&self, need: Option<&Need>) -> bool {
        match (&self.families, need) {
            (None, Some(need)) => self.cadence >= need.cadence,
            (Some(looked_at), Some(need)) => need.is_met_by_drift(looked_at),
            (None, None) => true,
            (Some(_), None) => false,
        }
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored now.
    New,
    /// The same report was stored before.
    Known,
    /// Another report has its number.
    Fork,
    /// The host was taken out of the population: its key is revoked.
    Retired,
}

/// Numbers of a lineage that never arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Lineage.
    pub lineage: Lineage,
    /// First missing number.
    pub from: u64,
    /// Last missing number.
    pub to: u64,
}

/// Blobs as stored, by address.
pub type Frames = Vec<(Address, Vec<u8>)>;

const REPORTS: &str = "SELECT r.*, l.number AS leaf FROM reports r LEFT JOIN leaves l ON l.kind = 'report' AND l.reference = r.id";

impl Store {
    /// Stores a report, its verdicts and its pending leaf: one transaction, durable when this
    /// returns. A complete scan moves the findings of the rules that it judges; an aborted one is kept but
    /// moves none.
    pub async fn accept(&self, new: NewReport) -> Result<Accepted> {
        let store = self.clone();
        self.write(move |transaction| Box::pin(async move { store.accept_in(transaction, &new).await })).await
    }

    async fn accept_in(&self, transaction: &mut Transaction<'static, Any>, new: &NewReport) -> Result<Accepted> {
        let row = &new.row;
        self.lock_host(transaction, &row.host).await?;
        if let Some(taken) = digest_at(transaction, row).await? {
            if taken == row.id {
                return Ok(Accepted::Known);
            }
            note_fork(transaction, &row.host, &row.lineage, row.sequence, &row.id, row.received).await?;
            return Ok(Accepted::Fork);
        }
        let Some(at) = effective(transaction, row).await? else { return Ok(Accepted::Retired) };
        blobs::claim(transaction, &row.host, &new.report.addresses()).await?;
        let applied = row.state == ScanState::Complete;
        let reach = Reach::of(new);
        let later = later_applied(transaction, &row.host, at).await?;
        self.insert(transaction, row, at, applied, &reach.column()).await?;
        if applied {
            // The next report that judges the same rule bounds what this one says of it; nearly always there is none.
            let next_of = |rule: &str| later.iter().find(|(_, _, reach)| reach.judges(new.needs.get(rule))).map(|(at, id, _)| (*at, *id));
            let bounds: BTreeSet<Option<(i64, Digest)>> = later.iter().map(|(at, id, _)| Some((*at, *id))).chain([None]).collect();
            for next in bounds {
                let ours = |rule: &str| reach.judges(new.needs.get(rule)) && next_of(rule) == next;
                let laying = Laying { findings: &new.findings, report: row.id, at, next, origin: &|_| None, alike: &is_same };
                findings::lay(transaction, &row.host, &ours, &laying).await?;
            }
            for extract in &new.kept {
                let next = later.iter().find(|(_, _, reach)| reach.looked_at(extract.kind.families())).map(|(at, _, _)| *at);
                kept::lay(transaction, &row.host, extract, Word { at, next }).await?;
            }
            judged::note(transaction, &row.host, &new.basis, at).await?;
            if let (Some(os), true) = (&new.os, later.is_empty()) {
                let named = "UPDATE hosts SET os = $1 WHERE id = $2 AND os <> $1";
                sqlx::query(named).bind(storable(os)).bind(row.host.bytes().to_vec()).execute(&mut **transaction).await?;
            }
        }
        hosts::contact(transaction, &row.host, row.received, "", self.silent_after).await?;
        let leaf = Leaf::report(ledger::random_id()?, row.id, row.host, row.lineage, row.sequence, row.received);
        ledger::queue(transaction, &leaf).await?;
        Ok(Accepted::New)
    }

    /// Whether a report with this host, lineage and number is stored: its digest.
    pub async fn report_at(&self, host: &HostId, lineage: &Lineage, sequence: u64) -> Result<Option<Digest>> {
        let row = sqlx::query("SELECT id FROM reports WHERE host = $1 AND lineage = $2 AND sequence = $3")
            .bind(host.bytes().to_vec())
            .bind(lineage.bytes().to_vec())
            .bind(signed(sequence))
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok(Digest::new(bytes(&row, "id")?))).transpose()
    }

    /// The receipt (envelope, canonical JSON) of a report once its leaf has a number, and that number.
    pub async fn receipt(&self, report: &Digest) -> Result<Option<(u64, Vec<u8>)>> {
        let query = "SELECT r.receipt, l.number FROM reports r JOIN leaves l ON l.kind = 'report' AND l.reference = r.id WHERE r.id = $1";
        let row = sqlx::query(query).bind(report.bytes().to_vec()).fetch_optional(&self.reader).await?;
        let Some(row) = row else { return Ok(None) };
        let receipt: Option<Vec<u8>> = row.try_get("receipt")?;
        receipt.map(|receipt| Ok((unsigned(&row, "number")?, receipt))).transpose()
    }

    /// Reports, newest first; `period` is `[from, to)` over `finished`; `limit` 0: all.
    pub async fn reports(&self, host: Option<&HostId>, period: Option<(i64, i64)>, limit: u32) -> Result<Vec<ReportRow>> {
        let mut query = Query::new(REPORTS);
        query.push(" WHERE 1 = 1");
        if let Some(host) = host {
            query.push(" AND r.host = ").bind(host.bytes().to_vec());
        }
        if let Some((from, to)) = period {
            query.push(" AND r.finished >= ").bind(from).push(" AND r.finished < ").bind(to);
        }
        query.push(" ORDER BY r.finished DESC, r.received DESC, r.id LIMIT ").bind(limit_of(limit));
        let rows = query.all(&self.reader).await?;
        rows.iter().map(report_row).collect()
    }

    /// One report.
    pub async fn report(&self, id: &Digest) -> Result<Option<ReportRow>> {
        let mut query = Query::new(REPORTS);
        query.push(" WHERE r.id = ").bind(id.bytes().to_vec());
        let row = query.first(&self.reader).await?;
        row.map(|row| report_row(&row)).transpose()
    }

    /// The newest complete report of a host received at or before `as_of`, with its facts and
    /// gaps. An erased blob is a gap. Drift reports, which hold a few families only, don't count.
    pub async fn observation(&self, host: &HostId, as_of: Option<i64>) -> Result<Option<(ReportRow, Observation)>> {
        let mut query = Query::new(REPORTS);
        query.push(" WHERE r.applied = 1 AND r.kind <> 'drift' AND r.host = ").bind(host.bytes().to_vec());
        if let Some(as_of) = as_of {
            query.push(" AND r.received <= ").bind(as_of);
        }
        query.push(" ORDER BY r.effective DESC, r.received DESC LIMIT 1");
        let Some(row) = query.first(&self.reader).await? else { return Ok(None) };
        let row = report_row(&row)?;
        let (report, frames) = self.facts_of(&row).await?;
        let mut plains = judge::Plains::new();
        for (address, frame) in frames {
            let plain = crate::model::blob::inflate(&frame).map_err(|e| StoreError::Damaged(format!("blob {address}: {e}")))?;
            plains.insert(address, plain);
        }
        let observation = judge::observation(&report, &plains);
        Ok(Some((row, observation)))
    }

    /// When the last report that moved verdicts came at or before `at`, Unix seconds; `None`: none did.
    pub async fn last_observed(&self, at: i64) -> Result<Option<i64>> {
        let row = sqlx::query("SELECT max(received) AS last FROM reports WHERE applied = 1 AND received <= $1").bind(at).fetch_one(&self.reader).await?;
        Ok(row.try_get("last")?)
    }

    /// A report and the frames of its blobs that are here.
    pub async fn facts(&self, id: &Digest) -> Result<(Report, Frames)> {
        let row = self.report(id).await?.ok_or_else(|| StoreError::Damaged(format!("report {id} is not here")))?;
        self.facts_of(&row).await
    }

    async fn facts_of(&self, row: &ReportRow) -> Result<(Report, Frames)> {
        let report = payload(row)?;
        let frames = self.frames(&row.host, &report.addresses()).await?;
        Ok((report, frames))
    }

    /// The first number of a lineage from `from` to `to` that no stored report has.
    pub async fn first_missing(&self, host: &HostId, lineage: &Lineage, from: u64, to: u64) -> Result<Option<u64>> {
        if from > to {
            return Ok(None);
        }
        if self.report_at(host, lineage, from).await?.is_none() {
            return Ok(Some(from));
        }
        let row = sqlx::query(
            "SELECT min(r.sequence) + 1 AS missing FROM reports r WHERE r.host = $1 AND r.lineage = $2 AND r.sequence >= $3 AND r.sequence < $4
               AND NOT EXISTS (SELECT 1 FROM reports n WHERE n.host = r.host AND n.lineage = r.lineage AND n.sequence = r.sequence + 1)",
        )
        .bind(host.bytes().to_vec())
        .bind(lineage.bytes().to_vec())
        .bind(signed(from))
        .bind(signed(to))
        .fetch_one(&self.reader)
        .await?;
        Ok(row.try_get::<Option<i64>, _>("missing")?.and_then(|n| u64::try_from(n).ok()))
    }

    /// Numbers that never arrived although later ones of their lineage did.
    pub async fn missing_reports(&self, host: &HostId) -> Result<Vec<Missing>> {
        let rows = sqlx::query(
            "SELECT lineage, coalesce(prior, 0) + 1 AS first, sequence - 1 AS last FROM
               (SELECT lineage, sequence, lag(sequence) OVER (PARTITION BY lineage ORDER BY sequence) AS prior FROM reports WHERE host = $1) AS numbered
             WHERE sequence > coalesce(prior, 0) + 1 ORDER BY lineage, first",
        )
        .bind(host.bytes().to_vec())
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| Ok(Missing { lineage: Lineage::new(bytes(row, "lineage")?), from: unsigned(row, "first")?, to: unsigned(row, "last")? }))
            .collect()
    }

    /// Writes down that a second report claimed a number already taken.
    pub async fn note_fork(&self, host: &HostId, lineage: &Lineage, sequence: u64, report: &Digest, now: i64) -> Result<()> {
        let mut transaction = self.begin().await?;
        note_fork(&mut transaction, host, lineage, sequence, report, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How many forks were seen of a host: reports that claimed a number already taken.
    pub async fn fork_count(&self, host: &HostId) -> Result<u64> {
        let row = sqlx::query("SELECT count(*) AS n FROM forks WHERE host = $1").bind(host.bytes().to_vec()).fetch_one(&self.reader).await?;
        unsigned(&row, "n")
    }

    async fn insert(&self, transaction: &mut Transaction<'static, Any>, row: &ReportRow, effective: i64, applied: bool, families: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO reports (id, host, lineage, sequence, kind, scan_window, state, started, finished, received, effective, applied,
               pass, fail, unknown, not_applicable, disagrees, families, envelope) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
        )
        .bind(row.id.bytes().to_vec())
        .bind(row.host.bytes().to_vec())
        .bind(row.lineage.bytes().to_vec())
        .bind(signed(row.sequence))
        .bind(row.kind.id())
        .bind(&row.window)
        .bind(row.state.word())
        .bind(row.started)
        .bind(row.finished)
        .bind(row.received)
        .bind(effective)
        .bind(i64::from(applied))
        .bind(signed(row.counts.pass))
        .bind(signed(row.counts.fail))
        .bind(signed(row.counts.unknown))
        .bind(signed(row.counts.not_applicable))
        .bind(i64::from(row.disagrees))
        .bind(families)
        .bind(row.envelope.clone())
        .execute(&mut **transaction)
        .await?;
        if self.engine == Engine::Postgres {
            // Partitions can't hold a number once for all; this table does.
            sqlx::query("INSERT INTO report_numbers (host, lineage, sequence, report) VALUES ($1, $2, $3, $4)")
                .bind(row.host.bytes().to_vec())
                .bind(row.lineage.bytes().to_vec())
                .bind(signed(row.sequence))
                .bind(row.id.bytes().to_vec())
                .execute(&mut **transaction)
                .await?;
        }
        Ok(())
    }
}

/// Later reports that moved verdicts, soonest first, with what they judged.
async fn later_applied(transaction: &mut Transaction<'static, Any>, host: &HostId, at: i64) -> Result<Vec<(i64, Digest, Reach)>> {
    let rows = sqlx::query("SELECT id, effective, kind, families FROM reports WHERE applied = 1 AND host = $1 AND effective > $2 ORDER BY effective")
        .bind(host.bytes().to_vec())
        .bind(at)
        .fetch_all(&mut **transaction)
        .await?;
    let later = |row: &AnyRow| Ok((row.try_get("effective")?, Digest::new(bytes(row, "id")?), Reach::from_columns(kind_of(row)?, row.try_get("families")?)));
    rows.iter().map(later).collect()
}

async fn digest_at(transaction: &mut Transaction<'static, Any>, row: &ReportRow) -> Result<Option<Digest>> {
    let found = sqlx::query("SELECT id FROM reports WHERE host = $1 AND lineage = $2 AND sequence = $3")
        .bind(row.host.bytes().to_vec())
        .bind(row.lineage.bytes().to_vec())
        .bind(signed(row.sequence))
        .fetch_optional(&mut **transaction)
        .await?;
    found.map(|found| Ok(Digest::new(bytes(&found, "id")?))).transpose()
}

async fn note_fork(transaction: &mut Transaction<'static, Any>, host: &HostId, lineage: &Lineage, sequence: u64, report: &Digest, now: i64) -> Result<()> {
    sqlx::query("INSERT INTO forks (host, lineage, sequence, report, seen_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
        .bind(host.bytes().to_vec())
        .bind(lineage.bytes().to_vec())
        .bind(signed(sequence))
        .bind(report.bytes().to_vec())
        .bind(now)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// When the report counts from: its own end, but never before the host was enrolled nor after the
/// report arrived, so that a host with a wrong clock can't rewrite the past or book the future. `None`: the host is retired. Asked inside the
/// transaction, so that nothing is accepted once the retirement is committed.
async fn effective(transaction: &mut Transaction<'static, Any>, row: &ReportRow) -> Result<Option<i64>> {
    let query = sqlx::query("SELECT enrolled_at, retired_at FROM hosts WHERE id = $1").bind(row.host.bytes().to_vec());
    let host = query.fetch_one(&mut **transaction).await?;
    let retired: Option<i64> = host.try_get("retired_at")?;
    Ok(if retired.is_some() { None } else { Some(row.finished.min(row.received).max(host.try_get("enrolled_at")?)) })
}

/// The report inside a stored row.
fn payload(row: &ReportRow) -> Result<Report> {
    let damaged = |e: String| StoreError::Damaged(format!("report {}: {e}", row.id));
    let envelope = Envelope::parse(&row.envelope).map_err(|e| damaged(e.to_string()))?;
    if envelope.payload_type != REPORT_TYPE {
        return Err(damaged("not a report".into()));
    }
    let payload = envelope.payload_bytes().map_err(|e| damaged(e.to_string()))?;
    serde_json::from_slice(&payload).map_err(|e| damaged(e.to_string()))
}

pub(super) fn kind_of(row: &AnyRow) -> Result<ScanKind> {
    let kind: &str = row.try_get("kind")?;
    ScanKind::from_id(kind).ok_or_else(|| StoreError::Damaged(format!("scan kind {kind:?}")))
}

fn report_row(row: &AnyRow) -> Result<ReportRow> {
    let state: &str = row.try_get("state")?;
    Ok(ReportRow {
        id: Digest::new(bytes(row, "id")?),
        host: HostId::new(bytes(row, "host")?),
        lineage: Lineage::new(bytes(row, "lineage")?),
        sequence: unsigned(row, "sequence")?,
        kind: kind_of(row)?,
        window: row.try_get("scan_window")?,
        state: if state == ScanState::Complete.word() { ScanState::Complete } else { ScanState::Aborted },
        started: row.try_get("started")?,
        finished: row.try_get("finished")?,
        received: row.try_get("received")?,
        counts: Counts {
            pass: unsigned(row, "pass")?,
            fail: unsigned(row, "fail")?,
            unknown: unsigned(row, "unknown")?,
            not_applicable: unsigned(row, "not_applicable")?,
        },
        disagrees: flag(row, "disagrees")?,
        envelope: row.try_get("envelope")?,
        leaf: row.try_get::<Option<i64>, _>("leaf")?.and_then(|n| u64::try_from(n).ok()),
    })
}
