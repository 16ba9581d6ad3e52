//! `/api/v1/search`: one search for everything.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::problem::Problem;
use super::taken::Query;
use crate::collector::search::{Hits, MAX_TEXT, Places, search};
use crate::collector::ui::Site;

/// What is looked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Words, every one of which must be there; at most 200 characters.
    #[schemars(length(min = 1, max = 200))]
    q: String,
}

/// What was found, kind by kind.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SearchResult")]
pub struct Found {
    found: Vec<Hits>,
}

/// `GET /search`
pub async fn find(State(site): State<Arc<Site>>, caller: Caller, Query(wanted): Query<Wanted>) -> Result<Json<Found>, Problem> {
    if wanted.q.trim().is_empty() || wanted.q.chars().count() > MAX_TEXT {
        return Err(Problem::Parameter(format!("q is empty or longer than {MAX_TEXT} characters")));
    }
    let (basis, catalogue) = (site.app.basis.now(), site.catalogue());
    let places = Places { store: site.store(), catalogue: &catalogue, roster: basis.roster.as_deref(), at: caller.now };
    Ok(Json(Found { found: search(places, &wanted.q).await? }))
}
