//! Users, their bounds and tokens, and settings: what pages, API and command line order, done once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api::token;
use super::auth::{self, AuthError, MAX_NAME_BYTES, Role};
use super::store::{Grant, Store, StoreError, TokenRow, UserRow};
use crate::model::ids::{Digest, RandomId};

/// The setting that names the company, as evidence shows it.
pub const COMPANY: &str = "company";
/// Settings that people change, and what each says.
pub const SETTINGS: &[(&str, &str)] = &[
    (COMPANY, "Name of the company, as bundles of evidence show it"),
    (auth::SECOND_FACTOR_ROLES, "Roles that must set up a second factor, divided by spaces"),
];
/// Longest value of a setting, characters.
const MAX_VALUE: usize = 200;
/// Longest name of a token, characters.
const MAX_TOKEN_NAME: usize = 80;
/// Longest life of an enrolment token, days.
const MAX_ENROL_DAYS: u32 = 366;
/// Most hosts that one token may enrol.
const MAX_ENROL_USES: u32 = 100_000;

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No such person, token or setting.
    #[error("there is not {0}")]
    NotFound(String),
    /// What was given makes no sense.
    #[error("{0}")]
    Bad(String),
    /// It may not be done as things stand.
    #[error("{0}")]
    State(String),
    /// Passwords and second factors.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys and random bytes.
    #[error(transparent)]
    Pki(#[from] crate::pki::PkiError),
}

/// A person who may sign in from now on.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewUser {
    /// Name to sign in with.
    pub name: String,
    /// `admin`, `reviewer`, `auditor` or `viewer`.
    pub role: String,
    /// Empty: a one-time link is made.
    pub password: String,
}

/// What is done to a person.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserOrder {
    /// `role`, `remove`, `link`, `password`, `reset-second-factor`, `grant`, `ungrant`, `end-sessions`.
    pub action: String,
    /// Of `role`.
    pub role: String,
    /// Of `password`.
    pub password: String,
    /// Of `grant`: ids, divided by spaces or commas.
    pub frameworks: String,
    /// Of `grant`: first day.
    pub from: String,
    /// Of `grant`: last day.
    pub to: String,
    /// Of `grant`: names of hosts.
    pub hosts: String,
}

/// What an order brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "UserDone")]
pub struct Done {
    /// The person.
    pub user: RandomId,
    /// Token of a one-time link, told once; `None`: there is none.
    pub link: Option<String>,
}

/// A token for a program.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewToken {
    /// What people call it.
    pub name: String,
    /// Within which role; no more than the person's.
    pub role: String,
    /// `1` or `true`: it changes nothing.
    pub read_only: String,
    /// Areas divided by spaces or commas; empty: all.
    pub areas: String,
    /// Days that it is good for; empty: 90.
    pub days: String,
}

/// A token for hosts that enrol.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewEnrolment {
    /// How many hosts it may enrol; empty: 1.
    pub uses: String,
    /// Days that it is good for; empty: 1.
    pub days: String,
}

/// Adds a person.
pub async fn add_user(store: &Store, new: &NewUser, by: &str, now: i64) -> Result<Done, AccountError> {
    let name = new.name.trim();
    check_name(name)?;
    let role = role(&new.role)?;
    if store.user_by_name(name).await?.is_some() {
        return Err(AccountError::State(format!("there is a user {name} already; change the role instead")));
    }
    let password = if new.password.is_empty() { String::new() } else { auth::hash_password(&new.password)? };
    let row = UserRow { id: auth::random_id()?, name: name.into(), role: role.word().into(), password, created_at: now };
    let user = store.put_user(&row, by, now).await?;
    let link = if new.password.is_empty() { Some(auth::issue_link(store, &user, now).await?) } else { None };
    Ok(Done { user, link })
}

