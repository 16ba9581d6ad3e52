//! From the store to what sentences rest on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Counted, Grounds, Held, Member, RuleCount, fleet};
use crate::collector::records::{Book, people};
use crate::collector::store::{Retirement, Store, StoreError, Tallies};
use crate::host::clock;
use crate::ledger::Kind;
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::HostId;
use crate::records::{Standing, standings};
use crate::rules::Pack;
use crate::rules::framework::{Check, Framework};

/// Spans of the past that are looked through for each verdict of now.
const HISTORY: u32 = 5;

/// All that the sentences of these pages rest on at `at`, Unix seconds. When more than `most` verdicts are behind them, their counts.
pub async fn load(store: &Store, pack: &Pack, pages: &[&Framework], at: i64, most: u32) -> Result<Grounds, StoreError> {
    let named: BTreeSet<&str> = pages.iter().flat_map(|p| p.controls.iter()).flat_map(|c| c.rules.iter().map(|m| m.rule.as_str())).collect();
    let retired: BTreeMap<HostId, i64> =
        store.statements(Kind::Retirement).await?.iter().map(|s| s.read().map(|r: Retirement| (r.host, r.at))).collect::<Result<_, _>>()?;
    let checks: BTreeSet<Check> = pages.iter().flat_map(|p| p.controls.iter()).flat_map(|c| c.told.iter().copied()).collect();
    let as_of = (at < clock::unix_now()).then_some(at);
    let counts = if most < u32::MAX { Some(store.tallies(as_of).await?) } else { None };
    let behind = |t: &Tallies| named.iter().flat_map(|rule| Verdict::ALL.map(|v| t.of(rule, v).findings)).sum::<u64>() > u64::from(most);
    let spells = match counts.as_ref().filter(|t| behind(t)) {
        Some(_) => None,
        None => store.spells(&named.iter().copied().collect::<Vec<_>>(), at, most.saturating_mul(HISTORY)).await?,
    };
    let Some(spells) = spells else {
        let tallies = match counts {
            Some(tallies) => tallies,
            None => store.tallies(as_of).await?,
        };
        return Ok(Grounds {
            counted: Some(counted(store, &tallies, &named, as_of).await?),
            fleet: fleet::look(store, &checks, None, at).await?,
            records: records(store, at).await?,
            rules: severities(pack, &named),
            ..Grounds::default()
        });
    };
    let hosts = store.hosts(Some(at)).await?;
    let fleet = fleet::look(store, &checks, Some(&hosts), at).await?;
    Ok(Grounds {
        spells,
        fleet,
        counted: None,
        hosts: hosts.into_iter().map(|h| Member { from: h.enrolled_at, until: retired.get(&h.id).copied(), id: h.id, name: h.name }).collect(),
        records: records(store, at).await?,
        rules: severities(pack, &named),
    })
}

/// Rules that judge, of those that are named.
fn severities(pack: &Pack, named: &BTreeSet<&str>) -> BTreeMap<String, Severity> {
    pack.rules.iter().filter(|r| named.contains(r.id.as_str())).map(|r| (r.id.clone(), r.severity)).collect()
}

async fn counted(store: &Store, tallies: &Tallies, named: &BTreeSet<&str>, as_of: Option<i64>) -> Result<Counted, StoreError> {
    let mut rules = BTreeMap::new();
    for rule in named {
        let pair = |verdict| (tallies.of(rule, verdict).findings, tallies.of(rule, verdict).hosts);
        let (fails, unknowns) = (pair(Verdict::Fail), pair(Verdict::Unknown));
        let mut count = RuleCount { fails, unknowns, judged: Verdict::ALL.map(|v| tallies.of(rule, v).hosts).iter().sum(), ..RuleCount::default() };
        if fails.0 > 0 {
            count.failing_since = store.oldest_finding(rule, Verdict::Fail, as_of).await?.map(|f| f.since);
        }
        if unknowns.0 > 0 {
            count.unknown_since = store.oldest_finding(rule, Verdict::Unknown, as_of).await?.map(|f| f.since);
        }
        rules.insert((*rule).to_string(), count);
    }
    Ok(Counted { hosts: store.host_count(as_of).await?, rules })
}

/// How each record type stands at `at` (Unix seconds), by what people recorded and by the rosters that were in force.
pub async fn records(store: &Store, at: i64) -> Result<BTreeMap<String, Held>, StoreError> {
    let book = Book::read(store).await?;
    let people = people(store, at).await?;
    Ok(held(&standings(book.types, &book.events, people.as_ref(), 0, at.saturating_add(1)), at))
}

/// How each record type stands at `at` (Unix seconds), by the standings of its duties and entries: as the worst of them. A type of which nothing is
/// told is left out: no record.
pub fn held(standings: &[Standing], at: i64) -> BTreeMap<String, Held> {
    let mut out: BTreeMap<String, Held> = BTreeMap::new();
    for standing in standings.iter().filter(|s| s.since <= at && s.until.is_none_or(|u| u > at)) {
        let new = Held { verdict: standing.state.verdict(), since: standing.since, message: standing.message.clone() };
        match out.get_mut(&standing.record) {
            None => drop(out.insert(standing.record.clone(), new)),
            Some(old) if rank(new.verdict) > rank(old.verdict) => *old = new,
            // One that is wrong is enough, so it is as old as the first; all must be right, so that is as old as the last.
            Some(old) if new.verdict == old.verdict => {
                let first = if new.verdict == Verdict::Pass { new.since > old.since } else { new.since < old.since };
                if first {
                    *old = new;
                }
            }
            Some(_) => {}
        }
    }
    out
}

const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass | Verdict::NotApplicable => 0,
        Verdict::NotRun => 1,
        Verdict::Unknown => 2,
        Verdict::Waived => 3,
        Verdict::Fail => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::State;

    #[test]
    fn a_record_type_stands_as_the_worst_of_its_duties() {
        let standing = |record: &str, state, since, until| Standing {
            record: record.into(),
            entry: None,
            subject: String::new(),
            state,
            since,
            until,
            message: format!("{since}"),
            events: Vec::new(),
        };
        let all = [
            standing("training", State::Current, 10, None),
            standing("training", State::Overdue, 30, None),
            standing("training", State::Overdue, 20, None),
            standing("training", State::Missing, 5, None),
            standing("policies", State::Current, 10, None),
            standing("policies", State::Due, 40, None),
            standing("audit", State::Overdue, 10, Some(50)),
        ];
        let told: Vec<(String, Verdict, i64)> = held(&all, 60).into_iter().map(|(id, h)| (id, h.verdict, h.since)).collect();
        assert_eq!(told, [("policies".into(), Verdict::Pass, 40), ("training".into(), Verdict::Fail, 20)]);
        assert_eq!(held(&all, 45)["audit"].verdict, Verdict::Fail);
        assert!(held(&all, 4).is_empty());
    }
}
