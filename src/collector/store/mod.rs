//! What the collector remembers, in the model's terms.

mod audit;
mod blobs;
mod carve;
mod engine;
mod findings;
mod fleet;
mod hosts;
mod judged;
mod kept;
mod leases;
mod ledger;
mod lists;
mod moves;
mod open;
mod population;
mod query;
mod records;
mod reports;
mod retention;
mod statements;
mod tallies;
mod transfer;
mod transitions;
mod users;
mod views;
mod worklist;
mod writer;

pub use engine::{Engine, SILENT_AFTER, Store, StoreError, is_postgres, url_file};
pub use fleet::{Count, Ending, Label, LabelFilter, MAX_COUNTED, Place, Seen};
pub use hosts::{Enrolled, NewHost, Retirement};
pub use judged::{Again, Laid, Rejudged};
pub(super) use ledger::random_id;
pub use ledger::{Head, PendingLeaf};
pub use lists::{ErasedList, Given, ListGiven, ListVersion, NewList};
pub use population::{HostFilter, ScanRow, States, offset_of};
pub use records::{ErasedRecord, NewRecord, RecordError};
pub use reports::{Accepted, Missing, NewReport};
pub use retention::{Erased, ErasedOfHost, Horizon, Thinned};
pub use statements::{ExportSaid, Statement};
pub use tallies::{Age, DayTally, Tallies, Tally};
pub use transfer::Moved;
pub(super) use transitions::is_same;
pub use users::{SignIn, UserAction, UserChange};
pub use views::SavedView;
pub use worklist::{Cursor, FacetCount, Group, OpenFilter, OpenFinding, Word};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::finding::{Counts, Finding, Severity, Verdict};
use crate::model::ids::{Address, Digest, HostId, Lineage, RandomId, Salt};
use crate::model::report::{ScanKind, ScanState};

/// Whether a host counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// Enrolled and heard of.
    Active,
    /// Enrolled, not heard of for longer than the limit.
    Silent,
    /// Taken out by a person.
    Retired,
    /// Taken out because another host took its place: the population counts the two once.
    Replaced,
}

impl HostState {
    /// Whether the host counts no longer.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Retired | Self::Replaced)
    }

    /// All.
    pub const ALL: [Self; 4] = [Self::Active, Self::Silent, Self::Retired, Self::Replaced];

    /// The state of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// The word people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Silent => "silent",
            Self::Retired => "retired",
            Self::Replaced => "replaced",
        }
    }
}

/// One enrolled host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRow {
    /// Its key.
    pub id: HostId,
    /// Name it gave; shown, never trusted.
    pub name: String,
    /// Ed25519 public key, SubjectPublicKeyInfo DER.
    pub public_key: Vec<u8>,
    /// Salt of its blob addresses.
    pub salt: Salt,
    /// `pretty_name` of its latest `os` facts; empty before the first report.
    pub os: String,
    /// Unix seconds.
    pub enrolled_at: i64,
    /// Last heartbeat or report, Unix seconds.
    pub seen_at: Option<i64>,
    /// State at the time asked for.
    pub state: HostState,
    /// The host whose place it took.
    pub replaces: Option<HostId>,
    /// When it was taken out, Unix seconds, if that was so at the time asked for.
    pub retired_at: Option<i64>,
    /// The reason given; empty while it counts.
    pub retired_why: String,
}

/// One accepted report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// SHA-256 of the payload.
    pub id: Digest,
    /// Who.
    pub host: HostId,
    /// Which run of numbers.
    pub lineage: Lineage,
    /// Number.
    pub sequence: u64,
    /// Why it ran.
    pub kind: ScanKind,
    /// Window it fulfils.
    pub window: Option<String>,
    /// How far it got.
    pub state: ScanState,
    /// Unix seconds, the host's clock.
    pub started: i64,
    /// Unix seconds, the host's clock.
    pub finished: i64,
    /// Unix seconds, the collector's clock.
    pub received: i64,
    /// The collector's own verdicts.
    pub counts: Counts,
    /// Whether the host's verdicts differ from the collector's under equal inputs.
    pub disagrees: bool,
    /// The signed envelope, canonical JSON.
    pub envelope: Vec<u8>,
    /// Leaf index once sequenced.
    pub leaf: Option<u64>,
}

/// One verdict over a span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRow {
    /// Host.
    pub host: HostId,
    /// The verdict and what it rests on.
    pub finding: Finding,
    /// First seen so, Unix seconds.
    pub since: i64,
    /// No longer so from this time on; `None`: still so.
    pub until: Option<i64>,
    /// Report on whose facts it rests: the one that brought it, unless `origin` says otherwise.
    pub report: Digest,
    /// What brought it when no report did, divided by commas: `time` (alone), `roster`, `approvals`, `third-parties`, `policy`, `rules`, `program`,
    /// `advisories`, `upgrade` (what was judged by before is not known).
    pub origin: Option<String>,
}

/// Which findings.
#[derive(Clone, Debug, Default)]
pub struct FindingFilter {
    /// Of this host.
    pub host: Option<HostId>,
    /// Of this rule.
    pub rule: Option<String>,
    /// On this subject.
    pub subject: Option<String>,
    /// With one of these verdicts; empty: any.
    pub verdicts: Vec<Verdict>,
    /// At least this severe.
    pub severity: Option<Severity>,
    /// True at this time, Unix seconds; `None`: now.
    pub as_of: Option<i64>,
    /// Overlapping this span instead of a point in time, `[from, to)` Unix seconds.
    pub period: Option<(i64, i64)>,
    /// Most rows; 0: no limit.
    pub limit: u32,
}

/// One ledger entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafRow {
    /// Index, from 0.
    pub index: u64,
    /// `report`, `enrolment`, …
    pub kind: String,
    /// Canonical JSON of the leaf.
    pub bytes: Vec<u8>,
    /// What it is about: report digest or random id, hexadecimal.
    pub reference: String,
}

/// A person who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// Stands for the person in the ledger.
    pub id: RandomId,
    /// Name to sign in with.
    pub name: String,
    /// `admin`, `reviewer`, `auditor` or `viewer`.
    pub role: String,
    /// Argon2id PHC string; empty when only a one-time sign-in was made.
    pub password: String,
    /// Unix seconds.
    pub created_at: i64,
}

/// One blob as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRow {
    /// Its address on its host.
    pub address: Address,
    /// zstd frame.
    pub frame: Vec<u8>,
}

#[cfg(test)]
pub(crate) mod testing {
    //! A real store in a temporary folder.
    use super::*;

    /// A Monday.
    pub const NOW: i64 = 1_763_337_600;

    pub async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        (folder, store)
    }
}
