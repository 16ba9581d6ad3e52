//! The working paper: what each format writes. Plain data, serialised as `controls/ID.json`.

use serde::Serialize;

use super::windows::{Window, WindowState};
use crate::model::finding::{Severity, UnknownReason, Verdict};
use crate::model::ids::{Digest, HostId};

/// Everything a bundle says in words and tables.
#[derive(Clone, Debug)]
pub struct Paper {
    /// Cover.
    pub cover: Cover,
    /// Every host that counts, by name then id.
    pub population: Vec<Member>,
    /// Every planned scan.
    pub windows: Vec<Window>,
    /// In the framework's order.
    pub controls: Vec<ControlPaper>,
    /// What a reader must know and the tables don't show.
    pub notes: Vec<String>,
}

/// Cover of the paper.
#[derive(Clone, Debug)]
pub struct Cover {
    /// Framework id.
    pub framework: String,
    /// Name for people.
    pub title: String,
    /// Version of the framework.
    pub version: String,
    /// Where it is published.
    pub source: String,
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// Whether it is one day (Type 1).
    pub is_date: bool,
    /// Day of the export.
    pub as_of: String,
    /// Which hosts, in words.
    pub scope: String,
    /// Verifier key of the ledger.
    pub ledger: String,
    /// Leaves under the checkpoint.
    pub checkpoint_size: u64,
    /// Root of the checkpoint.
    pub checkpoint_root: Digest,
    /// SHA-256 of the rule pack.
    pub pack: Digest,
    /// Signed reports in the bundle.
    pub reports: usize,
}

/// One host of the population.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its key.
    pub host: HostId,
    /// Name it gave.
    pub name: String,
    /// Operating system; may be empty.
    pub os: String,
    /// Unix seconds.
    pub enrolled_at: i64,
    /// Last heartbeat or report, Unix seconds.
    pub seen_at: Option<i64>,
    /// Taken out by a person.
    pub retired: bool,
    /// End of its last complete scan before the end of the period, if the bundle holds it.
    pub confirmed: Option<i64>,
    /// The same of scans that read what only monthly ones do.
    pub confirmed_monthly: Option<i64>,
    /// Reports of it in the bundle.
    pub reports: usize,
    /// Windows, by what became of them.
    pub windows: WindowCount,
}

/// Windows counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WindowCount {
    /// All planned ones: done + not run + open.
    pub planned: u64,
    /// Fulfilled.
    pub done: u64,
    /// Not fulfilled.
    pub not_run: u64,
    /// Not ended at the export.
    pub open: u64,
}

impl WindowCount {
    /// Counts windows.
    pub fn of<'a>(windows: impl IntoIterator<Item = &'a Window>) -> Self {
        let mut count = Self::default();
        for window in windows {
            count.planned += 1;
            match window.state {
                WindowState::Done => count.done += 1,
                WindowState::NotRun => count.not_run += 1,
                WindowState::Open => count.open += 1,
            }
        }
        count
    }
}

/// What a control's evidence amounts to. Ordered: the later wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// No rule tests it: a person must record it.
    Record,
    /// No rule tests it: the reader finds it in the tables that the collector derives.
    Derived,
    /// No rule applies to any host.
    NotApplicable,
    /// Every rule passed on every host it applies to, in every window, during the whole period.
    NoExceptions,
    /// Failures are covered by waivers.
    Waived,
    /// Something could not be told.
    Unknown,
    /// A planned scan did not happen, or a host has no result.
    NotRun,
    /// Something failed in the period.
    Exceptions,
}

impl Conclusion {
    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Record => "needs a person's record",
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
    /// Planned scans of those hosts.
    pub operation: WindowCount,
    /// Results at the end of the period, counted.
    pub counts: Tally,
    /// Results at the end of the period.
    pub results: Vec<Outcome>,
    /// Everything in the period that was not a pass, open or resolved.
    pub exceptions: Vec<Exception>,
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
    pub name: String,
    /// Rule id.
    pub rule: String,
    /// What was judged; empty for the host as a whole.
    pub subject: String,
    /// The answer.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// Why it is unknown.
    pub reason: Option<UnknownReason>,
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
    pub name: String,
    /// Rule id; empty for a scan that did not run.
    pub rule: String,
    /// What was judged, or the window that did not run.
    pub subject: String,
    /// `fail`, `unknown`, `waived` or `not_run`.
    pub verdict: Verdict,
    /// How bad; `None` when unknown to the pack.
    pub severity: Option<Severity>,
    /// What was found.
    pub message: String,
    /// Unix seconds; may lie before the period.
    pub first_seen: i64,
    /// Unix seconds; `None`: open at the end of the period.
    pub resolved: Option<i64>,
    /// Report that brought it.
    pub report: Option<Digest>,
}

/// One numbered piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Such as `CC6.7-001`.
    pub number: String,
    /// `design`, `population`, `operation`, `results` or `report`.
    pub kind: &'static str,
    /// What it shows.
    pub title: String,
    /// File of the bundle.
    pub path: String,
}
