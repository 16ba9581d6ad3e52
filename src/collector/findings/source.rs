//! From where open findings are told: now from the rows kept for lists, for a past day from the verdicts and records of that day.

use std::collections::{BTreeMap, BTreeSet};

use super::laid::Laid;
use crate::collector::cause::CauseId;
use crate::collector::store::{Cursor, FacetCount, FindingFilter, Group, HostFilter, OpenFilter, OpenFinding, Store, StoreError};
use crate::collector::ui::site::Catalogue;
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::HostId;

/// Rows of a page.
pub const PAGE: u32 = 100;
/// Most findings that are grouped and counted.
pub const MOST: u32 = 50_000;
/// Most findings of a past day that are looked at.
pub const MOST_PAST: u32 = 20_000;

/// Most hosts with a label that are looked at on a past day.
const MOST_LABELLED: u32 = 100_000;

/// Where answers come from.
#[derive(Debug)]
pub enum Source<'s> {
    /// Now.
    Now(&'s Store),
    /// A past day: its findings in order, and whether there are more than were looked at.
    Past(Vec<OpenFinding>, bool),
}

/// A page of findings.
#[derive(Clone, Debug)]
pub struct Listing {
    /// At most [`PAGE`].
    pub rows: Vec<OpenFinding>,
    /// Behind which the next page begins; `None`: this is the last.
    pub next: Option<Cursor>,
}

/// What facets count.
#[derive(Clone, Debug)]
pub struct Counted {
    /// By what facets tell apart.
    pub counts: Vec<FacetCount>,
    /// All of them.
    pub total: u64,
    /// Whether there are more than were counted.
    pub is_cut: bool,
}

impl<'s> Source<'s> {
    /// Opens it; `as_of` is the last second of a past day, `None`: now.
    pub async fn open(store: &'s Store, catalogue: &Catalogue, filter: &OpenFilter, as_of: Option<i64>) -> Result<Self, StoreError> {
        let Some(at) = as_of else { return Ok(Self::Now(store)) };
        let only = |list: &Option<Vec<String>>| list.as_ref().filter(|l| l.len() == 1).and_then(|l| l.first().cloned());
        let asked = FindingFilter {
            host: filter.hosts.as_ref().filter(|l| l.len() == 1).and_then(|l| l.first().copied()),
            rule: only(&filter.rules),
            subject: filter.subject.clone(),
            verdicts: vec![Verdict::Fail, Verdict::Unknown],
            severity: filter.severity,
            as_of,
            limit: MOST_PAST + 1,
            ..FindingFilter::default()
        };
        let mut rows = store.findings(&asked).await?;
        let is_cut = rows.len() > MOST_PAST as usize;
        rows.truncate(MOST_PAST as usize);
        let laid = Laid::read(store, at, rows.iter().map(|row| row.host)).await?;
        let labelled: Option<BTreeSet<HostId>> = match &filter.label {
            Some(label) => {
                let labelled = HostFilter { as_of, labels: vec![("label".into(), label.clone())], limit: MOST_LABELLED, ..HostFilter::default() };
                Some(store.hosts_where(&labelled).await?.into_iter().map(|host| host.id).collect())
            }
            None => None,
        };
        let is_labelled = |row: &OpenFinding| labelled.as_ref().is_none_or(|hosts| hosts.contains(&row.host));
        let mut found: Vec<OpenFinding> = rows.iter().map(|row| laid.finding(row)).filter(|row| is_labelled(row) && admits(filter, catalogue, row)).collect();
        found.sort_by_cached_key(OpenFinding::cursor);
        Ok(Self::Past(found, is_cut))
    }

    /// The page behind a place.
    pub async fn page(&self, filter: &OpenFilter, after: Option<&Cursor>) -> Result<Listing, StoreError> {
        let mut rows = self.rows(filter, after, PAGE + 1).await?;
        let is_more = rows.len() > PAGE as usize;
        rows.truncate(PAGE as usize);
        Ok(Listing { next: rows.last().filter(|_| is_more).map(OpenFinding::cursor), rows })
    }

    /// Up to so many findings behind a place.
    pub async fn rows(&self, filter: &OpenFilter, after: Option<&Cursor>, limit: u32) -> Result<Vec<OpenFinding>, StoreError> {
        match self {
            Self::Now(store) => store.open_findings(filter, after, limit).await,
            Self::Past(all, _) => Ok(all.iter().filter(|row| after.is_none_or(|a| row.cursor() > *a)).take(limit as usize).cloned().collect()),
        }
    }

    /// A page of root causes, from 1, and whether another follows.
    pub async fn groups(&self, filter: &OpenFilter, page: u32) -> Result<(Vec<Group>, bool), StoreError> {
        let skip = page.saturating_sub(1).saturating_mul(PAGE);
        let mut groups = match self {
            Self::Now(store) => store.open_groups(filter, MOST, skip, PAGE + 1).await?,
            Self::Past(all, _) => grouped(all, filter.at).into_iter().skip(skip as usize).take(PAGE as usize + 1).collect(),
        };
        let is_more = groups.len() > PAGE as usize;
        groups.truncate(PAGE as usize);
        Ok((groups, is_more))
    }

