//! Waivers: the list, one of them, asking for one with a dry run first, and the second person's word.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::picked::{field, must_be_ours, must_record};
use super::site::Site;
use super::tally::finding_address;
use super::text::{encode, grouped, is_faithful, shown};
use super::when::{DAY, When, iso_day};
use crate::collector::findings::covered::{Covered, covered};
use crate::collector::findings::orders::{self, Reasons, labelled};
use crate::collector::records::{self as desk, Book, Order};
use crate::collector::store::RecordError;
use crate::records::entry::{Mark, short};
use crate::records::event::{Action, NOTE};
use crate::records::scope::plain;
use crate::records::types::WAIVER;
use crate::records::waiver::{MAX_DAYS, Stage, Waiver, waivers};
use crate::records::{Entry, Scope, people};

/// Pairs of a form.
type Pairs = Vec<(String, String)>;

/// Findings that are listed of those that a waiver covers; all are counted.
const MAX_SHOWN: usize = 200;
/// Waivers of one page.
const MAX_ROWS: usize = 500;
/// Days that the form proposes.
const PROPOSED_DAYS: i64 = 90;

const STAGES: [(&str, Option<Stage>); 6] = [
    ("requested", Some(Stage::Requested)),
    ("in-force", Some(Stage::InForce)),
    ("expired", Some(Stage::Expired)),
    ("refused", Some(Stage::Refused)),
    ("revoked", Some(Stage::Revoked)),
    ("withdrawn", Some(Stage::Withdrawn)),
];

#[derive(Template)]
#[template(path = "waivers.html")]
struct Waivers {
    frame: Frame,
    heading: String,
    chips: Vec<(String, String, bool)>,
    rows: Vec<Row>,
    more: usize,
    may_record: bool,
    is_empty: bool,
}

/// One waiver of the list.
struct Row {
    path: String,
    id: String,
    stage: Stage,
    title: String,
    scope: String,
    reason: String,
    ends: When,
    by: String,
    approver: String,
}

/// `GET /waivers`
pub async fn list(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let at = visit.at();
    let mut all = waivers(&site.store().record_events().await?, at);
    all.sort_by_key(|w| (!matches!(w.stage(at), Stage::Requested), !matches!(w.stage(at), Stage::InForce), std::cmp::Reverse(w.requested.at)));
    let count = |stage: Stage| all.iter().filter(|w| w.stage(at) == stage).count();
    let wanted = visit.parameter("stage");
    let stage = STAGES.iter().find(|(id, _)| *id == wanted).and_then(|(_, stage)| *stage);
    if !wanted.is_empty() && stage.is_none() {
        return Err(PageError::Bad(format!("“{}” is no stage of a waiver.", shown(wanted))));
    }
    let (open, in_force) = (count(Stage::Requested), count(Stage::InForce));
    let chips = std::iter::once((format!("all · {}", all.len()), "/waivers".to_string(), wanted.is_empty()))
        .chain(
            STAGES
                .iter()
                .filter_map(|(id, stage)| Some((format!("{} · {}", (*stage)?.word(), count((*stage)?)), format!("/waivers?stage={id}"), wanted == *id))),
        )
        .collect();
    let found: Vec<&Waiver> = all.iter().filter(|w| stage.is_none_or(|s| w.stage(at) == s)).collect();
    render(&Waivers {
        heading: match (open, in_force) {
            (0, n) => format!("{n} in force"),
            (n, f) => format!("{n} to be decided, {f} in force"),
        },
        chips,
        more: found.len().saturating_sub(MAX_ROWS),
        rows: found.iter().take(MAX_ROWS).map(|w| row(&site, &visit, w)).collect(),
        may_record: visit.session.role.may_record() && visit.as_of.is_none(),
        is_empty: all.is_empty(),
        frame: visit.frame(&site, "waivers", "Waivers").await?,
    })
}

