//! The report: digests and counts of one scan, no person and no path.
//!
//! Canonical JSON inside a [`DSSE envelope`](super::envelope) signed by the host key.
//! `(host, lineage, sequence)` is unique for ever; SHA-256 of the payload is the report's id.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::Counts;
use super::ids::{Address, Digest, HostId, Lineage};

/// Version that this code writes.
pub const FORMAT: &str = "assay.report.v1";

/// Why a scan ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScanKind {
    /// The weekly window.
    Weekly,
    /// The monthly window; counts as that week's weekly too.
    Monthly,
    /// Somebody asked.
    OnDemand,
    /// A watched file changed.
    Drift,
}

/// How often the scans are in which something dear is read or judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cadence {
    /// In every scan.
    Weekly,
    /// In monthly scans and on demand, for what is dear to read.
    Monthly,
}

impl Cadence {
    /// The word people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

impl ScanKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Weekly, Self::Monthly, Self::OnDemand, Self::Drift];

    /// The rarest that this kind of scan reads and judges.
    pub const fn cadence(self) -> Cadence {
        match self {
            Self::Monthly | Self::OnDemand => Cadence::Monthly,
            Self::Weekly | Self::Drift => Cadence::Weekly,
        }
    }
    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::OnDemand => "on demand",
            Self::Drift => "drift",
        }
    }
    /// The form on disk and wire.
    pub const fn id(self) -> &'static str {
        match self {
            Self::OnDemand => "on_demand",
            other => other.word(),
        }
    }
    /// From the form on disk and wire.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.id() == id)
    }
}

/// How far a scan got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScanState {
    /// Every planned family was gathered or has a gap.
    Complete,
    /// A limit or a signal ended it; `limits` names which.
    Aborted,
}

impl ScanState {
    /// The word people see, on disk and wire too.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Aborted => "aborted",
        }
    }
}

/// What was scanned and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// Why it ran.
    pub kind: ScanKind,
    /// The window it fulfils: `2026-W47` or `2026-11`; `null` for on demand and drift.
    pub window: Option<String>,
    /// How far it got.
    pub state: ScanState,
}

/// When it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Wall clock at the start, Unix seconds.
    pub started: i64,
    /// Wall clock at the end, Unix seconds.
    pub finished: i64,
    /// CLOCK_BOOTTIME at the start, milliseconds.
    pub boot_ms: u64,
}

/// What judged on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Version of the agent.
    pub agent: String,
    /// SHA-256 of the rule pack.
    pub pack: Digest,
    /// SHA-256 of the thresholds (canonical JSON of the policy).
    pub policy: Digest,
}

/// The blobs of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyBlobs {
    /// Name of the family.
    pub family: String,
    /// Address of the stable facts.
    pub stable: Address,
    /// Address of the volatile facts.
    pub volatile: Address,
}

/// Reports the host could not keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Losses {
    /// Unacknowledged reports dropped because the spool was full or too old, since the lineage began.
    pub spool_dropped: u64,
    /// Spool files found damaged, since the lineage began.
    pub spool_damaged: u64,
}

/// One scan of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`FORMAT`].
    pub format: String,
    /// The host key that signs.
    pub host: HostId,
    /// The run of numbers this report belongs to.
    pub lineage: Lineage,
    /// The lineage that this one continues after a fork or a lost state; `null` for the first.
    pub parent: Option<Lineage>,
    /// From 1, without holes.
    pub sequence: u64,
    /// What was scanned and why.
    pub scan: Scan,
    /// When.
    pub times: Times,
    /// What judged on the host.
    pub software: Software,
    /// Blobs per family, by name.
    pub facts: Vec<FamilyBlobs>,
    /// Address of the list of gaps.
    pub gaps: Address,
    /// Address of the list of findings.
    pub findings: Address,
    /// Findings per verdict.
    pub counts: Counts,
    /// Stable ids of the limits that were hit, sorted.
    pub limits: Vec<String>,
    /// What the host could not keep.
    pub losses: Losses,
}

impl Report {
    /// Every blob address the report names, without repetitions, sorted.
    pub fn addresses(&self) -> Vec<Address> {
        let mut all: Vec<Address> = self.facts.iter().flat_map(|f| [f.stable, f.volatile]).chain([self.gaps, self.findings]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
