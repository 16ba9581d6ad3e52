//! `/api/v1/alert-targets` and `/alerts`: where alerts go and what was sent.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::Word;
use super::caller::Caller;
use super::problem::Problem;
use super::records::said;
use crate::collector::alerts::{self, AlertError, NewTarget, Target};
use crate::collector::ui::Site;

/// Messages told.
const LETTERS: u32 = 1000;

impl From<AlertError> for Problem {
    fn from(e: AlertError) -> Self {
        match e {
            AlertError::Bad(text) => Self::Unfit(text),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// `GET /alert-targets`; no key or password is told.
pub async fn targets(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<Value>, Problem> {
    let all = Target::all(site.store()).await?;
    let told = |t: &Target| json!({ "address": t.body.address, "digest": t.wants_digest, "from": t.body.from, "id": t.id, "kind": t.kind, "name": t.name, "security": t.body.security, "severity": t.body.severity, "to": t.body.to, "user": t.body.user });
    Ok(Json(json!({ "targets": all.iter().map(told).collect::<Vec<_>>() })))
}

/// `POST /alert-targets`
pub async fn add(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_mean_it(&headers)?;
    let new: NewTarget = said(&site, &headers, body).await?;
    let (id, key) = alerts::add(site.store().folder(), site.store(), &new, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "key": key }))).into_response())
}

/// `POST /alert-targets/{target}`
pub async fn act(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Result<Json<Value>, Problem> {
    caller.must_mean_it(&headers)?;
    let word: Word = said(&site, &headers, body).await?;
    let missing = || Problem::NotFound("this target or message".into());
    let store = site.store();
    let done = match word.action.as_str() {
        "retry" | "dismiss" => store.revive_letter(id.parse().map_err(|_| missing())?, word.action == "retry", caller.now).await?,
        "test" => alerts::test(&site.app, &id.parse().map_err(|_| missing())?, caller.now).await?,
        "remove" => store.remove_alert_target(&id.parse().map_err(|_| missing())?, &caller.id.to_string(), caller.now).await?,
        other => return Err(Problem::Unfit(format!("action is none of test, remove, retry, dismiss: {other:?}"))),
    };
    site.app.sequencer.wake();
    if done { Ok(Json(json!({ "done": word.action }))) } else { Err(missing()) }
}

/// `GET /alerts`
pub async fn letters(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<Value>, Problem> {
    let told = site.store().letters(None, LETTERS).await?.into_iter().map(|l| {
        json!({ "at": l.at, "attempts": l.attempts, "id": l.id, "next_at": l.next_at, "number": l.number, "problem": l.problem, "state": l.state.word(), "target": l.target, "title": l.title })
    });
    Ok(Json(json!({ "alerts": told.collect::<Vec<_>>() })))
}
