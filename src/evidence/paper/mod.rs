//! The working paper: what each format writes. Plain data; controls are serialised as `controls/ID.json`.

mod control;
mod findings;
mod people;
mod population;

use std::sync::Arc;

use serde::ser::{Serialize, Serializer};

use super::material::Sampling;
use super::windows::{Window, WindowState};
use crate::model::ids::Digest;
pub use control::{CONTROL_FORMAT, Conclusion, ControlPaper, Design, Piece, RecordPaper, Sample};
pub use findings::{Exception, Handling, Outcome, Tally};
pub use people::{Leaver, People, Person, Revocation, RevocationState};
pub use population::{Member, MemberState, Reconciliation};

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
    /// Planned scans counted by ISO week, then those counted by month, each oldest first.
    pub coverage: Vec<Week>,
    /// The people of the roster; `None`: none was in force.
    pub people: Option<People>,
    /// People who left: how long it took until no host let them in, by last day and name.
    pub leavers: Vec<Leaver>,
    /// Person by host, where a way in was seen or can't be ruled out; `revocations.csv` has the others, too.
    pub revocations: Vec<Revocation>,
    /// Everything that changed what is judged, by what, or by whom, in the period.
    pub changes: Vec<Change>,
    /// How each list of the bundle was made.
    pub lists: Vec<List>,
    /// In the framework's order.
    pub controls: Vec<ControlPaper>,
    /// Every exception once, though controls share them: by rule, then the scans that did not run.
    pub exceptions: Vec<Arc<Exception>>,
    /// What a reader must know and the tables don't show.
    pub notes: Vec<String>,
}

/// Cover of the paper.
#[derive(Clone, Debug)]
pub struct Cover {
    /// Whose servers these are; may be empty.
    pub company: String,
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
    /// How samples were drawn; `None`: none were.
    pub sampling: Option<Sampling>,
}

/// Windows counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
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
        windows.into_iter().for_each(|w| count.add(w.state));
        count
    }

    /// Counts one more.
    pub fn add(&mut self, state: WindowState) {
        self.planned += 1;
        match state {
            WindowState::Done => self.done += 1,
            WindowState::Late => {
                self.done += 1;
                self.late += 1;
            }
            WindowState::Aborted => {
                self.not_run += 1;
                self.aborted += 1;
            }
            WindowState::NotRun => self.not_run += 1,
            WindowState::Open => self.open += 1,
        }
    }

    /// How many of each state, in the order of tables.
    pub const fn columns(&self) -> [(WindowState, u64); 5] {
        [
            (WindowState::Done, self.done - self.late),
            (WindowState::Late, self.late),
            (WindowState::Aborted, self.aborted),
            (WindowState::NotRun, self.not_run - self.aborted),
            (WindowState::Open, self.open),
        ]
    }
}

/// Planned scans of one ISO week or month.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Week {
    /// `2026-W47` or `2026-11`.
    pub week: String,
    /// `weekly` or `monthly`.
    pub kind: &'static str,
    /// First second, Unix (UTC).
    pub start: i64,
    /// What became of them.
    pub windows: WindowCount,
}

/// One change of what is judged, by what, or by whom.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
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

/// Texts and rows that many controls share are written as if each control had its own.
fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn maybe<T: Serialize, S: Serializer>(value: &Option<Arc<T>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}

fn each<T: Serialize, S: Serializer>(rows: &[Arc<T>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rows.iter().map(|row| &**row))
}
