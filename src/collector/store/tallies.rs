//! How many findings and hosts have each verdict, on any day, without reading findings.
//!
//! A transaction that changes verdicts queues by how much it moves the counts; queued moves are added up a little later by one task, so that hosts
//! that report at the same time never wait for each other's counts. Who reads adds what is still queued.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Engine, Result, Store, StoreError, bytes};
use super::findings;
use super::moves::{DAY, Moves, severity_of};
use super::query::Query;
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::HostId;

/// The day that holds the sums of all days.
const ALL_DAYS: i64 = i64::MAX;
/// Queued moves added up at once, or by one reader.
const QUEUED: usize = 1_000;
/// Rows written by one statement.
const ROWS: usize = 64;
/// Hosts looked up at once by a recount.
const HOSTS: i64 = 1_000;

/// A number of findings and of hosts that have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Findings, from 0.
    pub findings: u64,
    /// Hosts, from 0.
    pub hosts: u64,
}

/// Counts as they were at the end of a day, or are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    rules: BTreeMap<String, BTreeMap<Verdict, Tally>>,
    /// Whether more moves are queued than a reader adds: the counts are some seconds old.
    pub is_behind: bool,
}

impl Tallies {
    /// Of a verdict over all rules.
    pub fn any(&self, verdict: Verdict) -> Tally {
        self.of("", verdict)
    }

    /// Of a verdict of a rule.
    pub fn of(&self, rule: &str, verdict: Verdict) -> Tally {
        self.rules.get(rule).and_then(|verdicts| verdicts.get(&verdict)).copied().unwrap_or_default()
    }

    /// Counts some failures of a rule (empty: any) as waived, on `spared` hosts all that it has.
    pub fn waive(&mut self, rule: &str, waived: Tally, spared: u64) {
        let verdicts = self.rules.entry(rule.to_string()).or_default();
        let fail = verdicts.entry(Verdict::Fail).or_default();
        *fail = Tally { findings: fail.findings.saturating_sub(waived.findings), hosts: fail.hosts.saturating_sub(spared) };
        verdicts.insert(Verdict::Waived, waived);
    }

    /// Every rule that has a finding, with the counts of its verdicts.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &BTreeMap<Verdict, Tally>)> {
        self.rules.iter().filter(|(rule, _)| !rule.is_empty()).map(|(rule, verdicts)| (rule.as_str(), verdicts))
    }
}

/// Open findings whose verdict began on the same day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Age {
    /// `fail` or `unknown`.
    pub verdict: Verdict,
    /// How bad.
    pub severity: Severity,
    /// First second of the day on which the verdict began, Unix.
    pub began: i64,
    /// How many, from 1.
    pub findings: u64,
}

/// Counts at the end of each day of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayTally {
    /// First second of the day, Unix.
    pub day: i64,
    /// Failures.
    pub fail: Tally,
    /// What can't be told.
    pub unknown: Tally,
}

/// Queues moves inside the transaction that makes them.
pub(super) async fn queue(transaction: &mut Transaction<'static, Any>, moves: &Moves) -> Result<()> {
    if !moves.is_empty() {
        sqlx::query("INSERT INTO tally_log (body) VALUES ($1)").bind(moves.text()?).execute(&mut **transaction).await?;
    }
    Ok(())
}

impl Store {
    /// Counts of verdicts at a second, which should be the last of its day (`None`: now).
    pub async fn tallies(&self, as_of: Option<i64>) -> Result<Tallies> {
        let mut transaction = self.snapshot().await?;
        let (waiting, is_behind) = waiting(&mut transaction).await?;
        let day = as_of.map(|at| at.div_euclid(DAY));
        let mut query = Query::new("SELECT rule, verdict, CAST(sum(findings) AS BIGINT) AS findings, CAST(sum(hosts) AS BIGINT) AS hosts FROM tallies WHERE ");
        up_to(&mut query, day).push(" GROUP BY rule, verdict");
        let mut sums: BTreeMap<(String, Verdict), (i64, i64)> = BTreeMap::new();
        for row in query.all(&mut *transaction).await? {
            sums.insert((row.try_get("rule")?, verdict_of(&row)?), (row.try_get("findings")?, row.try_get("hosts")?));
        }
        for ((at, rule, verdict), moved) in waiting.tallies {
            if day.is_none_or(|day| at <= day) {
                let sum = sums.entry((rule, verdict)).or_default();
                *sum = (sum.0.saturating_add(moved.0), sum.1.saturating_add(moved.1));
            }
        }
        let mut tallies = Tallies { is_behind, ..Tallies::default() };
        for ((rule, verdict), sum) in sums.into_iter().filter(|(_, sum)| *sum != (0, 0)) {
            tallies.rules.entry(rule).or_default().insert(verdict, tally(sum));
        }
        Ok(tallies)
    }

