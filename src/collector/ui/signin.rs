//! Sign-in, one-time links, sign-out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form as Body, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::error::PageError;
use super::frame::{Visit, cookie_of};
use super::site::Site;
use super::text::counted;
use crate::collector::auth::{self, AuthError, Origin};
use crate::collector::store::Act;
use crate::host::clock;
use crate::model::ids::RandomId;

#[derive(Template)]
#[template(path = "signin.html")]
struct SignInPage {
    form: Form,
    problem: Option<String>,
    next: String,
    name: String,
}

enum Form {
    Password,
    Link(String),
    Code(String),
    Spent,
}

/// Where to go after signing in.
#[derive(Debug, Default, Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
    #[serde(default)]
    ended: String,
}

/// What stands between the password and the session.
#[derive(Deserialize)]
pub struct SecondFactor {
    pending: String,
    code: String,
    #[serde(default)]
    next: String,
}

/// Name and password.
#[derive(Deserialize)]
pub struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// A one-time sign-in.
#[derive(Deserialize)]
pub struct OneTime {
    #[serde(default)]
    token: String,
}

/// The token that forms carry.
#[derive(Deserialize)]
pub struct FormToken {
    #[serde(default)]
    form_token: String,
}

/// `GET /signin`
pub async fn form(Query(next): Query<Next>) -> Result<Response, PageError> {
    let problem = (!next.ended.is_empty())
        .then(|| "Your session has ended: it was idle for too long, too old, or ended elsewhere. Nothing was lost but the form.".to_string());
    page(StatusCode::OK, SignInPage { form: Form::Password, problem, next: local(&next.next), name: String::new() })
}

/// `POST /signin`
pub async fn submit(State(site): State<Arc<Site>>, origin: Origin, headers: HeaderMap, Body(given): Body<Credentials>) -> Result<Response, PageError> {
    refuse_foreign(&headers)?;
    let now = clock::unix_now();
    let checked = match site.gate.admit_address(origin.address, now) {
        Ok(()) => site.gate.check_password(site.store(), &given.name, &given.password, now).await,
        Err(locked) => Err(locked),
    };
    let (status, problem) = match checked {
        Ok(user) => {
            site.gate.forgive_address(origin.address);
            return begin(&site, &user.id, &local(&given.next), &origin, now).await;
        }
        Err(AuthError::Wrong) => (StatusCode::UNAUTHORIZED, "Name or password is wrong.".to_string()),
        Err(AuthError::Locked(seconds)) => {
            note_lock(&site, &given.name, now).await?;
            (StatusCode::TOO_MANY_REQUESTS, locked(seconds))
        }
        Err(other) => return Err(other.into()),
    };
    page(status, SignInPage { form: Form::Password, problem: Some(problem), next: local(&given.next), name: given.name })
}

/// `POST /signin/second`
pub async fn second_submit(State(site): State<Arc<Site>>, origin: Origin, headers: HeaderMap, Body(given): Body<SecondFactor>) -> Result<Response, PageError> {
    refuse_foreign(&headers)?;
    let now = clock::unix_now();
    let checked = match site.gate.admit_address(origin.address, now) {
        Ok(()) => site.gate.check_second(site.store(), &given.pending, &given.code, now).await,
        Err(locked) => Err(locked),
    };
    let (status, problem) = match checked {
        Ok(user) => {
            site.gate.forgive_address(origin.address);
            return open(&site, &user, &local(&given.next), &origin, now).await;
        }
        Err(AuthError::Code) => (StatusCode::UNAUTHORIZED, "The code is wrong or was used already. Wait for the next one.".to_string()),
        Err(AuthError::Locked(seconds)) => (StatusCode::TOO_MANY_REQUESTS, locked(seconds)),
        Err(AuthError::Link) => {
            let problem = Some("That took too long, or too many codes were tried. Sign in again.".to_string());
            return page(StatusCode::UNAUTHORIZED, SignInPage { form: Form::Password, problem, next: local(&given.next), name: String::new() });
        }
        Err(other) => return Err(other.into()),
    };
    page(status, SignInPage { form: Form::Code(given.pending), problem: Some(problem), next: local(&given.next), name: String::new() })
}

fn locked(seconds: i64) -> String {
    let minutes = usize::try_from((seconds + 59) / 60).unwrap_or(1);
    format!("Too many attempts for this name or from this address; try again in {}.", counted(minutes, "minute", "minutes"))
}

/// That a name is locked is an act of the log, by id; of names that are nobody's nothing is kept.
async fn note_lock(site: &Site, name: &str, now: i64) -> Result<(), PageError> {
    if let Some(user) = site.store().user_by_name(name).await?.filter(|_| name.len() <= auth::MAX_NAME_BYTES)
        && site.gate.tells_lock(name)
    {
        let act = Act { at: now, kind: "locked", person: user.id.to_string(), detail: "too many wrong passwords".into() };
        site.store().put_act(act).await?;
    }
    Ok(())
}

