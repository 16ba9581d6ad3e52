//! Findings as spans of time.

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, StoreError, bytes, limit_of, storable};
use super::query::Query;
use super::transitions::{self, Laying, Span};
use super::{FindingFilter, FindingRow};
use crate::collector::commitments::Spell;
use crate::model::finding::{Finding, Severity, Verdict};
use crate::model::ids::{Digest, HostId};

impl Store {
    /// Findings, most severe first, then by rule, host, subject. A verdict whose words alone changed (a number of days) is one
    /// finding, true since the first of them; of a period, it has its last words.
    pub async fn findings(&self, filter: &FindingFilter) -> Result<Vec<FindingRow>> {
        let mut query = Query::new(FINDINGS);
        match (filter.period, filter.as_of) {
            (Some((from, to)), _) => {
                query.push("since < ").bind(to).push(" AND (until IS NULL OR until > ").bind(from).push(")");
            }
            (None, Some(at)) => {
                query.push("since <= ").bind(at).push(" AND (until IS NULL OR until > ").bind(at).push(")");
            }
            (None, None) => {
                query.push("until IS NULL");
            }
        }
        if let Some(host) = &filter.host {
            query.push(" AND host = ").bind(host.bytes().to_vec());
        }
        if let Some(rule) = &filter.rule {
            query.push(" AND rule = ").bind(storable(rule));
        }
        if let Some(subject) = &filter.subject {
            query.push(" AND subject = ").bind(storable(subject));
        }
        if !filter.verdicts.is_empty() {
            query.push(" AND verdict IN ").bind_list(filter.verdicts.iter().map(|v| v.id()));
        }
        if let Some(severity) = filter.severity {
            query.push(" AND severity >= ").bind(rank(severity));
        }
        query.push(" ORDER BY f.severity DESC, f.rule, f.host, f.subject, f.since LIMIT ").bind(limit_of(filter.limit));
        let rows = query.all(&self.reader).await?;
        let found: Result<Vec<FindingRow>> = rows.iter().map(|row| Ok(FindingRow { since: row.try_get("verdict_since")?, ..finding_row(row)? })).collect();
        if filter.period.is_some() { found.map(joined) } else { found }
    }

    /// Spans of the verdicts of these rules that began at or before `at` (Unix seconds), on all hosts, oldest first.
    pub async fn spells(&self, rules: &[&str], at: i64) -> Result<Vec<Spell>> {
        if rules.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = Query::new("SELECT host, rule, subject, verdict, since, until FROM findings WHERE since <= ");
        query.bind(at).push(" AND rule IN ").bind_list(rules.iter().map(|rule| (*rule).to_string())).push(" ORDER BY since, host, rule, subject");
        let rows = query.all(&self.reader).await?;
        rows.iter().map(spell).collect()
    }

    /// Every verdict of a rule that overlaps `[from, to)`, in each of its words, by host, subject and time.
    pub async fn spans(&self, rule: &str, from: i64, to: i64) -> Result<Vec<FindingRow>> {
        let rows = sqlx::query("SELECT * FROM findings WHERE rule = $1 AND since < $2 AND (until IS NULL OR until > $3) ORDER BY host, subject, since")
            .bind(storable(rule))
            .bind(to)
            .bind(from)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(finding_row).collect()
    }

    /// Every verdict a rule gave on a subject of a host, in each of its words, oldest first.
    pub async fn history(&self, host: &HostId, rule: &str, subject: &str) -> Result<Vec<FindingRow>> {
        let rows = sqlx::query("SELECT * FROM findings WHERE host = $1 AND rule = $2 AND subject = $3 ORDER BY since")
            .bind(host.bytes().to_vec())
            .bind(storable(rule))
            .bind(storable(subject))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(finding_row).collect()
    }
}

/// A verdict is as old as the first of the spans that follow each other without a break and say the same verdict.
const FINDINGS: &str = "SELECT f.*, coalesce((SELECT min(g.since) FROM findings g
      WHERE g.host = f.host AND g.rule = f.rule AND g.subject = f.subject AND g.since <= f.since AND g.since >= coalesce(
        (SELECT max(e.until) FROM findings e WHERE e.host = f.host AND e.rule = f.rule AND e.subject = f.subject AND e.until <= f.since
           AND (e.verdict <> f.verdict OR NOT EXISTS
             (SELECT 1 FROM findings n WHERE n.host = e.host AND n.rule = e.rule AND n.subject = e.subject AND n.since = e.until))), 0)), f.since) AS verdict_since
    FROM findings f WHERE ";

/// Spans of one verdict that follow each other without a break become one.
fn joined(rows: Vec<FindingRow>) -> Vec<FindingRow> {
    let mut out: Vec<FindingRow> = Vec::with_capacity(rows.len());
    for row in rows {
        match out.last_mut() {
            Some(last) if continues(last, &row) => *last = FindingRow { since: last.since, origin: last.origin.take(), ..row },
            _ => out.push(row),
        }
    }
    out
}

