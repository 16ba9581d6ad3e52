use assay::collector::store::UserChange;
use assay::host::clock;
use assay::ledger::Kind;
use axum::http::StatusCode;

use super::seed::PASSWORD;
use super::*;

const NEW: &str = "another+horse+battery";

async fn signs_in(browser: &Browser, name: &str, password: &str) -> bool {
    browser.post("/signin", &format!("name={name}&password={password}")).await.status == StatusCode::SEE_OTHER
}

#[tokio::test]
async fn people_are_added_changed_and_removed_on_the_page_and_the_ledger_is_told() {
    let seeded = seed::empty(clock::unix_now()).await;
    let admin = Browser::signed_in(&seeded, "admin").await;
    let stranger = Browser::new(&seeded);
    assert_eq!(send(&admin, "/settings/users", &format!("name=ada&role=auditor&password={NEW}")).await.status, StatusCode::SEE_OTHER);
    assert!(signs_in(&stranger, "ada", NEW).await);
    for (form, told) in [
        ("name=ada&role=viewer&password=", "there is a user ada already"),
        ("name=a+b&role=viewer&password=", "can&#39;t be a name"),
        ("name=bob&role=king&password=", "none of admin"),
        ("name=bob&role=viewer&password=short", "12 characters or more"),
    ] {
        let page = send(&admin, "/settings/users", form).await;
        assert!(page.status == StatusCode::UNPROCESSABLE_ENTITY && page.text.to_lowercase().contains(&told.to_lowercase()), "{form}: {}", page.text);
    }
    let made = send(&admin, "/settings/users", "name=bob&role=viewer&password=").await.text;
    assert!(made.contains("/signin/once?token="), "{made}");
    let ada = seeded.app.store.user_by_name("ada").await.unwrap().unwrap();
    let path = format!("/settings/users/{}", ada.id);
    assert_eq!(send(&admin, &path, "action=grant&frameworks=soc2-2017&from=2026-01-01&to=2026-03-31&hosts=web*").await.status, StatusCode::SEE_OTHER);
    let page = admin.get(&path).await.text;
    assert!(page.contains("soc2-2017; 2026-01-01 to 2026-03-31; web*"), "{page}");
    assert_eq!(send(&admin, &path, "action=grant&frameworks=nothing").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(send(&admin, &path, "action=role&role=reviewer").await.status, StatusCode::SEE_OTHER);
    assert_eq!(send(&admin, &path, "action=grant").await.status, StatusCode::UNPROCESSABLE_ENTITY, "bounds are for auditors");
    assert_eq!(send(&admin, &path, "action=remove").await.status, StatusCode::SEE_OTHER);
    assert!(!signs_in(&stranger, "ada", NEW).await);
    assert_eq!(admin.get(&path).await.status, StatusCode::NOT_FOUND);
    // Somebody must be able to let others in.
    let own = format!("/settings/users/{}", seed::user("admin"));
    for last in ["action=remove", "action=role&role=viewer"] {
        let page = send(&admin, &own, last).await;
        assert!(page.status == StatusCode::UNPROCESSABLE_ENTITY && page.text.contains("is the last admin"), "{}", page.text);
    }
    let told: Vec<UserChange> = seeded.app.store.statements(Kind::User).await.unwrap().iter().map(|s| s.read().unwrap()).collect();
    let story: Vec<String> = told.iter().filter(|c| c.user == ada.id).map(|c| format!("{:?} {:?} {}", c.action, c.about, c.role)).collect();
    assert_eq!(story, ["Add None auditor", "Change Some(Grant) auditor", "Change None reviewer", "Remove None reviewer"]);
    assert!(told.iter().filter(|c| c.user == ada.id).all(|c| c.by == seed::user("admin").to_string()));
}

#[tokio::test]
async fn a_changed_password_ends_every_other_session() {
    let seeded = seed::empty(clock::unix_now()).await;
    let (browser, other) = (Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "viewer").await);
    let old = PASSWORD.replace(' ', "+");
    for (form, told) in [
        (format!("present=wrong&new={NEW}&again={NEW}"), "present password is wrong"),
        (format!("present={old}&new={NEW}&again=x"), "two new passwords differ"),
        (format!("present={old}&new=short&again=short"), "12 characters"),
    ] {
        let page = send(&browser, "/settings/account/password", &form).await;
        assert!(page.status == StatusCode::UNPROCESSABLE_ENTITY && page.text.contains(told), "{form}: {}", page.text);
    }
    assert_eq!(other.get("/").await.status, StatusCode::OK);
    assert_eq!(send(&browser, "/settings/account/password", &format!("present={old}&new={NEW}&again={NEW}")).await.status, StatusCode::SEE_OTHER);
    assert_eq!((browser.get("/").await.status, other.get("/").await.status), (StatusCode::OK, StatusCode::SEE_OTHER));
    let stranger = Browser::new(&seeded);
    assert!(signs_in(&stranger, "viewer", NEW).await && !signs_in(&stranger, "viewer", &old).await);
}

