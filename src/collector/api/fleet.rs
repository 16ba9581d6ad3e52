//! `/api/v1/hosts`, `/people`, `/certificates`, `/vulnerabilities`: what the pages of the fleet show.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::problem::Problem;
use super::records::{said, second_of};
use super::taken::{Path, Query};
use crate::collector::auth::random_id;
use crate::collector::compare::{self, Comparison};
use crate::collector::kept::{CertificateAbout, CertificateBody, HoleAbout, HoleBody, Kind, PrivilegeBody, WayBody, severity_of};
use crate::collector::labels::{self, LabelError};
use crate::collector::leavers;
use crate::collector::store::{Count, HostFilter, HostRow, HostState, Label, LabelFilter, Place, ReportRow, Seen, States, offset_of};
use crate::collector::ui::Site;
use crate::collector::ui::compare::pair;
use crate::collector::ui::error::PageError;
use crate::collector::ui::known::known;
use crate::evidence::paper::Revocation;
use crate::model::finding::Counts;
use crate::model::ids::{Digest, HostId, RandomId};
use crate::model::labels::HostLabels;
use crate::model::report::{ScanKind, ScanState};
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

/// Which hosts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HostsAsked {
    /// A day, `YYYY-MM-DD`: as it stood at its end; otherwise now.
    #[schemars(extend("format" = "date"))]
    as_of: String,
    /// Page of 100 hosts, from 1.
    #[schemars(range(min = 1, max = 10_000))]
    page: Option<u32>,
    /// `active`, `silent`, `retired` or `replaced`.
    state: String,
    /// System, as its facts name it.
    system: String,
    /// What the name holds.
    name: String,
    /// Owner that is said of it.
    owner: String,
    /// Purpose that is said of it.
    purpose: String,
    /// Criticality that is said of it.
    criticality: String,
    /// Region that is said of it.
    region: String,
    /// A word that is said of it.
    label: String,
}

/// Which of what the fleet has.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FleetAsked {
    /// A day, `YYYY-MM-DD`: as it stood at its end; otherwise now.
    #[schemars(extend("format" = "date"))]
    as_of: String,
    /// Page of 100 rows, from 1.
    #[schemars(range(min = 1, max = 10_000))]
    page: Option<u32>,
    /// What the id, or what is said of it, holds.
    name: String,
    /// On this host.
    host: String,
}

/// Which certificates.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertificatesAsked {
    /// A day, `YYYY-MM-DD`: as it stood at its end; otherwise now.
    #[schemars(extend("format" = "date"))]
    as_of: String,
    /// Page of 100 rows, from 1.
    #[schemars(range(min = 1, max = 10_000))]
    page: Option<u32>,
    /// What the fingerprint, subject, issuer or a name holds.
    name: String,
    /// On this host.
    host: String,
    /// Days until the end at most, those over included.
    #[schemars(range(min = 0, max = 36_600))]
    within: Option<i64>,
}

/// Which advisories.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VulnerabilitiesAsked {
    /// A day, `YYYY-MM-DD`: as it stood at its end; otherwise now.
    #[schemars(extend("format" = "date"))]
    as_of: String,
    /// Page of 100 rows, from 1.
    #[schemars(range(min = 1, max = 10_000))]
    page: Option<u32>,
    /// What the id or an alias holds.
    name: String,
    /// On this host.
    host: String,
    /// `critical`, `high`, `medium`, `low`, `none` or `unknown`.
    severity: String,
}

/// As of when and which page.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PageAsked {
    /// A day, `YYYY-MM-DD`: as it stood at its end; otherwise now.
    #[schemars(extend("format" = "date"))]
    as_of: String,
    /// Page of 100 rows, from 1.
    #[schemars(range(min = 1, max = 10_000))]
    page: Option<u32>,
}

/// Which two scans.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScansAsked {
    /// A day, `YYYY-MM-DD`: what had come by its end; otherwise now.
    #[schemars(extend("format" = "date"))]
    as_of: String,
    /// Digest of one report; empty: the latest whole scan.
    a: String,
    /// Digest of the other report; empty: the latest whole scan that is not the first.
    b: String,
}

/// What people say of a host, as it is sent: what is left out is said no more.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewHostWords {
    owner: String,
    purpose: String,
    criticality: String,
    region: String,
    labels: Vec<String>,
}

