//! The API on the people's listener: JSON in, JSON out.
//!
//! ```text
//! GET  /api/v1/record-types                              types with their fields, deadlines and promises
//! GET  /api/v1/records/TYPE?as_of=DAY                    entries and how they stand
//! POST /api/v1/records/TYPE                              {"subject":…,"fields":{…},"files":[{"name":…,"content":BASE64}]} -> 201
//! POST /api/v1/records/TYPE/sign-off                     {"note":…}: the list is complete -> 201
//! GET  /api/v1/records/TYPE/ENTRY?as_of=DAY              one entry with each of its events
//! POST /api/v1/records/TYPE/ENTRY                        {"action":"change"|"close"|"withdraw","fields":{…},"files":[…],"note":…}
//! GET  /api/v1/record-files/SHA256                       the bytes of a file
//! GET  /api/v1/waivers?as_of=DAY                         waivers with their stage
//! POST /api/v1/waivers                                   {"rule":…,"host":…,"label":…,"subject":…,"reason":…,"control":…,"expires":DAY} -> 201; ?dry_run=true: what it would cover
//! POST /api/v1/waivers/ENTRY                             {"action":"approve"|"refuse"|"revoke"|"withdraw","note":…}
//! POST /api/v1/access-reviews                            {"scope":…}: takes who can act with more than ordinary rights from the newest facts -> 201
//! GET  /api/v1/access-reviews/ENTRY                      its items with the decisions so far; deciding and closing are actions on the record
//! GET  /api/v1/findings?FILTER&after=PLACE               open findings, a page at a time; FILTER and PLACE as on the page of findings
//! GET  /api/v1/finding-groups?FILTER&page=NUMBER         the same by root cause
//! POST /api/v1/assignments                               {"picked":[{"host":ID,"rule":…,"subject":…}] | "filter":FILTER | "scope":{"rule":…,"host":…,"subject":…,"severity":…},
//!                                                        "owner":…,"due":DAY,"due_days":…,"cause":…,"resolution":…,"note":…} -> 201
//! POST /api/v1/comments                                  {"host":ID,"rule":…,"subject":…,"text":…} -> 201
//! POST /api/v1/finding-reviews                           {"filter":FILTER,"scope":…,"seen":…,"decision":…}: the list was looked through -> 201
//! GET  /api/v1/baseline                                  the baseline in force, how many findings are known by it and how many are new
//! POST /api/v1/baseline                                  {"name":…,"note":…}: what is open now is known -> 201
//! GET  /api/v1/finding-views                             saved filters, own and shared
//! POST /api/v1/finding-views                             {"name":…,"filter":FILTER,"shared":…} -> 201; DELETE /api/v1/finding-views/ID
//! GET  /api/v1/due?within=DAYS                           what is overdue, missing or wrong, and what will be
//! ```
//! Who asks is known by the session's cookie or by `Authorization: Bearer TOKEN`. With a cookie, what changes something must come from this site
//! and carry the session's token in the header `x-form-token`, as forms do. Admins and reviewers record; the others read.
//! A refusal is `{"error":ID,"message":SENTENCE}`.

pub mod caller;
mod findings;
mod problem;
mod records;
mod reviews;
pub mod token;
mod waivers;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use super::ui::Site;
use problem::Problem;

/// Where the API begins.
pub const ROOT: &str = "/api/v1";

/// The routes of the API.
pub fn router() -> Router<Arc<Site>> {
    let routes = Router::new()
        .route("/record-types", get(records::types))
        .route("/records/{type}", get(records::list).post(records::add))
        .route("/records/{type}/sign-off", post(records::sign_off))
        .route("/records/{type}/{entry}", get(records::show).post(records::act))
        .route("/record-files/{digest}", get(records::file))
        .route("/waivers", get(waivers::list).post(waivers::request))
        .route("/waivers/{entry}", post(waivers::act))
        .route("/findings", get(findings::list))
        .route("/finding-groups", get(findings::groups))
        .route("/assignments", post(findings::assign))
        .route("/comments", post(findings::comment))
        .route("/finding-reviews", post(findings::review))
        .route("/baseline", get(findings::baseline).post(findings::take))
        .route("/finding-views", get(findings::views).post(findings::keep))
        .route("/finding-views/{id}", delete(findings::drop_view))
        .route("/access-reviews", post(reviews::start))
        .route("/access-reviews/{entry}", get(reviews::show))
        .route("/due", get(records::due))
        .fallback(|| async { Problem::NotFound("such a resource".into()) })
        .method_not_allowed_fallback(|| async { Problem::NotFound("this method on it".into()) });
    Router::new().nest(ROOT, routes)
}
