//! A company's own sentences: whether each is true, since when, and where not. Pure; see `commitments/pages.rs` for the files,
//! `commitments/grounds.rs` for what is read from the store, `commitments/published.rs` for what the public may see.
//!
//! A sentence is true when every rule behind it holds on every host that counts and every record behind it is current. What was not observed is
//! unknown, what nobody recorded is no record; neither is ever true.
//!
//! ```text
//! spans of verdicts, hosts, records -> one cell for each rule and host -> what all cells say, change by change -> truth, and since when
//! ```

pub mod fleet;
pub mod grounds;
pub mod pages;
pub mod published;
pub mod telling;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::finding::{Severity, Verdict};
use crate::model::ids::HostId;
use crate::rules::framework::{Check, Control, Framework};

/// Most places that are told of one sentence; more are counted.
pub const MAX_PLACES: usize = 1_000;

/// What a sentence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Everything behind it holds.
    True,
    /// Nothing speaks against it, but what a person must record is not there.
    NoRecord,
    /// Something that it rests on was not observed.
    Unknown,
    /// Something that it rests on does not hold.
    False,
}

impl Truth {
    /// The word people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::NoRecord => "no record",
            Self::Unknown => "unknown",
            Self::False => "false",
        }
    }

    const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass | Verdict::NotApplicable => Self::True,
            Verdict::Unknown | Verdict::NotRun => Self::Unknown,
            // A waiver bears with a failure; it does not make the sentence true.
            Verdict::Fail | Verdict::Waived => Self::False,
        }
    }
}

/// How what a person must record stands, for one record type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// `pass`: recorded, complete and in time. `not_run`: nobody recorded it.
    pub verdict: Verdict,
    /// Since when it stands so, Unix seconds; 0: as long as anything is known.
    pub since: i64,
    /// One sentence.
    pub message: String,
}

/// One verdict over a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spell {
    /// Host.
    pub host: HostId,
    /// Rule.
    pub rule: String,
    /// What it is about.
    pub subject: String,
    /// The verdict.
    pub verdict: Verdict,
    /// First second, Unix.
    pub since: i64,
    /// First second no longer so; `None`: still.
    pub until: Option<i64>,
}

/// A host of the population.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: HostId,
    /// Its name; shown, never trusted.
    pub name: String,
    /// From when on it counts, Unix seconds.
    pub from: i64,
    /// Until when it counted; `None`: it counts.
    pub until: Option<i64>,
}

/// All that sentences rest on.
#[derive(Clone, Debug, Default)]
pub struct Grounds {
    /// Verdicts of the rules behind them, from the beginning.
    pub spells: Vec<Spell>,
    /// Hosts that count or counted.
    pub hosts: Vec<Member>,
    /// How the record types stand, by id; one that is missing is no record.
    pub records: BTreeMap<String, Held>,
    /// Rules that judge, with their severity; another one can't be told.
    pub rules: BTreeMap<String, Severity>,
    /// What the collector sees of the fleet as a whole; what is missing was not looked at.
    pub fleet: BTreeMap<Check, fleet::Seen>,
    /// Counts instead of verdicts and hosts, of a fleet that is too large to be looked at verdict by verdict.
    pub counted: Option<Counted>,
}

/// Counts of verdicts, instead of the verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Hosts that count.
    pub hosts: u64,
    /// By rule.
    pub rules: BTreeMap<String, RuleCount>,
}

/// What a rule says of all hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleCount {
    /// Failures, and the hosts that have one.
    pub fails: (u64, u64),
    /// What can't be told, and on how many hosts.
    pub unknowns: (u64, u64),
    /// Hosts with any verdict, each once for each verdict that it has: never fewer than were judged.
    pub judged: u64,
    /// Since when the oldest failure lasts, Unix seconds.
    pub failing_since: Option<i64>,
    /// Since when the oldest unknown lasts, Unix seconds.
    pub unknown_since: Option<i64>,
}

impl Counted {
    /// What a rule says, if every host was judged.
    fn truth(&self, rule: &str) -> Truth {
        match self.rules.get(rule) {
            Some(count) if count.fails.0 > 0 => Truth::False,
            Some(count) if count.unknowns.0 == 0 && count.judged >= self.hosts && self.hosts > 0 => Truth::True,
            _ => Truth::Unknown,
        }
    }