    /// The findings of a filter, counted.
    pub async fn counted(&self, filter: &OpenFilter) -> Result<Counted, StoreError> {
        let (counts, is_cut) = match self {
            Self::Now(store) => (store.open_counts(filter, MOST).await?, None),
            Self::Past(all, is_cut) => (tallied(all, filter.at), Some(*is_cut)),
        };
        let total = counts.iter().map(|t| t.findings).sum();
        Ok(Counted { is_cut: is_cut.unwrap_or(total >= u64::from(MOST)), total, counts })
    }
}

/// Whether a filter lets a finding through: what the store does by SQL for now.
fn admits(filter: &OpenFilter, catalogue: &Catalogue, row: &OpenFinding) -> bool {
    let within = |place: &(_, String, String)| *place == (row.host, row.rule.clone(), row.subject.clone());
    (filter.verdicts.is_empty() || filter.verdicts.contains(&row.verdict))
        && filter.severity.is_none_or(|s| s == row.severity)
        && filter.rules.as_ref().is_none_or(|rules| rules.contains(&row.rule))
        && filter.area.as_ref().is_none_or(|area| area_of(&row.rule) == area)
        && filter.hosts.as_ref().is_none_or(|hosts| hosts.contains(&row.host))
        && filter.subject.as_ref().is_none_or(|subject| *subject == row.subject)
        && filter.owner.as_ref().is_none_or(|owner| *owner == row.owner)
        && filter.since_from.is_none_or(|from| row.since >= from)
        && filter.since_to.is_none_or(|to| row.since < to)
        && (!filter.overdue || is_overdue(row, filter.at))
        && filter.cause.is_none_or(|cause| cause == row.cause)
        && filter.places.as_ref().is_none_or(|places| places.iter().any(within))
        && filter.words.iter().all(|word| {
            let text = format!("{} {} {} {} {}", row.rule, catalogue.title(&row.rule), row.subject, row.message, row.name).to_lowercase();
            text.contains(&word.text)
        })
}

/// Whether a finding is past its day; a waived one is not.
pub fn is_overdue(row: &OpenFinding, at: i64) -> bool {
    row.verdict != Verdict::Waived && row.due.is_some_and(|due| due <= at)
}

/// The area of a rule: the first word of its id.
pub fn area_of(rule: &str) -> &str {
    rule.split_once('-').map_or(rule, |(area, _)| area)
}

fn grouped(all: &[OpenFinding], at: i64) -> Vec<Group> {
    let mut by_cause: BTreeMap<(CauseId, Severity), Vec<&OpenFinding>> = BTreeMap::new();
    for row in all {
        by_cause.entry((row.cause, row.severity)).or_default().push(row);
    }
    let group = |rows: Vec<&OpenFinding>| {
        let first = rows.first()?;
        let count = |is: &dyn Fn(&OpenFinding) -> bool| rows.iter().filter(|row| is(row)).count() as u64;
        let waived = count(&|row| row.verdict == Verdict::Waived);
        let base = if first.verdict == Verdict::Unknown { Verdict::Unknown } else { Verdict::Fail };
        Some(Group {
            cause: first.cause,
            rule: first.rule.clone(),
            verdict: if waived == rows.len() as u64 { Verdict::Waived } else { base },
            severity: first.severity,
            findings: rows.len() as u64,
            hosts: rows.iter().map(|row| row.host).collect::<BTreeSet<_>>().len() as u64,
            waived,
            oldest: rows.iter().map(|row| row.since).min()?,
            owner: rows.iter().all(|row| row.owner == first.owner).then(|| first.owner.clone()),
            due: rows.iter().filter_map(|row| row.due).min(),
            overdue: count(&|row| is_overdue(row, at)),
            message: rows.iter().map(|row| &row.message).min()?.clone(),
        })
    };
    let mut groups: Vec<Group> = by_cause.into_values().filter_map(group).collect();
    groups.sort_by(|a, b| {
        let key = |g: &Group| (g.verdict == Verdict::Unknown, std::cmp::Reverse(g.severity), std::cmp::Reverse(g.hosts), std::cmp::Reverse(g.findings));
        key(a).cmp(&key(b)).then_with(|| (&a.rule, a.cause).cmp(&(&b.rule, b.cause)))
    });
    groups
}

fn tallied(all: &[OpenFinding], at: i64) -> Vec<FacetCount> {
    let mut counts: BTreeMap<(&str, Verdict, Severity, &str, bool), u64> = BTreeMap::new();
    for row in all {
        *counts.entry((&row.rule, row.verdict, row.severity, &row.owner, is_overdue(row, at))).or_default() += 1;
    }
    let tally = |((rule, verdict, severity, owner, overdue), findings): ((&str, _, _, &str, _), _)| FacetCount {
        rule: rule.into(),
        verdict,
        severity,
        owner: owner.into(),
        overdue,
        findings,
    };
    counts.into_iter().map(tally).collect()
}
