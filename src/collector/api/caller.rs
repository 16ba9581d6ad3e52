//! Who calls the API, known before a body is read.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::problem::Problem;
use super::token;
use crate::collector::auth::{Role, Session};
use crate::collector::ui::Site;
use crate::collector::ui::frame::cookie_of;
use crate::collector::ui::signin::refuse_foreign;
use crate::host::clock;
use crate::model::ids::RandomId;

/// Header that carries the session's token, as forms carry it.
pub const FORM_TOKEN: &str = "x-form-token";

/// A known caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Stands for the caller in what is written down.
    pub id: RandomId,
    /// The name to sign in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Unix seconds.
    pub now: i64,
    session: Option<Session>,
}

impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let now = clock::unix_now();
        // Who sends a token means it: the cookie of a browser does not stand in for a dead one.
        if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer ")).ok_or(Problem::NotSignedIn)?;
            let (user, role) = token::holder(site.store(), token.trim(), now).await?.ok_or(Problem::NotSignedIn)?;
            return Ok(Self { id: user.id, name: user.name, role, now, session: None });
        }
        let cookie = cookie_of(&parts.headers, site.cookie_name()).ok_or(Problem::NotSignedIn)?;
        let session = site.gate.session(site.store(), &cookie, now).await?.ok_or(Problem::NotSignedIn)?;
        Ok(Self { id: session.user.id, name: session.user.name.clone(), role: session.role, now, session: Some(session) })
    }
}

impl Caller {
    /// Whether the caller may record, and meant to: a browser is made to send its cookie by any site.
    pub fn must_record(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if !self.role.may_record() {
            return Err(Problem::Forbidden(format!("the role {} reads only; recording needs reviewer or admin", self.role.word())));
        }
        self.must_mean_it(headers)
    }

    /// Whether the caller meant to change something of their own.
    pub fn must_mean_it(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(session) = &self.session else { return Ok(()) };
        if refuse_foreign(headers).is_err() {
            return Err(Problem::Forbidden("this request was sent by another site, so nothing was done".into()));
        }
        let given = headers.get(FORM_TOKEN).and_then(|v| v.to_str().ok());
        if given != Some(session.form_token.as_str()) {
            return Err(Problem::Forbidden(format!("with a cookie, the session's form token must come in the header {FORM_TOKEN}; nothing was done")));
        }
        Ok(())
    }
}
