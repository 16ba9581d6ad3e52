//! What handlers take out of an address: as axum takes it, but a refusal is one of the API's.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The parts of a path that a route names in braces.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

/// The query of an address. What it may hold is told by the type: unknown parameters are refused where it refuses them.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(taken) = axum::extract::Path::from_request_parts(parts, state).await.map_err(|e| Problem::Parameter(e.body_text()))?;
        // No name of anything holds a control character, and none must reach a log or a database.
        let raw = RawPathParams::from_request_parts(parts, state).await.map_err(|e| Problem::Parameter(e.body_text()))?;
        if let Some((name, _)) = raw.iter().find(|(_, value)| value.chars().any(char::is_control)) {
            return Err(Problem::Parameter(format!("{name} holds control characters")));
        }
        Ok(Self(taken))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let taken = axum::extract::Query::from_request_parts(parts, state).await.map_err(|e| Problem::Parameter(e.body_text()))?;
        Ok(Self(taken.0))
    }
}
