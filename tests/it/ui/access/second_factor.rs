use assay::collector::auth::{self, AuthError};
use assay::collector::{accounts, second};
use assay::host::clock;
use axum::http::{StatusCode, header};

use super::seed::PASSWORD;
use super::*;

/// Sets a second factor up by a program's hand; its secret and recovery codes.
async fn enrolled(seeded: &Seeded, role: &str, now: i64) -> (Vec<u8>, Vec<String>) {
    let (store, user) = (&seeded.app.store, seed::user(role));
    assert!(auth::begin_second_factor(store, &user).await.unwrap());
    let secret = auth::pending_secret(store, &user).await.unwrap().unwrap();
    let codes = auth::confirm_second_factor(store, &user, &code(&secret, now), None, "test", now).await.unwrap();
    (secret, codes)
}

/// The code that an authenticator shows.
fn code(secret: &[u8], now: i64) -> String {
    (0..1_000_000).map(|n| format!("{n:06}")).find(|c| second::step_of(secret, c, now) == Some(now.div_euclid(30))).expect("a code fits")
}

async fn password_of(browser: &Browser, role: &str) -> Answer {
    browser.post("/signin", &format!("name={role}&password={}", PASSWORD.replace(' ', "+"))).await
}

#[tokio::test]
async fn a_code_is_asked_for_after_the_password_and_a_used_one_is_refused() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let (secret, codes) = enrolled(&seeded, "admin", now).await;
    let browser = Browser::new(&seeded);
    let page = password_of(&browser, "admin").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.headers.get(header::SET_COOKIE).is_none() && page.text.contains("Second factor"), "{}", page.text);
    let pending = between(&page.text, "name=\"pending\" value=\"", "\"").to_string();
    let try_code = |code: String| {
        let (browser, pending) = (&browser, &pending);
        async move { browser.post("/signin/second", &format!("pending={pending}&code={code}")).await }
    };
    // The step of the confirmation was used: the same code never signs in.
    assert_eq!(try_code(code(&secret, now)).await.status, StatusCode::UNAUTHORIZED);
    let answer = try_code(code(&secret, now + 30)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert!(answer.headers.get(header::SET_COOKIE).is_some());
    assert_eq!(try_code(code(&secret, now + 30)).await.status, StatusCode::UNAUTHORIZED, "what stood between is used up");
    // A recovery code, however it is typed, once.
    for expected in [StatusCode::SEE_OTHER, StatusCode::UNAUTHORIZED] {
        let page = password_of(&browser, "admin").await.text;
        let pending = between(&page, "name=\"pending\" value=\"", "\"").to_string();
        let typed = codes[0].to_uppercase().replace('-', "+");
        assert_eq!(browser.post("/signin/second", &format!("pending={pending}&code={typed}")).await.status, expected);
    }
    // A one-time link asks, too.
    let link = auth::issue_link(&seeded.app.store, &seed::user("admin"), now).await.unwrap();
    let page = browser.post("/signin/once", &format!("token={link}")).await;
    assert!(page.headers.get(header::SET_COOKIE).is_none() && page.text.contains("Second factor"), "{}", page.text);
}

#[tokio::test]
async fn who_knows_the_password_alone_can_not_try_codes_for_ever() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let (secret, _) = enrolled(&seeded, "admin", now - 3_600).await;
    let (store, gate, user) = (&seeded.app.store, auth::Gate::new(), seed::user("admin"));
    let mut tried = 0;
    // Each round knows the password, which forgives the name and not the second factor.
    let locked = loop {
        let pending = gate.ask_second(store, &user, now).await.unwrap().unwrap();
        match gate.check_second(store, &pending, "000000", now).await {
            Err(AuthError::Code) => tried += 1,
            Err(AuthError::Locked(_)) => break true,
            other => panic!("{other:?}"),
        }
        assert!(tried < 20, "never locked");
    };
    assert!(locked && tried <= 6, "{tried}");
    let pending = gate.ask_second(store, &user, now).await.unwrap().unwrap();
    assert!(matches!(gate.check_second(store, &pending, &code(&secret, now), now).await, Err(AuthError::Locked(_))), "not even the right one");
    // Five tries of one pending, whatever the lock.
    let gate = auth::Gate::new();
    let pending = gate.ask_second(store, &user, now).await.unwrap().unwrap();
    for _ in 0..5 {
        assert!(gate.check_second(store, &pending, "000000", now).await.is_err());
    }
    assert!(matches!(gate.check_second(store, &pending, &code(&secret, now), now).await, Err(AuthError::Link)));
}

