//! What pages of the fleet show of facts, written with the verdicts: only what changed.

use std::collections::BTreeMap;

use sqlx::{Any, Row as _, Transaction};

use super::carve::{Stretch, carve};
use super::engine::{Result, Store, StoreError, bytes, storable};
use super::query::Query;
use crate::collector::kept::{Extract, Item, Kind, Says, Sight, State};
use crate::model::ids::{Digest, HostId};

/// Rows written by one statement.
const INSERT_ROWS: usize = 64;

/// From when until when a report has the word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// First second, Unix.
    pub at: i64,
    /// First second of the next report that looked at the same; `None`: there is none.
    pub next: Option<i64>,
}

impl Store {
    /// On what the newest rows of a host rest.
    pub async fn kept_states(&self, host: &HostId) -> Result<Vec<State>> {
        let rows = sqlx::query("SELECT kind, source, at FROM kept_state WHERE host = $1").bind(host.bytes().to_vec()).fetch_all(&self.reader).await?;
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(kind) = Kind::of(row.try_get("kind")?) {
                out.push(State { kind, source: Digest::new(bytes(&row, "source")?), at: row.try_get("at")? });
            }
        }
        Ok(out)
    }
}

/// The same inside a transaction.
async fn state(transaction: &mut Transaction<'static, Any>, host: &HostId, kind: Kind) -> Result<Option<(Digest, i64)>> {
    let query = sqlx::query("SELECT source, at FROM kept_state WHERE host = $1 AND kind = $2").bind(host.bytes().to_vec()).bind(kind.id());
    let row = query.fetch_optional(&mut **transaction).await?;
    row.map(|row| Ok((Digest::new(bytes(&row, "source")?), row.try_get("at")?))).transpose()
}

/// Whether nothing is kept of a kind yet.
pub(super) async fn is_new(transaction: &mut Transaction<'static, Any>, host: &HostId, kind: Kind) -> Result<bool> {
    Ok(state(transaction, host, kind).await?.is_none())
}

