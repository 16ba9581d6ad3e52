//! One finding: what, since when, on what evidence, how to close it.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::picked::{field, must_be_ours, must_record};
use super::site::{RuleCard, Site};
use super::tally;
use super::text::{encode, shown};
use super::when::When;
use crate::collector::cause;
use crate::collector::findings::asked::cause_text;
use crate::collector::findings::{Source, orders};
use crate::collector::store::{FindingRow, OpenFilter, OpenFinding, ReportRow};
use crate::ledger::proof::check_receipt_by;
use crate::model::envelope::Envelope;
use crate::model::finding::{Citation, Severity, UnknownReason, Verdict};
use crate::model::ids::HostId;
use crate::model::report::Report;
use crate::records::Recorded;
use crate::records::entry::short;
use crate::records::handling::{About, Handlings};
use crate::records::waiver::{Waiver, overlay, waivers};

/// Spans drawn; older ones are counted.
const MAX_SPANS: usize = 60;
/// Other places of the same rule that are listed.
const MAX_ELSEWHERE: u32 = 30;

#[derive(Template)]
#[template(path = "finding.html")]
struct FindingPage {
    frame: Frame,
    heading: String,
    rule: String,
    title: String,
    subject: String,
    host: String,
    host_path: String,
    verdict: Verdict,
    severity: Severity,
    since: When,
    until: Option<When>,
    reason: Option<UnknownReason>,
    evidence: Vec<Evidence>,
    card: Option<RuleCard>,
    history: Vec<Span>,
    history_from: String,
    older: usize,
    elsewhere: Vec<Elsewhere>,
    elsewhere_all: String,
    is_same_cause: bool,
    handled: Handled,
    said: Vec<super::said::Said>,
    waiver: Option<Covering>,
    waive: String,
    is_known: Option<String>,
    action: String,
    people: Vec<String>,
    may_record: bool,
    done: bool,
    rests: Vec<Rest>,
    controls: Vec<(String, String, String)>,
}

/// What people decided about it, as it stands.
#[derive(Default)]
struct Handled {
    owner: String,
    due: Option<When>,
    is_overdue: bool,
    cause: String,
    resolution: String,
}

/// The waiver that covers it.
struct Covering {
    path: String,
    id: String,
    reason: String,
    control: String,
    approver: String,
    ends: When,
}

/// One cited fact.
struct Evidence {
    path: String,
    value: String,
    place: String,
    directive: String,
}

/// One verdict over a span of time.
struct Span {
    class: &'static str,
    x: String,
    width: String,
    verdict: Verdict,
    since: When,
    until: Option<When>,
    what: String,
    origin: String,
}

/// The same rule in another place.
struct Elsewhere {
    host: String,
    path: String,
    subject: String,
    verdict: Verdict,
    since: When,
}

/// A report that the verdict rests on.
struct Rest {
    label: &'static str,
    kind: String,
    sequence: u64,
    received: When,
    digest: String,
    pack: String,
    agent: String,
    leaf: Option<String>,
    proof: Proof,
}

/// What the ledger says of a report.
enum Proof {
    /// Receipt, leaf, inclusion proof and checkpoint verify; size of the checkpoint.
    Proved(String),
    /// The leaf waits for its number.
    Pending,
    /// Something does not verify.
    Broken(String),
    /// A leaf without a receipt to check.
    Unchecked,
}

/// When the newest verdict began: the first of the spans that lead up to it without a break.
fn run_start(known: &[&FindingRow]) -> i64 {
    let pairs = known.windows(2).rev();
    let unbroken = |pair: &&[&FindingRow]| matches!(pair, [a, b] if a.until == Some(b.since) && a.finding.verdict == b.finding.verdict);
    let first = pairs.take_while(unbroken).last().and_then(|pair| pair.first()).or(known.last());
    first.map_or(0, |f| f.since)
}

