//! What a person sees when there is no page to show.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::text::encode;
use crate::collector::auth::AuthError;
use crate::collector::store::StoreError;

/// Why a page can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Nobody is signed in; where to go afterwards.
    #[error("not signed in")]
    SignIn(String),
    /// Nothing of this name.
    #[error("{0} is not here")]
    NotFound(String),
    /// The role does not permit it.
    #[error("{0}")]
    Forbidden(String),
    /// The address or form makes no sense; one sentence.
    #[error("{0}")]
    Bad(String),
    /// Ours. The cause goes to the log only.
    #[error("{0}")]
    Internal(String),
}

impl From<StoreError> for PageError {
    fn from(e: StoreError) -> Self {
        Self::Internal(e.to_string())
    }
}

impl From<AuthError> for PageError {
    fn from(e: AuthError) -> Self {
        Self::Internal(e.to_string())
    }
}

impl From<askama::Error> for PageError {
    fn from(e: askama::Error) -> Self {
        Self::Internal(format!("page template: {e}"))
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    title: &'static str,
    sentence: String,
    hint: &'static str,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, page) = match self {
            Self::SignIn(next) => {
                let to = if next == "/" { "/signin".to_string() } else { format!("/signin?next={}", encode(&next)) };
                return Redirect::to(&to).into_response();
            }
            Self::NotFound(what) => (
                StatusCode::NOT_FOUND,
                ErrorPage {
                    title: "Not found",
                    sentence: format!("{what} is not here."),
                    hint: "It may have been renamed, or it did not exist on the day you are looking at.",
                },
            ),
            Self::Forbidden(sentence) => (
                StatusCode::FORBIDDEN,
                ErrorPage { title: "Not permitted", sentence, hint: "An administrator can give you another role: assay-collector user." },
            ),
            Self::Bad(sentence) => (StatusCode::BAD_REQUEST, ErrorPage { title: "That request makes no sense", sentence, hint: "Go back and try again." }),
            Self::Internal(cause) => {
                let id = crate::collector::auth::random_id().map_or_else(|_| "none".to_string(), |id| id.to_string().chars().take(8).collect());
                tracing::error!(error_id = id, "page failed: {cause}");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    ErrorPage {
                        title: "This page could not be made",
                        sentence: format!("The collector failed; its log has the cause under error {id}."),
                        hint: "Nothing was changed. Try again, and hand the number to whoever runs the collector.",
                    },
                )
            }
        };
        (status, Html(page.render().unwrap_or_else(|_| "error".into()))).into_response()
    }
}