fn row(site: &Site, visit: &Visit, waiver: &Waiver) -> Row {
    Row {
        path: format!("/waivers/{}", waiver.id),
        id: short(&waiver.id),
        stage: waiver.stage(visit.at()),
        title: site.catalogue().title(&waiver.scope.rule).to_string(),
        scope: shown(&waiver.scope.words()),
        reason: shown(&waiver.reason),
        ends: visit.when(waiver.expires - 1),
        by: shown(&waiver.requested.by),
        approver: waiver.approved.as_ref().map(|m| shown(&m.by)).unwrap_or_default(),
    }
}

#[derive(Template)]
#[template(path = "waiver_new.html")]
struct Draft {
    frame: Frame,
    rule: String,
    host: String,
    subject: String,
    label: String,
    rules: Vec<(String, String)>,
    fixed: Vec<Fixed>,
    reason: String,
    control: String,
    expires: String,
    latest: String,
    covers: Option<Covers>,
    may_record: bool,
}

/// Findings that were picked, as the form carries them.
struct Fixed {
    title: String,
    words: String,
    value: String,
}

/// What a waiver covers.
struct Covers {
    count: String,
    is_none: bool,
    rows: Vec<Place>,
    more: usize,
}

/// One finding that is covered.
struct Place {
    path: String,
    host: String,
    subject: String,
    what: String,
    since: When,
}

/// `GET /waivers/new?rule=…&host=…&subject=…`
pub async fn new(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let text = |name: &str| visit.parameter(name).to_string();
    let (host, subject) = (text("host"), text("subject"));
    // What a form would bring back as something else is not written there: it is named as it is.
    let scope = match is_faithful(&host) && is_faithful(&subject) {
        true => Scope { rule: text("rule"), host, subject, ..Scope::default() },
        false => Scope { rule: text("rule"), places: vec![(host, subject)], ..Scope::default() },
    };
    form(&site, &visit, vec![scope], &text("label"), Reasons::default()).await
}

/// The form for findings that were picked.
pub(super) async fn draft(site: &Site, visit: &Visit, scopes: Vec<Scope>) -> Page {
    form(site, visit, scopes, "", Reasons::default()).await
}

async fn form(site: &Site, visit: &Visit, scopes: Vec<Scope>, label: &str, why: Reasons) -> Page {
    let is_written = matches!(scopes.as_slice(), [one] if one.places.is_empty());
    let first = scopes.first().cloned().unwrap_or_default();
    let names_hosts =
        scopes.iter().all(|s| !s.rule.is_empty() && (!s.host.is_empty() || !s.places.is_empty())) || (!first.rule.is_empty() && !label.is_empty());
    let covers = if names_hosts { Some(covers(site, visit, resolved(site, visit, scopes.clone(), label).await?).await?) } else { None };
    let fixed = |scope: &Scope| Fixed { title: site.catalogue().title(&scope.rule).to_string(), words: shown(&scope.words()), value: carried(scope) };
    let mut rules: Vec<(String, String)> = site.catalogue().rules.values().map(|r| (r.id.clone(), r.title.clone())).collect();
    if !first.rule.is_empty() && !rules.iter().any(|(id, _)| *id == first.rule) {
        rules.push((first.rule.clone(), shown(&first.rule)));
    }
    render(&Draft {
        frame: visit.frame(site, "waivers", "Ask for a waiver").await?,
        rule: first.rule.clone(),
        host: if is_written { first.host.clone() } else { String::new() },
        subject: if is_written { first.subject.clone() } else { String::new() },
        label: label.to_string(),
        rules,
        fixed: if is_written { Vec::new() } else { scopes.iter().map(fixed).collect() },
        expires: if why.expires.is_empty() { iso_day(visit.now + PROPOSED_DAYS * DAY) } else { why.expires },
        reason: why.reason,
        control: why.control,
        latest: iso_day(visit.now + MAX_DAYS * DAY),
        covers,
        may_record: visit.session.role.may_record(),
    })
}