    /// Open findings by the day on which their verdict began, at the end of a day (`None`: now).
    pub async fn ages(&self, as_of: Option<i64>) -> Result<Vec<Age>> {
        let mut transaction = self.snapshot().await?;
        let (waiting, _) = waiting(&mut transaction).await?;
        let day = as_of.map(|at| at.div_euclid(DAY));
        let mut query = Query::new("SELECT verdict, severity, began, CAST(sum(findings) AS BIGINT) AS findings FROM ages WHERE ");
        up_to(&mut query, day).push(" GROUP BY verdict, severity, began");
        let mut sums: BTreeMap<(Verdict, i64, i64), i64> = BTreeMap::new();
        for row in query.all(&mut *transaction).await? {
            sums.insert((verdict_of(&row)?, row.try_get("severity")?, row.try_get("began")?), row.try_get("findings")?);
        }
        for ((at, verdict, severity, began), moved) in waiting.ages {
            if day.is_none_or(|day| at <= day) {
                let sum = sums.entry((verdict, severity, began)).or_default();
                *sum = sum.saturating_add(moved);
            }
        }
        let age = |((verdict, severity, began), findings): (_, i64)| {
            Ok(Age { verdict, severity: severity_of(severity)?, began: i64::saturating_mul(began, DAY), findings: u64::try_from(findings).unwrap_or(0) })
        };
        sums.into_iter().filter(|(_, findings)| *findings > 0).map(age).collect()
    }

    /// Failures and unknowns at the end of each day from that of `from` to that of `to` (Unix seconds), both included.
    pub async fn trend(&self, from: i64, to: i64) -> Result<Vec<DayTally>> {
        let mut transaction = self.snapshot().await?;
        let (waiting, _) = waiting(&mut transaction).await?;
        let (first, last) = (from.div_euclid(DAY), to.div_euclid(DAY));
        let mut query = Query::new("SELECT day, verdict, findings, hosts FROM tallies WHERE rule = '' AND verdict IN ('fail', 'unknown') AND day <= ");
        query.bind(last);
        let mut moves: BTreeMap<(i64, Verdict), (i64, i64)> = BTreeMap::new();
        for row in query.all(&mut *transaction).await? {
            moves.insert((row.try_get("day")?, verdict_of(&row)?), (row.try_get("findings")?, row.try_get("hosts")?));
        }
        for ((day, _, verdict), moved) in waiting.tallies.into_iter().filter(|((day, rule, _), _)| rule.is_empty() && *day <= last) {
            let sum = moves.entry((day, verdict)).or_default();
            *sum = (sum.0.saturating_add(moved.0), sum.1.saturating_add(moved.1));
        }
        let mut sums: BTreeMap<Verdict, (i64, i64)> = BTreeMap::new();
        let mut moves = moves.into_iter().peekable();
        let mut days = Vec::new();
        for day in first..=last {
            while let Some(((_, verdict), moved)) = moves.next_if(|((at, _), _)| *at <= day) {
                let sum = sums.entry(verdict).or_default();
                *sum = (sum.0.saturating_add(moved.0), sum.1.saturating_add(moved.1));
            }
            let of = |verdict| tally(sums.get(&verdict).copied().unwrap_or_default());
            days.push(DayTally { day: day.saturating_mul(DAY), fail: of(Verdict::Fail), unknown: of(Verdict::Unknown) });
        }
        Ok(days)
    }

    /// Adds queued moves to the counts; how many. One call adds a bounded number of them.
    pub async fn add_up(&self) -> Result<usize> {
        let none = sqlx::query("SELECT 1 AS found FROM tally_log LIMIT 1").fetch_optional(&self.reader).await?.is_none();
        if none {
            return Ok(0);
        }
        let mut transaction = self.begin().await?;
        // Another collector on the same database takes others.
        let skip = if self.engine == Engine::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        let mut query = Query::new("DELETE FROM tally_log WHERE number IN (SELECT number FROM tally_log ORDER BY number LIMIT ");
        query.bind(i64::try_from(QUEUED).unwrap_or(i64::MAX)).push(skip).push(") RETURNING body");
        let rows = query.all(&mut *transaction).await?;
        let mut moves = Moves::default();
        for row in &rows {
            moves.join(Moves::parse(row.try_get("body")?)?);
        }
        if self.engine == Engine::Postgres {
            // Two that add up at once would wait for each other's rows in turn.
            sqlx::query("SELECT pg_advisory_xact_lock(7310579611)").execute(&mut *transaction).await?;
        }
        write(&mut transaction, &moves).await?;
        transaction.commit().await?;
        Ok(rows.len())
    }

