//! What people decided about failures, laid over what hosts show.

use crate::evidence::material::{Material, Transition};
use crate::evidence::paper::Handling;
use crate::model::finding::Verdict;

/// A part of a verdict's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From this second on, Unix.
    pub since: i64,
    /// Until this second, exclusive; `None`: without end so far.
    pub until: Option<i64>,
    /// The waiver over it, in words; empty: none.
    pub waiver: String,
}

impl Part {
    /// The verdict with the waiver laid over it.
    pub fn verdict(&self, given: &Transition) -> Verdict {
        if given.verdict == Verdict::Fail && !self.waiver.is_empty() { Verdict::Waived } else { given.verdict }
    }
}

/// Waivers and handling, by rule.
#[derive(Debug)]
pub struct Laid {}

impl Laid {
    /// What the records say up to the end of the period.
    pub fn new(_material: &Material) -> Self {
        Self {}
    }

    /// A verdict's time, parted by the waivers over it; the parts follow each other.
    pub fn parts(&self, _host: &str, given: &Transition) -> Vec<Part> {
        vec![Part { since: given.since, until: given.until, waiver: String::new() }]
    }

    /// What was said of it.
    pub fn handling(&self, _host: &str, _given: &Transition, part: &Part) -> Handling {
        Handling { waiver: part.waiver.clone(), ..Handling::default() }
    }
}
