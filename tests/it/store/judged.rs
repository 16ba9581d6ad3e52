use std::collections::BTreeSet;

use assay::collector::store::{Again, FindingFilter, Laid, Rejudged, Retirement, Store};
use assay::model::finding::Verdict::{self, Fail, Pass};
use assay::model::ids::{Digest, HostId};
use assay::model::report::ScanKind::{Drift, Monthly, Weekly};

use super::reports::{finding, needs, send, spans};
use super::{DAY, NOW, enrolled};

/// Three reports, each the newest for one rule.
async fn reported(store: &Store, host: HostId) {
    send(store, host, 1, Monthly, vec![finding("often", Pass), finding("rare", Pass), finding("wide", Pass)]).await;
    send(store, host, 2, Weekly, vec![finding("often", Pass), finding("wide", Pass)]).await;
    send(store, host, 3, Drift, vec![finding("often", Pass)]).await;
}

/// Judges again on a day: each rule gets this verdict.
async fn again(store: &Store, host: HostId, basis: &[u8], day: i64, verdict: Verdict) -> (Rejudged, Vec<(i64, Vec<String>)>) {
    let standing = store.standing(&host, &needs()).await.unwrap();
    let mut by_day = Vec::new();
    let mut laid = Vec::new();
    for (report, rules) in &standing.judging {
        let row = store.report(report).await.unwrap().unwrap();
        by_day.push(((row.finished - NOW) / DAY, rules.iter().cloned().collect()));
        laid.push(Laid { report: *report, findings: rules.iter().map(|r| finding(r, verdict)).collect(), rules: rules.clone() });
    }
    let again = Again {
        host,
        basis: Digest::of(basis),
        now: NOW + day * DAY,
        standing,
        laid,
        kept: Vec::new(),
        ends_others: true,
        origin: Box::new(|rule| format!("roster for {rule}")),
        alike: Box::new(|old, new| old.verdict == new.verdict),
    };
    (store.judge_again(again, &needs()).await.unwrap(), by_day)
}

async fn due(store: &Store, basis: &[u8], day: i64) -> Vec<HostId> {
    store.hosts_to_judge(&Digest::of(basis), NOW + day * DAY, None, 10).await.unwrap()
}

pub async fn each_rule_is_judged_by_its_newest_report_and_doing_it_twice_changes_nothing(store: Store) {
    let (host, silent) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    reported(&store, host).await;
    // One that never reported has nothing to judge; a report was judged by the basis of its time.
    assert_eq!((due(&store, b"", 1).await, due(&store, b"2", 1).await), (vec![], vec![host]));
    let (done, by_day) = again(&store, host, b"2", 5, Fail).await;
    assert_eq!(done, Rejudged::Done);
    let one = |day, rule: &str| (day, vec![rule.to_string()]);
    assert_eq!(by_day.into_iter().collect::<BTreeSet<_>>(), [one(3, "often"), one(2, "wide"), one(1, "rare")].into());
    let both = |rule: &str| [(rule.to_string(), 1, Some(5), Pass), (rule.to_string(), 5, None, Fail)];
    let expected = [both("often"), both("rare"), both("wide")].concat();
    assert_eq!(spans(&store, host).await, expected);
    for row in store.findings(&FindingFilter { host: Some(host), ..FindingFilter::default() }).await.unwrap() {
        assert_eq!(row.origin, Some(format!("roster for {}", row.finding.rule)));
    }
    let history = store.history(&host, "often", "").await.unwrap();
    assert_eq!(history.iter().map(|r| r.origin.is_some()).collect::<Vec<_>>(), [false, true]);
    assert_eq!((due(&store, b"2", 5).await, due(&store, b"2", 6).await), (vec![], vec![host]), "until the next day");
    again(&store, host, b"2", 6, Fail).await;
    assert_eq!(spans(&store, host).await, expected);
    // The clock was set back: nothing that is known is written over.
    again(&store, host, b"2", 2, Pass).await;
    let turned = |rule: &str| [(rule.to_string(), 1, Some(5), Pass), (rule.to_string(), 5, Some(6), Fail), (rule.to_string(), 6, None, Pass)];
    assert_eq!(spans(&store, host).await, [turned("often"), turned("rare"), turned("wide")].concat());
    assert!(store.overlapping_findings(&host).await.unwrap().is_empty());

    store.retire(&Retirement { at: NOW + 7 * DAY, by: "uid 0".into(), host, replaced_by: None, why: "sold".into() }).await.unwrap();
    assert_eq!(again(&store, host, b"3", 8, Fail).await.0, Rejudged::Gone);
    assert!(due(&store, b"3", 9).await.is_empty() && store.findings(&FindingFilter::default()).await.unwrap().is_empty());
    assert_eq!(store.standing(&silent, &needs()).await.unwrap().judging, []);
}

pub async fn a_late_report_and_another_basis_make_a_host_due_again(store: Store) {
    let host = enrolled(&store, 1).await;
    reported(&store, host).await;
    let before = store.standing(&host, &needs()).await.unwrap();
    again(&store, host, b"", 6, Fail).await;
    assert!(due(&store, b"", 6).await.is_empty());
    // Gathered before the pass, come after it: what the pass said of its rules rested on older facts.
    send(&store, host, 4, Weekly, vec![finding("often", Pass), finding("wide", Pass)]).await;
    let expected = [
        ("often".to_string(), 1, None, Pass),
        ("rare".to_string(), 1, Some(6), Pass),
        ("rare".to_string(), 6, None, Fail),
        ("wide".to_string(), 1, None, Pass),
    ];
    assert_eq!(spans(&store, host).await, expected);
    assert_eq!(due(&store, b"", 6).await, [host]);
    let stale = Again {
        host,
        basis: Digest::of(b""),
        now: NOW + 7 * DAY,
        standing: before,
        laid: Vec::new(),
        kept: Vec::new(),
        ends_others: true,
        origin: Box::new(|_| String::new()),
        alike: Box::new(|_, _| false),
    };
    assert_eq!(store.judge_again(stale, &needs()).await.unwrap(), Rejudged::Stale);
    assert_eq!(spans(&store, host).await, expected);
    // Judged by another basis than the one in force: a report that was under way while a list changed.
    again(&store, host, b"2", 8, Fail).await;
    assert!(due(&store, b"2", 8).await.is_empty());
    send(&store, host, 9, Weekly, vec![finding("often", Pass), finding("wide", Pass)]).await;
    assert_eq!((due(&store, b"2", 8).await, store.judged(&host).await.unwrap()), (vec![host], Some((Digest::of(b""), NOW + 8 * DAY))));
}
