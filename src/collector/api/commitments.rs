//! `/api/v1/commitments`: a company's own sentences.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::caller::Caller;
use super::problem::Problem;
use super::records::Asked;
use super::taken::{Path, Query};
use crate::collector::commitments::telling::{Known, MOST_VERDICTS, Told, known, told};
use crate::collector::ui::Site;

/// Pages as of a time.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Commitments")]
pub struct Pages {
    /// Unix seconds.
    as_of: i64,
    /// The company's own first.
    pages: Vec<Told>,
}

/// `GET /commitments`
pub async fn list(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Pages>, Problem> {
    let at = asked.at(caller.now)?;
    let known = known(site.store(), at).await?;
    Ok(Json(Pages { as_of: at, pages: tell(&site, &known, at).await? }))
}

/// `GET /commitments/{page}`
pub async fn show(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Json<Told>, Problem> {
    let at = asked.at(caller.now)?;
    let mut known = known(site.store(), at).await?;
    known.retain(|k| k.page.framework.id == id);
    let gone = || Problem::NotFound("this page of commitments".into());
    Ok(Json(tell(&site, &known, at).await?.pop().ok_or_else(gone)?))
}

async fn tell(site: &Site, known: &[Known], at: i64) -> Result<Vec<Told>, Problem> {
    let pages: Vec<_> = known.iter().map(|k| &k.page).collect();
    let basis = site.app.basis.now();
    let (statuses, _) = told(site.store(), &basis.pack, &pages, at, MOST_VERDICTS).await?;
    Ok(known.iter().zip(statuses).map(|(k, sentences)| Told::new(k, sentences)).collect())
}
