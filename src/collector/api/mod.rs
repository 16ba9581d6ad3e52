//! The API on the people's listener: JSON in, JSON out. What each address takes and answers is told by the document at `/api/v1/openapi.json`
//! (`openapi.json` beside this file), which is made of the same rows as the routes.
//!
//! **To add an operation**: write the handler in the file of its resource, and a row in [`operations`]:
//! ```text
//! post("/labels/{host}", "Gives a host its labels", labels::put).sends::<Labels>().answers::<Made>(201),
//! ```
//! - Arguments of the handler come from `taken` ([`taken::Path`], [`taken::Query`]), not from axum: their refusals are ours. `Query<T>` is documented by
//!   itself, so `T` derives `JsonSchema`; a handler that takes a `Body` needs `.sends::<T>()` with what [`records::said`] reads. Another
//!   kind of argument is refused by the compiler until `operation.rs` says what of it the document must tell.
//! - What is answered derives `Serialize` and `JsonSchema`, and never is a bare `Value`: `.answers::<T>(status)`. Docstrings become descriptions. Names of types are names
//!   of schemas: give a short one another name (`#[schemars(rename = "WaiverRequest")]`).
//! - Refusals are a [`problem::Problem`]; what changes something begins with [`caller::Caller::must_record`] or a stricter question.
//! - `ASSAY_WRITE_VECTORS=1 cargo nextest run api_document` writes the document anew; `tests/it/api.rs` holds it.
//!
//! Who asks is known by the session's cookie or by `Authorization: Bearer TOKEN`. With a cookie, what changes something must come from this site
//! and carry the session's token in the header `x-form-token`, as forms do. Admins and reviewers record; the others read.
//! A refusal is `{"error":ID,"message":SENTENCE}`.

pub mod access;
pub mod alerts;
pub mod assignments;
pub mod caller;
pub mod commitments;
pub mod findings;
pub mod fleet;
pub mod lists;
pub mod openapi;
pub mod operation;
pub mod problem;
pub mod records;
pub mod reviews;
pub mod search;
pub mod taken;
pub mod token;
pub mod trail;
pub mod waivers;

use std::sync::Arc;

use axum::Router;

use super::accounts;
use super::alerts::NewTarget;
use super::records::{Review, Story, Told};
use super::ui::Site;
use operation::{Operation, delete, get, post, put};
use problem::Problem;

/// Where the API begins.
pub const ROOT: &str = "/api/v1";

