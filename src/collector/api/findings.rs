//! `/api/v1/findings`: the list of findings as pages show it, by page and by root cause, and its saved filters.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::problem::Problem;
use super::records::{said, second_of};
use super::taken::{Path, Query};
use crate::collector::auth::random_id;
use crate::collector::findings::asked::{AskedError, cause_text, place};
use crate::collector::findings::export::FindingDocument;
use crate::collector::findings::source::{MOST, Source};
use crate::collector::findings::{Asked, Shown};
use crate::collector::store::{OpenFilter, SavedView};
use crate::collector::ui::Site;
use crate::model::ids::RandomId;
use crate::records::Refusal;

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

/// Which open findings, as the address of the page of findings says it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "FindingsQuery")]
pub struct Wanted {
    /// A day, `YYYY-MM-DD`: as it stood at its end; otherwise now.
    #[schemars(extend("format" = "date"))]
    as_of: String,
    /// `fail`, `unknown` or `waived`; otherwise fail and unknown.
    verdict: String,
    /// `critical`, `high`, `medium`, `low` or `info`.
    severity: String,
    /// First word of the ids of rules, such as `tls`.
    area: String,
    /// Id of a rule.
    rule: String,
    /// `FRAMEWORK:CONTROL`: rules that a control names.
    control: String,
    /// Id of a host.
    host: String,
    /// A label of hosts.
    label: String,
    /// Who deals with them; `(nobody)`: nobody does.
    owner: String,
    /// `week`, `month`, `quarter` or `older`: open for under 7, up to 30, up to 90, more days.
    age: String,
    /// `overdue`.
    due: String,
    /// `new` or `known` since the baseline in force.
    baseline: String,
    /// A root cause.
    cause: String,
    /// Words that rule, title, subject, message or name of the host hold.
    q: String,
    /// Where the page begins: what the one before calls `next`.
    after: String,
    /// Which page of root causes, from 1.
    page: String,
}

impl Wanted {
    /// As pairs of an address.
    fn pairs(self) -> Vec<(String, String)> {
        let all = [
            ("verdict", self.verdict),
            ("severity", self.severity),
            ("area", self.area),
            ("rule", self.rule),
            ("control", self.control),
            ("host", self.host),
            ("label", self.label),
            ("owner", self.owner),
            ("age", self.age),
            ("due", self.due),
            ("baseline", self.baseline),
            ("cause", self.cause),
            ("q", self.q),
            ("after", self.after),
            ("page", self.page),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_string(), value)).collect()
    }
}

/// A page of open findings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// Unix seconds.
    as_of: i64,
    findings: Vec<FindingDocument>,
    /// Where the next page begins; null: this is the last.
    next: Option<String>,
}

/// A page of root causes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Grouped {
    /// Unix seconds.
    as_of: i64,
    /// Findings that were grouped and counted at most: the worst.
    counted_at_most: u32,
    /// Findings that were counted.
    findings: u64,
    groups: Vec<Cause>,
    /// Whether there are more findings than were counted.
    is_cut: bool,
    /// Which page follows; null: none.
    next_page: Option<u32>,
}

/// Findings whose rule, verdict and cause are the same.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cause {
    /// Stands for it in a filter.
    cause: String,
    /// First second too late of the earliest, Unix; null: no day was set.
    due: Option<i64>,
    findings: u64,
    hosts: u64,
    /// What one of them says.
    message: String,
    /// Since when the oldest holds, Unix seconds.
    oldest: i64,
    /// How many are past their day.
    overdue: u64,
    /// Owner of all of them; empty: nobody; null: several, or of some only.
    owner: Option<String>,
    rule: String,
    severity: String,
    title: String,
    verdict: String,
    /// How many of them are waived.
    waived: u64,
}

/// What a caller asks for, and of which past day.
async fn asked(site: &Site, caller: &Caller, mut wanted: Wanted) -> Result<(Asked, Option<i64>), Problem> {
    let at = second_of(&std::mem::take(&mut wanted.as_of), caller.now)?;
    let past = (at < caller.now).then_some(at);
    let asked = Asked::read(site.store(), &site.catalogue(), &wanted.pairs(), at, past.is_some()).await?;
    if asked.shown != Shown::Open {
        return Err(Problem::Parameter("verdict is none of fail, unknown and waived: other verdicts are in the evidence".into()));
    }
    Ok((asked, past))
}

/// `GET /findings`
pub async fn list(State(site): State<Arc<Site>>, caller: Caller, Query(wanted): Query<Wanted>) -> Result<Json<Listed>, Problem> {
    let (asked, past) = asked(&site, &caller, wanted).await?;
    let source = Source::open(site.store(), &site.catalogue(), &asked.filter, past).await?;
    let page = source.page(&asked.filter, asked.after.as_ref()).await?;
    let findings = page.rows.iter().map(|row| FindingDocument::of(row, &site.catalogue())).collect();
    Ok(Json(Listed { as_of: asked.filter.at, findings, next: page.next.as_ref().map(place) }))
}

