//! What an agent is told when something is wrong: an id that never changes and a sentence.
//! Causes go to the log.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::store::StoreError;
use crate::model::ids::Address;

/// Most characters of an answer's sentence: what a hostile body holds is not sent back at length.
const MAX_SENTENCE: usize = 300;

/// Why a request of an agent was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No client certificate was shown.
    #[error("this request needs the host's certificate; enrol the host first")]
    CertificateRequired,
    /// The certificate's time is over.
    #[error("the host's certificate has expired; the agent renews it by itself for 400 days, afterwards enrol the host again")]
    CertificateExpired,
    /// The host was taken out of the population.
    #[error("this host was retired; enrol it anew if it is to be counted again")]
    Retired,
    /// The certificate's key is not of an enrolled host, or the host is retired.
    #[error("the host key is not enrolled here; enrol the host again")]
    UnknownHost,
    /// There is no such resource.
    #[error("there is no such resource")]
    NotFound,
    /// The body is larger than the limit, bytes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// No Content-Length.
    #[error("the request has no content length")]
    LengthRequired,
    /// Another media type than this.
    #[error("the body is not {0}")]
    MediaType(&'static str),
    /// The body did not arrive in time.
    #[error("the body did not arrive within {0} seconds")]
    Slow(u64),
    /// The connection ended within the body.
    #[error("the body is incomplete")]
    Incomplete,
    /// Too much at once from this host or in total.
    #[error("too many requests at once; try again later")]
    Busy,
    /// Blobs that no report names have used up the host's share.
    #[error("blobs that no report names exceed {0} bytes; send the report they belong to")]
    Quota(u64),
    /// Not what the format says; the text names the place.
    #[error("{0}")]
    Malformed(String),
    /// The signature or the signer is wrong.
    #[error("{0}")]
    Signature(String),
    /// The blob's bytes don't have its address.
    #[error("{0}")]
    Blob(String),
    /// Another report has this number.
    #[error("another report of this lineage has this number; open a new lineage")]
    Fork,
    /// Blobs that must come first.
    #[error("blobs are missing; send them first")]
    Missing(Vec<Address>),
    /// The enrolment secret admits nobody.
    #[error("the enrolment token is unknown, expired or used up; make a new one with `assay-collector token create`")]
    BadToken,
    /// The key is enrolled.
    #[error("this host key is enrolled already; make a new key for this host")]
    KeyTaken,
    /// Stored, but not yet in the ledger.
    #[error("the report is stored and waits for its ledger entry; send it again for its receipt")]
    ReceiptPending,
    /// Something of ours failed; the cause is in the log.
    #[error("the collector failed; its log says why")]
    Internal(String),
}

/// Marks an answer as a refusal, for who counts: its stable id.
#[derive(Clone, Copy, Debug)]
pub struct Refusal(pub &'static str);

impl ApiError {
    /// Stable id.
    pub const fn id(&self) -> &'static str {
        self.status_and_id().1
    }

    /// What is malformed, and why.
    pub fn malformed(what: &str, why: &dyn std::fmt::Display) -> Self {
        Self::Malformed(sentence(&format!("{what}: {why}")))
    }

    const fn status_and_id(&self) -> (StatusCode, &'static str) {
        match self {
            Self::CertificateRequired => (StatusCode::UNAUTHORIZED, "certificate-required"),
            Self::CertificateExpired => (StatusCode::UNAUTHORIZED, "certificate-expired"),
            Self::Retired => (StatusCode::FORBIDDEN, "host-retired"),
            Self::UnknownHost => (StatusCode::FORBIDDEN, "unknown-host"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::LengthRequired => (StatusCode::LENGTH_REQUIRED, "length-required"),
            Self::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type"),
            Self::Slow(_) => (StatusCode::REQUEST_TIMEOUT, "too-slow"),
            Self::Incomplete => (StatusCode::BAD_REQUEST, "incomplete"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Quota(_) => (StatusCode::TOO_MANY_REQUESTS, "quota"),
            Self::Malformed(_) => (StatusCode::UNPROCESSABLE_ENTITY, "malformed"),
            Self::Signature(_) => (StatusCode::FORBIDDEN, "signature"),
            Self::Blob(_) => (StatusCode::UNPROCESSABLE_ENTITY, "blob"),
            Self::Fork => (StatusCode::CONFLICT, "fork"),
            Self::Missing(_) => (StatusCode::FAILED_DEPENDENCY, "missing-blobs"),
            Self::BadToken => (StatusCode::FORBIDDEN, "token"),
            Self::KeyTaken => (StatusCode::CONFLICT, "key-enrolled"),
            Self::ReceiptPending => (StatusCode::SERVICE_UNAVAILABLE, "receipt-pending"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(e: StoreError) -> Self {
        Self::Internal(e.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, id) = self.status_and_id();
        match &self {
            Self::Internal(cause) => tracing::error!(cause, "a request of an agent failed"),
            other => tracing::debug!(id, "a request of an agent was refused: {other}"),
        }
        let body = match &self {
            Self::Missing(addresses) => json!({ "missing": addresses }),
            other => json!({ "error": id, "message": sentence(&other.to_string()) }),
        };
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(Refusal(id));
        response
    }
}

/// The beginning of a text, without control characters.
fn sentence(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_SENTENCE).collect()
}
