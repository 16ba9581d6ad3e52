//! Findings as JSON for programs. Stable: keys are added, never changed or removed, within
//! `assay.scan.v1`.
//!
//! ```text
//! {"format":"assay.scan.v1",
//!  "host":{"name":…,"os":…},
//!  "scan":{"agent":VERSION,"pack":{"version":…,"digest":…,"rules":N},"policy":DIGEST,
//!          "started":UNIX,"finished":UNIX,"state":"complete"|"aborted","limits":[ID,…]},
//!  "counts":{"fail":N,"not_applicable":N,"pass":N,"unknown":N},
//!  "findings":[Finding,…]      failures first by severity, then unknown, pass, not_applicable
//!  "gaps":[Gap,…]
//!  "facts":{FAMILY:DOCUMENT,…}}     `advisories` among them when an index was given
//! ```
//! Finding and Gap are those of ARCHITECTURE.md. Keys are sorted.

use serde_json::{Value, json};

use crate::model::advisories::{self, Derived};
use crate::model::fact::Observation;
use crate::model::finding::{Counts, Finding};
use crate::model::report::{ScanState, Times};
use crate::rules::Pack;

/// Everything that a scan's JSON tells.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Host name.
    pub host: &'a str,
    /// Operating system, such as `Debian GNU/Linux 12.9`.
    pub os: &'a str,
    /// The rules that judged.
    pub pack: &'a Pack,
    /// The thresholds.
    pub policy: &'a crate::model::policy::Policy,
    /// When.
    pub times: Times,
    /// How far the scan got.
    pub state: ScanState,
    /// Stable ids of the limits hit.
    pub limits: &'a [String],
    /// Verdicts.
    pub findings: &'a [Finding],
    /// Facts and gaps.
    pub observation: &'a Observation,
    /// Published advisories that concern the host, if an index was given.
    pub advisories: Option<&'a Derived>,
}

/// Name and version of the format.
pub const FORMAT: &str = "assay.scan.v1";

/// The document, indented, ending with a line break.
pub fn render(document: &Document<'_>) -> String {
    let mut facts = document.observation.families.clone();
    let mut gaps = document.observation.gaps.clone();
    if let Some(derived) = document.advisories {
        gaps.extend(derived.gaps.iter().cloned());
        facts.extend(derived.value.clone().map(|value| (advisories::NAME.to_string(), value)));
    }
    let value = json!({
        "format": FORMAT,
        "host": {"name": document.host, "os": document.os},
        "scan": {
            "agent": env!("CARGO_PKG_VERSION"),
            "pack": {"version": document.pack.version, "digest": document.pack.digest(), "rules": document.pack.rules.len()},
            "policy": document.policy.digest(),
            "started": document.times.started,
            "finished": document.times.finished,
            "state": document.state,
            "limits": document.limits,
        },
        "counts": Counts::of(document.findings),
        "findings": document.findings,
        "gaps": gaps,
        "facts": facts,
    });
    indented(&value)
}

/// Any value, indented, ending with a line break.
pub fn indented(value: &Value) -> String {
    // Alternate display of a `Value` is its pretty form and can't fail.
    format!("{value:#}\n")
}
