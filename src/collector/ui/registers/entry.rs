//! One entry: what it says, its files, its deadlines, each event with who and when.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::super::error::PageError;
use super::super::frame::{Frame, Visit};
use super::super::site::Site;
use super::super::text::{grouped, shown};
use super::super::when::When;
use super::kind::label;
use super::overview::{Clock, clock};
use super::{Desk, Stand, offers, review};
use crate::collector::records::leaf_kind;
use crate::records::event::NOTE;
use crate::records::kind::FieldType;
use crate::records::types::{ACCESS_REVIEWS, INCIDENTS};
use crate::records::{Action, Entry, RecordType, deadlines};

#[derive(Template)]
#[template(path = "registers/entry.html")]
struct EntryPage {
    frame: Frame,
    id: String,
    title: String,
    entry: String,
    short: String,
    name: String,
    subject: String,
    stand: Option<Stand>,
    over: Option<(&'static str, When, String, String)>,
    values: Vec<Value>,
    files: Vec<File>,
    clocks: Vec<Clock>,
    history: Vec<Happened>,
    may_record: bool,
    is_open: bool,
    is_incident: bool,
    role: &'static str,
    alert: String,
    note: String,
    review: Option<review::Items>,
}

/// A field.
struct Value {
    label: String,
    text: String,
    is_link: bool,
    /// Digest of the file that it names, when it is here.
    file: String,
    is_missing: bool,
}

/// A file.
struct File {
    name: String,
    digest: String,
    size: String,
}

/// An event.
struct Happened {
    at: When,
    by: String,
    action: &'static str,
    fields: Vec<(String, String)>,
    files: Vec<String>,
    note: String,
    digest: String,
    leaf: String,
    is_erased: bool,
}

/// `GET /registers/{type}/{entry}`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit, Path((id, entry)): Path<(String, String)>) -> Result<Response, PageError> {
    Ok(Html(draw(&site, &visit, &id, &entry, "", "").await?).into_response())
}

/// The page again, with what was not done and why.
pub(super) async fn refused(site: &Site, visit: &Visit, id: &str, entry: &str, why: &str, note: &str) -> Result<Response, PageError> {
    Ok((StatusCode::CONFLICT, Html(draw(site, visit, id, entry, why, note).await?)).into_response())
}

/// The entry that an address names, as of the visit's time.
pub(super) fn find(desk: &Desk, kind: &'static RecordType, text: &str) -> Result<Entry, PageError> {
    let gone = || PageError::NotFound(format!("An entry “{}” of {}", shown(text), kind.title));
    let (_, id) = desk.book.find(Some(kind), text).map_err(|_| gone())?;
    desk.book.entry(kind, id, desk.at).ok_or_else(gone)
}

async fn draw(site: &Site, visit: &Visit, id: &str, entry: &str, alert: &str, note: &str) -> Result<String, PageError> {
    let desk = Desk::open(site, visit).await?;
    let kind = desk.kind(id)?;
    let entry = find(&desk, kind, entry)?;
    let standings = desk.book.standing(kind, desk.people.as_ref(), desk.at);
    let over = match (&entry.withdrawn, &entry.closed) {
        (Some(mark), _) => Some(("Withdrawn", mark)),
        (None, Some(mark)) => Some(("Closed", mark)),
        (None, None) => None,
    };
    let name = if entry.subject.is_empty() { format!("{}, {}", kind.title, super::super::when::day(entry.added.at)) } else { shown(&entry.subject) };
    let review = if kind.id == ACCESS_REVIEWS { Some(review::items(site, visit, &desk, &entry).await?) } else { None };
    let page = EntryPage {
        id: kind.id.clone(),
        title: kind.title.clone(),
        entry: entry.id.to_string(),
        short: entry.short(),
        subject: shown(&entry.subject),
        stand: standings.iter().find(|s| s.entry == Some(entry.id)).map(|s| Stand::of(s)),
        over: over.map(|(word, mark)| (word, visit.when(mark.at), shown(&mark.by), shown(&mark.why))),
        values: values(kind, &entry),
        files: entry.files.iter().map(|f| File { name: shown(&f.name), digest: f.sha256.to_string(), size: size(f.bytes) }).collect(),
        clocks: deadlines(kind, &entry).iter().map(|told| clock(visit, String::new(), String::new(), told)).collect(),
        history: history(site, visit, &desk, kind, &entry).await?,
        may_record: offers(visit, kind),
        is_open: entry.is_open(),
        is_incident: kind.id == INCIDENTS,
        role: visit.session.role.word(),
        alert: alert.into(),
        note: note.into(),
        review,
        frame: visit.frame(site, "registers", name.clone()).await?,
        name,
    };
    Ok(page.render()?)
}

fn values(kind: &RecordType, entry: &Entry) -> Vec<Value> {
    let value = |field: &crate::records::kind::Field| {
        let text = entry.value(&field.name);
        let file = entry.files.iter().find(|f| field.kind == FieldType::File && f.name == text);
        Value {
            label: label(&field.name),
            text: shown(text),
            is_link: field.kind == FieldType::Link && text.starts_with("https://"),
            file: file.map_or(String::new(), |f| f.sha256.to_string()),
            is_missing: field.required && text.is_empty(),
        }
    };
    kind.fields.iter().map(value).filter(|v| v.is_missing || !v.text.is_empty()).collect()
}

async fn history(site: &Site, visit: &Visit, desk: &Desk, kind: &RecordType, entry: &Entry) -> Result<Vec<Happened>, PageError> {
    let mut out = Vec::new();
    for recorded in desk.book.history(entry.id).into_iter().filter(|r| r.event.at <= desk.at) {
        let event = &recorded.event;
        let leaf = site.store().leaf_of(leaf_kind(kind, event.action).id(), &recorded.digest.to_string()).await?;
        let of_field = event.fields.iter().filter(|(name, _)| !(name.as_str() == NOTE && (event.action == Action::Close || !event.action.fills())));
        let text = |value: &str| if value.is_empty() { "emptied".to_string() } else { shown(value) };
        out.push(Happened {
            at: visit.when(event.at),
            by: shown(&event.by),
            action: word(event.action),
            fields: of_field.map(|(name, value)| (label(name), text(value))).collect(),
            files: event.files.iter().map(|f| shown(&f.name)).collect(),
            note: if event.action.fills() && event.action != Action::Close { String::new() } else { shown(event.note()) },
            digest: recorded.digest.to_string(),
            leaf: leaf.map_or_else(|| "waits for its number".into(), |l| format!("leaf {}", grouped(l.index))),
            is_erased: recorded.is_erased(),
        });
    }
    out.reverse();
    Ok(out)
}

const fn word(action: Action) -> &'static str {
    match action {
        Action::Add => "recorded",
        Action::Change => "changed",
        Action::Close => "closed",
        Action::Withdraw => "withdrawn",
        Action::Approve => "approved",
        Action::Refuse => "refused",
        Action::Revoke => "revoked",
        Action::SignOff => "signed off",
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}
