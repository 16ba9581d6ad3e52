//! Standing orders: which rule belongs to whom, how long failures may stay open by severity, what is known by a baseline, which lists were signed off.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};

use super::error::PageError;
use super::findings::people;
use super::frame::{Frame, Page, Visit, render};
use super::picked::{field, must_be_ours, must_record};
use super::site::Site;
use super::text::{grouped, shown};
use super::when::{When, day};
use crate::collector::findings::source::MOST;
use crate::collector::findings::{Source, orders};
use crate::collector::records::{self as desk, Order};
use crate::collector::store::{OpenFilter, RecordError};
use crate::model::finding::{Severity, Verdict};
use crate::records::event::{Action, NOTE};
use crate::records::handling::MAX_DUE_DAYS;
use crate::records::scope::EVERY;
use crate::records::types::{BASELINE, HANDLING, REVIEW_SIGN_OFFS};
use crate::records::value::day as parsed;
use crate::records::{Entry, Scope, entries};

/// Pairs of a form.
type Pairs = Vec<(String, String)>;

/// Orders, baselines and reviews that are listed of each.
const MAX_ROWS: usize = 200;

#[derive(Template)]
#[template(path = "assignments.html")]
struct Assignments {
    frame: Frame,
    orders: Vec<Standing>,
    more: usize,
    limits: Vec<(Severity, String)>,
    baselines: Vec<Taken>,
    known: String,
    news: String,
    reviews: Vec<Review>,
    rules: Vec<(String, String)>,
    severities: Vec<&'static str>,
    people: Vec<String>,
    max_days: i64,
    may_record: bool,
}

/// An order that holds for findings to come.
struct Standing {
    entry: String,
    rule: String,
    rule_id: String,
    scope: String,
    severity: String,
    owner: String,
    due: String,
    note: String,
    by: String,
    at: When,
}

/// A baseline.
struct Taken {
    entry: String,
    name: String,
    note: String,
    by: String,
    at: When,
    is_in_force: bool,
}

/// A list that was signed off.
struct Review {
    on: String,
    reviewer: String,
    scope: String,
    seen: String,
    decision: String,
    at: When,
}

/// `GET /assignments`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let at = visit.at();
    let events = site.store().record_events().await?;
    let of = |id: &str| entries(events.iter().filter(|r| r.event.record == id), at);
    let mut standing: Vec<Entry> = of(HANDLING).into_iter().filter(|e| e.is_open() && is_standing(e)).collect();
    standing.reverse();
    let mut baselines: Vec<Entry> = of(BASELINE).into_iter().filter(Entry::is_open).collect();
    baselines.sort_by_key(|e| std::cmp::Reverse(e.added.at));
    let mut reviews: Vec<Entry> = of(REVIEW_SIGN_OFFS).into_iter().filter(|e| e.withdrawn.is_none()).collect();
    reviews.sort_by_key(|e| std::cmp::Reverse(e.added.at));
    let (known, news) = match (baselines.first(), visit.as_of) {
        (Some(last), None) => (counted(&site, at, last.added.at, false).await?, counted(&site, at, last.added.at, true).await?),
        _ => (String::new(), String::new()),
    };
    let may_record = visit.session.role.may_record() && visit.as_of.is_none();
    render(&Assignments {
        limits: limits(&standing),
        more: standing.len().saturating_sub(MAX_ROWS),
        orders: standing.iter().take(MAX_ROWS).map(|e| order(&site, &visit, e)).collect(),
        baselines: baselines.iter().take(MAX_ROWS).enumerate().map(|(number, e)| taken(&visit, e, number == 0)).collect(),
        known,
        news,
        reviews: reviews.iter().take(MAX_ROWS).map(|e| review(&visit, e)).collect(),
        rules: site.catalogue().rules.values().map(|r| (r.id.clone(), r.title.clone())).collect(),
        severities: Severity::ALL.map(Severity::word).into(),
        people: if may_record { people(&site).await? } else { Vec::new() },
        max_days: MAX_DUE_DAYS,
        may_record,
        frame: visit.frame(&site, "findings", "Standing orders").await?,
    })
}

/// Whether an entry is about findings to come: not of single ones alone.
fn is_standing(entry: &Entry) -> bool {
    let scope = Scope::of(entry);
    scope.rule == EVERY || scope.host.contains('*') || scope.subject.contains('*') || !scope.label.is_empty()
}

