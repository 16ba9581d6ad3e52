//! One record type: how its duties stand, its entries, its sign-off, what it proves.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::super::error::PageError;
use super::super::frame::{Frame, Page, Visit};
use super::super::site::Site;
use super::super::text::{brief, counted, encode, shown};
use super::super::when::When;
use super::overview::what;
use super::{Desk, Served, Stand, offers, served};
use crate::model::finding::Verdict;
use crate::model::ids::RandomId;
use crate::records::kind::{FieldType, Shape};
use crate::records::types::{ACCESS_REVIEWS, SUB_PROCESSORS};
use crate::records::{Entry, RecordType, Standing, State as Stands};

/// Rows of a page.
const ROWS: usize = 100;
/// Fields of an entry that its row shows.
const SHOWN_FIELDS: usize = 3;
/// Characters of a field in a row.
const MAX_CELL: usize = 80;

#[derive(Template)]
#[template(path = "registers/kind.html")]
struct KindPage {
    frame: Frame,
    id: String,
    title: String,
    text: String,
    what: String,
    served: Vec<Served>,
    promises: String,
    is_register: bool,
    is_decision: bool,
    is_review: bool,
    is_published: bool,
    may_record: bool,
    role: &'static str,
    alert: String,
    note: String,
    list: Option<Stand>,
    heads: Vec<String>,
    rows: Vec<Row>,
    states: Vec<(String, String, bool)>,
    count: String,
    from: usize,
    to: usize,
    earlier: Option<String>,
    later: Option<String>,
}

/// One duty or entry.
struct Row {
    subject: String,
    path: String,
    cells: Vec<String>,
    verdict: Verdict,
    word: &'static str,
    why: String,
    since: Option<When>,
    by: String,
    /// Where to record it; empty: it is, or nobody may here.
    record: String,
}

/// `GET /registers/{type}?state=…&q=…&page=…`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit, Path(id): Path<String>) -> Page {
    Ok(Html(draw(&site, &visit, &id, "", "").await?))
}

/// The page again, with what was not signed and why.
pub(super) async fn refused(site: &Site, visit: &Visit, id: &str, why: &str, note: &str) -> Result<Response, PageError> {
    Ok((StatusCode::CONFLICT, Html(draw(site, visit, id, why, note).await?)).into_response())
}

async fn draw(site: &Site, visit: &Visit, id: &str, alert: &str, note: &str) -> Result<String, PageError> {
    let desk = Desk::open(site, visit).await?;
    let kind = desk.kind(id)?;
    let standings = desk.book.standing(kind, desk.people.as_ref(), desk.at);
    let entries = desk.book.entries(kind, desk.at);
    let list = standings.iter().find(|s| s.entry.is_none() && s.subject.is_empty() && kind.shape == Shape::Register);
    let may_record = offers(visit, kind);
    let columns: Vec<&str> = columns(kind);
    let mut rows = rows(visit, kind, &standings, &entries, &columns, may_record);
    let state = visit.parameter("state");
    let states = states(visit, &rows, state);
    match state {
        "" => {}
        "over" => rows.retain(|r| r.word == "closed" || r.word == "withdrawn" || r.word == "earlier"),
        word => rows.retain(|r| r.word.replace(' ', "-") == word),
    }
    let words: Vec<String> = visit.parameter("q").to_lowercase().split_whitespace().map(String::from).collect();
    rows.retain(|r| {
        words.is_empty() || {
            let text = format!("{} {} {}", r.subject, r.cells.join(" "), r.why).to_lowercase();
            words.iter().all(|w| text.contains(w))
        }
    });
    let total = rows.len();
    let number: usize = visit.parameter("page").parse().unwrap_or(1).clamp(1, total.div_ceil(ROWS).max(1));
    let from = (number - 1) * ROWS;
    let rows: Vec<Row> = rows.into_iter().skip(from).take(ROWS).collect();
    let page = |n: usize| with(visit, "page", &n.to_string());
    let page = KindPage {
        id: kind.id.clone(),
        title: kind.title.clone(),
        text: kind.text.trim().into(),
        what: what(kind),
        served: served(site, kind),
        promises: kind.promises.join(", "),
        is_register: kind.shape == Shape::Register,
        is_decision: super::is_decision(kind),
        is_review: kind.id == ACCESS_REVIEWS,
        is_published: kind.id == SUB_PROCESSORS,
        may_record,
        role: visit.session.role.word(),
        alert: alert.into(),
        note: note.into(),
        list: list.map(|s| Stand::of(s)),
        heads: columns.iter().map(|name| label(name)).collect(),
        count: counted(total, "row", "rows"),
        from: if total == 0 { 0 } else { from + 1 },
        to: from + rows.len(),
        earlier: (number > 1).then(|| page(number - 1)),
        later: (from + rows.len() < total).then(|| page(number + 1)),
        rows,
        states,
        frame: visit.frame(site, "registers", kind.title.clone()).await?,
    };
    Ok(page.render()?)
}

