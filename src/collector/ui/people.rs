//! People who left and what they still have; who may do more than ordinary.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::certificates::count;
use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::paging::{self, Pager, ROWS};
use super::sight::{self, Sights};
use super::site::Site;
use super::text::{brief, counted, encode, shown};
use super::when::{DAY, When, span};
use crate::collector::kept::{Kind, PrivilegeBody, WayBody};
use crate::collector::leavers;
use crate::collector::lists::List;
use crate::collector::store::{Label, LabelFilter, Place, offset_of};
use crate::evidence::paper::Leaver;
use crate::evidence::plots;

/// Ways in that are listed under one person; the rest is counted.
const MAX_WAYS: u32 = 8;
/// Revocations that are listed, newest first.
const MAX_REVOKED: usize = 50;
/// Approvals that are looked up.
const MAX_APPROVALS: usize = 500;
/// Longest name in a row, characters.
const MAX_NAME: usize = 80;

#[derive(Template)]
#[template(path = "people.html")]
struct People {
    frame: Frame,
    heading: String,
    has_roster: bool,
    roster: Option<RosterLine>,
    limit_days: i64,
    inside: Vec<Inside>,
    pager: Pager,
    revoked: Vec<Revoked>,
    more_revoked: usize,
    defs: &'static str,
    plot: Option<String>,
    more_leavers: bool,
    sights: Sights,
    is_allowed: bool,
}

struct RosterLine {
    version: u64,
    rows: String,
    digest: String,
    since: When,
}

/// A person who left and still gets in.
struct Inside {
    person: String,
    path: String,
    left: When,
    days: i64,
    is_late: bool,
    hosts: String,
    ways: Vec<Way>,
    more: bool,
}

struct Way {
    host: String,
    path: String,
    what: String,
    account: String,
    matched_by: String,
    since: When,
}

/// A way in that was closed.
struct Revoked {
    person: String,
    path: String,
    host: String,
    host_path: String,
    between: (Option<When>, When),
    took: String,
    class: &'static str,
    word: &'static str,
}

/// `GET /people`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let page = paging::page_of(&visit)?;
    let (store, policy) = (site.store(), site.app.basis.now().policy.clone());
    let (limit, at) = (leavers::limit(&policy), visit.at());
    let filter = LabelFilter { as_of: visit.as_of, to: Some(at), offset: offset_of(page, ROWS), limit: ROWS + 1, ..LabelFilter::default() };
    let mut labels = store.fleet_labels(Kind::Way, &filter).await?;
    let read = labels.len();
    labels.truncate(ROWS as usize);
    let mut inside = Vec::with_capacity(labels.len());
    for label in &labels {
        inside.push(person_inside(&site, &visit, label, limit).await?);
    }
    let times = leavers::times(store, at, limit).await?;
    let roster = store.list_at(List::Roster.name(), at).await?;
    let mut rows: Vec<_> = times.rows.iter().filter(|r| r.first_gone.is_some()).collect();
    rows.sort_by_key(|r| std::cmp::Reverse(r.first_gone));
    let all = everybody_who_left(&site, at, &times.leavers, limit).await?;
    let late = inside.iter().filter(|i| i.is_late).count();
    let more = if read > ROWS as usize { " or more" } else { "" };
    let heading = match (read.min(ROWS as usize), late) {
        (0, _) => "Nobody who left is known to get in".into(),
        (1, late) => format!("1 person who left still gets in, {}", if late == 0 { "within the limit" } else { "past the limit" }),
        (n, 0) => format!("{}{more} who left still get in, within the limit", counted(n, "person", "people")),
        (n, late) => format!("{}{more} who left still get in, {late} past the limit", counted(n, "person", "people")),
    };
    render(&People {
        heading,
        has_roster: roster.is_some(),
        roster: roster.map(|v| RosterLine { version: v.version, rows: super::text::grouped(v.rows), digest: v.digest.to_string(), since: visit.when(v.since) }),
        limit_days: limit / DAY,
        pager: Pager::new(&visit, page, read, None, "people"),
        inside,
        more_revoked: rows.len().saturating_sub(MAX_REVOKED),
        revoked: rows.into_iter().take(MAX_REVOKED).map(|r| revoked(&visit, r)).collect(),
        defs: plots::DEFS,
        plot: plots::revocations(&all),
        more_leavers: times.more,
        sights: sight::sights(&site, &visit, Kind::Way).await?,
        is_allowed: visit.session.role.may_record() && visit.as_of.is_none(),
        frame: visit.frame(&site, "people", "People").await?,
    })
}

