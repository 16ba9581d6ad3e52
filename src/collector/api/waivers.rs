//! `/api/v1/waivers`: asked for by one person, decided by another.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::Problem;
use super::records::{Asked, created, recorded, said};
use crate::collector::findings::covered::covered;
use crate::collector::findings::orders::{self, Reasons, labelled};
use crate::collector::records::{Book, Order};
use crate::collector::ui::Site;
use crate::records::event::NOTE;
use crate::records::types::WAIVER;
use crate::records::waiver::{Stage, Waiver, waivers};
use crate::records::{Action, Refusal, Scope};

/// A waiver and where it stands.
#[derive(Debug, Serialize)]
struct Told {
    stage: Stage,
    waiver: Waiver,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    rule: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    label: String,
    reason: String,
    control: String,
    expires: String,
}

/// How it is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    #[serde(default)]
    dry_run: bool,
}

/// What is decided.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    action: String,
    #[serde(default)]
    note: String,
}

/// `GET /waivers`
pub async fn list(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    let at = asked.at(caller.now)?;
    let all = waivers(&site.store().record_events().await?, at);
    let told: Vec<Told> = all.into_iter().map(|waiver| Told { stage: waiver.stage(at), waiver }).collect();
    Ok(Json(json!({ "as_of": at, "waivers": told })))
}

/// `POST /waivers`
pub async fn request(State(site): State<Arc<Site>>, caller: Caller, Query(how): Query<How>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let asked: Request = said(&site, &headers, body).await?;
    let scope = Scope { rule: asked.rule, host: asked.host, subject: asked.subject, ..Scope::default() };
    let scope = labelled(site.store(), scope, &asked.label, caller.now).await?;
    if how.dry_run {
        let covered = covered(site.store(), &scope, caller.now).await?;
        let told: Vec<Value> =
            covered.findings.into_iter().map(|row| json!({ "host": row.name, "subject": row.subject, "since": row.since, "message": row.message })).collect();
        return Ok(Json(json!({ "covers": told, "more": covered.is_cut })).into_response());
    }
    let why = Reasons { reason: asked.reason, control: asked.control, expires: asked.expires };
    let asked = orders::ask(site.store(), vec![scope], &why, &caller.name).await?;
    site.app.sequencer.wake();
    created(asked)
}

/// `POST /waivers/{entry}`
pub async fn act(State(site): State<Arc<Site>>, caller: Caller, Path(entry): Path<String>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let word: Word = said(&site, &headers, body).await?;
    let action = match word.action.as_str() {
        "approve" => Action::Approve,
        "refuse" => Action::Refuse,
        "revoke" => Action::Revoke,
        "withdraw" => Action::Withdraw,
        other => return Err(Problem::Refused(Refusal::Value(format!("action is none of approve, refuse, revoke, withdraw: {other:?}")))),
    };
    let book = Book::read(site.store()).await?;
    let (kind, found) = book.find(Some(book.kind(WAIVER)?), &entry)?;
    let fields = if word.note.is_empty() { Default::default() } else { [(NOTE.to_string(), word.note)].into() };
    recorded(&site, kind, action, Order { entry: Some(found), fields, by: caller.name, ..Order::default() }).await
}
