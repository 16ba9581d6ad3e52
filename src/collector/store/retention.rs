//! Letting go of raw facts: by age, of a host, of a person. Verdicts, reports and the ledger stay; what goes is
//! named by a statement in the ledger, so that nobody can call a deletion "retention" afterwards.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, StoreError, bytes, storable};
use super::moves::Moves;
use super::query::Query;
use super::{ErasedList, ErasedRecord, ListVersion, Statement, findings, tallies};
use crate::ledger::Kind;
use crate::model::blob;
use crate::model::envelope::Envelope;
use crate::model::ids::{Address, Digest, HostId};
use crate::model::report::{Report, ScanKind};

/// Addresses in one statement to the database.
const ADDRESSES: usize = 500;

/// How long raw facts are kept, days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Horizon {
    /// Of every report.
    pub facts_days: u32,
    /// Of monthly reports.
    pub monthly_facts_days: u32,
}

/// A pass that lets go of facts by their age; written with the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thinned {
    /// When, Unix seconds.
    pub at: i64,
    /// What is kept.
    pub horizon: Horizon,
}

/// An erasure that a person ordered. It names blobs, hosts and records, never the person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// When, Unix seconds.
    pub at: i64,
    /// Who did it.
    pub by: String,
    /// Files of records that were erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Digest>,
    /// What was erased of which host.
    pub hosts: Vec<ErasedOfHost>,
    /// Versions of lists whose bytes were erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ErasedList>,
    /// Events of records whose words were replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<ErasedRecord>,
    /// The reason given.
    pub why: String,
}

/// What was erased of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasedOfHost {
    /// Addresses of the blobs.
    pub blobs: Vec<Address>,
    /// Verdicts whose text was erased.
    pub findings: u64,
    /// Which host.
    pub host: HostId,
    /// Whether all that was kept of it is gone.
    pub whole: bool,
}

