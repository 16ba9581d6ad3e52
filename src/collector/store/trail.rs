//! The audit trail: ledger entries and logged acts by time, newest first, a page at a time.

use sqlx::Row as _;

use super::engine::{Result, Store, StoreError, as_text, signed, unsigned};
use super::query::Query;
use crate::ledger::Leaf;
use crate::model::ids::HostId;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Unix seconds.
    pub at: i64,
    /// Kind of ledger entry or of act.
    pub kind: String,
    /// Index of the entry; `None`: an act, which no entry tells.
    pub leaf: Option<u64>,
    /// Order among acts; 0 for entries.
    pub number: i64,
    /// What the entry's statement says, JSON; of an act its detail; empty: there is no statement.
    pub body: String,
    /// Who, of an act; entries say it in their body.
    pub person: String,
    /// The host it concerns.
    pub host: Option<HostId>,
}

/// Which lines.
#[derive(Clone, Debug, Default)]
pub struct TraceFilter {
    /// Of this kind; empty: any.
    pub kind: String,
    /// About or by this person: the words that stand for them; empty: anybody.
    pub person: Vec<String>,
    /// From this second, Unix.
    pub from: i64,
    /// To this second.
    pub to: i64,
    /// Behind this line: time, whether it is an entry, number.
    pub before: Option<(i64, bool, i64)>,
    /// Most lines.
    pub limit: u32,
}

impl Store {
    /// Lines of the audit trail, newest first; entries stand before acts of the same second.
    pub async fn trail(&self, filter: &TraceFilter) -> Result<Vec<Trace>> {
        let mut lines = self.entries(filter).await?;
        lines.extend(self.acts(filter).await?);
        lines.sort_by_key(|l| std::cmp::Reverse((l.at, l.leaf.is_some(), l.leaf.map_or(l.number, signed))));
        lines.truncate(filter.limit as usize);
        Ok(lines)
    }

    /// One entry, or nothing.
    pub async fn trace(&self, leaf: u64) -> Result<Option<(Trace, Vec<u8>)>> {
        let mut query = self.entry_query();
        query.push("l.number = ").bind(signed(leaf));
        let Some(row) = query.first(&self.reader).await? else { return Ok(None) };
        Ok(Some((trace(&row)?, row.try_get("bytes")?)))
    }

    fn entry_query(&self) -> Query {
        let (open, close) = as_text(self.engine);
        Query::new(&format!(
            "SELECT l.number, l.kind, l.bytes, {open}s.body{close} AS body FROM leaves l LEFT JOIN statements s ON s.digest = l.reference AND s.kind = l.kind WHERE "
        ))
    }

    async fn entries(&self, filter: &TraceFilter) -> Result<Vec<Trace>> {
        let (open, close) = as_text(self.engine);
        let mut query = self.entry_query();
        query.push("l.at >= ").bind(filter.from).push(" AND l.at <= ").bind(filter.to);
        if !filter.kind.is_empty() {
            query.push(" AND l.kind = ").bind(filter.kind.clone());
        }
        if !filter.person.is_empty() {
            // Statements stand behind few entries; those about reports have none and go at once.
            query.push(" AND l.kind <> 'report' AND (");
            for (number, word) in filter.person.iter().enumerate() {
                query.push(if number > 0 { " OR " } else { "" });
                for (place, key) in ["by", "user", "giver"].into_iter().enumerate() {
                    let said = format!("\"{key}\":{}", serde_json::Value::from(word.as_str()));
                    query.push(if place > 0 { " OR " } else { "" }).push(&format!("{open}s.body{close} LIKE ")).bind(format!("%{}%", escaped(&said)));
                    query.push(" ESCAPE '!'");
                }
            }
            query.push(")");
        }
        match filter.before {
            Some((at, true, number)) => query.push(" AND (l.at < ").bind(at).push(" OR (l.at = ").bind(at).push(" AND l.number < ").bind(number).push("))"),
            Some((at, false, _)) => query.push(" AND l.at < ").bind(at),
            None => &mut query,
        };
        query.push(" ORDER BY l.at DESC, l.number DESC LIMIT ").bind(i64::from(filter.limit));
        query.all(&self.reader).await?.iter().map(trace).collect()
    }

    async fn acts(&self, filter: &TraceFilter) -> Result<Vec<Trace>> {
        let mut query = Query::new("SELECT number, at, kind, person, detail FROM acts WHERE at >= ");
        query.bind(filter.from).push(" AND at <= ").bind(filter.to);
        if !filter.kind.is_empty() {
            query.push(" AND kind = ").bind(filter.kind.clone());
        }
        if !filter.person.is_empty() {
            query.push(" AND person IN ").bind_list(filter.person.iter().cloned());
        }
        match filter.before {
            Some((at, true, _)) => query.push(" AND at <= ").bind(at),
            Some((at, false, number)) => query.push(" AND (at < ").bind(at).push(" OR (at = ").bind(at).push(" AND number < ").bind(number).push("))"),
            None => &mut query,
        };
        query.push(" ORDER BY at DESC, number DESC LIMIT ").bind(i64::from(filter.limit));
        let rows = query.all(&self.reader).await?;
        let act = |row: &sqlx::any::AnyRow| {
            Ok(Trace {
                at: row.try_get("at")?,
                kind: row.try_get("kind")?,
                leaf: None,
                number: row.try_get("number")?,
                body: row.try_get("detail")?,
                person: row.try_get("person")?,
                host: None,
            })
        };
        rows.iter().map(act).collect()
    }
}

/// A text inside a LIKE pattern.
fn escaped(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

fn trace(row: &sqlx::any::AnyRow) -> Result<Trace> {
    let bytes: Vec<u8> = row.try_get("bytes")?;
    let leaf = Leaf::parse(&bytes).map_err(|e| StoreError::Damaged(format!("ledger entry: {e}")))?;
    Ok(Trace {
        at: leaf.at,
        kind: row.try_get("kind")?,
        leaf: Some(unsigned(row, "number")?),
        number: 0,
        body: row.try_get::<Option<String>, _>("body")?.unwrap_or_default(),
        person: String::new(),
        host: leaf.host,
    })
}