/// What people say of a host.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HostWords {
    /// Who answers for it; may be empty.
    owner: String,
    /// What it is for; may be empty.
    purpose: String,
    /// `critical`, `high`, `medium`, `low` or empty.
    criticality: String,
    /// Region, zone or site; may be empty.
    region: String,
    /// Words of one's own.
    labels: Vec<String>,
}

/// A host.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HostLine {
    /// Digest of its key.
    id: HostId,
    /// Name it gave.
    name: String,
    /// System; empty before the first report.
    os: String,
    /// At the time asked for.
    state: HostState,
    /// Unix seconds.
    enrolled_at: i64,
    /// Last heartbeat or report, Unix seconds.
    seen_at: Option<i64>,
    /// The host whose place it took.
    replaces: Option<HostId>,
    /// When it was taken out, Unix seconds.
    retired_at: Option<i64>,
    /// Why.
    retired_why: String,
    /// What people say of it; `null`: nothing.
    labels: Option<HostWords>,
    /// Verdicts that stand; `null`: it was not judged.
    verdicts: Option<Counts>,
}

/// A page of hosts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HostLines {
    /// Unix seconds.
    as_of: i64,
    /// From 1.
    page: u32,
    /// Most rows of a page.
    page_rows: u32,
    /// Hosts that fit, by state; the state asked for is not looked at.
    states: States,
    /// By name.
    hosts: Vec<HostLine>,
}

/// One report of a host.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportLine {
    /// SHA-256 of the report.
    id: Digest,
    /// Why it ran.
    kind: ScanKind,
    /// Window it fulfils.
    window: Option<String>,
    /// How far it got.
    state: ScanState,
    /// Unix seconds, the host's clock.
    started: i64,
    /// Unix seconds, the host's clock.
    finished: i64,
    /// Unix seconds, the collector's clock.
    received: i64,
    /// Verdicts it brought.
    counts: Counts,
    /// Ledger entry.
    leaf: Option<u64>,
}

/// One host and its latest reports.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HostStory {
    /// The host.
    host: HostLine,
    /// Newest first, at most 100.
    reports: Vec<ReportLine>,
    /// Whether a scan was asked for that has not come yet.
    scan_asked: bool,
}

/// Two scans side by side.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Compared {
    /// The host.
    host: HostId,
    /// The earlier scan.
    a: Digest,
    /// The later scan.
    b: Digest,
    /// When the earlier one ended, Unix seconds.
    a_finished: i64,
    /// When the later one ended, Unix seconds.
    b_finished: i64,
    /// What differs.
    differs: Comparison,
}

/// A scan that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScanAsked {
    /// Of which host.
    host: HostId,
    /// The request.
    scan: RandomId,
}

/// A version of a list that is in force.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InForce {
    /// Its number.
    pub(super) version: u64,
    /// Whether it is new; else the version in force said the same.
    pub(super) is_new: bool,
}

/// The inventory against the hosts here.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Elsewhere {
    /// Unix seconds.
    as_of: i64,
    /// Version of the inventory.
    version: u64,
    /// SHA-256 of its bytes.
    digest: Digest,
    /// In force since, Unix seconds.
    since: i64,
    /// Why it can't be read; empty when it was.
    problem: String,
    /// Lines without a name, which can't be compared.
    unnamed: u64,
    /// On both sides.
    enrolled_and_listed: Vec<String>,
    /// Listed and never enrolled.
    never_enrolled: Vec<String>,
    /// Enrolled and in no line.
    not_listed: Vec<String>,
    /// Listed and taken out here.
    taken_out: Vec<String>,
}

/// Something on a host: `B` is what is said of it there.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlaceOf<B> {
    /// The host.
    host: HostId,
    /// Its name.
    name: String,
    /// Where on the host.
    item: String,
    /// First seen so, Unix seconds.
    since: i64,
    /// First seen no longer so, Unix seconds; `null`: it still is.
    until: Option<i64>,
    /// What is said of it there.
    said: B,
}

/// Something that hosts have: `A` is what is said of it wherever it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed<A, B> {
    /// Fingerprint, advisory, version, or whom it is about.
    id: String,
    /// What is said of it.
    about: A,
    /// Hosts that have it.
    hosts: Count,
    /// Times it is there.
    places: Count,
    /// First seen on any of them, Unix seconds.
    since: Option<i64>,
    /// The first places.
    first: Vec<PlaceOf<B>>,
}

