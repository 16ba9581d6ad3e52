//! First start: the one-time link that the collector prints makes the first administrator.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::error::PageError;
use super::form;
use super::signin::{self, refuse_foreign};
use super::site::Site;
use crate::collector::accounts::{self, AccountError};
use crate::collector::auth::{self, MIN_PASSWORD_CHARS, Origin};
use crate::host::clock;

#[derive(Template)]
#[template(path = "setup.html")]
struct Setup {
    token: String,
    is_alive: bool,
    is_done: bool,
    problem: Option<String>,
    name: String,
    company: String,
    least: usize,
}

/// The one-time link.
#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    token: String,
}

/// The first administrator.
#[derive(Deserialize)]
pub struct First {
    token: String,
    name: String,
    password: String,
    again: String,
    #[serde(default)]
    company: String,
}

/// `GET /setup?token=…`
pub async fn page(State(site): State<Arc<Site>>, Query(link): Query<Link>) -> Result<Response, PageError> {
    show(&site, link.token, StatusCode::OK, None, String::new(), String::new()).await
}

async fn show(site: &Site, token: String, status: StatusCode, problem: Option<String>, name: String, company: String) -> Result<Response, PageError> {
    let is_done = site.store().user_count().await? > 0;
    let is_alive = !is_done && auth::is_setup_alive(site.store(), &token, clock::unix_now()).await?;
    let status = if is_alive { status } else { StatusCode::GONE };
    let html = Setup { token: if is_alive { token } else { String::new() }, is_alive, is_done, problem, name, company, least: MIN_PASSWORD_CHARS };
    Ok((status, Html(html.render()?)).into_response())
}

/// `POST /setup`
pub async fn submit(State(site): State<Arc<Site>>, origin: Origin, headers: HeaderMap, Form(first): Form<First>) -> Result<Response, PageError> {
    refuse_foreign(&headers)?;
    let (now, name) = (clock::unix_now(), first.name.trim().to_string());
    if first.password != first.again {
        let problem = Some("The two passwords differ.".to_string());
        return show(&site, first.token, StatusCode::UNPROCESSABLE_ENTITY, problem, name, first.company).await;
    }
    match create(&site, &first, &name, now).await {
        Ok(Some(user)) => {
            site.app.sequencer.wake();
            signin::open(&site, &user, "/enrol", &origin, now).await
        }
        Ok(None) => show(&site, String::new(), StatusCode::GONE, None, String::new(), String::new()).await,
        Err(e) => {
            let (status, problem) = form::refused(e)?;
            show(&site, first.token, status, Some(problem), name, first.company).await
        }
    }
}

/// Makes the administrator; `None`: the link is dead, or somebody was quicker.
async fn create(site: &Site, first: &First, name: &str, now: i64) -> Result<Option<crate::model::ids::RandomId>, AccountError> {
    accounts::check_name(name)?;
    let hash = auth::hash_password(&first.password)?;
    // Everything that can be refused was asked before: the link is used up now.
    if !auth::redeem_setup(site.store(), &first.token, now).await? || site.store().user_count().await? > 0 {
        return Ok(None);
    }
    let id = auth::random_id()?;
    let row = crate::collector::store::UserRow { id, name: name.into(), role: "admin".into(), password: hash, created_at: now };
    let user = site.store().put_user(&row, "first start", now).await?;
    if !first.company.trim().is_empty()
        && let Err(e) = accounts::set(site.store(), accounts::COMPANY, &first.company, &user.to_string(), now).await
    {
        // The person is there and can mend it on the page Settings.
        tracing::warn!("the name of the company was not kept: {e}");
    }
    Ok(Some(user))
}
