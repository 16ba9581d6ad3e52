//! `/api/v1/audit-trail`: ledger entries and logged acts, newest first, a page at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::problem::Problem;
use super::taken::Query;
use crate::collector::trail::{self, Document, Names};
use crate::collector::ui::Site;
use crate::collector::ui::when::{DAY, parse_day};

/// Lines of an answer.
const LINES: u32 = 500;

/// What is asked; empty: anything.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "AskedTrail")]
pub struct Asked {
    /// Kind of entry or act.
    kind: String,
    /// Name or id of a person.
    person: String,
    /// One day, `YYYY-MM-DD`.
    day: String,
    /// What was there at the end of this day, `YYYY-MM-DD`.
    as_of: String,
    /// `before` of an answer: the lines behind it.
    before: String,
}

/// `GET /audit-trail`
pub async fn list(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Document>, Problem> {
    let day = |name: &str, text: &str| parse_day(text).ok_or_else(|| Problem::Parameter(format!("{name} is no day; write {name}=YYYY-MM-DD")));
    let (mut from, mut to) = caller.session.grant.as_ref().map_or((i64::MIN, i64::MAX), |g| g.span());
    to = to.min(caller.now);
    if !asked.as_of.is_empty() {
        to = to.min(day("as_of", &asked.as_of)? + DAY - 1);
    }
    if !asked.day.is_empty() {
        let start = day("day", &asked.day)?;
        (from, to) = (from.max(start), to.min(start + DAY - 1));
    }
    let before = match asked.before.as_str() {
        "" => None,
        text => Some(trail::place(text).ok_or_else(|| Problem::Parameter("before is no place in the trail; take it from an answer".into()))?),
    };
    let names = Names::read(site.store()).await?;
    let lines = site.store().trail(&trail::filter(&asked.kind, &asked.person, (from, to), before, LINES, &names)).await?;
    Ok(Json(trail::document(&lines, &names)))
}
