//! One host: what it is, how it stands, who gets in, what can't be seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::calendar::{self, Outcome};
use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::host_facts::{self, Doors, Identity, People, Software, Tree};
use super::site::Site;
use super::tally::{self, MAX_FINDINGS, Stretch};
use super::text::{grouped, shown};
use super::when::{DAY, When, week, week_name, week_start};
use crate::collector::store::{FindingFilter, FindingRow, HostState, ReportRow};
use crate::model::fact::Observation;
use crate::model::finding::{Counts, Severity, Verdict};
use crate::model::ids::HostId;
use crate::model::labels::HostLabels;
use crate::model::report::ScanState;

/// Reports listed.
const MAX_REPORTS: usize = 12;
/// Reports looked at for the calendar: 26 weeks of weekly, monthly, drift and on demand scans.
const MAX_CALENDAR_REPORTS: u32 = 2_000;
/// Open findings listed.
const MAX_OPEN: usize = 15;
/// Gaps listed.
const MAX_GAPS: usize = 100;

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    frame: Frame,
    name: String,
    id: String,
    state: HostState,
    os: String,
    enrolled: When,
    seen: Option<When>,
    scanned: Option<When>,
    week: String,
    week_outcome: Outcome,
    next: When,
    counts: Counts,
    waived: usize,
    stretches: Vec<Stretch>,
    open: Vec<Open>,
    open_more: usize,
    identity: Identity,
    doors: Option<Vec<Doors>>,
    trees: Option<Vec<Tree>>,
    people: Option<People>,
    software: Software,
    gaps: Vec<GapLine>,
    gaps_more: usize,
    reports: Vec<ReportLine>,
    is_observed: bool,
    labels: Option<HostLabels>,
    said: HostLabels,
    words: String,
    can_change: bool,
    is_asked: bool,
}

/// A finding that is not true or can't be told.
struct Open {
    path: String,
    title: String,
    subject: String,
    what: String,
    verdict: Verdict,
    severity: Severity,
    since: When,
}

/// Gaps with the same cause.
struct GapLine {
    family: String,
    detail: String,
    reason: String,
    remedy: String,
    count: usize,
}

/// One report.
struct ReportLine {
    sequence: u64,
    kind: String,
    finished: When,
    is_aborted: bool,
    disagrees: bool,
    counts: Counts,
    leaf: Option<String>,
}

/// `GET /hosts/{host}`
pub async fn page(State(site): State<Arc<Site>>, Path(host): Path<String>, visit: Visit) -> Page {
    let at = visit.at();
    let gone = || PageError::NotFound("That host".into());
    let id: HostId = host.parse().map_err(|_| gone())?;
    let row = site.store().host_at(&id, visit.as_of).await?.ok_or_else(gone)?;
    let labels = site.store().labels_of(&[&row.name], visit.as_of).await?.into_values().next();
    let filter = FindingFilter { host: Some(id), as_of: visit.as_of, limit: MAX_FINDINGS, ..FindingFilter::default() };
    let mut findings = site.store().findings(&filter).await?;
    tally::waived(&site, &mut findings, &visit).await?;
    let reports = site.store().reports(Some(&id), Some((0, at + 1)), MAX_CALENDAR_REPORTS).await?;
    let reports: Vec<ReportRow> = reports.into_iter().filter(|r| r.received <= at).collect();
    let observation = site.store().observation(&id, visit.as_of).await?.map(|(_, o)| o);
    let is_observed = observation.is_some();
    let Observation { families, gaps, .. } = observation.unwrap_or_default();
    let counts = tally::counts(&findings, &id);
    let waived = tally::of_verdict(&findings, &id, Verdict::Waived);
    let own: Vec<&ReportRow> = reports.iter().collect();
    let mut open = open(&site, &visit, &findings);
    let open_more = open.len().saturating_sub(MAX_OPEN);
    open.truncate(MAX_OPEN);
    let mut gaps = gap_lines(gaps);
    let gaps_more = gaps.len().saturating_sub(MAX_GAPS);
    gaps.truncate(MAX_GAPS);
    render(&HostPage {
        frame: visit.frame(&site, "hosts", shown(&row.name)).await?,
        name: shown(&row.name),
        id: id.to_string(),
        state: row.state,
        os: shown(&row.os),
        enrolled: visit.when(row.enrolled_at),
        seen: row.seen_at.map(|s| visit.when(s)),
        scanned: reports.first().map(|r| visit.when(r.finished)),
        week: week_name(week(at)),
        week_outcome: calendar::outcome(&row, &own, week_start(at), at),
        next: visit.when(week_start(at) + 7 * DAY),
        stretches: stretches(&counts, waived),
        counts,
        waived,
        open,
        open_more,
        identity: host_facts::identity(&families, &visit),
        doors: host_facts::doors(&families),
        trees: host_facts::trees(&families),
        people: host_facts::people(&families, &visit),
        software: host_facts::software(&families, &visit),
        gaps,
        gaps_more,
        reports: reports.iter().take(MAX_REPORTS).map(|r| report_line(&visit, r)).collect(),
        is_observed,
        said: labels.clone().unwrap_or_default(),
        words: labels.as_ref().map_or_else(String::new, |l| l.labels.join(", ")),
        labels,
        can_change: visit.session.role.may_record() && visit.as_of.is_none(),
        is_asked: visit.as_of.is_none() && site.app.scan_requests.of(&id).is_some(),
    })
}

