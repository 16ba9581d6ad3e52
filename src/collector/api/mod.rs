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
//! GET  /api/v1/due?within=DAYS                           what is overdue, missing or wrong, and what will be
//! GET  /api/v1/hosts?state=…&system=…&name=…&owner=…&label=…&page=N&as_of=DAY     hosts with their labels and counts, 100 a page
//! GET  /api/v1/hosts/HOST                                one host with its latest reports
//! GET  /api/v1/hosts/HOST/compare?a=REPORT&b=REPORT      facts and verdicts that differ between two scans; without a choice the latest two
//! POST /api/v1/hosts/HOST/scan                           asks for a scan with the next heartbeat -> 202
//! PUT  /api/v1/hosts/HOST/labels                         {"owner":…,"purpose":…,"criticality":…,"region":…,"labels":[…]}: a new version of the list
//! GET  /api/v1/known-elsewhere?as_of=DAY                 the inventory against the hosts that are enrolled
//! GET  /api/v1/people                                    who left and still gets in, and times to revoke; /people/PERSON, /people/privileged
//! GET  /api/v1/certificates?within=DAYS&name=…&host=…    certificates by their end; /certificates/FINGERPRINT: where; /tls-versions
//! GET  /api/v1/vulnerabilities?severity=…&name=…&host=…  advisories by severity; /vulnerabilities/ID: which hosts
//! GET  /api/v1/lists                                     lists in force; /lists/NAME: versions; /lists/NAME/VERSION: bytes
//! PUT  /api/v1/lists/NAME?dry_run=true                   CSV or JSON: what it would change; without dry_run a new version -> 201
//! ```
//! Who asks is known by the session's cookie or by `Authorization: Bearer TOKEN`. With a cookie, what changes something must come from this site
//! and carry the session's token in the header `x-form-token`, as forms do. Admins and reviewers record; the others read.
//! A refusal is `{"error":ID,"message":SENTENCE}`.

pub mod caller;
mod fleet;
mod lists;
mod problem;
mod records;
mod reviews;
pub mod token;
mod waivers;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

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
        .route("/hosts", get(fleet::hosts))
        .route("/hosts/{host}", get(fleet::host))
        .route("/hosts/{host}/compare", get(fleet::compared))
        .route("/hosts/{host}/scan", post(fleet::scan))
        .route("/hosts/{host}/labels", put(fleet::label))
        .route("/known-elsewhere", get(fleet::elsewhere))
        .route("/people", get(fleet::people))
        .route("/people/privileged", get(fleet::privileged))
        .route("/people/{person}", get(fleet::person))
        .route("/certificates", get(fleet::certificates))
        .route("/certificates/{fingerprint}", get(fleet::certificate))
        .route("/tls-versions", get(fleet::versions))
        .route("/vulnerabilities", get(fleet::vulnerabilities))
        .route("/vulnerabilities/{advisory}", get(fleet::vulnerability))
        .route("/lists", get(lists::all))
        .route("/lists/{name}", get(lists::one).put(lists::put))
        .route("/lists/{name}/{version}", get(lists::fetch))
        .fallback(|| async { Problem::NotFound("such a resource".into()) })
        .method_not_allowed_fallback(|| async { Problem::NotFound("this method on it".into()) });
    Router::new().nest(ROOT, routes)
}
