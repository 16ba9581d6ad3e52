//! Hosts and when they were heard of.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::sqlite::{Result, Store, bytes};
use super::{HostRow, HostState};
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
    (SELECT max(c.last) FROM contacts c WHERE c.host = h.id AND c.first <= ?1) AS contact
    FROM hosts h WHERE h.enrolled_at <= ?1 AND (?2 IS NULL OR h.id = ?2) ORDER BY h.name, h.id";

impl Store {
    /// Hosts enrolled at `as_of` (now when `None`), by name.
    pub async fn hosts(&self, as_of: Option<i64>) -> Result<Vec<HostRow>> {
        let at = as_of.unwrap_or_else(clock::unix_now);
        let rows = sqlx::query(HOSTS).bind(at).bind(None::<Vec<u8>>).fetch_all(&self.reader).await?;
        rows.iter().map(|row| self.host_row(row, at)).collect()
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
        let mut transaction = self.begin().await?;
        let id = host.id.bytes().to_vec();
        let known = sqlx::query("SELECT salt, enrolled_by, enrolled_at FROM hosts WHERE id = ?").bind(id.clone()).fetch_optional(&mut *transaction).await?;
        if let Some(row) = known {
            let same = bytes::<32>(&row, "enrolled_by")? == *host.secret.bytes() && bytes::<32>(&row, "salt")? == *host.salt.bytes();
            let enrolled_at: i64 = row.try_get("enrolled_at")?;
            return Ok(if same && now.saturating_sub(enrolled_at) <= AGAIN_WITHIN { Enrolled::Again } else { Enrolled::KeyTaken });
        }
        if super::users::take(&mut transaction, "enrol", &host.secret, now).await?.is_none() {
            return Ok(Enrolled::BadSecret);
        }
        sqlx::query("INSERT INTO hosts (id, name, public_key, salt, machine, enrolled_at, enrolled_by) VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(id)
            .bind(&host.name)
            .bind(&host.public_key)
            .bind(host.salt.bytes().to_vec())
            .bind(&host.machine)
            .bind(now)
            .bind(host.secret.bytes().to_vec())
            .execute(&mut *transaction)
            .await?;
        let reference = Digest::new(*host.id.bytes());
        let leaf = Leaf::new(Kind::Enrolment, super::ledger::random_id()?, reference, Some(host.id), now);
        super::ledger::queue(&mut transaction, &leaf).await?;
        transaction.commit().await?;
        Ok(Enrolled::New)
    }

    /// Writes down that hosts were heard of: extends the stretch of contact, or begins a new one
    /// after a silence. The second number is the time of contact, the text the agent's version
    /// (empty: unknown).
    pub async fn touch(&self, contacts: &[(HostId, i64, String)]) -> Result<()> {
        let mut transaction = self.begin().await?;
        for (host, at, agent) in contacts {
            contact(&mut transaction, host, *at, agent, self.silent_after).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Takes a host out of the population from `at` on.
    pub async fn retire(&self, host: &HostId, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("UPDATE hosts SET retired_at = ? WHERE id = ? AND retired_at IS NULL")
            .bind(at)
            .bind(host.bytes().to_vec())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    fn host_row(&self, row: &SqliteRow, at: i64) -> Result<HostRow> {
        let seen_at: Option<i64> = row.try_get::<Option<i64>, _>("contact")?.map(|last| last.min(at));
        let enrolled_at: i64 = row.try_get("enrolled_at")?;
        let retired_at: Option<i64> = row.try_get("retired_at")?;
        let state = match retired_at {
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
        })
    }
}

/// Writes down one contact inside a transaction.
pub(super) async fn contact(transaction: &mut Transaction<'static, Sqlite>, host: &HostId, at: i64, agent: &str, silent_after: i64) -> Result<()> {
    let id = host.bytes().to_vec();
    let extended = sqlx::query("UPDATE contacts SET last = max(last, ?2) WHERE host = ?1 AND first <= ?2 AND last >= ?2 - ?3")
        .bind(id.clone())
        .bind(at)
        .bind(silent_after)
        .execute(&mut **transaction)
        .await?;
    if extended.rows_affected() == 0 {
        sqlx::query("INSERT OR IGNORE INTO contacts (host, first, last) SELECT id, ?2, ?2 FROM hosts WHERE id = ?1")
            .bind(id.clone())
            .bind(at)
            .execute(&mut **transaction)
            .await?;
    }
    if !agent.is_empty() {
        sqlx::query("UPDATE hosts SET agent = ?2 WHERE id = ?1 AND agent <> ?2").bind(id).bind(agent.to_string()).execute(&mut **transaction).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::store::testing::{DAY, NOW, enrolled, store};

    #[tokio::test]
    async fn silence_is_told_for_any_past_day_without_a_row_per_heartbeat() {
        let (_folder, store) = store().await;
        let host = enrolled(&store, 1).await;
        for day in [0, 1, 2, 10, 11] {
            store.touch(&[(host, NOW + day * DAY, String::new())]).await.unwrap();
        }
        let states = [(2, HostState::Active), (4, HostState::Active), (6, HostState::Silent), (10, HostState::Active), (20, HostState::Silent)];
        for (day, state) in states {
            assert_eq!(store.hosts(Some(NOW + day * DAY)).await.unwrap()[0].state, state, "day {day}");
        }
        assert_eq!(store.hosts(Some(NOW + 6 * DAY)).await.unwrap()[0].seen_at, Some(NOW + 2 * DAY));
        assert!(store.hosts(Some(NOW - 1)).await.unwrap().is_empty());
        assert!(store.retire(&host, NOW + 12 * DAY).await.unwrap());
        assert_eq!(store.hosts(Some(NOW + 12 * DAY)).await.unwrap()[0].state, HostState::Retired);
        assert_eq!(store.hosts(Some(NOW + 11 * DAY)).await.unwrap()[0].state, HostState::Active);
    }

    #[tokio::test]
    async fn a_secret_enrols_as_often_as_it_may_and_a_lost_answer_costs_nothing() {
        let (_folder, store) = store().await;
        let secret = Digest::of(b"secret");
        store.put_secret("enrol", &secret, "", NOW + DAY, 1).await.unwrap();
        let host =
            |n: u8| NewHost { id: HostId::new([n; 32]), name: "web".into(), public_key: vec![n], salt: Salt::new([n; 32]), machine: String::new(), secret };
        assert_eq!(store.enrol(&host(1), NOW).await.unwrap(), Enrolled::New);
        assert_eq!(store.enrol(&host(1), NOW + 5).await.unwrap(), Enrolled::Again);
        assert_eq!(store.enrol(&host(1), NOW + 5000).await.unwrap(), Enrolled::KeyTaken);
        assert_eq!(store.enrol(&NewHost { salt: Salt::new([9; 32]), ..host(1) }, NOW).await.unwrap(), Enrolled::KeyTaken);
        assert_eq!(store.enrol(&host(2), NOW).await.unwrap(), Enrolled::BadSecret);
        assert_eq!(store.hosts(Some(NOW)).await.unwrap().len(), 1);
    }
}