#[tokio::test]
async fn sessions_are_listed_and_others_ended_but_nobody_elses() {
    let seeded = seed::empty(clock::unix_now()).await;
    let (browser, second, third) =
        (Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "viewer").await, Browser::signed_in(&seeded, "viewer").await);
    let foreign = Browser::signed_in(&seeded, "admin").await;
    let theirs = seeded.app.store.sessions(&seed::user("admin"), clock::unix_now()).await.unwrap();
    let page = browser.get("/settings/account").await.text;
    assert_eq!(page.matches("name=\"session\"").count(), 2, "{page}");
    assert!(page.contains("this one") && !page.contains(&theirs[0].digest.to_string()));
    send(&browser, "/settings/account/sessions", &format!("session={}", theirs[0].digest)).await;
    assert_eq!(foreign.get("/").await.status, StatusCode::OK, "another person's session");
    let one = between(&page, "name=\"session\" value=\"", "\"").to_string();
    assert_eq!(send(&browser, "/settings/account/sessions", &format!("session={one}")).await.status, StatusCode::SEE_OTHER);
    let living = [second.get("/").await.status, third.get("/").await.status];
    assert_eq!(living.iter().filter(|s| **s == StatusCode::OK).count(), 1, "{living:?}");
    assert_eq!(send(&browser, "/settings/account/sessions", "all=1").await.status, StatusCode::SEE_OTHER);
    assert_eq!(
        (browser.get("/").await.status, second.get("/").await.status, third.get("/").await.status),
        (StatusCode::OK, StatusCode::SEE_OTHER, StatusCode::SEE_OTHER)
    );
}