/// `GET /findings/{host}/{rule}?subject=…`
pub async fn page(State(site): State<Arc<Site>>, Path((host, rule)): Path<(String, String)>, visit: Visit) -> Page {
    let subject = visit.parameter("subject").to_string();
    let gone =
        || PageError::NotFound(format!("A finding of rule {} on {}", shown(&rule), if subject.is_empty() { "that host".into() } else { shown(&subject) }));
    let id: HostId = host.parse().map_err(|_| gone())?;
    let row = site.store().host(&id).await?.ok_or_else(gone)?;
    let all = site.store().history(&id, &rule, &subject).await?;
    let known: Vec<&FindingRow> = all.iter().filter(|f| f.since <= visit.at()).collect();
    let current = *known.last().ok_or_else(gone)?;
    let events = site.store().decisions(&rule).await?;
    let waivers: Vec<Waiver> = waivers(&events, visit.at()).into_iter().filter(|w| w.covers(&row.name, &rule, &subject)).collect();
    let (history, history_from, older) = history(&site, &visit, &known, &waivers, &row.name);
    let catalogue = &site.catalogue();
    let controls = catalogue.controls_of(&rule).into_iter();
    let name = shown(&row.name);
    let ended = current.until.filter(|u| *u <= visit.at());
    let waiver = covering(&visit, current, ended.is_some(), &waivers);
    let since = run_start(&known);
    let about = About { host: &row.name, rule: &rule, subject: &subject, severity: current.finding.severity, since };
    let is_open = ended.is_none() && matches!(current.finding.verdict, Verdict::Fail | Verdict::Unknown);
    let (elsewhere, elsewhere_all, is_same_cause) = elsewhere(&site, &visit, current).await?;
    let may_record = visit.session.role.may_record() && visit.as_of.is_none();
    render(&FindingPage {
        heading: heading(&site, current, &name),
        title: catalogue.title(&rule).to_string(),
        subject: shown(&subject),
        host_path: format!("/hosts/{id}"),
        verdict: if waiver.is_some() { Verdict::Waived } else { current.finding.verdict },
        severity: current.finding.severity,
        since: visit.when(since),
        until: ended.map(|u| visit.when(u)),
        reason: current.finding.reason.clone(),
        evidence: current.finding.citations.iter().map(evidence).collect(),
        card: catalogue.rules.get(&rule).cloned(),
        history,
        history_from,
        older,
        elsewhere,
        elsewhere_all,
        is_same_cause,
        handled: handled(&visit, &about, &events, is_open && waiver.is_none()),
        said: super::said::about(&visit, &events, &row.name, &rule, &subject),
        waiver,
        waive: format!("/waivers/new?rule={}&host={}&subject={}", encode(&rule), encode(&row.name), encode(&subject)),
        is_known: if is_open { known_by(&site, &visit, &id, &rule, &subject).await? } else { None },
        action: tally::finding_address(&id, &rule, &subject),
        people: if may_record { super::findings::people(&site).await? } else { Vec::new() },
        may_record,
        done: visit.parameter("done") == "1",
        rests: rests(&site, &visit, current).await?,
        controls: controls.map(|(f, c)| (f.title.clone(), c.id.clone(), format!("/evidence?framework={}#{}", encode(&f.id), encode(&c.id)))).collect(),
        frame: visit.frame(&site, "findings", format!("{} on {name}", catalogue.title(&rule))).await?,
        host: name,
        rule,
    })
}

/// `POST /findings/{host}/{rule}?subject=…`: something is said of it.
pub async fn act(
    State(site): State<Arc<Site>>,
    Path((host, rule)): Path<(String, String)>,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    must_be_ours(&visit, &headers, &form)?;
    must_record(&visit)?;
    let subject = visit.parameter("subject").to_string();
    let gone = || PageError::NotFound(format!("A finding of rule {}", shown(&rule)));
    let id: HostId = host.parse().map_err(|_| gone())?;
    let row = site.store().host(&id).await?.ok_or_else(gone)?;
    if site.store().history(&id, &rule, &subject).await?.is_empty() {
        return Err(gone());
    }
    let said: BTreeMap<String, String> =
        ["owner", "due", "cause", "resolution", "note"].into_iter().map(|name| (name.to_string(), field(&form, name).to_string())).collect();
    orders::handle_one(site.store(), (&row.name, &rule, &subject), &said, &visit.session.user.name).await?;
    site.app.sequencer.wake();
    let path = tally::finding_address(&id, &rule, &subject);
    let joint = if path.contains('?') { '&' } else { '?' };
    Ok(Redirect::to(&format!("{path}{joint}done=1#said")).into_response())
}

/// The waiver that covers a failure at the moment shown.
fn covering(visit: &Visit, current: &FindingRow, is_ended: bool, waivers: &[Waiver]) -> Option<Covering> {
    if is_ended || current.finding.verdict != Verdict::Fail {
        return None;
    }
    let at = visit.at();
    let waiver = waivers.iter().find(|w| w.in_force().is_some_and(|(from, to)| from <= at && at < to))?;
    Some(Covering {
        path: format!("/waivers/{}", waiver.id),
        id: short(&waiver.id),
        reason: shown(&waiver.reason),
        control: shown(&waiver.control),
        approver: waiver.approved.as_ref().map(|m| shown(&m.by)).unwrap_or_default(),
        ends: visit.when(waiver.expires - 1),
    })
}

