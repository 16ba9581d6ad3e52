//! Hosts and when they were heard of.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, StoreError, bytes, storable};
use super::moves::Moves;
use super::{HostRow, HostState, Statement, findings, tallies};
use crate::host::clock;
use crate::ledger::{Kind, Leaf};
use crate::model::ids::{Digest, HostId, Salt};

/// A host as it enrols.
#[derive(Clone, Debug)]
pub struct NewHost {
    /// Its key.
    pub id: HostId,
    /// Name it gives.
    pub name: String,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// Salt of its blob addresses.
    pub salt: Salt,
    /// HMAC of its machine id under the salt; tells clones from new machines.
    pub machine: String,
    /// Digest of the enrolment secret.
    pub secret: Digest,
}

/// A host that is taken out of the population.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// From when on, Unix seconds.
    pub at: i64,
    /// Who did it: a user's random id, or the operating-system user of the command.
    pub by: String,
    /// Which host.
    pub host: HostId,
    /// The host that takes its place.
    pub replaced_by: Option<HostId>,
    /// The reason given.
    pub why: String,
}

/// How an enrolment went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// The host is new.
    New,
    /// The same key came with the same secret: the first answer was lost.
    Again,
    /// The secret is unknown, expired or used up.
    BadSecret,
    /// The key is enrolled already, by another secret or with another salt.
    KeyTaken,
}

/// How long the host of a lost answer may ask again with the same secret, seconds.
const AGAIN_WITHIN: i64 = 3600;

const HOSTS: &str = "SELECT h.*,
    (SELECT max(c.last) FROM contacts c WHERE c.host = h.id AND c.first <= $1) AS contact,
    (SELECT count(*) FROM hosts n WHERE n.replaces = h.id) AS replacements
    FROM hosts h WHERE h.enrolled_at <= $1 AND ($2 IS NULL OR h.id = $2) ORDER BY h.name, h.id";

impl Store {
    /// Hosts enrolled at `as_of` (now when `None`), by name.
    pub async fn hosts(&self, as_of: Option<i64>) -> Result<Vec<HostRow>> {
        let at = as_of.unwrap_or_else(clock::unix_now);
        let rows = sqlx::query(HOSTS).bind(at).bind(None::<Vec<u8>>).fetch_all(&self.reader).await?;
        rows.iter().map(|row| self.host_row(row, at)).collect()
    }