    /// Where a rule does not hold: one line for all hosts.
    fn places(&self, rule: &str) -> Vec<Place> {
        let place = |verdict, hosts: u64, since| Place {
            verdict,
            host: if hosts == 1 { "1 host".into() } else { format!("{hosts} hosts") },
            what: rule.into(),
            subject: String::new(),
            since,
            id: None,
        };
        let count = self.rules.get(rule).cloned().unwrap_or_default();
        let mut out = Vec::new();
        if count.fails.0 > 0 {
            out.push(place(Verdict::Fail, count.fails.1, count.failing_since));
        }
        if count.unknowns.0 > 0 {
            out.push(place(Verdict::Unknown, count.unknowns.1, count.unknown_since));
        }
        if count.judged < self.hosts {
            out.push(place(Verdict::Unknown, self.hosts - count.judged, None));
        }
        out
    }
}

/// A place where a sentence does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Place {
    /// `fail` or `unknown`.
    pub verdict: Verdict,
    /// Name of the host; empty: the whole fleet.
    pub host: String,
    /// Rule, or record type.
    pub what: String,
    /// What of the host; may be empty.
    pub subject: String,
    /// Since when, Unix seconds; `None`: it was never told.
    pub since: Option<i64>,
    /// The host; `None`: the whole fleet.
    pub id: Option<HostId>,
}

/// One sentence and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Status {
    /// Its id on the page.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The sentence.
    pub text: String,
    /// What it is.
    pub truth: Truth,
    /// The latest moment from which it is so over all its rules, hosts and records, Unix seconds; `None`: as long as anything is known.
    pub since: Option<i64>,
    /// Hosts that count.
    pub hosts: usize,
    /// Where not, failures first.
    pub places: Vec<Place>,
    /// Places beyond those that are told.
    pub more: usize,
    /// What is missing beside rules and hosts, one sentence each.
    pub missing: Vec<String>,
    /// Worst severity of the rules that fail.
    pub severity: Option<Severity>,
}

/// How every sentence of a page stands at `at`, Unix seconds.
pub fn status(page: &Framework, grounds: &Grounds, at: i64) -> Vec<Status> {
    let mut by_rule: BTreeMap<&str, Vec<&Spell>> = BTreeMap::new();
    for spell in grounds.spells.iter().filter(|s| s.since <= at) {
        by_rule.entry(&spell.rule).or_default().push(spell);
    }
    page.controls.iter().map(|control| Sentence { control, grounds, by_rule: &by_rule, at }.status()).collect()
}

struct Sentence<'a> {
    control: &'a Control,
    grounds: &'a Grounds,
    by_rule: &'a BTreeMap<&'a str, Vec<&'a Spell>>,
    at: i64,
}

/// What changes at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Open verdicts that fail.
    fails: i64,
    /// Open verdicts that can't be told.
    unknowns: i64,
    /// Pairs of rule and host that count and have no open verdict at all.
    unjudged: i64,
    /// Hosts that count.
    hosts: i64,
}

/// What stands beside the rules of a sentence.
struct Beside {
    truth: Truth,
    /// When the last of the records came to stand as it stands.
    since: Option<i64>,
    /// When the first of those that are wrong did.
    false_since: Option<i64>,
}

