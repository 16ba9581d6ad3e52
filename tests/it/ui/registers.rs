//! Registers as people fill them: forms, what is refused beside its field, reviews of access, what leaves the company.

use assay::collector::records::{self as desk, Order};
use assay::host::clock;
use assay::records::types::{builtin, find};
use assay::records::{Action, RecordType};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use super::seed::{self, HOSTILE, Seeded};
use super::{Answer, Browser};

const BOUNDARY: &str = "----assay-test";

/// A form as a browser sends it: values, and files by part, name and bytes.
pub fn form(values: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in values {
        out.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
    }
    for (part, name, bytes) in files {
        out.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{part}\"; filename=\"{name}\"\r\nContent-Type: application/pdf\r\n\r\n").bytes(),
        );
        out.extend_from_slice(bytes);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{BOUNDARY}--\r\n").bytes());
    out
}

impl Browser {
    async fn send(&self, path: &str, site: &str, body: Vec<u8>) -> Answer {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
            .header(header::CONTENT_LENGTH, body.len())
            .header("sec-fetch-site", site);
        self.ask_with(request, Body::from(body)).await
    }

    /// Posts a form of this session.
    async fn fill(&self, path: &str, values: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> Answer {
        let token = self.form_token().await;
        let values: Vec<(&str, &str)> = values.iter().copied().chain([("form_token", token.as_str())]).collect();
        self.send(path, "same-origin", form(&values, files)).await
    }

    /// Posts and follows to where it leads.
    async fn done(&self, path: &str, values: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> (String, String) {
        let answer = self.fill(path, values, files).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}: {}", answer.text);
        let to = answer.headers[header::LOCATION].to_str().unwrap().to_string();
        let page = self.get(&to).await;
        assert_eq!(page.status, StatusCode::OK, "{to}");
        (to.split('#').next().unwrap().to_string(), page.text)
    }

    async fn form_token(&self) -> String {
        let page = self.get("/registers").await.text;
        page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_string()
    }
}

fn kind(id: &str) -> &'static RecordType {
    find(builtin().unwrap(), id).unwrap()
}

async fn add(seeded: &Seeded, id: &str, subject: &str, fields: &[(&str, &str)]) -> String {
    let fields = fields.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    let order = Order { subject: subject.into(), fields, by: "reviewer".into(), ..Order::default() };
    desk::record(&seeded.app.store, kind(id), Action::Add, order).await.unwrap().event.entry.to_string()
}