impl Store {
    /// Hosts whose facts were last thinned before `before`, longest ago first.
    pub async fn hosts_to_thin(&self, before: i64, limit: u32) -> Result<Vec<HostId>> {
        let query = "SELECT id FROM hosts WHERE thinned_at < $1 AND erased_at IS NULL ORDER BY thinned_at, id LIMIT $2";
        let rows = sqlx::query(query).bind(before).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(HostId::new(bytes(row, "id")?))).collect()
    }

    /// Erases the facts of a host that only reports beyond the horizon name; how many blobs and bytes. The newest
    /// whole report keeps its facts whatever its age: new rules are judged on it. `announce`: if something goes, the
    /// ledger is told in the same transaction.
    pub async fn thin(&self, host: HostId, horizon: Horizon, announce: bool, now: i64) -> Result<(u64, u64)> {
        let store = self.clone();
        self.write(move |transaction| {
            Box::pin(async move {
                store.lock_host(transaction, &host).await?;
                let facts_from = now.saturating_sub(i64::from(horizon.facts_days) * 86_400);
                let gone = beyond(transaction, &host, horizon, facts_from, now).await?;
                let size = remove(transaction, &host, &gone).await?;
                if announce && !gone.is_empty() {
                    super::statements::put(transaction, &Statement::of(Kind::Retention, now, &Thinned { at: now, horizon })?, None).await?;
                }
                sqlx::query("UPDATE hosts SET thinned_at = $1 WHERE id = $2").bind(now).bind(host.bytes().to_vec()).execute(&mut **transaction).await?;
                Ok((gone.len() as u64, size))
            })
        })
        .await
    }

    /// Erases everything kept of a retired host but its key, its reports' envelopes (digests only) and its ledger entries.
    /// `false` when it is unknown or not retired.
    pub async fn erase_host(&self, host: HostId, by: &str, why: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        self.lock_host(&mut transaction, &host).await?;
        let name = format!("erased-{}", host.to_string().chars().take(8).collect::<String>());
        let done = sqlx::query(
            "UPDATE hosts SET name = $1, os = '', machine = '', agent = '', salt = $2, retired_why = '', erased_at = $3
             WHERE id = $4 AND retired_at IS NOT NULL AND erased_at IS NULL",
        )
        .bind(name)
        .bind(vec![0_u8; 32])
        .bind(at)
        .bind(host.bytes().to_vec())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let blobs: Vec<Address> = all_blobs(&mut transaction, &host).await?;
        remove(&mut transaction, &host, &blobs).await?;
        let counted = findings::counted_of(&mut transaction, &host).await?;
        tallies::queue(&mut transaction, &Moves::between(&counted, &[])).await?;
        super::open::forget(&mut transaction, &host).await?;
        super::kept::erase(&mut transaction, &host).await?;
        let findings = sqlx::query("DELETE FROM findings WHERE host = $1").bind(host.bytes().to_vec()).execute(&mut *transaction).await?.rows_affected();
        let hosts = vec![ErasedOfHost { blobs, findings, host, whole: true }];
        let erased = Erased { at, by: by.into(), hosts, why: why.into(), ..Erased::default() };
        super::statements::put(&mut transaction, &Statement::of(Kind::Erasure, at, &erased)?, Some(host)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Erases a word that stands for a person (a login name, a mail address) from everything kept of every host and from the records:
    /// blobs that hold it go, verdicts and records that name it have it replaced by `pseudonym`. One transaction per host and one for the
    /// records, with the statement that names what went; what all of them say together. Bytes of lists go, too, but for the versions in force:
    /// see [`Store::lists_naming`].
    pub async fn erase_person(&self, word: &str, pseudonym: &str, by: &str, why: &str, at: i64) -> Result<Erased> {
        let mut erased = Erased { at, by: by.into(), why: why.into(), ..Erased::default() };
        for row in self.hosts(Some(i64::MAX)).await? {
            let blobs = self.blobs_with(&row.id, word).await?;
            let mut transaction = self.begin().await?;
            self.lock_host(&mut transaction, &row.id).await?;
            remove(&mut transaction, &row.id, &blobs).await?;
            let findings = pseudonymise(&mut transaction, &row.id, word, pseudonym).await?;
            let kept = super::kept::pseudonymise(&mut transaction, &row.id, word, pseudonym).await?;
            if blobs.is_empty() && findings == 0 {
                if kept > 0 {
                    transaction.commit().await?;
                }
                continue;
            }
            if findings > 0 {
                super::open::follow_host(&mut transaction, &row.id).await?;
            }
            let own = ErasedOfHost { blobs, findings, host: row.id, whole: false };
            let statement = Statement::of(Kind::Erasure, at, &Erased { hosts: vec![own.clone()], ..erased.clone() })?;
            super::statements::put(&mut transaction, &statement, Some(row.id)).await?;
            transaction.commit().await?;
            erased.hosts.push(own);
        }
        let mut transaction = self.begin().await?;
        super::kept::pseudonymise_labels(&mut transaction, word, pseudonym).await?;
        transaction.commit().await?;
        erased.lists = self.erase_lists(word, &erased).await?;
        (erased.records, erased.files) = self.erase_person_of_records(word, pseudonym, &erased).await?;
        if !erased.records.is_empty() {
            self.decide_again().await?;
        }
        Ok(erased)
    }

    /// Versions of lists whose bytes hold a word; those that are in force have no end.
    pub async fn lists_naming(&self, word: &str) -> Result<Vec<ListVersion>> {
        let mut found = Vec::new();
        for (name, _) in self.list_heads().await? {
            for version in self.list_history(&name).await? {
                let kept = if version.kept { self.list_bytes(&name, version.version).await? } else { None };
                if kept.is_some_and(|bytes| names(&bytes, word.as_bytes())) {
                    found.push(version);
                }
            }
        }
        Ok(found)
    }

    /// Erases the bytes of versions that hold a word and are no longer in force.
    async fn erase_lists(&self, word: &str, erased: &Erased) -> Result<Vec<ErasedList>> {
        let gone: Vec<ListVersion> = self.lists_naming(word).await?.into_iter().filter(|v| v.until.is_some()).collect();
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin().await?;
        for version in &gone {
            let query = sqlx::query("UPDATE lists SET body = NULL WHERE name = $1 AND version = $2").bind(&version.name);
            query.bind(super::engine::signed(version.version)).execute(&mut *transaction).await?;
        }
        super::population::erase_past_labels(&mut transaction, word).await?;
        let lists: Vec<ErasedList> = gone.into_iter().map(|v| ErasedList { digest: v.digest, name: v.name, version: v.version }).collect();
        let statement = Statement::of(Kind::Erasure, erased.at, &Erased { hosts: Vec::new(), lists: lists.clone(), ..erased.clone() })?;
        super::statements::put(&mut transaction, &statement, None).await?;
        transaction.commit().await?;
        Ok(lists)
    }

    /// Blobs of a host that hold a word.
    async fn blobs_with(&self, host: &HostId, word: &str) -> Result<Vec<Address>> {
        let mut found = Vec::new();
        for address in self.blob_addresses(host).await? {
            let Some(frame) = self.blob(host, &address).await? else { continue };
            let plain = blob::inflate(&frame).map_err(|e| StoreError::Damaged(format!("blob {address}: {e}")))?;
            if names(&plain, word.as_bytes()) {
                found.push(address);
            }
        }
        Ok(found)
    }
}

/// Blobs that only reports beyond the horizon name.
async fn beyond(transaction: &mut Transaction<'static, Any>, host: &HostId, horizon: Horizon, facts_from: i64, now: i64) -> Result<Vec<Address>> {
    let old = sqlx::query("SELECT address FROM blobs WHERE host = $1 AND used = 1 AND received_at < $2").bind(host.bytes().to_vec()).bind(facts_from);
    let old: Vec<Address> = old.fetch_all(&mut **transaction).await?.iter().map(|row| Ok(Address::new(bytes(row, "address")?))).collect::<Result<_>>()?;
    if old.is_empty() {
        return Ok(old);
    }
    let monthly_from = now.saturating_sub(i64::from(horizon.monthly_facts_days) * 86_400);
    let newest = sqlx::query("SELECT id FROM reports WHERE host = $1 AND applied = 1 AND kind <> 'drift' ORDER BY effective DESC, received DESC LIMIT 1");
    let newest: Option<Vec<u8>> = newest.bind(host.bytes().to_vec()).fetch_optional(&mut **transaction).await?.map(|row| row.try_get("id")).transpose()?;
    let rows = sqlx::query("SELECT envelope FROM reports WHERE host = $1 AND (received >= $2 OR (kind = $3 AND received >= $4) OR id = $5)")
        .bind(host.bytes().to_vec())
        .bind(facts_from)
        .bind(ScanKind::Monthly.id())
        .bind(monthly_from)
        .bind(newest)
        .fetch_all(&mut **transaction)
        .await?;
    let mut kept = BTreeSet::new();
    for row in rows {
        kept.extend(addresses(row.try_get("envelope")?)?);
    }
    Ok(old.into_iter().filter(|address| !kept.contains(address)).collect())
}

fn addresses(envelope: &[u8]) -> Result<Vec<Address>> {
    let damaged = |e: String| StoreError::Damaged(format!("a stored report: {e}"));
    let payload = Envelope::parse(envelope).and_then(|e| e.payload_bytes()).map_err(|e| damaged(e.to_string()))?;
    let report: Report = serde_json::from_slice(&payload).map_err(|e| damaged(e.to_string()))?;
    Ok(report.addresses())
}

async fn all_blobs(transaction: &mut Transaction<'static, Any>, host: &HostId) -> Result<Vec<Address>> {
    let rows = sqlx::query("SELECT address FROM blobs WHERE host = $1 ORDER BY address").bind(host.bytes().to_vec()).fetch_all(&mut **transaction).await?;
    rows.iter().map(|row| Ok(Address::new(bytes(row, "address")?))).collect()
}

/// Erases blobs; their bytes as stored.
async fn remove(transaction: &mut Transaction<'static, Any>, host: &HostId, blobs: &[Address]) -> Result<u64> {
    let mut size = 0;
    for some in blobs.chunks(ADDRESSES) {
        let these = |text: &str| {
            let mut query = Query::new(text);
            query.push(" FROM blobs WHERE host = ").bind(host.bytes().to_vec());
            query.push(" AND address IN ").bind_list(some.iter().map(|a| a.bytes().to_vec()));
            query
        };
        if let Some(row) = these("SELECT coalesce(sum(length(frame)), 0) AS n").first(&mut **transaction).await? {
            size += super::engine::unsigned(&row, "n")?;
        }
        these("DELETE").run(&mut **transaction).await?;
    }
    Ok(size)
}

/// Replaces a word in the verdicts of a host; in how many.
async fn pseudonymise(transaction: &mut Transaction<'static, Any>, host: &HostId, word: &str, pseudonym: &str) -> Result<u64> {
    let rows = sqlx::query("SELECT rule, subject, since, body FROM findings WHERE host = $1").bind(host.bytes().to_vec()).fetch_all(&mut **transaction).await?;
    let mut changed = 0;
    for row in rows {
        let (subject, body): (&str, &str) = (row.try_get("subject")?, row.try_get("body")?);
        if !names(subject.as_bytes(), word.as_bytes()) && !names(body.as_bytes(), word.as_bytes()) {
            continue;
        }
        let (new_subject, new_body) = (replaced(subject, word, pseudonym), replaced(body, word, pseudonym));
        sqlx::query("UPDATE findings SET subject = $1, body = $2 WHERE host = $3 AND rule = $4 AND subject = $5 AND since = $6")
            .bind(storable(&new_subject))
            .bind(new_body)
            .bind(host.bytes().to_vec())
            .bind(row.try_get::<String, _>("rule")?)
            .bind(subject)
            .bind(row.try_get::<i64, _>("since")?)
            .execute(&mut **transaction)
            .await?;
        changed += 1;
    }
    Ok(changed)
}

/// Where `word` stands by itself in `text`: not as a part of a longer name.
fn places<'t>(text: &'t [u8], word: &'t [u8]) -> impl Iterator<Item = usize> + 't {
    let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80);
    text.windows(word.len().max(1))
        .enumerate()
        .filter(move |(at, window)| {
            let before = at.checked_sub(1).and_then(|i| text.get(i));
            *window == word && !part(before) && !part(text.get(at + word.len()))
        })
        .map(|(at, _)| at)
}

/// Whether a word stands by itself in a text.
pub(super) fn names(text: &[u8], word: &[u8]) -> bool {
    !word.is_empty() && places(text, word).next().is_some()
}

/// The text with the word replaced wherever it stands by itself.
pub(super) fn replaced(text: &str, word: &str, by: &str) -> String {
    let (mut out, mut done) = (String::new(), 0);
    for at in places(text.as_bytes(), word.as_bytes()) {
        if at >= done {
            out.push_str(text.get(done..at).unwrap_or_default());
            out.push_str(by);
            done = at + word.len();
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_where_it_stands_by_itself() {
        for (text, found) in
            [("/home/ada/.ssh", true), ("ada", true), ("adam", false), ("nada", false), ("ada_b", false), ("\"ada\"", true), ("", false), ("éada", false)]
        {
            assert_eq!(names(text.as_bytes(), b"ada"), found, "{text}");
        }
        assert!(!names(b"anything", b""));
        assert_eq!(replaced("ada, adam and /home/ada", "ada", "person-1"), "person-1, adam and /home/person-1");
    }
}
