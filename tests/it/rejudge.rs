//! Judging again without a rescan: what a list changes, what time alone changes, and a crash in the middle.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay::collector::basis::Basis;
use assay::collector::fsck::fsck;
use assay::collector::lists::{self, List};
use assay::collector::rejudge;
use assay::collector::store::{FindingFilter, FindingRow, Store};
use assay::collector::{Keys, start};
use assay::config::collector::Config;
use assay::host::clock;
use assay::model::fact::Observation;
use assay::model::finding::Verdict;
use assay::model::policy::Policy;
use assay::model::report::ScanKind;
use assay::rules::Pack;
use serde_json::json;

use super::access_facts;
use super::collector::{Host, config, new_host, token};
use super::support::{COLLECTOR, Running};

const SOON: Duration = Duration::from_secs(120);
const DAY: i64 = 86_400;

/// A machine with a leaver's key and sudo, an operating system that ends in five days, and backups of today.
pub(super) fn machine(now: i64) -> Observation {
    let dir = tempfile::tempdir().unwrap();
    access_facts::planted(dir.path());
    let mut observation = access_facts::observe(dir.path());
    observation.gathered_at = now;
    let os = json!({"pretty_name": "Example 1", "id": "example", "end_of_life": {"at": now + 5 * DAY, "support": "security"}, "extended_support": []});
    let set = json!({"subject": "db", "path": "/srv/b", "present": true, "listed": true, "every_hours": 6, "count": 28, "newest_at": now - 3600, "newest_name": "x",
        "longest_pause_seconds": 21_700, "longest_pause_from": now - 90_000, "newer_but_none": ""});
    observation.families.insert("os".into(), os);
    observation.families.insert("backups".into(), json!({"sets": [set]}));
    observation
}

async fn put_roster(store: &Store, text: &str) {
    let parsed = List::Roster.parse("people.csv", text.as_bytes()).unwrap();
    lists::put(store, List::Roster, &parsed, text.as_bytes().to_vec(), "uid 0", clock::unix_now()).await.unwrap();
}

async fn of(store: &Store, rule: &str) -> Vec<FindingRow> {
    store.findings(&FindingFilter { rule: Some(rule.into()), ..FindingFilter::default() }).await.unwrap()
}

async fn clean(store: &Store) {
    let keys = Keys::load_or_create(store.folder(), 0).unwrap();
    let found = fsck(store, &[keys.verifier], &|_, _| ()).await.unwrap();
    assert!(found.is_clean(), "{:?}", found.differences);
}

