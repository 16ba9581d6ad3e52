//! What is done with findings that are ticked, and with the list as a whole: assigned, waived, exported, kept as a view, signed off.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::error::PageError;
use super::findings::{asked, query_of};
use super::frame::{Frame, Page, Visit, render};
use super::signin::{refuse_foreign, require_token};
use super::site::Site;
use super::waivers;
use crate::collector::auth::random_id;
use crate::collector::findings::orders::{self, Review};
use crate::collector::findings::{Asked, Shown, Source, asked as words, export};
use crate::collector::store::{OpenFilter, OpenFinding, RecordError, SavedView};
use crate::records::Refusal;
use crate::records::scope::plain;

/// Pairs of a form.
type Pairs = Vec<(String, String)>;

/// Longest name of a view, characters.
const MAX_VIEW_NAME: usize = 80;

impl From<RecordError> for PageError {
    fn from(e: RecordError) -> Self {
        match e {
            RecordError::Refused(refusal @ Refusal::SamePerson(_)) => Self::Forbidden(format!("Nothing was done: {refusal}.")),
            RecordError::Refused(refusal) => Self::Bad(format!("Nothing was done: {refusal}.")),
            RecordError::Store(e) => e.into(),
        }
    }
}

/// The value of a form's field; empty when it is not there.
pub(super) fn field<'f>(form: &'f [(String, String)], name: &str) -> &'f str {
    form.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
}

/// Refuses a form that is not of this session and this site.
pub(super) fn must_be_ours(visit: &Visit, headers: &HeaderMap, form: &[(String, String)]) -> Result<(), PageError> {
    refuse_foreign(headers)?;
    require_token(visit, field(form, "form_token"))
}

/// Refuses who may only read.
pub(super) fn must_record(visit: &Visit) -> Result<(), PageError> {
    let role = visit.session.role;
    if role.may_record() {
        return Ok(());
    }
    Err(PageError::Forbidden(format!("The role {} reads only; deciding about findings needs reviewer or admin.", role.word())))
}

/// `POST /findings/act`
pub async fn act(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(form): Form<Pairs>) -> Result<Response, PageError> {
    must_be_ours(&visit, &headers, &form)?;
    let query = field(&form, "query");
    match field(&form, "do") {
        "assign" => {
            must_record(&visit)?;
            let picked = picked(&site, &visit, &form).await?;
            let said: BTreeMap<String, String> = ["owner", "due", "note"].into_iter().map(|name| (name.to_string(), field(&form, name).to_string())).collect();
            orders::handle(site.store(), orders::scopes(&picked), &said, &visit.session.user.name).await?;
            site.app.sequencer.wake();
            let joint = if query.is_empty() { "" } else { "&" };
            Ok(Redirect::to(&format!("/findings?{query}{joint}done={}", picked.len())).into_response())
        }
        "waive" => {
            must_record(&visit)?;
            let picked = picked(&site, &visit, &form).await?;
            waivers::draft(&site, &visit, orders::scopes(&picked)).await.map(IntoResponse::into_response)
        }
        "csv" => download(&site, &visit, &picked(&site, &visit, &form).await?, true),
        "json" => download(&site, &visit, &picked(&site, &visit, &form).await?, false),
        _ => Err(PageError::Bad("The form does not say what is to be done.".into())),
    }
}

/// The findings that a form picks: all of the list, those of some root causes, or one by one.
async fn picked(site: &Site, visit: &Visit, form: &[(String, String)]) -> Result<Vec<OpenFinding>, PageError> {
    let list = list(site, visit, field(form, "query")).await?;
    if !field(form, "everything").is_empty() {
        return Ok(orders::picked(site.store(), &list).await?);
    }
    let causes: Vec<&str> = form.iter().filter(|(n, _)| n == "cause").map(|(_, v)| v.as_str()).collect();
    if causes.is_empty() {
        let place = |text: &str| -> Option<_> {
            let mut parts = text.splitn(3, ':');
            Some((parts.next()?.parse().ok()?, plain(parts.next()?), plain(parts.next()?)))
        };
        let places: Option<Vec<_>> = form.iter().filter(|(n, _)| n == "pick").map(|(_, v)| place(v)).collect();
        let places = places.ok_or_else(|| PageError::Bad("A picked finding can’t be read; open the list again.".into()))?;
        return Ok(orders::picked(site.store(), &OpenFilter { at: visit.now, places: Some(places), ..OpenFilter::default() }).await?);
    }
    let mut out = Vec::new();
    for text in causes {
        let filter = OpenFilter { cause: Some(words::cause(text)?), ..list.clone() };
        out.extend(orders::picked(site.store(), &filter).await?);
        if out.len() > orders::MAX_PICKED {
            return Err(PageError::Bad(format!(
                "More than {} findings are picked: make a standing order for the rule, or narrow the list.",
                orders::MAX_PICKED
            )));
        }
    }
    Ok(out)
}

