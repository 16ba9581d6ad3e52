//! People who left: which ways in they still have, and how long it took until none was left, told from what is kept of each scan.

use std::collections::BTreeMap;

use super::kept::Kind;
use super::lists::List;
use super::store::{Place, Store, StoreError};
use crate::evidence::paper::{Leaver, Revocation};
use crate::evidence::revocation;
use crate::model::approvals::Approvals;
use crate::model::ids::HostId;
use crate::model::policy::Policy;
use crate::model::roster::Roster;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// People whose time to revoke is told, those who left last first.
pub const MAX_LEAVERS: u32 = 200;
/// Spans of one person that are looked at.
const MAX_SPANS: u32 = 2_000;

/// How long it took.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// Each person who had a way in and left, over all hosts.
    pub leavers: Vec<Leaver>,
    /// The same by host, newest first.
    pub rows: Vec<Revocation>,
    /// Whether there are people beyond [`MAX_LEAVERS`].
    pub more: bool,
}

/// The roster in force at a time (Unix seconds); `None`: there is none, or it can't be read.
pub async fn roster(store: &Store, at: i64) -> Result<Option<Roster>, StoreError> {
    let bytes = store.list_at(List::Roster.name(), at).await?.and_then(|v| v.bytes);
    Ok(bytes.and_then(|bytes| Roster::parse(List::Roster.name(), &bytes).ok()))
}

/// The approvals in force at a time (Unix seconds).
pub async fn approvals(store: &Store, at: i64) -> Result<Option<Approvals>, StoreError> {
    let bytes = store.list_at(List::Approvals.name(), at).await?.and_then(|v| v.bytes);
    Ok(bytes.and_then(|bytes| Approvals::parse(List::Approvals.name(), &bytes).ok()))
}

/// What the policy allows, seconds.
pub fn limit(policy: &Policy) -> i64 {
    policy.leaver_limit_days.saturating_mul(DAY)
}

/// How long it took until no way in was left, as known at `at` (Unix seconds).
pub async fn times(store: &Store, at: i64, limit: i64) -> Result<Times, StoreError> {
    let mut out = Times::default();
    for (person, left_at) in ever_inside(store, at, &mut out.more).await? {
        let mut hosts: BTreeMap<HostId, Vec<Place>> = BTreeMap::new();
        for span in store.fleet_history(Kind::Way, &person, MAX_SPANS).await?.into_iter().filter(|s| s.since <= at) {
            hosts.entry(span.host).or_default().push(span);
        }
        for spans in hosts.into_values() {
            if let Some(found) = on_host(store, &person, left_at, &spans, at, limit).await? {
                revocation::fold(&mut out.leavers, &found);
                out.rows.push(found);
            }
        }
    }
    Ok(out)
}

/// People who left by `at` and had a way in at any time, who left last first.
async fn ever_inside(store: &Store, at: i64, more: &mut bool) -> Result<Vec<(String, i64)>, StoreError> {
    let mut people = store.kept_labels(Kind::Way, at, MAX_LEAVERS + 1).await?;
    *more = people.len() > MAX_LEAVERS as usize;
    people.truncate(MAX_LEAVERS as usize);
    Ok(people)
}

/// What became of a person's ways in on one host; `None`: none was open after the last day.
async fn on_host(store: &Store, person: &str, left_at: i64, spans: &[Place], at: i64, limit: i64) -> Result<Option<Revocation>, StoreError> {
    let ended = |s: &Place| s.until.filter(|until| *until <= at);
    let after: Vec<&Place> = spans.iter().filter(|s| ended(s).is_none_or(|until| until > left_at)).collect();
    let Some(first) = after.first() else { return Ok(None) };
    let taken_out = first.taken_out.filter(|out| *out <= at);
    let is_open = after.iter().any(|s| ended(s).is_none());
    let gone = after.iter().filter_map(|s| ended(s)).max().filter(|_| !is_open);
    // A host that was taken out was not seen to have no way in left.
    let first_gone = gone.filter(|gone| taken_out != Some(*gone));
    let last_seen = store.scan_before(&first.host, gone.unwrap_or(at.saturating_add(1))).await?;
    let mut ways: Vec<String> = after.iter().map(|s| s.item.clone()).collect();
    ways.sort();
    ways.dedup();
    let since_end = |seen: i64| seen.saturating_sub(left_at).max(0);
    Ok(Some(Revocation {
        person: person.into(),
        left_at,
        host: first.host,
        name: first.name.clone(),
        ways,
        last_seen: last_seen.map(|seen| seen.max(left_at)),
        first_gone,
        at_least: last_seen.map_or(0, since_end),
        at_most: first_gone.map(since_end),
        limit: Some(limit),
        taken_out: gone.is_some() && first_gone.is_none(),
    }))
}

/// Approvals that nobody has the access of, on any host: person, access, host as written, and the line. At most `limit` approvals are looked at.
pub async fn unused(store: &Store, approvals: &Approvals, as_of: Option<i64>, limit: usize) -> Result<Vec<(String, String, String, u32)>, StoreError> {
    let mut out = Vec::new();
    for approval in approvals.items.iter().take(limit) {
        if !store.is_kept(Kind::Privilege, &approval.person, as_of).await? {
            out.push((approval.person.clone(), approval.access.join(", "), approval.host.clone(), approval.line));
        }
    }
    Ok(out)
}
