//! Search: one box for everything.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::text::{brief, counted, shown};
use crate::collector::search::{Hits, Places, search};

/// Characters of a hit.
const MAX_CELL: usize = 200;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    heading: String,
    is_empty: bool,
    found: Vec<Hits>,
    /// Kinds without a hit, and what was compared.
    nothing: Vec<(&'static str, String)>,
}

/// `GET /search?q=…`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let text = visit.parameter("q").trim().to_string();
    let (basis, catalogue) = (site.app.basis.now(), site.catalogue());
    let places = Places { store: site.store(), catalogue: &catalogue, roster: basis.roster.as_deref(), at: visit.at() };
    let all = search(places, &text).await?;
    let total: usize = all.iter().map(|h| h.hits.len()).sum();
    let is_cut = all.iter().any(|h| h.is_cut);
    let nothing = all.iter().filter(|h| h.hits.is_empty()).map(|h| (h.kind.heading(), h.searched.clone())).collect();
    let heading = match (text.is_empty(), total) {
        (true, _) => "Search".into(),
        (_, 0) => format!("Nothing found for “{}”", shown(&text)),
        _ => format!("{}{} for “{}”", counted(total, "hit", "hits"), if is_cut { " and more" } else { "" }, shown(&text)),
    };
    let mut frame = visit.frame(&site, "search", "Search").await?;
    frame.search.clone_from(&text);
    render(&SearchPage { heading, is_empty: text.is_empty(), found: all.into_iter().filter(|h| !h.hits.is_empty()).collect(), nothing, frame })
}
