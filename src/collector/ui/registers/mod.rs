//! Registers: what people must say, by subject; one type; one entry; forms made of a type's fields; reviews of privileged access.

mod due;
mod entry;
mod fields;
mod form;
mod kind;
mod leaving;
mod overview;
mod review;
mod sent;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;

use super::error::PageError;
use super::frame::Visit;
use super::signin::refuse_foreign;
use super::site::Site;
use super::text::shown;
use crate::collector::records::{Book, people};
use crate::collector::store::RecordError;
use crate::model::finding::Verdict;
use crate::records::types::{HANDLING, WAIVER};
use crate::records::{People, RecordType, Refusal, Standing, State};

/// Where the pages of registers are.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/registers", get(overview::page))
        .route("/registers/due", get(due::page))
        .route("/registers/{type}", get(kind::page).post(form::add))
        .route("/registers/{type}/new", get(form::new))
        .route("/registers/{type}/published", get(leaving::sub_processors))
        .route("/registers/{type}/{entry}", get(entry::page).post(form::act))
        .route("/registers/{type}/{entry}/change", get(form::change))
        .route("/registers/{type}/{entry}/notification", get(leaving::notification))
        .route("/registers/{type}/{entry}/file/{digest}", get(leaving::file))
}

/// All that the pages read, as of the visit's time.
struct Desk {
    book: Book,
    people: Option<People>,
    at: i64,
}

impl Desk {
    async fn open(site: &Site, visit: &Visit) -> Result<Self, PageError> {
        let at = visit.at();
        Ok(Self { book: Book::read(site.store()).await?, people: people(site.store(), at).await?, at })
    }

    fn kind(&self, id: &str) -> Result<&'static RecordType, PageError> {
        self.book.kind(id).map_err(|_| PageError::NotFound(format!("A record type “{}”", shown(id))))
    }
}

/// How something stands, ready to be shown.
#[derive(Clone)]
struct Stand {
    verdict: Verdict,
    word: &'static str,
    why: String,
}

impl Stand {
    fn of(standing: &Standing) -> Self {
        Self { verdict: standing.state.verdict(), word: standing.state.word(), why: shown(&standing.message) }
    }
}

/// Whether a state wants somebody's hand now.
const fn is_wrong(state: State) -> bool {
    matches!(state, State::Incomplete | State::Late | State::Overdue | State::Expired | State::Refused)
}

/// A control or sentence that a record type serves.
struct Served {
    text: String,
    title: String,
    path: String,
}

fn served(site: &Site, kind: &RecordType) -> Vec<Served> {
    let catalogue = site.catalogue();
    let mut out = Vec::new();
    for framework in &catalogue.frameworks {
        for control in framework.controls.iter().filter(|c| c.records.contains(&kind.id)) {
            let place = if framework.is_page { format!("/commitments/{}", framework.id) } else { format!("/evidence?framework={}", framework.id) };
            out.push(Served {
                text: format!("{} {}", framework.title, control.id),
                title: control.title.clone(),
                path: format!("{place}#{}", super::text::encode(&control.id)),
            });
        }
    }
    out
}

/// Whether the page offers to record: the role may, and the page shows today.
fn offers(visit: &Visit, kind: &RecordType) -> bool {
    visit.session.role.may_record() && visit.as_of.is_none() && !is_decision(kind)
}

/// Decisions on findings have pages of their own.
fn is_decision(kind: &RecordType) -> bool {
    [WAIVER, HANDLING].contains(&kind.id.as_str())
}

/// Whether this person may record, and meant to. The form's token is asked for once the form was read.
fn must_record(visit: &Visit, headers: &HeaderMap, kind: &RecordType) -> Result<(), PageError> {
    refuse_foreign(headers)?;
    if !visit.session.role.may_record() {
        let role = visit.session.role.word();
        return Err(PageError::Forbidden(format!("The role {role} reads only; recording needs reviewer or admin. Nothing was recorded.")));
    }
    if is_decision(kind) {
        return Err(PageError::Forbidden(format!("{} are decided where the findings are; nothing was recorded.", kind.title)));
    }
    Ok(())
}

/// What was not recorded because of a person's words, to be shown beside them; anything else is an error page.
fn refusal(error: RecordError) -> Result<String, PageError> {
    match error {
        RecordError::Store(e) => Err(e.into()),
        RecordError::Refused(Refusal::UnknownType(id)) => Err(PageError::NotFound(format!("A record type “{}”", shown(&id)))),
        RecordError::Refused(Refusal::UnknownEntry(_, id)) => Err(PageError::NotFound(format!("An entry “{}”", shown(&id)))),
        RecordError::Refused(other) => Ok(capital(&other.to_string())),
    }
}

/// A sentence of the program as people read it: with a capital and a full stop.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// Standings by type, in one pass.
fn by_type(standings: &[Standing]) -> BTreeMap<&str, Vec<&Standing>> {
    let mut out: BTreeMap<&str, Vec<&Standing>> = BTreeMap::new();
    for standing in standings {
        out.entry(standing.record.as_str()).or_default().push(standing);
    }
    out
}
