//! `/api/v1/findings`: the list of findings as pages show it, and what is decided about them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::Problem;
use super::records::{created, said};
use crate::collector::auth::random_id;
use crate::collector::findings::asked::{AskedError, cause_text, place};
use crate::collector::findings::orders::{self, Review};
use crate::collector::findings::source::{MOST, Source};
use crate::collector::findings::{Asked, Shown, export};
use crate::collector::store::{OpenFilter, SavedView};
use crate::collector::ui::Site;
use crate::model::finding::Verdict;
use crate::model::ids::HostId;
use crate::records::value::{day, midnight};
use crate::records::{Refusal, Scope};

/// Longest name of a view, characters.
pub const MAX_VIEW_NAME: usize = 80;
/// Longest filter of a view, bytes.
pub const MAX_VIEW_QUERY: usize = 2_000;

impl From<AskedError> for Problem {
    fn from(e: AskedError) -> Self {
        match e {
            AskedError::Bad(text) => Self::Parameter(text),
            AskedError::Store(e) => e.into(),
        }
    }
}

/// One finding that is picked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pick {
    host: HostId,
    rule: String,
    #[serde(default)]
    subject: String,
}

/// Who deals with which findings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Assignment {
    /// These findings.
    picked: Vec<Pick>,
    /// Or all that a filter finds, written as an address carries it.
    filter: Option<String>,
    /// Or a standing order: all of a rule, of hosts and subjects, those to come too.
    scope: Option<Wide>,
    owner: String,
    due: String,
    due_days: String,
    cause: String,
    resolution: String,
    note: String,
}

/// The scope of a standing order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wide {
    rule: String,
    #[serde(default = "every")]
    host: String,
    #[serde(default = "every")]
    subject: String,
    #[serde(default)]
    severity: String,
}

fn every() -> String {
    "*".into()
}

/// The last second of the day asked for; `None`: now.
fn as_of(pairs: &[(String, String)], now: i64) -> Result<Option<i64>, Problem> {
    let text = pairs.iter().find(|(n, _)| n == "as_of").map_or("", |(_, v)| v.as_str());
    if text.is_empty() {
        return Ok(None);
    }
    let date = day(text).ok_or_else(|| Problem::Parameter("as_of is no day; write as_of=YYYY-MM-DD".into()))?;
    let end = midnight(date).saturating_add(86_399);
    Ok((end < now).then_some(end))
}

/// `GET /findings`
pub async fn list(State(site): State<Arc<Site>>, caller: Caller, Query(pairs): Query<Vec<(String, String)>>) -> Result<Json<Value>, Problem> {
    let past = as_of(&pairs, caller.now)?;
    let at = past.unwrap_or(caller.now);
    let asked = Asked::read(site.store(), &site.catalogue, &pairs, at, past.is_some()).await?;
    if asked.shown != Shown::Open {
        return Err(Problem::Parameter("the API lists fail, unknown and waived; verdicts of other kinds are in the evidence".into()));
    }
    let source = Source::open(site.store(), &site.catalogue, &asked.filter, past).await?;
    let page = source.page(&asked.filter, asked.after.as_ref()).await?;
    let rows: Vec<Value> = page.rows.iter().map(|row| export::document(row, &site.catalogue)).collect();
    Ok(Json(json!({ "as_of": at, "findings": rows, "next": page.next.as_ref().map(place) })))
}

