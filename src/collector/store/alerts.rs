//! What is sent to the outside: targets, failures that began, what people were told, and the letters on their way.
//!
//! A failure that began is written down in the transaction of its verdict and goes in the transaction that writes the letter about it; a letter
//! goes only when the receiver took it. So a process that dies anywhere loses nothing.

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, StoreError, bytes, storable};
use super::moves::rank;
use super::query::Query;
use super::transitions::{Changes, Span};
use crate::host::clock;
use crate::model::finding::Verdict;
use crate::model::ids::{HostId, RandomId};

/// Rows of one statement.
const ROWS: usize = 200;

/// Where letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRow {
    /// Its name in addresses.
    pub id: RandomId,
    /// What people call it.
    pub name: String,
    /// `webhook`, `mail` or `syslog`.
    pub kind: String,
    /// What is sent there and how, JSON.
    pub body: String,
    /// Key or password, sealed.
    pub secret: Option<Vec<u8>>,
    /// Unix seconds.
    pub created_at: i64,
}

/// A failure that began and of which nobody has been told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// Its row.
    pub number: i64,
    /// Where.
    pub host: HostId,
    /// Which rule.
    pub rule: String,
    /// On what.
    pub subject: String,
    /// 0 info … 4 critical.
    pub severity: i64,
    /// Since when, Unix seconds.
    pub since: i64,
    /// When the collector knew, Unix seconds.
    pub at: i64,
}

/// How far a letter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterState {
    /// It will be tried, or tried again.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// Given up; a person may order another attempt.
    Dead,
}

impl LetterState {
    /// The word in the store and on pages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A letter to one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its row; 0 until it is kept.
    pub number: i64,
    /// The same in every attempt, so that a receiver knows a repeated one.
    pub id: RandomId,
    /// Where to.
    pub target: RandomId,
    /// Unix seconds.
    pub at: i64,
    /// One line.
    pub title: String,
    /// What is told, JSON; empty once delivered.
    pub body: String,
    /// How far it is.
    pub state: LetterState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next, Unix seconds.
    pub next_at: i64,
    /// What the last attempt met; empty: nothing.
    pub problem: String,
}

/// Spans that are failures which began: open, and nothing failed there right before, whatever its words were.
pub(super) fn fresh<'a>(old: &[Span], changes: &'a Changes) -> Vec<&'a Span> {
    let open = changes.add.iter().filter(|s| s.until.is_none() && s.finding.verdict == Verdict::Fail);
    let failed_before = |new: &Span| {
        let about = |s: &Span| s.finding.rule == new.finding.rule && s.finding.subject == new.finding.subject;
        let reached = |s: &Span| s.since <= new.since && s.until.is_none_or(|until| until >= new.since);
        let added = changes.add.iter().filter(|s| s.until == Some(new.since));
        old.iter().filter(|s| reached(s)).chain(added).any(|s| about(s) && s.finding.verdict == Verdict::Fail)
    };
    open.filter(|s| !failed_before(s)).collect()
}

/// Writes failures that began down inside the transaction of their verdicts.
pub(super) async fn note(transaction: &mut Transaction<'static, Any>, host: &HostId, fresh: &[&Span]) -> Result<()> {
    let now = clock::unix_now();
    for some in fresh.chunks(ROWS) {
        let mut query = Query::new("INSERT INTO fresh_failures (host, rule, subject, severity, since, at) VALUES ");
        for (number, span) in some.iter().enumerate() {
            query.push(if number > 0 { ", (" } else { "(" }).bind(host.bytes().to_vec());
            query.push(", ").bind(storable(&span.finding.rule)).push(", ").bind(storable(&span.finding.subject));
            query.push(", ").bind(rank(span.finding.severity)).push(", ").bind(span.since).push(", ").bind(now).push(")");
        }
        query.run(&mut **transaction).await?;
    }
    Ok(())
}

impl Store {
    /// Failures of which nobody has been told, oldest first.
    pub async fn fresh_failures(&self, limit: u32) -> Result<Vec<Fresh>> {
        let rows = sqlx::query("SELECT * FROM fresh_failures ORDER BY number LIMIT $1").bind(i64::from(limit)).fetch_all(&self.reader).await?;
        let fresh = |row: &AnyRow| {
            Ok(Fresh {
                number: row.try_get("number")?,
                host: HostId::new(bytes(row, "host")?),
                rule: row.try_get("rule")?,
                subject: row.try_get("subject")?,
                severity: row.try_get("severity")?,
                since: row.try_get("since")?,
                at: row.try_get("at")?,
            })
        };
        rows.iter().map(fresh).collect()
    }

