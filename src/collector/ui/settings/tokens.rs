//! API tokens: listed, made, revoked. People see their own, administrators all.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::super::error::PageError;
use super::super::form::{self, Fields};
use super::super::frame::{Frame, Visit};
use super::super::site::Site;
use super::super::text::shown;
use super::super::when::When;
use super::{Once, Tab, tabs};
use crate::collector::accounts::{self, NewToken};
use crate::collector::auth::Role;
use crate::model::ids::RandomId;

struct Line {
    id: String,
    name: String,
    of: String,
    role: String,
    scope: String,
    made: When,
    ends: When,
    used: Option<When>,
    state: &'static str,
    is_alive: bool,
}

#[derive(Template)]
#[template(path = "settings/tokens.html")]
struct Tokens {
    frame: Frame,
    tabs: Vec<Tab>,
    problem: Option<String>,
    lines: Vec<Line>,
    roles: Vec<&'static str>,
    areas: Vec<&'static str>,
    sees_all: bool,
}

/// `GET /settings/tokens`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response, PageError> {
    show(&site, &visit, StatusCode::OK, None).await
}

/// Whose tokens a person sees: `None`: everybody's.
fn whose(visit: &Visit) -> Option<&RandomId> {
    (visit.session.role != Role::Admin).then_some(&visit.session.user.id)
}

async fn show(site: &Site, visit: &Visit, status: StatusCode, problem: Option<String>) -> Result<Response, PageError> {
    let names: BTreeMap<RandomId, String> = site.store().users().await?.into_iter().map(|(u, _)| (u.id, u.name)).collect();
    let tokens = site.store().tokens(whose(visit)).await?;
    let line = |t: crate::collector::store::TokenRow| {
        let state = match t.revoked_at {
            Some(_) => "revoked",
            None if t.expires_at <= visit.now => "expired",
            None => "lives",
        };
        let areas = if t.areas.is_empty() { "all areas".to_string() } else { t.areas.join(", ") };
        Line {
            id: t.id.to_string(),
            name: shown(&t.name),
            of: names.get(&t.user).map_or_else(String::new, |n| shown(n)),
            role: t.role,
            scope: format!("{areas}{}", if t.read_only { ", reads only" } else { "" }),
            made: visit.when(t.created_at),
            ends: visit.when(t.expires_at),
            used: t.used_at.map(|at| visit.when(at)),
            state,
            is_alive: state == "lives",
        }
    };
    let own = Role::of(&visit.session.user.role);
    let html = Tokens {
        frame: visit.frame(site, "settings", "API tokens").await?,
        tabs: tabs(visit, "/settings/tokens"),
        problem,
        lines: tokens.into_iter().map(line).collect(),
        roles: Role::ALL.into_iter().filter(|r| r.at_most(own) == *r).map(Role::word).rev().collect(),
        areas: accounts::areas(),
        sees_all: whose(visit).is_none(),
    };
    Ok((status, Html(html.render()?)).into_response())
}

/// `POST /settings/tokens`
pub async fn issue(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(pairs): Form<Vec<(String, String)>>) -> Result<Response, PageError> {
    let mut fields = Fields::new();
    for (name, value) in pairs {
        fields.entry(name).and_modify(|all| *all = format!("{all} {value}")).or_insert(value);
    }
    let new: NewToken = form::read(form::accepted(&visit, &headers, fields)?)?;
    match accounts::issue_token(site.store(), &visit.session.user, &new, visit.now).await {
        Ok((row, text)) => {
            site.app.sequencer.wake();
            let once = Once {
                frame: visit.frame(&site, "settings", "API token").await?,
                tabs: tabs(&visit, "/settings/tokens"),
                title: format!("The token {}", shown(&row.name)),
                sentence: "It is shown now and never again; only its digest is kept. Send it as Authorization: Bearer TOKEN.".into(),
                items: vec![("Token".into(), text)],
                on: ("API tokens", "/settings/tokens".into()),
            };
            once.answer()
        }
        Err(e) => {
            let (status, problem) = form::refused(e)?;
            show(&site, &visit, status, Some(problem)).await
        }
    }
}

/// `POST /settings/tokens/{token}`: revokes it.
pub async fn revoke(
    State(site): State<Arc<Site>>,
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, PageError> {
    form::accepted(&visit, &headers, fields)?;
    let done = accounts::revoke_token(site.store(), &id, whose(&visit), &visit.session.user.id.to_string(), visit.now).await;
    if let Err(e) = done {
        let (status, problem) = form::refused(e)?;
        return show(&site, &visit, status, Some(problem)).await;
    }
    site.app.sequencer.wake();
    Ok(Redirect::to("/settings/tokens").into_response())
}