impl Sentence<'_> {
    fn status(&self) -> Status {
        let now = |member: &&Member| member.from <= self.at && member.until.is_none_or(|u| u > self.at);
        let members: Vec<&Member> = self.grounds.hosts.iter().filter(now).collect();
        let (beside, missing) = self.beside();
        let (of_rules, changes) = self.sweep();
        let truth = beside.truth.max(of_rules);
        // Backwards to the last moment at which the rules said something else.
        let run = |is_so: &dyn Fn(Truth) -> bool| changes.iter().rev().take_while(|(_, told)| is_so(*told)).last().map(|(at, _)| *at);
        let since = match truth {
            // One failure is enough: it is as old as the oldest that lasts.
            Truth::False => [run(&|told| told == Truth::False), beside.false_since].into_iter().flatten().min(),
            // What a record was before it stood as it stands is not known.
            _ => [run(&|told| beside.truth.max(told) == truth), beside.since].into_iter().flatten().max(),
        };
        let mut places = match &self.grounds.counted {
            Some(counted) => self.control.rules.iter().flat_map(|m| counted.places(&m.rule)).collect(),
            None => self.places(&members),
        };
        places.extend(self.seen().filter_map(|(_, seen)| seen).flat_map(|seen| seen.places.iter().cloned()));
        places.sort_by(|a, b| (rank(a.verdict), &a.host, &a.what, &a.subject).cmp(&(rank(b.verdict), &b.host, &b.what, &b.subject)));
        let failing = places.iter().filter(|p| p.verdict == Verdict::Fail);
        let severity = failing.filter_map(|p| self.grounds.rules.get(&p.what).copied()).max();
        let more = places.len().saturating_sub(MAX_PLACES);
        places.truncate(MAX_PLACES);
        let Control { id, title, text, .. } = self.control.clone();
        let hosts = self.grounds.counted.as_ref().map_or(members.len(), |c| usize::try_from(c.hosts).unwrap_or(usize::MAX));
        Status { id, title, text, truth, since, hosts, places, more, missing, severity }
    }

    /// What the collector sees of the fleet for this sentence; rules and records tell for themselves.
    fn seen(&self) -> impl Iterator<Item = (Check, Option<&fleet::Seen>)> {
        let own = self.control.told.iter().filter(|c| !matches!(c, Check::Rules | Check::Records));
        own.map(|check| (*check, self.grounds.fleet.get(check)))
    }

    /// What stands beside rules: records, and what nobody tells here; with what is missing.
    fn beside(&self) -> (Beside, Vec<String>) {
        let (mut beside, mut missing) = (Beside { truth: Truth::True, since: None, false_since: None }, Vec::new());
        if !self.control.fleet.is_empty() && self.control.told.is_empty() {
            beside.truth = Truth::Unknown;
            missing.push(format!("told by an export of evidence, not here: {}", self.control.fleet));
        }
        for (check, seen) in self.seen() {
            let Some(seen) = seen else {
                beside.truth = beside.truth.max(Truth::Unknown);
                missing.push(format!("{check:?} was not looked at").to_lowercase());
                continue;
            };
            beside.truth = beside.truth.max(seen.truth);
            beside.since = beside.since.max(seen.since);
            if seen.truth == Truth::False {
                let since = seen.since.unwrap_or(self.at);
                beside.false_since = Some(beside.false_since.map_or(since, |other| other.min(since)));
            }
            if seen.truth != Truth::True {
                missing.push(seen.message.clone());
            }
        }
        if !self.control.record.is_empty() && self.control.records.is_empty() {
            beside.truth = beside.truth.max(Truth::NoRecord);
            missing.push(format!("no record type holds: {}", self.control.record));
        }
        for record in &self.control.records {
            let Some(held) = self.grounds.records.get(record) else {
                beside.truth = beside.truth.max(Truth::NoRecord);
                missing.push(format!("{record}: nobody recorded it"));
                continue;
            };
            let told = if held.verdict == Verdict::NotRun { Truth::NoRecord } else { Truth::of(held.verdict) };
            beside.truth = beside.truth.max(told);
            beside.since = beside.since.max((held.since > 0).then_some(held.since));
            if told == Truth::False {
                beside.false_since = Some(beside.false_since.map_or(held.since, |since| since.min(held.since)));
            }
            if told != Truth::True {
                missing.push(format!("{record}: {}", held.message));
            }
        }
        (beside, missing)
    }

    /// What the rules say together at `at`, and what they said after each change, oldest first.
    fn sweep(&self) -> (Truth, Vec<(i64, Truth)>) {
        if self.control.rules.is_empty() {
            return (Truth::True, Vec::new());
        }
        if let Some(counted) = &self.grounds.counted {
            let truth = self.control.rules.iter().map(|m| counted.truth(&m.rule)).max().unwrap_or(Truth::Unknown);
            // Counts tell how old the oldest failure is that lasts, and nothing else of the past.
            let oldest = self.control.rules.iter().filter_map(|m| counted.rules.get(&m.rule)?.failing_since).min();
            return (truth, oldest.filter(|_| truth == Truth::False).map(|at| (at, truth)).into_iter().collect());
        }
        let mut events: BTreeMap<i64, Tally> = BTreeMap::new();
        let mut add = |at: i64, change: &dyn Fn(&mut Tally)| {
            if at <= self.at {
                change(events.entry(at).or_default());
            }
        };
        for member in &self.grounds.hosts {
            let rules = self.control.rules.len() as i64;
            add(member.from, &|t| (t.hosts, t.unjudged) = (t.hosts + 1, t.unjudged + rules));
            if let Some(until) = member.until {
                add(until, &|t| (t.hosts, t.unjudged) = (t.hosts - 1, t.unjudged - rules));
            }
        }
        let counts: BTreeMap<HostId, &Member> = self.grounds.hosts.iter().map(|m| (m.id, m)).collect();
        for mapping in &self.control.rules {
            let spells = self.by_rule.get(mapping.rule.as_str()).map_or(&[][..], Vec::as_slice);
            let mut by_host: BTreeMap<HostId, Vec<(i64, Option<i64>)>> = BTreeMap::new();
            for spell in spells {
                let Some((from, until)) = counts.get(&spell.host).and_then(|m| within(spell, m)) else { continue };
                let truth = Truth::of(spell.verdict);
                let by = |n: i64| {
                    move |t: &mut Tally| {
                        t.fails += n * i64::from(truth == Truth::False);
                        t.unknowns += n * i64::from(truth == Truth::Unknown);
                    }
                };
                add(from, &by(1));
                if let Some(until) = until {
                    add(until, &by(-1));
                }
                by_host.entry(spell.host).or_default().push((from, until));
            }
            for covered in by_host.into_values().flat_map(covered) {
                add(covered.0, &|t| t.unjudged -= 1);
                if let Some(until) = covered.1 {
                    add(until, &|t| t.unjudged += 1);
                }
            }
        }
        let (mut sum, mut changes) = (Tally::default(), Vec::new());
        let mut last = Truth::Unknown;
        for (at, change) in events {
            sum = Tally {
                fails: sum.fails + change.fails,
                unknowns: sum.unknowns + change.unknowns,
                unjudged: sum.unjudged + change.unjudged,
                hosts: sum.hosts + change.hosts,
            };
            last = match sum {
                Tally { fails: 1.., .. } => Truth::False,
                Tally { unknowns: 1.., .. } | Tally { unjudged: 1.., .. } | Tally { hosts: ..=0, .. } => Truth::Unknown,
                _ => Truth::True,
            };
            changes.push((at, last));
        }
        (last, changes)
    }

    /// Open failures and unknowns, and what was never told.
    fn places(&self, members: &[&Member]) -> Vec<Place> {
        let names: BTreeMap<HostId, &str> = members.iter().map(|m| (m.id, m.name.as_str())).collect();
        let mut out = Vec::new();
        for mapping in &self.control.rules {
            let spells = self.by_rule.get(mapping.rule.as_str()).map_or(&[][..], Vec::as_slice);
            let open = |s: &&&Spell| s.until.is_none_or(|u| u > self.at);
            let mut told: BTreeSet<HostId> = BTreeSet::new();
            for spell in spells.iter().filter(open) {
                let Some(name) = names.get(&spell.host) else { continue };
                told.insert(spell.host);
                let verdict = match Truth::of(spell.verdict) {
                    Truth::True | Truth::NoRecord => continue,
                    Truth::Unknown => Verdict::Unknown,
                    Truth::False => spell.verdict,
                };
                out.push(Place {
                    verdict,
                    host: (*name).into(),
                    what: mapping.rule.clone(),
                    subject: spell.subject.clone(),
                    since: Some(spell.since),
                    id: Some(spell.host),
                });
            }
            let never = members.iter().filter(|m| !told.contains(&m.id));
            out.extend(never.map(|m| Place {
                verdict: Verdict::Unknown,
                host: m.name.clone(),
                what: mapping.rule.clone(),
                subject: String::new(),
                since: None,
                id: Some(m.id),
            }));
            if members.is_empty() {
                out.push(Place { verdict: Verdict::Unknown, host: String::new(), what: mapping.rule.clone(), subject: String::new(), since: None, id: None });
            }
        }
        out
    }
}

