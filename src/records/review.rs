//! Reviews of privileged access: a list taken from the facts of all hosts, and a decision on each of its items.
//!
//! The review is an entry of the type `access-reviews`. Its list is a file, whose items are numbered from 1; each decision is a change of the
//! entry that names the numbers, so it has its own person, time and ledger entry.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Action, Recorded, ordered};
use crate::model::ids::{Digest, RandomId};

/// Name of the list's file.
pub const LIST_NAME: &str = "privileged-access.json";
/// Most items of one list.
pub const MAX_ITEMS: u32 = 100_000;

/// One item of the list: who can do what on which host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Name of the host.
    pub host: String,
    /// The person of the roster, else the account or key.
    pub who: String,
    /// `root`, `sudo`, `polkit`, or the name of a privileged group.
    pub access: String,
    /// How, with places.
    pub detail: String,
    /// `yes`, `expired`, `no`: what the list of approvals says; empty when there is none.
    pub approved: String,
}

/// What was decided about an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Decided {
    /// `keep` or `revoke`.
    pub decision: String,
    /// Why; may be empty.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When, Unix seconds.
    pub at: i64,
    /// The statement.
    pub event: Digest,
}

/// The decisions of one review up to `as_of`, by number of the item: the latest of each.
pub fn decisions(events: &[Recorded], review: RandomId, as_of: i64) -> BTreeMap<u32, Decided> {
    let mut out = BTreeMap::new();
    for recorded in ordered(events.iter().filter(|r| r.event.entry == review && r.event.action == Action::Change && r.event.at <= as_of)) {
        let event = &recorded.event;
        let text = |name: &str| event.fields.get(name).cloned().unwrap_or_default();
        let Ok(numbers) = numbers(&text("decided"), MAX_ITEMS) else { continue };
        for number in numbers {
            let decided = Decided { decision: text("decision"), reason: text("reason"), by: event.by.clone(), at: event.at, event: recorded.digest };
            out.insert(number, decided);
        }
    }
    out
}

/// The numbers that a text such as `1-3, 7` names, of a list with so many items.
pub fn numbers(text: &str, items: u32) -> Result<Vec<u32>, String> {
    let mut out = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let parsed = from.trim().parse::<u32>().ok().zip(to.trim().parse::<u32>().ok());
        let (from, to) = parsed.filter(|(from, to)| *from >= 1 && from <= to).ok_or_else(|| format!("{part:?} is no number or range; write such as 1-3, 7"))?;
        if to > items {
            return Err(format!("item {to} does not exist: the list has {items}"));
        }
        out.extend(from..=to);
    }
    out.sort_unstable();
    out.dedup();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, recorded};
    use super::super::types::ACCESS_REVIEWS;
    use super::*;

    #[test]
    fn numbers_are_ranges_within_the_list() {
        assert_eq!(numbers("1-3, 7,2", 9), Ok(vec![1, 2, 3, 7]));
        assert_eq!(numbers("", 9), Ok(Vec::new()));
        for bad in ["0", "3-1", "a", "1-", "-", "1-10", "99999999999"] {
            assert!(numbers(bad, 9).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_latest_decision_of_each_item_counts() {
        let change = |at, by, fields: &[(&str, &str)]| recorded(event(ACCESS_REVIEWS, 1, Action::Change, at, by, fields));
        let events = [
            change(1, "ada", &[("decided", "1-3"), ("decision", "keep")]),
            change(2, "bob", &[("decided", "2"), ("decision", "revoke"), ("reason", "left the team")]),
            change(3, "bob", &[("scope", "all")]),
        ];
        let decided = decisions(&events, RandomId::new([1; 16]), 9);
        assert_eq!(decided.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((decided[&2].decision.as_str(), decided[&2].by.as_str(), decided[&1].by.as_str()), ("revoke", "bob", "ada"));
        assert_eq!(decisions(&events, RandomId::new([1; 16]), 1)[&2].decision, "keep");
    }
}
