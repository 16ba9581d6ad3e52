//! Lists of open findings: by page, by root cause, counted. Every answer is bounded; none reads what a finding rests on.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::engine::{Result, Store, StoreError, bytes, flag, storable, unsigned};
use super::moves::rank;
use super::open::{severity_of, verdict_of};
use super::query::Query;
use crate::collector::cause::CauseId;
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::{HostId, RandomId};

/// One open finding with what people decided about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFinding {
    /// Host.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// Id of the rule.
    pub rule: String,
    /// What was judged; empty for the host as a whole.
    pub subject: String,
    /// `fail`, `unknown`, or `waived`: a failure that a waiver covers at the time asked for.
    pub verdict: Verdict,
    /// How bad it is.
    pub severity: Severity,
    /// Since when the verdict holds, in whatever words, Unix seconds.
    pub since: i64,
    /// Since when it holds with this root cause, Unix seconds.
    pub changed: i64,
    /// Its root cause.
    pub cause: CauseId,
    /// What was found, or why it can't be told; cut when long.
    pub message: String,
    /// Who deals with it; empty: nobody.
    pub owner: String,
    /// First second too late, Unix; `None`: no day was set.
    pub due: Option<i64>,
    /// The waiver that covers it now.
    pub waiver: Option<RandomId>,
}

impl OpenFinding {
    /// Where it stands in a list.
    pub fn cursor(&self) -> Cursor {
        let verdict = if self.verdict == Verdict::Unknown { Verdict::Unknown } else { Verdict::Fail };
        Cursor { verdict, rank: 4 - rank(self.severity), rule: self.rule.clone(), host: self.host, subject: self.subject.clone() }
    }
}

/// A place in a list, behind which the next page begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// `fail` or `unknown`.
    pub verdict: Verdict,
    /// 0 critical … 4 info.
    pub rank: i64,
    /// Rule.
    pub rule: String,
    /// Host.
    pub host: HostId,
    /// Subject.
    pub subject: String,
}

/// A word that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Lower case.
    pub text: String,
    /// Rules whose title holds it.
    pub rules: Vec<String>,
}

/// Which open findings.
#[derive(Clone, Debug, Default)]
pub struct OpenFilter {
    /// Seen from this second, Unix: what is waived, what is overdue.
    pub at: i64,
    /// Of `fail`, `unknown` and `waived`; empty: all three.
    pub verdicts: Vec<Verdict>,
    /// Of this severity.
    pub severity: Option<Severity>,
    /// Of one of these rules.
    pub rules: Option<Vec<String>>,
    /// Of rules whose id begins with this word and a dash.
    pub area: Option<String>,
    /// Of one of these hosts.
    pub hosts: Option<Vec<HostId>>,
    /// Of hosts that have this label at `at`.
    pub label: Option<String>,
    /// On this subject.
    pub subject: Option<String>,
    /// Of this owner; empty: of nobody.
    pub owner: Option<String>,
    /// That began at this second or later.
    pub since_from: Option<i64>,
    /// That began before this second.
    pub since_to: Option<i64>,
    /// Past their day.
    pub overdue: bool,
    /// That changed after this second: news since a baseline.
    pub news_since: Option<i64>,
    /// That have not changed after this second: known by a baseline.
    pub known_since: Option<i64>,
    /// Of this root cause.
    pub cause: Option<CauseId>,
    /// With each of these words in rule, title, subject, message or name of the host.
    pub words: Vec<Word>,
    /// Of these alone: host, rule and subject.
    pub places: Option<Vec<(HostId, String, String)>>,
}

/// Findings of one root cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The cause.
    pub cause: CauseId,
    /// Id of the rule.
    pub rule: String,
    /// `fail`, `unknown`, or `waived` when every one of them is.
    pub verdict: Verdict,
    /// How bad they are.
    pub severity: Severity,
    /// How many.
    pub findings: u64,
    /// On how many hosts.
    pub hosts: u64,
    /// How many of them are waived.
    pub waived: u64,
    /// Since when the oldest holds, Unix seconds.
    pub oldest: i64,
    /// The owner of all of them; empty: nobody; `None`: several, or of some only.
    pub owner: Option<String>,
    /// The first day that is set, Unix seconds.
    pub due: Option<i64>,
    /// How many are past their day.
    pub overdue: u64,
    /// What one of them says.
    pub message: String,
}

/// How many open findings share what facets tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetCount {
    /// Rule.
    pub rule: String,
    /// `fail`, `unknown` or `waived`.
    pub verdict: Verdict,
    /// Severity.
    pub severity: Severity,
    /// Owner; empty: nobody.
    pub owner: String,
    /// Past their day.
    pub overdue: bool,
    /// How many.
    pub findings: u64,
}

/// Hosts whose names are read by one statement.
const NAMES: usize = 500;
/// Pairs in one question to the database.
const ABOUT: usize = 100;

