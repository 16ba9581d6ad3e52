//! Settings: the collector itself, accounts, people, tokens, where alerts go.

pub mod account;
pub mod alerts;
pub mod tokens;
pub mod users;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde_json::Value;

use super::error::PageError;
use super::form::{self, Fields};
use super::frame::{Frame, Visit};
use super::site::Site;
use super::text::counted;
use super::when::When;
use crate::collector::accounts::{self, SETTINGS};
use crate::collector::auth::Role;
use crate::collector::store::{Engine, Horizon};
use crate::collector::trail::LedgerState;

/// A part of the settings.
pub struct Tab {
    /// Where it is.
    pub path: &'static str,
    /// What people read.
    pub name: &'static str,
    /// Whether it is the one that is shown.
    pub is_here: bool,
}

/// The parts that a role may open.
pub(super) fn tabs(visit: &Visit, here: &str) -> Vec<Tab> {
    let all = [
        ("/settings", "Collector", false),
        ("/settings/account", "My account", false),
        ("/settings/users", "People who sign in", true),
        ("/settings/tokens", "API tokens", false),
        ("/settings/alerts", "Alerts", true),
    ];
    let open = all.into_iter().filter(|(_, _, admin)| !admin || visit.session.role == Role::Admin);
    open.map(|(path, name, _)| Tab { path, name, is_here: path == here }).collect()
}

/// Something that is told once: a link, a token, codes.
#[derive(Template)]
#[template(path = "settings/once.html")]
pub(super) struct Once {
    pub(super) frame: Frame,
    pub(super) tabs: Vec<Tab>,
    pub(super) title: String,
    pub(super) sentence: String,
    pub(super) items: Vec<(String, String)>,
    pub(super) on: (&'static str, String),
}

impl Once {
    pub(super) fn answer(&self) -> Result<Response, PageError> {
        Ok(Html(self.render()?).into_response())
    }
}

#[derive(Template)]
#[template(path = "settings/collector.html")]
struct CollectorPage {
    frame: Frame,
    tabs: Vec<Tab>,
    problem: Option<String>,
    may_set: bool,
    facts: Vec<(&'static str, String)>,
    ledger: LedgerState,
    settings: Vec<(&'static str, &'static str, String)>,
    thresholds: Vec<(String, String)>,
    policy_since: Option<(u64, When)>,
}

/// `GET /settings`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response, PageError> {
    show(&site, &visit, StatusCode::OK, None).await
}

/// `POST /settings`: one setting.
pub async fn submit(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(fields): Form<Fields>) -> Result<Response, PageError> {
    let fields = form::accepted(&visit, &headers, fields)?;
    let value = |name: &str| fields.get(name).map_or("", String::as_str);
    match accounts::set(site.store(), value("name"), value("value"), &visit.session.user.id.to_string(), visit.now).await {
        Ok(()) => {
            site.app.sequencer.wake();
            Ok(Redirect::to("/settings").into_response())
        }
        Err(e) => {
            let (status, problem) = form::refused(e)?;
            show(&site, &visit, status, Some(problem)).await
        }
    }
}

async fn show(site: &Site, visit: &Visit, status: StatusCode, problem: Option<String>) -> Result<Response, PageError> {
    let (app, store) = (&site.app, site.store());
    let now = store.settings().await?;
    let kept = store.horizon().map_or_else(
        || "as long as the store".to_string(),
        |Horizon { facts_days, monthly_facts_days }| {
            format!("{facts_days} days, those of monthly scans {monthly_facts_days} days; verdicts, reports and the ledger stay")
        },
    );
    let engine = match store.engine() {
        Engine::Sqlite => "SQLite",
        Engine::Postgres => "PostgreSQL",
    };
    let facts = vec![
        ("Version", env!("CARGO_PKG_VERSION").to_string()),
        ("Rules", format!("{}, pack {}", counted(app.basis.now().pack.rules.len(), "rule", "rules"), app.basis.now().pack.digest())),
        ("Ledger", app.origin.clone()),
        ("Ledger key", app.verifier.to_string()),
        ("Store", format!("{engine}, {:.1} MiB", store.size().await? as f64 / f64::from(1 << 20))),
        ("Raw facts are kept", kept),
        ("Silent after", super::when::span(store.silence())),
        ("Agents connect to", app.agents_url.clone()),
        ("People connect to", app.people_url.clone()),
    ];
    let thresholds = match serde_json::to_value(&*app.basis.now().policy) {
        Ok(Value::Object(map)) => map.into_iter().map(|(key, value)| (key, told(&value))).collect(),
        _ => Vec::new(),
    };
    let versions = store.list_history("policy").await?;
    let html = CollectorPage {
        frame: visit.frame(site, "settings", "Settings").await?,
        tabs: tabs(visit, "/settings"),
        problem,
        may_set: visit.session.role == Role::Admin,
        facts,
        ledger: LedgerState::of(&app.store, &app.verifier).await?,
        settings: SETTINGS.iter().map(|(name, what)| (*name, *what, now.get(*name).cloned().unwrap_or_default())).collect(),
        thresholds,
        policy_since: versions.iter().max_by_key(|v| v.version).map(|v| (v.version, visit.when(v.since))),
    };
    Ok((status, Html(html.render()?)).into_response())
}

/// A value of the policy in words.
fn told(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        Value::Array(all) if all.is_empty() => "none".into(),
        Value::Array(all) => all.iter().map(told).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map.iter().map(|(k, v)| format!("{k}: {}", told(v))).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}