    /// Counts everything anew when nothing was ever counted: after an older program or a restored backup. Whether it was needed.
    pub async fn recount_if_never(&self) -> Result<bool> {
        let query = "SELECT 1 AS found FROM findings WHERE NOT EXISTS (SELECT 1 FROM tallies) AND NOT EXISTS (SELECT 1 FROM tally_log) LIMIT 1";
        let is_needed = sqlx::query(query).fetch_optional(&self.reader).await?.is_some();
        if is_needed {
            self.recount().await?;
        }
        Ok(is_needed)
    }

    /// Counts everything anew, in one transaction.
    pub async fn recount(&self) -> Result<()> {
        let mut transaction = self.begin().await?;
        if self.engine == Engine::Postgres {
            // What is queued from now on is about verdicts that are not seen here.
            sqlx::query("LOCK TABLE tally_log IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        }
        sqlx::query(BEGAN).execute(&mut *transaction).await?;
        for table in ["DELETE FROM tally_log", "DELETE FROM tallies", "DELETE FROM ages"] {
            sqlx::query(table).execute(&mut *transaction).await?;
        }
        let moves = counted(&mut transaction).await?;
        write(&mut transaction, &moves).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Counts that are not what the findings say, in words; empty when all are.
    pub async fn wrong_tallies(&self) -> Result<Vec<String>> {
        let mut transaction = self.snapshot().await?;
        let mut kept = Moves::default();
        let mut sums = Moves::default();
        for row in sqlx::query("SELECT * FROM tallies").fetch_all(&mut *transaction).await? {
            let day: i64 = row.try_get("day")?;
            let to = if day == ALL_DAYS { &mut sums } else { &mut kept };
            to.tallies.insert((day, row.try_get("rule")?, verdict_of(&row)?), (row.try_get("findings")?, row.try_get("hosts")?));
        }
        for row in sqlx::query("SELECT * FROM ages").fetch_all(&mut *transaction).await? {
            let day: i64 = row.try_get("day")?;
            let to = if day == ALL_DAYS { &mut sums } else { &mut kept };
            to.ages.insert((day, verdict_of(&row)?, row.try_get("severity")?, row.try_get("began")?), row.try_get("findings")?);
        }
        let waiting: Vec<AnyRow> = sqlx::query("SELECT body FROM tally_log").fetch_all(&mut *transaction).await?;
        let mut wrong = Vec::new();
        if kept.is_empty() && sums.is_empty() && waiting.is_empty() {
            // Restored, or of an older program: counted when the collector starts.
            return Ok(wrong);
        }
        compare(&summed(&kept), &sums, "the sum of all days", &mut wrong);
        for row in waiting {
            kept.join(Moves::parse(row.try_get("body")?)?);
        }
        kept.settle();
        compare(&counted(&mut transaction).await?, &kept, "a day", &mut wrong);
        Ok(wrong)
    }
}

/// A verdict that was never counted is as old as the first of the spans that follow each other without a break and say the same verdict.
const BEGAN: &str = "UPDATE findings SET began = coalesce((SELECT min(g.since) FROM findings g
      WHERE g.host = findings.host AND g.rule = findings.rule AND g.subject = findings.subject AND g.since <= findings.since AND g.since >= coalesce(
        (SELECT max(e.until) FROM findings e WHERE e.host = findings.host AND e.rule = findings.rule AND e.subject = findings.subject AND e.until <= findings.since
           AND (e.verdict <> findings.verdict OR NOT EXISTS
             (SELECT 1 FROM findings n WHERE n.host = e.host AND n.rule = e.rule AND n.subject = e.subject AND n.since = e.until))), 0)), findings.since)
    WHERE began IS NULL";

/// The days up to one, or the sums of all.
fn up_to(query: &mut Query, day: Option<i64>) -> &mut Query {
    match day {
        Some(day) => query.push("day <= ").bind(day),
        None => query.push("day = ").bind(ALL_DAYS),
    }
}

/// Moves that are queued, as far as a reader adds them, and whether there are more.
async fn waiting(transaction: &mut Transaction<'static, Any>) -> Result<(Moves, bool)> {
    let mut query = Query::new("SELECT body FROM tally_log ORDER BY number LIMIT ");
    query.bind(i64::try_from(QUEUED + 1).unwrap_or(i64::MAX));
    let rows = query.all(&mut **transaction).await?;
    let mut moves = Moves::default();
    for row in rows.iter().take(QUEUED) {
        moves.join(Moves::parse(row.try_get("body")?)?);
    }
    Ok((moves, rows.len() > QUEUED))
}

/// Everything counted from the findings themselves.
async fn counted(transaction: &mut Transaction<'static, Any>) -> Result<Moves> {
    let mut moves = Moves::default();
    let mut after: Vec<u8> = Vec::new();
    loop {
        let hosts =
            sqlx::query("SELECT id FROM hosts WHERE id > $1 ORDER BY id LIMIT $2").bind(after.clone()).bind(HOSTS).fetch_all(&mut **transaction).await?;
        for row in &hosts {
            let host = HostId::new(bytes(row, "id")?);
            moves.join(Moves::between(&[], &findings::counted_of(transaction, &host).await?));
            after = host.bytes().to_vec();
        }
        if hosts.is_empty() {
            moves.settle();
            return Ok(moves);
        }
    }
}

/// Adds moves to their days and to the sums.
async fn write(transaction: &mut Transaction<'static, Any>, moves: &Moves) -> Result<()> {
    let sums = summed(moves);
    let tallies: Vec<_> = moves.tallies.iter().chain(&sums.tallies).collect();
    for some in tallies.chunks(ROWS) {
        let mut query = Query::new("INSERT INTO tallies (day, rule, verdict, findings, hosts) VALUES ");
        for (number, ((day, rule, verdict), (findings, hosts))) in some.iter().enumerate() {
            query.push(if number > 0 { ", (" } else { "(" }).bind(*day).push(", ").bind(rule.clone()).push(", ").bind(verdict.id());
            query.push(", ").bind(*findings).push(", ").bind(*hosts).push(")");
        }
        query.push(" ON CONFLICT (day, rule, verdict) DO UPDATE SET findings = tallies.findings + excluded.findings, hosts = tallies.hosts + excluded.hosts");
        query.run(&mut **transaction).await?;
    }
    let ages: Vec<_> = moves.ages.iter().chain(&sums.ages).collect();
    for some in ages.chunks(ROWS) {
        let mut query = Query::new("INSERT INTO ages (day, verdict, severity, began, findings) VALUES ");
        for (number, ((day, verdict, severity, began), findings)) in some.iter().enumerate() {
            query.push(if number > 0 { ", (" } else { "(" }).bind(*day).push(", ").bind(verdict.id()).push(", ").bind(*severity);
            query.push(", ").bind(*began).push(", ").bind(*findings).push(")");
        }
        query.push(" ON CONFLICT (day, verdict, severity, began) DO UPDATE SET findings = ages.findings + excluded.findings");
        query.run(&mut **transaction).await?;
    }
    // What is no more is not summed up for ever.
    for table in ["DELETE FROM tallies WHERE day = $1 AND findings = 0 AND hosts = 0", "DELETE FROM ages WHERE day = $1 AND findings = 0"] {
        sqlx::query(table).bind(ALL_DAYS).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Moves of all days together, on the day that stands for all.
fn summed(moves: &Moves) -> Moves {
    let mut sums = Moves::default();
    for ((_, rule, verdict), moved) in &moves.tallies {
        let sum = sums.tallies.entry((ALL_DAYS, rule.clone(), *verdict)).or_default();
        *sum = (sum.0.saturating_add(moved.0), sum.1.saturating_add(moved.1));
    }
    for ((_, verdict, severity, began), moved) in &moves.ages {
        let sum = sums.ages.entry((ALL_DAYS, *verdict, *severity, *began)).or_default();
        *sum = sum.saturating_add(*moved);
    }
    sums.settle();
    sums
}

/// Tells where two counts differ.
fn compare(right: &Moves, kept: &Moves, what: &str, wrong: &mut Vec<String>) {
    let rules: std::collections::BTreeSet<_> = right.tallies.keys().chain(kept.tallies.keys()).collect();
    for key in rules {
        let (right, kept) = (right.tallies.get(key).copied().unwrap_or_default(), kept.tallies.get(key).copied().unwrap_or_default());
        if right != kept {
            let (day, rule, verdict) = key;
            wrong.push(format!("{what} ({day}), {} of rule {rule:?}: {kept:?} findings and hosts are kept, the findings say {right:?}", verdict.id()));
        }
    }
    let ages: std::collections::BTreeSet<_> = right.ages.keys().chain(kept.ages.keys()).collect();
    for key in ages {
        let (right, kept) = (right.ages.get(key).copied().unwrap_or_default(), kept.ages.get(key).copied().unwrap_or_default());
        if right != kept {
            let (day, verdict, severity, began) = key;
            wrong
                .push(format!("{what} ({day}), {} of severity {severity} since day {began}: {kept} findings are kept, the findings say {right}", verdict.id()));
        }
    }
}

fn tally(sum: (i64, i64)) -> Tally {
    Tally { findings: u64::try_from(sum.0).unwrap_or(0), hosts: u64::try_from(sum.1).unwrap_or(0) }
}

pub(super) fn verdict_of(row: &AnyRow) -> Result<Verdict> {
    let word: &str = row.try_get("verdict")?;
    Verdict::from_id(word).ok_or_else(|| StoreError::Damaged(format!("verdict {word:?}")))
}
