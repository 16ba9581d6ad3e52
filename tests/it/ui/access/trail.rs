use assay::collector::ui::when::iso_day;
use assay::collector::{accounts, trail};
use assay::host::clock;
use axum::http::StatusCode;

use super::seed::DAY;
use super::*;

#[tokio::test]
async fn entries_and_acts_are_paged_filtered_and_lead_to_their_leaf() {
    let now = clock::unix_now();
    let mut seeded = seed::full(now).await;
    accounts::set(&seeded.app.store, "company", "=Example", &seed::user("admin").to_string(), now).await.unwrap();
    sequence(&mut seeded).await;
    for n in 0..120 {
        let act = assay::collector::store::Act { at: now - n / 3, kind: "opened", person: seed::user("auditor").to_string(), detail: format!("GET /n{n}") };
        seeded.app.store.put_act(act).await.unwrap();
    }
    let browser = Browser::signed_in(&seeded, "admin").await;
    let page = browser.get("/audit").await.text;
    assert!(page.contains("signed by the ledger") && page.contains(">Older</a>"), "{page}");
    // Every line once, over all pages.
    let (mut next, mut leaves, mut acts) = ("/audit".to_string(), Vec::new(), 0);
    loop {
        let page = browser.get(&next).await.text;
        leaves.extend(page.split("<a href=\"/audit/").skip(1).map(|l| l.split('"').next().unwrap().parse::<u64>().unwrap()));
        acts += page.matches("title=\"logged, not in the ledger\"").count();
        match page.split("class=\"btn\" href=\"/audit?").nth(1) {
            Some(rest) => next = format!("/audit?{}", rest.split('"').next().unwrap().replace("&amp;", "&")),
            None => break,
        }
    }
    let size = seeded.app.store.head().await.unwrap().unwrap().size;
    leaves.sort_unstable();
    assert_eq!(leaves, (0..size).collect::<Vec<_>>());
    assert_eq!(acts, 121, "and the sign-in");
    let settings = browser.get("/audit?kind=setting").await.text;
    assert!(settings.contains("company: =Example") && settings.matches("data-row").count() == 1 && settings.contains(">admin<"), "{settings}");
    assert!(browser.get("/audit?kind=setting&person=admin").await.text.contains("company"));
    assert!(!browser.get("/audit?kind=setting&person=viewer").await.text.contains("company"));
    assert!(!browser.get("/audit?kind=setting&person=%25").await.text.contains("company:"), "no wildcard of the database");
    let past = browser.get(&format!("/audit?day={}", iso_day(now - 400 * DAY))).await.text;
    assert!(past.contains("Nothing of this kind"), "{past}");
    for odd in ["/audit?day=x", "/audit?before=x"] {
        assert_eq!(browser.get(odd).await.status, StatusCode::BAD_REQUEST, "{odd}");
    }
    let leaf = between(&settings, "<a href=\"/audit/", "\"").to_string();
    let page = browser.get(&format!("/audit/{leaf}")).await.text;
    assert!(page.contains("by the checkpoint above") && page.contains("assay.leaf.v1") && page.contains("=Example"), "{page}");
    for missing in ["/audit/999999", "/audit/-1", "/audit/x"] {
        assert_eq!(browser.get(missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
    let csv = browser.get("/audit.csv?kind=setting").await;
    assert!(csv.text.starts_with("\"when (UTC)\",\"who\"") && csv.text.contains("\"admin\",\"setting\",\"company: =Example\""), "{}", csv.text);
    let viewer = Browser::signed_in(&seeded, "viewer").await;
    assert_eq!((viewer.get("/audit").await.status, viewer.get("/audit.csv").await.status), (StatusCode::OK, StatusCode::FORBIDDEN));
    assert!(viewer.get(&format!("/audit?as_of={}", iso_day(now - 3 * DAY))).await.text.contains("As of the end of"));
}

#[tokio::test]
async fn a_lock_out_is_told_once_by_id_and_of_strangers_nothing() {
    let seeded = seed::empty(clock::unix_now()).await;
    let stranger = Browser::new(&seeded);
    for _ in 0..12 {
        stranger.post("/signin", "name=viewer&password=wrong").await;
        stranger.post("/signin", "name=no%3Cb%3Ebody&password=wrong").await;
    }
    let lines = seeded.app.store.trail(&trail::filter("locked", "", (i64::MIN, i64::MAX), None, 100, &Default::default())).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].person, seed::user("viewer").to_string());
}

#[tokio::test]
async fn evidence_names_the_company() {
    let now = clock::unix_now();
    let mut seeded = seed::full(now).await;
    accounts::set(&seeded.app.store, "company", "Example <GmbH>", "test", now).await.unwrap();
    sequence(&mut seeded).await;
    let out = seeded.app.store.folder().join("bundle.zip");
    let app = &seeded.app;
    let source =
        assay::collector::export::Source { store: app.store.clone(), signer: app.signer.clone(), verifier: app.verifier.clone(), pack: app.pack.clone() };
    let all = assay::rules::framework::builtin().unwrap();
    let period = assay::evidence::material::Period::parse(&iso_day(now - 30 * DAY), &iso_day(now - DAY)).unwrap();
    let framework = assay::rules::framework::find(&all, "soc2-2017").unwrap().clone();
    let today = assay::evidence::material::day_of(now);
    let order = assay::collector::export::Order { framework, period, scope: Default::default(), sampling: None, inventory: None, today };
    let target = assay::collector::export::Target { out: out.clone(), resume: false, by: "test".into() };
    assay::collector::export::export(&source, &order, &target, Box::new(|_| true)).await.unwrap();
    let mut zip = zip::ZipArchive::new(std::fs::File::open(&out).unwrap()).unwrap();
    let mut page = String::new();
    std::io::Read::read_to_string(&mut zip.by_name("index.html").unwrap(), &mut page).unwrap();
    assert!(page.contains("Example &lt;GmbH&gt;"), "the working paper names the company");
}
