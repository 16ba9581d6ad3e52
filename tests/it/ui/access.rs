//! Who gets in where: every role at every address, bounds, second factors, tokens, first start, audit trail, alerts.

mod accounts;
mod alerts;
mod bounds;
mod matrix;
mod second_factor;
mod start;
mod trail;

use axum::http::{Request, header};
use serde_json::Value;

use super::seed::{self, Seeded};
use super::{Answer, Browser};

/// A form with the session's token.
async fn send(browser: &Browser, path: &str, form: &str) -> Answer {
    let token = token_of(browser).await;
    browser.post(path, &format!("{form}&form_token={token}")).await
}

/// The token that forms of this session carry.
async fn token_of(browser: &Browser) -> String {
    let page = browser.get("/settings/account").await.text;
    page.split("name=\"form_token\" value=\"").nth(1).expect("a form").split('"').next().unwrap().to_string()
}

/// What stands once between two texts.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    text.split(before).nth(1).unwrap_or_else(|| panic!("{before} is missing: {text}")).split(after).next().unwrap()
}

/// An answer of the API to a program.
async fn api(browser: &Browser, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(format!("/api/v1/{path}")).header(header::CONTENT_TYPE, "application/json");
    let request = request.header(header::CONTENT_LENGTH, body.len()).header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = browser.ask(request, body.into()).await;
    (answer.status.as_u16(), serde_json::from_str(&answer.text).unwrap_or(Value::Null))
}

/// Every entry that waits becomes one of the ledger.
async fn sequence(seeded: &mut Seeded) {
    while seeded.task.step().await.unwrap() > 0 {}
}