/// Names of the fields that tell entries apart at a glance.
fn columns(kind: &RecordType) -> Vec<&str> {
    let is_short = |t: FieldType| !matches!(t, FieldType::Text | FieldType::Link | FieldType::File);
    let mut fields: Vec<_> = kind.fields.iter().filter(|f| is_short(f.kind)).collect();
    fields.sort_by_key(|f| !f.required);
    fields.into_iter().take(SHOWN_FIELDS).map(|f| f.name.as_str()).collect()
}

/// A field's name as people read it.
pub(super) fn label(name: &str) -> String {
    let text = name.replace('_', " ");
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().collect::<String>() + chars.as_str())
}

fn rows(visit: &Visit, kind: &RecordType, standings: &[Standing], entries: &[Entry], columns: &[&str], may_record: bool) -> Vec<Row> {
    let of_type = format!("/registers/{}", kind.id);
    let cells = |entry: Option<&Entry>| columns.iter().map(|name| entry.map_or(String::new(), |e| brief(e.value(name), MAX_CELL))).collect();
    let mut out = Vec::new();
    let mut told: Vec<RandomId> = Vec::new();
    let mut sorted: Vec<&Standing> = standings.iter().filter(|s| !(kind.shape == Shape::Register && s.entry.is_none())).collect();
    sorted.sort_by(|a, b| (std::cmp::Reverse(a.state), &a.subject).cmp(&(std::cmp::Reverse(b.state), &b.subject)));
    for standing in sorted {
        let entry = standing.entry.and_then(|id| entries.iter().find(|e| e.id == id));
        told.extend(standing.entry);
        let stand = Stand::of(standing);
        let query = if standing.subject.is_empty() { String::new() } else { format!("?subject={}", encode(&standing.subject)) };
        out.push(Row {
            subject: if standing.subject.is_empty() { "the company".into() } else { shown(&standing.subject) },
            path: standing.entry.map_or(String::new(), |id| format!("{of_type}/{id}")),
            cells: cells(entry),
            verdict: stand.verdict,
            word: stand.word,
            why: stand.why,
            since: entry.map(|e| visit.when(e.added.at)),
            by: entry.map_or(String::new(), |e| shown(&e.added.by)),
            record: if may_record && kind.shape == Shape::Attestation && standing.state != Stands::Current {
                format!("{of_type}/new{query}")
            } else {
                String::new()
            },
        });
    }
    for entry in entries.iter().rev().filter(|e| !told.contains(&e.id)) {
        let (word, why) = match (&entry.withdrawn, &entry.closed) {
            (Some(mark), _) => ("withdrawn", mark.why.clone()),
            (None, Some(mark)) => ("closed", mark.why.clone()),
            (None, None) => ("earlier", String::new()),
        };
        out.push(Row {
            subject: if entry.subject.is_empty() { "the company".into() } else { shown(&entry.subject) },
            path: format!("{of_type}/{}", entry.id),
            cells: cells(Some(entry)),
            verdict: Verdict::NotApplicable,
            word,
            why: brief(&why, MAX_CELL),
            since: Some(visit.when(entry.added.at)),
            by: shown(&entry.added.by),
            record: String::new(),
        });
    }
    out
}

/// Filters over the states that occur.
fn states(visit: &Visit, rows: &[Row], chosen: &str) -> Vec<(String, String, bool)> {
    let mut words: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        match words.iter_mut().find(|(word, _)| *word == row.word) {
            Some((_, n)) => *n += 1,
            None => words.push((row.word, 1)),
        }
    }
    if words.len() < 2 {
        return Vec::new();
    }
    let mut out = vec![(with(visit, "state", ""), format!("all {}", rows.len()), chosen.is_empty())];
    out.extend(words.into_iter().map(|(word, n)| {
        let id = word.replace(' ', "-");
        (with(visit, "state", &id), format!("{word} {n}"), chosen == id)
    }));
    out
}

/// This page with one parameter changed, from its first row on.
pub(super) fn with(visit: &Visit, name: &str, value: &str) -> String {
    let kept = visit.query.iter().filter(|(n, v)| n != name && n != "page" && !v.is_empty()).map(|(n, v)| format!("{}={}", encode(n), encode(v)));
    let new = (!value.is_empty()).then(|| format!("{name}={}", encode(value)));
    let query: Vec<String> = kept.chain(new).collect();
    if query.is_empty() { visit.path.clone() } else { format!("{}?{}", visit.path, query.join("&")) }
}