/// Changes a person. The last administrator stays one: somebody must be able to let others in.
pub async fn change_user(store: &Store, user: &UserRow, order: &UserOrder, frameworks: &[String], by: &str, now: i64) -> Result<Done, AccountError> {
    let mut done = Done { user: user.id, link: None };
    let gone = || AccountError::NotFound(format!("a user {}", user.name));
    let is_done = match order.action.as_str() {
        "role" => {
            let role = role(&order.role)?;
            if role != Role::Admin {
                not_the_last_admin(store, user).await?;
            }
            store.change_user(&user.name, role.word(), by, now).await?
        }
        "remove" => {
            not_the_last_admin(store, user).await?;
            store.remove_user(&user.name, by, now).await?
        }
        "link" => {
            done.link = Some(auth::issue_link(store, &user.id, now).await?);
            true
        }
        "password" => store.set_password(&user.id, &auth::hash_password(&order.password)?, None, by, now).await?,
        "reset-second-factor" => {
            if !store.remove_second_factor(&user.id, by, now).await? {
                return Err(AccountError::State(format!("{} has no second factor", user.name)));
            }
            true
        }
        "grant" => {
            if Role::of(&user.role) != Role::Auditor {
                return Err(AccountError::State(format!("{} is {}; bounds are for auditors", user.name, user.role)));
            }
            let grant = Grant::parse(&order.frameworks, &order.from, &order.to, &order.hosts, frameworks).map_err(AccountError::Bad)?;
            store.put_grant(&user.id, Some(grant), by, now).await?
        }
        "ungrant" => store.put_grant(&user.id, None, by, now).await?,
        "end-sessions" => {
            store.end_sessions_of(&user.id, None, None, now).await?;
            true
        }
        other => {
            let known = "role, remove, link, password, reset-second-factor, grant, ungrant, end-sessions";
            return Err(AccountError::Bad(format!("action is none of {known}: {other:?}")));
        }
    };
    if is_done { Ok(done) } else { Err(gone()) }
}

/// Another password, by the person who knows the present one.
pub async fn change_password(
    store: &Store,
    gate: &auth::Gate,
    user: &UserRow,
    (present, new): (&str, &str),
    keep: Option<&Digest>,
    now: i64,
) -> Result<(), AccountError> {
    // Who came by a one-time link has none yet.
    if !user.password.is_empty() {
        gate.check_password(store, &user.name, present, now).await?;
    }
    store.set_password(&user.id, &auth::hash_password(new)?, keep, &user.id.to_string(), now).await?;
    Ok(())
}

/// Makes a token for a program; its text is told once.
pub async fn issue_token(store: &Store, user: &UserRow, new: &NewToken, now: i64) -> Result<(TokenRow, String), AccountError> {
    let (role, most) = (role(&new.role)?, Role::of(&user.role));
    if role.at_most(most) != role {
        return Err(AccountError::Bad(format!("{} is {} and can't be given a token of role {}", user.name, most.word(), role.word())));
    }
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > MAX_TOKEN_NAME || name.chars().any(char::is_control) {
        return Err(AccountError::Bad(format!("a token needs a name of up to {MAX_TOKEN_NAME} characters")));
    }
    let areas: Vec<String> = new.areas.split([',', ' ']).filter(|a| !a.is_empty()).map(str::to_string).collect();
    let known = self::areas();
    if let Some(other) = areas.iter().find(|a| !known.contains(&a.as_str())) {
        return Err(AccountError::Bad(format!("{other:?} is no area of the API; there are {}", known.join(", "))));
    }
    let days = number(&new.days, 90, token::MAX_DAYS, "days")?;
    let text = token::generate(role.word())?;
    let digest = token::digest(&text).ok_or_else(|| AccountError::Bad("the token could not be made".into()))?;
    let row = TokenRow {
        id: auth::random_id()?,
        digest,
        user: user.id,
        name: name.into(),
        role: role.word().into(),
        read_only: matches!(new.read_only.as_str(), "1" | "true" | "on"),
        areas,
        created_at: now,
        expires_at: now.saturating_add(i64::from(days) * 86_400),
        used_at: None,
        revoked_at: None,
    };
    store.put_token(&row).await?;
    Ok((row, text))
}

