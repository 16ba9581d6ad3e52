use std::sync::Arc;

use assay::collector::kept::Extract;
use assay::collector::store::{Accepted, BlobRow, FindingFilter, NewReport, ReportRow, Retirement, Store};
use assay::model::blob::Blob;
use assay::model::finding::{Counts, Finding, Severity, Verdict};
use assay::model::ids::{Address, Digest, HostId, Lineage, Salt};
use assay::model::report::{Cadence, FORMAT, FamilyBlobs, Losses, Report, Scan, ScanKind, ScanState, Software, Times};
use assay::rules::{Need, Needs};

use super::{DAY, NOW, enrolled};

pub(super) fn finding(rule: &str, verdict: Verdict) -> Finding {
    let (message, reason) = (verdict.id().to_string(), None);
    Finding { rule: rule.into(), subject: String::new(), verdict, severity: Severity::High, message, reason, citations: Vec::new() }
}

/// What the rules of these tests need of a report.
pub(super) fn needs() -> Arc<Needs> {
    let need = |cadence, families: &[&str]| Need { cadence, families: families.iter().map(ToString::to_string).collect() };
    let needs = [("often", need(Cadence::Weekly, &["a"])), ("rare", need(Cadence::Monthly, &["a"])), ("wide", need(Cadence::Weekly, &["a", "b"]))];
    Arc::new(needs.into_iter().map(|(rule, need)| (rule.to_string(), need)).collect())
}

pub(super) async fn send(store: &Store, host: HostId, sequence: u64, kind: ScanKind, findings: Vec<Finding>) {
    assert_eq!(offer(store, host, sequence, kind, findings, Vec::new()).await, Accepted::New);
}

pub(super) async fn offer(store: &Store, host: HostId, sequence: u64, kind: ScanKind, findings: Vec<Finding>, kept: Vec<Extract>) -> Accepted {
    let at = NOW + i64::try_from(sequence).unwrap() * DAY;
    let blob = Blob::of(&Salt::new([1; 32]), &findings).unwrap();
    store.put_blob(&host, &BlobRow { address: blob.address, frame: blob.frame().unwrap() }, at).await.unwrap();
    let families: &[&str] = if kind == ScanKind::Drift { &["a"] } else { &["a", "b"] };
    let report = Report {
        format: FORMAT.into(),
        host,
        lineage: Lineage::new([7; 16]),
        parent: None,
        sequence,
        scan: Scan { kind, window: None, state: ScanState::Complete },
        times: Times { started: at, finished: at, boot_ms: 1 },
        software: Software { agent: "0".into(), pack: Digest::of(b""), policy: Digest::of(b"") },
        facts: families.iter().map(|f| FamilyBlobs { family: (*f).into(), stable: blob.address, volatile: blob.address }).collect(),
        gaps: blob.address,
        findings: blob.address,
        counts: Counts::of(&findings),
        limits: Vec::new(),
        losses: Losses::default(),
    };
    let row = ReportRow {
        id: Digest::of(&[&host.bytes()[..], &sequence.to_be_bytes()].concat()),
        host,
        lineage: report.lineage,
        sequence,
        kind,
        window: None,
        state: ScanState::Complete,
        started: at,
        finished: at,
        received: at + 40 * DAY,
        counts: report.counts,
        disagrees: false,
        envelope: Vec::new(),
        leaf: None,
    };
    let needs = needs();
    let looked_at = families.iter().map(ToString::to_string).collect();
    store.accept(NewReport { row, report, findings, os: None, needs, basis: Digest::of(b""), looked_at, kept }).await.unwrap()
}

/// Rule, first day, last day and verdict of every span.
pub(super) async fn spans(store: &Store, host: HostId) -> Vec<(String, i64, Option<i64>, Verdict)> {
    let filter = FindingFilter { host: Some(host), period: Some((0, i64::MAX)), ..FindingFilter::default() };
    let day = |at: i64| (at - NOW) / DAY;
    let rows = store.findings(&filter).await.unwrap();
    let mut out: Vec<_> = rows.into_iter().map(|r| (r.finding.rule, day(r.since), r.until.map(day), r.finding.verdict)).collect();
    out.sort();
    out
}

pub async fn a_report_moves_the_verdicts_of_the_rules_that_it_judges_in_any_order_of_arrival(store: Store) {
    use ScanKind::{Drift, Monthly, OnDemand, Weekly};
    use Verdict::{Fail, Pass};
    let all = |often, rare, wide| vec![finding("often", often), finding("rare", rare), finding("wide", wide)];
    let reports = [
        (1, Monthly, all(Pass, Fail, Pass)),
        (2, Weekly, vec![finding("often", Fail), finding("wide", Pass)]),
        // A host whose pack is older judges the monthly rule all the same; it is not heard.
        (3, Weekly, all(Fail, Pass, Pass)),
        // One family changed: rules that read another one are not judged, whatever is said of them.
        (4, Drift, all(Pass, Pass, Fail)),
        (5, OnDemand, all(Fail, Pass, Pass)),
        (6, Weekly, vec![finding("often", Pass), finding("wide", Fail)]),
    ];
    let expected = [
        ("often".to_string(), 1, Some(2), Pass),
        ("often".to_string(), 2, Some(4), Fail),
        ("often".to_string(), 4, Some(5), Pass),
        ("often".to_string(), 5, Some(6), Fail),
        ("often".to_string(), 6, None, Pass),
        ("rare".to_string(), 1, Some(5), Fail),
        ("rare".to_string(), 5, None, Pass),
        ("wide".to_string(), 1, Some(6), Pass),
        ("wide".to_string(), 6, None, Fail),
    ];
    let orders = [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [1, 0, 5, 2, 4, 3], [4, 1, 5, 0, 3, 2], [2, 5, 1, 4, 0, 3]];
    for (number, order) in (1..).zip(orders) {
        let host = enrolled(&store, number).await;
        for i in order {
            let (sequence, kind, findings) = &reports[i];
            send(&store, host, *sequence, *kind, findings.clone()).await;
        }
        assert_eq!(spans(&store, host).await, expected, "{order:?}");
    }
}

