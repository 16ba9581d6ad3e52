use assay::collector::store::Grant;
use assay::collector::ui::when::iso_day;
use assay::host::clock;
use axum::http::{StatusCode, header};

use super::super::host;
use super::seed::DAY;
use super::*;

async fn bound(seeded: &Seeded, grant: Grant) -> Browser {
    let id = seed::user("auditor");
    assert!(seeded.app.store.put_grant(&id, Some(grant), "test", clock::unix_now()).await.unwrap());
    Browser::signed_in(seeded, "auditor").await
}

#[tokio::test]
async fn an_auditor_sees_the_hosts_that_were_given_and_no_other() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let browser = bound(&seeded, Grant { hosts: vec!["web*".into()], ..Grant::default() }).await;
    let (mine, other) = (host(0), host(2));
    for open in [format!("/hosts/{mine}"), format!("/findings/{mine}/tls-version-minimum?subject=0.0.0.0%3A8443%2Ftcp"), "/grant".into()] {
        let page = browser.get(&open).await;
        assert_eq!(page.status, StatusCode::OK, "{open}: {}", page.text);
        assert!(page.text.contains("You look within bounds") && !page.text.contains("db01"), "{open}");
    }
    for shut in [
        format!("/hosts/{other}"),
        format!("/findings/{other}/storage-encryption"),
        format!("/findings?host={other}"),
        format!("/findings?host={mine}"),
        format!("/findings?host={mine}&host={other}"),
        format!("/findings?host={other}&host={mine}"),
        "/findings?host=web01".into(),
        "/findings".into(),
        "/hosts".into(),
        "/audit".into(),
        "/audit.csv".into(),
        format!("/hosts/{}", "0".repeat(64)),
        "/evidence?framework=soc2-2017&from=2026-01-01&to=2026-01-02".into(),
    ] {
        let page = browser.get(&shut).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{shut}: {}", page.text);
        assert!(page.text.contains("lies outside of what you were given") && page.text.contains("/grant"), "{shut}: {}", page.text);
    }
    assert_eq!(browser.get("/").await.headers[header::LOCATION], "/grant");
    // A bundle holds the hosts of the grant; others can't be asked for.
    let (from, to) = (iso_day(now - 30 * DAY), iso_day(now - DAY));
    let form = |hosts: &str| format!("framework=soc2-2017&from={from}&to={to}&hosts={hosts}");
    for outside in ["db01", "*", "web*+db01", "w*"] {
        assert_eq!(send(&browser, "/evidence/export", &form(outside)).await.status, StatusCode::FORBIDDEN, "{outside}");
    }
    for inside in ["", "web01", "web*"] {
        assert_eq!(send(&browser, "/evidence/export", &form(inside)).await.status, StatusCode::SEE_OTHER, "{inside}");
    }
}

#[tokio::test]
async fn an_auditor_sees_the_days_and_frameworks_that_were_given() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let day = |n: i64| iso_day(now - n * DAY);
    let grant = Grant { frameworks: vec!["soc2-2017".into()], from: day(50), to: day(20), hosts: Vec::new() };
    let browser = bound(&seeded, grant).await;
    let page = browser.get("/").await.text;
    assert!(page.contains("As of the end of"), "whose period is over sees its last day: {page}");
    for (path, status) in [
        (format!("/?as_of={}", day(30)), StatusCode::OK),
        (format!("/?as_of={}", day(51)), StatusCode::FORBIDDEN),
        (format!("/hosts?as_of={}", day(10)), StatusCode::FORBIDDEN),
        (format!("/evidence?framework=soc2-2017&from={}&to={}", day(50), day(20)), StatusCode::OK),
        (format!("/evidence?framework=soc2-2017&from={}&to={}", day(60), day(20)), StatusCode::FORBIDDEN),
        (format!("/audit?day={}", day(30)), StatusCode::OK),
        ("/evidence".into(), StatusCode::SEE_OTHER),
    ] {
        let page = browser.get(&path).await;
        assert_eq!(page.status, status, "{path}: {}", page.text);
    }
    let form = |from: i64, to: i64| format!("framework=soc2-2017&from={}&to={}", day(from), day(to));
    assert_eq!(send(&browser, "/evidence/export", &form(60, 20)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(&browser, "/evidence/export", &form(50, 10)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(&browser, "/evidence/export", &form(50, 20)).await.status, StatusCode::SEE_OTHER);
    // Another framework, however it is asked for.
    let narrow = Grant { frameworks: vec!["another".into()], ..Grant::default() };
    let browser = bound(&seeded, narrow).await;
    for path in ["/evidence?framework=soc2-2017&from=2026-01-01&to=2026-01-02", "/evidence?framework=another&framework=soc2-2017&from=2026-01-01&to=2026-01-02"]
    {
        assert_eq!(browser.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(send(&browser, "/evidence/export", &form(50, 20)).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn bounds_hold_for_programs_and_what_is_opened_is_logged() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let day = |n: i64| iso_day(now - n * DAY);
    let browser = bound(&seeded, Grant { from: day(50), to: day(20), ..Grant::default() }).await;
    let made = send(&browser, "/settings/tokens", "name=siem&role=auditor").await.text;
    let token = between(&made, "<pre id=\"once-1\">", "</pre>").to_string();
    let stranger = Browser::new(&seeded);
    for (path, status) in [("due", 403), ("users", 403), ("record-types", 200)] {
        assert_eq!(api(&stranger, "GET", path, &token, "").await.0, status, "{path}");
    }
    assert_eq!(api(&stranger, "GET", &format!("due?as_of={}", day(30)), &token, "").await.0, 200);
    assert_eq!(api(&stranger, "GET", &format!("due?as_of={}", day(5)), &token, "").await.0, 403);
    browser.get(&format!("/hosts?as_of={}", day(30))).await;
    let admin = Browser::signed_in(&seeded, "admin").await;
    let opened = admin.get("/audit?kind=opened&person=auditor").await.text;
    assert!(opened.contains("GET /hosts?as_of=") && opened.contains("with the token siem"), "{opened}");
    assert!(admin.get("/audit?kind=refused").await.text.contains("GET /api/v1/users"), "what was refused is logged, too");
    // Who is no auditor any more has no bounds; who becomes one again has them.
    seeded.app.store.change_user("auditor", "viewer", "test", now).await.unwrap();
    assert_eq!(browser.get("/hosts").await.status, StatusCode::OK);
    seeded.app.store.change_user("auditor", "auditor", "test", now).await.unwrap();
    assert_eq!(browser.get(&format!("/hosts?as_of={}", day(5))).await.status, StatusCode::FORBIDDEN);
}
