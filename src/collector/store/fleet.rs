//! What pages of the fleet ask of what is kept of facts: a page at a time, over an index, as of any past moment.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::Store;
use super::engine::{Result, StoreError, bytes, unsigned};
use super::query::Query;
use crate::collector::kept::{Kind, Sight};
use crate::model::ids::HostId;

/// Rows of one label that are counted; more are told as `more than` that.
pub const MAX_COUNTED: u64 = 10_000;
/// Places of one label that are named beside it.
pub const MAX_PLACES: u32 = 3;

/// Which labels.
#[derive(Clone, Debug, Default)]
pub struct LabelFilter {
    /// True at this time, Unix seconds; `None`: now.
    pub as_of: Option<i64>,
    /// Lowest rank.
    pub from: Option<i64>,
    /// Highest rank.
    pub to: Option<i64>,
    /// Text that the label, or what is said of it, holds; empty: any.
    pub text: String,
    /// On this host.
    pub host: Option<HostId>,
    /// Highest rank first.
    pub descending: bool,
    /// Rows left out at the beginning.
    pub offset: u32,
    /// Most rows.
    pub limit: u32,
}

/// How many, at most [`MAX_COUNTED`] of them counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(rename = "FleetCount")]
pub struct Count {
    /// How many were counted.
    pub n: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// One label and how often it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The label.
    pub label: String,
    /// Its rank, by kind.
    pub rank: i64,
    /// What is said of it, JSON.
    pub about: String,
    /// Hosts that have it.
    pub hosts: Count,
    /// Times it is there on any of them.
    pub rows: Count,
    /// First time any of those rows was seen, Unix seconds.
    pub since: Option<i64>,
    /// The first places, by host.
    pub places: Vec<Place>,
}

/// A label on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which host.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// When the host was taken out, Unix seconds.
    pub taken_out: Option<i64>,
    /// The label.
    pub label: String,
    /// Where on the host.
    pub item: String,
    /// First seen so, Unix seconds.
    pub since: i64,
    /// First seen no longer so, Unix seconds; `None`: it still is.
    pub until: Option<i64>,
    /// What is said of it here, JSON.
    pub body: String,
    /// Rank of the label.
    pub rank: i64,
    /// What is said of the label, JSON.
    pub about: String,
}

/// How well a kind could be seen on the hosts of the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "HostsSeen")]
pub struct Seen {
    /// Hosts where it was seen wholly.
    pub whole: u64,
    /// Hosts where there may be more.
    pub part: u64,
    /// Hosts where nothing of it could be seen.
    pub none: u64,
}

/// A certificate that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The certificate: its label is the fingerprint, its rank the end.
    pub label: Label,
    /// What it is.
    pub about: crate::collector::kept::CertificateAbout,
}

/// How often a label is there, and since when.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    hosts: Count,
    rows: Count,
    since: Option<i64>,
}

/// Restricts rows of `kept` under this alias to a moment.
fn at<'q>(query: &'q mut Query, alias: &str, as_of: Option<i64>) -> &'q mut Query {
    match as_of {
        None => query.push(" AND ").push(alias).push(".until IS NULL"),
        Some(at) => {
            query.push(" AND ").push(alias).push(".since <= ").bind(at);
            query.push(" AND (").push(alias).push(".until IS NULL OR ").push(alias).push(".until > ").bind(at).push(")")
        }
    }
}

/// A pattern of LIKE that finds the text as it stands.
pub(super) fn pattern(text: &str) -> String {
    let escaped: String = text.to_lowercase().chars().flat_map(|c| if matches!(c, '%' | '_' | '!') { vec!['!', c] } else { vec![c] }).collect();
    format!("%{escaped}%")
}

impl Store {
    /// Labels of a kind that are on any host, by rank, each with its hosts.
    pub async fn fleet_labels(&self, kind: Kind, filter: &LabelFilter) -> Result<Vec<Label>> {
        let mut query = Query::new("SELECT l.label, l.rank, l.about FROM kept_labels l WHERE l.kind = ");
        query.bind(kind.id());
        if let Some(from) = filter.from {
            query.push(" AND l.rank >= ").bind(from);
        }
        if let Some(to) = filter.to {
            query.push(" AND l.rank <= ").bind(to);
        }
        if !filter.text.is_empty() {
            query.push(" AND (lower(l.label) LIKE ").bind(pattern(&filter.text)).push(" ESCAPE '!' OR lower(l.about) LIKE ");
            query.bind(pattern(&filter.text)).push(" ESCAPE '!')");
        }
        query.push(" AND EXISTS (SELECT 1 FROM kept k WHERE k.kind = l.kind AND k.label = l.label");
        if let Some(host) = &filter.host {
            query.push(" AND k.host = ").bind(host.bytes().to_vec());
        }
        at(&mut query, "k", filter.as_of).push(")");
        query.push(if filter.descending { " ORDER BY l.rank DESC, l.label" } else { " ORDER BY l.rank, l.label" });
        query.push(" LIMIT ").bind(i64::from(filter.limit)).push(" OFFSET ").bind(i64::from(filter.offset));
        let rows = query.all(&self.reader).await?;
        let mut out = Vec::with_capacity(rows.len());
        for row in &rows {
            let label: String = row.try_get("label")?;
            let Counted { hosts, rows, since } = self.fleet_hosts(kind, &label, filter.as_of).await?;
            let places = self.fleet_places(kind, Some(&label), filter.host.as_ref(), filter.as_of, 0, MAX_PLACES).await?;
            out.push(Label { rank: row.try_get("rank")?, about: row.try_get("about")?, hosts, rows, since, places, label });
        }
        Ok(out)
    }

