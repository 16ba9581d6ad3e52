//! A company's own page: checked, in force, told sentence by sentence, published.

use std::path::Path;
use std::time::{Duration, Instant};

use assay::collector::commitments::published::Published;
use assay::collector::start;
use assay::collector::store::Store;
use assay::config::collector::Config;
use assay::host::clock;
use assay::ledger::Kind;
use assay::model::report::ScanKind;

use super::collector::{config, new_host, token};
use super::rejudge::machine;
use super::support::{COLLECTOR, run, text};

const SOON: Duration = Duration::from_secs(120);

const PAGE: &str = "id: acme-security
title: How Acme keeps your data
version: \"2026-11\"
source: https://acme.example/security
sentences:
  - id: S1
    title: Supported systems
    text: Every server runs an operating system that gets security updates.
    rules: [os-end-of-life]
    publish: true
    wording: Every server runs an operating system that still gets security updates.
  - id: S2
    title: Backups every six hours
    text: Databases are backed up every six hours.
    rules: [backup-schedule]
    publish: true
    wording: Databases are <b>backed up</b> every six hours.
  - id: S3
    title: Known keys only
    text: No server lets anybody in without a password.
    rules: [access-second-uid-zero, access-leaver-active]
  - id: S4
    title: Staff are trained
    text: Staff are trained every year.
    record: Training of each person.
    records: [awareness-training]
    publish: true
    wording: Everybody who works here is trained in security every year.
";

