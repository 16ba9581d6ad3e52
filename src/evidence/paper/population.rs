//! Which hosts there are, and a second list beside them.

use serde::Serialize;

use super::WindowCount;
use crate::model::ids::{Digest, HostId};

/// How a host stood at the end of the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Heard of lately.
    Active,
    /// Not heard of for longer than the collector allows.
    Silent,
    /// Taken out by a person.
    Retired,
    /// Taken out, and another host took its place.
    Replaced,
}

impl MemberState {
    /// All, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Active, Self::Silent, Self::Retired, Self::Replaced];

    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Silent => "silent",
            Self::Retired => "retired",
            Self::Replaced => "replaced",
        }
    }

    /// Whether it owes results at the end of the period.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Active | Self::Silent)
    }
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
    /// How it stood at the end of the period.
    pub state: MemberState,
    /// First seen: when it was enrolled, Unix seconds.
    pub enrolled_at: i64,
    /// Last heartbeat or report, Unix seconds.
    pub seen_at: Option<i64>,
    /// Taken out by a person, Unix seconds.
    pub retired_at: Option<i64>,
    /// Why it was taken out; empty while it counts.
    pub retired_why: String,
    /// Name of the host that took its place; empty: none did.
    pub replaced_by: String,
    /// End of its last complete scan before the end of the period, if the bundle holds it.
    pub confirmed: Option<i64>,
    /// The same of scans that read what only monthly ones do.
    pub confirmed_monthly: Option<i64>,
    /// Reports of it in the bundle.
    pub reports: usize,
    /// Windows, by what became of them.
    pub windows: WindowCount,
}

/// The population beside a second list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// SHA-256 of the list.
    pub list: Digest,
    /// When it was given, Unix seconds.
    pub at: i64,
    /// Why it could not be compared, one sentence; empty: it was.
    pub problem: String,
    /// Hosts in both, by name as it stands here.
    pub both: Vec<String>,
    /// Hosts that count here and that the list lacks.
    pub only_here: Vec<String>,
    /// Hosts of the list that are not enrolled here.
    pub only_listed: Vec<String>,
    /// Hosts of the list that were taken out here.
    pub retired_listed: Vec<String>,
    /// Lines that name no host, which can't be compared by name.
    pub unnamed: u64,
}
