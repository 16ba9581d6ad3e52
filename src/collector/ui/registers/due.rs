//! What wants a person's hand, the worst first.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::super::error::PageError;
use super::super::frame::{Frame, Page, Visit, render};
use super::super::site::Site;
use super::super::text::{counted, shown};
use super::super::when::When;
use super::{Desk, is_wrong, offers};
use crate::model::finding::Verdict;
use crate::records::kind::Shape;
use crate::records::{Standing, State as Stands, due};

/// Rows of the page; more are counted.
const MAX_ROWS: usize = 500;
/// Days that may be looked ahead, as the page offers them.
const AHEAD: [(u32, &str); 4] = [(0, "now"), (30, "30 days"), (90, "90 days"), (366, "a year")];

#[derive(Template)]
#[template(path = "registers/due.html")]
struct Due {
    frame: Frame,
    heading: String,
    ahead: Vec<(String, &'static str, bool)>,
    states: Vec<(String, &'static str, bool)>,
    rows: Vec<Row>,
    more: usize,
}

struct Row {
    verdict: Verdict,
    word: &'static str,
    title: String,
    subject: String,
    path: String,
    why: String,
    /// When it will be so; `None`: it is.
    from: Option<When>,
    /// Where it is recorded; empty: nobody may here.
    record: String,
}

/// `GET /registers/due?within=…&state=…`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let within = match visit.parameter("within") {
        "" => 0,
        text => text.parse().ok().filter(|n| *n <= 3_660).ok_or_else(|| PageError::Bad(format!("“{}” is no number of days up to 3660.", shown(text))))?,
    };
    let state = visit.parameter("state");
    let desk = Desk::open(&site, &visit).await?;
    let mut all = due(desk.book.types, &desk.book.events, desk.people.as_ref(), desk.at, within);
    let is_soon = |s: &Standing| s.since > desk.at || s.state == Stands::Due;
    match state {
        "" => {}
        "wrong" => all.retain(|s| is_wrong(s.state) && s.since <= desk.at),
        "missing" => all.retain(|s| s.state == Stands::Missing),
        "soon" => all.retain(is_soon),
        other => return Err(PageError::Bad(format!("“{}” is no state; use wrong, missing or soon.", shown(other)))),
    }
    let more = all.len().saturating_sub(MAX_ROWS);
    let heading = format!("{} a hand", counted(all.len(), "record wants", "records want"));
    all.truncate(MAX_ROWS);
    let path = |within: u32, state: &str| {
        let query = [(within > 0).then(|| format!("within={within}")), (!state.is_empty()).then(|| format!("state={state}"))];
        let query: Vec<String> = query.into_iter().flatten().collect();
        if query.is_empty() { "/registers/due".into() } else { format!("/registers/due?{}", query.join("&")) }
    };
    render(&Due {
        heading,
        ahead: AHEAD.map(|(days, word)| (path(days, state), word, days == within)).into(),
        states: [("", "all"), ("wrong", "overdue or wrong"), ("missing", "no record"), ("soon", "soon")]
            .map(|(id, word)| (path(within, id), word, id == state))
            .into(),
        rows: all.iter().map(|s| row(&desk, &visit, s)).collect(),
        more,
        frame: visit.frame(&site, "registers", "Due records").await?,
    })
}

fn row(desk: &Desk, visit: &Visit, standing: &Standing) -> Row {
    let kind = desk.book.types.iter().find(|k| k.id == standing.record);
    let of_type = format!("/registers/{}", standing.record);
    let may = kind.is_some_and(|k| offers(visit, k));
    let subject = super::super::text::encode(&standing.subject);
    let record = match (standing.entry, kind) {
        _ if !may => String::new(),
        (Some(entry), Some(k)) if k.shape == Shape::Register => format!("{of_type}/{entry}/change"),
        (None, Some(k)) if k.shape == Shape::Register => format!("{of_type}#sign-off"),
        _ if subject.is_empty() => format!("{of_type}/new"),
        _ => format!("{of_type}/new?subject={subject}"),
    };
    Row {
        verdict: standing.state.verdict(),
        word: standing.state.word(),
        title: kind.map_or_else(|| standing.record.clone(), |k| k.title.clone()),
        subject: shown(&standing.subject),
        path: standing.entry.map_or_else(|| of_type.clone(), |entry| format!("{of_type}/{entry}")),
        why: shown(&standing.message),
        from: (standing.since > desk.at).then(|| visit.when(standing.since)),
        record,
    }
}
