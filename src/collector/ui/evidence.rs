//! Evidence: what a bundle would hold, what an auditor will ask, and the bundle itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::calendar::{self, Outcome};
use super::error::PageError;
use super::exports;
use super::frame::{Frame, Page, Visit, render};
use super::site::{FrameworkCard, Site};
use super::tally::{self, MAX_FINDINGS};
use super::text::{counted, shown};
use super::when::{DAY, When, day, iso_day, parse_day, week, week_name, week_start};
use crate::collector::store::{FindingFilter, FindingRow, HostRow, HostState, ReportRow};
use crate::ledger::{Kind, Leaf};
use crate::model::finding::Verdict;
use crate::model::ids::Digest;

/// Days before today that a period covers unless another is asked for.
const DEFAULT_DAYS: i64 = 90;
/// Longest period, days.
const MAX_DAYS: i64 = 2 * 366;
/// Reports looked at.
const MAX_REPORTS: u32 = 100_000;
/// Earlier exports listed.
const MAX_EXPORTS: u32 = 50;

#[derive(Template)]
#[template(path = "evidence.html")]
struct EvidencePage {
    frame: Frame,
    frameworks: Vec<(String, String, bool)>,
    framework: String,
    title: String,
    from: String,
    to: String,
    period: String,
    may_export: bool,
    facts: Vec<(String, &'static str)>,
    controls: Vec<Line>,
    questions: Vec<Question>,
    exports: Vec<Export>,
    jobs: Vec<exports::Line>,
    has_framework: bool,
}

/// One control over the period.
struct Line {
    id: String,
    title: String,
    rules: usize,
    verdict: Verdict,
    judged: usize,
    failed: usize,
    failing: usize,
    unknown: usize,
    fleet: String,
    record: String,
}

/// What an auditor will ask about.
struct Question {
    text: String,
    detail: String,
    path: String,
}

/// An earlier export.
struct Export {
    at: When,
    leaf: String,
    what: String,
    digest: String,
}

/// The part of an export's statement that the page shows.
#[derive(serde::Deserialize)]
struct Said {
    bundle: Digest,
    framework: String,
    from: String,
    to: String,
}

/// `GET /evidence?framework=…&from=…&to=…`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let default_from = iso_day(visit.at() - (DEFAULT_DAYS - 1) * DAY);
    let default_to = iso_day(visit.at());
    let given = |name: &str, default: &str| Some(visit.parameter(name)).filter(|v| !v.is_empty()).unwrap_or(default).to_string();
    let (from, to) = (given("from", &default_from), given("to", &default_to));
    let (start, end) = period(&from, &to)?;
    let chosen = framework(&site, visit.parameter("framework"))?;
    let hosts = site.store().hosts(visit.as_of).await?;
    let filter = FindingFilter { period: Some((start, end)), limit: MAX_FINDINGS, ..FindingFilter::default() };
    let rows = site.store().findings(&filter).await?;
    let reports = site.store().reports(None, Some((start, end)), MAX_REPORTS).await?;
    let last = end.min(visit.at() + 1) - 1;
    let controls: Vec<Line> = chosen.map_or(Vec::new(), |f| f.controls.iter().map(|c| line(c, &rows, last)).collect());
    render(&EvidencePage {
        frameworks: site.catalogue.frameworks.iter().map(|f| (f.id.clone(), f.title.clone(), Some(&f.id) == chosen.map(|c| &c.id))).collect(),
        framework: chosen.map_or(String::new(), |f| f.id.clone()),
        title: chosen.map_or(String::new(), |f| f.title.clone()),
        has_framework: chosen.is_some(),
        period: format!("{} to {}", day(start), day(end - 1)),
        from,
        to,
        may_export: visit.session.role.may_export(),
        facts: vec![
            (super::text::grouped(hosts.len() as u64), if hosts.len() == 1 { "host" } else { "hosts" }),
            (super::text::grouped(reports.len() as u64), if reports.len() == 1 { "signed report" } else { "signed reports" }),
            (super::text::grouped(rows.len() as u64), "verdicts over time"),
        ],
        questions: chosen.map_or(Vec::new(), |f| questions(&site, f, &controls, &hosts, &reports, &rows, (start, last))),
        controls,
        exports: earlier(&site, &visit).await?,
        jobs: exports::lines(&site, &visit),
        frame: visit.frame(&site, "evidence", "Evidence").await?,
    })
}

