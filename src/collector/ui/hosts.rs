//! The list of hosts.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::calendar::{self, Outcome};
use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::paging::{self, Pager, ROWS};
use super::site::Site;
use super::text::{brief, counted, shown};
use super::when::{DAY, When, week_start};
use crate::collector::findings::Laid;
use crate::collector::store::{FindingFilter, HostFilter, HostState, States, offset_of};
use crate::model::finding::{Counts, Verdict};
use crate::model::ids::HostId;
use crate::model::labels::FIELDS;

/// Longest label in a row, characters.
const MAX_LABEL: usize = 40;
/// Values of one facet.
const MAX_CHOICES: usize = 100;

#[derive(Template)]
#[template(path = "hosts.html")]
struct Hosts {
    frame: Frame,
    heading: String,
    chips: Vec<Chip>,
    facets: Vec<Facet>,
    text: String,
    state: String,
    rows: Vec<Row>,
    pager: Pager,
    has_filter: bool,
    is_empty: bool,
}

/// One way to look at the list.
struct Chip {
    text: String,
    path: String,
    is_on: bool,
}

/// One thing to choose by.
struct Facet {
    name: String,
    title: String,
    choices: Vec<(String, String, bool)>,
}

/// One host.
struct Row {
    name: String,
    path: String,
    os: String,
    labels: Vec<String>,
    owner: String,
    state: HostState,
    seen: Option<When>,
    scanned: Option<When>,
    week: Outcome,
    counts: Counts,
    waived: u64,
    is_judged: bool,
}

/// The hosts that an address asks for.
pub fn filter(visit: &Visit) -> Result<HostFilter, PageError> {
    let state = match visit.parameter("state") {
        "" => None,
        word => Some(HostState::of(word).ok_or_else(|| PageError::Bad(format!("“{}” is no state of a host.", brief(word, 20))))?),
    };
    let mut labels = Vec::new();
    for field in FIELDS {
        let value = paging::filter_of(visit, field)?;
        if !value.is_empty() {
            labels.push((field.to_string(), value));
        }
    }
    Ok(HostFilter {
        as_of: visit.as_of,
        state,
        counts: None,
        system: paging::filter_of(visit, "system")?,
        text: paging::filter_of(visit, "name")?,
        labels,
        offset: 0,
        limit: ROWS + 1,
    })
}

/// `GET /hosts`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let page = paging::page_of(&visit)?;
    let filter = HostFilter { offset: offset_of(page, ROWS), ..filter(&visit)? };
    let store = site.store();
    let states = store.host_states(&filter).await?;
    let mut hosts = store.hosts_where(&filter).await?;
    let read = hosts.len();
    hosts.truncate(ROWS as usize);
    let total = filter.state.map_or(states.counting() + states.retired + states.replaced, |state| states.of(state));
    let (at, ids) = (visit.at(), hosts.iter().map(|h| h.id).collect::<Vec<HostId>>());
    let mut counts = store.verdict_counts(&ids, visit.as_of).await?;
    let waived = match visit.as_of {
        None => store.waived_counts(&ids, at).await?,
        Some(_) => waived_then(&site, &visit, &ids).await?,
    };
    for (host, n) in &waived {
        if let Some(counts) = counts.get_mut(host) {
            counts.fail = counts.fail.saturating_sub(*n);
        }
    }
    let this_week = week_start(at);
    let scans = store.scans(&ids, this_week - 7 * DAY, at + 1, at).await?;
    let names: Vec<&str> = hosts.iter().map(|h| h.name.as_str()).collect();
    let labels = store.labels_of(&names, visit.as_of).await?;
    let mut rows = Vec::with_capacity(hosts.len());
    for host in &hosts {
        let own: Vec<_> = scans.iter().filter(|s| s.host == host.id).collect();
        let scanned = match own.first() {
            Some(scan) => Some(scan.finished),
            None => store.last_scan(&host.id, at).await?,
        };
        let said = labels.get(&host.name.to_ascii_lowercase());
        rows.push(Row {
            name: shown(&host.name),
            path: format!("/hosts/{}", host.id),
            os: shown(&host.os),
            owner: said.map_or_else(String::new, |s| brief(&s.owner, MAX_LABEL)),
            labels: said.map_or_else(Vec::new, |s| s.values().filter(|(field, _)| *field != "owner").map(|(_, v)| brief(v, MAX_LABEL)).collect()),
            state: host.state,
            seen: host.seen_at.map(|s| visit.when(s)),
            scanned: scanned.map(|s| visit.when(s)),
            week: calendar::outcome(host, &own, this_week, at),
            waived: waived.get(&host.id).copied().unwrap_or_default(),
            is_judged: counts.contains_key(&host.id),
            counts: counts.get(&host.id).copied().unwrap_or_default(),
        });
    }
    let has_filter = filter.state.is_some() || !filter.system.is_empty() || !filter.text.is_empty() || !filter.labels.is_empty();
    render(&Hosts {
        heading: heading(&states, has_filter),
        chips: chips(&visit, &states, filter.state),
        facets: facets(&site, &visit, &filter).await?,
        state: filter.state.map_or_else(String::new, |s| s.word().into()),
        pager: Pager::new(&visit, page, read, Some(total), "hosts"),
        is_empty: rows.is_empty() && !has_filter && page == 1,
        rows,
        has_filter,
        frame: visit.frame(&site, "hosts", "Hosts").await?,
        text: filter.text,
    })
}