fn handled(visit: &Visit, about: &About<'_>, events: &[Recorded], is_running: bool) -> Handled {
    let Some(said) = Handlings::of(events, visit.at()).on(about) else { return Handled::default() };
    Handled {
        owner: shown(&said.owner),
        due: said.due.map(|due| visit.when(due - 1)),
        is_overdue: is_running && said.due.is_some_and(|due| due <= visit.at()),
        cause: shown(&said.cause),
        resolution: shown(&said.resolution),
    }
}

/// The baseline by which an open finding is known: it has not changed since; `None`: it is news, or no baseline was taken.
async fn known_by(site: &Site, visit: &Visit, host: &HostId, rule: &str, subject: &str) -> Result<Option<String>, PageError> {
    if visit.as_of.is_some() {
        return Ok(None);
    }
    let Some((at, name)) = site.store().baseline(visit.now).await? else { return Ok(None) };
    let filter = OpenFilter { at: visit.now, places: Some(vec![(*host, rule.into(), subject.into())]), known_since: Some(at), ..OpenFilter::default() };
    Ok(site.store().open_findings(&filter, None, 1).await?.first().map(|_| shown(&name)))
}

/// One sentence: where and what.
fn heading(site: &Site, row: &FindingRow, host: &str) -> String {
    let place = if row.finding.subject.is_empty() { host.to_string() } else { format!("{} on {host}", shown(&row.finding.subject)) };
    match row.finding.verdict {
        Verdict::Pass => format!("{place}: holds"),
        Verdict::NotApplicable => format!("{place}: does not apply"),
        Verdict::Unknown => format!("{place}: can’t be told, {}", tally::words(row, &site.catalogue())),
        _ => format!("{place}: {}", tally::words(row, &site.catalogue())),
    }
}

fn evidence(citation: &Citation) -> Evidence {
    let (place, directive) = match &citation.source {
        None => (String::new(), String::new()),
        Some(s) if s.line > 0 => (format!("{}:{}", s.place, s.line), s.directive.clone()),
        Some(s) => (s.place.clone(), s.directive.clone()),
    };
    Evidence { path: shown(&citation.path), value: shown(&citation.value), place: shown(&place), directive: shown(&directive) }
}

/// Spans in proportion to time, newest last, failures parted by the waivers over them; from which day, and how many older ones are left out.
fn history(site: &Site, visit: &Visit, known: &[&FindingRow], waivers: &[Waiver], host: &str) -> (Vec<Span>, String, usize) {
    let parts: Vec<(&FindingRow, i64, Option<i64>, bool)> = known
        .iter()
        .flat_map(|f| {
            let finding = &f.finding;
            let own = if finding.verdict == Verdict::Fail { waivers } else { &[] };
            overlay(own, host, &finding.rule, &finding.subject, f.since, f.until).into_iter().map(|part| (*f, part.since, part.until, part.waiver.is_some()))
        })
        .filter(|(_, since, ..)| *since <= visit.at())
        .collect();
    let older = parts.len().saturating_sub(MAX_SPANS);
    let drawn = parts.get(older..).unwrap_or_default();
    let start = drawn.first().map_or(visit.at(), |(_, since, ..)| *since);
    let whole = (visit.at() - start).max(1) as f64;
    let spans = drawn
        .iter()
        .map(|(f, since, until, is_waived)| {
            let until = until.filter(|u| *u <= visit.at());
            let end = until.unwrap_or(visit.at());
            let width = ((end - since) as f64 * 100.0 / whole).max(0.6);
            let x = ((since - start) as f64 * 100.0 / whole).min(100.0 - width);
            let verdict = if *is_waived { Verdict::Waived } else { f.finding.verdict };
            let is_first = *since == f.since;
            Span {
                class: tally::area(verdict),
                x: format!("{x:.2}"),
                width: format!("{width:.2}"),
                verdict,
                since: visit.when(*since),
                until: until.map(|u| visit.when(u)),
                origin: match (is_first, is_waived) {
                    (true, _) => f.origin.as_deref().map(brought).unwrap_or_default(),
                    (false, true) => "No scan: a waiver begins to cover it.".into(),
                    (false, false) => "No scan: the waiver ended, it is open again.".into(),
                },
                what: if verdict == Verdict::Pass { String::new() } else { tally::words(f, &site.catalogue()) },
            }
        })
        .collect();
    (spans, super::when::day(start), older)
}

/// What brought a verdict when no report did.
fn brought(origin: &str) -> String {
    let word = |cause: &str| match cause {
        "time" => "time passed".to_string(),
        "upgrade" => "a newer program judges".into(),
        "program" => "another program judges".into(),
        "rules" | "third-parties" | "approvals" | "advisories" => format!("other {} judge", cause.replace('-', " ")),
        other => format!("another {other} judges"),
    };
    format!("No scan: {}.", origin.split(',').map(word).collect::<Vec<_>>().join(" or "))
}

