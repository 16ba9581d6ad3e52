//! Counts of verdicts with the waivers of their time laid over them: a failure that one covers is `waived` and no failure.

use std::collections::{BTreeMap, BTreeSet};

use super::Laid;
use crate::collector::store::{Age, FindingFilter, Store, StoreError, Tallies, Tally};
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::HostId;

/// Waived findings that are looked at; counts of failures include those beyond.
const MAX_WAIVED: u32 = 10_000;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Counts as of some time.
#[derive(Clone, Debug)]
pub struct Counted {
    /// By rule and verdict.
    pub tallies: Tallies,
    /// Open failures and unknowns by the day on which their verdict began.
    pub ages: Vec<Age>,
}

/// A waived failure.
struct Waived {
    rule: String,
    host: HostId,
    severity: Severity,
    since: i64,
}

impl Counted {
    /// Counts at `at` (Unix seconds); `as_of` is the past day that it ends, `None`: now.
    pub async fn read(store: &Store, at: i64, as_of: Option<i64>) -> Result<Self, StoreError> {
        let mut counted = Self { tallies: store.tallies(as_of).await?, ages: store.ages(as_of).await? };
        let (waived, failing) = match as_of {
            None => now(store, at).await?,
            Some(_) => then(store, at, as_of).await?,
        };
        if waived.is_empty() {
            return Ok(counted);
        }
        let mut rules: BTreeMap<&str, BTreeMap<HostId, u64>> = BTreeMap::new();
        let mut hosts: BTreeMap<HostId, u64> = BTreeMap::new();
        for one in &waived {
            *rules.entry(&one.rule).or_default().entry(one.host).or_default() += 1;
            *hosts.entry(one.host).or_default() += 1;
            let began = one.since.div_euclid(DAY).saturating_mul(DAY);
            let age = counted.ages.iter_mut().find(|a| a.verdict == Verdict::Fail && a.severity == one.severity && a.began == began);
            if let Some(age) = age {
                age.findings = age.findings.saturating_sub(1);
            }
        }
        counted.ages.retain(|age| age.findings > 0);
        for (rule, own) in rules {
            let spared = own.iter().filter(|(host, n)| failing.get(&(rule.to_string(), **host)).is_none_or(|all| all <= n)).count();
            counted.tallies.waive(rule, Tally { findings: own.values().sum(), hosts: own.len() as u64 }, spared as u64);
        }
        let ids: Vec<HostId> = hosts.keys().copied().collect();
        let mut spared = 0;
        for some in ids.chunks(500) {
            let counts = store.verdict_counts(some, as_of).await?;
            spared += some.iter().filter(|host| counts.get(*host).is_none_or(|c| c.fail <= hosts.get(*host).copied().unwrap_or(0))).count();
        }
        counted.tallies.waive("", Tally { findings: waived.len() as u64, hosts: hosts.len() as u64 }, spared as u64);
        Ok(counted)
    }
}

/// Failures of a rule on a host, waived or not.
type Failing = BTreeMap<(String, HostId), u64>;

async fn now(store: &Store, at: i64) -> Result<(Vec<Waived>, Failing), StoreError> {
    let rows = store.waived_now(at, MAX_WAIVED).await?;
    let about: BTreeSet<(String, HostId)> = rows.iter().map(|(rule, host, ..)| (rule.clone(), *host)).collect();
    let failing = store.failing_on(&about.into_iter().collect::<Vec<_>>()).await?;
    Ok((rows.into_iter().map(|(rule, host, severity, since)| Waived { rule, host, severity, since }).collect(), failing))
}

async fn then(store: &Store, at: i64, as_of: Option<i64>) -> Result<(Vec<Waived>, Failing), StoreError> {
    let (mut waived, mut failing) = (Vec::new(), Failing::new());
    let Some(laid) = Laid::read_if_waived(store, at, as_of).await? else { return Ok((waived, failing)) };
    for rule in laid.waived_rules() {
        let filter = FindingFilter { rule: Some(rule.into()), verdicts: vec![Verdict::Fail], as_of, limit: MAX_WAIVED, ..FindingFilter::default() };
        for row in store.findings(&filter).await? {
            *failing.entry((rule.to_string(), row.host)).or_default() += 1;
            if laid.waiver(&row).is_some() {
                waived.push(Waived { rule: rule.into(), host: row.host, severity: row.finding.severity, since: row.since });
            }
        }
    }
    Ok((waived, failing))
}
