//! One finding: what, since when, on what evidence, how to close it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::site::{RuleCard, Site};
use super::tally;
use super::text::{encode, shown};
use super::when::When;
use crate::collector::store::{FindingFilter, FindingRow, ReportRow};
use crate::ledger::proof::check_receipt_by;
use crate::model::envelope::Envelope;
use crate::model::finding::{Citation, Severity, UnknownReason, Verdict};
use crate::model::ids::HostId;
use crate::model::report::Report;

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
    rests: Vec<Rest>,
    controls: Vec<(String, String, String)>,
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
    let (history, history_from, older) = history(&site, &visit, &known);
    let catalogue = &site.catalogue;
    let controls = catalogue.controls_of(&rule).into_iter();
    let name = shown(&row.name);
    render(&FindingPage {
        heading: heading(&site, current, &name),
        title: catalogue.title(&rule).to_string(),
        subject: shown(&subject),
        host_path: format!("/hosts/{id}"),
        verdict: current.finding.verdict,
        severity: current.finding.severity,
        since: visit.when(run_start(&known)),
        until: current.until.filter(|u| *u <= visit.at()).map(|u| visit.when(u)),
        reason: current.finding.reason.clone(),
        evidence: current.finding.citations.iter().map(evidence).collect(),
        card: catalogue.rules.get(&rule).cloned(),
        history,
        history_from,
        older,
        elsewhere: elsewhere(&site, &visit, current).await?,
        rests: rests(&site, &visit, current).await?,
        controls: controls.map(|(f, c)| (f.title.clone(), c.id.clone(), format!("/evidence?framework={}#{}", encode(&f.id), encode(&c.id)))).collect(),
        frame: visit.frame(&site, "findings", format!("{} on {name}", catalogue.title(&rule))).await?,
        host: name,
        rule,
    })
}

/// One sentence: where and what.
fn heading(site: &Site, row: &FindingRow, host: &str) -> String {
    let place = if row.finding.subject.is_empty() { host.to_string() } else { format!("{} on {host}", shown(&row.finding.subject)) };
    match row.finding.verdict {
        Verdict::Pass => format!("{place}: holds"),
        Verdict::NotApplicable => format!("{place}: does not apply"),
        Verdict::Unknown => format!("{place}: can’t be told, {}", tally::words(row, &site.catalogue)),
        _ => format!("{place}: {}", tally::words(row, &site.catalogue)),
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

/// Spans in proportion to time, newest last; from which day, and how many older ones are left out.
fn history(site: &Site, visit: &Visit, known: &[&FindingRow]) -> (Vec<Span>, String, usize) {
    let older = known.len().saturating_sub(MAX_SPANS);
    let drawn = known.get(older..).unwrap_or_default();
    let start = drawn.first().map_or(visit.at(), |f| f.since);
    let whole = (visit.at() - start).max(1) as f64;
    let spans = drawn
        .iter()
        .map(|f| {
            let until = f.until.filter(|u| *u <= visit.at());
            let end = until.unwrap_or(visit.at());
            let width = ((end - f.since) as f64 * 100.0 / whole).max(0.6);
            let x = ((f.since - start) as f64 * 100.0 / whole).min(100.0 - width);
            Span {
                class: tally::area(f.finding.verdict),
                x: format!("{x:.2}"),
                width: format!("{width:.2}"),
                verdict: f.finding.verdict,
                since: visit.when(f.since),
                until: until.map(|u| visit.when(u)),
                origin: f.origin.as_deref().map(brought).unwrap_or_default(),
                what: if f.finding.verdict == Verdict::Pass { String::new() } else { tally::words(f, &site.catalogue) },
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

async fn elsewhere(site: &Site, visit: &Visit, current: &FindingRow) -> Result<Vec<Elsewhere>, PageError> {
    let filter = FindingFilter {
        rule: Some(current.finding.rule.clone()),
        verdicts: vec![Verdict::Fail, Verdict::Unknown],
        as_of: visit.as_of,
        limit: MAX_ELSEWHERE + 1,
        ..FindingFilter::default()
    };
    let names = site.store().hosts(visit.as_of).await?;
    let name = |id: &HostId| names.iter().find(|h| h.id == *id).map_or_else(|| "a host that is gone".into(), |h| shown(&h.name));
    let is_other = |f: &FindingRow| f.host != current.host || f.finding.subject != current.finding.subject;
    let rows = site.store().findings(&filter).await?;
    // An auditor with bounds is not told of hosts outside of them.
    let is_seen = |f: &FindingRow| visit.session.grant.as_ref().is_none_or(|g| names.iter().any(|h| h.id == f.host && g.covers_host(&h.name)));
    let others = rows.iter().filter(|f| is_other(f) && is_seen(f)).take(MAX_ELSEWHERE as usize);
    let entry = |f: &FindingRow| Elsewhere {
        host: name(&f.host),
        path: tally::finding_path(f),
        subject: shown(&f.finding.subject),
        verdict: f.finding.verdict,
        since: visit.when(f.since),
    };
    Ok(others.map(entry).collect())
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
