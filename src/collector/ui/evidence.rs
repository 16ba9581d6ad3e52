//! Evidence: what a bundle would hold, what an auditor will ask, and the bundle itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::calendar::{self, Outcome};
use super::error::PageError;
use super::exports;
use super::frame::{Frame, Page, Visit, render};
use super::site::{Catalogue, FrameworkCard, Site};
use super::tally;
use super::text::{counted, shown};
use super::when::{DAY, When, day, iso_day, parse_day, week, week_name, week_start};
use crate::collector::commitments::Held;
use crate::collector::store::{ExportSaid, HostRow, HostState, ReportRow, Tallies};
use crate::ledger::{Kind, Leaf};
use crate::model::finding::Verdict;

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
    spans: Vec<(String, &'static str, bool)>,
    hosts: String,
    seed: String,
    sample: String,
    covered: String,
    counted_as: String,
    controls: Vec<Line>,
    questions: Vec<Question>,
    exports: Vec<Export>,
    key: String,
    jobs: Vec<exports::Line>,
    has_framework: bool,
}

/// One control over the period.
struct Line {
    id: String,
    title: String,
    rules: usize,
    verdict: Verdict,
    judged: u64,
    failing: u64,
    unknown: u64,
    /// Failing when the period began.
    before: u64,
    fleet: String,
    record: String,
    /// Record types: address, title, how it stands, words.
    records: Vec<(String, String, Verdict, String)>,
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
    by: String,
    size: String,
}

/// `GET /evidence?framework=…&from=…&to=…`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let default_from = iso_day(visit.at() - (DEFAULT_DAYS - 1) * DAY);
    let default_to = iso_day(visit.at());
    let given = |name: &str, default: &str| Some(visit.parameter(name)).filter(|v| !v.is_empty()).unwrap_or(default).to_string();
    let (from, to) = (given("from", &default_from), given("to", &default_to));
    let (start, end) = period(&from, &to)?;
    let catalogue = site.catalogue();
    let chosen = chosen(&catalogue, visit.parameter("framework"))?;
    let last = end.min(visit.at().saturating_add(1)).saturating_sub(1);
    let hosts = site.store().hosts(visit.as_of).await?;
    let scope = exports::scope(visit.parameter("hosts"))?;
    let reports = site.store().reports(None, Some((start, end)), MAX_REPORTS).await?;
    let (now, before) = (site.store().tallies((last < visit.now).then_some(last)).await?, site.store().tallies(Some(start - 1)).await?);
    let held = crate::collector::commitments::grounds::records(site.store(), last).await?;
    let by_rule = tally::worst_by_rule(&now);
    let controls: Vec<Line> = chosen.map_or(Vec::new(), |f| f.controls.iter().map(|c| line(c, &by_rule, &now, &before, &held)).collect());
    let covered = hosts.iter().filter(|h| scope.covers(&h.name)).count();
    render(&EvidencePage {
        frameworks: catalogue.frameworks.iter().map(|f| (f.id.clone(), f.title.clone(), Some(&f.id) == chosen.map(|c| &c.id))).collect(),
        framework: chosen.map_or(String::new(), |f| f.id.clone()),
        title: chosen.map_or(String::new(), |f| f.title.clone()),
        has_framework: chosen.is_some(),
        period: if from == to {
            format!("{}, a date (Type 1)", day(start))
        } else {
            format!("{} to {}, both days included (Type 2)", day(start), day(end - 1))
        },
        spans: spans(&visit, &from, &to),
        hosts: visit.parameter("hosts").into(),
        seed: visit.parameter("seed").into(),
        sample: given("sample", "25"),
        covered: if covered == hosts.len() {
            String::new()
        } else {
            format!("{} of {} in the scope; the counts below are of all", covered, counted(hosts.len(), "host", "hosts"))
        },
        counted_as: format!("state at the end of {}", day(last)),
        from,
        to,
        may_export: visit.session.role.may_export(),
        facts: vec![
            (super::text::grouped(covered as u64), if covered == 1 { "host" } else { "hosts" }),
            (most(reports.len(), MAX_REPORTS), if reports.len() == 1 { "signed report" } else { "signed reports" }),
            (super::text::grouped(controls.len() as u64), if controls.len() == 1 { "control" } else { "controls" }),
        ],
        questions: chosen.map_or(Vec::new(), |f| questions(&catalogue, f, &controls, &hosts, &reports, &now, (start, last))),
        controls,
        exports: earlier(&site, &visit).await?,
        key: site.app.verifier.to_string(),
        jobs: exports::lines(&site, &visit),
        frame: visit.frame(&site, "evidence", "Evidence").await?,
    })
}

