//! `/api/v1/users`, `/tokens`, `/enrolment-tokens`, `/settings`: who may do what. The guard has asked for the role.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::problem::Problem;
use super::records::said;
use super::taken::Path;
use crate::collector::accounts::{self, AccountError, Done, NewEnrolment, NewToken, NewUser, SETTINGS, UserOrder};
use crate::collector::auth::Role;
use crate::collector::store::{Grant, TokenRow, UserRow};
use crate::collector::ui::Site;
use crate::model::ids::RandomId;

/// Who signs in, and who once did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Users {
    users: Vec<Person>,
}

/// A person who signs in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Person {
    /// Unix seconds.
    created_at: i64,
    /// Within what an auditor looks; none: without bounds.
    grant: Option<Grant>,
    /// By which the ledger knows the person.
    id: RandomId,
    name: String,
    /// Since when the person signs in no longer, Unix seconds.
    removed_at: Option<i64>,
    role: String,
    /// Whether a second factor is asked for.
    second_factor: bool,
}

/// API tokens.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tokens {
    tokens: Vec<ApiToken>,
}

/// An API token.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ApiToken {
    /// Areas that it opens; empty: all.
    areas: Vec<String>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    expires_at: i64,
    id: RandomId,
    name: String,
    /// Whether it changes nothing.
    read_only: bool,
    /// Unix seconds.
    revoked_at: Option<i64>,
    role: String,
    /// Its text, told once when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Last use, Unix seconds.
    used_at: Option<i64>,
    /// For whom it acts.
    user: RandomId,
}

/// A token that enrols hosts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EnrolmentToken {
    /// Where agents connect.
    collector: String,
    /// For `assay enroll`; told once.
    token: String,
}

/// A token that opens nothing any more.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Revoked {
    revoked: RandomId,
}

/// All settings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Settings {
    settings: Vec<Described>,
}

/// A setting and what it is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DescribedSetting")]
pub struct Described {
    name: String,
    /// Empty: the default.
    value: String,
    /// What it says.
    what: String,
}

/// `GET /users`
pub async fn users(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<Users>, Problem> {
    let mut out = Vec::new();
    for (user, removed_at) in site.store().users().await? {
        out.push(document(&site, &user, removed_at).await?);
    }
    Ok(Json(Users { users: out }))
}

async fn document(site: &Site, user: &UserRow, removed_at: Option<i64>) -> Result<Person, Problem> {
    let second_factor = site.store().second_factor(&user.id).await?.is_some_and(|f| f.confirmed_at.is_some());
    let grant = site.store().grant(&user.id).await?;
    let (name, role) = (user.name.clone(), user.role.clone());
    Ok(Person { created_at: user.created_at, grant, id: user.id, name, removed_at, role, second_factor })
}

/// `GET /users/{user}`
pub async fn user(State(site): State<Arc<Site>>, _caller: Caller, Path(text): Path<String>) -> Result<Json<Person>, Problem> {
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
pub async fn change_user(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path(text): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, Problem> {
    caller.must_mean_it(&headers)?;
    let order: UserOrder = said(&site, &headers, body).await?;
    let user = accounts::find_user(site.store(), &text).await?;
    let known: Vec<String> = site.catalogue().frameworks.iter().map(|f| f.id.clone()).collect();
    let done = accounts::change_user(site.store(), &user, &order, &known, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    Ok(Json(done))
}

/// `POST /enrolment-tokens`
pub async fn enrolment_token(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_mean_it(&headers)?;
    let new: NewEnrolment = said(&site, &headers, body).await?;
    let token = accounts::issue_enrolment(site.store(), site.app.authority.der(), &new, caller.now).await?;
    site.app.sequencer.wake();
    Ok((StatusCode::CREATED, Json(EnrolmentToken { collector: site.app.agents_url.clone(), token })).into_response())
}

fn token_document(row: TokenRow, token: Option<String>) -> ApiToken {
    let TokenRow { id, digest: _, user, name, role, read_only, areas, created_at, expires_at, used_at, revoked_at } = row;
    ApiToken { areas, created_at, expires_at, id, name, read_only, revoked_at, role, token, used_at, user }
}

/// `GET /tokens`
pub async fn tokens(State(site): State<Arc<Site>>, caller: Caller) -> Result<Json<Tokens>, Problem> {
    let whose = (caller.role != Role::Admin).then_some(&caller.id);
    let all = site.store().tokens(whose).await?;
    Ok(Json(Tokens { tokens: all.into_iter().map(|row| token_document(row, None)).collect() }))
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
    Ok((StatusCode::CREATED, Json(token_document(row, Some(text)))).into_response())
}

/// What is done to a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AccessAction")]
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
) -> Result<Json<Revoked>, Problem> {
    caller.must_mean_it(&headers)?;
    let word: Word = said(&site, &headers, body).await?;
    if word.action != "revoke" {
        return Err(AccountError::Bad(format!("action is not revoke: {:?}", word.action)).into());
    }
    let whose = (caller.role != Role::Admin).then_some(&caller.id);
    let token = accounts::revoke_token(site.store(), &id, whose, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    Ok(Json(Revoked { revoked: token.id }))
}

/// `GET /settings`
pub async fn settings(State(site): State<Arc<Site>>, _caller: Caller) -> Result<Json<Settings>, Problem> {
    let now = site.store().settings().await?;
    let described = |(name, what): &(&str, &str)| Described { name: (*name).into(), value: now.get(*name).cloned().unwrap_or_default(), what: (*what).into() };
    Ok(Json(Settings { settings: SETTINGS.iter().map(described).collect() }))
}

/// One setting.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    name: String,
    /// Empty: the default.
    value: String,
}

/// `POST /settings`
pub async fn set(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Json<Setting>, Problem> {
    caller.must_mean_it(&headers)?;
    let setting: Setting = said(&site, &headers, body).await?;
    accounts::set(site.store(), &setting.name, &setting.value, &caller.id.to_string(), caller.now).await?;
    site.app.sequencer.wake();
    let value = site.store().setting(&setting.name).await?;
    Ok(Json(Setting { name: setting.name, value }))
}
