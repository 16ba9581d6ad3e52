//! Hosts as pages list them: a page at a time, by state, system, label and name, as of any past moment.

use std::collections::BTreeMap;

use sqlx::{Any, Row as _, Transaction};

use super::engine::{Result, Store, bytes, storable, unsigned};
use super::fleet::pattern;
use super::query::Query;
use super::reports::kind_of;
use super::{HostRow, HostState};
use crate::host::clock;
use crate::model::finding::{Counts, Verdict};
use crate::model::ids::HostId;
use crate::model::labels::{HostLabels, Labels};
use crate::model::report::{ScanKind, ScanState};

/// Rows written by one statement.
const INSERT_ROWS: usize = 200;
/// Most systems and values of labels that are told.
const MAX_VALUES: u32 = 200;

/// Which hosts.
#[derive(Clone, Debug, Default)]
pub struct HostFilter {
    /// At this time, Unix seconds; `None`: now.
    pub as_of: Option<i64>,
    /// In this state; `None`: any.
    pub state: Option<HostState>,
    /// Only hosts that count (`Some(true)`) or that were taken out (`Some(false)`).
    pub counts: Option<bool>,
    /// With this system, as its facts name it; empty: any.
    pub system: String,
    /// Whose name holds this; empty: any.
    pub text: String,
    /// Of which all of these is said: field (`owner`, `purpose`, `criticality`, `region`, `label`) and value.
    pub labels: Vec<(String, String)>,
    /// Rows left out at the beginning.
    pub offset: u32,
    /// Most rows; 0: all.
    pub limit: u32,
}

/// How many hosts are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "HostStates")]
pub struct States {
    /// Heard of.
    pub active: u64,
    /// Not heard of for too long.
    pub silent: u64,
    /// Taken out.
    pub retired: u64,
    /// Taken out because another took the place.
    pub replaced: u64,
}

impl States {
    /// Hosts that count.
    pub const fn counting(&self) -> u64 {
        self.active + self.silent
    }

    /// Hosts in a state.
    pub const fn of(&self, state: HostState) -> u64 {
        match state {
            HostState::Active => self.active,
            HostState::Silent => self.silent,
            HostState::Retired => self.retired,
            HostState::Replaced => self.replaced,
        }
    }
}

/// One scan, as calendars need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRow {
    /// Who.
    pub host: HostId,
    /// Why it ran.
    pub kind: ScanKind,
    /// Window it fulfils.
    pub window: Option<String>,
    /// How far it got.
    pub state: ScanState,
    /// Unix seconds, the host's clock.
    pub started: i64,
    /// Unix seconds, the host's clock.
    pub finished: i64,
    /// Unix seconds, the collector's clock.
    pub received: i64,
}

impl Store {
    /// Hosts by name, a page of them.
    pub async fn hosts_where(&self, filter: &HostFilter) -> Result<Vec<HostRow>> {
        let at = filter.as_of.unwrap_or_else(clock::unix_now);
        let mut query = Query::new("SELECT h.*, (SELECT max(c.last) FROM contacts c WHERE c.host = h.id AND c.first <= ");
        query.bind(at).push(") AS contact, (SELECT count(*) FROM hosts n WHERE n.replaces = h.id) AS replacements FROM hosts h WHERE 1 = 1");
        self.restrict(&mut query, filter, at);
        if let Some(state) = filter.state {
            query.push(" AND ");
            self.state_in(&mut query, at).push(" = ").bind(state.word());
        }
        query.push(" ORDER BY h.name, h.id LIMIT ").bind(super::engine::limit_of(filter.limit)).push(" OFFSET ").bind(i64::from(filter.offset));
        query.all(&self.reader).await?.iter().map(|row| self.host_row(row, at)).collect()
    }

    /// How many hosts are in each state; the filter's own state is not looked at.
    pub async fn host_states(&self, filter: &HostFilter) -> Result<States> {
        let at = filter.as_of.unwrap_or_else(clock::unix_now);
        let mut query = Query::new("SELECT state, count(*) AS n FROM (SELECT ");
        self.state_in(&mut query, at).push(" AS state FROM hosts h WHERE 1 = 1");
        self.restrict(&mut query, filter, at);
        query.push(") AS states GROUP BY state");
        let mut states = States::default();
        for row in query.all(&self.reader).await? {
            let n = unsigned(&row, "n")?;
            match row.try_get("state")? {
                "active" => states.active = n,
                "silent" => states.silent = n,
                "retired" => states.retired = n,
                _ => states.replaced = n,
            }
        }
        Ok(states)
    }

