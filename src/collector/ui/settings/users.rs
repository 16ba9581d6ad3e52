//! People who sign in: added, changed, bounded, removed.

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
use crate::collector::accounts::{self, Done, NewUser, UserOrder};
use crate::collector::auth::{LINK_SECONDS, MIN_PASSWORD_CHARS, Role};
use crate::collector::store::{Grant, UserRow};

/// A person in the list.
struct Line {
    id: String,
    name: String,
    role: String,
    since: When,
    until: Option<When>,
    factor: &'static str,
    bounds: String,
}

#[derive(Template)]
#[template(path = "settings/users.html")]
struct Users {
    frame: Frame,
    tabs: Vec<Tab>,
    problem: Option<String>,
    lines: Vec<Line>,
    given: NewUser,
}

#[derive(Template)]
#[template(path = "settings/user.html")]
struct User {
    frame: Frame,
    tabs: Vec<Tab>,
    problem: Option<String>,
    id: String,
    name: String,
    role: String,
    since: When,
    has_factor: bool,
    is_auditor: bool,
    grant: Option<Grant>,
    bounds: String,
    frameworks: Vec<(String, String, bool)>,
    sessions: usize,
    tokens: usize,
    least: usize,
}

/// `GET /settings/users`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response, PageError> {
    show(&site, &visit, StatusCode::OK, None, NewUser::default()).await
}

async fn show(site: &Site, visit: &Visit, status: StatusCode, problem: Option<String>, given: NewUser) -> Result<Response, PageError> {
    let store = site.store();
    let mut lines = Vec::new();
    for (user, gone) in store.users().await? {
        let factor = if store.second_factor(&user.id).await?.is_some_and(|f| f.confirmed_at.is_some()) { "on" } else { "off" };
        let bounds = if gone.is_none() && Role::of(&user.role) == Role::Auditor { bounds(site, &user).await?.1 } else { String::new() };
        let (since, until) = (visit.when(user.created_at), gone.map(|at| visit.when(at)));
        lines.push(Line { id: user.id.to_string(), name: shown(&user.name), role: user.role, since, until, factor, bounds });
    }
    let frame = visit.frame(site, "settings", "People who sign in").await?;
    let given = NewUser { password: String::new(), ..given };
    let html = Users { frame, tabs: tabs(visit, "/settings/users"), problem, lines, given };
    Ok((status, Html(html.render()?)).into_response())
}

async fn bounds(site: &Site, user: &UserRow) -> Result<(Option<Grant>, String), PageError> {
    let grant = site.store().grant(&user.id).await?;
    let words = grant.as_ref().map_or_else(|| "without bounds: all frameworks, any day, all hosts".to_string(), Grant::words);
    Ok((grant, words))
}

/// `POST /settings/users`
pub async fn add(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(fields): Form<Fields>) -> Result<Response, PageError> {
    let new: NewUser = form::read(form::accepted(&visit, &headers, fields)?)?;
    match accounts::add_user(site.store(), &new, &visit.session.user.id.to_string(), visit.now).await {
        Ok(done) => told(&site, &visit, new.name.trim(), done).await,
        Err(e) => {
            let (status, problem) = form::refused(e)?;
            show(&site, &visit, status, Some(problem), new).await
        }
    }
}

/// `GET /settings/users/{user}`
pub async fn one(State(site): State<Arc<Site>>, visit: Visit, Path(id): Path<String>) -> Result<Response, PageError> {
    let user = find(&site, &id).await?;
    show_one(&site, &visit, user, StatusCode::OK, None).await
}

async fn find(site: &Site, id: &str) -> Result<UserRow, PageError> {
    accounts::find_user(site.store(), id).await.map_err(|_| PageError::NotFound("This person".into()))
}

async fn show_one(site: &Site, visit: &Visit, user: UserRow, status: StatusCode, problem: Option<String>) -> Result<Response, PageError> {
    let store = site.store();
    let (grant, bounds) = bounds(site, &user).await?;
    let is_in = |id: &str| grant.as_ref().is_some_and(|g| g.frameworks.iter().any(|f| f == id));
    let html = User {
        frame: visit.frame(site, "settings", user.name.as_str()).await?,
        tabs: tabs(visit, "/settings/users"),
        problem,
        id: user.id.to_string(),
        since: visit.when(user.created_at),
        has_factor: store.second_factor(&user.id).await?.is_some(),
        is_auditor: Role::of(&user.role) == Role::Auditor,
        frameworks: site.catalogue().frameworks.iter().map(|f| (f.id.clone(), f.title.clone(), is_in(&f.id))).collect(),
        grant,
        bounds,
        sessions: store.sessions(&user.id, visit.now).await?.len(),
        tokens: store.tokens(Some(&user.id)).await?.iter().filter(|t| t.revoked_at.is_none() && t.expires_at > visit.now).count(),
        least: MIN_PASSWORD_CHARS,
        name: shown(&user.name),
        role: user.role,
    };
    Ok((status, Html(html.render()?)).into_response())
}

/// `POST /settings/users/{user}`
pub async fn act(
    State(site): State<Arc<Site>>,
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    // A form tells each framework that is ticked.
    let mut fields = Fields::new();
    for (name, value) in pairs {
        fields.entry(name).and_modify(|all| *all = format!("{all} {value}")).or_insert(value);
    }
    let order: UserOrder = form::read(form::accepted(&visit, &headers, fields)?)?;
    let user = find(&site, &id).await?;
    let known: Vec<String> = site.catalogue().frameworks.iter().map(|f| f.id.clone()).collect();
    match accounts::change_user(site.store(), &user, &order, &known, &visit.session.user.id.to_string(), visit.now).await {
        Ok(done) if order.action == "remove" => {
            site.app.sequencer.wake();
            drop(done);
            Ok(Redirect::to("/settings/users").into_response())
        }
        Ok(done) => told(&site, &visit, &user.name, done).await,
        Err(e) => {
            let (status, problem) = form::refused(e)?;
            show_one(&site, &visit, user, status, Some(problem)).await
        }
    }
}

/// Back to the person, or the link that is told once.
async fn told(site: &Site, visit: &Visit, name: &str, done: Done) -> Result<Response, PageError> {
    site.app.sequencer.wake();
    let on = format!("/settings/users/{}", done.user);
    let Some(link) = done.link else { return Ok(Redirect::to(&on).into_response()) };
    let once = Once {
        frame: visit.frame(site, "settings", "Sign-in link").await?,
        tabs: tabs(visit, "/settings/users"),
        title: format!("A link for {name}"),
        sentence: format!("It signs in once, within {} minutes, and is shown now and never again. Whoever has it is {name}.", LINK_SECONDS / 60),
        items: vec![("Link".into(), format!("{}/signin/once?token={link}", site.app.people_url))],
        on: ("The person", on),
    };
    once.answer()
}
