//! Open failures and unknowns, one row each with what people decided about it, as lists need them.
//!
//! ```text
//! findings (spans) ----+
//!                      +-> open_findings        in the transaction that changes either: the two never differ
//! records (decisions) -+
//! ```
//! All of it is derived: [`Store::derive`] makes it anew when another version of the program made it, after a restore and after a move.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Engine, Result, Store, StoreError, bytes, storable};
use super::findings::span;
use super::moves::rank;
use super::query::Query;
use super::transitions::Span;
use crate::collector::cause::{self, CauseId, MAX_MESSAGE};
use crate::collector::ui::text::brief;
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::{HostId, RandomId};
use crate::records::handling::{About, Handlings};
use crate::records::scope::EVERY;
use crate::records::types::{BASELINE, HANDLING, WAIVER};
use crate::records::waiver::{Waiver, waivers};
use crate::records::{Recorded, entries};

/// Version of what is derived; see [`cause::VERSION`].
const VERSION: i64 = cause::VERSION;
/// Rows written or removed by one statement.
const ROWS: usize = 64;
/// Spans read at a time on the way back to a verdict's beginning.
const SPANS: i64 = 64;

/// Under which baselines stand among the decisions: they are about no rule.
const NO_RULE: &str = "";
/// Record types that are indexed by rule.
const INDEXED: [&str; 3] = [WAIVER, HANDLING, BASELINE];

/// Rule and subject.
pub(super) type Key = (String, String);
type Tx<'t> = &'t mut Transaction<'static, Any>;

/// What people decided about the findings of some rules.
pub(super) struct Decided {
    handlings: Handlings,
    waivers: BTreeMap<String, Vec<Waiver>>,
}

/// What was decided about one finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    owner: String,
    due: Option<i64>,
    waiver: Option<RandomId>,
    waived_until: i64,
}

impl Decided {
    fn of(events: &[Recorded]) -> Self {
        let mut by_rule: BTreeMap<String, Vec<Waiver>> = BTreeMap::new();
        for waiver in waivers(events, i64::MAX) {
            by_rule.entry(waiver.scope.rule.clone()).or_default().push(waiver);
        }
        Self { handlings: Handlings::of(events, i64::MAX), waivers: by_rule }
    }

    /// A waiver covers from its approval on, which lies behind: only its end is still to come.
    fn on(&self, about: &About<'_>, verdict: Verdict) -> Said {
        let handling = self.handlings.on(about).unwrap_or_default();
        let covering =
            self.waivers.get(about.rule).into_iter().flatten().filter(|w| verdict == Verdict::Fail && w.covers(about.host, about.rule, about.subject));
        let last = covering.filter_map(|w| Some((w.in_force()?.1, w.id))).max();
        Said { owner: handling.owner, due: handling.due, waiver: last.map(|(_, id)| id), waived_until: last.map_or(0, |(until, _)| until) }
    }
}

/// Follows changes of a host's verdicts; `keys` are those that may have changed.
pub(super) async fn follow(transaction: Tx<'_>, host: &HostId, keys: &BTreeSet<Key>) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<&Key> = keys.iter().collect();
    for some in keys.chunks(ROWS) {
        let mut query = Query::new("DELETE FROM open_findings WHERE host = ");
        query.bind(host.bytes().to_vec()).push(" AND (rule, subject) IN (VALUES ");
        pairs(&mut query, some.iter().map(|(rule, subject)| (rule.as_str(), subject.as_str())));
        query.push(")").run(&mut **transaction).await?;
    }
    let open = sqlx::query("SELECT rule, subject FROM findings WHERE host = $1 AND until IS NULL AND verdict IN ('fail', 'unknown') ORDER BY rule, subject");
    let open = open.bind(host.bytes().to_vec()).fetch_all(&mut **transaction).await?;
    let open: Vec<Key> = open.iter().map(|row| Ok((row.try_get("rule")?, row.try_get("subject")?))).collect::<Result<_>>()?;
    let stored: BTreeSet<Key> = keys.into_iter().map(|(rule, subject)| (storable(rule), storable(subject))).collect();
    insert(transaction, host, open.into_iter().filter(|key| stored.contains(key)).collect()).await
}

/// Makes the rows of a host anew.
pub(super) async fn follow_host(transaction: Tx<'_>, host: &HostId) -> Result<()> {
    forget(transaction, host).await?;
    let open = sqlx::query("SELECT rule, subject FROM findings WHERE host = $1 AND until IS NULL AND verdict IN ('fail', 'unknown') ORDER BY rule, subject");
    let open = open.bind(host.bytes().to_vec()).fetch_all(&mut **transaction).await?;
    let open = open.iter().map(|row| Ok((row.try_get("rule")?, row.try_get("subject")?))).collect::<Result<_>>()?;
    insert(transaction, host, open).await
}

