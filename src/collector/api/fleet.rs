//! `/api/v1/hosts`, `/people`, `/certificates`, `/vulnerabilities`: what the pages of the fleet show.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::Problem;
use super::records::{day_of, said};
use crate::collector::auth::random_id;
use crate::collector::kept::{Kind, severity_of};
use crate::collector::labels::{self, LabelError};
use crate::collector::store::{HostFilter, HostRow, HostState, Label, LabelFilter, Place, offset_of};
use crate::collector::ui::Site;
use crate::collector::ui::compare::pair;
use crate::collector::ui::error::PageError;
use crate::collector::ui::known::known;
use crate::collector::{compare, leavers};
use crate::model::ids::HostId;
use crate::model::labels::HostLabels;
use crate::records::Refusal;

/// Rows of a page.
const ROWS: u32 = 100;
/// Last page that is answered.
const MAX_PAGE: u32 = 10_000;
/// Seconds of a day.
const DAY: i64 = 86_400;
/// Longest filter, bytes.
const MAX_FILTER: usize = 800;
/// Most days that `within` looks ahead.
const MAX_WITHIN: i64 = 36_600;

/// What `GET` may ask of hosts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostsAsked {
    as_of: String,
    page: Option<u32>,
    state: String,
    system: String,
    name: String,
    owner: String,
    purpose: String,
    criticality: String,
    region: String,
    label: String,
}

/// What `GET` may ask of certificates, advisories and people.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    as_of: String,
    page: Option<u32>,
    name: String,
    host: String,
    severity: String,
    within: Option<i64>,
}

/// Which two scans.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Two {
    as_of: String,
    a: String,
    b: String,
}

/// What is said of a host.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Words {
    owner: String,
    purpose: String,
    criticality: String,
    region: String,
    labels: Vec<String>,
}

fn page_of(page: Option<u32>) -> Result<u32, Problem> {
    let page = page.unwrap_or(1);
    if (1..=MAX_PAGE).contains(&page) { Ok(page) } else { Err(Problem::Parameter(format!("page is none of 1 to {MAX_PAGE}"))) }
}

fn bounded(name: &str, text: String) -> Result<String, Problem> {
    if text.len() > MAX_FILTER { Err(Problem::Parameter(format!("{name} is longer than {MAX_FILTER} bytes"))) } else { Ok(text) }
}

fn host_id(text: &str) -> Result<HostId, Problem> {
    text.parse().map_err(|_| Problem::NotFound("this host".into()))
}

async fn existing(site: &Site, text: &str, as_of: Option<i64>) -> Result<HostRow, Problem> {
    let id = host_id(text)?;
    site.store().host_at(&id, as_of).await?.ok_or_else(|| Problem::NotFound("this host".into()))
}

/// A JSON text of our own as its value.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// `GET /hosts`
pub async fn hosts(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<HostsAsked>) -> Result<Json<Value>, Problem> {
    let (as_of, page) = (day_of(&asked.as_of, caller.now)?, page_of(asked.page)?);
    let state = match asked.state.as_str() {
        "" => None,
        word => Some(HostState::of(word).ok_or_else(|| Problem::Parameter("state is none of active, silent, retired, replaced".into()))?),
    };
    let said = [("owner", asked.owner), ("purpose", asked.purpose), ("criticality", asked.criticality), ("region", asked.region), ("label", asked.label)];
    let mut labels = Vec::new();
    for (field, text) in said {
        if !text.is_empty() {
            labels.push((field.to_string(), bounded(field, text)?));
        }
    }
    let (system, text) = (bounded("system", asked.system)?, bounded("name", asked.name)?);
    let filter = HostFilter { as_of, state, counts: None, system, text, labels, offset: offset_of(page, ROWS), limit: ROWS };
    let rows = site.store().hosts_where(&filter).await?;
    let states = site.store().host_states(&filter).await?;
    let ids: Vec<HostId> = rows.iter().map(|h| h.id).collect();
    let names: Vec<&str> = rows.iter().map(|h| h.name.as_str()).collect();
    let (counts, labels) = (site.store().verdict_counts(&ids, as_of).await?, site.store().labels_of(&names, as_of).await?);
    let hosts: Vec<Value> =
        rows.iter().map(|h| host_document(h, labels.get(&h.name.to_ascii_lowercase()), counts.get(&h.id).map(|c| json!(c)).unwrap_or(Value::Null))).collect();
    Ok(Json(json!({ "as_of": as_of.unwrap_or(caller.now), "page": page, "page_rows": ROWS, "states": states, "hosts": hosts })))
}

