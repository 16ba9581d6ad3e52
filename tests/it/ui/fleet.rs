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
        "1 person who left still get in",
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
