//! What an auditor was given: days, frameworks, hosts, and the addresses that open within them.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::text::shown;
use super::when::iso_day;

/// Hosts listed.
const MAX_HOSTS: usize = 1000;

#[derive(Template)]
#[template(path = "grant.html")]
struct Granted {
    frame: Frame,
    has_bounds: bool,
    is_auditor: bool,
    days: String,
    frameworks: Vec<(String, String)>,
    hosts: Option<Vec<(String, String)>>,
    more: usize,
    from: String,
    to: String,
    may_export: bool,
}

/// `GET /grant`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let grant = visit.session.grant.clone().unwrap_or_default();
    let (from, to) = grant.span();
    let to = to.min(visit.now);
    let from = if grant.from.is_empty() { to - 89 * super::when::DAY } else { from };
    let catalogue = site.catalogue();
    let inside = catalogue.frameworks.iter().filter(|f| grant.covers_framework(&f.id));
    let mut hosts: Option<Vec<(String, String)>> = None;
    let mut more = 0;
    if !grant.hosts.is_empty() {
        let all = site.store().hosts(visit.as_of).await?;
        let mut mine: Vec<_> = all.into_iter().filter(|h| grant.covers_host(&h.name)).map(|h| (shown(&h.name), h.id.to_string())).collect();
        more = mine.len().saturating_sub(MAX_HOSTS);
        mine.truncate(MAX_HOSTS);
        hosts = Some(mine);
    }
    render(&Granted {
        has_bounds: visit.session.grant.is_some(),
        is_auditor: visit.session.role == crate::collector::auth::Role::Auditor,
        days: match (grant.from.is_empty(), grant.to.is_empty()) {
            (true, true) => "any day".into(),
            (false, true) => format!("from {}", grant.from),
            (true, false) => format!("to {}", grant.to),
            (false, false) => format!("{} to {}, both days included", grant.from, grant.to),
        },
        frameworks: inside.map(|f| (f.id.clone(), f.title.clone())).collect(),
        hosts,
        more,
        from: iso_day(from.min(to)),
        to: iso_day(to),
        may_export: visit.session.role.may_export(),
        frame: visit.frame(&site, "", "What you may see").await?,
    })
}
