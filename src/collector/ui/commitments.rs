//! The company's own sentences: true, false, unknown, since when, on which hosts, one click to the proof.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::tally::{Stretch, stretches};
use super::text::{counted, encode, shown};
use super::when::When;
use crate::collector::commitments::published::Published;
use crate::collector::commitments::telling::{self, Known, MOST_VERDICTS, counts};
use crate::collector::commitments::{Grounds, Place, Status, Truth};
use crate::model::finding::Verdict;
use crate::rules::framework::Control;

/// Places of a sentence that the page names; more are counted.
const MAX_PLACES: usize = 20;

#[derive(Template)]
#[template(path = "commitments.html")]
struct List {
    frame: Frame,
    heading: String,
    own: Vec<Card>,
    examples: Vec<Card>,
    is_counted: bool,
}

/// A page in the list.
struct Card {
    title: String,
    version: String,
    path: String,
    counts: Vec<(Verdict, usize, &'static str)>,
    stretches: Vec<Stretch>,
    text: String,
    broken: Vec<(String, String, Verdict, &'static str)>,
}

#[derive(Template)]
#[template(path = "commitment_page.html")]
struct One {
    frame: Frame,
    id: String,
    title: String,
    version: String,
    source: String,
    is_own: bool,
    heading: String,
    views: Vec<(String, String, bool)>,
    sentences: Vec<Sentence>,
    is_counted: bool,
    published: usize,
    evidence: String,
}

struct Sentence {
    id: String,
    title: String,
    text: String,
    verdict: Verdict,
    word: &'static str,
    since: Option<When>,
    hosts: usize,
    places: Vec<Row>,
    more: usize,
    rules: Vec<Rule>,
    records: Vec<Record>,
    missing: Vec<String>,
    fleet: String,
    wording: String,
}

/// Where a sentence does not hold.
struct Row {
    verdict: Verdict,
    host: String,
    title: String,
    subject: String,
    path: String,
    since: Option<When>,
}

/// A rule behind a sentence.
struct Rule {
    title: String,
    path: String,
    verdict: Verdict,
    note: String,
}

/// A record behind a sentence.
struct Record {
    title: String,
    path: String,
    verdict: Verdict,
    word: &'static str,
    message: String,
}

/// What a sentence is, as a verdict's colour and shape.
pub(super) const fn verdict_of(truth: Truth) -> Verdict {
    match truth {
        Truth::True => Verdict::Pass,
        Truth::False => Verdict::Fail,
        Truth::Unknown => Verdict::Unknown,
        Truth::NoRecord => Verdict::NotRun,
    }
}

/// `GET /commitments`
pub async fn list(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let at = visit.at();
    let known = telling::known(site.store(), at).await?;
    let pages: Vec<_> = known.iter().map(|k| &k.page).collect();
    let pack = site.app.basis.now().pack.clone();
    let told = telling::told(site.store(), &pack, &pages, at, MOST_VERDICTS).await?;
    let (statuses, grounds) = told;
    let (mut own, mut examples) = (Vec::new(), Vec::new());
    for (place, known) in known.iter().enumerate() {
        let card = card(known, statuses.get(place).map_or(&[], Vec::as_slice));
        if known.is_own { own.push(card) } else { examples.push(card) }
    }
    let heading = heading(known.iter().zip(&statuses).filter(|(k, _)| k.is_own).flat_map(|(_, s)| s));
    render(&List { heading, own, examples, is_counted: grounds.counted.is_some(), frame: visit.frame(&site, "commitments", "Commitments").await? })
}

fn heading<'s>(all: impl Iterator<Item = &'s Status>) -> String {
    let (mut total, mut wrong, mut unsure, mut hosts) = (0, 0, 0, BTreeSet::new());
    for status in all {
        total += 1;
        wrong += usize::from(status.truth == Truth::False);
        unsure += usize::from(matches!(status.truth, Truth::Unknown | Truth::NoRecord));
        if status.truth == Truth::False {
            hosts.extend(status.places.iter().filter(|p| p.verdict == Verdict::Fail).filter_map(|p| p.id));
        }
    }
    match (total, wrong, unsure) {
        (0, ..) => "No page of commitments is in force".into(),
        (_, 0, 0) => format!("{} true", counted(total, "commitment is", "commitments are")),
        (_, 0, n) => format!("No commitment is false, {n} of {total} can’t be told"),
        (_, n, 0) => format!("{n} of {total} commitments not true{}", on(hosts.len())),
        (_, n, u) => format!("{n} of {total} commitments not true{}, {u} can’t be told", on(hosts.len())),
    }
}

fn on(hosts: usize) -> String {
    if hosts == 0 { String::new() } else { format!(" on {}", counted(hosts, "host", "hosts")) }
}

fn card(known: &Known, statuses: &[Status]) -> Card {
    let framework = &known.page.framework;
    let counts: Vec<(Verdict, usize, &'static str)> = counts(statuses).map(|(truth, n)| (verdict_of(truth), n, truth.word())).into();
    let stretches = stretches(&counts.iter().map(|(v, n, _)| (*v, *n)).collect::<Vec<_>>());
    let path = format!("/commitments/{}", framework.id);
    let broken = statuses.iter().filter(|s| s.truth == Truth::False);
    Card {
        title: framework.title.clone(),
        version: framework.version.clone(),
        text: counts.iter().map(|(_, n, word)| format!("{n} {word}")).collect::<Vec<_>>().join(", "),
        broken: broken.take(8).map(|s| (s.title.clone(), format!("{path}#{}", encode(&s.id)), verdict_of(s.truth), s.truth.word())).collect(),
        counts,
        stretches,
        path,
    }
}

/// The page that an address names, as it was at the visit's time.
async fn find(site: &Site, visit: &Visit, id: &str) -> Result<Known, PageError> {
    let known = telling::known(site.store(), visit.at()).await?;
    known.into_iter().find(|k| k.page.framework.id == id).ok_or_else(|| PageError::NotFound(format!("A page of commitments “{}”", shown(id))))
}

/// `GET /commitments/{page}?truth=…`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit, Path(id): Path<String>) -> Page {
    let known = find(&site, &visit, &id).await?;
    let basis = site.app.basis.now();
    let told = telling::told(site.store(), &basis.pack, &[&known.page], visit.at(), MOST_VERDICTS).await?;
    let framework = &known.page.framework;
    let (statuses, grounds) = told;
    let statuses = statuses.into_iter().next().unwrap_or_default();
    let wanted = visit.parameter("truth");
    let all = [("", "all", statuses.len())];
    let by_truth = counts(&statuses).map(|(truth, n)| (id_of(truth), truth.word(), n));
    if !all.iter().chain(&by_truth).any(|(id, ..)| *id == wanted) {
        return Err(PageError::Bad(format!("“{}” is nothing that a sentence can be; use true, false, unknown or no_record.", shown(wanted))));
    }
    let address = |truth: &str| if truth.is_empty() { visit.path.clone() } else { format!("{}?truth={truth}", visit.path) };
    let views = all.iter().chain(&by_truth).map(|(id, word, n)| (address(id), format!("{word} {n}"), *id == wanted)).collect();
    let sentence = |control: &Control| {
        let status = statuses.iter().find(|s| s.id == control.id)?;
        (wanted.is_empty() || id_of(status.truth) == wanted).then(|| sentence(&site, &visit, &known, control, status, &grounds))
    };
    render(&One {
        id: framework.id.clone(),
        title: framework.title.clone(),
        version: framework.version.clone(),
        source: framework.source.clone(),
        is_own: known.is_own,
        heading: heading(statuses.iter()),
        views,
        sentences: framework.controls.iter().filter_map(sentence).collect(),
        is_counted: grounds.counted.is_some(),
        published: known.page.published.len(),
        evidence: format!("/evidence?framework={}", framework.id),
        frame: visit.frame(&site, "commitments", framework.title.clone()).await?,
    })
}

const fn id_of(truth: Truth) -> &'static str {
    match truth {
        Truth::NoRecord => "no_record",
        other => other.word(),
    }
}