/// `GET /finding-groups`
pub async fn groups(State(site): State<Arc<Site>>, caller: Caller, Query(pairs): Query<Vec<(String, String)>>) -> Result<Json<Value>, Problem> {
    let past = as_of(&pairs, caller.now)?;
    let at = past.unwrap_or(caller.now);
    let asked = Asked::read(site.store(), &site.catalogue, &pairs, at, past.is_some()).await?;
    let source = Source::open(site.store(), &site.catalogue, &asked.filter, past).await?;
    let (groups, is_more) = source.groups(&asked.filter, asked.page).await?;
    let told: Vec<Value> = groups
        .iter()
        .map(|g| {
            json!({ "cause": cause_text(&g.cause), "rule": g.rule, "title": site.catalogue.title(&g.rule), "verdict": g.verdict.id(), "severity": g.severity.word(),
                "message": g.message, "findings": g.findings, "hosts": g.hosts, "waived": g.waived, "overdue": g.overdue, "oldest": g.oldest, "owner": g.owner, "due": g.due })
        })
        .collect();
    let counted = source.counted(&asked.filter).await?;
    let next = is_more.then_some(asked.page.saturating_add(1));
    Ok(Json(json!({ "as_of": at, "groups": told, "next_page": next, "findings": counted.total, "counted_at_most": MOST, "is_cut": counted.is_cut })))
}

/// `POST /assignments`
pub async fn assign(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let given: Assignment = said(&site, &headers, body).await?;
    let (scopes, severity) = scopes(&site, &caller, &given).await?;
    let values = [
        ("owner", given.owner),
        ("due", given.due),
        ("due_days", given.due_days),
        ("cause", given.cause),
        ("resolution", given.resolution),
        ("note", given.note),
        ("severity", severity),
    ];
    let values: BTreeMap<String, String> = values.into_iter().map(|(n, v)| (n.to_string(), v)).collect();
    let made = orders::handle(site.store(), scopes, &values, &caller.name).await?;
    site.app.sequencer.wake();
    created(made)
}

async fn scopes(site: &Site, caller: &Caller, given: &Assignment) -> Result<(Vec<Scope>, String), Problem> {
    let one = [!given.picked.is_empty(), given.filter.is_some(), given.scope.is_some()].into_iter().filter(|is| *is).count();
    if one != 1 {
        return Err(Problem::Refused(Refusal::Value("name the findings by one of picked, filter and scope".into())));
    }
    if let Some(wide) = &given.scope {
        let scope = Scope { rule: wide.rule.clone(), host: wide.host.clone(), subject: wide.subject.clone(), ..Scope::default() };
        return Ok((vec![scope], wide.severity.clone()));
    }
    let filter = match &given.filter {
        Some(query) => filter_of(site, query, caller.now).await?,
        None => {
            let places = given.picked.iter().map(|p| (p.host, p.rule.clone(), p.subject.clone())).take(orders::MAX_PICKED + 1).collect();
            OpenFilter { at: caller.now, places: Some(places), ..OpenFilter::default() }
        }
    };
    Ok((orders::scopes(&orders::picked(site.store(), &filter).await?), String::new()))
}

/// The open findings that a filter, as an address carries it, finds now.
async fn filter_of(site: &Site, query: &str, now: i64) -> Result<OpenFilter, Problem> {
    let uri = format!("/?{query}").parse().map_err(|_| Problem::Parameter("the filter can’t be read".into()))?;
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri).map_err(|_| Problem::Parameter("the filter can’t be read".into()))?;
    let asked = Asked::read(site.store(), &site.catalogue, &pairs.0, now, false).await?;
    if asked.shown == Shown::Open { Ok(asked.filter) } else { Err(Problem::Parameter("only open findings are assigned: fail, unknown or waived".into())) }
}

/// What somebody says of one finding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    host: HostId,
    rule: String,
    #[serde(default)]
    subject: String,
    text: String,
}

/// `POST /comments`
pub async fn comment(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let said: Comment = said(&site, &headers, body).await?;
    let host = site.store().host(&said.host).await?.ok_or_else(|| Problem::NotFound("this host".into()))?;
    if site.store().history(&host.id, &said.rule, &said.subject).await?.is_empty() {
        return Err(Problem::NotFound("this finding".into()));
    }
    let values = BTreeMap::from([("note".to_string(), said.text)]);
    let made = orders::handle_one(site.store(), (&host.name, &said.rule, &said.subject), &values, &caller.name).await?;
    site.app.sequencer.wake();
    created(vec![made])
}

/// What was looked through.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reviewed {
    #[serde(default)]
    filter: String,
    scope: String,
    #[serde(default)]
    seen: String,
    decision: String,
}

