//! `/api/v1/assignments`, `comments`, `baseline`, `finding-reviews`: what is decided about open findings.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::findings::filter_of;
use super::problem::Problem;
use super::records::{Made, made, said};
use crate::collector::findings::Source;
use crate::collector::findings::orders::{self, Review};
use crate::collector::findings::source::MOST;
use crate::collector::store::OpenFilter;
use crate::collector::ui::Site;
use crate::model::finding::Verdict;
use crate::model::ids::HostId;
use crate::records::scope::EVERY;
use crate::records::{Refusal, Scope};

/// Who deals with which findings. They are named by one of `picked`, `filter` and `scope`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Assignment {
    /// These open findings.
    picked: Vec<Pick>,
    /// All open findings that a filter finds now, at most 5,000: the query of an address.
    filter: Option<String>,
    /// A standing order, for findings to come too.
    scope: Option<Wide>,
    /// Who deals with them.
    owner: String,
    /// They are to be mended by this day, `YYYY-MM-DD`.
    due: String,
    /// Or within so many days after they began.
    due_days: String,
    /// Why they came about.
    cause: String,
    /// How they were ended.
    resolution: String,
    /// Anything else.
    note: String,
}

/// One finding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pick {
    host: HostId,
    rule: String,
    /// Empty: the host itself.
    #[serde(default)]
    subject: String,
}

/// Findings of a standing order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StandingOrder")]
struct Wide {
    /// Id of the rule; `*`: every rule.
    rule: String,
    /// Name of the host, `*` for any run of characters.
    #[serde(default = "every")]
    host: String,
    /// Subject, likewise.
    #[serde(default = "every")]
    subject: String,
    /// Of findings of this severity alone; empty: of any.
    #[serde(default)]
    severity: String,
}

fn every() -> String {
    EVERY.into()
}

/// What was recorded, event by event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Several {
    recorded: Vec<Made>,
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
    let all = orders::handle(site.store(), scopes, &values, &caller.name).await?;
    site.app.sequencer.wake();
    Ok((StatusCode::CREATED, Json(Several { recorded: all.iter().map(Made::of).collect() })).into_response())
}

/// The scopes that are meant, and the severity of a standing order.
async fn scopes(site: &Site, caller: &Caller, given: &Assignment) -> Result<(Vec<Scope>, String), Problem> {
    let filter = match (given.picked.is_empty(), &given.filter, &given.scope) {
        (true, None, Some(wide)) => {
            let scope = Scope { rule: wide.rule.clone(), host: wide.host.clone(), subject: wide.subject.clone(), ..Scope::default() };
            return Ok((vec![scope], wide.severity.clone()));
        }
        (true, Some(query), None) => filter_of(site, query, caller.now).await?,
        (false, None, None) => {
            let places = given.picked.iter().map(|p| (p.host, p.rule.clone(), p.subject.clone())).take(orders::MAX_PICKED + 1).collect();
            OpenFilter { at: caller.now, places: Some(places), ..OpenFilter::default() }
        }
        _ => return Err(Problem::Refused(Refusal::Value("name the findings by one of picked, filter and scope".into()))),
    };
    Ok((orders::scopes(&orders::picked(site.store(), &filter).await?), String::new()))
}

/// What somebody says of one finding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FindingComment")]
pub struct Comment {
    host: HostId,
    rule: String,
    /// Empty: the host itself.
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
    let one = orders::handle_one(site.store(), (&host.name, &said.rule, &said.subject), &values, &caller.name).await?;
    made(&site, vec![one])
}

/// A list that was looked through.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FindingReview")]
pub struct Reviewed {
    /// The list, as the query of an address; empty: fail and unknown.
    #[serde(default)]
    filter: String,
    /// Which hosts, controls and period were looked at.
    scope: String,
    /// What stood out; the counts are added.
    #[serde(default)]
    seen: String,
    /// What was decided, by whom until when.
    decision: String,
}

/// `POST /finding-reviews`
pub async fn review(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let said: Reviewed = said(&site, &headers, body).await?;
    let filter = filter_of(&site, &said.filter, caller.now).await?;
    let review = Review { scope: said.scope, decision: said.decision, seen: said.seen };
    made(&site, vec![orders::sign_off(site.store(), &site.catalogue(), &filter, &review, &caller.name).await?])
}

/// What is known by the baseline in force.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Baseline {
    /// Null: none was taken, every finding is news when it appears.
    baseline: Option<InForce>,
    /// Findings that each number counts at most.
    counted_at_most: u32,
    /// Open findings that have not changed since.
    known: u64,
    /// Open findings that have.
    new: u64,
}

/// The baseline in force.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BaselineInForce")]
struct InForce {
    /// When it was taken, Unix seconds.
    at: i64,
    name: String,
}

/// A baseline to be taken.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewBaseline")]
pub struct Taken {
    name: String,
    /// Why, and what is done about what is in it.
    #[serde(default)]
    note: String,
}

/// `GET /baseline`
pub async fn baseline(State(site): State<Arc<Site>>, caller: Caller) -> Result<Json<Baseline>, Problem> {
    let taken = site.store().baseline(caller.now).await?;
    let at = taken.as_ref().map_or(i64::MIN, |(at, _)| *at);
    let open = || OpenFilter { at: caller.now, verdicts: vec![Verdict::Fail, Verdict::Unknown], ..OpenFilter::default() };
    let source = Source::Now(site.store());
    let known = source.counted(&OpenFilter { known_since: Some(at), ..open() }).await?.total;
    let new = source.counted(&OpenFilter { news_since: Some(at), ..open() }).await?.total;
    Ok(Json(Baseline { baseline: taken.map(|(at, name)| InForce { at, name }), counted_at_most: MOST, known, new }))
}

/// `POST /baseline`
pub async fn take(State(site): State<Arc<Site>>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let taken: Taken = said(&site, &headers, body).await?;
    made(&site, vec![orders::take_baseline(site.store(), &taken.name, &taken.note, &caller.name).await?])
}