    /// Keeps letters about failures, which are fresh no longer: all or nothing. `false`: another collector was quicker.
    pub async fn tell_failures(&self, numbers: &[i64], letters: &[Letter]) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let mut gone = 0;
        for some in numbers.chunks(ROWS) {
            let mut query = Query::new("DELETE FROM fresh_failures WHERE number IN ");
            gone += query.bind_list(some.iter().copied()).run(&mut *transaction).await?;
        }
        if gone != numbers.len() as u64 {
            return Ok(false);
        }
        post(&mut transaction, letters).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Topics that people were told of below a prefix that ends with a slash, with when (Unix seconds).
    pub async fn alerted(&self, prefix: &str) -> Result<Vec<(String, i64)>> {
        // What begins so stands before the prefix with its slash raised by one.
        let end = format!("{}0", prefix.trim_end_matches('/'));
        let rows = sqlx::query("SELECT topic, at FROM alerted WHERE topic >= $1 AND topic < $2 ORDER BY topic").bind(prefix.to_string()).bind(end);
        let rows = rows.fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("topic")?, row.try_get("at")?))).collect()
    }

    /// Keeps letters about topics that came and went: all or nothing. `false`: another collector was quicker.
    pub async fn tell_topics(&self, came: &[String], went: &[String], letters: &[Letter], at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        for topic in came {
            let kept = sqlx::query("INSERT INTO alerted (topic, at) VALUES ($1, $2) ON CONFLICT (topic) DO NOTHING").bind(storable(topic)).bind(at);
            if kept.execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(false);
            }
        }
        for topic in went {
            let gone = sqlx::query("DELETE FROM alerted WHERE topic = $1").bind(storable(topic)).execute(&mut *transaction).await?;
            if gone.rows_affected() == 0 {
                return Ok(false);
            }
        }
        post(&mut transaction, letters).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Keeps letters that rest on nothing else: a person asked for them.
    pub async fn post_letters(&self, letters: &[Letter]) -> Result<()> {
        let mut transaction = self.begin().await?;
        post(&mut transaction, letters).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Targets by name.
    pub async fn alert_targets(&self) -> Result<Vec<TargetRow>> {
        let rows = sqlx::query("SELECT * FROM alert_targets ORDER BY name").fetch_all(&self.reader).await?;
        let target = |row: &AnyRow| {
            Ok(TargetRow {
                id: RandomId::new(bytes(row, "id")?),
                name: row.try_get("name")?,
                kind: row.try_get("kind")?,
                body: row.try_get("body")?,
                secret: row.try_get("secret")?,
                created_at: row.try_get("created_at")?,
            })
        };
        rows.iter().map(target).collect()
    }

    /// Keeps a target and tells the ledger by its name; `false`: there is one of this name.
    pub async fn put_alert_target(&self, target: &TargetRow, by: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let kept =
            sqlx::query("INSERT INTO alert_targets (id, name, kind, body, secret, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING")
                .bind(target.id.bytes().to_vec())
                .bind(storable(&target.name))
                .bind(target.kind.clone())
                .bind(storable(&target.body))
                .bind(target.secret.clone())
                .bind(at)
                .execute(&mut *transaction)
                .await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        super::settings::tell(&mut transaction, "alert-target", &format!("added {} ({})", target.name, target.kind), by, at).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Removes a target with its letters and tells the ledger; `false`: there is none.
    pub async fn remove_alert_target(&self, id: &RandomId, by: &str, at: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        sqlx::query("DELETE FROM outbox WHERE target = $1").bind(id.bytes().to_vec()).execute(&mut *transaction).await?;
        let row = sqlx::query("DELETE FROM alert_targets WHERE id = $1 RETURNING name").bind(id.bytes().to_vec());
        let Some(row) = row.fetch_optional(&mut *transaction).await? else { return Ok(false) };
        let name: String = row.try_get("name")?;
        super::settings::tell(&mut transaction, "alert-target", &format!("removed {name}"), by, at).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Letters whose time has come, longest waiting first.
    pub async fn due_letters(&self, now: i64, limit: u32) -> Result<Vec<Letter>> {
        let rows = sqlx::query("SELECT * FROM outbox WHERE state = 'waiting' AND next_at <= $1 ORDER BY next_at, number LIMIT $2");
        rows.bind(now).bind(i64::from(limit)).fetch_all(&self.reader).await?.iter().map(letter).collect()
    }

    /// Letters in a state, or of any but the delivered, newest first.
    pub async fn letters(&self, state: Option<LetterState>, limit: u32) -> Result<Vec<Letter>> {
        let rows = sqlx::query("SELECT * FROM outbox WHERE state = $1 OR $1 = '' ORDER BY number DESC LIMIT $2");
        let rows = rows.bind(state.map_or("", LetterState::word)).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        rows.iter().map(letter).collect()
    }

    /// Takes a letter for an attempt until `until`; `false`: another collector has it.
    pub async fn claim_letter(&self, letter: &Letter, until: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let taken = sqlx::query("UPDATE outbox SET next_at = $1, attempts = attempts + 1 WHERE number = $2 AND next_at = $3 AND state = 'waiting'");
        let taken = taken.bind(until).bind(letter.number).bind(letter.next_at).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Notes what became of an attempt. What was delivered is not kept.
    pub async fn settle_letter(&self, number: i64, state: LetterState, problem: &str, next_at: i64) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE outbox SET state = $1, problem = $2, next_at = $3, body = CASE WHEN $1 = 'delivered' THEN '' ELSE body END WHERE number = $4")
            .bind(state.word())
            .bind(storable(problem))
            .bind(next_at)
            .bind(number)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// A dead letter is tried again, or thrown away; `false`: there is none.
    pub async fn revive_letter(&self, number: i64, again: bool, now: i64) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let query = if again {
            sqlx::query("UPDATE outbox SET state = 'waiting', attempts = 0, next_at = $1 WHERE number = $2 AND state = 'dead'").bind(now).bind(number)
        } else {
            sqlx::query("DELETE FROM outbox WHERE number = $1 AND state = 'dead'").bind(number)
        };
        let done = query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets letters that were delivered or given up before `before` (Unix seconds).
    pub async fn sweep_letters(&self, before: i64) -> Result<u64> {
        let mut transaction = self.begin().await?;
        let gone = sqlx::query("DELETE FROM outbox WHERE state <> 'waiting' AND next_at < $1").bind(before).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(gone.rows_affected())
    }

    /// Replaces a word that stands for a person in what waits to be told and in letters.
    pub(super) async fn erase_from_letters(&self, word: &str, pseudonym: &str) -> Result<()> {
        let mut transaction = self.begin().await?;
        for statement in [
            "UPDATE fresh_failures SET subject = replace(subject, $1, $2)",
            "UPDATE outbox SET title = replace(title, $1, $2), body = replace(body, $1, $2), problem = replace(problem, $1, $2)",
        ] {
            sqlx::query(statement).bind(storable(word)).bind(storable(pseudonym)).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Hosts that count and were not heard of since `before` (Unix seconds), by name; at most `limit`.
    pub async fn hosts_silent_since(&self, before: i64, limit: u32) -> Result<Vec<(HostId, String)>> {
        let rows = sqlx::query(
            "SELECT h.id, h.name FROM hosts h WHERE h.retired_at IS NULL AND h.enrolled_at < $1
               AND NOT EXISTS (SELECT 1 FROM contacts c WHERE c.host = h.id AND c.last >= $1) ORDER BY h.name, h.id LIMIT $2",
        );
        let rows = rows.bind(before).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((HostId::new(bytes(row, "id")?), row.try_get("name")?))).collect()
    }

    /// Hosts that count, were enrolled before `start` and have no complete weekly scan of the window, nor a monthly one that began in `[start, end)`
    /// (Unix seconds), by name; at most `limit`.
    pub async fn hosts_without_scan(&self, window: &str, start: i64, end: i64, limit: u32) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT h.name FROM hosts h WHERE h.retired_at IS NULL AND h.enrolled_at <= $1 AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.host = h.id
               AND r.finished >= $1 AND r.state = 'complete' AND ((r.kind = 'weekly' AND r.scan_window = $2) OR (r.kind = 'monthly' AND r.started >= $1 AND r.started < $3)))
             ORDER BY h.name LIMIT $4",
        );
        let rows = rows.bind(start).bind(window.to_string()).bind(end).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
    }

    /// Open failures by severity (0 info … 4 critical), the worst first: how many, and how many began at or after `since` (Unix seconds). Reads all
    /// of them: for what is asked once a week.
    pub async fn failures_by_severity(&self, since: i64) -> Result<Vec<(i64, usize, i64)>> {
        let rows = sqlx::query(
            "SELECT severity, count(*) AS n, count(CASE WHEN since >= $1 THEN 1 END) AS began FROM findings
             WHERE until IS NULL AND verdict = 'fail' GROUP BY severity ORDER BY severity DESC",
        );
        let rows = rows.bind(since).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("severity")?, count(row, "n")?, i64::try_from(count(row, "began")?).unwrap_or(i64::MAX)))).collect()
    }

    /// Rules that fail on most hosts, with their severity and the number of hosts. Reads all open failures: for what is asked once a week.
    pub async fn most_failing(&self, limit: u32) -> Result<Vec<(String, i64, usize)>> {
        let rows = sqlx::query(
            "SELECT rule, max(severity) AS severity, count(DISTINCT host) AS n FROM findings WHERE until IS NULL AND verdict = 'fail'
             GROUP BY rule ORDER BY n DESC, rule LIMIT $1",
        );
        let rows = rows.bind(i64::from(limit)).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("rule")?, row.try_get("severity")?, count(row, "n")?))).collect()
    }
}

