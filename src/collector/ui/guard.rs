//! Before any handler: who asks, whether the role suffices, whether it lies within an auditor's bounds, and the log of what auditors open.
//!
//! One place, by one list of addresses (`routes`): a page can't forget to ask. Handlers of pages that look at single things ask once more.

use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::error::{Denial, PageError};
use super::frame::cookie_of;
use super::site::Site;
use super::text::{brief, encode};
use super::when::{iso_day, parse_day};
use crate::collector::api::{ROOT, problem::Problem, token};
use crate::collector::auth::{AuthError, Origin, Role, Session};
use crate::collector::routes::{self, Need, Reach, Route};
use crate::collector::store::{Act, Grant, StoreError};
use crate::host::clock;
use crate::model::ids::HostId;

/// Longest part of what a browser says of itself that is kept, characters.
const MAX_AGENT: usize = 100;
/// Administrators named to whoever was refused.
const MAX_NAMED: usize = 5;

/// Who asks, as the guard found out.
#[derive(Clone, Debug, Default)]
pub struct Identified {
    /// The person; `None`: a stranger.
    pub session: Option<Session>,
    /// Whether a cookie came that opens nothing (any more).
    pub had_ended: bool,
}

impl FromRequestParts<Arc<Site>> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Site>) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>().map(|c| c.0.ip());
        let agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).map_or_else(String::new, |v| brief(v, MAX_AGENT));
        Ok(Self { address, agent })
    }
}

/// Lets a request in, or answers why not.
pub async fn admit(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let Some(matched) = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_string()) else { return next.run(request).await };
    let route = routes::of(&matched);
    let is_api = matched.starts_with(ROOT);
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let need = if changes { route.write } else { route.read };
    // No such method on it: the router says so.
    let Some(need) = need.filter(|need| *need != Need::Anyone) else { return next.run(request).await };
    let now = clock::unix_now();
    let (mut parts, body) = request.into_parts();
    let identified = match identify(&site, &parts, is_api, now).await {
        Ok(identified) => identified,
        Err(e) => return failed(is_api, &e),
    };
    if let Some(session) = &identified.session {
        let asked = Asked { route, matched: &matched, need, changes, is_api, now };
        match asked.check(&site, &parts, session).await {
            Ok(None) => {}
            Ok(Some(elsewhere)) => return elsewhere,
            Err(e) => return failed(is_api, &e),
        }
    }
    parts.extensions.insert(identified);
    next.run(Request::from_parts(parts, body)).await
}

fn failed(is_api: bool, e: &AuthError) -> Response {
    if is_api { Problem::Internal(e.to_string()).into_response() } else { PageError::Internal(e.to_string()).into_response() }
}

async fn identify(site: &Site, request: &Parts, is_api: bool, now: i64) -> Result<Identified, AuthError> {
    let headers = &request.headers;
    // Who sends a token means it: the cookie of a browser does not stand in for a dead one.
    if let Some(value) = headers.get(header::AUTHORIZATION).filter(|_| is_api) {
        let text = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer ")).and_then(|v| token::digest(v.trim()));
        let session = match text {
            Some(digest) => site.gate.token(site.store(), &digest, now).await?,
            None => None,
        };
        return Ok(Identified { session, had_ended: false });
    }
    let Some(cookie) = cookie_of(headers, site.cookie_name()) else { return Ok(Identified::default()) };
    let session = site.gate.session(site.store(), &cookie, now).await?;
    Ok(Identified { had_ended: session.is_none(), session })
}

/// What is asked for.
struct Asked<'a> {
    route: Route,
    matched: &'a str,
    need: Need,
    changes: bool,
    is_api: bool,
    now: i64,
}