/// `GET /finding-groups`
pub async fn groups(State(site): State<Arc<Site>>, caller: Caller, Query(wanted): Query<Wanted>) -> Result<Json<Grouped>, Problem> {
    let (asked, past) = asked(&site, &caller, wanted).await?;
    let source = Source::open(site.store(), &site.catalogue(), &asked.filter, past).await?;
    let (groups, is_more) = source.groups(&asked.filter, asked.page).await?;
    let counted = source.counted(&asked.filter).await?;
    let cause = |g: crate::collector::store::Group| Cause {
        cause: cause_text(&g.cause),
        due: g.due,
        findings: g.findings,
        hosts: g.hosts,
        message: g.message,
        oldest: g.oldest,
        overdue: g.overdue,
        owner: g.owner,
        title: site.catalogue().title(&g.rule).to_string(),
        rule: g.rule,
        severity: g.severity.word().into(),
        verdict: g.verdict.id().into(),
        waived: g.waived,
    };
    Ok(Json(Grouped {
        as_of: asked.filter.at,
        counted_at_most: MOST,
        findings: counted.total,
        groups: groups.into_iter().map(cause).collect(),
        is_cut: counted.is_cut,
        next_page: is_more.then_some(asked.page.saturating_add(1)),
    }))
}

/// The open findings that a filter, written as the query of an address, finds now.
pub async fn filter_of(site: &Site, query: &str, now: i64) -> Result<OpenFilter, Problem> {
    let unreadable = || Problem::Parameter("the filter can’t be read: write it as the query of an address".into());
    let uri = format!("/?{query}").parse().map_err(|_| unreadable())?;
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).map_err(|_| unreadable())?;
    let asked = Asked::read(site.store(), &site.catalogue(), &pairs.0, now, false).await?;
    if asked.shown == Shown::Open {
        Ok(asked.filter)
    } else {
        Err(Problem::Parameter("the filter names a verdict that is none of fail, unknown and waived".into()))
    }
}

/// Saved filters.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Views {
    views: Vec<View>,
}

/// A saved filter.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FindingView")]
pub struct View {
    /// When it was saved, Unix seconds.
    at: i64,
    /// The filter, as the query of an address.
    filter: String,
    id: RandomId,
    name: String,
    /// Whether the caller keeps it.
    own: bool,
    /// Whether everybody sees it.
    shared: bool,
}

/// A filter to be saved.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewFindingView")]
pub struct NewView {
    /// Up to 80 characters; the caller's own view of this name is replaced.
    name: String,
    /// As the query of an address.
    filter: String,
    /// Whether everybody sees it; needs reviewer or admin.
    #[serde(default)]
    shared: bool,
}

/// A view that is gone.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DroppedView")]
pub struct Dropped {
    dropped: RandomId,
}

impl View {
    fn of(view: SavedView, caller: &Caller) -> Self {
        Self { at: view.at, filter: view.query, id: view.id, name: view.name, own: caller.id == view.person, shared: view.shared }
    }
}

/// `GET /finding-views`
pub async fn views(State(site): State<Arc<Site>>, caller: Caller) -> Result<Json<Views>, Problem> {
    let views = site.store().views(&caller.id).await?;
    Ok(Json(Views { views: views.into_iter().map(|view| View::of(view, &caller)).collect() }))
}

/// `POST /finding-views`
pub async fn keep(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_mean_it(&headers)?;
    let given: NewView = said(&site, &headers, body).await?;
    filter_of(&site, &given.filter, caller.now).await?;
    let view = new_view(given, &caller)?;
    if !site.store().put_view(&view).await? {
        return Err(Problem::Refused(Refusal::State("too many views are kept: let go of some".into())));
    }
    Ok((StatusCode::CREATED, Json(View::of(view, &caller))).into_response())
}

fn new_view(given: NewView, caller: &Caller) -> Result<SavedView, Problem> {
    let name = given.name.trim();
    let is_name = !name.is_empty() && name.chars().count() <= MAX_VIEW_NAME && !name.chars().any(char::is_control);
    if !is_name || given.filter.len() > MAX_VIEW_QUERY {
        let why = format!("a view has a name of up to {MAX_VIEW_NAME} characters and a filter of up to {MAX_VIEW_QUERY} bytes");
        return Err(Problem::Refused(Refusal::Value(why)));
    }
    if given.shared && !caller.role.may_record() {
        return Err(Problem::Forbidden(format!("the role {} keeps views for itself; sharing needs reviewer or admin", caller.role.word())));
    }
    Ok(SavedView { id: random_id()?, person: caller.id, name: name.into(), query: given.filter, shared: given.shared, at: caller.now })
}

/// `DELETE /finding-views/{id}`
pub async fn drop_view(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap) -> Result<Json<Dropped>, Problem> {
    caller.must_mean_it(&headers)?;
    let gone = || Problem::NotFound("this view of yours".into());
    let id = id.parse().map_err(|_| gone())?;
    if site.store().drop_view(&caller.id, &id).await? { Ok(Json(Dropped { dropped: id })) } else { Err(gone()) }
}
