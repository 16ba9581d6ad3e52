//! Accepted reports, and the facts they name.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::sqlite::{Result, Store, StoreError, bytes, limit_of, signed, unsigned};
use super::{ReportRow, blobs, findings, hosts, ledger};
use crate::collector::judge;
use crate::ledger::Leaf;
use crate::model::envelope::{Envelope, REPORT_TYPE};
use crate::model::fact::Observation;
use crate::model::finding::{Counts, Finding};
use crate::model::ids::{Digest, HostId, Lineage};
use crate::model::report::{Cadence, Report, ScanKind, ScanState};

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
    /// Rules that only monthly and on-demand scans judge: other reports leave their verdicts alone.
    pub monthly: BTreeSet<String>,
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

const REPORTS: &str = "SELECT r.*, l.number AS leaf FROM reports r LEFT JOIN leaves l ON l.kind = 'report' AND l.reference = r.id";

impl Store {
    /// Stores a report, its verdicts and its pending leaf: one transaction, durable when this
    /// returns. A complete scan moves the findings; a drift or aborted one, which did not look at
    /// everything, is kept but moves none.
    pub async fn accept(&self, new: &NewReport) -> Result<Accepted> {
        let row = &new.row;
        let mut transaction = self.begin().await?;
        if let Some(taken) = digest_at(&mut transaction, row).await? {
            if taken == row.id {
                return Ok(Accepted::Known);
            }
            note_fork(&mut transaction, &row.host, &row.lineage, row.sequence, &row.id, row.received).await?;
            transaction.commit().await?;
            return Ok(Accepted::Fork);
        }
        blobs::claim(&mut transaction, &row.host, &new.report.addresses()).await?;
        let at = effective(&mut transaction, row).await?;
        let applied = row.state == ScanState::Complete && row.kind != ScanKind::Drift;
        let next = next_applied(&mut transaction, &row.host, at, Cadence::Weekly).await?;
        let next_monthly = next_applied(&mut transaction, &row.host, at, Cadence::Monthly).await?;
        insert(&mut transaction, row, at, applied).await?;
        if applied {
            let weekly = |rule: &str| !new.monthly.contains(rule);
            findings::lay(&mut transaction, &row.host, (&new.findings, &weekly), row.id, at, next).await?;
            if row.kind.cadence() == Cadence::Monthly {
                let monthly = |rule: &str| new.monthly.contains(rule);
                findings::lay(&mut transaction, &row.host, (&new.findings, &monthly), row.id, at, next_monthly).await?;
            }
            if let (Some(os), None) = (&new.os, next) {
                sqlx::query("UPDATE hosts SET os = ? WHERE id = ?").bind(os).bind(row.host.bytes().to_vec()).execute(&mut *transaction).await?;
            }
        }
        hosts::contact(&mut transaction, &row.host, row.received, "", self.silent_after).await?;
        let leaf = Leaf::report(ledger::random_id()?, row.id, row.host, row.lineage, row.sequence, row.received);
        ledger::queue(&mut transaction, &leaf).await?;
        transaction.commit().await?;
        Ok(Accepted::New)
    }

