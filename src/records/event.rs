//! One thing that a person recorded: what the ledger refers to.
//!
//! ```text
//! {"action":"add","at":…,"by":"alice","entry":RANDOM16,"fields":{…},"files":[{"bytes":…,"name":…,"sha256":…}],
//!  "format":"assay.record.v1","nonce":RANDOM16,"record":"awareness-training","subject":"m.keller"}
//! ```
//! The nonce keeps the digest of an erased event from being guessed: it goes with what is erased.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::canonical;
use crate::model::ids::{Digest, RandomId};

/// Version that this code writes.
pub const FORMAT: &str = "assay.record.v1";

/// What was done to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A new entry.
    Add,
    /// Fields got other values; those that are not named stay.
    Change,
    /// The matter is done; the entry stays.
    Close,
    /// The entry was a mistake: it counts no longer and stays visible.
    Withdraw,
    /// A second person agreed (waivers, approvals).
    Approve,
    /// A second person refused.
    Refuse,
    /// What was approved holds no longer.
    Revoke,
    /// A person looked through the whole list and signed that it is complete; the entry is the list itself.
    SignOff,
}

/// A file that belongs to an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Length.
    pub bytes: u64,
    /// Name for people; shown, never a path.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What was done.
    pub action: Action,
    /// When, Unix seconds, the collector's clock.
    pub at: i64,
    /// Who did it: the name to sign in with, or the operator's account name on the command line.
    pub by: String,
    /// Which entry; of a sign-off, the list as a whole: all zero.
    pub entry: RandomId,
    /// Values by the name of the field, as text in the form that its type asks for.
    pub fields: BTreeMap<String, String>,
    /// Files.
    pub files: Vec<Attachment>,
    /// [`FORMAT`].
    pub format: String,
    /// Random.
    pub nonce: RandomId,
    /// Id of the [`RecordType`](super::RecordType).
    pub record: String,
    /// Person, group, site or thing that it is about; empty: the company.
    pub subject: String,
}

/// Name of the text that says why an entry was closed, withdrawn, approved, refused, revoked or signed off.
pub const NOTE: &str = "note";

/// An event and the statement that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Recorded {
    /// Digest of the statement, the reference of its ledger entry.
    pub digest: Digest,
    /// What was recorded.
    pub event: Event,
}

impl Event {
    /// The entry of sign-offs: the list as a whole.
    pub const LIST: RandomId = RandomId::new([0; 16]);

    /// Reads the body of a statement; an error says why it is no event.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let event: Self = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        if event.format == FORMAT { Ok(event) } else { Err(format!("it has format {:?}, not {FORMAT:?}", event.format)) }
    }

    /// Why it was done; empty when nobody said.
    pub fn note(&self) -> &str {
        self.fields.get(NOTE).map_or("", String::as_str)
    }
}

impl Recorded {
    /// Whether words of it were erased: its statement keeps the digest of what was recorded, and a statement of the erasure says
    /// what stands there now.
    pub fn is_erased(&self) -> bool {
        canonical::to_bytes(&self.event).map(|body| Digest::of(&body)) != Ok(self.digest)
    }
}

impl Action {
    /// The form on disk and wire.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Close => "close",
            Self::Withdraw => "withdraw",
            Self::Approve => "approve",
            Self::Refuse => "refuse",
            Self::Revoke => "revoke",
            Self::SignOff => "sign-off",
        }
    }

    /// Whether its fields are those of the entry; else they hold [`NOTE`] alone.
    pub const fn fills(self) -> bool {
        matches!(self, Self::Add | Self::Change | Self::Close)
    }
}

/// Events in the order in which they count: by time, and within a second in that of the ledger, in which they are given.
pub fn ordered<'e>(events: impl IntoIterator<Item = &'e Recorded>) -> Vec<&'e Recorded> {
    let mut all: Vec<&Recorded> = events.into_iter().collect();
    all.sort_by_key(|r| r.event.at);
    all
}
