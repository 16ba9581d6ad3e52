//! How severe a hole is and how the distribution treats it: what is said, never made up.

use serde::Deserialize;
use serde_json::Value;

use super::cvss;

/// How the distribution treats a hole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// As one.
    #[default]
    Open = 0,
    /// As none that matters.
    Unimportant = 1,
    /// Not any more.
    EndOfLife = 2,
}

/// How severe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Severity {
    /// Nobody says.
    #[default]
    Unknown = 0,
    /// Score 0.
    None = 1,
    /// Up to 3.9.
    Low = 2,
    /// Up to 6.9.
    Medium = 3,
    /// Up to 8.9.
    High = 4,
    /// From 9.0.
    Critical = 5,
}

impl Severity {
    /// The word in facts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    const fn of_tenths(tenths: u8) -> Self {
        match tenths {
            0 => Self::None,
            1..=39 => Self::Low,
            40..=69 => Self::Medium,
            70..=89 => Self::High,
            _ => Self::Critical,
        }
    }

    /// The words of the distributions; any other word says nothing.
    fn of_word(word: &str) -> Self {
        match word.to_ascii_lowercase().trim_matches('*') {
            "critical" => Self::Critical,
            "high" | "important" => Self::High,
            "medium" | "moderate" => Self::Medium,
            "low" | "negligible" => Self::Low,
            _ => Self::Unknown,
        }
    }
}

/// Severity, score and status, where they are said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rating {
    /// How severe.
    pub severity: Severity,
    /// CVSS base score in tenths.
    pub score: Option<u8>,
    /// How the distribution treats it.
    pub status: Status,
}

impl Rating {
    /// A CVSS vector decides before a word of the distribution.
    pub fn of(severity: Option<&[RawSeverity]>, database: Option<&Value>, ecosystem: Option<&Value>) -> Self {
        let score = severity.iter().copied().flatten().filter(|s| s.kind == "CVSS_V3").find_map(|s| cvss::base_tenths(&s.score));
        let word = |value: Option<&Value>, key: &str| value.and_then(|v| v.get(key)).and_then(Value::as_str).map(str::to_string);
        let urgency = word(ecosystem, "urgency").or_else(|| word(database, "urgency")).unwrap_or_default();
        let status = match urgency.as_str() {
            "unimportant" => Status::Unimportant,
            "end-of-life" => Status::EndOfLife,
            _ => Status::Open,
        };
        let own = severity.iter().copied().flatten().filter(|s| !s.kind.starts_with("CVSS")).map(|s| s.score.clone());
        let words = own.chain([urgency]).chain(["severity", "ubuntu_priority"].iter().filter_map(|k| word(ecosystem, k).or_else(|| word(database, k))));
        let said = words.map(|w| Severity::of_word(&w)).find(|s| *s != Severity::Unknown).unwrap_or_default();
        Self { severity: score.map_or(said, Severity::of_tenths), score, status }
    }

    /// Errata of Red Hat's kind begin with their rating: `Important: …`.
    pub fn of_summary(id: &str, summary: &str) -> Self {
        let rated = ["ALSA-", "RLSA-", "RHSA-", "RXSA-"].iter().any(|p| id.starts_with(p));
        let word = summary.split_once(':').map_or("", |(word, _)| word);
        Self { severity: if rated { Severity::of_word(word) } else { Severity::Unknown }, ..Self::default() }
    }

    /// This one, or the other where it says nothing of severity.
    pub fn or(self, other: Self) -> Self {
        if self.severity == Severity::Unknown { Self { status: self.status, ..other } } else { self }
    }
}

/// One rating as published.
#[derive(Deserialize)]
pub struct RawSeverity {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    score: String,
}
