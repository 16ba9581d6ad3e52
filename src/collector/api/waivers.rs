//! `/api/v1/waivers`: asked for by one person, decided by another.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::problem::Problem;
use super::records::{Asked, made, recorded, said};
use super::taken::{Path, Query};
use crate::collector::findings::covered::covered;
use crate::collector::findings::orders::{self, Reasons, labelled};
use crate::collector::records::{Book, Order};
use crate::collector::ui::Site;
use crate::records::event::NOTE;
use crate::records::types::WAIVER;
use crate::records::waiver::{Stage, Waiver, waivers};
use crate::records::{Action, Refusal, Scope};

/// Waivers as of a time.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Waivers {
    /// Unix seconds.
    as_of: i64,
    waivers: Vec<Staged>,
}

/// A waiver and where it stands.
#[derive(Debug, Serialize, JsonSchema)]
struct Staged {
    stage: Stage,
    waiver: Waiver,
}

/// What a waiver would cover.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Coverage {
    covers: Vec<Covered>,
    /// Whether there are more than are listed.
    more: bool,
}

/// An open failure that a waiver would cover.
#[derive(Debug, Serialize, JsonSchema)]
struct Covered {
    /// Name of the host.
    host: String,
    /// What was found.
    message: String,
    /// Since when it fails, Unix seconds.
    since: i64,
    /// What of the host.
    subject: String,
}

/// What is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WaiverRequest")]
pub struct Request {
    /// Id of the rule.
    rule: String,
    /// Name of the host, `*` for any run of characters; may be left out beside a label.
    #[serde(default)]
    host: String,
    /// Hosts that have this label now; one that gets it later is not covered.
    #[serde(default)]
    label: String,
    /// Subject of the finding, likewise; empty: the host itself.
    #[serde(default)]
    subject: String,
    /// Why the failure is accepted.
    reason: String,
    /// What holds the risk down meanwhile.
    control: String,
    /// Last day, `YYYY-MM-DD`.
    #[schemars(extend("format" = "date"))]
    expires: String,
}

/// How it is asked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// Record nothing; answer what it would cover.
    #[serde(default)]
    dry_run: bool,
}

/// What is decided.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WaiverDecision")]
pub struct Word {
    /// `approve`, `refuse`, `revoke` or `withdraw`.
    #[schemars(extend("enum" = ["approve", "refuse", "revoke", "withdraw"]))]
    action: String,
    /// Why.
    #[serde(default)]
    note: String,
}

/// `GET /waivers`
pub async fn list(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Waivers>, Problem> {
    let at = asked.at(caller.now)?;
    let all = waivers(&site.store().record_events().await?, at);
    let waivers = all.into_iter().map(|waiver| Staged { stage: waiver.stage(at), waiver }).collect();
    Ok(Json(Waivers { as_of: at, waivers }))
}

/// `POST /waivers`
pub async fn request(State(site): State<Arc<Site>>, caller: Caller, Query(how): Query<How>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let asked: Request = said(&site, &headers, body).await?;
    let scope = Scope { rule: asked.rule, host: asked.host, subject: asked.subject, ..Scope::default() };
    let scope = labelled(site.store(), scope, &asked.label, caller.now).await?;
    if how.dry_run {
        let found = covered(site.store(), &scope, caller.now).await?;
        let row = |row: crate::collector::store::OpenFinding| Covered { host: row.name, message: row.message, since: row.since, subject: row.subject };
        return Ok(Json(Coverage { covers: found.findings.into_iter().map(row).collect(), more: found.is_cut }).into_response());
    }
    let why = Reasons { reason: asked.reason, control: asked.control, expires: asked.expires };
    let asked = orders::ask(site.store(), vec![scope], &why, &caller.name).await?;
    made(&site, asked)
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