    /// Whether a report with this host, lineage and number is stored: its digest.
    pub async fn report_at(&self, host: &HostId, lineage: &Lineage, sequence: u64) -> Result<Option<Digest>> {
        let row = sqlx::query("SELECT id FROM reports WHERE host = ? AND lineage = ? AND sequence = ?")
            .bind(host.bytes().to_vec())
            .bind(lineage.bytes().to_vec())
            .bind(signed(sequence))
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok(Digest::new(bytes(&row, "id")?))).transpose()
    }

    /// The receipt (envelope, canonical JSON) of a report once its leaf has a number.
    pub async fn receipt(&self, report: &Digest) -> Result<Option<Vec<u8>>> {
        let receipt: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("SELECT receipt FROM reports WHERE id = ?").bind(report.bytes().to_vec()).fetch_optional(&self.reader).await?;
        Ok(receipt.flatten())
    }

    /// Reports, newest first; `period` is `[from, to)` over `finished`; `limit` 0: all.
    pub async fn reports(&self, host: Option<&HostId>, period: Option<(i64, i64)>, limit: u32) -> Result<Vec<ReportRow>> {
        let mut query = sqlx::QueryBuilder::<Sqlite>::new(REPORTS);
        query.push(" WHERE 1 = 1");
        if let Some(host) = host {
            query.push(" AND r.host = ").push_bind(host.bytes().to_vec());
        }
        if let Some((from, to)) = period {
            query.push(" AND r.finished >= ").push_bind(from).push(" AND r.finished < ").push_bind(to);
        }
        query.push(" ORDER BY r.finished DESC, r.received DESC, r.id LIMIT ").push_bind(limit_of(limit));
        let rows = query.build().fetch_all(&self.reader).await?;
        rows.iter().map(report_row).collect()
    }

    /// One report.
    pub async fn report(&self, id: &Digest) -> Result<Option<ReportRow>> {
        let mut query = sqlx::QueryBuilder::<Sqlite>::new(REPORTS);
        query.push(" WHERE r.id = ").push_bind(id.bytes().to_vec());
        let row = query.build().fetch_optional(&self.reader).await?;
        row.map(|row| report_row(&row)).transpose()
    }

    /// The newest complete report of a host received at or before `as_of`, with its facts and
    /// gaps. An erased blob is a gap. Drift reports, which hold a few families only, don't count.
    pub async fn observation(&self, host: &HostId, as_of: Option<i64>) -> Result<Option<(ReportRow, Observation)>> {
        let mut query = sqlx::QueryBuilder::<Sqlite>::new(REPORTS);
        query.push(" WHERE r.applied = 1 AND r.host = ").push_bind(host.bytes().to_vec());
        if let Some(as_of) = as_of {
            query.push(" AND r.received <= ").push_bind(as_of);
        }
        query.push(" ORDER BY r.effective DESC, r.received DESC LIMIT 1");
        let Some(row) = query.build().fetch_optional(&self.reader).await? else { return Ok(None) };
        let row = report_row(&row)?;
        let report = payload(&row)?;
        let mut plains = judge::Plains::new();
        for address in report.addresses() {
            if let Some(frame) = self.blob(host, &address).await? {
                let plain = crate::model::blob::inflate(&frame).map_err(|e| StoreError::Damaged(format!("blob {address}: {e}")))?;
                plains.insert(address, plain);
            }
        }
        let observation = judge::observation(&report, &plains);
        Ok(Some((row, observation)))
    }

    /// Numbers that never arrived although later ones of their lineage did.
    pub async fn missing_reports(&self, host: &HostId) -> Result<Vec<Missing>> {
        let rows = sqlx::query(
            "SELECT lineage, before + 1 AS first, sequence - 1 AS last FROM
               (SELECT lineage, sequence, lag(sequence, 1, 0) OVER (PARTITION BY lineage ORDER BY sequence) AS before FROM reports WHERE host = ?)
             WHERE sequence > before + 1 ORDER BY lineage, first",
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
        let row = sqlx::query("SELECT count(*) AS n FROM forks WHERE host = ?").bind(host.bytes().to_vec()).fetch_one(&self.reader).await?;
        unsigned(&row, "n")
    }
}

/// Time of the next later report that moved the verdicts of rules of this cadence.
async fn next_applied(transaction: &mut Transaction<'static, Sqlite>, host: &HostId, at: i64, cadence: Cadence) -> Result<Option<i64>> {
    let mut query = sqlx::QueryBuilder::<Sqlite>::new("SELECT min(effective) FROM reports WHERE applied = 1 AND host = ");
    query.push_bind(host.bytes().to_vec()).push(" AND effective > ").push_bind(at).push(" AND kind IN (");
    let mut kinds = query.separated(", ");
    for kind in ScanKind::ALL.into_iter().filter(|k| k.cadence() >= cadence) {
        kinds.push_bind(kind.id());
    }
    query.push(")");
    Ok(query.build_query_scalar().fetch_one(&mut **transaction).await?)
}

