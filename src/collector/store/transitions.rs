//! Verdicts over time: where a report's verdicts begin and end those of its neighbours. Pure.
//!
//! Between two complete reports a verdict is taken to be that of the earlier one. A report that
//! arrives late (a spool that was offline, a second lineage) is laid between the two it belongs
//! between: what it says holds from its own time to the next report's, and what was known after
//! that stays as it was. So the spans do not depend on the order of arrival.

use std::collections::BTreeMap;

use crate::model::finding::Finding;
use crate::model::ids::Digest;

/// One verdict from `since` until `until` (`None`: still).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The verdict.
    pub finding: Finding,
    /// First second, Unix.
    pub since: i64,
    /// First second no longer so, Unix.
    pub until: Option<i64>,
    /// Report on whose facts it rests.
    pub report: Digest,
    /// Why those facts were judged again, when that brought it; `None`: the report did.
    pub origin: Option<String>,
}

/// What to do with the stored spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Positions of spans that have another end, and which.
    pub end: Vec<(usize, Option<i64>)>,
    /// Positions of spans that vanish: others say what they said, or they rested on older facts.
    pub remove: Vec<usize>,
    /// New spans.
    pub add: Vec<Span>,
}

impl Changes {
    /// Whether nothing is to be done.
    pub const fn is_empty(&self) -> bool {
        self.end.is_empty() && self.remove.is_empty() && self.add.is_empty()
    }
}

/// Verdicts to be laid.
#[derive(Clone, Copy)]
pub struct Laying<'a> {
    /// The verdicts.
    pub findings: &'a [Finding],
    /// Report on whose facts they rest.
    pub report: Digest,
    /// From when on, Unix seconds.
    pub at: i64,
    /// The next later report that judges the same: from when on, and which; `None`: there is none.
    pub next: Option<(i64, Digest)>,
    /// What brings a verdict of this rule, if not the report.
    pub origin: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// Whether an old verdict goes on when the new one is said.
    pub alike: &'a (dyn Fn(&Finding, &Finding) -> bool + Sync),
}

/// Lays verdicts over the spans of their host, from `at` to `next`: what was there in between goes, for it rested on older facts. `spans` must hold
/// every span with `until > at` and `since <= next`, those of one subject by time.
pub fn lay(spans: &[Span], new: &Laying<'_>) -> Changes {
    let mut changes = Changes::default();
    let mut about: BTreeMap<Key<'_>, (Vec<usize>, Option<&Finding>)> = BTreeMap::new();
    for (number, span) in spans.iter().enumerate() {
        about.entry(key(&span.finding)).or_default().0.push(number);
    }
    for finding in new.findings {
        about.entry(key(finding)).or_default().1 = Some(finding);
    }
    for (places, finding) in about.into_values() {
        lay_one(spans, &places, finding, new, &mut changes);
    }
    changes
}

/// The same for one rule and subject, whose spans stand at `places`.
fn lay_one(spans: &[Span], places: &[usize], finding: Option<&Finding>, new: &Laying<'_>, changes: &mut Changes) {
    let (at, next) = (new.at, new.next.map(|(next, _)| next));
    let of = |number: &usize| spans.get(*number).map(|span| (*number, span));
    let is_inside = |span: &Span| span.until.is_none_or(|u| u > at) && next.is_none_or(|n| span.since < n);
    let inside: Vec<(usize, &Span)> = places.iter().filter_map(of).filter(|(_, span)| is_inside(span)).collect();
    let follower = next.and_then(|n| places.iter().filter_map(of).find(|(_, span)| span.since == n));
    // What went on after the next report stays as it was: that report said the same.
    let rest = new.next.and_then(|(n, report)| {
        let (_, span) = inside.iter().find(|(_, s)| s.until.is_none_or(|u| u > n))?;
        Some(Span { since: n, report, origin: None, ..(*span).clone() })
    });
    let first = inside.iter().find(|(_, span)| span.since <= at).copied();
    let goes_on = first.filter(|(_, span)| finding.is_some_and(|f| (new.alike)(&span.finding, f)));
    for (number, span) in &inside {
        match goes_on {
            Some((kept, _)) if kept == *number => {}
            _ if span.since < at => changes.end.push((*number, Some(at))),
            _ => changes.remove.push(*number),
        }
    }
    let Some(said) = goes_on.map(|(_, span)| &span.finding).or(finding) else {
        changes.add.extend(rest);
        return;
    };
    let until = match (follower, &rest) {
        (Some((number, span)), _) if is_same(&span.finding, said) => {
            changes.remove.push(number);
            span.until
        }
        (_, Some(rest)) if is_same(&rest.finding, said) => rest.until,
        (_, rest) => {
            changes.add.extend(rest.clone());
            next
        }
    };
    match goes_on {
        Some((number, span)) if span.until != until => changes.end.push((number, until)),
        Some(_) => {}
        None => changes.add.push(Span { finding: said.clone(), since: at, until, report: new.report, origin: (new.origin)(&said.rule) }),
    }
}