fn count(row: &AnyRow, column: &str) -> Result<usize> {
    Ok(usize::try_from(super::engine::unsigned(row, column)?).unwrap_or(usize::MAX))
}

/// Keeps letters inside a transaction.
async fn post(transaction: &mut Transaction<'static, Any>, letters: &[Letter]) -> Result<()> {
    for letter in letters {
        sqlx::query("INSERT INTO outbox (id, target, at, title, body, state, attempts, next_at, problem) VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, '')")
            .bind(letter.id.bytes().to_vec())
            .bind(letter.target.bytes().to_vec())
            .bind(letter.at)
            .bind(storable(&letter.title))
            .bind(storable(&letter.body))
            .bind(letter.next_at)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

fn letter(row: &AnyRow) -> Result<Letter> {
    let state: &str = row.try_get("state")?;
    let known = [LetterState::Waiting, LetterState::Delivered, LetterState::Dead].into_iter().find(|s| s.word() == state);
    Ok(Letter {
        number: row.try_get("number")?,
        id: RandomId::new(bytes(row, "id")?),
        target: RandomId::new(bytes(row, "target")?),
        at: row.try_get("at")?,
        title: row.try_get("title")?,
        body: row.try_get("body")?,
        state: known.ok_or_else(|| StoreError::Damaged(format!("state of a letter {state:?}")))?,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        next_at: row.try_get("next_at")?,
        problem: row.try_get("problem")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Finding, Severity};
    use crate::model::ids::Digest;

    fn span(verdict: Verdict, message: &str, since: i64, until: Option<i64>) -> Span {
        let finding =
            Finding { rule: "a".into(), subject: "s".into(), verdict, severity: Severity::High, message: message.into(), reason: None, citations: Vec::new() };
        Span { finding, since, until, report: Digest::of(b"r"), origin: None }
    }

    #[test]
    fn only_a_failure_that_began_is_fresh() {
        use Verdict::{Fail, Pass};
        let added = |new: Span| Changes { add: vec![new], ..Changes::default() };
        let new = || added(span(Fail, "new", 20, None));
        assert_eq!(fresh(&[], &new()).len(), 1);
        assert_eq!(fresh(&[span(Pass, "", 10, None)], &new()).len(), 1);
        assert_eq!(fresh(&[span(Fail, "old", 10, None)], &new()).len(), 0, "other words of the same failure");
        assert_eq!(fresh(&[span(Fail, "old", 10, Some(15))], &new()).len(), 1, "it was mended in between");
        assert_eq!(fresh(&[], &added(span(Fail, "past", 20, Some(30)))).len(), 0, "it is over");
        assert_eq!(fresh(&[], &added(span(Pass, "", 20, None))).len(), 0);
    }
}
