//! Hosts here and in the list of hosts that are known elsewhere.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::text::{brief, encode, grouped};
use super::when::When;
use crate::collector::lists::List;
use crate::collector::store::{Store, StoreError};
use crate::evidence::reconcile::{Compared, compare};
use crate::model::ids::Digest;
use crate::model::inventory::{Inventory, Machine};

/// Names of each group that are listed; the rest is counted.
const MAX_LISTED: usize = 500;
/// Longest name, characters.
const MAX_NAME: usize = 80;

/// The inventory and what it says of the hosts here.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which version.
    pub version: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Since when it is in force, Unix seconds.
    pub since: i64,
    /// Why it can't be read; empty when it was.
    pub problem: String,
    /// Its machines.
    pub machines: Vec<Machine>,
    /// Lines without a name, which can't be compared.
    pub unnamed: u64,
    /// What is where.
    pub compared: Compared,
}

/// Compares the hosts with the inventory in force at `at` (Unix seconds); `None`: there is none.
pub async fn known(store: &Store, at: i64) -> Result<Option<Known>, StoreError> {
    let Some(version) = store.list_at(List::Inventory.name(), at).await? else { return Ok(None) };
    let mut out = Known {
        version: version.version,
        digest: version.digest,
        since: version.since,
        problem: String::new(),
        machines: Vec::new(),
        unnamed: 0,
        compared: Compared::default(),
    };
    match version.bytes.map(|bytes| Inventory::parse("inventory", &bytes)) {
        None => out.problem = "the list was erased".into(),
        Some(Err(e)) => out.problem = e.to_string(),
        Some(Ok(list)) => {
            let names: Vec<String> = list.items.iter().map(|m| m.name.clone()).filter(|n| !n.is_empty()).collect();
            out.unnamed = (list.items.len() - names.len()) as u64;
            out.machines = list.items;
            let here = store.host_names(Some(at)).await?;
            let here: Vec<(&str, bool)> = here.iter().map(|(_, name, counts)| (name.as_str(), *counts)).collect();
            out.compared = compare(&here, &names);
        }
    }
    Ok(Some(out))
}

#[derive(Template)]
#[template(path = "known.html")]
struct KnownPage {
    frame: Frame,
    list: Option<ListLine>,
    elsewhere: Vec<Line>,
    elsewhere_more: usize,
    here: Vec<(String, String)>,
    here_more: usize,
    gone: Vec<String>,
    gone_more: usize,
    both: String,
    problem: String,
    unnamed: u64,
}

struct ListLine {
    version: u64,
    since: When,
    lines: String,
}

struct Line {
    name: String,
    os: String,
    owner: String,
    place: String,
    line: u32,
}

/// `GET /hosts/known`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let frame = visit.frame(&site, "hosts", "Known elsewhere").await?;
    let Some(known) = known(site.store(), visit.at()).await? else {
        return render(&KnownPage {
            frame,
            list: None,
            elsewhere: Vec::new(),
            elsewhere_more: 0,
            here: Vec::new(),
            here_more: 0,
            gone: Vec::new(),
            gone_more: 0,
            both: "0".into(),
            problem: String::new(),
            unnamed: 0,
        });
    };
    let Compared { both, only_here, only_listed, retired_listed } = known.compared;
    let rest = |all: usize| all.saturating_sub(MAX_LISTED);
    let line = |name: &String| {
        let machine = known.machines.iter().find(|m| m.name == *name);
        let text = |of: fn(&Machine) -> &str| machine.map_or_else(String::new, |m| brief(of(m), MAX_NAME));
        Line { name: brief(name, MAX_NAME), os: text(|m| &m.os), owner: text(|m| &m.owner), place: text(|m| &m.place), line: machine.map_or(0, |m| m.line) }
    };
    render(&KnownPage {
        frame,
        list: Some(ListLine { version: known.version, since: visit.when(known.since), lines: grouped(known.machines.len() as u64) }),
        elsewhere: only_listed.iter().take(MAX_LISTED).map(line).collect(),
        elsewhere_more: rest(only_listed.len()),
        here: only_here.iter().take(MAX_LISTED).map(|name| (brief(name, MAX_NAME), format!("/hosts?name={}", encode(name)))).collect(),
        here_more: rest(only_here.len()),
        gone: retired_listed.iter().take(MAX_LISTED).map(|name| brief(name, MAX_NAME)).collect(),
        gone_more: rest(retired_listed.len()),
        both: grouped(both.len() as u64),
        problem: known.problem,
        unnamed: known.unnamed,
    })
}