#[tokio::test]
async fn every_type_has_its_page_and_its_form_and_readers_get_no_form() {
    let seeded = seed::full(clock::unix_now()).await;
    let (reviewer, viewer) = (Browser::signed_in(&seeded, "reviewer").await, Browser::signed_in(&seeded, "viewer").await);
    let overview = viewer.get("/registers").await.text;
    for kind in builtin().unwrap() {
        assert!(overview.contains(&format!("/registers/{}", kind.id)), "{} is on no list", kind.id);
        let page = reviewer.get(&format!("/registers/{}", kind.id)).await;
        assert!(page.status == StatusCode::OK && page.text.contains(&kind.title.replace('\'', "&#39;")), "{}: {}", kind.id, page.text);
        let new = reviewer.get(&format!("/registers/{}/new", kind.id)).await;
        let is_decision = ["waiver", "handling"].contains(&kind.id.as_str());
        assert_eq!(new.status, if is_decision { StatusCode::FORBIDDEN } else { StatusCode::OK }, "{}", kind.id);
        for field in kind.fields.iter().filter(|_| !is_decision) {
            assert!(new.text.contains(&format!("id=\"v-{}\"", field.name)), "{}: no input for {}", kind.id, field.name);
        }
        assert_eq!(viewer.get(&format!("/registers/{}/new", kind.id)).await.status, StatusCode::FORBIDDEN, "{}", kind.id);
    }
    let page = viewer.get("/registers/incidents").await.text;
    assert!(page.contains("recording needs <b>reviewer</b>") && !page.contains("Record a new entry"), "{page}");
    for gone in ["/registers/gossip", "/registers/incidents/ffffffffffffffff", "/registers/policies/published", "/registers/incidents/x/file/y"] {
        assert_eq!(viewer.get(gone).await.status, StatusCode::NOT_FOUND, "{gone}");
    }
    for bad in ["/registers/due?within=-1", "/registers/due?within=99999", "/registers/due?state=x"] {
        assert_eq!(viewer.get(bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let due = reviewer.get("/registers/due?within=366&state=missing").await.text;
    assert!(due.contains("Code of conduct") && due.contains("/registers/conduct/new"), "{due}");
    let past = assay::collector::ui::when::iso_day(clock::unix_now() - 86_400);
    assert_eq!(reviewer.get(&format!("/registers/conduct/new?as_of={past}")).await.status, StatusCode::BAD_REQUEST, "a past day is not changed");
}

#[tokio::test]
async fn an_incident_is_recorded_mended_told_and_closed() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let browser = Browser::signed_in(&seeded, "reviewer").await;
    let typed =
        [("action", "add"), ("subject", "lost laptop"), ("v.description", "A laptop\r\nwas lost <b>"), ("v.known_at", "2026-01-05T10:00"), ("v.contact", "")];
    let wrong: Vec<(&str, &str)> = typed.iter().copied().chain([("v.notifiable", "perhaps"), ("v.occurred_at", "yesterday")]).collect();
    let refused = browser.fill("/registers/incidents", &wrong, &[("f.notification", "told.pdf", b"%PDF")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for kept in [
        "value=\"lost laptop\"",
        "was lost &lt;b&gt;",
        "2 fields can’t be taken",
        "Notifiable is none of yes, no, undecided",
        "Occurred at is no time",
        "Choose its files again",
    ] {
        assert!(refused.text.contains(kept), "{kept} is missing: {}", refused.text);
    }
    assert!(browser.fill("/registers/incidents", &[("action", "add")], &[]).await.text.contains("The subject is missing"));

    let (path, page) = browser.done("/registers/incidents", &typed, &[("f.notification", "told.pdf", b"%PDF-1.7"), ("files", "note ü.txt", b"x")]).await;
    for shown in [
        "lost laptop",
        "incomplete",
        "was lost &lt;b&gt;",
        "2026-01-05T10:00:00Z",
        "told.pdf",
        "the authority is told within 72 hours",
        "recorded</b> by reviewer",
    ] {
        assert!(page.contains(shown), "{shown} is missing: {page}");
    }
    let digest = assay::model::ids::Digest::of(b"%PDF-1.7").to_string();
    assert!(page.contains(&digest));
    let file = browser.get(&format!("{path}/file/{digest}")).await;
    assert_eq!((file.text.as_str(), file.headers[header::CONTENT_TYPE].to_str().unwrap()), ("%PDF-1.7", "application/octet-stream"));
    assert!(file.headers[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment; filename=\"told.pdf\""));
    let other = add(&seeded, "risks", "another", &[]).await;
    assert_eq!(browser.get(&format!("/registers/risks/{other}/file/{digest}")).await.status, StatusCode::NOT_FOUND, "a file of another entry");
    let told = browser.get(&format!("{path}/notification")).await.text;
    assert!(told.contains("Summary\n  A laptop\n  was lost &lt;b&gt;") && told.contains("not known yet; it follows"), "{told}");
    assert!(browser.get("/registers").await.text.contains("Clocks of open incidents"));

    // What is not named stays; of what is named only differences are recorded.
    let page = browser.get(&format!("{path}/change")).await.text;
    assert!(page.contains("value=\"2026-01-05T10:00:00\"") && page.contains("name=\"seen\" value=\"1\""), "{page}");
    let change = [("action", "change"), ("seen", "1"), ("v.known_at", "2026-01-05T10:00:00"), ("v.contact", "dpo@example.org")];
    let (_, page) = browser.done(&path, &change, &[]).await;
    assert!(page.contains("dpo@example.org") && page.contains("changed</b> by reviewer"), "{page}");
    let events = desk::Book::read(&seeded.app.store).await.unwrap();
    let (_, id) = events.find(None, path.rsplit('/').next().unwrap()).unwrap();
    let last = &events.history(id).last().unwrap().event.fields;
    assert_eq!(last.keys().collect::<Vec<_>>(), ["contact"], "only what differs");
    let stale = browser.fill(&path, &[("action", "change"), ("seen", "1"), ("v.contact", "late@example.org")], &[]).await;
    assert!(
        stale.status == StatusCode::CONFLICT && stale.text.contains("late@example.org") && stale.text.contains("Somebody changed this entry"),
        "{}",
        stale.text
    );
    let refused = browser.fill(&path, &[("action", "close"), ("note", "found <again>")], &[]).await;
    assert!(
        refused.status == StatusCode::CONFLICT && refused.text.contains("found &lt;again&gt;") && refused.text.contains("be closed while"),
        "{}",
        refused.text
    );
    assert_eq!(browser.fill(&path, &[("action", "withdraw")], &[]).await.status, StatusCode::CONFLICT, "without a reason");
    let (_, page) = browser.done(&path, &[("action", "withdraw"), ("note", "it was on the desk")], &[]).await;
    assert!(page.contains("Withdrawn") && page.contains("it was on the desk") && !page.contains("value=\"withdraw\""), "{page}");
    assert_eq!(browser.fill(&path, &[("action", "change"), ("seen", "3"), ("v.contact", "x")], &[]).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn nobody_records_who_may_not_or_did_not_mean_to() {
    let seeded = seed::empty(clock::unix_now()).await;
    let (reviewer, viewer, auditor) =
        (Browser::signed_in(&seeded, "reviewer").await, Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "auditor").await);
    let entry = add(&seeded, "conduct", "", &[]).await;
    let path = format!("/registers/conduct/{entry}");
    for browser in [&viewer, &auditor] {
        for (to, action) in
            [("/registers/conduct", "add"), ("/registers/incidents", "sign-off"), (path.as_str(), "withdraw"), ("/registers/access-reviews", "begin-review")]
        {
            let answer = browser.fill(to, &[("action", action), ("note", "x"), ("scope", "all")], &[]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{to} {action}");
        }
    }
    let token = reviewer.form_token().await;
    let good = form(&[("action", "withdraw"), ("note", "x"), ("form_token", &token)], &[]);
    assert_eq!(reviewer.send(&path, "cross-site", good.clone()).await.status, StatusCode::FORBIDDEN);
    let forged = form(&[("action", "withdraw"), ("note", "x"), ("form_token", &viewer.form_token().await)], &[]);
    assert_eq!(reviewer.send(&path, "same-origin", forged).await.status, StatusCode::FORBIDDEN);
    assert_eq!(reviewer.send(&path, "same-origin", form(&[("action", "withdraw"), ("note", "x")], &[])).await.status, StatusCode::FORBIDDEN);
    assert_eq!(reviewer.send(&path, "same-origin", good[..good.len() - 20].to_vec()).await.status, StatusCode::BAD_REQUEST, "cut off");
    assert_eq!(reviewer.post(&path, &format!("action=withdraw&form_token={token}")).await.status, StatusCode::BAD_REQUEST, "another kind of form");
    let many: Vec<(String, String)> = (0..500).map(|n| (format!("v.{n}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(reviewer.fill("/registers/conduct", &many, &[]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(reviewer.fill("/registers/waiver", &[("action", "add")], &[]).await.status, StatusCode::FORBIDDEN, "waivers have their own pages");
    assert_eq!(reviewer.fill(&path, &[("action", "approve")], &[]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(reviewer.fill(&format!("/registers/incidents/{entry}"), &[("action", "withdraw"), ("note", "x")], &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(desk::Book::read(&seeded.app.store).await.unwrap().events.len(), 1, "nothing was recorded");
    assert_eq!(reviewer.send(&path, "same-origin", good).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_register_is_signed_off_and_its_list_published_and_hostile_words_stay_words() {
    let seeded = seed::empty(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "reviewer").await;
    let hostile: String = HOSTILE.chars().filter(|c| !c.is_control()).collect();
    add(&seeded, "sub-processors", &hostile, &[("purpose", "mail"), ("place", "Ireland"), ("data", "<img src=x onerror=alert(1)>")]).await;
    add(&seeded, "sub-processors", "Cloud Ltd", &[("purpose", "servers"), ("place", "France")]).await;
    let (_, page) = browser.done("/registers/sub-processors", &[("action", "sign-off"), ("note", "with purchasing")], &[]).await;
    assert!(page.contains("2 entries, signed as complete by reviewer") && page.contains("evil\u{fffd}&lt;script&gt;"), "{page}");
    let filtered = browser.get("/registers/sub-processors?q=cloud").await.text;
    assert!(filtered.contains("Cloud Ltd") && !filtered.contains("&lt;script&gt;"), "{filtered}");
    let published = browser.get("/registers/sub-processors/published").await.text;
    assert!(published.contains("Cloud Ltd") && published.contains("&lt;img src=x") && published.matches("<script").count() == 1, "{published}");
    for (form, holds) in [("html", "<td>Cloud Ltd</td>"), ("md", "| Cloud Ltd |")] {
        let file = browser.get(&format!("/registers/sub-processors/published?as={form}")).await;
        assert!(file.headers[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment") && file.text.contains(holds), "{}", file.text);
    }
    let yesterday = assay::collector::ui::when::iso_day(clock::unix_now() - 86_400);
    let past = browser.get(&format!("/registers/sub-processors?as_of={yesterday}")).await.text;
    assert!(!past.contains("Cloud Ltd") && past.contains("As of the end of") && !past.contains("Sign that the list"), "{past}");
}

#[tokio::test]
async fn a_review_of_access_is_begun_decided_item_by_item_and_closed() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "reviewer").await;
    assert_eq!(browser.fill("/registers/access-reviews", &[("action", "begin-review"), ("scope", " ")], &[]).await.status, StatusCode::CONFLICT);
    let (path, page) = browser.done("/registers/access-reviews", &[("action", "begin-review"), ("scope", "all hosts")], &[]).await;
    let total: usize = page.split(" decided</small>").next().unwrap().rsplit(" of ").next().unwrap().parse().unwrap();
    assert!(total >= 2, "the seeded hosts have people with more than ordinary rights: {page}");
    assert!(page.contains("name=\"item\" value=\"1\"") && page.contains("no list"), "{page}");
    let none = browser.fill(&path, &[("action", "decide"), ("decision", "keep")], &[]).await;
    assert!(none.status == StatusCode::CONFLICT && none.text.contains("No item was chosen"));
    assert_eq!(browser.fill(&path, &[("action", "decide"), ("item", "1"), ("decision", "maybe")], &[]).await.status, StatusCode::CONFLICT);
    assert_eq!(browser.fill(&path, &[("action", "decide"), ("item", "99999"), ("decision", "keep")], &[]).await.status, StatusCode::CONFLICT);
    let (_, page) = browser.done(&path, &[("action", "decide"), ("item", "1"), ("decision", "revoke"), ("reason", "left the team")], &[]).await;
    assert!(page.contains("left the team") && page.contains("0 kept, 1 revoked"), "{page}");
    let early = browser.fill(&path, &[("action", "close")], &[]).await;
    assert!(early.status == StatusCode::CONFLICT && early.text.contains("items are undecided"), "{}", early.text);
    let shown = format!("2-{total}");
    let (_, page) = browser.done(&path, &[("action", "decide"), ("all", "1"), ("shown", &shown), ("decision", "keep")], &[]).await;
    assert!(page.contains(&format!("{} kept, 1 revoked", total - 1)), "{page}");
    let only = browser.get(&format!("{path}?view=revoke")).await.text;
    assert!(only.contains("1 to 1 of 1") && only.contains("left the team"), "{only}");
    let (_, page) = browser.done(&path, &[("action", "close"), ("note", "all seen")], &[]).await;
    assert!(page.contains("Closed") && page.contains("all seen") && !page.contains("name=\"item\""), "{page}");
}