/// Removes the rows of a host whose verdicts ended or went.
pub(super) async fn forget(transaction: Tx<'_>, host: &HostId) -> Result<()> {
    sqlx::query("DELETE FROM open_findings WHERE host = $1").bind(host.bytes().to_vec()).execute(&mut **transaction).await?;
    Ok(())
}

/// Writes the rows of verdicts that are open.
async fn insert(transaction: Tx<'_>, host: &HostId, keys: Vec<Key>) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let name = sqlx::query("SELECT name FROM hosts WHERE id = $1").bind(host.bytes().to_vec()).fetch_one(&mut **transaction).await?;
    let name: String = name.try_get("name")?;
    let rules: BTreeSet<String> = keys.iter().map(|(rule, _)| rule.clone()).collect();
    let decided = decided(transaction, &rules).await?;
    for some in keys.chunks(ROWS) {
        let mut query = Query::new(
            "INSERT INTO open_findings (host, rule, subject, verdict, rank, since, changed, cause, message, owner, due, waiver, waived_until) VALUES ",
        );
        let mut rows = 0;
        for (rule, subject) in some {
            let Some((span, since, changed)) = run(transaction, host, rule, subject).await? else { continue };
            let finding = &span.finding;
            let said = decided.on(&About { host: &name, rule, subject, severity: finding.severity, since }, finding.verdict);
            query.push(if rows > 0 { ", (" } else { "(" }).bind(host.bytes().to_vec()).push(", ").bind(rule.clone()).push(", ").bind(subject.clone());
            query.push(", ").bind(finding.verdict.id()).push(", ").bind(4 - rank(finding.severity)).push(", ").bind(since).push(", ").bind(changed);
            query.push(", ").bind(cause::of(finding).to_vec()).push(", ").bind(storable(&brief(&cause::said(finding), MAX_MESSAGE)));
            query.push(", ").bind(storable(&said.owner)).push(", ").bind(said.due);
            query.push(", ").bind(said.waiver.map(|w| w.bytes().to_vec())).push(", ").bind(said.waived_until).push(")");
            rows += 1;
        }
        if rows > 0 {
            query.run(&mut **transaction).await?;
        }
    }
    Ok(())
}

/// The open span of a verdict, since when the verdict holds without a break, and since when with the same cause.
async fn run(transaction: Tx<'_>, host: &HostId, rule: &str, subject: &str) -> Result<Option<(Span, i64, i64)>> {
    let mut newest: Option<(Span, CauseId)> = None;
    let (mut since, mut changed, mut before) = (0, 0, i64::MAX);
    loop {
        let rows = sqlx::query("SELECT * FROM findings WHERE host = $1 AND rule = $2 AND subject = $3 AND since < $4 ORDER BY since DESC LIMIT $5")
            .bind(host.bytes().to_vec())
            .bind(rule)
            .bind(subject)
            .bind(before)
            .bind(SPANS)
            .fetch_all(&mut **transaction)
            .await?;
        for row in &rows {
            let older = span(row)?;
            before = older.since;
            match &newest {
                None if older.until.is_some() => return Ok(None),
                None => {
                    (since, changed) = (older.since, older.since);
                    let cause = cause::of(&older.finding);
                    newest = Some((older, cause));
                }
                Some((span, cause)) => {
                    if older.until != Some(since) || older.finding.verdict != span.finding.verdict {
                        return Ok(newest.map(|(span, _)| (span, since, changed)));
                    }
                    if changed == since && cause::of(&older.finding) == *cause {
                        changed = older.since;
                    }
                    since = older.since;
                }
            }
        }
        if rows.len() < usize::try_from(SPANS).unwrap_or(usize::MAX) {
            return Ok(newest.map(|(span, _)| (span, since, changed)));
        }
    }
}

/// What was decided about findings of these rules.
async fn decided(transaction: Tx<'_>, rules: &BTreeSet<String>) -> Result<Decided> {
    let mut query = events_of(rules.iter().cloned().chain([EVERY.to_string()]));
    let events: Vec<Recorded> = query.all(&mut **transaction).await?.iter().map(super::records::recorded).collect::<Result<_>>()?;
    Ok(Decided::of(&events))
}