    /// What is said of a label; `None`: it was never seen.
    pub async fn fleet_label(&self, kind: Kind, label: &str, as_of: Option<i64>) -> Result<Option<Label>> {
        let query = sqlx::query("SELECT rank, about FROM kept_labels WHERE kind = $1 AND label = $2").bind(kind.id()).bind(label.to_string());
        let Some(row) = query.fetch_optional(&self.reader).await? else { return Ok(None) };
        let Counted { hosts, rows, since } = self.fleet_hosts(kind, label, as_of).await?;
        Ok(Some(Label { label: label.into(), rank: row.try_get("rank")?, about: row.try_get("about")?, hosts, rows, since, places: Vec::new() }))
    }

    /// Hosts that have a label, and since when the first of them.
    async fn fleet_hosts(&self, kind: Kind, label: &str, as_of: Option<i64>) -> Result<Counted> {
        let mut query =
            Query::new("SELECT count(DISTINCT host) AS hosts, count(*) AS n, min(since) AS since FROM (SELECT k.host, k.since FROM kept k WHERE k.kind = ");
        query.bind(kind.id()).push(" AND k.label = ").bind(label.to_string());
        at(&mut query, "k", as_of).push(" LIMIT ").bind(super::engine::signed(MAX_COUNTED + 1)).push(") AS found");
        let Some(row) = query.first(&self.reader).await? else { return Ok(Counted::default()) };
        let all = unsigned(&row, "n")?;
        let count = |n: u64| Count { n: n.min(MAX_COUNTED), more: all > MAX_COUNTED };
        Ok(Counted { hosts: count(unsigned(&row, "hosts")?), rows: count(all), since: row.try_get("since")? })
    }

    /// Places of a kind: of a label, of a host, or both, by host and item.
    pub async fn fleet_places(
        &self,
        kind: Kind,
        label: Option<&str>,
        host: Option<&HostId>,
        as_of: Option<i64>,
        offset: u32,
        limit: u32,
    ) -> Result<Vec<Place>> {
        let mut query = places(kind, label, host);
        at(&mut query, "k", as_of);
        query.push(if label.is_some() { " ORDER BY k.host, k.item" } else { " ORDER BY l.rank DESC, k.label, k.item" });
        query.push(" LIMIT ").bind(i64::from(limit)).push(" OFFSET ").bind(i64::from(offset));
        query.all(&self.reader).await?.iter().map(place).collect()
    }

    /// Every span of a label, oldest first, at most `limit`.
    pub async fn fleet_history(&self, kind: Kind, label: &str, limit: u32) -> Result<Vec<Place>> {
        let mut query = places(kind, Some(label), None);
        query.push(" ORDER BY k.host, k.item, k.since LIMIT ").bind(i64::from(limit));
        query.all(&self.reader).await?.iter().map(place).collect()
    }

    /// On how many hosts a kind could be seen.
    pub async fn fleet_seen(&self, kind: Kind, as_of: Option<i64>) -> Result<Seen> {
        let mut seen = Seen::default();
        for sight in Sight::ALL {
            let mut query = Query::new("SELECT count(*) AS n FROM kept k WHERE k.kind = ");
            query.bind(kind.seen()).push(" AND k.label = ").bind(sight.id());
            at(&mut query, "k", as_of);
            let n = query.first(&self.reader).await?.map_or(Ok(0), |row| unsigned(&row, "n"))?;
            match sight {
                Sight::Whole => seen.whole = n,
                Sight::Part => seen.part = n,
                Sight::None => seen.none = n,
            }
        }
        Ok(seen)
    }

    /// Hosts where a kind could be seen in part only, or not at all, and why.
    pub async fn fleet_unseen(&self, kind: Kind, sight: Sight, as_of: Option<i64>, limit: u32) -> Result<Vec<(HostId, String, String)>> {
        let mut query = Query::new("SELECT k.host, h.name, k.body FROM kept k JOIN hosts h ON h.id = k.host WHERE k.kind = ");
        query.bind(kind.seen()).push(" AND k.label = ").bind(sight.id());
        at(&mut query, "k", as_of).push(" ORDER BY k.host LIMIT ").bind(i64::from(limit));
        let rows = query.all(&self.reader).await?;
        rows.iter().map(|row| Ok((HostId::new(bytes(row, "host")?), row.try_get("name")?, row.try_get("body")?))).collect()
    }

