//! Results, exceptions, and what people did about them.

use std::sync::Arc;

use serde::Serialize;

use super::{maybe, text};
use crate::model::finding::{Severity, UnknownReason, Verdict};
use crate::model::ids::{Digest, HostId};

/// How a person dealt with an exception.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Handling {
    /// Who takes care of it; empty: nobody.
    pub owner: String,
    /// First second after the day by which it is due, Unix.
    pub due: Option<i64>,
    /// Why it came about; empty: not said.
    pub cause: String,
    /// What was done; empty: not said.
    pub resolution: String,
    /// Whether it was still open after that day, within the period.
    pub overdue: bool,
    /// The report in which the rule no longer failed.
    pub retest: Option<Digest>,
    /// When that scan ended, Unix seconds.
    pub retested: Option<i64>,
    /// The waiver over it, in words: reason, compensating control, who asked, who approved, until when; empty: none.
    pub waiver: String,
}

/// Results per verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// `pass`
    pub pass: u64,
    /// `fail`
    pub fail: u64,
    /// `unknown`
    pub unknown: u64,
    /// `not_applicable`
    pub not_applicable: u64,
    /// `waived`
    pub waived: u64,
    /// `not_run`
    pub not_run: u64,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, verdict: Verdict) {
        let slot = match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Fail => &mut self.fail,
            Verdict::Unknown => &mut self.unknown,
            Verdict::NotApplicable => &mut self.not_applicable,
            Verdict::Waived => &mut self.waived,
            Verdict::NotRun => &mut self.not_run,
        };
        *slot += 1;
    }

    /// Adds others.
    pub fn join(&mut self, other: &Self) {
        self.pass += other.pass;
        self.fail += other.fail;
        self.unknown += other.unknown;
        self.not_applicable += other.not_applicable;
        self.waived += other.waived;
        self.not_run += other.not_run;
    }

    /// All of them.
    pub const fn sum(&self) -> u64 {
        self.pass + self.fail + self.unknown + self.not_applicable + self.waived + self.not_run
    }

    /// In the order of tables.
    pub const fn columns(&self) -> [(Verdict, u64); 6] {
        [
            (Verdict::Pass, self.pass),
            (Verdict::Fail, self.fail),
            (Verdict::Unknown, self.unknown),
            (Verdict::Waived, self.waived),
            (Verdict::NotRun, self.not_run),
            (Verdict::NotApplicable, self.not_applicable),
        ]
    }
}

/// What a rule said of a subject at the end of the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Host.
    pub host: HostId,
    /// Its name.
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    /// Rule id.
    #[serde(serialize_with = "text")]
    pub rule: Arc<str>,
    /// What was judged; empty for the host as a whole.
    #[serde(serialize_with = "text")]
    pub subject: Arc<str>,
    /// The answer.
    pub verdict: Verdict,
    /// What was found.
    #[serde(serialize_with = "text")]
    pub message: Arc<str>,
    /// Why it is unknown.
    #[serde(serialize_with = "maybe")]
    pub reason: Option<Arc<UnknownReason>>,
    /// First seen so, Unix seconds; `None` when it did not run.
    pub since: Option<i64>,
    /// End of the last complete scan of the host, Unix seconds.
    pub confirmed: Option<i64>,
    /// Report that brought it.
    pub report: Option<Digest>,
}

/// Something in the period that was not a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exception {
    /// Host.
    pub host: HostId,
    /// Its name.
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    /// Rule id; empty for a scan that did not run.
    #[serde(serialize_with = "text")]
    pub rule: Arc<str>,
    /// What was judged, or the window that did not run.
    #[serde(serialize_with = "text")]
    pub subject: Arc<str>,
    /// `fail`, `unknown`, `waived` or `not_run`.
    pub verdict: Verdict,
    /// How bad; `None` when unknown to the pack.
    pub severity: Option<Severity>,
    /// What was found.
    #[serde(serialize_with = "text")]
    pub message: Arc<str>,
    /// Unix seconds; may lie before the period.
    pub first_seen: i64,
    /// Unix seconds; `None`: open at the end of the period.
    pub resolved: Option<i64>,
    /// Report that brought it.
    pub report: Option<Digest>,
    /// Seconds from the first sight to the resolution or the end of the period.
    pub age: i64,
    /// What people did about it.
    pub handling: Handling,
}
