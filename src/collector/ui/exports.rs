//! Exports: asked for, watched, fetched.

use std::io::SeekFrom;
use std::sync::Arc;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::error::PageError;
use super::evidence::{framework, period};
use super::frame::{Frame, Page, Visit, render};
use super::signin::{refuse_foreign, require_token};
use super::site::{Site, Wanted};
use super::text::{grouped, shown};
use super::when::When;
use crate::collector::auth::Role;
use crate::collector::export::jobs::{Job, MAX_KEPT, State as Stage};
use crate::evidence::material::{Sampling, Scope};
use crate::evidence::sampling::MAX_SEED;
use crate::model::ids::RandomId;

/// Most samples per control.
const MAX_SAMPLE: u32 = 1000;
/// Most patterns of host names.
const MAX_PATTERNS: usize = 50;
/// Bytes of a bundle sent at a time.
const CHUNK: usize = 128 << 10;

/// What to export.
#[derive(Deserialize)]
pub struct Order {
    framework: String,
    from: String,
    to: String,
    #[serde(default)]
    hosts: String,
    #[serde(default)]
    seed: String,
    #[serde(default)]
    sample: String,
    #[serde(default)]
    form_token: String,
}

/// `POST /evidence/export`
pub async fn begin(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(order): Form<Order>) -> Result<Response, PageError> {
    refuse_foreign(&headers)?;
    require_token(&visit, &order.form_token)?;
    must_export(&visit)?;
    period(&order.from, &order.to)?;
    let framework = framework(&site, &order.framework)?.ok_or_else(|| PageError::Bad("The rule pack holds no framework.".into()))?;
    let (scope, sampling) = (scope(&order.hosts)?, sampling(&order)?);
    let wanted = Wanted { framework: &framework, from: &order.from, to: &order.to, scope, sampling };
    let id = site.export(visit.session.user.id, &wanted, visit.now)?;
    Ok(Redirect::to(&format!("/evidence/export/{id}")).into_response())
}

fn must_export(visit: &Visit) -> Result<(), PageError> {
    let role = visit.session.role;
    if role.may_export() {
        return Ok(());
    }
    Err(PageError::Forbidden(format!("The role {} reads only; exporting needs auditor, reviewer or admin.", role.word())))
}

pub(super) fn scope(hosts: &str) -> Result<Scope, PageError> {
    let hosts: Vec<String> = hosts.split([',', ' ']).filter(|h| !h.is_empty()).map(str::to_string).collect();
    if hosts.len() > MAX_PATTERNS {
        return Err(PageError::Bad(format!("More than {MAX_PATTERNS} names of hosts; use * for what they share.")));
    }
    Ok(Scope { hosts })
}

fn sampling(order: &Order) -> Result<Option<Sampling>, PageError> {
    let seed = order.seed.trim();
    if seed.is_empty() {
        return Ok(None);
    }
    if seed.chars().count() > MAX_SEED || seed.chars().any(char::is_control) {
        return Err(PageError::Bad(format!("The seed of the samples has more than {MAX_SEED} characters or a line break.")));
    }
    let size = order.sample.trim().parse().ok().filter(|n| (1..=MAX_SAMPLE).contains(n));
    let size = size.ok_or_else(|| PageError::Bad(format!("“{}” is no number of samples; write 1 to {MAX_SAMPLE}.", shown(&order.sample))))?;
    Ok(Some(Sampling { seed: seed.into(), size }))
}

#[derive(Template)]
#[template(path = "export.html")]
struct ExportPage {
    frame: Frame,
    id: String,
    name: String,
    at: When,
    state: &'static str,
    detail: String,
    digest: String,
    done: u64,
    hosts: u64,
    is_open: bool,
    is_done: bool,
    kept: usize,
}

/// `GET /evidence/export/{id}`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit, Path(id): Path<String>) -> Page {
    let job = job(&site, &visit, &id)?;
    let mut page = ExportPage {
        frame: visit.frame(&site, "evidence", "Export").await?,
        id: job.id.to_string(),
        name: job.name,
        at: visit.when(job.at),
        state: word(&job.state),
        detail: String::new(),
        digest: String::new(),
        done: 0,
        hosts: 1,
        is_open: matches!(job.state, Stage::Waiting | Stage::Working(_)),
        is_done: matches!(job.state, Stage::Done { .. }),
        kept: MAX_KEPT,
    };
    match job.state {
        Stage::Waiting => page.detail = "another export is under way".into(),
        Stage::Working(p) if p.hosts == 0 => page.detail = "reading the ledger and the results".into(),
        Stage::Working(p) => {
            (page.done, page.hosts) = (p.done, p.hosts);
            page.detail = format!("{} of {} hosts, {} packed", grouped(p.done), grouped(p.hosts), size(p.bytes));
        }
        Stage::Done { digest, bytes } => (page.digest, page.detail) = (digest.to_string(), size(bytes)),
        Stage::Failed(why) => page.detail = why,
    }
    render(&page)
}

/// `GET /evidence/export/{id}/{name}`: the bundle, as it lies on the disk.
pub async fn fetch(State(site): State<Arc<Site>>, visit: Visit, Path((id, _)): Path<(String, String)>) -> Result<Response, PageError> {
    let job = job(&site, &visit, &id)?;
    if !matches!(job.state, Stage::Done { .. }) {
        return Err(PageError::NotFound("A finished bundle".into()));
    }
    let failed = |e: std::io::Error| PageError::Internal(format!("export {id}: {e}"));
    let mut file = tokio::fs::File::open(site.jobs.file(&job.id)).await.map_err(failed)?;
    let length = file.seek(SeekFrom::End(0)).await.map_err(failed)?;
    file.rewind().await.map_err(failed)?;
    let chunks = futures_util::stream::try_unfold(file, |mut file| async move {
        let mut chunk = vec![0; CHUNK];
        let n = file.read(&mut chunk).await?;
        chunk.truncate(n);
        Ok::<_, std::io::Error>((n > 0).then(|| (Bytes::from(chunk), file)))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_string()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", job.name)),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// An export that this person may see: their own; an administrator sees all.
fn job(site: &Site, visit: &Visit, id: &str) -> Result<Job, PageError> {
    must_export(visit)?;
    let job = id.parse::<RandomId>().ok().and_then(|id| site.jobs.job(&id)).filter(|job| sees(visit, job));
    job.ok_or_else(|| PageError::NotFound("This export (it may be older than those that are kept)".into()))
}

fn sees(visit: &Visit, job: &Job) -> bool {
    visit.session.role == Role::Admin || job.by == visit.session.user.id
}

/// An export in the list.
pub(super) struct Line {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) at: When,
    pub(super) state: &'static str,
}

/// The exports that this person may see, newest first.
pub(super) fn lines(site: &Site, visit: &Visit) -> Vec<Line> {
    let all = site.jobs.all().into_iter().filter(|job| visit.session.role.may_export() && sees(visit, job));
    all.map(|job| Line { id: job.id.to_string(), at: visit.when(job.at), state: word(&job.state), name: job.name }).collect()
}

fn word(state: &Stage) -> &'static str {
    match state {
        Stage::Waiting => "Waiting for its turn",
        Stage::Working(_) => "Under way",
        Stage::Done { .. } => "Ready",
        Stage::Failed(_) => "Failed",
    }
}

fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
