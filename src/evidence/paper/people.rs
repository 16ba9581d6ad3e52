//! People: who works here, who left, and how long they could still get in.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::ids::{Digest, HostId};

/// The people of the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct People {
    /// SHA-256 of the last roster in force in the period.
    pub list: Digest,
    /// From when on the first roster that can be read was in force, Unix seconds; `None`: none can.
    pub known_from: Option<i64>,
    /// Everybody who worked here at some time in the period or was still listed, by name.
    pub people: Vec<Person>,
    /// Who worked here at the end of the period.
    pub employed: usize,
    /// First listed in the period, after an earlier roster did not list them.
    pub joined: usize,
    /// Last day within the period.
    pub left: usize,
    /// What could not be told, one sentence each.
    pub problems: Vec<String>,
}

/// One person of the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// As the roster names them.
    pub person: String,
    /// From when on a roster lists them, Unix seconds.
    pub listed: i64,
    /// Whether an earlier roster did not.
    pub joined: bool,
    /// First second after the last day, Unix.
    pub left_at: Option<i64>,
    /// From when on no roster lists them although no last day was given, Unix seconds.
    pub dropped: Option<i64>,
}

/// A person who left, over all hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leaver {
    /// Who, as the roster names them.
    pub person: String,
    /// First second after the last day, Unix.
    pub left_at: i64,
    /// Hosts on which a way in was seen afterwards.
    pub seen: usize,
    /// Those of them on which it was still open at the end of the period.
    pub open: usize,
    /// Hosts on which no scan after the last day could tell.
    pub unknown: usize,
    /// Hosts on which no way in was ever seen afterwards.
    pub never: usize,
    /// Seconds until the last way in was closed, at least.
    pub at_least: i64,
    /// Seconds until the last way in was closed, at most; `None` while one is open or unknown.
    pub at_most: Option<i64>,
    /// What the policy allows, seconds; `None`: it says nothing.
    pub limit: Option<i64>,
}

impl Leaver {
    /// How it stands against the limit.
    pub fn standing(&self) -> RevocationState {
        RevocationState::of(self.open > 0, self.unknown > 0, self.at_least, self.at_most, self.limit)
    }
}

/// How a revocation stands against what the policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationState {
    /// No way in is left, and the longest time that it can have taken is within the limit.
    InTime,
    /// No way in is left.
    Closed,
    /// No way in is left; whether it took longer than the limit lies between two scans.
    Undecided,
    /// Even the shortest time that it can have taken is beyond the limit; no way in is known to be left.
    Late,
    /// No scan could tell.
    Unknown,
    /// A way in is still open, within the limit.
    Open,
    /// A way in is still open, beyond the limit.
    Overdue,
}

impl RevocationState {
    fn of(open: bool, unknown: bool, at_least: i64, at_most: Option<i64>, limit: Option<i64>) -> Self {
        match (open, unknown, at_most, limit) {
            (true, _, _, Some(limit)) if at_least > limit => Self::Overdue,
            (true, ..) => Self::Open,
            (_, _, _, Some(limit)) if at_least > limit => Self::Late,
            (_, true, ..) | (_, _, None, _) => Self::Unknown,
            (_, _, Some(_), None) => Self::Closed,
            (_, _, Some(most), Some(limit)) if most <= limit => Self::InTime,
            _ => Self::Undecided,
        }
    }

    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InTime => "in time",
            Self::Closed => "closed",
            Self::Undecided => "in time or late: between two scans",
            Self::Late => "late",
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::Overdue => "open, overdue",
        }
    }
}

/// The last way in of a person who left, on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Revocation {
    /// Who, as the roster names them.
    pub person: String,
    /// First second after the last day, Unix.
    pub left_at: i64,
    /// Host.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// Rules that saw a way in after the last day, sorted; empty: none did.
    pub ways: Vec<String>,
    /// The last scan that saw a way in, Unix seconds; `None`: none did after the person had left.
    pub last_seen: Option<i64>,
    /// The first scan after it that saw none; `None`: none did until the end of the period.
    pub first_gone: Option<i64>,
    /// Seconds that it took at least.
    pub at_least: i64,
    /// Seconds that it took at most; `None`: no scan saw that none is left. The difference is what the scans can resolve.
    pub at_most: Option<i64>,
    /// What the policy allows, seconds; `None`: it says nothing.
    pub limit: Option<i64>,
    /// Whether the host was taken out before a scan saw that no way in was left.
    pub taken_out: bool,
}

impl Revocation {
    /// Whether a way in was open when it was last looked at.
    pub fn open(&self) -> bool {
        self.first_gone.is_none() && self.last_seen.is_some() && !self.taken_out
    }

    /// Whether no scan could tell that none is left, and none can come.
    pub fn unknown(&self) -> bool {
        self.first_gone.is_none() && !self.open()
    }

    /// How it stands against the limit.
    pub fn state(&self) -> RevocationState {
        RevocationState::of(self.open(), self.unknown(), self.at_least, self.at_most, self.limit)
    }
}