/// `[start, end)` of two days, both included.
pub(super) fn period(from: &str, to: &str) -> Result<(i64, i64), PageError> {
    let day = |text: &str, what: &str| parse_day(text).ok_or_else(|| PageError::Bad(format!("“{}” is not a day; write {what}=YYYY-MM-DD.", shown(text))));
    let (start, end) = (day(from, "from")?, day(to, "to")? + DAY);
    if start >= end {
        return Err(PageError::Bad(format!("The period ends ({to}) before it begins ({from}); swap the two days.")));
    }
    if end - start > MAX_DAYS * DAY {
        return Err(PageError::Bad(format!("The period is longer than {MAX_DAYS} days; export it in parts.")));
    }
    Ok((start, end))
}

pub(super) fn framework<'a>(site: &'a Site, id: &str) -> Result<Option<&'a FrameworkCard>, PageError> {
    if id.is_empty() {
        return Ok(site.catalogue.frameworks.first());
    }
    let found = site.catalogue.frameworks.iter().find(|f| f.id == id);
    found.map(Some).ok_or_else(|| PageError::NotFound(format!("A framework “{}”", shown(id))))
}

fn line(control: &super::site::ControlCard, rows: &[FindingRow], last: i64) -> Line {
    let own: Vec<&FindingRow> = rows.iter().filter(|r| control.rules.contains(&r.finding.rule)).collect();
    let standing: Vec<&FindingRow> = own.iter().copied().filter(|r| r.since <= last && r.until.is_none_or(|u| u > last)).collect();
    let mut by_rule: BTreeMap<&str, Vec<Verdict>> = BTreeMap::new();
    for row in &standing {
        by_rule.entry(row.finding.rule.as_str()).or_default().push(row.finding.verdict);
    }
    let by_rule: BTreeMap<&str, Verdict> = by_rule.into_iter().map(|(r, v)| (r, tally::worst(v))).collect();
    let standing_with = |v: Verdict| standing.iter().filter(|r| r.finding.verdict == v).count();
    Line {
        id: control.id.clone(),
        title: control.title.clone(),
        fleet: control.fleet.clone(),
        record: control.record.clone(),
        rules: control.rules.len(),
        verdict: if control.rules.is_empty() { Verdict::NotRun } else { tally::of_control(control, &by_rule) },
        judged: standing.len(),
        failed: own.iter().filter(|r| r.finding.verdict == Verdict::Fail).count(),
        failing: standing_with(Verdict::Fail),
        unknown: standing_with(Verdict::Unknown),
    }
}