fn sentence(site: &Site, visit: &Visit, known: &Known, control: &Control, status: &Status, grounds: &Grounds) -> Sentence {
    let catalogue = site.catalogue();
    let row = |place: &Place| Row {
        verdict: place.verdict,
        host: shown(&place.host),
        title: catalogue.title(&place.what).to_string(),
        subject: shown(&place.subject),
        path: proof(place, grounds),
        since: place.since.map(|at| visit.when(at)),
    };
    let rule = |id: &str| {
        let own: Vec<&Place> = status.places.iter().filter(|p| p.what == id).collect();
        let (fails, unknowns): (Vec<&Place>, Vec<&Place>) = own.into_iter().partition(|p| matches!(p.verdict, Verdict::Fail | Verdict::Waived));
        // Of counts there is one place for all hosts, which says how many.
        let said = |places: &[&Place]| match (&grounds.counted, places) {
            (Some(_), [one, ..]) => one.host.clone(),
            _ => counted(places.len(), "place", "places"),
        };
        let (verdict, note) = match (fails.is_empty(), unknowns.is_empty()) {
            (true, true) => (Verdict::Pass, String::new()),
            (true, false) => (Verdict::Unknown, format!("{} can’t be told", said(&unknowns))),
            (false, _) => (Verdict::Fail, said(&fails)),
        };
        let path = if verdict == Verdict::Pass { format!("/findings?verdict=all&rule={}", encode(id)) } else { format!("/findings?rule={}", encode(id)) };
        Rule { title: catalogue.title(id).to_string(), path, verdict, note }
    };
    let mut rules: Vec<Rule> = control.rules.iter().map(|m| rule(&m.rule)).collect();
    rules.sort_by_key(|r| (r.verdict == Verdict::Pass, r.verdict == Verdict::Unknown));
    let of_record = |m: &&String| control.records.iter().any(|r| m.starts_with(&format!("{r}: ")));
    Sentence {
        id: status.id.clone(),
        title: status.title.clone(),
        text: status.text.clone(),
        verdict: verdict_of(status.truth),
        word: status.truth.word(),
        since: status.since.map(|at| visit.when(at)),
        hosts: status.hosts,
        places: status.places.iter().take(MAX_PLACES).map(row).collect(),
        more: status.places.len().saturating_sub(MAX_PLACES) + status.more,
        rules,
        records: control.records.iter().map(|id| record(id, grounds)).collect(),
        missing: status.missing.iter().filter(|m| !of_record(m)).map(|m| shown(m)).collect(),
        fleet: control.fleet.clone(),
        wording: known.page.published.get(&status.id).cloned().unwrap_or_default(),
    }
}

