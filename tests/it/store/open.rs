//! Open findings as lists need them: in step with verdicts and with what people decide, whatever happens.

use std::collections::BTreeMap;

use assay::collector::findings::orders::{self, Reasons};
use assay::collector::records::{Order, record};
use assay::collector::store::{OpenFilter, OpenFinding, Retirement, Store};
use assay::host::clock;
use assay::model::finding::{Finding, Severity, UnknownReason, Verdict};
use assay::model::ids::HostId;
use assay::model::report::ScanKind;
use assay::records::types::{WAIVER, builtin, find};
use assay::records::{Action, Scope};

use super::reports::{finding, send};
use super::whole::backup;
use super::{DAY, NOW, enrolled};

fn fail(message: &str) -> Finding {
    Finding { message: message.into(), ..finding("often", Verdict::Fail) }
}

async fn open(store: &Store, at: i64) -> Vec<OpenFinding> {
    store.open_findings(&OpenFilter { at, ..OpenFilter::default() }, None, 1_000).await.unwrap()
}

async fn only(store: &Store, at: i64) -> OpenFinding {
    let mut rows = open(store, at).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

fn said(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn scope(host: &str) -> Scope {
    Scope { rule: "often".into(), host: host.into(), subject: "*".into(), ..Scope::default() }
}

async fn waived(store: &Store, host: &str, days: i64) -> assay::model::ids::RandomId {
    let expires = assay::collector::ui::when::iso_day(clock::unix_now() + days * DAY);
    let why = Reasons { reason: "old".into(), control: "cage".into(), expires };
    let asked = orders::ask(store, vec![scope(host)], &why, "ada").await.unwrap().remove(0);
    let kind = find(builtin().unwrap(), WAIVER).unwrap();
    record(store, kind, Action::Approve, Order { entry: Some(asked.event.entry), by: "bob".into(), ..Order::default() }).await.unwrap();
    asked.event.entry
}

pub async fn a_failure_is_as_old_as_its_verdict_and_news_when_its_cause_changes(store: Store) {
    use ScanKind::Weekly;
    let host = enrolled(&store, 1).await;
    let day = |n: i64| NOW + n * DAY;
    let now = clock::unix_now();
    send(&store, host, 1, Weekly, vec![fail("accepts TLSv1.0, 3 days")]).await;
    send(&store, host, 2, Weekly, vec![fail("accepts TLSv1.0, 4 days")]).await;
    let first = only(&store, now).await;
    assert_eq!((first.since, first.changed, first.verdict, first.severity), (day(1), day(1), Verdict::Fail, Severity::High));
    assert_eq!(first.message, "accepts TLSv1.0, 4 days");
    send(&store, host, 3, Weekly, vec![fail("accepts SSLv3")]).await;
    let changed = only(&store, now).await;
    assert_eq!((changed.since, changed.changed), (day(1), day(3)), "another cause of the same failure");
    assert_ne!(changed.cause, first.cause);
    // A late report between the two moves the past alone.
    let late = Finding {
        reason: Some(UnknownReason { kind: "gap".into(), id: "x".into(), detail: "no".into(), remedy: String::new() }),
        ..finding("often", Verdict::Unknown)
    };
    send(&store, host, 5, Weekly, vec![fail("accepts SSLv3")]).await;
    send(&store, host, 4, Weekly, vec![late]).await;
    let again = only(&store, now).await;
    assert_eq!((again.since, again.changed), (day(5), day(5)));
    send(&store, host, 6, Weekly, vec![finding("often", Verdict::Pass)]).await;
    assert!(open(&store, now).await.is_empty());
    same_when_derived(&store).await;
}

pub async fn decisions_and_lists_are_one_transaction(store: Store) {
    use ScanKind::Weekly;
    let (one, two) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    let now = clock::unix_now();
    let names: BTreeMap<HostId, String> = store.hosts(None).await.unwrap().into_iter().map(|h| (h.id, h.name)).collect();
    send(&store, one, 1, Weekly, vec![fail("x")]).await;
    orders::handle(&store, vec![scope("*")], &said(&[("owner", "ops"), ("due_days", "10")]), "ada").await.unwrap();
    // Said before it was there.
    send(&store, two, 1, Weekly, vec![fail("x")]).await;
    let rows = open(&store, now).await;
    assert_eq!(rows.iter().map(|r| (r.owner.as_str(), r.due)).collect::<Vec<_>>(), [("ops", Some(NOW + 11 * DAY)); 2]);
    orders::handle_one(&store, (&names[&two], "often", ""), &said(&[("owner", "bob")]), "ada").await.unwrap();
    let waiver = waived(&store, &names[&one], 30).await;
    let of = |rows: Vec<OpenFinding>, host: HostId| rows.into_iter().find(|r| r.host == host).unwrap();
    assert_eq!(of(open(&store, now).await, two).owner, "bob");
    let covered = of(open(&store, now).await, one);
    assert_eq!((covered.verdict, covered.waiver), (Verdict::Waived, Some(waiver)));
    // Its last day over, the failure is open again without anybody doing anything.
    let later = of(open(&store, now + 32 * DAY).await, one);
    assert_eq!((later.verdict, later.waiver), (Verdict::Fail, None));
    let fails = OpenFilter { at: now, verdicts: vec![Verdict::Fail], ..OpenFilter::default() };
    assert_eq!(store.open_findings(&fails, None, 9).await.unwrap().iter().map(|r| r.host).collect::<Vec<_>>(), [two]);
    let counts = store.open_counts(&OpenFilter { at: now, ..OpenFilter::default() }, 100).await.unwrap();
    assert_eq!(counts.iter().map(|c| (c.verdict, c.overdue, c.findings)).collect::<Vec<_>>(), [(Verdict::Fail, true, 1), (Verdict::Waived, false, 1)]);
    let groups = store.open_groups(&OpenFilter { at: now, ..OpenFilter::default() }, 100, 0, 9).await.unwrap();
    assert_eq!(groups.iter().map(|g| (g.findings, g.hosts, g.waived, g.owner.clone())).collect::<Vec<_>>(), [(2, 2, 1, None)]);
    same_when_derived(&store).await;

    // A person is erased from the list as from the records.
    store.erase_person("bob", "person-1", "uid 0", "request", now).await.unwrap();
    assert_eq!(of(open(&store, now).await, two).owner, "person-1");
    store.retire(&Retirement { at: now, by: "ada".into(), host: two, replaced_by: None, why: "sold".into() }).await.unwrap();
    assert_eq!(open(&store, now).await.len(), 1, "who is taken out has no open finding");
    same_when_derived(&store).await;
}

pub async fn a_list_is_read_page_by_page_in_one_order(store: Store) {
    let now = clock::unix_now();
    for n in 1..=7 {
        let host = enrolled(&store, n).await;
        let mut wide = finding("wide", Verdict::Fail);
        wide.severity = if n % 2 == 0 { Severity::Critical } else { Severity::Low };
        let mut rare = finding("rare", Verdict::Unknown);
        rare.reason = Some(UnknownReason { kind: "gap".into(), id: "x".into(), detail: "no".into(), remedy: String::new() });
        send(&store, host, 1, ScanKind::Monthly, vec![fail("x"), wide, rare]).await;
    }
    let whole = open(&store, now).await;
    assert_eq!(whole.len(), 21);
    let order: Vec<(Verdict, Severity)> = whole.iter().map(|r| (r.verdict, r.severity)).collect();
    assert_eq!(
        (order[0], order[3], order[10], order[20]),
        ((Verdict::Fail, Severity::Critical), (Verdict::Fail, Severity::High), (Verdict::Fail, Severity::Low), (Verdict::Unknown, Severity::High))
    );
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.open_findings(&OpenFilter { at: now, ..OpenFilter::default() }, after.as_ref(), 4).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    let narrowed = OpenFilter { at: now, rules: Some(vec!["wide".into()]), severity: Some(Severity::Critical), ..OpenFilter::default() };
    assert_eq!(store.open_findings(&narrowed, None, 99).await.unwrap().len(), 3);
    let nothing = OpenFilter { at: now, rules: Some(Vec::new()), ..OpenFilter::default() };
    assert!(store.open_findings(&nothing, None, 99).await.unwrap().is_empty());
}

/// What is kept for lists is what is derived from verdicts and records alone.
async fn same_when_derived(store: &Store) {
    let (bytes, _) = backup(store).await;
    let folder = tempfile::tempdir().unwrap();
    let restored = Store::open(folder.path()).await.unwrap();
    restored.restore(&bytes[..], &|_| ()).await.unwrap();
    let now = clock::unix_now();
    assert_eq!(open(&restored, now).await, open(store, now).await);
    let again = Store::open(folder.path()).await.unwrap();
    assert_eq!(open(&again, now).await, open(store, now).await);
}
