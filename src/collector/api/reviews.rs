//! `/api/v1/access-reviews`: who can act with more than ordinary rights, item by item.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::problem::Problem;
use super::records::said;
use super::taken::Path;
use crate::collector::records::{self as desk, Book, Review};
use crate::collector::ui::Site;
use crate::model::ids::{Digest, RandomId};
use crate::records::review::decisions;
use crate::records::types::ACCESS_REVIEWS;

/// What is reviewed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Which hosts, in words.
    scope: String,
}

/// What was begun.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Started {
    /// The entry.
    entry: RandomId,
    /// Digest of the statement, the reference of its ledger entry.
    event: Digest,
    /// Hosts that were looked at.
    hosts: u32,
    /// Items of the list.
    items: usize,
    /// Hosts whose list can't be told in full, and why.
    untold: Vec<String>,
}

/// `POST /access-reviews`
pub async fn start(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let start: Start = said(&site, &headers, body).await?;
    let taken = desk::privileges(site.store()).await?;
    let made = desk::start_review(site.store(), &start.scope, &taken, &caller.name).await?;
    site.app.sequencer.wake();
    let told = Started { entry: made.event.entry, event: made.digest, hosts: taken.hosts, items: taken.items.len(), untold: taken.untold };
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

/// `GET /access-reviews/{entry}`
pub async fn show(State(site): State<Arc<Site>>, caller: Caller, Path(entry): Path<String>) -> Result<Json<Review>, Problem> {
    let book = Book::read(site.store()).await?;
    let (kind, id) = book.find(Some(book.kind(ACCESS_REVIEWS)?), &entry)?;
    let entry = book.entry(kind, id, caller.now).ok_or_else(|| Problem::NotFound("this review".into()))?;
    Ok(Json(desk::review_document(&entry, &desk::review_list(site.store(), &entry).await?, &decisions(&book.events, id, caller.now), false)))
}