/// `GET /signin/once`: shows the button only, so that a link preview uses nothing up.
pub async fn once_form(State(site): State<Arc<Site>>, Query(given): Query<OneTime>) -> Result<Response, PageError> {
    let is_alive = auth::is_link_alive(site.store(), &given.token, clock::unix_now()).await?;
    let (status, form) = if is_alive { (StatusCode::OK, Form::Link(given.token)) } else { (StatusCode::GONE, Form::Spent) };
    page(status, SignInPage { form, problem: None, next: String::new(), name: String::new() })
}

/// `POST /signin/once`
pub async fn once_submit(State(site): State<Arc<Site>>, origin: Origin, headers: HeaderMap, Body(given): Body<OneTime>) -> Result<Response, PageError> {
    refuse_foreign(&headers)?;
    let now = clock::unix_now();
    match auth::redeem_link(site.store(), &given.token, now).await {
        Ok(user) => begin(&site, &user, "/", &origin, now).await,
        Err(AuthError::Link) => page(StatusCode::GONE, SignInPage { form: Form::Spent, problem: None, next: String::new(), name: String::new() }),
        Err(other) => Err(other.into()),
    }
}

/// `POST /signout`
pub async fn sign_out(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Body(given): Body<FormToken>) -> Result<Response, PageError> {
    refuse_foreign(&headers)?;
    require_token(&visit, &given.form_token)?;
    if let Some(cookie) = cookie_of(&headers, site.cookie_name()) {
        site.gate.close_session(site.store(), &cookie).await?;
    }
    Ok(([(header::SET_COOKIE, site.cookie(""))], Redirect::to("/signin")).into_response())
}

/// Refuses a form that another site sent.
///
/// `Sec-Fetch-Site` decides where the browser sends it; else `Origin` must be ours. A client that
/// sends neither is no browser and carries nobody's cookies.
pub fn refuse_foreign(headers: &HeaderMap) -> Result<(), PageError> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let is_ours = match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, at)| at == host),
        (None, Some(_), None) => false,
        (None, None, _) => true,
    };
    if is_ours { Ok(()) } else { Err(PageError::Forbidden("This form was sent by another site, so nothing was done.".into())) }
}

/// Refuses a form that does not carry the session's token.
pub fn require_token(visit: &Visit, given: &str) -> Result<(), PageError> {
    if given == visit.session.form_token {
        return Ok(());
    }
    Err(PageError::Forbidden("This form belongs to another session, so nothing was done; open the page again and repeat.".into()))
}

/// Asks for the second factor, or opens the session.
async fn begin(site: &Site, user: &RandomId, next: &str, origin: &Origin, now: i64) -> Result<Response, PageError> {
    match site.gate.ask_second(site.store(), user, now).await? {
        Some(pending) => page(StatusCode::OK, SignInPage { form: Form::Code(pending), problem: None, next: next.into(), name: String::new() }),
        None => open(site, user, next, origin, now).await,
    }
}

/// Opens a session: a fresh cookie at each sign-in.
pub(super) async fn open(site: &Site, user: &RandomId, next: &str, origin: &Origin, now: i64) -> Result<Response, PageError> {
    let cookie = site.gate.open_session_from(site.store(), user, origin, now).await?;
    Ok(([(header::SET_COOKIE, site.cookie(&cookie))], Redirect::to(if next.is_empty() { "/" } else { next })).into_response())
}

fn page(status: StatusCode, page: SignInPage) -> Result<Response, PageError> {
    Ok((status, Html(page.render()?)).into_response())
}

/// A path on this site, else the overview: nobody is sent elsewhere after signing in.
fn local(next: &str) -> String {
    let is_local = next.starts_with('/') && !next.starts_with("//") && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_local { next.to_string() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        assert_eq!(local("/hosts?as_of=2026-11-22"), "/hosts?as_of=2026-11-22");
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "javascript:x"] {
            assert_eq!(local(bad), "", "{bad}");
        }
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(n, v)| (axum::http::HeaderName::from_static(n), axum::http::HeaderValue::from_static(v))).collect()
        };
        assert!(refuse_foreign(&headers(&[("sec-fetch-site", "same-origin"), ("origin", "null")])).is_ok());
        assert!(refuse_foreign(&headers(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")])).is_ok());
        assert!(refuse_foreign(&headers(&[])).is_ok());
        for bad in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "null"), ("host", "a")],
            &[("origin", "http://b"), ("host", "a")],
        ] {
            assert!(refuse_foreign(&headers(bad)).is_err(), "{bad:?}");
        }
    }
}
