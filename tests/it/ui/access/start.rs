use assay::collector::auth;
use assay::host::clock;
use axum::http::{StatusCode, header};

use super::*;

#[tokio::test]
async fn the_first_admin_comes_by_the_printed_link_once() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let store = &seeded.app.store;
    let dead = auth::issue_setup(store, now).await.unwrap();
    assert!(Browser::new(&seeded).get(&format!("/setup?token={dead}")).await.text.contains("The first start is over"), "there are people already");
    for role in ["admin", "reviewer", "auditor", "viewer"] {
        store.remove_user(role, "test", now).await.unwrap();
    }
    let link = auth::issue_setup(store, now).await.unwrap();
    let mut browser = Browser::new(&seeded);
    assert_eq!(browser.get("/setup").await.status, StatusCode::GONE);
    assert_eq!(browser.get(&format!("/setup?token={dead}")).await.status, StatusCode::GONE, "an older start's link");
    let page = browser.get(&format!("/setup?token={link}")).await;
    assert!(page.status == StatusCode::OK && page.text.contains("First start"), "{}", page.text);
    let form = |token: &str, password: &str, again: &str| format!("token={token}&name=ada&password={password}&again={again}&company=Example+GmbH");
    for (password, again) in [("short", "short"), ("correct+horse+battery", "other")] {
        let page = browser.post("/setup", &form(&link, password, again)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", page.text);
        assert!(page.text.contains("value=\"ada\""), "what was typed stays: {}", page.text);
    }
    assert_eq!(browser.post("/setup", &form("guessed", "correct+horse+battery", "correct+horse+battery")).await.status, StatusCode::GONE);
    let answer = browser.post("/setup", &form(&link, "correct+horse+battery", "correct+horse+battery")).await;
    assert_eq!((answer.status, answer.headers[header::LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, "/enrol"), "{}", answer.text);
    browser.cookie = answer.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_string();
    assert_eq!(store.setting("company").await.unwrap(), "Example GmbH");
    let again = Browser::new(&seeded).post("/setup", &form(&link, "correct+horse+battery", "correct+horse+battery")).await;
    assert_eq!(again.status, StatusCode::GONE);
    assert_eq!(store.user_count().await.unwrap(), 1);

    // One command, with a token that pins this collector, shown once.
    let page = send(&browser, "/enrol", "uses=1&days=1").await.text;
    let token = between(&page, "echo &#39;", "&#39;").to_string();
    assert!(page.contains("assay enroll --collector https://127.0.0.1:18931 --token-file -"), "{page}");
    let parsed: assay::pki::token::Token = token.parse().unwrap();
    assert!(parsed.pins(seeded.app.authority.der()));
    assert!(store.peek_secret("enrol", &parsed.secret_digest(), now).await.unwrap().is_some());
    assert!(!browser.get("/enrol").await.text.contains("assay1."), "it is told once");
    let waiting = browser.get("/enrol/wait").await.text;
    assert!(waiting.contains("Waiting for the first host") && waiting.contains("http-equiv=\"refresh\""), "{waiting}");
}

#[tokio::test]
async fn the_page_that_waits_shows_what_arrived() {
    let seeded = seed::full(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "admin").await;
    let page = browser.get("/enrol/wait").await.text;
    assert!(page.contains("4 of 5 newest hosts reported") && page.contains("none yet") && !page.contains("http-equiv"), "{page}");
    assert_eq!(send(&browser, "/enrol", "uses=0").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_without_people_prints_the_link_that_makes_the_first() {
    use std::io::BufRead as _;
    let folder = tempfile::tempdir().unwrap();
    let people = format!("127.0.0.1:{}", crate::lab::free_port());
    let agents = format!("127.0.0.1:{}", crate::lab::free_port());
    let mut command = std::process::Command::new(crate::support::collector());
    command.args(["serve", "--plain-http", "--data", crate::support::text(folder.path()), "--agents", &agents, "--people", &people]);
    let mut child = command.env("NO_COLOR", "1").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|l| l.contains("/setup?token=")).expect("the log names the link");
    let link = line.split_whitespace().find(|w| w.contains("/setup?token=")).unwrap().to_string();
    std::thread::spawn(move || lines.for_each(drop));
    assay::pki::install_provider();
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = http.get(&link).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("First start"), "{page}");
    let token = link.split('=').nth(1).unwrap();
    let form = format!("token={token}&name=ada&password=correct+horse+battery&again=correct+horse+battery");
    let made = http.post(format!("http://{people}/setup")).header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
    assert_eq!((made.status().as_u16(), made.headers()["location"].to_str().unwrap()), (303, "/enrol"));
    assert_eq!(http.get(&link).send().await.unwrap().status().as_u16(), 410);
    child.kill().unwrap();
    child.wait().unwrap();
}
