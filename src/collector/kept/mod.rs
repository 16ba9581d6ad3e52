//! What pages of the fleet show of the facts of all hosts, taken out when a report is applied: nobody opens the facts of many hosts for a page.
//!
//! ```text
//! observation -> per kind: items by label, and how well they could be seen -> spans in the store, with the verdicts
//! ```
//! An item that could not be looked for stays as it was: what is missing is unknown, not gone. So is a host whose facts are not there: each kind
//! says of each host whether it was seen wholly, partly or not at all.

mod access;
mod certificates;
mod holes;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::basis::Basis;
use crate::model::advisories::Derived;
use crate::model::fact::Observation;
use crate::model::gap::Gap;
use crate::model::ids::Digest;
use crate::model::report::{Report, ScanKind};

pub use access::{PrivilegeBody, WayBody};
pub use certificates::{CertificateAbout, CertificateBody};
pub use holes::{HoleAbout, HoleBody, severity_of};

/// Changes whenever other things are taken out: every host is then looked at again with its next report.
const EXTRACTOR: &[u8] = b"assay.kept.v1";
/// Most items of one kind on one host.
pub const MAX_ITEMS: usize = 20_000;
/// Longest label, bytes.
const MAX_LABEL: usize = 256;
/// Longest item, bytes.
const MAX_ITEM: usize = 768;
/// Longest text inside a body, characters.
const MAX_TEXT: usize = 1_000;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A certificate, where it is served or stored; by SHA-256 of its DER.
    Certificate,
    /// A version of TLS that an endpoint accepts; by its name.
    Tls,
    /// A way in of somebody who left; by person.
    Way,
    /// Access with more than ordinary rights; by person, or account or key of nobody known.
    Privilege,
    /// A published hole of an installed package; by advisory.
    Hole,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 5] = [Self::Certificate, Self::Tls, Self::Way, Self::Privilege, Self::Hole];

    /// The form in the store.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::Way => "way",
            Self::Privilege => "privilege",
            Self::Hole => "hole",
        }
    }

    /// The kind under which the store says how well this kind could be seen on each host.
    pub const fn seen(self) -> &'static str {
        match self {
            Self::Certificate => "seen-certificate",
            Self::Tls => "seen-tls",
            Self::Way => "seen-way",
            Self::Privilege => "seen-privilege",
            Self::Hole => "seen-hole",
        }
    }

    /// The kind of this form.
    pub fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.id() == id)
    }

    /// Whether labels name people.
    pub const fn is_personal(self) -> bool {
        matches!(self, Self::Way | Self::Privilege)
    }

    /// Families that a report must have looked at to say anything of it.
    pub const fn families(self) -> &'static [&'static str] {
        match self {
            Self::Certificate => &["certificates", "tls"],
            Self::Tls => &["tls"],
            Self::Way | Self::Privilege => &["accounts", "ssh_keys", "sudo"],
            Self::Hole => &["os", "packages"],
        }
    }

    /// Families whose documents decide what is taken out.
    const fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Hole => &["kernel", "os", "packages", "updates"],
            Self::Way | Self::Privilege => &["accounts", "databases", "jobs", "os", "polkit", "sessions", "ssh_keys", "sshd", "sudo"],
            other => other.families(),
        }
    }

    /// Whether equal sources say the same at any time: accounts and keys expire by themselves.
    const fn is_timeless(self) -> bool {
        !self.is_personal()
    }
}

/// One thing on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is grouped by over the fleet.
    pub label: String,
    /// Where on the host; label and item are unique within a kind and host.
    pub item: String,
    /// Order of the label, by kind: a time, a severity, a version.
    pub rank: i64,
    /// What is said of the label, JSON.
    pub about: String,
    /// What is said of it here, JSON.
    pub body: String,
}

impl Item {
    /// From its parts, bounded.
    fn new(label: &str, item: &str, rank: i64, about: &impl Serialize, body: &impl Serialize) -> Self {
        let json = |value: Result<String, serde_json::Error>| value.unwrap_or_else(|_| "{}".into());
        let (about, body) = (json(serde_json::to_string(about)), json(serde_json::to_string(body)));
        Self { label: bounded(label, MAX_LABEL), item: bounded(item, MAX_ITEM), rank, about, body }
    }
}

/// How well a kind could be seen on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// Wholly: what is not said is not there.
    Whole,
    /// Partly: there may be more.
    Part,
    /// Not at all.
    None,
}

impl Sight {
    /// All.
    pub const ALL: [Self; 3] = [Self::Whole, Self::Part, Self::None];

    /// The form in the store.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Part => "part",
            Self::None => "none",
        }
    }
}

/// Where something may be although it is not said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// How the items begin that may be hidden; empty: all.
    pub prefix: &'static str,
    /// What they hold; empty: anything.
    pub subject: String,
}

impl Doubt {
    /// Whether an item that is not said may still be there.
    pub fn hides(&self, item: &str) -> bool {
        item.starts_with(self.prefix) && (self.subject.is_empty() || item.contains(&self.subject))
    }
}

/// What an observation says of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Says {
    /// How well it could be seen.
    pub sight: Sight,
    /// Why not wholly; empty when it was.
    pub why: String,
    /// What was seen.
    pub items: Vec<Item>,
    /// What may be there besides.
    pub doubts: Vec<Doubt>,
}