#[tokio::test]
async fn a_token_opens_its_areas_until_it_is_revoked() {
    let seeded = seed::empty(clock::unix_now()).await;
    let (browser, stranger) = (Browser::signed_in(&seeded, "reviewer").await, Browser::new(&seeded));
    for (form, told) in [
        ("name=x&role=admin", "can&#39;t be given a token of role admin"),
        ("name=&role=viewer", "needs a name"),
        ("name=x&role=viewer&areas=nothing", "is no area"),
        ("name=x&role=viewer&days=999", "is no number from 1 to 366"),
    ] {
        let page = send(&browser, "/settings/tokens", form).await;
        assert!(page.status == StatusCode::UNPROCESSABLE_ENTITY && page.text.contains(told), "{form}: {}", page.text);
    }
    let made = send(&browser, "/settings/tokens", "name=ci&role=reviewer&read_only=1&areas=due&areas=records").await.text;
    let token = between(&made, "<pre id=\"once-1\">", "</pre>").to_string();
    assert!(!browser.get("/settings/tokens").await.text.contains(&token), "it is told once");
    assert_eq!(api(&stranger, "GET", "due", &token, "").await.0, 200);
    assert_eq!(api(&stranger, "GET", "waivers", &token, "").await.0, 403, "another area");
    let (status, body) = api(&stranger, "POST", "records/incidents", &token, "{}").await;
    assert!(status == 403 && body["message"].as_str().unwrap().contains("only reads"), "{body}");
    let made = send(&browser, "/settings/tokens", "name=wide&role=reviewer").await.text;
    let wide = between(&made, "<pre id=\"once-1\">", "</pre>").to_string();
    assert_eq!(api(&stranger, "POST", "tokens", &wide, r#"{"name":"more","role":"reviewer"}"#).await.0, 403, "a token makes no token");
    assert_eq!(api(&stranger, "GET", "users", &wide, "").await.0, 403);
    let page = browser.get("/settings/tokens").await.text;
    assert!(page.contains("records, reads only") && !page.contains(">never<"), "the last use is told: {page}");
    // No page opens with a token.
    let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {wide}"));
    assert_eq!(stranger.ask(request, String::new()).await.status, StatusCode::SEE_OTHER);
    // Another person can't revoke it; an admin can, over the API.
    let id = seeded.app.store.tokens(Some(&seed::user("reviewer"))).await.unwrap().iter().find(|t| t.name == "ci").unwrap().id;
    let viewer = Browser::signed_in(&seeded, "viewer").await;
    assert_eq!(send(&viewer, &format!("/settings/tokens/{id}"), "x=1").await.status, StatusCode::NOT_FOUND);
    let admin = Browser::signed_in(&seeded, "admin").await;
    let made = send(&admin, "/settings/tokens", "name=a&role=admin").await.text;
    let root = between(&made, "<pre id=\"once-1\">", "</pre>").to_string();
    assert_eq!(api(&stranger, "POST", &format!("tokens/{id}"), &root, r#"{"action":"revoke"}"#).await.0, 200);
    assert_eq!(api(&stranger, "GET", "due", &token, "").await.0, 401);
    // Who loses the role, or may sign in no longer, takes the tokens along.
    seeded.app.store.change_user("reviewer", "viewer", "test", clock::unix_now()).await.unwrap();
    assert_eq!(api(&stranger, "POST", "access-reviews", &wide, "{}").await.0, 403);
    seeded.app.store.remove_user("reviewer", "test", clock::unix_now()).await.unwrap();
    assert_eq!(api(&stranger, "GET", "due", &wide, "").await.0, 401);
}

#[tokio::test]
async fn the_api_does_what_the_pages_do() {
    let seeded = seed::empty(clock::unix_now()).await;
    let (admin, stranger) = (Browser::signed_in(&seeded, "admin").await, Browser::new(&seeded));
    let made = send(&admin, "/settings/tokens", "name=a&role=admin").await.text;
    let root = between(&made, "<pre id=\"once-1\">", "</pre>").to_string();
    let ask = |method: &'static str, path: &'static str, body: &'static str| api(&stranger, method, path, &root, body);
    let (status, made) = ask("POST", "users", r#"{"name":"ada","role":"auditor"}"#).await;
    assert!(status == 201 && made["link"].is_string(), "{made}");
    assert_eq!(ask("POST", "users", r#"{"name":"ada","role":"auditor"}"#).await.0, 409);
    assert_eq!(ask("POST", "users", r#"{"name":"bob","role":"auditor","password":"x"}"#).await.0, 422);
    assert_eq!(ask("POST", "users/ada", r#"{"action":"grant","hosts":"web*"}"#).await.0, 200);
    let (_, ada) = ask("GET", "users/ada", "").await;
    assert_eq!((&ada["grant"]["hosts"][0], &ada["second_factor"]), (&"web*".into(), &false.into()), "{ada}");
    assert_eq!(ask("GET", "users/nobody", "").await.0, 404);
    let (status, token) = ask("POST", "enrolment-tokens", r#"{"uses":"5"}"#).await;
    assert!(status == 201 && token["token"].as_str().unwrap().starts_with("assay1."), "{token}");
    assert_eq!(ask("POST", "settings", r#"{"name":"company","value":" Example  GmbH "}"#).await.1["value"], "Example GmbH");
    assert_eq!(ask("POST", "settings", r#"{"name":"colour","value":"red"}"#).await.0, 404);
    let (_, trail) = ask("GET", "audit-trail?kind=setting", "").await;
    assert_eq!(trail["entries"].as_array().map(Vec::len), Some(0), "not numbered yet: {trail}");
    assert_eq!(seeded.app.store.statements(Kind::Setting).await.unwrap().len(), 1);
}
