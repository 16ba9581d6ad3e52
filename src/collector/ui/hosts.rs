//! The list of hosts.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::calendar::{self, Outcome};
use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::tally::{self, MAX_FINDINGS};
use super::text::{counted, shown};
use super::when::{DAY, When, week_start};
use crate::collector::store::{FindingFilter, HostState};
use crate::model::finding::Counts;

/// Reports of this and the last week that are looked at.
const MAX_REPORTS: u32 = 50_000;

#[derive(Template)]
#[template(path = "hosts.html")]
struct Hosts {
    frame: Frame,
    heading: String,
    rows: Vec<Row>,
}

/// One host.
struct Row {
    name: String,
    path: String,
    os: String,
    state: HostState,
    seen: Option<When>,
    scanned: Option<When>,
    week: Outcome,
    counts: Counts,
    is_judged: bool,
}

/// `GET /hosts`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let at = visit.at();
    let hosts = site.store().hosts(visit.as_of).await?;
    let findings = FindingFilter { as_of: visit.as_of, limit: MAX_FINDINGS, ..FindingFilter::default() };
    let mut findings = site.store().findings(&findings).await?;
    tally::waived(&site, &mut findings, &visit).await?;
    let this_week = week_start(at);
    let reports = site.store().reports(None, Some((this_week - 7 * DAY, at + 1)), MAX_REPORTS).await?;
    let mut rows = Vec::with_capacity(hosts.len());
    for host in &hosts {
        let own: Vec<_> = reports.iter().filter(|r| r.host == host.id && r.received <= at).collect();
        let newest = match own.first() {
            Some(report) => Some(report.finished),
            None => site.store().reports(Some(&host.id), Some((0, at + 1)), 1).await?.first().map(|r| r.finished),
        };
        let counts = tally::counts(&findings, &host.id);
        rows.push(Row {
            name: shown(&host.name),
            path: format!("/hosts/{}", host.id),
            os: shown(&host.os),
            state: host.state,
            seen: host.seen_at.map(|s| visit.when(s)),
            scanned: newest.map(|s| visit.when(s)),
            week: calendar::outcome(host, &own, this_week, at),
            is_judged: counts != Counts::default(),
            counts,
        });
    }
    let silent = hosts.iter().filter(|h| h.state == HostState::Silent).count();
    let over = hosts.iter().filter(|h| h.state.is_over()).count();
    let mut heading = counted(hosts.len() - over, "host", "hosts");
    for (number, word) in [(silent, "silent"), (over, "taken out")].into_iter().filter(|(number, _)| *number > 0) {
        heading.push_str(&format!(", {number} {word}"));
    }
    render(&Hosts { heading, rows, frame: visit.frame(&site, "hosts", "Hosts").await? })
}
