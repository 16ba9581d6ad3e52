//! Where alerts go, what was sent, what could not be.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::super::error::PageError;
use super::super::form::{self, Fields};
use super::super::frame::{Frame, Visit};
use super::super::site::Site;
use super::super::text::shown;
use super::super::when::When;
use super::{Once, Tab, tabs};
use crate::collector::alerts::target::Place;
use crate::collector::alerts::{self, AlertError, NewTarget, Target};
use crate::model::ids::RandomId;

/// Messages listed.
const SHOWN: u32 = 100;

struct Line {
    id: String,
    name: String,
    kind: String,
    place: String,
    what: String,
}

struct Letter {
    number: i64,
    at: When,
    title: String,
    target: String,
    state: &'static str,
    attempts: u32,
    next: When,
    problem: String,
}

struct AddForm {
    kind: &'static str,
    title: &'static str,
    note: &'static str,
    places: Vec<Place>,
}

#[derive(Template)]
#[template(path = "settings/alerts.html")]
struct Alerts {
    frame: Frame,
    tabs: Vec<Tab>,
    problem: Option<String>,
    targets: Vec<Line>,
    letters: Vec<Letter>,
    shown: u32,
    forms: Vec<AddForm>,
}

/// `GET /settings/alerts`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response, PageError> {
    show(&site, &visit, StatusCode::OK, None).await
}

async fn show(site: &Site, visit: &Visit, status: StatusCode, problem: Option<String>) -> Result<Response, PageError> {
    let targets = Target::all(site.store()).await.map_err(internal)?;
    let names: BTreeMap<RandomId, String> = targets.iter().map(|t| (t.id, t.name.clone())).collect();
    let line = |t: &Target| {
        let digest = if t.wants_digest { "; weekly digest" } else { "" };
        Line {
            id: t.id.to_string(),
            name: shown(&t.name),
            kind: t.kind.clone(),
            place: shown(&t.place()),
            what: format!("failures from {} on{digest}", t.body.severity.word()),
        }
    };
    let letter = |l: crate::collector::store::Letter| Letter {
        number: l.number,
        at: visit.when(l.at),
        title: shown(&l.title),
        target: names.get(&l.target).map_or_else(String::new, |n| shown(n)),
        state: l.state.word(),
        attempts: l.attempts,
        next: visit.when(l.next_at),
        problem: shown(&l.problem),
    };
    let html = Alerts {
        frame: visit.frame(site, "settings", "Alerts").await?,
        tabs: tabs(visit, "/settings/alerts"),
        problem,
        targets: targets.iter().map(line).collect(),
        letters: site.store().letters(None, SHOWN).await?.into_iter().map(letter).collect(),
        shown: SHOWN,
        forms: alerts::places().into_iter().map(|(kind, title, note, places)| AddForm { kind, title, note, places }).collect(),
    };
    Ok((status, Html(html.render()?)).into_response())
}

fn internal(e: AlertError) -> PageError {
    PageError::Internal(e.to_string())
}

/// `POST /settings/alerts`
pub async fn add(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(fields): Form<Fields>) -> Result<Response, PageError> {
    let new: NewTarget = form::read(form::accepted(&visit, &headers, fields)?)?;
    let (store, by) = (site.store(), visit.session.user.id.to_string());
    match alerts::add(store.folder(), store, &new, &by, visit.now).await {
        Ok((_, None)) => {
            site.app.sequencer.wake();
            Ok(Redirect::to("/settings/alerts").into_response())
        }
        Ok((_, Some(key))) => {
            site.app.sequencer.wake();
            let once = Once {
                frame: visit.frame(&site, "settings", "Key of the webhook").await?,
                tabs: tabs(&visit, "/settings/alerts"),
                title: format!("The key of {}", shown(&new.name)),
                sentence: "Give it to the receiver, which checks each message by it. It is shown now and never again.".into(),
                items: vec![("Key".into(), key)],
                on: ("Alerts", "/settings/alerts".into()),
            };
            once.answer()
        }
        Err(AlertError::Bad(text)) => show(&site, &visit, StatusCode::UNPROCESSABLE_ENTITY, Some(form::sentence(&text))).await,
        Err(e) => Err(internal(e)),
    }
}

/// `POST /settings/alerts/{target}`: test or remove a target; try a dead letter again or throw it away.
pub async fn act(
    State(site): State<Arc<Site>>,
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, PageError> {
    let fields = form::accepted(&visit, &headers, fields)?;
    let missing = || PageError::NotFound("This target or message".into());
    let action = fields.get("action").map_or("", String::as_str);
    let store = site.store();
    let done = match action {
        "retry" | "dismiss" => store.revive_letter(id.parse().map_err(|_| missing())?, action == "retry", visit.now).await?,
        "test" => alerts::test(&site.app, &id.parse().map_err(|_| missing())?, visit.now).await.map_err(internal)?,
        "remove" => store.remove_alert_target(&id.parse().map_err(|_| missing())?, &visit.session.user.id.to_string(), visit.now).await?,
        _ => return Err(PageError::Bad("That is no action of a target or a message.".into())),
    };
    site.app.sequencer.wake();
    if done { Ok(Redirect::to("/settings/alerts").into_response()) } else { Err(missing()) }
}