async fn digest_at(transaction: &mut Transaction<'static, Sqlite>, row: &ReportRow) -> Result<Option<Digest>> {
    let found = sqlx::query("SELECT id FROM reports WHERE host = ? AND lineage = ? AND sequence = ?")
        .bind(row.host.bytes().to_vec())
        .bind(row.lineage.bytes().to_vec())
        .bind(signed(row.sequence))
        .fetch_optional(&mut **transaction)
        .await?;
    found.map(|found| Ok(Digest::new(bytes(&found, "id")?))).transpose()
}

async fn note_fork(transaction: &mut Transaction<'static, Sqlite>, host: &HostId, lineage: &Lineage, sequence: u64, report: &Digest, now: i64) -> Result<()> {
    sqlx::query("INSERT OR IGNORE INTO forks (host, lineage, sequence, report, seen_at) VALUES (?, ?, ?, ?, ?)")
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
/// report arrived, so that a host with a wrong clock can't rewrite the past or book the future.
async fn effective(transaction: &mut Transaction<'static, Sqlite>, row: &ReportRow) -> Result<i64> {
    let enrolled_at: i64 =
        sqlx::query_scalar("SELECT enrolled_at FROM hosts WHERE id = ?").bind(row.host.bytes().to_vec()).fetch_one(&mut **transaction).await?;
    Ok(row.finished.min(row.received).max(enrolled_at))
}

async fn insert(transaction: &mut Transaction<'static, Sqlite>, row: &ReportRow, effective: i64, applied: bool) -> Result<()> {
    sqlx::query(
        "INSERT INTO reports (id, host, lineage, sequence, kind, scan_window, state, started, finished, received, effective, applied,
           pass, fail, unknown, not_applicable, disagrees, envelope) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    .bind(applied)
    .bind(signed(row.counts.pass))
    .bind(signed(row.counts.fail))
    .bind(signed(row.counts.unknown))
    .bind(signed(row.counts.not_applicable))
    .bind(row.disagrees)
    .bind(row.envelope.clone())
    .execute(&mut **transaction)
    .await?;
    Ok(())
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

fn report_row(row: &SqliteRow) -> Result<ReportRow> {
    let (kind, state): (String, String) = (row.try_get("kind")?, row.try_get("state")?);
    Ok(ReportRow {
        id: Digest::new(bytes(row, "id")?),
        host: HostId::new(bytes(row, "host")?),
        lineage: Lineage::new(bytes(row, "lineage")?),
        sequence: unsigned(row, "sequence")?,
        kind: ScanKind::from_id(&kind).ok_or_else(|| StoreError::Damaged(format!("scan kind {kind:?}")))?,
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
        disagrees: row.try_get("disagrees")?,
        envelope: row.try_get("envelope")?,
        leaf: row.try_get::<Option<i64>, _>("leaf")?.and_then(|n| u64::try_from(n).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::store::testing::{DAY, NOW, enrolled, store};
    use crate::collector::store::{BlobRow, FindingFilter};
    use crate::model::blob::Blob;
    use crate::model::finding::{Severity, Verdict};
    use crate::model::ids::Salt;
    use crate::model::report::{FORMAT, Losses, Scan, Software, Times};

    fn finding(rule: &str, verdict: Verdict) -> Finding {
        let (message, reason) = (verdict.id().to_string(), None);
        Finding { rule: rule.into(), subject: String::new(), verdict, severity: Severity::High, message, reason, citations: Vec::new() }
    }

    async fn send(store: &Store, host: HostId, sequence: u64, kind: ScanKind, findings: Vec<Finding>) {
        let at = NOW + i64::try_from(sequence).unwrap() * DAY;
        let blob = Blob::of(&Salt::new([1; 32]), &findings).unwrap();
        store.put_blob(&host, &BlobRow { address: blob.address, frame: blob.frame().unwrap() }, at).await.unwrap();
        let report = Report {
            format: FORMAT.into(),
            host,
            lineage: Lineage::new([7; 16]),
            parent: None,
            sequence,
            scan: Scan { kind, window: None, state: ScanState::Complete },
            times: Times { started: at, finished: at, boot_ms: 1 },
            software: Software { agent: "0".into(), pack: Digest::of(b""), policy: Digest::of(b"") },
            facts: Vec::new(),
            gaps: blob.address,
            findings: blob.address,
            counts: Counts::of(&findings),
            limits: Vec::new(),
            losses: Losses::default(),
        };
        let row = ReportRow {
            id: Digest::of(&sequence.to_be_bytes()),
            host,
            lineage: report.lineage,
            sequence,
            kind,
            window: None,
            state: ScanState::Complete,
            started: at,
            finished: at,
            received: at + 40 * DAY,
            counts: report.counts,
            disagrees: false,
            envelope: Vec::new(),
            leaf: None,
        };
        let monthly = ["rare".to_string()].into();
        assert_eq!(store.accept(&NewReport { row, report, findings, os: None, monthly }).await.unwrap(), Accepted::New);
    }

    /// Rule, first day, last day and verdict of every span.
    async fn spans(store: &Store) -> Vec<(String, i64, Option<i64>, Verdict)> {
        let filter = FindingFilter { period: Some((0, i64::MAX)), ..FindingFilter::default() };
        let day = |at: i64| (at - NOW) / DAY;
        let rows = store.findings(&filter).await.unwrap();
        let mut out: Vec<_> = rows.into_iter().map(|r| (r.finding.rule, day(r.since), r.until.map(day), r.finding.verdict)).collect();
        out.sort();
        out
    }

    #[tokio::test]
    async fn a_weekly_report_leaves_the_verdicts_of_monthly_rules_alone() {
        use ScanKind::{Drift, Monthly, OnDemand, Weekly};
        use Verdict::{Fail, Pass};
        let both = |often, rare| vec![finding("often", often), finding("rare", rare)];
        let reports = [
            (1, Monthly, both(Pass, Fail)),
            (2, Weekly, vec![finding("often", Fail)]),
            // A host whose pack is older judges it all the same; it is not heard.
            (3, Weekly, both(Fail, Pass)),
            (4, Drift, Vec::new()),
            (5, OnDemand, both(Fail, Pass)),
            (6, Weekly, vec![finding("often", Pass)]),
        ];
        let expected = [
            ("often".to_string(), 1, Some(2), Pass),
            ("often".to_string(), 2, Some(6), Fail),
            ("often".to_string(), 6, None, Pass),
            ("rare".to_string(), 1, Some(5), Fail),
            ("rare".to_string(), 5, None, Pass),
        ];
        for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [1, 0, 5, 2, 4, 3], [4, 1, 5, 0, 3, 2], [2, 5, 1, 4, 0, 3]] {
            let (_folder, store) = store().await;
            let host = enrolled(&store, 1).await;
            for i in order {
                let (sequence, kind, findings) = &reports[i];
                send(&store, host, *sequence, *kind, findings.clone()).await;
            }
            assert_eq!(spans(&store).await, expected, "{order:?}");
        }
    }

    #[tokio::test]
    async fn a_monthly_failure_is_open_after_a_clean_weekly_report_and_closed_by_a_monthly_one() {
        let (_folder, store) = store().await;
        let host = enrolled(&store, 1).await;
        send(&store, host, 1, ScanKind::Monthly, vec![finding("rare", Verdict::Fail)]).await;
        send(&store, host, 2, ScanKind::Weekly, Vec::new()).await;
        assert_eq!(spans(&store).await, [("rare".to_string(), 1, None, Verdict::Fail)]);
        send(&store, host, 30, ScanKind::Monthly, vec![finding("rare", Verdict::Pass)]).await;
        assert_eq!(spans(&store).await, [("rare".to_string(), 1, Some(30), Verdict::Fail), ("rare".to_string(), 30, None, Verdict::Pass)]);
    }
}