async fn command(arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    tokio::task::spawn_blocking(move || run(COLLECTOR, &arguments.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_names_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("security.yaml");
    let refused = |text: String| {
        let page = page.clone();
        async move {
            std::fs::write(&page, text).unwrap();
            let (code, out, error) = command(&["commitments", "check", self::text(&page)]).await;
            assert_eq!((code, error.lines().count()), (1, 1), "{out}{error}");
            out + &error
        }
    };
    for (from, to, expected) in [
        ("backup-schedule]", "backup-shedule]", "security.yaml:15:13: there is no rule \"backup-shedule\""),
        ("[awareness-training]", "[awareness]", "security.yaml:26:15: there is no record type \"awareness\""),
        ("id: acme-security", "id: soc2-2017", "id \"soc2-2017\" is that of the program itself"),
        ("id: acme-security", "id: Acme", "id \"Acme\" is not kebab-case"),
        ("    wording: Databases are <b>backed up</b> every six hours.\n", "", "security.yaml:16:14: sentence S2 is published without a wording"),
        ("title: How", "titel: How", "security.yaml:2:1: "),
        ("  - id: S3", "  - id: S1", "control S1 is there twice"),
    ] {
        let told = refused(PAGE.replace(from, to)).await;
        assert!(told.contains(expected), "{expected:?} is not in {told:?}");
    }
    std::fs::write(&page, PAGE).unwrap();
    let (code, out, _) = command(&["commitments", "check", text(folder.path())]).await;
    assert_eq!((code, out.as_str()), (0, "acme-security: 4 sentences, 3 published\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sentence_is_told_and_the_public_sees_what_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let (data, pages) = (folder.path().join("data"), folder.path().join("pages"));
    std::fs::create_dir(&pages).unwrap();
    std::fs::write(pages.join("security.yaml"), PAGE).unwrap();
    let running = start(Config { commitments: pages.clone(), ..config(&data) }).await.unwrap();
    let app = running.app.clone();
    assert_eq!(app.basis.now().pages[0].framework.id, "acme-security");
    let base = app.agents_url.clone();
    let token = token(&data, &app.authority, 1).await;
    let host = new_host(&base, &token).await;
    let now = clock::unix_now();
    let mut observation = machine(now);
    // A second account of root's number.
    let users = observation.families.get_mut("accounts").unwrap()["users"].as_array_mut().unwrap();
    let second = users.iter_mut().find(|u| u["name"] == "anna").unwrap();
    second["uid"] = 0.into();
    host.send(&base, &host.report(1, ScanKind::OnDemand, observation)).await;

    // Another sentence: in force within seconds, and an entry of the ledger.
    std::fs::write(pages.join("security.yaml"), PAGE.replace("2026-11", "2026-12")).unwrap();
    let end = Instant::now() + SOON;
    while app.basis.now().pages[0].framework.version != "2026-12" {
        assert!(Instant::now() < end, "the pages are read again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.stop().await;
    let d = text(&data);
    let status = |more: Vec<&'static str>| {
        let arguments: Vec<String> = ["commitments", "status", "--data", d].iter().chain(&more).map(ToString::to_string).collect();
        async move { command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let (code, out, error) = status(vec![]).await;
    assert_eq!(code, 3, "nothing said --fail-on, and of one sentence nobody can tell: {out}{error}");
    let line = |id: &str| out.lines().find(|l| l.contains(&format!(" {id} "))).unwrap_or_default().to_string();
    let today = jiff::Timestamp::from_second(now).unwrap().strftime("%F").to_string();
    assert!(out.starts_with("acme-security · How Acme keeps your data"), "{out}");
    assert!(line("S1").starts_with(" ✓ true") && line("S2").contains(&format!("S2  {today}")), "{out}");
    assert!(line("S3").starts_with(" ✕ false") && line("S3").contains("1 of 1 hosts: web01"), "{out}");
    assert!(line("S4").starts_with(" ? unknown") && line("S4").contains("awareness-training: no list of people is here"), "{out}");
    assert!((10..15).contains(&status(vec!["--fail-on", "info"]).await.0));
    let json: serde_json::Value = serde_json::from_str(&status(vec!["--format", "json"]).await.1).unwrap();
    assert_eq!(json["pages"][0]["sentences"][2]["truth"], "false");
    let (code, _, error) = status(vec!["--as-of", "2020-01-01"]).await;
    assert!(code == 1 && error.contains("no page of commitments was in force on 2020-01-01"), "{error}");
    let (code, out, _) = status(vec!["--page", "crm-cloud"]).await;
    assert!(code == 3 && out.starts_with("crm-cloud ·"), "{out}");

    // The public sees three sentences, and nothing of hosts.
    let public = folder.path().join("public");
    let publish = |at: &'static str, out: std::path::PathBuf| async move {
        let mut arguments = vec!["commitments", "publish", "--page", "acme-security", "--data", d, "--out", text(&out)];
        if !at.is_empty() {
            arguments.extend(["--as-of", at]);
        }
        let (code, told, error) = command(&arguments).await;
        assert_eq!(code, 0, "{told}{error}");
        ["index.html", "status.json"].map(|name| std::fs::read_to_string(out.join(name)).unwrap())
    };
    let [html, json] = publish("", public.clone()).await;
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    let holds: Vec<(&str, &str)> = told["sentences"].as_array().unwrap().iter().map(|s| (s["id"].as_str().unwrap(), s["holds"].as_str().unwrap())).collect();
    assert_eq!(holds, [("S1", "yes"), ("S2", "yes"), ("S4", "unknown")]);
    assert_eq!((told["sentences"][0]["since"].as_str(), told["version"].as_str()), (Some(today.as_str()), Some("2026-12")));
    assert!(html.contains("Databases are &lt;b&gt;backed up&lt;/b&gt; every six hours.") && html.contains("2 of 3 sentences hold"), "{html}");
    for inner in ["web01", "anna", "os-end-of-life", "S3", "Known keys", &host.key.id().to_string(), text(&data), "<script"] {
        assert!(!html.contains(inner) && !json.contains(inner), "{inner}");
    }
    // Equal inputs, equal bytes.
    assert_eq!(publish("", folder.path().join("again")).await, [html, json]);

    let store = Store::open(&data).await.unwrap();
    assert_eq!(store.statements(Kind::Commitments).await.unwrap().len(), 2);
    store.close().await;
    let (code, out, error) = command(&["fsck", "--data", d]).await;
    assert_eq!(code, 0, "{out}{error}");
    let (code, out, error) = command(&[
        "evidence",
        "export",
        "--framework",
        "acme-security",
        "--from",
        &today,
        "--to",
        &today,
        "--data",
        d,
        "--out",
        text(&folder.path().join("own.zip")),
    ])
    .await;
    assert_eq!(code, 0, "{out}{error}");
}

/// `ASSAY_STATUS_PAGES=DIR` keeps pages of every kind to be looked at.
#[test]
fn a_page_says_what_is_known_and_no_more() {
    let sentence = |id: &str, holds, since: Option<&str>, wording: &str| assay::collector::commitments::published::Sentence {
        holds,
        id: id.into(),
        since: since.map(String::from),
        wording: wording.into(),
    };
    let page = Published {
        checked_at: Some(1_795_000_000),
        checkpoint: "assay.invalid/ab12\n4711\nqL0l2nUoY1CwQ2B8T4m8m8mNfH0n3R7aZb0cE1fG2hI=\n\n— assay.invalid/ab12 c2lnbmF0dXJl\n".into(),
        format: "assay.status.v1",
        sentences: vec![
            sentence("S1", "yes", Some("2026-03-12"), "Every server runs an operating system that still gets security updates."),
            sentence("S2", "no", Some("2026-11-02"), "Databases are backed up every six hours, encrypted, and kept for seven days."),
            sentence("S3", "unknown", None, "Everybody who works here is trained in security every year."),
        ],
        title: "How Acme keeps your data".into(),
        version: "2026-11".into(),
    };
    let html = page.html().unwrap();
    for told in [
        "Holds",
        "Does not hold",
        "Not confirmed",
        "since <time datetime=\"2026-03-12\">12 March 2026</time>",
        "last checked on 18 November 2026, 11:06 UTC",
        "Ledger assay.invalid/ab12, 4711 entries",
    ] {
        assert!(html.contains(told), "{told}: {html}");
    }
    let empty = Published { sentences: Vec::new(), checked_at: None, checkpoint: String::new(), ..page.clone() }.html().unwrap();
    assert!(empty.contains("No sentence is published; nothing was checked yet."), "{empty}");
    if let Some(folder) = std::env::var_os("ASSAY_STATUS_PAGES") {
        std::fs::write(Path::new(&folder).join("status.html"), html).unwrap();
    }
}
