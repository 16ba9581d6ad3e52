//! The working paper: what each format writes. Plain data, serialised as `controls/ID.json`.

use serde::Serialize;

use super::windows::{Window, WindowState};
use crate::model::finding::{Severity, UnknownReason, Verdict};
use crate::model::ids::{Digest, HostId};
use crate::records::Standing;

/// Everything a bundle says in words and tables.
#[derive(Clone, Debug)]
pub struct Paper {
    /// Cover.
    pub cover: Cover,
    /// Every host that counts, by name then id.
    pub population: Vec<Member>,
    /// The population beside the list that the company keeps elsewhere; `None`: no such list was given.
    pub reconciliation: Option<Reconciliation>,
    /// Every planned scan.
    pub windows: Vec<Window>,
    /// Planned scans counted by ISO week, oldest first.
    pub coverage: Vec<Week>,
    /// How long it took until people who left had no way in.
    pub revocations: Vec<Revocation>,
    /// Everything that changed what is judged, by what, or by whom, in the period.
    pub changes: Vec<Change>,
    /// How each list of the bundle was made.
    pub lists: Vec<List>,
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
    /// Taken out by a person, Unix seconds.
    pub retired_at: Option<i64>,
    /// Why it was taken out; empty while it counts.
    pub retired_why: String,
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
    /// Fulfilled in time or late.
    pub done: u64,
    /// Of those done, the ones that reached the collector or ended after their window.
    pub late: u64,
    /// Not fulfilled.
    pub not_run: u64,
    /// Of those not fulfilled, the ones in which a scan was begun and stopped by a limit.
    pub aborted: u64,
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
                WindowState::Late => {
                    count.done += 1;
                    count.late += 1;
                }
                WindowState::Aborted => {
                    count.not_run += 1;
                    count.aborted += 1;
                }
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

/// The population beside a second list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// SHA-256 of the list.
    pub list: Digest,
    /// When it was given, Unix seconds.
    pub at: i64,
    /// Hosts in both, by name.
    pub both: Vec<String>,
    /// Hosts enrolled here that the list lacks.
    pub only_here: Vec<String>,
    /// Hosts of the list that were never enrolled here.
    pub only_listed: Vec<String>,
}

/// Planned scans of one ISO week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Week {
    /// `2026-W47`.
    pub week: String,
    /// What became of them.
    pub windows: WindowCount,
}

/// The last way in of a person who left, on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revocation {
    /// Who, as the roster names them.
    pub person: String,
    /// First second after the last day, Unix.
    pub left_at: i64,
    /// Host.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// Ways in: rule ids, sorted.
    pub ways: Vec<String>,
    /// The last scan that saw a way in, Unix seconds; `None`: none did after the person had left.
    pub last_seen: Option<i64>,
    /// The first scan after it that saw none; `None`: still open at the end of the period.
    pub first_gone: Option<i64>,
    /// Seconds that it took at least.
    pub at_least: i64,
    /// Seconds that it took at most; `None` while open. The difference is what the scans can resolve.
    pub at_most: Option<i64>,
    /// What the policy allows, seconds; `None`: it says nothing.
    pub limit: Option<i64>,
}

/// One change of what is judged, by what, or by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Unix seconds.
    pub at: i64,
    /// Kind of the ledger entry.
    pub kind: String,
    /// One sentence.
    pub text: String,
    /// Index of the entry.
    pub leaf: u64,
}

/// How a list was made: enough to make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// File of the bundle.
    pub path: String,
    /// What it holds, in words.
    pub query: String,
    /// What the query was asked with, in words.
    pub parameters: String,
    /// Rows without the head.
    pub rows: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
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
    /// SHA-256 of seed, control and item, by whose order it was drawn.
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
    /// The report in which the rule no longer failed.
    pub retest: Option<Digest>,
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
    /// Seconds from the first sight to the resolution or the end of the period.
    pub age: i64,
    /// What people did about it.
    pub handling: Handling,
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
