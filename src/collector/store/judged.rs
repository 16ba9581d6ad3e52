//! By what, and as of when, the open verdicts of each host were given, and verdicts on facts of before.

use std::collections::BTreeSet;

use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, bytes};
use super::findings;
use super::kept::{self, Word};
use super::reports::{Reach, kind_of};
use super::transitions::Laying;
use crate::collector::kept::Extract;
use crate::model::finding::Finding;
use crate::model::ids::{Digest, HostId};
use crate::rules::Needs;

/// The newest report that judges each rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Reports and the rules that each judges, newest first.
    pub judging: Vec<(Digest, BTreeSet<String>)>,
    /// The newest whole report, which also ends what no rule says any more.
    whole: Option<Digest>,
    /// When the newest report counts from, Unix seconds.
    newest_at: i64,
}

/// Verdicts on the facts of one report.
#[derive(Clone, Debug)]
pub struct Laid {
    /// The report.
    pub report: Digest,
    /// The verdicts.
    pub findings: Vec<Finding>,
    /// The rules that were asked.
    pub rules: BTreeSet<String>,
}

/// A host judged again.
pub struct Again {
    /// Which.
    pub host: HostId,
    /// Digest of what it was judged by.
    pub basis: Digest,
    /// When, Unix seconds.
    pub now: i64,
    /// The reports that were looked at.
    pub standing: Standing,
    /// The verdicts.
    pub laid: Vec<Laid>,
    /// What is kept of the facts for pages of the fleet, and of which report.
    pub kept: Vec<(Digest, Extract)>,
    /// Whether verdicts of rules that are in no pack any more end.
    pub ends_others: bool,
    /// What brings a verdict of this rule.
    pub origin: Box<dyn Fn(&str) -> String + Send + Sync>,
    /// Whether an old verdict goes on when the new one is said.
    pub alike: Box<Alike>,
}

/// Whether the first of two verdicts goes on when the second is said.
pub type Alike = dyn Fn(&Finding, &Finding) -> bool + Send + Sync;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejudged {
    /// Its verdicts are as told.
    Done,
    /// Other reports are the newest meanwhile.
    Stale,
    /// The host counts no longer.
    Gone,
}

impl Store {
    /// Keeps what is judged by under its digest.
    pub async fn put_basis(&self, digest: &Digest, body: &[u8]) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("INSERT INTO bases (digest, body) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(digest.bytes().to_vec())
            .bind(body.to_vec())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What stands behind the digest of a basis, canonical JSON.
    pub async fn basis(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let row = sqlx::query("SELECT body FROM bases WHERE digest = $1").bind(digest.bytes().to_vec()).fetch_optional(&self.reader).await?;
        row.map(|row| Ok(row.try_get("body")?)).transpose()
    }

    /// By which basis, and as of when (Unix seconds), the verdicts of a host were given; `None`: never, or by a program that did not note it.
    pub async fn judged(&self, host: &HostId) -> Result<Option<(Digest, i64)>> {
        let row = sqlx::query("SELECT basis, at FROM judged WHERE host = $1").bind(host.bytes().to_vec()).fetch_optional(&self.reader).await?;
        row.map(|row| Ok((Digest::new(bytes(&row, "basis")?), row.try_get("at")?))).transpose()
    }
}

impl Store {
    /// Hosts that count and have reported, whose verdicts were given by another basis or before `since` (Unix seconds), by id behind `after`.
    pub async fn hosts_to_judge(&self, basis: &Digest, since: i64, after: Option<&HostId>, limit: u32) -> Result<Vec<HostId>> {
        let rows = sqlx::query(
            "SELECT h.id FROM hosts h LEFT JOIN judged j ON j.host = h.id
             WHERE h.retired_at IS NULL AND h.id > $1 AND (j.host IS NULL OR j.basis <> $2 OR j.at < $3)
               AND EXISTS (SELECT 1 FROM reports r WHERE r.host = h.id AND r.applied = 1) ORDER BY h.id LIMIT $4",
        )
        .bind(after.map_or_else(Vec::new, |host| host.bytes().to_vec()))
        .bind(basis.bytes().to_vec())
        .bind(since)
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok(HostId::new(bytes(row, "id")?))).collect()
    }

    /// The newest report that judges each rule of a host.
    pub async fn standing(&self, host: &HostId, needs: &Needs) -> Result<Standing> {
        let mut transaction = self.snapshot().await?;
        standing(&mut transaction, host, needs).await
    }

    /// Lays the verdicts of a host that was judged again, from now on, and notes by what: all or nothing, durable when this returns. They begin
    /// after everything that is known of the host, so that no clock rewrites what was.
    pub async fn judge_again(&self, again: Again, needs: &std::sync::Arc<Needs>) -> Result<Rejudged> {
        let (store, needs) = (self.clone(), needs.clone());
        self.write(move |transaction| Box::pin(async move { judge_again(&store, transaction, &again, &needs).await })).await
    }
}

