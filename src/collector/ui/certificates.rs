//! Every certificate of the fleet: where it is served or stored, and until when.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::paging::{self, Pager, ROWS};
use super::sight::{self, Sights};
use super::site::Site;
use super::text::{brief, grouped, shown};
use super::when::{DAY, When};
use crate::collector::kept::{CertificateAbout, CertificateBody, Kind};
use crate::collector::store::{Count, Label, LabelFilter, Place, offset_of};
use crate::evidence::plots;

/// Ways to look at the list: value, words, days until the end.
const WITHIN: [(&str, &str, Option<i64>); 5] =
    [("", "all", None), ("over", "ended", Some(0)), ("30", "within 30 days", Some(30)), ("60", "within 60 days", Some(60)), ("90", "within 90 days", Some(90))];
/// Longest name in a row, characters.
const MAX_NAME: usize = 80;
/// Versions of TLS that are drawn.
const MAX_VERSIONS: u32 = 16;

#[derive(Template)]
#[template(path = "certificates.html")]
struct Certificates {
    frame: Frame,
    heading: String,
    chips: Vec<(String, String, bool)>,
    text: String,
    within: String,
    rows: Vec<Row>,
    pager: Pager,
    versions: Option<String>,
    sights: Sights,
}

struct Row {
    path: String,
    name: String,
    issuer: String,
    key: String,
    ends: When,
    class: &'static str,
    hosts: String,
    places: Vec<(String, String, String)>,
    more: bool,
    is_ca: bool,
}

/// Days of `within`, `Err` for a word that is none of ours.
pub fn within(word: &str) -> Result<Option<i64>, PageError> {
    let found = WITHIN.iter().find(|(value, _, _)| *value == word);
    found.map(|(_, _, days)| *days).ok_or_else(|| PageError::Bad("within is none of over, 30, 60, 90.".into()))
}

/// The certificates that an address asks for.
pub fn filter(visit: &Visit) -> Result<LabelFilter, PageError> {
    let to = within(visit.parameter("within"))?.map(|days| visit.at().saturating_add(days * DAY));
    Ok(LabelFilter { as_of: visit.as_of, to, text: paging::filter_of(visit, "name")?, limit: ROWS + 1, ..LabelFilter::default() })
}

/// `GET /certificates`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let page = paging::page_of(&visit)?;
    let filter = LabelFilter { offset: offset_of(page, ROWS), ..filter(&visit)? };
    let mut labels = site.store().fleet_labels(Kind::Certificate, &filter).await?;
    let read = labels.len();
    labels.truncate(ROWS as usize);
    let soon = site.store().certificates_ending(visit.as_of, visit.at() + 30 * DAY, ROWS).await?.len();
    let heading = match soon {
        0 => "No certificate that is known ends within 30 days".into(),
        n if n >= ROWS as usize => format!("{n} certificates or more ended or end within 30 days"),
        1 => "One certificate ended or ends within 30 days".into(),
        n => format!("{n} certificates ended or end within 30 days"),
    };
    render(&Certificates {
        heading,
        chips: WITHIN
            .iter()
            .map(|(value, text, _)| ((*text).into(), paging::address(&visit, &[("within", value)]), *value == visit.parameter("within")))
            .collect(),
        text: filter.text.clone(),
        within: visit.parameter("within").into(),
        rows: labels.iter().map(|label| row(&visit, label)).collect(),
        pager: Pager::new(&visit, page, read, None, "certificates"),
        versions: versions(&site, &visit).await?,
        sights: sight::sights(&site, &visit, Kind::Certificate).await?,
        frame: visit.frame(&site, "certificates", "Certificates").await?,
    })
}

fn row(visit: &Visit, label: &Label) -> Row {
    let about: CertificateAbout = serde_json::from_str(&label.about).unwrap_or_default();
    Row {
        path: format!("/certificates/{}", super::text::encode(&label.label)),
        name: brief(name(&about), MAX_NAME),
        issuer: brief(&about.issuer, MAX_NAME),
        key: shown(&about.key),
        ends: visit.when(about.not_after),
        class: class(about.not_after, visit.at()),
        hosts: count(label.hosts),
        places: label.places.iter().map(|p| (shown(&p.name), format!("/hosts/{}", p.host), brief(&place(p), MAX_NAME))).collect(),
        more: label.rows.more || label.rows.n > label.places.len() as u64,
        is_ca: about.is_ca,
    }
}

