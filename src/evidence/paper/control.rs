//! One control: design, operation, conclusion, samples, pieces.

use std::sync::Arc;

use serde::Serialize;

use super::{Exception, Outcome, Tally, WindowCount, each, text};
use crate::model::finding::Severity;
use crate::model::ids::Digest;
use crate::records::Standing;

/// What a control's evidence amounts to. Ordered: the later wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// No rule applies to any host.
    NotApplicable,
    /// Every rule passed on every host it applies to, in every window, during the whole period.
    NoExceptions,
    /// No rule tests it: the reader finds it in the tables that the collector derives.
    Derived,
    /// Failures are covered by waivers.
    Waived,
    /// Something could not be told.
    Unknown,
    /// A person must record it, and nobody did.
    Record,
    /// A planned scan did not happen, or a host has no result.
    NotRun,
    /// Something failed in the period.
    Exceptions,
}

impl Conclusion {
    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Record => "no record",
            Self::Derived => "read from the tables",
            Self::NotApplicable => "not applicable",
            Self::NoExceptions => "no exceptions",
            Self::Waived => "waived",
            Self::Unknown => "unknown",
            Self::NotRun => "not run",
            Self::Exceptions => "exceptions",
        }
    }

    /// The form in tables.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Derived => "derived",
            Self::NotApplicable => "not_applicable",
            Self::NoExceptions => "no_exceptions",
            Self::Waived => "waived",
            Self::Unknown => "unknown",
            Self::NotRun => "not_run",
            Self::Exceptions => "exceptions",
        }
    }
}

/// One control.
#[derive(Clone, Debug, Serialize)]
pub struct ControlPaper {
    /// Version of this document.
    pub format: &'static str,
    /// Such as `CC6.7`.
    pub id: String,
    /// In our own words.
    pub title: String,
    /// In our own words.
    pub text: String,
    /// What it amounts to.
    pub conclusion: Conclusion,
    /// One sentence: true, since when, where not.
    pub sentence: String,
    /// What the collector tells from many reports, lists and the ledger; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fleet: String,
    /// What a person must record; empty when rules suffice.
    pub record: String,
    /// What tests it, and why.
    pub design: Vec<Design>,
    /// How many hosts.
    pub population: usize,
    /// Those of them that owed results at the end of the period: neither retired nor replaced.
    pub standing: usize,
    /// Planned scans of those hosts.
    pub operation: WindowCount,
    /// Results at the end of the period, counted.
    pub counts: Tally,
    /// Results at the end of the period that neither pass nor are not applicable; `findings.csv` has those, too.
    #[serde(serialize_with = "each")]
    pub results: Vec<Arc<Outcome>>,
    /// Everything in the period that was not a pass, open or resolved.
    #[serde(serialize_with = "each")]
    pub exceptions: Vec<Arc<Exception>>,
    /// Records that serve it, and how they stood.
    pub records: Vec<RecordPaper>,
    /// Drawn by the auditor's seed.
    pub samples: Vec<Sample>,
    /// Numbered evidence.
    pub pieces: Vec<Piece>,
}

/// Format of [`ControlPaper`] as JSON.
pub const CONTROL_FORMAT: &str = "assay.control.v1";

/// One rule that tests a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Design {
    /// Rule id.
    pub rule: String,
    /// One line.
    pub title: String,
    /// `satisfies` or `supports`.
    pub mapping: String,
    /// How bad a failure is; `None` when the pack does not hold the rule.
    pub severity: Option<Severity>,
    /// Why it matters.
    pub why: String,
    /// The vendor's own command that shows the same; may be empty.
    pub verify: String,
    /// Results of this rule alone.
    pub counts: Tally,
}

/// An item drawn for a closer look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Place in the draw, from 1.
    pub number: u32,
    /// `host`, `scan`, `change`, `person` or `record`.
    pub kind: &'static str,
    /// What was drawn: unique within its population.
    pub item: String,
    /// For people.
    pub title: String,
    /// SHA-256 of seed, control, kind and item, by whose order it was drawn.
    pub rank: Digest,
}

/// A record that serves a control, and how it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordPaper {
    /// Record type.
    pub record: String,
    /// For people.
    pub title: String,
    /// What is to be recorded.
    pub text: String,
    /// How it stood through the period; by subject and time.
    pub standings: Vec<Standing>,
}

/// One numbered piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Such as `CC6.7-001`.
    pub number: String,
    /// `design`, `population`, `operation`, `results`, `host`, `report`, `scan`, `sample`, `table` or `record`.
    pub kind: &'static str,
    /// What it shows.
    #[serde(serialize_with = "text")]
    pub title: Arc<str>,
    /// File of the bundle.
    #[serde(serialize_with = "text")]
    pub path: Arc<str>,
}
