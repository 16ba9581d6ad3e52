//! Questions that only a check of the whole store asks.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;

use super::Head;
use super::engine::{Result, Store, StoreError, bytes, signed, unsigned};
use super::query::Query;
use crate::model::finding::Verdict;
use crate::model::ids::{Address, Digest, HostId};

/// Ids in one question to the database.
const IDS: usize = 500;
/// Answers of a kind that are told.
const MOST: i64 = 100;

impl Store {
    /// Checkpoints of more than `size` entries, smallest first.
    pub async fn checkpoints_after(&self, size: u64, limit: u64) -> Result<Vec<Head>> {
        let query = sqlx::query("SELECT * FROM checkpoints WHERE size > $1 ORDER BY size LIMIT $2").bind(signed(size)).bind(signed(limit));
        let rows = query.fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(Head { size: unsigned(row, "size")?, root: Digest::new(bytes(row, "root")?), note: row.try_get("note")? })).collect()
    }

    /// Those of the reports that are here.
    pub async fn present_reports(&self, ids: &[Digest]) -> Result<BTreeSet<Digest>> {
        let mut here = BTreeSet::new();
        for some in ids.chunks(IDS) {
            let mut query = Query::new("SELECT id FROM reports WHERE id IN ");
            query.bind_list(some.iter().map(|id| id.bytes().to_vec()));
            for row in query.all(&self.reader).await? {
                here.insert(Digest::new(bytes(&row, "id")?));
            }
        }
        Ok(here)
    }

    /// References of reports that more than one ledger entry is about.
    pub async fn doubled_leaves(&self) -> Result<Vec<Digest>> {
        let query = "SELECT reference FROM leaves WHERE kind = 'report' GROUP BY reference HAVING count(*) > 1 ORDER BY reference LIMIT $1";
        let rows = sqlx::query(query).bind(MOST).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(Digest::new(bytes(row, "reference")?))).collect()
    }

    /// References of the entries of a kind that wait for a number.
    pub async fn pending_references(&self, kind: &str) -> Result<BTreeSet<Digest>> {
        let rows = sqlx::query("SELECT reference FROM pending_leaves WHERE kind = $1").bind(kind).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(Digest::new(bytes(row, "reference")?))).collect()
    }

    /// Addresses of all blobs of a host.
    pub async fn blob_addresses(&self, host: &HostId) -> Result<Vec<Address>> {
        let query = sqlx::query("SELECT address FROM blobs WHERE host = $1 ORDER BY address").bind(host.bytes().to_vec());
        query.fetch_all(&self.reader).await?.iter().map(|row| Ok(Address::new(bytes(row, "address")?))).collect()
    }

    /// Rules of a host whose verdicts on one subject overlap in time or end before they begin.
    pub async fn overlapping_findings(&self, host: &HostId) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT DISTINCT rule FROM
               (SELECT rule, since, until, lead(since) OVER (PARTITION BY rule, subject ORDER BY since) AS next FROM findings WHERE host = $1) AS spans
             WHERE until <= since OR (next IS NOT NULL AND (until IS NULL OR until > next)) ORDER BY rule LIMIT $2",
        )
        .bind(host.bytes().to_vec())
        .bind(MOST)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok(row.try_get("rule")?)).collect()
    }

    /// Kinds of kept facts of a host whose spans of one item overlap in time, end before they begin, or go on although the host was taken out.
    pub async fn overlapping_kept(&self, host: &HostId) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT DISTINCT kind FROM
               (SELECT kind, since, until, lead(since) OVER (PARTITION BY kind, label, item ORDER BY since) AS next FROM kept WHERE host = $1) AS spans
             WHERE until <= since OR (next IS NOT NULL AND (until IS NULL OR until > next))
               OR (until IS NULL AND EXISTS (SELECT 1 FROM hosts h WHERE h.id = $1 AND h.retired_at IS NOT NULL)) ORDER BY kind LIMIT $2",
        )
        .bind(host.bytes().to_vec())
        .bind(MOST)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok(row.try_get("kind")?)).collect()
    }

    /// Verdicts of a host that name a report that is not here.
    pub async fn findings_without_report(&self, host: &HostId) -> Result<u64> {
        let query = "SELECT count(*) AS n FROM findings f WHERE f.host = $1 AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.id = f.report)";
        let row = sqlx::query(query).bind(host.bytes().to_vec()).fetch_one(&self.reader).await?;
        unsigned(&row, "n")
    }

    /// When the reports of a host that moved verdicts count from, Unix seconds.
    pub async fn effective_times(&self, host: &HostId) -> Result<BTreeMap<Digest, i64>> {
        let rows = sqlx::query("SELECT id, effective FROM reports WHERE host = $1 AND applied = 1").bind(host.bytes().to_vec()).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((Digest::new(bytes(row, "id")?), row.try_get("effective")?))).collect()
    }

    /// Verdicts of a host at a second, by rule and subject.
    pub async fn verdicts_at(&self, host: &HostId, at: i64) -> Result<BTreeMap<(String, String), Verdict>> {
        let rows = sqlx::query("SELECT rule, subject, verdict FROM findings WHERE host = $1 AND since <= $2 AND (until IS NULL OR until > $2)")
            .bind(host.bytes().to_vec())
            .bind(at)
            .fetch_all(&self.reader)
            .await?;
        let mut out = BTreeMap::new();
        for row in &rows {
            let (rule, word): (String, &str) = (row.try_get("rule")?, row.try_get("verdict")?);
            let verdict = Verdict::from_id(word).ok_or_else(|| StoreError::Damaged(format!("finding of {rule}: {word:?} is no verdict")))?;
            out.insert((rule, row.try_get("subject")?), verdict);
        }
        Ok(out)
    }
}