/// Whether `next` says the same verdict on the same thing since the same time; rows are ordered by what they are about.
fn continues(last: &FindingRow, next: &FindingRow) -> bool {
    let about = |r: &FindingRow| (r.host, r.finding.rule.clone(), r.finding.subject.clone());
    last.since == next.since && last.finding.verdict == next.finding.verdict && about(last) == about(next)
}

/// Spans written by one statement.
const INSERT_ROWS: usize = 64;

/// Which rules are looked at.
pub(super) type Ours<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// Lays verdicts over the stored spans inside a transaction, see [`transitions::lay`]; whether anything changed. Only rules that are `ours` are
/// looked at, in verdicts and in spans.
pub(super) async fn lay(transaction: &mut Transaction<'static, Any>, host: &HostId, ours: Ours<'_>, new: &Laying<'_>) -> Result<bool> {
    let rows =
        sqlx::query("SELECT * FROM findings WHERE host = $1 AND (until IS NULL OR until > $2) AND ($3 IS NULL OR since <= $3) ORDER BY rule, subject, since")
            .bind(host.bytes().to_vec())
            .bind(new.at)
            .bind(new.next.map(|(next, _)| next))
            .fetch_all(&mut **transaction)
            .await?;
    let mut spans: Vec<Span> = rows.iter().map(span).collect::<Result<_>>()?;
    spans.retain(|s| ours(&s.finding.rule));
    let findings: Vec<Finding> = new.findings.iter().filter(|f| ours(&f.rule)).cloned().collect();
    let changes = transitions::lay(&spans, &Laying { findings: &findings, ..*new });
    for (span, until) in changes.end.iter().filter_map(|(number, until)| Some((spans.get(*number)?, until))) {
        let mut query = Query::new("UPDATE findings SET until = ");
        query.bind(*until);
        identified(&mut query, host, span).run(&mut **transaction).await?;
    }
    for span in changes.remove.iter().filter_map(|number| spans.get(*number)) {
        identified(&mut Query::new("DELETE FROM findings"), host, span).run(&mut **transaction).await?;
    }
    for spans in changes.add.chunks(INSERT_ROWS) {
        insert(host, spans)?.run(&mut **transaction).await?;
    }
    super::alerts::note(transaction, host, &super::alerts::fresh(&spans, &changes)).await?;
    Ok(!changes.is_empty())
}

/// Narrows a statement to one span: its key is what it is about and when it began.
fn identified<'q>(query: &'q mut Query, host: &HostId, span: &Span) -> &'q mut Query {
    query.push(" WHERE host = ").bind(host.bytes().to_vec());
    query.push(" AND rule = ").bind(storable(&span.finding.rule));
    query.push(" AND subject = ").bind(storable(&span.finding.subject));
    query.push(" AND since = ").bind(span.since)
}

fn insert(host: &HostId, spans: &[Span]) -> Result<Query> {
    let mut query = Query::new("INSERT INTO findings (host, rule, subject, verdict, severity, since, until, report, body, origin) VALUES ");
    for (number, span) in spans.iter().enumerate() {
        let body = serde_json::to_string(&span.finding).map_err(|e| StoreError::Database(e.to_string()))?;
        query.push(if number > 0 { ", (" } else { "(" }).bind(host.bytes().to_vec());
        query.push(", ").bind(storable(&span.finding.rule)).push(", ").bind(storable(&span.finding.subject));
        query.push(", ").bind(span.finding.verdict.id()).push(", ").bind(rank(span.finding.severity));
        query.push(", ").bind(span.since).push(", ").bind(span.until);
        query.push(", ").bind(span.report.bytes().to_vec()).push(", ").bind(body).push(", ").bind(span.origin.clone()).push(")");
    }
    Ok(query)
}

pub(super) const fn rank(severity: Severity) -> i64 {
    match severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

fn finding_row(row: &AnyRow) -> Result<FindingRow> {
    let span = span(row)?;
    let host = HostId::new(bytes(row, "host")?);
    Ok(FindingRow { host, finding: span.finding, since: span.since, until: span.until, report: span.report, origin: span.origin })
}

fn spell(row: &AnyRow) -> Result<Spell> {
    let verdict: &str = row.try_get("verdict")?;
    Ok(Spell {
        host: HostId::new(bytes(row, "host")?),
        rule: row.try_get("rule")?,
        subject: row.try_get("subject")?,
        verdict: Verdict::from_id(verdict).ok_or_else(|| StoreError::Damaged(format!("verdict {verdict:?}")))?,
        since: row.try_get("since")?,
        until: row.try_get("until")?,
    })
}

fn span(row: &AnyRow) -> Result<Span> {
    let (rule, body): (&str, &str) = (row.try_get("rule")?, row.try_get("body")?);
    Ok(Span {
        finding: serde_json::from_str(body).map_err(|e| StoreError::Damaged(format!("finding of {rule}: {e}")))?,
        since: row.try_get("since")?,
        until: row.try_get("until")?,
        report: Digest::new(bytes(row, "report")?),
        origin: row.try_get("origin")?,
    })
}