/// Scopes as the form carries them: the fields of each, as JSON, escaped so that it comes back as it went.
fn carried(scope: &Scope) -> String {
    encode(&serde_json::to_string(&scope.fields()).unwrap_or_default())
}

fn read_scope(text: &str) -> Result<Scope, PageError> {
    let unreadable = |_| PageError::Bad("The picked findings can’t be read; pick them again.".into());
    let fields = serde_json::from_str(&plain(text)).map_err(unreadable)?;
    Ok(Scope::of_fields(&fields))
}

async fn resolved(site: &Site, visit: &Visit, scopes: Vec<Scope>, label: &str) -> Result<Vec<Scope>, PageError> {
    let mut out = Vec::with_capacity(scopes.len());
    for scope in scopes {
        out.push(labelled(site.store(), scope, label, visit.now).await?);
    }
    Ok(out)
}

async fn covers(site: &Site, visit: &Visit, scopes: Vec<Scope>) -> Result<Covers, PageError> {
    let mut all = Covered::default();
    for scope in &scopes {
        let own = covered(site.store(), scope, visit.now).await?;
        all.findings.extend(own.findings);
        all.is_cut |= own.is_cut;
    }
    let n = all.findings.len();
    let place = |row: &crate::collector::store::OpenFinding| Place {
        path: finding_address(&row.host, &row.rule, &row.subject),
        host: shown(&row.name),
        subject: shown(&row.subject),
        what: shown(&row.message),
        since: visit.when(row.since),
    };
    Ok(Covers {
        count: format!("{}{} open {}", if all.is_cut { "more than " } else { "" }, grouped(n as u64), if n == 1 { "failure" } else { "failures" }),
        is_none: n == 0,
        more: n.saturating_sub(MAX_SHOWN),
        rows: all.findings.iter().take(MAX_SHOWN).map(place).collect(),
    })
}

/// `POST /waivers`: shows what it would cover, or asks for it.
pub async fn ask(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(pairs): Form<Pairs>) -> Result<Response, PageError> {
    must_be_ours(&visit, &headers, &pairs)?;
    must_record(&visit)?;
    let text = |name: &str| field(&pairs, name).trim().to_string();
    let picked: Vec<Scope> = pairs.iter().filter(|(n, _)| n == "scope").map(|(_, v)| read_scope(v)).collect::<Result<_, _>>()?;
    let (scopes, label) = match picked.is_empty() {
        true => (vec![Scope { rule: text("rule"), host: text("host"), subject: text("subject"), ..Scope::default() }], text("label")),
        false => (picked, String::new()),
    };
    let why = Reasons { reason: text("reason"), control: text("control"), expires: text("expires") };
    if text("do") != "ask" {
        return form(&site, &visit, scopes, &label, why).await.map(IntoResponse::into_response);
    }
    let scopes = resolved(&site, &visit, scopes, &label).await?;
    let asked = orders::ask(site.store(), scopes, &why, &visit.session.user.name).await?;
    site.app.sequencer.wake();
    let to = match asked.as_slice() {
        [one] => format!("/waivers/{}", one.event.entry),
        _ => "/waivers?stage=requested".into(),
    };
    Ok(Redirect::to(&to).into_response())
}

#[derive(Template)]
#[template(path = "waiver.html")]
struct WaiverPage {
    frame: Frame,
    id: String,
    entry: String,
    stage: Stage,
    title: String,
    rule: String,
    rule_path: String,
    scope: String,
    label: String,
    hosts: Vec<String>,
    places: Vec<(String, String)>,
    reason: String,
    control: String,
    ends: When,
    marks: Vec<Told>,
    covers: Option<Covers>,
    is_asker: bool,
    may_record: bool,
}

/// Something that was said about a waiver.
struct Told {
    what: &'static str,
    by: String,
    at: When,
    why: String,
}

