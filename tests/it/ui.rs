//! The pages as a browser asks for them: real router, real store, real ledger.

mod commitments;
mod fleet;
mod registers;
pub mod seed;
mod triage;

use std::sync::Arc;

use assay::collector::auth;
use assay::collector::store::SignIn;
use assay::collector::ui::{Site, pages};
use assay::host::clock;
use assay::ledger::Kind;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use seed::{DAY, HOSTILE, PASSWORD, Seeded};
use tower::ServiceExt as _;

/// A browser with a cookie.
struct Browser {
    pages: Router,
    cookie: String,
}

/// An answer.
struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Browser {
    fn new(seeded: &Seeded) -> Self {
        Self { pages: pages(Arc::new(Site::new(seeded.app.clone(), seed::catalogue()))), cookie: String::new() }
    }

    async fn signed_in(seeded: &Seeded, role: &str) -> Self {
        let mut browser = Self::new(seeded);
        let answer = browser.post("/signin", &format!("name={role}&password={}", PASSWORD.replace(' ', "+"))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        browser.cookie = cookie.split(';').next().unwrap().to_string();
        browser
    }

    async fn ask(&self, request: axum::http::request::Builder, body: String) -> Answer {
        self.ask_with(request, Body::from(body)).await
    }

    async fn ask_with(&self, request: axum::http::request::Builder, body: Body) -> Answer {
        let request = request.header(header::COOKIE, &self.cookie).header(header::HOST, "127.0.0.1").body(body).unwrap();
        let answer = self.pages.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap();
        Answer { status: head.status, headers: head.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path), String::new()).await
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").header("sec-fetch-site", "same-origin");
        self.ask(request, form.into()).await
    }
}

fn host(n: u8) -> String {
    assay::model::ids::HostId::new([n + 0x31; 32]).to_string()
}

#[tokio::test]
async fn every_page_opens_and_no_host_text_is_active() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "admin").await;
    let finding = format!("/findings/{}/tls-version-minimum?subject=0.0.0.0%3A8443%2Ftcp", host(0));
    let telnet = browser.get("/findings?rule=service-telnet").await.text;
    let hostile = telnet.split("href=\"").find(|h| h.starts_with("/findings/")).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    for path in [
        "/",
        "/findings",
        "/findings?verdict=all",
        "/hosts",
        "/evidence",
        &finding,
        &hostile,
        &format!("/hosts/{}", host(0)),
        &format!("/hosts/{}", host(3)),
        &format!("/hosts/{}", host(4)),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{path}");
        let mine = answer.text.matches("<script").count();
        assert_eq!(mine, 1, "{path} holds a script of a host");
        for hidden in ['\u{202e}', '\u{1b}'] {
            assert!(!answer.text.contains(hidden), "{path} lets {hidden:?} through");
        }
        assert!(!answer.text.contains("style=\""), "{path} has an inline style that the policy refuses");
    }
    let page = browser.get(&format!("/hosts/{}", host(2))).await.text;
    // Every family that was gathered is drawn: a changed document must not vanish from the page.
    for drawn in ["sudo to root, no password", "1 SSH key", "md0_crypt", "vsftpd", "for security", "waits for a reboot", "/etc/shadow can&#39;t be read"] {
        assert!(page.contains(drawn), "{drawn} is missing: {page}");
    }
    assert!(browser.get("/hosts").await.text.contains("evil\u{fffd}&lt;script&gt;"), "the hostile name is shown, made harmless: {HOSTILE:?}");
}

#[tokio::test]
async fn the_overview_says_how_much_is_not_true_and_a_past_day_says_what_was_known() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let today = browser.get("/").await.text;
    assert!(today.contains("5 of 10 rules fail"), "{today}");
    assert!(today.contains("on 3 of 5 hosts"), "{today}");
    let then = assay::collector::ui::when::iso_day(now - 60 * DAY);
    let past = browser.get(&format!("/?as_of={then}")).await.text;
    assert!(past.contains("As of the end of"), "{past}");
    assert!(!past.contains("m.keller"), "the leaver was not known yet");
    assert!(past.contains("root may sign in with a password"), "what failed then is shown");
    assert_eq!(browser.get("/?as_of=2999-01-01").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/?as_of=yesterday").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_finding_shows_its_evidence_and_its_report_is_proved_by_the_ledger() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "auditor").await;
    let page = browser.get(&format!("/findings/{}/tls-version-minimum?subject=0.0.0.0%3A8443%2Ftcp", host(0))).await.text;
    for part in ["accepts TLSv1.0, TLSv1.1", "tcp 0.0.0.0:8443", "tls.endpoints[0].accepted", "proved", "CC6.7", "ssh-keygen -lf"] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    let unknown = browser.get(&format!("/findings/{}/updates-security-pending", host(1))).await.text;
    assert!(unknown.contains("package lists are 41 days old") && unknown.contains("Run apt-get update"), "{unknown}");
    for gone in [format!("/findings/{}/no-such-rule", host(0)), "/findings/00/x".into(), format!("/hosts/{}", "0".repeat(64)), "/nothing".into()] {
        assert_eq!(browser.get(&gone).await.status, StatusCode::NOT_FOUND, "{gone}");
    }
}

