//! Findings as spans of time.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, StoreError, bytes, limit_of, storable};
use super::moves::{Counted, Moves, rank, severity_of};
use super::open;
use super::query::Query;
use super::transitions::{self, Changes, Laying, Span};
use super::{Cursor, FindingFilter, FindingRow, OpenFilter, tallies, worklist};
use crate::collector::commitments::Spell;
use crate::model::finding::{Citation, Finding, UnknownReason, Verdict};
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
        let found: Result<Vec<FindingRow>> = rows.iter().map(|row| Ok(FindingRow { since: began(row)?, ..finding_row(row)? })).collect();
        if filter.period.is_some() { found.map(joined) } else { found }
    }

    /// Findings of whatever verdict, or of this one, by host, rule and subject, behind a place; what is only told of open findings does not narrow them.
    pub async fn every_finding(
        &self,
        filter: &OpenFilter,
        verdict: Option<Verdict>,
        as_of: Option<i64>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<FindingRow>> {
        let mut query = Query::new(FINDINGS);
        match as_of {
            Some(at) => query.push("f.since <= ").bind(at).push(" AND (f.until IS NULL OR f.until > ").bind(at).push(")"),
            None => query.push("f.until IS NULL"),
        };
        if let Some(verdict) = verdict {
            query.push(" AND f.verdict = ").bind(verdict.id());
        }
        if let Some(severity) = filter.severity {
            query.push(" AND f.severity = ").bind(rank(severity));
        }
        worklist::narrow_any(&mut query, filter, "f.body");
        if let Some(after) = after {
            query.push(" AND (f.host, f.rule, f.subject) > (").bind(after.host.bytes().to_vec());
            query.push(", ").bind(storable(&after.rule)).push(", ").bind(storable(&after.subject)).push(")");
        }
        query.push(" ORDER BY f.host, f.rule, f.subject LIMIT ").bind(i64::from(limit));
        let rows = query.all(&self.reader).await?;
        rows.iter().map(|row| Ok(FindingRow { since: began(row)?, ..finding_row(row)? })).collect()
    }

    /// Spans of the verdicts of these rules that began at or before `at` (Unix seconds), on all hosts, oldest first.
    pub async fn spells(&self, rules: &[&str], at: i64, most: u32) -> Result<Option<Vec<Spell>>> {
        if rules.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut query = Query::new("SELECT host, rule, subject, verdict, since, until FROM findings WHERE since <= ");
        query.bind(at).push(" AND rule IN ").bind_list(rules.iter().map(|rule| (*rule).to_string())).push(" LIMIT ").bind(i64::from(most).saturating_add(1));
        let rows = query.all(&self.reader).await?;
        if rows.len() > most as usize {
            return Ok(None);
        }
        let mut spells = rows.iter().map(spell).collect::<Result<Vec<Spell>>>()?;
        spells.sort_by(|a, b| (a.since, a.host, &a.rule, &a.subject).cmp(&(b.since, b.host, &b.rule, &b.subject)));
        Ok(Some(spells))
    }

    /// Open failures and what can't be told, now, whose subject begins with a text: host, rule, subject, verdict; by subject, at most `most`.
    pub async fn findings_about(&self, beginning: &str, most: u32) -> Result<Vec<(HostId, String, String, Verdict)>> {
        // No text of a subject is greater than its beginning and the greatest character.
        let end = format!("{beginning}\u{10ffff}");
        let rows = sqlx::query(
            "SELECT host, rule, subject, verdict FROM findings
             WHERE until IS NULL AND verdict IN ('fail', 'unknown') AND subject >= $1 AND subject < $2 ORDER BY subject, rule LIMIT $3",
        )
        .bind(storable(beginning))
        .bind(storable(&end))
        .bind(limit_of(most))
        .fetch_all(&self.reader)
        .await?;
        let told = |row: &AnyRow| Ok((HostId::new(bytes(row, "host")?), row.try_get("rule")?, row.try_get("subject")?, tallies::verdict_of(row)?));
        rows.iter().map(told).collect()
    }

    /// The finding of a rule whose verdict began first of those that are open at a time; only failures and unknowns are found quickly.
    pub async fn oldest_finding(&self, rule: &str, verdict: Verdict, as_of: Option<i64>) -> Result<Option<FindingRow>> {
        // The verdict as text, so that the index over it alone is used.
        let mut query = Query::new("SELECT * FROM findings WHERE verdict = '");
        query.push(verdict.id()).push("' AND rule = ").bind(storable(rule));
        match as_of {
            Some(at) => query.push(" AND since <= ").bind(at).push(" AND (until IS NULL OR until > ").bind(at).push(")"),
            None => query.push(" AND until IS NULL"),
        };
        let row = query.push(" ORDER BY began LIMIT 1").first(&self.reader).await?;
        row.map(|row| Ok(FindingRow { since: began(&row)?, ..finding_row(&row)? })).transpose()
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

const FINDINGS: &str = "SELECT * FROM findings f WHERE ";

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

/// Spans written by one statement: SQLite looks each parameter up by its name, so many of them cost their square.
const INSERT_ROWS: usize = 8;

/// Which rules are looked at.
pub(super) type Ours<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// A span as stored.
struct Stored {
    span: Span,
    /// Since when its verdict holds whatever its words.
    began: i64,
}

impl Stored {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self { span: span(row)?, began: began(row)? })
    }

    fn counted(&self) -> Counted {
        counted(&self.span, self.began)
    }
}