const ORDER: &str = " ORDER BY f.verdict, f.rank, f.rule, f.host, f.subject LIMIT ";

impl Store {
    /// A page of open findings: failures first, by severity, then rule, host and subject; behind `after`.
    pub async fn open_findings(&self, filter: &OpenFilter, after: Option<&Cursor>, limit: u32) -> Result<Vec<OpenFinding>> {
        let mut query = Query::new("SELECT f.*, h.name FROM open_findings f JOIN hosts h ON h.id = f.host WHERE ");
        narrow(&mut query, filter);
        if let Some(after) = after {
            query.push(" AND (f.verdict, f.rank, f.rule, f.host, f.subject) > (").bind(after.verdict.id()).push(", ").bind(after.rank);
            query.push(", ").bind(storable(&after.rule)).push(", ").bind(after.host.bytes().to_vec()).push(", ").bind(storable(&after.subject)).push(")");
        }
        query.push(ORDER).bind(i64::from(limit));
        query.all(&self.reader).await?.iter().map(|row| open_row(row, filter.at)).collect()
    }

    /// Root causes among the first `most` open findings of a filter, worst and widest first.
    pub async fn open_groups(&self, filter: &OpenFilter, most: u32, skip: u32, limit: u32) -> Result<Vec<Group>> {
        let mut query = Query::new(
            "SELECT cause, rule, verdict, rank, count(*) AS findings, count(DISTINCT host) AS hosts, CAST(sum(waived) AS BIGINT) AS waived,
               min(since) AS oldest, min(owner) AS least, max(owner) AS most, min(due) AS due, CAST(sum(overdue) AS BIGINT) AS overdue, min(message) AS message
             FROM (",
        );
        bounded(&mut query, filter, most);
        // The rank is part of what is grouped, for a rule may have had another severity when a host was judged.
        query
            .push(") AS found GROUP BY cause, rule, verdict, rank ORDER BY verdict, rank, hosts DESC, findings DESC, rule, cause LIMIT ")
            .bind(i64::from(limit));
        query.push(" OFFSET ").bind(i64::from(skip));
        query.all(&self.reader).await?.iter().map(group_row).collect()
    }

    /// The first `most` open findings of a filter, counted by what facets tell apart.
    pub async fn open_counts(&self, filter: &OpenFilter, most: u32) -> Result<Vec<FacetCount>> {
        let mut query = Query::new("SELECT rule, verdict, rank, owner, overdue, waived, count(*) AS findings FROM (");
        bounded(&mut query, filter, most);
        query.push(") AS found GROUP BY rule, verdict, rank, owner, overdue, waived ORDER BY rule, verdict, rank, owner, overdue, waived");
        query.all(&self.reader).await?.iter().map(count_row).collect()
    }
}

impl Store {
    /// Failures that a waiver covers at `at` (Unix seconds): rule, host, severity, since when.
    pub async fn waived_now(&self, at: i64, limit: u32) -> Result<Vec<(String, HostId, Severity, i64)>> {
        let query = "SELECT rule, host, rank, since FROM open_findings WHERE waived_until > 0 AND waived_until > $1 AND verdict = 'fail' LIMIT $2";
        let rows = sqlx::query(query).bind(at).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("rule")?, HostId::new(bytes(row, "host")?), severity_of(row)?, row.try_get("since")?))).collect()
    }

    /// How often each of some rules fails on each of its hosts, waived or not.
    pub async fn failing_on(&self, about: &[(String, HostId)]) -> Result<BTreeMap<(String, HostId), u64>> {
        let mut out = BTreeMap::new();
        for some in about.chunks(ABOUT) {
            let mut query = Query::new("SELECT rule, host, count(*) AS n FROM open_findings WHERE verdict = 'fail' AND (");
            for (number, (rule, host)) in some.iter().enumerate() {
                query
                    .push(if number > 0 { " OR (host = " } else { "(host = " })
                    .bind(host.bytes().to_vec())
                    .push(" AND rule = ")
                    .bind(storable(rule))
                    .push(")");
            }
            query.push(") GROUP BY rule, host");
            for row in query.all(&self.reader).await? {
                out.insert((row.try_get("rule")?, HostId::new(bytes(&row, "host")?)), unsigned(&row, "n")?);
            }
        }
        Ok(out)
    }

    /// Hosts that count at `at` (Unix seconds) and were never judged, and when each was enrolled.
    pub async fn hosts_unjudged(&self, at: i64, limit: u32) -> Result<Vec<(HostId, String, i64)>> {
        let rows = sqlx::query(
            "SELECT h.id, h.name, h.enrolled_at FROM hosts h WHERE h.enrolled_at <= $1 AND (h.retired_at IS NULL OR h.retired_at > $1)
               AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.host = h.id AND r.applied = 1 AND r.received <= $1) ORDER BY h.name, h.id LIMIT $2",
        )
        .bind(at)
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok((HostId::new(bytes(row, "id")?), row.try_get("name")?, row.try_get("enrolled_at")?))).collect()
    }

    /// Names of these hosts.
    pub async fn names_of_hosts(&self, hosts: &BTreeSet<HostId>) -> Result<BTreeMap<HostId, String>> {
        let (hosts, mut out) = (hosts.iter().collect::<Vec<_>>(), BTreeMap::new());
        for some in hosts.chunks(NAMES) {
            let mut query = Query::new("SELECT id, name FROM hosts WHERE id IN ");
            query.bind_list(some.iter().map(|host| host.bytes().to_vec()));
            for row in query.all(&self.reader).await? {
                out.insert(HostId::new(bytes(&row, "id")?), row.try_get("name")?);
            }
        }
        Ok(out)
    }

    /// How many findings of each of these hosts are waived at `at` (Unix seconds).
    pub async fn waived_counts(&self, hosts: &[HostId], at: i64) -> Result<BTreeMap<HostId, u64>> {
        if hosts.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut query = Query::new("SELECT host, count(*) AS findings FROM open_findings WHERE waived_until > 0 AND waived_until > ");
        query.bind(at).push(" AND host IN ").bind_list(hosts.iter().map(|host| host.bytes().to_vec())).push(" GROUP BY host");
        query.all(&self.reader).await?.iter().map(|row| Ok((HostId::new(bytes(row, "host")?), unsigned(row, "findings")?))).collect()
    }
}

