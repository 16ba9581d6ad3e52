//! Forms of records: a new entry, a change, and what is done to an entry or a list.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::super::error::PageError;
use super::super::frame::{Frame, Visit};
use super::super::site::Site;
use super::super::text::{counted, shown};
use super::fields::{self, Input, Typed, inputs, part_of, typed};
use super::sent::Sent;
use super::{Desk, capital, entry, kind, must_record, offers, refusal, review};
use crate::collector::records::{Order, record};
use crate::collector::store::RecordError;
use crate::records::event::NOTE;
use crate::records::kind::{FieldType, Per, Shape};
use crate::records::types::ACCESS_REVIEWS;
use crate::records::{Action, Entry, RecordType, Refusal};

/// People offered by the form; more can be typed.
const MAX_PEOPLE: usize = 2_000;

#[derive(Template)]
#[template(path = "registers/form.html")]
struct FormPage {
    frame: Frame,
    heading: String,
    id: String,
    title: String,
    text: String,
    /// The entry that is changed; empty: a new one.
    entry: String,
    entry_name: String,
    /// Events of the entry when the form was opened.
    seen: usize,
    action: String,
    /// What the subject is; empty: there is none.
    about: String,
    subject: String,
    subject_problem: String,
    inputs: Vec<Input>,
    people: Vec<String>,
    alert: String,
    has_files: bool,
}

/// `GET /registers/{type}/new?subject=…`
pub async fn new(State(site): State<Arc<Site>>, visit: Visit, Path(id): Path<String>) -> Result<Response, PageError> {
    let desk = Desk::open(&site, &visit).await?;
    let kind = desk.kind(&id)?;
    must_offer(&visit, kind)?;
    let subject = visit.parameter("subject").to_string();
    let page = Form { kind, entry: None, subject, value: BTreeMap::new(), typed: Typed::default(), subject_problem: String::new(), alert: String::new() };
    page.answer(&site, &visit, StatusCode::OK).await
}

/// `GET /registers/{type}/{entry}/change`
pub async fn change(State(site): State<Arc<Site>>, visit: Visit, Path((id, entry)): Path<(String, String)>) -> Result<Response, PageError> {
    let desk = Desk::open(&site, &visit).await?;
    let kind = desk.kind(&id)?;
    must_offer(&visit, kind)?;
    let entry = entry::find(&desk, kind, &entry)?;
    if !entry.is_open() {
        return Err(PageError::Bad(format!("Entry {} is over; record a new one.", entry.short())));
    }
    let form = Form::of(kind, &entry, Typed::default(), String::new());
    form.answer(&site, &visit, StatusCode::OK).await
}

