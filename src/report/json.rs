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
//!  "facts":{FAMILY:DOCUMENT,…}}     `advisories` among them when an index was given, `access` when a list was
//! ```
//! Finding and Gap are those of ARCHITECTURE.md. Keys are sorted.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::model::advisories::{self, Derived};
use crate::model::compared;
use crate::model::fact::Observation;
use crate::model::finding::{Counts, Finding};
use crate::model::gap::Gap;
use crate::model::report::{ScanState, Times};
use crate::rules::{Pack, access, endpoints};

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
    /// People and ways in, if a list of people or approvals was given.
    pub access: Option<&'a Value>,
}

/// Name and version of the format.
pub const FORMAT: &str = "assay.scan.v1";

/// The document, indented, ending with a line break.
pub fn render(document: &Document<'_>) -> String {
    write(document, |whole| serde_json::to_string_pretty(whole))
}

/// The document on one line.
pub fn render_line(document: &Document<'_>) -> String {
    write(document, |whole| serde_json::to_string(whole))
}

/// Written piece by piece: the facts are not copied.
fn write(document: &Document<'_>, to_text: fn(&Whole<'_>) -> serde_json::Result<String>) -> String {
    let mut facts: BTreeMap<&str, &Value> = document.observation.families.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let mut gaps: Vec<&Gap> = document.observation.gaps.iter().collect();
    if let Some(derived) = document.advisories {
        gaps.extend(&derived.gaps);
        facts.extend(derived.value.as_ref().map(|value| (advisories::NAME, value)));
    }
    facts.extend(document.access.map(|value| (access::NAME, value)));
    let compared = endpoints::derive(document.observation).0.filter(|e| !e.items.is_empty()).and_then(|e| serde_json::to_value(e).ok());
    facts.extend(compared.as_ref().map(|value| (compared::NAME, value)));
    let scan = json!({
        "agent": env!("CARGO_PKG_VERSION"),
        "pack": {"version": document.pack.version, "digest": document.pack.digest(), "rules": document.pack.rules.len()},
        "policy": document.policy.digest(),
        "started": document.times.started,
        "finished": document.times.finished,
        "state": document.state,
        "limits": document.limits,
    });
    let whole = Whole {
        counts: json!(Counts::of(document.findings)),
        facts,
        findings: Sorted(document.findings.iter().collect()),
        format: FORMAT,
        gaps: Sorted(gaps),
        host: json!({"name": document.host, "os": document.os}),
        scan,
    };
    // Maps with text keys and integers alone: writing them to memory can't fail.
    let mut text = to_text(&whole).unwrap_or_default();
    text.push('\n');
    text
}

/// The keys in their order.
#[derive(Serialize)]
struct Whole<'a> {
    counts: Value,
    facts: BTreeMap<&'a str, &'a Value>,
    findings: Sorted<'a, Finding>,
    format: &'static str,
    gaps: Sorted<'a, Gap>,
    host: Value,
    scan: Value,
}

/// A list whose elements show their keys sorted.
struct Sorted<'a, T>(Vec<&'a T>);

impl<T: Serialize> Serialize for Sorted<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|item| json!(item)))
    }
}

/// Any value, indented, ending with a line break.
pub fn indented(value: &Value) -> String {
    // Alternate display of a `Value` is its pretty form and can't fail.
    format!("{value:#}\n")
}