fn questions(
    site: &Site,
    framework: &FrameworkCard,
    controls: &[Line],
    hosts: &[HostRow],
    reports: &[ReportRow],
    rows: &[FindingRow],
    span: (i64, i64),
) -> Vec<Question> {
    let mut out = Vec::new();
    let mut ask = |text: String, detail: String, path: String| out.push(Question { text, detail, path });
    let bare: Vec<&str> = controls.iter().filter(|c| c.rules == 0 && !c.record.is_empty()).map(|c| c.id.as_str()).collect();
    if !bare.is_empty() {
        ask(
            format!("{} without any rule", counted(bare.len(), "control", "controls")),
            format!("{}: needs documents from elsewhere", bare.join(", ")),
            String::new(),
        );
    }
    let recorded: Vec<&str> = controls.iter().filter(|c| c.rules > 0 && !c.record.is_empty()).map(|c| c.id.as_str()).collect();
    if !recorded.is_empty() {
        ask(format!("{} need a record beside the rules", counted(recorded.len(), "control", "controls")), recorded.join(", "), String::new());
    }
    let missed = missed(hosts, reports, span);
    if !missed.is_empty() {
        let total: usize = missed.iter().map(|(_, weeks)| weeks.len()).sum();
        let list: Vec<String> = missed.iter().take(5).map(|(name, weeks)| format!("{name} {}", weeks.join(" "))).collect();
        ask(format!("{} missed", counted(total, "weekly window", "weekly windows")), list.join("; "), "/".into());
    }
    let in_scope = |r: &&FindingRow| framework.controls.iter().any(|c| c.rules.contains(&r.finding.rule));
    let standing = |r: &&FindingRow| r.since <= span.1 && r.until.is_none_or(|u| u > span.1);
    for (verdict, text) in [(Verdict::Fail, "still failing at the end of the period"), (Verdict::Unknown, "can’t be told at the end of the period")] {
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        for row in rows.iter().filter(in_scope).filter(standing).filter(|r| r.finding.verdict == verdict) {
            *rules.entry(row.finding.rule.as_str()).or_default() += 1;
        }
        if !rules.is_empty() {
            let list: Vec<&str> = rules.keys().take(6).map(|r| site.catalogue.title(r)).collect();
            ask(format!("{} {text}", counted(rules.values().sum(), "finding", "findings")), list.join("; "), format!("/findings?verdict={}", verdict.id()));
        }
    }
    let aborted = reports.iter().filter(|r| r.state == crate::model::report::ScanState::Aborted).count();
    if aborted > 0 {
        ask(counted(aborted, "aborted scan", "aborted scans"), "began and were not finished".into(), String::new());
    }
    let disagreeing = reports.iter().filter(|r| r.disagrees).count();
    if disagreeing > 0 {
        ask(
            counted(disagreeing, "report judged otherwise by its host", "reports judged otherwise by their hosts"),
            "the collector’s verdict is the record".into(),
            String::new(),
        );
    }
    let silent: Vec<&str> = hosts.iter().filter(|h| h.state == HostState::Silent).map(|h| h.name.as_str()).collect();
    if !silent.is_empty() {
        ask(format!("{} silent", counted(silent.len(), "host is", "hosts are")), silent.join(", "), "/hosts".into());
    }
    out
}

/// Hosts and the full weeks of the period in which they were not scanned.
fn missed(hosts: &[HostRow], reports: &[ReportRow], (start, last): (i64, i64)) -> Vec<(String, Vec<String>)> {
    let mut out = Vec::new();
    for host in hosts {
        let own: Vec<&ReportRow> = reports.iter().filter(|r| r.host == host.id).collect();
        let mut weeks = Vec::new();
        let mut at = week_start(start);
        while at + 7 * DAY <= last + 1 {
            if at >= start && calendar::outcome(host, &own, at, last) == Outcome::Missed {
                weeks.push(week_name(week(at)));
            }
            at += 7 * DAY;
        }
        if !weeks.is_empty() {
            out.push((shown(&host.name), weeks));
        }
    }
    out
}

/// What the ledger says of exports.
async fn earlier(site: &Site, visit: &Visit) -> Result<Vec<Export>, PageError> {
    let said: BTreeMap<String, Said> =
        site.store().statements(Kind::Export).await?.iter().filter_map(|s| Some((s.digest.to_string(), s.read().ok()?))).collect();
    let rows = site.store().leaves_of_kind(Kind::Export.id(), MAX_EXPORTS).await?;
    let export = |row: crate::collector::store::LeafRow| {
        let leaf = Leaf::parse(&row.bytes).ok()?;
        let said = said.get(&row.reference)?;
        let what = format!("{} {} to {}", said.framework, said.from, said.to);
        (leaf.at <= visit.at()).then(|| Export { at: visit.when(leaf.at), leaf: super::text::grouped(row.index), what, digest: said.bundle.to_string() })
    };
    Ok(rows.into_iter().filter_map(export).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_holds_both_its_days() {
        let (start, end) = period("2026-11-01", "2026-11-30").unwrap();
        assert_eq!((iso_day(start), iso_day(end), (end - start) / DAY), ("2026-11-01".into(), "2026-12-01".into(), 30));
        assert!(period("2026-11-30", "2026-11-01").is_err());
        assert!(period("2020-01-01", "2026-11-01").is_err());
        assert!(period("2026-11-01", "soon").is_err());
    }
}