/// `POST /finding-reviews`
pub async fn review(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let said: Reviewed = said(&site, &headers, body).await?;
    let filter = filter_of(&site, &said.filter, caller.now).await?;
    let review = Review { scope: said.scope, decision: said.decision, seen: said.seen };
    let made = orders::sign_off(site.store(), &site.catalogue, &filter, &review, &caller.name).await?;
    site.app.sequencer.wake();
    created(vec![made])
}

/// A baseline to be taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    name: String,
    #[serde(default)]
    note: String,
}

/// `GET /baseline`
pub async fn baseline(State(site): State<Arc<Site>>, caller: Caller) -> Result<Json<Value>, Problem> {
    let taken = site.store().baseline(caller.now).await?;
    let Some((at, name)) = taken else { return Ok(Json(json!({ "baseline": null }))) };
    let count = async |new: bool| {
        let mut filter = OpenFilter { at: caller.now, verdicts: vec![Verdict::Fail, Verdict::Unknown], ..OpenFilter::default() };
        if new {
            filter.news_since = Some(at)
        } else {
            filter.known_since = Some(at)
        }
        Source::Now(site.store()).counted(&filter).await
    };
    let (known, new) = (count(false).await?, count(true).await?);
    Ok(Json(json!({ "baseline": { "at": at, "name": name }, "known": known.total, "new": new.total, "counted_at_most": MOST })))
}

/// `POST /baseline`
pub async fn take(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let taken: Taken = said(&site, &headers, body).await?;
    let made = orders::take_baseline(site.store(), &taken.name, &taken.note, &caller.name).await?;
    site.app.sequencer.wake();
    created(vec![made])
}

/// A view to be kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    name: String,
    filter: String,
    #[serde(default)]
    shared: bool,
}

fn view_document(view: &SavedView, caller: &Caller) -> Value {
    json!({ "id": view.id, "name": view.name, "filter": view.query, "shared": view.shared, "own": caller.user == view.person, "at": view.at })
}

/// `GET /finding-views`
pub async fn views(State(site): State<Arc<Site>>, caller: Caller) -> Result<Json<Value>, Problem> {
    let views = site.store().views(&caller.user).await?;
    Ok(Json(json!({ "views": views.iter().map(|v| view_document(v, &caller)).collect::<Vec<_>>() })))
}

/// `POST /finding-views`
pub async fn keep(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_mean_it(&headers)?;
    let given: View = said(&site, &headers, body).await?;
    filter_of(&site, &given.filter, caller.now).await?;
    let view = view(&given.name, &given.filter, given.shared, &caller)?;
    if !site.store().put_view(&view).await? {
        return Err(Problem::Refused(Refusal::State("too many views are kept: let go of some".into())));
    }
    Ok((axum::http::StatusCode::CREATED, Json(view_document(&view, &caller))).into_response())
}

fn view(name: &str, query: &str, shared: bool, caller: &Caller) -> Result<SavedView, Problem> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_VIEW_NAME || name.chars().any(char::is_control) || query.len() > MAX_VIEW_QUERY {
        return Err(Problem::Refused(Refusal::Value(format!(
            "a view has a name of up to {MAX_VIEW_NAME} characters and a filter of up to {MAX_VIEW_QUERY} bytes"
        ))));
    }
    if shared && !caller.role.may_record() {
        return Err(Problem::Forbidden(format!("the role {} keeps views for itself; sharing needs reviewer or admin", caller.role.word())));
    }
    Ok(SavedView { id: random_id()?, person: caller.user, name: name.into(), query: query.into(), shared, at: caller.now })
}

/// `DELETE /finding-views/{id}`
pub async fn drop_view(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    caller.must_mean_it(&headers)?;
    let gone = || Problem::NotFound("this view of yours".into());
    let id = id.parse().map_err(|_| gone())?;
    if site.store().drop_view(&caller.user, &id).await? { Ok(Json(json!({ "dropped": id }))) } else { Err(gone()) }
}
