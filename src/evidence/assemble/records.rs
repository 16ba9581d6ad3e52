//! What people recorded, by the controls that need it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::laid::recorded;
use super::populations::Populations;
use crate::evidence::material::{Control, Material};
use crate::evidence::paper::{Exception, People, RecordPaper};
use crate::evidence::sampling::Item;
use crate::evidence::text::{count, day};
use crate::model::finding::Verdict;
use crate::records::kind::Shape;
use crate::records::types::{BASELINE, HANDLING};
use crate::records::{Employment, Entry, RecordType, Standing, State, entries, standings};

/// Standings of every kind of record that a control needs.
#[derive(Debug)]
pub struct Records<'m> {
    types: BTreeMap<&'m str, &'m RecordType>,
    standings: BTreeMap<String, Vec<Standing>>,
}

impl<'m> Records<'m> {
    /// How they stood through the period; `exceptions` are all of the bundle.
    pub fn new(material: &'m Material, people: Option<&People>, exceptions: &[Arc<Exception>]) -> Self {
        let needed: BTreeSet<&str> = material.framework.controls.iter().flat_map(|c| c.records.iter().map(String::as_str)).collect();
        let types: BTreeMap<&str, &RecordType> = material.record_types.iter().filter(|t| needed.contains(t.id.as_str())).map(|t| (t.id.as_str(), t)).collect();
        let (from, to) = (material.period.start(), material.period.end());
        let owned: Vec<RecordType> = types.values().map(|t| (*t).clone()).collect();
        let mut by_type: BTreeMap<String, Vec<Standing>> = BTreeMap::new();
        for standing in standings(&owned, &recorded(material), people.and_then(employments).as_ref(), from, to) {
            by_type.entry(standing.record.clone()).or_default().push(standing);
        }
        for kind in types.values().filter(|t| t.shape == Shape::Decision) {
            let standing = if kind.id == BASELINE { baselines(material, from) } else { decisions(&kind.id, exceptions, from) };
            by_type.insert(kind.id.clone(), vec![standing]);
        }
        Self { types, standings: by_type }
    }

    /// The records of a control, in its order; a kind that the collector does not know has no standing.
    pub fn of(&self, control: &Control) -> Vec<RecordPaper> {
        let paper = |id: &String| {
            let kind = self.types.get(id.as_str());
            RecordPaper {
                record: id.clone(),
                title: kind.map_or_else(|| id.clone(), |t| t.title.clone()),
                text: kind.map_or_else(|| "This collector knows no such kind of record.".into(), |t| t.text.clone()),
                standings: self.standings.get(id).cloned().unwrap_or_default(),
            }
        };
        control.records.iter().map(paper).collect()
    }

    /// Entries that stood in the period, to be sampled.
    pub fn fill(&self, populations: &mut Populations<'_>) {
        for (kind, standings) in &self.standings {
            let mut items: BTreeMap<String, Item> = BTreeMap::new();
            for standing in standings {
                let Some(entry) = standing.entry else { continue };
                let (item, about) = (format!("{kind} {entry}"), if standing.subject.is_empty() { "the company" } else { &standing.subject });
                items.entry(item.clone()).or_insert_with(|| Item { item, title: format!("{kind}: {about}") });
            }
            populations.record(kind, items.into_values().collect());
        }
    }
}

/// Who worked here, for whom attestations are due; `None`: no roster could be read.
fn employments(people: &People) -> Option<crate::records::People> {
    let known_from = people.known_from?;
    let employment =
        |p: &crate::evidence::paper::Person| Employment { person: p.person.clone(), from: p.joined.then_some(p.listed), until: p.left_at.or(p.dropped) };
    Some(crate::records::People { known_from, employments: people.people.iter().map(employment).collect() })
}

/// The moments from which on what failed before counted as known.
fn baselines(material: &Material, since: i64) -> Standing {
    let events = recorded(material);
    let taken = entries(events.iter().filter(|r| r.event.record == BASELINE), material.period.end().saturating_sub(1));
    let taken: Vec<_> = taken.into_iter().filter(Entry::is_open).collect();
    let last = taken.iter().map(|e| e.added.at).max();
    let message = last.map_or_else(
        || "none was taken: every finding counts as news when it appears".into(),
        |at| format!("{}, the last on {}", count(taken.len(), "baseline was taken", "baselines were taken"), day(at)),
    );
    let events = taken.iter().flat_map(|e| e.events.clone()).collect();
    Standing { record: BASELINE.into(), entry: None, subject: String::new(), state: State::Current, since, until: None, message, events }
}

/// How failures were handled, or covered: decisions have no standing of their own, the failures that they are about do.
fn decisions(kind: &str, exceptions: &[Arc<Exception>], since: i64) -> Standing {
    let failures = || exceptions.iter().filter(|e| e.verdict == Verdict::Fail && e.resolved.is_none());
    let (open, overdue) = (failures().count(), failures().filter(|e| e.handling.overdue).count());
    let unhandled = failures().filter(|e| e.handling.owner.is_empty() || e.handling.due.is_none()).count();
    let waived = exceptions.iter().filter(|e| e.verdict == Verdict::Waived).count();
    let ended = failures().filter(|e| !e.handling.waiver.is_empty()).count();
    let open = count(open, "failure was open", "failures were open");
    let (state, message) = if kind != HANDLING {
        let waived = count(waived, "span of a failure was waived", "spans of failures were waived");
        (State::Current, format!("{waived}; {} open again after its waiver ended (exceptions.csv)", count(ended, "failure is", "failures are")))
    } else if overdue > 0 {
        (State::Overdue, format!("{open} at the end of the period, {overdue} past the due date, {unhandled} without an owner or a due date (exceptions.csv)"))
    } else if unhandled > 0 {
        (State::Missing, format!("{open} at the end of the period, {unhandled} without an owner or a due date (exceptions.csv)"))
    } else {
        (State::Current, format!("{open} at the end of the period, each with an owner and a due date (exceptions.csv)"))
    };
    Standing { record: kind.into(), entry: None, subject: String::new(), state, since, until: None, message, events: Vec::new() }
}