/// What a certificate is called: its first name, else its subject.
pub fn name(about: &CertificateAbout) -> &str {
    let named = about.names.first().map_or(about.subject.as_str(), String::as_str);
    if named.is_empty() { "a certificate without a name" } else { named }
}

/// Verdict-like class of an end: over, within 30 days, later.
pub const fn class(ends: i64, at: i64) -> &'static str {
    match ends - at {
        i64::MIN..=0 => "fail",
        1..=2_592_000 => "unknown",
        _ => "",
    }
}

/// How many, as people read it.
pub fn count(count: Count) -> String {
    if count.more { format!("more than {}", grouped(count.n)) } else { grouped(count.n) }
}

/// How many of something: `1 host`, `more than 10 000 hosts`.
pub fn counted_words(n: Count, noun: &str) -> String {
    let ending = if n.n == 1 && !n.more { "" } else { "s" };
    format!("{} {noun}{ending}", count(n))
}

fn place(place: &Place) -> String {
    let body: CertificateBody = serde_json::from_str(&place.body).unwrap_or_default();
    body.place
}

/// The accepted versions of TLS by endpoints, drawn; nothing when none is known.
async fn versions(site: &Site, visit: &Visit) -> Result<Option<String>, PageError> {
    let filter = LabelFilter { as_of: visit.as_of, limit: MAX_VERSIONS, ..LabelFilter::default() };
    let labels = site.store().fleet_labels(Kind::Tls, &filter).await?;
    let rows: Vec<(String, u64)> = labels.iter().map(|l| (l.label.clone(), l.rows.n)).collect();
    let told: Vec<String> =
        labels.iter().map(|l| format!("{} on {} of {}", l.label, counted_words(l.rows, "endpoint"), counted_words(l.hosts, "host"))).collect();
    Ok(plots::bars("tls-versions", "Endpoints by the TLS versions that they accept", &rows, &format!("{}.", told.join("; "))))
}

#[derive(Template)]
#[template(path = "certificate.html")]
struct CertificatePage {
    frame: Frame,
    name: String,
    about: CertificateAbout,
    fingerprint: String,
    begins: When,
    ends: When,
    class: &'static str,
    hosts: String,
    since: Option<When>,
    places: Vec<PlaceRow>,
    pager: Pager,
}

struct PlaceRow {
    host: String,
    path: String,
    place: String,
    how: String,
    since: When,
    superseded_by: String,
}

/// `GET /certificates/{fingerprint}`
pub async fn certificate(State(site): State<Arc<Site>>, Path(fingerprint): Path<String>, visit: Visit) -> Page {
    let page = paging::page_of(&visit)?;
    let gone = || PageError::NotFound("That certificate".into());
    let label = site.store().fleet_label(Kind::Certificate, &fingerprint, visit.as_of).await?.ok_or_else(gone)?;
    let mut places = site.store().fleet_places(Kind::Certificate, Some(&fingerprint), None, visit.as_of, offset_of(page, ROWS), ROWS + 1).await?;
    let read = places.len();
    places.truncate(ROWS as usize);
    let about: CertificateAbout = serde_json::from_str(&label.about).unwrap_or_default();
    let total = (!label.rows.more).then_some(label.rows.n);
    render(&CertificatePage {
        frame: visit.frame(&site, "certificates", brief(name(&about), MAX_NAME)).await?,
        name: shown(name(&about)),
        fingerprint: label.label,
        begins: visit.when(about.not_before),
        ends: visit.when(about.not_after),
        class: class(about.not_after, visit.at()),
        hosts: counted_words(label.hosts, "host"),
        since: label.since.map(|s| visit.when(s)),
        places: places.iter().map(|p| place_row(&visit, p)).collect(),
        pager: Pager::new(&visit, page, read, total, "places"),
        about,
    })
}

fn place_row(visit: &Visit, place: &Place) -> PlaceRow {
    let body: CertificateBody = serde_json::from_str(&place.body).unwrap_or_default();
    let by = if body.used_by.is_empty() { String::new() } else { format!(", {}", shown(&body.used_by)) };
    PlaceRow {
        host: shown(&place.name),
        path: format!("/hosts/{}", place.host),
        place: shown(&body.place),
        how: if body.served {
            format!("served{by}{}", if body.role.is_empty() { String::new() } else { format!(" ({})", body.role) })
        } else {
            format!("stored{by}")
        },
        since: visit.when(place.since),
        superseded_by: shown(&body.superseded_by),
    }
}