/// One click to what a place rests on.
fn proof(place: &Place, grounds: &Grounds) -> String {
    let Some(host) = place.id else { return format!("/findings?rule={}", encode(&place.what)) };
    if !grounds.rules.contains_key(&place.what) || place.since.is_none() {
        return format!("/hosts/{host}");
    }
    let path = format!("/findings/{host}/{}", encode(&place.what));
    if place.subject.is_empty() { path } else { format!("{path}?subject={}", encode(&place.subject)) }
}

fn record(id: &str, grounds: &Grounds) -> Record {
    let title = crate::records::types::builtin().ok().and_then(|all| crate::records::types::find(all, id)).map_or_else(|| id.to_string(), |k| k.title.clone());
    let (verdict, word, message) = match grounds.records.get(id) {
        None => (Verdict::NotRun, "no record", "nobody recorded it".to_string()),
        Some(held) if held.verdict == Verdict::NotRun => (Verdict::NotRun, "no record", held.message.clone()),
        Some(held) => (held.verdict, if held.verdict == Verdict::Pass { "current" } else { held.verdict.word() }, held.message.clone()),
    };
    Record { title, path: format!("/registers/{id}"), verdict, word, message: shown(&message) }
}

/// `GET /commitments/{page}/status?as=…`: what the public may see, to be put on a site of the company.
pub async fn published(State(site): State<Arc<Site>>, visit: Visit, Path(id): Path<String>) -> Result<Response, PageError> {
    let known = find(&site, &visit, &id).await?;
    if known.page.published.is_empty() {
        return Err(PageError::NotFound("A sentence that this page publishes".into()));
    }
    let basis = site.app.basis.now();
    let told = telling::told(site.store(), &basis.pack, &[&known.page], visit.at(), MOST_VERDICTS).await?;
    let (statuses, _) = told;
    let checkpoint = site.store().checkpoint().await?.map(|(_, note)| note).unwrap_or_default();
    let published = Published::of(&known.page, statuses.first().map_or(&[], Vec::as_slice), site.store().last_observed(visit.at()).await?, &checkpoint);
    let (name, media, text) = match visit.parameter("as") {
        "html" => ("index.html", "text/html; charset=utf-8", published.html()?),
        "json" => ("status.json", "application/json", published.json().map_err(|e| PageError::Internal(e.to_string()))?),
        _ => {
            return Ok(Html(
                StatusPage {
                    id: known.page.framework.id.clone(),
                    title: known.page.framework.title.clone(),
                    published,
                    frame: visit.frame(&site, "commitments", "Public status page").await?,
                }
                .render()?,
            )
            .into_response());
        }
    };
    let headers = [(header::CONTENT_TYPE, media.to_string()), (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))];
    Ok((headers, text).into_response())
}

#[derive(Template)]
#[template(path = "commitment_status.html")]
struct StatusPage {
    frame: Frame,
    id: String,
    title: String,
    published: Published,
}

/// The verdict of what is published.
fn holds(word: &str) -> (Verdict, &'static str) {
    match word {
        "yes" => (Verdict::Pass, "holds"),
        "no" => (Verdict::Fail, "does not hold"),
        _ => (Verdict::Unknown, "not confirmed"),
    }
}