#[tokio::test]
async fn it_is_set_up_on_the_page_and_removed_by_a_code_only() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let (browser, other) = (Browser::signed_in(&seeded, "reviewer").await, Browser::signed_in(&seeded, "reviewer").await);
    assert_eq!(send(&browser, "/settings/account/second-factor", "action=begin").await.status, StatusCode::SEE_OTHER);
    let page = browser.get("/settings/account").await.text;
    assert!(page.contains("<svg class=\"qr\"") && !page.contains("style="), "{page}");
    let secret = auth::pending_secret(&seeded.app.store, &seed::user("reviewer")).await.unwrap().unwrap();
    let shown = between(&page, "<p><code>", "</code>").replace(' ', "");
    assert_eq!(shown, second::base32(&secret));
    assert_eq!(send(&browser, "/settings/account/second-factor", "action=confirm&code=000").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let told = send(&browser, "/settings/account/second-factor", &format!("action=confirm&code={}", code(&secret, clock::unix_now()))).await;
    assert!(told.status == StatusCode::OK && told.text.contains("keep these codes"), "{}", told.text);
    let codes: Vec<&str> = between(&told.text, "<pre id=\"once-1\">", "</pre>").lines().collect();
    assert_eq!(codes.len(), 10);
    assert_eq!(other.get("/").await.status, StatusCode::SEE_OTHER, "other sessions ended");
    assert!(!browser.get("/settings/account").await.text.contains("class=\"qr\""), "the secret is shown until it is confirmed");
    for wrong in ["action=remove&code=000000", "action=cancel", "action=begin"] {
        assert_ne!(send(&browser, "/settings/account/second-factor", wrong).await.status, StatusCode::SEE_OTHER, "{wrong}");
    }
    assert_eq!(send(&browser, "/settings/account/second-factor", &format!("action=remove&code={}", codes[3])).await.status, StatusCode::SEE_OTHER);
    assert!(seeded.app.store.second_factor(&seed::user("reviewer")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_role_that_needs_one_opens_nothing_else_and_an_admin_resets_it() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let admin = Browser::signed_in(&seeded, "admin").await;
    let viewer = Browser::signed_in(&seeded, "viewer").await;
    accounts::set(&seeded.app.store, auth::SECOND_FACTOR_ROLES, "viewer reviewer", "test", now).await.unwrap();
    let answer = viewer.get("/hosts").await;
    assert_eq!((answer.status, answer.headers[header::LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, "/settings/account"));
    assert!(viewer.get("/settings/account").await.text.contains("Your role needs a second factor"));
    let (status, body) = {
        let answer = viewer.get("/api/v1/due").await;
        (answer.status, answer.text)
    };
    assert!(status == StatusCode::FORBIDDEN && body.contains("second factor"), "{body}");
    assert_eq!(admin.get("/hosts").await.status, StatusCode::OK, "of other roles none is needed");
    let (secret, _) = enrolled(&seeded, "viewer", now - 600).await;
    let path = format!("/settings/users/{}", seed::user("viewer"));
    assert_eq!(send(&admin, &path, "action=reset-second-factor").await.status, StatusCode::SEE_OTHER);
    assert_eq!(send(&admin, &path, "action=reset-second-factor").await.status, StatusCode::UNPROCESSABLE_ENTITY, "there is none any more");
    let browser = Browser::new(&seeded);
    assert_eq!(password_of(&browser, "viewer").await.status, StatusCode::SEE_OTHER, "{}", code(&secret, now));
    assert!(accounts::set(&seeded.app.store, auth::SECOND_FACTOR_ROLES, "everybody", "test", now).await.is_err());
}
