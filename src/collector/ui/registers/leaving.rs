//! What leaves the company: files, the notification of an incident, the list of sub-processors.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use super::super::error::PageError;
use super::super::frame::{Frame, Visit};
use super::super::site::Site;
use super::super::text::{encode, shown};
use super::{Desk, entry};
use crate::model::ids::Digest;
use crate::records::published::{SubProcessor, SubProcessors, notification as written};
use crate::records::types::{INCIDENTS, SUB_PROCESSORS};

#[derive(Template)]
#[template(path = "registers/notification.html")]
struct NotificationPage {
    frame: Frame,
    entry: String,
    name: String,
    text: String,
}

#[derive(Template)]
#[template(path = "registers/published.html")]
struct PublishedPage {
    frame: Frame,
    title: String,
    items: Vec<SubProcessor>,
    problems: Vec<String>,
}

/// `GET /registers/incidents/{entry}/notification`
pub async fn notification(State(site): State<Arc<Site>>, visit: Visit, Path((id, entry)): Path<(String, String)>) -> Result<Response, PageError> {
    if id != INCIDENTS {
        return Err(PageError::NotFound("A notification of anything but an incident".into()));
    }
    let desk = Desk::open(&site, &visit).await?;
    let entry = entry::find(&desk, desk.kind(&id)?, &entry)?;
    let text = written(&entry, desk.at);
    if visit.parameter("as") == "text" {
        return Ok(attachment(format!("notification-{}.txt", entry.short()), "text/plain; charset=utf-8", text.into_bytes()));
    }
    let name = shown(&entry.subject);
    let frame = visit.frame(&site, "registers", format!("Notification of {name}")).await?;
    Ok(Html(NotificationPage { frame, entry: entry.id.to_string(), name, text }.render()?).into_response())
}

/// `GET /registers/sub-processors/published`
pub async fn sub_processors(State(site): State<Arc<Site>>, visit: Visit, Path(id): Path<String>) -> Result<Response, PageError> {
    if id != SUB_PROCESSORS {
        return Err(PageError::NotFound(format!("A published list of “{}”", shown(&id))));
    }
    let desk = Desk::open(&site, &visit).await?;
    let list = SubProcessors::of(&desk.book.events, desk.at);
    match visit.parameter("as") {
        "html" => return Ok(attachment("sub-processors.html".into(), "text/html; charset=utf-8", list.html().into_bytes())),
        "md" => return Ok(attachment("sub-processors.md".into(), "text/markdown; charset=utf-8", list.markdown().into_bytes())),
        _ => {}
    }
    let frame = visit.frame(&site, "registers", "Published sub-processors").await?;
    let problems = list.problems.iter().map(|p| super::capital(&shown(p))).collect();
    Ok(Html(PublishedPage { frame, title: desk.kind(&id)?.title.clone(), items: list.items, problems }.render()?).into_response())
}

/// `GET /registers/{type}/{entry}/file/{digest}`: never shown by a browser, whatever it is.
pub async fn file(State(site): State<Arc<Site>>, visit: Visit, Path((id, entry, digest)): Path<(String, String, String)>) -> Result<Response, PageError> {
    let desk = Desk::open(&site, &visit).await?;
    let entry = entry::find(&desk, desk.kind(&id)?, &entry)?;
    let gone = || PageError::NotFound("This file (it may have been erased)".into());
    let digest: Digest = digest.parse().map_err(|_| gone())?;
    let events = desk.book.history(entry.id);
    let named = events.iter().filter(|r| r.event.at <= desk.at).flat_map(|r| &r.event.files).find(|f| f.sha256 == digest).ok_or_else(gone)?;
    let bytes = site.store().record_file(&digest).await?.ok_or_else(gone)?;
    Ok(attachment(named.name.clone(), "application/octet-stream", bytes))
}

/// Bytes to keep (RFC 6266): a name that any browser reads, and the name as it is.
fn attachment(name: String, media: &'static str, bytes: Vec<u8>) -> Response {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encode(&name));
    ([(header::CONTENT_TYPE, media.to_string()), (header::CONTENT_DISPOSITION, disposition)], bytes).into_response()
}
