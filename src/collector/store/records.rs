//! Events of records: statements of the ledger, and their files.
//!
//! An event is one statement and one ledger entry, committed with its files in one transaction. What may be recorded is decided inside that
//! transaction (`records::check`), so that two people at once can't both close, approve or change what only one of them may.
//!
//! When a person is erased, the word that stands for them is replaced in the bodies that hold it. The statement keeps its digest, which is no longer
//! that of its body: the erasure's own statement says so, and names the digest of what stands there now. The nonce goes too, or the
//! word could be guessed from the digest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Engine, Result, Store, StoreError, bytes, storable};
use super::query::Query;
use super::retention::{names, replaced};
use super::{Erased, Statement};
use crate::ledger::Kind;
use crate::model::canonical;
use crate::model::ids::{Digest, RandomId};
use crate::records::{Event, RecordType, Recorded, Refusal, check};

/// An event whose words were replaced when a person was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasedRecord {
    /// Digest of the body that stands there now.
    pub now: Digest,
    /// Digest of the statement as it was recorded.
    pub statement: Digest,
}

/// An event to be recorded.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// Kind of its ledger entry.
    pub leaf: Kind,
    /// The event.
    pub event: Event,
    /// Bytes of its files, in the order of its attachments.
    pub files: Vec<Vec<u8>>,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The event is not one that may be recorded.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RecordError {
    fn from(e: sqlx::Error) -> Self {
        Self::Store(e.into())
    }
}

impl Store {
    /// Every event of every record, in the order of the ledger, those that wait for a number last.
    pub async fn record_events(&self) -> Result<Vec<Recorded>> {
        events(&self.reader).await
    }

    /// Checks an event and records it with its files, given in the order of its attachments: all or nothing, durable when this returns.
    pub async fn put_record(&self, kind: &RecordType, leaf: Kind, event: Event, files: &[Vec<u8>]) -> std::result::Result<Recorded, RecordError> {
        let mut recorded = self.put_records(kind, vec![NewRecord { leaf, event, files: files.to_vec() }]).await?;
        recorded.pop().ok_or_else(|| StoreError::Damaged("nothing was recorded".into()).into())
    }

    /// The same for several events of one type, one after the other in one transaction: the first that may not be recorded undoes all.
    pub async fn put_records(&self, kind: &RecordType, new: Vec<NewRecord>) -> std::result::Result<Vec<Recorded>, RecordError> {
        let mut transaction = self.begin().await?;
        self.lock_records(&mut transaction).await?;
        let mut all = events(&mut *transaction).await?;
        all.retain(|r| r.event.record == kind.id);
        let known = all.len();
        for NewRecord { leaf, mut event, files } in new {
            check::check(kind, &all, &mut event)?;
            let statement = Statement::of(leaf, event.at, &event)?;
            super::statements::put(&mut transaction, &statement, None).await?;
            for file in files {
                sqlx::query("INSERT INTO record_files (digest, at, bytes) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING")
                    .bind(Digest::of(&file).bytes().to_vec())
                    .bind(event.at)
                    .bind(file)
                    .execute(&mut *transaction)
                    .await?;
            }
            all.push(Recorded { digest: statement.digest, event });
        }
        let recorded = all.get(known..).unwrap_or_default().to_vec();
        super::open::decide(&mut transaction, &recorded, &all).await?;
        transaction.commit().await?;
        Ok(recorded)
    }

    /// The bytes of a file; `None`: it is not here, or was erased.
    pub async fn record_file(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let row = sqlx::query("SELECT bytes FROM record_files WHERE digest = $1").bind(digest.bytes().to_vec()).fetch_optional(&self.reader).await?;
        row.map(|row| Ok(row.try_get("bytes")?)).transpose()
    }