const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::Waived => 1,
        _ => 2,
    }
}

/// The part of a span in which its host counts.
fn within(spell: &Spell, member: &Member) -> Option<(i64, Option<i64>)> {
    let from = spell.since.max(member.from);
    let until = match (spell.until, member.until) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    until.is_none_or(|u| u > from).then_some((from, until))
}

/// The time that spans cover together, as spans that do not touch.
fn covered(mut spans: Vec<(i64, Option<i64>)>) -> Vec<(i64, Option<i64>)> {
    spans.sort_by_key(|(from, _)| *from);
    let mut out: Vec<(i64, Option<i64>)> = Vec::new();
    for (from, until) in spans {
        match out.last_mut() {
            Some((_, last)) if last.is_none_or(|l| l >= from) => {
                *last = match (*last, until) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                }
            }
            _ => out.push((from, until)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::framework::{Kind, Mapping};

    const FIRST: HostId = HostId::new([1; 32]);
    const SECOND: HostId = HostId::new([2; 32]);

    fn control(rules: &[&str], records: &[&str]) -> Control {
        Control {
            id: "S1".into(),
            title: "A sentence".into(),
            text: "We do it.".into(),
            rules: rules.iter().map(|r| Mapping { rule: (*r).into(), mapping: "satisfies".into() }).collect(),
            fleet: String::new(),
            told: Vec::new(),
            record: if records.is_empty() { String::new() } else { "what a person says".into() },
            records: records.iter().map(|r| (*r).to_string()).collect(),
        }
    }

    fn member(id: HostId, name: &str, from: i64, until: Option<i64>) -> Member {
        Member { id, name: name.into(), from, until }
    }

    fn spell(host: HostId, rule: &str, verdict: Verdict, since: i64, until: Option<i64>) -> Spell {
        Spell { host, rule: rule.into(), subject: String::new(), verdict, since, until }
    }

    fn told(control: Control, grounds: &Grounds, at: i64) -> Status {
        let page =
            Framework { kind: Kind::Commitments, id: "own".into(), title: "Own".into(), version: "1".into(), source: "here".into(), controls: vec![control] };
        status(&page, grounds, at).remove(0)
    }

    fn grounds() -> Grounds {
        use Verdict::{Fail, NotApplicable, Pass, Unknown};
        Grounds {
            spells: vec![
                spell(FIRST, "a", Pass, 10, Some(40)),
                spell(FIRST, "a", Fail, 40, Some(60)),
                spell(FIRST, "a", Pass, 60, None),
                spell(FIRST, "b", Unknown, 10, Some(20)),
                spell(FIRST, "b", Pass, 20, None),
                spell(SECOND, "a", Pass, 35, Some(70)),
                spell(SECOND, "a", Pass, 70, None),
                spell(SECOND, "b", NotApplicable, 36, None),
            ],
            hosts: vec![member(FIRST, "web01", 5, None), member(SECOND, "web02", 30, None)],
            records: BTreeMap::new(),
            fleet: BTreeMap::new(),
            counted: None,
            rules: [("a".to_string(), Severity::High), ("b".to_string(), Severity::Low)].into(),
        }
    }

    #[test]
    fn a_sentence_is_as_old_as_the_last_change_of_what_it_is() {
        let both = || control(&["a", "b"], &[]);
        let story: Vec<(Truth, Option<i64>)> = [4, 9, 15, 25, 32, 39, 50, 65, 80].map(|at| told(both(), &grounds(), at)).map(|s| (s.truth, s.since)).into();
        use Truth::{False, True, Unknown};
        let expected = [
            (Unknown, None),
            // Enrolled and not judged.
            (Unknown, Some(5)),
            (Unknown, Some(5)),
            (True, Some(20)),
            // A second host that nobody looked at yet.
            (Unknown, Some(30)),
            (True, Some(36)),
            (False, Some(40)),
            (True, Some(60)),
            // Other words of the same verdict change nothing.
            (True, Some(60)),
        ];
        assert_eq!(story, expected);
        let failing = told(both(), &grounds(), 50);
        assert_eq!((failing.places.len(), failing.severity, failing.hosts), (1, Some(Severity::High), 2));
        assert_eq!((failing.places[0].host.as_str(), failing.places[0].since), ("web01", Some(40)));
        let unseen = told(both(), &grounds(), 32);
        assert_eq!(unseen.places.iter().map(|p| (p.host.as_str(), p.what.as_str(), p.since)).collect::<Vec<_>>(), [("web02", "a", None), ("web02", "b", None)]);
    }

    #[test]
    fn a_host_that_is_gone_counts_no_longer_and_no_host_is_unknown() {
        let mut grounds = grounds();
        grounds.spells.push(spell(SECOND, "c", Verdict::Fail, 35, None));
        grounds.spells.push(spell(FIRST, "c", Verdict::Pass, 30, None));
        assert_eq!(told(control(&["c"], &[]), &grounds, 80).truth, Truth::False);
        grounds.hosts[1].until = Some(75);
        let after = told(control(&["c"], &[]), &grounds, 80);
        assert_eq!((after.truth, after.since, after.hosts), (Truth::True, Some(75), 1));
        grounds.hosts[0].until = Some(78);
        let nobody = told(control(&["c"], &[]), &grounds, 80);
        assert_eq!((nobody.truth, nobody.since), (Truth::Unknown, Some(78)));
        // A rule that judges nothing is unknown on every host, never true.
        assert_eq!(told(control(&["never"], &[]), &self::grounds(), 80).truth, Truth::Unknown);
        // A waiver does not make a sentence true.
        grounds.spells.iter_mut().for_each(|s| s.verdict = Verdict::Waived);
        grounds.hosts[0].until = None;
        assert_eq!(told(control(&["c"], &[]), &grounds, 80).truth, Truth::False);
    }

    #[test]
    fn counts_tell_the_same_of_a_large_fleet_and_no_more() {
        let count = |fails, unknowns, judged| RuleCount { fails, unknowns, judged, failing_since: (fails.0 > 0).then_some(7), unknown_since: None };
        let rules = [("a", count((0, 0), (0, 0), 9)), ("b", count((4, 2), (0, 0), 9)), ("c", count((0, 0), (1, 1), 9)), ("d", count((0, 0), (0, 0), 8))];
        let counted = Counted { hosts: 9, rules: rules.map(|(id, c)| (id.to_string(), c)).into() };
        let grounds = Grounds { counted: Some(counted), ..Grounds::default() };
        let of = |rules: &[&str]| told(control(rules, &[]), &grounds, 80);
        assert_eq!((of(&["a"]).truth, of(&["a"]).since, of(&["a"]).hosts), (Truth::True, None, 9));
        assert_eq!((of(&["a", "b", "c"]).truth, of(&["a", "b"]).since, of(&["b"]).places[0].host.as_str()), (Truth::False, Some(7), "2 hosts"));
        assert_eq!((of(&["c"]).truth, of(&["d"]).truth, of(&["absent"]).truth), (Truth::Unknown, Truth::Unknown, Truth::Unknown));
        assert_eq!(of(&["d"]).places[0].host, "1 host", "which was not judged");
    }

    #[test]
    fn records_count_beside_rules_and_what_is_missing_is_never_true() {
        let mut grounds = grounds();
        let with = |records: &[&str]| control(&["a", "b"], records);
        let missing = told(with(&["training"]), &grounds, 80);
        assert_eq!((missing.truth, missing.missing.join("")), (Truth::NoRecord, "training: nobody recorded it".into()));
        let held = |verdict, since| Held { verdict, since, message: "it is so".into() };
        grounds.records.insert("training".into(), held(Verdict::Pass, 72));
        grounds.records.insert("audit".into(), held(Verdict::Pass, 50));
        let all = told(with(&["training", "audit"]), &grounds, 80);
        assert_eq!((all.truth, all.since, all.missing.len()), (Truth::True, Some(72), 0));
        grounds.records.insert("audit".into(), held(Verdict::Fail, 50));
        grounds.records.insert("training".into(), held(Verdict::Fail, 45));
        let wrong = told(with(&["training", "audit"]), &grounds, 80);
        assert_eq!((wrong.truth, wrong.since, wrong.severity), (Truth::False, Some(45), None), "as old as the first that is wrong");
        assert_eq!(told(with(&["audit"]), &grounds, 55).since, Some(40), "or as the failure of a rule before it");
        grounds.records.insert("audit".into(), held(Verdict::NotRun, 50));
        assert_eq!(told(with(&["audit"]), &grounds, 80).truth, Truth::NoRecord);
        // Said in words alone: nobody can tell.
        assert_eq!(told(Control { fleet: "scans every week".into(), ..with(&[]) }, &grounds, 80).truth, Truth::Unknown);
        assert_eq!(told(Control { record: "the auditor's report".into(), ..with(&[]) }, &grounds, 80).truth, Truth::NoRecord);
    }
}
