//! All record types by subject: what is due, overdue, missing.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::super::frame::{Frame, Page, Visit, render};
use super::super::site::Site;
use super::super::text::{counted, shown};
use super::super::when::When;
use super::{Desk, by_type, is_wrong};
use crate::model::finding::Verdict;
use crate::records::kind::{Group, Per, Shape};
use crate::records::types::INCIDENTS;
use crate::records::{RecordType, Standing, State as Stands, deadlines, due, standings};

/// Days that “soon” looks ahead.
const SOON: u32 = 30;

#[derive(Template)]
#[template(path = "registers/overview.html")]
struct Overview {
    frame: Frame,
    heading: String,
    figures: Vec<(String, &'static str, String)>,
    clocks: Vec<Clock>,
    groups: Vec<(&'static str, Vec<Row>)>,
    people_known: bool,
}

/// A deadline of an open incident.
pub(super) struct Clock {
    pub(super) subject: String,
    pub(super) path: String,
    pub(super) text: String,
    pub(super) over: When,
    pub(super) done: Option<When>,
    pub(super) verdict: Verdict,
    pub(super) word: &'static str,
}

/// One record type.
struct Row {
    title: String,
    path: String,
    what: String,
    verdict: Verdict,
    word: &'static str,
    why: String,
    wrong: usize,
    missing: usize,
    soon: usize,
    entries: usize,
}

/// `GET /registers`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let desk = Desk::open(&site, &visit).await?;
    let at = desk.at;
    let all = standings(desk.book.types, &desk.book.events, desk.people.as_ref(), at, at.saturating_add(1));
    let ahead = due(desk.book.types, &desk.book.events, desk.people.as_ref(), at, SOON);
    let by_type = by_type(&all);
    let count = |test: &dyn Fn(&Standing) -> bool| all.iter().filter(|s| test(s)).count();
    let (wrong, missing) = (count(&|s| is_wrong(s.state)), count(&|s| s.state == Stands::Missing));
    let soon = ahead.iter().filter(|s| s.since > at || s.state == Stands::Due).count();
    let row = |kind: &&'static RecordType| {
        let own: &[&Standing] = by_type.get(kind.id.as_str()).map_or(&[], Vec::as_slice);
        let worst = own.iter().max_by_key(|s| s.state);
        let open = desk.book.entries(kind, at).iter().filter(|e| e.is_open()).count();
        Row {
            title: kind.title.clone(),
            path: format!("/registers/{}", kind.id),
            what: what(kind),
            verdict: worst.map_or(Verdict::NotRun, |s| s.state.verdict()),
            word: worst.map_or(if kind.shape == Shape::Decision { "" } else { "no record" }, |s| s.state.word()),
            why: worst.filter(|s| s.state != Stands::Current).map_or(String::new(), |s| said(s)),
            wrong: own.iter().filter(|s| is_wrong(s.state)).count(),
            missing: own.iter().filter(|s| s.state == Stands::Missing).count(),
            soon: ahead.iter().filter(|s| s.record == kind.id && (s.since > at || s.state == Stands::Due)).count(),
            entries: open,
        }
    };
    let group = |g: Group| (g.word(), desk.book.types.iter().filter(|k| k.group == g).map(|k| row(&k)).collect());
    render(&Overview {
        heading: heading(wrong, missing),
        figures: vec![
            (super::super::text::grouped(wrong as u64), "overdue or wrong", "/registers/due".into()),
            (super::super::text::grouped(missing as u64), "without a record", "/registers/due?state=missing".into()),
            (super::super::text::grouped(soon as u64), "due within 30 days", format!("/registers/due?within={SOON}&state=soon")),
        ],
        clocks: clocks(&desk, &visit),
        groups: Group::ALL.into_iter().map(group).collect(),
        people_known: desk.people.is_some(),
        frame: visit.frame(&site, "registers", "Registers").await?,
    })
}

fn heading(wrong: usize, missing: usize) -> String {
    match (wrong, missing) {
        (0, 0) => "Every record is there and in time".into(),
        (0, n) => format!("{} without a record", counted(n, "duty is", "duties are")),
        (n, 0) => format!("{} overdue or wrong", counted(n, "record is", "records are")),
        (n, m) => format!("{} overdue or wrong, {} without a record", counted(n, "record is", "records are"), counted(m, "duty is", "duties are")),
    }
}

/// What kind of record it is, and how often.
pub(super) fn what(kind: &RecordType) -> String {
    let shape = match (kind.shape, kind.per) {
        (Shape::Register, _) => "register",
        (Shape::Decision, _) => return "decisions".into(),
        (_, Per::Company) => "attestation",
        (_, Per::Person) => "attestation per person",
        (_, Per::Group) => "attestation per group",
        (_, Per::Site) => "attestation per site",
    };
    match kind.cadence_days {
        Some(days) if kind.shape == Shape::Register => format!("{shape}, signed off every {days} days"),
        Some(days) => format!("{shape}, every {days} days"),
        None => shape.into(),
    }
}

fn said(standing: &Standing) -> String {
    let text = shown(&standing.message);
    if standing.subject.is_empty() { text } else { format!("{}: {text}", shown(&standing.subject)) }
}

/// Deadlines of open incidents, those that run first.
fn clocks(desk: &Desk, visit: &Visit) -> Vec<Clock> {
    let Some(kind) = desk.book.types.iter().find(|k| k.id == INCIDENTS) else { return Vec::new() };
    let mut out: Vec<(i64, Clock)> = Vec::new();
    for entry in desk.book.entries(kind, desk.at).iter().filter(|e| e.is_open()) {
        for told in deadlines(kind, entry).into_iter().filter(|d| d.done.is_none()) {
            let path = format!("/registers/{INCIDENTS}/{}", entry.id);
            out.push((told.over, clock(visit, shown(&entry.subject), path, &told)));
        }
    }
    out.sort_by_key(|(over, _)| *over);
    out.into_iter().map(|(_, clock)| clock).collect()
}

pub(super) fn clock(visit: &Visit, subject: String, path: String, told: &crate::records::Due) -> Clock {
    let (verdict, word) = match told.done {
        Some(done) if done > told.over => (Verdict::Fail, "done late"),
        Some(_) => (Verdict::Pass, "done in time"),
        None if visit.at() >= told.over => (Verdict::Fail, "overdue"),
        None => (Verdict::Unknown, "running"),
    };
    Clock { subject, path, text: told.text.clone(), over: visit.when(told.over), done: told.done.map(|at| visit.when(at)), verdict, word }
}
