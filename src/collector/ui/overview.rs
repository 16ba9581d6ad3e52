//! The overview: is it true, since when, where not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::calendar::{self, Calendar};
use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::tally::{self, Bar, MAX_FINDINGS};
use super::text::{brief, counted};
use super::when::{DAY, When, span};
use crate::collector::store::{FindingFilter, FindingRow, HostRow, HostState};
use crate::facts::Document as _;
use crate::facts::tls::Tls;
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::HostId;

/// Reports that the calendar looks at.
const MAX_REPORTS: u32 = 50_000;
/// Hosts whose TLS facts are opened for the list of certificates.
const MAX_CERTIFICATE_HOSTS: usize = 200;
/// Certificates that end within this many days are listed.
const CERTIFICATE_DAYS: i64 = 30;
/// Changes of this many days are listed.
const CHANGE_DAYS: i64 = 7;
/// Characters of a host's text in a list.
const MAX_BRIEF: usize = 140;
/// Lines of the lists.
const MAX_LINES: usize = 12;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    headline: Headline,
    sub: String,
    broken: Vec<Broken>,
    broken_more: usize,
    bars: Vec<Bar>,
    calendar: Calendar,
    open: Vec<Open>,
    certificates: Vec<Expiring>,
    certificate_note: String,
    changes: Vec<Change>,
    is_empty: bool,
}

/// The one sentence.
struct Headline {
    class: &'static str,
    first: String,
    rest: String,
}

/// A rule that does not hold somewhere.
struct Broken {
    title: String,
    path: String,
    verdict: Verdict,
    severity: Severity,
    since: When,
    hosts: usize,
    why: String,
    detail: String,
}

/// Open failures of one severity.
struct Open {
    severity: Severity,
    ages: [usize; 3],
    total: usize,
    oldest: String,
}

/// A certificate near its end.
struct Expiring {
    name: String,
    places: String,
    ends: When,
    is_over: bool,
}

/// What one report changed.
struct Change {
    when: When,
    host: String,
    path: String,
    parts: Vec<(Verdict, String)>,
}

/// `GET /`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let at = visit.at();
    // Who was taken out counts no longer; one that was replaced is counted by its successor.
    let hosts: Vec<HostRow> = site.store().hosts(visit.as_of).await?.into_iter().filter(|h| !h.state.is_over()).collect();
    let all = FindingFilter { as_of: visit.as_of, limit: MAX_FINDINGS, ..FindingFilter::default() };
    let mut rows = site.store().findings(&all).await?;
    tally::waived(&site, &mut rows, &visit).await?;
    let recent = FindingFilter { period: Some((at - CHANGE_DAYS * DAY, at + 1)), limit: MAX_FINDINGS, ..FindingFilter::default() };
    let recent = site.store().findings(&recent).await?;
    let reports = site.store().reports(None, Some((calendar::begins(at), at + 1)), MAX_REPORTS).await?;
    let calendar = calendar::build(&hosts, &reports, at);
    let rules = tally::by_rule(&rows);
    let mut broken = broken(&site, &visit, &rows, &hosts);
    let broken_more = broken.len().saturating_sub(MAX_LINES);
    broken.truncate(MAX_LINES);
    let (certificates, certificate_note) = certificates(&site, &visit, &hosts).await?;
    render(&Overview {
        headline: headline(&site, &rules, &rows, &hosts, !reports.is_empty() || !rows.is_empty()),
        sub: sub(&visit, &hosts, &calendar, reports.iter().map(|r| r.finished).max()),
        broken,
        broken_more,
        bars: site.catalogue.frameworks.iter().map(|f| tally::bar(f, &rules)).collect(),
        open: open(&rows, at),
        certificates,
        certificate_note,
        changes: changes(&visit, &rows, &recent, &hosts),
        is_empty: hosts.is_empty(),
        frame: visit.frame(&site, "overview", "Overview").await?,
        calendar,
    })
}

