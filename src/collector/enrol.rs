//! `POST /v1/enrol`: a secret, a key and a salt become a host with a certificate.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::app::App;
use super::body;
use super::error::ApiError;
use super::store::{Enrolled, NewHost};
use crate::host::clock;
use crate::model::ids::{HostId, Salt};
use crate::pki::keys;
use crate::pki::token::Token;

/// Largest request, bytes.
const MAX_REQUEST: usize = 16 << 10;
/// Longest host name, bytes (POSIX HOST_NAME_MAX is at most 255).
const MAX_NAME: usize = 255;
/// Longest machine mark, characters.
const MAX_MACHINE: usize = 128;

#[derive(Deserialize)]
struct Request {
    csr: String,
    machine: String,
    name: String,
    salt: Salt,
    token: String,
}

/// Enrols a host.
pub async fn enrol(State(app): State<Arc<App>>, headers: HeaderMap, request: Body) -> Result<Response, ApiError> {
    let _turn = body::turn(&app.limits.enrolments).await?;
    let received = body::receive(&app, &headers, request, body::JSON, MAX_REQUEST).await?;
    let request: Request = serde_json::from_slice(&received.bytes).map_err(|e| ApiError::malformed("the enrolment request", &e))?;
    let now = clock::unix_now();
    let token: Token = request.token.parse().map_err(|_| ApiError::BadToken)?;
    if !token.pins(app.authority.der()) {
        return Err(ApiError::BadToken);
    }
    check(&request.name, &request.machine)?;
    let secret = token.secret_digest();
    let malformed = |e| ApiError::malformed("csr", &e);
    let public_key = keys::requested_key(&request.csr).map_err(malformed)?;
    // A stolen token that is used up must not cost a signature and the store's write lock each time;
    // the host whose first answer was lost is heard once more.
    let admits = app.store.peek_secret("enrol", &secret, now).await?.is_some();
    if !admits && app.keys.find(&HostId::of_spki(&keys::spki_of(&public_key))).is_none() {
        return Err(ApiError::BadToken);
    }
    let issued = app.authority.issue_host(&request.csr, &request.name, now).map_err(malformed)?;
    let host = NewHost { id: issued.host, name: request.name, public_key: issued.spki, salt: request.salt, machine: request.machine, secret };
    match app.store.enrol(&host, now).await? {
        Enrolled::New | Enrolled::Again => {}
        Enrolled::BadSecret => return Err(ApiError::BadToken),
        Enrolled::KeyTaken => return Err(ApiError::KeyTaken),
    }
    app.keys.insert(host.id, public_key, host.salt);
    app.contacts.note(host.id, now, "");
    app.sequencer.wake();
    tracing::info!(host = %host.id, name = host.name, "enrolled a host");
    let answer = json!({
        "ca": app.authority.pem(),
        "certificate": issued.certificate,
        "host": host.id,
        "ledger": app.verifier.to_string(),
        "origin": app.origin,
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Checks what a host says of itself.
pub(super) fn check(name: &str, machine: &str) -> Result<(), ApiError> {
    let fits = !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if !fits {
        return Err(ApiError::Malformed("name: use letters, digits, dots and hyphens".into()));
    }
    if machine.len() > MAX_MACHINE || !machine.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(ApiError::Malformed("machine: must be lower-case hexadecimal".into()));
    }
    Ok(())
}
