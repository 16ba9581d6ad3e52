//! What a person orders on the page of a host: other labels, a scan.

use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::error::PageError;
use super::frame::Visit;
use super::signin::{refuse_foreign, require_token};
use super::site::Site;
use crate::collector::auth::random_id;
use crate::collector::labels::{self, LabelError};
use crate::collector::store::HostRow;
use crate::model::ids::HostId;
use crate::model::labels::{HostLabels, words};

/// What is said of a host.
#[derive(Deserialize)]
pub struct Said {
    #[serde(default)]
    owner: String,
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    criticality: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    labels: String,
    #[serde(default)]
    form_token: String,
}

/// A form with nothing but its token.
#[derive(Deserialize)]
pub struct Bare {
    #[serde(default)]
    form_token: String,
}

/// Refuses whoever may not change what the collector keeps, and forms of others.
pub fn must_record(visit: &Visit, headers: &HeaderMap, form_token: &str) -> Result<(), PageError> {
    refuse_foreign(headers)?;
    require_token(visit, form_token)?;
    let role = visit.session.role;
    if role.may_record() { Ok(()) } else { Err(PageError::Forbidden(format!("The role {} reads only; this needs reviewer or admin.", role.word()))) }
}

/// `POST /hosts/{host}/labels`
pub async fn label(
    State(site): State<Arc<Site>>,
    visit: Visit,
    Path(host): Path<String>,
    headers: HeaderMap,
    Form(said): Form<Said>,
) -> Result<Response, PageError> {
    must_record(&visit, &headers, &said.form_token)?;
    let row = existing(&site, &host).await?;
    let said = HostLabels {
        host: row.name.clone(),
        owner: said.owner,
        purpose: said.purpose,
        criticality: said.criticality,
        region: said.region,
        labels: words(&said.labels),
        line: 0,
    };
    labels::set(site.store(), said, &visit.session.user.id.to_string(), visit.now).await.map_err(refused)?;
    site.app.sequencer.wake();
    Ok(Redirect::to(&format!("/hosts/{}", row.id)).into_response())
}

fn refused(e: LabelError) -> PageError {
    match e {
        LabelError::Store(e) => e.into(),
        other => PageError::Bad(format!("Nothing was changed: {other}.")),
    }
}

/// `POST /hosts/{host}/scan`
pub async fn scan(
    State(site): State<Arc<Site>>,
    visit: Visit,
    Path(host): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Bare>,
) -> Result<Response, PageError> {
    must_record(&visit, &headers, &form.form_token)?;
    let row = existing(&site, &host).await?;
    if row.state.is_over() {
        return Err(PageError::Bad("The host was taken out; nobody would hear of it.".into()));
    }
    let id = random_id()?;
    site.app.scan_requests.ask(row.id, id);
    tracing::info!(host = %row.id, by = %visit.session.user.id, scan = %id, "a scan was asked for");
    Ok(Redirect::to(&format!("/hosts/{}", row.id)).into_response())
}

async fn existing(site: &Site, host: &str) -> Result<HostRow, PageError> {
    let gone = || PageError::NotFound("That host".into());
    let id: HostId = host.parse().map_err(|_| gone())?;
    site.store().host_at(&id, None).await?.ok_or_else(gone)
}
