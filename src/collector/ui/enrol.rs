//! Enrolling hosts: one command to copy, and a page that waits for the first report.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::error::PageError;
use super::form::{self, Fields};
use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::text::shown;
use super::when::When;
use crate::collector::accounts::{self, NewEnrolment};

/// Newest hosts that the waiting page shows.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "enrol.html")]
struct Enrol {
    frame: Frame,
    problem: Option<String>,
    command: Option<String>,
    uses: String,
    days: String,
}

struct Line {
    name: String,
    path: String,
    enrolled: When,
    reported: Option<(When, String)>,
}

#[derive(Template)]
#[template(path = "waiting.html")]
struct Waiting {
    frame: Frame,
    lines: Vec<Line>,
    is_first: bool,
    reported: usize,
}

/// `GET /enrol`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response, PageError> {
    show(&site, &visit, StatusCode::OK, None, None, ("1", "1")).await
}

async fn show(
    site: &Site,
    visit: &Visit,
    status: StatusCode,
    problem: Option<String>,
    command: Option<String>,
    (uses, days): (&str, &str),
) -> Result<Response, PageError> {
    let frame = visit.frame(site, "hosts", "Enrol hosts").await?;
    let html = Enrol { frame, problem, command, uses: shown(uses), days: shown(days) };
    Ok((status, Html(html.render()?)).into_response())
}

/// `POST /enrol`: makes a token and shows the command that uses it, once.
pub async fn submit(State(site): State<Arc<Site>>, visit: Visit, headers: HeaderMap, Form(fields): Form<Fields>) -> Result<Response, PageError> {
    let new: NewEnrolment = form::read(form::accepted(&visit, &headers, fields)?)?;
    match accounts::issue_enrolment(site.store(), site.app.authority.der(), &new, visit.now).await {
        Ok(token) => {
            site.app.sequencer.wake();
            let command = command(&site.app.agents_url, &token);
            show(&site, &visit, StatusCode::OK, None, Some(command), (&new.uses, &new.days)).await
        }
        Err(e) => {
            let (status, problem) = form::refused(e)?;
            show(&site, &visit, status, Some(problem), None, (&new.uses, &new.days)).await
        }
    }
}

/// What the operator pastes on a server. The token goes through a pipe: other users see arguments in the process list.
fn command(agents_url: &str, token: &str) -> String {
    format!("echo '{token}' | sudo -u assay-agent assay enroll --collector {agents_url} --token-file -")
}

/// `GET /enrol/wait`: looks again every few seconds until a report came; works without a script.
pub async fn wait(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let mut hosts = site.store().hosts(None).await?;
    hosts.sort_by_key(|h| std::cmp::Reverse(h.enrolled_at));
    hosts.truncate(SHOWN);
    let mut lines = Vec::new();
    for host in hosts {
        let report = site.store().reports(Some(&host.id), None, 1).await?.into_iter().next();
        let reported = report.map(|r| (visit.when(r.received), format!("{} fail, {} unknown, {} pass", r.counts.fail, r.counts.unknown, r.counts.pass)));
        lines.push(Line { name: shown(&host.name), path: format!("/hosts/{}", host.id), enrolled: visit.when(host.enrolled_at), reported });
    }
    let reported = lines.iter().filter(|l| l.reported.is_some()).count();
    let frame = visit.frame(&site, "hosts", "Waiting for the first report").await?;
    render(&Waiting { frame, is_first: lines.is_empty(), lines, reported })
}
