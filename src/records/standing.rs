//! How records stand over time: what is current, due, overdue, missing, and since when.

use serde::Serialize;

use crate::model::finding::Verdict;
use crate::model::ids::{Digest, RandomId};

/// How an entry or a duty stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Recorded, complete and in time.
    Current,
    /// The same, and to be renewed soon.
    Due,
    /// Not told: the list of whom it is due for is not here.
    Unknown,
    /// Nobody recorded it.
    Missing,
    /// A field that must be filled in is empty.
    Incomplete,
    /// Done, after the time it had.
    Late,
    /// Not renewed or not done in time.
    Overdue,
    /// Its validity ended.
    Expired,
    /// It says something that must not be.
    Refused,
}

impl State {
    /// The verdict that it amounts to. A missing record is `not run`: nobody has said it, which is no failure seen and never a pass.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Current | Self::Due => Verdict::Pass,
            Self::Unknown => Verdict::Unknown,
            Self::Missing => Verdict::NotRun,
            Self::Incomplete | Self::Late | Self::Overdue | Self::Expired | Self::Refused => Verdict::Fail,
        }
    }

    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Due => "due soon",
            Self::Unknown => "unknown",
            Self::Missing => "no record",
            Self::Incomplete => "incomplete",
            Self::Late => "late",
            Self::Overdue => "overdue",
            Self::Expired => "expired",
            Self::Refused => "not allowed",
        }
    }
}

/// How one entry or duty stood over a span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Record type.
    pub record: String,
    /// The entry; `None`: the duty as a whole, or a list.
    pub entry: Option<RandomId>,
    /// Person, group, site or matter; empty: the company.
    pub subject: String,
    /// How it stood.
    pub state: State,
    /// From this second on, Unix.
    pub since: i64,
    /// Until this second, exclusive; `None`: still so at the end of what was asked.
    pub until: Option<i64>,
    /// One sentence.
    pub message: String,
    /// The statements that it rests on, in their order.
    pub events: Vec<Digest>,
}
