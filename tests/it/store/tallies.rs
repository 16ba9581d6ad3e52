use std::collections::BTreeSet;

use assay::collector::store::{FindingFilter, Retirement, Store, Tally};
use assay::model::finding::{Finding, Verdict};
use assay::model::ids::HostId;
use assay::model::report::ScanKind;

use super::reports::{finding, send};
use super::{DAY, NOW, enrolled};

/// A small generator (xorshift64), so that the test repeats exactly.
struct Random(u64);
impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What counting the findings themselves says of every rule and verdict at a second.
async fn assert_counts(store: &Store, as_of: Option<i64>, context: &str) {
    let rows = store.findings(&FindingFilter { as_of, ..FindingFilter::default() }).await.unwrap();
    let tallies = store.tallies(as_of).await.unwrap();
    for rule in ["", "often", "rare", "wide"] {
        for verdict in Verdict::ALL {
            let those: Vec<_> = rows.iter().filter(|r| (rule.is_empty() || r.finding.rule == rule) && r.finding.verdict == verdict).collect();
            let hosts: BTreeSet<HostId> = those.iter().map(|r| r.host).collect();
            let counted = Tally { findings: those.len() as u64, hosts: hosts.len() as u64 };
            assert_eq!(tallies.of(rule, verdict), counted, "{context}, as of {as_of:?}: {} of {rule:?}", verdict.id());
        }
    }
    let mut ages: Vec<(i64, Verdict)> = rows.iter().map(|r| (r.since.div_euclid(DAY) * DAY, r.finding.verdict)).collect();
    ages.retain(|(_, v)| matches!(v, Verdict::Fail | Verdict::Unknown));
    ages.sort();
    let mut kept: Vec<(i64, Verdict)> = Vec::new();
    for age in store.ages(as_of).await.unwrap() {
        kept.extend((0..age.findings).map(|_| (age.began, age.verdict)));
    }
    kept.sort();
    assert_eq!(kept, ages, "{context}, as of {as_of:?}");
}

pub async fn counts_follow_every_change_in_any_order_of_arrival(store: Store) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut hosts = Vec::new();
    for number in 1..=4 {
        hosts.push(enrolled(&store, number).await);
    }
    let mut order: Vec<(HostId, u64)> = hosts.iter().flat_map(|host| (1..=8).map(|day| (*host, day))).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, random.below(i as u64 + 1) as usize);
    }
    for (number, (host, day)) in order.into_iter().enumerate() {
        let mut findings: Vec<Finding> = Vec::new();
        for rule in ["often", "rare", "wide"] {
            for subject in ["", "b"] {
                let verdict = [Verdict::Pass, Verdict::Fail, Verdict::Fail, Verdict::Unknown].get(random.below(6) as usize).copied();
                let words = random.below(2).to_string();
                findings.extend(verdict.map(|v| Finding { subject: subject.into(), message: words.clone(), ..finding(rule, v) }));
            }
        }
        let kind = [ScanKind::Weekly, ScanKind::Monthly, ScanKind::Drift][random.below(3) as usize];
        send(&store, host, day, kind, findings).await;
        if number % 5 == 2 {
            store.add_up().await.unwrap();
        }
        if number % 3 == 0 {
            assert_counts(&store, None, &format!("after {number}")).await;
        }
    }
    for day in 0..10 {
        assert_counts(&store, Some(NOW + day * DAY + DAY - 1), "at the end").await;
    }
    let trend = store.trend(NOW, NOW + 9 * DAY).await.unwrap();
    for (day, tally) in (0..).zip(&trend) {
        let then = store.tallies(Some(NOW + day * DAY + DAY - 1)).await.unwrap();
        assert_eq!((tally.fail, tally.unknown), (then.any(Verdict::Fail), then.any(Verdict::Unknown)), "day {day}");
    }
    let host = hosts[0];
    let retirement = Retirement { at: NOW + 20 * DAY, by: "t".into(), host, replaced_by: None, why: "sold".into() };
    assert!(store.retire(&retirement).await.unwrap());
    assert_counts(&store, None, "retired").await;
    while store.add_up().await.unwrap() > 0 {}
    assert_counts(&store, Some(NOW + 15 * DAY), "before it was retired").await;
    assert!(store.erase_host(host, "t", "asked", NOW + 21 * DAY).await.unwrap());
    assert_counts(&store, None, "erased").await;
    assert_counts(&store, Some(NOW + 15 * DAY), "erased, before").await;
    let counted = (store.tallies(None).await.unwrap(), store.ages(None).await.unwrap());
    store.recount().await.unwrap();
    assert_eq!((store.tallies(None).await.unwrap(), store.ages(None).await.unwrap()), counted, "counting anew finds the same");
    assert!(!store.recount_if_never().await.unwrap());
}
