//! Pages of commitments as people read them.

use std::sync::Arc;

use assay::collector::commitments::pages::{Files, Known, put};
use assay::collector::ui::{Site, pages};
use assay::host::clock;
use axum::http::{StatusCode, header};

use super::Browser;
use super::seed::{self, Seeded};

const PAGE: &str = "id: acme\ntitle: Acme security\nversion: \"1\"\nsource: here\nsentences:\n  - id: S1\n    title: Root <b>stays</b> out\n    text: Root does not sign in.
    rules: [ssh-root-login]\n    publish: true\n    wording: Nobody signs in as root.\n  - id: S2\n    title: Scanned\n    text: Every server is scanned.\n    fleet: Planned scans.\n    told: [windows]
  - id: S3\n    title: Trained\n    text: People are trained.\n    record: Attendance.\n    records: [awareness-training]\n";

/// Puts a page into force as the collector does when a file changes.
async fn in_force(seeded: &Seeded, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.yaml"), text).unwrap();
    let basis = seeded.app.basis.now();
    let known = Known::new(&basis.pack, assay::records::types::builtin().unwrap()).unwrap();
    let files = Files::read(folder.path()).unwrap();
    let read = files.pages(&known).unwrap();
    put(&seeded.app.store, &files, &read, "test", clock::unix_now()).await.unwrap();
    let mut next = (*basis).clone();
    next.pages = Arc::new(read);
    seeded.app.basis.put(next);
}

#[tokio::test]
async fn each_sentence_says_whether_it_is_true_and_leads_to_its_proof() {
    let seeded = seed::full(clock::unix_now()).await;
    in_force(&seeded, PAGE).await;
    let browser = Browser::signed_in(&seeded, "viewer").await;
    let list = browser.get("/commitments").await.text;
    assert!(
        list.contains("Acme security") && list.contains("/commitments/crm-cloud") && list.contains("2 of 3 commitments") || list.contains("1 of 3 commitments"),
        "{list}"
    );
    let page = browser.get("/commitments/acme").await.text;
    for shown in [
        "Root &lt;b&gt;stays&lt;/b&gt; out",
        "missed the planned scan that ended last",
        "no record",
        "/registers/awareness-training",
        "/findings?rule=ssh-root-login",
        "Published as: Nobody",
    ] {
        assert!(page.contains(shown), "{shown} is missing: {page}");
    }
    let no_record = browser.get("/commitments/acme?truth=no_record").await.text;
    assert!(no_record.contains("id=\"S3\"") && !no_record.contains("id=\"S2\""), "{no_record}");
    assert_eq!(browser.get("/commitments/acme?truth=perhaps").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/commitments/nothing").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/commitments/crm-cloud/status").await.status, StatusCode::NOT_FOUND, "it publishes nothing");
    assert!(browser.get("/commitments/acme/status").await.text.contains("Nobody signs in as root."));
    let file = browser.get("/commitments/acme/status?as=html").await;
    assert!(file.headers[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment") && file.text.contains("Nobody signs in as root."));
    let past = assay::collector::ui::when::iso_day(clock::unix_now() - 86_400);
    assert_eq!(browser.get(&format!("/commitments/acme?as_of={past}")).await.status, StatusCode::NOT_FOUND, "it was not in force yet");
    let example = browser.get("/commitments/integration-cloud").await.text;
    assert!(example.contains("a worked example") && example.contains("id=\"A1\""), "{example}");
}

#[tokio::test]
async fn a_changed_page_shows_without_a_restart() {
    let seeded = seed::full(clock::unix_now()).await;
    let mut browser = Browser::signed_in(&seeded, "admin").await;
    browser.pages = pages(Arc::new(Site::following(seeded.app.clone())));
    assert!(!browser.get("/evidence").await.text.contains("Acme security"));
    in_force(&seeded, PAGE).await;
    assert!(browser.get("/evidence").await.text.contains("Acme security"));
    assert!(browser.get("/registers/awareness-training").await.text.contains("/commitments/acme#S3"));
    in_force(&seeded, &PAGE.replace("Acme security", "Acme promises")).await;
    assert!(browser.get("/evidence").await.text.contains("Acme promises") && browser.get("/commitments").await.text.contains("Acme promises"));
}

#[tokio::test]
async fn counts_tell_of_a_large_fleet_what_verdicts_tell_of_a_small_one() {
    use assay::collector::commitments::telling::{known, told};
    let seeded = seed::full(clock::unix_now()).await;
    in_force(&seeded, PAGE).await;
    let (store, now) = (&seeded.app.store, clock::unix_now());
    store.recount().await.unwrap();
    let pages = known(store, now).await.unwrap();
    let pages: Vec<_> = pages.iter().map(|k| &k.page).collect();
    let pack = &seeded.app.basis.now().pack;
    let (exact, grounds) = told(store, pack, &pages, now, u32::MAX).await.unwrap();
    let (counted, by_counts) = told(store, pack, &pages, now, 0).await.unwrap();
    assert!(grounds.counted.is_none() && by_counts.counted.is_some());
    for (one, other) in exact.iter().flatten().zip(counted.iter().flatten()) {
        let is_windows = other.missing.iter().any(|m| m.starts_with("too many hosts"));
        assert!(one.truth == other.truth || is_windows, "{}: {:?} and {:?}", one.id, one.truth, other.truth);
        assert_eq!(one.hosts, other.hosts);
    }
}