fn host_document(host: &HostRow, labels: Option<&HostLabels>, verdicts: Value) -> Value {
    let labels = labels.map(|l| json!({ "owner": l.owner, "purpose": l.purpose, "criticality": l.criticality, "region": l.region, "labels": l.labels }));
    json!({ "id": host.id, "name": host.name, "os": host.os, "state": host.state, "enrolled_at": host.enrolled_at, "seen_at": host.seen_at,
        "replaces": host.replaces, "retired_at": host.retired_at, "retired_why": host.retired_why, "labels": labels, "verdicts": verdicts })
}

/// `GET /hosts/{host}`
pub async fn host(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, Query(asked): Query<Two>) -> Result<Json<Value>, Problem> {
    let as_of = day_of(&asked.as_of, caller.now)?;
    let (row, at) = (existing(&site, &id, as_of).await?, as_of.unwrap_or(caller.now));
    let labels = site.store().labels_of(&[&row.name], as_of).await?.into_values().next();
    let counts = site.store().verdict_counts(&[row.id], as_of).await?.remove(&row.id);
    let reports = site.store().reports(Some(&row.id), Some((0, at.saturating_add(1))), ROWS).await?;
    let reports: Vec<Value> = reports
        .iter()
        .filter(|r| r.received <= at)
        .map(|r| json!({ "id": r.id, "kind": r.kind, "window": r.window, "state": r.state, "started": r.started, "finished": r.finished, "received": r.received, "counts": r.counts, "leaf": r.leaf }))
        .collect();
    let mut document = host_document(&row, labels.as_ref(), counts.map(|c| json!(c)).unwrap_or(Value::Null));
    if let Some(document) = document.as_object_mut() {
        document.insert("reports".into(), reports.into());
        document.insert("scan_asked".into(), site.app.scan_requests.of(&row.id).is_some().into());
    }
    Ok(Json(document))
}

/// `GET /hosts/{host}/compare`
pub async fn compared(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, Query(asked): Query<Two>) -> Result<Json<Value>, Problem> {
    let as_of = day_of(&asked.as_of, caller.now)?;
    let row = existing(&site, &id, as_of).await?;
    let found = pair(site.store(), &row.id, (&asked.a, &asked.b), as_of.unwrap_or(caller.now)).await;
    let found = found.map_err(|e| match e {
        PageError::NotFound(_) => Problem::NotFound("this scan of this host".into()),
        other => Problem::Internal(other.to_string()),
    })?;
    let (a, b) = found.ok_or_else(|| Problem::NotFound("a second whole scan of this host".into()))?;
    let differs = compare::compare(site.store(), &row.id, &a, &b).await?;
    Ok(Json(json!({ "host": row.id, "a": a.id, "b": b.id, "a_finished": a.finished, "b_finished": b.finished, "differs": differs })))
}

/// `POST /hosts/{host}/scan`
pub async fn scan(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.must_record(&headers)?;
    let row = existing(&site, &id, None).await?;
    if row.state.is_over() {
        return Err(Refusal::State("the host was taken out; nobody would hear of it".into()).into());
    }
    let id = random_id()?;
    site.app.scan_requests.ask(row.id, id);
    tracing::info!(host = %row.id, by = %caller.id, scan = %id, "a scan was asked for");
    Ok((StatusCode::ACCEPTED, Json(json!({ "host": row.id, "scan": id }))))
}

