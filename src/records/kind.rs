//! Record types: one YAML file each below `rules/records/`.
//!
//! ```yaml
//! id: awareness-training
//! title: Security awareness training
//! group: people                    # under which heading people look for it
//! text: what is to be recorded, in our words
//! shape: attestation               # attestation: renewed by its cadence | register: a list of matters | decision: laid over findings
//! per: person                      # attestation only: company | person | group | site
//! about: name of the supplier      # register only: what the subject of an entry is
//! cadence_days: 365                # attestation: renewed after so many days at the latest; register: signed off as complete that often
//! dated: done_on                   # attestation only: the field from which the cadence runs; without it, when it was recorded
//! remind_days: 30
//! promises: [B14, C18]
//! fields:
//!   - {name: done_on, type: date, required: true, text: day of the training}
//! expires: valid_until             # a date field: the entry counts until the end of that day
//! deadlines:
//!   - {id: authority, from: known_at, within_hours: 72, done: authority_told_at, unless: {notifiable: ["no"]}, text: the authority is told within 72 hours}
//! refused:
//!   - {field: transfer_mechanism, values: [privacy-shield], text: the mechanism was struck down}
//! conflicts: [place]               # register only: open entries of one subject must say the same here
//! ```
//! Days are those of UTC. A file that says something else than this does not load; the problem names file, line and key.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Something that must be said again by its cadence.
    Attestation,
    /// A list of matters that happen or exist, each with its fields and deadlines.
    Register,
    /// What people decide about findings: waivers, owners, due dates.
    Decision,
}

/// A heading of the list of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// What went wrong.
    Incidents,
    /// Data of people, and what is owed to them.
    PersonalData,
    /// Whoever works for the company.
    Suppliers,
    /// Who may do what.
    Access,
    /// Whoever works in the company.
    People,
    /// What is to be done, and what could happen.
    Policies,
    /// Whether it is done.
    Reviews,
    /// Things and places.
    Assets,
    /// What is laid over findings.
    Decisions,
}

impl Group {
    /// In the order in which people read them.
    pub const ALL: [Self; 9] =
        [Self::Incidents, Self::PersonalData, Self::Suppliers, Self::Access, Self::People, Self::Policies, Self::Reviews, Self::Assets, Self::Decisions];

    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Incidents => "Incidents",
            Self::PersonalData => "Personal data",
            Self::Suppliers => "Suppliers",
            Self::Access => "Access",
            Self::People => "People",
            Self::Policies => "Policies and risks",
            Self::Reviews => "Reviews and tests",
            Self::Assets => "Assets, sites and changes",
            Self::Decisions => "Decisions on findings",
        }
    }
}

/// For whom an attestation is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Once for the company.
    #[default]
    Company,
    /// Once for each person of the roster who works here.
    Person,
    /// Once for each group that was ever attested or declared.
    Group,
    /// Once for each site that was ever attested or declared.
    Site,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// One line, up to 1,000 characters.
    Line,
    /// Text, up to 20,000 characters.
    Text,
    /// `YYYY-MM-DD`.
    Date,
    /// RFC 3339 with an offset, to the second.
    Time,
    /// A whole number.
    Number,
    /// A person, as the roster names people.
    Person,
    /// One of `values`.
    Choice,
    /// An `https:` address.
    Link,
    /// Names one of the event's files.
    File,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// `snake_case`.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Whether an entry without it is incomplete.
    #[serde(default)]
    pub required: bool,
    /// Words of a [`FieldType::Choice`].
    #[serde(default)]
    pub values: Vec<String>,
    /// What it means.
    pub text: String,
}

/// Something that must be done within a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deadline {
    /// Such as `authority`.
    pub id: String,
    /// The date or time field from which it runs.
    pub from: String,
    /// Hours that it may take.
    #[serde(default)]
    pub within_hours: Option<u32>,
    /// Days that it may take: until the end of the day when it runs from a date.
    #[serde(default)]
    pub within_days: Option<u32>,
    /// Months of the calendar that it may take.
    #[serde(default)]
    pub within_months: Option<u32>,
    /// More time, once something else was done in the first.
    #[serde(default)]
    pub longer: Option<Longer>,
    /// The date or time field that says it was done.
    pub done: String,
    /// It does not run when a field has one of these values.
    #[serde(default)]
    pub unless: BTreeMap<String, Vec<String>>,
    /// What must be done, a clause.
    pub text: String,
}

/// More time for a [`Deadline`], counted from the same day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Longer {
    /// The date or time field that says what must have been done within the first time.
    pub when: String,
    /// Months of the calendar that it may take then.
    pub within_months: u32,
}

/// Values that make an entry wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Which field.
    pub field: String,
    /// The values.
    pub values: Vec<String>,
    /// Why, a clause.
    pub text: String,
}

/// One record type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordType {
    /// Lower case with dashes; the name of its file.
    pub id: String,
    /// For people.
    pub title: String,
    /// Under which heading people look for it.
    pub group: Group,
    /// What is to be recorded.
    pub text: String,
    /// What kind of record it is.
    pub shape: Shape,
    /// For whom it is due.
    #[serde(default)]
    pub per: Per,
    /// What the subject of a register's entry is, a few words.
    #[serde(default)]
    pub about: String,
    /// The date or time field from which the cadence of an attestation runs; `None`: when it was recorded.
    #[serde(default)]
    pub dated: Option<String>,
    /// Days after which it must be renewed, or the list signed off again.
    #[serde(default)]
    pub cadence_days: Option<u32>,
    /// Days before that from which it counts as due.
    #[serde(default)]
    pub remind_days: u32,
    /// Rows of the promises it proves.
    #[serde(default)]
    pub promises: Vec<String>,
    /// What an entry holds.
    pub fields: Vec<Field>,
    /// The date field until which an entry counts.
    #[serde(default)]
    pub expires: Option<String>,
    /// What must be done within a time.
    #[serde(default)]
    pub deadlines: Vec<Deadline>,
    /// Values that make an entry wrong.
    #[serde(default)]
    pub refused: Vec<Refused>,
    /// Fields in which open entries of one subject must not differ.
    #[serde(default)]
    pub conflicts: Vec<String>,
}

impl RecordType {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}
