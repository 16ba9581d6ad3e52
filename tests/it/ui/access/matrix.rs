use assay::collector::auth::Role;
use assay::collector::routes::{Need, ROUTES};
use assay::host::clock;
use axum::http::{Request, StatusCode, header};

use super::*;

/// The path of a route with things that are not here.
fn filled(path: &str) -> String {
    let zeros = "0".repeat(64);
    path.replace("{host}", &zeros)
        .replace("{*path}", "checkpoint")
        .split('/')
        .map(|p| if p.starts_with('{') { "5f2c9a01" } else { p })
        .collect::<Vec<_>>()
        .join("/")
}

/// The method by which a route changes something.
fn method_of(path: &str) -> axum::http::Method {
    let is_this = |o: &&assay::collector::api::operation::Operation| o.method != "get" && path.strip_prefix("/api/v1") == Some(o.path);
    let method = assay::collector::api::operations().iter().find(is_this).map_or("post", |o| o.method);
    method.to_uppercase().parse().unwrap()
}

#[test]
fn every_route_of_the_routers_is_in_the_list_with_its_methods() {
    let mut seen: std::collections::BTreeMap<String, (bool, bool)> = std::collections::BTreeMap::new();
    let routers = [include_str!("../../../../src/collector/ui/mod.rs"), include_str!("../../../../src/collector/ui/registers/mod.rs")];
    for line in routers.iter().flat_map(|text| text.lines()).filter(|l| l.trim_start().starts_with(".route(")) {
        let has = |method: &str| line.contains(&format!(" {method}(")) || line.contains(&format!(").{method}("));
        seen.insert(line.split('"').nth(1).unwrap().into(), (has("get"), has("post") || has("put") || has("delete")));
    }
    for operation in assay::collector::api::operations() {
        let (reads, writes) = seen.entry(format!("/api/v1{}", operation.path)).or_default();
        *if operation.method == "get" { reads } else { writes } = true;
    }
    for (path, methods) in &seen {
        let route = ROUTES.iter().find(|r| r.path == path).unwrap_or_else(|| panic!("{path} is not in collector/routes.rs: say who may and how far it looks"));
        assert_eq!((route.read.is_some(), route.write.is_some()), *methods, "{path}");
    }
    for route in ROUTES {
        assert!(seen.contains_key(route.path), "{} is in the list and in no router", route.path);
    }
}

#[tokio::test]
async fn each_role_opens_and_changes_what_it_may_and_nothing_else() {
    let seeded = seed::empty(clock::unix_now()).await;
    let stranger = Browser::new(&seeded);
    for role in Role::ALL {
        let browser = Browser::signed_in(&seeded, role.word()).await;
        for route in ROUTES {
            let path = filled(route.path);
            if let Some(need) = route.read {
                let answer = browser.get(&path).await;
                assert_eq!(answer.status == StatusCode::FORBIDDEN, !need.admits(role), "GET {path} as {}: {} {}", role.word(), answer.status, answer.text);
                let policy = answer.headers["content-security-policy"].to_str().unwrap();
                assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
                assert!(!answer.text.contains(" style=\"") && !answer.text.contains(" onclick="), "{path}");
                let unknown = stranger.get(&path).await.status;
                let is_out = if path.starts_with("/api/") { unknown == StatusCode::UNAUTHORIZED } else { unknown == StatusCode::SEE_OTHER };
                assert_eq!(is_out, need != Need::Anyone, "GET {path} as a stranger: {unknown}");
            }
            if let Some(need) = route.write {
                if path == "/signout" {
                    continue;
                }
                let form = || {
                    let request = Request::builder().method(method_of(route.path)).uri(&path).header("sec-fetch-site", "same-origin");
                    request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                };
                // Without the form's token nothing is done, whoever asks.
                let answer = browser.ask(form(), "action=none".into()).await;
                let is_refused = answer.status.is_client_error();
                assert!(is_refused || need == Need::Anyone, "POST {path} as {} without a token: {}", role.word(), answer.status);
                let unknown = stranger.ask(form(), "action=none".into()).await.status;
                let is_out = matches!(unknown, StatusCode::UNAUTHORIZED | StatusCode::SEE_OTHER);
                assert!(is_out || need == Need::Anyone, "POST {path} as a stranger: {unknown}");
                // With it, the role decides.
                let token = token_of(&browser).await;
                let answer = if path.starts_with("/api/") {
                    let request = Request::builder().method(method_of(route.path)).uri(&path).header("x-form-token", &token);
                    let request = request.header("sec-fetch-site", "same-origin");
                    browser.ask(request.header(header::CONTENT_TYPE, "application/json").header(header::CONTENT_LENGTH, 2), "{}".into()).await
                } else if path == "/settings/account/sessions" {
                    continue;
                } else {
                    browser.post(&path, &format!("action=none&form_token={token}")).await
                };
                if need != Need::Anyone {
                    assert_eq!(answer.status == StatusCode::FORBIDDEN, !need.admits(role), "POST {path} as {}: {} {}", role.word(), answer.status, answer.text);
                }
                assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "POST {path}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let seeded = seed::empty(clock::unix_now()).await;
    let browser = Browser::signed_in(&seeded, "admin").await;
    let token = token_of(&browser).await;
    for route in ROUTES.iter().filter(|r| r.write.is_some()) {
        let path = filled(route.path);
        let request = Request::builder().method(method_of(route.path)).uri(&path).header("sec-fetch-site", "cross-site").header("x-form-token", &token);
        let kind = if path.starts_with("/api/") { "application/json" } else { "application/x-www-form-urlencoded" };
        let body = if path.starts_with("/api/") {
            "{}".to_string()
        } else {
            format!("name=x&password=y&token=z&pending=p&code=1&again=y&form_token={token}&framework=a&from=b&to=c")
        };
        let request = request.header(header::CONTENT_TYPE, kind).header(header::CONTENT_LENGTH, body.len());
        let answer = browser.ask(request, body).await;
        assert!(answer.status.is_client_error(), "{path}: {} {}", answer.status, answer.text);
    }
    assert_eq!(seeded.app.store.users().await.unwrap().len(), 4);
    assert!(seeded.app.store.tokens(None).await.unwrap().is_empty() && seeded.app.store.settings().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_says_what_is_needed_and_whom_to_ask() {
    let seeded = seed::empty(clock::unix_now()).await;
    let viewer = Browser::signed_in(&seeded, "viewer").await;
    let page = viewer.get("/settings/users").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    for part in ["Not permitted", "The role viewer does not suffice; this needs admin.", "<b>admin</b> (admin)"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let ended = Browser { cookie: "assay=nothing.1".into(), ..Browser::new(&seeded) };
    let answer = ended.get("/hosts").await;
    assert_eq!(answer.headers[header::LOCATION], "/signin?next=%2Fhosts&ended=1");
    assert!(ended.get("/signin?ended=1").await.text.contains("Your session has ended"));
}