/// Lays verdicts over the stored spans inside a transaction, see [`transitions::lay`]; whether anything changed. Only rules that are `ours` are
/// looked at, in verdicts and in spans.
pub(super) async fn lay(transaction: &mut Transaction<'static, Any>, host: &HostId, ours: Ours<'_>, new: &Laying<'_>) -> Result<bool> {
    // One that ended at this second tells since when its verdict holds; those after the next report may have begun with one that changes.
    let rows = sqlx::query("SELECT * FROM findings WHERE host = $1 AND (until IS NULL OR until >= $2) ORDER BY rule, subject, since")
        .bind(host.bytes().to_vec())
        .bind(new.at)
        .fetch_all(&mut **transaction)
        .await?;
    let (stored, others): (Vec<Stored>, Vec<Stored>) =
        rows.iter().map(Stored::read).collect::<Result<Vec<_>>>()?.into_iter().partition(|s| ours(&s.span.finding.rule));
    let spans: Vec<Span> = stored.iter().map(|s| s.span.clone()).collect();
    let findings: Vec<Finding> = new.findings.iter().filter(|f| ours(&f.rule)).cloned().collect();
    let changes = transitions::lay(&spans, &Laying { findings: &findings, ..*new });
    if changes.is_empty() {
        return Ok(false);
    }
    for (span, until) in changes.end.iter().filter_map(|(number, until)| Some((spans.get(*number)?, until))) {
        let mut query = Query::new("UPDATE findings SET until = ");
        query.bind(*until);
        identified(&mut query, host, span).run(&mut **transaction).await?;
    }
    for span in changes.remove.iter().filter_map(|number| spans.get(*number)) {
        identified(&mut Query::new("DELETE FROM findings"), host, span).run(&mut **transaction).await?;
    }
    let after = applied(&stored, &changes);
    let mut added: Vec<(&Span, i64)> = Vec::with_capacity(changes.add.len());
    for (place, counted) in &after {
        match place {
            Place::New(number) => added.extend(changes.add.get(*number).map(|span| (span, counted.began))),
            Place::Old(number) => {
                let Some(old) = stored.get(*number).filter(|old| old.began != counted.began) else { continue };
                let mut query = Query::new("UPDATE findings SET began = ");
                query.bind(counted.began);
                identified(&mut query, host, &old.span).run(&mut **transaction).await?;
            }
        }
    }
    for spans in added.chunks(INSERT_ROWS) {
        insert(host, spans)?.run(&mut **transaction).await?;
    }
    let old = changes.end.iter().map(|(number, _)| number).chain(&changes.remove).filter_map(|number| spans.get(*number));
    let touched = old.chain(&changes.add).map(|s| (s.finding.rule.clone(), s.finding.subject.clone())).collect();
    open::follow(transaction, host, &touched).await?;
    let others: Vec<Counted> = others.iter().map(Stored::counted).collect();
    let before: Vec<Counted> = stored.iter().map(Stored::counted).chain(others.iter().cloned()).collect();
    let after: Vec<Counted> = after.into_iter().map(|(_, counted)| counted).chain(others).collect();
    tallies::queue(transaction, &Moves::between(&before, &after)).await?;
    Ok(true)
}

/// Where a span of [`applied`] comes from.
#[derive(Clone, Copy)]
enum Place {
    /// Position among the stored ones.
    Old(usize),
    /// Position among the added ones.
    New(usize),
}

/// Spans as they are after changes, by what they are about and time, each with since when its verdict holds.
fn applied(stored: &[Stored], changes: &Changes) -> Vec<(Place, Counted)> {
    let ends: BTreeMap<usize, Option<i64>> = changes.end.iter().copied().collect();
    let removed: BTreeSet<usize> = changes.remove.iter().copied().collect();
    let kept = stored.iter().enumerate().filter(|(number, _)| !removed.contains(number)).map(|(number, stored)| {
        let mut counted = stored.counted();
        counted.until = ends.get(&number).copied().unwrap_or(counted.until);
        (Place::Old(number), counted)
    });
    let added = changes.add.iter().enumerate().map(|(number, span)| (Place::New(number), counted(span, span.since)));
    let mut all: Vec<(Place, Counted)> = kept.chain(added).collect();
    all.sort_by(|(_, a), (_, b)| (&a.rule, &a.subject, a.since).cmp(&(&b.rule, &b.subject, b.since)));
    for number in 1..all.len() {
        let [(_, last), (_, next)] = all.get_mut(number - 1..=number).unwrap_or_default() else { continue };
        if (&last.rule, &last.subject) == (&next.rule, &next.subject) {
            let goes_on = last.until == Some(next.since) && last.verdict == next.verdict;
            next.began = if goes_on { last.began } else { next.since };
        }
    }
    all
}

