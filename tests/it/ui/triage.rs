//! Working through findings: root causes, picked ones, waivers by two people, standing orders, baselines, views; and what must not be possible.

use assay::host::clock;
use assay::records::types::{HANDLING, REVIEW_SIGN_OFFS};
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::seed::{self, DAY, Seeded};
use super::{Answer, Browser, host};

/// The token that forms of this session carry.
async fn token(browser: &Browser) -> String {
    let page = browser.get("/hosts").await.text;
    page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().into()
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let one = |text: &str| assay::collector::ui::text::encode(text);
    pairs.iter().map(|(name, value)| format!("{}={}", one(name), one(value))).collect::<Vec<_>>().join("&")
}

async fn send(browser: &Browser, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let own = token(browser).await;
    browser.post(path, &encoded(&[pairs, &[("form_token", own.as_str())]].concat())).await
}

fn went(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    answer.headers[header::LOCATION].to_str().unwrap().into()
}

async fn api(browser: &Browser, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let own = token(browser).await;
    let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
    let request = request.header(header::CONTENT_TYPE, "application/json").header("sec-fetch-site", "same-origin").header("x-form-token", own);
    let text = if method == "GET" { String::new() } else { body.to_string() };
    let request = if text.is_empty() { request } else { request.header(header::CONTENT_LENGTH, text.len()) };
    let answer = browser.ask(request, text).await;
    (answer.status, serde_json::from_str(&answer.text).unwrap_or(Value::Null))
}

async fn seeded() -> Seeded {
    seed::full(clock::unix_now()).await
}

fn tls_pick() -> String {
    format!("{}:tls-version-minimum:0.0.0.0:8443/tcp", host(0))
}

fn tls_page() -> String {
    format!("/findings/{}/tls-version-minimum?subject=0.0.0.0%3A8443%2Ftcp", host(0))
}