fn stretches(counts: &Counts, waived: usize) -> Vec<Stretch> {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    tally::stretches(&[
        (Verdict::Pass, size(counts.pass)),
        (Verdict::Fail, size(counts.fail)),
        (Verdict::Unknown, size(counts.unknown)),
        (Verdict::Waived, waived),
        (Verdict::NotApplicable, size(counts.not_applicable)),
    ])
}

fn open(site: &Site, visit: &Visit, findings: &[FindingRow]) -> Vec<Open> {
    let is_open = |f: &&FindingRow| matches!(f.finding.verdict, Verdict::Fail | Verdict::Unknown);
    let mut out: Vec<Open> = findings
        .iter()
        .filter(is_open)
        .map(|f| Open {
            path: tally::finding_path(f),
            title: site.catalogue().title(&f.finding.rule).to_string(),
            subject: shown(&f.finding.subject),
            what: tally::words(f, &site.catalogue()),
            verdict: f.finding.verdict,
            severity: f.finding.severity,
            since: visit.when(f.since),
        })
        .collect();
    out.sort_by_key(|o| (o.verdict != Verdict::Fail, std::cmp::Reverse(o.severity)));
    out
}

/// Gaps of the same family, reason and cure on one line.
fn gap_lines(gaps: Vec<crate::model::gap::Gap>) -> Vec<GapLine> {
    let mut grouped: BTreeMap<(String, String, String), (String, usize)> = BTreeMap::new();
    for gap in gaps {
        let entry = grouped.entry((gap.family, gap.reason, gap.remedy)).or_insert_with(|| (gap.detail, 0));
        entry.1 += 1;
    }
    let line = |((family, reason, remedy), (detail, count)): ((String, String, String), (String, usize))| GapLine {
        family: if family.is_empty() { "every family".into() } else { shown(&family) },
        detail: shown(&detail),
        reason: shown(&reason),
        remedy: shown(&remedy),
        count,
    };
    grouped.into_iter().map(line).collect()
}

fn report_line(visit: &Visit, row: &ReportRow) -> ReportLine {
    ReportLine {
        sequence: row.sequence,
        kind: match &row.window {
            Some(window) => format!("{} {}", row.kind.word(), shown(window)),
            None => row.kind.word().to_string(),
        },
        finished: visit.when(row.finished),
        is_aborted: row.state == ScanState::Aborted,
        disagrees: row.disagrees,
        counts: row.counts,
        leaf: row.leaf.map(grouped),
    }
}