/// A page of what hosts have.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing<A, B> {
    /// Unix seconds.
    as_of: i64,
    /// From 1.
    page: u32,
    /// Most rows of a page.
    page_rows: u32,
    /// On how many hosts it could be seen: an empty list says nothing of the others.
    hosts_seen: Seen,
    /// In the order of the page.
    items: Vec<Listed<A, B>>,
}

/// One thing and where it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Where<A, B> {
    /// Unix seconds.
    as_of: i64,
    /// From 1.
    page: u32,
    /// Most rows of a page.
    page_rows: u32,
    /// Fingerprint or advisory.
    id: String,
    /// What is said of it.
    about: A,
    /// Hosts that have it.
    hosts: Count,
    /// First seen on any of them, Unix seconds.
    since: Option<i64>,
    /// A page of its places.
    places: Vec<PlaceOf<B>>,
}

/// Nothing is said but the id.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct IdAlone {}

/// Whether somebody is on the roster.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Holder {
    /// Whether the id is a person of the roster; else an account or a key.
    known: bool,
}

/// Somebody who left and still gets in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Insider {
    /// Who, as the roster names them.
    person: String,
    /// First second after the last day, Unix.
    left_at: i64,
    /// Hosts.
    hosts: Count,
    /// Ways in.
    ways_in: Count,
    /// Whether the limit is over.
    is_late: bool,
    /// The first ways in.
    first_ways: Vec<PlaceOf<WayBody>>,
}

/// People who left.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LeaversTold {
    /// Unix seconds.
    as_of: i64,
    /// From 1.
    page: u32,
    /// Most rows of a page.
    page_rows: u32,
    /// What the policy allows, seconds.
    limit_seconds: i64,
    /// On how many hosts ways in could be seen.
    hosts_seen: Seen,
    /// Who still gets in, longest ago first.
    inside: Vec<Insider>,
    /// Person by host, how long it took until no way in was left.
    time_to_revoke: Vec<Revocation>,
    /// Whether more people left than are told of.
    has_more_leavers: bool,
}

/// One person.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PersonTold {
    /// Unix seconds.
    as_of: i64,
    /// From 1.
    page: u32,
    /// Most rows of a page.
    page_rows: u32,
    /// Who.
    person: String,
    /// First second after the last day, Unix; `null`: none is known.
    ended_at: Option<i64>,
    /// Whether the roster names them.
    on_roster: bool,
    /// Ways in after the last day.
    ways_in: Vec<PlaceOf<WayBody>>,
    /// More than ordinary rights.
    privileged: Vec<PlaceOf<PrivilegeBody>>,
}

/// A moment and a page of it.
struct At {
    as_of: Option<i64>,
    at: i64,
    page: u32,
}

impl At {
    fn of(as_of: &str, page: Option<u32>, now: i64) -> Result<Self, Problem> {
        let (at, page) = (second_of(as_of, now)?, page.unwrap_or(1));
        if !(1..=MAX_PAGE).contains(&page) {
            return Err(Problem::Parameter(format!("page is none of 1 to {MAX_PAGE}")));
        }
        Ok(Self { as_of: (at < now).then_some(at), at, page })
    }

    fn filter(&self, name: String, host: &str) -> Result<LabelFilter, Problem> {
        let host = if host.is_empty() { None } else { Some(host_id(host)?) };
        Ok(LabelFilter { as_of: self.as_of, text: bounded("name", name)?, host, offset: offset_of(self.page, ROWS), limit: ROWS, ..LabelFilter::default() })
    }
}