    /// Digests of all files.
    pub async fn record_files(&self) -> Result<BTreeSet<Digest>> {
        let rows = sqlx::query("SELECT digest FROM record_files").fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(Digest::new(bytes(row, "digest")?))).collect()
    }

    /// Serialises what is recorded until the transaction ends. SQLite has one writer anyway.
    async fn lock_records(&self, transaction: &mut Transaction<'static, Any>) -> Result<()> {
        if self.engine == Engine::Postgres {
            sqlx::query("SELECT 1 AS found FROM schema_version WHERE one = 1 FOR UPDATE").fetch_optional(&mut **transaction).await?;
        }
        Ok(())
    }

    /// Replaces a word in the events that hold it, and erases the files that hold it or are of events about it. One transaction, with the
    /// statement that says which.
    pub(super) async fn erase_person_of_records(&self, word: &str, pseudonym: &str, order: &Erased) -> Result<(Vec<ErasedRecord>, Vec<Digest>)> {
        let mut transaction = self.begin().await?;
        self.lock_records(&mut transaction).await?;
        let (mut records, mut about) = (Vec::new(), BTreeSet::new());
        for recorded in events(&mut *transaction).await? {
            let body = canonical::to_bytes(&recorded.event).map_err(|e| StoreError::Database(e.to_string()))?;
            if !names(&body, word.as_bytes()) {
                continue;
            }
            if names(recorded.event.subject.as_bytes(), word.as_bytes()) {
                about.extend(recorded.event.files.iter().map(|f| f.sha256));
            }
            let body = canonical::to_bytes(&without(recorded.event, word, pseudonym)).map_err(|e| StoreError::Database(e.to_string()))?;
            let now = Digest::of(&body);
            sqlx::query("UPDATE statements SET body = $1 WHERE digest = $2")
                .bind(body)
                .bind(recorded.digest.bytes().to_vec())
                .execute(&mut *transaction)
                .await?;
            records.push(ErasedRecord { now, statement: recorded.digest });
        }
        let mut files = Vec::new();
        for row in sqlx::query("SELECT digest FROM record_files ORDER BY digest").fetch_all(&mut *transaction).await? {
            let digest = Digest::new(bytes(&row, "digest")?);
            let held = sqlx::query("SELECT bytes FROM record_files WHERE digest = $1").bind(digest.bytes().to_vec()).fetch_one(&mut *transaction).await?;
            if about.contains(&digest) || names(held.try_get("bytes")?, word.as_bytes()) {
                sqlx::query("DELETE FROM record_files WHERE digest = $1").bind(digest.bytes().to_vec()).execute(&mut *transaction).await?;
                files.push(digest);
            }
        }
        if records.is_empty() && files.is_empty() {
            return Ok((records, files));
        }
        let own = Erased { hosts: Vec::new(), records: records.clone(), files: files.clone(), ..order.clone() };
        super::statements::put(&mut transaction, &Statement::of(Kind::Erasure, order.at, &own)?, None).await?;
        transaction.commit().await?;
        Ok((records, files))
    }
}

/// An event that says `pseudonym` where it said `word`.
fn without(event: Event, word: &str, pseudonym: &str) -> Event {
    let text = |text: &str| storable(&replaced(text, word, pseudonym));
    let fields: BTreeMap<String, String> = event.fields.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let files = event.files.iter().map(|f| crate::records::Attachment { name: text(&f.name), ..f.clone() }).collect();
    Event { by: text(&event.by), fields, files, nonce: RandomId::new([0; 16]), subject: text(&event.subject), ..event }
}

/// All events, in the order of their ledger entries.
pub(super) async fn events<'e, E: sqlx::Executor<'e, Database = Any>>(on: E) -> Result<Vec<Recorded>> {
    let mut query = Query::new(
        "SELECT s.digest, s.body,
           (SELECT min(l.number) FROM leaves l WHERE l.kind = s.kind AND l.reference = s.digest) AS numbered,
           (SELECT min(p.number) FROM pending_leaves p WHERE p.kind = s.kind AND p.reference = s.digest) AS waiting
         FROM statements s WHERE s.kind IN ",
    );
    query.bind_list(Kind::RECORDS.map(Kind::id));
    query.push(" ORDER BY numbered NULLS LAST, waiting NULLS LAST, s.at, s.digest");
    query.all(on).await?.iter().map(recorded).collect()
}

/// An event as stored.
pub(super) fn recorded(row: &AnyRow) -> Result<Recorded> {
    let digest = Digest::new(bytes(row, "digest")?);
    let event = Event::parse(row.try_get("body")?).map_err(|e| StoreError::Damaged(format!("statement {digest} is no event of a record: {e}")))?;
    Ok(Recorded { digest, event })
}
