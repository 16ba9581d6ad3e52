//! What people decided about failures, laid over what hosts show.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::evidence::material::{Material, Transition};
use crate::evidence::paper::Handling;
use crate::evidence::text::day;
use crate::model::finding::Verdict;
use crate::model::ids::RandomId;
use crate::records::Recorded;
use crate::records::handling::{About, Handlings};
use crate::records::waiver::{Waiver, overlay, waivers};

/// A part of a verdict's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From this second on, Unix.
    pub since: i64,
    /// Until this second, exclusive; `None`: without end so far.
    pub until: Option<i64>,
    /// The waiver over it, in words; empty: none.
    pub waiver: Arc<str>,
    /// The waiver that ended where the part begins, in words; empty: none did.
    pub ended: Arc<str>,
}

impl Part {
    /// The verdict with the waiver laid over it.
    pub fn verdict(&self, given: &Transition) -> Verdict {
        if given.verdict == Verdict::Fail && !self.waiver.is_empty() { Verdict::Waived } else { given.verdict }
    }
}

/// Waivers and handling, as the records say up to the end of the period.
#[derive(Debug)]
pub struct Laid {
    /// By rule.
    waivers: HashMap<String, Vec<Waiver>>,
    words: BTreeMap<RandomId, Arc<str>>,
    handlings: Handlings,
    nothing: Arc<str>,
}

/// Events of the material with their digests, in the order of the ledger.
pub fn recorded(material: &Material) -> Vec<Recorded> {
    material.records.iter().map(|r| Recorded { digest: r.digest, event: r.event.clone() }).collect()
}

impl Laid {
    /// Reads the records.
    pub fn new(material: &Material) -> Self {
        let (events, as_of) = (recorded(material), material.period.end().saturating_sub(1));
        let mut by_rule: HashMap<String, Vec<Waiver>> = HashMap::new();
        let mut words = BTreeMap::new();
        for waiver in waivers(&events, as_of) {
            words.insert(waiver.id, in_words(&waiver).into());
            by_rule.entry(waiver.scope.rule.clone()).or_default().push(waiver);
        }
        Self { waivers: by_rule, words, handlings: Handlings::of(&events, as_of), nothing: "".into() }
    }

    /// A verdict's time, parted by the waivers over it; the parts follow each other.
    pub fn parts(&self, host: &str, given: &Transition) -> Vec<Part> {
        let own = self.waivers.get(&*given.rule).filter(|_| given.verdict == Verdict::Fail);
        let part = |since, until| Part { since, until, waiver: self.nothing.clone(), ended: self.nothing.clone() };
        let Some(own) = own else { return vec![part(given.since, given.until)] };
        let words = |waiver: Option<RandomId>| waiver.and_then(|id| self.words.get(&id)).unwrap_or(&self.nothing).clone();
        let mut last = self.nothing.clone();
        let mut out = Vec::new();
        for found in overlay(own, host, &given.rule, &given.subject, given.since, given.until) {
            let waiver = words(found.waiver);
            let ended = if waiver.is_empty() { last } else { self.nothing.clone() };
            out.push(Part { waiver: waiver.clone(), ended, ..part(found.since, found.until) });
            last = waiver;
        }
        out
    }

    /// What was said of it.
    pub fn handling(&self, host: &str, given: &Transition, part: &Part) -> Handling {
        let waiver = match (part.waiver.is_empty(), part.ended.is_empty()) {
            (false, _) => part.waiver.to_string(),
            (true, false) => format!("ended on {}: {}", day(part.since), part.ended),
            _ => String::new(),
        };
        let said =
            self.handlings.on(&About { host, rule: &given.rule, subject: &given.subject, severity: given.severity, since: given.since }).unwrap_or_default();
        Handling { owner: said.owner, due: said.due, cause: said.cause, resolution: said.resolution, waiver, ..Handling::default() }
    }
}

/// Reason, what holds the risk down, who asked, who agreed, until when.
fn in_words(waiver: &Waiver) -> String {
    let approved = waiver.approved.as_ref().map(|m| format!(", approved by {} on {}", m.by, day(m.at))).unwrap_or_default();
    let revoked = waiver.revoked.as_ref().map(|m| format!(", taken back by {} on {}", m.by, day(m.at))).unwrap_or_default();
    format!(
        "{}; compensating control: {}; asked for by {} on {}{approved}, last day {}{revoked}",
        waiver.reason.trim_end_matches('.'),
        waiver.control.trim_end_matches('.'),
        waiver.requested.by,
        day(waiver.requested.at),
        day(waiver.expires.saturating_sub(1))
    )
}