async fn reporting(base: &str, data: &Path, authority: &assay::pki::authority::Authority) -> Host {
    let token = token(data, authority, 1).await;
    new_host(base, &token).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_roster_is_judged_on_the_facts_at_hand_and_the_verdict_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(config(folder.path())).await.unwrap();
    let (app, store) = (running.app.clone(), running.app.store.clone());
    let host = reporting(&app.agents_url, folder.path(), &app.authority).await;
    let now = clock::unix_now();
    let (receipt, _) = host.send(&app.agents_url, &host.report(1, ScanKind::Weekly, machine(now))).await;
    assert!(of(&store, "access-leaver-active").await.iter().all(|f| f.finding.verdict == Verdict::Unknown && f.origin.is_none()));

    put_roster(&store, access_facts::ROSTER).await;
    let end = Instant::now() + SOON;
    let leavers = loop {
        let found: Vec<FindingRow> = of(&store, "access-leaver-active").await.into_iter().filter(|f| f.finding.verdict == Verdict::Fail).collect();
        if !found.is_empty() {
            break found;
        }
        assert!(Instant::now() < end, "the facts at hand are judged by the new roster");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for leaver in &leavers {
        assert_eq!((leaver.report, leaver.origin.as_deref()), (receipt.report, Some("roster,time")), "the facts are those of the report");
        assert!(leaver.since > now, "from that moment on");
    }
    assert!(leavers.iter().any(|l| l.finding.subject == "m.keller"), "{leavers:?}");
    let subject = &leavers[0].finding.subject;
    let history = store.history(&host.key.id(), "access-leaver-active", subject).await.unwrap();
    assert!(history.iter().all(|h| h.until.is_some() || h.origin.is_some()));
    assert_eq!(store.reports(None, None, 0).await.unwrap().len(), 1, "nobody scanned");
    // The next report says the same: the verdict stays as old as it is, and brought by what brought it.
    let before = of(&store, "access-leaver-active").await;
    host.send(&app.agents_url, &host.report(2, ScanKind::Weekly, machine(now + 1))).await;
    let verdicts = |rows: &[FindingRow]| rows.iter().map(|r| (r.finding.subject.clone(), r.finding.verdict)).collect::<Vec<_>>();
    assert_eq!(verdicts(&of(&store, "access-leaver-active").await), verdicts(&before));
    running.stop().await;
    clean(&Store::open(folder.path()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_alone_moves_what_ends_and_not_what_a_scan_would_find_anew() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(config(folder.path())).await.unwrap();
    let app = running.app.clone();
    let host = reporting(&app.agents_url, folder.path(), &app.authority).await;
    let now = clock::unix_now();
    host.send(&app.agents_url, &host.report(1, ScanKind::Weekly, machine(now))).await;
    let basis = app.basis.now();
    running.stop().await;
    let store = Store::open(folder.path()).await.unwrap();
    let rows = || async { store.findings(&FindingFilter::default()).await.unwrap() };
    let verdicts = |rows: Vec<FindingRow>| -> BTreeMap<(String, String), (Verdict, i64)> {
        rows.into_iter().map(|r| ((r.finding.rule, r.finding.subject), (r.finding.verdict, r.since))).collect()
    };
    let first = verdicts(rows().await);
    assert_eq!(first[&("os-end-of-life".into(), String::new())].0, Verdict::Pass);
    assert_eq!(first[&("backup-schedule".into(), "db".into())].0, Verdict::Pass);
    // The day after, nothing ended: nothing is written but that it was looked at.
    assert_eq!(rejudge::all(&store, &basis, now + DAY).await.unwrap(), 1);
    assert_eq!(verdicts(rows().await), first);
    assert_eq!(rejudge::all(&store, &basis, now + DAY).await.unwrap(), 0, "once a day");
    // Six days later the support is over. When the next backup was made only a scan could tell.
    assert_eq!(rejudge::all(&store, &basis, now + 6 * DAY).await.unwrap(), 1);
    let changed: Vec<FindingRow> =
        rows().await.into_iter().filter(|r| first.get(&(r.finding.rule.clone(), r.finding.subject.clone())).is_none_or(|f| f.1 != r.since)).collect();
    let told: Vec<(&str, Verdict, Option<&str>, i64)> =
        changed.iter().map(|r| (r.finding.rule.as_str(), r.finding.verdict, r.origin.as_deref(), r.since - now)).collect();
    assert_eq!(told, [("os-end-of-life", Verdict::Fail, Some("time"), 6 * DAY)]);
    // Its words tell days; they wait for the next report.
    assert_eq!(rejudge::all(&store, &basis, now + 7 * DAY).await.unwrap(), 1);
    assert_eq!(rows().await.iter().find(|r| r.finding.rule == "os-end-of-life").unwrap(), &changed[0]);

    // Other thresholds: the cause is named, and so is a program that did not note what it judged by.
    let strict = Arc::new((*basis).clone().with_policy(Policy { os_end_of_life_warning_days: 30, backup_delay_minutes: 0, ..Policy::default() }));
    assert_eq!(rejudge::all(&store, &strict, now + 7 * DAY).await.unwrap(), 1);
    let unknown = Arc::new(Basis::new(Arc::new(Pack::builtin_of(&["backups"], assay::facts::schemas()).unwrap()), Policy::default()));
    assert_eq!(rejudge::all(&store, &unknown, now + 7 * DAY).await.unwrap(), 1);
    assert!(rows().await.iter().all(|r| r.finding.rule.starts_with("backup-")), "what is in no pack any more has no open verdict");
    clean(&store).await;
    store.close().await;
}

/// What all verdicts of all hosts say, and what they rest on.
async fn story(store: &Store) -> Vec<(String, String, String, Verdict, Option<i64>)> {
    let rows = store.findings(&FindingFilter { period: Some((0, i64::MAX)), ..FindingFilter::default() }).await.unwrap();
    let mut out: Vec<_> = rows.into_iter().map(|r| (r.host.to_string(), r.finding.rule, r.finding.subject, r.finding.verdict, r.until.map(|_| 0))).collect();
    out.sort();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_in_the_middle_lose_nothing_and_double_nothing() {
    const HOSTS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let running = start(config(folder.path())).await.unwrap();
    let app = running.app.clone();
    let now = clock::unix_now();
    let mut hosts = Vec::new();
    for _ in 0..HOSTS {
        let host = reporting(&app.agents_url, folder.path(), &app.authority).await;
        host.send(&app.agents_url, &host.report(1, ScanKind::OnDemand, machine(now))).await;
        hosts.push(host.key.id());
    }
    put_roster(&app.store, access_facts::ROSTER).await;
    running.stop().await;
    // What it must come to: the same pass on a copy, undisturbed.
    let copy = tempfile::tempdir().unwrap();
    let (store, undisturbed) = (Store::open(folder.path()).await.unwrap(), Store::open(copy.path()).await.unwrap());
    store.copy_to(&undisturbed, &|_| ()).await.unwrap();
    let roster = Config { data: copy.path().into(), ..Config::default() };
    let pack = Arc::new(Pack::builtin(assay::facts::schemas()).unwrap());
    let (basis, _) = lists::begin(&undisturbed, &roster, pack, &lists::Refused::default(), now).await.unwrap();
    let basis = Arc::new(basis);
    assert_eq!(rejudge::all(&undisturbed, &basis, clock::unix_now()).await.unwrap(), HOSTS as u64);
    let expected = story(&undisturbed).await;
    assert_ne!(story(&store).await, expected);

    let due = || async { store.hosts_to_judge(&basis.digest, 0, None, 100).await.unwrap().len() };
    let (mut kills, mut in_the_middle) = (0, 0);
    let end = Instant::now() + SOON;
    while due().await > 0 {
        assert!(Instant::now() < end, "{} hosts are still due after {kills} kills", due().await);
        let before = due().await;
        let mut command = Command::new(COLLECTOR);
        command.args(["serve", "--agents", "127.0.0.1:0", "--people", "127.0.0.1:0", "--plain-http", "--data"]).arg(folder.path());
        let mut process = Running::start(command.stderr(Stdio::null()));
        // As soon as something was done, at another moment each time.
        while due().await == before && due().await > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(3 + 7 * kills % 40)).await;
        }
        process.kill();
        kills += 1;
        in_the_middle += u64::from(due().await > 0);
    }
    println!("{kills} kills, {in_the_middle} of them before the last host");
    assert_eq!(story(&store).await, expected);
    assert_eq!(
        of(&store, "access-leaver-active").await.iter().filter(|f| f.finding.subject == "m.keller" && f.finding.verdict == Verdict::Fail).count(),
        HOSTS
    );
    store.close().await;
    start(config(folder.path())).await.unwrap().stop().await;
    clean(&Store::open(folder.path()).await.unwrap()).await;
}