#[tokio::test]
async fn nobody_comes_in_without_a_session_and_a_session_ends_by_signing_out() {
    let seeded = seed::empty(clock::unix_now()).await;
    let stranger = Browser::new(&seeded);
    for path in ["/", "/hosts", "/findings", "/evidence", "/log/checkpoint"] {
        let answer = stranger.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.headers[header::LOCATION].to_str().unwrap().starts_with("/signin"));
    }
    let wrong = stranger.post("/signin", "name=admin&password=wrong").await;
    let nobody = stranger.post("/signin", "name=nobody&password=wrong").await;
    assert_eq!((wrong.status, nobody.status), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    let browser = Browser::signed_in(&seeded, "admin").await;
    let page = browser.get("/").await;
    assert!(page.text.contains("No host yet"));
    let token = page.text.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
    assert_eq!(browser.post("/signout", "form_token=forged").await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    assert_eq!(browser.post("/signout", &format!("form_token={token}")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn files_of_the_ledger_and_no_others_are_served() {
    let seeded = seed::empty(clock::unix_now()).await;
    let folder = seeded.app.store.folder();
    std::fs::create_dir_all(folder.join("tiles/tile/0/000.p")).unwrap();
    for (path, text) in [("tiles/checkpoint", "note"), ("tiles/tile/0/000.p/7", "hashes"), ("tiles/tile/0/odd", "odd"), ("secret", "secret")] {
        std::fs::write(folder.join(path), text).unwrap();
    }
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let note = browser.get("/log/checkpoint").await;
    assert_eq!((note.status, note.text.as_str(), note.headers[header::CACHE_CONTROL].to_str().unwrap()), (StatusCode::OK, "note", "no-store"));
    let tile = browser.get("/log/tile/0/000.p/7").await;
    assert_eq!((tile.status, tile.text.as_str(), tile.headers[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "hashes", "application/octet-stream"));
    for path in [
        "tile/0/odd",
        "tile/0/000.p/8",
        "../secret",
        "..%2fsecret",
        "tile/0/..%2f..%2f..%2fsecret",
        "tile/0/%2e%2e/%2e%2e/%2e%2e/secret",
        "tile/0/000%00",
        "secret",
        "/etc/passwd",
    ] {
        let answer = browser.get(&format!("/log/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_one_time_link_survives_a_preview_and_works_once() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let token = auth::issue_link(&seeded.app.store, &seed::user("admin"), now).await.unwrap();
    let mut browser = Browser::new(&seeded);
    for _ in 0..2 {
        assert_eq!(browser.get(&format!("/signin/once?token={token}")).await.status, StatusCode::OK);
    }
    let foreign = Request::post("/signin/once").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").header("sec-fetch-site", "cross-site");
    assert_eq!(browser.ask(foreign, format!("token={token}")).await.status, StatusCode::FORBIDDEN);
    let answer = browser.post("/signin/once", &format!("token={token}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    browser.cookie = answer.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_string();
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    assert_eq!(browser.post("/signin/once", &format!("token={token}")).await.status, StatusCode::GONE);
    assert_eq!(browser.get(&format!("/signin/once?token={token}")).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn that_an_auditor_signed_in_stands_in_the_ledger_by_id() {
    let seeded = seed::empty(clock::unix_now()).await;
    for role in ["auditor", "admin", "auditor", "viewer"] {
        Browser::signed_in(&seeded, role).await;
    }
    let entries = seeded.app.store.pending_leaves(0).await.unwrap();
    let signed_in = entries.iter().filter(|l| String::from_utf8_lossy(&l.bytes).contains("\"sign-in\"")).count();
    assert_eq!(signed_in, 2, "an entry for each time");
    for statement in seeded.app.store.statements(Kind::SignIn).await.unwrap() {
        let told: SignIn = statement.read().unwrap();
        assert_eq!((told.user, told.role.as_str()), (seed::user("auditor"), "auditor"));
    }
    // Who was removed comes in no more, with no link of before.
    let token = auth::issue_link(&seeded.app.store, &seed::user("auditor"), clock::unix_now()).await.unwrap();
    let browser = Browser::signed_in(&seeded, "auditor").await;
    seeded.app.store.remove_user("auditor", "test", clock::unix_now()).await.unwrap();
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.post("/signin/once", &format!("token={token}")).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn the_sixth_wrong_password_locks_the_name() {
    let seeded = seed::empty(clock::unix_now()).await;
    let browser = Browser::new(&seeded);
    for _ in 0..6 {
        assert_eq!(browser.post("/signin", "name=admin&password=wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    let locked = browser.post("/signin", &format!("name=admin&password={}", PASSWORD.replace(' ', "+"))).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(locked.text.contains("Too many attempts"));
}

#[tokio::test]
async fn a_session_ends_when_idle_and_when_old() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let (store, gate) = (&seeded.app.store, auth::Gate::new());
    let cookie = gate.open_session(store, &seed::user("admin"), now).await.unwrap();
    let mut at = now;
    while at < now + auth::SESSION_SECONDS {
        assert!(gate.session(store, &cookie, at).await.unwrap().is_some(), "in use, {} s after the beginning", at - now);
        at += auth::SESSION_IDLE_SECONDS - 1;
    }
    assert!(gate.session(store, &cookie, now + auth::SESSION_SECONDS).await.unwrap().is_none());
    let cookie = gate.open_session(store, &seed::user("admin"), now).await.unwrap();
    assert!(gate.session(store, &cookie, now + auth::SESSION_IDLE_SECONDS + 1).await.unwrap().is_none());
    let moved = format!("{}.{}", cookie.rsplit_once('.').unwrap().0, now + 999);
    assert!(gate.session(store, &moved, now).await.unwrap().is_none(), "the beginning can't be moved");
}

#[tokio::test]
async fn a_viewer_sees_the_preview_but_may_not_export() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let page = browser.get("/evidence?framework=soc2-2017").await.text;
    assert!(page.contains("CC6.7") && page.contains("exporting needs") && !page.contains("Export bundle"), "{page}");
    assert!(page.contains("2 weekly windows missed") || page.contains("weekly windows missed"), "{page}");
    let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let answer = browser.post("/evidence/export", &format!("framework=soc2-2017&from=2026-01-01&to=2026-01-31&form_token={token}")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/evidence?from=2026-02-01&to=2026-01-01").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_auditor_exports_a_bundle_and_the_ledger_knows_it() {
    let now = clock::unix_now();
    let mut seeded = seed::full(now).await;
    let browser = Browser::signed_in(&seeded, "auditor").await;
    let page = browser.get("/evidence").await.text;
    let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let day = |at| assay::collector::ui::when::iso_day(at);
    let form = |more: &str| format!("framework=soc2-2017&from={}&to={}&form_token={token}{more}", day(now - 30 * DAY), day(now - DAY));
    for bad in ["&seed=x&sample=0", "&seed=x&sample=many", "&seed=%0A%0Ax%0Ay&sample=1"] {
        assert_eq!(browser.post("/evidence/export", &form(bad)).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let answer = browser.post("/evidence/export", &form("&hosts=*&seed=audit&sample=2")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let job = answer.headers[header::LOCATION].to_str().unwrap().to_string();
    // The page is asked again until the export is done, as a browser would.
    let page = loop {
        let page = browser.get(&job).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        if !page.text.contains("http-equiv=\"refresh\"") {
            break page.text;
        }
        tokio::task::yield_now().await;
    };
    assert!(page.contains("Ready") && page.contains("SHA-256"), "{page}");
    let file = page.split("href=\"").find(|p| p.starts_with(&job)).unwrap().split('"').next().unwrap().to_string();
    for _ in 0..2 {
        let answer = browser.get(&file).await;
        assert_eq!((answer.status, answer.headers[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "application/zip"));
        let length: usize = answer.headers[header::CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
        assert!(length > 20_000 && answer.text.starts_with("PK"), "{length} bytes");
    }
    assert!(browser.get("/evidence").await.text.contains(&job), "the page Evidence leads to it");
    let other = Browser::signed_in(&seeded, "reviewer").await;
    assert_eq!(other.get(&job).await.status, StatusCode::NOT_FOUND, "another person's export");
    assert_eq!(other.get(&file).await.status, StatusCode::NOT_FOUND);
    let viewer = Browser::signed_in(&seeded, "viewer").await;
    assert_eq!(viewer.get(&job).await.status, StatusCode::FORBIDDEN);
    while seeded.task.step().await.unwrap() > 0 {}
    assert!(!browser.get("/evidence").await.text.contains(">None.<"), "the export is listed");
}