fn headline(site: &Site, rules: &BTreeMap<&str, Verdict>, rows: &[FindingRow], hosts: &[HostRow], is_judged: bool) -> Headline {
    let line = |class, first: String, rest: String| Headline { class, first, rest };
    if hosts.is_empty() {
        return line("", "No host yet.".into(), String::new());
    }
    if !is_judged {
        return line("doubt", "Nothing is known yet:".into(), format!(" {} enrolled, no report has arrived.", counted(hosts.len(), "host is", "hosts are")));
    }
    let total = site.catalogue.rules.len().max(rules.len());
    let count = |v: Verdict| rules.values().filter(|r| **r == v).count();
    let (fail, unknown) = (count(Verdict::Fail), count(Verdict::Unknown));
    let where_not = |v: Verdict| format!(" on {} of {}", tally::hosts_with(rows, v).len(), counted(hosts.len(), "host", "hosts"));
    match (fail, unknown) {
        (0, 0) => line("", format!("{} hold", counted(total, "rule", "rules")), format!(" on {}.", counted(hosts.len(), "host", "hosts"))),
        (0, n) => line("doubt", format!("{n} of {} can’t be told", counted(total, "rule", "rules")), format!("{}; none fails.", where_not(Verdict::Unknown))),
        (n, 0) => {
            line("", format!("{n} of {} {}", counted(total, "rule", "rules"), if n == 1 { "fails" } else { "fail" }), format!("{}.", where_not(Verdict::Fail)))
        }
        (n, u) => line(
            "",
            format!("{n} of {} {}", counted(total, "rule", "rules"), if n == 1 { "fails" } else { "fail" }),
            format!("{}; {u} more can’t be told.", where_not(Verdict::Fail)),
        ),
    }
}

fn sub(visit: &Visit, hosts: &[HostRow], calendar: &Calendar, newest: Option<i64>) -> String {
    let mut parts = Vec::new();
    if let Some(at) = newest {
        parts.push(format!("newest scan {}", visit.when(at).relative));
    }
    let silent = hosts.iter().filter(|h| h.state == HostState::Silent).count();
    if silent > 0 {
        parts.push(format!("{} silent", counted(silent, "host is", "hosts are")));
    }
    if calendar.missed_last_week > 0 {
        parts.push(format!("{} missed last week’s scan", counted(calendar.missed_last_week, "host", "hosts")));
    } else if !hosts.is_empty() {
        parts.push("no host missed last week’s scan".into());
    }
    let mut text = parts.join(" · ");
    if let Some(first) = text.get(..1) {
        text.replace_range(..1, &first.to_uppercase());
    }
    text
}

/// Rules that fail or can't be told, worst first.
fn broken(site: &Site, visit: &Visit, rows: &[FindingRow], hosts: &[HostRow]) -> Vec<Broken> {
    let names: BTreeMap<HostId, &str> = hosts.iter().map(|h| (h.id, h.name.as_str())).collect();
    let mut grouped: BTreeMap<(&str, Verdict), Vec<&FindingRow>> = BTreeMap::new();
    for row in rows.iter().filter(|r| matches!(r.finding.verdict, Verdict::Fail | Verdict::Unknown)) {
        grouped.entry((row.finding.rule.as_str(), row.finding.verdict)).or_default().push(row);
    }
    let mut out: Vec<(i64, Broken)> = Vec::new();
    for ((rule, verdict), group) in grouped {
        let (Some(first), Some(since)) = (group.first(), group.iter().map(|r| r.since).min()) else { continue };
        let on: BTreeSet<HostId> = group.iter().map(|r| r.host).collect();
        let path = match group.as_slice() {
            [only] => tally::finding_path(only),
            _ => format!("/findings?rule={}&verdict={}", super::text::encode(rule), verdict.id()),
        };
        let host = names.get(&first.host).copied().unwrap_or("a host that is gone");
        let subject = if first.finding.subject.is_empty() { String::new() } else { format!("{}, ", super::text::shown(&first.finding.subject)) };
        let more = if group.len() > 1 { format!(", and {} more", group.len() - 1) } else { String::new() };
        let broken = Broken {
            title: site.catalogue.title(rule).to_string(),
            path,
            verdict,
            severity: first.finding.severity,
            since: visit.when(since),
            hosts: on.len(),
            why: brief(&tally::words(first, &site.catalogue), MAX_BRIEF),
            detail: format!("{}{}{more}", brief(&subject, MAX_BRIEF), brief(host, MAX_BRIEF)),
        };
        out.push((since, broken));
    }
    out.sort_by_key(|(since, b)| (b.verdict != Verdict::Fail, std::cmp::Reverse(b.severity), *since));
    out.into_iter().map(|(_, b)| b).collect()
}

fn open(rows: &[FindingRow], at: i64) -> Vec<Open> {
    Severity::ALL
        .into_iter()
        .filter_map(|severity| {
            let ages: Vec<i64> = rows.iter().filter(|r| r.finding.verdict == Verdict::Fail && r.finding.severity == severity).map(|r| at - r.since).collect();
            let oldest = span(ages.iter().copied().max()?.max(0));
            let within = |from: i64, to: i64| ages.iter().filter(|a| **a >= from && **a < to).count();
            Some(Open { severity, ages: [within(i64::MIN, 7 * DAY), within(7 * DAY, 30 * DAY), within(30 * DAY, i64::MAX)], total: ages.len(), oldest })
        })
        .collect()
}

