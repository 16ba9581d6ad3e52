//! Forms that change something: ours, of this session, and read strictly.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::PageError;
use super::frame::Visit;
use super::signin::{refuse_foreign, require_token};
use crate::collector::accounts::AccountError;
use crate::collector::auth::AuthError;

/// The fields of a form by name.
pub(super) type Fields = BTreeMap<String, String>;

/// The fields of a form that this session's page sent, without its token.
pub(super) fn accepted(visit: &Visit, headers: &HeaderMap, mut fields: Fields) -> Result<Fields, PageError> {
    refuse_foreign(headers)?;
    require_token(visit, &fields.remove("form_token").unwrap_or_default())?;
    Ok(fields)
}

/// Fields as an order; unknown ones are refused.
pub(super) fn read<T: DeserializeOwned>(fields: Fields) -> Result<T, PageError> {
    let object: Map<String, Value> = fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    serde_json::from_value(Value::Object(object)).map_err(|e| PageError::Bad(format!("The form can’t be read: {e}.")))
}

/// A refusal that the page shows beside its form; anything else is an error page.
pub(super) fn refused(e: AccountError) -> Result<(StatusCode, String), PageError> {
    match e {
        AccountError::Bad(text) | AccountError::State(text) => Ok((StatusCode::UNPROCESSABLE_ENTITY, sentence(&text))),
        AccountError::NotFound(what) => Err(PageError::NotFound(sentence(&what).trim_end_matches('.').to_string())),
        AccountError::Auth(e) => by_gate(e),
        AccountError::Store(e) => Err(e.into()),
        AccountError::Pki(e) => Err(PageError::Internal(e.to_string())),
    }
}

/// The same for what the gate refuses.
pub(super) fn by_gate(e: AuthError) -> Result<(StatusCode, String), PageError> {
    match e {
        AuthError::Wrong => Ok((StatusCode::UNPROCESSABLE_ENTITY, "The present password is wrong.".into())),
        AuthError::Locked(seconds) => Ok((StatusCode::TOO_MANY_REQUESTS, format!("Too many attempts; try again in {}.", super::when::span(seconds)))),
        AuthError::Password | AuthError::Code => Ok((StatusCode::UNPROCESSABLE_ENTITY, sentence(&e.to_string()))),
        AuthError::Link => Ok((StatusCode::CONFLICT, "That was done or undone meanwhile; look at the page again.".into())),
        other => Err(other.into()),
    }
}

/// A fragment as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}
