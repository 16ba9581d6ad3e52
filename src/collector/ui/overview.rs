//! The overview: is it true, since when, where not.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::calendar::{self, Calendar};
use super::certificates;
use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::tally::{self, Bar};
use super::text::{brief, counted, encode, grouped, shown};
use super::when::{DAY, When, day, span, week_start};
use crate::collector::findings::Counted;
use crate::collector::leavers;
use crate::collector::store::{Age, HostFilter, States, Tallies};
use crate::evidence::plots;
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::HostId;

/// Certificates that end within this many days are listed.
const CERTIFICATE_DAYS: i64 = 30;
/// Changes of this many days are told.
const CHANGE_DAYS: i64 = 7;
/// Days that the trend shows.
const TREND_DAYS: i64 = 90;
/// Days that make a trend.
const MIN_TREND: usize = 4;
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
    is_behind: bool,
    broken: Vec<Broken>,
    broken_more: usize,
    bars: Vec<Bar>,
    calendar: Calendar,
    open: Vec<Open>,
    certificates: Vec<Expiring>,
    leavers: Vec<Leaver>,
    leavers_note: &'static str,
    changes: Vec<Change>,
    is_new: bool,
    trend: Option<String>,
    defs: &'static str,
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
    hosts: String,
    why: String,
    detail: String,
}

/// Open failures of one severity.
struct Open {
    severity: Severity,
    ages: [u64; 3],
    total: u64,
    oldest: String,
}

/// A certificate near its end.
struct Expiring {
    name: String,
    path: String,
    places: String,
    ends: When,
    is_over: bool,
}

/// A person who left and has a way in.
struct Leaver {
    person: String,
    path: String,
    left: When,
    hosts: String,
    is_late: bool,
}

/// A rule that fails on more or fewer hosts than before.
struct Change {
    title: String,
    path: String,
    severity: Severity,
    before: u64,
    now: u64,
    text: String,
    class: &'static str,
}

/// `GET /`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let (at, store) = (visit.at(), site.store());
    let states = store.host_states(&HostFilter { as_of: visit.as_of, ..HostFilter::default() }).await?;
    let Counted { tallies, ages } = Counted::read(store, at, visit.as_of).await?;
    let before = at - CHANGE_DAYS * DAY;
    let before = Counted::read(store, before, Some(before)).await?.tallies;
    let calendar = calendar(&site, &visit).await?;
    let missed = missed_last_week(&site, at).await?;
    let rules = tally::worst_by_rule(&tallies);
    let (broken, broken_more) = broken(&site, &visit, &tallies).await?;
    let (leavers, leavers_note) = leavers(&site, &visit).await?;
    let newest = store.newest_report(visit.as_of).await?;
    let is_judged = newest.is_some() || tallies.rules().next().is_some();
    let trend = store.trend(at - (TREND_DAYS - 1) * DAY, at).await?;
    // From the day before the first that anything was judged.
    let from = trend.iter().position(|t| t.fail.hosts + t.unknown.hosts > 0).unwrap_or(0).saturating_sub(1);
    let trend: Vec<(String, u64, u64)> = trend.iter().skip(from).map(|t| (day(t.day), t.fail.hosts, t.unknown.hosts)).collect();
    render(&Overview {
        headline: headline(&site, &rules, &tallies, states, is_judged),
        sub: sub(&visit, states, missed, newest),
        is_behind: tallies.is_behind,
        broken,
        broken_more,
        bars: site.catalogue().frameworks.iter().map(|f| tally::bar(f, &rules)).collect(),
        open: open(&ages, at),
        certificates: certificates(&site, &visit).await?,
        leavers,
        leavers_note,
        is_new: before.rules().next().is_none(),
        changes: changes(&site, &before, &tallies),
        trend: if trend.len() < MIN_TREND { None } else { Some(&trend) }
            .and_then(|trend| plots::trend("hosts-trend", "Hosts with a failure, and with something that can’t be told, day by day", trend, states.counting())),
        defs: plots::DEFS,
        is_empty: states.counting() == 0 && states.retired == 0 && states.replaced == 0,
        frame: visit.frame(&site, "overview", "Overview").await?,
        calendar,
    })
}

/// Weeks of the first hosts by name.
async fn calendar(site: &Site, visit: &Visit) -> Result<Calendar, PageError> {
    let at = visit.at();
    let most = u32::try_from(calendar::MAX_ROWS).unwrap_or(u32::MAX);
    let some = HostFilter { as_of: visit.as_of, counts: Some(true), limit: most, ..HostFilter::default() };
    let hosts = site.store().hosts_where(&some).await?;
    let ids: Vec<HostId> = hosts.iter().map(|h| h.id).collect();
    let scans = site.store().scans(&ids, calendar::begins(at), at + 1, at).await?;
    let all = site.store().host_count(visit.as_of).await?;
    Ok(calendar::build(&hosts, &scans, at, usize::try_from(all).unwrap_or(usize::MAX)))
}