/// The first rows of a filter with their flags.
fn bounded(query: &mut Query, filter: &OpenFilter, most: u32) {
    query.push("SELECT f.cause, f.rule, f.verdict, f.rank, f.host, f.since, f.owner, f.due, f.message, CASE WHEN f.waived_until > ").bind(filter.at);
    query.push(" THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS waived, CASE WHEN f.due IS NOT NULL AND f.due <= ").bind(filter.at);
    query.push(" AND f.waived_until <= ").bind(filter.at).push(" THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS overdue FROM open_findings f WHERE ");
    narrow(query, filter);
    query.push(ORDER).bind(i64::from(most));
}

fn narrow(query: &mut Query, filter: &OpenFilter) {
    verdicts(query, filter);
    if let Some(severity) = filter.severity {
        query.push(" AND f.rank = ").bind(4 - rank(severity));
    }
    narrow_any(query, filter, "f.message");
    if let Some(owner) = &filter.owner {
        // Said in full, so that the index of those with an owner serves.
        query.push(if owner.is_empty() { " AND f.owner = " } else { " AND f.owner <> '' AND f.owner = " }).bind(storable(owner));
    }
    for (condition, value) in [
        (" AND f.since >= ", filter.since_from),
        (" AND f.since < ", filter.since_to),
        (" AND f.changed > ", filter.news_since),
        (" AND f.changed <= ", filter.known_since),
    ] {
        if let Some(value) = value {
            query.push(condition).bind(value);
        }
    }
    if filter.overdue {
        query.push(" AND f.due IS NOT NULL AND f.due <= ").bind(filter.at).push(" AND f.waived_until <= ").bind(filter.at);
    }
    if let Some(cause) = filter.cause {
        query.push(" AND f.cause = ").bind(cause.to_vec());
    }
    if let Some(places) = &filter.places {
        one_of(query, places);
    }
}

/// What narrows findings of every verdict; `said` is the column that holds what they say.
pub(super) fn narrow_any(query: &mut Query, filter: &OpenFilter, said: &str) {
    if let Some(rules) = &filter.rules {
        listed(query, "f.rule", rules.iter().map(|rule| storable(rule)));
    }
    if let Some(area) = &filter.area {
        query.push(" AND f.rule >= ").bind(storable(&format!("{area}-"))).push(" AND f.rule < ").bind(storable(&format!("{area}.")));
    }
    if let Some(hosts) = &filter.hosts {
        listed(query, "f.host", hosts.iter().map(|host| host.bytes().to_vec()));
    }
    if let Some(label) = &filter.label {
        query
            .push(" AND f.host IN (SELECT h.id FROM labels l JOIN hosts h ON lower(h.name) = l.name WHERE l.field = 'label' AND l.value = ")
            .bind(storable(label));
        query.push(" AND l.since <= ").bind(filter.at).push(" AND (l.until IS NULL OR l.until > ").bind(filter.at).push("))");
    }
    if let Some(subject) = &filter.subject {
        query.push(" AND f.subject = ").bind(storable(subject));
    }
    for word in &filter.words {
        looked_for(query, word, said);
    }
}