/// `POST /registers/{type}`: a new entry, the beginning of a review, or a sign-off of the list.
pub async fn add(State(site): State<Arc<Site>>, visit: Visit, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Result<Response, PageError> {
    let kind = known(&id)?;
    must_record(&visit, &headers, kind)?;
    let mut sent = Sent::read(&site, &visit, &headers, body).await?;
    match sent.value("action") {
        "sign-off" => {
            let order = Order { fields: note(&sent), by: visit.session.user.name.clone(), ..Order::default() };
            match done(&site, kind, Action::SignOff, order).await? {
                Ok(_) => Ok(Redirect::to(&format!("/registers/{id}#sign-off")).into_response()),
                Err(why) => kind::refused(&site, &visit, &id, &why, sent.value(NOTE)).await,
            }
        }
        "begin-review" if kind.id == ACCESS_REVIEWS => review::begin(&site, &visit, sent.value("scope")).await,
        "add" => {
            let typed = typed(kind, &mut sent, None);
            let form = Form {
                kind,
                entry: None,
                subject: sent.value("subject").into(),
                value: kind.fields.iter().map(|f| (f.name.clone(), sent.value(&part_of(f)).to_string())).collect(),
                typed,
                subject_problem: String::new(),
                alert: String::new(),
            };
            form.record(&site, &visit, Action::Add, BTreeMap::new()).await
        }
        other => Err(PageError::Bad(format!("“{}” is nothing that can be done to a list.", shown(other)))),
    }
}

/// `POST /registers/{type}/{entry}`: a change, a decision of a review, the end of the matter, or that it was a mistake.
pub async fn act(
    State(site): State<Arc<Site>>,
    visit: Visit,
    Path((id, entry)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, PageError> {
    let kind = known(&id)?;
    must_record(&visit, &headers, kind)?;
    let mut sent = Sent::read(&site, &visit, &headers, body).await?;
    let desk = Desk::open(&site, &visit).await?;
    let found = entry::find(&desk, kind, &entry)?;
    let action = match sent.value("action") {
        "change" => {
            let typed = typed(kind, &mut sent, Some(&found));
            let mut form = Form::of(kind, &found, typed, String::new());
            for field in kind.fields.iter().filter(|f| sent.has(&part_of(f))) {
                form.value.insert(field.name.clone(), sent.value(&part_of(field)).into());
            }
            if sent.value("seen").parse() != Ok(found.events.len()) {
                form.alert = "Somebody changed this entry after the form was opened. Look at its history, then save again what you still mean.".into();
                return form.answer(&site, &visit, StatusCode::CONFLICT).await;
            }
            if form.typed.fields.is_empty() && form.typed.files.is_empty() {
                return Ok(Redirect::to(&format!("/registers/{id}/{}", found.id)).into_response());
            }
            return form.record(&site, &visit, Action::Change, BTreeMap::new()).await;
        }
        "decide" if kind.id == ACCESS_REVIEWS => return review::decide(&site, &visit, kind, &found, &sent).await,
        "close" if kind.id == ACCESS_REVIEWS => return review::close(&site, &visit, kind, &found, note(&sent)).await,
        "close" => Action::Close,
        "withdraw" => Action::Withdraw,
        other => return Err(PageError::Bad(format!("“{}” is nothing that can be done to an entry.", shown(other)))),
    };
    let order = Order { entry: Some(found.id), fields: note(&sent), by: visit.session.user.name.clone(), ..Order::default() };
    match done(&site, kind, action, order).await? {
        Ok(_) => Ok(Redirect::to(&format!("/registers/{id}/{}", found.id)).into_response()),
        Err(why) => entry::refused(&site, &visit, &id, &found.id.to_string(), &why, sent.value(NOTE)).await,
    }
}

/// Records; `Err` is what to say beside the form.
pub(super) async fn done(site: &Site, kind: &RecordType, action: Action, order: Order) -> Result<Result<crate::records::Recorded, String>, PageError> {
    match record(site.store(), kind, action, order).await {
        Ok(recorded) => {
            site.app.sequencer.wake();
            Ok(Ok(recorded))
        }
        Err(e) => refusal(e).map(Err),
    }
}

pub(super) fn note(sent: &Sent) -> BTreeMap<String, String> {
    let text = sent.value(NOTE).trim();
    if text.is_empty() { BTreeMap::new() } else { [(NOTE.to_string(), text.to_string())].into() }
}

fn known(id: &str) -> Result<&'static RecordType, PageError> {
    let types = crate::collector::records::carried()?;
    crate::records::types::find(types, id).ok_or_else(|| PageError::NotFound(format!("A record type “{}”", shown(id))))
}

fn must_offer(visit: &Visit, kind: &RecordType) -> Result<(), PageError> {
    if visit.as_of.is_some() {
        return Err(PageError::Bad("A past day can’t be changed; go back to now to record something.".into()));
    }
    if offers(visit, kind) { Ok(()) } else { must_record(visit, &HeaderMap::new(), kind) }
}

/// A form on its way to the person or to the ledger.
struct Form<'a> {
    kind: &'static RecordType,
    entry: Option<&'a Entry>,
    subject: String,
    /// What the inputs show, by the name of the field.
    value: BTreeMap<String, String>,
    typed: Typed,
    subject_problem: String,
    alert: String,
}

impl<'a> Form<'a> {
    fn of(kind: &'static RecordType, entry: &'a Entry, typed: Typed, alert: String) -> Self {
        Self { kind, entry: Some(entry), subject: entry.subject.clone(), value: entry.fields.clone(), typed, subject_problem: String::new(), alert }
    }

    /// Records what was typed, or shows it again with what is wrong beside it.
    async fn record(mut self, site: &Site, visit: &Visit, action: Action, more: BTreeMap<String, String>) -> Result<Response, PageError> {
        if !self.typed.problems.is_empty() {
            self.alert = format!("Nothing was recorded: {} can’t be taken as it is.", counted(self.typed.problems.len(), "field", "fields"));
            return self.answer(site, visit, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
        let mut values = self.typed.fields.clone();
        values.extend(more);
        let order = Order {
            entry: self.entry.map(|e| e.id),
            subject: self.subject.clone(),
            fields: values,
            files: std::mem::take(&mut self.typed.files),
            by: visit.session.user.name.clone(),
        };
        let status = match record(site.store(), self.kind, action, order).await {
            Ok(recorded) => {
                site.app.sequencer.wake();
                return Ok(Redirect::to(&format!("/registers/{}/{}", self.kind.id, recorded.event.entry)).into_response());
            }
            Err(RecordError::Refused(Refusal::Value(sentence))) => {
                match fields::field_of(self.kind, &sentence) {
                    Some((name, why)) => drop(self.typed.problems.insert(name.into(), why)),
                    None if sentence.starts_with("the subject ") => self.subject_problem = capital(&sentence),
                    None => self.alert = capital(&sentence),
                }
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Err(e) => {
                self.alert = refusal(e)?;
                StatusCode::CONFLICT
            }
        };
        if self.alert.is_empty() {
            self.alert = "Nothing was recorded: a field can’t be taken as it is.".into();
        }
        self.answer(site, visit, status).await
    }

    async fn answer(self, site: &Site, visit: &Visit, status: StatusCode) -> Result<Response, PageError> {
        let kind = self.kind;
        let about = match (kind.shape, kind.per) {
            (Shape::Register, _) => kind.about.clone(),
            (_, Per::Person) => "the person, as the roster names people".into(),
            (_, Per::Group) => "the group".into(),
            (_, Per::Site) => "the site".into(),
            _ => String::new(),
        };
        let is_of_people = kind.per == Per::Person || kind.fields.iter().any(|f| f.kind == FieldType::Person);
        let roster = site.app.basis.now().roster.clone().filter(|_| is_of_people);
        let people = roster.iter().flat_map(|r| r.people.iter()).take(MAX_PEOPLE).map(|p| p.person.clone()).collect();
        let (entry, entry_name, seen) = match self.entry {
            Some(e) => (e.id.to_string(), if e.subject.is_empty() { e.short() } else { shown(&e.subject) }, e.events.len()),
            None => (String::new(), String::new(), 0),
        };
        let heading = if entry.is_empty() { format!("{}: new entry", kind.title) } else { format!("Change {entry_name}") };
        let had_files = self.typed.fields.iter().any(|(name, _)| kind.field(name).is_some_and(|f| f.kind == FieldType::File));
        let page = FormPage {
            id: kind.id.clone(),
            title: kind.title.clone(),
            text: kind.text.trim().into(),
            action: if entry.is_empty() { format!("/registers/{}", kind.id) } else { format!("/registers/{}/{entry}", kind.id) },
            entry,
            entry_name,
            seen,
            about,
            subject: self.subject.clone(),
            subject_problem: self.subject_problem,
            inputs: inputs(kind, |field| self.value.get(&field.name).cloned().unwrap_or_default(), &self.typed.problems),
            people,
            alert: if had_files && status != StatusCode::OK {
                format!("{} Choose its files again: a browser does not keep them.", self.alert)
            } else {
                self.alert
            },
            has_files: kind.fields.iter().any(|f| f.kind == FieldType::File),
            frame: visit.frame(site, "registers", heading.clone()).await?,
            heading,
        };
        Ok((status, Html(page.render()?)).into_response())
    }
}