/// Hosts without a planned scan of the last full week.
async fn missed_last_week(site: &Site, at: i64) -> Result<u64, PageError> {
    let start = week_start(at) - 7 * DAY;
    Ok(site.store().missed_week(&super::when::week_name(super::when::week(start)), start, start + 7 * DAY, at).await?)
}

fn headline(site: &Site, rules: &BTreeMap<&str, Verdict>, tallies: &Tallies, states: States, is_judged: bool) -> Headline {
    let line = |class, first: String, rest: String| Headline { class, first, rest };
    let hosts = usize::try_from(states.counting()).unwrap_or(usize::MAX);
    if hosts == 0 {
        return line("", "No host counts.".into(), String::new());
    }
    if !is_judged {
        return line("doubt", "Nothing is known yet:".into(), format!(" {} enrolled, no report has arrived.", counted(hosts, "host is", "hosts are")));
    }
    let total = site.catalogue().rules.len().max(rules.len());
    let count = |v: Verdict| rules.values().filter(|r| **r == v).count();
    let (fail, unknown) = (count(Verdict::Fail), count(Verdict::Unknown));
    let where_not = |v: Verdict| format!(" on {} of {}", grouped(tallies.any(v).hosts), counted(hosts, "host", "hosts"));
    match (fail, unknown) {
        (0, 0) => line("", format!("{} hold", counted(total, "rule", "rules")), format!(" on {}.", counted(hosts, "host", "hosts"))),
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

fn sub(visit: &Visit, states: States, missed: u64, newest: Option<i64>) -> String {
    let many = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    if let Some(at) = newest {
        parts.push(format!("newest scan {}", visit.when(at).relative));
    }
    if states.silent > 0 {
        parts.push(format!("{} silent", counted(many(states.silent), "host is", "hosts are")));
    }
    if missed > 0 {
        parts.push(format!("{} missed last week’s scan", counted(many(missed), "host", "hosts")));
    } else if states.counting() > 0 {
        parts.push("no host missed last week’s scan".into());
    }
    let mut text = parts.join(" · ");
    if let Some(first) = text.get(..1) {
        text.replace_range(..1, &first.to_uppercase());
    }
    text
}

/// Rules that fail or can't be told, worst first and then by hosts, and how many more.
async fn broken(site: &Site, visit: &Visit, tallies: &Tallies) -> Result<(Vec<Broken>, usize), PageError> {
    let catalogue = site.catalogue();
    let mut all: Vec<(Verdict, Severity, u64, u64, &str)> = Vec::new();
    for (rule, verdicts) in tallies.rules() {
        let severity = catalogue.rules.get(rule).map_or(Severity::Info, |r| r.severity);
        for (verdict, tally) in verdicts.iter().filter(|(v, t)| matches!(v, Verdict::Fail | Verdict::Unknown) && t.findings > 0) {
            all.push((*verdict, severity, tally.hosts, tally.findings, rule));
        }
    }
    all.sort_by_key(|(verdict, severity, hosts, ..)| (*verdict != Verdict::Fail, std::cmp::Reverse(*severity), std::cmp::Reverse(*hosts)));
    let more = all.len().saturating_sub(MAX_LINES);
    let mut out = Vec::new();
    for (verdict, severity, hosts, findings, rule) in all.into_iter().take(MAX_LINES) {
        // Counted a moment ago and gone by now: the next look shows it.
        let Some(oldest) = site.store().oldest_finding(rule, verdict, visit.as_of).await? else { continue };
        let path = match findings {
            1 => tally::finding_path(&oldest),
            _ => format!("/findings?rule={}&verdict={}", encode(rule), verdict.id()),
        };
        let host = site.store().host_at(&oldest.host, visit.as_of).await?.map_or_else(|| "a host that is gone".into(), |h| h.name);
        let subject = if oldest.finding.subject.is_empty() { String::new() } else { format!("{}, ", shown(&oldest.finding.subject)) };
        let others = if findings > 1 { format!(", and {} more", grouped(findings - 1)) } else { String::new() };
        out.push(Broken {
            title: catalogue.title(rule).to_string(),
            path,
            verdict,
            severity,
            since: visit.when(oldest.since),
            hosts: grouped(hosts),
            why: brief(&tally::words(&oldest, &catalogue), MAX_BRIEF),
            detail: format!("{}{}{others}", brief(&subject, MAX_BRIEF), brief(&host, MAX_BRIEF)),
        });
    }
    Ok((out, more))
}

fn open(ages: &[Age], at: i64) -> Vec<Open> {
    let line = |severity| {
        let own: Vec<(i64, u64)> = ages.iter().filter(|a| a.verdict == Verdict::Fail && a.severity == severity).map(|a| (at - a.began, a.findings)).collect();
        // Counted by day: no hour is claimed.
        let oldest = match own.iter().map(|(age, _)| *age).max()? / DAY {
            0 => "today".into(),
            days => span(days * DAY),
        };
        let within = |from: i64, to: i64| own.iter().filter(|(age, _)| *age >= from && *age < to).map(|(_, n)| n).sum::<u64>();
        let total = own.iter().map(|(_, n)| n).sum();
        Some(Open { severity, ages: [within(i64::MIN, 7 * DAY), within(7 * DAY, 30 * DAY), within(30 * DAY, i64::MAX)], total, oldest })
    };
    Severity::ALL.into_iter().filter_map(line).collect()
}

/// Certificates that end soon.
async fn certificates(site: &Site, visit: &Visit) -> Result<Vec<Expiring>, PageError> {
    let before = visit.at().saturating_add(CERTIFICATE_DAYS * DAY);
    let ending = site.store().certificates_ending(visit.as_of, before, u32::try_from(MAX_LINES).unwrap_or(u32::MAX)).await?;
    let line = |e: &crate::collector::store::Ending| {
        let places: Vec<String> = e.label.places.iter().map(|p| brief(&p.name, MAX_BRIEF)).collect();
        let more = if e.label.hosts.more || e.label.hosts.n > places.len() as u64 { ", …" } else { "" };
        Expiring {
            name: brief(certificates::name(&e.about), MAX_BRIEF),
            path: format!("/certificates/{}", encode(&e.label.label)),
            places: format!("{}{more}", places.join(", ")),
            ends: visit.when(e.label.rank),
            is_over: e.label.rank <= visit.at(),
        }
    };
    Ok(ending.iter().map(line).collect())
}

/// People who left and still have a way in, and what keeps the list from being told.
async fn leavers(site: &Site, visit: &Visit) -> Result<(Vec<Leaver>, &'static str), PageError> {
    if leavers::roster(site.store(), visit.at()).await?.is_none() {
        return Ok((Vec::new(), "There is no roster, so it can’t be told who left."));
    }
    let limit = leavers::limit(&site.app.basis.now().policy);
    let inside = site.store().leavers_inside(visit.as_of, u32::try_from(MAX_LINES).unwrap_or(u32::MAX)).await?;
    let line = |label: &crate::collector::store::Label| Leaver {
        person: shown(&label.label),
        path: format!("/people/{}", encode(&label.label)),
        left: visit.when(label.rank),
        hosts: certificates::count(label.hosts),
        is_late: visit.at().saturating_sub(label.rank) > limit,
    };
    Ok((inside.iter().map(line).collect(), ""))
}

/// Rules that fail on more or fewer hosts than some days ago: those that got worse first, most hosts first.
fn changes(site: &Site, before: &Tallies, now: &Tallies) -> Vec<Change> {
    let catalogue = site.catalogue();
    let rules: std::collections::BTreeSet<&str> = before.rules().chain(now.rules()).map(|(rule, _)| rule).collect();
    let mut out: Vec<Change> = Vec::new();
    for rule in rules {
        let (then, today) = (before.of(rule, Verdict::Fail).hosts, now.of(rule, Verdict::Fail).hosts);
        let moved = then.abs_diff(today);
        if moved == 0 {
            continue;
        }
        let many = |word: &str| format!("{} {word}", counted(usize::try_from(moved).unwrap_or(usize::MAX), "host", "hosts"));
        out.push(Change {
            title: catalogue.title(rule).to_string(),
            path: format!("/findings?rule={}&verdict=fail", encode(rule)),
            severity: catalogue.rules.get(rule).map_or(Severity::Info, |r| r.severity),
            before: then,
            now: today,
            text: many(if today > then { "more" } else { "fewer" }),
            class: if today > then { "fail" } else { "pass" },
        });
    }
    out.sort_by_key(|c| (c.now < c.before, std::cmp::Reverse(c.severity), std::cmp::Reverse(c.before.abs_diff(c.now))));
    out.truncate(MAX_LINES);
    out
}
