//! Published holes of installed packages: which hosts an advisory touches, and what touches a host.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::certificates::{count, counted_words};
use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::paging::{self, Pager, ROWS};
use super::sight::{self, Sights};
use super::site::Site;
use super::text::{brief, encode, grouped, shown};
use super::when::When;
use crate::collector::kept::{HoleAbout, HoleBody, Kind, severity_of};
use crate::collector::store::{Label, LabelFilter, Place, offset_of};
use crate::ledger;
use crate::model::ids::HostId;

/// Severities that can be asked for, worst first.
const SEVERITIES: [&str; 6] = ["critical", "high", "medium", "low", "none", "unknown"];
/// Aliases in a row.
const MAX_ALIASES: usize = 3;
/// Longest package or version in a row, characters.
const MAX_WORD: usize = 80;

#[derive(Template)]
#[template(path = "vulnerabilities.html")]
struct Vulnerabilities {
    frame: Frame,
    heading: String,
    host: Option<(String, String)>,
    chips: Vec<(String, String, bool)>,
    text: String,
    severity: String,
    host_id: String,
    rows: Vec<Row>,
    pager: Pager,
    index: Option<When>,
    sights: Sights,
}

struct Row {
    path: String,
    id: String,
    aliases: String,
    severity: String,
    score: String,
    packages: String,
    fixed: String,
    hosts: String,
    since: Option<When>,
    published: Option<When>,
}

/// The advisories that an address asks for.
pub fn filter(visit: &Visit) -> Result<LabelFilter, PageError> {
    let (from, to) = match visit.parameter("severity") {
        "" => (None, None),
        word => severity_of(word).map(|(from, to)| (Some(from), Some(to))).ok_or_else(|| PageError::Bad("That is no severity of an advisory.".into()))?,
    };
    let host = match visit.parameter("host") {
        "" => None,
        id => Some(id.parse::<HostId>().map_err(|_| PageError::NotFound("That host".into()))?),
    };
    let text = paging::filter_of(visit, "name")?;
    Ok(LabelFilter { as_of: visit.as_of, from, to, text, host, descending: true, limit: ROWS + 1, ..LabelFilter::default() })
}

/// `GET /vulnerabilities`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let page = paging::page_of(&visit)?;
    let filter = LabelFilter { offset: offset_of(page, ROWS), ..filter(&visit)? };
    let host = match &filter.host {
        None => None,
        Some(id) => Some(site.store().host_at(id, visit.as_of).await?.ok_or_else(|| PageError::NotFound("That host".into()))?),
    };
    let mut labels = site.store().fleet_labels(Kind::Hole, &filter).await?;
    let read = labels.len();
    labels.truncate(ROWS as usize);
    let severe = LabelFilter { from: severity_of("high").map(|(from, _)| from), to: None, text: String::new(), offset: 0, ..filter.clone() };
    let severe = site.store().fleet_labels(Kind::Hole, &severe).await?.len();
    let heading = match severe {
        0 => "No critical or high vulnerability is known".to_string(),
        n if n > ROWS as usize => format!("More than {ROWS} critical or high vulnerabilities"),
        1 => "One critical or high vulnerability".into(),
        n => format!("{n} critical or high vulnerabilities"),
    };
    let chip = |text: &str, word: &str| (text.to_string(), paging::address(&visit, &[("severity", word)]), visit.parameter("severity") == word);
    render(&Vulnerabilities {
        heading,
        chips: std::iter::once(chip("all", "")).chain(SEVERITIES.iter().map(|s| chip(if *s == "unknown" { "not rated" } else { s }, s))).collect(),
        text: filter.text.clone(),
        severity: visit.parameter("severity").into(),
        host_id: filter.host.map_or_else(String::new, |id| id.to_string()),
        rows: labels.iter().map(|label| row(&visit, label)).collect(),
        pager: Pager::new(&visit, page, read, None, "advisories"),
        index: imported(&site, &visit).await?,
        sights: sight::sights(&site, &visit, Kind::Hole).await?,
        frame: visit.frame(&site, "vulnerabilities", "Vulnerabilities").await?,
        host: host.map(|h| (shown(&h.name), format!("/hosts/{}", h.id))),
    })
}

