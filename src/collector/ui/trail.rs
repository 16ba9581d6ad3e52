//! The audit trail: every ledger entry and every logged act, who, what, when.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::text::{encode, shown};
use super::when::{DAY, When, parse_day, utc};
use crate::collector::store::{Trace, TraceFilter};
use crate::collector::trail::{self, LedgerState, Names};
use crate::evidence::csv::Rows;
use crate::ledger::tree;

/// Lines of a page.
const LINES: u32 = 100;
/// Lines of a CSV file.
const MAX_CSV: usize = 10_000;

/// One line of the table.
struct Line {
    at: When,
    who: String,
    kind: String,
    what: String,
    host: Option<(String, String)>,
    leaf: Option<u64>,
}

#[derive(Template)]
#[template(path = "trail.html")]
struct Trail {
    frame: Frame,
    ledger: LedgerState,
    kinds: Vec<(&'static str, String, bool)>,
    person: String,
    day: String,
    query: String,
    may_export: bool,
    lines: Vec<Line>,
    is_filtered: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "leaf.html")]
struct Leaf {
    frame: Frame,
    ledger: LedgerState,
    number: u64,
    line: Line,
    body: String,
    bytes: String,
    hash: String,
    is_covered: bool,
}

/// What a request asks, within an auditor's days.
fn asked(visit: &Visit, names: &Names, limit: u32) -> Result<TraceFilter, PageError> {
    let (mut from, mut to) = (i64::MIN, visit.at());
    if let Some(grant) = &visit.session.grant {
        let (first, last) = grant.span();
        (from, to) = (from.max(first), to.min(last));
    }
    let day = visit.parameter("day");
    if !day.is_empty() {
        let start = parse_day(day).ok_or_else(|| PageError::Bad(format!("“{}” is not a day; write day=YYYY-MM-DD.", shown(day))))?;
        (from, to) = (from.max(start), to.min(start + DAY - 1));
    }
    let before = match visit.parameter("before") {
        "" => None,
        text => Some(trail::place(text).ok_or_else(|| PageError::Bad("That place in the audit trail can’t be read.".into()))?),
    };
    Ok(trail::filter(visit.parameter("kind"), visit.parameter("person"), (from, to), before, limit, names))
}

async fn lines(site: &Site, visit: &Visit, names: &Names, traces: &[Trace]) -> Result<Vec<Line>, PageError> {
    let ids: std::collections::BTreeSet<_> = traces.iter().filter_map(|t| t.host).collect();
    let hosts = site.store().names_of_hosts(&ids).await?;
    let line = |trace: &Trace| {
        let told = names.tell(trace);
        let host = trace.host.map(|id| (hosts.get(&id).map_or_else(|| id.to_string(), |n| shown(n)), format!("/hosts/{id}")));
        Line { at: visit.when(trace.at), who: shown(&told.who), kind: told.kind, what: shown(&told.what), host, leaf: trace.leaf }
    };
    Ok(traces.iter().map(line).collect())
}

/// `GET /audit?kind=…&person=…&day=…`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let names = Names::read(site.store()).await?;
    let mut traces = site.store().trail(&asked(&visit, &names, LINES + 1)?).await?;
    let is_more = traces.len() > LINES as usize;
    traces.truncate(LINES as usize);
    let (kind, person, day) = (visit.parameter("kind"), visit.parameter("person"), visit.parameter("day"));
    let query = format!("kind={}&person={}&day={}", encode(kind), encode(person), encode(day));
    let next = traces.last().filter(|_| is_more).map(|last| format!("/audit?{query}&before={}", trail::cursor(last)));
    let as_of = visit.as_of.map(|at| format!("&as_of={}", super::when::iso_day(at))).unwrap_or_default();
    render(&Trail {
        ledger: LedgerState::of(site.store(), &site.app.verifier).await?,
        kinds: trail::kinds().into_iter().map(|(id, word)| (id, word, id == kind)).collect(),
        person: person.into(),
        day: day.into(),
        is_filtered: !(kind.is_empty() && person.is_empty() && day.is_empty()),
        query: format!("{query}{as_of}"),
        may_export: visit.session.role.may_export(),
        lines: lines(&site, &visit, &names, &traces).await?,
        next,
        frame: visit.frame(&site, "audit", "Audit trail").await?,
    })
}

/// `GET /audit.csv`, with the same filters: the newest lines, at most 10,000.
pub async fn csv(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response, PageError> {
    let names = Names::read(site.store()).await?;
    let mut filter = asked(&visit, &names, LINES * 10)?;
    let mut all = Vec::new();
    let is_cut = loop {
        let traces = site.store().trail(&filter).await?;
        all.extend(lines(&site, &visit, &names, &traces).await?);
        let Some(last) = traces.last().filter(|_| traces.len() == filter.limit as usize) else { break false };
        if all.len() >= MAX_CSV {
            break true;
        }
        filter.before = trail::place(&trail::cursor(last));
    };
    let out = table(&all, is_cut).map_err(|e| PageError::Internal(e.to_string()))?;
    let name = format!("attachment; filename=\"audit-trail-{}.csv\"", utc(visit.at()).strftime("%Y-%m-%d"));
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_string()), (header::CONTENT_DISPOSITION, name)], out).into_response())
}

fn table(lines: &[Line], is_cut: bool) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut rows = Rows::new(&mut out, &["when (UTC)", "who", "kind", "what", "host", "leaf"])?;
    for line in lines {
        let host = line.host.as_ref().map_or("", |(name, _)| name.as_str());
        let leaf = line.leaf.map_or_else(String::new, |n| n.to_string());
        rows.row(&[&line.at.iso, &line.who, &line.kind, &line.what, host, &leaf])?;
    }
    if is_cut {
        rows.row(&["", "", "", &format!("the newest {} lines; narrow the filters for more", lines.len()), "", ""])?;
    }
    Ok(out)
}

/// `GET /audit/{leaf}`: one entry of the ledger.
pub async fn entry(State(site): State<Arc<Site>>, visit: Visit, Path(leaf): Path<String>) -> Page {
    let missing = || PageError::NotFound(format!("Leaf {}", shown(&leaf)));
    let number: u64 = leaf.parse().map_err(|_| missing())?;
    let (trace, bytes) = site.store().trace(number).await?.ok_or_else(missing)?;
    if trace.at > visit.at() || visit.session.grant.as_ref().is_some_and(|g| !g.holds(trace.at)) {
        return Err(missing());
    }
    let names = Names::read(site.store()).await?;
    let line = lines(&site, &visit, &names, std::slice::from_ref(&trace)).await?.pop().ok_or_else(missing)?;
    let ledger = LedgerState::of(site.store(), &site.app.verifier).await?;
    render(&Leaf {
        number,
        is_covered: number < ledger.entries,
        ledger,
        line,
        body: shown(&trace.body),
        bytes: String::from_utf8_lossy(&bytes).into_owned(),
        hash: tree::leaf_hash(&bytes).to_string(),
        frame: visit.frame(&site, "audit", format!("Leaf {number}")).await?,
    })
}
