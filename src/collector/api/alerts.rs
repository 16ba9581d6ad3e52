//! `/api/v1/alert-targets` and `/alerts`: where alerts go and what was sent.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::access::Word;
use super::caller::Caller;
use super::problem::Problem;
use super::records::said;
use super::taken::Path;
use crate::collector::alerts::{self, AlertError, NewTarget, Target};
use crate::collector::store::Letter;
use crate::collector::ui::Site;
use crate::model::ids::RandomId;

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

/// Where alerts go.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Targets {
    targets: Vec<Place>,
}

/// A target, without its key or password.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AlertTarget")]
struct Place {
    address: String,
    /// Whether the weekly digest goes there.
    digest: bool,
    /// Sender of mail.
    from: String,
    id: RandomId,
    /// `webhook`, `mail` or `syslog`.
    kind: String,
    name: String,
    /// Of mail: `tls`, `starttls` or `none`.
    security: String,
    /// Failures at or above.
    severity: String,
    /// Receivers of mail.
    to: Vec<String>,
    /// Name to sign in with at the mail server.
    user: String,
}

/// A target that was added.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AlertTargetAdded")]
pub struct Added {
    id: RandomId,
    /// Key that was made for a webhook, told once.
    key: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AlertActionDone")]
pub struct Done {
    done: String,
}

/// Messages, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Alerts {
    alerts: Vec<Alert>,
}

/// A message and how far it is.
#[derive(Debug, Serialize, JsonSchema)]
struct Alert {
    /// When it was written, Unix seconds.
    at: i64,
    attempts: u32,
    /// The same in every attempt.
    id: RandomId,
    /// When it is tried next, Unix seconds.
    next_at: i64,
    number: i64,
    /// What the last attempt met.
    problem: String,
    /// `waiting`, `delivered` or `dead`.
    state: String,
    target: RandomId,
    title: String,
}

/// `GET /alert-targets`; no key or password is told.
pub async fn targets(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<Targets>, Problem> {
    let told = |t: Target| Place {
        address: t.body.address,
        digest: t.wants_digest,
        from: t.body.from,
        id: t.id,
        kind: t.kind,
        name: t.name,
        security: t.body.security,
        severity: t.body.severity.word().into(),
        to: t.body.to,
        user: t.body.user,
    };
    Ok(Json(Targets { targets: Target::all(site.store()).await?.into_iter().map(told).collect() }))
}

/// `POST /alert-targets`
pub async fn add(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_mean_it(&headers)?;
    let new: NewTarget = said(&site, &headers, body).await?;
    let (id, key) = alerts::add(site.store().folder(), site.store(), &new, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    Ok((StatusCode::CREATED, Json(Added { id, key })).into_response())
}

/// `POST /alert-targets/{target}`
pub async fn act(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Result<Json<Done>, Problem> {
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
    if done { Ok(Json(Done { done: word.action })) } else { Err(missing()) }
}

/// `GET /alerts`
pub async fn letters(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<Alerts>, Problem> {
    let told = |l: Letter| Alert {
        at: l.at,
        attempts: l.attempts,
        id: l.id,
        next_at: l.next_at,
        number: l.number,
        problem: l.problem,
        state: l.state.word().into(),
        target: l.target,
        title: l.title,
    };
    Ok(Json(Alerts { alerts: site.store().letters(None, LETTERS).await?.into_iter().map(told).collect() }))
}