/// How many failures of these hosts a waiver covered on the day shown.
async fn waived_then(site: &Site, visit: &Visit, hosts: &[HostId]) -> Result<BTreeMap<HostId, u64>, PageError> {
    let mut out = BTreeMap::new();
    let laid = Laid::read(site.store(), visit.at(), hosts.iter().copied()).await?;
    if laid.has_no_waiver() {
        return Ok(out);
    }
    for host in hosts {
        let filter = FindingFilter { host: Some(*host), verdicts: vec![Verdict::Fail], as_of: visit.as_of, ..FindingFilter::default() };
        let rows = site.store().findings(&filter).await?;
        let n = rows.iter().filter(|row| laid.waiver(row).is_some()).count() as u64;
        out.extend((n > 0).then_some((*host, n)));
    }
    Ok(out)
}

fn heading(states: &States, has_filter: bool) -> String {
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut heading = counted(count(states.counting()), "host", "hosts");
    if has_filter {
        heading.push_str(" of this kind");
    }
    for (number, word) in [(states.silent, "silent"), (states.retired + states.replaced, "taken out")].into_iter().filter(|(number, _)| *number > 0) {
        heading.push_str(&format!(", {} {word}", super::text::grouped(number)));
    }
    heading
}

fn chips(visit: &Visit, states: &States, now: Option<HostState>) -> Vec<Chip> {
    let all = Chip { text: "all".into(), path: paging::address(visit, &[("state", "")]), is_on: now.is_none() };
    let one = |state: HostState| Chip {
        text: format!("{} {}", super::text::grouped(states.of(state)), state.word()),
        path: paging::address(visit, &[("state", state.word())]),
        is_on: now == Some(state),
    };
    std::iter::once(all).chain(HostState::ALL.into_iter().map(one)).collect()
}

async fn facets(site: &Site, visit: &Visit, filter: &HostFilter) -> Result<Vec<Facet>, PageError> {
    let mut out = Vec::new();
    let systems = site.store().systems().await?;
    out.push(facet("system", &filter.system, systems));
    let values = site.store().label_values(visit.as_of).await?;
    for field in FIELDS {
        let chosen = filter.labels.iter().find(|(f, _)| f == field).map_or("", |(_, v)| v.as_str());
        let own: Vec<(String, u64)> = values.iter().filter(|(f, _, _)| f == field).map(|(_, v, n)| (v.clone(), *n)).collect();
        if !own.is_empty() || !chosen.is_empty() {
            out.push(facet(field, chosen, own));
        }
    }
    Ok(out)
}

fn facet(name: &str, chosen: &str, values: Vec<(String, u64)>) -> Facet {
    let is_known = values.iter().any(|(value, _)| value == chosen);
    let mut choices: Vec<(String, String, bool)> = values
        .into_iter()
        .take(MAX_CHOICES)
        .map(|(value, n)| (value.clone(), format!("{} ({})", brief(&value, MAX_LABEL), super::text::grouped(n)), value == chosen))
        .collect();
    if !is_known && !chosen.is_empty() {
        choices.push((chosen.into(), brief(chosen, MAX_LABEL), true));
    }
    let mut title: Vec<char> = name.chars().collect();
    if let Some(first) = title.first_mut() {
        *first = first.to_ascii_uppercase();
    }
    Facet { name: name.into(), title: title.into_iter().collect(), choices }
}
