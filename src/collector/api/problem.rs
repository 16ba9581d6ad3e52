//! What a caller of the API is told when something is not done: an id that never changes and a sentence. Causes go to the log.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::collector::accounts::AccountError;
use crate::collector::auth::AuthError;
use crate::collector::error::ApiError;
use crate::collector::store::{RecordError, StoreError};
use crate::records;

/// What is answered when something is not done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Refusal {
    /// Stable id, such as `not-found`.
    error: String,
    /// One sentence.
    message: String,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Nobody is known by the cookie or token, or there is none.
    #[error("sign in, or send a living API token as Authorization: Bearer TOKEN; make one with `assay-collector token api`")]
    NotSignedIn,
    /// The role does not permit it, or another site sent it.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("there is not {0}")]
    NotFound(String),
    /// The address has another method.
    #[error("this address does not answer that method; Allow names those it does")]
    Method,
    /// A parameter makes no sense.
    #[error("{0}")]
    Parameter(String),
    /// What was sent may not be recorded.
    #[error(transparent)]
    Refused(#[from] records::Refusal),
    /// An order about accounts that was not carried out.
    #[error(transparent)]
    Order(#[from] AccountError),
    /// A target of alerts that makes no sense.
    #[error("{0}")]
    Unfit(String),
    /// The body did not come as it must.
    #[error(transparent)]
    Body(#[from] ApiError),
    /// Ours. The cause is in the log.
    #[error("the collector failed; its log says why")]
    Internal(String),
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        Self::Internal(e.to_string())
    }
}

impl From<AuthError> for Problem {
    fn from(e: AuthError) -> Self {
        Self::Internal(e.to_string())
    }
}

impl From<RecordError> for Problem {
    fn from(e: RecordError) -> Self {
        match e {
            RecordError::Refused(refusal) => Self::Refused(refusal),
            RecordError::Store(e) => e.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, id) = match &self {
            Self::NotSignedIn => (StatusCode::UNAUTHORIZED, "not-signed-in"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::Parameter(_) => (StatusCode::BAD_REQUEST, "parameter"),
            Self::Refused(refusal) => (status_of(refusal), refusal.id()),
            Self::Order(order) => status_of_order(order),
            Self::Unfit(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unfit"),
            Self::Body(_) | Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        if let Self::Internal(cause) = &self {
            tracing::error!(cause, "a request of the API failed");
        }
        if let (Self::Order(e), StatusCode::INTERNAL_SERVER_ERROR) = (&self, status) {
            tracing::error!("a request of the API failed: {e}");
            return Self::Internal(String::new()).into_response();
        }
        let told = Json(Refusal { error: id.into(), message: self.to_string() });
        match self {
            Self::Body(e) => e.into_response(),
            Self::NotSignedIn => (status, [(header::WWW_AUTHENTICATE, "Bearer")], told).into_response(),
            _ => (status, told).into_response(),
        }
    }
}

const fn status_of_order(order: &AccountError) -> (StatusCode, &'static str) {
    match order {
        AccountError::NotFound(_) => (StatusCode::NOT_FOUND, "not-found"),
        AccountError::Bad(_) | AccountError::Auth(AuthError::Password) => (StatusCode::UNPROCESSABLE_ENTITY, "unfit"),
        AccountError::State(_) => (StatusCode::CONFLICT, "state"),
        AccountError::Auth(_) | AccountError::Store(_) | AccountError::Pki(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

const fn status_of(refusal: &records::Refusal) -> StatusCode {
    match refusal {
        records::Refusal::UnknownType(_) | records::Refusal::UnknownEntry(..) => StatusCode::NOT_FOUND,
        records::Refusal::Value(_) => StatusCode::UNPROCESSABLE_ENTITY,
        records::Refusal::State(_) => StatusCode::CONFLICT,
        records::Refusal::SamePerson(_) => StatusCode::FORBIDDEN,
    }
}