impl Says {
    /// Nothing could be seen, and why.
    fn blind(why: impl Into<String>) -> Self {
        Self { sight: Sight::None, why: cut(&why.into()), items: Vec::new(), doubts: vec![Doubt { prefix: "", subject: String::new() }] }
    }

    /// What was seen beside gaps: `prefix` tells the items that a gap may hide, `None` that it hides none.
    fn beside<'g>(items: Vec<Item>, gaps: impl Iterator<Item = &'g Gap>, prefix: impl Fn(&Gap) -> Option<&'static str>) -> Self {
        let (mut doubts, mut why) = (Vec::new(), String::new());
        for gap in gaps {
            let Some(prefix) = prefix(gap) else { continue };
            if why.is_empty() {
                why = cut(&gap.detail);
            }
            let doubt = Doubt { prefix, subject: gap.subject.clone() };
            if !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
        let sight = if doubts.is_empty() { Sight::Whole } else { Sight::Part };
        Self { sight, why, items, doubts }.within_limit()
    }

    fn within_limit(mut self) -> Self {
        let mut known = BTreeSet::new();
        self.items.retain(|i| known.insert((i.label.clone(), i.item.clone())));
        if self.items.len() > MAX_ITEMS {
            self.items.truncate(MAX_ITEMS);
            (self.sight, self.why) = (Sight::Part, format!("more than {MAX_ITEMS} of them; the rest is not kept"));
        }
        self
    }
}

/// What a report brings of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extract {
    /// Which kind.
    pub kind: Kind,
    /// Digest of everything that it was taken from.
    pub source: Digest,
    /// What is said; `None`: the same as was kept from an equal source before.
    pub says: Option<Says>,
}

/// On what the newest rows of a host rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Of which kind.
    pub kind: Kind,
    /// Digest of what they were taken from.
    pub source: Digest,
    /// From when on they stand unchanged, Unix seconds.
    pub at: i64,
}

/// Takes out what a report of a host says: the kinds that it looked at. What equals the newest that is `known`, and comes after it at `at` (Unix
/// seconds), is not looked at again.
pub fn extract(basis: &Basis, report: &Report, observation: &Observation, advisories: Option<&Derived>, known: &[State], at: i64) -> Vec<Extract> {
    let looked_at = crate::rules::looked_at(observation);
    let is_drift = report.scan.kind == ScanKind::Drift;
    let mut out = Vec::new();
    for kind in Kind::ALL {
        if is_drift && !kind.families().iter().all(|f| looked_at.contains(*f)) {
            continue;
        }
        let source = source(kind, basis, report);
        let is_known = kind.is_timeless() && known.iter().any(|k| k.kind == kind && k.source == source && at >= k.at);
        let says = (!is_known).then(|| match kind {
            Kind::Certificate => certificates::certificates(observation),
            Kind::Tls => certificates::versions(observation),
            Kind::Way => access::ways(basis, observation),
            Kind::Privilege => access::privileges(basis, observation),
            Kind::Hole => holes::holes(advisories),
        });
        out.push(Extract { kind, source, says });
    }
    out
}

/// Digest of everything that decides what is taken out.
fn source(kind: Kind, basis: &Basis, report: &Report) -> Digest {
    let mut text = EXTRACTOR.to_vec();
    let mut add = |part: &str| {
        text.push(b'\n');
        text.extend_from_slice(part.as_bytes());
    };
    add(kind.id());
    add(&report.gaps.to_string());
    for family in kind.sources() {
        let blobs = report.facts.iter().find(|f| f.family == **family);
        add(&blobs.map_or_else(String::new, |b| format!("{} {}", b.family, b.stable)));
    }
    let list = |digest: Option<Digest>| digest.map_or_else(String::new, |d| d.to_string());
    match kind {
        Kind::Way | Kind::Privilege => {
            add(&list(basis.parts.roster));
            add(&list(basis.parts.approvals));
        }
        Kind::Hole => add(&list(basis.parts.advisories)),
        Kind::Certificate | Kind::Tls => {}
    }
    Digest::of(&text)
}

/// A text of at most `most` bytes; a longer one ends with the beginning of its digest, so that two stay two.
fn bounded(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_string();
    }
    let mark: String = Digest::of(text.as_bytes()).to_string().chars().take(16).collect();
    let mut end = most.saturating_sub(mark.len() + 4);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… {mark}", text.get(..end).unwrap_or_default())
}

/// A text of at most [`MAX_TEXT`] characters.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{} …", text.get(..at).unwrap_or_default()),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_long_texts_stay_two_and_are_bounded() {
        let (a, b) = (format!("{}a", "é".repeat(400)), format!("{}b", "é".repeat(400)));
        let (short_a, short_b) = (bounded(&a, MAX_LABEL), bounded(&b, MAX_LABEL));
        assert!(short_a != short_b && short_a.len() <= MAX_LABEL && short_b.len() <= MAX_LABEL);
        assert_eq!(bounded("web01", MAX_LABEL), "web01");
    }

    #[test]
    fn a_gap_hides_what_it_is_about_and_nothing_else() {
        let one = Doubt { prefix: "served ", subject: "10.0.0.1:443/tcp".into() };
        assert!(one.hides("served 10.0.0.1:443/tcp leaf") && !one.hides("served 10.0.0.2:443/tcp leaf") && !one.hides("stored /etc/10.0.0.1:443/tcp"));
        assert!(Doubt { prefix: "", subject: String::new() }.hides("anything"));
    }
}