/// Every operation of the API.
#[rustfmt::skip]
pub fn operations() -> Vec<Operation> {
    vec![
        get("/openapi.json", "This document", openapi::show).answers::<serde_json::Map<String, serde_json::Value>>(200),

        get("/record-types", "Record types with their fields, deadlines and promises", records::types).answers::<records::Types>(200),
        get("/records/{type}", "Entries of a type and how they stand", records::list).answers::<Told>(200),
        post("/records/{type}", "Records a new entry", records::add).sends::<records::Said>().answers::<records::Made>(201),
        post("/records/{type}/sign-off", "Signs that the list is complete", records::sign_off).sends::<records::Said>().answers::<records::Made>(201),
        get("/records/{type}/{entry}", "One entry with each of its events", records::show).answers::<Story>(200),
        post("/records/{type}/{entry}", "Changes, closes or withdraws an entry", records::act).sends::<records::Said>().answers::<records::Made>(201),
        get("/record-files/{digest}", "The bytes of a file", records::file).answers_bytes("application/octet-stream"),
        get("/due", "What is overdue, missing or wrong, and what will be", records::due).answers::<records::Due>(200),

        get("/findings", "Open findings, a page at a time", findings::list).answers::<findings::Listed>(200),
        get("/finding-groups", "Open findings by root cause, a page at a time", findings::groups).answers::<findings::Grouped>(200),
        post("/assignments", "Says who deals with findings, until when, why they came about, how they ended", assignments::assign)
            .sends::<assignments::Assignment>().answers::<assignments::Several>(201),
        post("/comments", "Says something of one finding", assignments::comment).sends::<assignments::Comment>().answers::<records::Made>(201),
        post("/finding-reviews", "Signs that a list of findings was looked through", assignments::review)
            .sends::<assignments::Reviewed>().answers::<records::Made>(201),
        get("/baseline", "What is known by the baseline in force, and how much is new", assignments::baseline).answers::<assignments::Baseline>(200),
        post("/baseline", "Takes a baseline: what is open now is known", assignments::take).sends::<assignments::Taken>().answers::<records::Made>(201),
        get("/finding-views", "Saved filters, one's own and shared ones", findings::views).answers::<findings::Views>(200),
        post("/finding-views", "Saves a filter", findings::keep).sends::<findings::NewView>().answers::<findings::View>(201),
        delete("/finding-views/{id}", "Lets go of a saved filter of one's own", findings::drop_view).answers::<findings::Dropped>(200),

        get("/waivers", "Waivers with their stage", waivers::list).answers::<waivers::Waivers>(200),
        post("/waivers", "Asks for a waiver, or tells what it would cover", waivers::request)
            .sends::<waivers::Request>().answers::<records::Made>(201).answers::<waivers::Coverage>(200),
        post("/waivers/{entry}", "Approves, refuses, revokes or withdraws a waiver", waivers::act).sends::<waivers::Word>().answers::<records::Made>(201),

        post("/access-reviews", "Begins a review over who can act with more than ordinary rights, by the newest facts", reviews::start)
            .sends::<reviews::Start>().answers::<reviews::Started>(201),
        get("/access-reviews/{entry}", "Items of a review with the decisions so far; deciding and closing are actions on the record", reviews::show)
            .answers::<Review>(200),

        get("/users", "Who signs in", access::users).answers::<access::Users>(200),
        post("/users", "Adds a person; without a password a one-time link is made", access::add_user).sends::<accounts::NewUser>().answers::<accounts::Done>(201),
        get("/users/{user}", "One person, by id or name", access::user).answers::<access::Person>(200),
        post("/users/{user}", "Changes a person: role, bounds, password, second factor, sessions; or removes one", access::change_user)
            .sends::<accounts::UserOrder>().answers::<accounts::Done>(200),
        get("/tokens", "One's own API tokens; an admin sees all", access::tokens).answers::<access::Tokens>(200),
        post("/tokens", "Makes an API token, whose text is told once", access::issue_token).sends::<accounts::NewToken>().answers::<access::ApiToken>(201),
        post("/tokens/{token}", "Revokes an API token", access::revoke_token).sends::<access::Word>().answers::<access::Revoked>(200),
        post("/enrolment-tokens", "Makes a token that enrols hosts", access::enrolment_token).sends::<accounts::NewEnrolment>().answers::<access::EnrolmentToken>(201),
        get("/settings", "Settings that change while the collector works", access::settings).answers::<access::Settings>(200),
        post("/settings", "Changes a setting", access::set).sends::<access::Setting>().answers::<access::Setting>(200),
        get("/alert-targets", "Where alerts go", alerts::targets).answers::<alerts::Targets>(200),
        post("/alert-targets", "Adds a target of alerts", alerts::add).sends::<NewTarget>().answers::<alerts::Added>(201),
        post("/alert-targets/{target}", "Tests or removes a target; with the number of a message that was given up, tries it again or throws it away", alerts::act)
            .sends::<access::Word>().answers::<alerts::Done>(200),
        get("/alerts", "The newest messages and how far they are", alerts::letters).answers::<alerts::Alerts>(200),
        get("/audit-trail", "Ledger entries and logged acts, newest first", trail::list).answers::<super::trail::Document>(200),
        get("/hosts", "Hosts with their labels and verdicts", fleet::hosts).answers::<fleet::HostLines>(200),
        get("/hosts/{host}", "One host with its latest reports", fleet::host).answers::<fleet::HostStory>(200),
        get("/hosts/{host}/compare", "Facts and verdicts that differ between two scans", fleet::compared).answers::<fleet::Compared>(200),
        post("/hosts/{host}/scan", "Asks a host for a scan with its next heartbeat", fleet::scan).answers::<fleet::ScanAsked>(202),
        put("/hosts/{host}/labels", "Says who owns a host, what it is for and the like", fleet::label).sends::<fleet::NewHostWords>().answers::<fleet::InForce>(200),
        get("/known-elsewhere", "The inventory against the hosts that are enrolled", fleet::elsewhere).answers::<fleet::Elsewhere>(200),
        get("/people", "People who left and still get in, and how long it took of the others", fleet::people).answers::<fleet::LeaversTold>(200),
        get("/people/privileged", "Who can act with more than ordinary rights", fleet::privileged).answers::<fleet::Privileged>(200),
        get("/people/{person}", "Ways in and rights of one person", fleet::person).answers::<fleet::PersonTold>(200),
        get("/certificates", "Certificates of the fleet, soonest end first", fleet::certificates).answers::<fleet::Certificates>(200),
        get("/certificates/{fingerprint}", "Where one certificate is served or stored", fleet::certificate).answers::<fleet::Certificate>(200),
        get("/tls-versions", "TLS versions that endpoints of the fleet accept", fleet::versions).answers::<fleet::Versions>(200),
        get("/vulnerabilities", "Advisories that touch the fleet, worst first", fleet::vulnerabilities).answers::<fleet::Vulnerabilities>(200),
        get("/vulnerabilities/{advisory}", "Hosts that one advisory touches", fleet::vulnerability).answers::<fleet::Vulnerability>(200),

        get("/lists", "Lists with their versions in force", lists::all).answers::<lists::ListLines>(200),
        get("/lists/{name}", "Every version of a list", lists::one).answers::<lists::ListStory>(200),
        get("/lists/{name}/{version}", "The bytes of a version", lists::fetch).answers_bytes("application/octet-stream"),
        put("/lists/{name}", "Puts a version into force, or tells what it would change", lists::put)
            .sends::<lists::ListSent>().answers::<lists::ListTaken>(201).answers::<lists::ListTaken>(200),
        get("/search", "Hosts, rules, findings, people, records, controls that a text finds", search::find).answers::<search::Found>(200),

        get("/commitments", "Pages of commitments, and how each sentence stands", commitments::list).answers::<commitments::Pages>(200),
        get("/commitments/{page}", "One page of commitments", commitments::show).answers::<crate::collector::commitments::telling::Told>(200),
    ]
}

/// The routes of the API.
pub fn router() -> Router<Arc<Site>> {
    let routes = operation::routes(operations())
        .fallback(|| async { Problem::NotFound("such a resource".into()) })
        .method_not_allowed_fallback(|| async { Problem::Method });
    Router::new().nest(ROOT, routes)
}