    /// Hosts whose name holds a text, whatever its case: id and name, by name, at most `most`. Retired ones too.
    pub async fn hosts_named(&self, text: &str, most: u32) -> Result<Vec<(HostId, String)>> {
        let literal: String = text.to_lowercase().chars().flat_map(|c| matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([c])).collect();
        let rows = sqlx::query("SELECT id, name FROM hosts WHERE lower(name) LIKE $1 ESCAPE '\\' ORDER BY name, id LIMIT $2")
            .bind(super::engine::storable(&format!("%{literal}%")))
            .bind(super::engine::limit_of(most))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((HostId::new(super::engine::bytes(row, "id")?), row.try_get("name")?))).collect()
    }

    /// After so many seconds without a word a host is silent.
    pub const fn silence(&self) -> i64 {
        self.silent_after
    }

    /// One host.
    pub async fn host(&self, id: &HostId) -> Result<Option<HostRow>> {
        let at = clock::unix_now();
        // A host that enrolled under a clock that was since set back is still a host.
        let row = sqlx::query(HOSTS).bind(i64::MAX).bind(id.bytes().to_vec()).fetch_optional(&self.reader).await?;
        row.map(|row| self.host_row(&row, at)).transpose()
    }

    /// Takes one use of the enrolment secret, adds the host and queues its leaf: all or nothing.
    pub async fn enrol(&self, host: &NewHost, now: i64) -> Result<Enrolled> {
        let host = host.clone();
        self.write(move |transaction| Box::pin(async move { enrol(transaction, &host, now).await })).await
    }

    /// Adds a host that enrolled before, and that a restored database lacks, with its leaf. Known already: nothing.
    pub async fn readmit(&self, host: &NewHost, now: i64) -> Result<()> {
        let host = host.clone();
        self.write(move |transaction| Box::pin(async move { if is_known(transaction, &host.id).await? { Ok(()) } else { add(transaction, &host, now).await } }))
            .await
    }

    /// Writes down that hosts were heard of: extends the stretch of contact, or begins a new one
    /// after a silence. The second number is the time of contact, the text the agent's version
    /// (empty: unknown).
    pub async fn touch(&self, contacts: &[(HostId, i64, String)]) -> Result<()> {
        let mut transaction = self.begin().await?;
        // Always in the same order: two collectors that write down the same hosts wait for each other once.
        let mut contacts: Vec<_> = contacts.iter().collect();
        contacts.sort();
        for (host, at, agent) in contacts {
            contact(&mut transaction, host, *at, agent, self.silent_after).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Takes a host out of the population from `retirement.at` on, where its verdicts end, queues the leaf that says so, and keeps the
    /// statement behind it: all or nothing. `false` when the host is unknown or was taken out before.
    pub async fn retire(&self, retirement: &Retirement) -> Result<bool> {
        let mut transaction = self.begin().await?;
        self.lock_host(&mut transaction, &retirement.host).await?;
        let done = sqlx::query("UPDATE hosts SET retired_at = $1, retired_by = $2, retired_why = $3 WHERE id = $4 AND retired_at IS NULL")
            .bind(retirement.at)
            .bind(storable(&retirement.by))
            .bind(storable(&retirement.why))
            .bind(retirement.host.bytes().to_vec())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(successor) = &retirement.replaced_by {
            let done = sqlx::query("UPDATE hosts SET replaces = $1 WHERE id = $2 AND id <> $1 AND replaces IS NULL AND retired_at IS NULL")
                .bind(retirement.host.bytes().to_vec())
                .bind(successor.bytes().to_vec())
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
        }
        let before = findings::counted_of(&mut transaction, &retirement.host).await?;
        sqlx::query("UPDATE findings SET until = CASE WHEN since < $1 THEN $1 ELSE since + 1 END WHERE host = $2 AND until IS NULL")
            .bind(retirement.at)
            .bind(retirement.host.bytes().to_vec())
            .execute(&mut *transaction)
            .await?;
        let after = findings::counted_of(&mut transaction, &retirement.host).await?;
        tallies::queue(&mut transaction, &Moves::between(&before, &after)).await?;
        super::open::forget(&mut transaction, &retirement.host).await?;
        super::kept::end(&mut transaction, &retirement.host, retirement.at).await?;
        let statement = Statement::of(Kind::Retirement, retirement.at, retirement)?;
        super::statements::put(&mut transaction, &statement, Some(retirement.host)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Hosts that were taken out at `since` or later: another process may have done it.
    pub async fn retired_since(&self, since: i64) -> Result<Vec<HostId>> {
        let rows = sqlx::query("SELECT id FROM hosts WHERE retired_at >= $1").bind(since).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(HostId::new(bytes(row, "id")?))).collect()
    }

    pub(super) fn host_row(&self, row: &AnyRow, at: i64) -> Result<HostRow> {
        let seen_at: Option<i64> = row.try_get::<Option<i64>, _>("contact")?.map(|last| last.min(at));
        let enrolled_at: i64 = row.try_get("enrolled_at")?;
        let retired_at: Option<i64> = row.try_get("retired_at")?;
        let state = match retired_at {
            Some(retired) if retired <= at && row.try_get::<i64, _>("replacements")? > 0 => HostState::Replaced,
            Some(retired) if retired <= at => HostState::Retired,
            _ if at.saturating_sub(seen_at.unwrap_or(enrolled_at)) > self.silent_after => HostState::Silent,
            _ => HostState::Active,
        };
        Ok(HostRow {
            id: HostId::new(bytes(row, "id")?),
            name: row.try_get("name")?,
            public_key: row.try_get("public_key")?,
            salt: Salt::new(bytes(row, "salt")?),
            os: row.try_get("os")?,
            enrolled_at,
            seen_at,
            state,
            replaces: row
                .try_get::<Option<&[u8]>, _>("replaces")?
                .map(|id| id.try_into().map(HostId::new))
                .transpose()
                .map_err(|_| StoreError::Damaged("replaces is not a host id".into()))?,
            retired_at: retired_at.filter(|retired| *retired <= at),
            retired_why: if retired_at.is_some_and(|retired| retired <= at) { row.try_get("retired_why")? } else { String::new() },
        })
    }
}

async fn enrol(transaction: &mut Transaction<'static, Any>, host: &NewHost, now: i64) -> Result<Enrolled> {
    let id = host.id.bytes().to_vec();
    let known = sqlx::query("SELECT salt, enrolled_by, enrolled_at FROM hosts WHERE id = $1").bind(id.clone()).fetch_optional(&mut **transaction).await?;
    if let Some(row) = known {
        let same = bytes::<32>(&row, "enrolled_by")? == *host.secret.bytes() && bytes::<32>(&row, "salt")? == *host.salt.bytes();
        let enrolled_at: i64 = row.try_get("enrolled_at")?;
        return Ok(if same && now.saturating_sub(enrolled_at) <= AGAIN_WITHIN { Enrolled::Again } else { Enrolled::KeyTaken });
    }
    if super::users::take(transaction, "enrol", &host.secret, now).await?.is_none() {
        return Ok(Enrolled::BadSecret);
    }
    add(transaction, host, now).await?;
    Ok(Enrolled::New)
}

async fn is_known(transaction: &mut Transaction<'static, Any>, id: &HostId) -> Result<bool> {
    Ok(sqlx::query("SELECT 1 AS found FROM hosts WHERE id = $1").bind(id.bytes().to_vec()).fetch_optional(&mut **transaction).await?.is_some())
}

/// Adds a host and queues its leaf.
async fn add(transaction: &mut Transaction<'static, Any>, host: &NewHost, now: i64) -> Result<()> {
    sqlx::query("INSERT INTO hosts (id, name, public_key, salt, machine, enrolled_at, enrolled_by) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(host.id.bytes().to_vec())
        .bind(storable(&host.name))
        .bind(&host.public_key)
        .bind(host.salt.bytes().to_vec())
        .bind(&host.machine)
        .bind(now)
        .bind(host.secret.bytes().to_vec())
        .execute(&mut **transaction)
        .await?;
    let reference = Digest::new(*host.id.bytes());
    let leaf = Leaf::new(Kind::Enrolment, super::ledger::random_id()?, reference, Some(host.id), now);
    super::ledger::queue(transaction, &leaf).await
}

/// Writes down one contact inside a transaction.
pub(super) async fn contact(transaction: &mut Transaction<'static, Any>, host: &HostId, at: i64, agent: &str, silent_after: i64) -> Result<()> {
    let id = host.bytes().to_vec();
    let extended = sqlx::query("UPDATE contacts SET last = CASE WHEN last > $2 THEN last ELSE $2 END WHERE host = $1 AND first <= $2 AND last >= $2 - $3")
        .bind(id.clone())
        .bind(at)
        .bind(silent_after)
        .execute(&mut **transaction)
        .await?;
    if extended.rows_affected() == 0 {
        sqlx::query("INSERT INTO contacts (host, first, last) SELECT id, $2, $2 FROM hosts WHERE id = $1 ON CONFLICT DO NOTHING")
            .bind(id.clone())
            .bind(at)
            .execute(&mut **transaction)
            .await?;
    }
    if !agent.is_empty() {
        sqlx::query("UPDATE hosts SET agent = $2 WHERE id = $1 AND agent <> $2").bind(id).bind(agent.to_string()).execute(&mut **transaction).await?;
    }
    Ok(())
}