/// Certificates that end soon, and what keeps the list from being complete.
async fn certificates(site: &Site, visit: &Visit, hosts: &[HostRow]) -> Result<(Vec<Expiring>, String), super::error::PageError> {
    if hosts.len() > MAX_CERTIFICATE_HOSTS {
        return Ok((Vec::new(), format!("Listed for fleets up to {MAX_CERTIFICATE_HOSTS} hosts; see the rule’s findings.")));
    }
    // By fingerprint: end, name, where it is shown.
    let mut found: BTreeMap<String, (i64, String, Vec<String>)> = BTreeMap::new();
    let mut blind = 0_usize;
    for host in hosts {
        let document = site.store().observation(&host.id, visit.as_of).await?.and_then(|(_, mut o)| o.families.remove(Tls::NAME));
        let Some(tls) = document.and_then(|d| serde_json::from_value::<Tls>(d).ok()) else {
            blind += 1;
            continue;
        };
        for chain in tls.chains {
            let Some(leaf) = chain.certificates.into_iter().next() else { continue };
            if leaf.not_after - visit.at() < CERTIFICATE_DAYS * DAY {
                let name = leaf.names.first().cloned().unwrap_or(leaf.subject_name);
                let entry = found.entry(leaf.fingerprint).or_insert_with(|| (leaf.not_after, name, Vec::new()));
                entry.2.push(format!("{} {}", host.name, chain.subject));
            }
        }
    }
    let mut all: Vec<(i64, String, Vec<String>)> = found.into_values().collect();
    all.sort();
    let is_over = |ends: i64| ends <= visit.at();
    let lines = all.into_iter().take(MAX_LINES).map(|(ends, name, places)| Expiring {
        name,
        places: places.join(", "),
        ends: visit.when(ends),
        is_over: is_over(ends),
    });
    let note = if blind == 0 { String::new() } else { format!("No TLS facts from {}.", counted(blind, "host", "hosts")) };
    Ok((lines.collect(), note))
}

/// What changed in the last days, one line per report.
fn changes(visit: &Visit, now: &[FindingRow], recent: &[FindingRow], hosts: &[HostRow]) -> Vec<Change> {
    let start = visit.at() - CHANGE_DAYS * DAY;
    let mut first_seen: BTreeMap<HostId, i64> = BTreeMap::new();
    for row in now.iter().chain(recent) {
        first_seen.entry(row.host).and_modify(|s| *s = row.since.min(*s)).or_insert(row.since);
    }
    let mut grouped: BTreeMap<(i64, HostId), [usize; 4]> = BTreeMap::new();
    for row in recent {
        let slot = match row.finding.verdict {
            Verdict::Fail => 0,
            Verdict::Unknown => 1,
            _ => 2,
        };
        if row.since >= start && row.since <= visit.at() {
            grouped.entry((row.since, row.host)).or_default()[slot] += 1;
        }
        if let Some(until) = row.until.filter(|u| *u <= visit.at() && *u >= start) {
            grouped.entry((until, row.host)).or_default()[3] += usize::from(row.finding.verdict == Verdict::Fail);
        }
    }
    let change = |((at, id), [fail, unknown, other, ended]): ((i64, HostId), [usize; 4])| {
        let host = hosts.iter().find(|h| h.id == id)?;
        let is_first = first_seen.get(&id) == Some(&at);
        let say = |v: Verdict, n: usize, text: String| (n > 0).then_some((v, text));
        let parts = if is_first {
            vec![
                say(Verdict::Fail, fail, format!("first report: {fail} fail")),
                say(Verdict::Unknown, unknown, format!("{unknown} unknown")),
                say(Verdict::Pass, other, format!("{other} pass or not applicable")),
            ]
        } else {
            vec![
                say(Verdict::Fail, fail, format!("{fail} began to fail")),
                say(Verdict::Unknown, unknown, format!("{unknown} can’t be told any more")),
                say(Verdict::Pass, ended, format!("{ended} fail no more")),
            ]
        };
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| Change { when: visit.when(at), host: host.name.clone(), path: format!("/hosts/{id}"), parts })
    };
    grouped.into_iter().rev().filter_map(change).take(MAX_LINES).collect()
}