fn order(site: &Site, visit: &Visit, entry: &Entry) -> Standing {
    let scope = Scope::of(entry);
    let due = match (entry.value("due"), entry.value("due_days")) {
        ("", "") => String::new(),
        ("", days) => format!("{days} days after it began"),
        (due, _) => parsed(due).map_or_else(|| due.to_string(), |date| day(crate::records::value::midnight(date))),
    };
    Standing {
        entry: entry.id.to_string(),
        rule: if scope.rule == EVERY { "every rule".into() } else { site.catalogue().title(&scope.rule).to_string() },
        rule_id: scope.rule.clone(),
        scope: shown(&scope.words()),
        severity: entry.value("severity").to_string(),
        owner: shown(entry.value("owner")),
        due,
        note: shown(entry.value("note")),
        by: shown(&entry.added.by),
        at: visit.when(entry.added.at),
    }
}

/// How long failures may stay open, by severity: what the last order of every rule, host and subject says.
fn limits(standing: &[Entry]) -> Vec<(Severity, String)> {
    let of_all = |e: &&Entry| Scope::of(e).rule == EVERY && Scope::of(e).is_whole_rule() && !e.value("due_days").is_empty();
    let limit = |severity: Severity| {
        let found = standing.iter().filter(of_all).find(|e| e.value("severity").is_empty() || e.value("severity") == severity.word());
        found.map_or_else(String::new, |e| format!("{} days", e.value("due_days")))
    };
    Severity::ALL.map(|s| (s, limit(s))).into()
}

fn taken(visit: &Visit, entry: &Entry, is_in_force: bool) -> Taken {
    Taken {
        entry: entry.id.to_string(),
        name: shown(entry.value("name")),
        note: shown(entry.value("note")),
        by: shown(&entry.added.by),
        at: visit.when(entry.added.at),
        is_in_force,
    }
}

fn review(visit: &Visit, entry: &Entry) -> Review {
    Review {
        on: entry.value("reviewed_on").to_string(),
        reviewer: shown(entry.value("reviewer")),
        scope: shown(entry.value("scope")),
        seen: shown(entry.value("seen")),
        decision: shown(entry.value("decision")),
        at: visit.when(entry.added.at),
    }
}

/// Open findings that are known by a baseline, or new since it.
async fn counted(site: &Site, now: i64, taken: i64, new: bool) -> Result<String, PageError> {
    let mut filter = OpenFilter { at: now, verdicts: vec![Verdict::Fail, Verdict::Unknown], ..OpenFilter::default() };
    if new {
        filter.news_since = Some(taken)
    } else {
        filter.known_since = Some(taken)
    }
    let counts = Source::Now(site.store()).counted(&filter).await?;
    Ok(if counts.is_cut { format!("more than {}", grouped(u64::from(MOST) - 1)) } else { grouped(counts.total) })
}

/// `POST /assignments`
pub async fn act(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(form): Form<Pairs>) -> Result<Response, PageError> {
    must_be_ours(&visit, &headers, &form)?;
    must_record(&visit)?;
    let by = visit.session.user.name.as_str();
    let text = |name: &str| field(&form, name).trim().to_string();
    let part = match field(&form, "do") {
        "order" => {
            let or_every = |value: String| if value.is_empty() { EVERY.to_string() } else { value };
            let scope = Scope { rule: text("rule"), host: or_every(text("host")), subject: or_every(text("subject")), ..Scope::default() };
            let said: BTreeMap<String, String> = orders::HANDLED.into_iter().map(|name| (name.to_string(), text(name))).collect();
            orders::handle(site.store(), vec![scope], &said, by).await?;
            "orders"
        }
        "baseline" => {
            orders::take_baseline(site.store(), &text("name"), &text("note"), by).await?;
            "baseline"
        }
        which @ ("end" | "drop") => {
            let (record, part) = if which == "end" { (HANDLING, "orders") } else { (BASELINE, "baseline") };
            let entry = text("entry").parse().map_err(|_| PageError::NotFound("This entry".into()))?;
            let order = Order { entry: Some(entry), fields: [(NOTE.to_string(), text("note"))].into(), by: by.into(), ..Order::default() };
            let done: Result<_, RecordError> = desk::record(site.store(), orders::kind(record)?, Action::Withdraw, order).await;
            done?;
            part
        }
        _ => return Err(PageError::Bad("The form does not say what is to be done.".into())),
    };
    site.app.sequencer.wake();
    Ok(Redirect::to(&format!("/assignments#{part}")).into_response())
}