    /// How many hosts count.
    pub async fn host_count(&self, as_of: Option<i64>) -> Result<u64> {
        let at = as_of.unwrap_or_else(clock::unix_now);
        let query = "SELECT count(*) AS n FROM hosts WHERE enrolled_at <= $1 AND (retired_at IS NULL OR retired_at > $1)";
        unsigned(&sqlx::query(query).bind(at).fetch_one(&self.reader).await?, "n")
    }

    /// How many hosts that count were enrolled for the whole week `[from, to)` of a name and made no planned scan of it, as known at a time.
    pub async fn missed_week(&self, name: &str, from: i64, to: i64, at: i64) -> Result<u64> {
        let query = "SELECT count(*) AS n FROM hosts h WHERE h.enrolled_at <= $1 AND (h.retired_at IS NULL OR h.retired_at > $2)
            AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.host = h.id AND r.received <= $2 AND r.finished >= $1
              AND ((r.kind = 'weekly' AND r.scan_window = $3) OR (r.kind = 'monthly' AND r.started >= $1 AND r.started < $4)))";
        unsigned(&sqlx::query(query).bind(from).bind(at).bind(name.to_string()).bind(to).fetch_one(&self.reader).await?, "n")
    }

    /// When the newest report that had come by then was finished, Unix seconds.
    pub async fn newest_report(&self, as_of: Option<i64>) -> Result<Option<i64>> {
        let at = as_of.unwrap_or(i64::MAX);
        let query = "SELECT finished FROM reports WHERE finished <= $1 AND received <= $1 ORDER BY finished DESC LIMIT 1";
        sqlx::query(query).bind(at).fetch_optional(&self.reader).await?.map(|row| Ok(row.try_get("finished")?)).transpose()
    }

    fn restrict(&self, query: &mut Query, filter: &HostFilter, at: i64) {
        query.push(" AND h.enrolled_at <= ").bind(at);
        match filter.counts {
            Some(true) => drop(query.push(" AND (h.retired_at IS NULL OR h.retired_at > ").bind(at).push(")")),
            Some(false) => drop(query.push(" AND h.retired_at <= ").bind(at)),
            None => {}
        }
        if !filter.system.is_empty() {
            query.push(" AND h.os = ").bind(storable(&filter.system));
        }
        if !filter.text.is_empty() {
            query.push(" AND lower(h.name) LIKE ").bind(pattern(&storable(&filter.text))).push(" ESCAPE '!'");
        }
        for (field, value) in &filter.labels {
            query.push(" AND EXISTS (SELECT 1 FROM labels b WHERE b.name = lower(h.name) AND b.field = ").bind(storable(field));
            query.push(" AND b.value = ").bind(storable(value)).push(" AND b.since <= ").bind(at);
            query.push(" AND (b.until IS NULL OR b.until > ").bind(at).push("))");
        }
    }

    /// The word of a host's state.
    fn state_in<'q>(&self, query: &'q mut Query, at: i64) -> &'q mut Query {
        query.push("CASE WHEN h.retired_at <= ").bind(at);
        query.push(" THEN CASE WHEN EXISTS (SELECT 1 FROM hosts n WHERE n.replaces = h.id) THEN 'replaced' ELSE 'retired' END WHEN ").bind(at);
        query.push(" - coalesce((SELECT max(c.last) FROM contacts c WHERE c.host = h.id AND c.first <= ").bind(at);
        query.push("), h.enrolled_at) > ").bind(self.silent_after).push(" THEN 'silent' ELSE 'active' END")
    }

    /// One host as it stood at a time; `None`: it was not enrolled.
    pub async fn host_at(&self, id: &HostId, as_of: Option<i64>) -> Result<Option<HostRow>> {
        let at = as_of.unwrap_or_else(clock::unix_now);
        let mut query = Query::new("SELECT h.*, (SELECT max(c.last) FROM contacts c WHERE c.host = h.id AND c.first <= ");
        query.bind(at).push(") AS contact, (SELECT count(*) FROM hosts n WHERE n.replaces = h.id) AS replacements FROM hosts h WHERE h.id = ");
        query.bind(id.bytes().to_vec()).push(" AND h.enrolled_at <= ").bind(at);
        query.first(&self.reader).await?.map(|row| self.host_row(&row, at)).transpose()
    }

    /// Ids, names and whether they count of all hosts, by name.
    pub async fn host_names(&self, as_of: Option<i64>) -> Result<Vec<(HostId, String, bool)>> {
        let at = as_of.unwrap_or_else(clock::unix_now);
        let counts = "CAST(CASE WHEN retired_at <= $1 THEN 0 ELSE 1 END AS BIGINT)";
        let query = format!("SELECT id, name, {counts} AS counts FROM hosts WHERE enrolled_at <= $1 ORDER BY name, id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(at).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((HostId::new(bytes(row, "id")?), row.try_get("name")?, super::engine::flag(row, "counts")?))).collect()
    }

    /// Systems of hosts that count, most frequent first.
    pub async fn systems(&self) -> Result<Vec<(String, u64)>> {
        let query = "SELECT os, count(*) AS n FROM hosts WHERE retired_at IS NULL AND os <> '' GROUP BY os ORDER BY n DESC, os LIMIT $1";
        let rows = sqlx::query(query).bind(i64::from(MAX_VALUES)).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("os")?, unsigned(row, "n")?))).collect()
    }

    /// What is said of hosts and of how many: field, value, lines of the list.
    pub async fn label_values(&self, as_of: Option<i64>) -> Result<Vec<(String, String, u64)>> {
        let mut query = Query::new("SELECT field, value, count(*) AS n FROM labels WHERE 1 = 1");
        in_force(&mut query, as_of);
        query.push(" GROUP BY field, value ORDER BY field, n DESC, value LIMIT ").bind(i64::from(MAX_VALUES) * 5);
        let rows = query.all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("field")?, row.try_get("value")?, unsigned(row, "n")?))).collect()
    }

    /// What is said of hosts of these names, by name in lower case.
    pub async fn labels_of(&self, names: &[&str], as_of: Option<i64>) -> Result<BTreeMap<String, HostLabels>> {
        let mut out: BTreeMap<String, HostLabels> = BTreeMap::new();
        if names.is_empty() {
            return Ok(out);
        }
        let mut query = Query::new("SELECT name, field, value FROM labels WHERE name IN ");
        query.bind_list(names.iter().map(|name| storable(&name.to_ascii_lowercase())));
        in_force(&mut query, as_of);
        query.push(" ORDER BY name, field, value");
        for row in query.all(&self.reader).await? {
            let (name, field, value): (String, String, String) = (row.try_get("name")?, row.try_get("field")?, row.try_get("value")?);
            let said = out.entry(name.clone()).or_insert_with(|| HostLabels { host: name, ..HostLabels::default() });
            match field.as_str() {
                "owner" => said.owner = value,
                "purpose" => said.purpose = value,
                "criticality" => said.criticality = value,
                "region" => said.region = value,
                _ => said.labels.push(value),
            }
        }
        Ok(out)
    }

    /// Open verdicts of each of these hosts; a host without any was not judged.
    pub async fn verdict_counts(&self, hosts: &[HostId], as_of: Option<i64>) -> Result<BTreeMap<HostId, Counts>> {
        let mut out: BTreeMap<HostId, Counts> = BTreeMap::new();
        if hosts.is_empty() {
            return Ok(out);
        }
        let mut query = Query::new("SELECT host, verdict, count(*) AS n FROM findings WHERE host IN ");
        query.bind_list(hosts.iter().map(|h| h.bytes().to_vec()));
        match as_of {
            None => drop(query.push(" AND until IS NULL")),
            Some(at) => drop(query.push(" AND since <= ").bind(at).push(" AND (until IS NULL OR until > ").bind(at).push(")")),
        }
        query.push(" GROUP BY host, verdict");
        for row in query.all(&self.reader).await? {
            let counts = out.entry(HostId::new(bytes(&row, "host")?)).or_default();
            let n = unsigned(&row, "n")?;
            match Verdict::from_id(row.try_get("verdict")?) {
                Some(Verdict::Pass) => counts.pass = n,
                Some(Verdict::Fail) => counts.fail = n,
                Some(Verdict::Unknown) => counts.unknown = n,
                _ => counts.not_applicable += n,
            }
        }
        Ok(out)
    }

    /// Scans of these hosts that ended within `[from, to)` and had come by then, newest first.
    pub async fn scans(&self, hosts: &[HostId], from: i64, to: i64, received: i64) -> Result<Vec<ScanRow>> {
        if hosts.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = Query::new("SELECT host, kind, scan_window, state, started, finished, received FROM reports WHERE host IN ");
        query.bind_list(hosts.iter().map(|h| h.bytes().to_vec()));
        query.push(" AND finished >= ").bind(from).push(" AND finished < ").bind(to).push(" AND received <= ").bind(received);
        query.push(" ORDER BY finished DESC");
        let rows = query.all(&self.reader).await?;
        let scan = |row: &sqlx::any::AnyRow| {
            let state: &str = row.try_get("state")?;
            Ok(ScanRow {
                host: HostId::new(bytes(row, "host")?),
                kind: kind_of(row)?,
                window: row.try_get("scan_window")?,
                state: if state == ScanState::Complete.word() { ScanState::Complete } else { ScanState::Aborted },
                started: row.try_get("started")?,
                finished: row.try_get("finished")?,
                received: row.try_get("received")?,
            })
        };
        rows.iter().map(scan).collect()
    }

    /// When the last scan of a host ended that had come by `at`, Unix seconds.
    pub async fn last_scan(&self, host: &HostId, at: i64) -> Result<Option<i64>> {
        let row = sqlx::query("SELECT finished FROM reports WHERE host = $1 AND received <= $2 ORDER BY finished DESC LIMIT 1")
            .bind(host.bytes().to_vec())
            .bind(at)
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok(row.try_get("finished")?)).transpose()
    }
}