impl Asked<'_> {
    /// An answer instead of the page, if there is one.
    async fn check(&self, site: &Site, request: &Parts, session: &Session) -> Result<Option<Response>, AuthError> {
        if session.must_enrol && !self.matched.starts_with("/settings/account") && self.matched != "/signout" {
            let told = "your role needs a second factor; set one up on the page Settings, My account";
            return Ok(Some(if self.is_api { Problem::Forbidden(told.into()).into_response() } else { Redirect::to("/settings/account").into_response() }));
        }
        if !self.need.admits(session.role) {
            let why = match (self.changes, session.role.may_record()) {
                (true, false) => "reads only; changing this",
                _ => "does not suffice; this",
            };
            let sentence = format!("the role {} {why} needs {}", session.role.word(), self.need.words());
            return self.deny(site, session, request, sentence, self.need.words().into()).await.map(Some);
        }
        if let Some(sentence) = self.beyond_token(session) {
            return self.deny(site, session, request, sentence, String::new()).await.map(Some);
        }
        if let Some(grant) = &session.grant {
            match self.beyond_grant(site, request, grant).await? {
                Beyond::Inside => {}
                Beyond::Elsewhere(to) => return Ok(Some(Redirect::to(&to).into_response())),
                Beyond::Outside(sentence) => {
                    return self.deny(site, session, request, sentence, format!("wider bounds than {}", grant.words())).await.map(Some);
                }
            }
        }
        if session.role == Role::Auditor && !self.changes && self.matched != "/settings/account" {
            self.log(site, session, request, "opened").await?;
        }
        Ok(None)
    }

    async fn log(&self, site: &Site, session: &Session, request: &Parts, kind: &'static str) -> Result<(), StoreError> {
        let target = request.uri.path_and_query().map_or("/", |p| p.as_str());
        let by = session.token.as_ref().map_or_else(String::new, |t| format!(" with the token {}", t.name));
        let act = Act { at: self.now, kind, person: session.user.id.to_string(), detail: format!("{} {target}{by}", request.method) };
        site.store().put_act(act).await
    }

    async fn deny(&self, site: &Site, session: &Session, request: &Parts, sentence: String, needs: String) -> Result<Response, AuthError> {
        if session.role == Role::Auditor {
            self.log(site, session, request, "refused").await?;
        }
        if self.is_api {
            return Ok(Problem::Forbidden(sentence).into_response());
        }
        let admins = site.store().users().await?.into_iter().filter(|(u, gone)| gone.is_none() && Role::of(&u.role) == Role::Admin);
        let ask = admins.map(|(u, _)| u.name).take(MAX_NAMED).collect();
        let sentence = super::form::sentence(&sentence);
        let home = if session.grant.as_ref().is_some_and(|g| !g.hosts.is_empty()) { ("/grant", "What you may see") } else { ("/", "Overview") };
        Ok(PageError::Denied(Box::new(Denial { sentence, needs, ask, home })).into_response())
    }

    /// Why a token does not open this.
    fn beyond_token(&self, session: &Session) -> Option<String> {
        let token = session.token.as_ref()?;
        if token.read_only && self.changes {
            return Some(format!("the token {:?} only reads; nothing was done", token.name));
        }
        let area = self.matched.strip_prefix(ROOT)?.trim_start_matches('/').split('/').next().unwrap_or_default();
        let is_open = token.areas.is_empty() || token.areas.iter().any(|a| a == area);
        (!is_open).then(|| format!("the token {:?} opens {} alone", token.name, token.areas.join(", ")))
    }

    async fn beyond_grant(&self, site: &Site, request: &Parts, grant: &Grant) -> Result<Beyond, AuthError> {
        // Every value counts: a handler may take another one than we would.
        let Ok(axum::extract::Query(query)) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&request.uri) else {
            return Ok(Beyond::Outside("an address that can’t be read opens nothing".into()));
        };
        let outside = |what: String| Ok(Beyond::Outside(format!("{what} lies outside of what you were given: {}", grant.words())));
        let asked = |name: &'static str| query.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str());
        if self.route.reach == Reach::Own {
            return Ok(Beyond::Inside);
        }
        // Days. Pages without one show the last day that is inside; see `Visit`.
        for day in ["as_of", "from", "to"].into_iter().flat_map(asked) {
            if parse_day(day).is_some_and(|at| !grant.holds(at)) {
                return outside(format!("the day {day}"));
            }
        }
        let is_past = !grant.holds(self.now);
        if is_past && (self.route.reach == Reach::Present || (self.is_api && asked("as_of").next().is_none())) {
            return outside(if self.is_api { "today (ask with as_of=YYYY-MM-DD)".into() } else { "today".into() });
        }
        // Frameworks and pages of commitments, by parameter or in the path.
        let known = |id: &str| site.catalogue().frameworks.iter().any(|f| f.id == id);
        let parts = request.uri.path().split('/').chain(["framework", "page", "commitments"].into_iter().flat_map(asked));
        if let Some(other) = parts.filter(|id| known(id)).find(|id| !grant.covers_framework(id)) {
            return outside(format!("the framework {other}"));
        }
        if self.route.reach == Reach::Evidence && !self.changes && ["framework", "from", "to"].into_iter().any(|name| asked(name).next().is_none()) {
            return Ok(Beyond::Elsewhere(evidence_address(site, grant, asked("framework").next().unwrap_or_default(), self.now)));
        }
        if grant.hosts.is_empty() {
            return Ok(Beyond::Inside);
        }
        match self.route.reach {
            // Of a host that is not here nothing is told, not even that.
            Reach::Host => {
                let ids: Vec<HostId> = request.uri.path().split('/').filter_map(|part| part.parse().ok()).collect();
                let mut inside = !ids.is_empty();
                for id in ids {
                    inside &= site.store().host(&id).await?.is_some_and(|h| grant.covers_host(&h.name));
                }
                if inside { Ok(Beyond::Inside) } else { outside("this host".into()) }
            }
            // The form is looked at by its handler.
            Reach::Evidence if self.changes => Ok(Beyond::Inside),
            _ if !self.changes && self.matched == "/" => Ok(Beyond::Elsewhere("/grant".into())),
            _ => outside("what the whole fleet shows".into()),
        }
    }
}

enum Beyond {
    Inside,
    Outside(String),
    Elsewhere(String),
}

/// The preview of evidence within bounds.
fn evidence_address(site: &Site, grant: &Grant, framework: &str, now: i64) -> String {
    /// Days that a period without a beginning covers.
    const DAYS: i64 = 90;
    let catalogue = site.catalogue();
    let first = catalogue.frameworks.iter().find(|f| grant.covers_framework(&f.id)).map_or("", |f| f.id.as_str());
    let framework = if framework.is_empty() { first } else { framework };
    let (from, to) = grant.span();
    let to = to.min(now);
    let from = if grant.from.is_empty() { to - (DAYS - 1) * super::when::DAY } else { from };
    format!("/evidence?framework={}&from={}&to={}", encode(framework), iso_day(from.min(to)), iso_day(to))
}
