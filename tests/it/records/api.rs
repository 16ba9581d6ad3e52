//! The API of records and waivers, asked over HTTP of the real collector.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Collector, collector, run, text};

const PASSWORD: &str = "correct horse battery";

/// A client of a collector with two reviewers and a viewer.
struct Api {
    collector: Collector,
    http: Client,
}

impl Api {
    fn start() -> Self {
        let collector_ = Collector::start();
        let password = collector_.data().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        for (name, role) in [("alice", "reviewer"), ("bob", "admin"), ("carol", "viewer")] {
            let arguments = ["user", "add", name, "--role", role, "--password-file", text(&password), "--data", text(collector_.data())];
            assert_eq!(run(collector(), &arguments).0, 0);
        }
        assay::pki::install_provider();
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(Duration::from_secs(60)).build().unwrap();
        Self { collector: collector_, http }
    }

    fn token(&self, user: &str, role: &str) -> (i32, String, String) {
        run(collector(), &["token", "api", "--user", user, "--role", role, "--data", text(self.collector.data())])
    }

    fn token_of(&self, user: &str, role: &str) -> String {
        let (code, token, error) = self.token(user, role);
        assert_eq!(code, 0, "{error}");
        token.trim().into()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.collector.people))
    }

    fn url(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("/api/v1/{path}"))
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        answer(self.url(Method::GET, path).bearer_auth(token)).await
    }

    async fn post(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        answer(self.url(Method::POST, path).bearer_auth(token).json(body)).await
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

fn refused((status, body): (u16, Value), expected: u16, id: &str, with: &str) {
    assert_eq!((status, body["error"].as_str()), (expected, Some(id)), "{body}");
    assert!(body["message"].as_str().unwrap().contains(with), "{body}");
}

fn training(person: &str) -> Value {
    json!({ "subject": person, "fields": { "done_on": "2026-01-05", "content": "phishing" }, "files": [{ "name": "list.pdf", "content": STANDARD.encode("scan") }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_written_and_read_over_the_api() {
    let api = Api::start();
    let (alice, carol) = (api.token_of("alice", "reviewer"), api.token_of("carol", "viewer"));
    refused(answer(api.url(Method::GET, "record-types")).await, 401, "not-signed-in", "assay-collector token api");
    refused(api.get("assay-api.admin.AAAA", "due").await, 401, "not-signed-in", "");
    refused(api.get(&alice.replace("reviewer", "admin"), "due").await, 401, "not-signed-in", "");
    assert!(api.token("carol", "admin").2.contains("carol is viewer and can't be given a token of role admin"));
    assert!(api.token("dave", "viewer").2.contains("there is no user \"dave\""));

    let (status, types) = api.get(&carol, "record-types").await;
    assert!(status == 200 && types["types"].as_array().unwrap().iter().any(|t| t["id"] == "incidents"));
    refused(api.post(&carol, "records/awareness-training", &training("m.keller")).await, 403, "forbidden", "the role viewer reads only");
    let weaker = api.token_of("alice", "viewer");
    refused(api.post(&weaker, "records/awareness-training", &training("m.keller")).await, 403, "forbidden", "the role viewer reads only");

    let (status, made) = api.post(&alice, "records/awareness-training", &training("m.keller")).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("records/awareness-training/{}", made["entry"].as_str().unwrap());
    let (_, story) = api.get(&carol, &path).await;
    let event = &story["history"][0]["event"];
    assert_eq!((event["by"].as_str(), event["fields"]["proof"].as_str(), &story["history"][0]["digest"]), (Some("alice"), Some("list.pdf"), &made["event"]));
    let file = format!("record-files/{}", event["files"][0]["sha256"].as_str().unwrap());
    let got = api.url(Method::GET, &file).bearer_auth(&carol).send().await.unwrap();
    assert_eq!(got.headers()["content-disposition"], "attachment");
    assert_eq!(got.bytes().await.unwrap(), "scan");
    assert_eq!(api.post(&alice, &path, &json!({ "action": "change", "fields": { "content": "passwords" } })).await.0, 201);
    refused(api.post(&alice, &path, &json!({ "action": "approve" })).await, 422, "value", "action is none of change, close, withdraw");
    refused(api.post(&alice, &path, &json!({ "action": "change", "fields": { "done_on": "never" } })).await, 422, "value", "done_on is no day");
    refused(api.post(&alice, &path, &json!({ "action": "change", "colour": "red" })).await, 422, "malformed", "unknown field");
    assert_eq!(api.post(&alice, &path, &json!({ "action": "withdraw", "note": "wrong person" })).await.0, 201);
    refused(api.post(&alice, &path, &json!({ "action": "close" })).await, 409, "state", "was withdrawn by alice");
    refused(api.get(&carol, "records/gossip").await, 404, "unknown-type", "there is no record type");
    refused(api.get(&carol, "records/incidents/ffffffffffffffff").await, 404, "unknown-entry", "");
    refused(api.get(&carol, "records/incidents?as_of=soon").await, 400, "parameter", "as_of is no day");
    refused(api.get(&carol, "nothing").await, 404, "not-found", "");
    let huge = json!({ "subject": "x", "files": [{ "name": "a", "content": "A".repeat(24 << 20) }] });
    refused(api.post(&alice, "records/awareness-training", &huge).await, 413, "too-large", "");

    let (status, review) = api.post(&alice, "access-reviews", &json!({ "scope": "all" })).await;
    assert_eq!((status, review["items"].as_u64(), review["hosts"].as_u64()), (201, Some(0), Some(0)), "{review}");
    let (_, shown) = api.get(&carol, &format!("access-reviews/{}", review["entry"].as_str().unwrap())).await;
    assert_eq!((&shown["items"], &shown["undecided"], &shown["review"]["fields"]["scope"]), (&json!([]), &json!(0), &json!("all")));

    assert_eq!(api.post(&alice, "records/incidents/sign-off", &json!({ "note": "none" })).await.0, 201);
    let (_, list) = api.get(&carol, "records/incidents").await;
    assert!(list["standings"][0]["message"].as_str().unwrap().starts_with("no entries, signed as complete by alice"), "{list}");
    let (_, due) = api.get(&carol, "due?within=200").await;
    let of = |record: &str| due["due"].as_array().unwrap().iter().filter(|s| s["record"] == record).map(|s| s["state"].clone()).collect::<Vec<_>>();
    assert_eq!((of("incidents"), of("conduct")), (vec![json!("due")], vec![json!("missing")]), "{due}");
    let (code, fsck, error) = run(collector(), &["fsck", "--data", text(api.collector.data())]);
    assert_eq!(code, 0, "{fsck}{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_is_asked_for_by_one_and_approved_by_another() {
    let api = Api::start();
    let (alice, bob) = (api.token_of("alice", "reviewer"), api.token_of("bob", "reviewer"));
    let expires = (jiff::Zoned::now().date() + jiff::Span::new().days(30)).to_string();
    let asked = json!({ "rule": "tls-version-minimum", "host": "*", "reason": "old", "control": "one network", "expires": expires });
    let (status, dry) = api.post(&alice, "waivers?dry_run=true", &asked).await;
    assert_eq!((status, &dry["covers"]), (200, &json!([])));
    let (status, made) = api.post(&alice, "waivers", &asked).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("waivers/{}", made["entry"].as_str().unwrap());
    refused(api.post(&alice, &path, &json!({ "action": "approve" })).await, 403, "same-person", "alice asked for this");
    refused(api.post(&alice, "records/waiver", &json!({})).await, 409, "state", "under /api/v1/waivers");
    assert_eq!(api.post(&bob, &path, &json!({ "action": "approve", "note": "looked" })).await.0, 201);
    refused(api.post(&bob, &path, &json!({ "action": "approve" })).await, 409, "state", "was decided by bob before");
    let (_, list) = api.get(&bob, "waivers").await;
    assert_eq!((&list["waivers"][0]["stage"], &list["waivers"][0]["waiver"]["approved"]["by"]), (&json!("in-force"), &json!("bob")), "{list}");
    let listed = run(collector(), &["waiver", "list", "--data", text(api.collector.data())]).1;
    assert!(listed.contains("in force") && listed.contains("bob"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_alone_changes_nothing() {
    let api = Api::start();
    let form = format!("name=alice&password={}", PASSWORD.replace(' ', "+"));
    let sign_in = api.request(Method::POST, "/signin").header("content-type", "application/x-www-form-urlencoded").body(form);
    let response = sign_in.send().await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_string();
    let page = api.request(Method::GET, "/evidence").header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
    let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
    let (status, _) = answer(api.url(Method::GET, "due").header("cookie", &cookie)).await;
    assert_eq!(status, 200);
    let post = || api.url(Method::POST, "records/awareness-training").header("cookie", &cookie).json(&training("ada"));
    refused(answer(post()).await, 403, "forbidden", "x-form-token");
    refused(answer(post().header("x-form-token", &token).header("origin", "https://elsewhere.example")).await, 403, "forbidden", "another site");
    refused(answer(post().header("x-form-token", &token).header("sec-fetch-site", "cross-site")).await, 403, "forbidden", "another site");
    refused(answer(post().header("x-form-token", &token).bearer_auth("dead")).await, 401, "not-signed-in", "");
    assert_eq!(answer(post().header("x-form-token", &token).header("sec-fetch-site", "same-origin")).await.0, 201);
}
