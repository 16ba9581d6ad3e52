//! The `advisories` family: published security holes that the installed packages still have.
//!
//! Derived, never gathered: a pure function of the facts and an index of advisories, so host and
//! collector come to the same answer. The lists part the holes by what can be done about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fact::Source;
use super::gap::Gap;
use super::schemas;

/// Name of the derived family in rules.
pub const NAME: &str = "advisories";

/// Installed packages against published advisories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advisories {
    /// The index that was matched.
    pub data: Data,
    /// Ecosystems of the index that stand for this host's release (OSV names, such as `Debian:12`), sorted.
    pub ecosystems: Vec<String>,
    /// Installed packages that were compared.
    pub packages: u64,
    /// A fix is published and not in effect, severity critical; by subject.
    pub critical: Vec<Advisory>,
    /// The same, severity high.
    pub high: Vec<Advisory>,
    /// The same, severity medium.
    pub medium: Vec<Advisory>,
    /// The same, severity low or none.
    pub low: Vec<Advisory>,
    /// The same, where neither a CVSS vector nor the distribution says how severe.
    pub unrated: Vec<Advisory>,
    /// Affected, and no fixed version is published for this release.
    pub no_fix: Vec<Advisory>,
    /// Affected, and the distribution rates it unimportant or ended support of the package.
    pub unimportant: Vec<Advisory>,
    /// Installed kernels that are affected and do not run.
    pub kernels_not_running: Vec<Advisory>,
}

/// The index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// When the records were compiled, Unix seconds.
    pub imported_at: i64,
    /// Publication or change of the newest record of this host's ecosystems, Unix seconds; `null` without any.
    pub newest_record_at: Option<i64>,
    /// Records of the whole index.
    pub records: u64,
    /// SHA-256 that identifies the index.
    pub digest: String,
}

/// One advisory that concerns one source package as installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advisory {
    /// Id and source package, such as `DSA-5678-1 openssl`; with the version where several are installed.
    pub subject: String,
    /// Id of the advisory.
    pub id: String,
    /// Other ids of the same holes (CVE and merged records), sorted.
    pub aliases: Vec<String>,
    /// Installed binary packages concerned, sorted.
    pub packages: Vec<String>,
    /// Source package.
    pub source_package: String,
    /// Version that was compared: of the source package (dpkg, apk) or of the package itself (rpm).
    pub installed: String,
    /// First version of this release without the holes; empty when none is published.
    pub fixed: String,
    /// `critical`, `high`, `medium`, `low`, `none` or `unknown`.
    pub severity: String,
    /// CVSS base score in tenths (98 is 9.8); `null` without a vector.
    pub score_tenths: Option<i64>,
    /// Publication of the advisory, Unix seconds; `null` when the record does not say.
    pub published_at: Option<i64>,
    /// Whether the host's own package lists offer the fixed version: `yes`, `no`, `unknown`.
    pub offered: String,
    /// `fixed-available`, `restart-required` (the fixed kernel is installed and another one runs), `no-fix`,
    /// `unimportant`, `end-of-life`, `kernel-not-running`.
    pub state: String,
    /// The package database.
    pub source: Source,
}

/// What the matching came to, for the evaluator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// The document; `None` when nothing could be told (then a gap with an empty path says why).
    pub value: Option<Value>,
    /// What could not be told.
    pub gaps: Vec<Gap>,
}

/// JSON schema (draft 2020-12) of [`Advisories`].
pub fn schema() -> Value {
    schemas::of(NAME)
}
