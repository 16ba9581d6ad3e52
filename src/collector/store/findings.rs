//! Findings as spans of time.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::sqlite::{Result, Store, StoreError, bytes, limit_of};
use super::transitions::{self, Span};
use super::{FindingFilter, FindingRow};
use crate::model::finding::{Finding, Severity};
use crate::model::ids::{Digest, HostId};

impl Store {
    /// Findings, most severe first, then by rule, host, subject.
    pub async fn findings(&self, filter: &FindingFilter) -> Result<Vec<FindingRow>> {
        let mut query = sqlx::QueryBuilder::<Sqlite>::new("SELECT * FROM findings WHERE ");
        match (filter.period, filter.as_of) {
            (Some((from, to)), _) => {
                query.push("since < ").push_bind(to).push(" AND (until IS NULL OR until > ").push_bind(from).push(")");
            }
            (None, Some(at)) => {
                query.push("since <= ").push_bind(at).push(" AND (until IS NULL OR until > ").push_bind(at).push(")");
            }
            (None, None) => {
                query.push("until IS NULL");
            }
        }
        if let Some(host) = &filter.host {
            query.push(" AND host = ").push_bind(host.bytes().to_vec());
        }
        if let Some(rule) = &filter.rule {
            query.push(" AND rule = ").push_bind(rule.clone());
        }
        if let Some(subject) = &filter.subject {
            query.push(" AND subject = ").push_bind(subject.clone());
        }
        if !filter.verdicts.is_empty() {
            query.push(" AND verdict IN (");
            let mut list = query.separated(", ");
            for verdict in &filter.verdicts {
                list.push_bind(verdict.id());
            }
            query.push(")");
        }
        if let Some(severity) = filter.severity {
            query.push(" AND severity >= ").push_bind(rank(severity));
        }
        query.push(" ORDER BY severity DESC, rule, host, subject, since LIMIT ").push_bind(limit_of(filter.limit));
        let rows = query.build().fetch_all(&self.reader).await?;
        rows.iter().map(finding_row).collect()
    }

    /// Every verdict a rule gave on a subject of a host, oldest first.
    pub async fn history(&self, host: &HostId, rule: &str, subject: &str) -> Result<Vec<FindingRow>> {
        let rows = sqlx::query("SELECT * FROM findings WHERE host = ? AND rule = ? AND subject = ? ORDER BY since")
            .bind(host.bytes().to_vec())
            .bind(rule.to_string())
            .bind(subject.to_string())
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(finding_row).collect()
    }
}

/// Which rules are looked at.
pub(super) type Ours<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// Lays a report's verdicts over the stored spans inside a transaction; see
/// [`transitions::lay`]. Only rules that are `ours` are looked at, in verdicts and in spans.
pub(super) async fn lay(
    transaction: &mut Transaction<'static, Sqlite>,
    host: &HostId,
    (findings, ours): (&[Finding], Ours<'_>),
    report: Digest,
    at: i64,
    next: Option<i64>,
) -> Result<()> {
    let rows = sqlx::query("SELECT * FROM findings WHERE host = ?1 AND ((since <= ?2 AND (until IS NULL OR until > ?2)) OR since = ?3)")
        .bind(host.bytes().to_vec())
        .bind(at)
        .bind(next)
        .fetch_all(&mut **transaction)
        .await?;
    let mut spans: Vec<Span> = rows.iter().map(span).collect::<Result<_>>()?;
    spans.retain(|s| ours(&s.finding.rule));
    let findings: Vec<Finding> = findings.iter().filter(|f| ours(&f.rule)).cloned().collect();
    let changes = transitions::lay(&spans, &findings, report, at, next);
    for (row, until) in changes.end {
        sqlx::query("UPDATE findings SET until = ? WHERE row = ?").bind(until).bind(row).execute(&mut **transaction).await?;
    }
    for row in changes.remove {
        sqlx::query("DELETE FROM findings WHERE row = ?").bind(row).execute(&mut **transaction).await?;
    }
    for span in changes.add {
        let body = serde_json::to_string(&span.finding).map_err(|e| StoreError::Database(e.to_string()))?;
        sqlx::query("INSERT INTO findings (host, rule, subject, verdict, severity, since, until, report, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(host.bytes().to_vec())
            .bind(&span.finding.rule)
            .bind(&span.finding.subject)
            .bind(span.finding.verdict.id())
            .bind(rank(span.finding.severity))
            .bind(span.since)
            .bind(span.until)
            .bind(span.report.bytes().to_vec())
            .bind(body)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

const fn rank(severity: Severity) -> i64 {
    match severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

fn finding_row(row: &SqliteRow) -> Result<FindingRow> {
    let span = span(row)?;
    Ok(FindingRow { host: HostId::new(bytes(row, "host")?), finding: span.finding, since: span.since, until: span.until, report: span.report })
}

fn span(row: &SqliteRow) -> Result<Span> {
    let (number, body): (i64, &str) = (row.try_get("row")?, row.try_get("body")?);
    Ok(Span {
        row: number,
        finding: serde_json::from_str(body).map_err(|e| StoreError::Damaged(format!("finding {number}: {e}")))?,
        since: row.try_get("since")?,
        until: row.try_get("until")?,
        report: Digest::new(bytes(row, "report")?),
    })
}
