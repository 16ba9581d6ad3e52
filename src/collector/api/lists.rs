//! `/api/v1/lists`: what people give the collector to judge by, in versions.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::Problem;
use crate::collector::list_changes;
use crate::collector::lists::{self, List};
use crate::collector::store::ListVersion;
use crate::collector::ui::Site;
use crate::collector::ui::lists::{attached, names};
use crate::collector::{body, error::ApiError};
use crate::model::table::TABLE_LIMIT;
use crate::records::Refusal;

/// Media type of a list that is not JSON.
const CSV: &str = "text/csv";

/// How it is given.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct How {
    dry_run: bool,
}

fn document(v: &ListVersion) -> Value {
    json!({ "by": v.by, "digest": v.digest, "kept": v.kept, "name": v.name, "rows": v.rows, "since": v.since, "until": v.until, "version": v.version })
}

fn known(name: &str) -> Result<&'static str, Problem> {
    names().find(|n| *n == name).ok_or_else(|| Problem::NotFound(format!("such a list; there is {}", names().collect::<Vec<_>>().join(", "))))
}

/// `GET /lists`
pub async fn all(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<Value>, Problem> {
    let mut out = Vec::new();
    for name in names() {
        let newest = site.store().list_history(name).await?.pop();
        out.push(json!({ "name": name, "in_force": newest.as_ref().map(document) }));
    }
    Ok(Json(json!({ "lists": out })))
}

/// `GET /lists/{name}`
pub async fn one(State(site): State<Arc<Site>>, _caller: Caller, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    let name = known(&name)?;
    let versions = site.store().list_history(name).await?;
    Ok(Json(json!({ "name": name, "versions": versions.iter().map(document).collect::<Vec<_>>() })))
}

/// `GET /lists/{name}/{version}`: its bytes.
pub async fn fetch(State(site): State<Arc<Site>>, _caller: Caller, Path((name, version)): Path<(String, u64)>) -> Result<Response, Problem> {
    let name = known(&name)?;
    let bytes =
        site.store().list_bytes(name, version).await?.ok_or_else(|| Problem::NotFound("the content of this version; it was erased or never kept".into()))?;
    Ok(attached(name, version, bytes))
}

/// `PUT /lists/{name}`: the bytes of a new version, CSV or JSON.
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
    let is_json = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(|v| v.trim_start().starts_with(body::JSON));
    let received = body::receive(&site.app, &headers, body, if is_json { body::JSON } else { CSV }, TABLE_LIMIT).await?;
    let task = tokio::task::spawn_blocking(move || (list.parse(list.name(), &received.bytes), received.bytes.clone()));
    let (parsed, bytes) = task.await.map_err(|e| Problem::Body(ApiError::Internal(e.to_string())))?;
    let parsed = parsed.map_err(|e| Problem::Refused(Refusal::Value(e.to_string())))?;
    let changes = list_changes::changes(site.store(), list, &parsed, &bytes).await?;
    if how.dry_run {
        return Ok(Json(json!({ "dry_run": true, "changes": changes })).into_response());
    }
    let given = lists::put(site.store(), list, &parsed, bytes, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    let status = if given.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(json!({ "version": given.version, "is_new": given.is_new, "changes": changes }))).into_response())
}
