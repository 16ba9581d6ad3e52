//! `/api/v1/users`, `/tokens`, `/enrolment-tokens`, `/settings`: who may do what. The guard has asked for the role.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::Problem;
use super::records::said;
use crate::collector::accounts::{self, AccountError, NewEnrolment, NewToken, NewUser, SETTINGS, UserOrder};
use crate::collector::auth::Role;
use crate::collector::store::{TokenRow, UserRow};
use crate::collector::ui::Site;

/// `GET /users`
pub async fn users(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<Value>, Problem> {
    let mut out = Vec::new();
    for (user, removed_at) in site.store().users().await? {
        out.push(document(&site, &user, removed_at).await?);
    }
    Ok(Json(json!({ "users": out })))
}

async fn document(site: &Site, user: &UserRow, removed_at: Option<i64>) -> Result<Value, Problem> {
    let factor = site.store().second_factor(&user.id).await?.is_some_and(|f| f.confirmed_at.is_some());
    let grant = site.store().grant(&user.id).await?;
    Ok(
        json!({ "created_at": user.created_at, "grant": grant, "id": user.id, "name": user.name, "removed_at": removed_at, "role": user.role, "second_factor": factor }),
    )
}

/// `GET /users/{user}`
pub async fn user(State(site): State<Arc<Site>>, _caller: Caller, Path(text): Path<String>) -> Result<Json<Value>, Problem> {
    let user = accounts::find_user(site.store(), &text).await?;
    Ok(Json(document(&site, &user, None).await?))
}

/// `POST /users`
pub async fn add_user(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_mean_it(&headers)?;
    let new: NewUser = said(&site, &headers, body).await?;
    let done = accounts::add_user(site.store(), &new, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    Ok((StatusCode::CREATED, Json(done)).into_response())
}

/// `POST /users/{user}`
pub async fn change_user(State(site): State<Arc<Site>>, caller: Caller, Path(text): Path<String>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_mean_it(&headers)?;
    let order: UserOrder = said(&site, &headers, body).await?;
    let user = accounts::find_user(site.store(), &text).await?;
    let known: Vec<String> = site.catalogue.frameworks.iter().map(|f| f.id.clone()).collect();
    let done = accounts::change_user(site.store(), &user, &order, &known, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    Ok(Json(done).into_response())
}

/// `POST /enrolment-tokens`
pub async fn enrolment_token(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_mean_it(&headers)?;
    let new: NewEnrolment = said(&site, &headers, body).await?;
    let token = accounts::issue_enrolment(site.store(), site.app.authority.der(), &new, caller.now).await?;
    site.app.sequencer.wake();
    Ok((StatusCode::CREATED, Json(json!({ "collector": site.app.agents_url, "token": token }))).into_response())
}

fn token_document(token: &TokenRow) -> Value {
    json!({
        "areas": token.areas, "created_at": token.created_at, "expires_at": token.expires_at, "id": token.id, "name": token.name, "read_only": token.read_only,
        "revoked_at": token.revoked_at, "role": token.role, "used_at": token.used_at, "user": token.user,
    })
}

/// `GET /tokens`
pub async fn tokens(State(site): State<Arc<Site>>, caller: Caller) -> Result<Json<Value>, Problem> {
    let whose = (caller.role != Role::Admin).then_some(&caller.id);
    let all = site.store().tokens(whose).await?;
    Ok(Json(json!({ "tokens": all.iter().map(token_document).collect::<Vec<_>>() })))
}

/// `POST /tokens`: a token makes no token that opens more than itself.
pub async fn issue_token(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_mean_it(&headers)?;
    if caller.session.token.is_some() {
        return Err(Problem::Forbidden("a token makes no other token; sign in, or use the command line".into()));
    }
    let new: NewToken = said(&site, &headers, body).await?;
    let (row, text) = accounts::issue_token(site.store(), &caller.session.user, &new, caller.now).await?;
    site.app.sequencer.wake();
    let mut told = token_document(&row);
    if let Value::Object(map) = &mut told {
        map.insert("token".into(), text.into());
    }
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

/// What is done to a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// One word.
    pub action: String,
}

/// `POST /tokens/{token}`
pub async fn revoke_token(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    caller.must_mean_it(&headers)?;
    let word: Word = said(&site, &headers, body).await?;
    if word.action != "revoke" {
        return Err(AccountError::Bad(format!("action is not revoke: {:?}", word.action)).into());
    }
    let whose = (caller.role != Role::Admin).then_some(&caller.id);
    let token = accounts::revoke_token(site.store(), &id, whose, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    Ok(Json(json!({ "revoked": token.id })))
}

/// `GET /settings`
pub async fn settings(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<Value>, Problem> {
    let now = site.store().settings().await?;
    let all = SETTINGS.iter().map(|(name, what)| json!({ "name": name, "value": now.get(*name).cloned().unwrap_or_default(), "what": what }));
    Ok(Json(json!({ "settings": all.collect::<Vec<_>>() })))
}

/// One setting.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    name: String,
    value: String,
}

/// `POST /settings`
pub async fn set(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Json<Value>, Problem> {
    caller.must_mean_it(&headers)?;
    let setting: Setting = said(&site, &headers, body).await?;
    accounts::set(site.store(), &setting.name, &setting.value, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    Ok(Json(json!({ "name": setting.name, "value": site.store().setting(&setting.name).await? })))
}