/// `PUT /hosts/{host}/labels`
pub async fn label(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Result<Json<Value>, Problem> {
    caller.must_record(&headers)?;
    let row = existing(&site, &id, None).await?;
    let Words { owner, purpose, criticality, region, labels } = said(&site, &headers, body).await?;
    let said = HostLabels { host: row.name, owner, purpose, criticality, region, labels, line: 0 };
    let given = labels::set(site.store(), said, &caller.id.to_string(), caller.now).await.map_err(|e| match e {
        LabelError::Store(e) => e.into(),
        LabelError::Refused(text) => Problem::Refused(Refusal::Value(text)),
        unreadable => Problem::Refused(Refusal::State(unreadable.to_string())),
    })?;
    site.app.sequencer.wake();
    Ok(Json(json!({ "version": given.version, "is_new": given.is_new })))
}

/// `GET /known-elsewhere`
pub async fn elsewhere(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Two>) -> Result<Json<Value>, Problem> {
    let at = day_of(&asked.as_of, caller.now)?.unwrap_or(caller.now);
    let found = known(site.store(), at).await?.ok_or_else(|| Problem::NotFound("a list of hosts that are known elsewhere".into()))?;
    Ok(Json(json!({ "as_of": at, "version": found.version, "digest": found.digest, "since": found.since, "problem": found.problem, "unnamed": found.unnamed,
        "enrolled_and_listed": found.compared.both, "never_enrolled": found.compared.only_listed, "not_listed": found.compared.only_here, "taken_out": found.compared.retired_listed })))
}

fn filter(asked: &Asked, as_of: Option<i64>, page: u32) -> Result<LabelFilter, Problem> {
    let host = if asked.host.is_empty() { None } else { Some(host_id(&asked.host)?) };
    let text = bounded("name", asked.name.clone())?;
    Ok(LabelFilter { as_of, text, host, offset: offset_of(page, ROWS), limit: ROWS, ..LabelFilter::default() })
}

fn label_document(label: &Label, name: &str) -> Value {
    json!({ name: label.label, "about": value(&label.about), "hosts": label.hosts, "places": label.rows, "since": label.since,
        "first": label.places.iter().map(place_document).collect::<Vec<_>>() })
}

fn place_document(place: &Place) -> Value {
    json!({ "host": place.host, "name": place.name, "item": place.item, "since": place.since, "until": place.until, "said": value(&place.body) })
}

async fn labelled(site: &Site, caller: &Caller, kind: Kind, name: &str, filter: LabelFilter, page: u32) -> Result<Json<Value>, Problem> {
    let (at, seen) = (filter.as_of.unwrap_or(caller.now), site.store().fleet_seen(kind, filter.as_of).await?);
    let labels = site.store().fleet_labels(kind, &filter).await?;
    let items: Vec<Value> = labels.iter().map(|l| label_document(l, name)).collect();
    Ok(Json(json!({ "as_of": at, "page": page, "page_rows": ROWS, "hosts_seen": seen, "items": items })))
}

async fn places(site: &Site, caller: &Caller, kind: Kind, label: &str, asked: &Asked) -> Result<Json<Value>, Problem> {
    let (as_of, page) = (day_of(&asked.as_of, caller.now)?, page_of(asked.page)?);
    let found = site.store().fleet_label(kind, label, as_of).await?.ok_or_else(|| Problem::NotFound("such a thing in the fleet".into()))?;
    let places = site.store().fleet_places(kind, Some(label), None, as_of, offset_of(page, ROWS), ROWS).await?;
    Ok(Json(
        json!({ "as_of": as_of.unwrap_or(caller.now), "page": page, "page_rows": ROWS, "id": found.label, "about": value(&found.about), "hosts": found.hosts,
        "since": found.since, "places": places.iter().map(place_document).collect::<Vec<_>>() }),
    ))
}

/// `GET /certificates`
pub async fn certificates(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    let (as_of, page) = (day_of(&asked.as_of, caller.now)?, page_of(asked.page)?);
    let mut filter = filter(&asked, as_of, page)?;
    if let Some(days) = asked.within {
        if !(0..=MAX_WITHIN).contains(&days) {
            return Err(Problem::Parameter(format!("within is no number of days up to {MAX_WITHIN}")));
        }
        filter.to = Some(as_of.unwrap_or(caller.now).saturating_add(days * DAY));
    }
    labelled(&site, &caller, Kind::Certificate, "fingerprint", filter, page).await
}

/// `GET /certificates/{fingerprint}`
pub async fn certificate(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    places(&site, &caller, Kind::Certificate, &id, &asked).await
}

/// `GET /tls-versions`
pub async fn versions(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    let (as_of, page) = (day_of(&asked.as_of, caller.now)?, page_of(asked.page)?);
    labelled(&site, &caller, Kind::Tls, "version", filter(&asked, as_of, page)?, page).await
}

/// `GET /vulnerabilities`
pub async fn vulnerabilities(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    let (as_of, page) = (day_of(&asked.as_of, caller.now)?, page_of(asked.page)?);
    let mut filter = LabelFilter { descending: true, ..filter(&asked, as_of, page)? };
    if !asked.severity.is_empty() {
        let (from, to) =
            severity_of(&asked.severity).ok_or_else(|| Problem::Parameter("severity is none of critical, high, medium, low, none, unknown".into()))?;
        (filter.from, filter.to) = (Some(from), Some(to));
    }
    labelled(&site, &caller, Kind::Hole, "advisory", filter, page).await
}

/// `GET /vulnerabilities/{advisory}`
pub async fn vulnerability(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    places(&site, &caller, Kind::Hole, &id, &asked).await
}

/// `GET /people`: who left and still gets in, and how long it took of the others.
pub async fn people(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    let (as_of, page) = (day_of(&asked.as_of, caller.now)?, page_of(asked.page)?);
    let (at, limit) = (as_of.unwrap_or(caller.now), leavers::limit(&site.app.basis.now().policy));
    let inside = site.store().fleet_labels(Kind::Way, &LabelFilter { to: Some(at), ..filter(&asked, as_of, page)? }).await?;
    let mut people = Vec::with_capacity(inside.len());
    for label in &inside {
        let ways = site.store().fleet_places(Kind::Way, Some(&label.label), None, as_of, 0, ROWS).await?;
        people.push(json!({ "person": label.label, "left_at": label.rank, "hosts": label.hosts, "ways_in": label.rows, "is_late": at - label.rank >= limit,
            "first_ways": ways.iter().map(place_document).collect::<Vec<_>>() }));
    }
    let times = leavers::times(site.store(), at, limit).await?;
    let seen = site.store().fleet_seen(Kind::Way, as_of).await?;
    Ok(Json(json!({ "as_of": at, "page": page, "page_rows": ROWS, "limit_seconds": limit, "hosts_seen": seen, "inside": people,
        "time_to_revoke": times.rows, "has_more_leavers": times.more })))
}

/// `GET /people/privileged`
pub async fn privileged(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    let (as_of, page) = (day_of(&asked.as_of, caller.now)?, page_of(asked.page)?);
    labelled(&site, &caller, Kind::Privilege, "who", LabelFilter { descending: true, ..filter(&asked, as_of, page)? }, page).await
}

/// `GET /people/{person}`
pub async fn person(State(site): State<Arc<Site>>, caller: Caller, Path(name): Path<String>, Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    let (as_of, page) = (day_of(&asked.as_of, caller.now)?, page_of(asked.page)?);
    let offset = offset_of(page, ROWS);
    let ways = site.store().fleet_places(Kind::Way, Some(&name), None, as_of, offset, ROWS).await?;
    let rights = site.store().fleet_places(Kind::Privilege, Some(&name), None, as_of, offset, ROWS).await?;
    let at = as_of.unwrap_or(caller.now);
    let known = leavers::roster(site.store(), at).await?.and_then(|r| r.people.into_iter().find(|p| p.person == name));
    if known.is_none() && ways.is_empty() && rights.is_empty() {
        return Err(Problem::NotFound("this person".into()));
    }
    Ok(Json(
        json!({ "as_of": at, "page": page, "page_rows": ROWS, "person": name, "ended_at": known.as_ref().and_then(|p| p.ended_at), "on_roster": known.is_some(),
        "ways_in": ways.iter().map(place_document).collect::<Vec<_>>(), "privileged": rights.iter().map(place_document).collect::<Vec<_>>() }),
    ))
}
