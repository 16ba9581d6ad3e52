//! `POST /v1/renew`: a host whose key is known gets a new certificate for the same key.
//!
//! The handshake has proved that the host has the key, so that no request has to be signed. This is
//! the one route that an expired certificate opens, for 400 days.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::app::{App, HostKey};
use super::body::{self, Peer, Shown};
use super::enrol;
use super::error::ApiError;
use super::store::NewHost;
use crate::host::clock;
use crate::model::ids::{Digest, Salt};
use crate::pki::keys;

/// Largest request, bytes.
const MAX_REQUEST: usize = 2048;

/// What a host tells with its renewal: enough to admit it again if the collector lost it.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// HMAC of its machine id under the salt, hexadecimal; empty when it has none.
    pub machine: String,
    /// What it is called.
    pub name: String,
    /// Salt of its blob addresses.
    pub salt: Salt,
}

/// Renews a certificate.
pub async fn renew(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, headers: HeaderMap, request: Body) -> Result<Response, ApiError> {
    let shown = peer.renewing()?;
    let known = app.find_host(&shown.host).await?;
    if known.is_none() {
        may_be_readmitted(&app, &shown).await?;
    }
    let _turn = body::turn(&app.limits.enrolments).await?;
    let received = body::receive(&app, &headers, request, body::JSON, MAX_REQUEST).await?;
    let request: Request = serde_json::from_slice(&received.bytes).map_err(|e| ApiError::malformed("the renewal request", &e))?;
    enrol::check(&request.name, &request.machine)?;
    let host = match known {
        Some(host) => host,
        None => readmit(&app, &shown, &request).await?,
    };
    if host.salt != request.salt {
        return Err(ApiError::Malformed("salt: is not the one that this host enrolled with".into()));
    }
    let now = clock::unix_now();
    let issued = app.authority.certify(&shown.public_key, &request.name, now).map_err(|e| ApiError::Internal(e.to_string()))?;
    app.contacts.note(host.id, now, "");
    tracing::info!(host = %host.id, until = issued.not_after, expired = shown.not_after < now, "renewed a certificate");
    Ok(Json(json!({ "certificate": issued.certificate })).into_response())
}

/// Whether a host that the key table does not have may come back at all: asked before its body is read.
async fn may_be_readmitted(app: &App, shown: &Shown) -> Result<(), ApiError> {
    match app.store.host(&shown.host).await? {
        Some(row) if row.state.is_over() => Err(ApiError::Retired),
        // A collector whose database was restored from a backup may lack hosts that enrolled after it.
        None if app.resumption.is_some() => Ok(()),
        _ => Err(ApiError::UnknownHost),
    }
}

/// Admits a host again that holds a certificate of this authority and is missing in the store.
/// Called only once [`may_be_readmitted`] has let it pass.
async fn readmit(app: &App, shown: &Shown, request: &Request) -> Result<Arc<HostKey>, ApiError> {
    let host = NewHost {
        id: shown.host,
        name: request.name.clone(),
        public_key: keys::spki_of(&shown.public_key),
        salt: request.salt,
        machine: request.machine.clone(),
        // No token brought it back.
        secret: Digest::of(b"resumption"),
    };
    app.store.readmit(&host, clock::unix_now()).await?;
    app.sequencer.wake();
    tracing::info!(host = %host.id, name = host.name, "admitted a host again that the restored database lacks");
    app.find_host(&host.id).await?.ok_or(ApiError::UnknownHost)
}