/// The filter of the list that a form came from.
async fn list(site: &Site, visit: &Visit, query: &str) -> Result<OpenFilter, PageError> {
    let unreadable = || PageError::Bad("The list can’t be found again; open it anew.".into());
    let uri = format!("/?{query}").parse().map_err(|_| unreadable())?;
    let pairs = axum::extract::Query::<Pairs>::try_from_uri(&uri).map_err(|_| unreadable())?;
    let asked = Asked::read(site.store(), &site.catalogue(), &pairs.0, visit.now, false).await?;
    if asked.shown == Shown::Open { Ok(asked.filter) } else { Err(unreadable()) }
}

fn download(site: &Site, visit: &Visit, rows: &[OpenFinding], is_csv: bool) -> Result<Response, PageError> {
    let role = visit.session.role;
    if !role.may_export() {
        return Err(PageError::Forbidden(format!("The role {} reads only; exporting needs auditor, reviewer or admin.", role.word())));
    }
    let (kind, name, body) = if is_csv {
        let body = export::csv(rows, &site.catalogue()).map_err(|e| PageError::Internal(e.to_string()))?;
        ("text/csv; charset=utf-8", "findings.csv", body)
    } else {
        let all: Vec<_> = rows.iter().map(|row| export::FindingDocument::of(row, &site.catalogue())).collect();
        let body = serde_json::to_vec_pretty(&serde_json::json!({ "as_of": visit.at(), "findings": all })).map_err(|e| PageError::Internal(e.to_string()))?;
        ("application/json", "findings.json", body)
    };
    let headers = [(header::CONTENT_TYPE, kind.to_string()), (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))];
    Ok((headers, body).into_response())
}

/// `POST /findings/views`: keeps the filters under a name, or lets go of a view.
pub async fn views(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(form): Form<Pairs>) -> Result<Response, PageError> {
    must_be_ours(&visit, &headers, &form)?;
    let person = visit.session.user.id;
    let dropped = field(&form, "drop");
    if !dropped.is_empty() {
        let gone = || PageError::NotFound("This view of yours".into());
        let id = dropped.parse().map_err(|_| gone())?;
        return if site.store().drop_view(&person, &id).await? { Ok(Redirect::to("/findings").into_response()) } else { Err(gone()) };
    }
    let (name, query, shared) = (field(&form, "name").trim(), field(&form, "query"), !field(&form, "shared").is_empty());
    if name.is_empty() || name.chars().count() > MAX_VIEW_NAME || name.chars().any(char::is_control) {
        return Err(PageError::Bad(format!("A view needs a name of up to {MAX_VIEW_NAME} characters.")));
    }
    if shared {
        must_record(&visit)?;
    }
    list(&site, &visit, query).await?;
    let view = SavedView { id: random_id()?, person, name: name.into(), query: query.into(), shared, at: visit.now };
    if !site.store().put_view(&view).await? {
        return Err(PageError::Bad("You keep as many views as there may be; let go of one first.".into()));
    }
    Ok(Redirect::to(&format!("/findings?{query}")).into_response())
}

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage {
    frame: Frame,
    counts: Vec<(String, String)>,
    query: String,
    scope: String,
    may_record: bool,
}

/// `GET /findings/review?FILTER`: what is signed off, before it is.
pub async fn review_form(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let asked = asked(&site, &visit).await?;
    if asked.shown != Shown::Open || visit.as_of.is_some() {
        return Err(PageError::Bad("Only open findings of now are signed off as reviewed.".into()));
    }
    let counts = Source::Now(site.store()).counted(&asked.filter).await?;
    use crate::model::finding::Verdict;
    let of = |v: Verdict| counts.counts.iter().filter(|t| t.verdict == v).map(|t| t.findings).sum::<u64>();
    let told = [Verdict::Fail, Verdict::Unknown, Verdict::Waived].map(|v| (super::text::grouped(of(v)), v.word().to_string()));
    let narrowed: Vec<String> = visit.query.iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| format!("{n} {v}")).collect();
    render(&ReviewPage {
        frame: visit.frame(&site, "findings", "Sign off a list of findings").await?,
        counts: told.into(),
        query: query_of(&visit),
        scope: if narrowed.is_empty() { "all open findings of all hosts".into() } else { format!("open findings with {}", narrowed.join(", ")) },
        may_record: visit.session.role.may_record(),
    })
}

/// `POST /findings/review`
pub async fn review(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(form): Form<Pairs>) -> Result<Response, PageError> {
    must_be_ours(&visit, &headers, &form)?;
    must_record(&visit)?;
    let filter = list(&site, &visit, field(&form, "query")).await?;
    let text = |name: &str| field(&form, name).to_string();
    let review = Review { scope: text("scope"), decision: text("decision"), seen: text("seen") };
    orders::sign_off(site.store(), &site.catalogue(), &filter, &review, &visit.session.user.name).await?;
    site.app.sequencer.wake();
    Ok(Redirect::to("/assignments#reviews").into_response())
}