async fn judge_again(store: &Store, transaction: &mut Transaction<'static, Any>, again: &Again, needs: &Needs) -> Result<Rejudged> {
    let host = &again.host;
    store.lock_host(transaction, host).await?;
    let counts = sqlx::query("SELECT 1 AS found FROM hosts WHERE id = $1 AND retired_at IS NULL").bind(host.bytes().to_vec());
    if counts.fetch_optional(&mut **transaction).await?.is_none() {
        return Ok(Rejudged::Gone);
    }
    if standing(transaction, host, needs).await? != again.standing {
        return Ok(Rejudged::Stale);
    }
    let noted = sqlx::query("SELECT at FROM judged WHERE host = $1").bind(host.bytes().to_vec()).fetch_optional(&mut **transaction).await?;
    let noted: i64 = noted.map_or(Ok(i64::MIN), |row| row.try_get("at"))?;
    let at = again.now.max(again.standing.newest_at.saturating_add(1)).max(noted);
    let origin = |rule: &str| Some((again.origin)(rule));
    for laid in &again.laid {
        let ends_others = again.ends_others && Some(laid.report) == again.standing.whole;
        let ours = |rule: &str| laid.rules.contains(rule) || (ends_others && !needs.contains_key(rule));
        let laying = Laying { findings: &laid.findings, report: laid.report, at, next: None, origin: &origin, alike: &*again.alike };
        findings::lay(transaction, host, &ours, &laying).await?;
    }
    for (report, extract) in &again.kept {
        // What was not kept before stands since its report; else what a list changed begins now.
        let since = if kept::is_new(transaction, host, extract.kind).await? { effective(transaction, report).await?.unwrap_or(at) } else { at };
        kept::lay(transaction, host, extract, Word { at: since, next: None }).await?;
    }
    sqlx::query("INSERT INTO judged (host, basis, at) VALUES ($1, $2, $3) ON CONFLICT (host) DO UPDATE SET basis = excluded.basis, at = excluded.at")
        .bind(host.bytes().to_vec())
        .bind(again.basis.bytes().to_vec())
        .bind(at)
        .execute(&mut **transaction)
        .await?;
    Ok(Rejudged::Done)
}

/// From when on a report counts.
async fn effective(transaction: &mut Transaction<'static, Any>, report: &Digest) -> Result<Option<i64>> {
    let row = sqlx::query("SELECT effective FROM reports WHERE id = $1").bind(report.bytes().to_vec()).fetch_optional(&mut **transaction).await?;
    row.map(|row| Ok(row.try_get("effective")?)).transpose()
}

/// A report that may be the newest for some rules.
struct Candidate {
    id: Digest,
    at: i64,
    reach: Reach,
}

async fn standing(transaction: &mut Transaction<'static, Any>, host: &HostId, needs: &Needs) -> Result<Standing> {
    const NEWEST: &str = "SELECT id, kind, families, effective, received FROM reports WHERE host = $1 AND applied = 1 AND ";
    let one = |condition: &str| format!("{NEWEST}{condition} ORDER BY effective DESC, received DESC LIMIT 1");
    let mut rows = Vec::new();
    for condition in ["kind <> 'drift'", "kind IN ('monthly', 'on_demand')"] {
        let query = sqlx::query(sqlx::AssertSqlSafe(one(condition))).bind(host.bytes().to_vec());
        rows.extend(query.fetch_optional(&mut **transaction).await?);
    }
    let whole: Option<Digest> = rows.first().map(|row| bytes(row, "id").map(Digest::new)).transpose()?;
    let since = rows.first().map_or(Ok((i64::MIN, i64::MIN)), |row| Ok::<_, sqlx::Error>((row.try_get("effective")?, row.try_get("received")?)))?;
    // What changed since the newest whole report; the newest of a rule counts.
    let drift = format!("{NEWEST}kind = 'drift' AND (effective > $2 OR (effective = $2 AND received >= $3)) ORDER BY effective DESC, received DESC");
    let drift = sqlx::query(sqlx::AssertSqlSafe(drift)).bind(host.bytes().to_vec()).bind(since.0).bind(since.1).fetch_all(&mut **transaction).await?;
    let candidates: Vec<Candidate> = drift
        .iter()
        .chain(&rows)
        .map(|row| {
            let reach = Reach::from_columns(kind_of(row)?, row.try_get("families")?);
            Ok(Candidate { id: Digest::new(bytes(row, "id")?), at: row.try_get("effective")?, reach })
        })
        .collect::<Result<_>>()?;
    let mut judging: Vec<(Digest, BTreeSet<String>)> = Vec::new();
    for (rule, need) in needs {
        let Some(candidate) = candidates.iter().find(|c| c.reach.judges(Some(need))) else { continue };
        match judging.iter_mut().find(|(id, _)| *id == candidate.id) {
            Some((_, rules)) => drop(rules.insert(rule.clone())),
            None => judging.push((candidate.id, [rule.clone()].into())),
        }
    }
    // A pack without a rule for it still ends what the old one said.
    if let Some(whole) = whole.filter(|whole| !judging.iter().any(|(id, _)| id == whole)) {
        judging.push((whole, BTreeSet::new()));
    }
    Ok(Standing { judging, whole, newest_at: candidates.iter().map(|c| c.at).max().unwrap_or(i64::MIN) })
}

/// A report that was judged by `basis` moved verdicts as of `at`. What is noted is never later nor newer than the oldest of what is open, so that a
/// pass looks at the host again where it must; nearly always nothing is written.
pub(super) async fn note(transaction: &mut Transaction<'static, Any>, host: &HostId, basis: &Digest, at: i64) -> Result<()> {
    let noted = "INSERT INTO judged (host, basis, at) VALUES ($1, $2, $3) ON CONFLICT (host) DO UPDATE
         SET basis = excluded.basis, at = CASE WHEN excluded.at < judged.at THEN excluded.at ELSE judged.at END
         WHERE judged.basis <> excluded.basis OR excluded.at < judged.at";
    sqlx::query(noted).bind(host.bytes().to_vec()).bind(basis.bytes().to_vec()).bind(at).execute(&mut **transaction).await?;
    Ok(())
}
