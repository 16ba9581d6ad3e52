//! By how much a change of spans changes the counts of each day. Pure.
//!
//! A count of a day is the sum of the moves up to it, so a report that arrives late moves the past and nothing is counted twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::engine::{Result, StoreError};
use crate::model::finding::{Severity, Verdict};

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// One verdict over a span of time, as counts see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Rule.
    pub rule: String,
    /// Subject.
    pub subject: String,
    /// Verdict.
    pub verdict: Verdict,
    /// Severity.
    pub severity: Severity,
    /// Since when the verdict holds whatever its words, Unix seconds.
    pub began: i64,
    /// First second, Unix.
    pub since: i64,
    /// First second no longer so; `None`: still.
    pub until: Option<i64>,
}

/// Moves of counts, by day (days since 1970-01-01, UTC).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    /// Of findings and of hosts by day, rule (empty: any) and verdict.
    #[serde(with = "rows")]
    pub tallies: BTreeMap<(i64, String, Verdict), (i64, i64)>,
    /// Of findings that are worth an age, by day, verdict, severity rank and the day their verdict began.
    #[serde(with = "rows")]
    pub ages: BTreeMap<(i64, Verdict, i64, i64), i64>,
}

/// Maps with keys of several parts as lists of pairs: JSON has text keys alone.
mod rows {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(map: &BTreeMap<K, V>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map.iter())
    }

    pub fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}

impl Moves {
    /// What makes `after` of `before`, both of one host.
    pub fn between(before: &[Counted], after: &[Counted]) -> Self {
        let mut moves = Self::default();
        moves.add(before, -1);
        moves.add(after, 1);
        moves.settle();
        moves
    }

    /// Adds other moves, those of another host as well; [`Moves::settle`] when all are in.
    pub fn join(&mut self, other: Self) {
        for (key, (findings, hosts)) in other.tallies {
            let sum = self.tallies.entry(key).or_default();
            *sum = (sum.0.saturating_add(findings), sum.1.saturating_add(hosts));
        }
        for (key, findings) in other.ages {
            let sum = self.ages.entry(key).or_default();
            *sum = sum.saturating_add(findings);
        }
    }

    /// Whether no count moves.
    pub fn is_empty(&self) -> bool {
        self.tallies.is_empty() && self.ages.is_empty()
    }

    /// As it waits to be added up.
    pub fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| StoreError::Database(e.to_string()))
    }

    /// Reads what [`Moves::text`] wrote.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| StoreError::Damaged(format!("moves of tallies: {e}")))
    }

    fn add(&mut self, spans: &[Counted], sign: i64) {
        let mut presence: BTreeMap<(&str, Verdict), Vec<(i64, i64)>> = BTreeMap::new();
        for span in spans {
            for (at, sign) in [(Some(span.since), sign), (span.until, -sign)] {
                let Some(at) = at else { continue };
                self.tallies.entry((at.div_euclid(DAY), span.rule.clone(), span.verdict)).or_default().0 += sign;
                if has_age(span.verdict) {
                    *self.ages.entry((at.div_euclid(DAY), span.verdict, rank(span.severity), span.began.div_euclid(DAY))).or_default() += sign;
                }
            }
            for rule in [span.rule.as_str(), ""] {
                presence.entry((rule, span.verdict)).or_default().push((span.since, span.until.unwrap_or(i64::MAX)));
            }
        }
        // A host counts once, however many of its subjects say the same.
        for ((rule, verdict), mut spans) in presence {
            spans.sort_unstable();
            let mut merged: Vec<(i64, i64)> = Vec::new();
            for (since, until) in spans {
                match merged.last_mut() {
                    Some(last) if since <= last.1 => last.1 = last.1.max(until),
                    _ => merged.push((since, until)),
                }
            }
            for (since, until) in merged {
                let mut put = |at: i64, sign: i64| self.tallies.entry((at.div_euclid(DAY), rule.to_string(), verdict)).or_default().1 += sign;
                put(since, sign);
                if until < i64::MAX {
                    put(until, -sign);
                }
            }
        }
        // Any rule has the sum of its rules' findings.
        for span in spans {
            for (at, sign) in [(Some(span.since), sign), (span.until, -sign)] {
                let Some(at) = at else { continue };
                self.tallies.entry((at.div_euclid(DAY), String::new(), span.verdict)).or_default().0 += sign;
            }
        }
    }

    /// Forgets what comes to nothing.
    pub fn settle(&mut self) {
        self.tallies.retain(|_, moved| *moved != (0, 0));
        self.ages.retain(|_, moved| *moved != 0);
    }
}

/// Whether people ask for how long a verdict is open.
pub const fn has_age(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fail | Verdict::Unknown)
}

/// A severity as the store orders it.
pub const fn rank(severity: Severity) -> i64 {
    match severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

/// The severity of a rank.
pub fn severity_of(rank: i64) -> Result<Severity> {
    Severity::ALL.into_iter().find(|s| self::rank(*s) == rank).ok_or_else(|| StoreError::Damaged(format!("severity {rank}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rule: &str, subject: &str, verdict: Verdict, since: i64, until: Option<i64>) -> Counted {
        Counted {
            rule: rule.into(),
            subject: subject.into(),
            verdict,
            severity: Severity::High,
            began: since * DAY,
            since: since * DAY,
            until: until.map(|u| u * DAY),
        }
    }

    fn count(moves: &Moves, rule: &str, verdict: Verdict, day: i64) -> (i64, i64) {
        moves.tallies.iter().filter(|((d, r, v), _)| *d <= day && r == rule && *v == verdict).fold((0, 0), |sum, (_, m)| (sum.0 + m.0, sum.1 + m.1))
    }

    #[test]
    fn a_host_counts_once_and_a_day_is_the_sum_of_what_moved_before() {
        let spans = [
            counted("a", "1", Verdict::Fail, 1, Some(4)),
            counted("a", "2", Verdict::Fail, 2, None),
            counted("a", "1", Verdict::Pass, 4, None),
            counted("b", "", Verdict::Fail, 6, None),
        ];
        let moves = Moves::between(&[], &spans);
        let fails: Vec<_> = (0..8).map(|day| count(&moves, "a", Verdict::Fail, day)).collect();
        assert_eq!(fails, [(0, 0), (1, 1), (2, 1), (2, 1), (1, 1), (1, 1), (1, 1), (1, 1)]);
        assert_eq!((count(&moves, "", Verdict::Fail, 7), count(&moves, "a", Verdict::Pass, 7)), ((2, 1), (1, 1)));
        let ages: i64 = moves.ages.iter().filter(|((day, ..), _)| *day <= 7).map(|(_, n)| n).sum();
        assert_eq!(ages, 2);
        assert_eq!(Moves::parse(&moves.text().unwrap()).unwrap(), moves);
        let mut none = Moves::between(&spans, &[]);
        none.join(moves);
        none.settle();
        assert!(none.is_empty(), "what was added can be taken away: {none:?}");
    }

    #[test]
    fn words_that_change_move_nothing() {
        let before = [counted("a", "", Verdict::Fail, 1, None)];
        let mut after = vec![counted("a", "", Verdict::Fail, 1, Some(3)), counted("a", "", Verdict::Fail, 3, None)];
        after[1].began = DAY;
        assert!(Moves::between(&before, &after).is_empty());
    }
}
