//! My account: password, second factor, sessions.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::super::error::PageError;
use super::super::form::{self, Fields};
use super::super::frame::{Frame, Visit};
use super::super::site::Site;
use super::super::text::shown;
use super::super::when::When;
use super::{Once, Tab, tabs};
use crate::collector::accounts::{self, COMPANY};
use crate::collector::auth::{self, AuthError, MIN_PASSWORD_CHARS, SECOND_FACTOR_ROLES, SESSION_IDLE_SECONDS, SESSION_SECONDS};
use crate::collector::second;
use crate::model::ids::Digest;

/// A living session.
struct Line {
    id: String,
    label: String,
    began: When,
    ends: When,
    is_this: bool,
}

/// A second factor that waits for its first code.
struct Pending {
    path: String,
    side: i32,
    secret: String,
}

#[derive(Template)]
#[template(path = "settings/account.html")]
struct Account {
    frame: Frame,
    tabs: Vec<Tab>,
    problem: Option<String>,
    must_enrol: bool,
    is_needed: bool,
    has_password: bool,
    least: usize,
    pending: Option<Pending>,
    confirmed: Option<(When, u64)>,
    sessions: Vec<Line>,
    idle_hours: i64,
    most_hours: i64,
}

/// `GET /settings/account`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response, PageError> {
    show(&site, &visit, StatusCode::OK, None).await
}

async fn show(site: &Site, visit: &Visit, status: StatusCode, problem: Option<String>) -> Result<Response, PageError> {
    let (store, user) = (site.store(), &visit.session.user);
    let factor = store.second_factor(&user.id).await?;
    let confirmed = factor.as_ref().and_then(|f| Some((visit.when(f.confirmed_at?), f.codes_left)));
    let pending = match factor {
        Some(f) if f.confirmed_at.is_none() => pending(site, visit).await?,
        _ => None,
    };
    let line = |s: crate::collector::store::Opened| Line {
        id: s.digest.to_string(),
        label: shown(&s.label),
        began: visit.when(s.began),
        ends: visit.when(s.expires_at),
        is_this: s.digest == visit.session.digest,
    };
    let is_needed = store.setting(SECOND_FACTOR_ROLES).await?.split(' ').any(|w| w == visit.session.role.word());
    let html = Account {
        frame: visit.frame(site, "settings", "My account").await?,
        tabs: tabs(visit, "/settings/account"),
        problem,
        must_enrol: visit.session.must_enrol,
        is_needed,
        has_password: !user.password.is_empty(),
        least: MIN_PASSWORD_CHARS,
        pending,
        confirmed,
        sessions: store.sessions(&user.id, visit.now).await?.into_iter().map(line).collect(),
        idle_hours: SESSION_IDLE_SECONDS / 3600,
        most_hours: SESSION_SECONDS / 3600,
    };
    Ok((status, Html(html.render()?)).into_response())
}

async fn pending(site: &Site, visit: &Visit) -> Result<Option<Pending>, PageError> {
    let user = &visit.session.user;
    let Some(secret) = auth::pending_secret(site.store(), &user.id).await? else { return Ok(None) };
    let company = site.store().setting(COMPANY).await?;
    let issuer = if company.is_empty() { "assay".to_string() } else { format!("assay {company}") };
    let uri = second::uri(&secret, &user.name, &issuer);
    let secret = second::base32(&secret).as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c).into_owned()).collect::<Vec<_>>().join(" ");
    Ok(second::square(&uri).map(|(path, side)| Pending { path, side, secret }))
}

/// `POST /settings/account/password`
pub async fn password(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(fields): Form<Fields>) -> Result<Response, PageError> {
    let fields = form::accepted(&visit, &headers, fields)?;
    let value = |name: &str| fields.get(name).map_or("", String::as_str);
    if value("new") != value("again") {
        return show(&site, &visit, StatusCode::UNPROCESSABLE_ENTITY, Some("The two new passwords differ.".into())).await;
    }
    let (user, keep) = (&visit.session.user, Some(&visit.session.digest));
    match accounts::change_password(site.store(), &site.gate, user, (value("present"), value("new")), keep, visit.now).await {
        Ok(()) => {
            site.app.sequencer.wake();
            Ok(Redirect::to("/settings/account").into_response())
        }
        Err(e) => {
            let (status, problem) = form::refused(e)?;
            show(&site, &visit, status, Some(problem)).await
        }
    }
}

/// `POST /settings/account/second-factor`: begin, confirm, cancel, remove.
pub async fn second_factor(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(fields): Form<Fields>) -> Result<Response, PageError> {
    let fields = form::accepted(&visit, &headers, fields)?;
    let value = |name: &str| fields.get(name).map_or("", String::as_str);
    let (store, user, by) = (site.store(), &visit.session.user.id, visit.session.user.id.to_string());
    let done = match value("action") {
        "begin" => auth::begin_second_factor(store, user).await.and_then(|begun| if begun { Ok(None) } else { Err(AuthError::Link) }),
        "confirm" => auth::confirm_second_factor(store, user, value("code"), Some(&visit.session.digest), &by, visit.now).await.map(Some),
        // Only what is asked for needs its own code to go.
        "cancel" if auth::pending_secret(store, user).await?.is_some() => Ok(store.remove_second_factor(user, &by, visit.now).await.map(|_| None)?),
        "remove" => match site.gate.check_code(store, user, value("code"), visit.now).await {
            Ok(()) => Ok(store.remove_second_factor(user, &by, visit.now).await.map(|_| None)?),
            Err(e) => Err(e),
        },
        _ => Err(AuthError::Link),
    };
    site.app.sequencer.wake();
    match done {
        Ok(None) => Ok(Redirect::to("/settings/account#second-factor").into_response()),
        Ok(Some(codes)) => {
            let once = Once {
                frame: visit.frame(&site, "settings", "Recovery codes").await?,
                tabs: tabs(&visit, "/settings/account"),
                title: "The second factor is on; keep these codes".into(),
                sentence: "Each signs you in once when the authenticator is gone. They are shown now and never again; only their digests are kept.".into(),
                items: vec![("Recovery codes".into(), codes.join("\n"))],
                on: ("My account", "/settings/account".into()),
            };
            once.answer()
        }
        Err(e) => {
            let (status, problem) = form::by_gate(e)?;
            show(&site, &visit, status, Some(problem)).await
        }
    }
}

/// `POST /settings/account/sessions`: end one, or all but this.
pub async fn sessions(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(fields): Form<Fields>) -> Result<Response, PageError> {
    let fields = form::accepted(&visit, &headers, fields)?;
    let one = match fields.get("session") {
        Some(text) => Some(text.parse::<Digest>().map_err(|_| PageError::Bad("That is no session.".into()))?),
        None => None,
    };
    site.store().end_sessions_of(&visit.session.user.id, one.as_ref(), Some(&visit.session.digest), visit.now).await?;
    Ok(Redirect::to("/settings/account#sessions").into_response())
}
