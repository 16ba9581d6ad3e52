//! The list of findings with its facets, and the search.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::tally::{self, MAX_FINDINGS};
use super::text::{encode, shown};
use super::when::When;
use crate::collector::store::{FindingFilter, FindingRow, HostRow};
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::HostId;

/// Rows on the page; more are counted.
const MAX_ROWS: usize = 500;
/// Hosts that a search lists.
const MAX_HOSTS: usize = 20;
/// Longest search text, characters.
const MAX_SEARCH: usize = 200;

#[derive(Template)]
#[template(path = "findings.html")]
struct Findings {
    frame: Frame,
    heading: String,
    chips: Vec<Chip>,
    severities: Vec<Choice>,
    rules: Vec<Choice>,
    host_choices: Vec<Choice>,
    verdict: String,
    rows: Vec<Row>,
    more: usize,
    hosts: Vec<(String, String)>,
    has_filter: bool,
}

/// One way to look at the list.
struct Chip {
    text: &'static str,
    path: String,
    is_on: bool,
}

/// One entry of a facet.
struct Choice {
    value: String,
    text: String,
    is_on: bool,
}

/// One finding.
struct Row {
    path: String,
    title: String,
    subject: String,
    host: String,
    host_path: String,
    verdict: Verdict,
    severity: Severity,
    what: String,
    since: When,
}

const VIEWS: [(&str, &str); 6] =
    [("", "open"), ("fail", "fail"), ("unknown", "unknown"), ("pass", "pass"), ("not_applicable", "not applicable"), ("all", "all")];

/// `GET /findings`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let hosts = site.store().hosts(visit.as_of).await?;
    let severity = severity_of(visit.parameter("severity"))?;
    let host = host_of(visit.parameter("host"))?;
    let rule = Some(visit.parameter("rule").to_string()).filter(|r| !r.is_empty());
    let filter = FindingFilter {
        host,
        rule: rule.clone(),
        verdicts: verdicts_of(visit.parameter("verdict"))?,
        severity,
        as_of: visit.as_of,
        limit: MAX_FINDINGS,
        ..FindingFilter::default()
    };
    let found = site.store().findings(&filter).await?;
    let names: BTreeMap<HostId, &str> = hosts.iter().map(|h| (h.id, h.name.as_str())).collect();
    let words: Vec<String> = visit.parameter("q").chars().take(MAX_SEARCH).collect::<String>().to_lowercase().split_whitespace().map(String::from).collect();
    let mut rows: Vec<Row> = found
        .iter()
        .filter(|r| severity.is_none_or(|s| r.finding.severity == s))
        .map(|r| row(&site, &visit, &names, r))
        .filter(|r| matches_all(r, &words))
        .collect();
    rows.sort_by_key(|r| r.verdict != Verdict::Fail);
    let total = rows.len();
    rows.truncate(MAX_ROWS);
    render(&Findings {
        heading: heading(visit.parameter("verdict"), total, visit.parameter("q")),
        chips: VIEWS.map(|(id, text)| Chip { text, path: with(&visit, "verdict", id), is_on: visit.parameter("verdict") == id }).into_iter().collect(),
        severities: Severity::ALL.map(|s| choice(s.word(), s.word().to_string(), visit.parameter("severity"))).into_iter().collect(),
        rules: site.catalogue.rules.values().map(|r| choice(&r.id, r.title.clone(), visit.parameter("rule"))).collect(),
        host_choices: hosts.iter().map(|h| choice(&h.id.to_string(), h.name.clone(), visit.parameter("host"))).collect(),
        verdict: visit.parameter("verdict").to_string(),
        more: total - rows.len(),
        rows,
        hosts: matching_hosts(&hosts, &words),
        has_filter: visit.query.iter().any(|(n, v)| n != "verdict" && !v.is_empty()),
        frame: visit.frame(&site, "findings", "Findings").await?,
    })
}

fn row(site: &Site, visit: &Visit, names: &BTreeMap<HostId, &str>, found: &FindingRow) -> Row {
    Row {
        path: tally::finding_path(found),
        title: site.catalogue.title(&found.finding.rule).to_string(),
        subject: shown(&found.finding.subject),
        host: names.get(&found.host).copied().unwrap_or("a host that is gone").to_string(),
        host_path: format!("/hosts/{}", found.host),
        verdict: found.finding.verdict,
        severity: found.finding.severity,
        what: if found.finding.verdict == Verdict::Pass { String::new() } else { tally::words(found, &site.catalogue) },
        since: visit.when(found.since),
    }
}

fn matches_all(row: &Row, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let text = format!("{} {} {} {} {} {} {}", row.title, row.path, row.subject, row.host, row.what, row.severity.word(), row.verdict.word()).to_lowercase();
    words.iter().all(|w| text.contains(w.as_str()))
}

fn matching_hosts(hosts: &[HostRow], words: &[String]) -> Vec<(String, String)> {
    if words.is_empty() {
        return Vec::new();
    }
    let is_match = |h: &&HostRow| words.iter().all(|w| format!("{} {} {}", h.name, h.os, h.id).to_lowercase().contains(w.as_str()));
    hosts.iter().filter(is_match).take(MAX_HOSTS).map(|h| (h.name.clone(), format!("/hosts/{}", h.id))).collect()
}

fn heading(view: &str, total: usize, search: &str) -> String {
    let count = super::text::grouped(total as u64);
    let noun = if total == 1 { "finding" } else { "findings" };
    let what = match view {
        "" => format!("{count} open {noun}"),
        "all" => format!("{count} {noun}"),
        other => format!("{count} {noun}: {}", other.replace('_', " ")),
    };
    if search.is_empty() { what } else { format!("{what} with “{}”", shown(search)) }
}

fn choice(value: &str, text: String, chosen: &str) -> Choice {
    Choice { value: value.to_string(), text, is_on: value == chosen }
}

/// This page with one parameter changed.
fn with(visit: &Visit, name: &str, value: &str) -> String {
    let kept = visit.query.iter().filter(|(n, v)| n != name && !v.is_empty()).map(|(n, v)| format!("{}={}", encode(n), encode(v)));
    let new = (!value.is_empty()).then(|| format!("{name}={value}"));
    let query: Vec<String> = kept.chain(new).collect();
    if query.is_empty() { "/findings".into() } else { format!("/findings?{}", query.join("&")) }
}

fn verdicts_of(view: &str) -> Result<Vec<Verdict>, PageError> {
    match view {
        "" => Ok(vec![Verdict::Fail, Verdict::Unknown]),
        "all" => Ok(Vec::new()),
        id => Ok(vec![
            Verdict::from_id(id).ok_or_else(|| PageError::Bad(format!("“{}” is no verdict; use fail, unknown, pass, not_applicable or all.", shown(id))))?,
        ]),
    }
}

fn severity_of(word: &str) -> Result<Option<Severity>, PageError> {
    if word.is_empty() {
        return Ok(None);
    }
    word.parse().map(Some).map_err(|_| PageError::Bad(format!("“{}” is no severity; use critical, high, medium, low or info.", shown(word))))
}

fn host_of(text: &str) -> Result<Option<HostId>, PageError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| PageError::Bad(format!("“{}” is no host id.", shown(text))))
}
