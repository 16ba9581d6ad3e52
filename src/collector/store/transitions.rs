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
    /// Report that brought it.
    pub report: Digest,
}

/// What to do with the stored spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Positions of spans that end, and when.
    pub end: Vec<(usize, i64)>,
    /// Positions of spans that vanish: others say what they said.
    pub remove: Vec<usize>,
    /// New spans.
    pub add: Vec<Span>,
}

/// Lays the verdicts of a report at time `at` over the spans of its host. `next` is the time of
/// the next later report, if there is one. `spans` must hold every span with `since <= at < until`
/// and every span with `since == next`.
pub fn lay(spans: &[Span], findings: &[Finding], report: Digest, at: i64, next: Option<i64>) -> Changes {
    let mut changes = Changes::default();
    let mut new: BTreeMap<(&str, &str), &Finding> = findings.iter().map(|f| (key(f), f)).collect();
    for (number, span) in spans.iter().enumerate().filter(|(_, s)| s.since <= at && s.until.is_none_or(|u| u > at)) {
        if new.get(&key(&span.finding)).is_some_and(|f| same(f, &span.finding)) {
            new.remove(&key(&span.finding));
            continue;
        }
        if span.since == at {
            changes.remove.push(number);
        } else {
            changes.end.push((number, at));
        }
        if let Some(next) = next.filter(|n| span.until.is_none_or(|u| u > *n)) {
            changes.add.push(Span { since: next, ..span.clone() });
        }
    }
    for (key_of_new, finding) in new {
        let follower = next.and_then(|n| spans.iter().enumerate().find(|(_, s)| s.since == n && key(&s.finding) == key_of_new && same(&s.finding, finding)));
        let until = match follower {
            Some((number, span)) => {
                changes.remove.push(number);
                span.until
            }
            None => next,
        };
        changes.add.push(Span { finding: finding.clone(), since: at, until, report });
    }
    changes
}

fn key(finding: &Finding) -> (&str, &str) {
    (&finding.rule, &finding.subject)
}

/// Whether two verdicts tell the same story; citations may move (a process id, a line number).
fn same(a: &Finding, b: &Finding) -> bool {
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

    fn apply(spans: &mut Vec<Span>, changes: Changes) {
        for (number, at) in changes.end {
            spans[number].until = Some(at);
        }
        let mut number = 0;
        spans.retain(|_| {
            number += 1;
            !changes.remove.contains(&(number - 1))
        });
        spans.extend(changes.add);
        let keys: std::collections::BTreeSet<_> = spans.iter().map(|s| (key(&s.finding), s.since)).collect();
        assert_eq!(keys.len(), spans.len(), "what a span is about and when it began is its key");
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
    fn an_unchanged_verdict_keeps_its_span_whatever_it_cites() {
        let mut moved = finding("a", 1);
        moved.citations.push(crate::model::finding::Citation { path: "a.pid".into(), value: "7".into(), source: None });
        let old = Span { finding: finding("a", 1), since: 10, until: None, report: Digest::of(b"1") };
        assert_eq!(lay(&[old], &[moved], Digest::of(b"2"), 20, None), Changes::default());
    }

    #[test]
    fn a_second_report_of_the_same_second_replaces_the_first() {
        let old = Span { finding: finding("a", 1), since: 10, until: None, report: Digest::of(b"1") };
        let changes = lay(&[old], &[finding("a", 2)], Digest::of(b"2"), 10, None);
        assert_eq!((changes.remove, changes.end.len(), changes.add.len()), (vec![0], 0, 1));
    }
}
