//! `POST /v1/heartbeat`: the host is there; the answer carries the time and a scan somebody asked
//! for. Never a row: contacts are written down together, once a minute.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::app::App;
use super::body::{self, Peer};
use super::error::ApiError;
use super::resume;
use crate::host::clock;
use crate::model::ids::Lineage;

/// Largest heartbeat, bytes.
const MAX_HEARTBEAT: usize = 2048;
/// Longest version of an agent that is kept, bytes.
const MAX_VERSION: usize = 64;
/// A clock that is off by more is logged, seconds; the report's own times make it a finding.
const SKEW: i64 = 60;

/// Keys that a newer agent sends are not known here and change nothing: ARCHITECTURE.md, Wire.
#[derive(Deserialize)]
struct Heartbeat {
    /// Highest number of the lineage that was acknowledged; agents before 0.2 don't tell.
    #[serde(default)]
    acknowledged: Option<u64>,
    agent: String,
    checkpoint_size: u64,
    lineage: Lineage,
    now: i64,
    sequence: u64,
}

/// Notes the contact.
pub async fn heartbeat(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, headers: HeaderMap, request: Body) -> Result<Response, ApiError> {
    let host = peer.host(&app).await?;
    let received = body::receive(&app, &headers, request, body::JSON, MAX_HEARTBEAT).await?;
    let beat: Heartbeat = serde_json::from_slice(&received.bytes).map_err(|e| ApiError::malformed("the heartbeat", &e))?;
    let version = beat.agent.len() <= MAX_VERSION && beat.agent.bytes().all(|b| b.is_ascii_graphic());
    if !version {
        return Err(ApiError::Malformed(format!("agent: must be a version of at most {MAX_VERSION} printable characters")));
    }
    let now = clock::unix_now();
    let saw_more = resume::is_beyond(&app, beat.checkpoint_size).await?;
    if saw_more {
        tracing::warn!(host = %host.id, claimed = beat.checkpoint_size, "a host says that it saw a longer ledger than this one");
    }
    if beat.now.abs_diff(now) > SKEW.unsigned_abs() {
        tracing::info!(host = %host.id, skew = beat.now.saturating_sub(now), "the clock of a host is off");
    }
    tracing::debug!(host = %host.id, lineage = %beat.lineage, sequence = beat.sequence, acknowledged = beat.acknowledged, "heartbeat");
    app.contacts.note(host.id, now, &beat.agent);
    let scan = app.scan_requests.of(&host.id).map(|id| json!({ "id": id }));
    let mut answer = json!({ "now": now, "scan": scan });
    // Left out unless there is something to ask: agents before 0.2 refuse keys that they don't know.
    if let Some(answer) = answer.as_object_mut() {
        if let Some(from) = resume::wanted(&app, &host.id, &beat.lineage, beat.acknowledged).await? {
            answer.insert("resend".into(), json!({ "from": from, "lineage": beat.lineage }));
        }
        if saw_more {
            answer.insert("checkpoint".into(), true.into());
        }
    }
    Ok(Json(answer).into_response())
}