pub async fn a_verdict_is_as_old_as_its_first_words(store: Store) {
    use ScanKind::Weekly;
    let host = enrolled(&store, 1).await;
    let worded = |verdict, words: &str| vec![Finding { message: words.into(), ..finding("often", verdict) }];
    let reports =
        [(1, Verdict::Fail, "2 days"), (2, Verdict::Pass, ""), (3, Verdict::Fail, "4 days"), (4, Verdict::Fail, "5 days"), (5, Verdict::Fail, "6 days")];
    for (day, verdict, words) in reports {
        send(&store, host, day, Weekly, worded(verdict, words)).await;
    }
    let now = &store.findings(&FindingFilter::default()).await.unwrap()[0];
    assert_eq!(((now.since - NOW) / DAY, now.until, now.finding.message.as_str()), (3, None, "6 days"));
    let then = &store.findings(&FindingFilter { as_of: Some(NOW + 4 * DAY), ..FindingFilter::default() }).await.unwrap()[0];
    assert_eq!(((then.since - NOW) / DAY, then.finding.message.as_str()), (3, "5 days"), "a past day has its own words");
    assert_eq!(spans(&store, host).await.len(), 3, "fail, pass, fail");
    assert_eq!(store.history(&host, "often", "").await.unwrap().len(), 5, "with each of their words");
    // Not judged for a while is a break.
    send(&store, host, 6, Weekly, Vec::new()).await;
    send(&store, host, 7, Weekly, worded(Verdict::Fail, "8 days")).await;
    let again = &store.findings(&FindingFilter::default()).await.unwrap()[0];
    assert_eq!((again.since - NOW) / DAY, 7);
}

pub async fn a_number_is_taken_once_and_what_is_odd_in_a_text_is_kept(store: Store) {
    let host = enrolled(&store, 1).await;
    let odd = Finding { subject: "a\0b \u{202e}'; --".into(), ..finding("often", Verdict::Fail) };
    send(&store, host, 1, ScanKind::Weekly, vec![odd.clone()]).await;
    let row = &store.reports(Some(&host), None, 0).await.unwrap()[0];
    assert_eq!(store.report_at(&host, &row.lineage, 1).await.unwrap(), Some(row.id));
    assert_eq!(store.findings(&FindingFilter::default()).await.unwrap()[0].finding, odd);
    assert_eq!(store.history(&host, "often", &odd.subject).await.unwrap().len(), 1);
    send(&store, host, 3, ScanKind::Weekly, Vec::new()).await;
    assert!(store.findings(&FindingFilter::default()).await.unwrap().is_empty(), "a rule that says nothing any more has no open verdict");
    let missing = store.missing_reports(&host).await.unwrap();
    assert_eq!(missing.iter().map(|m| (m.from, m.to)).collect::<Vec<_>>(), [(2, 2)]);
    assert_eq!(store.missing_blobs(&host, &[Address::new([9; 32])]).await.unwrap().len(), 1);
}

pub async fn a_monthly_failure_is_open_after_a_clean_weekly_report_and_closed_by_a_monthly_one(store: Store) {
    let host = enrolled(&store, 1).await;
    send(&store, host, 1, ScanKind::Monthly, vec![finding("rare", Verdict::Fail)]).await;
    send(&store, host, 2, ScanKind::Weekly, Vec::new()).await;
    assert_eq!(spans(&store, host).await, [("rare".to_string(), 1, None, Verdict::Fail)]);
    send(&store, host, 30, ScanKind::Monthly, vec![finding("rare", Verdict::Pass)]).await;
    assert_eq!(spans(&store, host).await, [("rare".to_string(), 1, Some(30), Verdict::Fail), ("rare".to_string(), 30, None, Verdict::Pass)]);
}

pub async fn a_retired_host_is_refused_inside_the_transaction(store: Store) {
    let host = enrolled(&store, 1).await;
    send(&store, host, 1, ScanKind::Weekly, vec![finding("often", Verdict::Fail)]).await;
    store.retire(&Retirement { at: NOW + 2 * DAY, by: "uid 0".into(), host, replaced_by: None, why: "key lost".into() }).await.unwrap();
    assert_eq!(offer(&store, host, 2, ScanKind::Weekly, vec![finding("often", Verdict::Pass)], Vec::new()).await, Accepted::Retired);
    assert_eq!(store.reports(Some(&host), None, 0).await.unwrap().len(), 1);
    assert!(store.findings(&FindingFilter::default()).await.unwrap().is_empty());
}