/// A count that may have been cut.
fn most(n: usize, limit: u32) -> String {
    if n >= limit as usize { format!("{} or more", super::text::grouped(u64::from(limit))) } else { super::text::grouped(n as u64) }
}

/// Periods that people ask for: address, words, whether it is the one shown.
fn spans(visit: &Visit, from: &str, to: &str) -> Vec<(String, &'static str, bool)> {
    let today = visit.at();
    let days = [(0, "today"), (29, "30 days"), (89, "90 days"), (364, "a year")];
    let mut out = Vec::new();
    for (back, word) in days {
        let (first, last) = (iso_day(today - back * DAY), iso_day(today));
        let kept = ["framework", "hosts", "seed", "sample"].into_iter().map(|n| (n, visit.parameter(n).to_string())).filter(|(_, v)| !v.is_empty());
        let query: Vec<String> = kept.chain([("from", first.clone()), ("to", last.clone())]).map(|(n, v)| format!("{n}={}", super::text::encode(&v))).collect();
        out.push((format!("/evidence?{}", query.join("&")), word, first == from && last == to));
    }
    out
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

/// The framework of this id; the first one when none is named.
fn chosen<'a>(catalogue: &'a Catalogue, id: &str) -> Result<Option<&'a FrameworkCard>, PageError> {
    if id.is_empty() {
        return Ok(catalogue.frameworks.first());
    }
    let found = catalogue.frameworks.iter().find(|f| f.id == id);
    found.map(Some).ok_or_else(|| PageError::NotFound(format!("A framework “{}”", shown(id))))
}

/// Its id, if there is such a framework.
pub(super) fn framework(site: &Site, id: &str) -> Result<Option<String>, PageError> {
    Ok(chosen(&site.catalogue(), id)?.map(|f| f.id.clone()))
}

fn line(control: &super::site::ControlCard, by_rule: &BTreeMap<&str, Verdict>, now: &Tallies, before: &Tallies, held: &BTreeMap<String, Held>) -> Line {
    let sum = |tallies: &Tallies, verdict: Verdict| control.rules.iter().map(|r| tallies.of(r, verdict).findings).sum::<u64>();
    let record = |id: &String| {
        let title = crate::records::types::builtin().ok().and_then(|all| crate::records::types::find(all, id)).map_or(id.as_str(), |k| k.title.as_str());
        let (verdict, words) = held.get(id).map_or((Verdict::NotRun, "nobody recorded it".into()), |h| (h.verdict, shown(&h.message)));
        (format!("/registers/{id}"), title.to_string(), verdict, words)
    };
    let records: Vec<_> = control.records.iter().map(record).collect();
    let verdict = match (control.rules.is_empty(), records.is_empty()) {
        (true, true) => Verdict::NotRun,
        (true, false) => tally::worst(records.iter().map(|(_, _, verdict, _)| *verdict)),
        (false, _) => tally::of_control(control, by_rule),
    };
    Line {
        id: control.id.clone(),
        title: control.title.clone(),
        fleet: control.fleet.clone(),
        record: control.record.clone(),
        rules: control.rules.len(),
        verdict,
        judged: Verdict::ALL.into_iter().map(|v| sum(now, v)).sum(),
        failing: sum(now, Verdict::Fail),
        unknown: sum(now, Verdict::Unknown),
        before: sum(before, Verdict::Fail),
        records,
    }
}