/// What a filter may be: bounded, and nothing that no name holds.
fn bounded(name: &str, text: String) -> Result<String, Problem> {
    if text.len() > MAX_FILTER {
        return Err(Problem::Parameter(format!("{name} is longer than {MAX_FILTER} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::Parameter(format!("{name} holds control characters")));
    }
    Ok(text)
}

fn host_id(text: &str) -> Result<HostId, Problem> {
    text.parse().map_err(|_| Problem::NotFound("this host".into()))
}

async fn existing(site: &Site, text: &str, as_of: Option<i64>) -> Result<HostRow, Problem> {
    let id = host_id(text)?;
    site.store().host_at(&id, as_of).await?.ok_or_else(|| Problem::NotFound("this host".into()))
}

/// A JSON text of our own as what it says; of an older program perhaps less.
fn read<T: DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

/// `GET /hosts`
pub async fn hosts(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<HostsAsked>) -> Result<Json<HostLines>, Problem> {
    let when = At::of(&asked.as_of, asked.page, caller.now)?;
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
    let filter = HostFilter { as_of: when.as_of, state, counts: None, system, text, labels, offset: offset_of(when.page, ROWS), limit: ROWS };
    let rows = site.store().hosts_where(&filter).await?;
    let states = site.store().host_states(&filter).await?;
    let hosts = lines(&site, rows, when.as_of).await?;
    Ok(Json(HostLines { as_of: when.at, page: when.page, page_rows: ROWS, states, hosts }))
}

async fn lines(site: &Site, rows: Vec<HostRow>, as_of: Option<i64>) -> Result<Vec<HostLine>, Problem> {
    let ids: Vec<HostId> = rows.iter().map(|h| h.id).collect();
    let names: Vec<&str> = rows.iter().map(|h| h.name.as_str()).collect();
    let (mut counts, labels) = (site.store().verdict_counts(&ids, as_of).await?, site.store().labels_of(&names, as_of).await?);
    let words = |l: &HostLabels| HostWords {
        owner: l.owner.clone(),
        purpose: l.purpose.clone(),
        criticality: l.criticality.clone(),
        region: l.region.clone(),
        labels: l.labels.clone(),
    };
    let line = |h: HostRow| HostLine {
        labels: labels.get(&h.name.to_ascii_lowercase()).map(words),
        verdicts: counts.remove(&h.id),
        id: h.id,
        name: h.name,
        os: h.os,
        state: h.state,
        enrolled_at: h.enrolled_at,
        seen_at: h.seen_at,
        replaces: h.replaces,
        retired_at: h.retired_at,
        retired_why: h.retired_why,
    };
    Ok(rows.into_iter().map(line).collect())
}

/// `GET /hosts/{host}`
pub async fn host(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, Query(asked): Query<PageAsked>) -> Result<Json<HostStory>, Problem> {
    let when = At::of(&asked.as_of, asked.page, caller.now)?;
    let row = existing(&site, &id, when.as_of).await?;
    let reports = site.store().reports(Some(&row.id), Some((0, when.at.saturating_add(1))), ROWS).await?;
    let scan_asked = site.app.scan_requests.of(&row.id).is_some();
    let gone = || Problem::NotFound("this host".into());
    let host = lines(&site, vec![row], when.as_of).await?.pop().ok_or_else(gone)?;
    let line = |r: ReportRow| ReportLine {
        id: r.id,
        kind: r.kind,
        window: r.window,
        state: r.state,
        started: r.started,
        finished: r.finished,
        received: r.received,
        counts: r.counts,
        leaf: r.leaf,
    };
    Ok(Json(HostStory { host, reports: reports.into_iter().filter(|r| r.received <= when.at).map(line).collect(), scan_asked }))
}

/// `GET /hosts/{host}/compare`
pub async fn compared(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<ScansAsked>,
) -> Result<Json<Compared>, Problem> {
    let when = At::of(&asked.as_of, None, caller.now)?;
    let row = existing(&site, &id, when.as_of).await?;
    let found = pair(site.store(), &row.id, (&asked.a, &asked.b), when.at).await;
    let found = found.map_err(|e| match e {
        PageError::NotFound(_) => Problem::NotFound("this scan of this host".into()),
        other => Problem::Internal(other.to_string()),
    })?;
    let (a, b) = found.ok_or_else(|| Problem::NotFound("a second whole scan of this host".into()))?;
    let differs = compare::compare(site.store(), &row.id, &a, &b).await?;
    Ok(Json(Compared { host: row.id, a: a.id, b: b.id, a_finished: a.finished, b_finished: b.finished, differs }))
}

/// `POST /hosts/{host}/scan`
pub async fn scan(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap) -> Result<(StatusCode, Json<ScanAsked>), Problem> {
    caller.must_record(&headers)?;
    let row = existing(&site, &id, None).await?;
    if row.state.is_over() {
        return Err(Refusal::State("the host was taken out; nobody would hear of it".into()).into());
    }
    let scan = random_id()?;
    site.app.scan_requests.ask(row.id, scan);
    tracing::info!(host = %row.id, by = %caller.id, scan = %scan, "a scan was asked for");
    Ok((StatusCode::ACCEPTED, Json(ScanAsked { host: row.id, scan })))
}

/// `PUT /hosts/{host}/labels`
pub async fn label(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Result<Json<InForce>, Problem> {
    caller.must_record(&headers)?;
    let row = existing(&site, &id, None).await?;
    let NewHostWords { owner, purpose, criticality, region, labels } = said(&site, &headers, body).await?;
    let said = HostLabels { host: row.name, owner, purpose, criticality, region, labels, line: 0 };
    let given = labels::set(site.store(), said, &caller.id.to_string(), caller.now).await.map_err(|e| match e {
        LabelError::Store(e) => e.into(),
        LabelError::Refused(text) => Problem::Refused(Refusal::Value(text)),
        unreadable @ LabelError::Unreadable(_) => Problem::Refused(Refusal::State(unreadable.to_string())),
    })?;
    site.app.sequencer.wake();
    Ok(Json(InForce { version: given.version, is_new: given.is_new }))
}

/// `GET /known-elsewhere`
pub async fn elsewhere(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<PageAsked>) -> Result<Json<Elsewhere>, Problem> {
    let at = At::of(&asked.as_of, None, caller.now)?.at;
    let found = known(site.store(), at).await?.ok_or_else(|| Problem::NotFound("a list of hosts that are known elsewhere".into()))?;
    Ok(Json(Elsewhere {
        as_of: at,
        version: found.version,
        digest: found.digest,
        since: found.since,
        problem: found.problem,
        unnamed: found.unnamed,
        enrolled_and_listed: found.compared.both,
        never_enrolled: found.compared.only_listed,
        not_listed: found.compared.only_here,
        taken_out: found.compared.retired_listed,
    }))
}

fn places_of<B: DeserializeOwned + Default>(places: &[Place]) -> Vec<PlaceOf<B>> {
    let place = |p: &Place| PlaceOf { host: p.host, name: p.name.clone(), item: p.item.clone(), since: p.since, until: p.until, said: read(&p.body) };
    places.iter().map(place).collect()
}

async fn listing<A, B>(site: &Site, kind: Kind, filter: LabelFilter, when: &At) -> Result<Json<Listing<A, B>>, Problem>
where
    A: DeserializeOwned + Default,
    B: DeserializeOwned + Default,
{
    let hosts_seen = site.store().fleet_seen(kind, filter.as_of).await?;
    let item = |l: Label| Listed { about: read(&l.about), hosts: l.hosts, places: l.rows, since: l.since, first: places_of(&l.places), id: l.label };
    let items = site.store().fleet_labels(kind, &filter).await?.into_iter().map(item).collect();
    Ok(Json(Listing { as_of: when.at, page: when.page, page_rows: ROWS, hosts_seen, items }))
}

async fn places<A, B>(site: &Site, caller: &Caller, kind: Kind, label: &str, asked: &PageAsked) -> Result<Json<Where<A, B>>, Problem>
where
    A: DeserializeOwned + Default,
    B: DeserializeOwned + Default,
{
    let when = At::of(&asked.as_of, asked.page, caller.now)?;
    let found = site.store().fleet_label(kind, label, when.as_of).await?.ok_or_else(|| Problem::NotFound("such a thing in the fleet".into()))?;
    let places = site.store().fleet_places(kind, Some(label), None, when.as_of, offset_of(when.page, ROWS), ROWS).await?;
    Ok(Json(Where {
        as_of: when.at,
        page: when.page,
        page_rows: ROWS,
        about: read(&found.about),
        hosts: found.hosts,
        since: found.since,
        id: found.label,
        places: places_of(&places),
    }))
}

/// Certificates as they are listed.
pub type Certificates = Listing<CertificateAbout, CertificateBody>;
/// One certificate.
pub type Certificate = Where<CertificateAbout, CertificateBody>;
/// Accepted TLS versions; their places are endpoints.
pub type Versions = Listing<IdAlone, CertificateBody>;
/// Advisories as they are listed.
pub type Vulnerabilities = Listing<HoleAbout, HoleBody>;
/// One advisory.
pub type Vulnerability = Where<HoleAbout, HoleBody>;
/// Who can act with more than ordinary rights.
pub type Privileged = Listing<Holder, PrivilegeBody>;

/// `GET /certificates`
pub async fn certificates(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<CertificatesAsked>) -> Result<Json<Certificates>, Problem> {
    let when = At::of(&asked.as_of, asked.page, caller.now)?;
    let mut filter = when.filter(asked.name, &asked.host)?;
    if let Some(days) = asked.within {
        if !(0..=MAX_WITHIN).contains(&days) {
            return Err(Problem::Parameter(format!("within is no number of days up to {MAX_WITHIN}")));
        }
        filter.to = Some(when.at.saturating_add(days * DAY));
    }
    listing(&site, Kind::Certificate, filter, &when).await
}

/// `GET /certificates/{fingerprint}`
pub async fn certificate(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<PageAsked>,
) -> Result<Json<Certificate>, Problem> {
    places(&site, &caller, Kind::Certificate, &id, &asked).await
}

/// `GET /tls-versions`
pub async fn versions(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<FleetAsked>) -> Result<Json<Versions>, Problem> {
    let when = At::of(&asked.as_of, asked.page, caller.now)?;
    listing(&site, Kind::Tls, when.filter(asked.name, &asked.host)?, &when).await
}

/// `GET /vulnerabilities`
pub async fn vulnerabilities(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Query(asked): Query<VulnerabilitiesAsked>,
) -> Result<Json<Vulnerabilities>, Problem> {
    let when = At::of(&asked.as_of, asked.page, caller.now)?;
    let mut filter = LabelFilter { descending: true, ..when.filter(asked.name, &asked.host)? };
    if !asked.severity.is_empty() {
        let (from, to) =
            severity_of(&asked.severity).ok_or_else(|| Problem::Parameter("severity is none of critical, high, medium, low, none, unknown".into()))?;
        (filter.from, filter.to) = (Some(from), Some(to));
    }
    listing(&site, Kind::Hole, filter, &when).await
}

/// `GET /vulnerabilities/{advisory}`
pub async fn vulnerability(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<PageAsked>,
) -> Result<Json<Vulnerability>, Problem> {
    places(&site, &caller, Kind::Hole, &id, &asked).await
}

/// `GET /people`: who left and still gets in, and how long it took of the others.
pub async fn people(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<FleetAsked>) -> Result<Json<LeaversTold>, Problem> {
    let when = At::of(&asked.as_of, asked.page, caller.now)?;
    let limit = leavers::limit(&site.app.basis.now().policy);
    let filter = LabelFilter { to: Some(when.at), ..when.filter(asked.name, &asked.host)? };
    let mut inside = Vec::new();
    for label in site.store().fleet_labels(Kind::Way, &filter).await? {
        let ways = site.store().fleet_places(Kind::Way, Some(&label.label), None, when.as_of, 0, ROWS).await?;
        inside.push(Insider {
            left_at: label.rank,
            hosts: label.hosts,
            ways_in: label.rows,
            is_late: when.at.saturating_sub(label.rank) >= limit,
            first_ways: places_of(&ways),
            person: label.label,
        });
    }
    let times = leavers::times(site.store(), when.at, limit).await?;
    Ok(Json(LeaversTold {
        as_of: when.at,
        page: when.page,
        page_rows: ROWS,
        limit_seconds: limit,
        hosts_seen: site.store().fleet_seen(Kind::Way, when.as_of).await?,
        inside,
        time_to_revoke: times.rows,
        has_more_leavers: times.more,
    }))
}

/// `GET /people/privileged`
pub async fn privileged(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<FleetAsked>) -> Result<Json<Privileged>, Problem> {
    let when = At::of(&asked.as_of, asked.page, caller.now)?;
    let filter = LabelFilter { descending: true, ..when.filter(asked.name, &asked.host)? };
    listing(&site, Kind::Privilege, filter, &when).await
}

/// `GET /people/{person}`
pub async fn person(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(asked): Query<PageAsked>,
) -> Result<Json<PersonTold>, Problem> {
    let when = At::of(&asked.as_of, asked.page, caller.now)?;
    let offset = offset_of(when.page, ROWS);
    let ways = site.store().fleet_places(Kind::Way, Some(&name), None, when.as_of, offset, ROWS).await?;
    let rights = site.store().fleet_places(Kind::Privilege, Some(&name), None, when.as_of, offset, ROWS).await?;
    let known = leavers::roster(site.store(), when.at).await?.and_then(|r| r.people.into_iter().find(|p| p.person == name));
    if known.is_none() && ways.is_empty() && rights.is_empty() {
        return Err(Problem::NotFound("this person".into()));
    }
    Ok(Json(PersonTold {
        as_of: when.at,
        page: when.page,
        page_rows: ROWS,
        ended_at: known.as_ref().and_then(|p| p.ended_at),
        on_roster: known.is_some(),
        person: name,
        ways_in: places_of(&ways),
        privileged: places_of(&rights),
    }))
}