fn counted(span: &Span, began: i64) -> Counted {
    Counted {
        rule: span.finding.rule.clone(),
        subject: span.finding.subject.clone(),
        verdict: span.finding.verdict,
        severity: span.finding.severity,
        began,
        since: span.since,
        until: span.until,
    }
}

/// Every span of a host as counts see it.
pub(super) async fn counted_of(transaction: &mut Transaction<'static, Any>, host: &HostId) -> Result<Vec<Counted>> {
    let columns = "SELECT rule, subject, verdict, severity, began, since, until FROM findings WHERE host = $1";
    let rows = sqlx::query(columns).bind(host.bytes().to_vec()).fetch_all(&mut **transaction).await?;
    let read = |row: &AnyRow| -> Result<Counted> {
        let verdict: &str = row.try_get("verdict")?;
        Ok(Counted {
            rule: row.try_get("rule")?,
            subject: row.try_get("subject")?,
            verdict: Verdict::from_id(verdict).ok_or_else(|| StoreError::Damaged(format!("verdict {verdict:?}")))?,
            severity: severity_of(row.try_get("severity")?)?,
            began: began(row)?,
            since: row.try_get("since")?,
            until: row.try_get("until")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Narrows a statement to one span: its key is what it is about and when it began.
fn identified<'q>(query: &'q mut Query, host: &HostId, span: &Span) -> &'q mut Query {
    query.push(" WHERE host = ").bind(host.bytes().to_vec());
    query.push(" AND rule = ").bind(storable(&span.finding.rule));
    query.push(" AND subject = ").bind(storable(&span.finding.subject));
    query.push(" AND since = ").bind(span.since)
}

fn insert(host: &HostId, spans: &[(&Span, i64)]) -> Result<Query> {
    let mut query = Query::new("INSERT INTO findings (host, rule, subject, verdict, severity, since, until, report, body, origin, began) VALUES ");
    for (number, (span, began)) in spans.iter().enumerate() {
        let subject = Some(&span.finding.subject).filter(|subject| subject.contains('\0')).map(|subject| Cow::Borrowed(subject.as_str()));
        let (message, reason, citations) = (Cow::Borrowed(span.finding.message.as_str()), span.finding.reason.clone(), Cow::Borrowed(&*span.finding.citations));
        let body = Body { subject, message, reason, citations };
        let body = serde_json::to_string(&body).map_err(|e| StoreError::Database(e.to_string()))?;
        query.push(if number > 0 { ", (" } else { "(" }).bind(host.bytes().to_vec());
        query.push(", ").bind(storable(&span.finding.rule)).push(", ").bind(storable(&span.finding.subject));
        query.push(", ").bind(span.finding.verdict.id()).push(", ").bind(rank(span.finding.severity));
        query.push(", ").bind(span.since).push(", ").bind(span.until);
        query.push(", ").bind(span.report.bytes().to_vec()).push(", ").bind(body).push(", ").bind(span.origin.clone()).push(", ").bind(*began).push(")");
    }
    Ok(query)
}

/// Since when the verdict of a row holds whatever its words; one that was never counted is as old as its span.
fn began(row: &AnyRow) -> Result<i64> {
    Ok(match row.try_get("began")? {
        Some(began) => began,
        None => row.try_get("since")?,
    })
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

/// A span as stored.
pub(super) fn span(row: &AnyRow) -> Result<Span> {
    let (rule, body, verdict): (&str, &str, &str) = (row.try_get("rule")?, row.try_get("body")?, row.try_get("verdict")?);
    let damaged = |what: String| StoreError::Damaged(format!("finding of {rule}: {what}"));
    let body: Body<'_> = serde_json::from_str(body).map_err(|e| damaged(e.to_string()))?;
    let finding = Finding {
        rule: rule.to_string(),
        subject: body.subject.map_or_else(|| row.try_get("subject"), |subject| Ok(subject.into_owned()))?,
        verdict: Verdict::from_id(verdict).ok_or_else(|| damaged(format!("verdict {verdict:?}")))?,
        severity: severity_of(row.try_get("severity")?)?,
        message: body.message.into_owned(),
        reason: body.reason,
        citations: body.citations.into_owned(),
    };
    Ok(Span { finding, since: row.try_get("since")?, until: row.try_get("until")?, report: Digest::new(bytes(row, "report")?), origin: row.try_get("origin")? })
}

/// What a finding says beyond its columns; older programs repeated the columns.
#[derive(Serialize, Deserialize)]
struct Body<'a> {
    /// When the column can't hold it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    message: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<UnknownReason>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    citations: Cow<'a, [Citation]>,
}
