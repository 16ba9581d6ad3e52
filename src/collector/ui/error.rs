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
    /// Nobody is signed in; where to go afterwards, and whether a session came that had ended.
    #[error("not signed in")]
    SignIn(String, bool),
    /// Nothing of this name.
    #[error("{0} is not here")]
    NotFound(String),
    /// The role does not permit it.
    #[error("{0}")]
    Forbidden(String),
    /// The role or the bounds do not permit it; says what is needed and whom to ask.
    #[error("{}", .0.sentence)]
    Denied(Box<Denial>),
    /// The address or form makes no sense; one sentence.
    #[error("{0}")]
    Bad(String),
    /// Ours. The cause goes to the log only.
    #[error("{0}")]
    Internal(String),
}

/// What whoever was refused is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub sentence: String,
    /// What would open it; empty: nothing is told.
    pub needs: String,
    /// Administrators by name.
    pub ask: Vec<String>,
    /// Where to go on: address and words.
    pub home: (&'static str, &'static str),
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
    needs: String,
    ask: Vec<String>,
    home: (&'static str, &'static str),
}

impl Default for ErrorPage {
    fn default() -> Self {
        Self { title: "", sentence: String::new(), hint: "", needs: String::new(), ask: Vec::new(), home: ("/", "Overview") }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, page) = match self {
            Self::SignIn(next, had_ended) => {
                let mut query: Vec<String> = Vec::new();
                if next != "/" {
                    query.push(format!("next={}", encode(&next)));
                }
                if had_ended {
                    query.push("ended=1".into());
                }
                let to = if query.is_empty() { "/signin".to_string() } else { format!("/signin?{}", query.join("&")) };
                return Redirect::to(&to).into_response();
            }
            Self::NotFound(what) => (
                StatusCode::NOT_FOUND,
                ErrorPage {
                    title: "Not found",
                    sentence: format!("{what} is not here."),
                    hint: "It may have been renamed, or it did not exist on the day you are looking at.",
                    ..ErrorPage::default()
                },
            ),
            Self::Forbidden(sentence) => (
                StatusCode::FORBIDDEN,
                ErrorPage { title: "Not permitted", sentence, hint: "An administrator can give you another role: Settings, People.", ..ErrorPage::default() },
            ),
            Self::Denied(denial) => {
                let Denial { sentence, needs, ask, home } = *denial;
                let hint = "Nothing was changed, and nothing of it was shown.";
                (StatusCode::FORBIDDEN, ErrorPage { title: "Not permitted", sentence, hint, needs, ask, home })
            }
            Self::Bad(sentence) => {
                let hint = "Nothing was changed. Go back and try again.";
                (StatusCode::BAD_REQUEST, ErrorPage { title: "That request makes no sense", sentence, hint, ..ErrorPage::default() })
            }
            Self::Internal(cause) => {
                let id = crate::collector::auth::random_id().map_or_else(|_| "none".to_string(), |id| id.to_string().chars().take(8).collect());
                tracing::error!(error_id = id, "page failed: {cause}");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    ErrorPage {
                        title: "This page could not be made",
                        sentence: format!("The collector failed; its log has the cause under error {id}."),
                        hint: "Nothing was changed. Try again, and hand the number to whoever runs the collector.",
                        ..ErrorPage::default()
                    },
                )
            }
        };
        (status, Html(page.render().unwrap_or_else(|_| "error".into()))).into_response()
    }
}