/// Since when the index of advisories is in force that judged then; `None`: there was none.
async fn imported(site: &Site, visit: &Visit) -> Result<Option<When>, PageError> {
    let version = site.store().list_at(ledger::Kind::Advisories.id(), visit.at()).await?;
    Ok(version.map(|v| visit.when(v.since)))
}

fn row(visit: &Visit, label: &Label) -> Row {
    let about: HoleAbout = serde_json::from_str(&label.about).unwrap_or_default();
    let bodies: Vec<HoleBody> = label.places.iter().map(body).collect();
    let all = |word: fn(&HoleBody) -> &str| {
        let mut words: Vec<&str> = bodies.iter().map(word).filter(|w| !w.is_empty()).collect();
        words.sort_unstable();
        words.dedup();
        brief(&words.join(", "), MAX_WORD)
    };
    Row {
        path: format!("/vulnerabilities/{}", encode(&label.label)),
        id: shown(&label.label),
        aliases: aliases(&about),
        severity: severity(&about).into(),
        score: score(&about),
        packages: all(|b| &b.package),
        fixed: all(|b| &b.fixed),
        hosts: count(label.hosts),
        since: label.since.map(|s| visit.when(s)),
        published: about.published_at.map(|p| visit.when(p)),
    }
}

fn body(place: &Place) -> HoleBody {
    serde_json::from_str(&place.body).unwrap_or_default()
}

fn aliases(about: &HoleAbout) -> String {
    let first: Vec<&str> = about.aliases.iter().take(MAX_ALIASES).map(String::as_str).collect();
    let more = about.aliases.len().saturating_sub(MAX_ALIASES);
    let more = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
    format!("{}{more}", brief(&first.join(", "), MAX_WORD))
}

fn severity(about: &HoleAbout) -> &'static str {
    SEVERITIES.into_iter().find(|s| *s == about.severity).unwrap_or("unknown")
}

/// `9.8`
fn score(about: &HoleAbout) -> String {
    about.score_tenths.map_or_else(String::new, |tenths| format!("{}.{}", tenths / 10, (tenths % 10).abs()))
}

#[derive(Template)]
#[template(path = "vulnerability.html")]
struct VulnerabilityPage {
    frame: Frame,
    id: String,
    aliases: Vec<String>,
    severity: String,
    score: String,
    published: Option<When>,
    hosts: String,
    since: Option<When>,
    rows: Vec<Touched>,
    pager: Pager,
}

struct Touched {
    host: String,
    path: String,
    body: HoleBody,
    since: When,
}

/// `GET /vulnerabilities/{advisory}`
pub async fn vulnerability(State(site): State<Arc<Site>>, Path(id): Path<String>, visit: Visit) -> Page {
    let page = paging::page_of(&visit)?;
    let label = site.store().fleet_label(Kind::Hole, &id, visit.as_of).await?.ok_or_else(|| PageError::NotFound("That advisory".into()))?;
    let mut places = site.store().fleet_places(Kind::Hole, Some(&id), None, visit.as_of, offset_of(page, ROWS), ROWS + 1).await?;
    let read = places.len();
    places.truncate(ROWS as usize);
    let about: HoleAbout = serde_json::from_str(&label.about).unwrap_or_default();
    let total = (!label.rows.more).then_some(label.rows.n);
    let touched = |p: &Place| Touched { host: shown(&p.name), path: format!("/hosts/{}", p.host), body: body(p), since: visit.when(p.since) };
    render(&VulnerabilityPage {
        frame: visit.frame(&site, "vulnerabilities", brief(&id, MAX_WORD)).await?,
        id: shown(&label.label),
        severity: severity(&about).into(),
        score: score(&about),
        published: about.published_at.map(|p| visit.when(p)),
        hosts: counted_words(label.hosts, "host"),
        since: label.since.map(|s| visit.when(s)),
        rows: places.iter().map(touched).collect(),
        pager: Pager::new(&visit, page, read, total, "places"),
        aliases: about.aliases,
    })
}