/// `GET /waivers/{waiver}`
pub async fn page(State(site): State<Arc<Site>>, Path(id): Path<String>, visit: Visit) -> Page {
    let at = visit.at();
    let (entry, waiver) = found(&site, &id, at).await?;
    let mark = |what: &'static str, mark: &Option<Mark>| mark.as_ref().map(|m| Told { what, by: shown(&m.by), at: visit.when(m.at), why: shown(&m.why) });
    let marks = [
        mark("Asked for", &Some(waiver.requested.clone())),
        mark("Approved", &waiver.approved),
        mark("Refused", &waiver.refused),
        mark("Taken back", &waiver.revoked),
        mark("Withdrawn", &waiver.withdrawn),
    ];
    let stage = waiver.stage(at);
    let covers = match stage {
        Stage::Requested | Stage::InForce if visit.as_of.is_none() => Some(covers(&site, &visit, vec![waiver.scope.clone()]).await?),
        _ => None,
    };
    render(&WaiverPage {
        id: short(&waiver.id),
        entry: waiver.id.to_string(),
        stage,
        title: site.catalogue().title(&waiver.scope.rule).to_string(),
        rule_path: format!("/findings?rule={}&verdict=all", encode(&waiver.scope.rule)),
        rule: waiver.scope.rule.clone(),
        scope: shown(&waiver.scope.words()),
        label: shown(&waiver.scope.label),
        hosts: waiver.scope.hosts.iter().take(MAX_SHOWN).map(|h| shown(h)).collect(),
        places: waiver.scope.places.iter().take(MAX_SHOWN).map(|(h, s)| (shown(h), shown(s))).collect(),
        reason: shown(&waiver.reason),
        control: shown(&waiver.control),
        ends: visit.when(waiver.expires - 1),
        marks: marks.into_iter().flatten().collect(),
        covers,
        is_asker: entry.writers.iter().any(|w| people::same(w, &visit.session.user.name)),
        may_record: visit.session.role.may_record() && visit.as_of.is_none(),
        frame: visit.frame(&site, "waivers", format!("Waiver {}", short(&waiver.id))).await?,
    })
}

/// The waiver that an address names, as of a second.
async fn found(site: &Site, id: &str, at: i64) -> Result<(Entry, Waiver), PageError> {
    let gone = || PageError::NotFound("This waiver".into());
    let book = Book::read(site.store()).await?;
    let (kind, entry) = book.find(Some(orders::kind(WAIVER)?), id).map_err(|_| gone())?;
    let entry = book.entry(kind, entry, at).ok_or_else(gone)?;
    let waiver = Waiver::of(&entry).ok_or_else(gone)?;
    Ok((entry, waiver))
}

/// `POST /waivers/{waiver}`: a word on it.
pub async fn decide(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    visit: Visit,
    headers: HeaderMap,
    Form(pairs): Form<Pairs>,
) -> Result<Response, PageError> {
    must_be_ours(&visit, &headers, &pairs)?;
    must_record(&visit)?;
    let action = match field(&pairs, "do") {
        "approve" => Action::Approve,
        "refuse" => Action::Refuse,
        "revoke" => Action::Revoke,
        "withdraw" => Action::Withdraw,
        _ => return Err(PageError::Bad("The form does not say what was decided.".into())),
    };
    let (entry, _) = found(&site, &id, visit.now).await?;
    let note = field(&pairs, "note").trim();
    let fields = if note.is_empty() { Default::default() } else { [(NOTE.to_string(), note.to_string())].into() };
    let order = Order { entry: Some(entry.id), fields, by: visit.session.user.name.clone(), ..Order::default() };
    let done: Result<_, RecordError> = desk::record(site.store(), orders::kind(WAIVER)?, action, order).await;
    done?;
    site.app.sequencer.wake();
    Ok(Redirect::to(&format!("/waivers/{}", entry.id)).into_response())
}