fn verdicts(query: &mut Query, filter: &OpenFilter) {
    let has = |v: Verdict| filter.verdicts.is_empty() || filter.verdicts.contains(&v);
    let at = filter.at;
    match (has(Verdict::Fail), has(Verdict::Unknown), has(Verdict::Waived)) {
        (true, true, true) => query.push("1 = 1"),
        (true, false, true) => query.push("f.verdict = 'fail'"),
        (true, false, false) => query.push("f.verdict = 'fail' AND f.waived_until <= ").bind(at),
        (false, true, false) => query.push("f.verdict = 'unknown'"),
        (false, false, true) => query.push("f.waived_until > 0 AND f.waived_until > ").bind(at),
        (true, true, false) => query.push("f.waived_until <= ").bind(at),
        (false, true, true) => query.push("(f.verdict = 'unknown' OR f.waived_until > ").bind(at).push(")"),
        (false, false, false) => query.push("1 = 0"),
    };
}

fn listed<'q, T: sqlx::Encode<'q, sqlx::Any> + sqlx::Type<sqlx::Any>>(query: &mut Query, column: &str, values: impl Iterator<Item = T>) {
    let values: Vec<T> = values.collect();
    if values.is_empty() {
        query.push(" AND 1 = 0");
        return;
    }
    query.push(" AND ").push(column).push(" IN ").bind_list(values);
}

fn looked_for(query: &mut Query, word: &Word, said: &str) {
    let pattern = format!("%{}%", word.text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    query.push(" AND (");
    for column in ["f.rule", "f.subject", said] {
        query.push("lower(").push(column).push(") LIKE ").bind(storable(&pattern)).push(" ESCAPE '\\' OR ");
    }
    if !word.rules.is_empty() {
        query.push("f.rule IN ").bind_list(word.rules.iter().map(|rule| storable(rule))).push(" OR ");
    }
    query.push("f.host IN (SELECT id FROM hosts WHERE lower(name) LIKE ").bind(storable(&pattern)).push(" ESCAPE '\\'))");
}

fn one_of(query: &mut Query, places: &[(HostId, String, String)]) {
    if places.is_empty() {
        query.push(" AND 1 = 0");
        return;
    }
    query.push(" AND (f.host, f.rule, f.subject) IN (VALUES ");
    for (number, (host, rule, subject)) in places.iter().enumerate() {
        query.push(if number > 0 { ", (" } else { "(" }).bind(host.bytes().to_vec());
        query.push(", ").bind(storable(rule)).push(", ").bind(storable(subject)).push(")");
    }
    query.push(")");
}

fn cause_of(row: &AnyRow) -> Result<CauseId> {
    bytes(row, "cause")
}

fn open_row(row: &AnyRow, at: i64) -> Result<OpenFinding> {
    let is_waived = row.try_get::<i64, _>("waived_until")? > at;
    let waiver: Option<Vec<u8>> = row.try_get("waiver")?;
    let waiver = waiver.filter(|_| is_waived).map(|w| w.try_into().map(RandomId::new).map_err(|_| StoreError::Damaged("a waiver of an open finding".into())));
    Ok(OpenFinding {
        host: HostId::new(bytes(row, "host")?),
        name: row.try_get("name")?,
        rule: row.try_get("rule")?,
        subject: row.try_get("subject")?,
        verdict: if is_waived { Verdict::Waived } else { verdict_of(row)? },
        severity: severity_of(row)?,
        since: row.try_get("since")?,
        changed: row.try_get("changed")?,
        cause: cause_of(row)?,
        message: row.try_get("message")?,
        owner: row.try_get("owner")?,
        due: row.try_get("due")?,
        waiver: waiver.transpose()?,
    })
}

fn group_row(row: &AnyRow) -> Result<Group> {
    let (least, most): (String, String) = (row.try_get("least")?, row.try_get("most")?);
    let (findings, waived) = (unsigned(row, "findings")?, unsigned(row, "waived")?);
    Ok(Group {
        cause: cause_of(row)?,
        rule: row.try_get("rule")?,
        verdict: if waived == findings { Verdict::Waived } else { verdict_of(row)? },
        severity: severity_of(row)?,
        findings,
        hosts: unsigned(row, "hosts")?,
        waived,
        oldest: row.try_get("oldest")?,
        owner: (least == most).then_some(least),
        due: row.try_get("due")?,
        overdue: unsigned(row, "overdue")?,
        message: row.try_get("message")?,
    })
}

fn count_row(row: &AnyRow) -> Result<FacetCount> {
    let is_waived = flag(row, "waived")?;
    Ok(FacetCount {
        rule: row.try_get("rule")?,
        verdict: if is_waived { Verdict::Waived } else { verdict_of(row)? },
        severity: severity_of(row)?,
        owner: row.try_get("owner")?,
        overdue: flag(row, "overdue")?,
        findings: unsigned(row, "findings")?,
    })
}