async fn person_inside(site: &Site, visit: &Visit, label: &Label, limit: i64) -> Result<Inside, PageError> {
    let places = site.store().fleet_places(Kind::Way, Some(&label.label), None, visit.as_of, 0, MAX_WAYS).await?;
    let since_end = visit.at().saturating_sub(label.rank);
    Ok(Inside {
        person: brief(&label.label, MAX_NAME),
        path: format!("/people/{}", encode(&label.label)),
        left: visit.when(label.rank.saturating_sub(1)),
        days: since_end.div_euclid(DAY) + 1,
        is_late: since_end.div_euclid(DAY) + 1 > limit / DAY,
        hosts: count(label.hosts),
        more: label.rows.more || label.rows.n > places.len() as u64,
        ways: places.iter().map(|p| way(visit, p)).collect(),
    })
}

fn way(visit: &Visit, place: &Place) -> Way {
    let body: WayBody = serde_json::from_str(&place.body).unwrap_or_default();
    Way {
        host: brief(&place.name, MAX_NAME),
        path: format!("/hosts/{}", place.host),
        what: if body.kind == "database role" { format!("database role {}", shown(&body.detail)) } else { shown(&body.detail) },
        account: shown(&body.account),
        matched_by: shown(&body.matched_by),
        since: visit.when(place.since),
    }
}

fn revoked(visit: &Visit, row: &crate::evidence::paper::Revocation) -> Revoked {
    let most = row.at_most.unwrap_or(row.at_least);
    let limit = row.limit.unwrap_or(i64::MAX);
    let (class, word) = match (row.at_least > limit, most <= limit) {
        (true, _) => ("fail", "late"),
        (_, true) => ("pass", "in time"),
        _ => ("unknown", "in time or late"),
    };
    Revoked {
        person: brief(&row.person, MAX_NAME),
        path: format!("/people/{}", encode(&row.person)),
        host: brief(&row.name, MAX_NAME),
        host_path: format!("/hosts/{}", row.host),
        between: (row.last_seen.map(|s| visit.when(s)), visit.when(row.first_gone.unwrap_or(visit.at()))),
        took: if row.at_least == most { span(most) } else { format!("{} to {}", span(row.at_least), span(most)) },
        class,
        word,
    }
}

/// Everybody of the roster who left: those of whom no way in was ever seen are counted, too.
async fn everybody_who_left(site: &Site, at: i64, had: &[Leaver], limit: i64) -> Result<Vec<Leaver>, PageError> {
    let mut all = had.to_vec();
    let Some(roster) = leavers::roster(site.store(), at).await? else { return Ok(all) };
    for person in roster.people {
        let Some(left_at) = person.ended_at.filter(|ended| *ended <= at) else { continue };
        if !had.iter().any(|l| l.person == person.person) {
            let leaver = Leaver { person: person.person, left_at, seen: 0, open: 0, unknown: 0, never: 1, at_least: 0, at_most: Some(0), limit: Some(limit) };
            all.push(leaver);
        }
    }
    Ok(all)
}

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    frame: Frame,
    name: String,
    left: Option<When>,
    is_gone: bool,
    full_name: String,
    ways: Vec<Way>,
    pager: Pager,
    past: Vec<Past>,
    rights: Vec<Right>,
    is_known: bool,
}

struct Past {
    host: String,
    path: String,
    what: String,
    since: When,
    until: When,
}

struct Right {
    host: String,
    path: String,
    access: String,
    detail: String,
    approved: String,
    line: u32,
    since: When,
}

/// `GET /people/{person}`
pub async fn person(State(site): State<Arc<Site>>, Path(name): Path<String>, visit: Visit) -> Page {
    let page = paging::page_of(&visit)?;
    let store = site.store();
    let roster = leavers::roster(store, visit.at()).await?;
    let known = roster.and_then(|r| r.people.into_iter().find(|p| p.person == name));
    let ways = store.fleet_label(Kind::Way, &name, visit.as_of).await?;
    let rights = store.fleet_label(Kind::Privilege, &name, visit.as_of).await?;
    if known.is_none() && ways.is_none() && rights.is_none() {
        return Err(PageError::NotFound("That person".into()));
    }
    let mut places = store.fleet_places(Kind::Way, Some(&name), None, visit.as_of, offset_of(page, ROWS), ROWS + 1).await?;
    let rights = store.fleet_places(Kind::Privilege, Some(&name), None, visit.as_of, offset_of(page, ROWS), ROWS + 1).await?;
    let read = places.len().max(rights.len());
    places.truncate(ROWS as usize);
    let past = store.fleet_history(Kind::Way, &name, ROWS).await?;
    let past = past.into_iter().filter_map(|p| {
        let until = p.until.filter(|until| *until <= visit.at())?;
        let body: WayBody = serde_json::from_str(&p.body).unwrap_or_default();
        Some(Past {
            host: brief(&p.name, MAX_NAME),
            path: format!("/hosts/{}", p.host),
            what: shown(&body.detail),
            since: visit.when(p.since),
            until: visit.when(until),
        })
    });
    let ended = known.as_ref().and_then(|p| p.ended_at).or(ways.as_ref().map(|w| w.rank)).filter(|at| *at > 0);
    render(&PersonPage {
        frame: visit.frame(&site, "people", brief(&name, MAX_NAME)).await?,
        left: ended.map(|at| visit.when(at.saturating_sub(1))),
        is_gone: ended.is_some_and(|at| at <= visit.at()),
        full_name: known.as_ref().map_or_else(String::new, |p| shown(&p.full_name)),
        is_known: known.is_some(),
        pager: Pager::new(&visit, page, read, None, "places"),
        ways: places.iter().map(|p| way(&visit, p)).collect(),
        past: past.collect(),
        rights: rights.iter().take(ROWS as usize).map(|p| right(&visit, p)).collect(),
        name: shown(&name),
    })
}