/// Events that are about one of these rules, in the order of the ledger.
fn events_of(rules: impl IntoIterator<Item = String>) -> Query {
    let mut query = Query::new(
        "SELECT s.digest, s.body,
           (SELECT min(l.number) FROM leaves l WHERE l.kind = s.kind AND l.reference = s.digest) AS numbered,
           (SELECT min(p.number) FROM pending_leaves p WHERE p.kind = s.kind AND p.reference = s.digest) AS waiting
         FROM statements s WHERE s.digest IN (SELECT digest FROM decisions WHERE rule IN ",
    );
    query.bind_list(rules);
    query.push(") ORDER BY numbered NULLS LAST, waiting NULLS LAST, s.at, s.digest");
    query
}

/// Follows events of records that were just recorded; `all` are those of their type, the new ones included.
pub(super) async fn decide(transaction: Tx<'_>, new: &[Recorded], all: &[Recorded]) -> Result<()> {
    let touched: BTreeSet<RandomId> = new.iter().filter(|r| INDEXED.contains(&r.event.record.as_str())).map(|r| r.event.entry).collect();
    if touched.is_empty() {
        return Ok(());
    }
    let mut rules: BTreeSet<String> = BTreeSet::new();
    for entry in touched {
        rules.extend(index(transaction, all.iter().filter(|r| r.event.entry == entry)).await?);
    }
    decide_rules(transaction, &rules).await
}

/// Notes the events of one entry under each rule that any of them names, or under [`NO_RULE`]; which rules.
async fn index<'r>(transaction: Tx<'_>, events: impl Iterator<Item = &'r Recorded>) -> Result<BTreeSet<String>> {
    let events: Vec<&Recorded> = events.collect();
    let rules: BTreeSet<String> = events.iter().filter_map(|r| r.event.fields.get("rule")).filter(|rule| !rule.is_empty()).cloned().collect();
    let places: Vec<&str> = if rules.is_empty() { vec![NO_RULE] } else { rules.iter().map(String::as_str).collect() };
    for rule in places {
        for recorded in &events {
            sqlx::query("INSERT INTO decisions (rule, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(storable(rule))
                .bind(recorded.digest.bytes().to_vec())
                .execute(&mut **transaction)
                .await?;
        }
    }
    Ok(rules)
}

/// Lays what was decided over the open findings of some rules; [`EVERY`]: of all.
async fn decide_rules(transaction: Tx<'_>, rules: &BTreeSet<String>) -> Result<()> {
    let mut named = rules.clone();
    if rules.contains(EVERY) {
        let rows = sqlx::query("SELECT DISTINCT rule FROM open_findings").fetch_all(&mut **transaction).await?;
        named = rows.iter().map(|row| Ok(row.try_get("rule")?)).collect::<Result<_>>()?;
    }
    for rule in &named {
        let decided = decided(transaction, &BTreeSet::from([rule.clone()])).await?;
        let rows = sqlx::query("SELECT f.*, h.name FROM open_findings f JOIN hosts h ON h.id = f.host WHERE f.rule = $1").bind(rule.clone());
        let rows = rows.fetch_all(&mut **transaction).await?;
        let mut changes: BTreeMap<Said, Vec<(HostId, String)>> = BTreeMap::new();
        for row in &rows {
            let (host, subject, name): (HostId, String, String) = (HostId::new(bytes(row, "host")?), row.try_get("subject")?, row.try_get("name")?);
            let (severity, verdict) = (severity_of(row)?, verdict_of(row)?);
            let said = decided.on(&About { host: &name, rule, subject: &subject, severity, since: row.try_get("since")? }, verdict);
            if said != said_of(row)? {
                changes.entry(said).or_default().push((host, subject));
            }
        }
        for (said, places) in changes {
            update(transaction, rule, &said, &places).await?;
        }
    }
    Ok(())
}

async fn update(transaction: Tx<'_>, rule: &str, said: &Said, places: &[(HostId, String)]) -> Result<()> {
    for some in places.chunks(ROWS) {
        let mut query = Query::new("UPDATE open_findings SET owner = ");
        query.bind(storable(&said.owner)).push(", due = ").bind(said.due).push(", waiver = ").bind(said.waiver.map(|w| w.bytes().to_vec()));
        query.push(", waived_until = ").bind(said.waived_until).push(" WHERE rule = ").bind(rule.to_string()).push(" AND (host, subject) IN (VALUES ");
        for (number, (host, subject)) in some.iter().enumerate() {
            query.push(if number > 0 { ", (" } else { "(" }).bind(host.bytes().to_vec()).push(", ").bind(subject.clone()).push(")");
        }
        query.push(")").run(&mut **transaction).await?;
    }
    Ok(())
}

fn pairs<'p>(query: &mut Query, pairs: impl Iterator<Item = (&'p str, &'p str)>) {
    for (number, (first, second)) in pairs.enumerate() {
        query.push(if number > 0 { ", (" } else { "(" }).bind(storable(first)).push(", ").bind(storable(second)).push(")");
    }
}

