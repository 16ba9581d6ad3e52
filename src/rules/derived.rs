//! Families that no host gathers: pure functions of what was observed and of lists that others keep.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde_json::Value;

use super::{Input, access, endpoints, transfers};
use crate::model::advisories;
use crate::model::compared;
use crate::model::gap::{Gap, reason};

/// Their names in rules, and the gathered families without which each tells nothing.
pub const NEEDS: [(&str, &[&str]); 4] = [
    (access::NAME, &["accounts", "ssh_keys", "sudo"]),
    (advisories::NAME, &["os", "packages"]),
    (compared::NAME, &["mail", "services", "tls", "web"]),
    (transfers::NAME, &[transfers::FROM]),
];

/// One derived family.
pub(super) struct Derived<'a> {
    /// Name in rules.
    pub name: &'static str,
    /// The document; `None`: nothing at all can be told, which a gap says.
    pub value: Option<Cow<'a, Value>>,
    /// What can't be told.
    pub gaps: Cow<'a, [Gap]>,
}

/// All of them over one input.
pub(super) fn all<'a>(input: &Input<'a>) -> [Derived<'a>; 4] {
    [
        of_access(input),
        of_advisories(input),
        guarded(compared::NAME, "comparing endpoints with the wire", || endpoints::derive(input.observation)),
        guarded(transfers::NAME, "joining peers to third parties", || transfers::derive(input.observation, input.against.third_parties)),
    ]
}

fn of_access<'a>(input: &Input<'a>) -> Derived<'a> {
    if input.against.is_empty() {
        let gap = nothing(access::NAME, reason::MISSING, "no roster of people was given", "Give the roster as a CSV file with --roster FILE.");
        return Derived { name: access::NAME, value: None, gaps: vec![gap].into() };
    }
    guarded(access::NAME, "joining people to ways in", || access::derive(input.observation, input.against))
}

/// Matched before, by whoever holds the index.
fn of_advisories<'a>(input: &Input<'a>) -> Derived<'a> {
    let name = advisories::NAME;
    let Some(matched) = input.advisories else {
        let remedy = "Make one with assay advisories import and give it with --advisories FILE.";
        return Derived { name, value: None, gaps: vec![nothing(name, reason::MISSING, "no index of advisories was given", remedy)].into() };
    };
    Derived { name, value: matched.value.as_ref().map(Cow::Borrowed), gaps: matched.gaps.as_slice().into() }
}

/// A defect of ours becomes a gap.
fn guarded<'a, T: Serialize>(name: &'static str, what: &str, derive: impl FnOnce() -> (Option<T>, Vec<Gap>)) -> Derived<'a> {
    let derived = catch_unwind(AssertUnwindSafe(derive)).ok();
    let told = derived.and_then(|(found, gaps)| Some((found.map(serde_json::to_value).transpose().ok()?, gaps)));
    let (value, gaps) = told.unwrap_or_else(|| {
        let gap = nothing(name, reason::INTERNAL, &format!("{what} failed inside assay"), "Report this as a defect.");
        (None, vec![gap])
    });
    Derived { name, value: value.map(Cow::Owned), gaps: gaps.into() }
}

fn nothing(family: &str, id: &str, detail: &str, remedy: &str) -> Gap {
    Gap { family: family.into(), path: String::new(), subject: String::new(), reason: id.into(), detail: detail.into(), remedy: remedy.into() }
}