fn right(visit: &Visit, place: &Place) -> Right {
    let body: PrivilegeBody = serde_json::from_str(&place.body).unwrap_or_default();
    Right {
        host: brief(&place.name, MAX_NAME),
        path: format!("/hosts/{}", place.host),
        access: shown(&body.access),
        detail: shown(&body.detail),
        approved: body.approved,
        line: body.line,
        since: visit.when(place.since),
    }
}

#[derive(Template)]
#[template(path = "privileged.html")]
struct Privileged {
    frame: Frame,
    has_list: bool,
    text: String,
    rows: Vec<Holder>,
    pager: Pager,
    unused: Vec<(String, String, String, u32)>,
    approvals: usize,
    looked_at: usize,
    sights: Sights,
}

/// Somebody with more than ordinary rights.
struct Holder {
    who: String,
    path: String,
    is_known: bool,
    access: String,
    hosts: String,
    unapproved: u64,
    expired: u64,
    first: Vec<(String, String)>,
}

/// `GET /people/privileged`
pub async fn privileged(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let page = paging::page_of(&visit)?;
    let store = site.store();
    let text = paging::filter_of(&visit, "name")?;
    let filter =
        LabelFilter { as_of: visit.as_of, text: text.clone(), descending: true, offset: offset_of(page, ROWS), limit: ROWS + 1, ..LabelFilter::default() };
    let mut labels = store.fleet_labels(Kind::Privilege, &filter).await?;
    let read = labels.len();
    labels.truncate(ROWS as usize);
    let mut rows = Vec::with_capacity(labels.len());
    for label in &labels {
        rows.push(holder(&site, &visit, label).await?);
    }
    let approvals = leavers::approvals(store, visit.at()).await?;
    let unused = match &approvals {
        Some(list) if page == 1 && text.is_empty() => leavers::unused(store, list, visit.as_of, MAX_APPROVALS).await?,
        _ => Vec::new(),
    };
    let all = approvals.as_ref().map_or(0, |list| list.items.len());
    render(&Privileged {
        has_list: approvals.is_some(),
        rows,
        pager: Pager::new(&visit, page, read, None, "people, accounts and keys"),
        unused: unused.into_iter().map(|(person, access, host, line)| (brief(&person, MAX_NAME), shown(&access), brief(&host, MAX_NAME), line)).collect(),
        approvals: all,
        looked_at: all.min(MAX_APPROVALS),
        sights: sight::sights(&site, &visit, Kind::Privilege).await?,
        frame: visit.frame(&site, "people", "Privileged access").await?,
        text,
    })
}

async fn holder(site: &Site, visit: &Visit, label: &Label) -> Result<Holder, PageError> {
    let places = site.store().fleet_places(Kind::Privilege, Some(&label.label), None, visit.as_of, 0, ROWS).await?;
    let bodies: Vec<PrivilegeBody> = places.iter().map(|p| serde_json::from_str(&p.body).unwrap_or_default()).collect();
    let mut access: Vec<&str> = bodies.iter().map(|b| b.access.as_str()).collect();
    access.sort_unstable();
    access.dedup();
    let with = |word: &str| bodies.iter().filter(|b| b.approved == word).count() as u64;
    Ok(Holder {
        who: brief(&label.label, MAX_NAME),
        path: format!("/people/{}", encode(&label.label)),
        is_known: label.rank > 0,
        access: brief(&access.join(", "), MAX_NAME),
        hosts: count(label.hosts),
        unapproved: with("no"),
        expired: with("expired"),
        first: places.iter().take(3).map(|p| (brief(&p.name, MAX_NAME), format!("/hosts/{}", p.host))).collect(),
    })
}
