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
//! POST /api/v1/waivers                                   {"rule":…,"host":…,"subject":…,"reason":…,"control":…,"expires":DAY} -> 201; ?dry_run=true: what it would cover
//! POST /api/v1/waivers/ENTRY                             {"action":"approve"|"refuse"|"revoke"|"withdraw","note":…}
//! POST /api/v1/access-reviews                            {"scope":…}: takes who can act with more than ordinary rights from the newest facts -> 201
//! GET  /api/v1/access-reviews/ENTRY                      its items with the decisions so far; deciding and closing are actions on the record
//! GET  /api/v1/users                                     who signs in                                     (admin, like the next four)
//! POST /api/v1/users                                     {"name":…,"role":…,"password":…} -> 201; without a password a one-time link
//! GET  /api/v1/users/USER                                one, by id or name
//! POST /api/v1/users/USER                                {"action":"role"|"remove"|"link"|"password"|"reset-second-factor"|"grant"|"ungrant"|"end-sessions",…}
//! POST /api/v1/enrolment-tokens                          {"uses":"1","days":"1"} -> 201 and the token, once
//! GET  /api/v1/tokens                                    one's own API tokens; an admin sees all
//! POST /api/v1/tokens                                    {"name":…,"role":…,"read_only":"true","areas":"records due","days":"90"} -> 201 and the token, once
//! POST /api/v1/tokens/TOKEN                              {"action":"revoke"}
//! GET  /api/v1/settings                                  POST {"name":…,"value":…}: one setting (admin)
//! GET  /api/v1/alert-targets                             where alerts go (admin); POST adds one -> 201
//! POST /api/v1/alert-targets/TARGET                      {"action":"test"|"remove"}; with the number of a dead letter "retry"|"dismiss"
//! GET  /api/v1/alerts                                    the newest messages and how far they are
//! GET  /api/v1/audit-trail?kind=&person=&day=&before=    ledger entries and logged acts, newest first
//! GET  /api/v1/due?within=DAYS                           what is overdue, missing or wrong, and what will be
//! ```
//! Who asks is known by the session's cookie or by `Authorization: Bearer TOKEN`. With a cookie, what changes something must come from this site
//! and carry the session's token in the header `x-form-token`, as forms do. Admins and reviewers record; the others read.
//! A refusal is `{"error":ID,"message":SENTENCE}`.

mod access;
mod alerts;
pub mod caller;
pub(super) mod problem;
mod records;
mod reviews;
pub mod token;
mod trail;
mod waivers;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

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
        .route("/access-reviews", post(reviews::start))
        .route("/access-reviews/{entry}", get(reviews::show))
        .route("/due", get(records::due))
        .route("/users", get(access::users).post(access::add_user))
        .route("/users/{user}", get(access::user).post(access::change_user))
        .route("/enrolment-tokens", post(access::enrolment_token))
        .route("/tokens", get(access::tokens).post(access::issue_token))
        .route("/tokens/{token}", post(access::revoke_token))
        .route("/settings", get(access::settings).post(access::set))
        .route("/alert-targets", get(alerts::targets).post(alerts::add))
        .route("/alert-targets/{target}", post(alerts::act))
        .route("/alerts", get(alerts::letters))
        .route("/audit-trail", get(trail::list))
        .fallback(|| async { Problem::NotFound("such a resource".into()) })
        .method_not_allowed_fallback(|| async { Problem::NotFound("this method on it".into()) });
    Router::new().nest(ROOT, routes)
}
