//! Who calls the API, known before a body is read.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::problem::Problem;
use crate::collector::auth::{Role, Session};
use crate::collector::ui::Site;
use crate::collector::ui::guard::Identified;
use crate::collector::ui::signin::refuse_foreign;
use crate::host::clock;
use crate::model::ids::RandomId;

/// Header that carries the session's token, as forms carry it.
pub const FORM_TOKEN: &str = "x-form-token";

/// A known caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name to sign in with.
    pub name: String,
    /// Stands for the person.
    pub id: RandomId,
    /// What they may do.
    pub role: Role,
    /// Unix seconds.
    pub now: i64,
    /// The session, or what stands for it when a token came.
    pub session: Session,
}

impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Site>) -> Result<Self, Problem> {
        let session = parts.extensions.get::<Identified>().and_then(|i| i.session.clone()).ok_or(Problem::NotSignedIn)?;
        Ok(Self { name: session.user.name.clone(), id: session.user.id, role: session.role, now: clock::unix_now(), session })
    }
}

impl Caller {
    /// Whether the caller may record, and meant to.
    pub fn must_record(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if !self.role.may_record() {
            return Err(Problem::Forbidden(format!("the role {} reads only; recording needs reviewer or admin", self.role.word())));
        }
        self.must_mean_it(headers)
    }

    /// Whether the caller meant to change something: a browser is made to send its cookie by any site.
    pub fn must_mean_it(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.session.token.is_some() {
            return Ok(());
        }
        if refuse_foreign(headers).is_err() {
            return Err(Problem::Forbidden("this request was sent by another site, so nothing was done".into()));
        }
        let given = headers.get(FORM_TOKEN).and_then(|v| v.to_str().ok());
        if given != Some(self.session.form_token.as_str()) {
            return Err(Problem::Forbidden(format!("with a cookie, the session's form token must come in the header {FORM_TOKEN}; nothing was done")));
        }
        Ok(())
    }
}
