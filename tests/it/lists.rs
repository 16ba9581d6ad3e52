//! Lists as people give them: by the command line and by watched files, into force in a collector that runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay::collector::basis::Basis;
use assay::collector::store::{Store, UserAction, UserChange};
use assay::collector::{RulesChanged, Running, start};
use assay::config::collector::Config;
use assay::ledger::Kind;

use super::support::{COLLECTOR, run, text};

const SOON: Duration = Duration::from_secs(60);

fn config(data: &Path) -> Config {
    let loopback = "127.0.0.1:0".parse().unwrap();
    Config { data: data.into(), agents: loopback, people: loopback, operations: Some(loopback), plain_http: true, ..Config::default() }
}

/// The command line beside the collector; standard output.
async fn command(arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    tokio::task::spawn_blocking(move || run(COLLECTOR, &arguments.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}

async fn said(arguments: &[&str]) -> String {
    let (code, out, error) = command(arguments).await;
    assert_eq!(code, 0, "{arguments:?}: {out}{error}");
    out
}

/// The basis once it is so.
async fn basis(running: &Running, what: &str, is_so: impl Fn(&Basis) -> bool) -> Arc<Basis> {
    let end = Instant::now() + SOON;
    loop {
        let basis = running.app.basis.now();
        if is_so(&basis) {
            return basis;
        }
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn ready(running: &Running) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(format!("http://{}/readyz", running.operations.unwrap())).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn people(basis: &Basis) -> usize {
    basis.roster.as_ref().map_or(0, |r| r.people.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_file_and_the_command_line_give_versions_that_are_in_force_without_a_restart() {
    assay::pki::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("people.csv"));
    std::fs::write(&file, "person,ended_at\nada,\n").unwrap();
    let with_roster = Config { roster: file.clone(), ..config(&data) };
    let running = start(with_roster.clone()).await.unwrap();
    let first = running.app.basis.now();
    assert_eq!(people(&first), 1);

    std::fs::write(&file, "person,ended_at\nada,\nbob,\n").unwrap();
    let second = basis(&running, "the file is read again", |b| people(b) == 2).await;
    assert_eq!(second.parts.differing(&first.parts), ["roster"]);
    // A list that can't be read leaves the old one in force, and says so without a name.
    std::fs::write(&file, "person,ended_at\nada,\neve,soon\n").unwrap();
    let end = Instant::now() + SOON;
    while running.app.refused.all().is_empty() {
        assert!(Instant::now() < end, "the file is refused");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let http_says = {
        let (status, text) = ready(&running).await;
        assert_eq!(status, 200, "an older version is in force");
        text
    };
    assert!(http_says.contains("roster since") && !http_says.contains("eve"), "{http_says}");
    assert_eq!(people(&running.app.basis.now()), 2);

    // What the command line gives is in force until the file changes.
    let given = folder.path().join("given.csv");
    std::fs::write(&given, "person,ended_at,Team\nada,,x\nbob,,\ncarl,,\n").unwrap();
    let out = said(&["list", "put", "roster", text(&given), "--data", text(&data)]).await;
    assert!(out.contains("column \"Team\" is not used") && out.ends_with("roster: version 3 with 3 rows is in force\n"), "{out}");
    assert!(said(&["list", "put", "roster", text(&given), "--data", text(&data)]).await.contains("in force already"));
    basis(&running, "the command's list", |b| people(b) == 3).await;
    std::fs::write(&file, "person,ended_at\nada,\nbob,\n").unwrap();
    let end = Instant::now() + SOON;
    while !running.app.refused.all().is_empty() {
        assert!(Instant::now() < end, "the file is good again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(people(&running.app.basis.now()), 3, "it says what it last said");

    let policy = running.app.basis.now().parts.policy;
    running.stop().await;
    // A restart changes nothing; other thresholds are told.
    let thresholds = folder.path().join("policy.yaml");
    std::fs::write(&thresholds, "leaver_limit_days: 3\n").unwrap();
    let running = start(Config { policy: thresholds.clone(), ..with_roster }).await.unwrap();
    assert_eq!(people(&running.app.basis.now()), 3);
    assert_ne!(running.app.basis.now().parts.policy, policy);
    std::fs::write(&thresholds, "leaver_limit_days: 5\n").unwrap();
    basis(&running, "the thresholds", |b| b.policy.leaver_limit_days == 5).await;
    running.stop().await;

    let store = Store::open(&data).await.unwrap();
    let versions = store.list_history("roster").await.unwrap();
    let told: Vec<(u64, u64, bool)> = versions.iter().map(|v| (v.version, v.rows, v.by == "configuration")).collect();
    assert_eq!(told, [(1, 1, true), (2, 2, true), (3, 3, false)]);
    assert_eq!(store.list_history("policy").await.unwrap().len(), 3);
    let rules: Vec<RulesChanged> = store.statements(Kind::RulePack).await.unwrap().iter().map(|s| s.read().unwrap()).collect();
    assert!(rules.len() == 1 && rules[0].old.is_none() && rules[0].rules > 200, "{rules:?}");
    store.close().await;
    let out = said(&["list", "history", "roster", "--data", text(&data)]).await;
    assert!(out.contains("in force") && out.lines().count() == 4, "{out}");
    assert_eq!(said(&["list", "show", "roster", "--data", text(&data)]).await, std::fs::read_to_string(&given).unwrap());
    assert!(said(&["list", "show", "policy", "--data", text(&data)]).await.contains("\"leaver_limit_days\":5"));
    assert!(said(&["fsck", "--data", text(&data)]).await.contains("Nothing differs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_used_is_one_sentence() {
    assay::pki::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("people.csv"));
    std::fs::write(&file, "person,ended_at\neve,soon\n").unwrap();
    let refused = start(Config { roster: file.clone(), ..config(&data) }).await.err().unwrap().to_string();
    assert!(refused.contains("people.csv:2:5: \"soon\""), "{refused}");
    let data = text(&data);
    for (arguments, expected) in [
        (vec!["list", "put", "roster", text(&file), "--data", data], "people.csv:2:5: \"soon\""),
        (
            vec!["list", "put", "rooster", text(&file), "--data", data],
            "there is no list \"rooster\" to put; there is roster, approvals, third-parties, inventory, labels",
        ),
        (vec!["list", "put", "policy", text(&file), "--data", data], "there is no list \"policy\" to put"),
        (vec!["list", "show", "roster", "--data", data], "no version of roster was in force on"),
        (vec!["list", "show", "policy", "--as-of", "soon", "--data", data], "--as-of \"soon\" is no time"),
        (vec!["list", "show", "policy", "--as-of", "2001-01-01", "--data", data], "no version of policy was in force on 2001-01-01"),
        (vec!["list", "history", "x", "--data", data], "there is no list \"x\""),
        (vec!["user", "change", "nobody", "--role", "viewer", "--data", data], "there is no user \"nobody\""),
        (vec!["user", "remove", "nobody", "--data", data], "there is no user \"nobody\""),
    ] {
        let (code, _, error) = command(&arguments).await;
        assert!(code == 1 && error.contains(expected) && error.lines().count() == 1, "{arguments:?}: {error}");
    }
    // Once a version is in force, a bad file stops no start.
    let good = folder.path().join("good.csv");
    std::fs::write(&good, "person,ended_at\nada,\n").unwrap();
    said(&["list", "put", "roster", text(&good), "--data", data]).await;
    let running = start(Config { roster: file, ..config(Path::new(data)) }).await.unwrap();
    assert_eq!((people(&running.app.basis.now()), running.app.refused.all().len()), (1, 1));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_change_and_go_and_the_ledger_knows_them_by_id() {
    assay::pki::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    start(config(&data)).await.unwrap().stop().await;
    let data = text(&data);
    said(&["user", "add", "carol", "--role", "viewer", "--data", data]).await;
    assert_eq!(said(&["user", "change", "carol", "--role", "auditor", "--data", data]).await, "carol is auditor from now on\n");
    said(&["user", "remove", "carol", "--data", data]).await;
    let users: serde_json::Value = serde_json::from_str(&said(&["user", "list", "--format", "json", "--data", data]).await).unwrap();
    assert_eq!((users[0]["name"].as_str(), users[0]["role"].as_str(), users[0]["removed_at"].is_i64()), (Some("carol"), Some("auditor"), true));
    assert!(said(&["user", "list", "--data", data]).await.contains(users[0]["id"].as_str().unwrap()));
    let store = Store::open(Path::new(data)).await.unwrap();
    let told: Vec<UserChange> = store.statements(Kind::User).await.unwrap().iter().map(|s| s.read().unwrap()).collect();
    assert_eq!(told.iter().map(|c| c.action).collect::<Vec<_>>(), [UserAction::Add, UserAction::Change, UserAction::Remove]);
    assert!(told.iter().all(|c| c.user.to_string() == users[0]["id"].as_str().unwrap()));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_host_is_a_version_and_any_past_moment_is_told() {
    assay::pki::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    start(config(&data)).await.unwrap().stop().await;
    let data = text(&data);
    let first = said(&["host", "label", "WEB01", "--owner", "Ops", "--criticality", "high", "--label", "pci", "--label", "gdpr", "--data", data]).await;
    assert!(first.contains("no host is called web01") && first.contains("labels: version 1 is in force"), "{first}");
    assert!(said(&["host", "label", "db01", "--owner", "Data", "--data", data]).await.contains("version 2"));
    assert!(said(&["host", "label", "db01", "--owner", "Data", "--data", data]).await.contains("version 2 is in force already"));
    assert!(said(&["host", "label", "web01", "--data", data]).await.contains("version 3"), "nothing is said any more");
    assert_eq!(said(&["list", "show", "labels", "--data", data]).await, "host,owner,purpose,criticality,region,labels\r\ndb01,Data,,,,\r\n");
    for (arguments, expected) in [
        (vec!["host", "label", "web01", "--criticality", "grave", "--data", data], "criticality \"grave\" is none of critical, high, medium, low"),
        (vec!["host", "label", " ", "--owner", "x", "--data", data], "no host is named"),
        (vec!["host", "label", "web01", "--owner", "=1+1", "--data", data], "would be a formula"),
    ] {
        let (code, _, error) = command(&arguments).await;
        assert!(code == 1 && error.contains(expected), "{arguments:?}: {error}");
    }
    let store = Store::open(Path::new(data)).await.unwrap();
    let now = store.labels_of(&["web01", "DB01"], None).await.unwrap();
    assert_eq!(now.into_iter().map(|(host, said)| (host, said.owner)).collect::<Vec<_>>(), [("db01".to_string(), "Data".to_string())]);
    let ledger = store.statements(Kind::Labels).await.unwrap();
    assert_eq!(ledger.len(), 3);
    store.close().await;
    assert!(said(&["fsck", "--data", data]).await.contains("Nothing differs"));
}