#[tokio::test]
async fn findings_are_listed_one_by_one_by_cause_and_by_facet() {
    let seeded = seeded().await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let list = browser.get("/findings").await.text;
    assert!(list.contains("open findings") && list.contains("accepts TLSv1.0, TLSv1.1") && list.contains("FTP without TLS"), "{list}");
    // Two hosts, one cause.
    let groups = browser.get("/findings?view=groups").await.text;
    assert!(groups.contains("root causes") && groups.contains("Data at rest is encrypted"), "{groups}");
    let (_, api_groups) = api(&browser, "GET", "/finding-groups?rule=storage-encryption", &Value::Null).await;
    let group = &api_groups["groups"][0];
    assert_eq!((group["hosts"].as_u64(), group["findings"].as_u64(), group["owner"].as_str()), (Some(3), Some(3), Some("")), "{api_groups}");
    let cause = group["cause"].as_str().unwrap();
    let inside = browser.get(&format!("/findings?cause={cause}&view=list")).await.text;
    assert_eq!(inside.matches("lies unencrypted on sda2").count(), 3, "{inside}");
    for (query, has, lacks) in [
        ("severity=critical", "left 14 days ago", "accepts TLSv1.0"),
        ("area=tls", "accepts TLSv1.0", "FTP without TLS"),
        ("control=soc2-2017:CC6.6", "FTP without TLS", "accepts TLSv1.0"),
        ("verdict=unknown", "package lists are 41 days old", "accepts TLSv1.0"),
        ("q=tlsv1", "accepts TLSv1.0", "FTP without TLS"),
        ("q=web02", "FTP without TLS", "accepts TLSv1.0"),
        ("age=older", "", "no day was ever so old"),
        ("owner=(nobody)", "accepts TLSv1.0", ""),
        ("verdict=pass", "The system still gets security updates", "accepts TLSv1.0"),
        ("verdict=not_applicable", "can&#39;t sign in", "accepts TLSv1.0"),
        ("verdict=not_run", "new01", "accepts TLSv1.0"),
        ("verdict=waived", "Nothing here.", "accepts TLSv1.0"),
        ("due=overdue", "Nothing here.", "accepts TLSv1.0"),
    ] {
        let page = browser.get(&format!("/findings?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{query}: {}", page.text);
        assert!(page.text.contains(has), "{query} lacks {has}: {}", page.text);
        assert!(lacks.is_empty() || !page.text.contains(lacks), "{query} has {lacks}");
    }
    for bad in [
        "verdict=maybe",
        "severity=huge",
        "area=T%20S",
        "host=web01",
        "age=young",
        "due=soon",
        "cause=zz",
        "baseline=old",
        "view=tiles",
        "after=x",
        "control=soc2",
        "verdict=pass&owner=x",
    ] {
        assert_eq!(browser.get(&format!("/findings?{bad}")).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_past_day_shows_the_findings_and_owners_of_that_day() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let browser = Browser::signed_in(&seeded, "reviewer").await;
    went(&send(&browser, &tls_page(), &[("owner", "ada")]).await);
    let day = |ago: i64| assay::collector::ui::when::iso_day(now - ago * DAY);
    let past = browser.get(&format!("/findings?as_of={}", day(60))).await.text;
    assert!(past.contains("root may sign in with a password") && !past.contains("accepts TLSv1.0") && !past.contains("name=\"pick\""), "{past}");
    let yesterday = browser.get(&format!("/findings?rule=tls-version-minimum&as_of={}", day(1))).await.text;
    assert!(yesterday.contains("accepts TLSv1.0") && !yesterday.contains("ada"), "what was said today was not known yesterday: {yesterday}");
    assert!(browser.get("/findings?rule=tls-version-minimum").await.text.contains("ada"));
    let groups = browser.get(&format!("/findings?view=groups&as_of={}", day(60))).await.text;
    assert!(groups.contains("root cause"), "{groups}");
    assert_eq!(browser.get(&format!("/findings?baseline=new&as_of={}", day(1))).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn picked_findings_are_assigned_and_nothing_is_without_role_and_token() {
    let seeded = seeded().await;
    let (viewer, reviewer) = (Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "reviewer").await);
    let picks = [("do", "assign"), ("owner", "ops"), ("due", "2020-01-01"), ("note", "first wave"), ("query", "")];
    let pick = tls_pick();
    let one = [&picks[..], &[("pick", pick.as_str())]].concat();
    assert_eq!(send(&viewer, "/findings/act", &one).await.status, StatusCode::FORBIDDEN);
    assert_eq!(reviewer.post("/findings/act", &encoded(&one)).await.status, StatusCode::FORBIDDEN, "without the token of the session");
    let foreign = Request::post("/findings/act").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").header("sec-fetch-site", "cross-site");
    assert_eq!(reviewer.ask(foreign, encoded(&[&one[..], &[("form_token", &token(&reviewer).await)]].concat())).await.status, StatusCode::FORBIDDEN);
    assert!(seeded.app.store.record_events().await.unwrap().is_empty(), "nothing was recorded");

    assert_eq!(send(&reviewer, "/findings/act", &picks).await.status, StatusCode::BAD_REQUEST, "nothing is picked");
    assert_eq!(went(&send(&reviewer, "/findings/act", &one).await), "/findings?done=1");
    let list = reviewer.get("/findings?owner=ops").await.text;
    assert!(list.contains("1 open finding") && list.contains("accepts TLSv1.0"), "{list}");
    assert!(reviewer.get("/findings?due=overdue").await.text.contains("accepts TLSv1.0"));
    let page = reviewer.get(&tls_page()).await.text;
    assert!(page.contains("first wave") && page.contains("owner ops") && page.contains("<b>reviewer</b>"), "{page}");
    // By root cause, and all of a list.
    let (_, groups) = api(&reviewer, "GET", "/finding-groups?rule=storage-encryption", &Value::Null).await;
    let cause = groups["groups"][0]["cause"].as_str().unwrap();
    let by_cause = send(&reviewer, "/findings/act", &[("do", "assign"), ("owner", "disks"), ("cause", cause), ("query", "")]).await;
    assert_eq!(went(&by_cause), "/findings?done=3");
    let all = send(&reviewer, "/findings/act", &[("do", "assign"), ("owner", "everybody"), ("everything", "1"), ("query", "verdict=unknown")]).await;
    assert_eq!(went(&all), "/findings?verdict=unknown&done=1");
    let events = seeded.app.store.record_events().await.unwrap();
    assert_eq!((events.len(), events.iter().all(|r| r.event.record == HANDLING && r.event.by == "reviewer")), (3, true), "one event a rule");
    // What the evidence reads is what the list shows.
    let (_, told) = api(&reviewer, "GET", "/findings?owner=disks", &Value::Null).await;
    assert_eq!(told["findings"].as_array().unwrap().len(), 3);
    assert_eq!(told["findings"][0]["owner"], "disks");
}

#[tokio::test]
async fn lists_leave_as_files_that_no_spreadsheet_evaluates() {
    let seeded = seeded().await;
    let (viewer, reviewer) = (Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "reviewer").await);
    went(&send(&reviewer, &tls_page(), &[("owner", "=cmd|' /C calc'!A0")]).await);
    let all = [("everything", "1"), ("query", "")];
    assert_eq!(send(&viewer, "/findings/act", &[&all[..], &[("do", "csv")]].concat()).await.status, StatusCode::FORBIDDEN);
    let csv = send(&reviewer, "/findings/act", &[&all[..], &[("do", "csv")]].concat()).await;
    assert_eq!((csv.status, csv.headers[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "text/csv; charset=utf-8"));
    assert!(csv.text.contains("\"'=cmd|' /C calc'!A0\"") && !csv.text.contains(",\"=cmd") && !csv.text.contains('\u{1b}'), "{}", csv.text);
    let json = send(&reviewer, "/findings/act", &[&all[..], &[("do", "json")]].concat()).await;
    let document: Value = serde_json::from_str(&json.text).unwrap();
    assert_eq!(document["findings"].as_array().unwrap().len() + 1, csv.text.lines().count());
    let beyond = send(&reviewer, "/findings/act", &[("do", "csv"), ("pick", &format!("{}:no-such-rule:", host(0))), ("query", "")]).await;
    assert_eq!(beyond.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_waiver_is_asked_for_with_a_dry_run_approved_by_another_and_its_end_reopens() {
    let seeded = seeded().await;
    let (viewer, reviewer, admin) =
        (Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "reviewer").await, Browser::signed_in(&seeded, "admin").await);
    assert!(viewer.get("/waivers").await.text.contains("No waiver"));
    assert!(viewer.get("/waivers/new").await.text.contains("reads only"));
    let form = reviewer.get("/waivers/new?rule=tls-version-minimum&host=web01&subject=0.0.0.0:8443/tcp").await.text;
    assert!(form.contains("It would cover 1 open failure") && form.contains("accepts TLSv1.0"), "{form}");
    let expires = assay::collector::ui::when::iso_day(clock::unix_now() + 30 * DAY);
    let words = [
        ("rule", "tls-version-minimum"),
        ("host", "web*"),
        ("subject", "*"),
        ("reason", "old <scanner>"),
        ("control", "office only"),
        ("expires", expires.as_str()),
    ];
    let preview = send(&reviewer, "/waivers", &[&words[..], &[("do", "preview")]].concat()).await;
    assert!(
        preview.status == StatusCode::OK && preview.text.contains("It would cover 1 open failure") && preview.text.contains("old &lt;scanner&gt;"),
        "{}",
        preview.text
    );
    assert!(seeded.app.store.record_events().await.unwrap().is_empty(), "a dry run records nothing");
    assert_eq!(send(&viewer, "/waivers", &[&words[..], &[("do", "ask")]].concat()).await.status, StatusCode::FORBIDDEN);
    let path = went(&send(&reviewer, "/waivers", &[&words[..], &[("do", "ask")]].concat()).await);
    assert!(path.starts_with("/waivers/"), "{path}");
    assert!(reviewer.get("/findings?rule=tls-version-minimum").await.text.contains("class=\"v fail\""), "asked for is not approved");

    let own = reviewer.get(&path).await.text;
    assert!(own.contains("somebody else must approve it") && !own.contains("value=\"approve\""), "{own}");
    let same = send(&reviewer, &path, &[("do", "approve")]).await;
    assert!(same.status == StatusCode::FORBIDDEN && same.text.contains("somebody else"), "{}", same.text);
    assert_eq!(send(&viewer, &path, &[("do", "approve")]).await.status, StatusCode::FORBIDDEN);
    went(&send(&admin, &path, &[("do", "approve"), ("note", "looked at the firewall")]).await);
    let page = viewer.get(&path).await.text;
    assert!(page.contains("in force") && page.contains("looked at the firewall") && page.contains("It covers 1 open failure"), "{page}");

    // Waived is its own state everywhere, and in no other count.
    assert!(!viewer.get("/findings").await.text.contains("accepts TLSv1.0"));
    assert!(viewer.get("/findings?verdict=waived").await.text.contains("accepts TLSv1.0"));
    let finding = viewer.get(&tls_page()).await.text;
    assert!(finding.contains("class=\"v waived\"") && finding.contains("office only") && finding.contains("a waiver begins to cover it"), "{finding}");
    let host_page = viewer.get(&format!("/hosts/{}", host(0))).await.text;
    assert!(host_page.contains("1 waived"), "{host_page}");
    let (_, told) = api(&viewer, "GET", "/findings?verdict=waived", &Value::Null).await;
    assert_eq!((told["findings"].as_array().unwrap().len(), told["findings"][0]["verdict"].as_str()), (1, Some("waived")));
    let yesterday = assay::collector::ui::when::iso_day(clock::unix_now() - DAY);
    assert!(viewer.get(&format!("/findings?verdict=waived&as_of={yesterday}")).await.text.contains("Nothing here."));

    went(&send(&admin, &path, &[("do", "revoke"), ("note", "mended")]).await);
    assert!(viewer.get("/findings").await.text.contains("accepts TLSv1.0"), "what was revoked is open again");
    assert_eq!(send(&admin, &path, &[("do", "revoke")]).await.status, StatusCode::BAD_REQUEST, "twice");
    assert_eq!(viewer.get("/waivers/00000000").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn picked_findings_become_one_waiver_a_rule_however_a_host_calls_itself() {
    let seeded = seeded().await;
    let (reviewer, admin) = (Browser::signed_in(&seeded, "reviewer").await, Browser::signed_in(&seeded, "admin").await);
    let telnet = reviewer.get("/findings?rule=service-telnet&view=list").await.text;
    let hostile = telnet.split("name=\"pick\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let alone = send(&reviewer, "/findings/act", &[("do", "assign"), ("owner", "ada"), ("pick", hostile), ("query", "")]).await;
    assert_eq!(went(&alone), "/findings?done=1", "a hostile subject is picked like any other");
    let link = telnet.split("data-waive=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert!(reviewer.get(&link).await.text.contains("It would cover 1 open failure"), "{link}");
    let draft = send(&reviewer, "/findings/act", &[("do", "waive"), ("everything", "1"), ("query", "area=service")]).await;
    assert_eq!(draft.status, StatusCode::OK, "{}", draft.text);
    assert!(draft.text.contains("Each rule becomes a waiver of its own") && draft.text.contains("It would cover 2 open failures"), "{}", draft.text);
    let scopes: Vec<&str> = draft.text.split("name=\"scope\" value=\"").skip(1).map(|s| s.split('"').next().unwrap()).collect();
    assert_eq!(scopes.len(), 2);
    let expires = assay::collector::ui::when::iso_day(clock::unix_now() + 30 * DAY);
    let mut pairs: Vec<(&str, &str)> = scopes.iter().map(|s| ("scope", *s)).collect();
    pairs.extend([("do", "ask"), ("reason", "lab"), ("control", "own network"), ("expires", expires.as_str())]);
    assert_eq!(went(&send(&reviewer, "/waivers", &pairs).await), "/waivers?stage=requested");
    let list = reviewer.get("/waivers?stage=requested").await.text;
    assert!(!list.contains("<script>document") && list.matches("requested</span>").count() == 2, "{list}");
    for path in list.split("href=\"/waivers/").skip(1).map(|s| s.split('"').next().unwrap()).filter(|s| s.len() == 32) {
        let page = admin.get(&format!("/waivers/{path}")).await.text;
        assert!(page.matches("<script").count() == 1 && !page.contains('\u{202e}') && page.contains("It would cover 1 open failure"), "{page}");
        went(&send(&admin, &format!("/waivers/{path}"), &[("do", "approve")]).await);
    }
    assert!(reviewer.get("/findings?area=service").await.text.contains("Nothing here."));
}

#[tokio::test]
async fn standing_orders_hold_for_findings_to_come_and_end_with_a_reason() {
    let seeded = seeded().await;
    let (viewer, reviewer) = (Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "reviewer").await);
    assert_eq!(send(&viewer, "/assignments", &[("do", "order"), ("rule", "*"), ("due_days", "30")]).await.status, StatusCode::FORBIDDEN);
    went(&send(&reviewer, "/assignments", &[("do", "order"), ("rule", "*"), ("severity", "critical"), ("due_days", "7")]).await);
    went(&send(&reviewer, "/assignments", &[("do", "order"), ("rule", "storage-encryption"), ("owner", "disks")]).await);
    let page = viewer.get("/assignments").await.text;
    assert!(page.contains("7 days after it began") && page.contains("disks") && !page.contains("value=\"order\""), "{page}");
    let (_, told) = api(&viewer, "GET", "/findings", &Value::Null).await;
    for found in told["findings"].as_array().unwrap() {
        let since = found["since"].as_i64().unwrap();
        assert_eq!(found["due"].as_i64(), (found["severity"] == "critical").then_some(since + 7 * DAY), "{found}");
        assert_eq!(found["owner"], if found["rule"] == "storage-encryption" { "disks" } else { "" }, "{found}");
    }
    assert_eq!(send(&reviewer, "/assignments", &[("do", "order"), ("rule", "x"), ("due_days", "99999")]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send(&reviewer, "/assignments", &[("do", "order"), ("rule", "x")]).await.status, StatusCode::BAD_REQUEST, "says nothing");
    let own = reviewer.get("/assignments").await.text;
    let entry = own.split("name=\"entry\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
    assert_eq!(send(&reviewer, "/assignments", &[("do", "end"), ("entry", &entry)]).await.status, StatusCode::BAD_REQUEST, "without a reason");
    went(&send(&reviewer, "/assignments", &[("do", "end"), ("entry", &entry), ("note", "team is gone")]).await);
    let (_, told) = api(&viewer, "GET", "/findings?owner=disks", &Value::Null).await;
    assert!(told["findings"].as_array().unwrap().is_empty(), "{told}");
}

#[tokio::test]
async fn what_is_open_at_a_baseline_is_known_and_the_rest_is_news() {
    let seeded = seeded().await;
    let reviewer = Browser::signed_in(&seeded, "reviewer").await;
    let (_, before) = api(&reviewer, "GET", "/baseline", &Value::Null).await;
    assert!(before["baseline"].is_null() && before["known"] == 0 && before["new"].as_u64().unwrap() > 5, "{before}");
    assert_eq!(send(&reviewer, "/assignments", &[("do", "baseline"), ("name", "")]).await.status, StatusCode::BAD_REQUEST);
    went(&send(&reviewer, "/assignments", &[("do", "baseline"), ("name", "day one"), ("note", "agreed in the board")]).await);
    let (_, after) = api(&reviewer, "GET", "/baseline", &Value::Null).await;
    assert_eq!((&after["baseline"]["name"], &after["known"], &after["new"]), (&json!("day one"), &before["new"], &json!(0)));
    assert!(reviewer.get(&tls_page()).await.text.contains("known by baseline day one"));
    assert!(reviewer.get("/findings?baseline=new").await.text.contains("Nothing here."));
    assert!(reviewer.get("/findings?baseline=known").await.text.contains("accepts TLSv1.0"));
    let page = reviewer.get("/assignments").await.text;
    assert!(page.contains("agreed in the board") && page.contains("in force"), "{page}");
}

#[tokio::test]
async fn views_are_kept_by_one_shared_by_some_and_dropped_by_their_own() {
    let seeded = seeded().await;
    let (viewer, reviewer) = (Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "reviewer").await);
    assert_eq!(went(&send(&viewer, "/findings/views", &[("name", "mine <b>"), ("query", "area=tls")]).await), "/findings?area=tls");
    assert_eq!(send(&viewer, "/findings/views", &[("name", "all"), ("query", ""), ("shared", "1")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(&viewer, "/findings/views", &[("name", "bad"), ("query", "verdict=maybe")]).await.status, StatusCode::BAD_REQUEST);
    assert!(viewer.get("/findings").await.text.contains("mine &lt;b&gt;") && !reviewer.get("/findings").await.text.contains("mine &lt;b&gt;"));
    went(&send(&reviewer, "/findings/views", &[("name", "ours"), ("query", "owner=(nobody)"), ("shared", "1")]).await);
    let (_, seen) = api(&viewer, "GET", "/finding-views", &Value::Null).await;
    let views = seen["views"].as_array().unwrap();
    assert_eq!(views.iter().map(|v| (v["name"].as_str().unwrap(), v["own"].as_bool().unwrap())).collect::<Vec<_>>(), [("mine <b>", true), ("ours", false)]);
    let theirs = views[1]["id"].as_str().unwrap();
    assert_eq!(send(&viewer, "/findings/views", &[("drop", theirs)]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(api(&viewer, "DELETE", &format!("/finding-views/{theirs}"), &Value::Null).await.0, StatusCode::NOT_FOUND);
    assert_eq!(api(&reviewer, "DELETE", &format!("/finding-views/{theirs}"), &Value::Null).await.0, StatusCode::OK);
    assert!(!viewer.get("/findings").await.text.contains("ours"));
}

#[tokio::test]
async fn comments_and_reviews_stand_in_the_records_with_who_and_when() {
    let seeded = seeded().await;
    let (viewer, reviewer) = (Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "reviewer").await);
    assert_eq!(send(&viewer, &tls_page(), &[("note", "me too")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(reviewer.post(&tls_page(), "note=x").await.status, StatusCode::FORBIDDEN, "without a token");
    went(&send(&reviewer, &tls_page(), &[("note", "asked <i>the</i> vendor")]).await);
    went(&send(&reviewer, &tls_page(), &[("note", "vendor answered"), ("owner", "ada")]).await);
    let comment = json!({ "host": host(0), "rule": "tls-version-minimum", "subject": "0.0.0.0:8443/tcp", "text": "and mended it" });
    assert_eq!(api(&reviewer, "POST", "/comments", &comment).await.0, StatusCode::CREATED);
    let page = viewer.get(&tls_page()).await.text;
    for said in ["asked &lt;i&gt;the&lt;/i&gt; vendor", "vendor answered", "and mended it"] {
        assert!(page.contains(said), "{said} is missing: {page}");
    }
    let events = seeded.app.store.record_events().await.unwrap();
    assert_eq!(events.iter().map(|r| r.event.entry).collect::<std::collections::BTreeSet<_>>().len(), 1, "one entry is about the finding alone");
    let nobody = json!({ "host": host(0), "rule": "no-such-rule", "text": "x" });
    assert_eq!(api(&reviewer, "POST", "/comments", &nobody).await.0, StatusCode::NOT_FOUND);

    let form = reviewer.get("/findings/review?area=tls").await.text;
    assert!(form.contains("open findings with area tls"), "{form}");
    let words = [("query", "area=tls"), ("scope", "TLS everywhere"), ("seen", ""), ("decision", "ada mends it by Friday")];
    assert_eq!(send(&viewer, "/findings/review", &words).await.status, StatusCode::FORBIDDEN);
    assert_eq!(went(&send(&reviewer, "/findings/review", &words).await), "/assignments#reviews");
    assert!(viewer.get("/assignments").await.text.contains("ada mends it by Friday"));
    let events = seeded.app.store.record_events().await.unwrap();
    let signed = events.iter().find(|r| r.event.record == REVIEW_SIGN_OFFS).unwrap();
    assert!(signed.event.fields["seen"].starts_with("1 findings: 1 fail, 0 unknown, 0 waived"), "{:?}", signed.event.fields);
    let file = seeded.app.store.record_file(&signed.event.files[0].sha256).await.unwrap().unwrap();
    assert!(String::from_utf8(file).unwrap().contains("accepts TLSv1.0"));
}

#[tokio::test]
async fn the_api_assigns_as_the_pages_do_and_refuses_what_they_refuse() {
    let seeded = seeded().await;
    let (viewer, reviewer) = (Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "reviewer").await);
    let picked = json!({ "picked": [{ "host": host(0), "rule": "tls-version-minimum", "subject": "0.0.0.0:8443/tcp" }], "owner": "ada", "due": "2030-01-31" });
    assert_eq!(api(&viewer, "POST", "/assignments", &picked).await.0, StatusCode::FORBIDDEN);
    assert_eq!(api(&reviewer, "POST", "/assignments", &picked).await.0, StatusCode::CREATED);
    let (_, told) = api(&viewer, "GET", "/findings?owner=ada", &Value::Null).await;
    assert_eq!(told["findings"][0]["due"].as_i64(), assay::collector::ui::when::parse_day("2030-02-01"));
    let order = json!({ "scope": { "rule": "storage-encryption" }, "owner": "disks" });
    assert_eq!(api(&reviewer, "POST", "/assignments", &order).await.0, StatusCode::CREATED);
    let filter = json!({ "filter": "owner=disks", "note": "by filter" });
    let (status, made) = api(&reviewer, "POST", "/assignments", &filter).await;
    assert_eq!((status, made["recorded"].as_array().unwrap().len()), (StatusCode::CREATED, 1));
    for (bad, expected) in [
        (json!({ "owner": "x" }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "filter": "", "scope": { "rule": "r" }, "owner": "x" }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "picked": [{ "host": host(1), "rule": "tls-version-minimum" }], "owner": "x" }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "scope": { "rule": "r" } }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "filter": "verdict=pass", "owner": "x" }), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(api(&reviewer, "POST", "/assignments", &bad).await.0, expected, "{bad}");
    }
    for bad in ["/findings?verdict=pass", "/findings?what=ever", "/findings?as_of=soon", "/finding-groups?severity=x"] {
        assert_eq!(api(&viewer, "GET", bad, &Value::Null).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    // A page begins where the one before ended.
    let (_, all) = api(&viewer, "GET", "/findings", &Value::Null).await;
    let found = all["findings"].as_array().unwrap();
    let first = &found[0];
    let after = format!("fail:0:{}:{}:{}", first["rule"].as_str().unwrap(), first["host"].as_str().unwrap(), first["subject"].as_str().unwrap());
    let (_, rest) = api(&viewer, "GET", &format!("/findings?after={}", assay::collector::ui::text::encode(&after)), &Value::Null).await;
    assert_eq!(rest["findings"].as_array().unwrap().as_slice(), &found[1..]);
}

#[tokio::test]
async fn a_label_chooses_hosts_of_a_list_and_those_of_a_waiver_as_they_are_labelled_now() {
    use assay::collector::lists::{self, List};
    let seeded = seeded().await;
    let (reviewer, admin) = (Browser::signed_in(&seeded, "reviewer").await, Browser::signed_in(&seeded, "admin").await);
    let label = async |csv: &str, at: i64| {
        let parsed = List::Labels.parse("labels.csv", csv.as_bytes()).unwrap();
        lists::put(&seeded.app.store, List::Labels, &parsed, csv.as_bytes().to_vec(), "test", at).await.unwrap();
    };
    let now = clock::unix_now();
    label("host,labels\nweb01,shop\n", now - 60).await;
    let list = reviewer.get("/findings?label=shop&rule=storage-encryption").await.text;
    assert!(list.contains("1 open finding") && list.contains("Label of the host") && list.contains("shop · 1"), "{list}");
    let (_, told) = api(&reviewer, "GET", "/findings?label=shop", &Value::Null).await;
    assert!(told["findings"].as_array().unwrap().iter().all(|f| f["host_name"] == "web01"), "{told}");
    let expires = assay::collector::ui::when::iso_day(now + 30 * DAY);
    let words = json!({ "rule": "storage-encryption", "label": "shop", "subject": "*", "reason": "lab", "control": "cage", "expires": expires });
    let (status, dry) = api(&reviewer, "POST", "/waivers?dry_run=true", &words).await;
    assert_eq!((status, dry["covers"].as_array().unwrap().len(), dry["covers"][0]["host"].as_str()), (StatusCode::OK, 1, Some("web01")), "{dry}");
    let (_, asked) = api(&reviewer, "POST", "/waivers", &words).await;
    let path = format!("/waivers/{}", asked["entry"].as_str().unwrap());
    assert_eq!(api(&admin, "POST", &path, &json!({ "action": "approve" })).await.0, StatusCode::CREATED);
    assert!(admin.get(&path).await.text.contains("1 host labelled shop"));
    // Who is labelled later does not slip under it.
    label("host,labels\nweb01,shop\nweb02,shop\n", now).await;
    let (_, waived) = api(&reviewer, "GET", "/findings?verdict=waived&label=shop", &Value::Null).await;
    let names: Vec<&str> = waived["findings"].as_array().unwrap().iter().map(|f| f["host_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["web01"]);
    let none = json!({ "rule": "storage-encryption", "label": "nobody-has-it", "reason": "x", "control": "y", "expires": expires });
    assert_eq!(api(&reviewer, "POST", "/waivers", &none).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let hosts = reviewer.get("/hosts").await.text;
    assert!(hosts.contains("1 waived"), "{hosts}");
}