    /// How well a kind could be seen on one host, and why not wholly; `None`: no report said.
    pub async fn seen_on(&self, kind: Kind, host: &HostId, as_of: Option<i64>) -> Result<Option<(Sight, String)>> {
        let mut query = Query::new("SELECT k.label, k.body FROM kept k WHERE k.host = ");
        query.bind(host.bytes().to_vec()).push(" AND k.kind = ").bind(kind.seen());
        at(&mut query, "k", as_of).push(" ORDER BY k.since DESC LIMIT 1");
        let Some(row) = query.first(&self.reader).await? else { return Ok(None) };
        let label: &str = row.try_get("label")?;
        let sight = Sight::ALL.into_iter().find(|s| s.id() == label).ok_or_else(|| StoreError::Damaged(format!("sight {label:?}")))?;
        Ok(Some((sight, row.try_get("body")?)))
    }

    /// Certificates whose validity ends before a time (Unix seconds), those over included, soonest first, each with its first places.
    pub async fn certificates_ending(&self, as_of: Option<i64>, before: i64, limit: u32) -> Result<Vec<Ending>> {
        let filter = LabelFilter { as_of, to: Some(before.saturating_sub(1)), limit, ..LabelFilter::default() };
        let labels = self.fleet_labels(Kind::Certificate, &filter).await?;
        Ok(labels.into_iter().map(|label| Ending { about: serde_json::from_str(&label.about).unwrap_or_default(), label }).collect())
    }

    /// People who left and still have a way in, longest ago first, each with its first places; the rank is the first second after the last day. A
    /// person whose employment ends later than asked for is not among them.
    pub async fn leavers_inside(&self, as_of: Option<i64>, limit: u32) -> Result<Vec<Label>> {
        let to = as_of.unwrap_or_else(crate::host::clock::unix_now);
        self.fleet_labels(Kind::Way, &LabelFilter { as_of, to: Some(to), limit, ..LabelFilter::default() }).await
    }

    /// Labels of a kind that were ever seen and whose rank is not above `to`, highest rank first.
    pub async fn kept_labels(&self, kind: Kind, to: i64, limit: u32) -> Result<Vec<(String, i64)>> {
        let query = "SELECT label, rank FROM kept_labels WHERE kind = $1 AND rank <= $2 ORDER BY rank DESC, label LIMIT $3";
        let rows = sqlx::query(query).bind(kind.id()).bind(to).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("label")?, row.try_get("rank")?))).collect()
    }

    /// Whether a label is there on any host.
    pub async fn is_kept(&self, kind: Kind, label: &str, as_of: Option<i64>) -> Result<bool> {
        let mut query = Query::new("SELECT 1 AS found FROM kept k WHERE k.kind = ");
        query.bind(kind.id()).push(" AND k.label = ").bind(label.to_string());
        at(&mut query, "k", as_of).push(" LIMIT 1");
        Ok(query.first(&self.reader).await?.is_some())
    }

    /// The last whole scan of a host that moved verdicts before a time (Unix seconds): when it ended, by the clock that counts.
    pub async fn scan_before(&self, host: &HostId, at: i64) -> Result<Option<i64>> {
        let row = sqlx::query("SELECT max(effective) AS last FROM reports WHERE host = $1 AND applied = 1 AND kind <> 'drift' AND effective < $2")
            .bind(host.bytes().to_vec())
            .bind(at)
            .fetch_one(&self.reader)
            .await?;
        Ok(row.try_get("last")?)
    }
}

fn places(kind: Kind, label: Option<&str>, host: Option<&HostId>) -> Query {
    let mut query = Query::new(
        "SELECT k.host, h.name, h.retired_at, k.label, k.item, k.since, k.until, k.body, l.rank, l.about FROM kept k
         JOIN hosts h ON h.id = k.host JOIN kept_labels l ON l.kind = k.kind AND l.label = k.label WHERE k.kind = ",
    );
    query.bind(kind.id());
    if let Some(label) = label {
        query.push(" AND k.label = ").bind(label.to_string());
    }
    if let Some(host) = host {
        query.push(" AND k.host = ").bind(host.bytes().to_vec());
    }
    query
}

fn place(row: &AnyRow) -> Result<Place> {
    Ok(Place {
        host: HostId::new(bytes(row, "host")?),
        name: row.try_get("name")?,
        taken_out: row.try_get("retired_at")?,
        label: row.try_get("label")?,
        item: row.try_get("item")?,
        since: row.try_get("since")?,
        until: row.try_get("until")?,
        body: row.try_get("body")?,
        rank: row.try_get("rank")?,
        about: row.try_get("about")?,
    })
}