/// Areas of the API that a token can be limited to: the first parts of its addresses.
pub fn areas() -> Vec<&'static str> {
    let mut all: Vec<&str> = super::api::operations().iter().filter_map(|o| o.path.trim_start_matches('/').split('/').next()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Revokes a token: one's own, or as an administrator anybody's.
pub async fn revoke_token(store: &Store, id: &str, of: Option<&RandomId>, by: &str, now: i64) -> Result<TokenRow, AccountError> {
    let missing = || AccountError::NotFound("such a token that lives".into());
    let mut all = store.tokens(of).await?.into_iter().filter(|t| id.len() >= 8 && t.id.to_string().starts_with(id) && t.revoked_at.is_none());
    let (Some(token), None) = (all.next(), all.next()) else { return Err(missing()) };
    if !store.revoke_token(&token.id, by, now).await? {
        return Err(missing());
    }
    Ok(token)
}

/// Makes a token for hosts; what the operator hands to `assay enroll`.
pub async fn issue_enrolment(store: &Store, ca_der: &[u8], new: &NewEnrolment, now: i64) -> Result<String, AccountError> {
    let uses = number(&new.uses, 1, MAX_ENROL_USES, "uses")?;
    let days = number(&new.days, 1, MAX_ENROL_DAYS, "days")?;
    let token = crate::pki::token::Token::generate(ca_der)?;
    store.put_enrolment_token(&token.secret_digest(), uses, now.saturating_add(i64::from(days) * 86_400)).await?;
    Ok(token.to_string())
}

/// Changes a setting; an empty value is the default.
pub async fn set(store: &Store, name: &str, value: &str, by: &str, now: i64) -> Result<(), AccountError> {
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if !SETTINGS.iter().any(|(known, _)| *known == name) {
        let known: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
        return Err(AccountError::NotFound(format!("a setting {name:?}; there are {}", known.join(", "))));
    }
    if value.chars().count() > MAX_VALUE || value.chars().any(char::is_control) {
        return Err(AccountError::Bad(format!("a setting has at most {MAX_VALUE} characters in one line")));
    }
    if name == auth::SECOND_FACTOR_ROLES {
        for word in value.split(' ').filter(|w| !w.is_empty()) {
            role(word)?;
        }
    }
    if store.setting(name).await? != value {
        store.put_setting(name, &value, by, now).await?;
    }
    Ok(())
}

/// A name to sign in with.
pub fn check_name(name: &str) -> Result<(), AccountError> {
    let fits = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    if fits { Ok(()) } else { Err(AccountError::Bad(format!("{name:?} can't be a name to sign in with; use up to {MAX_NAME_BYTES} bytes without spaces"))) }
}

/// The user of an id or a name.
pub async fn find_user(store: &Store, text: &str) -> Result<UserRow, AccountError> {
    let by_id = match text.parse::<RandomId>() {
        Ok(id) => store.user(&id).await?,
        Err(_) => None,
    };
    let found = match by_id {
        Some(user) => Some(user),
        None => store.user_by_name(text).await?,
    };
    found.ok_or_else(|| AccountError::NotFound(format!("a user {text:?}")))
}

async fn not_the_last_admin(store: &Store, user: &UserRow) -> Result<(), AccountError> {
    let is_other = |(u, gone): &(UserRow, Option<i64>)| u.id != user.id && gone.is_none() && Role::of(&u.role) == Role::Admin;
    if Role::of(&user.role) != Role::Admin || store.users().await?.iter().any(is_other) {
        return Ok(());
    }
    Err(AccountError::State(format!("{} is the last admin; make another person admin first", user.name)))
}

fn role(word: &str) -> Result<Role, AccountError> {
    let found = Role::ALL.into_iter().find(|r| r.word() == word);
    found.ok_or_else(|| AccountError::Bad(format!("{word:?} is none of admin, reviewer, auditor, viewer")))
}

fn number(text: &str, default: u32, most: u32, what: &str) -> Result<u32, AccountError> {
    let text = text.trim();
    let number = if text.is_empty() { Some(default) } else { text.parse().ok() };
    number.filter(|n| (1..=most).contains(n)).ok_or_else(|| AccountError::Bad(format!("{what} {text:?} is no number from 1 to {most}")))
}