fn said_of(row: &AnyRow) -> Result<Said> {
    let waiver: Option<Vec<u8>> = row.try_get("waiver")?;
    let waiver = waiver.map(|w| w.try_into().map(RandomId::new).map_err(|_| StoreError::Damaged("a waiver of an open finding".into()))).transpose()?;
    Ok(Said { owner: row.try_get("owner")?, due: row.try_get("due")?, waiver, waived_until: row.try_get("waived_until")? })
}

/// The verdict of a row.
pub(super) fn verdict_of(row: &AnyRow) -> Result<Verdict> {
    let word: &str = row.try_get("verdict")?;
    Verdict::from_id(word).ok_or_else(|| StoreError::Damaged(format!("verdict {word:?}")))
}

/// The severity of a row.
pub(super) fn severity_of(row: &AnyRow) -> Result<Severity> {
    let rank: i64 = row.try_get("rank")?;
    let found = usize::try_from(rank).ok().and_then(|rank| Severity::ALL.get(rank).copied());
    found.ok_or_else(|| StoreError::Damaged(format!("severity {rank}")))
}

impl Store {
    /// Makes what is derived anew unless this version made it.
    pub(super) async fn derive(&self) -> Result<()> {
        let made = sqlx::query("SELECT version FROM derived WHERE name = 'open_findings'").fetch_optional(&self.reader).await?;
        if made.map(|row| row.try_get::<i64, _>("version")).transpose()? == Some(VERSION) {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        self.lock_derived(&mut transaction).await?;
        for table in ["DELETE FROM open_findings", "DELETE FROM decisions"] {
            sqlx::query(table).execute(&mut *transaction).await?;
        }
        let events = super::records::events(&mut *transaction).await?;
        for kind in INDEXED {
            let mut of_entry: BTreeMap<RandomId, Vec<&Recorded>> = BTreeMap::new();
            events.iter().filter(|r| r.event.record == kind).for_each(|r| of_entry.entry(r.event.entry).or_default().push(r));
            for own in of_entry.into_values() {
                index(&mut transaction, own.into_iter()).await?;
            }
        }
        let hosts = sqlx::query("SELECT id FROM hosts WHERE retired_at IS NULL ORDER BY id").fetch_all(&mut *transaction).await?;
        for row in &hosts {
            follow_host(&mut transaction, &HostId::new(bytes(row, "id")?)).await?;
        }
        sqlx::query("INSERT INTO derived (name, version) VALUES ('open_findings', $1) ON CONFLICT (name) DO UPDATE SET version = excluded.version")
            .bind(VERSION)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// One collector derives at a time.
    async fn lock_derived(&self, transaction: Tx<'_>) -> Result<()> {
        if self.engine == Engine::Postgres {
            sqlx::query("SELECT 1 AS found FROM schema_version WHERE one = 1 FOR UPDATE").fetch_optional(&mut **transaction).await?;
        }
        Ok(())
    }

    /// Lays every decision over every open finding anew: words in them were replaced.
    pub(super) async fn decide_again(&self) -> Result<()> {
        let mut transaction = self.begin().await?;
        decide_rules(&mut transaction, &BTreeSet::from([EVERY.to_string()])).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Events of waivers and handling that are about findings of a rule, in the order of the ledger.
    pub async fn decisions(&self, rule: &str) -> Result<Vec<Recorded>> {
        let mut query = events_of([storable(rule), EVERY.to_string()]);
        query.all(&self.reader).await?.iter().map(super::records::recorded).collect()
    }

    /// When the last baseline was taken that still stands at `at`, and its name: what is open since before is known.
    pub async fn baseline(&self, at: i64) -> Result<Option<(i64, String)>> {
        let events: Vec<Recorded> = events_of([NO_RULE.to_string()]).all(&self.reader).await?.iter().map(super::records::recorded).collect::<Result<_>>()?;
        let open = entries(&events, at).into_iter().filter(|e| e.is_open());
        Ok(open.max_by_key(|e| e.added.at).map(|e| (e.added.at, e.value("name").to_string())))
    }
}