/// Other places with the same root cause now; without any, or on a past day, of the same rule. The list that holds all of them, and whether the cause
/// is the same.
async fn elsewhere(site: &Site, visit: &Visit, current: &FindingRow) -> Result<(Vec<Elsewhere>, String, bool), PageError> {
    let rule = &current.finding.rule;
    let by_rule = format!("/findings?rule={}&view=list", encode(rule));
    let entry = |f: &OpenFinding| Elsewhere {
        host: shown(&f.name),
        path: tally::finding_address(&f.host, &f.rule, &f.subject),
        subject: shown(&f.subject),
        verdict: f.verdict,
        since: visit.when(f.since),
    };
    // An auditor with bounds is not told of hosts outside of them.
    let is_seen = |f: &OpenFinding| visit.session.grant.as_ref().is_none_or(|g| g.covers_host(&f.name));
    let is_other = |f: &&OpenFinding| (f.host != current.host || f.subject != current.finding.subject) && is_seen(f);
    let limit = MAX_ELSEWHERE + 1;
    let mut filter = OpenFilter { at: visit.at(), rules: Some(vec![rule.clone()]), ..OpenFilter::default() };
    if visit.as_of.is_some() {
        let source = Source::open(site.store(), &site.catalogue(), &filter, visit.as_of).await?;
        let rows = source.rows(&filter, None, limit).await?;
        return Ok((rows.iter().filter(is_other).map(entry).take(MAX_ELSEWHERE as usize).collect(), by_rule, false));
    }
    let cause = cause::of(&current.finding);
    filter.cause = Some(cause);
    let rows = site.store().open_findings(&filter, None, limit).await?;
    if rows.iter().any(|f| is_other(&f)) {
        let all = format!("/findings?cause={}&view=list", cause_text(&cause));
        return Ok((rows.iter().filter(is_other).map(entry).take(MAX_ELSEWHERE as usize).collect(), all, true));
    }
    filter.cause = None;
    let rows = site.store().open_findings(&filter, None, limit).await?;
    Ok((rows.iter().filter(is_other).map(entry).take(MAX_ELSEWHERE as usize).collect(), by_rule, false))
}

/// The report that brought the verdict, and the newest one that still says so.
async fn rests(site: &Site, visit: &Visit, current: &FindingRow) -> Result<Vec<Rest>, PageError> {
    let mut out = Vec::new();
    if let Some(report) = site.store().report(&current.report).await? {
        out.push(rest(site, visit, "First seen in", &report).await?);
    }
    let newest = site.store().observation(&current.host, visit.as_of).await?.map(|(row, _)| row);
    if let Some(newest) = newest.filter(|n| n.id != current.report && current.until.is_none_or(|u| u > visit.at())) {
        out.push(rest(site, visit, "Still so in", &newest).await?);
    }
    Ok(out)
}

async fn rest(site: &Site, visit: &Visit, label: &'static str, row: &ReportRow) -> Result<Rest, PageError> {
    let envelope = Envelope::parse(&row.envelope).ok();
    let report: Option<Report> = envelope.and_then(|e| e.payload_bytes().ok()).and_then(|p| serde_json::from_slice(&p).ok());
    let unreadable = || "unreadable".to_string();
    Ok(Rest {
        label,
        kind: match &row.window {
            Some(window) => format!("{} {window}", row.kind.word()),
            None => row.kind.word().to_string(),
        },
        sequence: row.sequence,
        received: visit.when(row.received),
        digest: row.id.to_string(),
        pack: report.as_ref().map_or_else(unreadable, |r| r.software.pack.to_string()),
        agent: report.map_or_else(unreadable, |r| shown(&r.software.agent)),
        leaf: row.leaf.map(super::text::grouped),
        proof: proof(site, row).await?,
    })
}

/// Verifies the receipt here and now: signature, leaf, inclusion and checkpoint.
async fn proof(site: &Site, row: &ReportRow) -> Result<Proof, PageError> {
    if row.leaf.is_none() {
        return Ok(Proof::Pending);
    }
    let Some((_, receipt)) = site.store().receipt(&row.id).await? else { return Ok(Proof::Unchecked) };
    let checked = Envelope::parse(&receipt).map_err(|e| e.to_string()).and_then(|e| check_receipt_by(&e, &site.app.ledger_keys).map_err(|e| e.to_string()));
    Ok(match checked {
        Ok(receipt) if receipt.report != row.id || Some(receipt.index) != row.leaf => Proof::Broken("the receipt is about another report".into()),
        Ok(receipt) => Proof::Proved(crate::ledger::checkpoint::peek(&receipt.checkpoint).map_or_else(String::new, |(_, size)| super::text::grouped(size))),
        Err(problem) => Proof::Broken(problem),
    })
}