fn questions(
    catalogue: &Catalogue,
    framework: &FrameworkCard,
    controls: &[Line],
    hosts: &[HostRow],
    reports: &[ReportRow],
    now: &Tallies,
    span: (i64, i64),
) -> Vec<Question> {
    let mut out = Vec::new();
    let mut ask = |text: String, detail: String, path: String| out.push(Question { text, detail, path });
    let bare: Vec<&str> = controls.iter().filter(|c| c.rules == 0 && c.records.is_empty() && c.fleet.is_empty()).map(|c| c.id.as_str()).collect();
    if !bare.is_empty() {
        ask(
            format!("{} without any rule or record", counted(bare.len(), "control", "controls")),
            format!("{}: needs documents from elsewhere", bare.join(", ")),
            String::new(),
        );
    }
    for (wanted, text, path) in [
        (Verdict::NotRun, "lack a record", "/registers/due?state=missing"),
        (Verdict::Fail, "rest on a record that is overdue or wrong", "/registers/due?state=wrong"),
    ] {
        let of: Vec<&Line> = controls.iter().filter(|c| c.records.iter().any(|(_, _, verdict, _)| *verdict == wanted)).collect();
        if !of.is_empty() {
            let mut titles: Vec<&str> = of.iter().flat_map(|c| &c.records).filter(|(_, _, v, _)| *v == wanted).map(|(_, title, ..)| title.as_str()).collect();
            titles.sort_unstable();
            titles.dedup();
            let detail = format!("{}{}", titles.iter().take(8).copied().collect::<Vec<_>>().join(", "), if titles.len() > 8 { " …" } else { "" });
            ask(format!("{} {text}", counted(of.len(), "control", "controls")), detail, path.into());
        }
    }
    if reports.len() >= MAX_REPORTS as usize {
        ask("Planned scans are not counted here".into(), format!("more than {MAX_REPORTS} reports came in the period; the bundle counts them"), String::new());
    }
    let missed = if reports.len() < MAX_REPORTS as usize { missed(hosts, reports, span) } else { Vec::new() };
    if !missed.is_empty() {
        let total: usize = missed.iter().map(|(_, weeks)| weeks.len()).sum();
        let list: Vec<String> = missed.iter().take(5).map(|(name, weeks)| format!("{name} {}", weeks.join(" "))).collect();
        ask(format!("{} missed", counted(total, "weekly window", "weekly windows")), list.join("; "), "/".into());
    }
    for (verdict, text) in [(Verdict::Fail, "still failing at the end of the period"), (Verdict::Unknown, "can’t be told at the end of the period")] {
        let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
        for rule in framework.controls.iter().flat_map(|c| &c.rules) {
            let n = now.of(rule, verdict).findings;
            if n > 0 {
                rules.insert(rule, n);
            }
        }
        if !rules.is_empty() {
            let list: Vec<&str> = rules.keys().take(6).map(|r| catalogue.title(r)).collect();
            let total = usize::try_from(rules.values().sum::<u64>()).unwrap_or(usize::MAX);
            ask(format!("{} {text}", counted(total, "finding", "findings")), list.join("; "), format!("/findings?verdict={}", verdict.id()));
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
    let said: BTreeMap<String, ExportSaid> =
        site.store().statements(Kind::Export).await?.iter().filter_map(|s| Some((s.digest.to_string(), s.read().ok()?))).collect();
    let users: BTreeMap<String, String> = site.store().users().await?.into_iter().map(|(u, _)| (u.id.to_string(), u.name)).collect();
    let rows = site.store().leaves_of_kind(Kind::Export.id(), MAX_EXPORTS).await?;
    let export = |row: crate::collector::store::LeafRow| {
        let leaf = Leaf::parse(&row.bytes).ok()?;
        let said = said.get(&row.reference)?;
        let what = format!("{} {} to {}", said.framework, said.from, said.to);
        let by = users.get(&said.by).cloned().unwrap_or_else(|| shown(&said.by));
        let size = format!("{:.1} MiB", said.bytes as f64 / f64::from(1 << 20));
        let leaf_text = super::text::grouped(row.index);
        (leaf.at <= visit.at()).then(|| Export { at: visit.when(leaf.at), leaf: leaf_text, what, digest: said.bundle.to_string(), by, size })
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