type Key<'a> = (&'a str, &'a str);

fn key(finding: &Finding) -> Key<'_> {
    (&finding.rule, &finding.subject)
}

/// Whether two verdicts tell the same story; citations may move (a process id, a line number).
pub fn is_same(a: &Finding, b: &Finding) -> bool {
    a.verdict == b.verdict && a.severity == b.severity && a.message == b.message && a.reason == b.reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Severity, Verdict};

    fn finding(rule: &str, message: u8) -> Finding {
        Finding {
            rule: rule.into(),
            subject: String::new(),
            verdict: Verdict::Fail,
            severity: Severity::High,
            message: message.to_string(),
            reason: None,
            citations: Vec::new(),
        }
    }

    fn lay(spans: &[Span], findings: &[Finding], report: Digest, at: i64, next: Option<i64>) -> Changes {
        let next = next.map(|n| (n, Digest::of(&n.to_be_bytes())));
        super::lay(spans, &Laying { findings, report, at, next, origin: &|_| None, alike: &is_same })
    }

    fn apply(spans: &mut Vec<Span>, changes: Changes) {
        for (number, until) in changes.end {
            spans[number].until = until;
        }
        let mut number = 0;
        spans.retain(|_| {
            number += 1;
            !changes.remove.contains(&(number - 1))
        });
        spans.extend(changes.add);
        spans.sort_by_key(|s| (s.finding.rule.clone(), s.since));
        let keys: std::collections::BTreeSet<_> = spans.iter().map(|s| (key(&s.finding), s.since)).collect();
        assert_eq!(keys.len(), spans.len(), "what a span is about and when it began is its key");
        for pair in spans.windows(2).filter(|p| key(&p[0].finding) == key(&p[1].finding)) {
            assert!(pair[0].until.is_some_and(|u| u > pair[0].since && u <= pair[1].since), "{pair:?}");
        }
    }

    fn story(spans: &[Span]) -> Vec<(String, i64, Option<i64>, String)> {
        let mut out: Vec<_> = spans.iter().map(|s| (s.finding.rule.clone(), s.since, s.until, s.finding.message.clone())).collect();
        out.sort();
        out
    }

    /// A small generator (xorshift64), so that the test needs no crate and repeats exactly.
    struct Random(u64);
    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % n
        }
    }

    #[test]
    fn spans_do_not_depend_on_the_order_of_arrival() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..2_000 {
            let count = 1 + random.below(7) as usize;
            let reports: Vec<(i64, Vec<Finding>)> = (0..count)
                .map(|i| {
                    let findings = ["a", "b"].iter().filter_map(|rule| match random.below(4) {
                        0 => None,
                        n => Some(finding(rule, (n % 2) as u8)),
                    });
                    (i as i64 * 10 + 10, findings.collect())
                })
                .collect();
            let mut order: Vec<usize> = (0..count).collect();
            let mut stories = Vec::new();
            for shuffled in [false, true] {
                if shuffled {
                    for i in (1..count).rev() {
                        order.swap(i, random.below(i as u64 + 1) as usize);
                    }
                }
                let (mut spans, mut times) = (Vec::new(), Vec::new());
                for &i in &order {
                    let (at, findings) = &reports[i];
                    let next = times.iter().copied().filter(|t| t > at).min();
                    let changes = lay(&spans, findings, Digest::of(&[i as u8]), *at, next);
                    apply(&mut spans, changes);
                    times.push(*at);
                }
                for (at, findings) in &reports {
                    let mut then: Vec<_> = spans.iter().filter(|s| s.since <= *at && s.until.is_none_or(|u| u > *at)).map(|s| &s.finding).collect();
                    then.sort_by(|a, b| a.rule.cmp(&b.rule));
                    assert_eq!(then, findings.iter().collect::<Vec<_>>(), "round {round} at {at}, order {order:?}");
                }
                stories.push(story(&spans));
            }
            assert_eq!(stories[0], stories[1], "round {round}, order {order:?}");
        }
    }

    #[test]
    fn passes_between_reports_leave_no_trace_of_facts_that_a_late_report_makes_old() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for round in 0..2_000 {
            let count = 2 + random.below(6) as usize;
            let verdicts = |random: &mut Random| -> Vec<Finding> {
                let said = ["a", "b"].iter().filter_map(|rule| match random.below(4) {
                    0 => None,
                    n => Some(finding(rule, (n % 2) as u8)),
                });
                said.collect()
            };
            let reports: Vec<(i64, Vec<Finding>)> = (0..count).map(|i| (i as i64 * 10 + 10, verdicts(&mut random))).collect();
            let mut order: Vec<usize> = (0..count).collect();
            for i in (1..count).rev() {
                order.swap(i, random.below(i as u64 + 1) as usize);
            }
            let (mut spans, mut times) = (Vec::new(), Vec::new());
            for &i in &order {
                let (at, findings) = &reports[i];
                let next = times.iter().copied().filter(|t| t > at).min();
                let changes = lay(&spans, findings, Digest::of(&[i as u8]), *at, next);
                apply(&mut spans, changes);
                times.push(*at);
                // A pass after the newest report so far, on whatever it says.
                let newest = times.iter().copied().max().unwrap_or_default();
                let again = verdicts(&mut random);
                let brought = |_: &str| Some("time".to_string());
                let laying = Laying { findings: &again, report: Digest::of(b"p"), at: newest + 3, next: None, origin: &brought, alike: &is_same };
                let changes = super::lay(&spans, &laying);
                apply(&mut spans, changes);
                let mut now: Vec<_> = spans.iter().filter(|s| s.until.is_none()).map(|s| &s.finding).collect();
                now.sort_by(|a, b| a.rule.cmp(&b.rule));
                assert_eq!(now, again.iter().collect::<Vec<_>>(), "round {round}");
            }
            for (at, findings) in &reports {
                let mut then: Vec<_> = spans.iter().filter(|s| s.since <= *at && s.until.is_none_or(|u| u > *at)).map(|s| &s.finding).collect();
                then.sort_by(|a, b| a.rule.cmp(&b.rule));
                assert_eq!(then, findings.iter().collect::<Vec<_>>(), "round {round} at {at}, order {order:?}");
            }
            // Between two reports nothing is left of a pass but what stood on the newest facts of its time.
            let last = reports.last().map(|(at, _)| *at).unwrap_or_default();
            assert!(spans.iter().all(|s| s.origin.is_none() || reports.iter().any(|(at, _)| s.since == at + 3 && *at <= last)), "{spans:?}");
        }
    }

    #[test]
    fn what_a_pass_brought_is_said_and_a_report_that_says_the_same_keeps_it() {
        let brought = |_: &str| Some("time".to_string());
        let mut spans = vec![Span { finding: finding("a", 1), since: 10, until: None, report: Digest::of(b"1"), origin: None }];
        let again = [finding("a", 2)];
        let laying = Laying { findings: &again, report: Digest::of(b"1"), at: 20, next: None, origin: &brought, alike: &is_same };
        let changes = super::lay(&spans, &laying);
        apply(&mut spans, changes);
        assert_eq!((spans[0].until, spans[1].origin.as_deref()), (Some(20), Some("time")));
        assert_eq!(lay(&spans, &again, Digest::of(b"2"), 30, None), Changes::default());
        // A report of before the pass that comes late and says what was said first: the pass judged older facts.
        let changes = lay(&spans, &[finding("a", 1)], Digest::of(b"3"), 15, None);
        apply(&mut spans, changes);
        assert_eq!(story(&spans), [("a".to_string(), 10, None, "1".to_string())]);
        // Where words may differ the old ones stay.
        let laying = Laying { findings: &again, alike: &|_, _| true, ..laying };
        assert!(super::lay(&spans, &laying).is_empty());
    }

    #[test]
    fn an_unchanged_verdict_keeps_its_span_whatever_it_cites() {
        let mut moved = finding("a", 1);
        moved.citations.push(crate::model::finding::Citation { path: "a.pid".into(), value: "7".into(), source: None });
        let old = Span { finding: finding("a", 1), since: 10, until: None, report: Digest::of(b"1"), origin: None };
        assert_eq!(lay(&[old], &[moved], Digest::of(b"2"), 20, None), Changes::default());
    }

    #[test]
    fn a_second_report_of_the_same_second_replaces_the_first() {
        let old = Span { finding: finding("a", 1), since: 10, until: None, report: Digest::of(b"1"), origin: None };
        let changes = lay(&[old], &[finding("a", 2)], Digest::of(b"2"), 10, None);
        assert_eq!((changes.remove, changes.end.len(), changes.add.len()), (vec![0], 0, 1));
    }
}