/// Lays what a report says of a kind over what is kept.
pub(super) async fn lay(transaction: &mut Transaction<'static, Any>, host: &HostId, extract: &Extract, word: Word) -> Result<()> {
    let known = state(transaction, host, extract.kind).await?;
    let Some(says) = &extract.says else {
        return match known {
            Some((source, at)) if source == extract.source && word.at >= at && word.next.is_none() => Ok(()),
            // Another report of this host came between reading and writing: the host sends this one again.
            _ => Err(StoreError::Database("another report of this host was stored at the same time".into())),
        };
    };
    let (kind, seen) = (extract.kind.id(), extract.kind.seen());
    let marker = Item { label: says.sight.id().into(), item: String::new(), rank: 0, about: String::new(), body: says.why.clone() };
    lay_kind(transaction, host, seen, &[marker], word, &|_| false).await?;
    if says.sight != Sight::None {
        let hides = |item: &str| says.doubts.iter().any(|d| d.hides(item));
        lay_kind(transaction, host, kind, &says.items, word, &hides).await?;
        note_labels(transaction, extract.kind, says).await?;
    }
    let (source, at) = match (word.next, known) {
        // The newest stands as it did, but not before the report that follows this one.
        (Some(next), Some((source, at))) => (source, at.max(next)),
        (Some(_), None) => return Ok(()),
        (None, _) => (extract.source, word.at),
    };
    sqlx::query(
        "INSERT INTO kept_state (host, kind, source, at) VALUES ($1, $2, $3, $4) ON CONFLICT (host, kind) DO UPDATE SET source = excluded.source, at = excluded.at",
    )
    .bind(host.bytes().to_vec())
    .bind(kind)
    .bind(source.bytes().to_vec())
    .bind(at)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

type Key = (String, String);

/// Lays items of one kind; one that is not said goes, unless something hides it.
async fn lay_kind(
    transaction: &mut Transaction<'static, Any>,
    host: &HostId,
    kind: &'static str,
    items: &[Item],
    word: Word,
    hides: &(dyn Fn(&str) -> bool + Sync),
) -> Result<()> {
    let rows = sqlx::query(
        "SELECT label, item, since, until, body FROM kept WHERE host = $1 AND kind = $2 AND (until IS NULL OR until >= $3) AND ($4 IS NULL OR since <= $4)
         ORDER BY label, item, since",
    )
    .bind(host.bytes().to_vec())
    .bind(kind)
    .bind(word.at)
    .bind(word.next)
    .fetch_all(&mut **transaction)
    .await?;
    let mut about: BTreeMap<Key, (Vec<Stretch>, Option<String>)> = BTreeMap::new();
    for row in &rows {
        let key = (row.try_get("label")?, row.try_get("item")?);
        about.entry(key).or_default().0.push((row.try_get("since")?, row.try_get("until")?, row.try_get("body")?));
    }
    for item in items {
        about.entry((storable(&item.label), storable(&item.item))).or_default().1 = Some(storable(&item.body));
    }
    let mut added: Vec<(Key, Stretch)> = Vec::new();
    for (key, (old, said)) in about {
        if said.is_none() && hides(&key.1) {
            continue;
        }
        let new = carve(&old, word.at, word.next, said.as_deref());
        for (since, until, body) in &old {
            match new.iter().find(|(s, _, _)| s == since) {
                Some((_, u, b)) if u == until && b == body => {}
                Some((_, u, b)) => {
                    let mut query = Query::new("UPDATE kept SET until = ");
                    query.bind(*u).push(", body = ").bind(b.clone());
                    identified(&mut query, host, kind, &key, *since).run(&mut **transaction).await?;
                }
                None => drop(identified(&mut Query::new("DELETE FROM kept"), host, kind, &key, *since).run(&mut **transaction).await?),
            }
        }
        added.extend(new.into_iter().filter(|(since, _, _)| !old.iter().any(|(s, _, _)| s == since)).map(|stretch| (key.clone(), stretch)));
    }
    for rows in added.chunks(INSERT_ROWS) {
        let mut query = Query::new("INSERT INTO kept (host, kind, label, item, since, until, body) VALUES ");
        for (number, ((label, item), (since, until, body))) in rows.iter().enumerate() {
            query.push(if number > 0 { ", (" } else { "(" }).bind(host.bytes().to_vec()).push(", ").bind(kind);
            query.push(", ").bind(label.clone()).push(", ").bind(item.clone());
            query.push(", ").bind(*since).push(", ").bind(*until).push(", ").bind(body.clone()).push(")");
        }
        query.run(&mut **transaction).await?;
    }
    Ok(())
}

/// Narrows a statement to one span.
fn identified<'q>(query: &'q mut Query, host: &HostId, kind: &'static str, (label, item): &Key, since: i64) -> &'q mut Query {
    query.push(" WHERE host = ").bind(host.bytes().to_vec()).push(" AND kind = ").bind(kind);
    query.push(" AND label = ").bind(label.clone()).push(" AND item = ").bind(item.clone()).push(" AND since = ").bind(since)
}

/// Writes down what is said of labels. Of people the roster has the word, whatever it said before; of anything else the highest rank stays, so that
/// two sources that rate it differently do not take turns.
async fn note_labels(transaction: &mut Transaction<'static, Any>, kind: Kind, says: &Says) -> Result<()> {
    let mut labels: BTreeMap<String, (i64, &str)> = BTreeMap::new();
    for item in &says.items {
        let known = labels.entry(storable(&item.label)).or_insert((item.rank, &item.about));
        if item.rank > known.0 {
            *known = (item.rank, &item.about);
        }
    }
    let labels: Vec<(String, (i64, &str))> = labels.into_iter().collect();
    for rows in labels.chunks(INSERT_ROWS) {
        let mut query = Query::new("INSERT INTO kept_labels (kind, label, rank, about) VALUES ");
        for (number, (label, (rank, about))) in rows.iter().enumerate() {
            query.push(if number > 0 { ", (" } else { "(" }).bind(kind.id()).push(", ").bind(label.clone());
            query.push(", ").bind(*rank).push(", ").bind(storable(about)).push(")");
        }
        query.push(" ON CONFLICT (kind, label) DO UPDATE SET rank = excluded.rank, about = excluded.about WHERE ");
        query.push(if kind.is_personal() { "kept_labels.rank <> excluded.rank" } else { "kept_labels.rank < excluded.rank" });
        query.run(&mut **transaction).await?;
    }
    Ok(())
}

/// A host counts no longer: what stood ends.
pub(super) async fn end(transaction: &mut Transaction<'static, Any>, host: &HostId, at: i64) -> Result<()> {
    sqlx::query("UPDATE kept SET until = CASE WHEN since < $1 THEN $1 ELSE since + 1 END WHERE host = $2 AND until IS NULL")
        .bind(at)
        .bind(host.bytes().to_vec())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Everything kept of a host goes.
pub(super) async fn erase(transaction: &mut Transaction<'static, Any>, host: &HostId) -> Result<()> {
    for text in ["DELETE FROM kept WHERE host = $1", "DELETE FROM kept_state WHERE host = $1"] {
        sqlx::query(text).bind(host.bytes().to_vec()).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Replaces a word in what is kept of a host; in how many rows.
pub(super) async fn pseudonymise(transaction: &mut Transaction<'static, Any>, host: &HostId, word: &str, pseudonym: &str) -> Result<u64> {
    use super::retention::{names, replaced};
    let rows = sqlx::query("SELECT kind, label, item, since, body FROM kept WHERE host = $1").bind(host.bytes().to_vec()).fetch_all(&mut **transaction).await?;
    let mut changed = 0;
    for row in rows {
        let texts: [String; 3] = [row.try_get("label")?, row.try_get("item")?, row.try_get("body")?];
        if !texts.iter().any(|t| names(t.as_bytes(), word.as_bytes())) {
            continue;
        }
        let [label, item, body] = texts.each_ref().map(|t| storable(&replaced(t, word, pseudonym)));
        sqlx::query("UPDATE kept SET label = $1, item = $2, body = $3 WHERE host = $4 AND kind = $5 AND label = $6 AND item = $7 AND since = $8")
            .bind(label)
            .bind(item)
            .bind(body)
            .bind(host.bytes().to_vec())
            .bind(row.try_get::<String, _>("kind")?)
            .bind(texts[0].clone())
            .bind(texts[1].clone())
            .bind(row.try_get::<i64, _>("since")?)
            .execute(&mut **transaction)
            .await?;
        changed += 1;
    }
    Ok(changed)
}

/// Replaces a word in what is said of labels, which belong to no host. A label that is there under its new name already is left out.
pub(super) async fn pseudonymise_labels(transaction: &mut Transaction<'static, Any>, word: &str, pseudonym: &str) -> Result<()> {
    use super::retention::{names, replaced};
    for kind in Kind::ALL.into_iter().filter(|k| k.is_personal()) {
        let rows = sqlx::query("SELECT label, rank, about FROM kept_labels WHERE kind = $1").bind(kind.id()).fetch_all(&mut **transaction).await?;
        for row in rows {
            let (label, about): (String, String) = (row.try_get("label")?, row.try_get("about")?);
            if !names(label.as_bytes(), word.as_bytes()) && !names(about.as_bytes(), word.as_bytes()) {
                continue;
            }
            sqlx::query("DELETE FROM kept_labels WHERE kind = $1 AND label = $2").bind(kind.id()).bind(label.clone()).execute(&mut **transaction).await?;
            sqlx::query("INSERT INTO kept_labels (kind, label, rank, about) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
                .bind(kind.id())
                .bind(storable(&replaced(&label, word, pseudonym)))
                .bind(row.try_get::<i64, _>("rank")?)
                .bind(storable(&replaced(&about, word, pseudonym)))
                .execute(&mut **transaction)
                .await?;
        }
    }
    Ok(())
}
