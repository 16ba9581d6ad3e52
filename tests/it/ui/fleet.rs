//! Pages of the fleet: hosts, people, vulnerabilities, certificates, lists, the calendar.

use assay::host::clock;
use axum::http::StatusCode;

use super::seed::{self, DAY, HOSTILE};
use super::{Browser, host};

#[tokio::test]
async fn hosts_are_found_by_label_state_system_and_name() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let all = browser.get("/hosts").await.text;
    for part in ["5 hosts, 1 silent", "Ops", "1–5 of 5 hosts", "criticality"] {
        assert!(all.contains(part), "{part} is missing: {all}");
    }
    for (query, there, absent) in [
        ("owner=Ops&region=eu-1", "web01", "web02"),
        ("label=pci", "web01", "db01"),
        ("name=DB", "db01", "web01"),
        ("state=silent", "evil", "web01"),
        ("system=Debian+GNU%2FLinux+12.9+%28bookworm%29", "web02", "new01"),
    ] {
        let page = browser.get(&format!("/hosts?{query}")).await.text;
        let rows = page.split("<tbody>").nth(1).unwrap_or_default();
        assert!(rows.contains(there) && !rows.contains(absent), "{query}: {rows}");
    }
    let none = browser.get("/hosts?name=nobody%25").await.text;
    assert!(none.contains("No host fits"), "{none}");
    for bad in ["/hosts?state=odd", "/hosts?page=0", "/hosts?page=x", &format!("/hosts?name={}", "x".repeat(300))] {
        assert_eq!(browser.get(bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    // Before anybody was enrolled.
    let then = assay::collector::ui::when::iso_day(clock::unix_now() - 400 * DAY);
    assert!(browser.get(&format!("/hosts?as_of={then}")).await.text.contains("No host was enrolled"));
}

#[tokio::test]
async fn the_inventory_is_held_against_what_is_enrolled() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let page = browser.get("/hosts/known").await.text;
    assert!(page.contains("1 in the list, never enrolled") && page.contains("ghost01") && page.contains("Sales"), "{page}");
    assert!(page.contains("Enrolled, in no line of the list") && page.contains("db01"), "{page}");
    assert!(!page.contains("<script>document"), "a host's name is no script");
    let empty = seed::empty(clock::unix_now()).await;
    let browser = Browser::signed_in(&empty, "viewer").await;
    assert!(browser.get("/hosts/known").await.text.contains("can’t be told"));
}

#[tokio::test]
async fn certificates_are_listed_with_their_ends_and_places() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let page = browser.get("/certificates").await.text;
    for part in ["end within 30 days", "api.example.com", "CN=Example CA", "RSA 2048", "0.0.0.0:8443/tcp", "TLSv1.0 on 4 endpoints of 4 hosts"] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    let fingerprint = format!("{:064x}", 1);
    let one = browser.get(&format!("/certificates/{fingerprint}")).await.text;
    assert!(one.contains("web02") && !one.contains("web01<"), "{one}");
    assert!(browser.get("/certificates?name=no-such-name").await.text.contains("of this kind"));
    assert_eq!(browser.get("/certificates?within=7").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/certificates/00").await.status, StatusCode::NOT_FOUND);
    // Hosts that brought no report are not hosts without certificates.
    let empty = browser.get(&format!("/certificates?as_of={}", assay::collector::ui::when::iso_day(now - 69 * DAY - 7_200))).await.text;
    assert!(empty.contains("brought no report") || empty.contains("api.example.com"), "{empty}");
}

#[tokio::test]
async fn an_advisory_names_the_hosts_that_have_it_and_no_index_is_not_no_hole() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let page = browser.get("/vulnerabilities").await.text;
    for part in ["One critical or high vulnerability", "DSA-1-1", "CVE-2026-1111", "3.0.11-1", "CVSS 9.8", "no fix"] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    assert!(!page.contains("DSA-3-1"), "without a fix only what is severe is kept");
    assert!(!page.contains('\u{202e}') && page.matches("<script").count() == 1, "a package is called {HOSTILE:?}");
    let one = browser.get("/vulnerabilities/DSA-1-1").await.text;
    for part in ["4 hosts", "web01", "db01", "3.0.9-1"] {
        assert!(one.contains(part), "{part} is missing: {one}");
    }
    let own = browser.get(&format!("/vulnerabilities?host={}&severity=critical", host(0))).await.text;
    assert!(own.contains("DSA-1-1") && !own.contains("DSA-2-1") && own.contains("on web01"), "{own}");
    let none = browser.get(&format!("/vulnerabilities?host={}", host(4))).await.text;
    assert!(none.contains("not known") || none.contains("No advisories were imported"), "{none}");
    assert_eq!(browser.get("/vulnerabilities?severity=grave").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/vulnerabilities/DSA-9-9").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/vulnerabilities?host=zz").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_left_and_still_gets_in_is_told_with_each_way_and_the_days() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let page = browser.get("/people").await.text;
    for part in [
        "1 person who left still gets in",
        "past the limit",
        "m.keller",
        "key in",
        "authorized_keys:3",
        "as deploy",
        "Time until people who left",
        "version 1, 2 people",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    let one = browser.get("/people/m.keller").await.text;
    assert!(one.contains("still gets in") && one.contains("web01") && one.contains("More than ordinary rights"), "{one}");
    assert_eq!(browser.get("/people/nobody").await.status, StatusCode::NOT_FOUND);
    let rights = browser.get("/people/privileged").await.text;
    for part in ["m.keller", "not approved", "Approved, and nobody has it", "z.none"] {
        assert!(rights.contains(part), "{part} is missing: {rights}");
    }
    // While she worked here.
    let then = assay::collector::ui::when::iso_day(now - 20 * DAY);
    let past = browser.get(&format!("/people?as_of={then}")).await.text;
    assert!(past.contains("Nobody who left is known to get in"), "{past}");
    let empty = seed::empty(now).await;
    let browser = Browser::signed_in(&empty, "viewer").await;
    assert!(browser.get("/people").await.text.contains("There is no roster"), "no roster is not nobody");
}

/// The token that forms of this session carry.
async fn token(browser: &Browser) -> String {
    let page = browser.get("/").await.text;
    page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_string()
}

#[tokio::test]
async fn labels_are_changed_on_the_page_of_a_host_and_every_version_stays() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "reviewer").await;
    let (path, token) = (format!("/hosts/{}/labels", host(2)), token(&browser).await);
    let form = "owner=Data+team&purpose=orders&criticality=high&region=eu-2&labels=pci%2C+gdpr";
    assert_eq!(browser.post(&path, form).await.status, StatusCode::FORBIDDEN, "without the form's token");
    assert_eq!(browser.post(&path, &format!("{form}&form_token={token}")).await.status, StatusCode::SEE_OTHER);
    let page = browser.get(&format!("/hosts/{}", host(2))).await.text;
    for part in ["Data team", "orders", "gdpr", "eu-2"] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    assert!(browser.get("/hosts?label=gdpr").await.text.contains("db01"));
    let history = browser.get("/lists/labels").await.text;
    assert!(history.contains("reviewer") && history.matches("Download").count() == 2, "{history}");
    // What was said of others stays.
    assert!(browser.get("/hosts?label=pci&owner=Ops").await.text.contains("web01"));
    for bad in ["criticality=grave", "owner=%3D1%2B1", "owner=a%01b"] {
        assert_eq!(browser.post(&path, &format!("{bad}&form_token={token}")).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let viewer = Browser::signed_in(&seeded, "viewer").await;
    let own = self::token(&viewer).await;
    assert_eq!(viewer.post(&path, &format!("{form}&form_token={own}")).await.status, StatusCode::FORBIDDEN);
    assert!(!viewer.get(&format!("/hosts/{}", host(2))).await.text.contains("/labels\""), "a viewer gets no form");
    assert_eq!(browser.post(&format!("/hosts/{}/labels", "0".repeat(64)), &format!("{form}&form_token={token}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_scan_is_asked_for_by_who_may_and_waits_for_the_heartbeat() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "admin").await;
    let (path, token) = (format!("/hosts/{}/scan", host(0)), token(&browser).await);
    assert_eq!(browser.post(&path, "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.post(&path, &format!("form_token={token}")).await.status, StatusCode::SEE_OTHER);
    assert!(seeded.app.scan_requests.of(&assay::model::ids::HostId::new([0x31; 32])).is_some());
    assert!(browser.get(&format!("/hosts/{}", host(0))).await.text.contains("A scan was asked for"));
    let viewer = Browser::signed_in(&seeded, "auditor").await;
    let own = self::token(&viewer).await;
    assert_eq!(viewer.post(&path, &format!("form_token={own}")).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn two_scans_are_compared_by_facts_and_verdicts() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let id = assay::model::ids::HostId::new([0x31; 32]);
    let reports = seeded.app.store.reports(Some(&id), None, 0).await.unwrap();
    let (newest, oldest) = (reports.first().unwrap(), reports.last().unwrap());
    let page = browser.get(&format!("/hosts/{id}/compare?a={}&b={}", newest.id, oldest.id)).await.text;
    for part in ["Became false", "Became true", "m.keller", "tls", "not_after", "The same in both"] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    let latest = browser.get(&format!("/hosts/{id}/compare")).await;
    assert_eq!(latest.status, StatusCode::OK, "{}", latest.text);
    assert!(browser.get(&format!("/hosts/{}/compare", host(4))).await.text.contains("not two scans"));
    // A scan of another host is not one of this one.
    let other = seeded.app.store.reports(Some(&assay::model::ids::HostId::new([0x32; 32])), None, 1).await.unwrap();
    assert_eq!(browser.get(&format!("/hosts/{id}/compare?a={}", other[0].id)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get(&format!("/hosts/{id}/compare?a=zz")).await.status, StatusCode::NOT_FOUND);
}

/// Uploads a file as a browser does.
async fn upload(browser: &Browser, list: &str, token: &str, text: &str) -> super::Answer {
    let part = |name: &str, file: &str, body: &str| format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{body}\r\n");
    let body = format!("{}{}--X--\r\n", part("form_token", "", token), part("file", "; filename=\"people.csv\"", text));
    let request = axum::http::Request::post(format!("/lists/{list}/check"))
        .header(axum::http::header::CONTENT_TYPE, "multipart/form-data; boundary=X")
        .header("sec-fetch-site", "same-origin");
    browser.ask(request, body).await
}

#[tokio::test]
async fn a_list_is_looked_at_before_it_is_put_into_force_by_the_same_person() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "reviewer").await;
    let overview = browser.get("/lists").await.text;
    for part in ["Roster", "Approvals", "Thresholds", "none was given"] {
        assert!(overview.contains(part), "{part} is missing: {overview}");
    }
    let token = token(&browser).await;
    let text = "person,full name,accounts,ended at\nm.keller,Maria Keller,mkeller,\nn.new,<script>x</script>,new,\n";
    let looked = upload(&browser, "roster", &token, text).await;
    assert_eq!(looked.status, StatusCode::OK, "{}", looked.text);
    for part in ["What people.csv would change", "<b>1</b> new, <b>1</b> changed, <b>1</b> gone", "&lt;script&gt;", "Put into force"] {
        assert!(looked.text.contains(part), "{part} is missing: {}", looked.text);
    }
    let before = seeded.app.store.list_history("roster").await.unwrap().len();
    let digest = assay::model::ids::Digest::of(text.as_bytes());
    // Another person's upload is not mine to put.
    let admin = Browser::signed_in(&seeded, "admin").await;
    let own = self::token(&admin).await;
    assert_eq!(admin.post("/lists/roster", &format!("digest={digest}&form_token={own}")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.post("/lists/roster", &format!("digest={digest}")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(seeded.app.store.list_history("roster").await.unwrap().len(), before, "nothing was put so far");
    assert_eq!(browser.post("/lists/roster", &format!("digest={digest}&form_token={token}")).await.status, StatusCode::SEE_OTHER);
    let versions = seeded.app.store.list_history("roster").await.unwrap();
    assert_eq!((versions.len(), versions.last().unwrap().digest), (before + 1, digest));
    assert_eq!(versions.last().unwrap().by, seed::user("reviewer").to_string(), "by a random id, never a name");
    let file = browser.get(&format!("/lists/roster/{}", before + 1)).await;
    assert_eq!(file.text, text);
    assert!(file.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert!(upload(&browser, "roster", &token, text).await.text.contains("Nothing: version"));

    let bad = upload(&browser, "roster", &token, "nonsense\n").await;
    assert!(bad.status == StatusCode::BAD_REQUEST && bad.text.contains("Nothing was changed"), "{}", bad.text);
    assert_eq!(upload(&browser, "policy", &token, text).await.status, StatusCode::NOT_FOUND);
    assert_eq!(upload(&browser, "roster", "wrong", text).await.status, StatusCode::FORBIDDEN);
    let viewer = Browser::signed_in(&seeded, "viewer").await;
    let own = self::token(&viewer).await;
    assert_eq!(upload(&viewer, "roster", &own, text).await.status, StatusCode::FORBIDDEN);
    assert!(!viewer.get("/lists/roster").await.text.contains("type=\"file\""));
}

#[tokio::test]
async fn the_calendar_tells_each_window_by_host_and_by_group() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let page = browser.get("/calendar").await.text;
    for part in ["missed the last whole weekly window", "web01", "scanned late", ": missed", "Figures"] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    let groups = browser.get("/calendar?by=owner").await.text;
    assert!(groups.contains("Ops (2)") && groups.contains("owner not said (2)") && groups.contains("/calendar?owner=Ops"), "{groups}");
    let one = browser.get("/calendar?owner=Ops").await.text;
    assert!(one.contains("web02") && !one.contains(">db01<"), "{one}");
    assert!(browser.get("/calendar?cadence=monthly").await.text.contains("monthly"));
    assert!(browser.get("/calendar?by=state").await.text.contains("silent (1)"));
    for bad in ["/calendar?by=salary", "/calendar?cadence=daily"] {
        assert_eq!(browser.get(bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn the_interface_for_programs_does_what_the_pages_do() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "reviewer").await;
    let json = async |path: &str| -> serde_json::Value {
        let answer = browser.get(&format!("/api/v1{path}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        serde_json::from_str(&answer.text).unwrap()
    };
    let hosts = json("/hosts?owner=Ops").await;
    assert_eq!((hosts["hosts"].as_array().unwrap().len(), &hosts["hosts"][0]["labels"]["owner"]), (2, &serde_json::json!("Ops")));
    assert!(hosts["hosts"][0]["verdicts"]["fail"].as_u64().unwrap() > 0 && hosts["states"]["active"] == 2, "{hosts}");
    assert_eq!(json("/certificates?within=30").await["items"][0]["about"]["issuer"], "CN=Example CA");
    assert_eq!(json("/vulnerabilities?severity=critical").await["items"][0]["id"], "DSA-1-1");
    assert_eq!(json("/vulnerabilities/DSA-1-1").await["places"].as_array().unwrap().len(), 4);
    let people = json("/people").await;
    assert!(people["inside"][0]["person"] == "m.keller" && people["inside"][0]["is_late"] == true, "{people}");
    assert!(!json("/people/m.keller").await["ways_in"].as_array().unwrap().is_empty());
    assert_eq!(json("/tls-versions").await["items"].as_array().unwrap().len(), 3);
    assert_eq!(json("/known-elsewhere").await["never_enrolled"], serde_json::json!(["ghost01"]));
    assert!(json(&format!("/hosts/{}/compare", host(0))).await["differs"]["facts"].is_array());
    assert_eq!(json("/lists").await["lists"].as_array().unwrap().len(), 8);
    for (path, status) in [
        ("/hosts?state=odd", StatusCode::BAD_REQUEST),
        ("/hosts?page=0", StatusCode::BAD_REQUEST),
        ("/hosts?as_of=never", StatusCode::BAD_REQUEST),
        ("/hosts/zz", StatusCode::NOT_FOUND),
        ("/certificates/00", StatusCode::NOT_FOUND),
        ("/people/nobody", StatusCode::NOT_FOUND),
        ("/lists/odd", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(browser.get(&format!("/api/v1{path}")).await.status, status, "{path}");
    }
    let send = async |who: &Browser, path: &str, kind: &str, token: &str, body: &str| {
        let request = axum::http::Request::put(format!("/api/v1{path}"))
            .header("content-type", kind)
            .header("content-length", body.len())
            .header("x-form-token", token)
            .header("sec-fetch-site", "same-origin");
        who.ask(request, body.to_string()).await
    };
    let token = token(&browser).await;
    let (json_type, roster) = ("application/json", "{\"content\":\"person,ended at\\nz.last,2026-01-01\\n\"}");
    let dry = send(&browser, "/lists/roster?dry_run=true", json_type, &token, roster).await;
    assert!(dry.status == StatusCode::OK && dry.text.contains("\"added\":1"), "{}", dry.text);
    assert_eq!(seeded.app.store.list_history("roster").await.unwrap().len(), 1);
    assert_eq!(send(&browser, "/lists/roster", json_type, &token, roster).await.status, StatusCode::CREATED);
    assert_eq!(seeded.app.store.list_history("roster").await.unwrap().len(), 2);
    assert_eq!(send(&browser, "/lists/roster", json_type, &token, "{\"content\":\"odd\"}").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let label = send(&browser, &format!("/hosts/{}/labels", host(0)), "application/json", &token, "{\"owner\":\"New\"}").await;
    assert!(label.status == StatusCode::OK && label.text.contains("\"version\":2"), "{}", label.text);
    assert_eq!(json(&format!("/hosts/{}", host(0))).await["host"]["labels"]["owner"], "New");
    assert_eq!(send(&browser, "/lists/roster", json_type, "wrong", roster).await.status, StatusCode::FORBIDDEN);
    let viewer = Browser::signed_in(&seeded, "viewer").await;
    let own = self::token(&viewer).await;
    assert_eq!(send(&viewer, "/lists/roster", json_type, &own, roster).await.status, StatusCode::FORBIDDEN);
    assert_eq!(Browser::new(&seeded).get("/api/v1/hosts").await.status, StatusCode::UNAUTHORIZED);
}
