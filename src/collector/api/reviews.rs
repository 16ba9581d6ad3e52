//! `/api/v1/access-reviews`: who can act with more than ordinary rights, item by item.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::Problem;
use super::records::said;
use crate::collector::records::{self as desk, Book};
use crate::collector::ui::Site;
use crate::records::review::decisions;
use crate::records::types::ACCESS_REVIEWS;

/// What is reviewed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    scope: String,
}

/// `POST /access-reviews`
pub async fn start(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let start: Start = said(&site, &headers, body).await?;
    let taken = desk::privileges(site.store()).await?;
    let made = desk::start_review(site.store(), &start.scope, &taken, &caller.name).await?;
    site.app.sequencer.wake();
    let told = json!({ "entry": made.event.entry, "event": made.digest, "items": taken.items.len(), "hosts": taken.hosts, "untold": taken.untold });
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

/// `GET /access-reviews/{entry}`
pub async fn show(State(site): State<Arc<Site>>, caller: Caller, Path(entry): Path<String>) -> Result<Json<Value>, Problem> {
    let book = Book::read(site.store()).await?;
    let (kind, id) = book.find(Some(book.kind(ACCESS_REVIEWS)?), &entry)?;
    let entry = book.entry(kind, id, caller.now).ok_or_else(|| Problem::NotFound("this review".into()))?;
    Ok(Json(desk::review_document(&entry, &desk::review_list(site.store(), &entry).await?, &decisions(&book.events, id, caller.now), false)))
}