fn in_force(query: &mut Query, as_of: Option<i64>) {
    match as_of {
        None => drop(query.push(" AND until IS NULL")),
        Some(at) => drop(query.push(" AND since <= ").bind(at).push(" AND (until IS NULL OR until > ").bind(at).push(")")),
    }
}

/// Lays a version of the labels over the one in force.
pub(super) async fn lay_labels(transaction: &mut Transaction<'static, Any>, labels: &Labels, at: i64) -> Result<()> {
    type Key = (String, String, String);
    let rows = sqlx::query("SELECT name, field, value, since FROM labels WHERE until IS NULL").fetch_all(&mut **transaction).await?;
    let mut old: BTreeMap<Key, i64> = BTreeMap::new();
    for row in &rows {
        old.insert((row.try_get("name")?, row.try_get("field")?, row.try_get("value")?), row.try_get("since")?);
    }
    let mut new: Vec<Key> = Vec::new();
    for said in &labels.items {
        for (field, value) in said.values() {
            let key = (storable(&said.host), field.to_string(), storable(value));
            if old.remove(&key).is_none() {
                new.push(key);
            }
        }
    }
    for ((name, field, value), since) in old {
        // Of two versions of one second the first was never in force.
        let text = if since < at {
            "UPDATE labels SET until = $5 WHERE name = $1 AND field = $2 AND value = $3 AND since = $4"
        } else {
            "DELETE FROM labels WHERE name = $1 AND field = $2 AND value = $3 AND since = $4 AND since >= $5"
        };
        sqlx::query(text).bind(name).bind(field).bind(value).bind(since).bind(at).execute(&mut **transaction).await?;
    }
    for rows in new.chunks(INSERT_ROWS) {
        let mut query = Query::new("INSERT INTO labels (name, field, value, since, until) VALUES ");
        for (number, (name, field, value)) in rows.iter().enumerate() {
            query.push(if number > 0 { ", (" } else { "(" }).bind(name.clone()).push(", ").bind(field.clone());
            query.push(", ").bind(value.clone()).push(", ").bind(at).push(", ").bind(None::<i64>).push(")");
        }
        // Said, taken back and said again within a second.
        query.push(" ON CONFLICT (name, field, value, since) DO UPDATE SET until = NULL");
        query.run(&mut **transaction).await?;
    }
    Ok(())
}

/// What was said in versions that are no longer in force, and names a person, goes.
pub(super) async fn erase_past_labels(transaction: &mut Transaction<'static, Any>, word: &str) -> Result<()> {
    let rows = sqlx::query("SELECT name, field, value, since FROM labels WHERE until IS NOT NULL").fetch_all(&mut **transaction).await?;
    for row in rows {
        let value: String = row.try_get("value")?;
        if super::retention::names(value.as_bytes(), word.as_bytes()) {
            sqlx::query("DELETE FROM labels WHERE name = $1 AND field = $2 AND value = $3 AND since = $4")
                .bind(row.try_get::<String, _>("name")?)
                .bind(row.try_get::<String, _>("field")?)
                .bind(value)
                .bind(row.try_get::<i64, _>("since")?)
                .execute(&mut **transaction)
                .await?;
        }
    }
    Ok(())
}

/// A page number from 1 as the rows that stand before it.
pub fn offset_of(page: u32, size: u32) -> u32 {
    page.saturating_sub(1).saturating_mul(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_begin_with_one() {
        assert_eq!((offset_of(1, 100), offset_of(0, 100), offset_of(3, 100)), (0, 0, 200));
    }
}
