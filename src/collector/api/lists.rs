//! `/api/v1/lists`: what people give the collector to judge by, in versions.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::problem::Problem;
use super::records::said;
use super::taken::{Path, Query};
use crate::collector::list_changes::{self, Changes};
use crate::collector::lists::{self, List};
use crate::collector::store::ListVersion;
use crate::collector::ui::Site;
use crate::collector::ui::lists::names;
use crate::model::ids::Digest;
use crate::model::table::TABLE_LIMIT;
use crate::records::Refusal;

/// How it is given.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct How {
    /// Tells what it would change, and changes nothing.
    dry_run: bool,
}

/// A list on its way in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSent {
    /// CSV or JSON as text, at most 8 MiB.
    content: String,
}

/// One version of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionLine {
    /// From 1.
    version: u64,
    /// First second in force, Unix.
    since: i64,
    /// First second no longer in force, Unix; `null`: it still is.
    until: Option<i64>,
    /// SHA-256 of its bytes.
    digest: Digest,
    /// Entries.
    rows: u64,
    /// Who gave it, by random id; or `configuration`.
    by: String,
    /// Whether its bytes are kept here.
    kept: bool,
}

/// A list and the version in force.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListLine {
    /// Its name.
    name: &'static str,
    /// `null`: none was ever given.
    in_force: Option<VersionLine>,
}

/// Every list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListLines {
    /// Each with its version in force.
    lists: Vec<ListLine>,
}

/// A list with its versions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListStory {
    /// Its name.
    name: &'static str,
    /// Oldest first.
    versions: Vec<VersionLine>,
}

/// What became of a list that was sent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListTaken {
    /// Number of the version that is in force now; `null`: it was only looked at.
    version: Option<u64>,
    /// Whether that version is new.
    is_new: bool,
    /// What it changes against the version before.
    changes: Changes,
}

fn line(v: ListVersion) -> VersionLine {
    VersionLine { version: v.version, since: v.since, until: v.until, digest: v.digest, rows: v.rows, by: v.by, kept: v.kept }
}

fn known(name: &str) -> Result<&'static str, Problem> {
    names().find(|n| *n == name).ok_or_else(|| Problem::NotFound(format!("such a list; there is {}", names().collect::<Vec<_>>().join(", "))))
}

/// `GET /lists`
pub async fn all(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<ListLines>, Problem> {
    let mut lists = Vec::new();
    for name in names() {
        lists.push(ListLine { name, in_force: site.store().list_history(name).await?.pop().map(line) });
    }
    Ok(Json(ListLines { lists }))
}

/// `GET /lists/{name}`
pub async fn one(State(site): State<Arc<Site>>, _caller: Caller, Path(name): Path<String>) -> Result<Json<ListStory>, Problem> {
    let name = known(&name)?;
    Ok(Json(ListStory { name, versions: site.store().list_history(name).await?.into_iter().map(line).collect() }))
}

/// `GET /lists/{name}/{version}`: its bytes, never shown by a browser.
pub async fn fetch(State(site): State<Arc<Site>>, _caller: Caller, Path((name, version)): Path<(String, u64)>) -> Result<Response, Problem> {
    let gone = || Problem::NotFound("the content of this version; it was erased or never kept".into());
    let bytes = site.store().list_bytes(known(&name)?, version).await?.ok_or_else(gone)?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONTENT_DISPOSITION, "attachment")];
    Ok((headers, bytes).into_response())
}

/// `PUT /lists/{name}`: a new version.
pub async fn put(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(how): Query<How>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let list = List::of(&name).ok_or_else(|| Problem::NotFound("such a list to give; there is roster, approvals, third-parties, inventory, labels".into()))?;
    let ListSent { content } = said(&site, &headers, body).await?;
    let bytes = content.into_bytes();
    if bytes.len() > TABLE_LIMIT {
        return Err(Problem::Refused(Refusal::Value(format!("the list is larger than {TABLE_LIMIT} bytes"))));
    }
    let task = tokio::task::spawn_blocking(move || (list.parse(list.name(), &bytes), bytes));
    let (parsed, bytes) = task.await.map_err(|e| Problem::Internal(e.to_string()))?;
    let parsed = parsed.map_err(|e| Problem::Refused(Refusal::Value(e.to_string())))?;
    let changes = list_changes::changes(site.store(), list, &parsed, &bytes).await?;
    if how.dry_run {
        return Ok(Json(ListTaken { version: None, is_new: false, changes }).into_response());
    }
    let given = lists::put(site.store(), list, &parsed, bytes, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    let status = if given.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ListTaken { version: Some(given.version), is_new: given.is_new, changes })).into_response())
}
