//! What a rule said of a subject.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fact::Source;

/// How bad a failure is. Ordered: `Critical` is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Mend when convenient.
    Low,
    /// Mend in the ordinary cycle.
    Medium,
    /// Mend soon.
    High,
    /// Mend now.
    Critical,
}

/// The answer of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The assertion holds on complete facts.
    Pass,
    /// The assertion does not hold.
    Fail,
    /// It can't be told; `reason` says why.
    Unknown,
    /// The rule does not concern this host or subject; the cited fact proves it.
    NotApplicable,
    /// A failure that an approved waiver covers (collector only).
    Waived,
    /// A planned scan did not happen (collector only).
    NotRun,
}

impl Severity {
    /// All, most severe first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];

    /// The word people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        }
    }
}

impl std::str::FromStr for Severity {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|s| s.word() == word).ok_or_else(|| format!("{word:?} is not a severity: critical, high, medium, low or info"))
    }
}

impl Verdict {
    /// All.
    pub const ALL: [Self; 6] = [Self::Pass, Self::Fail, Self::Unknown, Self::NotApplicable, Self::Waived, Self::NotRun];

    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not applicable",
            Self::Waived => "waived",
            Self::NotRun => "not run",
        }
    }

    /// The form on disk and wire.
    pub const fn id(self) -> &'static str {
        match self {
            Self::NotApplicable => "not_applicable",
            Self::NotRun => "not_run",
            other => other.word(),
        }
    }

    /// From the form on disk and wire.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.id() == id)
    }
}

/// A value that a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// Dotted path with indices, family first: `tls.endpoints[2].accepted`.
    pub path: String,
    /// The value read, as JSON text of at most 200 characters.
    pub value: String,
    /// Where the fact was observed.
    pub source: Option<Source>,
}

/// Why a verdict is `unknown`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnknownReason {
    /// `gap`, `error` or `limit`.
    pub kind: String,
    /// The gap's reason id, or the id of the error or limit.
    pub id: String,
    /// One sentence fragment.
    pub detail: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

/// One verdict of one rule on one subject of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Rule id.
    pub rule: String,
    /// What was judged: an endpoint, an account, a mount; empty for the host as a whole.
    pub subject: String,
    /// The answer.
    pub verdict: Verdict,
    /// Severity of the rule.
    pub severity: Severity,
    /// What was found, in the rule's words; set for every verdict but `pass`.
    pub message: String,
    /// Set if and only if the verdict is `unknown`.
    pub reason: Option<UnknownReason>,
    /// What the verdict rests on.
    pub citations: Vec<Citation>,
}

/// Findings per verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// `pass`
    pub pass: u64,
    /// `fail`
    pub fail: u64,
    /// `unknown`
    pub unknown: u64,
    /// `not_applicable`
    pub not_applicable: u64,
}

impl Counts {
    /// Counts of a list.
    pub fn of(findings: &[Finding]) -> Self {
        let count = |v| findings.iter().filter(|f| f.verdict == v).count() as u64;
        Self { pass: count(Verdict::Pass), fail: count(Verdict::Fail), unknown: count(Verdict::Unknown), not_applicable: count(Verdict::NotApplicable) }
    }
}
