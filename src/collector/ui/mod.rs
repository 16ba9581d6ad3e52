//! Pages for people: server-rendered, complete without script, nothing from elsewhere.

mod assignments;
pub mod cadence;
pub mod calendar;
pub mod certificates;
mod commitments;
pub mod compare;
pub mod error;
pub mod evidence;
mod exports;
pub mod finding;
pub mod findings;
pub mod frame;
pub mod host;
pub mod host_facts;
pub mod hosts;
pub mod known;
pub mod lists;
mod orders;
pub mod overview;
pub mod paging;
pub mod people;
mod picked;
mod registers;
mod said;
mod search;
pub mod sight;
pub mod signin;
pub mod site;
pub mod tally;
pub mod text;
pub mod vulnerabilities;
mod waivers;
pub mod when;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::{App, api, tiles};
pub use site::{Catalogue, Site};

/// Largest form, bytes.
const MAX_FORM_BYTES: usize = 16 * 1024;
/// Largest form of picked findings, bytes.
const MAX_PICKS_BYTES: usize = 1 << 20;
/// Where the style sheet is; the version in it changes with the file.
pub const STYLE_PATH: &str = concat!("/static/style.css?", env!("CARGO_PKG_VERSION"));
/// Where the script is.
pub const SCRIPT_PATH: &str = concat!("/static/app.js?", env!("CARGO_PKG_VERSION"));

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("app.js");
const ICON: &str = include_str!("icon.svg");

/// What a browser may do with our pages: nothing that they do not need.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Headers of every answer.
const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// Every page of a collector, sign-in included.
pub fn router(app: Arc<App>) -> Router {
    pages(Arc::new(Site::following(app)))
}

/// Every page over a catalogue.
pub fn pages(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(overview::page))
        .route("/findings", get(findings::page))
        .route("/findings/act", post(picked::act).layer(DefaultBodyLimit::max(MAX_PICKS_BYTES)))
        .route("/findings/views", post(picked::views))
        .route("/findings/review", get(picked::review_form).post(picked::review))
        .route("/findings/{host}/{rule}", get(finding::page).post(finding::act))
        .route("/assignments", get(assignments::page).post(assignments::act))
        .route("/waivers", get(waivers::list).post(waivers::ask).layer(DefaultBodyLimit::max(MAX_PICKS_BYTES)))
        .route("/waivers/new", get(waivers::new))
        .route("/waivers/{id}", get(waivers::page).post(waivers::decide))
        .route("/hosts", get(hosts::page))
        .route("/hosts/known", get(known::page))
        .route("/hosts/{host}", get(host::page))
        .route("/hosts/{host}/compare", get(compare::page))
        .route("/hosts/{host}/labels", post(orders::label))
        .route("/hosts/{host}/scan", post(orders::scan))
        .route("/commitments", get(commitments::list))
        .route("/commitments/{page}", get(commitments::page))
        .route("/commitments/{page}/status", get(commitments::published))
        .route("/search", get(search::page))
        .route("/people", get(people::page))
        .route("/people/privileged", get(people::privileged))
        .route("/people/{person}", get(people::person))
        .route("/vulnerabilities", get(vulnerabilities::page))
        .route("/vulnerabilities/{advisory}", get(vulnerabilities::vulnerability))
        .route("/certificates", get(certificates::page))
        .route("/certificates/{fingerprint}", get(certificates::certificate))
        .route("/calendar", get(cadence::page))
        .route("/lists", get(lists::page))
        .route("/lists/{name}", get(lists::list).post(lists::put))
        .route("/lists/{name}/check", post(lists::check).layer(DefaultBodyLimit::max(lists::MAX_UPLOAD)))
        .route("/lists/{name}/{version}", get(lists::fetch))
        .route("/evidence", get(evidence::page))
        .route("/evidence/export", post(exports::begin))
        .route("/evidence/export/{id}", get(exports::page))
        .route("/evidence/export/{id}/{name}", get(exports::fetch))
        .route("/log/{*path}", get(tiles::serve))
        .route("/signin", get(signin::form).post(signin::submit))
        .route("/signin/once", get(signin::once_form).post(signin::once_submit))
        .route("/signout", post(signin::sign_out))
        .route("/static/style.css", get(|| asset("text/css; charset=utf-8", STYLE)))
        .route("/static/app.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/static/icon.svg", get(|| asset("image/svg+xml", ICON)))
        .merge(registers::routes())
        .merge(api::router())
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(middleware::from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

async fn asset(kind: &'static str, body: &'static str) -> Response {
    // Not `immutable`: during development the version stays and the file changes.
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=300")], body).into_response()
}

async fn not_found(uri: Uri) -> Response {
    error::PageError::NotFound(format!("“{}”", text::shown(uri.path()))).into_response()
}

async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if site.is_secure() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
